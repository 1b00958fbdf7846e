
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_sweep.h"
#include "src/engine/ngx_async_schedule.h"
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_SWEEP_IDLE     30000      /* ms, at most between sweeps */
#define NGX_ASYNC_SWEEP_SPREAD   50         /* ms between workers */
#define NGX_ASYNC_RECOVER_EVERY  10000      /* ms */


static void ngx_async_sweep_timer(ngx_event_t *ev);
static void ngx_async_sweep_done(ngx_async_op_t *op);
static void ngx_async_sweep_changed(ngx_async_sweep_t *sweep);
static void ngx_async_sweep_arm(ngx_msec_t ms);
static void ngx_async_recover_timer(ngx_event_t *ev);
static void ngx_async_recover_listed(ngx_async_op_t *op);
static void ngx_async_recover_next(void);
static void ngx_async_recover_done(ngx_async_op_t *op);
static void ngx_async_rehome_listed(ngx_async_op_t *op);
static void ngx_async_rehome_next(void);
static void ngx_async_rehome_tell(ngx_async_queue_t *queue, ngx_str_t *name);
static void ngx_async_rehome_told(ngx_async_op_t *op);
static void ngx_async_rehome_move(ngx_str_t *from, ngx_async_job_t *job);
static void ngx_async_rehome_moved(ngx_async_op_t *op);


typedef struct {
    ngx_async_op_t       op;
    ngx_async_sweep_t    sweep;
    ngx_str_t            names;         /* what is left to do; in buf */
    ngx_str_t            list;          /* all of them */
    ngx_async_limits_t   limits;
    u_char              *buf;
    ngx_async_job_t      job;           /* that is moved; in found */
    ngx_str_t            found;
    ngx_event_t          event;
    unsigned             busy:1;
    unsigned             again:1;
    unsigned             left:1;        /* of queues that are gone */
    unsigned             moving:1;
    unsigned             begun:1;
    unsigned             recovered:1;   /* once */
} ngx_async_sweep_task_t;


static ngx_async_sweep_task_t       ngx_async_sweeping;
static ngx_async_sweep_task_t       ngx_async_recovering;
static ngx_async_sweep_task_t       ngx_async_rehoming;
static ngx_async_sweep_callback_pt  ngx_async_sweep_callback;
static uint64_t                     ngx_async_sweep_next;


ngx_int_t
ngx_async_sweep_start(ngx_cycle_t *cycle)
{
    ngx_event_t  *ev;

    ev = &ngx_async_sweeping.event;

    ev->handler = ngx_async_sweep_timer;
    ev->data = &ngx_async_sweeping;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ev = &ngx_async_recovering.event;

    ev->handler = ngx_async_recover_timer;
    ev->data = &ngx_async_recovering;
    ev->log = cycle->log;
    ev->cancelable = 1;

    ngx_add_timer(&ngx_async_sweeping.event, 1);
    ngx_add_timer(&ngx_async_recovering.event, 1);

    ngx_async_sweep_rehome();

    return NGX_OK;
}


void
ngx_async_sweep_callbacks(ngx_async_sweep_callback_pt handler)
{
    ngx_async_sweep_callback = handler;
}


void
ngx_async_sweep_at(uint64_t when)
{
    uint64_t  now;

    if (when == 0) {
        return;
    }

    if (ngx_async_sweep_next && ngx_async_sweep_next <= when
        && (ngx_async_sweeping.busy || ngx_async_sweeping.event.timer_set))
    {
        return;
    }

    now = ngx_async_time_now();

    ngx_async_sweep_next = when;

    ngx_async_sweep_arm(when > now ? when - now : 1);
}


static void
ngx_async_sweep_arm(ngx_msec_t ms)
{
    if (ngx_async_sweeping.busy || ngx_exiting) {
        return;
    }

    ms = ngx_min(ms, NGX_ASYNC_SWEEP_IDLE);

    if (ngx_async_sweeping.event.timer_set) {
        ngx_del_timer(&ngx_async_sweeping.event);
    }

    ngx_add_timer(&ngx_async_sweeping.event, ngx_max(ms, 1));
}


