
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"


/*
 * Which job a claim gives, after random histories, by a model that knows the
 * rules only: a list of jobs that is looked through from end to end.
 *
 *   - the most urgent level goes first;
 *   - in it the lowest turn, which is one more than that of the value's last
 *     job, or than the turn that is being served if that is later;
 *   - the last turn of a value is given again if its job leaves before it
 *     starts, and any that is not served yet if none of its jobs waits;
 *   - then the first that came;
 *   - a value that has per_concurrency jobs running is passed over, by the
 *     limit that was told last: if n more of it may run, the first n of each
 *     level are ready;
 *   - a job that gets ready after it had to wait for others of its value has a
 *     turn as if it came then: neither that which is being served nor one that
 *     another job of the value has;
 *   - one start of each sixteen is of a less urgent level, if one waits.
 *
 * NGX_ASYNC_SEED and NGX_ASYNC_STEPS choose another run.
 */

#define JOBS    60
#define QUEUES  2
#define VALUES  5
#define LEVELS  8
#define STEPS   20000

#define FAIR    16

typedef enum {
    NONE = 0,
    WAITS,
    DELAYED,
    RUNS,
    FAILED
} state_e;

typedef struct {
    ngx_async_id_t  id;
    state_e         state;
    ngx_uint_t      queue;
    ngx_uint_t      urgency;
    ngx_uint_t      value;          /* 0: none */
    uint64_t        turn;           /* in the line of its value */
    ngx_uint_t      ready;
    uint64_t        ready_turn;     /* among all that are ready */
    uint64_t        came;
    uint64_t        time;           /* of DELAYED */
    int             runner;
} job_t;

typedef struct {
    ngx_uint_t      starts;
    uint64_t        configured;
    uint64_t        limit;          /* of each value, as last told */
    uint64_t        served[LEVELS];
    uint64_t        last[LEVELS][VALUES];
    uint64_t        last_ready[LEVELS][VALUES];
} queue_t;

static job_t        jobs[JOBS];
static queue_t      queues[QUEUES];
static uint64_t     came;
static const char  *names[] = { "alpha", "beta" };
static const char  *values[] = { "", "a", "b", "c", "d" };

/* of the history */
static ngx_uint_t   limited;
static ngx_uint_t   levels;
static ngx_uint_t   ebb;            /* few jobs come */


static ngx_uint_t
rnd(ngx_uint_t n)
{
    return (ngx_uint_t) random() % n;
}


static job_t *
any(state_e state)
{
    ngx_uint_t  i, n;

    n = rnd(JOBS);

    for (i = 0; i < JOBS; i++) {
        if (jobs[(n + i) % JOBS].state == state) {
            return &jobs[(n + i) % JOBS];
        }
    }

    return NULL;
}


static job_t *
find(const ngx_async_id_t *id)
{
    ngx_uint_t  i;

    for (i = 0; i < JOBS; i++) {
        if (jobs[i].state != NONE && ngx_async_id_cmp(&jobs[i].id, id) == 0) {
            return &jobs[i];
        }
    }

    fail_msg("a job that is not known");

    return NULL;
}


static ngx_uint_t
alive(const job_t *j)
{
    return j->state == WAITS || j->state == DELAYED || j->state == RUNS;
}


/* the number of jobs of a value in a state, or of those that did not end */

static ngx_uint_t
count(ngx_uint_t queue, ngx_uint_t value, state_e state)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < JOBS; i++) {
        n += jobs[i].queue == queue && jobs[i].value == value
             && (state ? jobs[i].state == state : alive(&jobs[i]));
    }

    return n;
}


/* how many more jobs of a value may run */

static uint64_t
room(ngx_uint_t queue, ngx_uint_t value)
{
    uint64_t   running;
    queue_t   *q = &queues[queue];

    if (value == 0 || q->limit == 0) {
        return UINT64_MAX;
    }

    running = count(queue, value, RUNS);

    return running < q->limit ? q->limit - running : 0;
}


static ngx_uint_t
at_limit(ngx_uint_t queue, ngx_uint_t value)
{
    return room(queue, value) == 0;
}


static ngx_uint_t
before(const job_t *a, const job_t *b)
{
    return a->turn != b->turn ? a->turn < b->turn : a->came < b->came;
}


/* the first or the last job of those of a value that are ready, or not */

