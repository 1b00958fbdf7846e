
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"
#include "src/store/ngx_async_shared.h"


/* operations and bytes of a batch */
#define NGX_ASYNC_STORE_BATCH  512
#define NGX_ASYNC_STORE_BYTES  (3 * 1024 * 1024)


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


static ngx_uint_t ngx_async_store_take(ngx_async_store_task_t *t);
static ngx_uint_t ngx_async_store_not_due(ngx_async_store_task_t *t);
static ngx_int_t ngx_async_store_transact(ngx_async_store_task_t *t,
    ngx_queue_t *first, ngx_queue_t *end, ngx_uint_t join);
static void ngx_async_store_one_by_one(ngx_async_store_task_t *t,
    ngx_int_t rc);
static void ngx_async_store_save(ngx_async_store_saved_t *saved,
    ngx_async_op_t *op);
static void ngx_async_store_undo(ngx_async_store_task_t *t, ngx_queue_t *first,
    ngx_queue_t *undone, ngx_queue_t *end, ngx_err_t err);
static void ngx_async_store_restore(ngx_async_store_saved_t *saved,
    ngx_async_op_t *op);


static ngx_async_store_saved_t  ngx_async_store_saved[NGX_ASYNC_STORE_BATCH];


/* in a thread */

void
ngx_async_store_write(void *data, ngx_log_t *log)
{
    ngx_async_store_task_t *t = data;

    ngx_int_t  rc;

    t->failed = 0;
    t->broken = 0;
    t->lost = 0;

    (void) ngx_async_store_take(t);

    if (!ngx_async_store_not_due(t)) {

        rc = ngx_async_store_transact(t, ngx_queue_head(&t->ops),
                                      ngx_queue_sentinel(&t->ops), 1);

        if (rc == NGX_AGAIN || rc == NGX_ABORT) {
            ngx_async_store_one_by_one(t, rc);
        }
    }

    t->ngone = ngx_async_db_gone(ngx_async_store.db, &t->gone);

    ngx_memory_barrier();

    t->finished = 1;
}


/* moves what waits to the batch, up to its bounds; true if that is anything */

static ngx_uint_t
ngx_async_store_take(ngx_async_store_task_t *t)
{
    ngx_uint_t          n;
    ngx_queue_t        *q, *inbox;
    ngx_async_op_t     *op;

    n = t->nops;
    inbox = &ngx_async_store.inbox;

    (void) pthread_mutex_lock(&ngx_async_store.mutex);

    while (!ngx_queue_empty(inbox)
           && t->nops < NGX_ASYNC_STORE_BATCH
           && t->bytes < NGX_ASYNC_STORE_BYTES)
    {
        q = ngx_queue_head(inbox);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&t->ops, q);

        t->nops++;
        t->bytes += op->piece.len;
    }

    (void) pthread_mutex_unlock(&ngx_async_store.mutex);

    return t->nops != n;
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
 * With "join" the end is that of the batch, and what came meanwhile takes part:
 * to begin may have meant to wait for the transactions of other workers.
 *
 * NGX_AGAIN: there was no room, NGX_ABORT: one of them failed, NGX_ERROR: the
 * transaction failed.  Nothing was done then, and all have NGX_ERROR; unless
 * t->lost is set: then it is not known what was done.
 */

static ngx_int_t
ngx_async_store_transact(ngx_async_store_task_t *t, ngx_queue_t *first,
    ngx_queue_t *end, ngx_uint_t join)
{
    ngx_int_t            rc;
    ngx_err_t            err;
    ngx_uint_t           n;
    ngx_queue_t         *q, *last;
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

    for (q = first, n = 0; ; q = ngx_queue_next(q), n++) {

        if (q == end) {
            last = ngx_queue_prev(q);

            if (!join || !ngx_async_store_take(t)) {
                break;
            }

            q = ngx_queue_next(last);
        }

        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_async_store_save(&ngx_async_store_saved[n], op);

        rc = ngx_async_db_write(txn, op);
        op->rc = rc;

        if (rc == NGX_ERROR || rc == NGX_AGAIN) {
            t->full = op->full;
            ngx_async_db_abort(txn);
            ngx_async_store_undo(t, first, ngx_queue_next(q), end, op->err);
            return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_ABORT;
        }
    }

    rc = ngx_async_db_commit(txn, &err);

    if (rc == NGX_ABORT) {
        t->lost = 1;
        t->err = err;
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        t->full = NGX_ASYNC_FULL_DISK;
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
         q != ngx_queue_sentinel(&t->ops) && !t->lost;
         q = next)
    {
        next = ngx_queue_next(q);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        if (t->nops > 1) {
            rc = ngx_async_store_transact(t, q, next, 0);
        }

        if (rc == NGX_AGAIN) {
            op->rc = NGX_BUSY;
            op->full = t->full;
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


/* in a thread, or at start */

void
ngx_async_store_ready(void *data, ngx_str_t *queue, uint64_t ready,
    uint64_t waiting, ngx_uint_t paused, uint64_t txnid)
{
    if (!ngx_async_shared_set_ready(queue, ready, waiting, paused, txnid)) {
        return;
    }

    if (paused) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "async: queue \"%V\" is paused, its backend is down",
                      queue);

    } else {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "async: queue \"%V\" goes on", queue);
    }
}
