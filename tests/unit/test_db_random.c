
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


/*
 * Random interleavings of everything that happens to a store, with faults of
 * its disk, a map that gets full, and a clock that jumps.  After every step
 * all tables agree with each other (db_check.c), no job is lost, and none
 * that must not be sent twice is.  NGX_ASYNC_SEED and NGX_ASYNC_STEPS choose
 * another run.
 */

#define MODELS   48
#define RUNNERS  3
#define STEPS    6000

typedef struct {
    ngx_async_id_t  id;
    unsigned        known:1;        /* its submission was acknowledged */
    unsigned        idempotent:1;
    unsigned        status:3;
    uint32_t        version;
    uint32_t        launches;       /* since a client asked for a retry */
    uint64_t        expires;
    uint64_t        staged;         /* bytes of a request without a job */
    int             runner;
    uint64_t        received;       /* bytes of the response so far */
} model_t;

static model_t      models[MODELS];
static uint64_t     steps;
static ngx_uint_t   vigilant;       /* a sweep sees every jump of the clock */
static const char  *names[] = { "alpha", "beta" };
static const char  *pers[] = { "", "one", "two", "three" };
static ngx_uint_t   done[32];


static ngx_uint_t
rnd(ngx_uint_t n)
{
    return (ngx_uint_t) random() % n;
}


static model_t *
any(void)
{
    return &models[rnd(MODELS)];
}


static uint64_t
steady_now(void)
{
    return now - (uint64_t) jumped;
}


static int
any_runner(void)
{
    return 1 + (int) rnd(RUNNERS);
}


/*
 * What the store says of a job, which must be there unless its time is over,
 * by a clock that does not jump.
 */

static ngx_async_job_t *
look(model_t *m)
{
    if (db_get(&m->id) == NGX_DECLINED) {
        assert_false(m->known
                     && (m->expires == 0 || steady_now() < m->expires));
        m->known = 0;
        return NULL;
    }

    assert_int_equal(op.rc, NGX_OK);
    assert_true(op.found.version >= m->version);

    if (op.found.status != m->status) {
        assert_true(op.found.version > m->version);
    }

    m->status = op.found.status;
    m->version = op.found.version;

    if (m->expires == 0 && op.found.expires) {
        m->expires = steady_now() + op.found.expires - op.found.finished;

    } else if (op.found.expires == 0) {
        m->expires = 0;
    }

    m->runner = op.found.runner[0];

    if (op.found.status == NGX_ASYNC_NOT_STARTED) {
        assert_true(op.position >= 1);
    }

    return &op.found;
}


static void
launched(model_t *m)
{
    m->launches++;
    m->received = 0;

    /* at most one attempt, or one and three after it was cut off */

    assert_true(m->launches <= (m->idempotent ? 1 + NGX_ASYNC_MAX_CUTS : 1));
}


static void
faults(void)
{
    ngx_uint_t  r;

    r = rnd(60);

    fail_sync = (r == 0) ? 0 : -1;
    fail_write = (r == 1) ? 0 : (r == 2) ? 1 : -1;
    fail_errno = rnd(2) ? EIO : ENOSPC;

    if (r == 3) {
        fail_fallocate = rnd(2) ? 0 : -1;
    }
}


static ngx_uint_t
faulty(void)
{
    return fail_sync == 0 || fail_write >= 0;
}


static void
no_faults(void)
{
    fail_sync = fail_write = -1;
}


static void
submit(model_t *m)
{
    size_t                  len;
    ngx_int_t               rc;
    ngx_uint_t              claim, promise;
    ngx_async_id_t          id;
    static ngx_async_job_t  job;

    if (m->known) {
        return;
    }

    id = m->id;

    db_job(&job, names[rnd(2)]);

    if (m->staged) {
        job.id = id;
        job.request_body_len = m->staged;
    }

    job.urgency = rnd(4) ? 3 : rnd(8);
    job.per = db_str(pers[rnd(4)]);
    job.ttl = 1 + rnd(100000);
    job.ttl_failed = 1 + rnd(100000);
    job.keep_request = rnd(2) ? rnd(50000) : 0;
    job.callback_url = db_str(rnd(3) ? "" : "https://example.com/hook");

    if (rnd(2)) {
        job.flags |= NGX_ASYNC_JOB_IDEMPOTENT;
    }

    if (rnd(3) == 0) {
        job.flags |= NGX_ASYNC_JOB_KEY;
        memset(job.key, 1 + (int) rnd(8), NGX_ASYNC_HASH_LEN);
    }

    claim = rnd(2);
    promise = rnd(6) == 0;

    if (promise) {
        job.status = NGX_ASYNC_RUNNING;
    }

    limits.backlog = rnd(3) ? 0 : 30;
    limits.per_backlog = rnd(3) ? 0 : 10;
    limits.timeout = rnd(20) ? limits.timeout : rnd(3) * rnd(100000);
    limits.per_concurrency = rnd(8) ? 2 : rnd(4);

    len = rnd(8) ? rnd(3000) : rnd(NGX_ASYNC_PIECE + 1);
    len += (m->staged == 0 && len == 0);

    rc = db_accept(&job, len, claim, m->staged ? m->runner : any_runner());

    assert_true(rc == NGX_OK || rc == NGX_BUSY
                || (rc == NGX_ABORT && (job.flags & NGX_ASYNC_JOB_KEY))
                || faulty());

    if (rc == NGX_BUSY) {
        assert_true(op.full == NGX_ASYNC_FULL_STORE
                    || op.full == NGX_ASYNC_FULL_DISK
                    || (op.full != NGX_ASYNC_FULL_NONE && !promise));
    }

    if (rc != NGX_OK) {
        return;
    }

    memset(m, 0, sizeof(model_t));
    m->id = job.id;
    m->known = 1;
    m->idempotent = (job.flags & NGX_ASYNC_JOB_IDEMPOTENT) != 0;
    m->status = job.status;
    m->version = job.version;

    assert_int_equal(op.claimed, job.status == NGX_ASYNC_RUNNING && !promise);

    if (job.status == NGX_ASYNC_RUNNING) {
        launched(m);
    }
}


