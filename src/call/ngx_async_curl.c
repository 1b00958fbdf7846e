
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <openssl/err.h>
#include "src/call/ngx_async_curl.h"
#include "src/call/ngx_async_curl_event.h"


/*
 * The engine: transfers wait, run, end.
 *
 * libcurl must not be called from its own callbacks, so whatever users ask for
 * is queued and done by a posted event: starts, resumes, and the removal of
 * transfers that were destroyed meanwhile.
 *
 * There are two multi handles.  In the second one no connection has more than
 * one transfer at a time: libcurl reads what comes for a transfer that is
 * paused, too, whenever another one of its connection wants something, and
 * keeps it in memory, as much as HTTP/2's window allows (32M in 7.88).  Alone
 * on its connection a paused transfer is not read for.
 */

/*
 * What one transfer may need before the next one is looked at: two addresses
 * tried at once and a resolver's descriptor, and one to spare.
 */
#define NGX_ASYNC_CURL_SLOTS     4

#define NGX_ASYNC_CURL_RETRY     50     /* ms, when slots are short */
#define NGX_ASYNC_CURL_IDLE      60000  /* ms, then connections are closed */
#define NGX_ASYNC_CURL_PATIENCE  5000   /* ms, with a connection to share */

#define NGX_ASYNC_CURL_SHARED    0
#define NGX_ASYNC_CURL_SINGLE    1
#define NGX_ASYNC_CURL_MULTIS    2


typedef struct {
    ngx_async_curl_multi_t  multis[NGX_ASYNC_CURL_MULTIS];
    ngx_queue_t             waiting;
    ngx_queue_t             running;
    ngx_queue_t             sharing;    /* wait for a connection to share */
    ngx_queue_t             resuming;
    ngx_queue_t             dead;
    ngx_uint_t              busy;       /* inside libcurl */
    ngx_connection_t        dumb;       /* of the timers, for the log */
    ngx_event_t             work;       /* posted */
    ngx_event_t             slots;      /* timer */
    ngx_event_t             patience;   /* timer */
    unsigned                initialized:1;
    unsigned                global:1;
} ngx_async_curl_engine_t;


static void ngx_async_curl_init(void);
static ngx_int_t ngx_async_curl_open(ngx_async_curl_multi_t *m);
static void ngx_async_curl_close(ngx_async_curl_multi_t *m);
static void ngx_async_curl_abandon(ngx_queue_t *queue);
static void ngx_async_curl_free(ngx_async_curl_t *t);
static void ngx_async_curl_leave(void);
static void ngx_async_curl_post(void);
static void ngx_async_curl_work_handler(ngx_event_t *ev);
static void ngx_async_curl_start_waiting(void);
static void ngx_async_curl_resume_paused(void);
static void ngx_async_curl_add(ngx_async_curl_t *t);
static void ngx_async_curl_end(ngx_async_curl_t *t, CURLcode rc);
static void ngx_async_curl_remove(ngx_async_curl_t *t);
static void ngx_async_curl_share(ngx_async_curl_t *t);
static void ngx_async_curl_patience_handler(ngx_event_t *ev);
static ngx_async_curl_multi_t *ngx_async_curl_multi(ngx_async_curl_t *t);
static void ngx_async_curl_action(ngx_async_curl_multi_t *m, curl_socket_t s,
    int mask);
static void ngx_async_curl_drain(ngx_async_curl_multi_t *m);
static void ngx_async_curl_settle(ngx_async_curl_multi_t *m);
static void ngx_async_curl_idle_handler(ngx_event_t *ev);


static ngx_async_curl_engine_t  ngx_async_curl_engine;


void
ngx_async_curl_start(ngx_async_curl_t *t)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (!e->initialized) {
        ngx_async_curl_init();
    }

    t->state = NGX_ASYNC_CURL_WAITING;
    ngx_queue_insert_tail(&e->waiting, &t->queue);

    ngx_async_curl_post();
}


