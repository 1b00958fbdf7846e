
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


static void ngx_async_db_running_key(u_char *p, const u_char *runner,
    const ngx_async_id_t *id);


/*
 * LMDB's own codes are negative; callers log an errno.  Why the map or the
 * reader table can be full is told by the operation, not by this number.
 */

ngx_err_t
ngx_async_db_errno(int rc)
{
    if (rc >= 0) {
        return rc;
    }

    switch (rc) {

    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return ENOSPC;

    case MDB_READERS_FULL:
        return EUSERS;

    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return EUCLEAN;

    case MDB_PANIC:
        return EIO;

    default:
        return EINVAL;
    }
}


ngx_int_t
ngx_async_db_fail(ngx_async_db_txn_t *txn, int rc)
{
    txn->err = ngx_async_db_errno(rc);

    switch (rc) {

    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        txn->full = NGX_ASYNC_FULL_STORE;
        return NGX_AGAIN;

    case ENOSPC:
    case EDQUOT:
        txn->full = NGX_ASYNC_FULL_DISK;
        return NGX_AGAIN;

    default:
        return NGX_ERROR;
    }
}


ngx_int_t
ngx_async_db_corrupt(ngx_async_db_txn_t *txn)
{
    return ngx_async_db_fail(txn, MDB_CORRUPTED);
}


ngx_int_t
ngx_async_db_get(ngx_async_db_txn_t *txn, ngx_uint_t table, const void *key,
    size_t len, MDB_val *val)
{
    int      rc;
    MDB_val  k;

    k.mv_data = (void *) key;
    k.mv_size = len;

    rc = mdb_get(txn->mdb, txn->db->dbi[table], &k, val);

    if (rc == MDB_SUCCESS) {
        return NGX_OK;
    }

    return rc == MDB_NOTFOUND ? NGX_DECLINED : ngx_async_db_fail(txn, rc);
}


ngx_int_t
ngx_async_db_put(ngx_async_db_txn_t *txn, ngx_uint_t table, const void *key,
    size_t len, const void *data, size_t size)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = len;
    v.mv_data = (void *) data;
    v.mv_size = size;

    rc = mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, 0);

    return rc == MDB_SUCCESS ? NGX_OK : ngx_async_db_fail(txn, rc);
}


ngx_int_t
ngx_async_db_add(ngx_async_db_txn_t *txn, ngx_uint_t table, const void *key,
    size_t len, const void *data, size_t size)
{
    int      rc;
    MDB_val  k, v;

    k.mv_data = (void *) key;
    k.mv_size = len;
    v.mv_data = (void *) data;
    v.mv_size = size;

    /* pages that are appended to get full, those in the middle half full */

    rc = mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, MDB_APPEND);

    if (rc == MDB_KEYEXIST) {
        rc = mdb_put(txn->mdb, txn->db->dbi[table], &k, &v, 0);
    }

    return rc == MDB_SUCCESS ? NGX_OK : ngx_async_db_fail(txn, rc);
}


ngx_int_t
ngx_async_db_del(ngx_async_db_txn_t *txn, ngx_uint_t table, const void *key,
    size_t len)
{
    int      rc;
    MDB_val  k;

    k.mv_data = (void *) key;
    k.mv_size = len;

    rc = mdb_del(txn->mdb, txn->db->dbi[table], &k, NULL);

    if (rc == MDB_SUCCESS) {
        return NGX_OK;
    }

    return rc == MDB_NOTFOUND ? NGX_DECLINED : ngx_async_db_fail(txn, rc);
}


MDB_cursor *
ngx_async_db_cursor(ngx_async_db_txn_t *txn, ngx_uint_t table, ngx_int_t *rc)
{
    int  err;

    if (txn->cursors[table] == NULL) {
        err = mdb_cursor_open(txn->mdb, txn->db->dbi[table],
                              &txn->cursors[table]);

        if (err != MDB_SUCCESS) {
            txn->cursors[table] = NULL;
            *rc = ngx_async_db_fail(txn, err);
            return NULL;
        }
    }

    *rc = NGX_OK;

    return txn->cursors[table];
}


ngx_int_t
ngx_async_db_seek(ngx_async_db_txn_t *txn, MDB_cursor *cursor, MDB_val *key,
    MDB_val *val, MDB_cursor_op op)
{
    int  rc;

    rc = mdb_cursor_get(cursor, key, val, op);

    if (rc == MDB_SUCCESS) {
        return NGX_OK;
    }

    return rc == MDB_NOTFOUND ? NGX_DECLINED : ngx_async_db_fail(txn, rc);
}


