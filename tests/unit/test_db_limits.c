
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


#define DAY   86400000
#define MANY  (5 * NGX_ASYNC_SWEEP_MAX / 2)


static ngx_async_job_t  job;


static void
tell(const char *queue, ngx_msec_t timeout)
{
    limits.timeout = timeout;

    db_op(NGX_ASYNC_OP_LIMITS, NULL, 0);
    op.queue_name = db_str(queue);

    assert_int_equal(db_run(&op), NGX_OK);
}


/* returns the number of sweeps, and in "ended" of jobs that ended */

static int
sweep_all(int *ended)
{
    int  n;

    for (n = *ended = 0; n < 1000; /* void */) {
        assert_int_equal(db_sweep(), NGX_OK);
        db_check();

        n++;
        *ended += (int) sweep.nchanged;

        if (!sweep.more) {
            break;
        }
    }

    assert_false(sweep.more);

    return n;
}


static void
jump(int64_t by)
{
    now += (uint64_t) by;
    jumped += by;
}


static void
a_shorter_timeout_holds_for_jobs_that_wait(void **state)
{
    int             ended;
    uint64_t        next;
    ngx_async_id_t  id, running;

    limits.timeout = 60000;
    running = accept_job("q", "", 3);
    id = accept_job("q", "", 3);
    assert_claims("q", &running);
    now += 2000;

    tell("q", 5000);
    assert_true(ngx_async_db_due(db, now, &next));
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);
    assert_false(ngx_async_db_due(db, now, &next));
    assert_int_equal(next, now + 3000);

    now += 2999;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);

    now += 1;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 1);
    assert_status(&id, NGX_ASYNC_FAILED);

    /* it is over already */

    id = accept_job("q", "", 3);
    now += 2000;
    tell("q", 2000);
    (void) sweep_all(&ended);
    assert_int_equal(ended, 1);
    assert_status(&id, NGX_ASYNC_FAILED);

    /* whoever was called does not wait */

    assert_status(&running, NGX_ASYNC_RUNNING);
    assert_int_equal(db_requeue(&running, 1, 0), NGX_OK);
    (void) sweep_all(&ended);
    assert_status(&running, NGX_ASYNC_NOT_STARTED);
}


static void
a_longer_timeout_holds_for_jobs_that_wait(void **state)
{
    int             ended;
    ngx_async_id_t  id;

    limits.timeout = 1000;
    id = accept_job("q", "", 3);

    /* before and after the sweep that would have ended it has seen it */

    now += 1000;
    tell("q", 5000);
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.queue_deadline, now + 4000);

    tell("q", 8000);
    (void) sweep_all(&ended);
    now += 6999;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);

    now += 1;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_FAILED);
}


static void
a_timeout_comes_and_goes(void **state)
{
    int             ended;
    uint64_t        next;
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    now += 1000;

    tell("q", 5000);
    (void) sweep_all(&ended);
    assert_false(ngx_async_db_due(db, now, &next));
    assert_int_equal(next, now + 4000);

    tell("q", 0);
    (void) sweep_all(&ended);
    assert_false(ngx_async_db_due(db, now, &next));
    assert_int_equal(next, 0);

    now += DAY;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);

    tell("q", 5000);
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_FAILED);
}


static void
many_jobs_get_it_in_steps(void **state)
{
    int  i, n, ended;

    for (i = 0; i < MANY; i++) {
        (void) accept_job("q", "", i % 8);
    }

    (void) accept_job("other", "", 3);

    tell("q", 1000);
    n = sweep_all(&ended);
    assert_true(n >= MANY / NGX_ASYNC_SWEEP_MAX);
    assert_int_equal(ended, 0);

    now += 999;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);

    now += 1;
    (void) sweep_all(&ended);
    assert_int_equal(ended, MANY);
}


static void
none_ends_by_the_timeout_of_before(void **state)
{
    int  i, ended;

    limits.timeout = 1000;

    for (i = 0; i < MANY; i++) {
        (void) accept_job("q", "", 3);
    }

    now += 1000;
    tell("q", 3000);
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);

    now += 2000;
    tell("q", 0);
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);
}