static void
stage(model_t *m)
{
    ngx_int_t        rc;
    ngx_async_job_t  job;

    if (m->known) {
        return;
    }

    if (m->staged == 0) {
        db_job(&job, "alpha");
        m->id = job.id;
        m->runner = any_runner();
    }

    rc = db_append(&m->id, NGX_ASYNC_REQUEST, m->staged, NGX_ASYNC_PIECE,
                   m->runner);

    if (rc == NGX_OK) {
        m->staged += NGX_ASYNC_PIECE;

    } else {
        assert_true(rc == NGX_BUSY || faulty());
    }
}


static void
discard(model_t *m)
{
    ngx_int_t  rc;

    rc = db_discard(&m->id, m->runner);

    if (m->known) {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED
                    || faulty());

    } else if (m->staged) {
        assert_true(rc == NGX_OK || faulty());
        m->staged = rc == NGX_OK ? 0 : m->staged;
    }
}


static void
claim(void)
{
    ngx_int_t   rc;
    ngx_uint_t  i;

    limits.per_concurrency = rnd(8) ? 2 : rnd(4);

    rc = db_claim(names[rnd(2)], any_runner());

    assert_true(rc == NGX_OK || rc == NGX_DECLINED
                || ((rc == NGX_ERROR || rc == NGX_BUSY) && faulty()));

    if (rc != NGX_OK) {
        return;
    }

    for (i = 0; i < MODELS; i++) {
        if (ngx_async_id_cmp(&models[i].id, &op.found.id) == 0) {
            assert_int_equal(models[i].status, NGX_ASYNC_NOT_STARTED);
            assert_true(op.blob.len == ngx_min(op.found.request_body_len,
                                               NGX_ASYNC_PIECE));

            models[i].status = NGX_ASYNC_RUNNING;
            models[i].version = op.found.version;
            models[i].runner = op.found.runner[0];
            launched(&models[i]);
            return;
        }
    }

    fail_msg("claimed a job that nobody has submitted");
}


static void
respond(model_t *m)
{
    ngx_int_t  rc;

    rc = db_append(&m->id, NGX_ASYNC_RESPONSE, m->received, NGX_ASYNC_PIECE,
                   m->runner ? m->runner : 1);

    if (rc == NGX_OK) {
        assert_int_equal(m->status, NGX_ASYNC_RUNNING);
        m->received += NGX_ASYNC_PIECE;

    } else {
        assert_true(rc == NGX_BUSY || faulty()
                    || (rc == NGX_ABORT && m->status != NGX_ASYNC_RUNNING));
    }
}


static void
finish(model_t *m)
{
    ngx_int_t   rc;
    uint64_t    len;
    ngx_uint_t  status;

    status = rnd(3) ? NGX_ASYNC_SUCCEEDED : NGX_ASYNC_FAILED;
    len = m->received + (status == NGX_ASYNC_FAILED && m->received == 0
                         ? 0 : 1 + rnd(rnd(8) ? 2000 : NGX_ASYNC_PIECE - 1));

    rc = db_finish(&m->id, m->runner ? m->runner : 1, status, len);

    if (rc == NGX_BUSY) {

        /* the reserve does not hold so much, but it holds this */

        rc = db_finish(&m->id, m->runner, NGX_ASYNC_FAILED, 0);
        assert_true(rc == NGX_OK || faulty());
    }

    if (m->status == NGX_ASYNC_RUNNING) {
        assert_true(rc == NGX_OK || faulty());
    } else {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED || faulty());
    }

    if (rc == NGX_OK) {
        assert_true(ngx_async_job_finished(&op.found));
        m->received = 0;
    }
}