u_char *
ngx_async_db_u32(u_char *p, uint32_t value)
{
    value = htobe32(value);

    return ngx_cpymem(p, &value, sizeof(uint32_t));
}


u_char *
ngx_async_db_u64(u_char *p, uint64_t value)
{
    value = htobe64(value);

    return ngx_cpymem(p, &value, sizeof(uint64_t));
}


uint32_t
ngx_async_db_read_u32(const u_char *p)
{
    uint32_t  value;

    ngx_memcpy(&value, p, sizeof(uint32_t));

    return be32toh(value);
}


uint64_t
ngx_async_db_read_u64(const u_char *p)
{
    uint64_t  value;

    ngx_memcpy(&value, p, sizeof(uint64_t));

    return be64toh(value);
}


ngx_int_t
ngx_async_db_count(ngx_async_db_txn_t *txn, ngx_uint_t table,
    const u_char *from, const u_char *to, size_t len, ngx_uint_t max,
    uint64_t *n)
{
    MDB_val      key, val;
    ngx_int_t    rc;
    ngx_uint_t   i;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, table, &rc);

    if (cursor == NULL) {
        return rc;
    }

    key.mv_data = (void *) from;
    key.mv_size = len;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    for (i = 0; rc == NGX_OK && i < max; i++) {

        if (ngx_memcmp(key.mv_data, to, ngx_min(key.mv_size, len)) >= 0) {
            break;
        }

        (*n)++;
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_NEXT);
    }

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


static void
ngx_async_db_running_key(u_char *p, const u_char *runner,
    const ngx_async_id_t *id)
{
    p = ngx_cpymem(p, runner, NGX_ASYNC_RUNNER_LEN);
    ngx_memcpy(p, id->bytes, NGX_ASYNC_ID_LEN);
}


ngx_int_t
ngx_async_db_running_put(ngx_async_db_txn_t *txn, const u_char *runner,
    const ngx_async_id_t *id, u_char kind)
{
    u_char  key[NGX_ASYNC_DB_RUNNING_LEN];

    ngx_async_db_running_key(key, runner, id);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_RUNNING, key, sizeof(key), &kind,
                            1);
}


ngx_int_t
ngx_async_db_running_del(ngx_async_db_txn_t *txn, const u_char *runner,
    const ngx_async_id_t *id)
{
    u_char     key[NGX_ASYNC_DB_RUNNING_LEN];
    ngx_int_t  rc;

    ngx_async_db_running_key(key, runner, id);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_RUNNING, key, sizeof(key));

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


ngx_int_t
ngx_async_db_running_kind(ngx_async_db_txn_t *txn, const u_char *runner,
    const ngx_async_id_t *id, u_char *kind)
{
    u_char     key[NGX_ASYNC_DB_RUNNING_LEN];
    MDB_val    val;
    ngx_int_t  rc;

    *kind = 0;

    ngx_async_db_running_key(key, runner, id);

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_RUNNING, key, sizeof(key), &val);

    if (rc == NGX_OK && val.mv_size) {
        *kind = *(u_char *) val.mv_data;
    }

    return rc;
}


ngx_int_t
ngx_async_db_running_first(ngx_async_db_txn_t *txn, const u_char *runner,
    ngx_async_id_t *id, u_char *kind)
{
    u_char       from[NGX_ASYNC_DB_RUNNING_LEN];
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_RUNNING, &rc);

    if (cursor == NULL) {
        return rc;
    }

    ngx_memzero(from, sizeof(from));
    ngx_memcpy(from, runner, NGX_ASYNC_RUNNER_LEN);

    key.mv_data = from;
    key.mv_size = sizeof(from);

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc != NGX_OK) {
        return rc;
    }

    if (key.mv_size != sizeof(from) || val.mv_size != 1) {
        return ngx_async_db_corrupt(txn);
    }

    if (ngx_memcmp(key.mv_data, from, NGX_ASYNC_RUNNER_LEN) != 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(id->bytes, (u_char *) key.mv_data + NGX_ASYNC_RUNNER_LEN,
               NGX_ASYNC_ID_LEN);
    *kind = *(u_char *) val.mv_data;

    return NGX_OK;
}
