
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include "src/store/ngx_async_store.h"
#include "src/store/ngx_async_db.h"
#include "src/store/ngx_async_shared.h"


/*
 * Operations wait in two queues.  One task at a time writes: it takes all
 * writes that wait, up to a bound, and makes them one transaction; the next
 * one is under way before the handlers of the last are called.  Few tasks
 * read, each for many operations under load.  A task that was posted is left
 * alone by the event loop until its completion comes.
 */

#define NGX_ASYNC_STORE_BATCH     512
#define NGX_ASYNC_STORE_BYTES     (4 * 1024 * 1024)

/* one thread of the usual four stays free for the writer */
#define NGX_ASYNC_STORE_READERS   3
#define NGX_ASYNC_STORE_READS     64

/* reader slots of LMDB, for each worker: its tasks, and those of old cycles */
#define NGX_ASYNC_STORE_SLOTS     (4 * (NGX_ASYNC_STORE_READERS + 2))
#define NGX_ASYNC_STORE_MIN_SLOTS  512

/* milliseconds */
#define NGX_ASYNC_STORE_CHECK     30000
#define NGX_ASYNC_STORE_REPOST    10
#define NGX_ASYNC_STORE_REOPEN    1000
#define NGX_ASYNC_STORE_REPORT    60000


typedef struct {
    ngx_thread_task_t         task;
    ngx_queue_t               ops;
    ngx_uint_t                nops;
    size_t                    bytes;

    /* results */
    ngx_async_db_t           *db;
    const char               *reason;
    ngx_err_t                 err;
    uint64_t                  used;
    uint64_t                  size;
    unsigned                  failed:1;     /* why is in err */
    unsigned                  broken:1;     /* the environment is unusable */

    /* set by the thread as the last thing it does */
    volatile ngx_uint_t       finished;
} ngx_async_store_task_t;


/* what ACCEPT changes in the caller's job, which an abort must undo */

typedef struct {
    ngx_uint_t                status;
    uint32_t                  attempt;
    uint32_t                  version;
    uint64_t                  started;
    uint64_t                  turn;
    uint64_t                  seq;
    u_char                    runner[NGX_ASYNC_RUNNER_LEN];
} ngx_async_store_saved_t;


typedef struct {
    ngx_async_store_conf_t    conf;
    ngx_async_db_t           *db;           /* NULL: not open */
    ngx_log_t                *log;

    ngx_queue_t               writes;
    ngx_queue_t               reads;
    ngx_uint_t                pending;

    ngx_async_store_task_t    writer;
    ngx_async_store_task_t    readers[NGX_ASYNC_STORE_READERS];
    ngx_async_store_task_t    keeper;       /* opens, checks readers */
    ngx_uint_t                running;      /* tasks that are posted */

    ngx_event_t               posted;
    ngx_event_t               timer;
    ngx_event_t               repost;
    ngx_event_t               reopen;
    ngx_connection_t          dumb;

    uint64_t                  used;
    uint64_t                  size;

    u_char                    reported[512];    /* why it cannot be opened */
    ngx_msec_t                reported_at;
    ngx_msec_t                failed_at;

    unsigned                  started:1;
    unsigned                  turning:1;    /* the event loop runs */
    unsigned                  broken:1;
    unsigned                  failed:1;     /* failed_at is set */
} ngx_async_store_t;


static void ngx_async_store_stop_timer(ngx_event_t *ev);
static void ngx_async_store_init(ngx_cycle_t *cycle);
static void ngx_async_store_init_task(ngx_async_store_task_t *t,
    void (*work)(void *data, ngx_log_t *log), ngx_event_handler_pt handler);
static void ngx_async_store_post(void);
static void ngx_async_store_dispatch(ngx_event_t *ev);
static ngx_int_t ngx_async_store_post_task(ngx_async_store_task_t *t);
static void ngx_async_store_task_done(ngx_async_store_task_t *t,
    ngx_queue_t *ops);
static void ngx_async_store_complete(ngx_queue_t *ops);
static void ngx_async_store_refuse(ngx_queue_t *ops);

static void ngx_async_store_start_write(void);
static void ngx_async_store_write(void *data, ngx_log_t *log);
static ngx_uint_t ngx_async_store_not_due(ngx_async_store_task_t *t);
static ngx_int_t ngx_async_store_transact(ngx_async_store_task_t *t,
    ngx_queue_t *first, ngx_queue_t *end);
