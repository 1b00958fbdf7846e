
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


static ngx_async_job_t  job;


static void
the_first_come_is_the_first_served(void **state)
{
    int             i;
    ngx_async_id_t  id[50];

    for (i = 0; i < 50; i++) {
        id[i] = accept_job("q", "", 3);
        assert_int_equal(db_get(&id[i]), NGX_OK);
        assert_int_equal(op.position, i + 1);
    }

    for (i = 0; i < 50; i++) {
        assert_claims("q", &id[i]);
    }

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    assert_int_equal(db_claim("other", 1), NGX_DECLINED);
    db_check();
}


static void
the_urgent_go_first_but_not_always(void **state)
{
    int             i, waited;
    ngx_async_id_t  lazy;

    lazy = accept_job("q", "", 7);

    for (i = 0; i < 40; i++) {
        (void) accept_job("q", "", i % 3);
    }

    assert_int_equal(db_get(&lazy), NGX_OK);
    assert_int_equal(op.position, 41);

    waited = -1;

    for (i = 0; i < 41; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);

        if (ngx_async_id_cmp(&op.found.id, &lazy) == 0) {
            waited = i;

        } else if (i < 13) {
            assert_int_equal(op.found.urgency, 0);
        }
    }

    assert_int_equal(waited, 15);
    db_check();
}


static void
no_level_starves(void **state)
{
    int         i;
    ngx_uint_t  u, claims[8];

    memset(claims, 0, sizeof(claims));

    for (i = 0; i < 8 * 320; i++) {
        (void) accept_job("q", "", i % 8);
    }

    /* all of them always wait */

    for (i = 0; i < 320; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);

        u = op.found.urgency;
        assert_true(u < 8);
        claims[u]++;
    }

    for (u = 1; u < 8; u++) {
        assert_true(claims[u] >= 320 / 112);
    }

    assert_int_equal(claims[0], 300);
    db_check();
}


static void
an_urgent_stream_does_not_starve_the_rest(void **state)
{
    int             i;
    ngx_async_id_t  lazy;

    lazy = accept_job("q", "", 7);

    for (i = 0; i < 16; i++) {
        db_job(&job, "q");
        job.urgency = 0;
        assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);

        if (!op.claimed) {
            break;
        }
    }

    assert_int_equal(i, 15);
    assert_claims("q", &lazy);
    db_check();
}


static void
values_take_turns(void **state)
{
    int         i, b;
    ngx_uint_t  first, last;

    for (i = 0; i < 1000; i++) {
        (void) accept_job("q", "greedy", 3);
    }

    for (i = 0; i < 10; i++) {
        (void) accept_job("q", "modest", 3);
    }

    /* the tenth of the second is the twentieth of all */

    for (i = b = 0; i < 20; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        b += (op.found.per.data[0] == 'm');
    }

    assert_true(b >= 9);

    /* one that comes later does not get the turns that it has missed */

    for (i = 0; i < 10; i++) {
        (void) accept_job("q", "late", 3);
    }

    first = last = 0;

    for (i = 1; i <= 30; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);

        if (op.found.per.data[0] == 'l') {
            first = first ? first : (ngx_uint_t) i;
            last = (ngx_uint_t) i;
        }
    }

    assert_true(first <= 3);
    assert_true(last >= 17 && last <= 22);
    db_check();
}


static void
an_empty_value_takes_turns_as_well(void **state)
{
    int  i, n;

    (void) accept_job("q", "a", 3);

    for (i = 0; i < 20; i++) {
        (void) accept_job("q", "", 3);
        (void) accept_job("q", "a", 3);
    }

    for (i = n = 0; i < 20; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        n += (op.found.per.len == 0);
    }

    assert_true(n >= 9 && n <= 11);
    db_check();
}


