
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_runs.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_RUNS_EARLY   64
#define NGX_ASYNC_RUNS_CHECK   5000     /* ms */
#define NGX_ASYNC_RUNS_LOST    64       /* that one check cancels */


static void ngx_async_runs_check(ngx_event_t *ev);
static void ngx_async_runs_checked(ngx_async_op_t *op);
static ngx_uint_t ngx_async_runs_missed(ngx_async_run_t *run,
    ngx_str_t *running);
static int ngx_libc_cdecl ngx_async_runs_cmp(const void *one, const void *two);


static ngx_rbtree_t       ngx_async_runs;
static ngx_rbtree_node_t  ngx_async_runs_sentinel;

static ngx_event_t        ngx_async_runs_timer;
static ngx_async_op_t     ngx_async_runs_op;
static ngx_uint_t         ngx_async_runs_busy;

/*
 * Jobs that are to be canceled and do not run here: their claim may be on its
 * way from the disk.  The oldest gives way, and is left to the check.
 */
static ngx_async_id_t     ngx_async_runs_early[NGX_ASYNC_RUNS_EARLY];
static ngx_uint_t         ngx_async_runs_early_n;


void
ngx_async_runs_init(ngx_cycle_t *cycle)
{
    ngx_rbtree_init(&ngx_async_runs, &ngx_async_runs_sentinel,
                    ngx_rbtree_insert_value);

    ngx_async_runs_timer.handler = ngx_async_runs_check;
    ngx_async_runs_timer.data = &ngx_async_runs_op;
    ngx_async_runs_timer.log = cycle->log;
    ngx_async_runs_timer.cancelable = 1;
}


ngx_async_run_t *
ngx_async_runs_find(ngx_async_id_t *id)
{
    ngx_async_run_t    *run;
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = ngx_async_id_key(id);
    node = ngx_async_runs.root;

    while (node != &ngx_async_runs_sentinel) {

        if (key != node->key) {
            node = (key < node->key) ? node->left : node->right;
            continue;
        }

        run = ngx_rbtree_data(node, ngx_async_run_t, node);

        if (ngx_async_id_cmp(&run->job.id, id) == 0) {
            return run;
        }

        /* equal keys are inserted to the right */

        node = node->right;
    }

    return NULL;
}


void
ngx_async_runs_add(ngx_async_run_t *run)
{
    ngx_uint_t  i;

    if (run->linked) {
        return;
    }

    run->node.key = ngx_async_id_key(&run->job.id);
    ngx_rbtree_insert(&ngx_async_runs, &run->node);
    run->linked = 1;

    for (i = 0; i < NGX_ASYNC_RUNS_EARLY; i++) {
        if (ngx_async_id_cmp(&ngx_async_runs_early[i], &run->job.id) == 0) {
            run->canceled = 1;
        }
    }

    if (!ngx_async_runs_timer.timer_set && !ngx_async_runs_busy) {
        ngx_add_timer(&ngx_async_runs_timer, NGX_ASYNC_RUNS_CHECK);
    }
}


void
ngx_async_runs_remove(ngx_async_run_t *run)
{
    if (run->linked) {
        ngx_rbtree_delete(&ngx_async_runs, &run->node);
        run->linked = 0;
    }
}


void
ngx_async_runs_cancel(ngx_async_id_t *id)
{
    ngx_async_run_t  *run;

    run = ngx_async_runs_find(id);

    if (run == NULL) {
        ngx_async_runs_early[ngx_async_runs_early_n++ % NGX_ASYNC_RUNS_EARLY]
            = *id;
        return;
    }

    if (run->finishing) {
        return;
    }

    run->canceled = 1;

    if (run->abort && !run->ended) {
        run->abort(run);
    }
}


static void
ngx_async_runs_check(ngx_event_t *ev)
{
    ngx_async_op_t  *op;

    if (ngx_async_runs.root == &ngx_async_runs_sentinel) {
        return;
    }

    ngx_async_runs_busy = 1;

    op = &ngx_async_runs_op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_RUNNING;
    op->handler = ngx_async_runs_checked;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    ngx_async_store_submit(op);
}


static void
ngx_async_runs_checked(ngx_async_op_t *op)
{
    ngx_uint_t          i, n;
    ngx_async_id_t      lost[NGX_ASYNC_RUNS_LOST];
    ngx_async_run_t    *run;
    ngx_rbtree_node_t  *node;

    n = 0;

    if (op->rc == NGX_OK && ngx_async_runs.root != &ngx_async_runs_sentinel) {

        node = ngx_rbtree_min(ngx_async_runs.root, &ngx_async_runs_sentinel);

        while (node && n < NGX_ASYNC_RUNS_LOST) {

            run = ngx_rbtree_data(node, ngx_async_run_t, node);

            if (ngx_async_runs_missed(run, &op->blob)) {
                lost[n++] = run->job.id;
            }

            node = ngx_rbtree_next(&ngx_async_runs, node);
        }
    }

    ngx_async_store_release(op);

    ngx_async_runs_busy = 0;

    ngx_add_timer(&ngx_async_runs_timer, NGX_ASYNC_RUNS_CHECK);

    /* their runs may be gone afterwards */

    for (i = 0; i < n; i++) {
        ngx_async_runs_cancel(&lost[i]);
    }
}


/* a job may have become this runner's while the store was asked: ask again */

static ngx_uint_t
ngx_async_runs_missed(ngx_async_run_t *run, ngx_str_t *running)
{
    ngx_uint_t  missed;

    if (!run->stored
        || run->finishing
        || (running->len
            && bsearch(run->job.id.bytes, running->data,
                       running->len / NGX_ASYNC_ID_LEN, NGX_ASYNC_ID_LEN,
                       ngx_async_runs_cmp)))
    {
        run->missed = 0;
        return 0;
    }

    missed = run->missed;
    run->missed = 1;

    return missed;
}


static int ngx_libc_cdecl
ngx_async_runs_cmp(const void *one, const void *two)
{
    return ngx_memcmp(one, two, NGX_ASYNC_ID_LEN);
}
