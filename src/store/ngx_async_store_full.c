
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"


/*
 * That there is no room is for the administrator to know, but not once for
 * each client: a line tells of all that had none since the one before.
 */

#define NGX_ASYNC_STORE_FULL_REPORT  60000


static void ngx_async_store_full_report(void);
static void ngx_async_store_full_timer(ngx_event_t *ev);


static ngx_event_t  ngx_async_store_full_event;

static ngx_uint_t   ngx_async_store_full_what;      /* ngx_async_full_e */
static ngx_uint_t   ngx_async_store_refused;        /* submissions */
static ngx_uint_t   ngx_async_store_dropped;        /* responses */


void
ngx_async_store_full(ngx_uint_t full)
{
    if (full == NGX_ASYNC_FULL_STORE || full == NGX_ASYNC_FULL_DISK) {
        ngx_async_store_full_what = full;
    }
}


void
ngx_async_store_no_room(ngx_uint_t part)
{
    if (part == NGX_ASYNC_REQUEST) {
        ngx_async_store_refused++;

    } else {
        ngx_async_store_dropped++;
    }

    if (!ngx_async_store_full_event.timer_set) {
        ngx_async_store_full_timer(&ngx_async_store_full_event);
    }
}


static void
ngx_async_store_full_timer(ngx_event_t *ev)
{
    if (ngx_async_store_refused == 0 && ngx_async_store_dropped == 0) {
        return;
    }

    ngx_async_store_full_report();

    ev->handler = ngx_async_store_full_timer;
    ev->log = ngx_async_store.log;
    ev->data = &ngx_async_store.dumb;
    ev->cancelable = 1;

    ngx_add_timer(ev, NGX_ASYNC_STORE_FULL_REPORT);
}


static void
ngx_async_store_full_report(void)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (ngx_async_store_full_what == NGX_ASYNC_FULL_DISK) {
        ngx_log_error(NGX_LOG_ERR, st->log, 0,
                      "async_store \"%V\": its disk is full, submissions "
                      "refused: %ui, responses lost: %ui; make room on the "
                      "disk",
                      &st->conf.path, ngx_async_store_refused,
                      ngx_async_store_dropped);

    } else {
        ngx_log_error(NGX_LOG_ERR, st->log, 0,
                      "async_store \"%V\" is full, %uLm of size=%uzm are in "
                      "use, submissions refused: %ui, responses lost: %ui; "
                      "raise its \"size=\", or keep jobs for less time with "
                      "\"async_ttl\"",
                      &st->conf.path, st->used / (1024 * 1024),
                      st->conf.size / (1024 * 1024), ngx_async_store_refused,
                      ngx_async_store_dropped);
    }

    ngx_async_store_refused = 0;
    ngx_async_store_dropped = 0;
}


void
ngx_async_store_full_stop(void)
{
    if (ngx_async_store_full_event.timer_set) {
        ngx_del_timer(&ngx_async_store_full_event);
    }

    if (ngx_async_store_refused || ngx_async_store_dropped) {
        ngx_async_store_full_report();
    }
}
