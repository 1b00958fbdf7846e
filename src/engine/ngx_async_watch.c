
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_notify.h"
#include "src/store/ngx_async_shared.h"


/*
 * A node stands for a job that somebody watches.  Of its watches those that
 * are to be told of a change are in "telling", the others in "watches"; each
 * is in the second of the two queues if it wants progress, too.  To announce a
 * change is to move whole queues, however long they are.
 */

/* handlers called in one turn of the event loop, and for one job in a row */
#define NGX_ASYNC_WATCH_TURN     256
#define NGX_ASYNC_WATCH_ROW      32

#define NGX_ASYNC_WATCH_BUCKETS  256
#define NGX_ASYNC_WATCH_SPARE    1024


typedef struct {
    ngx_async_id_t       id;
    ngx_queue_t          bucket;
    ngx_queue_t          watches[2];
    ngx_queue_t          telling[2];
    ngx_queue_t          told;          /* in the queue of nodes to tell */
    ngx_async_change_t   change;
    unsigned             listed:1;      /* is in that queue */
    unsigned             busy:1;        /* a handler is being called */
} ngx_async_watch_node_t;


static void ngx_async_watch_free(ngx_queue_t *nodes);
static ngx_async_watch_node_t *ngx_async_watch_find(const ngx_async_id_t *id);
static ngx_async_watch_node_t *ngx_async_watch_create(
    const ngx_async_id_t *id);
static ngx_queue_t *ngx_async_watch_bucket(const ngx_async_id_t *id);
static void ngx_async_watch_grow(void);
static void ngx_async_watch_mark(ngx_async_watch_node_t *node,
    ngx_async_change_t *change);
static void ngx_async_watch_drop(ngx_async_watch_node_t *node);
static void ngx_async_watch_move(ngx_queue_t *to, ngx_queue_t *from);
static void ngx_async_watch_post(void);
static void ngx_async_watch_tell(ngx_event_t *ev);
static ngx_uint_t ngx_async_watch_tell_node(ngx_async_watch_node_t *node,
    ngx_uint_t n);


static ngx_queue_t  *ngx_async_watch_buckets;
static ngx_uint_t    ngx_async_watch_nbuckets;
static ngx_uint_t    ngx_async_watch_nnodes;
static ngx_uint_t    ngx_async_watch_n;

static ngx_queue_t   ngx_async_watch_spare;
static ngx_uint_t    ngx_async_watch_nspare;

static ngx_queue_t   ngx_async_watch_told_nodes;
static ngx_event_t   ngx_async_watch_event;


ngx_int_t
ngx_async_watch_start(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    ngx_async_watch_buckets = ngx_alloc(NGX_ASYNC_WATCH_BUCKETS
                                        * sizeof(ngx_queue_t), cycle->log);
    if (ngx_async_watch_buckets == NULL) {
        return NGX_ERROR;
    }

    ngx_async_watch_nbuckets = NGX_ASYNC_WATCH_BUCKETS;

    for (i = 0; i < NGX_ASYNC_WATCH_BUCKETS; i++) {
        ngx_queue_init(&ngx_async_watch_buckets[i]);
    }

    ngx_queue_init(&ngx_async_watch_spare);
    ngx_queue_init(&ngx_async_watch_told_nodes);

    ngx_async_watch_event.handler = ngx_async_watch_tell;
    ngx_async_watch_event.log = cycle->log;

    return NGX_OK;
}


void
ngx_async_watch_stop(void)
{
    ngx_uint_t  i;

    if (ngx_async_watch_buckets == NULL) {
        return;
    }

    for (i = 0; i < ngx_async_watch_nbuckets; i++) {
        ngx_async_watch_free(&ngx_async_watch_buckets[i]);
    }

    ngx_async_watch_free(&ngx_async_watch_spare);

    ngx_free(ngx_async_watch_buckets);

    ngx_async_watch_buckets = NULL;
    ngx_async_watch_nbuckets = 0;
    ngx_async_watch_nnodes = 0;
    ngx_async_watch_nspare = 0;
    ngx_async_watch_n = 0;

    if (ngx_async_watch_event.posted) {
        ngx_delete_posted_event(&ngx_async_watch_event);
    }
}


static void
ngx_async_watch_free(ngx_queue_t *nodes)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(nodes)) {
        q = ngx_queue_head(nodes);
        ngx_queue_remove(q);

        ngx_free(ngx_queue_data(q, ngx_async_watch_node_t, bucket));
    }
}


ngx_int_t
ngx_async_watch_add(ngx_async_watch_t *watch)
{
    ngx_async_watch_node_t  *node;

    node = ngx_async_watch_find(&watch->id);

    if (node == NULL) {
        node = ngx_async_watch_create(&watch->id);
        if (node == NULL) {
            return NGX_ERROR;
        }
    }

    ngx_queue_insert_tail(&node->watches[watch->progress], &watch->queue);

    watch->node = node;
    watch->active = 1;
    ngx_async_watch_n++;

    return NGX_OK;
}