static void ngx_async_store_one_by_one(ngx_async_store_task_t *t,
    ngx_int_t rc);
static void ngx_async_store_save(ngx_async_store_saved_t *saved,
    ngx_async_op_t *op);
static void ngx_async_store_undo(ngx_async_store_task_t *t, ngx_queue_t *first,
    ngx_queue_t *undone, ngx_queue_t *end, ngx_err_t err);
static void ngx_async_store_restore(ngx_async_store_saved_t *saved,
    ngx_async_op_t *op);
static void ngx_async_store_reset(ngx_async_op_t *op);
static void ngx_async_store_ready(void *data, ngx_str_t *queue,
    uint64_t ready, uint64_t txnid);
static void ngx_async_store_written(ngx_event_t *ev);

static void ngx_async_store_start_reads(void);
static void ngx_async_store_read(void *data, ngx_log_t *log);
static void ngx_async_store_have_read(ngx_event_t *ev);

static void ngx_async_store_open(void *data, ngx_log_t *log);
static void ngx_async_store_opened(ngx_event_t *ev);
static void ngx_async_store_report(ngx_async_store_task_t *t);
static void ngx_async_store_break(void);
static void ngx_async_store_reopen(ngx_event_t *ev);
static void ngx_async_store_check(void *data, ngx_log_t *log);
static void ngx_async_store_checked(ngx_event_t *ev);
static void ngx_async_store_housekeeping(ngx_event_t *ev);


static ngx_async_store_t        ngx_async_store;
static ngx_async_store_saved_t  ngx_async_store_saved[NGX_ASYNC_STORE_BATCH];


/* after ngx_async_shared_start() */

ngx_int_t
ngx_async_store_start(ngx_cycle_t *cycle, ngx_async_store_conf_t *conf)
{
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;

    ngx_memzero(st, sizeof(ngx_async_store_t));
    st->conf = *conf;

    ngx_async_store_init(cycle);

    /* nothing else can be done before, so here it may block */

    t = &st->keeper;
    t->db = NULL;

    ngx_async_store_open(t, cycle->log);

    st->db = t->db;
    st->used = t->used;
    st->size = t->size;

    ngx_add_timer(&st->timer, NGX_ASYNC_STORE_CHECK);

    if (st->db == NULL) {
        ngx_async_store_report(t);
        ngx_add_timer(&st->reopen, NGX_ASYNC_STORE_REOPEN);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * The threads of the pool have ended when this is called, as far as nginx
 * could make them.
 */

void
ngx_async_store_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t          i, busy;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (!st->started) {
        return;
    }

    busy = !st->writer.finished + !st->keeper.finished;

    for (i = 0; i < NGX_ASYNC_STORE_READERS; i++) {
        busy += !st->readers[i].finished;
    }

    if (st->db && busy == 0) {
        ngx_async_db_close(st->db);
        st->db = NULL;
    }

    if (st->posted.posted) {
        ngx_delete_posted_event(&st->posted);
    }

    ngx_async_store_stop_timer(&st->timer);
    ngx_async_store_stop_timer(&st->repost);
    ngx_async_store_stop_timer(&st->reopen);

    st->started = 0;
}


static void
ngx_async_store_stop_timer(ngx_event_t *ev)
{
    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


static void
ngx_async_store_init(ngx_cycle_t *cycle)
{
    ngx_uint_t          i;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    st->log = cycle->log;
    st->started = 1;
    st->dumb.fd = (ngx_socket_t) -1;

    ngx_queue_init(&st->writes);
    ngx_queue_init(&st->reads);

    ngx_async_store_init_task(&st->writer, ngx_async_store_write,
                              ngx_async_store_written);

    for (i = 0; i < NGX_ASYNC_STORE_READERS; i++) {
        ngx_async_store_init_task(&st->readers[i], ngx_async_store_read,
                                  ngx_async_store_have_read);
    }

    ngx_async_store_init_task(&st->keeper, ngx_async_store_check,
                              ngx_async_store_checked);

    st->posted.handler = ngx_async_store_dispatch;
    st->posted.log = cycle->log;
    st->posted.data = &st->dumb;

    st->repost.handler = ngx_async_store_dispatch;
    st->repost.log = cycle->log;
    st->repost.data = &st->dumb;
    st->repost.cancelable = 1;

    st->reopen.handler = ngx_async_store_reopen;
    st->reopen.log = cycle->log;
    st->reopen.data = &st->dumb;
    st->reopen.cancelable = 1;

    /*
     * While operations are pending this timer is not cancelable: a worker that
     * exits would leave before they are completed.
     */

    st->timer.handler = ngx_async_store_housekeeping;
    st->timer.log = cycle->log;
    st->timer.data = &st->dumb;
    st->timer.cancelable = 1;
}


static void
ngx_async_store_init_task(ngx_async_store_task_t *t,
    void (*work)(void *data, ngx_log_t *log), ngx_event_handler_pt handler)
{
    ngx_memzero(t, sizeof(ngx_async_store_task_t));

    t->task.handler = work;
    t->task.ctx = t;
    t->task.event.handler = handler;
    t->task.event.data = t;
    t->task.event.log = ngx_async_store.log;

    ngx_queue_init(&t->ops);
    t->finished = 1;
}


void
ngx_async_store_submit(ngx_async_op_t *op)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    op->rc = NGX_ERROR;
    op->buf.len = 0;
    op->buf.data = NULL;

    ngx_async_store_reset(op);

    ngx_queue_insert_tail(ngx_async_op_is_read(op) ? &st->reads : &st->writes,
                          &op->queue);

    st->pending++;
    st->timer.cancelable = 0;

    ngx_async_store_post();
}


void
ngx_async_store_release(ngx_async_op_t *op)
{
    if (op->buf.data) {
        ngx_free(op->buf.data);
        op->buf.data = NULL;
        op->buf.len = 0;
    }
}


ngx_uint_t
ngx_async_store_pending(void)
{
    return ngx_async_store.pending;
}


void
ngx_async_store_usage(uint64_t *used, uint64_t *size)
{
    *used = ngx_async_store.used;
    *size = ngx_async_store.size;
}


/*
 * All that is submitted in one turn of the event loop starts at its end.
 * Before the first turn, and when a worker that begins to exit closes its
 * connections, the posted events of the turn have been run already.
 */

static void
ngx_async_store_post(void)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (st->posted.posted) {
        return;
    }

    if (st->turning && !ngx_exiting) {
        ngx_post_event(&st->posted, &ngx_posted_events);

    } else {
        ngx_post_event(&st->posted, &ngx_posted_next_events);
    }
}


