
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


#define JOBS    8000
#define VALUES  300
#define BODIES  60

static ngx_async_job_t  job;


static void
what_was_accepted_ends_in_a_full_store(void **state)
{
    int             i, n, running, round;
    ngx_async_id_t  id[1000];

    for (round = 0; round < 5; round++) {

        for (n = running = 0; n < 1000; n++) {
            db_job(&job, "q");
            id[n] = job.id;

            if (db_accept(&job, 1500, n < 60, 1) != NGX_OK) {
                break;
            }

            running += op.claimed;
        }

        assert_int_equal(op.rc, NGX_BUSY);
        assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);
        assert_int_equal(db_get(&job.id), NGX_DECLINED);
        assert_true(n > 100);
        assert_int_equal(running, 60);
        db_check();

        /* with small responses there is room for all */

        for (i = 0; i < running; i++) {
            assert_int_equal(db_finish(&id[i], 1, NGX_ASYNC_SUCCEEDED, 300),
                             NGX_OK);
        }

        for (i = running; i < n; i++) {
            assert_int_equal(db_cancel(&id[i]), NGX_OK);
        }

        db_check();

        now += 60000;
        while (db_sweep() == NGX_OK && sweep.more) { /* void */ }
        db_check();
    }
}


static void
a_response_without_room_gives_way_to_the_end(void **state)
{
    int             i, n, full;
    ngx_async_id_t  id[1000];

    for (n = 0; n < 1000; n++) {
        db_job(&job, "q");
        id[n] = job.id;

        if (db_accept(&job, 1500, 1, 1) != NGX_OK) {
            break;
        }

        assert_int_equal(op.claimed, 1);
    }

    for (i = full = 0; i < n; i++) {

        if (db_finish(&id[i], 1, NGX_ASYNC_SUCCEEDED, 60000) == NGX_OK) {
            continue;
        }

        assert_int_equal(op.rc, NGX_BUSY);
        assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);
        assert_int_equal(db_finish(&id[i], 1, NGX_ASYNC_FAILED, 0), NGX_OK);
        full++;
    }

    assert_true(full > 0);
    db_check();
}


static void
a_store_that_was_larger_takes_no_new_jobs(void **state)
{
    int             n;
    ngx_async_id_t  id[200];

    db_stop();
    db_start(32 * MIB);

    for (n = 0; n < 200; n++) {
        db_job(&job, "q");
        id[n] = job.id;
        assert_int_equal(db_accept(&job, NGX_ASYNC_PIECE, 1, 1), NGX_OK);
    }

    db_stop();
    db_start(4 * MIB);

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);

    for (n = 0; n < 200; n++) {
        assert_int_equal(db_finish(&id[n], 1, NGX_ASYNC_SUCCEEDED, 1000),
                         NGX_OK);
    }

    /* their requests are gone with their ends */

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);

    db_check();
}


static void
a_full_disk_refuses_new_jobs_only(void **state)
{
    int             n;
    ngx_async_id_t  id;

    db_job(&job, "q");
    id = job.id;
    assert_int_equal(db_accept(&job, 1500, 1, 1), NGX_OK);

    fail_fallocate = 0;
    fail_errno = ENOSPC;

    for (n = 0; n < 2000; n++) {
        db_job(&job, "q");

        if (db_accept(&job, 60000, 0, 1) != NGX_OK) {
            break;
        }
    }

    assert_int_equal(op.rc, NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_DISK);

    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 60000), NGX_OK);
    db_check();

    fail_fallocate = -1;

    assert_int_equal(db_accept(&job, 60000, 0, 1), NGX_OK);
    db_check();
}


static void
what_cannot_be_written_has_not_happened(void **state)
{
    int             i;
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);

    for (i = 0; i < 4; i++) {
        fail_errno = i & 1 ? EIO : ENOSPC;

        if (i < 2) {
            fail_sync = 0;

        } else {
            fail_write = 0;
        }

        db_job(&job, "q");
        assert_int_equal(db_accept(&job, 100, 0, 1),
                         i & 1 ? NGX_ERROR : NGX_BUSY);

        if (i & 1) {
            assert_int_equal(op.err, EIO);

        } else {
            assert_int_equal(op.full, NGX_ASYNC_FULL_DISK);
        }

        assert_true(db_claim("q", 1) != NGX_OK);

        fail_sync = fail_write = -1;

        assert_int_equal(db_get(&job.id), NGX_DECLINED);
        assert_status(&id, NGX_ASYNC_NOT_STARTED);
        db_check();
    }

    (void) accept_job("q", "", 3);
    assert_claims("q", &id);
    db_check();
}


static void
a_commit_that_did_not_reach_the_disk_is_told_from_others(void **state)
{
    int                  i;
    ngx_err_t            err;
    ngx_async_op_t       o;
    ngx_async_db_txn_t  *txn;

    fail_errno = EIO;

    for (i = 0; i < 3; i++) {

        /* the pages, the root, or neither of them could not be synced */

        db_job(&job, "q");

        ngx_memzero(&o, sizeof(o));
        o.type = NGX_ASYNC_OP_ACCEPT;
        o.job = &job;
        o.now = now;

        txn = ngx_async_db_begin(db, &err);
        assert_non_null(txn);
        assert_int_equal(ngx_async_db_write(txn, &o), NGX_OK);

        fail_sync = i;
        err = 0;

        assert_int_equal(ngx_async_db_commit(txn, &err),
                         i == 0 ? NGX_ERROR : i == 1 ? NGX_ABORT : NGX_OK);

        if (i == 1) {

            /* a reader that sees it tells nobody either */

            fail_sync = 0;
            assert_int_equal(db_get(&job.id), NGX_ERROR);
        }

        fail_sync = -1;

        assert_int_equal(err, i == 2 ? 0 : EIO);
        assert_int_equal(db_get(&job.id), i == 0 ? NGX_DECLINED : NGX_OK);
        db_check();
    }
}