static void
values_are_limited_singly(void **state)
{
    int             i;
    ngx_async_id_t  id[6], other;

    limits.per_concurrency = 2;

    for (i = 0; i < 6; i++) {
        id[i] = accept_job("q", "v", 3);
    }

    other = accept_job("q", "w", 3);
    db_check();

    for (i = 0; i < 6; i++) {
        assert_int_equal(db_get(&id[i]), NGX_OK);
        assert_true(op.position >= (uint64_t) i + 1);
    }

    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    assert_status(&id[0], NGX_ASYNC_RUNNING);
    assert_status(&id[1], NGX_ASYNC_RUNNING);
    assert_status(&other, NGX_ASYNC_RUNNING);

    /* the end of one of them lets the next one go, in whatever way it ends */

    assert_int_equal(db_finish(&id[0], 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    db_check();
    assert_claims("q", &id[2]);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    assert_int_equal(db_cancel(&id[1]), NGX_OK);
    db_check();
    assert_claims("q", &id[3]);

    assert_int_equal(db_requeue(&id[3], 1, now + 1000), NGX_OK);
    db_check();
    assert_claims("q", &id[4]);

    assert_int_equal(db_recover(1), NGX_OK);
    db_check();
    assert_claims("q", &id[5]);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
}


static void
positions_of_parked_jobs_are_right(void **state)
{
    int              i, n;
    ngx_async_id_t   id[90];
    const char      *values[] = { "a", "b", "c" };

    limits.per_concurrency = 2;

    for (i = 0; i < 90; i++) {
        id[i] = accept_job("q", values[i % 3], i < 60 ? 3 : 2);
    }

    db_check();

    /* two of each value and level do not wait for others of their level */

    assert_int_equal(db_get(&id[65]), NGX_OK);
    assert_int_equal(op.position, 6);

    /* but for the more urgent ones of their value */

    assert_int_equal(db_get(&id[5]), NGX_OK);
    assert_int_equal(op.position, 6 + (10 - 2) + 6);

    /* those that do come in turns, whatever their values */

    for (n = 6; n < 60; n++) {
        assert_int_equal(db_get(&id[n]), NGX_OK);
        assert_int_equal(op.position, n + 30 + 1);
    }

    for (n = 60; n < 90; n++) {
        assert_int_equal(db_get(&id[n]), NGX_OK);
        assert_int_equal(op.position, n - 60 + 1);
    }

    assert_claims("q", &id[60]);
    assert_int_equal(db_get(&id[59]), NGX_OK);
    assert_int_equal(op.position, 89);
    db_check();

    limits.per_concurrency = 0;
}


static void
a_raised_limit_lets_jobs_go(void **state)
{
    int  i;

    limits.per_concurrency = 1;

    for (i = 0; i < 600; i++) {
        (void) accept_job("q", "v", 3);
    }

    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    limits.per_concurrency = 500;

    for (i = 1; i < 500; i++) {
        db_op(NGX_ASYNC_OP_CLAIM, NULL, 1);
        op.queue_name = db_str("q");
        op.limits = &limits;
        limits.per_concurrency = 500;
        assert_int_equal(db_run(&op), NGX_OK);
    }

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    db_check();

    limits.per_concurrency = 0;

    for (i = 0; i < 100; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
    }

    db_check();
}


static void
a_lowered_limit_holds_for_those_that_wait(void **state)
{
    int  i;

    for (i = 0; i < 20; i++) {
        (void) accept_job("q", "v", 3);
    }

    (void) accept_job("q", "w", 3);

    limits.per_concurrency = 3;

    for (i = 0; i < 4; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        db_check();
    }

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    db_check();
}


/* a claim tells when another one may find more; how many found nothing */

static int
claim_all(int *started)
{
    int  declined;

    declined = 0;

    for ( ;; ) {
        if (db_claim("q", 1) == NGX_OK) {
            (*started)++;
            continue;
        }

        assert_int_equal(op.rc, NGX_DECLINED);

        if (!op.more) {
            return declined;
        }

        assert_true(++declined < 100);
    }
}


static void
a_raised_limit_reaches_every_value(void **state)
{
    int   i, j, n, started;
    char  per[16];

    n = 1300;
    limits.per_concurrency = 1;

    for (j = 0; j < 4; j++) {
        for (i = 0; i < n; i++) {
            snprintf(per, sizeof(per), "%04d", i);
            (void) accept_job("q", per, 3);
        }
    }

    started = 0;
    assert_int_equal(claim_all(&started), 0);
    assert_int_equal(started, n);

    /* in steps, and a step that failed or a restart does not skip any */

    limits.per_concurrency = 2;
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_true(op.more);

    fail_sync = 0;
    assert_int_not_equal(db_claim("q", 1), NGX_OK);
    fail_sync = -1;

    db_stop();
    db_start(db_size);

    started = 1;
    (void) claim_all(&started);
    assert_int_equal(started, n);

    /* each new limit reaches them from the first one on */

    limits.per_concurrency = 3;
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_true(op.more);

    limits.per_concurrency = 4;
    started = 1;
    (void) claim_all(&started);
    assert_int_equal(started, 2 * n);
}


static void
a_lowered_limit_does_not_hide_other_values(void **state)
{
    int             i, n, started;
    ngx_async_id_t  other;

    n = 2 * 1024 + 100;

    for (i = 0; i < n; i++) {
        (void) accept_job("q", "v", 1);
    }

    other = accept_job("q", "w", 3);

    limits.per_concurrency = 1;
    assert_int_equal(db_claim("q", 1), NGX_OK);

    started = 0;
    assert_true(claim_all(&started) <= 3);
    assert_int_equal(started, 1);
    assert_status(&other, NGX_ASYNC_RUNNING);
}


static void
a_lowered_limit_changes_no_turns(void **state)
{
    int             i;
    ngx_async_id_t  v[4], w[3];

    for (i = 0; i < 3; i++) {
        v[i] = accept_job("q", "v", 3);
    }

    assert_claims("q", &v[0]);

    limits.per_concurrency = 1;
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    v[3] = accept_job("q", "v", 3);

    for (i = 0; i < 3; i++) {
        w[i] = accept_job("q", "w", 3);
    }

    db_check();

    limits.per_concurrency = 0;

    for (i = 0; i < 3; i++) {
        assert_claims("q", &v[i + 1]);
        assert_claims("q", &w[i]);
    }
}


static void
a_value_that_cancels_its_jobs_is_not_behind(void **state)
{
    int             i;
    ngx_async_id_t  id[100], more[3];

    for (i = 0; i < 100; i++) {
        id[i] = accept_job("q", "v", i < 50 ? 3 : 2);
    }

    assert_claims("q", &id[50]);

    /* none waits any more, in whatever order they leave */

    for (i = 0; i < 100; i++) {
        if (i != 50) {
            assert_int_equal(db_cancel(&id[i * 37 % 100]), NGX_OK);
        }
    }

    for (i = 0; i < 3; i++) {
        (void) accept_job("q", "w", 3);
        more[i] = accept_job("q", "v", 3);
    }

    db_check();

    for (i = 0; i < 3; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        assert_memory_equal(op.found.per.data, "w", 1);
        assert_claims("q", &more[i]);
    }
}


static void
the_last_turns_are_given_back(void **state)
{
    int             i;
    ngx_async_id_t  id[50], next, other[3];

    for (i = 0; i < 50; i++) {
        id[i] = accept_job("q", "v", 3);
    }

    for (i = 49; i > 1; i--) {
        assert_int_equal(db_cancel(&id[i]), NGX_OK);
    }

    next = accept_job("q", "v", 3);

    for (i = 0; i < 3; i++) {
        other[i] = accept_job("q", "w", 3);
    }

    db_check();

    assert_claims("q", &id[0]);
    assert_claims("q", &other[0]);
    assert_claims("q", &id[1]);
    assert_claims("q", &other[1]);
    assert_claims("q", &next);
    assert_claims("q", &other[2]);
}


static void
backlogs_are_limited(void **state)
{
    limits.backlog = 3;
    limits.per_backlog = 2;

    (void) accept_job("q", "v", 3);
    (void) accept_job("q", "v", 3);

    db_job(&job, "q");
    job.per = db_str("v");
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_PER);
    assert_int_equal(db_get(&job.id), NGX_DECLINED);

    (void) accept_job("q", "w", 3);

    db_job(&job, "q");
    job.per = db_str("w");
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_QUEUE);
    db_check();

    /* a delayed attempt waits, too */

    assert_int_equal(db_claim("q", 1), NGX_OK);
    job.id = op.id;
    assert_int_equal(db_requeue(&job.id, 1, now + 1000), NGX_OK);

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_QUEUE);
    db_check();
}


