
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * Values of a queue's "per".  A value has a row in "pers" while it has jobs
 * that wait or run.  When none waits, the last turn it was given is not ahead
 * of the queue's clock, or belonged to jobs that never ran: so it is forgotten
 * then, and nothing is lost with the row.
 */

/* running, delayed; of each urgency in use it, ready, parked, turns */
#define NGX_ASYNC_DB_PER_HEAD      (4 + 4)
#define NGX_ASYNC_DB_PER_LEVEL     (1 + 4 + 4 + 8 + 8)

#define NGX_ASYNC_DB_HASH_LEN      16
#define NGX_ASYNC_DB_LONG_VALUE    255


static size_t ngx_async_db_per_key(u_char *key, ngx_async_db_row_t *row,
    ngx_str_t *value);
static uint64_t ngx_async_db_per_hash(const u_char *p, size_t len,
    uint64_t seed);
static ngx_int_t ngx_async_db_per_decode(ngx_async_db_per_t *per,
    MDB_val *val);


ngx_int_t
ngx_async_db_per(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_db_per_t **per)
{
    size_t     len;
    u_char     key[NGX_ASYNC_DB_PER_MAX];
    ngx_int_t  rc;

    len = ngx_async_db_per_key(key, row, &job->per);

    rc = ngx_async_db_per_load(txn, key, len);

    *per = &txn->per;

    return rc;
}


static size_t
ngx_async_db_per_key(u_char *key, ngx_async_db_row_t *row, ngx_str_t *value)
{
    size_t   cut;
    u_char  *p;

    p = ngx_async_db_u32(key, row->number);

    if (value->len <= NGX_ASYNC_DB_VALUE_MAX) {
        *p++ = (u_char) value->len;

        if (value->len) {
            p = ngx_cpymem(p, value->data, value->len);
        }

        return p - key;
    }

    *p++ = NGX_ASYNC_DB_LONG_VALUE;

    cut = NGX_ASYNC_DB_VALUE_MAX - NGX_ASYNC_DB_HASH_LEN;

    p = ngx_cpymem(p, value->data, cut);
    p = ngx_async_db_u64(p, ngx_async_db_per_hash(value->data, value->len, 1));
    p = ngx_async_db_u64(p, ngx_async_db_per_hash(value->data, value->len, 2));

    return p - key;
}


/* FNV-1a with a final mix: values that share their start get to differ */

static uint64_t
ngx_async_db_per_hash(const u_char *p, size_t len, uint64_t seed)
{
    uint64_t  h;

    h = 0xcbf29ce484222325ULL ^ (seed * 0x9e3779b97f4a7c15ULL);

    while (len--) {
        h = (h ^ *p++) * 0x100000001b3ULL;
    }

    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;

    return h ^ (h >> 33);
}


ngx_int_t
ngx_async_db_per_load(ngx_async_db_txn_t *txn, const u_char *key, size_t len)
{
    MDB_val              val;
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    per = &txn->per;

    if (len == per->len && ngx_memcmp(key, per->key, len) == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_per_save(txn);

    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_PERS, key, len, &val);

    if (rc == NGX_ERROR || rc == NGX_AGAIN) {
        return rc;
    }

    ngx_memzero(per, sizeof(ngx_async_db_per_t));

    if (rc == NGX_OK) {

        if (ngx_async_db_per_decode(per, &val) != NGX_OK) {
            return ngx_async_db_corrupt(txn);
        }

        per->stored = 1;
    }

    ngx_memcpy(per->key, key, len);
    per->len = len;

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_per_decode(ngx_async_db_per_t *per, MDB_val *val)
{
    u_char  *p, *last;

    p = val->mv_data;
    last = p + val->mv_size;

    if (val->mv_size < NGX_ASYNC_DB_PER_HEAD
        || (val->mv_size - NGX_ASYNC_DB_PER_HEAD) % NGX_ASYNC_DB_PER_LEVEL)
    {
        return NGX_ERROR;
    }

    per->running = ngx_async_db_read_u32(p);
    per->delayed = ngx_async_db_read_u32(p + 4);

    p += NGX_ASYNC_DB_PER_HEAD;

    for ( /* void */ ; p < last; p += NGX_ASYNC_DB_PER_LEVEL) {

        if (*p >= NGX_ASYNC_DB_URGENCIES) {
            return NGX_ERROR;
        }

        per->ready[*p] = ngx_async_db_read_u32(p + 1);
        per->parked[*p] = ngx_async_db_read_u32(p + 5);
        per->turn[*p] = ngx_async_db_read_u64(p + 9);
        per->ready_turn[*p] = ngx_async_db_read_u64(p + 17);
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_per_save(ngx_async_db_txn_t *txn)
{
    u_char              *p;
    u_char               buf[NGX_ASYNC_DB_PER_HEAD
                             + NGX_ASYNC_DB_URGENCIES * NGX_ASYNC_DB_PER_LEVEL];
    ngx_int_t            rc;
    ngx_uint_t           u;
    ngx_async_db_per_t  *per;

    per = &txn->per;

    if (!per->dirty) {
        return NGX_OK;
    }

    per->dirty = 0;

    if (per->running + ngx_async_db_per_waiting(per) == 0) {

        rc = NGX_OK;

        if (per->stored) {
            rc = ngx_async_db_del(txn, NGX_ASYNC_DB_PERS, per->key, per->len);
        }

        /* a job that comes later in this batch starts from nothing, too */

        ngx_memzero(per, sizeof(ngx_async_db_per_t));

        return rc;
    }

    p = ngx_async_db_u32(buf, per->running);
    p = ngx_async_db_u32(p, per->delayed);

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {

        if (per->ready[u] + per->parked[u] + per->turn[u]
            + per->ready_turn[u] == 0)
        {
            continue;
        }

        *p++ = (u_char) u;
        p = ngx_async_db_u32(p, per->ready[u]);
        p = ngx_async_db_u32(p, per->parked[u]);
        p = ngx_async_db_u64(p, per->turn[u]);
        p = ngx_async_db_u64(p, per->ready_turn[u]);
    }

    per->stored = 1;

    return ngx_async_db_put(txn, NGX_ASYNC_DB_PERS, per->key, per->len, buf,
                            p - buf);
}


uint64_t
ngx_async_db_per_waiting(ngx_async_db_per_t *per)
{
    uint64_t    n;
    ngx_uint_t  u;

    n = per->delayed;

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {
        n += (uint64_t) per->ready[u] + per->parked[u];
    }

    return n;
}
