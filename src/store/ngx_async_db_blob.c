
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/* pieces that one batch drops: 16 MiB, the rest is left to the sweep */
#define NGX_ASYNC_DB_DROP_MAX  256


static u_char *ngx_async_db_piece_key(u_char *p, const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t n);
static uint64_t ngx_async_db_blob_len(ngx_async_job_t *job, ngx_uint_t part);
static ngx_int_t ngx_async_db_read_blob(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, int fd, u_char *p, size_t len);
static ngx_int_t ngx_async_db_copy_blob(ngx_async_db_txn_t *txn,
    ngx_async_op_t *op, u_char *p, size_t len);
static ngx_int_t ngx_async_db_drop_some(ngx_async_db_txn_t *txn,
    const ngx_async_id_t *id, ngx_uint_t part, ngx_uint_t max,
    ngx_uint_t *more);


static u_char *
ngx_async_db_piece_key(u_char *p, const ngx_async_id_t *id, ngx_uint_t part,
    uint64_t n)
{
    p = ngx_cpymem(p, id->bytes, NGX_ASYNC_ID_LEN);
    *p++ = (u_char) part;

    return ngx_async_db_u32(p, (uint32_t) n);
}


/* ids grow with time: most pieces come behind all others */

ngx_int_t
ngx_async_db_piece_put(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t offset, ngx_str_t *piece)
{
    u_char  key[NGX_ASYNC_DB_PIECE_LEN];

    if (piece->len == 0) {
        return NGX_OK;
    }

    if (piece->len > NGX_ASYNC_PIECE
        || offset % NGX_ASYNC_PIECE
        || offset / NGX_ASYNC_PIECE >= UINT32_MAX)
    {
        txn->err = EINVAL;
        return NGX_ERROR;
    }

    ngx_async_db_piece_key(key, id, part, offset / NGX_ASYNC_PIECE);

    return ngx_async_db_add(txn, NGX_ASYNC_DB_JOBS, key, sizeof(key),
                            piece->data, piece->len);
}


ngx_int_t
ngx_async_db_piece_get(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t n, MDB_val *val)
{
    u_char  key[NGX_ASYNC_DB_PIECE_LEN];

    ngx_async_db_piece_key(key, id, part, n);

    return ngx_async_db_get(txn, NGX_ASYNC_DB_JOBS, key, sizeof(key), val);
}


/* the end of a blob that becomes a job's */

ngx_int_t
ngx_async_db_last_put(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    if (op->nonce) {
        return ngx_async_db_file_seal(txn, op);
    }

    return ngx_async_db_piece_put(txn, &op->id, op->part, op->offset,
                                  &op->piece);
}


static ngx_int_t
ngx_async_db_drop_some(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part, ngx_uint_t max, ngx_uint_t *more)
{
    int          err;
    u_char       from[NGX_ASYNC_DB_PIECE_LEN];
    MDB_val      key;
    ngx_int_t    rc;
    ngx_uint_t   n;
    MDB_cursor  *cursor;

    *more = 0;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_JOBS, &rc);

    if (cursor == NULL) {
        return rc;
    }

    ngx_async_db_piece_key(from, id, part, 0);

    key.mv_data = from;
    key.mv_size = sizeof(from);

    /* the data is not asked for: its pages need not be read */

    rc = ngx_async_db_seek(txn, cursor, &key, NULL, MDB_SET_RANGE);

    for (n = 0; rc == NGX_OK; n++) {

        if (key.mv_size != sizeof(from)
            || ngx_memcmp(key.mv_data, from, NGX_ASYNC_ID_LEN + 1) != 0)
        {
            return NGX_OK;
        }

        if (n == max) {
            *more = 1;
            return NGX_OK;
        }

        rc = ngx_async_db_file_drop(txn, cursor, key.mv_data);

        if (rc != NGX_OK) {
            return rc;
        }

        err = mdb_cursor_del(cursor, 0);

        if (err != MDB_SUCCESS) {
            return ngx_async_db_fail(txn, err);
        }

        txn->dropped++;

        rc = ngx_async_db_seek(txn, cursor, &key, NULL, MDB_NEXT);
    }

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_async_db_drop(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part)
{
    ngx_int_t   rc;
    ngx_uint_t  max, more;

    /* most blobs are of one piece, and gone with it */

    max = (txn->dropped < NGX_ASYNC_DB_DROP_MAX)
          ? NGX_ASYNC_DB_DROP_MAX - txn->dropped : 1;

    rc = ngx_async_db_drop_some(txn, id, part, max, &more);

    if (rc != NGX_OK || !more) {
        return rc;
    }

    return ngx_async_db_due_put(txn, NGX_ASYNC_DUE_TRASH + part,
                                NGX_ASYNC_DB_AT_ONCE, id);
}


