
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


static ngx_async_job_t  job;


static void
a_job_goes_its_way(void **state)
{
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.position, 1);
    assert_int_equal(op.found.attempt, 0);
    db_check();

    now += 10;
    assert_claims("q", &id);
    assert_int_equal(op.found.status, NGX_ASYNC_RUNNING);
    assert_int_equal(op.found.attempt, 1);
    assert_int_equal(op.found.started, now);
    assert_bytes(&id, NGX_ASYNC_REQUEST, 0, 100);
    db_check();

    assert_status(&id, NGX_ASYNC_RUNNING);
    assert_int_equal(op.position, 0);
    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 0, 10), NGX_DECLINED);

    now += 10;
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 5000), NGX_OK);
    assert_int_equal(op.found.status, NGX_ASYNC_SUCCEEDED);
    assert_int_equal(op.found.finished, now);
    assert_int_equal(op.found.expires, now + 60000);
    assert_int_equal(op.found.runner[0], 0);
    db_check();

    db_stop();
    db_start(16 * MIB);

    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 0, 6000), NGX_OK);
    assert_bytes(&id, NGX_ASYNC_RESPONSE, 0, 5000);
    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 4999, 6000), NGX_OK);
    assert_int_equal(op.blob.len, 1);
    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 5000, 6000), NGX_OK);
    assert_int_equal(op.blob.len, 0);
    assert_int_equal(db_blob(&id, NGX_ASYNC_REQUEST, 0, 10), NGX_DECLINED);

    now += 59999;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_status(&id, NGX_ASYNC_SUCCEEDED);
    assert_int_equal(sweep.next, now + 1);

    now += 1;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.nexpired, 1);
    assert_int_equal(sweep.next, 0);
    assert_int_equal(db_get(&id), NGX_DECLINED);
    db_check();
}


static void
a_free_slot_is_taken_at_once(void **state)
{
    ngx_async_id_t  id;

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 2), NGX_OK);
    assert_int_equal(op.claimed, 1);
    assert_int_equal(job.status, NGX_ASYNC_RUNNING);
    assert_int_equal(job.attempt, 1);
    assert_int_equal(job.runner[0], 2);
    id = job.id;

    /* not by one that comes after another */

    (void) accept_job("q", "", 3);

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 2), NGX_OK);
    assert_int_equal(op.claimed, 0);
    assert_int_equal(job.status, NGX_ASYNC_NOT_STARTED);

    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_ABORT);
    assert_int_equal(op.found.status, NGX_ASYNC_RUNNING);
    assert_int_equal(db_finish(&id, 2, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_int_equal(db_finish(&id, 2, NGX_ASYNC_SUCCEEDED, 1), NGX_ABORT);
    assert_int_equal(op.found.status, NGX_ASYNC_SUCCEEDED);
    db_check();
}


static void
a_promise_is_stored_as_running_whatever_the_limits(void **state)
{
    (void) accept_job("q", "v", 3);

    limits.backlog = 1;
    limits.per_concurrency = 1;

    db_job(&job, "q");
    job.per = db_str("v");
    job.status = NGX_ASYNC_RUNNING;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    assert_int_equal(job.status, NGX_ASYNC_RUNNING);
    assert_int_equal(job.attempt, 1);
    assert_int_equal(job.started, now);
    db_check();

    /* and counts: the one that waits is passed over, until it ends */

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    db_check();
    assert_int_equal(db_finish(&job.id, 1, NGX_ASYNC_FAILED, 0), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    db_check();
}


static ngx_int_t
accept_lazily(ngx_uint_t claim)
{
    db_job(&job, "q");
    job.request_body_len = 5;

    db_op(NGX_ASYNC_OP_ACCEPT, NULL, 1);
    op.job = &job;
    op.claim = claim & 1;
    op.lazy = 1;
    op.piece = db_str("bytes");

    return db_run(&op);
}


static void
a_request_is_stored_when_somebody_may_need_it(void **state)
{
    ngx_async_id_t  id;

    assert_int_equal(accept_lazily(1), NGX_OK);
    assert_int_equal(op.claimed, 1);
    id = job.id;
    assert_int_equal(db_blob(&id, NGX_ASYNC_REQUEST, 0, 10), NGX_DECLINED);

    /* back in its queue */

    db_op(NGX_ASYNC_OP_REQUEUE, &id, 1);
    op.piece = db_str("bytes");
    assert_int_equal(db_run(&op), NGX_OK);
    assert_int_equal(db_blob(&id, NGX_ASYNC_REQUEST, 0, 10), NGX_OK);
    assert_int_equal(op.blob.len, 5);
    assert_memory_equal(op.blob.data, "bytes", 5);

    assert_claims("q", &id);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_int_equal(db_blob(&id, NGX_ASYNC_REQUEST, 0, 10), NGX_DECLINED);

    /* not run at once */

    assert_int_equal(accept_lazily(0), NGX_OK);
    assert_int_equal(op.claimed, 0);
    assert_int_equal(db_blob(&job.id, NGX_ASYNC_REQUEST, 0, 10), NGX_OK);
    assert_int_equal(op.blob.len, 5);

    /* its runner dies */

    assert_int_equal(db_cancel(&job.id), NGX_OK);
    assert_int_equal(accept_lazily(1), NGX_OK);
    assert_int_equal(db_recover(1), NGX_OK);
    assert_int_equal(sweep.nchanged, 1);
    assert_status(&job.id, NGX_ASYNC_FAILED);
}


static void
a_key_leads_to_its_job(void **state)
{
    ngx_async_id_t   first;
    ngx_async_job_t  again;

    db_job(&job, "q");
    job.flags = NGX_ASYNC_JOB_KEY;
    memset(job.key, 7, NGX_ASYNC_HASH_LEN);
    memset(job.fingerprint, 8, NGX_ASYNC_HASH_LEN);
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    first = job.id;

    again = job;
    again.request_body_len = 0;
    assert_int_equal(ngx_async_id_create(&again.id, now), NGX_OK);
    assert_int_equal(db_accept(&again, 10, 0, 1), NGX_ABORT);
    assert_memory_equal(op.found.id.bytes, first.bytes, NGX_ASYNC_ID_LEN);
    assert_int_equal(op.found.fingerprint[0], 8);
    assert_int_equal(db_get(&again.id), NGX_DECLINED);

    /* canceled before it ever started, it is as if it had not been */

    assert_int_equal(db_cancel(&first), NGX_OK);
    assert_int_equal(db_accept(&again, 10, 0, 1), NGX_OK);
    db_check();

    /* but not so one that was started */

    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_cancel(&again.id), NGX_OK);
    assert_int_equal(op.was_running, 1);
    assert_int_equal(op.found.runner[0], 1);

    job = again;
    assert_int_equal(ngx_async_id_create(&job.id, now), NGX_OK);
    job.request_body_len = 0;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_ABORT);

    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &again.id), NGX_OK);
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    db_check();
}


