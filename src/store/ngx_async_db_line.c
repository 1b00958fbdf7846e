
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * The line in which the jobs of a "per" value wait.  If n more of them may run
 * by per_concurrency, the first n of each level are ready, and the others are
 * parked: a claim does not meet jobs that may not start, misses none that may,
 * and a change of n moves few of them.  Jobs without a value stand in no line:
 * as with nginx's other limits, an empty value has none.
 *
 * Turns in which a value could not start its jobs are not made up for: a job
 * that is ready at last gets a turn to come, as if it had entered then.  Its
 * entry in "ready" has this one, and its place in the line stays.
 *
 * When the limit is changed, the values are gone through once, by all workers
 * together.
 */

/* urgency; ready or parked; turn, seq */
#define NGX_ASYNC_DB_LINE_LEN      (1 + 1 + 8 + 8)
#define NGX_ASYNC_DB_LINE_DATA     (NGX_ASYNC_ID_LEN + 8)
#define NGX_ASYNC_DB_LINE_MAX      (NGX_ASYNC_DB_PER_MAX                      \
                                    + NGX_ASYNC_DB_LINE_LEN)

/*
 * For another limit: jobs that one step moves, pages that have to be free for
 * each of them, and values that it looks at.
 */
#define NGX_ASYNC_DB_MOVES_MAX     256
#define NGX_ASYNC_DB_MOVE_PAGES    32
#define NGX_ASYNC_DB_VALUES_MAX    1024

/* "fitting", queue */
#define NGX_ASYNC_DB_FITTING_LEN   (7 + 4)

#define ngx_async_db_behind(a, b)                                             \
    (ngx_memcmp(a, b, NGX_ASYNC_DB_PLACE_LEN) > 0)


static uint32_t ngx_async_db_line_room(ngx_async_db_row_t *row,
    ngx_async_db_per_t *per);
static size_t ngx_async_db_line_key(u_char *key, ngx_async_db_per_t *per,
    const u_char *place);
static ngx_int_t ngx_async_db_line_get(ngx_async_db_txn_t *txn,
    const u_char *place, u_char *at);
static ngx_int_t ngx_async_db_line_put(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, const u_char *place, const u_char *id,
    uint64_t turn, u_char *at);
static ngx_int_t ngx_async_db_line_out(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, const u_char *place, u_char *at);
static ngx_int_t ngx_async_db_line_before(ngx_async_db_txn_t *txn,
    const u_char *place, uint64_t *turn);
static ngx_int_t ngx_async_db_line_edge(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_uint_t urgency, ngx_uint_t parked,
    u_char *place, u_char *id);
