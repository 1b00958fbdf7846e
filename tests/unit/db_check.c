
/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


/*
 * Reads every table of the store and recounts: what the records say is in the
 * indexes, and nothing else is.
 */

#define JOBS    8192
#define QUEUES  16

/* of a line's key behind the value */
#define LINE    18

typedef struct {
    ngx_async_db_row_t  row;
    uint64_t            ready[NGX_ASYNC_DB_URGENCIES];
    uint64_t            parked;
    uint64_t            delayed;
    uint64_t            running;
} queue_t;

static ngx_async_db_txn_t  txn;
static ngx_async_job_t     jobs[JOBS];
static ngx_uint_t          njobs;
static queue_t             queues[QUEUES];
static ngx_uint_t          nqueues;
static uint64_t            expect[NGX_ASYNC_DB_TABLES];


static ngx_int_t
next(ngx_uint_t table, MDB_val *key, MDB_val *val, ngx_uint_t first)
{
    ngx_int_t    rc;
    MDB_cursor  *cursor;

    cursor = ngx_async_db_cursor(&txn, table, &rc);
    assert_non_null(cursor);

    rc = ngx_async_db_seek(&txn, cursor, key, val,
                           first ? MDB_FIRST : MDB_NEXT);

    assert_true(rc == NGX_OK || rc == NGX_DECLINED);

    return rc;
}


#define each(table, key, val)                                                 \
    for (ngx_int_t rc_ = next(table, key, val, 1); rc_ == NGX_OK;             \
         rc_ = next(table, key, val, 0))


static uint64_t
entries(ngx_uint_t table)
{
    MDB_stat  st;

    assert_int_equal(mdb_stat(txn.mdb, db->dbi[table], &st), 0);

    return st.ms_entries;
}


static ngx_async_job_t *
find(const u_char *id)
{
    ngx_uint_t  i;

    for (i = 0; i < njobs; i++) {
        if (ngx_memcmp(jobs[i].id.bytes, id, NGX_ASYNC_ID_LEN) == 0) {
            return &jobs[i];
        }
    }

    return NULL;
}


static queue_t *
find_queue(ngx_str_t *name)
{
    ngx_uint_t  i;

    for (i = 0; i < nqueues; i++) {
        if (queues[i].row.name.len == name->len
            && ngx_memcmp(queues[i].row.name.data, name->data, name->len) == 0)
        {
            return &queues[i];
        }
    }

    fail_msg("no row for queue %.*s", (int) name->len, name->data);

    return NULL;
}


static ngx_uint_t
has_due(ngx_uint_t kind, uint64_t time, const ngx_async_id_t *id)
{
    u_char   key[NGX_ASYNC_DB_DUE_LEN];
    MDB_val  val;

    ngx_async_db_due_key(key, kind, time, id);

    return ngx_async_db_get(&txn, NGX_ASYNC_DB_DUE, key, sizeof(key), &val)
           == NGX_OK;
}


static void
due(ngx_async_job_t *job, ngx_uint_t kind, uint64_t time)
{
    assert_true(has_due(kind, time, &job->id));
    expect[NGX_ASYNC_DB_DUE]++;
}


static void
load(void)
{
    MDB_val  key, val;

    njobs = 0;

    each(NGX_ASYNC_DB_JOBS, &key, &val) {
        if (key.mv_size != NGX_ASYNC_ID_LEN) {
            continue;
        }

        expect[NGX_ASYNC_DB_JOBS]++;
        assert_true(njobs < JOBS);
        assert_int_equal(ngx_async_job_decode(&jobs[njobs], val.mv_data,
                                              val.mv_size), NGX_OK);
        assert_memory_equal(jobs[njobs].id.bytes, key.mv_data,
                            NGX_ASYNC_ID_LEN);
        njobs++;
    }

    nqueues = 0;

    each(NGX_ASYNC_DB_QUEUES, &key, &val) {
        assert_true(nqueues < QUEUES);
        ngx_memzero(&queues[nqueues], sizeof(queue_t));
        assert_int_equal(ngx_async_db_row_decode(&queues[nqueues].row, &val),
                         NGX_OK);
        queues[nqueues].row.name.data = key.mv_data;
        queues[nqueues].row.name.len = key.mv_size;
        nqueues++;
    }
}