static void
ngx_async_store_dispatch(ngx_event_t *ev)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    st->turning = 1;

    if (st->db == NULL || st->broken) {
        ngx_async_store_refuse(&st->writes);
        ngx_async_store_refuse(&st->reads);
        return;
    }

    ngx_async_store_start_write();
    ngx_async_store_start_reads();
}


/* NGX_ERROR: the pool is full; logged by it, and tried again */

static ngx_int_t
ngx_async_store_post_task(ngx_async_store_task_t *t)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    t->finished = 0;

    if (ngx_thread_task_post(st->conf.thread_pool, &t->task) != NGX_OK) {

        t->task.event.active = 0;
        t->finished = 1;

        if (!st->repost.timer_set) {
            ngx_add_timer(&st->repost, NGX_ASYNC_STORE_REPOST);
        }

        return NGX_ERROR;
    }

    st->running++;

    return NGX_OK;
}


static void
ngx_async_store_task_done(ngx_async_store_task_t *t, ngx_queue_t *ops)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    st->running--;

    ngx_queue_init(ops);

    if (!ngx_queue_empty(&t->ops)) {
        ngx_queue_add(ops, &t->ops);
        ngx_queue_init(&t->ops);
    }

    t->nops = 0;
    t->bytes = 0;

    if (t->used) {
        st->used = t->used;
        st->size = t->size;
    }
}


static void
ngx_async_store_complete(ngx_queue_t *ops)
{
    ngx_queue_t        *q;
    ngx_async_op_t     *op;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    while (!ngx_queue_empty(ops)) {

        q = ngx_queue_head(ops);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_queue_remove(q);

        if (--st->pending == 0) {
            st->timer.cancelable = 1;
        }

        /* the operation may be gone or submitted again afterwards */

        op->handler(op);
    }
}


/* what the handlers submit meanwhile is refused in another turn */

static void
ngx_async_store_refuse(ngx_queue_t *ops)
{
    ngx_queue_t      refused, *q;
    ngx_async_op_t  *op;

    if (ngx_queue_empty(ops)) {
        return;
    }

    ngx_queue_init(&refused);
    ngx_queue_add(&refused, ops);
    ngx_queue_init(ops);

    for (q = ngx_queue_head(&refused);
         q != ngx_queue_sentinel(&refused);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_async_op_t, queue);
        op->rc = NGX_ERROR;
        op->err = EIO;
    }

    ngx_async_store_complete(&refused);
}


