
/* sources: src/store/ngx_async_store.c src/store/ngx_async_store_write.c src/store/ngx_async_store_keep.c src/store/ngx_async_store_work.c src/store/ngx_async_store_full.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/store/ngx_async_store_internal.h"
#include "src/store/ngx_async_shared.h"


#define MANY  2000


/*
 * A database that only notes what it is asked to do, a thread pool whose tasks
 * run when the test says so, timers and an event loop by hand.
 */

volatile ngx_msec_t     ngx_current_msec;
volatile ngx_cycle_t   *ngx_cycle;
ngx_uint_t              ngx_exiting;
sig_atomic_t            ngx_terminate;
ngx_queue_t             ngx_posted_events;
ngx_queue_t             ngx_posted_next_events;
ngx_rbtree_t            ngx_event_timer_rbtree;

static ngx_cycle_t             cycle_;
static ngx_log_t               log_;
static ngx_async_store_conf_t  conf;

static ngx_thread_task_t      *tasks[16];
static ngx_uint_t              ntasks;
static ngx_uint_t              pool_full;

static ngx_rbtree_node_t      *timers[8];

static ngx_uint_t              nlines, refused, lost;   /* of the log */

static struct {
    ngx_uint_t   opens, closes, begins, commits, aborts, reads, checks;
    ngx_uint_t   sizes[64];             /* of the batches */
    ngx_uint_t   open;                  /* a transaction is */
    ngx_uint_t   ops;                   /* in it */
    ngx_uint_t   unopenable;
    ngx_uint_t   unbeginnable;
    ngx_err_t    commit_error;
    ngx_uint_t   lost;
    ngx_int_t    spoil;                 /* what the op number "spoiler" gets */
    ngx_uint_t   spoiler;
    ngx_uint_t   due;
    void       (*at_begin)(void);
    void       (*at_commit)(void);
    ngx_uint_t   ngone;                 /* files of committed batches */
} db;

static ngx_async_op_t   ops[MANY];
static ngx_async_job_t  jobs[MANY];
static ngx_uint_t       done[MANY];
static ngx_uint_t       ndone;
static ngx_uint_t       again;
static ngx_uint_t       ready;

static ngx_uint_t       scans;
static ngx_uint_t       again_scans;
static ngx_uint_t       unlinks;
static ngx_async_op_t  *filed;          /* what the files were given last */


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    va_list  args;

    if (strstr(fmt, "is full, %uLm of") == NULL) {
        return;
    }

    va_start(args, fmt);

    (void) va_arg(args, ngx_str_t *);
    (void) va_arg(args, uint64_t);
    (void) va_arg(args, size_t);
    refused = va_arg(args, ngx_uint_t);
    lost = va_arg(args, ngx_uint_t);

    va_end(args);

    nlines++;
}


u_char *
ngx_cpystrn(u_char *dst, u_char *src, size_t n)
{
    return (u_char *) stpncpy((char *) dst, (char *) src, n - 1);
}


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_uint_t  i;

    for (i = 0; timers[i]; i++) { /* void */ }

    timers[i] = node;
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    ngx_uint_t  i;

    for (i = 0; timers[i] != node; i++) { /* void */ }

    for ( /* void */ ; timers[i]; i++) {
        timers[i] = timers[i + 1];
    }
}


ngx_int_t
ngx_thread_task_post(ngx_thread_pool_t *tp, ngx_thread_task_t *task)
{
    if (pool_full) {
        return NGX_ERROR;
    }

    assert_false(task->event.active);
    task->event.active = 1;
    tasks[ntasks++] = task;

    return NGX_OK;
}


uint64_t *
ngx_async_shared_durable(void)
{
    return NULL;
}


void
ngx_async_db_share(ngx_async_db_t *p, uint64_t *durable)
{
    fail();
}


ngx_uint_t
ngx_async_shared_set_ready(ngx_str_t *name, uint64_t n, uint64_t waiting,
    ngx_uint_t paused, uint64_t txnid)
{
    assert_int_equal(waiting, n + 1);
    ready = n;
    return 0;
}


ngx_int_t
ngx_async_db_check(const char *path, const char **reason)
{
    return NGX_OK;
}


ngx_async_db_t *
ngx_async_db_open(const char *path, size_t size, ngx_uint_t readers,
    const char **reason)
{
    db.opens++;
    *reason = "it must not";

    return db.unopenable ? NULL : (ngx_async_db_t *) &db;
}


