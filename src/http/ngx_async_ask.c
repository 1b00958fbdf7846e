
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_ask.h"
#include "src/http/ngx_async_reply.h"
#include "src/call/ngx_async_replay.h"
#include "src/engine/ngx_async_schedule.h"


/*
 * Many waiters may be woken at once, each to read the same large response:
 * so many reads of responses are under way in a worker at most.
 */

#define NGX_ASYNC_ASK_READS  64


static void ngx_async_ask_closed(void *data);
static void ngx_async_ask_freed(void *data);
static void ngx_async_ask_free(ngx_async_ask_t *ask);
static void ngx_async_ask_completed(ngx_async_op_t *op);
static void ngx_async_ask_reads(void);
static void ngx_async_ask_note(ngx_async_ask_t *ask);
static void ngx_async_ask_got(ngx_async_ask_t *ask);
static void ngx_async_ask_reading(ngx_http_request_t *r);


static ngx_uint_t   ngx_async_ask_nreads;
static ngx_queue_t  ngx_async_ask_queue;


ngx_async_ask_t *
ngx_async_ask_create(ngx_http_request_t *r)
{
    ngx_async_ask_t      *ask;
    ngx_pool_cleanup_t   *freed;
    ngx_http_cleanup_t   *closed;

    freed = ngx_pool_cleanup_add(r->pool, 0);
    if (freed == NULL) {
        return NULL;
    }

    closed = ngx_http_cleanup_add(r, 0);
    if (closed == NULL) {
        return NULL;
    }

    ask = ngx_calloc(sizeof(ngx_async_ask_t), r->connection->log);
    if (ask == NULL) {
        return NULL;
    }

    ask->request = r;
    ask->alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

    freed->handler = ngx_async_ask_freed;
    freed->data = ask;

    closed->handler = ngx_async_ask_closed;
    closed->data = ask;

    r->write_event_handler = ngx_http_request_empty_handler;

    return ask;
}


ngx_async_ask_t *
ngx_async_ask_get(ngx_http_request_t *r)
{
    ngx_async_ask_t     *ask;
    ngx_pool_cleanup_t  *cln;

    /* not in r->ctx, which is for submissions and calls */

    for (cln = r->pool->cleanup; cln; cln = cln->next) {

        if (cln->handler == ngx_async_ask_freed) {
            ask = cln->data;

            if (ask->request == r) {
                return ask;
            }
        }
    }

    return NULL;
}


/* the request is being closed: nothing may touch it any more */

static void
ngx_async_ask_closed(void *data)
{
    ngx_async_ask_t  *ask = data;

    ask->closed = 1;

    ngx_async_ask_quiet(ask);

    if (ask->queued) {
        ngx_queue_remove(&ask->queue);
        ask->queued = 0;
        ask->busy = 0;
    }
}


void
ngx_async_ask_drop(ngx_async_ask_t *ask)
{
    ngx_async_ask_closed(ask);
}


/* buffers in its memory have been sent, or never will be */

static void
ngx_async_ask_freed(void *data)
{
    ngx_async_ask_t  *ask = data;

    ask->request = NULL;

    if (!ask->busy) {
        ngx_async_ask_free(ask);
    }
}


static void
ngx_async_ask_free(ngx_async_ask_t *ask)
{
    ngx_async_store_release(&ask->op);

    if (ask->memory != NULL) {
        ngx_free(ask->memory);
    }

    ngx_free(ask);
}


void
ngx_async_ask_prepare(ngx_async_ask_t *ask, ngx_uint_t type)
{
    ngx_async_store_release(&ask->op);
    ngx_memzero(&ask->op, sizeof(ngx_async_op_t));

    ask->op.type = type;
    ask->op.id = ask->id;
    ask->op.now = ngx_async_time_now();
    ask->op.handler = ngx_async_ask_completed;
    ask->op.data = ask;
}