static void
positions_are_right_among_many(void **state)
{
    int                  i, j, n;
    uint64_t             position;
    ngx_err_t            err;
    ngx_async_op_t       o;
    ngx_async_db_txn_t  *txn;
    static struct {
        ngx_async_id_t   id;
        char             per[8];
        uint64_t         turn;
        uint64_t         seq;
        ngx_uint_t       urgency;
        ngx_uint_t       gone;
    } all[12000];

    n = sizeof(all) / sizeof(all[0]);
    srandom(3);

    for (i = 0; i < n; /* void */ ) {
        txn = ngx_async_db_begin(db, &err);
        assert_non_null(txn);

        for (j = 0; j < 500; j++, i++) {
            db_job(&job, "q");
            snprintf(all[i].per, sizeof(all[i].per), "%ld",
                     random() % 20 * (random() % 2));
            job.per = db_str(all[i].per);
            job.urgency = (random() % 8) ? 3 : 4;

            memset(&o, 0, sizeof(o));
            o.type = NGX_ASYNC_OP_ACCEPT;
            o.job = &job;
            o.now = now;
            assert_int_equal(ngx_async_db_write(txn, &o), NGX_OK);

            all[i].id = job.id;
            all[i].turn = job.turn;
            all[i].seq = job.seq;
            all[i].urgency = job.urgency;
        }

        assert_int_equal(ngx_async_db_commit(txn, &err), NGX_OK);
    }

    /* holes everywhere, so that ranges join */

    for (i = 0; i < n; i += 500) {
        txn = ngx_async_db_begin(db, &err);
        assert_non_null(txn);

        for (j = i; j < i + 500; j++) {
            all[j].gone = (random() % 16) != 0;

            if (all[j].gone) {
                memset(&o, 0, sizeof(o));
                o.type = NGX_ASYNC_OP_CANCEL;
                o.id = all[j].id;
                o.now = now;
                assert_int_equal(ngx_async_db_write(txn, &o), NGX_OK);
                free(o.buf.data);
            }
        }

        assert_int_equal(ngx_async_db_commit(txn, &err), NGX_OK);

        if (i % 4000) {
            continue;
        }

        for (j = i; j < n; j += 97) {
            int  k;

            if (all[j].gone) {
                continue;
            }

            position = 1;

            for (k = 0; k < n; k++) {
                position += !all[k].gone
                            && (all[k].urgency < all[j].urgency
                                || (all[k].urgency == all[j].urgency
                                    && (all[k].turn < all[j].turn
                                        || (all[k].turn == all[j].turn
                                            && all[k].seq < all[j].seq))));
            }

            assert_int_equal(db_get(&all[j].id), NGX_OK);
            assert_int_equal(op.position, position);
        }
    }
}


typedef struct {
    ngx_uint_t  calls;
    uint64_t    ready;
    uint64_t    waiting;
    uint64_t    txnid;
} seen_t;


static void
see(void *data, ngx_str_t *queue, uint64_t ready, uint64_t waiting,
    ngx_uint_t paused, uint64_t txnid)
{
    seen_t *seen = data;

    assert_int_equal(queue->len, 1);

    seen->calls++;
    seen->ready = ready;
    seen->waiting = waiting;

    assert_true(txnid >= seen->txnid);
    seen->txnid = txnid;
}


static void
assert_ready(uint64_t ready, uint64_t waiting)
{
    seen_t  seen;

    ngx_memzero(&seen, sizeof(seen));

    ngx_async_db_changed_queues(db, 0, see, &seen);
    assert_int_equal(seen.calls, 1);
    assert_int_equal(seen.ready, ready);
    assert_int_equal(seen.waiting, waiting);

    ngx_async_db_changed_queues(db, 0, see, &seen);
    assert_int_equal(seen.calls, 1);

    ngx_async_db_changed_queues(db, 1, see, &seen);
    assert_int_equal(seen.calls, 2);
    assert_int_equal(seen.ready, ready);
    assert_int_equal(seen.waiting, waiting);
}


static void
a_paused_queue_is_probed(void **state)
{
    ngx_async_id_t  id[3];

    id[0] = accept_job("q", "", 3);
    id[1] = accept_job("q", "", 3);
    id[2] = accept_job("q", "", 3);
    assert_ready(3, 3);

    /* refused: it was not sent, and nothing else is to be */

    assert_claims("q", &id[0]);

    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.unsent = 1;
    op.pause_until = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);
    assert_int_equal(op.found.attempt, 0);
    assert_ready(0, 3);
    db_check();

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
    assert_int_equal(db_get(&id[1]), NGX_OK);
    assert_int_equal(op.found.paused_until, now + 1000);
    assert_int_equal(op.position, 2);

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
    assert_int_equal(op.claimed, 0);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ready, 1);
    assert_ready(1, 4);
    db_check();

    /* the first one, alone */

    assert_claims("q", &id[0]);
    assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);
    assert_ready(0, 3);
    db_check();

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    /* still down */

    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.unsent = 1;
    op.pause_until = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);
    assert_false(op.found.flags & NGX_ASYNC_JOB_PROBE);
    db_check();

    /* a probe whose worker dies says nothing; another one may try */

    now += 1000;
    assert_claims("q", &id[0]);
    assert_int_equal(db_recover(1), NGX_OK);
    assert_status(&id[0], NGX_ASYNC_FAILED);
    db_check();

    assert_claims("q", &id[1]);
    assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);

    assert_int_equal(db_finish(&id[1], 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_ready(2, 2);
    assert_int_equal(db_get(&id[2]), NGX_OK);
    assert_int_equal(op.found.paused_until, 0);

    assert_claims("q", &id[2]);
    assert_false(op.found.flags & NGX_ASYNC_JOB_PROBE);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    db_check();
}


static void
a_probe_that_was_not_sent_opens_nothing(void **state)
{
    int             i, n;
    ngx_async_id_t  id[10];

    for (i = 0; i < 10; i++) {
        id[i] = accept_job("q", "", 3);
    }

    assert_claims("q", &id[0]);

    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.unsent = 1;
    op.pause_until = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);

    assert_claims("q", &id[0]);
    assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);

    /* it could not start */

    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.unsent = 1;
    op.not_before = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);
    db_check();

    for (n = 0; db_claim("q", 1) == NGX_OK; n++) {
        assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);
    }

    assert_int_equal(n, 1);
}