void
ngx_async_db_close(ngx_async_db_t *p)
{
    db.closes++;
}


ngx_uint_t
ngx_async_db_gone(ngx_async_db_t *p, ngx_async_blob_t **blobs)
{
    ngx_uint_t  n;

    *blobs = NULL;
    n = db.ngone;
    db.ngone = 0;

    return n;
}


void
ngx_async_store_trash_scan(void)
{
    scans++;
}


void
ngx_async_store_trash_again(void)
{
    again_scans++;
}


void
ngx_async_store_trash_unlink(ngx_async_blob_t *blobs, ngx_uint_t n)
{
    unlinks += n;
}


void
ngx_async_store_file_submit(ngx_async_op_t *op)
{
    filed = op;
}


ngx_async_db_txn_t *
ngx_async_db_begin(ngx_async_db_t *p, ngx_err_t *err)
{
    db.begins++;
    db.ops = 0;

    if (db.unbeginnable) {
        *err = ENOMEM;
        return NULL;
    }

    assert_false(db.open);
    db.open = 1;

    if (db.at_begin) {
        db.at_begin();
    }

    return (ngx_async_db_txn_t *) &db;
}


ngx_int_t
ngx_async_db_write(ngx_async_db_txn_t *txn, ngx_async_op_t *op)
{
    assert_true(db.open);

    db.ops++;

    if (op->type == NGX_ASYNC_OP_ACCEPT) {
        assert_int_equal(op->job->status, NGX_ASYNC_NOT_STARTED);
        assert_false(op->claimed);

        op->claimed = 1;
        op->job->status = NGX_ASYNC_RUNNING;
        op->job->attempt++;
    }

    assert_null(op->buf.data);
    op->buf.data = malloc(1);

    if (db.spoil && op == &ops[db.spoiler]) {
        op->full = (db.spoil == NGX_AGAIN) ? NGX_ASYNC_FULL_STORE
                                           : NGX_ASYNC_FULL_NONE;
        return db.spoil;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_db_commit(ngx_async_db_txn_t *txn, ngx_err_t *err)
{
    db.open = 0;

    if (db.at_commit) {
        db.at_commit();
    }

    if (db.commit_error) {
        *err = db.commit_error;
        return db.lost ? NGX_ABORT : NGX_ERROR;
    }

    db.sizes[db.commits++ % 64] = db.ops;

    return NGX_OK;
}


void
ngx_async_db_abort(ngx_async_db_txn_t *txn)
{
    db.open = 0;
    db.aborts++;
}


void
ngx_async_db_read(ngx_async_db_t *p, ngx_async_op_t *op)
{
    db.reads++;
    op->rc = NGX_OK;
}


ngx_uint_t
ngx_async_db_due(ngx_async_db_t *p, uint64_t now, uint64_t *next)
{
    *next = 77;
    return db.due;
}


void
ngx_async_db_changed_queues(ngx_async_db_t *p, ngx_uint_t all,
    ngx_async_db_queue_pt handler, void *data)
{
    ngx_str_t  name = ngx_string("q");

    handler(data, &name, db.commits, db.commits + 1, 0, db.commits);
}


ngx_int_t
ngx_async_db_check_readers(ngx_async_db_t *p)
{
    db.checks++;
    return 0;
}


void
ngx_async_db_usage(ngx_async_db_t *p, uint64_t *used, uint64_t *size)
{
    *used = db.commits + 1;
    *size = 1000;
}


/* a turn of the event loop */

static void
turn(void)
{
    ngx_queue_t  *q;
    ngx_event_t  *ev;

    if (!ngx_queue_empty(&ngx_posted_next_events)) {
        ngx_queue_add(&ngx_posted_events, &ngx_posted_next_events);
        ngx_queue_init(&ngx_posted_next_events);
    }

    while (!ngx_queue_empty(&ngx_posted_events)) {
        q = ngx_queue_head(&ngx_posted_events);
        ev = ngx_queue_data(q, ngx_event_t, queue);

        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }
}


/* the oldest task runs to its end and completes */

static void
run(void)
{
    ngx_uint_t          i;
    ngx_thread_task_t  *task;

    assert_true(ntasks > 0);

    task = tasks[0];
    ntasks--;

    for (i = 0; i < ntasks; i++) {
        tasks[i] = tasks[i + 1];
    }

    task->handler(task->ctx, &log_);

    task->event.complete = 1;
    task->event.active = 0;
    task->event.handler(&task->event);

    turn();
}


static void
run_all(void)
{
    while (ntasks) {
        run();
    }
}


/* time passes, and all timers that are due expire */

static void
pass(ngx_msec_t msec)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    ngx_current_msec += msec;

    for (i = 0; timers[i]; /* void */ ) {

        ev = ngx_rbtree_data(timers[i], ngx_event_t, timer);

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec) > 0) {
            i++;
            continue;
        }

        ngx_rbtree_delete(&ngx_event_timer_rbtree, timers[i]);
        ev->timer_set = 0;
        ev->timedout = 1;
        ev->handler(ev);
        i = 0;
    }

    turn();
}


