
/* sources: src/base/ngx_async_job.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/base/ngx_async_job.h"


static void
set(ngx_str_t *str, const char *text)
{
    str->data = (u_char *) text;
    str->len = strlen(text);
}


/* every field has a value of its own */

static void
example(ngx_async_job_t *job)
{
    memset(job, 0, sizeof(ngx_async_job_t));

    memset(job->id.bytes, 0xa1, NGX_ASYNC_ID_LEN);
    memset(job->runner, 0xa2, NGX_ASYNC_RUNNER_LEN);
    memset(job->key, 0xa3, NGX_ASYNC_HASH_LEN);
    memset(job->fingerprint, 0xa4, NGX_ASYNC_HASH_LEN);

    job->status = NGX_ASYNC_FAILED;
    job->callback_status = NGX_ASYNC_CALLBACK_PENDING;
    job->flags = 0x15;
    job->urgency = 5;

    job->attempt = 1;
    job->cuts = 2;
    job->version = 0xfffffffe;
    job->created = 4;
    job->started = 5;
    job->finished = 0x0102030405060708ULL;
    job->expires = UINT64_MAX;
    job->not_before = 8;
    job->queued = 24;
    job->queue_deadline = 9;
    job->ttl = 10;
    job->ttl_failed = 11;
    job->keep_request = 12;
    job->turn = 13;
    job->seq = 14;
    job->request_head_len = 15;
    job->request_body_len = 16;
    job->response_status = 599;
    job->response_head_len = 18;
    job->response_body_len = 19;
    job->callback_attempts = 20;
    job->callback_due = 21;
    job->clock = 22;
    job->boot = 23;

    set(&job->queue, "queue");
    set(&job->per, "");
    set(&job->owner, "owner");
    set(&job->server, "server");
    set(&job->location, "/location");
    set(&job->method, "POST");
    set(&job->uri, "/a?b=c");
    set(&job->origin, "https://host");
    set(&job->jobs_uri, "https://host/jobs/");
    set(&job->content_type, "text/html");
    set(&job->etag, "\"etag\"");
    set(&job->error_code, "http_500");
    set(&job->error_message, "message");
    set(&job->callback_url, "https://callback/");
    set(&job->callback_error, "callback error");
}


static size_t
encode(u_char *buf, const ngx_async_job_t *job)
{
    size_t  len;

    len = ngx_async_job_encoded_len(job);
    assert_ptr_equal(ngx_async_job_encode(buf, job), buf + len);

    return len;
}


/* strings first, then the rest with their pointers made equal */

static void
assert_same(ngx_async_job_t *a, ngx_async_job_t *b)
{
    size_t      i;
    ngx_str_t  *x, *y;

    x = &a->queue;
    y = &b->queue;

    for (i = 0; &x[i] <= &a->callback_error; i++) {
        assert_int_equal(x[i].len, y[i].len);

        if (x[i].len) {
            assert_memory_equal(x[i].data, y[i].data, x[i].len);
        }

        y[i].data = x[i].data;
    }

    assert_memory_equal(a, b, sizeof(ngx_async_job_t));
}


static void
what_is_written_is_read(void **state)
{
    size_t           len;
    u_char           buf[1024];
    ngx_async_job_t  job, read;

    example(&job);
    len = encode(buf, &job);

    assert_int_equal(ngx_async_job_decode(&read, buf, len), NGX_OK);
    assert_same(&job, &read);
}


static void
an_empty_job_is_small(void **state)
{
    size_t           len;
    u_char           buf[1024];
    ngx_async_job_t  job, read;

    memset(&job, 0, sizeof(job));
    len = encode(buf, &job);

    assert_true(len < 64);
    assert_int_equal(ngx_async_job_decode(&read, buf, len), NGX_OK);
    assert_same(&job, &read);
}


static void
no_part_of_a_record_is_a_record(void **state)
{
    size_t           i, len;
    u_char           buf[1024], *part;
    ngx_async_job_t  job;

    example(&job);
    len = encode(buf, &job);

    for (i = 0; i < len; i++) {

        /* of its own size, so that reading behind it is seen */

        part = malloc(i + 1);
        memcpy(part, buf, i);
        assert_int_equal(ngx_async_job_decode(&job, part, i), NGX_ERROR);
        free(part);
    }

    buf[len] = 0;
    assert_int_equal(ngx_async_job_decode(&job, buf, len + 1), NGX_ERROR);
}