static void
bodies_come_in_pieces(void **state)
{
    size_t          limit;
    uint64_t        total, offset;
    ngx_async_id_t  id;

    db_job(&job, "q");
    id = job.id;

    assert_int_equal(db_append(&id, 0, NGX_ASYNC_PIECE, 1, 1), NGX_ABORT);

    for (offset = 0; offset < 3 * NGX_ASYNC_PIECE; offset += NGX_ASYNC_PIECE) {
        assert_int_equal(db_append(&id, NGX_ASYNC_REQUEST, offset,
                                   NGX_ASYNC_PIECE, 1), NGX_OK);
        db_check();
    }

    job.request_body_len = offset;
    assert_int_equal(db_accept(&job, 17, 1, 1), NGX_OK);
    assert_int_equal(op.claimed, 1);
    db_check();

    total = 3 * NGX_ASYNC_PIECE + 17;
    limit = 100000;

    for (offset = 0; offset < total; offset += op.blob.len) {
        assert_int_equal(db_blob(&id, NGX_ASYNC_REQUEST, offset, limit),
                         NGX_OK);
        assert_bytes(&id, NGX_ASYNC_REQUEST, offset,
                     ngx_min(limit, total - offset));
    }

    for (offset = 0; offset < 4 * NGX_ASYNC_PIECE; offset += NGX_ASYNC_PIECE) {
        assert_int_equal(db_append(&id, NGX_ASYNC_RESPONSE, offset,
                                   NGX_ASYNC_PIECE, 1), NGX_OK);
    }

    assert_int_equal(db_append(&id, NGX_ASYNC_RESPONSE, offset, 1, 2),
                     NGX_ABORT);

    /* its end falls on the end of a piece */

    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, offset), NGX_OK);
    db_check();

    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 1, 1 << 20), NGX_OK);
    assert_bytes(&id, NGX_ASYNC_RESPONSE, 1, offset - 1);

    db_op(NGX_ASYNC_OP_GET, &id, 0);
    op.want_response = 1;
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_bytes(&id, NGX_ASYNC_RESPONSE, 0, NGX_ASYNC_PIECE);
}


