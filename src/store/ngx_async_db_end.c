
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


static ngx_int_t ngx_async_db_mine(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_job_t *job);
static ngx_int_t ngx_async_db_stop_run(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, ngx_async_op_t *op);
static ngx_int_t ngx_async_db_halt(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job);
static ngx_int_t ngx_async_db_end(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job, ngx_uint_t status, uint64_t now);
static ngx_int_t ngx_async_db_key_del(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job);


/* loads the job if it is running by the operation's runner, else NGX_ABORT */

static ngx_int_t
ngx_async_db_mine(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_async_db_load(txn, &op->id, job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (job->status == NGX_ASYNC_RUNNING
        && ngx_memcmp(job->runner, op->runner, NGX_ASYNC_RUNNER_LEN) == 0)
    {
        return NGX_OK;
    }

    rc = ngx_async_db_give(txn, op, job, 0);

    return rc == NGX_OK ? NGX_ABORT : rc;
}


/* a running job leaves its runner */

static ngx_int_t
ngx_async_db_stop_run(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_op_t *op)
{
    ngx_int_t   rc;
    ngx_uint_t  probe;

    /* one whose queue was opened meanwhile tells nothing of a later pause */

    probe = (job->flags & NGX_ASYNC_JOB_PROBE)
            && ngx_async_id_cmp(&row->probe, &job->id) == 0;

    rc = ngx_async_db_unrun(txn, row, job);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memzero(job->runner, NGX_ASYNC_RUNNER_LEN);

    if (op->pause_until == 0 && (!probe || op->unsent)) {

        /* what was not sent tells nothing of the backend */

        return NGX_OK;
    }

    return ngx_async_db_pause(txn, row, op->pause_until, op->now);
}


ngx_int_t
ngx_async_db_finish(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_job_t      job, *end;
    ngx_async_db_row_t  *row;

    end = op->job;

    if (!ngx_async_job_finished(end)) {
        txn->err = EINVAL;
        return NGX_ERROR;
    }

    rc = ngx_async_db_mine(txn, op, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    job.response_status = end->response_status;
    job.content_type = end->content_type;
    job.etag = end->etag;
    job.error_code = end->error_code;
    job.error_message = end->error_message;

    if (end->response_status) {
        job.response_head_len = end->response_head_len;
        job.response_body_len = end->response_body_len;
    }

    if ((rc = ngx_async_db_row(txn, &job.queue, &row)) != NGX_OK
        || (rc = ngx_async_db_stop_run(txn, row, &job, op)) != NGX_OK
        || (rc = ngx_async_db_fit(txn, row, &job)) != NGX_OK
        || (rc = ngx_async_db_end(txn, &job, end->status, op->now)) != NGX_OK)
    {
        return rc;
    }

    /* behind the end, which makes room: it drops the request */

    if (end->response_status) {
        op->part = NGX_ASYNC_RESPONSE;
        rc = op->nonce ? NGX_OK
                       : ngx_async_db_response_room(txn, op->piece.len);

        if (rc == NGX_OK) {
            rc = ngx_async_db_last_put(txn, op);
        }

    } else {
        rc = ngx_async_db_drop(txn, &job.id, NGX_ASYNC_RESPONSE);
    }

    return rc == NGX_OK ? ngx_async_db_give(txn, op, &job, 0) : rc;
}


ngx_int_t
ngx_async_db_requeue(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;

    row = NULL;

    rc = ngx_async_db_mine(txn, op, &job);

    if (rc == NGX_OK) {
        rc = ngx_async_db_row(txn, &job.queue, &row);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_stop_run(txn, row, &job, op);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (op->unsent && job.attempt) {
        job.attempt--;
    }

    if (op->cut) {
        job.cuts++;
    }

    (void) ngx_async_db_stamp(txn, &job, op->now);

    job.not_before = (op->not_before > op->now) ? op->not_before : 0;

    if ((job.flags & NGX_ASYNC_JOB_REQUEST) == 0 && op->piece.len) {

        job.flags |= NGX_ASYNC_JOB_REQUEST;

        rc = ngx_async_db_piece_put(txn, &job.id, NGX_ASYNC_REQUEST, 0,
                                    &op->piece);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    rc = ngx_async_db_wait_again(txn, row, &job, op->now);

    return rc == NGX_OK ? ngx_async_db_give(txn, op, &job, 0) : rc;
}


/* the job is not running any more, and waits from now on */

ngx_int_t
ngx_async_db_wait_again(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, uint64_t now)
{
    ngx_int_t  rc;

    (void) ngx_async_job_change(job, NGX_ASYNC_NOT_STARTED, now);

    /* in its old place, but the value's next job may be before it */

    if ((rc = ngx_async_db_drop_all(txn, &job->id, NGX_ASYNC_RESPONSE))
        != NGX_OK
        || (rc = ngx_async_db_wait(txn, row, job)) != NGX_OK
        || (rc = ngx_async_db_fit(txn, row, job)) != NGX_OK)
    {
        return rc;
    }

    return ngx_async_db_save(txn, job);
}


ngx_int_t
ngx_async_db_cancel(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;
    u_char               runner[NGX_ASYNC_RUNNER_LEN];

    rc = ngx_async_db_load(txn, &op->id, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_job_finished(&job)) {
        rc = ngx_async_db_give(txn, op, &job, 0);
        return rc == NGX_OK ? NGX_ABORT : rc;
    }

    rc = ngx_async_db_row(txn, &job.queue, &row);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memcpy(runner, job.runner, NGX_ASYNC_RUNNER_LEN);
    op->was_running = (job.status == NGX_ASYNC_RUNNING);

    rc = ngx_async_db_halt(txn, row, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (job.attempt == 0) {
        rc = ngx_async_db_key_del(txn, &job);

        if (rc != NGX_OK) {
            return rc;
        }

        job.flags &= (u_char) ~NGX_ASYNC_JOB_KEY;
    }

    if (op->job) {
        job.error_code = op->job->error_code;
        job.error_message = op->job->error_message;
    }

    rc = ngx_async_db_end(txn, &job, NGX_ASYNC_CANCELED, op->now);

    if (rc == NGX_OK) {
        rc = ngx_async_db_give(txn, op, &job, 0);
        ngx_memcpy(op->found.runner, runner, NGX_ASYNC_RUNNER_LEN);
    }

    return rc;
}


/* the job, whether it waits or runs, does so no more */

static ngx_int_t
ngx_async_db_halt(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t  rc;

    if (job->status == NGX_ASYNC_RUNNING) {
        rc = ngx_async_db_unrun(txn, row, job);

        if (rc == NGX_OK) {
            ngx_memzero(job->runner, NGX_ASYNC_RUNNER_LEN);
            rc = ngx_async_db_drop(txn, &job->id, NGX_ASYNC_RESPONSE);
        }

    } else {
        rc = ngx_async_db_unwait(txn, row, job);
    }

    return rc == NGX_OK ? ngx_async_db_fit(txn, row, job) : rc;
}


/* the job neither waits nor runs any more, and ends */

static ngx_int_t
ngx_async_db_end(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    ngx_uint_t status, uint64_t now)
{
    ngx_int_t  rc;

    job->not_before = 0;

    (void) ngx_async_db_stamp(txn, job, now);
    (void) ngx_async_job_change(job, status, now);

    if ((job->flags & NGX_ASYNC_JOB_REQUEST)
        && ngx_async_db_keep_until(job) == 0)
    {
        job->flags &= (u_char) ~NGX_ASYNC_JOB_REQUEST;

        rc = ngx_async_db_drop(txn, &job->id, NGX_ASYNC_REQUEST);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (job->callback_url.len) {
        job->callback_status = NGX_ASYNC_CALLBACK_PENDING;
        job->callback_due = job->finished;
    }

    rc = ngx_async_db_dates_put(txn, job);

    return rc == NGX_OK ? ngx_async_db_save(txn, job) : rc;
}


ngx_int_t
ngx_async_db_fail_job(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t now, const char *code, const char *message)
{
    job->error_code.data = (u_char *) code;
    job->error_code.len = ngx_strlen(code);
    job->error_message.data = (u_char *) message;
    job->error_message.len = ngx_strlen(message);

    return ngx_async_db_end(txn, job, NGX_ASYNC_FAILED, now);
}


ngx_int_t
ngx_async_db_forget(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t        rc;
    ngx_async_job_t  job;

    rc = ngx_async_db_load(txn, &op->id, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (!ngx_async_job_finished(&job)) {
        rc = ngx_async_db_give(txn, op, &job, 0);
        return rc == NGX_OK ? NGX_ABORT : rc;
    }

    return ngx_async_db_remove(txn, &job);
}


ngx_int_t
ngx_async_db_remove(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_async_db_dates_del(txn, job);

    if (rc == NGX_OK && (job->flags & NGX_ASYNC_JOB_REQUEST)) {
        rc = ngx_async_db_drop(txn, &job->id, NGX_ASYNC_REQUEST);
    }

    if (rc == NGX_OK && job->response_status) {
        rc = ngx_async_db_drop(txn, &job->id, NGX_ASYNC_RESPONSE);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_key_del(txn, job);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_db_del(txn, NGX_ASYNC_DB_JOBS, job->id.bytes,
                            NGX_ASYNC_ID_LEN);
}


static ngx_int_t
ngx_async_db_key_del(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    MDB_val    val;
    ngx_int_t  rc;

    if ((job->flags & NGX_ASYNC_JOB_KEY) == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_KEYS, job->key, NGX_ASYNC_HASH_LEN,
                          &val);

    /* it may be another job's by now */

    if (rc != NGX_OK
        || val.mv_size != NGX_ASYNC_ID_LEN
        || ngx_memcmp(val.mv_data, job->id.bytes, NGX_ASYNC_ID_LEN) != 0)
    {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    return ngx_async_db_del(txn, NGX_ASYNC_DB_KEYS, job->key,
                            NGX_ASYNC_HASH_LEN);
}


ngx_int_t
ngx_async_db_callback(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t        rc;
    ngx_async_job_t  job;

    rc = ngx_async_db_load(txn, &op->id, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (job.callback_status != NGX_ASYNC_CALLBACK_PENDING) {
        rc = ngx_async_db_give(txn, op, &job, 0);
        return rc == NGX_OK ? NGX_ABORT : rc;
    }

    rc = ngx_async_db_redate(txn, &job, op->now);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = ngx_async_db_due_del(txn, NGX_ASYNC_DUE_CALLBACK,
                                  job.callback_due, &job.id);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    job.callback_status = op->job->callback_status;
    job.callback_attempts = op->job->callback_attempts;
    job.callback_error = op->job->callback_error;
    job.callback_due = 0;

    if (job.callback_status == NGX_ASYNC_CALLBACK_PENDING) {
        job.callback_due = ngx_max(op->not_before, 1);

        rc = ngx_async_db_due_put(txn, NGX_ASYNC_DUE_CALLBACK,
                                  job.callback_due, &job.id);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_save(txn, &job);
    }

    return rc == NGX_OK ? ngx_async_db_give(txn, op, &job, 0) : rc;
}