static void
assert_paused_by(ngx_async_id_t *id)
{
    assert_claims("q", id);

    db_op(NGX_ASYNC_OP_REQUEUE, id, 1);
    op.unsent = 1;
    op.pause_until = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);
}


static void
a_queue_that_does_not_pause_any_more_is_open(void **state)
{
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    assert_paused_by(&id);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    limits.pauseless = 1;

    assert_claims("q", &id);
    assert_false(op.found.flags & NGX_ASYNC_JOB_PROBE);
    db_check();
}


/* a probe runs when pauses are removed from the configuration */

static ngx_async_id_t
probe_of_an_open_queue(void)
{
    ngx_async_id_t  probe, id;

    probe = accept_job("q", "", 3);
    id = accept_job("q", "", 3);
    assert_paused_by(&probe);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_claims("q", &probe);
    assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    limits.since++;
    limits.pauseless = 1;

    assert_claims("q", &id);
    assert_false(op.found.flags & NGX_ASYNC_JOB_PROBE);
    db_check();

    return probe;
}


static void
a_probe_does_not_keep_a_queue_that_does_not_pause_any_more(void **state)
{
    ngx_async_id_t  probe, id;

    probe = probe_of_an_open_queue();

    assert_int_equal(db_finish(&probe, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    db_check();

    id = accept_job("q", "", 3);
    assert_claims("q", &id);
    db_check();
}


static void
a_probe_of_before_tells_nothing_of_another_pause(void **state)
{
    ngx_uint_t      i;
    ngx_async_id_t  probe, id, other;

    for (i = 0; i < 3; i++) {
        probe = probe_of_an_open_queue();

        limits.since++;
        limits.pauseless = 0;

        id = accept_job("q", "", 3);
        other = accept_job("q", "", 3);
        assert_paused_by(&id);

        if (i == 0) {

            /* while it is paused */

            assert_int_equal(db_finish(&probe, 1, NGX_ASYNC_SUCCEEDED, 1),
                             NGX_OK);
            db_check();
            assert_int_equal(db_claim("q", 1), NGX_DECLINED);
        }

        now += 1000;
        assert_int_equal(db_sweep(), NGX_OK);

        if (i == 1) {

            /* while it is half open */

            assert_int_equal(db_requeue(&probe, 1, now + 100000), NGX_OK);
            db_check();
        }

        assert_claims("q", &id);
        assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);
        assert_int_equal(db_claim("q", 1), NGX_DECLINED);

        if (i == 2) {

            /* while another one probes */

            assert_int_equal(db_finish(&probe, 1, NGX_ASYNC_SUCCEEDED, 1),
                             NGX_OK);
            db_check();
            assert_int_equal(db_claim("q", 1), NGX_DECLINED);
        }

        assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
        assert_claims("q", &other);
        db_check();
    }
}


static void
a_pause_is_over_if_nobody_can_probe(void **state)
{
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    assert_paused_by(&id);
    assert_int_equal(db_cancel(&id), NGX_OK);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);

    id = accept_job("q", "", 3);
    assert_int_equal(db_get(&id), NGX_OK);
    assert_int_equal(op.found.paused_until, 0);
    db_check();
}


static void
a_probe_keeps_its_queue_while_it_runs(void **state)
{
    ngx_async_id_t  id;

    id = accept_job("q", "", 3);
    assert_paused_by(&id);

    /* it is claimed before the end of the pause is swept */

    now += 1000;
    assert_claims("q", &id);
    assert_true(op.found.flags & NGX_ASYNC_JOB_PROBE);

    assert_int_equal(db_sweep(), NGX_OK);
    db_check();

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
    assert_int_equal(op.claimed, 0);
    db_check();

    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_false(op.found.flags & NGX_ASYNC_JOB_PROBE);
    db_check();
}


static void
jobs_that_wait_for_an_attempt_fill_the_backlog(void **state)
{
    int  i;

    limits.backlog = 3;
    limits.per_backlog = 2;

    for (i = 0; i < 3; i++) {
        db_job(&job, "q");
        job.per = db_str(i < 2 ? "a" : "b");
        assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
        assert_true(op.claimed);
        assert_int_equal(db_requeue(&job.id, 1, now + 1000), NGX_OK);

        if (i == 1) {
            db_job(&job, "q");
            job.per = db_str("a");
            assert_int_equal(db_accept(&job, 10, 1, 1), NGX_BUSY);
            assert_int_equal(op.full, NGX_ASYNC_FULL_PER);
        }
    }

    db_job(&job, "q");
    job.per = db_str("c");
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_QUEUE);
    db_check();
}


static void
a_retried_job_has_no_deadline_of_before(void **state)
{
    ngx_async_id_t  id;

    db_job(&job, "q");
    job.keep_request = 60000;
    limits.timeout = 1000;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);
    id = job.id;

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_status(&id, NGX_ASYNC_FAILED);

    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &id), NGX_OK);
    assert_int_equal(db_sweep(), NGX_OK);
    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    db_check();

    /* it waits from now on */

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_status(&id, NGX_ASYNC_FAILED);
    db_check();
}


/* how many claims it takes until the job runs */

static int
claims_until(const ngx_async_id_t *id)
{
    int  n;

    for (n = 1; n < 2000; n++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);

        if (ngx_async_id_cmp(&op.found.id, id) == 0) {
            return n;
        }
    }

    return n;
}


