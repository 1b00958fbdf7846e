
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * The position of a job among a million others without counting them: rows of
 * "ranks" divide the ready jobs of a queue's level into ranges of limited
 * size and tell how many are in each.  A row's key is the lower end of its
 * range, which ends at the next row; the first one starts at turn 0.
 */

#define NGX_ASYNC_DB_RANK_MAX    2048
#define NGX_ASYNC_DB_RANK_SMALL  128
#define NGX_ASYNC_DB_RANK_JOIN   1024


static ngx_int_t ngx_async_db_rank(ngx_async_db_txn_t *txn,
    const u_char *place, uint64_t *n);
static ngx_int_t ngx_async_db_rank_find(ngx_async_db_txn_t *txn,
    const u_char *place, MDB_cursor **at, u_char *start, uint32_t *count);
static ngx_int_t ngx_async_db_rank_put(ngx_async_db_txn_t *txn,
    const u_char *start, uint32_t count);
static ngx_int_t ngx_async_db_rank_split(ngx_async_db_txn_t *txn,
    const u_char *start, uint32_t count);
static ngx_int_t ngx_async_db_rank_join(ngx_async_db_txn_t *txn,
    MDB_cursor *cursor, const u_char *start, uint32_t count);


/*
 * Finds the range of a place, and leaves the cursor there; NGX_DECLINED: its
 * level has none for it.
 */

static ngx_int_t
ngx_async_db_rank_find(ngx_async_db_txn_t *txn, const u_char *place,
    MDB_cursor **at, u_char *start, uint32_t *count)
{
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_RANKS, &rc);

    if (cursor == NULL) {
        return rc;
    }

    *at = cursor;

    key.mv_data = (void *) place;
    key.mv_size = NGX_ASYNC_DB_PLACE_LEN;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc == NGX_DECLINED) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_LAST);

    } else if (rc == NGX_OK
               && ngx_memcmp(key.mv_data, place, NGX_ASYNC_DB_PLACE_LEN) != 0)
    {
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_PREV);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (key.mv_size != NGX_ASYNC_DB_PLACE_LEN || val.mv_size != 4) {
        return ngx_async_db_corrupt(txn);
    }

    if (ngx_memcmp(key.mv_data, place, NGX_ASYNC_DB_LEVEL_LEN) != 0) {
        return NGX_DECLINED;
    }

    ngx_memcpy(start, key.mv_data, NGX_ASYNC_DB_PLACE_LEN);
    *count = ngx_async_db_read_u32(val.mv_data);

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_rank_put(ngx_async_db_txn_t *txn, const u_char *start,
    uint32_t count)
{
    u_char  buf[4];

    ngx_async_db_u32(buf, count);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_RANKS, start,
                            NGX_ASYNC_DB_PLACE_LEN, buf, sizeof(buf));
}


/* the ready entry is there already */

ngx_int_t
ngx_async_db_rank_add(ngx_async_db_txn_t *txn, const u_char *place)
{
    u_char       start[NGX_ASYNC_DB_PLACE_LEN];
    uint32_t     count;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    rc = ngx_async_db_rank_find(txn, place, &cursor, start, &count);

    if (rc == NGX_DECLINED) {
        ngx_memzero(start, sizeof(start));
        ngx_memcpy(start, place, NGX_ASYNC_DB_LEVEL_LEN);
        count = 0;

    } else if (rc != NGX_OK) {
        return rc;
    }

    if (count >= NGX_ASYNC_DB_RANK_MAX) {
        return ngx_async_db_rank_split(txn, start, count + 1);
    }

    return ngx_async_db_rank_put(txn, start, count + 1);
}


static ngx_int_t
ngx_async_db_rank_split(ngx_async_db_txn_t *txn, const u_char *start,
    uint32_t count)
{
    u_char       middle[NGX_ASYNC_DB_PLACE_LEN];
    MDB_val      key, val;
    uint32_t     n;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_READY, &rc);

    if (cursor == NULL) {
        return rc;
    }

    key.mv_data = (void *) start;
    key.mv_size = NGX_ASYNC_DB_PLACE_LEN;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    for (n = 0; rc == NGX_OK && n < count / 2; n++) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_NEXT);
    }

    if (rc == NGX_DECLINED
        || (rc == NGX_OK && key.mv_size != NGX_ASYNC_DB_PLACE_LEN))
    {
        return ngx_async_db_corrupt(txn);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memcpy(middle, key.mv_data, NGX_ASYNC_DB_PLACE_LEN);

    rc = ngx_async_db_rank_put(txn, start, n);

    return rc == NGX_OK ? ngx_async_db_rank_put(txn, middle, count - n) : rc;
}