void
ngx_async_ask_submit(ngx_async_ask_t *ask, ngx_async_ask_pt handler)
{
    ask->handler = handler;
    ask->busy = 1;

    if (ask->op.want_response) {

        if (ngx_async_ask_nreads == NGX_ASYNC_ASK_READS) {
            ngx_queue_insert_tail(&ngx_async_ask_queue, &ask->queue);
            ask->queued = 1;
            return;
        }

        if (ngx_async_ask_nreads++ == 0) {
            ngx_queue_init(&ngx_async_ask_queue);
        }

        ask->reading = 1;
    }

    ngx_async_store_submit(&ask->op);
}


static void
ngx_async_ask_completed(ngx_async_op_t *op)
{
    ngx_async_ask_t  *ask;

    ask = op->data;
    ask->busy = 0;

    if (ask->reading) {
        ask->reading = 0;
        ngx_async_ask_reads();
    }

    if (ask->request == NULL) {
        ngx_async_ask_free(ask);
        return;
    }

    if (ask->closed) {
        return;
    }

    ngx_http_set_log_request(ask->request->connection->log, ask->request);

    /* changed by this client */

    if (ask->note.created && op->rc == NGX_OK && op->found.created) {
        ngx_async_ask_note(ask);
    }

    ask->handler(ask);
}


static void
ngx_async_ask_note(ngx_async_ask_t *ask)
{
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_ask_note_t  *note;

    job = &ask->op.found;
    note = &ask->note;

    if (note->created == 0) {
        queue = ngx_async_queue_find(&job->queue);

        if (queue) {
            note->queue = queue->name;

        } else {
            note->queue.data = ngx_pstrdup(ask->request->pool, &job->queue);
            note->queue.len = note->queue.data ? job->queue.len : 0;
        }
    }

    note->status = job->status;
    note->attempt = job->attempt;
    note->created = job->created;
    note->started = job->started;
    note->finished = job->finished;
}


static void
ngx_async_ask_reads(void)
{
    ngx_queue_t      *q;
    ngx_async_ask_t  *ask;

    if (ngx_queue_empty(&ngx_async_ask_queue)) {
        ngx_async_ask_nreads--;
        return;
    }

    q = ngx_queue_head(&ngx_async_ask_queue);
    ngx_queue_remove(q);

    ask = ngx_queue_data(q, ngx_async_ask_t, queue);
    ask->queued = 0;
    ask->reading = 1;

    ngx_async_store_submit(&ask->op);
}


void
ngx_async_ask_job(ngx_async_ask_t *ask, ngx_async_ask_pt handler)
{
    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_GET);

    ask->op.want_position = ask->want_position;
    ask->op.want_response = ask->want_response;
    ask->answer = handler;

    ngx_async_ask_submit(ask, ngx_async_ask_got);
}


static void
ngx_async_ask_got(ngx_async_ask_t *ask)
{
    ngx_async_job_t  *job;

    switch (ask->op.rc) {

    case NGX_OK:
        job = &ask->op.found;
        break;

    case NGX_DECLINED:
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_NOT_FOUND);
        return;

    default:
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
        return;
    }

    if (job->owner.len != ask->owner.len
        || ngx_memcmp(job->owner.data, ask->owner.data, job->owner.len) != 0
        || job->server.len != ask->alcf->server.len
        || ngx_memcmp(job->server.data, ask->alcf->server.data,
                      job->server.len)
           != 0)
    {
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_NOT_FOUND);
        return;
    }

    ngx_async_ask_note(ask);

    ask->answer(ask);
}


void
ngx_async_ask_quiet(ngx_async_ask_t *ask)
{
    ngx_async_watch_del(&ask->watch);
    ngx_async_shutdown_del(&ask->shutdown);

    if (ask->timer.timer_set) {
        ngx_del_timer(&ask->timer);
    }
}


void
ngx_async_ask_problem(ngx_async_ask_t *ask, ngx_uint_t problem)
{
    ngx_async_ask_finish(ask, ngx_async_reply_problem(ask->request, problem,
                                                      NULL, 0));
}