static void
a_promise_does_not_take_the_turns_of_others(void **state)
{
    int             i;
    ngx_async_id_t  late;

    for (i = 0; i < 100; i++) {
        (void) accept_job("q", "greedy", 3);
    }

    /* of a held call that began before they came */

    db_job(&job, "q");
    job.per = db_str("greedy");
    job.status = NGX_ASYNC_RUNNING;
    assert_int_equal(db_accept(&job, 10, 0, 1), NGX_OK);

    late = accept_job("q", "late", 3);

    assert_true(claims_until(&late) <= 3);
    db_check();
}


static void
an_urgent_job_is_not_behind_those_of_its_value(void **state)
{
    int             i;
    char            name[16];
    ngx_async_id_t  urgent;

    limits.per_concurrency = 1;

    (void) accept_job("q", "a", 5);

    for (i = 0; i < 100; i++) {
        (void) snprintf(name, sizeof(name), "v%d", i);
        (void) accept_job("q", name, 3);
    }

    urgent = accept_job("q", "a", 0);
    db_check();

    assert_int_equal(db_get(&urgent), NGX_OK);
    assert_int_equal(op.position, 1);

    assert_int_equal(claims_until(&urgent), 1);
    db_check();
}


/* per_concurrency is no way around the bound of the wait */

static void
an_urgent_stream_of_a_value_does_not_starve_the_rest_of_it(void **state)
{
    int             n;
    ngx_async_id_t  lazy, id;

    limits.per_concurrency = 1;

    lazy = accept_job("q", "a", 7);

    for (n = 1; n < 100; n++) {
        (void) accept_job("q", "a", 1);

        assert_int_equal(db_claim("q", 1), NGX_OK);

        id = op.found.id;

        if (ngx_async_id_cmp(&id, &lazy) == 0) {
            break;
        }

        assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    }

    assert_int_equal(n, NGX_ASYNC_DB_FAIR_CLAIMS);
    db_check();
}


/* two values whose calls take the same time: their starts alternate */

static void
no_rhythm_of_values_starves_one_of_them(void **state)
{
    int             n, missing;
    ngx_async_id_t  lazy[2], id[2];
    const char     *values[] = { "a", "b" };

    limits.per_concurrency = 1;
    missing = 2;

    for (n = 0; n < 2; n++) {
        lazy[n] = accept_job("q", values[n], 7);
        (void) accept_job("q", values[n], 0);
    }

    for (n = 0; n < 2; n++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        id[n] = op.found.id;
    }

    for (n = 0; n < 100 && missing; n++) {
        (void) accept_job("q", values[n % 2], 0);

        assert_int_equal(db_finish(&id[n % 2], 1, NGX_ASYNC_SUCCEEDED, 1),
                         NGX_OK);
        assert_int_equal(db_claim("q", 1), NGX_OK);

        id[n % 2] = op.found.id;
        missing -= ngx_async_id_cmp(&op.found.id, &lazy[n % 2]) == 0;
    }

    assert_int_equal(missing, 0);
    db_check();
}


/* a b c d, a b c, a b, a, a: whatever the number that may run */

static void
positions_of_values_with_several_slots_are_right(void **state)
{
    int              i, n;
    ngx_async_id_t   id[11];
    const char      *values = "aaaaabbbccd";
    const int        order[] = { 0, 5, 8, 10, 1, 6, 9, 2, 7, 3, 4 };

    limits.per_concurrency = 2;

    for (i = 0; i < 11; i++) {
        char  value[] = { values[i], '\0' };

        id[i] = accept_job("q", value, 3);
    }

    for (n = 0; n < 11; n++) {
        assert_int_equal(db_get(&id[order[n]]), NGX_OK);
        assert_int_equal(op.position, n + 1);
    }

    for (n = 0; n < 11; n++) {
        assert_claims("q", &id[order[n]]);
        assert_int_equal(db_finish(&id[order[n]], 1, NGX_ASYNC_SUCCEEDED, 1),
                         NGX_OK);
        db_check();
    }
}


/* others have had many turns meanwhile, by starting at once */

static void
a_value_at_its_limit_does_not_make_up_for_turns(void **state)
{
    int             i, n;
    char            name[16];
    ngx_async_id_t  id, first, z;

    limits.per_concurrency = 1;

    for (i = 0; i < 20; i++) {
        (void) snprintf(name, sizeof(name), "v%d", i);

        for (n = 0; n < 30; n++) {
            db_job(&job, "q");
            job.per = db_str(name);
            assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
            assert_int_equal(op.claimed, n == 0);

            if (i == 0 && n == 0) {
                first = job.id;
            }
        }
    }

    z = accept_job("q", "z", 3);

    assert_int_equal(db_get(&z), NGX_OK);
    assert_int_equal(op.position, 1);

    for (n = 0, id = first; n < 30; n++) {
        assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
        assert_int_equal(db_claim("q", 1), NGX_OK);
        db_check();

        id = op.found.id;

        if (ngx_async_id_cmp(&id, &z) == 0) {
            break;
        }
    }

    /* one that came before it */

    assert_int_equal(n, 1);
}


static void
a_value_that_gets_its_slots_back_takes_turns(void **state)
{
    int             i, n;
    ngx_uint_t      a;
    ngx_async_id_t  id;

    limits.per_concurrency = 1;

    for (i = 0; i < 100; i++) {
        (void) accept_job("q", "a", 3);
    }

    assert_int_equal(db_claim("q", 1), NGX_OK);

    for (i = 0; i < 60; i++) {
        id = accept_job("q", "b", 3);
        assert_claims("q", &id);
        assert_int_equal(db_finish(&id, 1, NGX_ASYNC_SUCCEEDED, 1), NGX_OK);
    }

    for (i = 0; i < 30; i++) {
        (void) accept_job("q", "z", 3);
    }

    limits.per_concurrency = 0;

    for (a = n = 0; n < 40; n++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
        a += op.found.per.data[0] == 'a';
    }

    assert_true(a >= 19 && a <= 21);
    db_check();
}


