
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_wait.h"
#include "src/base/ngx_async_prefer.h"
#include "src/http/ngx_async_reply.h"
#include "src/engine/ngx_async_schedule.h"


/*
 * A waiter adds its watch first and reads the record then, so that no change
 * is missed in between; and reads it again when it is told of one.  Between
 * reads it keeps nothing but the ask.
 */

static void ngx_async_wait_read(ngx_async_ask_t *ask);
static void ngx_async_wait_got(ngx_async_ask_t *ask);
static ngx_uint_t ngx_async_wait_begun(ngx_async_ask_t *ask);
static void ngx_async_wait_changed(ngx_async_watch_t *watch,
    ngx_async_change_t *change);
static void ngx_async_wait_over(ngx_async_ask_t *ask);
static void ngx_async_wait_timer(ngx_event_t *ev);
static void ngx_async_wait_shutdown(void *data);


ngx_msec_t
ngx_async_wait_asked(ngx_http_request_t *r)
{
    ngx_uint_t             seconds;
    ngx_async_prefer_t     prefer;
    ngx_async_loc_conf_t  *alcf;

    if (!ngx_async_prefer_wait_arg(r, &seconds)) {

        ngx_async_prefer_parse(r, &prefer);

        if (!prefer.wait_set) {
            return 0;
        }

        seconds = prefer.wait;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    return ngx_min((ngx_msec_t) seconds * 1000, alcf->wait_max);
}


void
ngx_async_wait_job(ngx_async_ask_t *ask, ngx_msec_t msec,
    ngx_async_ask_pt handler)
{
    if (msec == 0) {
        ngx_async_ask_job(ask, handler);
        return;
    }

    ask->waiter = handler;

    ask->watch.id = ask->id;
    ask->watch.handler = ngx_async_wait_changed;
    ask->watch.data = ask;

    ask->timer.handler = ngx_async_wait_timer;
    ask->timer.data = ask;
    ask->timer.log = ask->request->connection->log;

    ask->shutdown.handler = ngx_async_wait_shutdown;
    ask->shutdown.data = ask;

    if (ngx_async_watch_add(&ask->watch) != NGX_OK
        || ngx_async_shutdown_add(&ask->shutdown) != NGX_OK)
    {
        ask->over = 1;

    } else {
        ngx_add_timer(&ask->timer, msec);
    }

    ngx_async_ask_job(ask, ngx_async_wait_got);
}


static void
ngx_async_wait_read(ngx_async_ask_t *ask)
{
    unsigned  position;

    ask->changed = 0;

    /* where it stands in its queue matters only to the last answer */

    position = ask->want_position;
    ask->want_position = position && ask->over;

    ngx_async_ask_job(ask, ngx_async_wait_got);

    ask->want_position = position;
}


static void
ngx_async_wait_got(ngx_async_ask_t *ask)
{
    if (!ngx_async_job_finished(&ask->op.found)) {

        if (ask->changed) {
            ngx_async_wait_read(ask);
            return;
        }

        if (!ask->over || ngx_async_wait_begun(ask)) {
            ngx_async_store_release(&ask->op);
            ask->request->connection->log->action = "waiting for a job";
            ngx_async_ask_hold(ask);
            return;
        }

        if (ask->held && !ask->last) {

            /* its response may just have been completed */

            ask->last = 1;
            ngx_async_wait_read(ask);
            return;
        }
    }

    ngx_async_ask_quiet(ask);
    ask->waiter(ask);
}


/* a held client gets a response that began in time, however long it takes */

static ngx_uint_t
ngx_async_wait_begun(ngx_async_ask_t *ask)
{
    uint64_t  received, total;

    return ask->held && !ngx_exiting
           && ngx_async_schedule_progress(&ask->op.found, &received, &total)
              == NGX_OK;
}


static void
ngx_async_wait_changed(ngx_async_watch_t *watch, ngx_async_change_t *change)
{
    ngx_async_ask_t  *ask;

    ask = watch->data;

    if (change->progress) {
        return;
    }

    ask->changed = 1;

    if (!ask->busy) {
        ngx_async_wait_read(ask);
    }
}


static void
ngx_async_wait_over(ngx_async_ask_t *ask)
{
    ask->over = 1;

    /* what is being read now may lack what the answer is to tell */

    ask->changed = 1;

    if (!ask->busy) {
        ngx_async_wait_read(ask);
    }
}


static void
ngx_async_wait_timer(ngx_event_t *ev)
{
    ngx_async_wait_over(ev->data);
}


static void
ngx_async_wait_shutdown(void *data)
{
    ngx_async_wait_over(data);
}