/* a part has exactly the pieces of its length, at most them, or none */

static void
check_blob(ngx_async_job_t *job, ngx_uint_t part, uint64_t len,
    ngx_uint_t whole)
{
    MDB_val   val;
    uint64_t  n, size, nonce;

    if (ngx_async_db_file_get(&txn, &job->id, part, &nonce, &size) == NGX_OK) {
        assert_true(len > 0);

        if (whole) {
            assert_int_equal(size, len);
        }

        expect[NGX_ASYNC_DB_JOBS]++;
        len = 0;
    }

    if (has_due(NGX_ASYNC_DUE_TRASH + part, NGX_ASYNC_DB_AT_ONCE, &job->id)) {
        assert_false(whole);
        return;
    }

    for (n = 0; n * NGX_ASYNC_PIECE < len; n++) {

        if (ngx_async_db_piece_get(&txn, &job->id, part, n, &val) != NGX_OK) {
            assert_false(whole);
            break;
        }

        size = ngx_min(len - n * NGX_ASYNC_PIECE, NGX_ASYNC_PIECE);

        if (whole) {
            assert_int_equal(val.mv_size, size);
        }

        assert_int_equal(*(u_char *) val.mv_data,
                         db_byte(&job->id, part, n * NGX_ASYNC_PIECE));
        expect[NGX_ASYNC_DB_JOBS]++;
    }

    assert_int_equal(ngx_async_db_piece_get(&txn, &job->id, part, n, &val),
                     NGX_DECLINED);
}


/* its jobs may still have deadlines by another timeout */

static ngx_uint_t
retimes(queue_t *q)
{
    MDB_val  key, val;

    each(NGX_ASYNC_DB_DUE, &key, &val) {
        if (((u_char *) key.mv_data)[9] == NGX_ASYNC_DUE_RETIME
            && val.mv_size == q->row.name.len
            && ngx_memcmp(val.mv_data, q->row.name.data, val.mv_size) == 0)
        {
            return 1;
        }
    }

    return 0;
}


/* the job is at that place, and in the line of its value if it has one */

static ngx_uint_t
stands(ngx_async_job_t *job, const u_char *place)
{
    u_char               key[NGX_ASYNC_DB_PER_MAX + LINE], *p;
    MDB_val              val;
    ngx_uint_t           shadow;
    ngx_async_db_per_t  *per;
    u_char               at[NGX_ASYNC_DB_PLACE_LEN];

    shadow = (place[4] & NGX_ASYNC_DB_SHADOW) != 0;

    if (job->per.len == 0) {
        if (ngx_async_db_get(&txn, NGX_ASYNC_DB_READY, place,
                             NGX_ASYNC_DB_PLACE_LEN, &val) != NGX_OK)
        {
            return 0;
        }

        assert_false(shadow);
        assert_memory_equal(val.mv_data, job->id.bytes, NGX_ASYNC_ID_LEN);
        expect[NGX_ASYNC_DB_READY]++;
        return 1;
    }

    assert_int_equal(ngx_async_db_per(&txn, &find_queue(&job->queue)->row,
                                      job, &per), NGX_OK);

    p = ngx_cpymem(key, per->key, per->len);
    *p++ = job->urgency;
    *p++ = (u_char) shadow;
    p = ngx_cpymem(p, place + NGX_ASYNC_DB_LEVEL_LEN, 16);

    if (ngx_async_db_get(&txn, NGX_ASYNC_DB_LINES, key, p - key, &val)
        != NGX_OK)
    {
        return 0;
    }

    assert_int_equal(val.mv_size, NGX_ASYNC_ID_LEN + 8);
    assert_memory_equal(val.mv_data, job->id.bytes, NGX_ASYNC_ID_LEN);
    expect[NGX_ASYNC_DB_LINES]++;

    /* the turn that it has in "ready" */

    ngx_memcpy(at, place, sizeof(at));
    ngx_memcpy(at + NGX_ASYNC_DB_LEVEL_LEN,
               (u_char *) val.mv_data + NGX_ASYNC_ID_LEN, 8);

    assert_true(ngx_memcmp(at, place, sizeof(at)) >= 0);
    assert_true(!shadow || ngx_memcmp(at, place, sizeof(at)) == 0);

    assert_int_equal(ngx_async_db_get(&txn, NGX_ASYNC_DB_READY, at,
                                      sizeof(at), &val), NGX_OK);
    assert_memory_equal(val.mv_data, job->id.bytes, NGX_ASYNC_ID_LEN);
    expect[NGX_ASYNC_DB_READY]++;

    return 1;
}