void
ngx_async_watch_del(ngx_async_watch_t *watch)
{
    ngx_async_watch_node_t  *node;

    if (!watch->active) {
        return;
    }

    node = watch->node;

    ngx_queue_remove(&watch->queue);

    watch->node = NULL;
    watch->active = 0;
    ngx_async_watch_n--;

    ngx_async_watch_drop(node);
}


void
ngx_async_watch_changed(ngx_async_id_t *id)
{
    ngx_async_watch_told(id, NULL);

    ngx_async_notify_watchers(NGX_ASYNC_NOTIFY_CHANGED, id, 0, 0);
}


void
ngx_async_watch_progress(ngx_async_id_t *id, uint64_t received, uint64_t total)
{
    ngx_async_change_t  change;

    change.progress = 1;
    change.received = received;
    change.total = total;

    ngx_async_watch_told(id, &change);

    ngx_async_notify_watchers(NGX_ASYNC_NOTIFY_PROGRESS, id, received, total);
}


void
ngx_async_watch_told(ngx_async_id_t *id, ngx_async_change_t *change)
{
    ngx_async_watch_node_t  *node;

    node = ngx_async_watch_find(id);

    if (node) {
        ngx_async_watch_mark(node, change);
    }
}


void
ngx_async_watch_missed(void)
{
    ngx_uint_t               i;
    ngx_queue_t             *q, *bucket;
    ngx_async_watch_node_t  *node;

    for (i = 0; i < ngx_async_watch_nbuckets; i++) {
        bucket = &ngx_async_watch_buckets[i];

        for (q = ngx_queue_head(bucket);
             q != ngx_queue_sentinel(bucket);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_async_watch_node_t, bucket);
            ngx_async_watch_mark(node, NULL);
        }
    }
}


/* without a change it is one of the job's status */

static void
ngx_async_watch_mark(ngx_async_watch_node_t *node, ngx_async_change_t *change)
{
    if (change && change->progress) {

        if (node->listed && !node->change.progress) {

            /* a change of status is under way: whoever hears it will look */
            return;
        }

        node->change = *change;

    } else {
        ngx_memzero(&node->change, sizeof(ngx_async_change_t));

        ngx_async_watch_move(&node->telling[0], &node->watches[0]);
    }

    ngx_async_watch_move(&node->telling[1], &node->watches[1]);

    if (node->listed
        || (ngx_queue_empty(&node->telling[0])
            && ngx_queue_empty(&node->telling[1])))
    {
        return;
    }

    node->listed = 1;
    ngx_queue_insert_tail(&ngx_async_watch_told_nodes, &node->told);

    ngx_async_watch_post();
}


ngx_uint_t
ngx_async_watch_count(void)
{
    return ngx_async_watch_n;
}


static ngx_async_watch_node_t *
ngx_async_watch_find(const ngx_async_id_t *id)
{
    ngx_queue_t             *q, *bucket;
    ngx_async_watch_node_t  *node;

    bucket = ngx_async_watch_bucket(id);

    for (q = ngx_queue_head(bucket);
         q != ngx_queue_sentinel(bucket);
         q = ngx_queue_next(q))
    {
        node = ngx_queue_data(q, ngx_async_watch_node_t, bucket);

        if (ngx_async_id_cmp(&node->id, id) == 0) {
            return node;
        }
    }

    return NULL;
}


static ngx_async_watch_node_t *
ngx_async_watch_create(const ngx_async_id_t *id)
{
    ngx_uint_t               i;
    ngx_queue_t             *q;
    ngx_async_watch_node_t  *node;

    if (ngx_async_watch_nspare) {
        q = ngx_queue_head(&ngx_async_watch_spare);
        ngx_queue_remove(q);
        ngx_async_watch_nspare--;

        node = ngx_queue_data(q, ngx_async_watch_node_t, bucket);

    } else {
        node = ngx_alloc(sizeof(ngx_async_watch_node_t), ngx_cycle->log);
        if (node == NULL) {
            return NULL;
        }
    }

    node->id = *id;
    node->listed = 0;
    node->busy = 0;
    ngx_memzero(&node->change, sizeof(ngx_async_change_t));

    for (i = 0; i < 2; i++) {
        ngx_queue_init(&node->watches[i]);
        ngx_queue_init(&node->telling[i]);
    }

    if (ngx_async_watch_nnodes == 2 * ngx_async_watch_nbuckets) {
        ngx_async_watch_grow();
    }

    ngx_queue_insert_head(ngx_async_watch_bucket(id), &node->bucket);
    ngx_async_watch_nnodes++;

    ngx_async_shared_watch(id, 1);

    return node;
}