static ngx_uint_t
could_exit(void)
{
    ngx_uint_t    i;
    ngx_event_t  *ev;

    for (i = 0; timers[i]; i++) {
        ev = ngx_rbtree_data(timers[i], ngx_event_t, timer);

        if (!ev->cancelable) {
            return 0;
        }
    }

    return 1;
}


static void
handler(ngx_async_op_t *op)
{
    assert_ptr_equal(op->data, &done[op - ops]);

    ngx_async_store_release(op);
    done[op - ops]++;
    ndone++;

    if (again) {
        again--;
        ngx_async_store_submit(op);
    }
}


static void
submit(ngx_uint_t i, ngx_uint_t type)
{
    ngx_uint_t  n;

    n = ndone;

    ops[i].type = type;
    ops[i].handler = handler;
    ops[i].data = &done[i];
    ops[i].job = &jobs[i];

    ngx_async_store_submit(&ops[i]);

    assert_int_equal(ndone, n);
}


static int
setup(void **state)
{
    ngx_memzero(&db, sizeof(db));
    ngx_memzero(timers, sizeof(timers));
    ngx_memzero(ops, sizeof(ops));
    ngx_memzero(jobs, sizeof(jobs));
    ngx_memzero(done, sizeof(done));

    ntasks = 0;
    ndone = 0;
    again = 0;
    pool_full = 0;
    ngx_exiting = 0;
    ngx_terminate = 0;
    ngx_current_msec += 100000;
    ngx_cycle = &cycle_;
    cycle_.log = &log_;

    ngx_queue_init(&ngx_posted_events);
    ngx_queue_init(&ngx_posted_next_events);

    ngx_str_set(&conf.path, "/store");
    conf.workers = 2;

    return 0;
}


static int
start(void **state)
{
    if (setup(state) != 0) {
        return -1;
    }

    ngx_async_store_start(&cycle_, &conf);

    return 0;
}


static int
teardown(void **state)
{
    ngx_uint_t  pending;

    pending = ngx_async_store_pending();

    ngx_async_store_stop(&cycle_);

    return pending || db.opens != db.closes + db.unopenable ? -1 : 0;
}


/* two operations are pending for ever */

static int
teardown_lost(void **state)
{
    ngx_uint_t  pending;

    pending = ngx_async_store_pending();

    ngx_async_store_stop(&cycle_);

    return pending == 2 ? 0 : -1;
}


static void
test_one_turn_is_one_batch(void **state)
{
    uint64_t    used, size;
    ngx_uint_t  i;

    assert_true(could_exit());

    for (i = 0; i < 3; i++) {
        submit(i, NGX_ASYNC_OP_FINISH);
    }

    assert_int_equal(ntasks, 0);
    assert_int_equal(ngx_async_store_pending(), 3);
    assert_false(could_exit());

    turn();
    assert_int_equal(ntasks, 1);
    assert_int_equal(ndone, 0);

    run();
    assert_int_equal(db.commits, 1);
    assert_int_equal(db.sizes[0], 3);
    assert_int_equal(ndone, 3);
    assert_int_equal(ready, 1);
    assert_int_equal(ops[2].rc, NGX_OK);
    assert_int_equal(ntasks, 0);
    assert_true(could_exit());

    ngx_async_store_usage(&used, &size);
    assert_int_equal(used, 2);
    assert_int_equal(size, 1000);
}


static void
submit_some(void)
{
    ngx_uint_t  i;

    db.at_begin = NULL;
    db.at_commit = NULL;

    for (i = 1; i < 6; i++) {
        submit(i, NGX_ASYNC_OP_FINISH);
    }

    turn();
}