static void
what_was_staged_is_dropped(void **state)
{
    ngx_async_id_t  id[2];

    db_job(&job, "q");
    id[0] = job.id;
    db_job(&job, "q");
    id[1] = job.id;

    assert_int_equal(db_append(&id[0], 0, 0, NGX_ASYNC_PIECE, 1), NGX_OK);
    assert_int_equal(db_append(&id[1], 0, 0, NGX_ASYNC_PIECE, 1), NGX_OK);

    assert_int_equal(db_discard(&id[0], 2), NGX_DECLINED);
    assert_int_equal(db_discard(&id[0], 1), NGX_OK);
    assert_int_equal(db_discard(&id[0], 1), NGX_DECLINED);
    db_check();

    assert_int_equal(db_recover(1), NGX_OK);
    assert_int_equal(sweep.nchanged, 0);
    db_check();

    /* without its first pieces a request is none */

    job.id = id[1];
    job.request_body_len = NGX_ASYNC_PIECE;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_ERROR);
    assert_int_equal(db_get(&id[1]), NGX_DECLINED);
    db_check();
}


static void
canceling_works_in_every_state(void **state)
{
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    assert_int_equal(db_cancel(&id), NGX_OK);
    assert_int_equal(op.was_running, 0);
    assert_int_equal(op.found.status, NGX_ASYNC_CANCELED);
    assert_memory_equal(op.found.error_code.data, "canceled", 8);
    assert_int_equal(db_cancel(&id), NGX_ABORT);
    db_check();

    id = accept_job("q", "", 3);
    assert_claims("q", &id);
    assert_int_equal(db_append(&id, 1, 0, NGX_ASYNC_PIECE, 1), NGX_OK);
    assert_int_equal(db_cancel(&id), NGX_OK);
    assert_int_equal(op.was_running, 1);
    assert_int_equal(op.found.runner[0], 1);
    assert_int_equal(db_append(&id, 1, NGX_ASYNC_PIECE, 1, 1), NGX_ABORT);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_ABORT);
    assert_int_equal(op.found.status, NGX_ASYNC_CANCELED);
    db_check();

    id = accept_job("q", "", 3);
    assert_claims("q", &id);
    assert_int_equal(db_requeue(&id, 1, now + 1000), NGX_OK);
    assert_int_equal(db_cancel(&id), NGX_OK);
    assert_int_equal(op.was_running, 0);
    db_check();

    limits.per_concurrency = 1;
    (void) accept_job("q", "v", 3);
    id = accept_job("q", "v", 3);
    assert_int_equal(db_cancel(&id), NGX_OK);
    db_check();

    assert_int_equal(ngx_async_id_create(&id, now), NGX_OK);
    assert_int_equal(db_cancel(&id), NGX_DECLINED);
}


static void
a_failed_job_runs_again_while_its_request_is_kept(void **state)
{
    ngx_async_id_t  id;

    db_job(&job, "q");
    job.keep_request = 1000;
    job.callback_url = db_str("https://example.com/");
    id = job.id;

    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);
    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &id), NGX_ABORT);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_FAILED, 700), NGX_OK);
    assert_true(op.found.flags & NGX_ASYNC_JOB_REQUEST);
    db_check();

    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &id), NGX_OK);
    assert_int_equal(op.found.status, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.response_status, 0);
    assert_int_equal(op.found.error_code.len, 0);
    db_check();

    assert_claims("q", &id);
    assert_int_equal(op.found.attempt, 2);
    assert_bytes(&id, NGX_ASYNC_REQUEST, 0, 50);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_FAILED, 0), NGX_OK);
    db_check();

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(db_get(&id), NGX_OK);
    assert_false(op.found.flags & NGX_ASYNC_JOB_REQUEST);
    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &id), NGX_ABORT);
    db_check();

    /* the request of one that succeeds is of no more use */

    db_job(&job, "q");
    job.keep_request = 1000;
    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);
    assert_int_equal(db_finish(&job.id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_false(op.found.flags & NGX_ASYNC_JOB_REQUEST);
    db_check();
}


static void
a_response_is_not_read_as_the_end_of_another(void **state)
{
    ngx_async_id_t   id;
    ngx_async_job_t  seen;

    db_job(&job, "q");
    job.keep_request = 1000;
    id = job.id;

    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_FAILED, 100), NGX_OK);
    seen = op.found;

    db_op(NGX_ASYNC_OP_READ, &id, 0);
    op.part = NGX_ASYNC_RESPONSE;
    op.limit = 10;
    op.job = &seen;
    assert_int_equal(db_ask(&op), NGX_OK);

    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &id), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_FAILED, 100), NGX_OK);

    db_op(NGX_ASYNC_OP_READ, &id, 0);
    op.part = NGX_ASYNC_RESPONSE;
    op.limit = 10;
    op.job = &seen;
    assert_int_equal(db_ask(&op), NGX_DECLINED);
}