ngx_int_t
ngx_async_db_drop_more(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part, ngx_uint_t *more)
{
    ngx_int_t  rc;

    rc = ngx_async_db_drop_some(txn, id, part, NGX_ASYNC_DB_DROP_MAX, more);

    if (rc != NGX_OK || *more) {
        return rc;
    }

    return ngx_async_db_due_del(txn, NGX_ASYNC_DUE_TRASH + part,
                                NGX_ASYNC_DB_AT_ONCE, id);
}


ngx_int_t
ngx_async_db_drop_all(ngx_async_db_txn_t *txn, const ngx_async_id_t *id,
    ngx_uint_t part)
{
    ngx_int_t   rc;
    ngx_uint_t  more;

    do {
        rc = ngx_async_db_drop_more(txn, id, part, &more);
    } while (rc == NGX_OK && more);

    return rc;
}


ngx_int_t
ngx_async_db_append(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char     kind;
    ngx_int_t  rc;

    rc = ngx_async_db_writable(txn, op, &kind);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_db_room(txn, op, op->piece.len, 0) != NGX_OK) {
        return NGX_BUSY;
    }

    rc = ngx_async_db_stage(txn, op, kind);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_db_piece_put(txn, &op->id, op->part, op->offset,
                                  &op->piece);
}


ngx_int_t
ngx_async_db_writable(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    u_char *kind)
{
    ngx_int_t  rc;

    rc = ngx_async_db_running_kind(txn, op->runner, &op->id, kind);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (op->part == NGX_ASYNC_RESPONSE) {
        return *kind == NGX_ASYNC_DB_RUNS ? NGX_OK : NGX_ABORT;
    }

    /* without what was before this one a request is none */

    return *kind == NGX_ASYNC_DB_RUNS
           || (*kind != NGX_ASYNC_DB_STAGED && op->offset)
           ? NGX_ABORT : NGX_OK;
}


ngx_int_t
ngx_async_db_stage(ngx_async_db_txn_t *txn, ngx_async_op_t *op, u_char kind)
{
    if (op->part == NGX_ASYNC_RESPONSE || kind == NGX_ASYNC_DB_STAGED) {
        return NGX_OK;
    }

    return ngx_async_db_running_put(txn, op->runner, &op->id,
                                    NGX_ASYNC_DB_STAGED);
}


ngx_int_t
ngx_async_db_discard(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    u_char     kind;
    ngx_int_t  rc;

    rc = ngx_async_db_running_kind(txn, op->runner, &op->id, &kind);

    if (rc != NGX_OK) {
        return rc;
    }

    if (kind != NGX_ASYNC_DB_STAGED) {
        return NGX_ABORT;
    }

    rc = ngx_async_db_running_del(txn, op->runner, &op->id);

    return rc == NGX_OK ? ngx_async_db_drop(txn, &op->id, NGX_ASYNC_REQUEST)
                        : rc;
}


/* 0: there is no blob that could be read */

static uint64_t
ngx_async_db_blob_len(ngx_async_job_t *job, ngx_uint_t part)
{
    if (part == NGX_ASYNC_REQUEST) {
        return (job->flags & NGX_ASYNC_JOB_REQUEST)
               ? job->request_head_len + job->request_body_len : 0;
    }

    /* pieces of a response that is not whole are nobody's business */

    return (ngx_async_job_finished(job) && job->response_status)
           ? job->response_head_len + job->response_body_len : 0;
}


