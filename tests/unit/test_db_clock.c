
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


#define DAY  86400000


static ngx_async_job_t  job;


/* the clock is set, and no time passes */

static void
jump(int64_t by)
{
    now += (uint64_t) by;
    jumped += by;
}


static void
sweep_all(void)
{
    do {
        assert_int_equal(db_sweep(), NGX_OK);
    } while (sweep.more);

    db_check();
}


static ngx_async_id_t
finished_job(uint64_t ttl)
{
    db_job(&job, "q");
    job.ttl = ttl;
    job.ttl_failed = ttl;
    job.keep_request = 30000;

    assert_int_equal(db_accept(&job, 100, 1, 1), NGX_OK);
    assert_int_equal(db_finish(&job.id, 1, NGX_ASYNC_FAILED, 10), NGX_OK);

    return job.id;
}


static void
a_clock_put_forward_expires_nothing(void **state)
{
    int             i;
    ngx_async_id_t  id[3];
    int64_t         by[] = { 60000, 61000, 3650LL * DAY };

    for (i = 0; i < 3; i++) {
        sweep_all();

        id[0] = finished_job(60000);
        id[1] = finished_job(DAY);
        now += 1000;

        jump(by[i]);

        id[2] = finished_job(60000);
        sweep_all();

        assert_status(&id[0], NGX_ASYNC_FAILED);
        assert_true(op.found.flags & NGX_ASYNC_JOB_REQUEST);
        assert_int_equal(op.found.expires, now + 59000);
        assert_status(&id[1], NGX_ASYNC_FAILED);

        now += 58999;
        sweep_all();
        assert_status(&id[0], NGX_ASYNC_FAILED);
        assert_false(op.found.flags & NGX_ASYNC_JOB_REQUEST);

        now += 1;
        sweep_all();
        assert_int_equal(db_get(&id[0]), NGX_DECLINED);
        assert_status(&id[2], NGX_ASYNC_FAILED);

        now += 1000;
        sweep_all();
        assert_int_equal(db_get(&id[2]), NGX_DECLINED);
        assert_status(&id[1], NGX_ASYNC_FAILED);

        now += DAY;
        sweep_all();
        assert_int_equal(db_get(&id[1]), NGX_DECLINED);
    }
}


static void
a_clock_that_was_wrong_at_first_expires_nothing(void **state)
{
    ngx_async_id_t  id;

    sweep_all();

    jump(-8000LL * DAY);
    sweep_all();
    id = finished_job(DAY);

    now += 5000;
    jump(8000LL * DAY);
    sweep_all();
    assert_status(&id, NGX_ASYNC_FAILED);

    now += DAY - 5001;
    sweep_all();
    assert_status(&id, NGX_ASYNC_FAILED);

    now += 1;
    sweep_all();
    assert_int_equal(db_get(&id), NGX_DECLINED);
}


static void
time_that_passed_unseen_is_no_jump(void **state)
{
    ngx_async_id_t  id;

    sweep_all();
    id = finished_job(DAY);
    db_stop();

    now += 2 * DAY;

    db_start(16 * MIB);
    sweep_all();
    assert_int_equal(db_get(&id), NGX_DECLINED);
}


static void
after_a_restart_of_the_system_the_clock_is_believed(void **state)
{
    ngx_async_id_t  id[2];

    sweep_all();
    id[0] = finished_job(DAY);
    id[1] = finished_job(3 * DAY);

    jumped = DAY;
    now += 2 * DAY;
    db->boot++;

    assert_true(ngx_async_db_due(db, now, &(uint64_t) { 0 }));
    sweep_all();
    assert_int_equal(db_get(&id[0]), NGX_DECLINED);
    assert_status(&id[1], NGX_ASYNC_FAILED);
}


static void
a_wait_in_a_queue_is_not_cut_short(void **state)
{
    ngx_async_id_t  id;

    sweep_all();

    db_job(&job, "q");
    limits.timeout = 60000;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    id = job.id;

    jump(DAY);
    sweep_all();
    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.queue_deadline, now + 60000);

    now += 60000;
    sweep_all();
    assert_status(&id, NGX_ASYNC_FAILED);
}


static void
a_clock_put_back_delays_nothing(void **state)
{
    uint64_t        next;
    ngx_async_id_t  id, other;

    sweep_all();

    id = accept_job("q", "", 3);
    other = accept_job("q", "", 3);
    assert_claims("q", &id);
    assert_int_equal(db_requeue(&id, 1, now + 1000), NGX_OK);

    assert_claims("q", &other);
    db_op(NGX_ASYNC_OP_REQUEUE, &other, 1);
    op.pause_until = now + 2000;
    assert_int_equal(db_run(&op), NGX_OK);

    jump(-365LL * DAY);

    /* noted before it goes on */

    assert_true(ngx_async_db_due(db, now, &next));
    sweep_all();
    assert_int_equal(sweep.next, now + 1000);
    assert_false(ngx_async_db_due(db, now, &next));

    now += 1000;
    assert_true(ngx_async_db_due(db, now, &next));
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ready, 1);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ready, 1);
    assert_claims("q", &id);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_claims("q", &other);

    /* what is delayed from then on has its own time */

    assert_int_equal(db_requeue(&other, 1, now + 5000), NGX_OK);
    sweep_all();
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    now += 5000;
    sweep_all();
    assert_claims("q", &other);
}


