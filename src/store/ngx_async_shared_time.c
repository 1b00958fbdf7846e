
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_shared_internal.h"


/* places of a key in the table */
#define NGX_ASYNC_SHARED_PROBES  8

/* samples after which each new one counts 1/16 */
#define NGX_ASYNC_SHARED_WEIGHT  16


static ngx_async_shared_time_t *ngx_async_shared_time(uint64_t key,
    ngx_uint_t enter);


/*
 * The estimate moves towards each sample by a share of the distance, which is
 * cut to twice the usual deviation: a few extreme calls do not move it far, a
 * lasting change does soon, since the deviation grows with it.  The first
 * samples count as much as they would in a mean.
 */

void
ngx_async_shared_sample(ngx_str_t *key, uint64_t duration)
{
    int64_t                   weight, distance, far, step, level;
    ngx_async_shared_time_t  *t;

    if (ngx_async_shared == NULL) {
        return;
    }

    duration = ngx_min(duration, 0x7fffffff);

    ngx_async_shared_lock();

    t = ngx_async_shared_time(ngx_async_shared_hash(key), 1);

    t->used = ++ngx_async_shared->ntimes;

    if (t->samples == 0) {
        t->samples = 1;
        t->deviation = duration / 4;
        ngx_async_set(&t->level, ngx_max(duration, 1));
        goto done;
    }

    weight = ngx_min(t->samples + 1, NGX_ASYNC_SHARED_WEIGHT);

    if (t->samples < NGX_ASYNC_SHARED_WEIGHT) {
        t->samples++;
    }

    distance = (int64_t) duration - t->level;
    far = ngx_abs(distance);

    step = ngx_min(far, 2 * (int64_t) t->deviation + 1);
    step = (step + weight - 1) / weight;
    level = t->level + (distance < 0 ? -step : step);

    t->deviation += (far - (int64_t) t->deviation) / weight;
    ngx_async_set(&t->level, (uint32_t) ngx_max(level, 1));

done:

    ngx_async_shared_unlock();
}


uint64_t
ngx_async_shared_expect(ngx_str_t *key)
{
    ngx_async_shared_time_t  *t;

    if (ngx_async_shared == NULL) {
        return 0;
    }

    t = ngx_async_shared_time(ngx_async_shared_hash(key), 0);

    return t ? ngx_async_get(&t->level) : 0;
}


/*
 * A key has a few places only; the one that was not used for the longest time
 * is given up for a new one.  To enter takes the mutex.
 */

static ngx_async_shared_time_t *
ngx_async_shared_time(uint64_t key, ngx_uint_t enter)
{
    uint64_t                  other;
    ngx_uint_t                i;
    ngx_async_shared_time_t  *t, *old;

    old = NULL;

    for (i = 0; i < NGX_ASYNC_SHARED_PROBES; i++) {

        t = &ngx_async_shared->times[(key + i) % NGX_ASYNC_SHARED_TIMES];
        other = ngx_async_get(&t->key);

        if (other == key) {
            return t;
        }

        if (other == 0) {
            old = t;
            break;
        }

        if (old == NULL || (int32_t) (t->used - old->used) < 0) {
            old = t;
        }
    }

    if (!enter) {
        return NULL;
    }

    ngx_memzero(old, sizeof(ngx_async_shared_time_t));
    ngx_async_set(&old->key, key);

    return old;
}