static void
a_restart_in_the_middle_goes_on(void **state)
{
    int  i, ended;

    for (i = 0; i < MANY; i++) {
        (void) accept_job("q", "", 3);
    }

    tell("q", 1000);
    assert_int_equal(db_sweep(), NGX_OK);
    assert_true(sweep.more);

    db_stop();
    db_start(16 * MIB);

    (void) sweep_all(&ended);
    now += 1000;
    (void) sweep_all(&ended);
    assert_int_equal(ended, MANY);
}


static void
another_change_in_the_middle_begins_anew(void **state)
{
    int  i, ended;

    for (i = 0; i < MANY; i++) {
        (void) accept_job("q", "", 3);
    }

    tell("q", 1000);
    assert_int_equal(db_sweep(), NGX_OK);
    assert_true(sweep.more);

    tell("q", 3000);
    now += 2999;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);

    now += 1;
    (void) sweep_all(&ended);
    assert_int_equal(ended, MANY);
}


/* those that are released go to places that were passed, or are not yet */

static void
parked_jobs_are_not_passed_over(void **state)
{
    int             i, rounds, ended, waiting;
    ngx_async_id_t  first;

    limits.per_concurrency = 1;

    for (rounds = 0; rounds < 4; rounds++) {

        for (i = 0; i < MANY; i++) {
            (void) accept_job("q", i & 1 ? "a" : "b", i % 8);
        }

        tell("q", 1000);

        for (i = waiting = 0; i < rounds; i++) {
            assert_int_equal(db_sweep(), NGX_OK);
        }

        for (i = 0; i < 20; i++) {
            assert_int_equal(db_claim("q", 1), NGX_OK);
            first = op.found.id;
            assert_int_equal(db_cancel(&first), NGX_OK);
        }

        (void) sweep_all(&ended);
        assert_int_equal(ended, 0);

        now += 1000;
        (void) sweep_all(&ended);
        assert_int_equal(ended, MANY - 20);

        tell("q", 0);
    }
}


static void
jobs_that_are_delayed_get_it_when_they_wait(void **state)
{
    int             ended;
    ngx_async_id_t  id[2];

    id[0] = accept_job("q", "", 3);
    id[1] = accept_job("q", "", 3);

    assert_claims("q", &id[0]);
    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.unsent = 1;
    op.not_before = now + 500;
    assert_int_equal(db_run(&op), NGX_OK);

    assert_claims("q", &id[1]);
    tell("q", 1000);
    (void) sweep_all(&ended);

    now += 500;
    db_op(NGX_ASYNC_OP_REQUEUE, &id[1], 1);
    op.unsent = 1;
    assert_int_equal(db_run(&op), NGX_OK);
    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);

    now += 500;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 2);
}


static void
a_job_that_moves_has_the_timeout_of_its_new_queue(void **state)
{
    int             ended;
    ngx_async_id_t  id;

    limits.timeout = 1000;
    id = accept_job("old", "", 3);
    now += 500;

    limits.timeout = 3000;
    db_job(&job, "");
    assert_int_equal(db_move("old", &job, "new"), NGX_DECLINED);

    now += 2499;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);

    now += 1;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_FAILED);
}


static void
a_clock_that_jumps_changes_no_wait(void **state)
{
    int             i, ended;
    ngx_async_id_t  id;
    int64_t         by[] = { 3650LL * DAY, -3650LL * DAY, 60000, -60000 };

    for (i = 0; i < 4; i++) {
        tell("q", 0);
        (void) sweep_all(&ended);
        id = accept_job("q", "", 3);

        now += 1000;
        jump(by[i]);
        (void) sweep_all(&ended);

        tell("q", 5000);
        (void) sweep_all(&ended);
        assert_int_equal(ended, 0);
        assert_status(&id, NGX_ASYNC_NOT_STARTED);
        assert_int_equal(op.found.queue_deadline, now + 4000);

        jump(by[i]);
        (void) sweep_all(&ended);
        assert_int_equal(ended, 0);

        now += 1000;
        tell("q", 3000);
        (void) sweep_all(&ended);
        assert_int_equal(ended, 0);

        now += 1000;
        (void) sweep_all(&ended);
        assert_int_equal(ended, 1);
        assert_status(&id, NGX_ASYNC_FAILED);
    }
}


