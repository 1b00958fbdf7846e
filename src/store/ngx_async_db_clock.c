
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_db_internal.h"


/*
 * What is due is told by the wall clock, which may jump.  Put forward, it must
 * not take away at once what was to be kept for a day; put back, it must not
 * delay by a year an attempt that was to be made in a second.
 *
 * So the wall clock is compared with one that counts steadily since the system
 * was started.  Records keep the difference as of their dates.  What is to be
 * taken away gets another date if the difference has changed since.  And a
 * sweep keeps it in "meta": when it has shrunk, everything that is not due yet
 * is reviewed, and may get an earlier date.
 *
 * After a restart of the system, nothing but the wall clock is known.
 */

/* milliseconds: less is taken for the delay between two readings */
#define NGX_ASYNC_DB_JUMP       10000

#define NGX_ASYNC_DB_CLOCK_LEN  (4 + 8 + 8 + NGX_ASYNC_DB_DUE_LEN + 1)


static int64_t ngx_async_db_jumped(ngx_async_db_txn_t *txn, uint64_t clock,
    uint32_t boot, uint64_t now);
static void ngx_async_db_shift(uint64_t *time, int64_t by);
static ngx_int_t ngx_async_db_clock_read(ngx_async_db_txn_t *txn,
    ngx_async_db_clock_t *clock);
static void ngx_async_db_review_from(ngx_async_db_clock_t *clock,
    ngx_uint_t class);
static ngx_int_t ngx_async_db_review_next(ngx_async_db_txn_t *txn,
    ngx_async_db_clock_t *clock, ngx_async_db_due_t *due);
static ngx_int_t ngx_async_db_review_one(ngx_async_db_txn_t *txn,
    ngx_async_db_due_t *due, uint64_t now);


static u_char  ngx_async_db_clock_key[] = "clock";


/* a number that is another one after the system was started again */

uint32_t
ngx_async_db_boot(void)
{
    int       fd;
    u_char    id[36], *p;
    ssize_t   n;
    uint32_t  boot;

    fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, id, sizeof(id));
    boot = 0;

    for (p = id; n > 0; n--) {
        boot = boot * 31 + *p++;
    }

    (void) close(fd);

    return boot;
}


/* by how much the clock has jumped since it had the difference "clock" */

static int64_t
ngx_async_db_jumped(ngx_async_db_txn_t *txn, uint64_t clock, uint32_t boot,
    uint64_t now)
{
    int64_t  by;

    if (boot != txn->db->boot) {
        return 0;
    }

    by = (int64_t) (now - txn->db->steady() - clock);

    return (by > NGX_ASYNC_DB_JUMP || by < -NGX_ASYNC_DB_JUMP) ? by : 0;
}


/* no time becomes "none" or "at once", or is one, and none wraps around */

static void
ngx_async_db_shift(uint64_t *time, int64_t by)
{
    uint64_t  n;

    if (*time == 0) {
        return;
    }

    if (by < 0) {
        n = (uint64_t) -by;
        *time = (*time > n + NGX_ASYNC_DB_AT_ONCE)
                ? *time - n : NGX_ASYNC_DB_AT_ONCE + 1;

    } else {
        n = (uint64_t) by;
        *time = (*time < UINT64_MAX - n) ? *time + n : UINT64_MAX;
    }
}


/*
 * Makes the dates of a record such as the clock shows "now"; true if they
 * were others.  The caller sees to the entries in "due".
 */

ngx_uint_t
ngx_async_db_stamp(ngx_async_db_txn_t *txn, ngx_async_job_t *job, uint64_t now)
{
    int64_t  by;

    by = ngx_async_db_jumped(txn, job->clock, job->boot, now);

    job->clock = now - txn->db->steady();
    job->boot = txn->db->boot;

    if (by == 0) {
        return 0;
    }

    ngx_async_db_shift(&job->finished, by);
    ngx_async_db_shift(&job->expires, by);
    ngx_async_db_shift(&job->not_before, by);
    ngx_async_db_shift(&job->queued, by);
    ngx_async_db_shift(&job->queue_deadline, by);
    ngx_async_db_shift(&job->callback_due, by);

    return 1;
}


/* the same with the entries; NGX_DECLINED: the job has got other dates */

ngx_int_t
ngx_async_db_redate(ngx_async_db_txn_t *txn, ngx_async_job_t *job,
    uint64_t now)
{
    ngx_int_t  rc;

    if (ngx_async_db_jumped(txn, job->clock, job->boot, now) == 0) {
        return NGX_OK;
    }

    rc = ngx_async_db_dates_del(txn, job);

    if (rc != NGX_OK) {
        return rc;
    }

    (void) ngx_async_db_stamp(txn, job, now);

    rc = ngx_async_db_dates_put(txn, job);

    if (rc == NGX_OK) {
        rc = ngx_async_db_save(txn, job);
    }

    return rc == NGX_OK ? NGX_DECLINED : rc;
}


/* "news" is set if the store does not know yet what the clock did */

ngx_int_t
ngx_async_db_clock(ngx_async_db_txn_t *txn, uint64_t now,
    ngx_async_db_clock_t *clock)
{
    u_char     review[NGX_ASYNC_DB_DUE_LEN];
    int64_t    by;
    ngx_int_t  rc;

    rc = ngx_async_db_clock_read(txn, clock);

    if (rc != NGX_OK && rc != NGX_DECLINED) {
        return rc;
    }

    if (rc == NGX_OK && clock->boot == txn->db->boot) {

        by = ngx_async_db_jumped(txn, clock->offset, clock->boot, now);

        if (by == 0) {
            return NGX_OK;
        }

        if (by < 0) {
            clock->from = now;

            ngx_memcpy(review, clock->review, sizeof(review));
            ngx_async_db_review_from(clock, 0);

            if (clock->reviewing
                && ngx_memcmp(review, clock->review, sizeof(review)) < 0)
            {
                /* still busy with an earlier jump */

                ngx_memcpy(clock->review, review, sizeof(review));
            }

            clock->reviewing = 1;
        }
    }

    clock->boot = txn->db->boot;
    clock->offset = now - txn->db->steady();
    clock->news = 1;

    return NGX_OK;
}