static void
ngx_async_curl_init(void)
{
    ngx_uint_t                i;
    ngx_async_curl_multi_t   *m;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    ngx_queue_init(&e->waiting);
    ngx_queue_init(&e->running);
    ngx_queue_init(&e->sharing);
    ngx_queue_init(&e->resuming);
    ngx_queue_init(&e->dead);

    e->dumb.fd = (ngx_socket_t) -1;

    e->work.handler = ngx_async_curl_work_handler;
    e->work.log = ngx_cycle->log;

    e->slots.handler = ngx_async_curl_work_handler;
    e->slots.log = ngx_cycle->log;
    e->slots.data = &e->dumb;

    e->patience.handler = ngx_async_curl_patience_handler;
    e->patience.log = ngx_cycle->log;
    e->patience.data = &e->dumb;
    e->patience.cancelable = 1;

    for (i = 0; i < NGX_ASYNC_CURL_MULTIS; i++) {
        m = &e->multis[i];

        m->action = ngx_async_curl_action;

        m->dumb.fd = (ngx_socket_t) -1;
        m->dumb.data = m;

        m->idle.handler = ngx_async_curl_idle_handler;
        m->idle.log = ngx_cycle->log;
        m->idle.cancelable = 1;
        m->idle.data = &m->dumb;
    }

    e->initialized = 1;
}


void
ngx_async_curl_resume(ngx_async_curl_t *t)
{
    if (t->state != NGX_ASYNC_CURL_RUNNING || t->resuming) {
        return;
    }

    t->resuming = 1;
    ngx_queue_insert_tail(&ngx_async_curl_engine.resuming, &t->resume_queue);

    ngx_async_curl_post();
}


void
ngx_async_curl_destroy(ngx_async_curl_t *t)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    switch (t->state) {

    case NGX_ASYNC_CURL_WAITING:
        ngx_queue_remove(&t->queue);
        break;

    case NGX_ASYNC_CURL_RUNNING:

        if (e->busy) {

            if (t->resuming) {
                t->resuming = 0;
                ngx_queue_remove(&t->resume_queue);
            }

            t->state = NGX_ASYNC_CURL_DEAD;
            ngx_queue_remove(&t->queue);
            ngx_queue_insert_tail(&e->dead, &t->queue);

            ngx_async_curl_post();
            return;
        }

        ngx_async_curl_remove(t);

        /* what waited for its connection may go on, and with none left ... */

        ngx_async_curl_post();
        break;
    }

    ngx_async_curl_free(t);
}


void
ngx_async_curl_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t                i;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (!e->initialized) {
        return;
    }

    ngx_async_curl_abandon(&e->waiting);
    ngx_async_curl_abandon(&e->running);
    ngx_async_curl_abandon(&e->dead);

    for (i = 0; i < NGX_ASYNC_CURL_MULTIS; i++) {
        ngx_async_curl_close(&e->multis[i]);
    }

    if (e->work.posted) {
        ngx_delete_posted_event(&e->work);
    }

    if (e->slots.timer_set) {
        ngx_del_timer(&e->slots);
    }

    if (e->patience.timer_set) {
        ngx_del_timer(&e->patience);
    }

    if (e->global) {
        curl_global_cleanup();
    }

    ngx_memzero(e, sizeof(ngx_async_curl_engine_t));
}


static void
ngx_async_curl_abandon(ngx_queue_t *queue)
{
    ngx_queue_t       *q;
    ngx_async_curl_t  *t;

    while (!ngx_queue_empty(queue)) {
        q = ngx_queue_head(queue);
        t = ngx_queue_data(q, ngx_async_curl_t, queue);

        if (t->state == NGX_ASYNC_CURL_WAITING) {
            ngx_queue_remove(q);

        } else {
            ngx_async_curl_remove(t);
        }

        ngx_async_curl_free(t);
    }
}


static void
ngx_async_curl_free(ngx_async_curl_t *t)
{
    ngx_async_curl_engine.busy++;
    curl_easy_cleanup(t->easy);
    ngx_async_curl_leave();

    ngx_free(t);
}


static ngx_int_t
ngx_async_curl_open(ngx_async_curl_multi_t *m)
{
    long                      pipe;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (m->handle) {
        return NGX_OK;
    }

    if (!e->global) {

        if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
            ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                          "curl_global_init() failed");
            return NGX_ERROR;
        }

        e->global = 1;
    }

    m->handle = curl_multi_init();
    if (m->handle == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_init() failed");
        return NGX_ERROR;
    }

    pipe = (m == &e->multis[NGX_ASYNC_CURL_SHARED]) ? CURLPIPE_MULTIPLEX
                                                    : CURLPIPE_NOTHING;

    (void) curl_multi_setopt(m->handle, CURLMOPT_PIPELINING, pipe);

    ngx_async_curl_event_open(m);

    return NGX_OK;
}


static void
ngx_async_curl_close(ngx_async_curl_multi_t *m)
{
    if (m->idle.timer_set) {
        ngx_del_timer(&m->idle);
    }

    if (m->handle == NULL) {
        return;
    }

    ngx_async_curl_engine.busy++;
    (void) curl_multi_cleanup(m->handle);
    ngx_async_curl_leave();

    m->handle = NULL;

    ngx_async_curl_event_close(m);
}