static job_t *
edge(ngx_uint_t queue, ngx_uint_t value, ngx_uint_t urgency, ngx_uint_t ready,
    ngx_uint_t last)
{
    job_t       *j, *found;
    ngx_uint_t   i;

    found = NULL;

    for (i = 0; i < JOBS; i++) {
        j = &jobs[i];

        if (j->state == WAITS && j->queue == queue && j->value == value
            && j->urgency == urgency && j->ready == ready
            && (found == NULL || before(j, found) != last))
        {
            found = j;
        }
    }

    return found;
}


static uint64_t
nready(ngx_uint_t queue, ngx_uint_t value, ngx_uint_t urgency)
{
    uint64_t    n;
    ngx_uint_t  i;

    n = 0;

    for (i = 0; i < JOBS; i++) {
        n += jobs[i].state == WAITS && jobs[i].queue == queue
             && jobs[i].value == value && jobs[i].urgency == urgency
             && jobs[i].ready;
    }

    return n;
}


static void
set_ready(job_t *j, uint64_t turn)
{
    uint64_t  *last;

    last = &queues[j->queue].last_ready[j->urgency][j->value];

    j->ready = 1;
    j->ready_turn = turn;
    *last = ngx_max(*last, turn);
}


static void
unset_ready(job_t *j)
{
    uint64_t  *last;

    last = &queues[j->queue].last_ready[j->urgency][j->value];

    if (*last == j->ready_turn) {
        (*last)--;
    }

    j->ready = 0;
}


/* as many as may run get ready, or are it no more */

static void
fit(ngx_uint_t queue, ngx_uint_t value)
{
    job_t       *j;
    uint64_t     turn;
    queue_t     *q;
    ngx_uint_t   u;

    q = &queues[queue];

    for (u = 0; u < LEVELS; u++) {

        while (nready(queue, value, u) > room(queue, value)) {
            unset_ready(edge(queue, value, u, 1, 1));
        }

        while (nready(queue, value, u) < room(queue, value)
               && (j = edge(queue, value, u, 0, 0)) != NULL)
        {
            turn = ngx_max(q->served[u], q->last_ready[u][value]) + 1;
            set_ready(j, ngx_max(turn, j->turn));
        }
    }
}


static void
fit_all(ngx_uint_t queue)
{
    ngx_uint_t  v;

    for (v = 1; v < VALUES; v++) {
        fit(queue, v);
    }
}


/* a job gets into the line of its value, at its place */

static void
waits(job_t *j)
{
    job_t       *k;
    uint64_t     turn;
    ngx_uint_t   i, parks;

    j->state = NONE;

    if (j->value) {
        k = edge(j->queue, j->value, j->urgency, 0, 0);
        parks = k && before(k, j);

        if (!parks && nready(j->queue, j->value, j->urgency)
                      >= room(j->queue, j->value))
        {
            k = edge(j->queue, j->value, j->urgency, 1, 1);
            parks = k == NULL || before(k, j);

            if (!parks) {
                unset_ready(k);
            }
        }

        if (parks) {
            j->ready = 0;
            j->state = WAITS;
            return;
        }
    }

    /* not before those that are before it in its line */

    turn = j->turn;

    for (i = 0, k = NULL; j->value && i < JOBS; i++) {
        if (jobs[i].state == WAITS && jobs[i].queue == j->queue
            && jobs[i].value == j->value && jobs[i].urgency == j->urgency
            && jobs[i].ready && before(&jobs[i], j)
            && (k == NULL || before(k, &jobs[i])))
        {
            k = &jobs[i];
            turn = ngx_max(j->turn, k->ready_turn);
        }
    }

    set_ready(j, turn);
    j->state = WAITS;
}


/* the job of a level that is to start next */

static job_t *
head(ngx_uint_t queue, ngx_uint_t urgency)
{
    job_t       *j, *first;
    ngx_uint_t   i;

    first = NULL;

    for (i = 0; i < JOBS; i++) {
        j = &jobs[i];

        if (j->state != WAITS || j->queue != queue || j->urgency != urgency
            || !j->ready)
        {
            continue;
        }

        if (first == NULL || j->ready_turn < first->ready_turn
            || (j->ready_turn == first->ready_turn && j->came < first->came))
        {
            first = j;
        }
    }

    return first;
}