static void
check_waiting(ngx_async_job_t *job, queue_t *q)
{
    u_char      place[NGX_ASYNC_DB_PLACE_LEN];
    u_char      shadow[NGX_ASYNC_DB_PLACE_LEN];
    ngx_uint_t  n;

    assert_int_equal(job->finished, 0);
    assert_int_equal(job->expires, 0);

    if (!job->not_before && !retimes(q)
        && !has_due(NGX_ASYNC_DUE_RETIME, NGX_ASYNC_DB_AT_ONCE, &job->id))
    {
        assert_int_equal(job->queue_deadline,
                         ngx_async_db_deadline(&q->row, job));
    }

    if (job->attempt == 0 && job->queue_deadline) {
        due(job, NGX_ASYNC_DUE_DEADLINE, job->queue_deadline);
    }

    n = 0;

    if (job->not_before) {
        due(job, NGX_ASYNC_DUE_START, job->not_before);
        q->delayed++;
        n++;
    }

    ngx_async_db_place(place, &q->row, job);
    ngx_async_db_shadow(shadow, place);

    if (stands(job, place)) {
        q->ready[job->urgency]++;
        n++;
    }

    if (stands(job, shadow)) {
        q->parked++;
        n++;
    }

    assert_int_equal(n, 1);
}


static void
check_running(ngx_async_job_t *job, queue_t *q)
{
    u_char  kind;

    assert_int_equal(job->not_before, 0);
    assert_int_equal(job->finished, 0);
    assert_true(job->attempt > 0);
    assert_int_equal(ngx_async_db_running_kind(&txn, job->runner, &job->id,
                                               &kind), NGX_OK);
    assert_int_equal(kind, NGX_ASYNC_DB_RUNS);

    q->running++;
    expect[NGX_ASYNC_DB_RUNNING]++;

}


static void
check_finished(ngx_async_job_t *job)
{
    uint64_t  keep;

    assert_int_equal(job->not_before, 0);
    assert_true(job->finished != 0);

    due(job, NGX_ASYNC_DUE_EXPIRE, job->expires);

    if (job->flags & NGX_ASYNC_JOB_REQUEST) {
        assert_int_equal(job->status, NGX_ASYNC_FAILED);

        keep = job->finished + job->keep_request;

        due(job, NGX_ASYNC_DUE_REQUEST, keep);
    }

    if (job->callback_status == NGX_ASYNC_CALLBACK_PENDING) {
        due(job, NGX_ASYNC_DUE_CALLBACK, job->callback_due);

    } else {
        assert_int_equal(job->callback_due, 0);
    }
}


