
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * The limits of a queue as last told by an operation.  The end of a job and
 * the end of a wait are met without knowing the configuration, so they are
 * kept in the row.  Workers of an old configuration may still come with the
 * limits of theirs: these are told by when it was read.
 */

/* what new deadlines may take at a time, and milliseconds to wait for it */
#define NGX_ASYNC_DB_RETIME_ROOM   (64 * 1024)
#define NGX_ASYNC_DB_RETIME_LATER  1000


static ngx_int_t ngx_async_db_retime_all(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_retime_put(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, uint64_t time, ngx_str_t *queue);
static ngx_int_t ngx_async_db_retime_first(ngx_async_db_txn_t *txn,
    ngx_async_db_due_t *due);
static ngx_int_t ngx_async_db_retime_later(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due);
static ngx_int_t ngx_async_db_retime_ids(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, ngx_async_db_due_t *due, ngx_uint_t room);
static ngx_int_t ngx_async_db_retime_id(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, const ngx_async_id_t *id);
static ngx_int_t ngx_async_db_retime_next(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, uint64_t now);


/*
 * When per_concurrency is changed, jobs that wait for no end may start, or
 * others may not any more: they are seen to here, some in every transaction.
 */

ngx_int_t
ngx_async_db_limits(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_limits_t *limits)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (limits
        && (limits->since >= row->since || row->since_boot != txn->db->boot))
    {
        if (limits->since != row->since || row->since_boot != txn->db->boot) {
            row->since = limits->since;
            row->since_boot = txn->db->boot;
            ngx_async_db_touch(row);
        }

        if (limits->pauseless && row->paused_until) {
            rc = ngx_async_db_pause(txn, row, 0, 0);
        }

        if (row->per_concurrency != limits->per_concurrency) {
            row->per_concurrency = limits->per_concurrency;
            rc = rc == NGX_OK ? ngx_async_db_fitting(txn, row, row->fair) : rc;
        }

        if (limits->fair && !row->fair) {
            row->fair = 1;
            ngx_async_db_touch(row);
        }

        if (rc == NGX_OK && row->timeout != limits->timeout) {
            row->timeout = limits->timeout;
            rc = ngx_async_db_retime_all(txn, row);
        }
    }

    if (rc == NGX_OK && row->fitting) {
        rc = ngx_async_db_fit_all(txn, row);
    }

    return rc;
}


ngx_int_t
ngx_async_db_tell(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_row(txn, &op->queue_name, &row);

    if (rc == NGX_OK) {
        rc = ngx_async_db_limits(txn, row, op->limits);
        op->more = ngx_async_db_fits_more(txn, row);
    }

    return rc;
}


/* 0: none */

uint64_t
ngx_async_db_deadline(ngx_async_db_row_t *row, ngx_async_job_t *job)
{
    if (row->timeout == 0 || job->attempt) {
        return 0;
    }

    return (row->timeout < UINT64_MAX - job->queued)
           ? job->queued + row->timeout : UINT64_MAX;
}


/*
 * Another timeout: jobs that begin to wait get their deadline by it, and those
 * that wait are gone through from the last place to the first one, some with
 * every sweep.  So the parked ones come before those that are ready, and none
 * is passed over that is released meanwhile; one that is parked meanwhile is
 * noted by its id.  Delayed jobs are not among them: they begin to wait when
 * their time comes.
 */

static ngx_int_t
ngx_async_db_retime_all(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    ngx_async_id_t  id;

    ngx_async_db_touch(row);

    ngx_memset(row->retimed, 0xff, NGX_ASYNC_DB_PLACE_LEN);
    ngx_async_db_u32(row->retimed, row->number);

    ngx_memzero(&id, sizeof(ngx_async_id_t));
    ngx_async_db_u32(id.bytes, row->number);

    return ngx_async_db_retime_put(txn, &id, NGX_ASYNC_DB_AT_ONCE, &row->name);
}


static ngx_int_t
ngx_async_db_retime_put(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    uint64_t time, ngx_str_t *queue)
{
    u_char  key[NGX_ASYNC_DB_DUE_LEN];

    ngx_async_db_due_key(key, NGX_ASYNC_DUE_RETIME, time, id);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_DUE, key, sizeof(key),
                            queue->data, queue->len);
}


/* one that was put off for want of room */

ngx_int_t
ngx_async_db_due_retime(ngx_async_db_txn_t *txn, ngx_async_db_due_t *due)
{
    ngx_str_t  name;

    name.data = due->queue;
    name.len = due->len;

    return ngx_async_db_retime_put(txn, &due->id, NGX_ASYNC_DB_AT_ONCE, &name);
}


/* some jobs of one of the queues that have another timeout, or noted ones */

ngx_int_t
ngx_async_db_retime(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_uint_t           n, room;
    ngx_async_db_due_t   due;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_retime_first(txn, &due);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    room = (ngx_async_db_room(txn, op, NGX_ASYNC_DB_RETIME_ROOM, 0) == NGX_OK);

    if (due.len == 0) {
        return ngx_async_db_retime_ids(txn, op, &due, room);
    }

    if (!room) {
        return ngx_async_db_retime_later(txn, op, &due);
    }

    name.data = due.queue;
    name.len = due.len;

    rc = ngx_async_db_row(txn, &name, &row);

    for (n = 0; rc == NGX_OK && n < NGX_ASYNC_SWEEP_MAX; n++) {
        rc = ngx_async_db_retime_next(txn, row, op->now);
    }

    if (rc == NGX_DECLINED) {
        ngx_memzero(row->retimed, NGX_ASYNC_DB_PLACE_LEN);
        ngx_async_db_touch(row);

        rc = ngx_async_db_due_del(txn, due.kind, due.time, &due.id);
    }

    return rc;
}