static void
a_clock_put_forward_loses_no_attempt(void **state)
{
    ngx_async_id_t  id, other;

    sweep_all();

    id = accept_job("q", "", 3);
    other = accept_job("q", "", 3);
    assert_claims("q", &id);
    assert_int_equal(db_requeue(&id, 1, now + 1000), NGX_OK);

    assert_claims("q", &other);
    db_op(NGX_ASYNC_OP_REQUEUE, &other, 1);
    op.pause_until = now + 2000;
    assert_int_equal(db_run(&op), NGX_OK);

    jump(365LL * DAY);
    sweep_all();
    now += 2000;
    sweep_all();

    /* a probe, and when it has ended, the other one */

    assert_claims("q", &id);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_claims("q", &other);
    db_check();
}


static void
callbacks_are_made_by_any_clock(void **state)
{
    int             i;
    int64_t         by[] = { 365LL * DAY, -365LL * DAY };
    ngx_async_id_t  id;

    for (i = 0; i < 2; i++) {

        db_job(&job, "q");
        job.ttl = 3650LL * DAY;
        job.callback_url = db_str("https://example.com/hook");
        id = job.id;

        assert_int_equal(db_accept(&job, 100, 1, 1), NGX_OK);
        assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);

        jump(by[i]);

        do {
            assert_int_equal(db_sweep(), NGX_OK);
        } while (sweep.ncallbacks == 0 && sweep.more);

        assert_int_equal(sweep.ncallbacks, 1);
        assert_memory_equal(sweep.callbacks[0].bytes, id.bytes,
                            NGX_ASYNC_ID_LEN);

        /* whoever had it has died */

        jump(by[i]);
        sweep_all();
        now += 60000;
        assert_int_equal(db_sweep(), NGX_OK);
        assert_int_equal(sweep.ncallbacks, 1);

        /* its next attempt */

        ngx_memzero(&job, sizeof(job));
        db_op(NGX_ASYNC_OP_CALLBACK, &id, 0);
        op.job = &job;
        op.not_before = now + 5000;
        job.callback_status = NGX_ASYNC_CALLBACK_PENDING;
        job.callback_attempts = 1;
        assert_int_equal(db_run(&op), NGX_OK);

        jump(-365LL * DAY);
        sweep_all();

        now += 5000;
        assert_int_equal(db_sweep(), NGX_OK);
        assert_int_equal(sweep.ncallbacks, 1);

        db_op(NGX_ASYNC_OP_CALLBACK, &id, 0);
        op.job = &job;
        job.callback_status = NGX_ASYNC_CALLBACK_DELIVERED;
        assert_int_equal(db_run(&op), NGX_OK);
        sweep_all();
        assert_status(&id, NGX_ASYNC_SUCCEEDED);
    }
}


static void
a_clock_put_right_again_leaves_no_trace(void **state)
{
    ngx_async_id_t  id;

    sweep_all();
    id = finished_job(DAY);

    jump(1000LL * DAY);
    sweep_all();
    jump(-1000LL * DAY);
    sweep_all();

    now += DAY - 1;
    sweep_all();
    assert_status(&id, NGX_ASYNC_FAILED);

    now += 1;
    sweep_all();
    assert_int_equal(db_get(&id), NGX_DECLINED);
}


static void
a_review_of_many_goes_in_steps(void **state)
{
    int             i, n;
    ngx_async_id_t  id;

    sweep_all();

    /* what ended while the clock was wrong, and what waits for another try */

    jump(1000LL * DAY);
    sweep_all();

    for (i = 0; i < 100; i++) {
        (void) finished_job(DAY);
        id = accept_job("q", "", 3);
        assert_claims("q", &id);
        assert_int_equal(db_requeue(&id, 1, now + 1000), NGX_OK);
    }

    jump(-1000LL * DAY);

    for (n = 1; db_sweep() == NGX_OK && sweep.more; n++) {
        db_check();
    }

    assert_true(n > 3 && n < 10);
    assert_int_equal(sweep.next, now + 1000);

    now += 1000;
    sweep_all();

    for (i = 0; i < 100; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
    }

    now += DAY - 1001;
    sweep_all();
    assert_int_equal(sweep.next, now + 1);

    now += 1;
    sweep_all();
    assert_int_equal(sweep.next, 0);
}


static void
a_clock_put_back_to_its_beginning_loses_no_attempt(void **state)
{
    int             i;
    ngx_async_id_t  id;

    assert_int_equal(db_sweep(), NGX_OK);

    id = accept_job("q", "", 3);
    assert_claims("q", &id);
    assert_int_equal(db_requeue(&id, 1, now + 1000), NGX_OK);

    /* it is overdue by more than the clock shows then */

    now += 3600000;
    jump(600000 - (int64_t) now);

    for (i = 0; i < 5; i++) {
        now++;
        sweep_all();
    }

    assert_claims("q", &id);
    db_check();
}


int
main(void)
{
#define test(name)                                                            \
    cmocka_unit_test_setup_teardown(name, db_setup_small, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(a_clock_put_forward_expires_nothing),
        test(a_clock_that_was_wrong_at_first_expires_nothing),
        test(time_that_passed_unseen_is_no_jump),
        test(after_a_restart_of_the_system_the_clock_is_believed),
        test(a_wait_in_a_queue_is_not_cut_short),
        test(a_clock_put_back_delays_nothing),
        test(a_clock_put_forward_loses_no_attempt),
        test(a_clock_put_back_to_its_beginning_loses_no_attempt),
        test(callbacks_are_made_by_any_clock),
        test(a_clock_put_right_again_leaves_no_trace),
        test(a_review_of_many_goes_in_steps)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
