
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_result.h"
#include "src/http/ngx_async_wait.h"


/*
 * A submission whose client is held: for a call of this worker, or for a job
 * that is in the store.
 */


static ngx_int_t ngx_async_submit_starts(ngx_async_held_t *held);
static ngx_msec_t ngx_async_submit_left_of(ngx_event_t *timer);
static void ngx_async_submit_waited(ngx_async_ask_t *ask);
static void ngx_async_submit_timer(ngx_event_t *ev);
static void ngx_async_submit_shutdown(void *data);
static void ngx_async_submit_expire(ngx_async_submit_t *s);
static void ngx_async_submit_promised(ngx_async_run_t *run);


/* from now on the client may leave, and time passes */

void
ngx_async_submit_hold(ngx_async_submit_t *s)
{
    ngx_http_request_t  *r;

    r = s->request;

    s->timer.handler = ngx_async_submit_timer;
    s->timer.data = s;
    s->timer.log = r->connection->log;

    s->shutdown.handler = ngx_async_submit_shutdown;
    s->shutdown.data = s;

    ngx_add_timer(&s->timer, s->wait);

    if (ngx_async_shutdown_add(&s->shutdown) != NGX_OK) {
        ngx_add_timer(&s->timer, 1);
    }

    r->connection->log->action = "waiting for a job";
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_async_ask_writing;

    if (r->connection->write->error) {
        ngx_post_event(r->connection->write, &ngx_posted_events);
    }

    if (r->connection->read->ready || r->connection->read->pending_eof) {
        ngx_post_event(r->connection->read, &ngx_posted_events);
    }
}


void
ngx_async_submit_release(ngx_async_submit_t *s)
{
    if (s->timer.timer_set) {
        ngx_del_timer(&s->timer);
    }

    ngx_async_shutdown_del(&s->shutdown);
}


/*
 * Held for a job that is in the store: what this worker runs of it meanwhile
 * is streamed to the client, as that of a call of its own; what is run
 * elsewhere is read when it is complete.
 */

void
ngx_async_submit_wait(ngx_async_submit_t *s, ngx_async_job_t *job)
{
    ngx_async_ask_t     *ask;
    ngx_http_request_t  *r;

    r = s->request;

    ask = ngx_async_ask_create(r);

    if (ask) {
        ask->id = job->id;
        ask->owner.len = job->owner.len;
        ask->owner.data = ngx_pstrdup(r->pool, &job->owner);

        if (ask->owner.data || ask->owner.len == 0) {
            ask->data = NULL;
            ask->held = 1;
            ask->want_response = 1;
            ask->want_position = 1;

            s->ask = ask;
            s->held.starts = ngx_async_submit_starts;

            ngx_async_held_await(&s->held, &job->id);

            ngx_async_wait_job(ask, s->wait, ngx_async_submit_waited);
            return;
        }
    }

    ngx_async_submit_reply(s, job);
}


static ngx_int_t
ngx_async_submit_starts(ngx_async_held_t *held)
{
    ngx_async_ask_t     *ask;
    ngx_async_submit_t  *s;

    s = held->data;
    ask = s->ask;

    if (ask->over || !ask->timer.timer_set) {
        return NGX_DECLINED;
    }

    s->wait = ngx_async_submit_left_of(&ask->timer);

    ngx_async_ask_drop(ask);
    s->ask = NULL;

    held->left = ngx_async_submit_left;

    ngx_async_submit_hold(s);

    return NGX_OK;
}


static ngx_msec_t
ngx_async_submit_left_of(ngx_event_t *timer)
{
    return ngx_max((ngx_msec_int_t) (timer->timer.key - ngx_current_msec), 1);
}


static void
ngx_async_submit_waited(ngx_async_ask_t *ask)
{
    ngx_async_job_t     *job;
    ngx_async_submit_t  *s;

    s = ngx_http_get_module_ctx(ask->request, ngx_async_module);
    job = &ask->op.found;

    ngx_async_held_forgo(&s->held);

    if (ngx_async_job_finished(job)) {
        ngx_async_submit_note(s, job);
        ngx_async_result_send(ask);
        return;
    }

    ngx_async_submit_reply(s, job);
}


static void
ngx_async_submit_timer(ngx_event_t *ev)
{
    ngx_async_submit_expire(ev->data);
}


static void
ngx_async_submit_shutdown(void *data)
{
    ngx_async_submit_expire(data);
}


/* the response has not begun in time: the client gets a promise */

static void
ngx_async_submit_expire(ngx_async_submit_t *s)
{
    ngx_async_run_t  *run;

    run = s->held.run;

    if (run == NULL || s->held.begun || s->expired) {
        return;
    }

    s->expired = 1;

    ngx_async_submit_release(s);

    if (run->stored) {
        ngx_async_held_detach(&s->held);
        ngx_async_submit_reply(s, &run->job);
        return;
    }

    ngx_async_run_promise(run, ngx_async_submit_promised);
}


static void
ngx_async_submit_promised(ngx_async_run_t *run)
{
    ngx_async_submit_t  *s;

    s = run->held ? run->held->data : NULL;

    if (s == NULL) {
        return;
    }

    if (run->stored) {
        ngx_async_held_detach(&s->held);
        ngx_async_submit_reply(s, &run->job);
        return;
    }

    /* the call runs: its client keeps waiting rather than lose it */

    ngx_log_error(NGX_LOG_WARN, s->request->connection->log, run->op.err,
                  "async: the store could not take a running call, "
                  "its client is held to the end");
}


void
ngx_async_submit_left(ngx_async_held_t *held)
{
    ngx_async_submit_t  *s;

    s = held->data;

    ngx_async_submit_unhash(s);
    ngx_async_submit_release(s);
}


/* the call is over, and there is no response */

void
ngx_async_submit_ended(ngx_async_held_t *held)
{
    ngx_uint_t           status;
    ngx_async_run_t     *run;
    ngx_async_submit_t  *s;

    s = held->data;
    run = held->run;

    ngx_async_held_detach(held);

    if (run->stored) {

        /* the store knows what became of the job; it may be run again */

        if (s->timer.timer_set) {
            s->wait = ngx_async_submit_left_of(&s->timer);
        }

        ngx_async_submit_release(s);
        ngx_async_submit_wait(s, &run->job);
        return;
    }

    if (run->timedout) {
        status = NGX_HTTP_GATEWAY_TIME_OUT;

    } else if (run->failed || run->end == NGX_ASYNC_END_UNSENT) {
        status = NGX_HTTP_BAD_GATEWAY;

    } else {
        /* as nginx: return 444, or an upstream that was cut off */
        ngx_async_submit_finalize(s, NGX_ERROR);
        return;
    }

    ngx_async_submit_finalize(s, ngx_async_problem_ended(s->request, status,
                                                         status, &run->job));
}
