
/* sources: src/engine/ngx_async_retry.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/engine/ngx_async_run.h"


#define NOW    1700000000000ULL
#define DRAWS  4000


volatile ngx_time_t          *ngx_cached_time;
ngx_uint_t                    ngx_exiting;

static ngx_time_t             time_;
static ngx_async_loc_conf_t   alcf;
static ngx_async_queue_t      queue;
static ngx_async_run_t        run;


ngx_int_t
ngx_atoi(u_char *line, size_t n)
{
    ngx_int_t  value;

    for (value = 0; n--; line++) {
        if (*line < '0' || *line > '9' || value > 99999999999) {
            return NGX_ERROR;
        }

        value = value * 10 + (*line - '0');
    }

    return value;
}


/* dates are seconds behind "@" here */

time_t
ngx_parse_http_time(u_char *value, size_t len)
{
    return *value == '@' ? ngx_atoi(value + 1, len - 1) : NGX_ERROR;
}


ngx_int_t
ngx_strncasecmp(u_char *s1, u_char *s2, size_t n)
{
    return strncasecmp((char *) s1, (char *) s2, n);
}


/* an attempt that is over, of a job with or without an idempotent method */

static void
attempt(ngx_uint_t idempotent, ngx_uint_t n)
{
    memset(&run, 0, sizeof(run));

    run.alcf = &alcf;
    run.queue = &queue;
    run.headed = 1;
    run.op.now = NOW;
    run.job.attempt = (uint32_t) n;
    run.job.flags = NGX_ASYNC_JOB_REQUEST
                    | (idempotent ? NGX_ASYNC_JOB_IDEMPOTENT : 0);
    run.job.status = NGX_ASYNC_RUNNING;
}


static void
answer(ngx_uint_t status, const char *retry_after)
{
    ngx_async_head_t   h;
    ngx_async_field_t  field;

    memset(&h, 0, sizeof(h));
    memset(&field, 0, sizeof(field));

    ngx_str_set(&field.key, "retry-after");
    field.value.data = (u_char *) retry_after;
    field.value.len = retry_after ? strlen(retry_after) : 0;

    h.status = status;
    h.fields = &field;
    h.nfields = (retry_after != NULL);

    run.retried = ngx_async_retry_response(&run, &h, NULL) & 1;
}


static int
setup(void **state)
{
    memset(&alcf, 0, sizeof(alcf));
    memset(&queue, 0, sizeof(queue));

    time_.sec = (time_t) (NOW / 1000);
    ngx_cached_time = &time_;

    alcf.retry_tries = 3;
    alcf.retry_backoff = 1000;
    alcf.retry_max_backoff = 60000;

    queue.pause = 30000;

    ngx_exiting = 0;
    srandom(1);

    return 0;
}


static void
each_status_is_its_own_condition(void **state)
{
    ngx_uint_t  i, j;
    static struct {
        ngx_uint_t  status;
        ngx_uint_t  cond;
    } all[] = {
        { 429, NGX_ASYNC_COND_HTTP_429 },
        { 500, NGX_ASYNC_COND_HTTP_500 },
        { 502, NGX_ASYNC_COND_HTTP_502 },
        { 503, NGX_ASYNC_COND_HTTP_503 },
        { 504, NGX_ASYNC_COND_HTTP_504 },
        { 200, 0 }, { 404, 0 }, { 501, 0 }, { 505, 0 }
    };

    for (i = 0; i < 9; i++) {
        for (j = 0; j < 5; j++) {
            alcf.retry = all[j].cond;

            attempt(1, 1);
            answer(all[i].status, NULL);

            assert_int_equal(run.retried, i == j);
            assert_int_equal(ngx_async_retry_attempt(&run), i == j);
            assert_int_equal(run.op.type == NGX_ASYNC_OP_REQUEUE, i == j);
            assert_int_equal(run.op.unsent, 0);
            assert_int_equal(run.op.cut, 0);
        }
    }
}


