
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_shared_internal.h"


static ngx_int_t ngx_async_shared_find_queue(ngx_str_t *name);
static ngx_int_t ngx_async_shared_new_queue(ngx_str_t *name);
static ngx_uint_t ngx_async_shared_queue_used(ngx_uint_t queue);


/*
 * An entry keeps its name while a runner that takes jobs has the queue in its
 * configuration, or a call of the queue runs.  Once all have been used, one
 * that need not keep its name gets another one, so names are read under the
 * mutex.
 */

ngx_int_t
ngx_async_shared_queue(ngx_str_t *name)
{
    ngx_int_t  q;

    if (ngx_async_shared_own == NULL) {
        return NGX_ERROR;
    }

    ngx_async_shared_lock();

    q = ngx_async_shared_find_queue(name);

    if (q == NGX_ERROR) {
        q = ngx_async_shared_new_queue(name);
    }

    if (q != NGX_ERROR) {
        ngx_async_shared_own->queues[q / 32] |= 1U << q % 32;
    }

    ngx_async_shared_unlock();

    return q;
}


static ngx_int_t
ngx_async_shared_find_queue(ngx_str_t *name)
{
    uint64_t                   hash;
    ngx_uint_t                 i;
    ngx_async_shared_queue_t  *queue;

    hash = ngx_async_shared_hash(name);

    for (i = 0; i < ngx_async_shared->nqueues; i++) {

        queue = &ngx_async_shared->queues[i];

        if (queue->hash == hash
            && queue->len == name->len
            && ngx_memcmp(queue->name, name->data,
                          ngx_min(name->len, NGX_ASYNC_SHARED_NAME))
               == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


/* a process may be killed in between: an entry has no name before its end */

static ngx_int_t
ngx_async_shared_new_queue(ngx_str_t *name)
{
    ngx_uint_t                 q;
    ngx_async_shared_queue_t  *queue;

    q = ngx_async_shared->nqueues;

    if (q == NGX_ASYNC_QUEUES) {
        for (q = 0; ngx_async_shared_queue_used(q); q++) {
            if (q == NGX_ASYNC_QUEUES - 1) {
                return NGX_ERROR;
            }
        }

    } else {
        ngx_async_set(&ngx_async_shared->nqueues, q + 1);
    }

    queue = &ngx_async_shared->queues[q];

    ngx_async_set(&queue->hash, 0);

    ngx_memzero(queue, sizeof(ngx_async_shared_queue_t));

    queue->len = name->len;
    ngx_memcpy(queue->name, name->data,
               ngx_min(name->len, NGX_ASYNC_SHARED_NAME));

    ngx_async_set(&queue->hash, ngx_async_shared_hash(name));

    return q;
}


static ngx_uint_t
ngx_async_shared_queue_used(ngx_uint_t queue)
{
    ngx_uint_t               i;
    ngx_async_shared_row_t  *row;

    if (ngx_async_shared->queues[queue].taken) {
        return 1;
    }

    for (i = 0; i < ngx_async_shared->nrows; i++) {

        row = &ngx_async_shared->rows[i];

        if (row->id[0] && !ngx_async_get(&row->retired)
            && (row->queues[queue / 32] & 1U << queue % 32))
        {
            return 1;
        }
    }

    return 0;
}


/* FNV-1a */

uint64_t
ngx_async_shared_hash(ngx_str_t *s)
{
    size_t    i;
    uint64_t  hash;

    hash = 0xcbf29ce484222325ULL;

    for (i = 0; i < s->len; i++) {
        hash = (hash ^ s->data[i]) * 0x100000001b3ULL;
    }

    return hash ? hash : 1;
}


/*
 * All workers of a configuration tell the same.  One that is killed in between
 * has told the limit, but not since when it holds: another one does.
 */

void
ngx_async_shared_set_limit(ngx_uint_t queue, ngx_uint_t limit, uint64_t since)
{
    ngx_async_shared_queue_t  *q;

    if (ngx_async_shared_own == NULL || queue >= NGX_ASYNC_QUEUES) {
        return;
    }

    q = &ngx_async_shared->queues[queue];

    ngx_async_shared_lock();

    if (since >= q->since) {
        ngx_async_set(&q->limit, (uint32_t) ngx_min(limit, UINT32_MAX));
        q->since = since;
    }

    ngx_async_shared_unlock();
}


ngx_uint_t
ngx_async_shared_limit(ngx_uint_t queue)
{
    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    return ngx_async_get(&ngx_async_shared->queues[queue].limit);
}


ngx_int_t
ngx_async_shared_take(ngx_uint_t queue)
{
    ngx_int_t                  rc;
    ngx_async_shared_row_t    *own;
    ngx_async_shared_queue_t  *q;

    own = ngx_async_shared_own;

    if (own == NULL || own->retired || queue >= NGX_ASYNC_QUEUES) {
        return NGX_BUSY;
    }

    q = &ngx_async_shared->queues[queue];

    if (ngx_async_get(&q->taken) >= ngx_async_get(&q->limit)) {
        return NGX_BUSY;
    }

    rc = NGX_BUSY;

    ngx_async_shared_lock();

    if (q->taken < q->limit) {
        ngx_async_set(&own->taken[queue], own->taken[queue] + 1);
        ngx_async_set(&q->taken, q->taken + 1);
        rc = NGX_OK;
    }

    ngx_async_shared_unlock();

    return rc;
}


void
ngx_async_shared_give(ngx_uint_t queue)
{
    ngx_async_shared_row_t    *own;
    ngx_async_shared_queue_t  *q;

    own = ngx_async_shared_own;

    if (own == NULL || queue >= NGX_ASYNC_QUEUES) {
        return;
    }

    q = &ngx_async_shared->queues[queue];

    ngx_async_shared_lock();

    if (own->taken[queue]) {
        ngx_async_set(&own->taken[queue], own->taken[queue] - 1);
        ngx_async_set(&q->taken, q->taken - 1);
    }

    ngx_async_shared_unlock();
}


ngx_uint_t
ngx_async_shared_running(ngx_uint_t queue)
{
    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    return ngx_async_get(&ngx_async_shared->queues[queue].taken);
}


ngx_int_t
ngx_async_shared_peer(ngx_uint_t queue)
{
    uint32_t                 taken, least;
    ngx_int_t                found;
    ngx_uint_t               i, n;
    ngx_async_shared_row_t  *row;

    if (ngx_async_shared_own == NULL || queue >= NGX_ASYNC_QUEUES) {
        return NGX_ERROR;
    }

    found = NGX_ERROR;
    least = ngx_async_shared_own->taken[queue];

    if (ngx_async_shared_own->retired) {
        least = NGX_MAX_UINT32_VALUE;

    } else {
        /* as much as moving a call costs, or it would go to and fro */
        least -= ngx_min(least, least / 4 + 1);
    }

    n = ngx_async_get(&ngx_async_shared->nrows);

    for (i = 0; i < n && least; i++) {

        row = &ngx_async_shared->rows[i];

        if (row == ngx_async_shared_own
            || ngx_async_get(&row->id[0]) == 0
            || ngx_async_get(&row->retired))
        {
            continue;
        }

        taken = ngx_async_get(&row->taken[queue]);

        if (taken < least && ngx_async_shared_held(i, 1)) {
            least = taken;
            found = i;
        }
    }

    return found;
}


uint64_t
ngx_async_shared_ready(ngx_uint_t queue)
{
    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    return ngx_async_get(&ngx_async_shared->queues[queue].ready)
           & ~NGX_ASYNC_SHARED_PAUSED;
}


uint64_t
ngx_async_shared_waiting(ngx_uint_t queue)
{
    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    return ngx_async_get(&ngx_async_shared->queues[queue].waiting);
}


ngx_uint_t
ngx_async_shared_paused(ngx_uint_t queue)
{
    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    return (ngx_async_get(&ngx_async_shared->queues[queue].ready)
            & NGX_ASYNC_SHARED_PAUSED) != 0;
}


/* may be called by the threads of the store */

ngx_uint_t
ngx_async_shared_set_ready(ngx_str_t *name, uint64_t n, uint64_t waiting,
    ngx_uint_t paused, uint64_t txnid)
{
    uint64_t                   ready;
    ngx_int_t                  i;
    ngx_uint_t                 news;
    ngx_async_shared_queue_t  *q;

    if (ngx_async_shared == NULL) {
        return 0;
    }

    ready = paused ? n | NGX_ASYNC_SHARED_PAUSED : n;
    news = 0;

    ngx_async_shared_lock();

    i = ngx_async_shared_find_queue(name);

    if (i == NGX_ERROR) {
        goto done;
    }

    q = &ngx_async_shared->queues[i];

    if (txnid >= q->txnid) {
        news = ((ready ^ q->ready) & NGX_ASYNC_SHARED_PAUSED) != 0;

        q->txnid = txnid;
        ngx_async_set(&q->ready, ready);
        ngx_async_set(&q->waiting, waiting);
    }

done:

    ngx_async_shared_unlock();

    return news;
}


void
ngx_async_shared_count(ngx_uint_t queue, ngx_uint_t what)
{
    if (ngx_async_shared == NULL
        || queue >= NGX_ASYNC_QUEUES || what >= NGX_ASYNC_COUNT_N)
    {
        return;
    }

    (void) __atomic_fetch_add(&ngx_async_shared->queues[queue].counts[what],
                              1, __ATOMIC_RELAXED);
}


uint64_t
ngx_async_shared_counted(ngx_uint_t queue, ngx_uint_t what)
{
    if (ngx_async_shared == NULL
        || queue >= NGX_ASYNC_QUEUES || what >= NGX_ASYNC_COUNT_N)
    {
        return 0;
    }

    return ngx_async_get(&ngx_async_shared->queues[queue].counts[what]);
}


uint64_t *
ngx_async_shared_durable(void)
{
    return ngx_async_shared ? &ngx_async_shared->durable : NULL;
}
