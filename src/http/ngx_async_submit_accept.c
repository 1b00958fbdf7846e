
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_submit_internal.h"
#include "src/http/ngx_async_reply.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_stage.h"
#include "src/store/ngx_async_shared.h"


/*
 * A submission on its way into the store, and what comes of it.
 */


static void ngx_async_submit_accepted(ngx_async_op_t *op);
static void ngx_async_submit_existing(ngx_async_submit_t *s,
    ngx_async_run_t *run);
static void ngx_async_submit_refused(ngx_async_submit_t *s,
    ngx_async_run_t *run, ngx_int_t rc, ngx_uint_t full);


void
ngx_async_submit_staged(ngx_async_run_t *run, ngx_int_t rc, ngx_uint_t full)
{
    ngx_async_op_t  *op;

    op = &run->op;

    op->type = NGX_ASYNC_OP_ACCEPT;
    op->handler = ngx_async_submit_accepted;
    op->data = run;
    op->id = run->job.id;
    op->now = ngx_async_time_now();
    op->job = &run->job;
    op->limits = &run->queue->limits;
    op->part = NGX_ASYNC_REQUEST;
    op->claim = run->slot;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    if (rc != NGX_OK) {
        op->rc = rc;
        op->full = full;
        ngx_async_submit_accepted(op);
        return;
    }

    ngx_async_store_submit(op);
}


static void
ngx_async_submit_accepted(ngx_async_op_t *op)
{
    ngx_async_run_t     *run;
    ngx_async_queue_t   *queue;
    ngx_async_submit_t  *s;

    run = op->data;
    queue = run->queue;

    /* the client may be gone: what it sent is on the disk all the same */

    s = run->held ? run->held->data : NULL;

    ngx_async_stage_over(run, op->rc);

    switch (op->rc) {

    case NGX_OK:
        break;

    case NGX_ABORT:
        ngx_async_submit_existing(s, run);
        return;

    default:
        ngx_async_submit_refused(s, run, op->rc, op->full);
        return;
    }

    ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_ACCEPTED);

    run->stored = 1;

    ngx_async_schedule_due(run->job.queue_deadline);

    if (op->claimed) {

        if (s && s->wait) {
            ngx_async_submit_hold(s);

        } else if (s) {
            ngx_async_held_detach(&s->held);
            ngx_async_submit_reply(s, &run->job);
        }

        ngx_async_run_start(run);
        return;
    }

    if (s) {
        ngx_async_held_detach(&s->held);

        if (s->wait) {
            ngx_async_submit_wait(s, &run->job);

        } else {
            ngx_async_submit_reply(s, &run->job);
        }
    }

    /* gives back a slot that it may have */

    if (!run->slot) {
        ngx_async_run_free(run);
        ngx_async_schedule_poke(queue);
        return;
    }

    ngx_async_run_free(run);
}


/* the same key: the same job, or a mistake of the client */

static void
ngx_async_submit_existing(ngx_async_submit_t *s, ngx_async_run_t *run)
{
    ngx_async_job_t  *job;

    if (s) {
        ngx_async_held_detach(&s->held);

        job = &run->op.found;

        if (ngx_memcmp(job->fingerprint, run->job.fingerprint,
                       NGX_ASYNC_HASH_LEN)
            != 0)
        {
            ngx_async_submit_problem(s, NGX_ASYNC_PROBLEM_KEY_REUSED, 0);

        } else if (s->wait) {
            ngx_async_submit_wait(s, job);

        } else {
            ngx_async_submit_reply(s, job);
        }
    }

    ngx_async_run_free(run);
}


static void
ngx_async_submit_refused(ngx_async_submit_t *s, ngx_async_run_t *run,
    ngx_int_t rc, ngx_uint_t full)
{
    const char  *reason;
    uint64_t     begin;
    ngx_uint_t   problem, queue, retry_after;

    queue = run->queue->number;
    begin = run->job.paused_until;
    retry_after = 0;

    if (rc == NGX_BUSY) {

        switch (full) {

        case NGX_ASYNC_FULL_PER:
            problem = NGX_ASYNC_PROBLEM_PER_FULL;
            reason = "per_full";
            break;

        case NGX_ASYNC_FULL_STORE:
        case NGX_ASYNC_FULL_DISK:
            ngx_async_store_no_room(NGX_ASYNC_REQUEST);
            problem = NGX_ASYNC_PROBLEM_STORE_FULL;
            reason = "store_full";
            begin = 0;
            break;

        default:
            problem = NGX_ASYNC_PROBLEM_QUEUE_FULL;
            reason = "queue_full";
        }

        retry_after = ngx_async_schedule_retry_after(run->alcf, begin);

    } else {
        problem = NGX_ASYNC_PROBLEM_STORE_FAILED;
        reason = "store_failed";

        ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, run->op.err,
                      "async: a submission could not be stored");
    }

    if (s == NULL) {
        ngx_async_run_free(run);
        return;
    }

    if (s->alcf->full_pass) {
        ngx_async_submit_return_file(s, run);
    }

    ngx_async_held_detach(&s->held);
    ngx_async_run_free(run);

    if (s->alcf->full_pass) {
        ngx_async_shared_count(queue, NGX_ASYNC_COUNT_BYPASSED);
        ngx_async_submit_bypass(s, reason);
        return;
    }

    ngx_async_shared_count(queue, NGX_ASYNC_COUNT_REJECTED);
    ngx_async_submit_problem(s, problem, retry_after);
}