static void
check_job(ngx_async_job_t *job)
{
    MDB_val   val;
    queue_t  *q;

    q = find_queue(&job->queue);

    switch (job->status) {

    case NGX_ASYNC_NOT_STARTED:
        check_waiting(job, q);
        break;

    case NGX_ASYNC_RUNNING:
        check_running(job, q);
        break;

    default:
        check_finished(job);
    }

    if (job->status != NGX_ASYNC_RUNNING) {
        assert_false(job->flags & NGX_ASYNC_JOB_PROBE);
        assert_int_equal(job->runner[0], 0);
    }

    if (job->flags & NGX_ASYNC_JOB_KEY) {
        expect[NGX_ASYNC_DB_KEYS]++;
        assert_int_equal(ngx_async_db_get(&txn, NGX_ASYNC_DB_KEYS, job->key,
                                          NGX_ASYNC_HASH_LEN, &val), NGX_OK);
        assert_memory_equal(val.mv_data, job->id.bytes, NGX_ASYNC_ID_LEN);
    }

    if (job->flags & NGX_ASYNC_JOB_REQUEST) {
        check_blob(job, NGX_ASYNC_REQUEST,
                   job->request_head_len + job->request_body_len, 1);
    } else {
        check_blob(job, NGX_ASYNC_REQUEST, 0, 0);
    }

    if (ngx_async_job_finished(job) && job->response_status) {
        check_blob(job, NGX_ASYNC_RESPONSE,
                   job->response_head_len + job->response_body_len, 1);
    } else {
        check_blob(job, NGX_ASYNC_RESPONSE,
                   job->status == NGX_ASYNC_RUNNING ? UINT32_MAX : 0, 0);
    }
}


static void
check_queue(queue_t *q)
{
    ngx_uint_t        u;
    ngx_async_id_t    id;
    ngx_async_job_t  *job;

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {
        assert_int_equal(q->ready[u], q->row.ready[u]);
    }

    assert_int_equal(q->parked, q->row.parked);
    assert_int_equal(q->delayed, q->row.delayed);
    assert_int_equal(q->running, q->row.running);

    if (q->row.probing) {
        job = find(q->row.probe.bytes);
        assert_non_null(job);
        assert_int_equal(job->status, NGX_ASYNC_RUNNING);
        assert_true(job->flags & NGX_ASYNC_JOB_PROBE);
    }

    ngx_memzero(&id, sizeof(id));
    ngx_async_db_u32(id.bytes, q->row.number);

    if (has_due(NGX_ASYNC_DUE_PAUSE, q->row.paused_until, &id)) {
        expect[NGX_ASYNC_DB_DUE]++;

    } else if (q->row.paused_until) {
        assert_true(q->row.half_open);
    }
}


/* what is in neither a job nor a queue: staged requests, and trash */

static void
check_rest(void)
{
    u_char          *p;
    MDB_val          key, val;
    ngx_uint_t       part;
    ngx_async_id_t   id;

    each(NGX_ASYNC_DB_RUNNING, &key, &val) {
        if (*(u_char *) val.mv_data == NGX_ASYNC_DB_STAGED) {
            p = (u_char *) key.mv_data + NGX_ASYNC_RUNNER_LEN;
            assert_null(find(p));
            expect[NGX_ASYNC_DB_RUNNING]++;
        }
    }

    each(NGX_ASYNC_DB_DUE, &key, &val) {
        p = key.mv_data;
        if (p[9] <= NGX_ASYNC_DUE_TRASH_RESPONSE
            || p[9] == NGX_ASYNC_DUE_RETIME)
        {
            expect[NGX_ASYNC_DB_DUE]++;
        }
    }

    each(NGX_ASYNC_DB_JOBS, &key, &val) {
        if (key.mv_size == NGX_ASYNC_ID_LEN) {
            continue;
        }

        ngx_memcpy(id.bytes, key.mv_data, NGX_ASYNC_ID_LEN);
        part = ((u_char *) key.mv_data)[NGX_ASYNC_ID_LEN];

        if (has_due(NGX_ASYNC_DUE_TRASH + part, NGX_ASYNC_DB_AT_ONCE, &id)) {
            expect[NGX_ASYNC_DB_JOBS]++;

        } else if (find(id.bytes) == NULL) {
            u_char   from[NGX_ASYNC_DB_RUNNING_LEN];
            MDB_val  k, v;

            expect[NGX_ASYNC_DB_JOBS]++;
            ngx_memzero(from, sizeof(from));
            assert_int_equal(part, NGX_ASYNC_REQUEST);

            ngx_uint_t  staged = 0;

            each(NGX_ASYNC_DB_RUNNING, &k, &v) {
                p = (u_char *) k.mv_data + NGX_ASYNC_RUNNER_LEN;
                staged |= ngx_memcmp(p, id.bytes, NGX_ASYNC_ID_LEN) == 0;
            }

            assert_true(staged);
        }
    }
}