static ngx_queue_t *
ngx_async_watch_bucket(const ngx_async_id_t *id)
{
    uint32_t  random;

    ngx_memcpy(&random, id->bytes + NGX_ASYNC_ID_LEN - sizeof(uint32_t),
               sizeof(uint32_t));

    return &ngx_async_watch_buckets[random & (ngx_async_watch_nbuckets - 1)];
}


/* without the memory for more the buckets just get fuller */

static void
ngx_async_watch_grow(void)
{
    ngx_uint_t               i, n;
    ngx_queue_t             *q, *old, *buckets;
    ngx_async_watch_node_t  *node;

    n = ngx_async_watch_nbuckets;

    buckets = ngx_alloc(2 * n * sizeof(ngx_queue_t), ngx_cycle->log);
    if (buckets == NULL) {
        return;
    }

    for (i = 0; i < 2 * n; i++) {
        ngx_queue_init(&buckets[i]);
    }

    old = ngx_async_watch_buckets;

    ngx_async_watch_buckets = buckets;
    ngx_async_watch_nbuckets = 2 * n;

    for (i = 0; i < n; i++) {

        while (!ngx_queue_empty(&old[i])) {

            q = ngx_queue_head(&old[i]);
            node = ngx_queue_data(q, ngx_async_watch_node_t, bucket);

            ngx_queue_remove(q);
            ngx_queue_insert_head(ngx_async_watch_bucket(&node->id), q);
        }
    }

    ngx_free(old);
}


/* frees a node that nobody watches any more */

static void
ngx_async_watch_drop(ngx_async_watch_node_t *node)
{
    ngx_uint_t  i;

    if (node->busy) {
        return;
    }

    for (i = 0; i < 2; i++) {
        if (!ngx_queue_empty(&node->watches[i])
            || !ngx_queue_empty(&node->telling[i]))
        {
            return;
        }
    }

    ngx_async_shared_watch(&node->id, -1);

    if (node->listed) {
        ngx_queue_remove(&node->told);
    }

    ngx_queue_remove(&node->bucket);
    ngx_async_watch_nnodes--;

    if (ngx_async_watch_nspare < NGX_ASYNC_WATCH_SPARE) {
        ngx_queue_insert_head(&ngx_async_watch_spare, &node->bucket);
        ngx_async_watch_nspare++;

    } else {
        ngx_free(node);
    }
}


static void
ngx_async_watch_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


static void
ngx_async_watch_post(void)
{
    if (ngx_async_watch_event.posted) {
        return;
    }

    /*
     * A worker that begins to exit closes connections after the posted events
     * of the turn: what is posted then would wait for the next event.
     */

    if (ngx_exiting) {
        ngx_post_event(&ngx_async_watch_event, &ngx_posted_next_events);

    } else {
        ngx_post_event(&ngx_async_watch_event, &ngx_posted_events);
    }
}


static void
ngx_async_watch_tell(ngx_event_t *ev)
{
    ngx_uint_t               n, told;
    ngx_queue_t             *q;
    ngx_async_watch_node_t  *node;

    /* jobs take turns, so that one with many watches does not delay others */

    for (n = 0; n < NGX_ASYNC_WATCH_TURN; n += told) {

        if (ngx_queue_empty(&ngx_async_watch_told_nodes)) {
            return;
        }

        q = ngx_queue_head(&ngx_async_watch_told_nodes);
        node = ngx_queue_data(q, ngx_async_watch_node_t, told);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_async_watch_told_nodes, q);

        told = ngx_async_watch_tell_node(node, NGX_ASYNC_WATCH_ROW);
    }

    if (!ngx_queue_empty(&ngx_async_watch_told_nodes) && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/*
 * A watch is back in its queue when its handler is called, so that the handler
 * may remove it, or any other; the node stays until the last handler is done.
 */

static ngx_uint_t
ngx_async_watch_tell_node(ngx_async_watch_node_t *node, ngx_uint_t n)
{
    ngx_uint_t           i, told;
    ngx_queue_t         *q;
    ngx_async_watch_t   *watch;
    ngx_async_change_t   change;

    node->busy = 1;

    for (told = 0; told < n; told++) {

        i = ngx_queue_empty(&node->telling[0]);

        if (ngx_queue_empty(&node->telling[i])) {
            break;
        }

        q = ngx_queue_head(&node->telling[i]);
        watch = ngx_queue_data(q, ngx_async_watch_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&node->watches[i], q);

        change = node->change;
        watch->handler(watch, &change);
    }

    node->busy = 0;

    if (ngx_queue_empty(&node->telling[0])
        && ngx_queue_empty(&node->telling[1]))
    {
        ngx_queue_remove(&node->told);
        node->listed = 0;
    }

    ngx_async_watch_drop(node);

    return told;
}