static void
ngx_async_sweep_timer(ngx_event_t *ev)
{
    ngx_async_op_t  *op;

    if (ngx_exiting || ngx_async_sweeping.busy) {
        return;
    }

    ngx_async_sweeping.busy = 1;
    ngx_async_sweep_next = 0;

    op = &ngx_async_sweeping.op;

    ngx_memzero(op, sizeof(ngx_async_op_t));
    ngx_memzero(&ngx_async_sweeping.sweep, sizeof(ngx_async_sweep_t));

    op->type = NGX_ASYNC_OP_SWEEP;
    op->handler = ngx_async_sweep_done;
    op->now = ngx_async_time_now();
    op->sweep = &ngx_async_sweeping.sweep;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    ngx_async_store_submit(op);
}


static void
ngx_async_sweep_done(ngx_async_op_t *op)
{
    uint64_t            now, next;
    ngx_msec_t          ms;
    ngx_uint_t          i;
    ngx_async_sweep_t  *sweep;

    sweep = op->sweep;

    ngx_async_sweeping.busy = 0;

    ngx_async_store_release(op);

    if (op->rc == NGX_OK) {

        /* the others wait for it, also if this worker exits */

        ngx_async_sweep_changed(sweep);

        for (i = 0; i < sweep->ncallbacks; i++) {
            if (ngx_async_sweep_callback) {
                ngx_async_sweep_callback(&sweep->callbacks[i]);
            }
        }
    }

    if (ngx_exiting) {
        return;
    }

    if (op->rc != NGX_OK) {
        ngx_async_sweep_arm(1000);
        return;
    }

    if (sweep->more) {
        ngx_async_sweep_arm(1);
        return;
    }

    now = ngx_async_time_now();
    next = sweep->next;

    /* what was announced while the sweep was under way */

    if (ngx_async_sweep_next && (next == 0 || ngx_async_sweep_next < next)) {
        next = ngx_async_sweep_next;
    }

    if (next == 0) {
        ngx_async_sweep_next = 0;
        ngx_async_sweep_arm(NGX_ASYNC_SWEEP_IDLE);
        return;
    }

    ngx_async_sweep_next = next;

    ms = next > now ? ngx_min(next - now, NGX_ASYNC_SWEEP_IDLE) : 1;

    ngx_async_sweep_arm(ms + (ngx_async_runner_row % 16)
                             * NGX_ASYNC_SWEEP_SPREAD / 16);
}


static void
ngx_async_sweep_changed(ngx_async_sweep_t *sweep)
{
    ngx_str_t           name;
    ngx_uint_t          i;
    ngx_async_queue_t  *queue;

    for (i = 0; i < sweep->nchanged; i++) {
        ngx_async_watch_changed(&sweep->changed[i]);
    }

    for (i = 0; i < sweep->nswept; i++) {
        name.data = sweep->swept[i].queue;
        name.len = sweep->swept[i].len;

        queue = ngx_async_queue_find(&name);

        if (queue) {
            ngx_async_shared_count(queue->number,
                                   sweep->swept[i].expired
                                   ? NGX_ASYNC_COUNT_EXPIRED
                                   : NGX_ASYNC_COUNT_FAILED);
        }
    }

    if (sweep->ready) {
        ngx_async_schedule_poke_all();

        if (ngx_async_rehoming.left) {
            ngx_async_sweep_rehome();
        }
    }
}


/*
 * Recovery: lists the runners that have jobs, and takes back those of the dead
 * ones, a bounded number in each operation.  Their slots are given back behind
 * it, as other jobs come first then.  A worker that ends meanwhile leaves all
 * of it to the next one.  What cannot be stored is tried again later, without
 * the slots.
 */

static void
ngx_async_recover_timer(ngx_event_t *ev)
{
    ngx_async_op_t  *op;

    if (ngx_exiting || ngx_async_recovering.busy) {
        return;
    }

    /*
     * What a dead worker had to tell the others was lost with it; its row may
     * have been reclaimed by the start of this one.
     */

    if (ngx_async_shared_dead() || !ngx_async_recovering.begun) {
        ngx_async_recovering.begun = 1;
        ngx_async_schedule_missed(0);
    }

    ngx_async_recovering.busy = 1;

    op = &ngx_async_recovering.op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_QUEUES;
    op->handler = ngx_async_recover_listed;
    op->cut = 1;

    ngx_async_store_submit(op);
}


ngx_uint_t
ngx_async_sweep_recovered(void)
{
    return ngx_async_recovering.recovered;
}