void
ngx_async_ask_finish(ngx_async_ask_t *ask, ngx_int_t rc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ask->request;
    c = r->connection;

    /* the answer may take its time to be sent */

    ngx_async_ask_quiet(ask);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


ngx_int_t
ngx_async_ask_output(ngx_async_ask_t *ask, ngx_chain_t *in)
{
    return ask->held ? ngx_async_tail_output(ask->request, in)
                     : ngx_http_output_filter(ask->request, in);
}


ngx_int_t
ngx_async_ask_sent(ngx_async_ask_t *ask)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ask->request;
    c = r->connection;
    wev = c->write;

    if (!r->buffered && !r->postponed && (r != r->main || !c->buffered)) {

        if (wev->timer_set && !wev->delayed) {
            ngx_del_timer(wev);
        }

        return NGX_OK;
    }

    clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

    if (!wev->delayed) {
        ngx_add_timer(wev, clcf->send_timeout);
    }

    if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
        return NGX_ERROR;
    }

    return NGX_AGAIN;
}


ngx_int_t
ngx_async_ask_resume(ngx_async_ask_t *ask)
{
    ngx_event_t               *wev;
    ngx_connection_t          *c;
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    r = ask->request;
    c = r->connection;
    wev = c->write;

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT,
                      "client timed out");
        c->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return NGX_DONE;
    }

    if (wev->delayed) {

        clcf = ngx_http_get_module_loc_conf(r->main, ngx_http_core_module);

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return NGX_DONE;
    }

    if (ngx_async_ask_output(ask, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return NGX_DONE;
    }

    return NGX_OK;
}


void
ngx_async_ask_document(ngx_async_ask_t *ask, ngx_async_document_t *d)
{
    ngx_memzero(d, sizeof(ngx_async_document_t));

    d->job = &ask->op.found;
    d->now = ngx_async_time_now();

    d->position = ask->op.position;

    if (ngx_async_schedule_progress(d->job, &d->received, &d->total)
        == NGX_OK)
    {
        d->progress = 1;

    } else if (ask->progress) {
        d->progress = 1;
        d->received = ask->received;
        d->total = ask->total;
    }
}


ngx_int_t
ngx_async_ask_send_document(ngx_async_ask_t *ask, ngx_uint_t status)
{
    uint64_t               finish;
    ngx_str_t              json;
    ngx_uint_t             seconds;
    ngx_http_request_t    *r;
    ngx_async_document_t   d;

    r = ask->request;

    ngx_async_ask_document(ask, &d);

    if (!ngx_async_job_finished(d.job)) {
        seconds = ngx_async_document_retry_after(&d, &finish);

        if (ngx_async_reply_retry_after(r, seconds) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_async_document_create(r->pool, &d, &json) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_reply_send(r, status, "application/json", &json);
}


void
ngx_async_ask_hold(ngx_async_ask_t *ask)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ask->request;
    c = r->connection;

    if (r != r->main) {
        return;
    }

    /* it may have left before: an edge is not reported twice */

    r->read_event_handler = ngx_async_ask_reading;

    if (r->write_event_handler == ngx_http_request_empty_handler) {
        r->write_event_handler = ngx_async_ask_writing;

        if (c->write->error) {
            ngx_post_event(c->write, &ngx_posted_events);
        }
    }

    if (!r->discard_body) {
        ngx_http_test_reading(r);
        ngx_http_run_posted_requests(c);
    }
}


/* the rest of a request's body hides whether its client is still there */

static void
ngx_async_ask_reading(ngx_http_request_t *r)
{
    if (r->discard_body) {
        ngx_http_discarded_request_body_handler(r);
        return;
    }

    ngx_http_test_reading(r);
}


/* how a client says in HTTP/3 that it wants no response any more */

void
ngx_async_ask_writing(ngx_http_request_t *r)
{
#if (NGX_HTTP_V3)

    ngx_connection_t  *c;

    c = r->connection;

    if (c->quic == NULL || !c->write->error) {
        return;
    }

    c->error = 1;

    ngx_log_error(NGX_LOG_INFO, c->log, 0, "client canceled a held stream");

    ngx_http_finalize_request(r, NGX_HTTP_CLIENT_CLOSED_REQUEST);

#endif
}