static void
ngx_async_store_start_write(void)
{
    ngx_queue_t             *q;
    ngx_async_op_t          *op;
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = &st->writer;

    if (t->task.event.active) {
        return;
    }

    /* a batch that could not be posted is still there */

    while (!ngx_queue_empty(&st->writes)
           && t->nops < NGX_ASYNC_STORE_BATCH
           && t->bytes < NGX_ASYNC_STORE_BYTES)
    {
        q = ngx_queue_head(&st->writes);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&t->ops, q);

        t->nops++;
        t->bytes += op->piece.len;
    }

    if (t->nops) {
        (void) ngx_async_store_post_task(t);
    }
}


/* in a thread */

static void
ngx_async_store_write(void *data, ngx_log_t *log)
{
    ngx_async_store_task_t *t = data;

    ngx_int_t  rc;

    t->failed = 0;
    t->broken = 0;

    if (!ngx_async_store_not_due(t)) {

        rc = ngx_async_store_transact(t, ngx_queue_head(&t->ops),
                                      ngx_queue_sentinel(&t->ops));

        if (rc == NGX_AGAIN || rc == NGX_ABORT) {
            ngx_async_store_one_by_one(t, rc);
        }
    }

    ngx_memory_barrier();

    t->finished = 1;
}


/* true if there is nothing to do: no write transaction for sweeps alone */

