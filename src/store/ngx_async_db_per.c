
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * Values of a queue's "per".  A value has a row in "pers" while it has jobs
 * that wait or run.  When none waits, the last turn it was given is not ahead
 * of the queue's clock, or belonged to jobs that never ran: so it is forgotten
 * then, and nothing is lost with the row.
 *
 * At most per_concurrency jobs of a value are ready or running; the others
 * are parked, and one is released whenever one of the former leaves.  So a
 * claim seldom meets a job that may not start.
 */

#define NGX_ASYNC_DB_PER_LEN       (4 * 4 + 8 * NGX_ASYNC_DB_URGENCIES)

/* of a parked entry behind its value: urgency, turn, seq */
#define NGX_ASYNC_DB_PARKED_LEN    (1 + 8 + 8)

#define NGX_ASYNC_DB_PARKED_MAX    (NGX_ASYNC_DB_PER_MAX                      \
                                    + NGX_ASYNC_DB_PARKED_LEN)

#define NGX_ASYNC_DB_HASH_LEN      16
#define NGX_ASYNC_DB_LONG_VALUE    255

/* parked jobs that one operation moves, and values it looks at */
#define NGX_ASYNC_DB_RELEASE_MAX   256
#define NGX_ASYNC_DB_VALUES_MAX    1024

/* "releasing", queue */
#define NGX_ASYNC_DB_RELEASING_LEN (9 + 4)


static size_t ngx_async_db_per_key(u_char *key, ngx_async_db_row_t *row,
    ngx_str_t *value);
static uint64_t ngx_async_db_per_hash(const u_char *p, size_t len,
    uint64_t seed);
static ngx_int_t ngx_async_db_per_load(ngx_async_db_txn_t *txn,
    const u_char *key, size_t len);
static size_t ngx_async_db_parked_key(u_char *key, ngx_async_db_per_t *per,
    const u_char *place);