ngx_int_t
ngx_async_db_rank_del(ngx_async_db_txn_t *txn, const u_char *place)
{
    u_char       start[NGX_ASYNC_DB_PLACE_LEN];
    uint32_t     count;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    rc = ngx_async_db_rank_find(txn, place, &cursor, start, &count);

    if (rc == NGX_DECLINED || (rc == NGX_OK && count == 0)) {
        return ngx_async_db_corrupt(txn);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    if (--count == 0) {
        return ngx_async_db_del(txn, NGX_ASYNC_DB_RANKS, start, sizeof(start));
    }

    if (count < NGX_ASYNC_DB_RANK_SMALL) {
        return ngx_async_db_rank_join(txn, cursor, start, count);
    }

    return ngx_async_db_rank_put(txn, start, count);
}


/*
 * Ranges that shrank from their middle, by cancels, join the one before them,
 * or there could be as many of them as jobs.
 */

static ngx_int_t
ngx_async_db_rank_join(ngx_async_db_txn_t *txn, MDB_cursor *cursor,
    const u_char *start, uint32_t count)
{
    u_char     before[NGX_ASYNC_DB_PLACE_LEN];
    MDB_val    key, val;
    uint32_t   n;
    ngx_int_t  rc;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_PREV);

    if (rc == NGX_ERROR) {
        return rc;
    }

    if (rc == NGX_DECLINED
        || key.mv_size != NGX_ASYNC_DB_PLACE_LEN
        || val.mv_size != 4
        || ngx_memcmp(key.mv_data, start, NGX_ASYNC_DB_LEVEL_LEN) != 0)
    {
        return ngx_async_db_rank_put(txn, start, count);
    }

    n = ngx_async_db_read_u32(val.mv_data);

    if (n + count > NGX_ASYNC_DB_RANK_JOIN) {
        return ngx_async_db_rank_put(txn, start, count);
    }

    ngx_memcpy(before, key.mv_data, NGX_ASYNC_DB_PLACE_LEN);

    rc = ngx_async_db_rank_put(txn, before, n + count);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_db_del(txn, NGX_ASYNC_DB_RANKS, start,
                            NGX_ASYNC_DB_PLACE_LEN);
}


/*
 * From 1 on, among the ready jobs and the more urgent ones of the job's value;
 * of a parked one among all that are parked: by their turns some of them are
 * released before it.
 */

ngx_int_t
ngx_async_db_position(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, uint64_t *position)
{
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    u_char               shadow[NGX_ASYNC_DB_PLACE_LEN];
    uint64_t             n;
    ngx_int_t            rc;
    ngx_uint_t           i, parked;
    ngx_async_db_per_t  *per;

    n = 1;

    for (i = 0; i < job->urgency; i++) {
        n += row->ready[i];
    }

    parked = 0;
    rc = NGX_DECLINED;

    if (job->per.len) {
        rc = ngx_async_db_line_place(txn, row, job, place);
    }

    if (rc == NGX_DECLINED) {
        ngx_async_db_place(place, row, job);

    } else if (rc != NGX_OK) {
        return rc;

    } else if (place[NGX_ASYNC_DB_LEVEL_LEN - 1] & NGX_ASYNC_DB_SHADOW) {

        /* it will be ready with a turn to come */

        parked = 1;
        ngx_memcpy(shadow, place, sizeof(shadow));

        ngx_async_db_place(place, row, job);
        ngx_async_db_place_set_turn(place,
                                    ngx_max(row->clock[job->urgency] + 1,
                                            job->turn));
    }

    rc = ngx_async_db_rank(txn, place, &n);

    if (rc == NGX_OK && parked) {
        rc = ngx_async_db_rank(txn, shadow, &n);

        /* all of the levels before */

        ngx_memset(shadow + NGX_ASYNC_DB_LEVEL_LEN, 0xff,
                   sizeof(shadow) - NGX_ASYNC_DB_LEVEL_LEN);

        for (i = 0; rc == NGX_OK && i < job->urgency; i++) {
            shadow[NGX_ASYNC_DB_LEVEL_LEN - 1] = NGX_ASYNC_DB_SHADOW
                                                 | (u_char) i;
            rc = ngx_async_db_rank(txn, shadow, &n);
        }

    } else if (rc == NGX_OK && job->per.len) {
        rc = ngx_async_db_per(txn, row, job, &per);

        for (i = 0; rc == NGX_OK && i < job->urgency; i++) {
            n += per->parked[i];
        }
    }

    *position = n;

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


void
ngx_async_db_shadow(u_char *shadow, const u_char *place)
{
    ngx_memcpy(shadow, place, NGX_ASYNC_DB_PLACE_LEN);
    shadow[NGX_ASYNC_DB_LEVEL_LEN - 1] |= NGX_ASYNC_DB_SHADOW;
}


/* adds the number of jobs of the level that are before this place */

static ngx_int_t
ngx_async_db_rank(ngx_async_db_txn_t *txn, const u_char *place, uint64_t *n)
{
    u_char       start[NGX_ASYNC_DB_PLACE_LEN];
    MDB_val      key, val;
    uint32_t     count;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    rc = ngx_async_db_rank_find(txn, place, &cursor, start, &count);

    if (rc == NGX_OK) {
        rc = ngx_async_db_count(txn, NGX_ASYNC_DB_READY, start, place,
                                sizeof(start), NGX_ASYNC_DB_RANK_MAX, n);
    }

    while (rc == NGX_OK) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_PREV);

        if (rc != NGX_OK
            || val.mv_size != 4
            || ngx_memcmp(key.mv_data, place, NGX_ASYNC_DB_LEVEL_LEN) != 0)
        {
            break;
        }

        *n += ngx_async_db_read_u32(val.mv_data);
    }

    return rc == NGX_DECLINED ? NGX_OK : rc;
}