static void
the_backoff_doubles_with_full_jitter(void **state)
{
    uint64_t    limit, delay, least, most, sum;
    ngx_uint_t  n, i;

    alcf.retry = NGX_ASYNC_COND_HTTP_503;
    alcf.retry_tries = 100;

    limit = 1000;

    for (n = 1; n < 12; n++) {

        least = UINT64_MAX;
        most = sum = 0;

        for (i = 0; i < DRAWS; i++) {
            attempt(1, n);
            answer(503, NULL);
            assert_int_equal(ngx_async_retry_attempt(&run), 1);

            delay = run.op.not_before - NOW;

            least = ngx_min(least, delay);
            most = ngx_max(most, delay);
            sum += delay;
        }

        assert_true(least > 0 && least <= limit / 50);
        assert_true(most <= limit && most >= limit - limit / 50);
        assert_true(sum / DRAWS > limit / 2 - limit / 20);
        assert_true(sum / DRAWS < limit / 2 + limit / 20);

        limit = ngx_min(limit * 2, 60000);
    }
}


static void
an_upstream_says_when(void **state)
{
    ngx_uint_t  i;
    static struct {
        const char  *value;
        uint64_t     delay;
    } all[] = {
        { "7", 7000 },
        { "120", 120000 },
        { "86401", 86400000 },
        { "@1700000009", 9000 },
        { "@1800000000", 86400000 },

        /* none, in effect: the backoff counts */
        { "0", 0 },
        { "@1699999999", 0 },
        { "soon", 0 },
        { "-1", 0 },
        { "999999999999999999999999", 0 }
    };

    alcf.retry = NGX_ASYNC_COND_HTTP_503;

    for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        attempt(1, 1);
        answer(503, all[i].value);
        assert_int_equal(ngx_async_retry_attempt(&run), 1);

        if (all[i].delay) {
            assert_int_equal(run.op.not_before, NOW + all[i].delay);

        } else {
            assert_true(run.op.not_before > NOW);
            assert_true(run.op.not_before <= NOW + 1000);
        }
    }
}


static void
attempts_and_methods_are_limited(void **state)
{
    ngx_uint_t  n, idempotent, may;

    for (may = 0; may < 2; may++) {
        alcf.retry = NGX_ASYNC_COND_HTTP_503
                     | (may ? NGX_ASYNC_COND_NON_IDEMPOTENT : 0);

        for (idempotent = 0; idempotent < 2; idempotent++) {
            for (n = 1; n < 6; n++) {
                attempt(idempotent, n);
                answer(503, NULL);

                assert_int_equal(run.retried, n < 3 && (idempotent || may));
                assert_int_equal(ngx_async_retry_attempt(&run), run.retried);
            }
        }
    }

    /* what reached nobody may be repeated, but not more often */

    alcf.retry = NGX_ASYNC_COND_ERROR;

    for (n = 1; n < 5; n++) {
        attempt(0, n);
        run.headed = 0;
        run.end = NGX_ASYNC_END_UNSENT;

        assert_int_equal(ngx_async_retry_attempt(&run), 1);
        assert_int_equal(run.op.unsent, n >= 3);
    }
}


static void
a_timeout_is_a_condition(void **state)
{
    /* it is not repeated as what was cut off by others is */

    attempt(1, 1);
    run.timedout = 1;
    run.end = NGX_ASYNC_END_CUT;
    assert_int_equal(ngx_async_retry_attempt(&run), 0);

    alcf.retry = NGX_ASYNC_COND_TIMEOUT;

    attempt(1, 1);
    run.timedout = 1;
    assert_int_equal(ngx_async_retry_attempt(&run), 1);

    attempt(0, 1);
    run.timedout = 1;
    assert_int_equal(ngx_async_retry_attempt(&run), 0);

    attempt(1, 3);
    run.timedout = 1;
    assert_int_equal(ngx_async_retry_attempt(&run), 0);
}


