
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_control.h"
#include "src/http/ngx_async_reply.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_sweep.h"
#include "src/store/ngx_async_shared.h"


static void ngx_async_control_delete_job(ngx_async_ask_t *ask);
static void ngx_async_control_forgotten(ngx_async_ask_t *ask);
static void ngx_async_control_cancel_job(ngx_async_ask_t *ask);
static void ngx_async_control_abort(ngx_async_ask_t *ask,
    ngx_async_ask_pt handler);
static void ngx_async_control_deleted(ngx_async_ask_t *ask);
static void ngx_async_control_canceled(ngx_async_ask_t *ask);
static void ngx_async_control_count(ngx_async_ask_t *ask, ngx_uint_t what);
static void ngx_async_control_finished(ngx_async_ask_t *ask);
static void ngx_async_control_reply(ngx_async_ask_t *ask);
static void ngx_async_control_retry_job(ngx_async_ask_t *ask);
static void ngx_async_control_retried(ngx_async_ask_t *ask);
static void ngx_async_control_not_retried(ngx_async_ask_t *ask);
static void ngx_async_control_failed(ngx_async_ask_t *ask);


void
ngx_async_control_delete(ngx_async_ask_t *ask)
{
    ngx_async_ask_job(ask, ngx_async_control_delete_job);
}


static void
ngx_async_control_delete_job(ngx_async_ask_t *ask)
{
    if (!ngx_async_job_finished(&ask->op.found)) {
        ngx_async_control_abort(ask, ngx_async_control_deleted);
        return;
    }

    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_FORGET);
    ngx_async_ask_submit(ask, ngx_async_control_forgotten);
}


static void
ngx_async_control_forgotten(ngx_async_ask_t *ask)
{
    if (ask->op.rc == NGX_ABORT) {

        /* it was run again in between */

        ngx_async_control_abort(ask, ngx_async_control_canceled);
        return;
    }

    if (ask->op.rc != NGX_OK) {
        ngx_async_control_failed(ask);
        return;
    }

    ngx_async_watch_changed(&ask->id);

    ngx_async_ask_finish(ask, ngx_async_reply_send(ask->request,
                                                   NGX_HTTP_NO_CONTENT, NULL,
                                                   NULL));
}


void
ngx_async_control_cancel(ngx_async_ask_t *ask)
{
    ngx_async_ask_job(ask, ngx_async_control_cancel_job);
}


static void
ngx_async_control_cancel_job(ngx_async_ask_t *ask)
{
    if (ngx_async_job_finished(&ask->op.found)) {
        ngx_async_control_finished(ask);
        return;
    }

    ngx_async_control_abort(ask, ngx_async_control_canceled);
}


static void
ngx_async_control_abort(ngx_async_ask_t *ask, ngx_async_ask_pt handler)
{
    static ngx_async_job_t  reason = {
        .error_code = ngx_string("canceled"),
        .error_message = ngx_string("The job was canceled by its client.")
    };

    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_CANCEL);
    ask->op.job = &reason;

    ngx_async_ask_submit(ask, handler);
}


/* DELETE of a job that has finished in between forgets it */

static void
ngx_async_control_deleted(ngx_async_ask_t *ask)
{
    if (ask->op.rc == NGX_ABORT) {
        ngx_async_ask_prepare(ask, NGX_ASYNC_OP_FORGET);
        ngx_async_ask_submit(ask, ngx_async_control_forgotten);
        return;
    }

    ngx_async_control_canceled(ask);
}


static void
ngx_async_control_canceled(ngx_async_ask_t *ask)
{
    if (ask->op.rc == NGX_ABORT) {
        ngx_async_control_finished(ask);
        return;
    }

    if (ask->op.rc != NGX_OK) {
        ngx_async_control_failed(ask);
        return;
    }

    ngx_async_schedule_canceled(&ask->op);
    ngx_async_control_count(ask, NGX_ASYNC_COUNT_CANCELED);

    ngx_async_control_reply(ask);
}


