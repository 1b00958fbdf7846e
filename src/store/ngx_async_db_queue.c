
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/* values that one claim finds at their limits */
#define NGX_ASYNC_DB_CLAIM_MAX    4


static ngx_int_t ngx_async_db_value(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_async_job_t *job, ngx_async_db_per_t **per);
static ngx_uint_t ngx_async_db_waits_before(ngx_async_db_row_t *row,
    ngx_uint_t urgency);
static ngx_uint_t ngx_async_db_level(ngx_async_db_row_t *row);
static ngx_int_t ngx_async_db_head(ngx_async_db_txn_t *txn,
    ngx_async_db_row_t *row, ngx_uint_t u, ngx_async_job_t *job);
static void ngx_async_db_pause_id(ngx_async_db_row_t *row, ngx_async_id_t *id);


ngx_int_t
ngx_async_db_admit(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_op_t *op)
{
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    if (op->limits == NULL) {
        return NGX_OK;
    }

    if (op->limits->backlog
        && ngx_async_db_row_waiting(row) >= op->limits->backlog)
    {
        op->full = NGX_ASYNC_FULL_QUEUE;
        return NGX_BUSY;
    }

    if (op->limits->per_backlog && op->job->per.len) {
        rc = ngx_async_db_per(txn, row, op->job, &per);

        if (rc != NGX_OK) {
            return rc;
        }

        if (ngx_async_db_per_waiting(per) >= op->limits->per_backlog) {
            op->full = NGX_ASYNC_FULL_PER;
            return NGX_BUSY;
        }
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_direct(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_limits_t *limits, uint64_t now)
{
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    if (ngx_async_db_waits_before(row, job->urgency)
        || ngx_async_db_paused(row, now))
    {
        return NGX_DECLINED;
    }

    if (ngx_async_db_fair(row)
        && ngx_async_db_waits_before(row, NGX_ASYNC_DB_URGENCIES - 1))
    {
        /* it is the turn of one that is less urgent */

        return NGX_DECLINED;
    }

    if (limits && limits->backlog && row->delayed >= limits->backlog) {

        /* all that start come back to wait for their next attempt */

        return NGX_DECLINED;
    }

    if (job->per.len == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    if (row->fitting
        || ngx_async_db_line_full(row, per)
        || (limits && limits->per_backlog
            && per->delayed >= limits->per_backlog))
    {
        return NGX_DECLINED;
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_async_db_waits_before(ngx_async_db_row_t *row, ngx_uint_t urgency)
{
    ngx_uint_t  i;

    for (i = 0; i <= urgency; i++) {
        if (row->ready[i]) {
            return 1;
        }
    }

    return 0;
}


/*
 * Start-time fair queueing between the values of "per": a job's turn is one
 * after that of the value's last job, but not before the turn that is being
 * served.  In a queue that has no values all turns are 0, and seq decides.
 *
 * The turn of a job that leaves without having started is given again if it is
 * the value's last one; one before it cannot be, as the value's jobs keep their
 * order.  When none of them waits, all turns that are not served yet are free.
 */

ngx_int_t
ngx_async_db_enter(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_uint_t           u;
    ngx_async_db_per_t  *per;

    u = job->urgency;

    if (job->per.len) {
        row->fair = 1;
    }

    if (job->seq == 0) {

        /* numbers of transactions grow, in all queues */

        row->seq = ngx_max(row->seq + 1, (txn->id << 24) + txn->nseqs++);
        job->seq = row->seq;
    }

    job->turn = 0;

    ngx_async_db_touch(row);

    if (!row->fair) {
        return NGX_OK;
    }

    if (job->status == NGX_ASYNC_RUNNING) {

        /* a promised call has begun before those that wait: no turn is its */

        job->turn = ngx_max(row->clock[u], 1);
        return NGX_OK;
    }

    rc = ngx_async_db_per(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_async_db_per_waiting(per) == 0) {

        /* turns ahead of the clock are of jobs that never ran */

        ngx_memzero(per->turn, sizeof(per->turn));
        ngx_memzero(per->ready_turn, sizeof(per->ready_turn));
    }

    job->turn = ngx_max(per->turn[u], per->ready_turn[u]);
    job->turn = ngx_max(job->turn, row->clock[u]) + 1;
    per->turn[u] = job->turn;
    per->dirty = 1;

    return NGX_OK;
}


/* the value of a job that is counted there, to be changed; else NULL */

static ngx_int_t
ngx_async_db_value(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job, ngx_async_db_per_t **per)
{
    ngx_int_t  rc;

    *per = NULL;

    if (!ngx_async_db_counted(job)) {
        return NGX_OK;
    }

    rc = ngx_async_db_per(txn, row, job, per);

    if (rc == NGX_OK) {
        (*per)->dirty = 1;
    }

    return rc;
}


ngx_int_t
ngx_async_db_wait(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    ngx_async_db_touch(row);

    job->queue_deadline = ngx_async_db_deadline(row, job);

    if ((rc = ngx_async_db_dates_put(txn, job)) != NGX_OK
        || (rc = ngx_async_db_value(txn, row, job, &per)) != NGX_OK)
    {
        return rc;
    }

    if (per) {
        per->turn[job->urgency] = ngx_max(per->turn[job->urgency], job->turn);
    }

    if (job->not_before) {
        row->delayed++;

        if (per) {
            per->delayed++;
        }

        return NGX_OK;
    }

    if (job->per.len) {
        return ngx_async_db_line_add(txn, row, job);
    }

    if (per) {
        per->ready[job->urgency]++;
    }

    ngx_async_db_place(place, row, job);

    return ngx_async_db_place_put(txn, row, place, job->id.bytes);
}


ngx_int_t
ngx_async_db_unwait(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    ngx_async_db_touch(row);

    if ((rc = ngx_async_db_dates_del(txn, job)) != NGX_OK
        || (rc = ngx_async_db_value(txn, row, job, &per)) != NGX_OK)
    {
        return rc;
    }

    if (per && per->turn[job->urgency] == job->turn) {

        /* if it starts, it is the queue's clock that has this turn */

        per->turn[job->urgency]--;
    }

    if (job->not_before) {
        row->delayed--;

        if (per) {
            per->delayed--;
        }

        return NGX_OK;
    }

    if (job->per.len) {
        return ngx_async_db_line_del(txn, row, job);
    }

    if (per) {
        per->ready[job->urgency]--;
    }

    ngx_async_db_place(place, row, job);

    rc = ngx_async_db_place_del(txn, row, place);

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


ngx_int_t
ngx_async_db_place_put(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    const u_char *place, const u_char *id)
{
    u_char     level;
    ngx_int_t  rc;

    level = place[NGX_ASYNC_DB_LEVEL_LEN - 1];

    if (level & NGX_ASYNC_DB_SHADOW) {
        row->parked++;

    } else {
        row->ready[level]++;
    }

    rc = ngx_async_db_add(txn, NGX_ASYNC_DB_READY, place,
                          NGX_ASYNC_DB_PLACE_LEN, id, NGX_ASYNC_ID_LEN);

    return rc == NGX_OK ? ngx_async_db_rank_add(txn, place) : rc;
}


ngx_int_t
ngx_async_db_place_del(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    const u_char *place)
{
    u_char     level;
    ngx_int_t  rc;

    rc = ngx_async_db_del(txn, NGX_ASYNC_DB_READY, place,
                          NGX_ASYNC_DB_PLACE_LEN);

    if (rc != NGX_OK) {
        return rc;
    }

    level = place[NGX_ASYNC_DB_LEVEL_LEN - 1];

    if (level & NGX_ASYNC_DB_SHADOW) {
        row->parked--;

    } else {
        row->ready[level]--;
    }

    return ngx_async_db_rank_del(txn, place);
}


ngx_int_t
ngx_async_db_run(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    row->running++;
    row->clock[job->urgency] = ngx_max(row->clock[job->urgency], job->turn);

    ngx_async_db_touch(row);

    rc = ngx_async_db_value(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    if (per) {
        per->running++;
    }

    rc = ngx_async_db_running_put(txn, job->runner, &job->id,
                                  NGX_ASYNC_DB_RUNS);

    return rc == NGX_OK ? ngx_async_db_fit(txn, row, job) : rc;
}


ngx_int_t
ngx_async_db_unrun(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_int_t            rc;
    ngx_async_db_per_t  *per;

    row->running--;

    ngx_async_db_touch(row);

    if (job->flags & NGX_ASYNC_JOB_PROBE) {

        /* until the caller says what it found, another one may probe */

        job->flags &= (u_char) ~NGX_ASYNC_JOB_PROBE;

        if (ngx_async_id_cmp(&row->probe, &job->id) == 0) {
            row->probing = 0;
            row->half_open = 1;
            ngx_memzero(&row->probe, sizeof(ngx_async_id_t));
        }
    }

    rc = ngx_async_db_value(txn, row, job, &per);

    if (rc != NGX_OK) {
        return rc;
    }

    if (per) {
        per->running--;
    }

    return ngx_async_db_running_del(txn, job->runner, &job->id);
}


ngx_int_t
ngx_async_db_first(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_op_t *op, ngx_async_job_t *job)
{
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];
    ngx_int_t            rc;
    ngx_uint_t           n;
    ngx_async_db_per_t  *per;

    op->more = ngx_async_db_fits_more(txn, row);

    if (ngx_async_db_paused(row, op->now)) {
        return NGX_DECLINED;
    }

    for (n = 0; n < NGX_ASYNC_DB_CLAIM_MAX; n++) {

        rc = ngx_async_db_head(txn, row, ngx_async_db_level(row), job);

        if (rc != NGX_OK) {
            return rc;
        }

        if (job->per.len == 0) {
            return NGX_OK;
        }

        rc = ngx_async_db_per(txn, row, job, &per);

        if (rc != NGX_OK) {
            return rc;
        }

        if (!ngx_async_db_line_full(row, per)) {
            rc = ngx_async_db_line_place(txn, row, job, place);

            row->clock[job->urgency] = ngx_max(row->clock[job->urgency],
                                               ngx_async_db_place_turn(place));

            return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
        }

        /* until all values fit a limit that was lowered */

        if (!op->more) {
            return NGX_DECLINED;
        }

        rc = ngx_async_db_fit(txn, row, job);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    op->more = 1;

    return NGX_DECLINED;
}


ngx_int_t
ngx_async_db_foremost(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_async_job_t *job)
{
    ngx_uint_t  u;

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {
        if (row->ready[u]) {
            break;
        }
    }

    return ngx_async_db_head(txn, row, u, job);
}


/* the first ready job of a level */

static ngx_int_t
ngx_async_db_head(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    ngx_uint_t u, ngx_async_job_t *job)
{
    u_char           buf[NGX_ASYNC_DB_PLACE_LEN];
    MDB_val          key, val;
    ngx_int_t        rc;
    MDB_cursor      *cursor;
    ngx_async_id_t   id;

    if (u == NGX_ASYNC_DB_URGENCIES) {
        return NGX_DECLINED;
    }

    cursor = ngx_async_db_cursor(txn, NGX_ASYNC_DB_READY, &rc);

    if (cursor == NULL) {
        return rc;
    }

    ngx_memzero(buf, sizeof(buf));
    *ngx_async_db_u32(buf, row->number) = (u_char) u;

    key.mv_data = buf;
    key.mv_size = sizeof(buf);

    rc = ngx_async_db_seek(txn, cursor, &key, &val, MDB_SET_RANGE);

    if (rc == NGX_OK
        && key.mv_size == sizeof(buf)
        && val.mv_size == NGX_ASYNC_ID_LEN
        && ngx_memcmp(key.mv_data, buf, NGX_ASYNC_DB_LEVEL_LEN) == 0)
    {
        ngx_memcpy(id.bytes, val.mv_data, NGX_ASYNC_ID_LEN);
        rc = ngx_async_db_load(txn, &id, job);

    } else if (rc == NGX_OK) {
        rc = NGX_DECLINED;
    }

    /* the row counts on it */

    return rc == NGX_DECLINED ? ngx_async_db_corrupt(txn) : rc;
}


/*
 * One claim of each sixteen, the last one of the first sixteen.  It is not the
 * same one of all: values that are at their limits may start their jobs in some
 * rhythm, and it would never be for some of them.
 */

ngx_uint_t
ngx_async_db_fair(ngx_async_db_row_t *row)
{
    uint32_t  n;

    /* the golden ratio: of any numbers in a row, the parts are well spread */

    n = row->claims / NGX_ASYNC_DB_FAIR_CLAIMS * 0x9e3779b1U;
    n = NGX_ASYNC_DB_FAIR_CLAIMS - 1
        - (n >> 16) * NGX_ASYNC_DB_FAIR_CLAIMS / 0x10000;

    return row->claims % NGX_ASYNC_DB_FAIR_CLAIMS == n;
}


static ngx_uint_t
ngx_async_db_level(ngx_async_db_row_t *row)
{
    ngx_uint_t  u, top, next, last;

    top = NGX_ASYNC_DB_URGENCIES;       /* the most urgent one */
    next = top;                         /* before the one served last */
    last = top;                         /* the least urgent one */

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {

        if (row->ready[u] == 0) {
            continue;
        }

        if (top == NGX_ASYNC_DB_URGENCIES) {
            top = u;
            continue;
        }

        if (u < row->level) {
            next = u;
        }

        last = u;
    }

    if (last == NGX_ASYNC_DB_URGENCIES || !ngx_async_db_fair(row)) {
        return top;
    }

    /* all but the most urgent one in turn, the least urgent one first */

    return next == NGX_ASYNC_DB_URGENCIES ? last : next;
}


/*
 * A queue is paused, then half open (its time is over, one job may probe),
 * then probing.  "until" 0 opens it.
 */

ngx_int_t
ngx_async_db_pause(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    uint64_t until, uint64_t now)
{
    if (until && until < row->paused_until && !row->half_open) {
        return NGX_OK;
    }

    row->half_open = 0;

    if (until == 0) {
        row->probing = 0;
        ngx_memzero(&row->probe, sizeof(ngx_async_id_t));
    }

    return ngx_async_db_pause_set(txn, row, until, now);
}


ngx_int_t
ngx_async_db_pause_set(ngx_async_db_txn_t *txn, ngx_async_db_row_t *row,
    uint64_t until, uint64_t now)
{
    u_char          key[NGX_ASYNC_DB_DUE_LEN];
    ngx_int_t       rc;
    ngx_async_id_t  id;

    ngx_async_db_pause_id(row, &id);

    if (row->paused_until) {
        rc = ngx_async_db_due_del(txn, NGX_ASYNC_DUE_PAUSE, row->paused_until,
                                  &id);
        if (rc != NGX_OK) {
            return rc;
        }
    }

    row->paused_until = until;
    row->pause_clock = now - txn->db->steady();
    row->pause_boot = txn->db->boot;

    ngx_async_db_touch(row);

    if (until == 0) {
        return NGX_OK;
    }

    ngx_async_db_due_key(key, NGX_ASYNC_DUE_PAUSE, until, &id);

    return ngx_async_db_put(txn, NGX_ASYNC_DB_DUE, key, sizeof(key),
                            row->name.data, row->name.len);
}


static void
ngx_async_db_pause_id(ngx_async_db_row_t *row, ngx_async_id_t *id)
{
    ngx_memzero(id, sizeof(ngx_async_id_t));
    ngx_async_db_u32(id->bytes, row->number);
}


u_char *
ngx_async_db_place(u_char *p, ngx_async_db_row_t *row, ngx_async_job_t *job)
{
    p = ngx_async_db_u32(p, row->number);
    *p++ = job->urgency;
    p = ngx_async_db_u64(p, job->turn);

    return ngx_async_db_u64(p, job->seq);
}