static ngx_uint_t
ngx_async_store_not_due(ngx_async_store_task_t *t)
{
    uint64_t         next;
    ngx_queue_t     *q;
    ngx_async_op_t  *op;

    for (q = ngx_queue_head(&t->ops);
         q != ngx_queue_sentinel(&t->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        if (op->type != NGX_ASYNC_OP_SWEEP
            || ngx_async_db_due(ngx_async_store.db, op->now, &next))
        {
            return 0;
        }

        ngx_memzero(op->sweep, sizeof(ngx_async_sweep_t));
        op->sweep->next = next;
        op->rc = NGX_OK;
    }

    return 1;
}


/*
 * Runs the operations from "first" to the one before "end" as a transaction.
 * NGX_AGAIN: there was no room, NGX_ABORT: one of them failed, NGX_ERROR: the
 * transaction failed.  Nothing was done then, and all have NGX_ERROR.
 */

static ngx_int_t
ngx_async_store_transact(ngx_async_store_task_t *t, ngx_queue_t *first,
    ngx_queue_t *end)
{
    ngx_int_t            rc;
    ngx_err_t            err;
    ngx_uint_t           n;
    ngx_queue_t         *q;
    ngx_async_op_t      *op;
    ngx_async_db_t      *db;
    ngx_async_db_txn_t  *txn;

    db = ngx_async_store.db;
    err = 0;

    txn = ngx_async_db_begin(db, &err);

    if (txn == NULL) {
        t->broken = 1;
        ngx_async_store_undo(t, first, first, end, err);
        return NGX_ERROR;
    }

    for (q = first, n = 0; q != end; q = ngx_queue_next(q), n++) {

        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_async_store_save(&ngx_async_store_saved[n], op);

        rc = ngx_async_db_write(txn, op);
        op->rc = rc;

        if (rc == NGX_ERROR || rc == NGX_AGAIN) {
            ngx_async_db_abort(txn);
            ngx_async_store_undo(t, first, ngx_queue_next(q), end, op->err);
            return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_ABORT;
        }
    }

    rc = ngx_async_db_commit(txn, &err);

    if (rc != NGX_OK) {
        ngx_async_store_undo(t, first, end, end, err);
        return (rc == NGX_AGAIN || err == NGX_ENOSPC) ? NGX_AGAIN : NGX_ERROR;
    }

    /* before any handler runs, and for the other workers at once */

    ngx_async_db_changed_queues(db, 0, ngx_async_store_ready, NULL);
    ngx_async_db_usage(db, &t->used, &t->size);

    return NGX_OK;
}


static void
ngx_async_store_one_by_one(ngx_async_store_task_t *t, ngx_int_t rc)
{
    ngx_queue_t     *q, *next;
    ngx_async_op_t  *op;

    for (q = ngx_queue_head(&t->ops);
         q != ngx_queue_sentinel(&t->ops);
         q = next)
    {
        next = ngx_queue_next(q);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        if (t->nops > 1) {
            rc = ngx_async_store_transact(t, q, next);
        }

        if (rc == NGX_AGAIN) {
            op->rc = NGX_BUSY;
            op->full = NGX_ASYNC_FULL_STORE;
        }
    }
}


static void
ngx_async_store_save(ngx_async_store_saved_t *saved, ngx_async_op_t *op)
{
    if (op->type != NGX_ASYNC_OP_ACCEPT) {
        return;
    }

    saved->status = op->job->status;
    saved->attempt = op->job->attempt;
    saved->version = op->job->version;
    saved->started = op->job->started;
    saved->turn = op->job->turn;
    saved->seq = op->job->seq;

    ngx_memcpy(saved->runner, op->job->runner, NGX_ASYNC_RUNNER_LEN);
}


/*
 * Makes operations that come to nothing as they were; those from "undone" on
 * have not been tried.
 */

static void
ngx_async_store_undo(ngx_async_store_task_t *t, ngx_queue_t *first,
    ngx_queue_t *undone, ngx_queue_t *end, ngx_err_t err)
{
    ngx_uint_t        n, tried;
    ngx_queue_t      *q;
    ngx_async_op_t   *op;

    t->failed = 1;
    t->err = err;

    tried = 1;

    for (q = first, n = 0; q != end; q = ngx_queue_next(q), n++) {

        op = ngx_queue_data(q, ngx_async_op_t, queue);

        if (q == undone) {
            tried = 0;
        }

        if (tried) {
            ngx_async_store_restore(&ngx_async_store_saved[n], op);
        }

        op->rc = NGX_ERROR;
        op->err = err ? err : EIO;
    }
}


static void
ngx_async_store_restore(ngx_async_store_saved_t *saved, ngx_async_op_t *op)
{
    ngx_async_store_release(op);
    ngx_async_store_reset(op);

    if (op->type != NGX_ASYNC_OP_ACCEPT) {
        return;
    }

    op->job->status = saved->status;
    op->job->attempt = saved->attempt;
    op->job->version = saved->version;
    op->job->started = saved->started;
    op->job->turn = saved->turn;
    op->job->seq = saved->seq;

    ngx_memcpy(op->job->runner, saved->runner, NGX_ASYNC_RUNNER_LEN);
}


static void
ngx_async_store_reset(ngx_async_op_t *op)
{
    op->err = 0;
    op->full = NGX_ASYNC_FULL_NONE;
    op->claimed = 0;
    op->was_running = 0;
    op->queue_paused = 0;
    op->position = 0;
    op->blob.len = 0;
}


/* in a thread, or at start */

static void
ngx_async_store_ready(void *data, ngx_str_t *queue, uint64_t ready,
    uint64_t txnid)
{
    ngx_int_t  n;

    n = ngx_async_shared_queue(queue);

    if (n != NGX_ERROR) {
        ngx_async_shared_set_ready(n, ready, txnid);
    }
}


static void
ngx_async_store_written(ngx_event_t *ev)
{
    ngx_queue_t              ops;
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = ev->data;

    ngx_async_store_task_done(t, &ops);

    if (t->failed
        && (!st->failed || ngx_current_msec - st->failed_at > 1000))
    {
        st->failed = 1;
        st->failed_at = ngx_current_msec;

        ngx_log_error(NGX_LOG_ERR, st->log, t->err,
                      "async_store \"%V\": a transaction failed",
                      &st->conf.path);
    }

    if (t->broken) {
        ngx_async_store_break();
    }

    /* the disk works while the handlers run */

    ngx_async_store_dispatch(&st->posted);

    ngx_async_store_complete(&ops);
}


static void
ngx_async_store_start_reads(void)
{
    ngx_uint_t               i;
    ngx_queue_t             *q;
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;

    for (i = 0; i < NGX_ASYNC_STORE_READERS; i++) {

        t = &st->readers[i];

        if (t->task.event.active) {
            continue;
        }

        while (!ngx_queue_empty(&st->reads)
               && t->nops < NGX_ASYNC_STORE_READS)
        {
            q = ngx_queue_head(&st->reads);

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&t->ops, q);
            t->nops++;
        }

        if (t->nops == 0 || ngx_async_store_post_task(t) != NGX_OK) {
            return;
        }
    }
}


/* in a thread */