static void
callbacks_are_leased_until_delivered(void **state)
{
    ngx_async_id_t   id;
    ngx_async_job_t  report;

    db_job(&job, "q");
    job.callback_url = db_str("https://example.com/");
    job.ttl = 1000000;
    id = job.id;

    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_int_equal(op.found.callback_status, NGX_ASYNC_CALLBACK_PENDING);

    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ncallbacks, 1);
    assert_memory_equal(sweep.callbacks[0].bytes, id.bytes, NGX_ASYNC_ID_LEN);
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ncallbacks, 0);
    db_check();

    /* whoever had it has died */

    now += 60000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ncallbacks, 1);

    ngx_memzero(&report, sizeof(report));
    report.callback_status = NGX_ASYNC_CALLBACK_PENDING;
    report.callback_attempts = 1;
    report.callback_error = db_str("http_500");

    db_op(NGX_ASYNC_OP_CALLBACK, &id, 0);
    op.job = &report;
    op.not_before = now + 100000;
    assert_int_equal(db_run(&op), NGX_OK);
    db_check();

    now += 99999;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ncallbacks, 0);

    now += 1;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ncallbacks, 1);

    report.callback_status = NGX_ASYNC_CALLBACK_DELIVERED;
    report.callback_attempts = 2;
    report.callback_error.len = 0;

    db_op(NGX_ASYNC_OP_CALLBACK, &id, 0);
    op.job = &report;
    assert_int_equal(db_run(&op), NGX_OK);
    assert_int_equal(op.found.callback_attempts, 2);

    db_op(NGX_ASYNC_OP_CALLBACK, &id, 0);
    op.job = &report;
    assert_int_equal(db_run(&op), NGX_ABORT);
    db_check();
}


static void
jobs_of_a_dead_runner_go_on_or_fail(void **state)
{
    int             i;
    ngx_async_id_t  get, post;

    db_job(&job, "q");
    job.flags = NGX_ASYNC_JOB_IDEMPOTENT;
    get = job.id;
    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);

    db_job(&job, "q");
    post = job.id;
    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);
    assert_int_equal(db_append(&post, 1, 0, NGX_ASYNC_PIECE, 1), NGX_OK);

    assert_int_equal(db_recover(2), NGX_OK);
    assert_int_equal(sweep.nchanged, 0);

    assert_int_equal(db_recover(1), NGX_OK);
    assert_int_equal(sweep.nchanged, 2);
    assert_int_equal(sweep.ready, 1);
    db_check();

    assert_status(&post, NGX_ASYNC_FAILED);
    assert_memory_equal(op.found.error_code.data, "interrupted", 11);
    assert_status(&get, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.cuts, 1);

    for (i = 0; i < 2; i++) {
        assert_claims("q", &get);
        assert_int_equal(db_recover(1), NGX_OK);
        assert_status(&get, NGX_ASYNC_NOT_STARTED);
    }

    /* sent again three times, and no more */

    assert_claims("q", &get);
    assert_int_equal(op.found.attempt, 4);
    assert_int_equal(db_recover(1), NGX_OK);
    assert_status(&get, NGX_ASYNC_FAILED);
    db_check();
}


static void
recovery_and_expiry_go_in_steps(void **state)
{
    int  i, n;

    for (i = 0; i < 150; i++) {
        db_job(&job, "q");
        limits.timeout = 1;
        assert_int_equal(db_accept(&job, 50, i & 1, 1), NGX_OK);

        if (!op.claimed) {
            assert_int_equal(db_claim("q", 1), NGX_OK);
        }
    }

    for (n = 1; db_recover(1) == NGX_OK && sweep.more; n++) { /* void */ }

    assert_int_equal(n, 3);
    db_check();

    now += 60000;

    for (n = 1; db_sweep() == NGX_OK && sweep.more; n++) {
        assert_int_equal(sweep.nexpired, NGX_ASYNC_SWEEP_MAX);
    }

    assert_int_equal(n, 3);
    db_check();
}


