
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_runs.h"
#include "src/engine/ngx_async_sweep.h"
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_shared.h"
#include "src/store/ngx_async_notify.h"


#define NGX_ASYNC_SCHEDULE_DECLINED  3      /* claims in a row */
#define NGX_ASYNC_SCHEDULE_RETRY     1000   /* ms, after so many */
#define NGX_ASYNC_SCHEDULE_JOIN      5000   /* ms, to join the other workers */


typedef struct {
    ngx_async_op_t      op;
    ngx_async_queue_t  *queue;
    ngx_event_t         event;
} ngx_async_schedule_claim_t;


static ngx_int_t ngx_async_schedule_join(ngx_cycle_t *cycle);
static void ngx_async_schedule_join_again(ngx_event_t *ev);
static ngx_int_t ngx_async_schedule_queues(ngx_cycle_t *cycle);
static void ngx_async_schedule_claim(ngx_async_queue_t *queue);
static void ngx_async_schedule_claimed(ngx_async_op_t *op);
static void ngx_async_schedule_return(ngx_async_schedule_claim_t *claim);
static void ngx_async_schedule_returned(ngx_async_op_t *op);
static void ngx_async_schedule_return_again(ngx_event_t *ev);
static void ngx_async_schedule_give(ngx_async_queue_t *queue);
static void ngx_async_schedule_pass_on(ngx_async_queue_t *queue);
static void ngx_async_schedule_retry(ngx_event_t *ev);
static void ngx_async_schedule_message(ngx_uint_t type, ngx_async_id_t *id,
    uint64_t value, uint64_t value2);


static ngx_async_main_conf_t  *ngx_async_schedule_conf;
static ngx_event_t             ngx_async_schedule_apart;
static ngx_connection_t        ngx_async_schedule_dumb;


ngx_int_t
ngx_async_schedule_start(ngx_cycle_t *cycle, ngx_async_main_conf_t *amcf)
{
    ngx_event_t             *ev;
    ngx_async_store_conf_t   conf;

    ngx_async_schedule_conf = amcf;

    ngx_async_runs_init(cycle);

    if (ngx_async_watch_start(cycle) != NGX_OK) {
        return NGX_ERROR;
    }

    conf = amcf->store;

    if (ngx_async_schedule_join(cycle) != NGX_OK) {

        /*
         * A worker that cannot start is not started again, and takes all that
         * nginx serves with it: it does without the store for a while instead.
         */

        conf.apart = 1;

        ngx_async_schedule_dumb.fd = (ngx_socket_t) -1;

        ev = &ngx_async_schedule_apart;
        ev->handler = ngx_async_schedule_join_again;
        ev->data = &ngx_async_schedule_dumb;
        ev->log = cycle->log;
        ev->cancelable = 1;

        ngx_add_timer(ev, NGX_ASYNC_SCHEDULE_JOIN);
    }

    ngx_async_store_start(cycle, &conf);

    return ngx_async_sweep_start(cycle);
}


static ngx_int_t
ngx_async_schedule_join(ngx_cycle_t *cycle)
{
    ngx_str_t  *path;

    path = &ngx_async_schedule_conf->store.path;

    if (ngx_async_shared_start(cycle, path) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_async_notify_start(cycle, path, ngx_async_schedule_message)
        != NGX_OK)
    {
        ngx_async_shared_stop(cycle);
        return NGX_ERROR;
    }

    if (ngx_async_schedule_queues(cycle) != NGX_OK) {
        ngx_async_notify_stop(cycle);
        ngx_async_shared_stop(cycle);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static void
ngx_async_schedule_join_again(ngx_event_t *ev)
{
    if (ngx_exiting) {
        return;
    }

    if (ngx_async_schedule_join((ngx_cycle_t *) ngx_cycle) != NGX_OK) {
        ngx_add_timer(ev, NGX_ASYNC_SCHEDULE_JOIN);
        return;
    }

    ngx_async_store_join();
}


ngx_int_t
ngx_async_schedule_reconfigure(ngx_cycle_t *cycle, ngx_async_main_conf_t *amcf)
{
    if (ngx_async_schedule_conf == NULL) {
        return NGX_OK;
    }

    if (amcf->path == NULL
        || amcf->path->name.len != ngx_async_schedule_conf->path->name.len
        || ngx_strncmp(amcf->path->name.data,
                       ngx_async_schedule_conf->path->name.data,
                       amcf->path->name.len)
           != 0)
    {
        ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                      "\"async_store\" cannot change while \"master_process\" "
                      "is off: restart nginx");
        return NGX_ERROR;
    }

    ngx_async_schedule_conf = amcf;

    if (ngx_async_schedule_apart.timer_set) {
        return NGX_OK;
    }

    return ngx_async_schedule_queues(cycle);
}


static ngx_int_t
ngx_async_schedule_queues(ngx_cycle_t *cycle)
{
    ngx_int_t            n;
    ngx_uint_t           i;
    ngx_async_queue_t  **queue;

    queue = ngx_async_schedule_conf->queues.elts;

    for (i = 0; i < ngx_async_schedule_conf->queues.nelts; i++) {

        n = ngx_async_shared_queue(&queue[i]->name);

        if (n == NGX_ERROR) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, 0,
                          "async: %d queues are in use, no more can be: end "
                          "old workers that run jobs of queues that are gone",
                          NGX_ASYNC_QUEUES);
            return NGX_ERROR;
        }

        ngx_async_shared_set_limit(n, queue[i]->concurrency,
                                   queue[i]->limits.since);

        queue[i]->number = n;
        queue[i]->retry.handler = ngx_async_schedule_retry;
        queue[i]->retry.data = queue[i];
        queue[i]->retry.log = cycle->log;
        queue[i]->retry.cancelable = 1;
        queue[i]->news = (ngx_process == NGX_PROCESS_SINGLE);   /* reloaded */
    }

    return NGX_OK;
}


