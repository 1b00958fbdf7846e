
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_run.h"
#include "src/engine/ngx_async_runs.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_pieces.h"
#include "src/engine/ngx_async_stage.h"
#include "src/engine/ngx_async_watch.h"
#include "src/call/ngx_async_call.h"
#include "src/call/ngx_async_held.h"
#include "src/store/ngx_async_shared.h"


/* room for the strings of most jobs, besides the run itself */
#define NGX_ASYNC_RUN_POOL   (sizeof(ngx_pool_t) + sizeof(ngx_async_run_t)    \
                              + 512)
#define NGX_ASYNC_RUN_AGAIN  1000       /* ms, after a store that failed */


static void ngx_async_run_destroy(ngx_async_run_t *run);
static void ngx_async_run_loaded(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full);
static void ngx_async_run_not_started(ngx_async_run_t *run);
static void ngx_async_run_timeout(ngx_event_t *ev);
static void ngx_async_run_forgotten(ngx_async_run_t *run);
static void ngx_async_run_outcome(ngx_async_run_t *run);
static void ngx_async_run_answered(ngx_async_run_t *run);
static void ngx_async_run_set_timeout(ngx_async_run_t *run);
static void ngx_async_run_set_error(ngx_async_run_t *run, const char *code,
    const char *message);
static void ngx_async_run_submit(ngx_async_run_t *run);
static void ngx_async_run_finished(ngx_async_op_t *op);
static void ngx_async_run_stored(ngx_async_run_t *run);
static void ngx_async_run_retry(ngx_event_t *ev);
static void ngx_async_run_promise_staged(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full);
static void ngx_async_run_promised(ngx_async_op_t *op);


static ngx_str_t  ngx_async_run_by =
    ngx_string("The request was answered by ");

static ngx_str_t  ngx_async_run_without =
    ngx_string("No response came from the upstream; the location answered ");