static void
the_first_value_is_not_behind_all_that_had_none(void **state)
{
    int             i;
    ngx_async_id_t  id;

    limits.fair = 1;

    for (i = 0; i < 100; i++) {
        (void) accept_job("q", "", 3);
    }

    id = accept_job("q", "a", 3);

    assert_true(claims_until(&id) <= 2);
    db_check();
}


/* the jobs are in no row yet when all rows are gone through */

static void
a_limit_reaches_jobs_of_the_same_transaction(void **state)
{
    int                  i;
    ngx_err_t            err;
    ngx_async_db_txn_t  *txn;

    limits.per_concurrency = 1;
    txn = ngx_async_db_begin(db, &err);
    assert_non_null(txn);

    for (i = 0; i < 4; i++) {
        db_job(&job, "q");
        job.per = db_str("v");
        db_op(NGX_ASYNC_OP_ACCEPT, NULL, 1);
        op.job = &job;
        assert_int_equal(ngx_async_db_write(txn, &op), NGX_OK);
    }

    limits.per_concurrency = 3;
    db_op(NGX_ASYNC_OP_LIMITS, NULL, 1);
    op.queue_name = db_str("q");
    assert_int_equal(ngx_async_db_write(txn, &op), NGX_OK);

    assert_int_equal(ngx_async_db_commit(txn, &err), NGX_OK);

    db_check();
    i = 0;
    assert_int_equal(claim_all(&i), 0);
    assert_int_equal(i, 3);
}


/* while values are gone through, one may still have jobs that are parked */

static void
nobody_overtakes_a_value_that_waits_for_a_raised_limit(void **state)
{
    int             i;
    char            name[16];
    ngx_async_id_t  first;

    limits.per_concurrency = 1;

    for (i = 0; i < 1200; i++) {
        db_job(&job, "q");
        (void) snprintf(name, sizeof(name), "v%04d", i);
        job.per = db_str(name);
        assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
        assert_true(op.claimed);
    }

    first = accept_job("q", name, 3);
    assert_int_equal(db_claim("q", 1), NGX_DECLINED);

    limits.per_concurrency = 2;

    db_job(&job, "q");
    job.per = db_str(name);
    assert_int_equal(db_accept(&job, 10, 1, 1), NGX_OK);
    assert_false(op.claimed);

    assert_claims("q", &first);
    db_check();
}


/* those that wait for others of their value, behind many that have none */

static void
jobs_of_a_queue_that_is_gone_come_to_the_front_by_and_by(void **state)
{
    int             i;
    char            name[16];
    ngx_async_id_t  id;

    limits.per_concurrency = 1;

    for (i = 0; i < 1200; i++) {
        (void) snprintf(name, sizeof(name), "v%04d", i);
        (void) accept_job("old", name, 3);
        assert_int_equal(db_claim("old", 1), NGX_OK);
    }

    id = accept_job("old", name, 3);
    db_job(&job, "");

    for (i = 0; i < 3; i++) {
        assert_int_equal(db_move("old", &job, "new"), NGX_DECLINED);

        if (!op.more) {
            break;
        }
    }

    assert_int_equal(i, 1);
    assert_claims("new", &id);
    db_check();
}


/* a batch of submissions does not keep the other workers waiting for it */

static void
another_limit_takes_several_transactions(void **state)
{
    int                  i, n;
    ngx_err_t            err;
    ngx_async_db_txn_t  *txn;

    for (i = 0; i < 600; i++) {
        (void) accept_job("q", i & 1 ? "a" : "b", 3);
    }

    limits.per_concurrency = 1;

    i = 0;

    do {
        txn = ngx_async_db_begin(db, &err);
        assert_non_null(txn);

        for (n = 0; n < 10; n++) {
            db_op(NGX_ASYNC_OP_LIMITS, NULL, 1);
            op.queue_name = db_str("q");
            assert_int_equal(ngx_async_db_write(txn, &op), NGX_OK);
        }

        assert_int_equal(ngx_async_db_commit(txn, &err), NGX_OK);
        db_check();

    } while (++i < 100 && op.more);

    assert_false(op.more);
    assert_true(i > 2);
}


/*
 * Level 5 always waits; others come and go, so that it is never theirs by the
 * number of levels that wait.
 */

static void
no_level_starves_whatever_the_others_do(void **state)
{
    int             i, n;
    ngx_uint_t      round, others[3], nothers;
    ngx_async_id_t  lazy, id[3];

    lazy = accept_job("q", "", 5);

    for (n = 1; n < 400; n++) {
        (void) accept_job("q", "", 0);
        nothers = 0;
        round = (n - 1) / 16;

        others[nothers++] = 7;

        if (round % 2) {
            others[nothers++] = (round % 3 != 2) ? 6 : 4;
        }

        for (i = 0; i < (int) nothers; i++) {
            id[i] = accept_job("q", "", others[i]);
        }

        assert_int_equal(db_claim("q", 1), NGX_OK);

        if (ngx_async_id_cmp(&op.found.id, &lazy) == 0) {
            break;
        }

        for (i = 0; i < (int) nothers; i++) {
            (void) db_cancel(&id[i]);
        }
    }

    assert_true(n <= 112);
    db_check();
}


static void
an_attempt_waits_for_its_time_and_keeps_its_place(void **state)
{
    ngx_async_id_t  id[2];

    id[0] = accept_job("q", "", 3);
    id[1] = accept_job("q", "", 3);

    assert_claims("q", &id[0]);

    assert_int_equal(db_append(&id[0], 1, 0, NGX_ASYNC_PIECE, 1), NGX_OK);

    db_op(NGX_ASYNC_OP_REQUEUE, &id[0], 1);
    op.cut = 1;
    op.not_before = now + 1000;
    assert_int_equal(db_run(&op), NGX_OK);
    assert_int_equal(op.found.status, NGX_ASYNC_NOT_STARTED);
    assert_int_equal(op.found.attempt, 1);
    assert_int_equal(op.found.cuts, 1);
    assert_int_equal(op.found.not_before, now + 1000);
    db_check();

    db_stop();
    db_start(16 * MIB);

    now += 999;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.next, now + 1);
    assert_int_equal(db_get(&id[1]), NGX_OK);
    assert_int_equal(op.position, 1);

    now += 1;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.ready, 1);
    assert_int_equal(db_get(&id[1]), NGX_OK);
    assert_int_equal(op.position, 2);

    assert_claims("q", &id[0]);
    assert_int_equal(op.found.attempt, 2);
    db_check();
}