static void
ngx_async_recover_listed(ngx_async_op_t *op)
{
    ngx_async_recovering.names.len = 0;

    if (op->rc == NGX_OK) {
        ngx_async_recovering.names = op->blob;
        ngx_async_recovering.buf = op->buf.data;
        ngx_str_null(&op->buf);
    }

    ngx_async_recover_next();
}


static void
ngx_async_recover_next(void)
{
    u_char          *runner;
    ngx_str_t       *names;
    ngx_async_op_t  *op;

    names = &ngx_async_recovering.names;
    op = &ngx_async_recovering.op;

    while (names->len >= NGX_ASYNC_RUNNER_LEN && !ngx_exiting) {

        runner = names->data;

        if (ngx_async_shared_alive(runner)) {
            names->data += NGX_ASYNC_RUNNER_LEN;
            names->len -= NGX_ASYNC_RUNNER_LEN;
            continue;
        }

        ngx_memzero(op, sizeof(ngx_async_op_t));
        ngx_memzero(&ngx_async_recovering.sweep, sizeof(ngx_async_sweep_t));

        op->type = NGX_ASYNC_OP_RECOVER;
        op->handler = ngx_async_recover_done;
        op->now = ngx_async_time_now();
        op->sweep = &ngx_async_recovering.sweep;
        ngx_memcpy(op->runner, runner, NGX_ASYNC_RUNNER_LEN);

        ngx_async_store_submit(op);
        return;
    }

    if (ngx_async_recovering.buf) {
        free(ngx_async_recovering.buf);
        ngx_async_recovering.buf = NULL;
    }

    ngx_async_recovering.busy = 0;

    if (ngx_exiting) {
        return;
    }

    ngx_async_recovering.recovered = 1;

    if (ngx_async_shared_reclaim()) {
        ngx_async_schedule_missed(0);
    }

    ngx_async_schedule_poke_all();
    ngx_async_sweep_rehome();

    ngx_add_timer(&ngx_async_recovering.event, NGX_ASYNC_RECOVER_EVERY);
}


static void
ngx_async_recover_done(ngx_async_op_t *op)
{
    ngx_str_t  *names;

    if (op->rc == NGX_OK) {
        ngx_async_sweep_changed(op->sweep);
    }

    if (op->rc != NGX_OK || !op->sweep->more) {
        names = &ngx_async_recovering.names;
        names->data += NGX_ASYNC_RUNNER_LEN;
        names->len -= NGX_ASYNC_RUNNER_LEN;
    }

    ngx_async_store_release(op);

    if (op->rc == NGX_OK) {
        ngx_async_sweep_at(ngx_async_time_now());
    }

    ngx_async_recover_next();
}


/*
 * The store learns of new limits by claims, but jobs that wait for an old limit
 * cannot be claimed: so it is told of those of each queue that has jobs.
 *
 * Jobs that wait in a queue which the configuration no longer has go to the
 * queue that their location has now, some with each operation, whichever of
 * the workers gets to it.  Workers of an old configuration, delayed attempts,
 * and J/retry, may put jobs there at any time.
 */

void
ngx_async_sweep_rehome(void)
{
    ngx_async_op_t  *op;

    if (ngx_async_rehoming.busy) {
        ngx_async_rehoming.again = 1;
        return;
    }

    ngx_async_rehoming.busy = 1;
    ngx_async_rehoming.again = 0;

    op = &ngx_async_rehoming.op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_QUEUES;
    op->handler = ngx_async_rehome_listed;

    ngx_async_store_submit(op);
}


static void
ngx_async_rehome_listed(ngx_async_op_t *op)
{
    ngx_async_rehoming.left = 0;
    ngx_async_rehoming.moving = 0;
    ngx_async_rehoming.names.len = 0;

    if (op->rc == NGX_OK) {
        ngx_async_rehoming.names = op->blob;
        ngx_async_rehoming.buf = op->buf.data;
        ngx_str_null(&op->buf);
    }

    ngx_async_rehoming.list = ngx_async_rehoming.names;

    ngx_async_rehome_next();
}