static void
what_was_cut_off_is_repeated_three_times(void **state)
{
    ngx_uint_t  cuts;

    for (cuts = 0; cuts < 5; cuts++) {
        attempt(1, 1 + cuts);
        run.job.cuts = cuts & 7;
        run.end = NGX_ASYNC_END_CUT;

        assert_int_equal(ngx_async_retry_attempt(&run), cuts < 3);

        if (cuts < 3) {
            assert_int_equal(run.op.cut, 1);
            assert_int_equal(run.op.not_before, NOW + (200ULL << cuts));
        }
    }

    attempt(0, 1);
    run.end = NGX_ASYNC_END_CUT;
    assert_int_equal(ngx_async_retry_attempt(&run), 0);

    /* by a worker that ends: another one goes on at once */

    ngx_exiting = 1;

    attempt(1, 1);
    run.end = NGX_ASYNC_END_CUT;
    assert_int_equal(ngx_async_retry_attempt(&run), 1);
    assert_int_equal(run.op.not_before, 0);
}


static void
a_backend_that_is_down_pauses_the_queue(void **state)
{
    queue.pause_on = NGX_ASYNC_COND_ERROR | NGX_ASYNC_COND_HTTP_503;

    /* refused: back, at once, and it does not count */

    attempt(0, 1);
    run.headed = 0;
    run.end = NGX_ASYNC_END_UNSENT;

    assert_int_equal(ngx_async_retry_attempt(&run), 1);
    assert_int_equal(run.op.pause_until, NOW + 30000);
    assert_int_equal(run.op.not_before, 0);
    assert_int_equal(run.op.unsent, 1);
    assert_int_equal(run.op.cut, 0);

    /* what this side lacks says nothing of the backend */

    attempt(0, 1);
    run.headed = 0;
    run.starved = 1;
    run.end = NGX_ASYNC_END_UNSENT;

    assert_int_equal(ngx_async_retry_attempt(&run), 1);
    assert_int_equal(run.op.pause_until, 0);
    assert_int_equal(run.op.unsent, 1);
    assert_true(run.op.not_before > NOW);

    /* answered: a GET goes back three times, a POST has its answer */

    attempt(1, 1);
    answer(503, NULL);
    assert_int_equal(run.retried, 1);
    assert_int_equal(ngx_async_retry_attempt(&run), 1);
    assert_int_equal(run.op.pause_until, NOW + 30000);
    assert_int_equal(run.op.unsent, 0);
    assert_int_equal(run.op.cut, 1);

    attempt(1, 4);
    run.job.cuts = NGX_ASYNC_MAX_CUTS;
    answer(503, NULL);
    assert_int_equal(run.retried, 0);
    assert_int_equal(ngx_async_retry_attempt(&run), 0);
    assert_int_equal(run.op.pause_until, NOW + 30000);

    attempt(0, 1);
    answer(503, NULL);
    assert_int_equal(run.retried, 0);
    assert_int_equal(ngx_async_retry_attempt(&run), 0);
    assert_int_equal(run.op.pause_until, NOW + 30000);

    /* any other answer pauses nothing */

    attempt(1, 1);
    answer(500, NULL);
    assert_int_equal(ngx_async_retry_attempt(&run), 0);
    assert_int_equal(run.op.pause_until, 0);
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup(each_status_is_its_own_condition, setup),
        cmocka_unit_test_setup(the_backoff_doubles_with_full_jitter, setup),
        cmocka_unit_test_setup(an_upstream_says_when, setup),
        cmocka_unit_test_setup(attempts_and_methods_are_limited, setup),
        cmocka_unit_test_setup(a_timeout_is_a_condition, setup),
        cmocka_unit_test_setup(what_was_cut_off_is_repeated_three_times,
                               setup),
        cmocka_unit_test_setup(a_backend_that_is_down_pauses_the_queue, setup)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
