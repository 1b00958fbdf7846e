
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_shared_internal.h"


/*
 * The table of responses that come in.  An entry is taken by its tag, and
 * belongs to the runner that took it; its other members are written by that
 * runner alone.  A job has its place by its id, so that a look at it is short;
 * where all entries there are taken, nothing is told of it.
 */

#define NGX_ASYNC_SHARED_WAYS  8


static ngx_async_shared_call_t *ngx_async_shared_place(
    const ngx_async_id_t *id);
static uint64_t ngx_async_shared_tag(const ngx_async_id_t *id,
    ngx_uint_t row);


ngx_uint_t
ngx_async_shared_call(const ngx_async_id_t *id, uint64_t total)
{
    uint64_t                  none, tag;
    ngx_uint_t                i;
    ngx_async_shared_call_t  *call;

    if (ngx_async_shared_own == NULL) {
        return 0;
    }

    tag = ngx_async_shared_tag(id, ngx_async_runner_row);
    call = ngx_async_shared_place(id);

    for (i = 0; i < NGX_ASYNC_SHARED_WAYS; i++, call++) {

        none = 0;

        if (ngx_async_get(&call->tag) == 0
            && __atomic_compare_exchange_n(&call->tag, &none, tag, 0,
                                           __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
        {
            ngx_async_set(&call->received, 0);
            ngx_async_set(&call->total, total);

            return call - ngx_async_shared->calls + 1;
        }
    }

    return 0;
}


void
ngx_async_shared_received(ngx_uint_t call, uint64_t received)
{
    if (call && ngx_async_shared_own) {
        ngx_async_set(&ngx_async_shared->calls[call - 1].received, received);
    }
}


void
ngx_async_shared_call_done(ngx_uint_t call)
{
    if (call && ngx_async_shared_own) {
        ngx_async_set(&ngx_async_shared->calls[call - 1].tag, 0);
    }
}


ngx_int_t
ngx_async_shared_progress(const ngx_async_id_t *id, const u_char *runner,
    uint64_t *received, uint64_t *total)
{
    uint64_t                  tag;
    ngx_int_t                 row;
    ngx_uint_t                i;
    ngx_async_shared_call_t  *call;

    row = ngx_async_shared_row(runner);

    if (row == NGX_ERROR) {
        return NGX_DECLINED;
    }

    tag = ngx_async_shared_tag(id, row);
    call = ngx_async_shared_place(id);

    for (i = 0; i < NGX_ASYNC_SHARED_WAYS; i++, call++) {

        if (ngx_async_get(&call->tag) != tag) {
            continue;
        }

        *received = ngx_async_get(&call->received);
        *total = ngx_async_get(&call->total);

        /* it may have become another job's meanwhile */

        return (ngx_async_get(&call->tag) == tag) ? NGX_OK : NGX_DECLINED;
    }

    return NGX_DECLINED;
}


/* under the mutex: the runner of this row is gone */

void
ngx_async_shared_drop_calls(ngx_uint_t row)
{
    uint64_t    tag;
    ngx_uint_t  i;

    for (i = 0; i < NGX_ASYNC_SHARED_CALLS; i++) {
        tag = ngx_async_get(&ngx_async_shared->calls[i].tag);

        if (tag != 0 && tag % NGX_ASYNC_RUNNERS == row) {
            ngx_async_set(&ngx_async_shared->calls[i].tag, 0);
        }
    }
}


static ngx_async_shared_call_t *
ngx_async_shared_place(const ngx_async_id_t *id)
{
    ngx_uint_t  n;

    n = (id->bytes[14] << 8 | id->bytes[15])
        % (NGX_ASYNC_SHARED_CALLS / NGX_ASYNC_SHARED_WAYS);

    return &ngx_async_shared->calls[n * NGX_ASYNC_SHARED_WAYS];
}


/* 53 random bits of the id, and the row, which is below 1024; never 0 */

static uint64_t
ngx_async_shared_tag(const ngx_async_id_t *id, ngx_uint_t row)
{
    uint64_t  random;

    ngx_memcpy(&random, id->bytes + NGX_ASYNC_ID_LEN - sizeof(uint64_t),
               sizeof(uint64_t));

    return (random | ((uint64_t) 1 << 63)) / NGX_ASYNC_RUNNERS
           * NGX_ASYNC_RUNNERS + row;
}