static void ngx_async_db_releasing_key(u_char *key, ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_release_from(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, u_char *key, size_t *len);
static ngx_int_t ngx_async_db_release_later(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, u_char *key, size_t len);
static ngx_int_t ngx_async_db_parked_value(ngx_async_db_txn_t *txn,
    u_char *key, size_t *len);
static ngx_int_t ngx_async_db_release_one(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_shade(ngx_async_db_txn_t *txn,
    const u_char *place, const u_char *id);


ngx_int_t
ngx_async_db_per(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_db_per_t **per)
{
    size_t     len;
    u_char     key[NGX_ASYNC_DB_PER_MAX];
    ngx_int_t  rc;

    len = ngx_async_db_per_key(key, row, &job->per);

    if (len != txn->per.len || ngx_memcmp(key, txn->per.key, len) != 0) {
        rc = ngx_async_db_per_load(txn, key, len);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    *per = &txn->per;

    return NGX_OK;
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


static ngx_int_t
ngx_async_db_per_load(ngx_async_db_txn_t *txn, const u_char *key, size_t len)
{
    u_char              *p;
    MDB_val              val;
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per_save(txn);

    if (rc != NGX_OK) {
        return rc;
    }

    per = &txn->per;

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_PERS, key, len, &val);

    if (rc == NGX_ERROR || rc == NGX_AGAIN) {
        return rc;
    }

    ngx_memzero(per, sizeof(ngx_async_db_per_t));

    if (rc == NGX_OK) {

        if (val.mv_size != NGX_ASYNC_DB_PER_LEN) {
            return ngx_async_db_corrupt(txn);
        }

        p = val.mv_data;

        per->running = ngx_async_db_read_u32(p);
        per->ready = ngx_async_db_read_u32(p + 4);
        per->parked = ngx_async_db_read_u32(p + 8);
        per->delayed = ngx_async_db_read_u32(p + 12);

        for (i = 0; i < NGX_ASYNC_DB_URGENCIES; i++) {
            per->turn[i] = ngx_async_db_read_u64(p + 16 + i * 8);
        }

        per->stored = 1;
    }

    ngx_memcpy(per->key, key, len);
    per->len = len;

    return NGX_OK;
}


ngx_int_t
ngx_async_db_per_save(ngx_async_db_txn_t *txn)
{
    u_char              *p, buf[NGX_ASYNC_DB_PER_LEN];
    ngx_int_t            rc;
    ngx_uint_t           i;
    ngx_async_db_per_t  *per;

    per = &txn->per;

    if (!per->dirty) {
        return NGX_OK;
    }

    per->dirty = 0;

    if (per->running + per->ready + per->parked + per->delayed == 0) {

        rc = NGX_OK;

        if (per->stored) {
            rc = ngx_async_db_del(txn, NGX_ASYNC_DB_PERS, per->key, per->len);
        }

        /* a job that comes later in this batch starts from nothing, too */

        ngx_memzero(per, sizeof(ngx_async_db_per_t));

        return rc;
    }

    p = ngx_async_db_u32(buf, per->running);
    p = ngx_async_db_u32(p, per->ready);
    p = ngx_async_db_u32(p, per->parked);
    p = ngx_async_db_u32(p, per->delayed);

    for (i = 0; i < NGX_ASYNC_DB_URGENCIES; i++) {
        p = ngx_async_db_u64(p, per->turn[i]);
    }

    per->stored = 1;

    return ngx_async_db_put(txn, NGX_ASYNC_DB_PERS, per->key, per->len, buf,
                            sizeof(buf));
}


ngx_uint_t
ngx_async_db_per_full(ngx_async_db_row_t *row, ngx_async_job_t *job,
    ngx_async_db_per_t *per)
{
    /* as with nginx's other limits, an empty value has none */

    return job->per.len
           && row->per_concurrency
           && (uint64_t) per->running + per->ready >= row->per_concurrency;
}


ngx_int_t
ngx_async_db_park(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    size_t               len;
    u_char               key[NGX_ASYNC_DB_PARKED_MAX];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    per->parked++;
    per->dirty = 1;
    row->parked++;

    ngx_async_db_place(place, row, job);
    len = ngx_async_db_parked_key(key, per, place);

    rc = ngx_async_db_put(txn, NGX_ASYNC_DB_PARKED, key, len, job->id.bytes,
                          NGX_ASYNC_ID_LEN);

    return rc == NGX_OK ? ngx_async_db_shade(txn, place, job->id.bytes) : rc;
}


ngx_int_t
ngx_async_db_unpark(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    size_t               len;
    u_char               key[NGX_ASYNC_DB_PARKED_MAX];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_place(place, row, job);
    len = ngx_async_db_parked_key(key, per, place);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_PARKED, key, len);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
    }

    per->parked--;
    per->dirty = 1;
    row->parked--;

    return ngx_async_db_shade(txn, place, NULL);
}


/* the value, then urgency, turn and seq of the place */

static size_t
ngx_async_db_parked_key(u_char *key, ngx_async_db_per_t *per,
    const u_char *place)
{
    u_char  *p;

    p = ngx_cpymem(key, per->key, per->len);
    p = ngx_cpymem(p, place + sizeof(uint32_t), NGX_ASYNC_DB_PARKED_LEN);

    return p - key;
}


/* to be called when a job has left the ready or running ones of its value */

ngx_int_t
ngx_async_db_release(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_uint_t           n;
    ngx_async_db_per_t  *per;

    if (row->parked == 0 || job->per.len == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_per(txn, row, job, &per);

    /* usually one; several after the limit was raised */

    for (n = 0; rc == NGX_OK && n < NGX_ASYNC_DB_RELEASE_MAX; n++) {

        if (per->parked == 0 || ngx_async_db_per_full(row, job, per)) {
            break;
        }

        rc = ngx_async_db_release_one(txn, row);
    }

    return rc;
}


/* makes the first parked job of the value at hand ready */

static ngx_int_t
ngx_async_db_release_one(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    int                  err;
    u_char              *p, id[NGX_ASYNC_ID_LEN];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    MDB_val              key, val;
    ngx_int_t            rc;
    MDB_cursor          *cursor;
    ngx_async_db_per_t  *per;

    per = &txn->per;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_PARKED, &rc);

    if (cursor == NULL) {
        return rc;
    }

    key.mv_data = per->key;
    key.mv_size = per->len;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DECLINED
        || key.mv_size != per->len + NGX_ASYNC_DB_PARKED_LEN
        || ngx_memcmp(key.mv_data, per->key, per->len) != 0
        || val.mv_size != NGX_ASYNC_ID_LEN)
    {
        return ngx_async_db_corrupt(txn);
    }

    p = ngx_async_db_u32(place, row->number);
    ngx_memcpy(p, (u_char *) key.mv_data + per->len, NGX_ASYNC_DB_PARKED_LEN);
    ngx_memcpy(id, val.mv_data, NGX_ASYNC_ID_LEN);

    err = mdb_cursor_del(cursor, 0);

    if (err != MDB_SUCCESS) {
        return ngx_async_db_fail(txn, err);
    }

    per->parked--;
    per->ready++;
    per->dirty = 1;

    row->parked--;
    row->ready[*p]++;
    ngx_async_db_touch(row);

    rc = ngx_async_db_shade(txn, place, NULL);

    if (rc == NGX_OK) {
        rc = ngx_async_db_put(txn, NGX_ASYNC_DB_READY, place, sizeof(place),
                              id, sizeof(id));
    }

    return rc == NGX_OK ? ngx_async_db_rank_add(txn, place) : rc;
}


/*
 * The values that have parked jobs are gone through once after a change of the
 * limit, by all workers together.  Values that were passed are not looked at
 * again: their jobs are released as others of them leave.
 */