static void
impossible_values_are_refused(void **state)
{
    size_t           i, len;
    u_char           buf[1024];
    ngx_async_job_t  job;

    static const struct {
        size_t  offset;
        u_char  value;
    } bad[] = {
        { 0, 0 }, { 0, 2 }, { 0, 4 },               /* version */
        { 1, 0x08 },                                /* arrays */
        { 2, NGX_ASYNC_CANCELED + 1 },              /* status */
        { 3, NGX_ASYNC_CALLBACK_FAILED + 1 },       /* callback_status */
        { 5, 8 }                                    /* urgency */
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        example(&job);
        len = encode(buf, &job);
        buf[bad[i].offset] = bad[i].value;
        assert_int_equal(ngx_async_job_decode(&job, buf, len), NGX_ERROR);
    }
}


static void
random_bytes_do_no_harm(void **state)
{
    size_t           i, j, len;
    u_char           buf[1024], *copy;
    ngx_async_job_t  job;

    srandom(1);

    for (i = 0; i < 20000; i++) {
        example(&job);
        len = encode(buf, &job);

        for (j = 0; j < 3; j++) {
            buf[random() % len] = (u_char) random();
        }

        copy = malloc(len);
        memcpy(copy, buf, len);
        (void) ngx_async_job_decode(&job, copy, len);
        free(copy);
    }
}


static void
only_legal_changes_are_made(void **state)
{
    ngx_uint_t       from, to;
    ngx_int_t        rc;
    ngx_async_job_t  job, before;

    static const char  legal[5][6] = {
        "01011",
        "10111",
        "00000",
        "10000",
        "00000"
    };

    for (from = 0; from < 5; from++) {
        for (to = 0; to < 5; to++) {
            memset(&job, 0, sizeof(job));
            job.status = from & 7;
            job.version = 7;
            before = job;

            rc = ngx_async_job_change(&job, to, 1000);

            if (legal[from][to] == '1') {
                assert_int_equal(rc, NGX_OK);
                assert_int_equal(job.status, to);
                assert_int_equal(job.version, 8);

            } else {
                assert_int_equal(rc, NGX_ABORT);
                assert_memory_equal(&job, &before, sizeof(job));
            }
        }
    }
}


static void
times_follow_from_changes(void **state)
{
    ngx_async_job_t  job;

    memset(&job, 0, sizeof(job));
    job.ttl = 100;
    job.ttl_failed = 10;

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_RUNNING, 1000),
                     NGX_OK);
    assert_int_equal(job.started, 1000);

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_FAILED, 2000),
                     NGX_OK);
    assert_int_equal(job.finished, 2000);
    assert_int_equal(job.expires, 2010);

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_NOT_STARTED, 3000),
                     NGX_OK);
    assert_int_equal(job.finished, 0);
    assert_int_equal(job.expires, 0);

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_RUNNING, 4000),
                     NGX_OK);
    assert_int_equal(job.started, 4000);

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_CANCELED, 5000),
                     NGX_OK);
    assert_int_equal(job.expires, 5010);

    job.status = NGX_ASYNC_RUNNING;
    job.ttl = UINT64_MAX - 5;

    assert_int_equal(ngx_async_job_change(&job, NGX_ASYNC_SUCCEEDED, 5000),
                     NGX_OK);
    assert_true(job.expires == UINT64_MAX);
}


static void
states_have_their_words(void **state)
{
    assert_string_equal(ngx_async_job_status_names[NGX_ASYNC_NOT_STARTED].data,
                        "notStarted");
    assert_string_equal(ngx_async_job_status_names[NGX_ASYNC_CANCELED].data,
                        "canceled");
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(an_empty_job_is_small),
        cmocka_unit_test(no_part_of_a_record_is_a_record),
        cmocka_unit_test(impossible_values_are_refused),
        cmocka_unit_test(random_bytes_do_no_harm),
        cmocka_unit_test(only_legal_changes_are_made),
        cmocka_unit_test(times_follow_from_changes),
        cmocka_unit_test(states_have_their_words)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