void
ngx_async_schedule_stop(ngx_cycle_t *cycle)
{
    ngx_async_store_stop(cycle);
    ngx_async_notify_stop(cycle);
    ngx_async_shared_stop(cycle);
    ngx_async_watch_stop();
}


void
ngx_async_schedule_poke_all(void)
{
    ngx_uint_t           i;
    ngx_async_queue_t  **queue;

    if (ngx_async_schedule_conf == NULL) {
        return;
    }

    queue = ngx_async_schedule_conf->queues.elts;

    for (i = 0; i < ngx_async_schedule_conf->queues.nelts; i++) {
        ngx_async_schedule_poke(queue[i]);
    }
}


void
ngx_async_schedule_poke(ngx_async_queue_t *queue)
{
    if (ngx_exiting || ngx_terminate) {
        ngx_async_schedule_pass_on(queue);
        return;
    }

    if (queue->retry.timer_set || !ngx_async_sweep_recovered()) {
        return;
    }

    while ((ngx_async_shared_ready(queue->number) > queue->claiming
            || queue->news)
           && ngx_async_shared_take(queue->number) == NGX_OK)
    {
        ngx_async_schedule_claim(queue);
    }
}


void
ngx_async_schedule_slot(ngx_async_queue_t *queue)
{
    ngx_int_t  row;

    if (ngx_exiting || ngx_terminate) {
        ngx_async_shared_give(queue->number);
        ngx_async_schedule_pass_on(queue);
        return;
    }

    if (ngx_async_shared_ready(queue->number) <= queue->claiming
        || ngx_async_shared_running(queue->number)
           > ngx_async_shared_limit(queue->number))
    {
        ngx_async_schedule_give(queue);
        return;
    }

    /* work spreads: a worker with clearly fewer calls takes this one */

    row = ngx_async_shared_peer(queue->number);

    if (row != NGX_ERROR) {
        ngx_async_shared_give(queue->number);

        if (ngx_async_notify_send(row, NGX_ASYNC_NOTIFY_WORK, NULL,
                                  queue->number, 0)
            == NGX_OK)
        {
            return;
        }

        ngx_async_schedule_poke(queue);
        return;
    }

    ngx_async_schedule_claim(queue);
}


ngx_int_t
ngx_async_schedule_next(ngx_async_queue_t *queue, ngx_uint_t late)
{
    uint64_t  ready;

    if (ngx_exiting || ngx_terminate) {
        return NGX_DECLINED;
    }

    ready = ngx_async_shared_ready(queue->number);

    if (late && ngx_async_shared_waiting(queue->number) > ready) {

        /* one that is parked may be first behind the end */

        return NGX_DECLINED;
    }

    if (ready <= queue->claiming) {

        /* the end may make a job ready that is parked */

        if (ngx_async_shared_waiting(queue->number)) {
            return NGX_DECLINED;
        }

        ngx_async_schedule_give(queue);
        return NGX_OK;
    }

    if (ngx_async_shared_running(queue->number)
        > ngx_async_shared_limit(queue->number)
        || ngx_async_shared_peer(queue->number) != NGX_ERROR)
    {
        return NGX_DECLINED;
    }

    ngx_async_schedule_claim(queue);

    return NGX_OK;
}


/* a worker that exits takes no work: another one is told of it */