static void
the_wait_in_a_queue_ends(void **state)
{
    ngx_async_id_t  id[2];

    limits.timeout = 1000;
    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 50, 0, 1), NGX_OK);
    id[0] = job.id;

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 50, 0, 1), NGX_OK);
    id[1] = job.id;

    /* an attempt that was made is none of the queue's waits */

    assert_claims("q", &id[0]);
    assert_int_equal(db_requeue(&id[0], 1, 0), NGX_OK);
    db_check();

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(sweep.nchanged, 1);
    assert_memory_equal(sweep.changed[0].bytes, id[1].bytes,
                        NGX_ASYNC_ID_LEN);
    assert_status(&id[0], NGX_ASYNC_NOT_STARTED);
    assert_status(&id[1], NGX_ASYNC_FAILED);
    assert_int_equal(op.found.error_code.len, 13);
    assert_memory_equal(op.found.error_code.data, "queue_timeout", 13);
    assert_true(op.found.error_message.len > 0);
    db_check();
}


static ngx_async_id_t
accept_at(const char *queue, const char *location, ngx_uint_t urgency)
{
    db_job(&job, queue);
    job.location = db_str(location);
    job.urgency = urgency & 7;

    assert_int_equal(db_accept(&job, 50, 0, 1), NGX_OK);

    return job.id;
}


static void
jobs_of_a_queue_move_to_another(void **state)
{
    ngx_async_id_t  id[8];

    id[0] = accept_at("old", "/a/", 3);
    id[1] = accept_at("new", "/c/", 3);
    id[2] = accept_at("old", "/a/", 3);
    id[3] = accept_at("old", "/b/", 3);
    id[4] = accept_at("old", "/a/", 5);
    id[5] = accept_at("new", "/c/", 3);
    id[6] = accept_at("old", "/a/", 1);
    id[7] = accept_at("new", "/c/", 1);

    /* without a job the first one is shown, and none is moved */

    assert_int_equal(db_move("old", NULL, NULL), NGX_OK);
    assert_memory_equal(op.found.id.bytes, id[6].bytes, NGX_ASYNC_ID_LEN);
    assert_int_equal(op.found.location.len, 3);
    assert_memory_equal(op.found.queue.data, "old", 3);

    db_job(&job, "");
    job.location = db_str("/a/");
    assert_int_equal(db_move("old", &job, "old"), NGX_ERROR);

    /* it stops at the one of another location */

    assert_int_equal(db_move("old", &job, "new"), NGX_OK);
    assert_memory_equal(op.found.id.bytes, id[3].bytes, NGX_ASYNC_ID_LEN);
    db_check();

    job.location = db_str("/b/");
    assert_int_equal(db_move("old", &job, "new"), NGX_OK);
    job.location = db_str("/a/");
    assert_int_equal(db_move("old", &job, "new"), NGX_DECLINED);
    assert_int_equal(db_move("old", NULL, NULL), NGX_DECLINED);
    db_check();

    /* urgency, then as they came, in whichever queue */

    assert_claims("new", &id[6]);
    assert_claims("new", &id[7]);
    assert_claims("new", &id[0]);
    assert_int_equal(op.found.queue.len, 3);
    assert_memory_equal(op.found.queue.data, "new", 3);
    assert_claims("new", &id[1]);
    assert_claims("new", &id[2]);
    assert_claims("new", &id[3]);
    assert_claims("new", &id[5]);
    assert_claims("new", &id[4]);
    db_check();
}


static void
many_jobs_move_in_steps(void **state)
{
    int             i, steps;
    ngx_async_id_t  id[200], late, delayed, running;

    running = accept_at("old", "/a/", 3);
    delayed = accept_at("old", "/a/", 3);

    for (i = 0; i < 200; i++) {
        id[i] = accept_at("old", "/a/", 3);
    }

    assert_claims("old", &running);
    assert_claims("old", &delayed);
    assert_int_equal(db_requeue(&delayed, 1, now + 1000), NGX_OK);

    late = accept_at("new", "/a/", 3);

    db_job(&job, "");
    job.location = db_str("/a/");

    for (steps = 1; db_move("old", &job, "new") == NGX_OK; steps++) {
        assert_memory_equal(op.found.id.bytes,
                            id[steps * NGX_ASYNC_SWEEP_MAX].bytes,
                            NGX_ASYNC_ID_LEN);
        db_check();
    }

    assert_int_equal(op.rc, NGX_DECLINED);
    assert_int_equal(steps, 200 / NGX_ASYNC_SWEEP_MAX + 1);

    for (i = 0; i < 200; i++) {
        assert_claims("new", &id[i]);
    }

    assert_claims("new", &late);

    /* those that were started, or wait for their next attempt, stay */

    assert_int_equal(db_get(&running), NGX_OK);
    assert_memory_equal(op.found.queue.data, "old", 3);

    now += 1000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(db_move("old", &job, "new"), NGX_DECLINED);
    assert_claims("new", &delayed);
    db_check();
}


static void
parked_jobs_move_as_well(void **state)
{
    int             i;
    ngx_async_id_t  a[3], b[3];

    limits.per_concurrency = 1;

    for (i = 0; i < 3; i++) {
        a[i] = accept_job("old", "a", 3);
    }

    for (i = 0; i < 3; i++) {
        b[i] = accept_job("old", "b", 3);
    }

    assert_claims("old", &a[0]);

    db_job(&job, "");
    limits.per_concurrency = 0;
    assert_int_equal(db_move("old", &job, "new"), NGX_DECLINED);
    db_check();

    assert_claims("new", &a[1]);
    assert_claims("new", &b[0]);
    assert_claims("new", &a[2]);
    assert_claims("new", &b[1]);
    assert_claims("new", &b[2]);
    assert_int_equal(db_claim("new", 1), NGX_DECLINED);
}