static ngx_int_t ngx_async_db_line_move(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_uint_t urgency, ngx_uint_t parks);
static ngx_uint_t ngx_async_db_moves(ngx_async_db_txn_t *txn);
static ngx_int_t ngx_async_db_fit_value(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_uint_t least, ngx_uint_t *moves);
static void ngx_async_db_fitting_key(u_char *key, ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_fitting_from(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, u_char *key, size_t *len);
static ngx_int_t ngx_async_db_fitting_value(ngx_async_db_txn_t *txn,
    u_char *key, size_t *len);


/* how many jobs of the value may be ready in each level */

static uint32_t
ngx_async_db_line_room(ngx_async_db_row_t *row, ngx_async_db_per_t *per)
{
    if (row->per_concurrency == 0) {
        return UINT32_MAX;
    }

    if (per->running >= row->per_concurrency) {
        return 0;
    }

    return (uint32_t) ngx_min(row->per_concurrency - per->running, UINT32_MAX);
}


ngx_uint_t
ngx_async_db_line_full(ngx_async_db_row_t *row, ngx_async_db_per_t *per)
{
    return ngx_async_db_line_room(row, per) == 0;
}


ngx_int_t
ngx_async_db_line_add(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    u_char               id[NGX_ASYNC_ID_LEN];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    u_char               edge[NGX_ASYNC_DB_PLACE_LEN];
    u_char               shadow[NGX_ASYNC_DB_PLACE_LEN];
    uint32_t             room;
    uint64_t             turn;
    ngx_int_t            rc;
    ngx_uint_t           u, parks;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    u = job->urgency;
    room = ngx_async_db_line_room(row, per);
    parks = 0;

    ngx_async_db_place(place, row, job);

    if (per->parked[u]) {
        rc = ngx_async_db_line_edge(txn, row, u, 1, edge, id);
        parks = rc == NGX_OK && ngx_async_db_behind(place, edge);
    }

    if (rc == NGX_OK && !parks && per->ready[u] >= room) {

        if (per->ready[u]) {
            rc = ngx_async_db_line_edge(txn, row, u, 0, edge, id);
            parks = rc == NGX_OK && ngx_async_db_behind(place, edge);

        } else {
            parks = 1;
        }

        if (rc == NGX_OK && !parks) {

            /* the job was here before, and gets its old place */

            rc = ngx_async_db_line_move(txn, row, u, 1);
        }
    }

    turn = 0;

    if (rc == NGX_OK && !parks && per->ready[u]) {
        rc = ngx_async_db_line_before(txn, place, &turn);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_shadow(shadow, place);

    return ngx_async_db_line_put(txn, row, parks ? shadow : place,
                                 job->id.bytes, ngx_max(turn, job->turn), edge);
}


ngx_int_t
ngx_async_db_line_del(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    u_char               at[NGX_ASYNC_DB_PLACE_LEN];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    u_char               shadow[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_place(place, row, job);

    rc = ngx_async_db_line_out(txn, row, place, at);

    if (rc == NGX_DECLINED) {
        ngx_async_db_shadow(shadow, place);
        rc = ngx_async_db_line_out(txn, row, shadow, at);
    }

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


ngx_int_t
ngx_async_db_line_place(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, u_char *at)
{
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    u_char               shadow[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_place(place, row, job);

    rc = ngx_async_db_line_get(txn, place, at);

    if (rc == NGX_DECLINED) {
        ngx_async_db_shadow(shadow, place);
        rc = ngx_async_db_line_get(txn, shadow, at);
    }

    return rc;
}


/* the value, then urgency, whether parked, turn and seq of the place */

static size_t
ngx_async_db_line_key(u_char *key, ngx_async_db_per_t *per,
    const u_char *place)
{
    u_char  *p;

    p = ngx_cpymem(key, per->key, per->len);

    place += sizeof(uint32_t);

    *p++ = *place & ~NGX_ASYNC_DB_SHADOW;
    *p++ = (*place & NGX_ASYNC_DB_SHADOW) != 0;

    p = ngx_cpymem(p, place + 1, NGX_ASYNC_DB_LINE_LEN - 2);

    return p - key;
}


/* an entry of the line of the value at hand; "at" is its place in "ready" */

static ngx_int_t
ngx_async_db_line_get(ngx_async_db_txn_t *txn, const u_char *place, u_char *at)
{
    size_t     len;
    u_char     key[NGX_ASYNC_DB_LINE_MAX], *p;
    MDB_val    val;
    ngx_int_t  rc;

    len = ngx_async_db_line_key(key, &txn->per, place);

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_LINES, key, len, &val);

    if (rc != NGX_OK) {
        return rc;
    }

    if (val.mv_size != NGX_ASYNC_DB_LINE_DATA) {
        return ngx_async_db_corrupt(txn);
    }

    p = (u_char *) val.mv_data + NGX_ASYNC_ID_LEN;

    ngx_memcpy(at, place, NGX_ASYNC_DB_PLACE_LEN);
    ngx_async_db_place_set_turn(at, ngx_async_db_read_u64(p));

    return NGX_OK;
}


/* at a place, or its shadow; what is parked keeps its turn */

static ngx_int_t
ngx_async_db_line_put(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    const u_char *place, const u_char *id, uint64_t turn, u_char *at)
{
    size_t               len;
    u_char               key[NGX_ASYNC_DB_LINE_MAX], level, *p;
    u_char               data[NGX_ASYNC_DB_LINE_DATA];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    per = &txn->per;
    per->dirty = 1;

    level = place[NGX_ASYNC_DB_LEVEL_LEN - 1];

    if (level & NGX_ASYNC_DB_SHADOW) {
        per->parked[level & ~NGX_ASYNC_DB_SHADOW]++;
        turn = ngx_async_db_place_turn(place);

    } else {
        per->ready[level]++;
        per->ready_turn[level] = ngx_max(per->ready_turn[level], turn);
    }

    len = ngx_async_db_line_key(key, per, place);

    p = ngx_cpymem(data, id, NGX_ASYNC_ID_LEN);
    (void) ngx_async_db_u64(p, turn);

    rc = ngx_async_db_put(txn, NGX_ASYNC_DB_LINES, key, len, data,
                          sizeof(data));
    if (rc != NGX_OK) {
        return rc;
    }

    ngx_memcpy(at, place, NGX_ASYNC_DB_PLACE_LEN);
    ngx_async_db_place_set_turn(at, turn);

    return ngx_async_db_place_put(txn, row, at, id);
}


static ngx_int_t
ngx_async_db_line_out(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    const u_char *place, u_char *at)
{
    size_t               len;
    u_char               key[NGX_ASYNC_DB_LINE_MAX], level;
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_line_get(txn, place, at);

    if (rc != NGX_OK) {
        return rc;
    }

    per = &txn->per;
    per->dirty = 1;

    level = place[NGX_ASYNC_DB_LEVEL_LEN - 1];

    if (level & NGX_ASYNC_DB_SHADOW) {
        per->parked[level & ~NGX_ASYNC_DB_SHADOW]--;

    } else {
        per->ready[level]--;

        if (per->ready_turn[level] == ngx_async_db_place_turn(at)) {

            /* as with the last turn that was given */

            per->ready_turn[level]--;
        }
    }

    len = ngx_async_db_line_key(key, per, place);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_LINES, key, len);

    if (rc == NGX_OK) {
        rc = ngx_async_db_place_del(txn, row, at);
    }

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


/* the turn of the ready job before a place, 0 if there is none */

static ngx_int_t
ngx_async_db_line_before(ngx_async_db_txn_t *txn, const u_char *place,
    uint64_t *turn)
{
    u_char       from[NGX_ASYNC_DB_LINE_MAX], *p;
    size_t       len;
    MDB_val      key, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_LINES, &rc);

    if (cursor == NULL) {
        return rc;
    }

    len = ngx_async_db_line_key(from, &txn->per, place);

    key.mv_data = from;
    key.mv_size = len;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc == NGX_OK || rc == NGX_DECLINED) {
        rc = ngx_async_db_seek(txn, cursor, &key, &val,
                               rc == NGX_OK ? MDB_PREV : MDB_LAST);
    }

    if (rc != NGX_OK
        || key.mv_size != len
        || ngx_memcmp(key.mv_data, from,
                      len - NGX_ASYNC_DB_LINE_LEN + 2) != 0)
    {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (val.mv_size != NGX_ASYNC_DB_LINE_DATA) {
        return ngx_async_db_corrupt(txn);
    }

    p = (u_char *) val.mv_data + NGX_ASYNC_ID_LEN;
    *turn = ngx_async_db_read_u64(p);

    return NGX_OK;
}


/*
 * The first parked job of a level of the value at hand, or its last ready one.
 * There is one, by the value's row; the place is that of its line.
 */

static ngx_int_t
ngx_async_db_line_edge(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t urgency, ngx_uint_t parked, u_char *place, u_char *id)
{
    u_char               from[NGX_ASYNC_DB_LINE_MAX], *p;
    size_t               len;
    MDB_val              key, val;
    ngx_int_t            rc;
    MDB_cursor          *cursor;
    ngx_async_db_per_t  *per;

    per = &txn->per;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_LINES, &rc);

    if (cursor == NULL) {
        return rc;
    }

    /* what is parked is behind what is ready */

    p = ngx_cpymem(from, per->key, per->len);
    *p++ = (u_char) urgency;
    *p++ = 1;

    len = p - from;

    key.mv_data = from;
    key.mv_size = len;

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (!parked && (rc == NGX_OK || rc == NGX_DECLINED)) {
        from[len - 1] = 0;

        rc = ngx_async_db_seek(txn, cursor, &key, &val,
                               rc == NGX_OK ? MDB_PREV : MDB_LAST);
    }

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (rc == NGX_DECLINED
        || key.mv_size != per->len + NGX_ASYNC_DB_LINE_LEN
        || ngx_memcmp(key.mv_data, from, len) != 0
        || val.mv_size != NGX_ASYNC_DB_LINE_DATA)
    {
        return ngx_async_db_corrupt(txn);
    }

    p = ngx_async_db_u32(place, row->number);
    *p++ = (u_char) urgency;

    ngx_memcpy(p, (u_char *) key.mv_data + len, NGX_ASYNC_DB_LINE_LEN - 2);
    ngx_memcpy(id, val.mv_data, NGX_ASYNC_ID_LEN);

    return NGX_OK;
}


/* parks the last ready job of a level, or makes the first parked one ready */

static ngx_int_t
ngx_async_db_line_move(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t urgency, ngx_uint_t parks)
{
    u_char               before[NGX_ASYNC_DB_PLACE_LEN];
    u_char               at[NGX_ASYNC_DB_PLACE_LEN];
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    u_char               shadow[NGX_ASYNC_DB_PLACE_LEN];
    uint64_t             turn;
    ngx_int_t            rc;
    ngx_async_id_t       id;
    ngx_async_db_per_t  *per;

    rc = ngx_async_db_line_edge(txn, row, urgency, !parks, place, id.bytes);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_touch(row);
    ngx_async_db_shadow(shadow, place);

    rc = ngx_async_db_line_out(txn, row, parks ? place : shadow, before);

    if (rc == NGX_OK) {
        per = &txn->per;

        turn = ngx_max(row->clock[urgency], per->ready_turn[urgency]) + 1;
        turn = ngx_max(turn, ngx_async_db_place_turn(place));

        rc = ngx_async_db_line_put(txn, row, parks ? shadow : place, id.bytes,
                                   turn, at);
    }

    if (rc == NGX_OK && parks) {
        rc = ngx_async_db_retime_parked(txn, row, before, at, &id);
    }

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


ngx_int_t
ngx_async_db_fit(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_uint_t           moves;
    ngx_async_db_per_t  *per;

    if (job->per.len == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    /* one of each level, if the limit is not another one */

    moves = row->fitting ? ngx_async_db_moves(txn) : 0;

    return ngx_async_db_fit_value(txn, row, 1, &moves);
}


/*
 * How many moves may be done for another limit.  When the map or the disk is
 * full they must not take what jobs need to start and to end.
 */

static ngx_uint_t
ngx_async_db_moves(ngx_async_db_txn_t *txn)
{
    uint64_t  pages;

    pages = NGX_ASYNC_DB_MOVES_MAX * NGX_ASYNC_DB_MOVE_PAGES;
    pages = ngx_async_db_spare(txn, pages);

    return (ngx_uint_t) (pages / NGX_ASYNC_DB_MOVE_PAGES);
}


ngx_uint_t
ngx_async_db_fits_more(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    return row->fitting && ngx_async_db_moves(txn);
}


/*
 * Of the value at hand, at least so many of each level; when no moves are
 * left, it may not be done.
 */

static ngx_int_t
ngx_async_db_fit_value(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t least, ngx_uint_t *moves)
{
    uint32_t             room;
    ngx_int_t            rc;
    ngx_uint_t           n, u, parks;
    ngx_async_db_per_t  *per;

    per = &txn->per;
    room = ngx_async_db_line_room(row, per);

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {

        for (n = 0; n < least || *moves; n++) {
            parks = per->ready[u] > room;

            if (!parks && (per->ready[u] == room || per->parked[u] == 0)) {
                break;
            }

            rc = ngx_async_db_line_move(txn, row, u, parks);

            if (rc != NGX_OK) {
                return rc;
            }

            if (*moves) {
                (*moves)--;
            }
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_fitting(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t fitting)
{
    u_char     key[NGX_ASYNC_DB_FITTING_LEN];
    ngx_int_t  rc;

    row->fitting = (fitting != 0);
    ngx_async_db_touch(row);

    ngx_async_db_fitting_key(key, row);

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_META, key, sizeof(key));

    return rc == NGX_DECLINED ? NGX_OK : rc;
}


ngx_int_t
ngx_async_db_fit_all(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row)
{
    size_t      len;
    u_char      key[NGX_ASYNC_DB_PER_MAX + 1];
    u_char      name[NGX_ASYNC_DB_FITTING_LEN];
    ngx_int_t   rc;
    ngx_uint_t  n, left, moves;

    moves = ngx_async_db_moves(txn);

    if (moves <= txn->moves) {

        /* not in this transaction */

        return NGX_OK;
    }

    moves -= txn->moves;
    left = moves;

    /* the value at hand may not be there yet */

    rc = ngx_async_db_per_save(txn);

    if (rc == NGX_OK) {
        rc = ngx_async_db_fitting_from(txn, row, key, &len);
    }

    for (n = 0; rc == NGX_OK && n < NGX_ASYNC_DB_VALUES_MAX; n++) {

        rc = ngx_async_db_fitting_value(txn, key, &len);

        if (rc == NGX_OK && len > sizeof(uint32_t) + 1) {
            rc = ngx_async_db_fit_value(txn, row, 0, &moves);
        }

        if (rc != NGX_OK || moves == 0) {
            break;
        }

        /* behind this value */

        key[len++] = 0;
    }

    txn->moves += left - moves;

    if (rc == NGX_DECLINED) {
        return ngx_async_db_fitting(txn, row, 0);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_async_db_fitting_key(name, row);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_META, name, sizeof(name), key,
                            len);
}


static void
ngx_async_db_fitting_key(u_char *key, ngx_async_db_row_t *row)
{
    u_char  *p;

    p = ngx_cpymem(key, "fitting",
                   NGX_ASYNC_DB_FITTING_LEN - sizeof(uint32_t));
    (void) ngx_async_db_u32(p, row->number);
}


/* the key of "pers" where to go on */

static ngx_int_t
ngx_async_db_fitting_from(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    u_char *key, size_t *len)
{
    u_char     name[NGX_ASYNC_DB_FITTING_LEN];
    MDB_val    val;
    ngx_int_t  rc;

    *len = ngx_async_db_u32(key, row->number) - key;

    ngx_async_db_fitting_key(name, row);

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_META, name, sizeof(name), &val);

    if (rc != NGX_OK) {
        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    if (val.mv_size < sizeof(uint32_t)
        || val.mv_size > NGX_ASYNC_DB_PER_MAX + 1)
    {
        return ngx_async_db_corrupt(txn);
    }

    *len = val.mv_size;
    ngx_memcpy(key, val.mv_data, *len);

    return NGX_OK;
}


/* loads the first value from a key of "pers" on, which becomes its own */

static ngx_int_t
ngx_async_db_fitting_value(ngx_async_db_txn_t *txn, u_char *key, size_t *len)
{
    MDB_val      k, val;
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_PERS, &rc);

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

    if (k.mv_size > NGX_ASYNC_DB_PER_MAX) {
        return ngx_async_db_corrupt(txn);
    }

    *len = k.mv_size;
    ngx_memcpy(key, k.mv_data, *len);

    return ngx_async_db_per_load(txn, key, *len);
}