void
ngx_async_curl_opened(ngx_async_curl_t *t, curl_socket_t s)
{
    t->opened = 1;

    ngx_async_curl_event_opened(ngx_async_curl_multi(t), s);
}


/* after a call of libcurl that may do something */

static void
ngx_async_curl_leave(void)
{
    ngx_async_curl_engine.busy--;

    /* nginx would find what libcurl has not looked at, and report it */

    ERR_clear_error();
}


static void
ngx_async_curl_post(void)
{
    ngx_event_t  *ev;

    ev = &ngx_async_curl_engine.work;

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_events);
    }
}


static void
ngx_async_curl_work_handler(ngx_event_t *ev)
{
    ngx_uint_t                i;
    ngx_queue_t              *q;
    ngx_async_curl_t         *t;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    while (!ngx_queue_empty(&e->dead)) {
        q = ngx_queue_head(&e->dead);
        t = ngx_queue_data(q, ngx_async_curl_t, queue);

        ngx_async_curl_remove(t);
        ngx_async_curl_free(t);
    }

    ngx_async_curl_resume_paused();
    ngx_async_curl_start_waiting();

    for (i = 0; i < NGX_ASYNC_CURL_MULTIS; i++) {
        ngx_async_curl_settle(&e->multis[i]);
    }
}


static void
ngx_async_curl_resume_paused(void)
{
    CURLcode                  rc;
    ngx_queue_t              *q;
    ngx_async_curl_t         *t;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    while (!ngx_queue_empty(&e->resuming)) {
        q = ngx_queue_head(&e->resuming);
        t = ngx_queue_data(q, ngx_async_curl_t, resume_queue);

        ngx_queue_remove(q);
        t->resuming = 0;

        if (t->starved) {
            ngx_async_curl_end(t, CURLE_COULDNT_CONNECT);
            continue;
        }

        /* this gives the body what libcurl has kept of it */

        e->busy++;
        rc = curl_easy_pause(t->easy, CURLPAUSE_CONT);
        ngx_async_curl_leave();

        if (t->state == NGX_ASYNC_CURL_RUNNING && rc != CURLE_OK) {
            ngx_async_curl_end(t, rc);
        }
    }
}


static void
ngx_async_curl_start_waiting(void)
{
    ngx_uint_t                n;
    ngx_queue_t              *q;
    ngx_async_curl_t         *t;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    while (!ngx_queue_empty(&e->waiting)) {

        n = ngx_cycle->free_connection_n + ngx_cycle->reusable_connections_n;

        if (n < NGX_ASYNC_CURL_SLOTS) {

            /* slots that others give back are not told of */

            if (!e->slots.timer_set) {
                ngx_add_timer(&e->slots, NGX_ASYNC_CURL_RETRY);
            }

            return;
        }

        q = ngx_queue_head(&e->waiting);
        t = ngx_queue_data(q, ngx_async_curl_t, queue);
        ngx_queue_remove(q);

        ngx_async_curl_add(t);
    }
}


static void
ngx_async_curl_add(ngx_async_curl_t *t)
{
    CURLMcode                 mc;
    ngx_async_curl_multi_t   *m;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    m = ngx_async_curl_multi(t);

    if (ngx_async_curl_open(m) != NGX_OK) {
        t->state = NGX_ASYNC_CURL_ENDED;
        t->handlers->end(t, CURLE_FAILED_INIT);
        return;
    }

    (void) curl_easy_setopt(t->easy, CURLOPT_PIPEWAIT, t->share ? 1L : 0L);

    e->busy++;
    mc = curl_multi_add_handle(m->handle, t->easy);
    ngx_async_curl_leave();

    if (mc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_add_handle() failed: %s",
                      curl_multi_strerror(mc));

        t->state = NGX_ASYNC_CURL_ENDED;
        t->handlers->end(t, CURLE_FAILED_INIT);
        return;
    }

    t->state = NGX_ASYNC_CURL_RUNNING;
    ngx_queue_insert_tail(&e->running, &t->queue);
    m->active++;

    if (t->share) {
        ngx_async_curl_share(t);
    }

    /* connects, so that the next one sees how many slots are left */

    ngx_async_curl_action(m, CURL_SOCKET_TIMEOUT, 0);
}


static ngx_async_curl_multi_t *
ngx_async_curl_multi(ngx_async_curl_t *t)
{
    return &ngx_async_curl_engine.multis[t->single ? NGX_ASYNC_CURL_SINGLE
                                                   : NGX_ASYNC_CURL_SHARED];
}