static void
test_what_comes_while_writing_is_the_next_batch(void **state)
{
    submit(0, NGX_ASYNC_OP_FINISH);
    turn();

    db.at_commit = submit_some;
    again = 1;
    run();

    /* the second batch is under way, the handler's operation joins it */

    assert_int_equal(ndone, 1);
    assert_int_equal(ntasks, 1);
    assert_int_equal(db.sizes[0], 1);

    run();
    assert_int_equal(db.sizes[1], 6);
    assert_int_equal(ndone, 7);
    assert_int_equal(ntasks, 0);
}


static void
test_what_comes_while_waiting_to_write_takes_part(void **state)
{
    submit(0, NGX_ASYNC_OP_FINISH);
    turn();

    db.at_begin = submit_some;
    run();

    assert_int_equal(db.sizes[0], 6);
    assert_int_equal(ndone, 6);
    assert_int_equal(ntasks, 0);
}


static void
test_a_batch_is_bounded(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 1100; i++) {
        submit(i, NGX_ASYNC_OP_FINISH);
    }

    turn();
    run_all();

    assert_int_equal(db.commits, 3);
    assert_int_equal(db.sizes[0], 512);
    assert_int_equal(db.sizes[2], 76);

    for (i = 0; i < 200; i++) {
        ops[i].piece.len = 65536;
        submit(i, NGX_ASYNC_OP_APPEND);
    }

    turn();
    run_all();

    assert_int_equal(db.commits, 8);
    assert_int_equal(db.sizes[3], 48);
    assert_int_equal(ndone, 1300);
}


static void
test_a_spoilt_batch_is_done_one_by_one(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 10; i++) {
        submit(i, NGX_ASYNC_OP_ACCEPT);
    }

    db.spoiler = 4;
    db.spoil = NGX_AGAIN;

    turn();
    run();

    assert_int_equal(ndone, 10);
    assert_int_equal(db.aborts, 2);
    assert_int_equal(db.commits, 9);

    for (i = 0; i < 10; i++) {
        if (i == 4) {
            assert_int_equal(ops[i].rc, NGX_BUSY);
            assert_int_equal(ops[i].full, NGX_ASYNC_FULL_STORE);
            assert_int_equal(jobs[i].status, NGX_ASYNC_NOT_STARTED);
            assert_false(ops[i].claimed);
            continue;
        }

        assert_int_equal(ops[i].rc, NGX_OK);
        assert_int_equal(jobs[i].attempt, 1);
    }

    submit(4, NGX_ASYNC_OP_FINISH);
    submit(5, NGX_ASYNC_OP_FINISH);
    db.spoil = NGX_ERROR;
    turn();
    run();

    assert_int_equal(ops[4].rc, NGX_ERROR);
    assert_true(ops[4].err != 0);
    assert_int_equal(ops[5].rc, NGX_OK);
}


static void
test_nobody_is_told_what_is_not_known(void **state)
{
    submit(0, NGX_ASYNC_OP_ACCEPT);
    submit(1, NGX_ASYNC_OP_CLAIM);

    db.commit_error = EIO;
    db.lost = 1;
    turn();
    run();

    assert_int_equal(ndone, 0);
    assert_int_equal(db.begins, 1);
    assert_int_equal(ngx_terminate, 1);

    /* what comes until the process ends was not done at all */

    submit(2, NGX_ASYNC_OP_ACCEPT);
    turn();

    assert_int_equal(ndone, 1);
    assert_int_equal(ops[2].rc, NGX_ERROR);
    assert_int_equal(db.begins, 1);

    free(ops[0].buf.data);
    free(ops[1].buf.data);
}