static void
ngx_async_schedule_pass_on(ngx_async_queue_t *queue)
{
    ngx_int_t  row;

    ngx_async_shared_retire();

    if (ngx_async_shared_ready(queue->number) == 0) {
        return;
    }

    row = ngx_async_shared_peer(queue->number);

    if (row != NGX_ERROR) {
        (void) ngx_async_notify_send(row, NGX_ASYNC_NOTIFY_WORK, NULL,
                                     queue->number, 0);
    }
}


/*
 * Gives a slot back and looks once more: a job that was accepted meanwhile saw
 * no free slot.
 */

static void
ngx_async_schedule_give(ngx_async_queue_t *queue)
{
    ngx_async_shared_give(queue->number);

    ngx_async_schedule_poke(queue);
}


static void
ngx_async_schedule_claim(ngx_async_queue_t *queue)
{
    ngx_async_op_t              *op;
    ngx_async_schedule_claim_t  *claim;

    claim = ngx_calloc(sizeof(ngx_async_schedule_claim_t), ngx_cycle->log);

    if (claim == NULL) {
        ngx_async_shared_give(queue->number);
        return;
    }

    queue->claiming++;
    queue->news = 0;

    claim->queue = queue;

    op = &claim->op;

    op->type = NGX_ASYNC_OP_CLAIM;
    op->handler = ngx_async_schedule_claimed;
    op->data = claim;
    op->now = ngx_async_time_now();
    op->queue_name = queue->name;
    op->limits = &queue->limits;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    ngx_async_store_submit(op);
}


static void
ngx_async_schedule_claimed(ngx_async_op_t *op)
{
    ngx_int_t                    rc;
    ngx_async_queue_t           *queue;
    ngx_async_schedule_claim_t  *claim;

    claim = op->data;
    queue = claim->queue;

    queue->claiming--;

    queue->news |= op->more;

    rc = op->rc;

    if (rc == NGX_OK && ngx_async_run_claimed(op, queue) != NGX_OK) {
        ngx_async_schedule_return(claim);
        return;
    }

    if (rc == NGX_OK && op->found.attempt > 1) {
        ngx_async_shared_count(queue->number, NGX_ASYNC_COUNT_RETRIED);
    }

    ngx_async_store_release(op);
    ngx_free(claim);

    if (rc == NGX_OK) {
        queue->declined = 0;

        if (queue->news) {
            ngx_async_schedule_poke(queue);
        }

        return;
    }

    if (queue->news || ++queue->declined < NGX_ASYNC_SCHEDULE_DECLINED) {
        ngx_async_schedule_give(queue);
        return;
    }

    /*
     * The count of jobs that could be claimed is not what the store finds, or
     * the store fails: no claim follows a claim for a while.
     */

    ngx_async_shared_give(queue->number);

    queue->declined = 0;

    if (ngx_async_shared_ready(queue->number) && !queue->retry.timer_set) {
        ngx_add_timer(&queue->retry, NGX_ASYNC_SCHEDULE_RETRY);
    }
}


/* without memory to run it, the job goes back for some other moment */

static void
ngx_async_schedule_return(ngx_async_schedule_claim_t *claim)
{
    ngx_async_id_t   id;
    ngx_async_op_t  *op;

    op = &claim->op;
    id = op->found.id;
    ngx_async_store_release(op);
    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_REQUEUE;
    op->handler = ngx_async_schedule_returned;
    op->data = claim;
    op->id = id;
    op->now = ngx_async_time_now();
    op->not_before = op->now + NGX_ASYNC_SCHEDULE_RETRY;
    op->unsent = 1;
    op->brief = 1;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    claim->event.handler = ngx_async_schedule_return_again;
    claim->event.data = claim;
    claim->event.log = ngx_cycle->log;

    ngx_async_store_submit(op);
}


static void
ngx_async_schedule_returned(ngx_async_op_t *op)
{
    ngx_async_queue_t           *queue;
    ngx_async_schedule_claim_t  *claim;

    claim = op->data;
    queue = claim->queue;

    if (op->rc == NGX_ERROR || op->rc == NGX_BUSY) {

        /* only this worker can give it back while it lives */

        ngx_add_timer(&claim->event, NGX_ASYNC_SCHEDULE_RETRY);
        return;
    }

    ngx_async_schedule_due(op->not_before);
    ngx_async_store_release(op);
    ngx_free(claim);

    ngx_async_schedule_slot(queue);
}


static void
ngx_async_schedule_return_again(ngx_event_t *ev)
{
    ngx_async_schedule_claim_t  *claim;

    claim = ev->data;

    ngx_async_store_release(&claim->op);
    ngx_async_store_submit(&claim->op);
}


static void
ngx_async_schedule_retry(ngx_event_t *ev)
{
    ngx_async_schedule_poke(ev->data);
}