/* the first of them: queues come before jobs, by what their ids are */

static ngx_int_t
ngx_async_db_retime_first(ngx_async_db_txn_t *txn, ngx_async_db_due_t *due)
{
    u_char          key[NGX_ASYNC_DB_DUE_LEN];
    ngx_int_t       rc;
    ngx_async_id_t  id;

    ngx_memzero(&id, sizeof(ngx_async_id_t));
    ngx_async_db_due_key(key, NGX_ASYNC_DUE_RETIME, NGX_ASYNC_DB_AT_ONCE, &id);

    rc = ngx_async_db_due_seek(txn, key, due);

    if (rc == NGX_OK && (due->kind != NGX_ASYNC_DUE_RETIME
                         || due->time != NGX_ASYNC_DB_AT_ONCE))
    {
        return NGX_DECLINED;
    }

    return rc;
}


static ngx_int_t
ngx_async_db_retime_later(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due)
{
    ngx_int_t  rc;
    ngx_str_t  name;

    name.data = due->queue;
    name.len = due->len;

    rc = ngx_async_db_due_del(txn, due->kind, due->time, &due->id);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_db_retime_put(txn, &due->id,
                                   op->now + NGX_ASYNC_DB_RETIME_LATER, &name);
}


/* a job has left a place that is still to come for one that is passed */

ngx_int_t
ngx_async_db_retime_parked(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    const u_char *before, const u_char *now, const ngx_async_id_t *id)
{
    ngx_str_t  none;

    if (ngx_memcmp(before, row->retimed, NGX_ASYNC_DB_PLACE_LEN) >= 0
        || ngx_memcmp(now, row->retimed, NGX_ASYNC_DB_PLACE_LEN) < 0)
    {
        return NGX_OK;
    }

    ngx_str_set(&none, "");

    return ngx_async_db_retime_put(txn, id, NGX_ASYNC_DB_AT_ONCE, &none);
}


static ngx_int_t
ngx_async_db_retime_ids(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_db_due_t *due, ngx_uint_t room)
{
    ngx_int_t   rc;
    ngx_uint_t  n;

    for (n = 0; n < NGX_ASYNC_SWEEP_MAX && due->len == 0; n++) {

        rc = room ? ngx_async_db_retime_id(txn, op, &due->id)
                  : ngx_async_db_retime_later(txn, op, due);

        if (rc == NGX_OK) {
            rc = ngx_async_db_retime_first(txn, due);
        }

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK : rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_retime_id(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    const ngx_async_id_t *id)
{
    ngx_int_t            rc;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;

    rc = ngx_async_db_due_del(txn, NGX_ASYNC_DUE_RETIME, NGX_ASYNC_DB_AT_ONCE,
                              id);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_load(txn, id, &job);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (job.status != NGX_ASYNC_NOT_STARTED) {
        return NGX_OK;
    }

    rc = ngx_async_db_row(txn, &job.queue, &row);

    return rc == NGX_OK ? ngx_async_db_retime_job(txn, row, &job, op->now)
                        : rc;
}


/* NGX_DECLINED: there are no more */

static ngx_int_t
ngx_async_db_retime_next(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    uint64_t now)
{
    MDB_val           key, val;
    ngx_int_t         rc;
    MDB_cursor       *cursor;
    ngx_async_id_t    id;
    ngx_async_job_t   job;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_READY, &rc);

    if (cursor == NULL) {
        return rc;
    }

    key.mv_data = row->retimed;
    key.mv_size = NGX_ASYNC_DB_PLACE_LEN;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val,
                               rc == NGX_OK ? MDB_PREV : MDB_LAST);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (key.mv_size != NGX_ASYNC_DB_PLACE_LEN
        || val.mv_size != NGX_ASYNC_ID_LEN)
    {
        return ngx_async_db_corrupt(txn);
    }

    if (ngx_memcmp(key.mv_data, row->retimed, sizeof(uint32_t)) != 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(row->retimed, key.mv_data, NGX_ASYNC_DB_PLACE_LEN);
    ngx_async_db_touch(row);

    ngx_memcpy(id.bytes, val.mv_data, NGX_ASYNC_ID_LEN);

    rc = ngx_async_db_load(txn, &id, &job);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
    }

    return ngx_async_db_retime_job(txn, row, &job, now);
}


ngx_int_t
ngx_async_db_retime_job(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, uint64_t now)
{
    uint64_t   deadline;
    ngx_int_t  rc;

    rc = ngx_async_db_redate(txn, job, now);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    deadline = ngx_async_db_deadline(row, job);

    if (job->attempt || job->queue_deadline == deadline) {
        return NGX_OK;
    }

    rc = ngx_async_db_dates_del(txn, job);

    if (rc != NGX_OK) {
        return rc;
    }

    job->queue_deadline = deadline;

    rc = ngx_async_db_dates_put(txn, job);

    return rc == NGX_OK ? ngx_async_db_save(txn, job) : rc;
}