static void
ngx_async_curl_end(ngx_async_curl_t *t, CURLcode rc)
{
    ngx_async_curl_remove(t);

    t->state = NGX_ASYNC_CURL_ENDED;
    t->handlers->end(t, rc);
}


static void
ngx_async_curl_remove(ngx_async_curl_t *t)
{
    ngx_async_curl_multi_t   *m;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (t->resuming) {
        t->resuming = 0;
        ngx_queue_remove(&t->resume_queue);
    }

    if (t->sharing) {
        t->sharing = 0;
        ngx_queue_remove(&t->share_queue);
    }

    m = ngx_async_curl_multi(t);

    ngx_queue_remove(&t->queue);
    m->active--;

    e->busy++;
    (void) curl_multi_remove_handle(m->handle, t->easy);
    ngx_async_curl_leave();
}


/*
 * Transfers wait for a connection that is being made, because they may be able
 * to share it.  It may never be made: after a while each of them goes on with
 * one of its own.
 */

static void
ngx_async_curl_share(ngx_async_curl_t *t)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    t->sharing = 1;
    t->shared = ngx_current_msec;
    ngx_queue_insert_tail(&e->sharing, &t->share_queue);

    if (!e->patience.timer_set) {
        ngx_add_timer(&e->patience, NGX_ASYNC_CURL_PATIENCE);
    }
}


static void
ngx_async_curl_patience_handler(ngx_event_t *ev)
{
    ngx_msec_t                waited;
    ngx_queue_t              *q;
    ngx_async_curl_t         *t;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    while (!ngx_queue_empty(&e->sharing)) {
        q = ngx_queue_head(&e->sharing);
        t = ngx_queue_data(q, ngx_async_curl_t, share_queue);

        waited = ngx_current_msec - t->shared;

        if (waited < NGX_ASYNC_CURL_PATIENCE) {
            ngx_add_timer(ev, NGX_ASYNC_CURL_PATIENCE - waited);
            return;
        }

        if (t->opened || t->sent || t->state != NGX_ASYNC_CURL_RUNNING) {
            t->sharing = 0;
            ngx_queue_remove(q);
            continue;
        }

        /* libcurl looks at the option only when it begins */

        ngx_async_curl_remove(t);

        t->share = 0;
        t->state = NGX_ASYNC_CURL_WAITING;
        ngx_queue_insert_tail(&e->waiting, &t->queue);

        ngx_async_curl_post();
    }
}


static void
ngx_async_curl_action(ngx_async_curl_multi_t *m, curl_socket_t s, int mask)
{
    int                       running;
    CURLMcode                 mc;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    e->busy++;
    mc = curl_multi_socket_action(m->handle, s, mask, &running);
    ngx_async_curl_leave();

    if (mc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(mc));
    }

    ngx_async_curl_drain(m);
    ngx_async_curl_settle(m);
}


static void
ngx_async_curl_drain(ngx_async_curl_multi_t *m)
{
    int                n;
    char              *data;
    CURLMsg           *msg;
    CURLcode           rc;
    ngx_async_curl_t  *t;

    /* end() of one may destroy others: libcurl drops their messages then */

    while ((msg = curl_multi_info_read(m->handle, &n)) != NULL) {

        if (msg->msg != CURLMSG_DONE) {
            continue;
        }

        rc = msg->data.result;

        (void) curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &data);
        t = (ngx_async_curl_t *) data;

        if (t->state == NGX_ASYNC_CURL_DEAD) {
            ngx_async_curl_remove(t);
            ngx_async_curl_free(t);
            continue;
        }

        ngx_async_curl_end(t, rc);
    }
}


/*
 * Connections that nobody has used for a while are closed all at once: libcurl
 * itself would look at them only when it is called again.
 */

static void
ngx_async_curl_settle(ngx_async_curl_multi_t *m)
{
    if (m->handle == NULL) {
        return;
    }

    if (m->active) {

        if (m->idle.timer_set) {
            ngx_del_timer(&m->idle);
        }

        return;
    }

    /* whatever libcurl still plans must not keep an exiting worker alive */

    ngx_async_curl_event_quiet(m);

    if (!m->idle.timer_set) {
        ngx_add_timer(&m->idle, NGX_ASYNC_CURL_IDLE);
    }
}


static void
ngx_async_curl_idle_handler(ngx_event_t *ev)
{
    ngx_connection_t        *dumb;
    ngx_async_curl_multi_t  *m;

    dumb = ev->data;
    m = dumb->data;

    if (m->active == 0) {
        ngx_async_curl_close(m);
    }
}