static void
ngx_async_store_read(void *data, ngx_log_t *log)
{
    ngx_async_store_task_t *t = data;

    ngx_queue_t  *q;

    for (q = ngx_queue_head(&t->ops);
         q != ngx_queue_sentinel(&t->ops);
         q = ngx_queue_next(q))
    {
        ngx_async_db_read(ngx_async_store.db,
                          ngx_queue_data(q, ngx_async_op_t, queue));
    }

    ngx_memory_barrier();

    t->finished = 1;
}


static void
ngx_async_store_have_read(ngx_event_t *ev)
{
    ngx_queue_t  ops;

    ngx_async_store_task_done(ev->data, &ops);

    ngx_async_store_dispatch(&ngx_async_store.posted);

    ngx_async_store_complete(&ops);
}


/* in a thread, or at start; closes an environment that has become unusable */

static void
ngx_async_store_open(void *data, ngx_log_t *log)
{
    ngx_async_store_task_t *t = data;

    ngx_uint_t          readers;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (t->db) {
        ngx_async_db_close(t->db);
    }

    readers = ngx_max(st->conf.workers * NGX_ASYNC_STORE_SLOTS,
                      NGX_ASYNC_STORE_MIN_SLOTS);

    t->db = ngx_async_db_open((char *) st->conf.path.data, st->conf.size,
                              readers, &t->reason);

    if (t->db) {
        (void) ngx_async_db_check_readers(t->db);

        ngx_async_db_changed_queues(t->db, 1, ngx_async_store_ready, NULL);
        ngx_async_db_usage(t->db, &t->used, &t->size);
    }

    ngx_memory_barrier();

    t->finished = 1;
}


static void
ngx_async_store_opened(ngx_event_t *ev)
{
    ngx_queue_t              none;
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = ev->data;

    ngx_async_store_task_done(t, &none);

    if (t->db == NULL) {
        ngx_async_store_report(t);
        ngx_add_timer(&st->reopen, NGX_ASYNC_STORE_REOPEN);
        return;
    }

    st->db = t->db;
    st->broken = 0;
    st->reported[0] = '\0';

    ngx_log_error(NGX_LOG_NOTICE, st->log, 0,
                  "async_store \"%V\" is open again", &st->conf.path);
}


/* the same reason only once a minute */

static void
ngx_async_store_report(ngx_async_store_task_t *t)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (ngx_strcmp(st->reported, t->reason) == 0
        && ngx_current_msec - st->reported_at < NGX_ASYNC_STORE_REPORT)
    {
        return;
    }

    (void) ngx_cpystrn(st->reported, (u_char *) t->reason,
                       sizeof(st->reported));
    st->reported_at = ngx_current_msec;

    ngx_log_error(NGX_LOG_CRIT, st->log, 0,
                  "async_store \"%V\" cannot be opened: %s; "
                  "requests are refused until it can",
                  &st->conf.path, t->reason);
}


/* operations are refused until the environment has been opened again */

static void
ngx_async_store_break(void)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (!st->broken) {
        st->broken = 1;
        ngx_add_timer(&st->reopen, NGX_ASYNC_STORE_REOPEN);
    }
}


static void
ngx_async_store_reopen(ngx_event_t *ev)
{
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = &st->keeper;

    if (st->running) {
        ngx_add_timer(ev, NGX_ASYNC_STORE_REOPEN);
        return;
    }

    t->db = st->db;
    st->db = NULL;

    t->task.handler = ngx_async_store_open;
    t->task.event.handler = ngx_async_store_opened;

    if (ngx_async_store_post_task(t) != NGX_OK) {
        st->db = t->db;
        ngx_add_timer(ev, NGX_ASYNC_STORE_REOPEN);
    }
}


/* in a thread */

static void
ngx_async_store_check(void *data, ngx_log_t *log)
{
    ngx_async_store_task_t *t = data;

    ngx_int_t  n;

    n = ngx_async_db_check_readers(ngx_async_store.db);

    if (n > 0) {
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "async_store: %i readers of dead processes removed", n);
    }

    ngx_memory_barrier();

    t->finished = 1;
}


static void
ngx_async_store_checked(ngx_event_t *ev)
{
    ngx_queue_t  none;

    ngx_async_store_task_done(ev->data, &none);
}


static void
ngx_async_store_housekeeping(ngx_event_t *ev)
{
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = &st->keeper;

    ngx_add_timer(ev, NGX_ASYNC_STORE_CHECK);

    if (st->db == NULL || st->broken || t->task.event.active) {
        return;
    }

    t->task.handler = ngx_async_store_check;
    t->task.event.handler = ngx_async_store_checked;

    (void) ngx_async_store_post_task(t);
}