/* what files may have counts as used */

static void
check_files(void)
{
    u_char    *p;
    MDB_val    key, val;
    uint64_t   sum;

    sum = 0;

    each(NGX_ASYNC_DB_JOBS, &key, &val) {
        p = (u_char *) key.mv_data + NGX_ASYNC_ID_LEN + 1;

        if (key.mv_size != NGX_ASYNC_ID_LEN
            && ngx_async_db_read_u32(p) == UINT32_MAX)
        {
            sum += ngx_async_db_read_u64((u_char *) val.mv_data + 8);
        }
    }

    assert_int_equal(ngx_async_db_files(&txn), sum);
}


/* as many jobs of a level are ready as may run, and the others parked */

static void
check_fit(queue_t *q, ngx_async_db_per_t *per)
{
    uint64_t    room;
    ngx_uint_t  u;

    room = UINT64_MAX;

    if (q->row.per_concurrency) {
        room = q->row.per_concurrency
               - ngx_min(per->running, q->row.per_concurrency);
    }

    for (u = 0; u < NGX_ASYNC_DB_URGENCIES; u++) {
        assert_true(per->ready[u] <= room);
        assert_true(per->ready[u] == room || per->parked[u] == 0);
    }
}


static void
check_pers(void)
{
    MDB_val              key, val;
    queue_t             *q;
    ngx_uint_t           i, u;
    ngx_async_db_per_t  *per, count;
    u_char               place[NGX_ASYNC_DB_PLACE_LEN];

    for (i = 0; i < njobs; i++) {

        if (ngx_async_job_finished(&jobs[i]) || jobs[i].turn == 0) {
            continue;
        }

        q = find_queue(&jobs[i].queue);
        assert_int_equal(ngx_async_db_per(&txn, &q->row, &jobs[i], &per),
                         NGX_OK);
        assert_true(per->stored);

        if (jobs[i].per.len && !q->row.fitting) {
            check_fit(q, per);
        }
    }

    /* every row has the numbers of its jobs */

    each(NGX_ASYNC_DB_PERS, &key, &val) {
        ngx_memzero(&count, sizeof(count));

        for (i = 0; i < njobs; i++) {

            if (ngx_async_job_finished(&jobs[i]) || jobs[i].turn == 0) {
                continue;
            }

            q = find_queue(&jobs[i].queue);
            (void) ngx_async_db_per(&txn, &q->row, &jobs[i], &per);

            if (per->len != key.mv_size
                || ngx_memcmp(per->key, key.mv_data, per->len) != 0)
            {
                continue;
            }

            u = jobs[i].urgency;

            if (jobs[i].status == NGX_ASYNC_RUNNING) {
                count.running++;

            } else if (jobs[i].not_before) {
                count.delayed++;

            } else {
                if (jobs[i].per.len == 0
                    || (ngx_async_db_line_place(&txn, &q->row, &jobs[i],
                                                place) == NGX_OK
                        && (place[4] & NGX_ASYNC_DB_SHADOW) == 0))
                {
                    count.ready[u]++;

                } else {
                    count.parked[u]++;
                }
            }
        }

        assert_int_equal(ngx_async_db_per_load(&txn, key.mv_data, key.mv_size),
                         NGX_OK);

        assert_int_equal(txn.per.running, count.running);
        assert_int_equal(txn.per.delayed, count.delayed);
        assert_memory_equal(txn.per.ready, count.ready, sizeof(count.ready));
        assert_memory_equal(txn.per.parked, count.parked,
                            sizeof(count.parked));
        assert_true(count.running + ngx_async_db_per_waiting(&count) > 0);
    }
}