/* allocates op->buf for the record, and what is wanted of a blob behind it */

ngx_int_t
ngx_async_db_get_first(ngx_async_db_txn_t *txn, ngx_async_op_t *op,
    ngx_async_job_t *job, MDB_val *record)
{
    int        fd;
    size_t     len;
    uint64_t   total;
    ngx_int_t  rc;

    if (!op->want_response && !op->want_request) {
        return ngx_async_db_alloc(txn, op, record->mv_size);
    }

    op->part = op->want_response ? NGX_ASYNC_RESPONSE : NGX_ASYNC_REQUEST;
    op->offset = 0;

    total = ngx_async_db_blob_len(job, op->part);
    len = ngx_min(total, NGX_ASYNC_PIECE);

    rc = ngx_async_db_file_open(txn, op, total, &fd);

    if (rc == NGX_OK) {

        /* the rest is there for who has the descriptor */

        len = (op->part == NGX_ASYNC_RESPONSE)
              ? ngx_min(job->response_head_len, len) : len;
        op->fd = fd;
        op->opened = 1;

    } else if (rc != NGX_DECLINED) {
        return rc;
    }

    rc = ngx_async_db_alloc(txn, op, record->mv_size + len);

    if (rc == NGX_OK && len) {
        rc = op->opened
             ? ngx_async_db_read_blob(txn, op, fd,
                                      op->buf.data + record->mv_size, len)
             : ngx_async_db_copy_blob(txn, op,
                                      op->buf.data + record->mv_size, len);
    }

    if (rc != NGX_OK && op->opened) {
        (void) close(fd);
        op->opened = 0;
    }

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


ngx_int_t
ngx_async_db_get_blob(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    int              fd;
    size_t           len;
    MDB_val          val;
    uint64_t         total;
    ngx_int_t        rc;
    ngx_async_job_t  job;

    rc = ngx_async_db_record(txn, &op->id, &val, &job);

    if (rc != NGX_OK) {
        return rc;
    }

    total = ngx_async_db_blob_len(&job, op->part);

    /* a response that was replaced must not go on as another one */

    if (total == 0 || (op->job && op->job->version != job.version)) {
        return NGX_DECLINED;
    }

    if (op->offset >= total) {
        return NGX_OK;
    }

    len = (size_t) ngx_min(total - op->offset, (uint64_t) op->limit);

    rc = ngx_async_db_alloc(txn, op, len);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_file_open(txn, op, total, &fd);

    if (rc == NGX_DECLINED) {
        return ngx_async_db_copy_blob(txn, op, op->buf.data, len);
    }

    if (rc == NGX_OK) {
        rc = ngx_async_db_read_blob(txn, op, fd, op->buf.data, len);
        (void) close(fd);
    }

    return rc;
}


static ngx_int_t
ngx_async_db_read_blob(ngx_async_db_txn_t *txn, ngx_async_op_t *op, int fd,
    u_char *p, size_t len)
{
    op->blob.data = p;
    op->blob.len = len;

    return ngx_async_db_file_read(txn, fd, p, len, op->offset);
}


/* copies len bytes of the blob from offset on */

static ngx_int_t
ngx_async_db_copy_blob(ngx_async_db_txn_t *txn, ngx_async_op_t *op, u_char *p,
    size_t len)
{
    size_t     from, size;
    u_char    *last;
    MDB_val    val;
    uint64_t   n;
    ngx_int_t  rc;

    op->blob.data = p;
    last = p + len;

    n = op->offset / NGX_ASYNC_PIECE;
    from = (size_t) (op->offset % NGX_ASYNC_PIECE);

    while (p < last) {
        rc = ngx_async_db_piece_get(txn, &op->id, op->part, n, &val);

        if (rc != NGX_OK) {
            return rc;
        }

        if (val.mv_size <= from) {
            return NGX_DECLINED;
        }

        size = ngx_min(val.mv_size - from, (size_t) (last - p));
        p = ngx_cpymem(p, (u_char *) val.mv_data + from, size);

        from = 0;
        n++;
    }

    op->blob.len = len;

    return NGX_OK;
}