static void
requeue(model_t *m)
{
    ngx_int_t  rc;

    db_op(NGX_ASYNC_OP_REQUEUE, &m->id, m->runner ? m->runner : 1);
    op.unsent = rnd(2);
    op.cut = !op.unsent;
    op.not_before = rnd(2) ? now + rnd(60000) : 0;
    op.pause_until = rnd(4) ? 0 : now + rnd(30000);

    if (m->status == NGX_ASYNC_RUNNING && !op.unsent
        && (!m->idempotent || m->launches > NGX_ASYNC_MAX_CUTS))
    {
        return;
    }

    rc = db_run(&op);

    if (m->status == NGX_ASYNC_RUNNING) {
        assert_true(rc == NGX_OK || faulty());
    } else {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED || faulty());
    }

    if (rc == NGX_OK) {
        m->received = 0;
        m->launches -= op.unsent;
    }
}


static void
cancel(model_t *m)
{
    ngx_int_t  rc;

    rc = db_cancel(&m->id);

    if (m->known && m->status <= NGX_ASYNC_RUNNING) {
        assert_true(rc == NGX_OK || faulty());

        if (rc == NGX_OK) {
            assert_int_equal(op.was_running, m->status == NGX_ASYNC_RUNNING);
            assert_int_equal(op.found.runner[0],
                             op.was_running ? m->runner : 0);
        }

    } else {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED || faulty());
    }
}


static void
forget(model_t *m)
{
    ngx_int_t  rc;

    rc = db_simple(NGX_ASYNC_OP_FORGET, &m->id);

    if (rc == NGX_OK) {
        assert_true(m->known && m->status > NGX_ASYNC_RUNNING);
        m->known = 0;

    } else {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED || faulty());
    }
}


static void
retry(model_t *m)
{
    ngx_int_t  rc;

    rc = db_simple(NGX_ASYNC_OP_RETRY, &m->id);

    if (rc == NGX_OK) {
        assert_int_equal(m->status, NGX_ASYNC_FAILED);
        m->launches = 0;

    } else {
        assert_true(rc == NGX_ABORT || rc == NGX_DECLINED || faulty());
    }
}


/* now and then a queue is gone from the configuration */

static void
move(ngx_uint_t from)
{
    ngx_async_job_t  job;

    if (db_move(names[from], NULL, NULL) == NGX_OK) {
        db_job(&job, "");
        (void) db_move(names[from], &job, names[1 - from]);
    }

    assert_true(op.rc == NGX_OK || op.rc == NGX_DECLINED || faulty());

    if (op.rc == NGX_OK) {
        assert_int_equal(op.found.status, NGX_ASYNC_NOT_STARTED);
    }
}


static void
called_back(model_t *m)
{
    static ngx_async_job_t  job;

    ngx_memzero(&job, sizeof(job));

    db_op(NGX_ASYNC_OP_CALLBACK, &m->id, 0);
    op.job = &job;
    op.not_before = now + rnd(10000);
    job.callback_attempts = 1;
    job.callback_status = 1 + rnd(3);
    job.callback_error = db_str("refused");

    (void) db_run(&op);

    assert_true(op.rc == NGX_OK || op.rc == NGX_ABORT || op.rc == NGX_DECLINED
                || faulty());
}


static void
sweep_all(void)
{
    uint64_t    next;
    ngx_uint_t  i, was;

    for (i = 0; i < 1000; i++) {

        was = ngx_async_db_due(db, now, &next);

        if (db_sweep() != NGX_OK) {
            assert_true(faulty());
            break;
        }

        if (!was) {
            assert_int_equal(sweep.nchanged + sweep.ncallbacks
                             + sweep.nexpired, 0);
        }

        if (!sweep.more) {
            assert_false(ngx_async_db_due(db, now, &next));
            assert_true(next == sweep.next);
            break;
        }
    }

    if (i == 1000) {
        fail_msg("the sweep does not end");
    }

    /* nothing went too early, and nothing stays too long */

    for (i = 0; i < MODELS; i++) {
        if (models[i].known && look(&models[i]) && !faulty()) {
            assert_true(!vigilant || models[i].expires == 0
                        || steady_now() < models[i].expires + 10000);
        }
    }
}


static void
recover(void)
{
    int         runner;
    ngx_uint_t  i;

    runner = any_runner();

    do {
        if (db_recover(runner) != NGX_OK) {
            assert_true(faulty());
            return;
        }
    } while (sweep.more);

    for (i = 0; i < MODELS; i++) {
        if (models[i].runner == runner) {
            models[i].staged = 0;

            if (models[i].known) {
                models[i].received = 0;
                (void) look(&models[i]);
                assert_true(models[i].status != NGX_ASYNC_RUNNING);
            }
        }
    }
}