static void
test_a_failed_commit_fails_all_and_changes_nothing(void **state)
{
    ngx_uint_t  i;

    for (i = 0; i < 3; i++) {
        submit(i, NGX_ASYNC_OP_ACCEPT);
    }

    db.commit_error = EIO;
    ready = 99;
    turn();
    run();

    assert_int_equal(ndone, 3);
    assert_int_equal(ready, 99);

    for (i = 0; i < 3; i++) {
        assert_int_equal(ops[i].rc, NGX_ERROR);
        assert_int_equal(ops[i].err, EIO);
        assert_int_equal(jobs[i].status, NGX_ASYNC_NOT_STARTED);
        assert_int_equal(jobs[i].attempt, 0);
    }

    assert_int_equal(db.begins, 1);

    /* a full disk: what needs no room gets through */

    submit(0, NGX_ASYNC_OP_FINISH);
    submit(1, NGX_ASYNC_OP_FINISH);
    db.commit_error = ENOSPC;
    turn();
    run();

    assert_int_equal(db.begins, 4);
    assert_int_equal(ops[0].rc, NGX_BUSY);
    assert_int_equal(ops[1].full, NGX_ASYNC_FULL_DISK);

    /* all is well again */

    db.commit_error = 0;
    submit(0, NGX_ASYNC_OP_ACCEPT);
    turn();
    run();
    assert_int_equal(ops[0].rc, NGX_OK);
    assert_int_equal(db.closes, 0);
}


static void
test_a_full_pool_is_tried_again(void **state)
{
    pool_full = 1;
    submit(0, NGX_ASYNC_OP_FINISH);
    submit(1, NGX_ASYNC_OP_GET);
    turn();
    assert_int_equal(ntasks, 0);

    submit(2, NGX_ASYNC_OP_FINISH);
    turn();
    pass(20);
    assert_int_equal(ndone, 0);
    assert_false(could_exit());

    pool_full = 0;
    pass(20);
    assert_int_equal(ntasks, 2);
    run_all();
    assert_int_equal(ndone, 3);
    assert_int_equal(db.sizes[0], 2);
}


static void
test_reads_share_tasks(void **state)
{
    ngx_uint_t  i;

    submit(0, NGX_ASYNC_OP_GET);
    submit(1, NGX_ASYNC_OP_READ);
    turn();
    assert_int_equal(ntasks, 1);

    submit(2, NGX_ASYNC_OP_LIST);
    turn();
    assert_int_equal(ntasks, 2);

    for (i = 3; i < 503; i++) {
        submit(i, NGX_ASYNC_OP_QUEUES);
    }

    turn();
    assert_int_equal(ntasks, 3);

    run();
    assert_int_equal(ndone, 2);
    assert_int_equal(ntasks, 3);

    run_all();
    assert_int_equal(ndone, 503);
    assert_int_equal(db.reads, 503);
    assert_int_equal(db.begins, 0);
}


static void
test_sweeps_with_nothing_due_do_not_write(void **state)
{
    static ngx_async_sweep_t  sweep;

    sweep.nchanged = 5;
    ops[0].sweep = &sweep;
    submit(0, NGX_ASYNC_OP_SWEEP);
    turn();
    run();

    assert_int_equal(db.begins, 0);
    assert_int_equal(ops[0].rc, NGX_OK);
    assert_int_equal(sweep.nchanged, 0);
    assert_int_equal(sweep.next, 77);

    submit(0, NGX_ASYNC_OP_SWEEP);
    submit(1, NGX_ASYNC_OP_FINISH);
    turn();
    run();
    assert_int_equal(db.sizes[0], 2);

    db.due = 1;
    submit(0, NGX_ASYNC_OP_SWEEP);
    turn();
    run();
    assert_int_equal(db.sizes[1], 1);
}


static void
test_without_a_store_all_is_refused_until_it_opens(void **state)
{
    db.unopenable = 1;
    ngx_async_store_start(&cycle_, &conf);

    submit(0, NGX_ASYNC_OP_ACCEPT);
    submit(1, NGX_ASYNC_OP_GET);
    again = 1;
    turn();

    /* one of them came back */

    assert_int_equal(ndone, 3);
    assert_int_equal(ops[0].rc, NGX_ERROR);
    assert_int_equal(ops[1].rc, NGX_ERROR);
    assert_true(ops[1].err != 0);
    assert_true(could_exit());

    pass(1100);
    run_all();
    assert_int_equal(db.opens, 2);
    db.unopenable = 0;
    db.opens = 0;

    pass(1100);
    run_all();
    assert_int_equal(db.opens, 1);

    submit(0, NGX_ASYNC_OP_ACCEPT);
    turn();
    run();
    assert_int_equal(ops[0].rc, NGX_OK);
}


