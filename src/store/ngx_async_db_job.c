
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


static ngx_int_t ngx_async_db_store(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job, unsigned int flags);
static ngx_int_t ngx_async_db_known(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_staged(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_let_in(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_row_t *row, ngx_uint_t *direct);
static ngx_int_t ngx_async_db_add_job(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_row_t *row, ngx_uint_t direct);
static ngx_int_t ngx_async_db_add_request(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_uint_t direct);
static ngx_int_t ngx_async_db_move_one(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *from, ngx_async_job_t *job, ngx_async_op_t *op);
static ngx_int_t ngx_async_db_launch(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, ngx_async_op_t *op);


ngx_int_t
ngx_async_db_load(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_async_job_t *job)
{
    u_char          *p;
    MDB_val          val;
    ngx_int_t        rc;
    ngx_async_db_t  *db;

    db = txn->db;

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_JOBS, id->bytes, NGX_ASYNC_ID_LEN,
                          &val);
    if (rc != NGX_OK) {
        return rc;
    }

    if (val.mv_size > db->record_size) {
        p = realloc(db->record, val.mv_size);

        if (p == NULL) {
            txn->err = ENOMEM;
            return NGX_ERROR;
        }

        db->record = p;
        db->record_size = val.mv_size;
    }

    /* pages of a transaction change under the hands of its writer */

    ngx_memcpy(db->record, val.mv_data, val.mv_size);

    if (ngx_async_job_decode(job, db->record, val.mv_size) != NGX_OK) {
        return ngx_async_db_corrupt(txn);
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_save(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    return ngx_async_db_store(txn, job, 0);
}


/* a new record is tried as the last one: ids grow with time */

static ngx_int_t
ngx_async_db_store(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    unsigned int flags)
{
    int      rc;
    MDB_dbi  dbi;
    MDB_val  key, val;

    dbi = txn->db->dbi[NGX_ASYNC_DB_JOBS];

    key.mv_data = job->id.bytes;
    key.mv_size = NGX_ASYNC_ID_LEN;
    val.mv_data = NULL;
    val.mv_size = ngx_async_job_encoded_len(job);

    rc = mdb_put(txn->mdb, dbi, &key, &val, MDB_RESERVE|flags);

    if (rc == MDB_KEYEXIST) {
        rc = mdb_put(txn->mdb, dbi, &key, &val, MDB_RESERVE);
    }

    if (rc != MDB_SUCCESS) {
        return ngx_async_db_fail(txn, rc);
    }

    ngx_async_job_encode(val.mv_data, job);

    return NGX_OK;
}


ngx_int_t
ngx_async_db_give(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_job_t *job, size_t room)
{
    size_t               len;
    ngx_int_t            rc;
    ngx_async_db_row_t  *row;

    if (op->brief) {
        op->found = *job;
        ngx_memzero(&op->found.queue, sizeof(ngx_async_job_t)
                                      - offsetof(ngx_async_job_t, queue));
        return NGX_OK;
    }

    len = ngx_async_job_encoded_len(job);

    op->buf.len = len + room;
    op->buf.data = malloc(op->buf.len);

    if (op->buf.data == NULL) {
        ngx_str_null(&op->buf);
        txn->err = ENOMEM;
        return NGX_ERROR;
    }

    ngx_async_job_encode(op->buf.data, job);

    op->blob.data = op->buf.data + len;
    op->blob.len = 0;

    if (ngx_async_job_decode(&op->found, op->buf.data, len) != NGX_OK) {
        return ngx_async_db_corrupt(txn);
    }

    if (job->status == NGX_ASYNC_NOT_STARTED) {
        rc = ngx_async_db_row(txn, &job->queue, &row);

        if (rc != NGX_OK) {
            return rc;
        }

        op->found.paused_until = row->paused_until;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_accept(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_uint_t           direct;
    ngx_async_job_t     *job;
    ngx_async_db_row_t  *row;

    job = op->job;
    job->flags &= (u_char) ~NGX_ASYNC_JOB_PROBE;
    job->paused_until = 0;

    if (job->status > NGX_ASYNC_RUNNING) {
        txn->err = EINVAL;
        return NGX_ERROR;
    }

    rc = ngx_async_db_known(txn, op);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if ((rc = ngx_async_db_staged(txn, op)) != NGX_OK
        || (rc = ngx_async_db_row(txn, &job->queue, &row)) != NGX_OK
        || (rc = ngx_async_db_limits(txn, row, op->limits)) != NGX_OK
        || (rc = ngx_async_db_let_in(txn, op, row, &direct)) != NGX_OK)
    {
        return rc;
    }

    if (ngx_async_db_shrinks(txn)) {
        op->full = NGX_ASYNC_FULL_STORE;
        return NGX_BUSY;
    }

    if (ngx_async_db_room(txn, op, (op->nonce ? 0 : op->piece.len)
                                   + ngx_async_job_encoded_len(job), 0)
        != NGX_OK)
    {
        return NGX_BUSY;
    }

    if ((rc = ngx_async_db_add_request(txn, op, direct)) != NGX_OK
        || (rc = ngx_async_db_add_job(txn, op, row, direct)) != NGX_OK
        || (job->flags & NGX_ASYNC_JOB_REQUEST) == 0)
    {
        return rc;
    }

    /* behind the record, as its key: both are appended */

    op->id = job->id;
    op->part = NGX_ASYNC_REQUEST;

    return ngx_async_db_last_put(txn, op);
}


/* without its first pieces a request is none */

static ngx_int_t
ngx_async_db_staged(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char     kind;
    ngx_int_t  rc;

    if (op->offset == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_running_kind(txn, op->runner, &op->job->id, &kind);

    if (rc == NGX_OK && kind == NGX_ASYNC_DB_STAGED) {
        return NGX_OK;
    }

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        txn->err = ENOENT;
        rc = NGX_ERROR;
    }

    return rc;
}


/* whether a job that is not running yet may start at once, or wait at all */

static ngx_int_t
ngx_async_db_let_in(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_row_t *row, ngx_uint_t *direct)
{
    ngx_int_t  rc;

    *direct = 0;

    if (op->job->status == NGX_ASYNC_RUNNING) {
        return NGX_OK;
    }

    if (op->claim) {
        rc = ngx_async_db_direct(txn, row, op->job, op->limits, op->now);

        if (rc != NGX_DECLINED) {
            *direct = (rc == NGX_OK);
            return rc;
        }
    }

    op->job->paused_until = row->paused_until;

    return ngx_async_db_admit(txn, row, op);
}


/* NGX_DECLINED: neither the job nor its key is there; NGX_ABORT: found */

static ngx_int_t
ngx_async_db_known(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    MDB_val          val;
    ngx_int_t        rc;
    ngx_async_id_t   id;
    ngx_async_job_t  job;

    id = op->job->id;

    if (op->job->flags & NGX_ASYNC_JOB_KEY) {
        rc = ngx_async_db_get(txn, NGX_ASYNC_DB_KEYS, op->job->key,
                              NGX_ASYNC_HASH_LEN, &val);

        if (rc == NGX_OK && val.mv_size == NGX_ASYNC_ID_LEN) {
            ngx_memcpy(id.bytes, val.mv_data, NGX_ASYNC_ID_LEN);

        } else if (rc != NGX_DECLINED) {
            return rc == NGX_OK ? ngx_async_db_corrupt(txn) : rc;
        }
    }

    rc = ngx_async_db_load(txn, &id, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_give(txn, op, &job, 0);

    return rc == NGX_OK ? NGX_ABORT : rc;
}


/* the staged pieces, if any, become the job's; the last one follows */

static ngx_int_t
ngx_async_db_add_request(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_uint_t direct)
{
    ngx_int_t  rc;

    if (op->lazy && op->offset == 0
        && (direct || op->job->status == NGX_ASYNC_RUNNING))
    {
        op->job->flags &= (u_char) ~NGX_ASYNC_JOB_REQUEST;
        return NGX_OK;
    }

    if (op->offset) {
        rc = ngx_async_db_running_del(txn, op->runner, &op->job->id);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    if (op->offset || op->piece.len) {
        op->job->flags |= NGX_ASYNC_JOB_REQUEST;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_add_job(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_row_t *row, ngx_uint_t direct)
{
    ngx_int_t         rc;
    ngx_async_job_t  *job;

    job = op->job;

    (void) ngx_async_db_stamp(txn, job, op->now);

    job->seq = 0;
    job->queued = op->now;

    rc = ngx_async_db_enter(txn, row, job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (direct) {
        rc = ngx_async_db_launch(txn, row, job, op);
        op->claimed = 1;

    } else if (job->status == NGX_ASYNC_RUNNING) {

        /* the promise of a call that has begun already */

        ngx_memcpy(job->runner, op->runner, NGX_ASYNC_RUNNER_LEN);
        job->attempt = ngx_max(job->attempt, 1);
        job->started = job->started ? job->started : op->now;

        rc = ngx_async_db_run(txn, row, job);

    } else {
        rc = ngx_async_db_wait(txn, row, job);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (job->flags & NGX_ASYNC_JOB_KEY) {
        rc = ngx_async_db_put(txn, NGX_ASYNC_DB_KEYS, job->key,
                              NGX_ASYNC_HASH_LEN, job->id.bytes,
                              NGX_ASYNC_ID_LEN);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    return ngx_async_db_store(txn, job, MDB_APPEND);
}


/* the next attempt of a job begins */

static ngx_int_t
ngx_async_db_launch(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_op_t *op)
{
    (void) ngx_async_job_change(job, NGX_ASYNC_RUNNING, op->now);

    ngx_memcpy(job->runner, op->runner, NGX_ASYNC_RUNNER_LEN);
    job->attempt++;
    job->not_before = 0;

    if (ngx_async_db_fair(row)) {
        row->level = job->urgency;
    }

    row->claims++;

    if (row->paused_until) {
        job->flags |= NGX_ASYNC_JOB_PROBE;
        row->probe = job->id;
        row->probing = 1;
    }

    return ngx_async_db_run(txn, row, job);
}


ngx_int_t
ngx_async_db_claim(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char              *p;
    MDB_val              val;
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_row(txn, &op->queue_name, &row);

    if (rc == NGX_OK) {
        rc = ngx_async_db_limits(txn, row, op->limits);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_first(txn, row, op, &job);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_unwait(txn, row, &job);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_launch(txn, row, &job, op);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_save(txn, &job);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_piece_get(txn, &job.id, NGX_ASYNC_REQUEST, 0, &val);

    if (rc == NGX_DECLINED) {
        val.mv_size = 0;

    } else if (rc != NGX_OK) {
        return rc;
    }

    op->id = job.id;

    rc = ngx_async_db_give(txn, op, &job, val.mv_size);

    if (rc == NGX_OK && val.mv_size) {
        p = ngx_cpymem(op->blob.data, val.mv_data, val.mv_size);
        op->blob.len = p - op->blob.data;
    }

    return rc;
}


/*
 * Jobs keep their seq, which no other queue has given: in the new queue they
 * are in the order in which all of them came.
 */

ngx_int_t
ngx_async_db_move(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    ngx_async_job_t      job;
    ngx_async_limits_t   none;
    ngx_async_db_row_t  *from;

    if (op->job && ngx_async_db_equal(&op->job->queue, &op->queue_name)) {
        txn->err = EINVAL;
        return NGX_ERROR;
    }

    rc = ngx_async_db_row(txn, &op->queue_name, &from);

    if (rc == NGX_OK) {
        ngx_memzero(&none, sizeof(ngx_async_limits_t));
        none.timeout = from->timeout;
        none.since = from->since;

        rc = ngx_async_db_limits(txn, from, &none);
    }

    for (n = 0; rc == NGX_OK; n++) {

        rc = ngx_async_db_foremost(txn, from, &job);

        if (rc != NGX_OK) {
            op->more = ngx_async_db_fits_more(txn, from);
            break;
        }

        if (op->job == NULL
            || n == NGX_ASYNC_SWEEP_MAX
            || !ngx_async_db_equal(&job.server, &op->job->server)
            || !ngx_async_db_equal(&job.location, &op->job->location))
        {
            return ngx_async_db_give(txn, op, &job, 0);
        }

        rc = ngx_async_db_move_one(txn, from, &job, op);
    }

    return rc;
}


static ngx_int_t
ngx_async_db_move_one(ngx_async_db_txn_t *txn, ngx_async_db_row_t *from,
    ngx_async_job_t *job, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_db_row_t  *to;

    if ((rc = ngx_async_db_row(txn, &op->job->queue, &to)) != NGX_OK
        || (rc = ngx_async_db_limits(txn, to, op->limits)) != NGX_OK
        || (rc = ngx_async_db_unwait(txn, from, job)) != NGX_OK)
    {
        return rc;
    }

    (void) ngx_async_db_stamp(txn, job, op->now);

    job->queue = op->job->queue;

    if ((rc = ngx_async_db_enter(txn, to, job)) != NGX_OK
        || (rc = ngx_async_db_wait(txn, to, job)) != NGX_OK)
    {
        return rc;
    }

    return ngx_async_db_save(txn, job);
}


ngx_int_t
ngx_async_db_retry(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_load(txn, &op->id, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    if (job.status != NGX_ASYNC_FAILED
        || (job.flags & NGX_ASYNC_JOB_REQUEST) == 0)
    {
        rc = ngx_async_db_give(txn, op, &job, 0);
        return rc == NGX_OK ? NGX_ABORT : rc;
    }

    if ((rc = ngx_async_db_dates_del(txn, &job)) != NGX_OK
        || (rc = ngx_async_db_drop_all(txn, &job.id, NGX_ASYNC_RESPONSE))
           != NGX_OK
        || (rc = ngx_async_db_row(txn, &job.queue, &row)) != NGX_OK)
    {
        return rc;
    }

    (void) ngx_async_db_stamp(txn, &job, op->now);
    (void) ngx_async_job_change(&job, NGX_ASYNC_NOT_STARTED, op->now);

    job.seq = 0;
    job.cuts = 0;
    job.not_before = 0;
    job.queued = op->now;
    job.response_status = 0;
    job.response_head_len = 0;
    job.response_body_len = 0;
    job.callback_status = NGX_ASYNC_CALLBACK_NONE;
    job.callback_attempts = 0;
    job.callback_due = 0;

    ngx_str_null(&job.content_type);
    ngx_str_null(&job.etag);
    ngx_str_null(&job.error_code);
    ngx_str_null(&job.error_message);
    ngx_str_null(&job.callback_error);

    if ((rc = ngx_async_db_enter(txn, row, &job)) != NGX_OK
        || (rc = ngx_async_db_wait(txn, row, &job)) != NGX_OK
        || (rc = ngx_async_db_save(txn, &job)) != NGX_OK)
    {
        return rc;
    }

    return ngx_async_db_give(txn, op, &job, 0);
}