static void
the_limits_of_an_old_configuration_are_not_taken(void **state)
{
    int             ended;
    ngx_async_id_t  id;

    limits.since = 1000;
    id = accept_job("q", "", 3);

    limits.since = 2000;
    tell("q", 5000);

    limits.since = 1000;
    limits.timeout = 0;
    (void) accept_job("q", "", 3);
    (void) sweep_all(&ended);

    now += 5000;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 2);
    assert_status(&id, NGX_ASYNC_FAILED);

    /* the system was started again */

    db->boot++;
    id = accept_job("q", "", 3);
    now += 5000;
    (void) sweep_all(&ended);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);
}


/* while all that wait are gone through, from the last one on */

static void
a_job_that_is_parked_meanwhile_gets_its_deadline(void **state)
{
    int             i, ended;
    ngx_async_id_t  lazy, urgent;

    limits.per_concurrency = 1;

    urgent = accept_job("q", "v", 0);
    lazy = accept_job("q", "v", 5);

    for (i = 0; i < MANY; i++) {
        (void) accept_job("q", "w", 4);
    }

    tell("q", 1000);

    assert_int_equal(db_sweep(), NGX_OK);
    assert_true(sweep.more);

    /* the other job of its value leaves it no room */

    assert_claims("q", &urgent);
    db_check();

    (void) sweep_all(&ended);
    assert_int_equal(ended, 0);
    assert_status(&lazy, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.queue_deadline, now + 1000);

    now += 1000;
    (void) sweep_all(&ended);
    assert_status(&lazy, NGX_ASYNC_FAILED);
    assert_status(&urgent, NGX_ASYNC_RUNNING);
}


/* not one with every sweep */

static void
many_that_are_parked_meanwhile_get_it_in_steps(void **state)
{
    int   i, ended;
    char  name[16];

    limits.per_concurrency = 1;

    for (i = 0; i < MANY; i++) {
        (void) snprintf(name, sizeof(name), "v%d", i);
        (void) accept_job("q", name, 0);
        (void) accept_job("q", name, 5);
        (void) accept_job("q", "w", 4);
    }

    tell("q", 1000);

    assert_int_equal(db_sweep(), NGX_OK);
    assert_true(sweep.more);

    for (i = 0; i < MANY; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
    }

    assert_true(sweep_all(&ended) < MANY / 4);
    assert_int_equal(ended, 0);

    now += 1000;
    (void) sweep_all(&ended);
    assert_int_equal(ended, 2 * MANY);
}


/* what would need room waits for it, and nothing else does */

static void
a_full_store_gives_no_new_deadlines(void **state)
{
    int             n, ended;
    ngx_async_id_t  id[1000];

    for (n = 0; n < 1000; n++) {
        db_job(&job, "q");
        id[n] = job.id;

        if (db_accept(&job, 1500, 0, 1) != NGX_OK) {
            break;
        }
    }

    assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);

    tell("q", 60000);
    assert_int_equal(sweep_all(&ended), 1);
    assert_int_equal(sweep.next, now + 1000);

    while (n > 70) {
        assert_int_equal(db_cancel(&id[--n]), NGX_OK);
    }

    now += 1000;
    assert_true(sweep_all(&ended) > 1);
    assert_status(&id[0], NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.queue_deadline, now + 59000);
}


int
main(void)
{
#define test(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(a_shorter_timeout_holds_for_jobs_that_wait, db_setup_small),
        test(a_longer_timeout_holds_for_jobs_that_wait, db_setup_small),
        test(a_timeout_comes_and_goes, db_setup_small),
        test(many_jobs_get_it_in_steps, db_setup_small),
        test(none_ends_by_the_timeout_of_before, db_setup_small),
        test(a_restart_in_the_middle_goes_on, db_setup_small),
        test(another_change_in_the_middle_begins_anew, db_setup_small),
        test(parked_jobs_are_not_passed_over, db_setup_small),
        test(jobs_that_are_delayed_get_it_when_they_wait, db_setup_small),
        test(a_job_that_moves_has_the_timeout_of_its_new_queue,
             db_setup_small),
        test(a_clock_that_jumps_changes_no_wait, db_setup_small),
        test(the_limits_of_an_old_configuration_are_not_taken, db_setup_small),
        test(a_job_that_is_parked_meanwhile_gets_its_deadline, db_setup_small),
        test(many_that_are_parked_meanwhile_get_it_in_steps, db_setup_small),
        test(a_full_store_gives_no_new_deadlines, db_setup_tiny)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