/* in a level of a line, those that are ready are before those that are not */

static void
check_lines(void)
{
    size_t   len, before;
    u_char   last[NGX_ASYNC_DB_PER_MAX + LINE], *p;
    MDB_val  key, val;

    before = 0;

    each(NGX_ASYNC_DB_LINES, &key, &val) {
        p = key.mv_data;
        len = key.mv_size;

        if (len == before && ngx_memcmp(p, last, len - LINE + 1) == 0) {
            assert_true(ngx_memcmp(p + len - 16, last + len - 16, 16) > 0);
        }

        ngx_memcpy(last, p, len);
        before = len;
    }
}


static void
check_ranks(void)
{
    u_char    start[2][NGX_ASYNC_DB_PLACE_LEN];
    MDB_val   key, val, k, v;
    uint64_t  total, n;

    total = 0;

    each(NGX_ASYNC_DB_RANKS, &key, &val) {
        ngx_memcpy(start[0], key.mv_data, NGX_ASYNC_DB_PLACE_LEN);
        ngx_memset(start[1], 0xff, NGX_ASYNC_DB_PLACE_LEN);
        ngx_memcpy(start[1], key.mv_data, NGX_ASYNC_DB_LEVEL_LEN);

        k = key;
        v = val;

        if (next(NGX_ASYNC_DB_RANKS, &k, &v, 0) == NGX_OK) {
            if (ngx_memcmp(k.mv_data, start[0], NGX_ASYNC_DB_LEVEL_LEN) == 0) {
                ngx_memcpy(start[1], k.mv_data, NGX_ASYNC_DB_PLACE_LEN);
            }

            assert_int_equal(mdb_cursor_get(txn.cursors[NGX_ASYNC_DB_RANKS],
                                            &k, &v, MDB_PREV), 0);
        }

        n = 0;
        assert_int_equal(ngx_async_db_count(&txn, NGX_ASYNC_DB_READY, start[0],
                                            start[1], NGX_ASYNC_DB_PLACE_LEN,
                                            100000, &n), NGX_OK);
        assert_int_equal(n, ngx_async_db_read_u32(val.mv_data));
        assert_true(n > 0);

        total += n;
    }

    assert_int_equal(total, entries(NGX_ASYNC_DB_READY));
}


void
db_check(void)
{
    ngx_uint_t  i;

    assert_int_equal(ngx_async_db_reader(db, &txn), NGX_OK);

    ngx_memzero(expect, sizeof(expect));

    load();

    for (i = 0; i < njobs; i++) {
        check_job(&jobs[i]);
    }

    for (i = 0; i < nqueues; i++) {
        check_queue(&queues[i]);
    }

    check_rest();
    check_files();
    check_pers();
    check_lines();
    check_ranks();

    assert_int_equal(entries(NGX_ASYNC_DB_READY), expect[NGX_ASYNC_DB_READY]);
    assert_int_equal(entries(NGX_ASYNC_DB_LINES), expect[NGX_ASYNC_DB_LINES]);
    assert_int_equal(entries(NGX_ASYNC_DB_RUNNING),
                     expect[NGX_ASYNC_DB_RUNNING]);
    assert_int_equal(entries(NGX_ASYNC_DB_DUE), expect[NGX_ASYNC_DB_DUE]);
    assert_int_equal(entries(NGX_ASYNC_DB_KEYS), expect[NGX_ASYNC_DB_KEYS]);
    assert_int_equal(entries(NGX_ASYNC_DB_JOBS), expect[NGX_ASYNC_DB_JOBS]);

    ngx_async_db_reader_done(&txn);
}
