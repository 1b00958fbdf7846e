
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/* pieces that one batch drops: 16 MiB, the rest is left to the sweep */
#define NGX_ASYNC_DB_DROP_MAX  256


static u_char *ngx_async_db_piece_key(u_char *p, const ngx_async_id_t *id,
    ngx_uint_t part, uint64_t n);
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

    if (ngx_async_db_room(txn, op->piece.len, 0) != NGX_OK) {
        op->full = NGX_ASYNC_FULL_STORE;
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
