
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/call/ngx_async_line.h"


#define NGX_ASYNC_LINE_PLACES      8        /* of a host */
#define NGX_ASYNC_LINE_ALL_PLACES  256
#define NGX_ASYNC_LINE_LENGTH      1024     /* of a host's line */
#define NGX_ASYNC_LINE_ALL         8192     /* of all lines together */
#define NGX_ASYNC_LINE_PATIENCE    20000    /* ms */


struct ngx_async_line_s {
    ngx_str_node_t      sn;         /* the host, in memory after it */
    ngx_uint_t          places;     /* taken */
    ngx_uint_t          length;
    ngx_queue_t         line;       /* of ngx_async_line_wait_t */
    ngx_queue_t         queue;      /* hosts with a line, in turn */
};

typedef struct {
    ngx_queue_t         queue;
    ngx_async_id_t      id;
    ngx_msec_t          leased;
} ngx_async_line_wait_t;


static ngx_async_line_t *ngx_async_line_host(ngx_str_t *name);
static void ngx_async_line_wait(ngx_async_line_t *host, ngx_async_id_t *id,
    ngx_msec_t leased);
static void ngx_async_line_give(ngx_async_line_t *host);
static void ngx_async_line_forget(ngx_async_line_t *host);
static void ngx_async_line_next(void);
static ngx_uint_t ngx_async_line_next_of(ngx_async_line_t *host);


static ngx_async_line_pt  ngx_async_line_handler;

static ngx_rbtree_t       ngx_async_line_tree;
static ngx_rbtree_node_t  ngx_async_line_sentinel;
static ngx_queue_t        ngx_async_line_hosts;     /* with a line */
static ngx_uint_t         ngx_async_line_places;    /* taken */
static ngx_uint_t         ngx_async_line_waiting;


void
ngx_async_line_init(ngx_async_line_pt next)
{
    ngx_async_line_handler = next;

    ngx_rbtree_init(&ngx_async_line_tree, &ngx_async_line_sentinel,
                    ngx_str_rbtree_insert_value);
    ngx_queue_init(&ngx_async_line_hosts);

    ngx_async_line_places = 0;
    ngx_async_line_waiting = 0;
}


ngx_async_line_t *
ngx_async_line_take(ngx_str_t *name, ngx_async_id_t *id, ngx_msec_t leased)
{
    ngx_async_line_t  *host;

    host = ngx_async_line_host(name);
    if (host == NULL) {
        return NULL;
    }

    if (host->places < NGX_ASYNC_LINE_PLACES
        && ngx_async_line_places < NGX_ASYNC_LINE_ALL_PLACES)
    {
        host->places++;
        ngx_async_line_places++;

        return host;
    }

    ngx_async_line_wait(host, id, leased);

    return NULL;
}


void
ngx_async_line_leave(ngx_async_line_t *host)
{
    ngx_async_line_give(host);
    ngx_async_line_next();
}


static ngx_async_line_t *
ngx_async_line_host(ngx_str_t *name)
{
    uint32_t           hash;
    ngx_async_line_t  *host;

    hash = ngx_crc32_short(name->data, name->len);

    host = (ngx_async_line_t *)
               ngx_str_rbtree_lookup(&ngx_async_line_tree, name, hash);

    if (host) {
        return host;
    }

    host = ngx_calloc(sizeof(ngx_async_line_t) + name->len, ngx_cycle->log);
    if (host == NULL) {
        return NULL;
    }

    host->sn.node.key = hash;
    host->sn.str.len = name->len;
    host->sn.str.data = (u_char *) host + sizeof(ngx_async_line_t);
    ngx_memcpy(host->sn.str.data, name->data, name->len);

    ngx_queue_init(&host->line);
    ngx_rbtree_insert(&ngx_async_line_tree, &host->sn.node);

    return host;
}


static void
ngx_async_line_wait(ngx_async_line_t *host, ngx_async_id_t *id,
    ngx_msec_t leased)
{
    ngx_async_line_wait_t  *w;

    w = NULL;

    if (host->length < NGX_ASYNC_LINE_LENGTH
        && ngx_async_line_waiting < NGX_ASYNC_LINE_ALL)
    {
        w = ngx_alloc(sizeof(ngx_async_line_wait_t), ngx_cycle->log);
    }

    if (w == NULL) {
        ngx_async_line_forget(host);
        return;
    }

    w->id = *id;
    w->leased = leased;

    if (host->length++ == 0) {
        ngx_queue_insert_tail(&ngx_async_line_hosts, &host->queue);
    }

    ngx_async_line_waiting++;
    ngx_queue_insert_tail(&host->line, &w->queue);
}


static void
ngx_async_line_give(ngx_async_line_t *host)
{
    host->places--;
    ngx_async_line_places--;

    ngx_async_line_forget(host);
}


/* a host that nobody needs */

static void
ngx_async_line_forget(ngx_async_line_t *host)
{
    if (host->places == 0 && host->length == 0) {
        ngx_rbtree_delete(&ngx_async_line_tree, &host->sn.node);
        ngx_free(host);
    }
}


static void
ngx_async_line_next(void)
{
    ngx_queue_t       *q, *next, *last;
    ngx_async_line_t  *host;

    if (ngx_queue_empty(&ngx_async_line_hosts)) {
        return;
    }

    last = ngx_queue_last(&ngx_async_line_hosts);
    q = ngx_queue_head(&ngx_async_line_hosts);

    while (ngx_async_line_places < NGX_ASYNC_LINE_ALL_PLACES) {

        next = ngx_queue_next(q);
        host = ngx_queue_data(q, ngx_async_line_t, queue);

        if (host->places < NGX_ASYNC_LINE_PLACES) {

            ngx_queue_remove(q);

            if (ngx_async_line_next_of(host)) {
                ngx_queue_insert_tail(&ngx_async_line_hosts, q);
            }
        }

        if (q == last) {
            return;
        }

        q = next;
    }
}


/*
 * The first in line that is still in time; true if others are behind it.  In a
 * worker that exits all are, as their leases are given back.
 */

static ngx_uint_t
ngx_async_line_next_of(ngx_async_line_t *host)
{
    ngx_uint_t              more;
    ngx_queue_t            *q;
    ngx_async_line_wait_t  *w, first;

    do {

        if (host->length == 0) {
            ngx_async_line_forget(host);
            return 0;
        }

        q = ngx_queue_head(&host->line);
        w = ngx_queue_data(q, ngx_async_line_wait_t, queue);

        first = *w;

        ngx_queue_remove(q);
        ngx_free(w);

        host->length--;
        ngx_async_line_waiting--;

    } while (!ngx_exiting
             && ngx_current_msec - first.leased >= NGX_ASYNC_LINE_PATIENCE);

    host->places++;
    ngx_async_line_places++;

    more = (host->length != 0);

    if (ngx_async_line_handler(&first.id, first.leased, host) != NGX_OK) {
        ngx_async_line_give(host);
    }

    return more;
}