static ngx_uint_t
foremost(ngx_uint_t queue)
{
    ngx_uint_t  u;

    for (u = 0; u < LEVELS; u++) {
        if (head(queue, u)) {
            break;
        }
    }

    return u;
}


static ngx_uint_t
fair(ngx_uint_t queue)
{
    uint64_t  n;

    /* the store counts with 32 bits, and so few starts are made here */

    n = (queues[queue].starts / FAIR * 0x9e3779b1) & 0xffffffff;

    return queues[queue].starts % FAIR == FAIR - 1 - n / (0x100000000 / FAIR);
}


static void
forget_turns(ngx_uint_t queue, ngx_uint_t value)
{
    ngx_uint_t  u;

    for (u = 0; u < LEVELS; u++) {
        queues[queue].last[u][value] = 0;
        queues[queue].last_ready[u][value] = 0;
    }
}


/* a job gets to the end of its value's jobs */

static void
enters(job_t *j)
{
    uint64_t   *last;
    queue_t    *q;

    q = &queues[j->queue];
    last = &q->last[j->urgency][j->value];

    if (count(j->queue, j->value, WAITS)
        + count(j->queue, j->value, DELAYED) == 0)
    {
        /* turns that nobody has any more */

        forget_turns(j->queue, j->value);
    }

    j->turn = ngx_max(*last, q->last_ready[j->urgency][j->value]);
    j->turn = ngx_max(j->turn, q->served[j->urgency]) + 1;
    *last = j->turn;
}


/* a job that waits leaves without having started */

static void
leaves(job_t *j)
{
    uint64_t  *last;

    last = &queues[j->queue].last[j->urgency][j->value];

    if (*last == j->turn) {
        *last = j->turn - 1;
    }

    if (j->state == WAITS && j->ready) {
        unset_ready(j);
    }
}


static void
starts(job_t *j, int runner)
{
    queue_t  *q;

    q = &queues[j->queue];
    q->served[j->urgency] = ngx_max(q->served[j->urgency], j->turn);

    if (j->state == WAITS) {
        q->served[j->urgency] = ngx_max(q->served[j->urgency], j->ready_turn);
        unset_ready(j);
    }

    j->state = RUNS;
    j->runner = runner;

    fit(j->queue, j->value);
}


/* what is over is forgotten */

static void
tidy(void)
{
    ngx_uint_t  q, v;

    for (q = 0; q < QUEUES; q++) {
        for (v = 0; v < VALUES; v++) {
            if (count(q, v, NONE) == 0) {
                forget_turns(q, v);
            }
        }
    }
}


static void
forget(job_t *j)
{
    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &j->id), NGX_OK);
    j->state = NONE;
    fit(j->queue, j->value);
}


static void
set_limit(ngx_uint_t queue)
{
    if (limited && rnd(32) == 0) {
        queues[queue].configured = rnd(4);
    }

    limits.per_concurrency = queues[queue].configured;
    queues[queue].limit = limits.per_concurrency;

    fit_all(queue);
}


static void
accept_one(ngx_uint_t promise)
{
    job_t            *j;
    ngx_uint_t        claim, before, waiting, i;
    ngx_async_job_t   job;

    j = any(NONE);

    if (j == NULL) {
        return;
    }

    memset(j, 0, sizeof(job_t));

    j->queue = rnd(8) == 0;
    j->value = rnd(3) ? 1 + rnd(2) : rnd(VALUES);
    j->urgency = rnd(levels);

    set_limit(j->queue);

    db_job(&job, names[j->queue]);
    job.per = db_str(values[j->value]);
    job.urgency = j->urgency & 7;
    job.ttl = job.ttl_failed = job.keep_request = 1000000000;

    if (rnd(2)) {
        job.flags |= NGX_ASYNC_JOB_IDEMPOTENT;
    }

    if (promise) {
        job.status = NGX_ASYNC_RUNNING;
    }

    claim = rnd(2);
    before = foremost(j->queue);

    waiting = 0;

    for (i = 0; i < JOBS; i++) {
        waiting += jobs[i].state == WAITS && jobs[i].queue == j->queue;
    }

    j->runner = 1 + rnd(2);

    assert_int_equal(db_accept(&job, 10, claim, j->runner), NGX_OK);

    j->id = job.id;
    j->came = ++came;

    if (promise) {

        /* it has begun before those that wait */

        j->turn = ngx_max(queues[j->queue].served[j->urgency], 1);
        starts(j, j->runner);
        return;
    }

    enters(j);

    if (!op.claimed) {
        assert_false(claim && waiting == 0 && !at_limit(j->queue, j->value));
        waits(j);
        return;
    }

    assert_true(claim);
    assert_false(at_limit(j->queue, j->value));
    assert_true(before > j->urgency);
    assert_false(fair(j->queue) && before != LEVELS);

    queues[j->queue].starts++;
    starts(j, j->runner);
}


