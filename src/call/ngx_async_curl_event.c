
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include "src/call/ngx_async_curl.h"
#include "src/call/ngx_async_curl_event.h"


/*
 * libcurl tells which events it wants on which descriptors and when it wants
 * to be called at the latest; every such descriptor gets a connection of nginx
 * for as long as libcurl looks at it.  A connection that is merely kept is
 * not looked at, so it takes no worker connection and keeps no worker alive.
 */

static int ngx_async_curl_event_socket(CURL *easy, curl_socket_t s, int what,
    void *userp, void *socketp);
static int ngx_async_curl_event_timer(CURLM *multi, long timeout, void *userp);
static ngx_connection_t *ngx_async_curl_event_watch(
    ngx_async_curl_multi_t *m, CURL *easy, curl_socket_t s);
static void ngx_async_curl_event_unwatch(ngx_connection_t *c,
    ngx_uint_t closed);
static void ngx_async_curl_event_want(ngx_event_t *ev, ngx_int_t event,
    ngx_uint_t want);
static void ngx_async_curl_event_handler(ngx_event_t *ev);
static void ngx_async_curl_event_expired(ngx_event_t *ev);


void
ngx_async_curl_event_open(ngx_async_curl_multi_t *m)
{
    ngx_memzero(&m->timer, sizeof(ngx_event_t));

    m->timer.data = &m->dumb;
    m->timer.handler = ngx_async_curl_event_expired;
    m->timer.log = ngx_cycle->log;

    (void) curl_multi_setopt(m->handle, CURLMOPT_SOCKETFUNCTION,
                             ngx_async_curl_event_socket);
    (void) curl_multi_setopt(m->handle, CURLMOPT_SOCKETDATA, m);
    (void) curl_multi_setopt(m->handle, CURLMOPT_TIMERFUNCTION,
                             ngx_async_curl_event_timer);
    (void) curl_multi_setopt(m->handle, CURLMOPT_TIMERDATA, m);
}


void
ngx_async_curl_event_close(ngx_async_curl_multi_t *m)
{
    ngx_uint_t         i;
    ngx_connection_t  *c;

    ngx_async_curl_event_quiet(m);

    c = ngx_cycle->connections;

    for (i = 0; i < ngx_cycle->connection_n; i++) {
        if (c[i].fd != (ngx_socket_t) -1
            && c[i].read->handler == ngx_async_curl_event_handler
            && c[i].data == m)
        {
            ngx_async_curl_event_unwatch(&c[i], 1);
        }
    }
}


void
ngx_async_curl_event_quiet(ngx_async_curl_multi_t *m)
{
    if (m->timer.timer_set) {
        ngx_del_timer(&m->timer);
    }
}


static int
ngx_async_curl_event_socket(CURL *easy, curl_socket_t s, int what, void *userp,
    void *socketp)
{
    ngx_connection_t        *c;
    ngx_async_curl_multi_t  *m;

    m = userp;
    c = socketp;

    if (what == CURL_POLL_REMOVE) {

        if (c) {
            (void) curl_multi_assign(m->handle, s, NULL);
            ngx_async_curl_event_unwatch(c, 0);
        }

        return 0;
    }

    if (c == NULL) {
        c = ngx_async_curl_event_watch(m, easy, s);

        if (c == NULL) {
            /* -1 would end all transfers, not this one alone */
            return 0;
        }
    }

    ngx_async_curl_event_want(c->read, NGX_READ_EVENT, what & CURL_POLL_IN);
    ngx_async_curl_event_want(c->write, NGX_WRITE_EVENT, what & CURL_POLL_OUT);

    return 0;
}


static int
ngx_async_curl_event_timer(CURLM *multi, long timeout, void *userp)
{
    ngx_async_curl_multi_t  *m;

    m = userp;

    ngx_async_curl_event_quiet(m);

    if (timeout >= 0) {

        /* one of 0 ms set by its own handler would never let others run */

        ngx_add_timer(&m->timer, ngx_max((ngx_msec_t) timeout, 1));
    }

    return 0;
}


static ngx_connection_t *
ngx_async_curl_event_watch(ngx_async_curl_multi_t *m, CURL *easy,
    curl_socket_t s)
{
    char              *data;
    ngx_connection_t  *c;
    ngx_async_curl_t  *t;

    c = ngx_get_connection(s, ngx_cycle->log);

    if (c == NULL) {
        (void) curl_easy_getinfo(easy, CURLINFO_PRIVATE, &data);
        t = (ngx_async_curl_t *) data;

        if (t) {
            t->starved = 1;
            ngx_async_curl_resume(t);
        }

        return NULL;
    }

    c->data = m;
    c->log_error = NGX_ERROR_ERR;

    c->read->log = c->log;
    c->read->handler = ngx_async_curl_event_handler;

    c->write->log = c->log;
    c->write->handler = ngx_async_curl_event_handler;

    (void) curl_multi_assign(m->handle, s, c);

    return c;
}


static void
ngx_async_curl_event_unwatch(ngx_connection_t *c, ngx_uint_t closed)
{
    if (!closed) {
        ngx_async_curl_event_want(c->read, NGX_READ_EVENT, 0);
        ngx_async_curl_event_want(c->write, NGX_WRITE_EVENT, 0);
    }

    /* the descriptor stays libcurl's */

    c->shared = 1;
    ngx_close_connection(c);
}


static void
ngx_async_curl_event_want(ngx_event_t *ev, ngx_int_t event, ngx_uint_t want)
{
    if (want) {

        if (!ev->active && ngx_add_event(ev, event, NGX_LEVEL_EVENT) != NGX_OK)
        {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                          "no events for a connection of libcurl");
        }

        return;
    }

    if (ev->active) {
        (void) ngx_del_event(ev, event, 0);
    }

    if (ev->posted) {
        ngx_delete_posted_event(ev);
    }
}


static void
ngx_async_curl_event_handler(ngx_event_t *ev)
{
    ngx_connection_t        *c;
    ngx_async_curl_multi_t  *m;

    c = ev->data;
    m = c->data;

    m->action(m, c->fd, ev->write ? CURL_CSELECT_OUT : CURL_CSELECT_IN);
}


static void
ngx_async_curl_event_expired(ngx_event_t *ev)
{
    ngx_connection_t        *dumb;
    ngx_async_curl_multi_t  *m;

    dumb = ev->data;
    m = dumb->data;

    m->action(m, CURL_SOCKET_TIMEOUT, 0);
}