static void
test_an_unusable_environment_is_opened_again(void **state)
{
    submit(0, NGX_ASYNC_OP_FINISH);
    db.unbeginnable = 1;
    turn();
    submit(1, NGX_ASYNC_OP_FINISH);
    submit(2, NGX_ASYNC_OP_GET);
    turn();
    assert_int_equal(ntasks, 2);
    run();

    assert_int_equal(ops[0].rc, NGX_ERROR);
    assert_int_equal(ops[0].err, ENOMEM);
    assert_int_equal(ops[1].rc, NGX_ERROR);
    assert_int_equal(ndone, 2);

    /* not while a read is under way */

    pass(1100);
    assert_int_equal(ntasks, 1);
    run();
    assert_int_equal(ops[2].rc, NGX_OK);

    pass(1100);
    assert_int_equal(ntasks, 1);
    run();
    assert_int_equal(db.closes, 1);
    assert_int_equal(db.opens, 2);

    db.unbeginnable = 0;
    submit(0, NGX_ASYNC_OP_FINISH);
    turn();
    run();
    assert_int_equal(ops[0].rc, NGX_OK);
}


static void
test_readers_are_checked(void **state)
{
    ngx_uint_t  n;

    assert_int_equal(db.checks, 1);
    n = again_scans;

    pass(30000);
    run_all();
    assert_int_equal(db.checks, 2);

    /* and files that could not be removed are looked for */

    assert_int_equal(again_scans, n + 1);

    pass(30000);
    run_all();
    assert_int_equal(db.checks, 3);
    assert_true(could_exit());
}


static void
test_an_exiting_worker_starts_in_the_next_turn(void **state)
{
    submit(0, NGX_ASYNC_OP_FINISH);
    turn();
    run();

    /* the posted events of this turn have been run */

    ngx_exiting = 1;
    submit(0, NGX_ASYNC_OP_FINISH);
    assert_true(ngx_queue_empty(&ngx_posted_events));
    assert_false(ngx_queue_empty(&ngx_posted_next_events));
    turn();
    run();
    assert_int_equal(ndone, 2);
}


static void
test_that_there_is_no_room_is_logged_once_a_minute(void **state)
{
    ngx_uint_t  i;

    log_.log_level = NGX_LOG_ERR;
    nlines = 0;

    ngx_async_store_no_room(NGX_ASYNC_REQUEST);

    assert_int_equal(nlines, 1);
    assert_int_equal(refused, 1);
    assert_int_equal(lost, 0);
    assert_true(could_exit());

    for (i = 0; i < 5; i++) {
        ngx_async_store_no_room(NGX_ASYNC_REQUEST);
        ngx_async_store_no_room(NGX_ASYNC_RESPONSE);
        pass(10000);
    }

    assert_int_equal(nlines, 1);

    pass(10000);

    assert_int_equal(nlines, 2);
    assert_int_equal(refused, 5);
    assert_int_equal(lost, 5);

    /* and nothing when there was nothing */

    pass(60000);
    assert_int_equal(nlines, 2);

    ngx_async_store_no_room(NGX_ASYNC_RESPONSE);

    assert_int_equal(nlines, 3);
    assert_int_equal(refused, 0);
    assert_int_equal(lost, 1);

    /* what is left at the end */

    ngx_async_store_no_room(NGX_ASYNC_REQUEST);
    assert_int_equal(nlines, 3);

    ngx_async_store_full_stop();

    assert_int_equal(nlines, 4);
    assert_int_equal(refused, 1);

    log_.log_level = 0;
    run_all();
}



#define test(f)  cmocka_unit_test_setup_teardown(f, start, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_one_turn_is_one_batch),
        test(test_what_comes_while_writing_is_the_next_batch),
        test(test_what_comes_while_waiting_to_write_takes_part),
        test(test_a_batch_is_bounded),
        test(test_a_spoilt_batch_is_done_one_by_one),
        test(test_that_there_is_no_room_is_logged_once_a_minute),
        cmocka_unit_test_setup_teardown(test_nobody_is_told_what_is_not_known,
                                        start, teardown_lost),
        test(test_a_failed_commit_fails_all_and_changes_nothing),
        test(test_a_full_pool_is_tried_again),
        test(test_reads_share_tasks),
        test(test_sweeps_with_nothing_due_do_not_write),
        cmocka_unit_test_setup_teardown(
            test_without_a_store_all_is_refused_until_it_opens,
            setup, teardown),
        test(test_an_unusable_environment_is_opened_again),
        test(test_readers_are_checked),
        test(test_an_exiting_worker_starts_in_the_next_turn),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