static void
claim(void)
{
    int          runner;
    job_t       *j;
    queue_t     *q;
    ngx_uint_t   queue, u, top;

    queue = rnd(8) == 0;
    q = &queues[queue];

    set_limit(queue);

    runner = 1 + rnd(2);
    top = foremost(queue);

    if (db_claim(names[queue], runner) == NGX_DECLINED) {
        assert_int_equal(top, LEVELS);
        return;
    }

    assert_int_equal(op.rc, NGX_OK);

    j = find(&op.found.id);

    assert_int_equal(j->state, WAITS);
    assert_int_equal(j->queue, queue);
    assert_false(at_limit(queue, j->value));

    if (!fair(queue)) {
        assert_int_equal(j->urgency, top);

    } else {
        for (u = top + 1; u < LEVELS; u++) {
            if (head(queue, u)) {
                assert_int_not_equal(j->urgency, top);
            }
        }
    }

    /* turns of the values, and first come, first served */

    assert_ptr_equal(j, head(queue, j->urgency));

    q->starts++;
    starts(j, runner);
}


static void
finish(void)
{
    job_t  *j;

    j = any(RUNS);

    if (j == NULL) {
        return;
    }

    if (rnd(4)) {
        assert_int_equal(db_finish(&j->id, j->runner, NGX_ASYNC_SUCCEEDED, 1),
                         NGX_OK);
        forget(j);

    } else {
        assert_int_equal(db_finish(&j->id, j->runner, NGX_ASYNC_FAILED, 0),
                         NGX_OK);
        j->state = FAILED;
        fit(j->queue, j->value);
    }
}


/* back to its old place, at once or later */

static void
requeue(void)
{
    job_t  *j;

    j = any(RUNS);

    if (j == NULL) {
        return;
    }

    j->time = rnd(2) ? now + 1 + rnd(1000) : 0;

    assert_int_equal(db_requeue(&j->id, j->runner, j->time), NGX_OK);

    if (j->time) {
        j->state = DELAYED;

    } else {
        waits(j);
    }

    fit(j->queue, j->value);
}


static void
wake(void)
{
    job_t       *j;
    ngx_uint_t   i;

    now += rnd(300);

    do {
        assert_int_equal(db_sweep(), NGX_OK);
    } while (sweep.more);

    /* in the order of their times */

    for ( ;; ) {
        j = NULL;

        for (i = 0; i < JOBS; i++) {
            if (jobs[i].state == DELAYED && jobs[i].time <= now
                && (j == NULL || jobs[i].time < j->time
                    || (jobs[i].time == j->time
                        && ngx_async_id_cmp(&jobs[i].id, &j->id) < 0)))
            {
                j = &jobs[i];
            }
        }

        if (j == NULL) {
            break;
        }

        waits(j);
    }
}


static void
cancel(void)
{
    job_t  *j;

    j = any(rnd(4) ? WAITS : rnd(2) ? RUNS : DELAYED);

    if (j) {
        assert_int_equal(db_cancel(&j->id), NGX_OK);

        if (j->state != RUNS) {
            leaves(j);
        }

        forget(j);
    }
}


/* behind all others, as a new one */

static void
retry(void)
{
    job_t  *j;

    j = any(FAILED);

    if (j == NULL) {
        return;
    }

    if (rnd(3) == 0) {
        forget(j);
        return;
    }

    assert_int_equal(db_simple(NGX_ASYNC_OP_RETRY, &j->id), NGX_OK);
    j->came = ++came;
    enters(j);
    waits(j);
}


