
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
 */

/*
 * What one transfer may need before the next one is looked at: two addresses
 * tried at once and a resolver's descriptor, and one to spare.
 */
#define NGX_ASYNC_CURL_SLOTS     4

#define NGX_ASYNC_CURL_RETRY     50     /* ms, when slots are short */
#define NGX_ASYNC_CURL_IDLE      60000  /* ms, then connections are closed */


typedef struct {
    CURLM           *multi;
    ngx_queue_t      waiting;
    ngx_queue_t      running;
    ngx_queue_t      resuming;
    ngx_queue_t      dead;
    ngx_uint_t       active;        /* running transfers */
    ngx_uint_t       busy;          /* inside libcurl */
    ngx_event_t      work;          /* posted */
    ngx_event_t      slots;         /* timer */
    ngx_event_t      idle;          /* timer */
    unsigned         initialized:1;
    unsigned         global:1;
} ngx_async_curl_engine_t;


static ngx_int_t ngx_async_curl_open(void);
static void ngx_async_curl_close(void);
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
static void ngx_async_curl_action(curl_socket_t s, int mask);
static void ngx_async_curl_drain(void);
static void ngx_async_curl_settle(void);
static void ngx_async_curl_idle_handler(ngx_event_t *ev);


static ngx_async_curl_engine_t  ngx_async_curl_engine;


void
ngx_async_curl_start(ngx_async_curl_t *t)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;
    static ngx_connection_t   dumb;

    if (!e->initialized) {
        ngx_queue_init(&e->waiting);
        ngx_queue_init(&e->running);
        ngx_queue_init(&e->resuming);
        ngx_queue_init(&e->dead);

        dumb.fd = (ngx_socket_t) -1;

        e->work.handler = ngx_async_curl_work_handler;
        e->work.log = ngx_cycle->log;
        e->slots.handler = ngx_async_curl_work_handler;
        e->slots.log = ngx_cycle->log;
        e->idle.handler = ngx_async_curl_idle_handler;
        e->idle.log = ngx_cycle->log;
        e->idle.cancelable = 1;
        e->slots.data = &dumb;
        e->idle.data = &dumb;
        e->initialized = 1;
    }

    t->state = NGX_ASYNC_CURL_WAITING;
    ngx_queue_insert_tail(&e->waiting, &t->queue);

    ngx_async_curl_post();
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


ngx_uint_t
ngx_async_curl_active(void)
{
    return ngx_async_curl_engine.active;
}


void
ngx_async_curl_stop(ngx_cycle_t *cycle)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (!e->initialized) {
        return;
    }

    ngx_async_curl_abandon(&e->waiting);
    ngx_async_curl_abandon(&e->running);
    ngx_async_curl_abandon(&e->dead);

    ngx_async_curl_close();

    if (e->work.posted) {
        ngx_delete_posted_event(&e->work);
    }

    if (e->slots.timer_set) {
        ngx_del_timer(&e->slots);
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
ngx_async_curl_open(void)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (e->multi) {
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

    e->multi = curl_multi_init();
    if (e->multi == NULL) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_init() failed");
        return NGX_ERROR;
    }

    (void) curl_multi_setopt(e->multi, CURLMOPT_PIPELINING,
                             CURLPIPE_MULTIPLEX);

    ngx_async_curl_event_open(e->multi, ngx_async_curl_action);

    return NGX_OK;
}


static void
ngx_async_curl_close(void)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (e->idle.timer_set) {
        ngx_del_timer(&e->idle);
    }

    if (e->multi == NULL) {
        return;
    }

    e->busy++;
    (void) curl_multi_cleanup(e->multi);
    ngx_async_curl_leave();

    e->multi = NULL;

    ngx_async_curl_event_close();
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
    ngx_async_curl_settle();
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

        /* connects, so that the next one sees how many slots are left */

        if (e->multi) {
            ngx_async_curl_action(CURL_SOCKET_TIMEOUT, 0);
        }
    }
}


static void
ngx_async_curl_add(ngx_async_curl_t *t)
{
    CURLMcode                 mc;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (ngx_async_curl_open() != NGX_OK) {
        t->state = NGX_ASYNC_CURL_ENDED;
        t->handlers->end(t, CURLE_FAILED_INIT);
        return;
    }

    e->busy++;
    mc = curl_multi_add_handle(e->multi, t->easy);
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
    e->active++;
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
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (t->resuming) {
        t->resuming = 0;
        ngx_queue_remove(&t->resume_queue);
    }

    ngx_queue_remove(&t->queue);
    e->active--;

    e->busy++;
    (void) curl_multi_remove_handle(e->multi, t->easy);
    ngx_async_curl_leave();
}


static void
ngx_async_curl_action(curl_socket_t s, int mask)
{
    int                       running;
    CURLMcode                 mc;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    e->busy++;
    mc = curl_multi_socket_action(e->multi, s, mask, &running);
    ngx_async_curl_leave();

    if (mc != CURLM_OK) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, 0,
                      "curl_multi_socket_action() failed: %s",
                      curl_multi_strerror(mc));
    }

    ngx_async_curl_drain();
    ngx_async_curl_settle();
}


static void
ngx_async_curl_drain(void)
{
    int                       n;
    char                     *data;
    CURLMsg                  *msg;
    CURLcode                  rc;
    ngx_async_curl_t         *t;
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    /* end() of one may destroy others: libcurl drops their messages then */

    while ((msg = curl_multi_info_read(e->multi, &n)) != NULL) {

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
ngx_async_curl_settle(void)
{
    ngx_async_curl_engine_t  *e = &ngx_async_curl_engine;

    if (e->multi == NULL) {
        return;
    }

    if (e->active) {

        if (e->idle.timer_set) {
            ngx_del_timer(&e->idle);
        }

        return;
    }

    /* whatever libcurl still plans must not keep an exiting worker alive */

    ngx_async_curl_event_quiet();

    if (!e->idle.timer_set) {
        ngx_add_timer(&e->idle, NGX_ASYNC_CURL_IDLE);
    }
}


static void
ngx_async_curl_idle_handler(ngx_event_t *ev)
{
    if (ngx_async_curl_engine.active == 0) {
        ngx_async_curl_close();
    }
}