static void
queues_and_runners_are_named(void **state)
{
    ngx_async_id_t  id;

    (void) accept_job("one", "", 3);
    (void) accept_job("two", "", 3);
    id = accept_job("three", "", 3);
    assert_int_equal(db_cancel(&id), NGX_OK);

    assert_int_equal(db_claim("one", 5), NGX_OK);
    (void) accept_job("one", "", 3);

    db_job(&job, "one");
    assert_int_equal(db_append(&job.id, 0, 0, NGX_ASYNC_PIECE, 9), NGX_OK);
    assert_int_equal(db_claim("one", 5), NGX_OK);

    db_op(NGX_ASYNC_OP_QUEUES, NULL, 0);
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(op.blob.len, 4);
    assert_memory_equal(op.blob.data, "two\0", 4);

    db_op(NGX_ASYNC_OP_QUEUES, NULL, 0);
    op.cut = 1;
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(op.blob.len, 2 * NGX_ASYNC_RUNNER_LEN);
    assert_int_equal(op.blob.data[0], 5);
    assert_int_equal(op.blob.data[NGX_ASYNC_RUNNER_LEN], 9);
}


static void
jobs_of_a_runner_are_listed(void **state)
{
    int             i;
    ngx_async_id_t  id[3];

    for (i = 0; i < 3; i++) {
        now++;
        id[i] = accept_job("q", "", 3);
        assert_int_equal(db_claim("q", i == 1 ? 6 : 5), NGX_OK);
    }

    /* a staged request is no job */

    db_job(&job, "q");
    assert_int_equal(db_append(&job.id, 0, 0, NGX_ASYNC_PIECE, 5), NGX_OK);

    db_op(NGX_ASYNC_OP_RUNNING, NULL, 5);
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(op.blob.len, 2 * NGX_ASYNC_ID_LEN);
    assert_memory_equal(op.blob.data, id[0].bytes, NGX_ASYNC_ID_LEN);
    assert_memory_equal(op.blob.data + NGX_ASYNC_ID_LEN, id[2].bytes,
                        NGX_ASYNC_ID_LEN);

    assert_int_equal(db_cancel(&id[0]), NGX_OK);

    db_op(NGX_ASYNC_OP_RUNNING, NULL, 5);
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(op.blob.len, NGX_ASYNC_ID_LEN);

    db_op(NGX_ASYNC_OP_RUNNING, NULL, 7);
    assert_int_equal(db_ask(&op), NGX_OK);
    assert_int_equal(op.blob.len, 0);
}


int
main(void)
{
#define test(name, setup)                                                     \
    cmocka_unit_test_setup_teardown(name, setup, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(the_first_come_is_the_first_served, db_setup_small),
        test(the_urgent_go_first_but_not_always, db_setup_small),
        test(no_level_starves, db_setup_small),
        test(an_urgent_stream_does_not_starve_the_rest, db_setup_small),
        test(values_take_turns, db_setup_small),
        test(an_empty_value_takes_turns_as_well, db_setup_small),
        test(values_are_limited_singly, db_setup_small),
        test(positions_of_parked_jobs_are_right, db_setup_small),
        test(a_raised_limit_lets_jobs_go, db_setup_small),
        test(a_lowered_limit_holds_for_those_that_wait, db_setup_small),
        test(a_raised_limit_reaches_every_value, db_setup_small),
        test(a_lowered_limit_does_not_hide_other_values, db_setup_small),
        test(a_lowered_limit_changes_no_turns, db_setup_small),
        test(a_value_that_cancels_its_jobs_is_not_behind, db_setup_small),
        test(the_last_turns_are_given_back, db_setup_small),
        test(backlogs_are_limited, db_setup_small),
        test(positions_are_right_among_many, db_setup_small),
        test(a_paused_queue_is_probed, db_setup_small),
        test(a_probe_that_was_not_sent_opens_nothing, db_setup_small),
        test(a_queue_that_does_not_pause_any_more_is_open, db_setup_small),
        test(a_probe_does_not_keep_a_queue_that_does_not_pause_any_more,
             db_setup_small),
        test(a_probe_of_before_tells_nothing_of_another_pause,
             db_setup_small),
        test(a_pause_is_over_if_nobody_can_probe, db_setup_small),
        test(a_probe_keeps_its_queue_while_it_runs, db_setup_small),
        test(jobs_that_wait_for_an_attempt_fill_the_backlog, db_setup_small),
        test(a_retried_job_has_no_deadline_of_before, db_setup_small),
        test(a_promise_does_not_take_the_turns_of_others, db_setup_small),
        test(an_urgent_job_is_not_behind_those_of_its_value, db_setup_small),
        test(an_urgent_stream_of_a_value_does_not_starve_the_rest_of_it,
             db_setup_small),
        test(no_rhythm_of_values_starves_one_of_them, db_setup_small),
        test(positions_of_values_with_several_slots_are_right, db_setup_small),
        test(a_value_at_its_limit_does_not_make_up_for_turns, db_setup_small),
        test(a_value_that_gets_its_slots_back_takes_turns, db_setup_small),
        test(the_first_value_is_not_behind_all_that_had_none, db_setup_small),
        test(a_limit_reaches_jobs_of_the_same_transaction, db_setup_small),
        test(nobody_overtakes_a_value_that_waits_for_a_raised_limit,
             db_setup_small),
        test(jobs_of_a_queue_that_is_gone_come_to_the_front_by_and_by,
             db_setup_small),
        test(another_limit_takes_several_transactions, db_setup_small),
        test(no_level_starves_whatever_the_others_do, db_setup_small),
        test(an_attempt_waits_for_its_time_and_keeps_its_place, db_setup_small),
        test(the_wait_in_a_queue_ends, db_setup_small),
        test(jobs_of_a_queue_move_to_another, db_setup_small),
        test(many_jobs_move_in_steps, db_setup_small),
        test(parked_jobs_move_as_well, db_setup_small),
        test(queues_and_runners_are_named, db_setup_small),
        test(jobs_of_a_runner_are_listed, db_setup_small)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
