
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/* a callback that is given out is given out again if nobody reports of it */
#define NGX_ASYNC_DB_LEASE  60000


static ngx_int_t ngx_async_db_due_time(ngx_async_db_txn_t *txn,
    uint64_t *next);
static ngx_int_t ngx_async_db_trash(ngx_async_db_txn_t *txn);
static ngx_int_t ngx_async_db_due_do(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due);
static ngx_int_t ngx_async_db_due_pause(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due);
static ngx_int_t ngx_async_db_due_start(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due, ngx_async_job_t *job);
static ngx_int_t ngx_async_db_due_callback(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due, ngx_async_job_t *job);
static ngx_int_t ngx_async_db_due_deadline(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due, ngx_async_job_t *job);
static ngx_int_t ngx_async_db_due_request(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job);
static ngx_int_t ngx_async_db_due_expire(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due, ngx_async_job_t *job);
static void ngx_async_db_swept(ngx_async_sweep_t *sweep, ngx_async_job_t *job,
    ngx_uint_t expired);
static ngx_int_t ngx_async_db_recover_one(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_id_t *id);


/* when the first thing is due, 0: nothing is */

static ngx_int_t
ngx_async_db_due_time(ngx_async_db_txn_t *txn, uint64_t *next)
{
    ngx_int_t           rc;
    ngx_uint_t          class;
    ngx_async_db_due_t  due;

    *next = 0;

    for (class = 0; class < 2; class++) {
        rc = ngx_async_db_due_next(txn, class, 0, &due);

        if (rc == NGX_OK && (*next == 0 || due.time < *next)) {
            *next = due.time;
        }

        if (rc != NGX_OK && rc != NGX_DECLINED) {
            return rc;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_async_db_due(ngx_async_db_t *db, uint64_t now, uint64_t *next)
{
    ngx_uint_t            due;
    ngx_async_db_txn_t    txn;
    ngx_async_db_clock_t  clock;

    *next = 0;

    if (ngx_async_db_reader(db, &txn) != NGX_OK) {
        return 0;
    }

    due = 0;

    if (ngx_async_db_clock(&txn, now, &clock) == NGX_OK
        && ngx_async_db_due_time(&txn, next) == NGX_OK)
    {
        /* a jump of the clock is to be noted before it jumps again */

        due = clock.news || clock.reviewing || (*next && *next <= now);
    }

    ngx_async_db_reader_done(&txn);

    return due;
}


ngx_int_t
ngx_async_db_sweep(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t             rc;
    ngx_uint_t            n, class;
    ngx_async_sweep_t    *sweep;
    ngx_async_db_due_t    due;
    ngx_async_db_clock_t  clock;

    sweep = op->sweep;
    ngx_memzero(sweep, sizeof(ngx_async_sweep_t));

    if ((rc = ngx_async_db_clock(txn, op->now, &clock)) != NGX_OK
        || (rc = ngx_async_db_review(txn, &clock, op->now)) != NGX_OK
        || (rc = ngx_async_db_clock_save(txn, &clock)) != NGX_OK
        || (rc = ngx_async_db_trash(txn)) != NGX_OK
        || (rc = ngx_async_db_retime(txn, op)) != NGX_OK)
    {
        return rc;
    }

    class = 0;
    n = 0;

    while (class < 2 && n < NGX_ASYNC_SWEEP_MAX) {

        rc = ngx_async_db_due_next(txn, class, NGX_ASYNC_DB_AT_ONCE + 1, &due);

        if (rc == NGX_DECLINED || (rc == NGX_OK && due.time > op->now)) {
            class++;
            continue;
        }

        if (rc == NGX_OK) {
            rc = ngx_async_db_due_do(txn, op, &due);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        n++;
    }

    /* what was done may have made other things due */

    rc = ngx_async_db_due_time(txn, &sweep->next);

    sweep->more = (sweep->next && sweep->next <= op->now) || clock.reviewing;

    return rc;
}


/* one step for one of the blobs that were too large to be dropped at once */

static ngx_int_t
ngx_async_db_trash(ngx_async_db_txn_t *txn)
{
    ngx_int_t           rc;
    ngx_uint_t          more;
    ngx_async_db_due_t  due;

    rc = ngx_async_db_due_next(txn, 0, 0, &due);

    if (rc == NGX_OK && due.time == NGX_ASYNC_DB_AT_ONCE
        && due.kind <= NGX_ASYNC_DUE_TRASH_RESPONSE)
    {
        rc = ngx_async_db_drop_more(txn, &due.id,
                                    due.kind - NGX_ASYNC_DUE_TRASH, &more);
    }

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static ngx_int_t
ngx_async_db_due_do(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due)
{
    ngx_int_t        rc;
    ngx_async_job_t  job;

    rc = ngx_async_db_due_del(txn, due->kind, due->time, &due->id);

    if (rc != NGX_OK) {
        return rc;
    }

    if (due->kind == NGX_ASYNC_DUE_PAUSE) {
        return ngx_async_db_due_pause(txn, op, due);
    }

    if (due->kind == NGX_ASYNC_DUE_RETIME) {
        return ngx_async_db_due_retime(txn, due);
    }

    rc = ngx_async_db_load(txn, &due->id, &job);

    if (rc == NGX_OK) {
        rc = ngx_async_db_redate(txn, &job, op->now);
    }

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    switch (due->kind) {

    case NGX_ASYNC_DUE_START:
        return ngx_async_db_due_start(txn, op, due, &job);

    case NGX_ASYNC_DUE_CALLBACK:
        return ngx_async_db_due_callback(txn, op, due, &job);

    case NGX_ASYNC_DUE_DEADLINE:
        return ngx_async_db_due_deadline(txn, op, due, &job);

    case NGX_ASYNC_DUE_REQUEST:
        return ngx_async_db_due_request(txn, &job);

    case NGX_ASYNC_DUE_EXPIRE:
        return ngx_async_db_due_expire(txn, op, due, &job);

    default:
        return ngx_async_db_corrupt(txn);
    }
}


static ngx_int_t
ngx_async_db_due_pause(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_async_db_row_t  *row;

    name.data = due->queue;
    name.len = due->len;

    rc = ngx_async_db_row(txn, &name, &row);

    if (rc != NGX_OK || row->paused_until != due->time) {
        return rc;
    }

    if (ngx_async_db_row_waiting(row) == 0 && !row->probing) {

        /* nobody is there to probe */

        rc = ngx_async_db_pause(txn, row, 0, op->now);

    } else {
        row->half_open = 1;
        ngx_async_db_touch(row);
        op->sweep->ready = 1;
    }

    return rc;
}


static ngx_int_t
ngx_async_db_due_start(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due, ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_async_db_row_t  *row;

    if (job->status != NGX_ASYNC_NOT_STARTED || job->not_before != due->time) {
        return NGX_OK;
    }

    if ((rc = ngx_async_db_row(txn, &job->queue, &row)) != NGX_OK
        || (rc = ngx_async_db_unwait(txn, row, job)) != NGX_OK)
    {
        return rc;
    }

    job->not_before = 0;
    op->sweep->ready = 1;

    rc = ngx_async_db_wait(txn, row, job);

    return rc == NGX_OK ? ngx_async_db_save(txn, job) : rc;
}


static ngx_int_t
ngx_async_db_due_callback(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due, ngx_async_job_t *job)
{
    ngx_int_t           rc;
    ngx_async_sweep_t  *sweep;

    if (job->callback_status != NGX_ASYNC_CALLBACK_PENDING
        || job->callback_due != due->time)
    {
        return NGX_OK;
    }

    sweep = op->sweep;
    sweep->callbacks[sweep->ncallbacks++] = job->id;

    job->callback_due = op->now + NGX_ASYNC_DB_LEASE;

    rc = ngx_async_db_due_put(txn, NGX_ASYNC_DUE_CALLBACK, job->callback_due,
                              &job->id);

    return rc == NGX_OK ? ngx_async_db_save(txn, job) : rc;
}


static ngx_int_t
ngx_async_db_due_deadline(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due, ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_async_sweep_t   *sweep;
    ngx_async_db_row_t  *row;

    if (job->status != NGX_ASYNC_NOT_STARTED || job->attempt
        || job->queue_deadline != due->time)
    {
        return NGX_OK;
    }

    rc = ngx_async_db_row(txn, &job->queue, &row);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_db_deadline(row, job) != due->time) {
        return ngx_async_db_retime_job(txn, row, job, op->now);
    }

    if ((rc = ngx_async_db_unwait(txn, row, job)) != NGX_OK
        || (rc = ngx_async_db_fit(txn, row, job)) != NGX_OK)
    {
        return rc;
    }

    sweep = op->sweep;
    sweep->changed[sweep->nchanged++] = job->id;
    ngx_async_db_swept(sweep, job, 0);

    return ngx_async_db_fail_job(txn, job, op->now, "queue_timeout",
                                 "The job waited too long in its queue.");
}


static ngx_int_t
ngx_async_db_due_request(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    ngx_int_t  rc;

    if (!ngx_async_job_finished(job)
        || (job->flags & NGX_ASYNC_JOB_REQUEST) == 0)
    {
        return NGX_OK;
    }

    job->flags &= (u_char) ~NGX_ASYNC_JOB_REQUEST;

    rc = ngx_async_db_drop(txn, &job->id, NGX_ASYNC_REQUEST);

    return rc == NGX_OK ? ngx_async_db_save(txn, job) : rc;
}


static ngx_int_t
ngx_async_db_due_expire(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due, ngx_async_job_t *job)
{
    if (!ngx_async_job_finished(job) || job->expires != due->time) {
        return NGX_OK;
    }

    op->sweep->nexpired++;
    ngx_async_db_swept(op->sweep, job, 1);

    return ngx_async_db_remove(txn, job);
}


/* for counts, which the engine keeps */

static void
ngx_async_db_swept(ngx_async_sweep_t *sweep, ngx_async_job_t *job,
    ngx_uint_t expired)
{
    ngx_async_swept_t  *swept;

    if (job->queue.len > NGX_ASYNC_SWEEP_QUEUE) {
        return;
    }

    swept = &sweep->swept[sweep->nswept++];

    swept->len = job->queue.len;
    ngx_memcpy(swept->queue, job->queue.data, job->queue.len);
    swept->expired = expired ? 1 : 0;
}


ngx_int_t
ngx_async_db_recover(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char          kind;
    ngx_int_t       rc;
    ngx_uint_t      n;
    ngx_async_id_t  id;

    ngx_memzero(op->sweep, sizeof(ngx_async_sweep_t));

    for (n = 0; /* void */ ; n++) {

        rc = ngx_async_db_running_first(txn, op->runner, &id, &kind);

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK : rc;
        }

        if (n == NGX_ASYNC_SWEEP_MAX) {
            op->sweep->more = 1;
            return NGX_OK;
        }

        if (kind == NGX_ASYNC_DB_STAGED) {
            rc = ngx_async_db_running_del(txn, op->runner, &id);

            if (rc == NGX_OK) {
                rc = ngx_async_db_drop(txn, &id, NGX_ASYNC_REQUEST);
            }

        } else {
            rc = ngx_async_db_recover_one(txn, op, &id);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }
}


static ngx_int_t
ngx_async_db_recover_one(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_id_t *id)
{
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_sweep_t   *sweep;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_load(txn, id, &job);

    if (rc == NGX_DECLINED) {
        return ngx_async_db_corrupt(txn);
    }

    if (rc != NGX_OK
        || (rc = ngx_async_db_row(txn, &job.queue, &row)) != NGX_OK
        || (rc = ngx_async_db_unrun(txn, row, &job)) != NGX_OK)
    {
        return rc;
    }

    ngx_memzero(job.runner, NGX_ASYNC_RUNNER_LEN);
    (void) ngx_async_db_stamp(txn, &job, op->now);

    sweep = op->sweep;
    sweep->changed[sweep->nchanged++] = *id;
    sweep->ready = 1;

    if ((job.flags & NGX_ASYNC_JOB_IDEMPOTENT)
        && job.cuts < NGX_ASYNC_MAX_CUTS)
    {
        job.cuts++;
        job.not_before = 0;

        return ngx_async_db_wait_again(txn, row, &job, op->now);
    }

    if ((rc = ngx_async_db_drop(txn, id, NGX_ASYNC_RESPONSE)) != NGX_OK
        || (rc = ngx_async_db_fit(txn, row, &job)) != NGX_OK)
    {
        return rc;
    }

    ngx_async_db_swept(sweep, &job, 0);

    return ngx_async_db_fail_job(txn, &job, op->now, "interrupted",
                                 "The call was cut off when its worker ended, "
                                 "and is not sent again.");
}