ngx_int_t
ngx_async_db_releasing(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t releasing)
{
    u_char     key[NGX_ASYNC_DB_RELEASING_LEN];
    ngx_int_t  rc;

    row->releasing = (releasing != 0);
    ngx_async_db_touch(row);

    ngx_async_db_releasing_key(key, row);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_META, key, sizeof(key));

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_async_db_release_all(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    size_t       len;
    u_char       key[NGX_ASYNC_DB_PARKED_MAX];
    ngx_int_t    rc;
    ngx_uint_t   moved, n;

    rc = ngx_async_db_release_from(txn, row, key, &len);

    if (rc != NGX_OK) {
        return rc;
    }

    moved = 0;

    for (n = 0; n < NGX_ASYNC_DB_VALUES_MAX; n++) {

        rc = ngx_async_db_parked_value(txn, key, &len);

        if (rc == NGX_DECLINED) {
            return ngx_async_db_releasing(txn, row, 0);
        }

        while (rc == NGX_OK
               && txn->per.parked
               && (row->per_concurrency == 0
                   || (uint64_t) txn->per.running + txn->per.ready
                      < row->per_concurrency))
        {
            if (++moved > NGX_ASYNC_DB_RELEASE_MAX) {
                return ngx_async_db_release_later(txn, row, key, len);
            }

            rc = ngx_async_db_release_one(txn, row);
        }

        if (rc != NGX_OK) {
            return rc;
        }

        /* behind all entries of this value */

        ngx_memset(key + len, 0xff, NGX_ASYNC_DB_PARKED_LEN);
        len += NGX_ASYNC_DB_PARKED_LEN;
    }

    return ngx_async_db_release_later(txn, row, key, len);
}


static void
ngx_async_db_releasing_key(u_char *key, ngx_async_db_row_t *row)
{
    u_char  *p;

    p = ngx_cpymem(key, "releasing",
                   NGX_ASYNC_DB_RELEASING_LEN - sizeof(uint32_t));
    (void) ngx_async_db_u32(p, row->number);
}


/* the key of "parked" where to go on */

static ngx_int_t
ngx_async_db_release_from(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    u_char *key, size_t *len)
{
    u_char     name[NGX_ASYNC_DB_RELEASING_LEN];
    MDB_val    val;
    ngx_int_t  rc;

    *len = ngx_async_db_u32(key, row->number) - key;

    ngx_async_db_releasing_key(name, row);

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_META, name, sizeof(name), &val);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (val.mv_size < sizeof(uint32_t)
        || val.mv_size > NGX_ASYNC_DB_PARKED_MAX)
    {
        return ngx_async_db_corrupt(txn);
    }

    *len = val.mv_size;
    ngx_memcpy(key, val.mv_data, *len);

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_release_later(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    u_char *key, size_t len)
{
    u_char  name[NGX_ASYNC_DB_RELEASING_LEN];

    ngx_async_db_releasing_key(name, row);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_META, name, sizeof(name), key,
                            len);
}


/* loads the first value from a key of "parked" on, which becomes its own */

static ngx_int_t
ngx_async_db_parked_value(ngx_async_db_txn_t *txn, u_char *key, size_t *len)
{
    MDB_val      k, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_PARKED, &rc);

    if (cursor == NULL) {
        return rc;
    }

    k.mv_data = key;
    k.mv_size = *len;

    rc = ngx_async_db_seek(txn, cursor, &k, &val, MDB_SET_RANGE);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_memcmp(k.mv_data, key, sizeof(uint32_t)) != 0) {

        /* of another queue */

        return NGX_DECLINED;
    }

    if (k.mv_size <= NGX_ASYNC_DB_PARKED_LEN
        || k.mv_size > NGX_ASYNC_DB_PARKED_MAX)
    {
        return ngx_async_db_corrupt(txn);
    }

    *len = k.mv_size - NGX_ASYNC_DB_PARKED_LEN;
    ngx_memcpy(key, k.mv_data, *len);

    if (*len == txn->per.len && ngx_memcmp(key, txn->per.key, *len) == 0) {
        return NGX_OK;
    }

    return ngx_async_db_per_load(txn, key, *len);
}


/*
 * A parked job is in "ready" as well, at a level of its own that no claim looks
 * at: so it is counted for positions, whatever its value.
 */

static ngx_int_t
ngx_async_db_shade(ngx_async_db_txn_t *txn, const u_char *place,
    const u_char *id)
{
    u_char     shadow[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t  rc;

    ngx_async_db_shadow(shadow, place);

    if (id) {
        rc = ngx_async_db_put(txn, NGX_ASYNC_DB_READY, shadow, sizeof(shadow),
                              id, NGX_ASYNC_ID_LEN);

        return rc == NGX_OK ? ngx_async_db_rank_add(txn, shadow) : rc;
    }

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_READY, shadow, sizeof(shadow));

    if (rc == NGX_OK) {
        return ngx_async_db_rank_del(txn, shadow);
    }

    /* parked by a version that did not do so */

    return rc == NGX_DECLINED ? NGX_OK : rc;
}