static void
ngx_async_control_count(ngx_async_ask_t *ask, ngx_uint_t what)
{
    ngx_async_queue_t  *queue;

    queue = ngx_async_queue_find(&ask->op.found.queue);

    if (queue != NULL) {
        ngx_async_shared_count(queue->number, what);
    }
}


static void
ngx_async_control_finished(ngx_async_ask_t *ask)
{
    if (ask->navigation) {
        ngx_async_ask_finish(ask, ngx_async_reply_see(ask->request,
                                                      &ask->op.found, ""));
        return;
    }

    ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_FINISHED);
}


/* the job in op.found was changed as asked for */

static void
ngx_async_control_reply(ngx_async_ask_t *ask)
{
    ngx_int_t  rc;

    if (ask->navigation) {
        rc = ngx_async_reply_see(ask->request, &ask->op.found, "");

    } else {
        rc = ngx_async_reply_link(ask->request, "Location", &ask->op.found,
                                  "");

        if (rc == NGX_OK) {
            rc = ngx_async_ask_send_document(ask, NGX_HTTP_ACCEPTED);
        }
    }

    ngx_async_ask_finish(ask, rc);
}


void
ngx_async_control_retry(ngx_async_ask_t *ask)
{
    ngx_async_ask_job(ask, ngx_async_control_retry_job);
}


static void
ngx_async_control_retry_job(ngx_async_ask_t *ask)
{
    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_RETRY);
    ngx_async_ask_submit(ask, ngx_async_control_retried);
}


static void
ngx_async_control_retried(ngx_async_ask_t *ask)
{
    ngx_async_queue_t  *queue;

    if (ask->op.rc == NGX_ABORT) {
        ngx_async_control_not_retried(ask);
        return;
    }

    if (ask->op.rc != NGX_OK) {
        ngx_async_control_failed(ask);
        return;
    }

    ngx_async_watch_changed(&ask->id);
    ngx_async_schedule_due(ask->op.found.queue_deadline);

    queue = ngx_async_queue_find(&ask->op.found.queue);

    if (queue != NULL) {
        ngx_async_schedule_poke(queue);

    } else {
        ngx_async_sweep_rehome();
    }

    ngx_async_control_reply(ask);
}


/* nobody is to submit again what runs, or has run, without knowing of it */

static void
ngx_async_control_not_retried(ngx_async_ask_t *ask)
{
    ngx_str_t  detail;

    switch (ask->op.found.status) {

    case NGX_ASYNC_NOT_STARTED:
        ngx_str_set(&detail, "The job waits in its queue, and is run without "
                             "being asked for.");
        break;

    case NGX_ASYNC_RUNNING:
        ngx_str_set(&detail, "The job is running. Only a job that has failed "
                             "can be run again.");
        break;

    case NGX_ASYNC_SUCCEEDED:
        ngx_str_set(&detail, "The job has succeeded, its result is there. Only "
                             "a job that has failed can be run again.");
        break;

    case NGX_ASYNC_CANCELED:
        ngx_str_set(&detail, "The job was canceled. Its call may have had an "
                             "effect before that: submit the request as a new "
                             "one only if it may be run once more.");
        break;

    default:
        ngx_str_set(&detail, "The request of this job is not kept. Its call "
                             "may have had an effect: submit the request as a "
                             "new one only if it may be run once more.");
    }

    ngx_async_ask_finish(ask,
                         ngx_async_reply_problem(ask->request,
                                            NGX_ASYNC_PROBLEM_NOT_RETRYABLE,
                                            &detail, 0));
}


static void
ngx_async_control_failed(ngx_async_ask_t *ask)
{
    switch (ask->op.rc) {

    case NGX_DECLINED:
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_NOT_FOUND);
        break;

    case NGX_BUSY:
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FULL);
        break;

    default:
        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
    }
}
