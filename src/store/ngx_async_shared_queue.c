
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_shared_internal.h"


static ngx_int_t ngx_async_shared_find_queue(ngx_str_t *name, uint64_t hash,
    ngx_uint_t n);


/* entries are never changed once they are counted: readers need no lock */

ngx_int_t
ngx_async_shared_queue(ngx_str_t *name)
{
    uint64_t                   hash;
    ngx_int_t                  q;
    ngx_uint_t                 n;
    ngx_async_shared_queue_t  *queue;

    if (ngx_async_shared == NULL) {
        return NGX_ERROR;
    }

    hash = ngx_async_shared_hash(name);
    n = ngx_async_get(&ngx_async_shared->nqueues);

    q = ngx_async_shared_find_queue(name, hash, n);

    if (q != NGX_ERROR) {
        return q;
    }

    ngx_async_shared_lock();

    n = ngx_async_shared->nqueues;
    q = ngx_async_shared_find_queue(name, hash, n);

    if (q == NGX_ERROR && n < NGX_ASYNC_QUEUES) {

        queue = &ngx_async_shared->queues[n];

        queue->hash = hash;
        queue->len = name->len;
        ngx_memcpy(queue->name, name->data,
                   ngx_min(name->len, NGX_ASYNC_SHARED_NAME));

        ngx_async_set(&ngx_async_shared->nqueues, n + 1);
        q = n;
    }

    ngx_async_shared_unlock();

    return q;
}


static ngx_int_t
ngx_async_shared_find_queue(ngx_str_t *name, uint64_t hash, ngx_uint_t n)
{
    ngx_uint_t                 i;
    ngx_async_shared_queue_t  *queue;

    for (i = 0; i < n; i++) {

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


ngx_int_t
ngx_async_shared_take(ngx_uint_t queue, ngx_uint_t limit)
{
    ngx_int_t                  rc;
    ngx_async_shared_row_t    *own;
    ngx_async_shared_queue_t  *q;

    own = ngx_async_shared_own;

    if (own == NULL || queue >= NGX_ASYNC_QUEUES) {
        return NGX_BUSY;
    }

    q = &ngx_async_shared->queues[queue];

    if (ngx_async_get(&q->taken) >= limit) {
        return NGX_BUSY;
    }

    rc = NGX_BUSY;

    ngx_async_shared_lock();

    if (q->taken < limit) {
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

void
ngx_async_shared_set_ready(ngx_uint_t queue, uint64_t n, uint64_t txnid)
{
    ngx_async_shared_queue_t  *q;

    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return;
    }

    q = &ngx_async_shared->queues[queue];

    ngx_async_shared_lock();

    if (txnid >= q->txnid) {
        q->txnid = txnid;
        ngx_async_set(&q->ready, n | (q->ready & NGX_ASYNC_SHARED_PAUSED));
    }

    ngx_async_shared_unlock();
}


ngx_uint_t
ngx_async_shared_set_paused(ngx_uint_t queue, ngx_uint_t paused,
    uint64_t txnid)
{
    uint64_t                   ready;
    ngx_uint_t                 news;
    ngx_async_shared_queue_t  *q;

    if (ngx_async_shared == NULL || queue >= NGX_ASYNC_QUEUES) {
        return 0;
    }

    q = &ngx_async_shared->queues[queue];
    news = 0;

    ngx_async_shared_lock();

    if (txnid >= q->txnid) {
        ready = q->ready & ~NGX_ASYNC_SHARED_PAUSED;

        if (paused) {
            ready |= NGX_ASYNC_SHARED_PAUSED;
        }

        news = (ready != q->ready);
        ngx_async_set(&q->ready, ready);
    }

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