static void
ngx_async_rehome_next(void)
{
    ngx_str_t          *names, name;
    ngx_async_queue_t  *queue;

    names = &ngx_async_rehoming.names;

    while (!ngx_exiting) {

        if (names->len == 0) {
            if (ngx_async_rehoming.moving) {
                break;
            }

            ngx_async_rehoming.moving = 1;
            *names = ngx_async_rehoming.list;
            continue;
        }

        name.data = names->data;
        name.len = ngx_strnlen(names->data, names->len);

        names->data += ngx_min(name.len + 1, names->len);
        names->len -= ngx_min(name.len + 1, names->len);

        queue = ngx_async_queue_find(&name);

        if (queue && !ngx_async_rehoming.moving) {
            ngx_async_rehome_tell(queue, &name);
            return;
        }

        if (queue == NULL && ngx_async_rehoming.moving) {
            ngx_async_rehoming.left = 1;
            ngx_async_rehome_move(&name, NULL);
            return;
        }
    }

    free(ngx_async_rehoming.buf);

    ngx_async_rehoming.buf = NULL;
    ngx_async_rehoming.busy = 0;

    if (ngx_async_rehoming.again && !ngx_exiting) {
        ngx_async_sweep_rehome();
    }
}


static void
ngx_async_rehome_tell(ngx_async_queue_t *queue, ngx_str_t *name)
{
    ngx_async_op_t  *op;

    op = &ngx_async_rehoming.op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    ngx_async_rehoming.limits = queue->limits;

    op->type = NGX_ASYNC_OP_LIMITS;
    op->handler = ngx_async_rehome_told;
    op->now = ngx_async_time_now();
    op->queue_name = *name;
    op->limits = &ngx_async_rehoming.limits;

    ngx_async_store_submit(op);
}


static void
ngx_async_rehome_told(ngx_async_op_t *op)
{
    ngx_async_queue_t  *queue;

    queue = ngx_async_queue_find(&op->queue_name);

    if (op->rc == NGX_OK && queue) {
        queue->news |= op->more;
        ngx_async_schedule_poke(queue);
        ngx_async_sweep_at(op->now);
    }

    ngx_async_store_release(op);
    ngx_async_rehome_next();
}


static void
ngx_async_rehome_move(ngx_str_t *from, ngx_async_job_t *job)
{
    ngx_async_op_t     *op;
    ngx_async_queue_t  *queue;

    op = &ngx_async_rehoming.op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    queue = job ? ngx_async_queue_find(&job->queue) : NULL;

    if (queue) {
        ngx_async_rehoming.limits = queue->limits;
        op->limits = &ngx_async_rehoming.limits;
    }

    op->type = NGX_ASYNC_OP_MOVE;
    op->handler = ngx_async_rehome_moved;
    op->now = ngx_async_time_now();
    op->queue_name = *from;
    op->job = job;

    ngx_async_store_submit(op);
}


static void
ngx_async_rehome_moved(ngx_async_op_t *op)
{
    ngx_str_t              from;
    ngx_async_job_t       *job;
    ngx_async_queue_t     *queue;
    ngx_async_loc_conf_t  *alcf;

    if (op->job) {
        queue = ngx_async_queue_find(&op->job->queue);

        if (queue) {
            ngx_async_schedule_poke(queue);
            ngx_async_sweep_at(op->now);
        }
    }

    free(ngx_async_rehoming.found.data);
    ngx_str_null(&ngx_async_rehoming.found);

    from = op->queue_name;

    if (op->rc == NGX_DECLINED && op->more && !ngx_exiting) {

        /* jobs of values come to the front by and by */

        ngx_async_store_release(op);
        ngx_async_rehome_move(&from, NULL);
        return;
    }

    if (op->rc != NGX_OK || ngx_exiting) {

        ngx_async_store_release(op);

        if (op->rc != NGX_DECLINED) {

            /* not now */

            ngx_async_rehoming.names.len = 0;
        }

        ngx_async_rehome_next();
        return;
    }

    /* the strings of the job are needed for as long as it is looked for */

    ngx_async_rehoming.found = op->buf;
    ngx_str_null(&op->buf);

    job = &ngx_async_rehoming.job;
    *job = op->found;

    /* a location that is gone as well: whoever claims the job finds out */

    alcf = ngx_async_location_find(&job->server, &job->location);

    if (alcf && alcf->queue) {
        job->queue = alcf->queue->name;

    } else {
        ngx_str_set(&job->queue, "default");
    }

    ngx_async_rehome_move(&from, job);
}