static void
large_bodies_are_dropped_in_steps(void **state)
{
    int             i, n;
    uint64_t        used, size;
    ngx_async_id_t  id;

    db_stop();
    db_clear();
    db_start(64 * MIB);

    db_job(&job, "q");
    id = job.id;
    assert_int_equal(db_accept(&job, 50, 1, 1), NGX_OK);

    for (i = 0; i < 600; i++) {
        assert_int_equal(db_append(&id, NGX_ASYNC_RESPONSE,
                                   (uint64_t) i * NGX_ASYNC_PIECE,
                                   NGX_ASYNC_PIECE, 1), NGX_OK);
    }

    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED,
                               600ULL * NGX_ASYNC_PIECE), NGX_OK);
    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &id), NGX_OK);
    assert_int_equal(db_get(&id), NGX_DECLINED);
    db_check();

    for (n = 1; db_sweep() == NGX_OK && sweep.more; n++) {
        db_check();
    }

    assert_true(n >= 2 && n <= 3);
    assert_int_equal(sweep.next, 0);
    db_check();

    ngx_async_db_usage(db, &used, &size);
    assert_true(used < MIB);
    assert_int_equal(size, 64 * MIB);
}


static void
a_list_is_filtered_and_paged(void **state)
{
    int               i, n;
    ngx_async_id_t    id[10];
    ngx_async_list_t  list;

    for (i = 0; i < 10; i++) {
        now++;
        db_job(&job, i % 2 ? "odd" : "even");
        job.owner = db_str(i < 8 ? "me" : "you");
        id[i] = job.id;

        /* what is staged is no job */

        if (i % 5 == 0) {
            assert_int_equal(db_append(&job.id, NGX_ASYNC_REQUEST, 0,
                                       NGX_ASYNC_PIECE, 1), NGX_OK);
            now++;
            db_job(&job, i % 2 ? "odd" : "even");
            job.owner = db_str("me");
            id[i] = job.id;
        }

        assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    }

    assert_int_equal(db_cancel(&id[4]), NGX_OK);

    ngx_memzero(&list, sizeof(list));
    list.any_owner = 1;
    list.status = -1;
    list.limit = 4;

    for (n = 10; n > 0; /* void */ ) {
        db_op(NGX_ASYNC_OP_LIST, NULL, 0);
        op.list = &list;
        assert_int_equal(db_ask(&op), NGX_OK);
        assert_true(list.njobs > 0);

        for (i = 0; i < (int) list.njobs; i++) {
            assert_memory_equal(list.jobs[i].id.bytes, id[--n].bytes,
                                NGX_ASYNC_ID_LEN);
        }

        assert_int_equal(list.more, n > 0);
        list.cursor = list.next;
    }

    ngx_memzero(&list, sizeof(list));
    list.owner = db_str("me");
    list.queue = db_str("even");
    list.server = db_str("server");
    list.status = NGX_ASYNC_NOT_STARTED;
    list.limit = 100;

    db_op(NGX_ASYNC_OP_LIST, NULL, 0);
    op.list = &list;
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(list.njobs, 3);
    assert_memory_equal(list.jobs[0].id.bytes, id[6].bytes, NGX_ASYNC_ID_LEN);
    assert_memory_equal(list.jobs[2].id.bytes, id[0].bytes, NGX_ASYNC_ID_LEN);

    list.server = db_str("another");
    db_op(NGX_ASYNC_OP_LIST, NULL, 0);
    op.list = &list;
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(list.njobs, 0);
    assert_int_equal(list.more, 0);
}


int
main(void)
{
#define test(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(a_job_goes_its_way, db_setup_small),
        test(a_free_slot_is_taken_at_once, db_setup_small),
        test(a_promise_is_stored_as_running_whatever_the_limits, db_setup_small),
        test(a_request_is_stored_when_somebody_may_need_it, db_setup_small),
        test(a_key_leads_to_its_job, db_setup_small),
        test(bodies_come_in_pieces, db_setup_small),
        test(what_was_staged_is_dropped, db_setup_small),
        test(canceling_works_in_every_state, db_setup_small),
        test(a_failed_job_runs_again_while_its_request_is_kept, db_setup_small),
        test(a_response_is_not_read_as_the_end_of_another, db_setup_small),
        test(callbacks_are_leased_until_delivered, db_setup_small),
        test(jobs_of_a_dead_runner_go_on_or_fail, db_setup_small),
        test(recovery_and_expiry_go_in_steps, db_setup_small),
        test(large_bodies_are_dropped_in_steps, db_setup_small),
        test(a_list_is_filtered_and_paged, db_setup_small)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