static void
a_store_whose_first_page_failed_is_used_again(void **state)
{
    int             i;
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);

    /* any of the writes of a commit, that of its last page included */

    for (i = 0; i < 12; i++) {
        fail_write = i;

        db_job(&job, "q");
        (void) db_accept(&job, 100, 0, 1);

        fail_write = -1;

        assert_int_equal(db_get(&job.id),
                         op.rc == NGX_OK ? NGX_OK : NGX_DECLINED);
        assert_status(&id, NGX_ASYNC_NOT_STARTED);
        db_check();

        (void) accept_job("q", "", 3);
        db_check();
    }

    db_stop();
    db_start(16 * MIB);
    assert_claims("q", &id);
    db_check();
}


static void
batches_that_come_to_nothing_leave_nothing(void **state)
{
    ngx_err_t            err;
    ngx_async_id_t       id;
    ngx_async_op_t       o;
    ngx_async_db_txn_t  *txn;

    id = accept_job("q", "v", 3);

    txn = ngx_async_db_begin(db, &err);
    assert_non_null(txn);

    memset(&o, 0, sizeof(o));
    o.type = NGX_ASYNC_OP_CLAIM;
    o.queue_name = db_str("q");
    o.now = now;
    assert_int_equal(ngx_async_db_write(txn, &o), NGX_OK);

    /* a run of it anew frees what the first one gave */

    assert_int_equal(ngx_async_db_write(txn, &o), NGX_DECLINED);
    assert_null(o.buf.data);

    ngx_async_db_abort(txn);

    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    assert_claims("q", &id);
    db_check();
}


/* jobs without a limit for their values, or with it, until there is no room */

static int
fill(uint64_t per_concurrency)
{
    int   n;
    char  name[210];

    limits.per_concurrency = per_concurrency;

    for (n = 0; n < JOBS; n++) {
        db_job(&job, "q");
        (void) snprintf(name, sizeof(name), "%08x%0200d",
                        (unsigned) (n * 7919 % VALUES) * 2654435761U, 0);
        job.per = db_str(name);

        if (db_accept(&job, 1, 0, 1) != NGX_OK) {
            break;
        }
    }

    assert_int_equal(op.rc, NGX_BUSY);

    return n;
}


static int
db_setup_2(void **state)
{
    if (db_setup(state) != 0) {
        return -1;
    }

    db_start(2 * MIB);

    return 0;
}


/* all that may start do, and are in id[] */

static int
start_all(ngx_async_id_t *id)
{
    int  n, declined;

    for (n = declined = 0; declined < JOBS; /* void */) {

        if (db_claim("q", 1) == NGX_OK) {
            id[n++] = op.found.id;
            continue;
        }

        assert_int_equal(op.rc, NGX_DECLINED);

        if (!op.more) {
            break;
        }

        declined++;
    }

    assert_true(declined < JOBS);

    return n;
}


/* other limits take nothing of what jobs need to start and to end */

static void
change_limits(ngx_uint_t full)
{
    int                    i, n, all, ended, lower;
    static ngx_async_id_t  id[JOBS];

    for (lower = 0; lower < 2; lower++) {
        all = fill(lower ? 0 : 1);
        assert_int_equal(op.full, full);
        assert_true(all > 3 * VALUES);

        limits.per_concurrency = lower ? 1 : 2;

        for (ended = 0; (n = start_all(id)) > 0; ended += n) {

            for (i = 0; i < n; i++) {
                assert_int_equal(db_finish(&id[i], 1, NGX_ASYNC_SUCCEEDED, 1),
                                 NGX_OK);
            }
        }

        assert_int_equal(ended, all);
        db_check();

        now += 60000;
        while (db_sweep() == NGX_OK && sweep.more) { /* void */ }
        db_check();
    }
}


static void
another_limit_stops_no_queue_in_a_full_store(void **state)
{
    change_limits(NGX_ASYNC_FULL_STORE);
}


/* no block is taken of which the disk has none */

static void
nor_does_it_on_a_full_disk(void **state)
{
    int             i;
    char            path[400];
    struct stat     before, after;
    ngx_async_id_t  id[BODIES];

    /* for some blocks */

    for (i = 0; i < BODIES; i++) {
        db_job(&job, "q");
        id[i] = job.id;
        assert_int_equal(db_accept(&job, 60000, 0, 1), NGX_OK);
    }

    for (i = 0; i < BODIES; i++) {
        assert_int_equal(db_cancel(&id[i]), NGX_OK);
    }

    fail_fallocate = 0;
    fail_errno = ENOSPC;

    (void) snprintf(path, sizeof(path), "%s/data.mdb", db_dir);
    assert_int_equal(stat(path, &before), 0);

    change_limits(NGX_ASYNC_FULL_DISK);

    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(before.st_blocks, after.st_blocks);
}


int
main(void)
{
#define test(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(what_was_accepted_ends_in_a_full_store, db_setup_tiny),
        test(a_response_without_room_gives_way_to_the_end, db_setup_tiny),
        test(a_store_that_was_larger_takes_no_new_jobs, db_setup_small),
        test(a_full_disk_refuses_new_jobs_only, db_setup_small),
        test(what_cannot_be_written_has_not_happened, db_setup_small),
        test(a_commit_that_did_not_reach_the_disk_is_told_from_others,
             db_setup_small),
        test(a_store_whose_first_page_failed_is_used_again, db_setup_small),
        test(batches_that_come_to_nothing_leave_nothing, db_setup_small),
        test(another_limit_stops_no_queue_in_a_full_store, db_setup_2),
        test(nor_does_it_on_a_full_disk, db_setup_small)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