ngx_int_t
ngx_async_db_clock_save(ngx_async_db_txn_t *txn, ngx_async_db_clock_t *clock)
{
    u_char  *p, buf[NGX_ASYNC_DB_CLOCK_LEN];

    if (!clock->news) {
        return NGX_OK;
    }

    p = ngx_async_db_u32(buf, clock->boot);
    p = ngx_async_db_u64(p, clock->offset);
    p = ngx_async_db_u64(p, clock->from);
    p = ngx_cpymem(p, clock->review, NGX_ASYNC_DB_DUE_LEN);
    *p = (u_char) clock->reviewing;

    return ngx_async_db_put(txn, NGX_ASYNC_DB_META, ngx_async_db_clock_key,
                            sizeof(ngx_async_db_clock_key) - 1, buf,
                            sizeof(buf));
}


static ngx_int_t
ngx_async_db_clock_read(ngx_async_db_txn_t *txn, ngx_async_db_clock_t *clock)
{
    u_char     *p;
    MDB_val     val;
    ngx_int_t   rc;

    ngx_memzero(clock, sizeof(ngx_async_db_clock_t));

    rc = ngx_async_db_get(txn, NGX_ASYNC_DB_META, ngx_async_db_clock_key,
                          sizeof(ngx_async_db_clock_key) - 1, &val);
    if (rc != NGX_OK) {
        return rc;
    }

    if (val.mv_size != NGX_ASYNC_DB_CLOCK_LEN) {
        return ngx_async_db_corrupt(txn);
    }

    p = val.mv_data;

    clock->boot = ngx_async_db_read_u32(p);
    clock->offset = ngx_async_db_read_u64(p + 4);
    clock->from = ngx_async_db_read_u64(p + 12);
    ngx_memcpy(clock->review, p + 20, NGX_ASYNC_DB_DUE_LEN);
    clock->reviewing = p[NGX_ASYNC_DB_CLOCK_LEN - 1] & 1;

    return NGX_OK;
}


static void
ngx_async_db_review_from(ngx_async_db_clock_t *clock, ngx_uint_t class)
{
    ngx_memzero(clock->review, NGX_ASYNC_DB_DUE_LEN);
    clock->review[0] = (u_char) class;
    ngx_async_db_u64(clock->review + 1, clock->from);
}


/* some with every sweep; dates become earlier, hence none is met twice */

ngx_int_t
ngx_async_db_review(ngx_async_db_txn_t *txn, ngx_async_db_clock_t *clock,
    uint64_t now)
{
    ngx_int_t           rc;
    ngx_uint_t          n;
    ngx_async_db_due_t  due;

    if (!clock->reviewing) {
        return NGX_OK;
    }

    clock->news = 1;

    for (n = 0; n < NGX_ASYNC_SWEEP_MAX; n++) {

        rc = ngx_async_db_review_next(txn, clock, &due);

        if (rc == NGX_DECLINED) {
            clock->reviewing = 0;
            return NGX_OK;
        }

        if (rc == NGX_OK) {
            rc = ngx_async_db_review_one(txn, &due, now);
        }

        if (rc != NGX_OK) {
            return rc;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_db_review_next(ngx_async_db_txn_t *txn, ngx_async_db_clock_t *clock,
    ngx_async_db_due_t *due)
{
    ngx_int_t  rc;

    rc = ngx_async_db_due_seek(txn, clock->review, due);

    if (rc == NGX_OK && ngx_async_db_due_class(due->kind) != clock->review[0])
    {
        ngx_async_db_review_from(clock, 1);

        rc = ngx_async_db_due_seek(txn, clock->review, due);
    }

    if (rc == NGX_OK) {
        ngx_async_db_due_key(clock->review, due->kind, due->time, &due->id);

        /* the next one is sought from behind this one */

        ngx_async_db_due_behind(clock->review);
    }

    return rc;
}


static ngx_int_t
ngx_async_db_review_one(ngx_async_db_txn_t *txn, ngx_async_db_due_t *due,
    uint64_t now)
{
    int64_t              by;
    uint64_t             until;
    ngx_int_t            rc;
    ngx_str_t            name;
    ngx_async_job_t      job;
    ngx_async_db_row_t  *row;

    if (due->kind != NGX_ASYNC_DUE_PAUSE) {
        rc = ngx_async_db_load(txn, &due->id, &job);

        if (rc == NGX_OK) {
            rc = ngx_async_db_redate(txn, &job, now);
        }

        return rc == NGX_DECLINED ? NGX_OK : rc;
    }

    name.data = due->queue;
    name.len = due->len;

    rc = ngx_async_db_row(txn, &name, &row);

    if (rc != NGX_OK) {
        return rc;
    }

    by = ngx_async_db_jumped(txn, row->pause_clock, row->pause_boot, now);

    if (by == 0 || row->paused_until != due->time) {
        return NGX_OK;
    }

    until = row->paused_until;
    ngx_async_db_shift(&until, by);

    return ngx_async_db_pause_set(txn, row, until, now);
}