ngx_async_run_t *
ngx_async_run_create(ngx_async_loc_conf_t *alcf, ngx_log_t *log)
{
    ngx_pool_t       *pool;
    ngx_async_run_t  *run;

    pool = ngx_create_pool(NGX_ASYNC_RUN_POOL, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    run = ngx_pcalloc(pool, sizeof(ngx_async_run_t));
    if (run == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    run->pool = pool;
    run->alcf = alcf;
    run->queue = alcf ? alcf->queue : NULL;
    run->body_fd = NGX_INVALID_FILE;

    run->timer.handler = ngx_async_run_timeout;
    run->timer.data = run;
    run->timer.log = ngx_cycle->log;

    run->retry.handler = ngx_async_run_retry;
    run->retry.data = run;
    run->retry.log = ngx_cycle->log;

    return run;
}


void
ngx_async_run_free(ngx_async_run_t *run)
{
    ngx_async_held_t   *held;
    ngx_async_queue_t  *queue;

    ngx_async_runs_remove(run);

    held = run->held;

    if (held) {

        /* the attempt ended without a response: its client waits for the job */

        if (run->stored && run->finishing && held->ended) {
            held->ended(held);
        }

        if (run->held) {
            ngx_async_held_detach(held);
        }
    }

    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    if (run->retry.timer_set) {
        ngx_del_timer(&run->retry);
    }

    queue = run->slot ? run->queue : NULL;

    ngx_async_sink_free(run);
    ngx_async_store_release(&run->op);

    run->freed = 1;

    if (!run->lent) {
        ngx_async_run_destroy(run);
    }

    if (queue) {
        ngx_async_schedule_slot(queue);
    }
}


void
ngx_async_run_returned(ngx_async_run_t *run)
{
    run->lent = 0;

    if (run->freed) {
        ngx_async_run_destroy(run);
    }
}


static void
ngx_async_run_destroy(ngx_async_run_t *run)
{
    if (run->body_fd != NGX_INVALID_FILE && !run->body_borrowed
        && ngx_close_file(run->body_fd) == NGX_FILE_ERROR)
    {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "async: " ngx_close_file_n " of a request body failed");
    }

    if (run->own_blob) {
        ngx_free(run->blob.data);
    }

    if (run->buf.data) {
        /* the store's memory of a claim */
        free(run->buf.data);
    }

    ngx_destroy_pool(run->pool);
}


ngx_int_t
ngx_async_run_claimed(ngx_async_op_t *op, ngx_async_queue_t *queue)
{
    ngx_async_run_t       *run;
    ngx_async_loc_conf_t  *alcf;

    alcf = ngx_async_location_find(&op->found.server, &op->found.location);

    run = ngx_async_run_create(alcf, ngx_cycle->log);

    if (run == NULL) {
        return NGX_ERROR;
    }

    run->job = op->found;
    run->buf = op->buf;
    run->queue = queue;
    run->stored = 1;
    run->slot = 1;

    ngx_str_null(&op->buf);

    if (alcf == NULL) {
        run->failed = 1;
        run->code = "configuration_changed";
        run->message = "The server or the location of the job is no longer "
                       "in the configuration.";
        ngx_async_run_finish(run);
        return NGX_OK;
    }

    ngx_async_runs_add(run);

    ngx_async_stage_load(run, &op->blob, ngx_async_run_loaded);

    return NGX_OK;
}


static void
ngx_async_run_loaded(ngx_async_run_t *run, ngx_int_t rc, ngx_uint_t full)
{
    if (rc == NGX_OK) {
        ngx_async_run_start(run);
        return;
    }

    if (rc == NGX_DECLINED) {
        run->failed = 1;
        run->code = "request_lost";
        run->message = "The stored request of the job is not complete.";

    } else {
        run->end = NGX_ASYNC_END_UNSENT;
        run->starved = 1;
    }

    ngx_async_run_finish(run);
}


void
ngx_async_run_start(ngx_async_run_t *run)
{
    ngx_int_t  rc;

    ngx_async_runs_add(run);

    if (run->canceled) {
        run->ended = 1;
        ngx_async_run_finish(run);
        return;
    }

    run->started = ngx_async_time_now();

    if (run->stored) {
        ngx_async_held_meet(run);
        ngx_async_watch_changed(&run->job.id);
    }

    ngx_add_timer(&run->timer, run->alcf->timeout);

    if (run->alcf->pass) {
        rc = ngx_async_direct_start(run);

    } else {
        rc = ngx_async_replay_start(run);
    }

    if (rc != NGX_OK) {
        ngx_async_run_not_started(run);
    }
}


static void
ngx_async_run_not_started(ngx_async_run_t *run)
{
    run->starved = 1;
    ngx_async_sink_end(run, NGX_ASYNC_END_UNSENT, NULL, NULL);
}


static void
ngx_async_run_timeout(ngx_event_t *ev)
{
    ngx_async_run_t  *run;

    run = ev->data;

    run->timedout = 1;
    run->abort(run);
}


void
ngx_async_run_fail(ngx_async_run_t *run, const char *code, const char *message)
{
    if (run->failed || run->canceled) {
        return;
    }

    run->failed = 1;
    run->dropped = 1;
    run->code = code;
    run->message = message;
}


void
ngx_async_run_finish(ngx_async_run_t *run)
{
    if (run->finishing) {
        return;
    }

    run->finishing = 1;

    if (!run->stored) {
        ngx_async_run_forgotten(run);
        return;
    }

    if (run->canceled) {
        ngx_async_watch_changed(&run->job.id);
        ngx_async_run_free(run);
        return;
    }

    ngx_memzero(&run->op, sizeof(ngx_async_op_t));

    run->op.id = run->job.id;
    run->op.now = ngx_async_time_now();
    run->op.job = &run->job;
    run->op.brief = 1;
    run->op.handler = ngx_async_run_finished;
    run->op.data = run;
    ngx_memcpy(run->op.runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    ngx_async_run_outcome(run);

    ngx_async_run_submit(run);

    /* the next claim goes with this end to the disk, unless a file is synced */

    if (run->slot
        && ngx_async_schedule_next(run->queue, run->op.file != NULL) == NGX_OK)
    {
        run->slot = 0;
    }
}


/* a call whose job nobody was promised */

static void
ngx_async_run_forgotten(ngx_async_run_t *run)
{
    ngx_async_held_t  *held;

    if (run->end == NGX_ASYNC_END_COMPLETE && run->headed && !run->failed) {
        ngx_async_shared_sample(&run->alcf->sample_key,
                                ngx_async_time_now() - run->started);
    }

    held = run->held;

    if (held) {

        /* what it is told */

        if (run->failed) {
            ngx_async_run_set_error(run, run->code, run->message);

        } else if (run->timedout) {
            ngx_async_run_set_timeout(run);
        }

        if (held->ended) {
            held->ended(held);
        }

        if (run->held) {
            ngx_async_held_detach(held);
        }
    }

    ngx_async_run_free(run);
}


/* what the end of the call means for the job */

static void
ngx_async_run_outcome(ngx_async_run_t *run)
{
    ngx_async_op_t  *op;

    op = &run->op;

    op->type = NGX_ASYNC_OP_FINISH;

    if (run->failed) {
        op->unsent = (run->started == 0);
        ngx_async_run_set_error(run, run->code, run->message);
        return;
    }

    if (ngx_async_retry_attempt(run)) {
        return;
    }

    if (run->timedout) {
        ngx_async_run_set_timeout(run);
        return;
    }

    if (run->end != NGX_ASYNC_END_COMPLETE || !run->headed) {
        ngx_async_run_set_error(run, "interrupted",
                                "The call was cut off and is not sent again.");
        return;
    }

    run->job.response_body_len = run->received;

    if (run->job.response_status < 400 && run->dead == 0) {
        run->job.status = NGX_ASYNC_SUCCEEDED;

    } else {
        run->job.status = NGX_ASYNC_FAILED;

        ngx_async_run_answered(run);
    }

    ngx_async_pieces_last(run, op);
}


/* the response has the status of an error, or stands for one */

static void
ngx_async_run_answered(ngx_async_run_t *run)
{
    u_char           *p;
    ngx_str_t        *text;
    ngx_uint_t        status;
    ngx_async_job_t  *job;

    job = &run->job;
    status = run->dead ? run->dead : job->response_status;

    p = ngx_pnalloc(run->pool, sizeof("http_") + NGX_INT64_LEN);

    if (p) {
        job->error_code.data = p;
        job->error_code.len = ngx_sprintf(p, "http_%ui", status) - p;
    }

    text = (status == job->response_status) ? &ngx_async_run_by
                                            : &ngx_async_run_without;

    p = ngx_pnalloc(run->pool, text->len + run->answer.len + NGX_INT32_LEN
                               + sizeof(".") - 1);

    if (p) {
        job->error_message.data = p;

        p = ngx_cpymem(p, text->data, text->len);
        p = run->answer.len ? ngx_sprintf(p, "%V.", &run->answer)
                            : ngx_sprintf(p, "%uD.", job->response_status);

        job->error_message.len = p - job->error_message.data;
    }
}


static void
ngx_async_run_set_timeout(ngx_async_run_t *run)
{
    ngx_async_run_set_error(run, "timeout",
                            "The call did not end within async_timeout.");
}


static void
ngx_async_run_set_error(ngx_async_run_t *run, const char *code,
    const char *message)
{
    ngx_async_job_t  *job;

    job = &run->job;

    job->status = NGX_ASYNC_FAILED;
    job->response_status = 0;
    job->response_head_len = 0;
    job->response_body_len = 0;
    job->content_type.len = 0;
    job->etag.len = 0;

    job->error_code.data = (u_char *) code;
    job->error_code.len = ngx_strlen(code);
    job->error_message.data = (u_char *) message;
    job->error_message.len = ngx_strlen(message);
}


static void
ngx_async_run_submit(ngx_async_run_t *run)
{
    ngx_async_store_submit(&run->op);
}


static void
ngx_async_run_finished(ngx_async_op_t *op)
{
    ngx_async_run_t  *run;

    run = op->data;

    switch (op->rc) {

    case NGX_BUSY:

        if (!run->dropped && op->type == NGX_ASYNC_OP_FINISH) {

            /* what is small fits into the reserve */

            run->dropped = 1;
            ngx_str_null(&op->piece);
            op->type = NGX_ASYNC_OP_FINISH;
            op->file = NULL;
            op->nonce = 0;
            op->offset = 0;

            if (op->full != NGX_ASYNC_FULL_NONE) {
                ngx_async_run_set_error(run, "store_full",
                                        "There is no room in the store.");

            } else {
                ngx_async_run_set_error(run, "store_failed",
                                        ngx_async_sink_failure(run, op->err));
            }

            ngx_async_run_submit(run);
            return;
        }

        /* fall through */

    case NGX_ERROR:

        /* the job must not be lost: its end is written as soon as it can be */

        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, op->err,
                      "async: the end of a job could not be stored, "
                      "trying again");

        ngx_add_timer(&run->retry, NGX_ASYNC_RUN_AGAIN);

        /* which may take long: calls that need no store go on */

        if (run->slot) {
            run->slot = 0;
            ngx_async_schedule_slot(run->queue);
        }

        return;

    case NGX_OK:

        ngx_async_run_stored(run);
        break;

    default:
        /* canceled, or taken over, meanwhile */
        break;
    }

    ngx_async_watch_changed(&run->job.id);

    /* a probe may have opened its queue, or a job may have gone back to it */

    ngx_async_schedule_poke(run->queue);

    ngx_async_run_free(run);
}


/* what follows from it */

static void
ngx_async_run_stored(ngx_async_run_t *run)
{
    ngx_str_t        *code;
    ngx_async_op_t   *op;
    ngx_async_job_t  *job;

    op = &run->op;
    job = &op->found;

    ngx_async_schedule_due(op->pause_until);

    if (op->type == NGX_ASYNC_OP_REQUEUE) {
        ngx_async_schedule_due(op->not_before);
        return;
    }

    ngx_async_schedule_ended(job);

    if (run->headed && run->alcf && !run->failed) {
        ngx_async_shared_sample(&run->alcf->sample_key,
                                op->now - run->started);
    }

    ngx_async_shared_count(run->queue->number,
                           job->status == NGX_ASYNC_SUCCEEDED
                           ? NGX_ASYNC_COUNT_SUCCEEDED
                           : NGX_ASYNC_COUNT_FAILED);

    code = &run->job.error_code;

    if (job->status == NGX_ASYNC_FAILED
        && code->len == sizeof("store_full") - 1
        && ngx_memcmp(code->data, "store_full", code->len) == 0)
    {
        ngx_async_store_no_room(NGX_ASYNC_RESPONSE);
    }
}


static void
ngx_async_run_retry(ngx_event_t *ev)
{
    ngx_async_run_t  *run;

    run = ev->data;

    ngx_async_store_release(&run->op);
    ngx_async_run_submit(run);
}


void
ngx_async_run_promise(ngx_async_run_t *run, ngx_async_run_pt accepted)
{
    run->promising = 1;
    run->accepted = accepted;

    run->job.status = NGX_ASYNC_RUNNING;
    run->job.attempt = 1;
    run->job.started = run->started;

    ngx_async_stage_store(run, ngx_async_run_promise_staged);
}


static void
ngx_async_run_promise_staged(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full)
{
    ngx_async_op_t  *op;

    op = &run->op;

    op->type = NGX_ASYNC_OP_ACCEPT;
    op->handler = ngx_async_run_promised;
    op->data = run;
    op->id = run->job.id;
    op->now = ngx_async_time_now();
    op->job = &run->job;
    op->limits = &run->queue->limits;
    op->part = NGX_ASYNC_REQUEST;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);
    ngx_memcpy(run->job.runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    if (rc != NGX_OK) {
        op->rc = rc;
        op->full = full;
        ngx_async_run_promised(op);
        return;
    }

    ngx_async_store_submit(op);
}


static void
ngx_async_run_promised(ngx_async_op_t *op)
{
    ngx_async_run_t  *run;

    run = op->data;

    ngx_async_stage_over(run, op->rc);

    run->stored = (op->rc == NGX_OK);

    if (run->stored) {
        ngx_async_shared_count(run->queue->number, NGX_ASYNC_COUNT_ACCEPTED);
    }

    run->accepted(run);

    ngx_async_store_release(op);

    ngx_async_sink_decide(run);

    if (!run->ended) {
        return;
    }

    /* it had no body, and ended while the promise was on */

    if (run->held && ngx_async_held_begun(run->held)) {
        ngx_async_held_last(run->held);
    }

    if (run->held && ngx_async_held_begun(run->held)) {
        ngx_async_held_end(run->held, 1);
    }

    ngx_async_run_finish(run);
}
