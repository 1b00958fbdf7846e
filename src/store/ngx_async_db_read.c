
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


#define NGX_ASYNC_DB_LIST_MAX    1000

/* records that one LIST looks at */
#define NGX_ASYNC_DB_LIST_LOOKS  10000


static ngx_int_t ngx_async_db_get_job(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_get_place(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job, uint64_t *position);
static void ngx_async_db_read_op(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_list(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_list_scan(ngx_async_db_txn_t *txn,
    ngx_async_list_t *list, MDB_val *vals);
static ngx_int_t ngx_async_db_list_start(ngx_async_db_txn_t *txn,
    MDB_cursor *cursor, ngx_async_list_t *list, MDB_val *key, MDB_val *val);
static ngx_int_t ngx_async_db_list_record(ngx_async_db_txn_t *txn,
    MDB_cursor *cursor, MDB_val *key, MDB_val *val, ngx_async_id_t *id);
static ngx_uint_t ngx_async_db_listed(ngx_async_list_t *list,
    ngx_async_job_t *job);
static ngx_int_t ngx_async_db_list_copy(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, MDB_val *vals);
static ngx_int_t ngx_async_db_get_queues(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_get_runners(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_get_running(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op);
static ngx_int_t ngx_async_db_collect(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, const void *data, size_t len);


void
ngx_async_db_read(ngx_async_db_t *db, ngx_async_op_t *op)
{
    ngx_uint_t          tries;
    ngx_async_db_txn_t  txn;

    for (tries = 0; tries < 2; tries++) {

        ngx_str_null(&op->buf);
        ngx_str_null(&op->blob);
        op->opened = 0;
        op->position = 0;
        op->err = 0;

        if (ngx_async_db_reader(db, &txn) != NGX_OK) {
            op->rc = NGX_ERROR;
            op->err = txn.err;
            return;
        }

        ngx_async_db_read_op(&txn, op);

        ngx_async_db_reader_done(&txn);

        if (op->rc == NGX_OK || op->rc == NGX_ABORT) {
            return;
        }

        free(op->buf.data);
        ngx_str_null(&op->buf);
        ngx_str_null(&op->blob);

        if (op->rc != NGX_AGAIN) {
            break;
        }

        /* the blob was dropped meanwhile, or else its file is lost */
    }

    if (op->rc == NGX_AGAIN) {
        op->rc = NGX_ERROR;
    }

    if (op->rc == NGX_ERROR) {
        op->err = txn.err;
    }
}


static void
ngx_async_db_read_op(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    switch (op->type) {

    case NGX_ASYNC_OP_GET:
        op->rc = ngx_async_db_get_job(txn, op);
        break;

    case NGX_ASYNC_OP_READ:
        op->rc = ngx_async_db_get_blob(txn, op);
        break;

    case NGX_ASYNC_OP_LIST:
        op->rc = ngx_async_db_list(txn, op);
        break;

    case NGX_ASYNC_OP_QUEUES:
        op->rc = op->cut ? ngx_async_db_get_runners(txn, op)
                         : ngx_async_db_get_queues(txn, op);
        break;

    case NGX_ASYNC_OP_RUNNING:
        op->rc = ngx_async_db_get_running(txn, op);
        break;

    case NGX_ASYNC_OP_ORPHANS:
        op->rc = ngx_async_db_orphans(txn, op);
        break;

    default:
        txn->err = EINVAL;
        op->rc = NGX_ERROR;
    }
}


/* the strings of *job lie in the map, and are good while the transaction is */

ngx_int_t
ngx_async_db_record(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    MDB_val *val, ngx_async_job_t *job)
{
    ngx_int_t  rc;

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_JOBS, id->bytes, NGX_ASYNC_ID_LEN,
                          val);

    if (rc == NGX_OK
        && ngx_async_job_decode(job, val->mv_data, val->mv_size) != NGX_OK)
    {
        return ngx_async_db_corrupt(txn);
    }

    return rc;
}


static ngx_int_t
ngx_async_db_get_job(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    MDB_val          val;
    ngx_int_t        rc;
    ngx_async_job_t  job;

    rc = ngx_async_db_record(txn, &op->id, &val, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_get_first(txn, op, &job, &val);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memcpy(op->buf.data, val.mv_data, val.mv_size);

    (void) ngx_async_job_decode(&op->found, op->buf.data, val.mv_size);

    return ngx_async_db_get_place(txn, &op->found,
                                  op->want_position ? &op->position : NULL);
}


/* of a job that waits; its position is asked for, or NULL */

static ngx_int_t
ngx_async_db_get_place(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t *position)
{
    MDB_val             val;
    ngx_int_t           rc;
    ngx_async_db_row_t  row;

    if (job->status != NGX_ASYNC_NOT_STARTED) {
        return NGX_OK;
    }

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_QUEUES, job->queue.data,
                          job->queue.len, &val);

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && ngx_async_db_row_decode(&row, &val) != NGX_OK))
    {
        return ngx_async_db_corrupt(txn);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    job->paused_until = row.paused_until;

    return position ? ngx_async_db_position(txn, &row, job, position) : NGX_OK;
}


static ngx_int_t
ngx_async_db_list(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    MDB_val           *vals;
    ngx_int_t          rc;
    ngx_async_list_t  *list;

    list = op->list;
    list->njobs = 0;
    list->jobs = NULL;
    list->more = 0;
    list->limit = ngx_min(list->limit, NGX_ASYNC_DB_LIST_MAX);

    vals = malloc((list->limit + 1) * sizeof(MDB_val));
    if (vals == NULL) {
        txn->err = ENOMEM;
        return NGX_ERROR;
    }

    rc = ngx_async_db_list_scan(txn, list, vals);

    if (rc == NGX_OK) {
        rc = ngx_async_db_list_copy(txn, op, vals);
    }

    free(vals);

    return rc;
}


/* collects the records, which stay in the map */

static ngx_int_t
ngx_async_db_list_scan(ngx_async_db_txn_t *txn, ngx_async_list_t *list,
    MDB_val *vals)
{
    MDB_val           key, val;
    ngx_int_t         rc;
    ngx_uint_t        looks;
    MDB_cursor       *cursor;
    ngx_async_job_t   job;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_JOBS, &rc);

    if (cursor == NULL) {
        return rc;
    }

    rc = ngx_async_db_list_start(txn, cursor, list, &key, &val);

    for (looks = 0; rc == NGX_OK; looks++) {

        if (looks == NGX_ASYNC_DB_LIST_LOOKS || list->njobs == list->limit) {
            list->more = 1;
            return NGX_OK;
        }

        rc = ngx_async_db_list_record(txn, cursor, &key, &val, &list->next);

        if (rc == NGX_OK) {
            if (ngx_async_job_decode(&job, val.mv_data, val.mv_size) != NGX_OK)
            {
                return ngx_async_db_corrupt(txn);
            }

            if (ngx_async_db_listed(list, &job)) {
                vals[list->njobs++] = val;
            }
        }

        if (rc == NGX_OK || rc == NGX_DECLINED) {
            rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_PREV);
        }
    }

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


/* the newest job, or the one before the cursor of the list */

static ngx_int_t
ngx_async_db_list_start(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    ngx_async_list_t *list, MDB_val *key, MDB_val *val)
{
    ngx_int_t  rc;

    ngx_memzero(&list->next, sizeof(ngx_async_id_t));

    if (ngx_async_id_cmp(&list->cursor, &list->next) == 0) {
        return ngx_async_db_seek(txn, cursor, key, val, MDB_LAST);
    }

    key->mv_data = list->cursor.bytes;
    key->mv_size = NGX_ASYNC_ID_LEN;

    rc = ngx_async_db_seek(txn, cursor, key, val, MDB_SET_RANGE);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    return ngx_async_db_seek(txn, cursor, key, val,
                             rc == NGX_OK ? MDB_PREV : MDB_LAST);
}


/*
 * Goes from any entry of a job to its first one.  NGX_DECLINED: that is not a
 * record, but a piece without a job.
 */

static ngx_int_t
ngx_async_db_list_record(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    MDB_val *key, MDB_val *val, ngx_async_id_t *id)
{
    ngx_int_t  rc;

    if (key->mv_size < NGX_ASYNC_ID_LEN) {
        return ngx_async_db_corrupt(txn);
    }

    ngx_memcpy(id->bytes, key->mv_data, NGX_ASYNC_ID_LEN);

    if (key->mv_size == NGX_ASYNC_ID_LEN) {
        return NGX_OK;
    }

    key->mv_data = id->bytes;
    key->mv_size = NGX_ASYNC_ID_LEN;

    rc = ngx_async_db_seek(txn, cursor, key, val, MDB_SET_RANGE);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
    }

    return key->mv_size == NGX_ASYNC_ID_LEN ? NGX_OK : NGX_DECLINED;
}


static ngx_uint_t
ngx_async_db_listed(ngx_async_list_t *list, ngx_async_job_t *job)
{
    return (list->any_owner || ngx_async_db_equal(&list->owner, &job->owner))
           && (list->queue.len == 0
               || ngx_async_db_equal(&list->queue, &job->queue))
           && (list->server.len == 0
               || ngx_async_db_equal(&list->server, &job->server))
           && (list->status == -1 || list->status == (ngx_int_t) job->status);
}


static ngx_int_t
ngx_async_db_list_copy(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    MDB_val *vals)
{
    size_t             size;
    u_char            *p;
    ngx_int_t          rc;
    ngx_uint_t         i;
    ngx_async_list_t  *list;

    list = op->list;

    if (list->njobs == 0) {
        return NGX_OK;
    }

    size = list->njobs * sizeof(ngx_async_job_t);

    for (i = 0; i < list->njobs; i++) {
        size += vals[i].mv_size;
    }

    rc = ngx_async_db_alloc(txn, op, size);

    if (rc != NGX_OK) {
        return rc;
    }

    list->jobs = (ngx_async_job_t *) op->buf.data;
    p = (u_char *) (list->jobs + list->njobs);

    for (i = 0; i < list->njobs; i++) {
        ngx_memcpy(p, vals[i].mv_data, vals[i].mv_size);
        (void) ngx_async_job_decode(&list->jobs[i], p, vals[i].mv_size);
        p += vals[i].mv_size;

        rc = ngx_async_db_get_place(txn, &list->jobs[i], NULL);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_get_queues(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    MDB_val              key, val;
    ngx_int_t            rc;
    MDB_cursor          *cursor;
    ngx_async_db_row_t   row;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_QUEUES, &rc);

    while (rc == NGX_OK) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_NEXT);

        if (rc != NGX_OK) {
            break;
        }

        if (ngx_async_db_row_decode(&row, &val) != NGX_OK) {
            return ngx_async_db_corrupt(txn);
        }

        if (ngx_async_db_row_waiting(&row) == 0) {
            continue;
        }

        rc = ngx_async_db_collect(txn, op, key.mv_data, key.mv_size);

        if (rc == NGX_OK) {
            rc = ngx_async_db_collect(txn, op, "", 1);
        }
    }

    op->blob = op->buf;

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static ngx_int_t
ngx_async_db_get_runners(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char       buf[NGX_ASYNC_DB_RUNNING_LEN];
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_RUNNING, &rc);

    ngx_memzero(buf, sizeof(buf));

    while (rc == NGX_OK) {
        key.mv_data = buf;
        key.mv_size = sizeof(buf);

        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

        if (rc != NGX_OK) {
            break;
        }

        rc = ngx_async_db_collect(txn, op, key.mv_data, NGX_ASYNC_RUNNER_LEN);

        /* behind all entries of this runner */

        ngx_memset(buf, 0xff, sizeof(buf));
        ngx_memcpy(buf, key.mv_data, NGX_ASYNC_RUNNER_LEN);
    }

    op->blob = op->buf;

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static ngx_int_t
ngx_async_db_get_running(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char       buf[NGX_ASYNC_DB_RUNNING_LEN];
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_RUNNING, &rc);

    if (cursor == NULL) {
        return rc;
    }

    ngx_memzero(buf, sizeof(buf));
    ngx_memcpy(buf, op->runner, NGX_ASYNC_RUNNER_LEN);

    key.mv_data = buf;
    key.mv_size = sizeof(buf);

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    while (rc == NGX_OK
           && ngx_memcmp(key.mv_data, op->runner, NGX_ASYNC_RUNNER_LEN) == 0)
    {
        if (*(u_char *) val.mv_data == NGX_ASYNC_DB_RUNS) {
            rc = ngx_async_db_collect(txn, op,
                                      (u_char *) key.mv_data
                                      + NGX_ASYNC_RUNNER_LEN,
                                      NGX_ASYNC_ID_LEN);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_NEXT);
    }

    op->blob = op->buf;

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_async_db_alloc(ngx_async_db_txn_t *txn, ngx_async_op_t *op, size_t size)
{
    op->buf.data = malloc(size);

    if (op->buf.data == NULL) {
        txn->err = ENOMEM;
        return NGX_ERROR;
    }

    op->buf.len = size;

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_collect(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    const void *data, size_t len)
{
    u_char  *p;

    p = realloc(op->buf.data, op->buf.len + len);

    if (p == NULL) {
        txn->err = ENOMEM;
        return NGX_ERROR;
    }

    ngx_memcpy(p + op->buf.len, data, len);

    op->buf.data = p;
    op->buf.len += len;

    return NGX_OK;
}