void
ngx_async_schedule_due(uint64_t when)
{
    ngx_int_t  row;

    if (!ngx_exiting) {
        ngx_async_sweep_at(when);
        return;
    }

    /* this worker sweeps no more */

    row = when ? ngx_async_shared_peer(0) : NGX_ERROR;

    if (row != NGX_ERROR) {
        (void) ngx_async_notify_send(row, NGX_ASYNC_NOTIFY_WORK, NULL,
                                     NGX_ASYNC_QUEUES, when);
    }
}


void
ngx_async_schedule_ended(ngx_async_job_t *job)
{
    ngx_async_schedule_due(job->expires);

    if (job->status == NGX_ASYNC_FAILED && job->keep_request) {
        ngx_async_schedule_due(job->finished + job->keep_request);
    }

    if (job->callback_status == NGX_ASYNC_CALLBACK_PENDING) {
        ngx_async_schedule_due(job->callback_due);
    }
}


void
ngx_async_schedule_canceled(ngx_async_op_t *op)
{
    ngx_int_t  row;

    ngx_async_schedule_ended(&op->found);

    if (op->was_running) {

        if (ngx_memcmp(op->found.runner, ngx_async_runner,
                       NGX_ASYNC_RUNNER_LEN)
            == 0)
        {
            ngx_async_runs_cancel(&op->id);

        } else {
            row = ngx_async_shared_row(op->found.runner);

            if (row != NGX_ERROR) {
                (void) ngx_async_notify_send(row, NGX_ASYNC_NOTIFY_CANCEL,
                                             &op->id, 0, 0);
            }
        }
    }

    ngx_async_watch_changed(&op->id);
}


void
ngx_async_schedule_missed(ngx_uint_t here)
{
    ngx_uint_t  i;

    ngx_async_watch_missed();
    ngx_async_sweep_at(ngx_async_time_now());
    ngx_async_schedule_poke_all();

    if (here) {
        return;
    }

    for (i = 0; i < ngx_async_shared_rows(); i++) {
        if (i != ngx_async_runner_row) {
            (void) ngx_async_notify_send(i, NGX_ASYNC_NOTIFY_MISSED, NULL, 0,
                                         0);
        }
    }
}


/* about as long as a slot of the queue takes to become free */

ngx_uint_t
ngx_async_schedule_retry_after(ngx_async_loc_conf_t *alcf, uint64_t begin)
{
    uint64_t  ms, now;

    ms = ngx_async_shared_expect(&alcf->sample_key);
    ms = ms ? ms / ngx_max(alcf->queue->concurrency, 1) : 2000;

    ms = ngx_max(ms, 1000);

    now = ngx_async_time_now();

    if (begin > now) {
        ms += begin - now;
    }

    return (ngx_uint_t) ngx_min(ms / 1000, 60);
}


ngx_int_t
ngx_async_schedule_progress(ngx_async_job_t *job, uint64_t *received,
    uint64_t *total)
{
    ngx_async_run_t  *run;

    if (job->status != NGX_ASYNC_RUNNING) {
        return NGX_DECLINED;
    }

    run = ngx_async_runs_find(&job->id);

    if (run == NULL) {
        return ngx_async_shared_progress(&job->id, job->runner, received,
                                         total);
    }

    if (!run->headed || run->retried) {
        return NGX_DECLINED;
    }

    *received = run->received;
    *total = run->total;
    return NGX_OK;
}


static void
ngx_async_schedule_message(ngx_uint_t type, ngx_async_id_t *id,
    uint64_t value, uint64_t value2)
{
    ngx_uint_t            i;
    ngx_async_queue_t   **queue;
    ngx_async_change_t    change;

    switch (type) {

    case NGX_ASYNC_NOTIFY_CHANGED:
    case NGX_ASYNC_NOTIFY_PROGRESS:
        ngx_memzero(&change, sizeof(ngx_async_change_t));
        change.progress = (type == NGX_ASYNC_NOTIFY_PROGRESS);
        change.received = value;
        change.total = value2;
        ngx_async_watch_told(id, &change);
        break;

    case NGX_ASYNC_NOTIFY_CANCEL:
        ngx_async_runs_cancel(id);
        break;

    case NGX_ASYNC_NOTIFY_MISSED:
        ngx_async_schedule_missed(1);
        break;

    case NGX_ASYNC_NOTIFY_WORK:
        ngx_async_schedule_due(value2);

        queue = ngx_async_schedule_conf->queues.elts;

        for (i = 0; i < ngx_async_schedule_conf->queues.nelts; i++) {
            if (queue[i]->number == value) {
                ngx_async_schedule_poke(queue[i]);
            }
        }

        break;
    }
}