static void
recover(void)
{
    int          runner;
    job_t       *j;
    ngx_uint_t   i;

    runner = 1 + rnd(2);

    do {
        assert_int_equal(db_recover(runner), NGX_OK);
    } while (sweep.more);

    for ( ;; ) {
        j = NULL;

        for (i = 0; i < JOBS; i++) {
            if (jobs[i].state == RUNS && jobs[i].runner == runner
                && (j == NULL || ngx_async_id_cmp(&jobs[i].id, &j->id) < 0))
            {
                j = &jobs[i];
            }
        }

        if (j == NULL) {
            break;
        }

        assert_int_equal(db_get(&j->id), NGX_OK);

        if (op.found.status == NGX_ASYNC_NOT_STARTED) {
            waits(j);

        } else {
            j->state = FAILED;
        }

        fit(j->queue, j->value);
    }
}


/* to the other queue, in the order in which they would start */

static void
move(void)
{
    job_t            *j;
    ngx_uint_t        u, from;
    ngx_async_job_t   job;

    from = rnd(2);

    limits.per_concurrency = queues[1 - from].configured;

    db_job(&job, "");
    assert_int_equal(db_move(names[from], &job, names[1 - from]),
                     NGX_DECLINED);

    queues[from].limit = 0;
    fit_all(from);

    if (foremost(from) != LEVELS) {
        queues[1 - from].limit = limits.per_concurrency;
        fit_all(1 - from);
    }

    for (u = 0; u < LEVELS; u++) {
        while ((j = head(from, u)) != NULL) {
            leaves(j);
            j->state = NONE;
            j->queue = 1 - from;
            enters(j);
            waits(j);
        }
    }
}


static void
step(void)
{
    ngx_uint_t  r;

    if (rnd(200) == 0) {
        ebb = !ebb;
    }

    r = rnd(64);

    if (ebb && r >= 48 && r < 60) {
        r -= 36;
    }

    switch (r) {

    case 0:
        db_stop();
        db_start(db_size);
        break;

    case 1:
        move();
        break;

    case 2:
        recover();
        break;

    case 3: case 4: case 5:
        accept_one(1);
        break;

    case 6: case 7: case 8: case 9: case 10: case 11:
        cancel();
        break;

    case 12: case 13: case 14: case 15:
        requeue();
        break;

    case 16: case 17: case 18:
        wake();
        break;

    case 19: case 20: case 21: case 22:
        retry();
        break;

    case 23: case 24: case 25: case 26: case 27: case 28: case 29: case 30:
    case 31: case 32: case 33: case 34:
        finish();
        break;

    case 35: case 36: case 37: case 38: case 39: case 40: case 41: case 42:
    case 43: case 44: case 45: case 46: case 47:
        claim();
        break;

    default:
        accept_one(0);
    }

    tidy();
}


static void
run(void)
{
    uint64_t     i, steps;
    ngx_uint_t   q;
    const char  *env;

    env = getenv("NGX_ASYNC_SEED");
    srandom(env ? (unsigned) atoi(env) : 1);

    env = getenv("NGX_ASYNC_STEPS");
    steps = env ? (uint64_t) atoi(env) : STEPS;

    memset(jobs, 0, sizeof(jobs));
    memset(queues, 0, sizeof(queues));
    came = 0;

    db_size = 16 * MIB;
    db_start(db_size);

    /* from the first value on, turns are given */

    for (q = 0; q < QUEUES; q++) {
        jobs[q].id = accept_job(names[q], values[1], 0);
        assert_int_equal(db_cancel(&jobs[q].id), NGX_OK);
    }

    for (i = 0; i < steps; i++) {
        step();

        if (i % 256 == 0) {
            db_check();
        }
    }

    db_check();
}


static void
jobs_start_by_urgency_turn_and_arrival(void **state)
{
    limited = 0;
    levels = LEVELS;
    run();
}


static void
so_they_do_in_one_level(void **state)
{
    limited = 0;
    levels = 1;
    run();
}


static void
values_at_their_limit_are_passed_over(void **state)
{
    limited = 1;
    levels = LEVELS;
    run();
}


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        cmocka_unit_test_setup_teardown(
            jobs_start_by_urgency_turn_and_arrival, db_setup, db_teardown),
        cmocka_unit_test_setup_teardown(
            so_they_do_in_one_level, db_setup, db_teardown),
        cmocka_unit_test_setup_teardown(
            values_at_their_limit_are_passed_over, db_setup, db_teardown)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
