
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


typedef ngx_int_t (*ngx_async_db_date_pt)(ngx_async_db_txn_t *txn,
    ngx_uint_t kind, uint64_t time, const ngx_async_id_t *id);


static ngx_int_t ngx_async_db_dates(ngx_async_db_txn_t *txn,
    ngx_async_job_t *job, ngx_async_db_date_pt date);


u_char *
ngx_async_db_due_key(u_char *p, ngx_uint_t kind, uint64_t time,
    const ngx_async_id_t *id)
{
    *p++ = ngx_async_db_due_class(kind);
    p = ngx_async_db_u64(p, time);
    *p++ = (u_char) kind;

    return ngx_cpymem(p, id->bytes, NGX_ASYNC_ID_LEN);
}


ngx_int_t
ngx_async_db_due_put(ngx_async_db_txn_t *txn, ngx_uint_t kind, uint64_t time,
    const ngx_async_id_t *id)
{
    u_char  key[NGX_ASYNC_DB_DUE_LEN];

    ngx_async_db_due_key(key, kind, time, id);

    return ngx_async_db_add(txn, NGX_ASYNC_DB_DUE, key, sizeof(key), "", 0);
}


/* that it is not there is no error: a sweep takes entries out first */

ngx_int_t
ngx_async_db_due_del(ngx_async_db_txn_t *txn, ngx_uint_t kind, uint64_t time,
    const ngx_async_id_t *id)
{
    u_char     key[NGX_ASYNC_DB_DUE_LEN];
    ngx_int_t  rc;

    ngx_async_db_due_key(key, kind, time, id);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_DUE, key, sizeof(key));

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_async_db_dates_put(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    return ngx_async_db_dates(txn, job, ngx_async_db_due_put);
}


ngx_int_t
ngx_async_db_dates_del(ngx_async_db_txn_t *txn, ngx_async_job_t *job)
{
    return ngx_async_db_dates(txn, job, ngx_async_db_due_del);
}


static ngx_int_t
ngx_async_db_dates(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    ngx_async_db_date_pt date)
{
    ngx_int_t  rc;

    rc = NGX_OK;

    if (job->status == NGX_ASYNC_NOT_STARTED) {

        if (job->attempt == 0 && job->queue_deadline) {
            rc = date(txn, NGX_ASYNC_DUE_DEADLINE, job->queue_deadline,
                      &job->id);
        }

        if (rc == NGX_OK && job->not_before) {
            rc = date(txn, NGX_ASYNC_DUE_START, job->not_before, &job->id);
        }

        return rc;
    }

    if (job->status == NGX_ASYNC_RUNNING) {
        return NGX_OK;
    }

    rc = date(txn, NGX_ASYNC_DUE_EXPIRE, job->expires, &job->id);

    if (rc == NGX_OK && (job->flags & NGX_ASYNC_JOB_REQUEST)) {
        rc = date(txn, NGX_ASYNC_DUE_REQUEST, ngx_async_db_keep_until(job),
                  &job->id);
    }

    if (rc == NGX_OK && job->callback_due) {
        rc = date(txn, NGX_ASYNC_DUE_CALLBACK, job->callback_due, &job->id);
    }

    return rc;
}


/* how long the request of a finished job is kept, 0: it is not */

uint64_t
ngx_async_db_keep_until(ngx_async_job_t *job)
{
    if (job->status != NGX_ASYNC_FAILED || job->keep_request == 0) {
        return 0;
    }

    return (job->keep_request < UINT64_MAX - job->finished)
           ? job->finished + job->keep_request : UINT64_MAX;
}


ngx_int_t
ngx_async_db_due_seek(ngx_async_db_txn_t *txn, const u_char *from,
    ngx_async_db_due_t *due)
{
    u_char      *p;
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_DUE, &rc);

    if (cursor == NULL) {
        return rc;
    }

    key.mv_data = (void *) from;
    key.mv_size = NGX_ASYNC_DB_DUE_LEN;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc != NGX_OK) {
        return rc;
    }

    p = key.mv_data;

    if (key.mv_size != NGX_ASYNC_DB_DUE_LEN
        || p[0] != ngx_async_db_due_class(p[9])
        || val.mv_size > sizeof(due->queue))
    {
        return ngx_async_db_corrupt(txn);
    }

    due->time = ngx_async_db_read_u64(p + 1);
    due->kind = p[9];
    ngx_memcpy(due->id.bytes, p + 10, NGX_ASYNC_ID_LEN);

    due->len = val.mv_size;

    if (due->len) {
        ngx_memcpy(due->queue, val.mv_data, due->len);
    }

    return NGX_OK;
}


/* makes a key the one that comes right behind it */

void
ngx_async_db_due_behind(u_char *key)
{
    ngx_uint_t  i;

    for (i = NGX_ASYNC_DB_DUE_LEN; i > 0; i--) {
        if (++key[i - 1]) {
            break;
        }
    }
}


ngx_int_t
ngx_async_db_due_next(ngx_async_db_txn_t *txn, ngx_uint_t class, uint64_t from,
    ngx_async_db_due_t *due)
{
    u_char     key[NGX_ASYNC_DB_DUE_LEN];
    ngx_int_t  rc;

    ngx_memzero(key, sizeof(key));
    key[0] = (u_char) class;
    ngx_async_db_u64(key + 1, from);

    rc = ngx_async_db_due_seek(txn, key, due);

    if (rc == NGX_OK && ngx_async_db_due_class(due->kind) != class) {
        return NGX_DECLINED;
    }

    return rc;
}