static void
tick(void)
{
    int64_t  by;

    switch (rnd(16)) {

    case 0: case 1:
        by = 20000 + rnd(86400000);
        break;

    case 2: case 3:
        by = -20000 - (int64_t) rnd(86400000);
        break;

    case 4:
        by = -jumped;
        break;

    case 5:
        now += rnd(200000);
        return;

    default:
        now += rnd(5000);
        return;
    }

    now += (uint64_t) by;
    jumped += by;

    if (vigilant) {
        no_faults();
        sweep_all();
    }
}


/* a batch that comes to nothing: nothing of it is there */

static void
abandon(model_t *m)
{
    ngx_err_t            err;
    ngx_async_job_t      job;
    ngx_async_db_txn_t  *txn;

    no_faults();

    txn = ngx_async_db_begin(db, &err);
    assert_non_null(txn);

    db_op(NGX_ASYNC_OP_CANCEL, &m->id, 0);
    (void) ngx_async_db_write(txn, &op);

    db_op(NGX_ASYNC_OP_CLAIM, NULL, 1);
    op.queue_name = db_str("alpha");
    (void) ngx_async_db_write(txn, &op);

    db_job(&job, "alpha");
    db_op(NGX_ASYNC_OP_ACCEPT, NULL, 1);
    op.job = &job;
    op.claim = 1;
    (void) ngx_async_db_write(txn, &op);

    ngx_async_db_abort(txn);
}


static void
step(void)
{
    model_t     *m;
    ngx_uint_t   r;

    m = any();
    r = rnd(32);
    done[r]++;

    if (m->known) {
        (void) look(m);
    }

    faults();

    switch (r) {

    case 0: case 1: case 2: case 3: case 4: case 5:
        submit(m);
        break;

    case 6: case 7: case 8: case 9: case 10:
        claim();
        break;

    case 11: case 12: case 13: case 14:
        finish(m);
        break;

    case 15: case 16:
        requeue(m);
        break;

    case 17: case 18:
        respond(m);
        break;

    case 19:
        cancel(m);
        break;

    case 20:
        forget(m);
        break;

    case 21:
        retry(m);
        break;

    case 22:
        called_back(m);
        break;

    case 23: case 24:
        sweep_all();
        break;

    case 25:
        recover();
        break;

    case 26: case 27:
        tick();
        break;

    case 28:
        stage(m);
        break;

    case 29:
        discard(m);
        break;

    case 30:
        if (rnd(4) == 0) {
            no_faults();
            db_stop();
            db_start(db_size);
        }
        abandon(m);
        break;

    case 31:
        move(rnd(2));
        break;
    }

    no_faults();

    if (m->known) {
        (void) look(m);
    }
}


static void
run(size_t size)
{
    uint64_t     i;
    unsigned     seed;
    const char  *env;

    env = getenv("NGX_ASYNC_SEED");
    seed = env ? (unsigned) atoi(env) : 1;

    env = getenv("NGX_ASYNC_STEPS");
    steps = env ? (uint64_t) atoi(env) : STEPS;

    srandom(seed);
    memset(models, 0, sizeof(models));

    db_size = size;
    db_start(size);

    for (i = 0; i < steps; i++) {
        step();
        db_check();
    }

    /* in the end everything ends */

    for (i = 1; i <= RUNNERS; i++) {
        do {
            assert_int_equal(db_recover((int) i), NGX_OK);
        } while (sweep.more);
    }

    for (i = 0; i < MODELS; i++) {
        if (models[i].known && look(&models[i])
            && models[i].status == NGX_ASYNC_NOT_STARTED)
        {
            assert_int_equal(db_cancel(&models[i].id), NGX_OK);
        }

        models[i].known = 0;
    }

    now += 100ULL * 86400000;
    sweep_all();
    db_check();

    for (i = 0; i < MODELS; i++) {
        assert_int_equal(db_get(&models[i].id), NGX_DECLINED);
    }
}


static void
any_order_of_events_keeps_the_store_consistent(void **state)
{
    vigilant = 0;
    run(64 * MIB);
}


static void
nothing_stays_too_long_if_jumps_are_seen(void **state)
{
    vigilant = 1;
    run(64 * MIB);
}


static void
so_it_does_when_the_map_is_full(void **state)
{
    vigilant = 0;
    run(MIB);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(
            any_order_of_events_keeps_the_store_consistent,
            db_setup, db_teardown),
        cmocka_unit_test_setup_teardown(
            nothing_stays_too_long_if_jumps_are_seen, db_setup, db_teardown),
        cmocka_unit_test_setup_teardown(
            so_it_does_when_the_map_is_full, db_setup, db_teardown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
