
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"


/*
 * Operations wait in two queues.  One task at a time writes: it takes all
 * writes that wait, up to a bound, and makes them one transaction; the next
 * one is under way before the handlers of the last one are called.  Few tasks
 * read, each for many operations under load.  A task that was posted is left
 * alone by the event loop until its completion comes.
 */

/* operations of a task that reads */
#define NGX_ASYNC_STORE_READS   64


static void ngx_async_store_stop_timer(ngx_event_t *ev);
static void ngx_async_store_init(ngx_cycle_t *cycle);
static void ngx_async_store_init_task(ngx_async_store_task_t *t,
    void (*work)(void *data, ngx_log_t *log), ngx_event_handler_pt handler);
static void ngx_async_store_post(void);
static void ngx_async_store_move(ngx_queue_t *to, ngx_queue_t *from);
static void ngx_async_store_complete(ngx_queue_t *ops);
static void ngx_async_store_refuse(ngx_queue_t *ops);
static void ngx_async_store_start_write(void);
static void ngx_async_store_written(ngx_event_t *ev);
static void ngx_async_store_die(ngx_err_t err);
static void ngx_async_store_start_reads(void);
static void ngx_async_store_read(void *data, ngx_log_t *log);
static void ngx_async_store_have_read(ngx_event_t *ev);


ngx_async_store_t  ngx_async_store;


ngx_int_t
ngx_async_store_inspect(const char *path, const char **reason)
{
    if (ngx_async_store.db) {

        /* a reload in a process without a master: it was checked */

        *reason = NULL;
        return NGX_OK;
    }

    return ngx_async_db_check(path, reason);
}


/* after ngx_async_shared_start() */

void
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

    if (conf->apart) {
        t->reason = "this worker could not join the others that use it";

    } else {
        ngx_async_store_open(t, cycle->log);
    }

    st->db = t->db;
    st->used = t->used;
    st->size = t->size;

    ngx_add_timer(&st->timer, NGX_ASYNC_STORE_CHECK);

    if (st->db == NULL) {
        ngx_async_store_report(t);
        ngx_add_timer(&st->reopen, NGX_ASYNC_STORE_REOPEN);
        return;
    }

    if (st->used > conf->size) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "async_store \"%V\" has %uL bytes in it, more than "
                      "size=%uz allows: new jobs are refused until enough of "
                      "them have expired", &conf->path, st->used, conf->size);
    }

    ngx_async_store_trash_scan();
}


void
ngx_async_store_join(void)
{
    ngx_async_store.conf.apart = 0;
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

    ngx_async_store_full_stop();

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
    ngx_queue_init(&st->works);
    ngx_queue_init(&st->inbox);

    (void) pthread_mutex_init(&st->mutex, NULL);

    ngx_async_store_init_task(&st->writer, ngx_async_store_write,
                              ngx_async_store_written);

    for (i = 0; i < NGX_ASYNC_STORE_READERS; i++) {
        ngx_async_store_init_task(&st->readers[i], ngx_async_store_read,
                                  ngx_async_store_have_read);
    }

    /* has two kinds of work, and gets its handlers with each */

    ngx_async_store_init_task(&st->keeper, NULL, NULL);

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
    op->opened = 0;

    ngx_async_store_reset(op);

    st->pending++;
    st->timer.cancelable = 0;

    if (op->file) {
        ngx_async_store_file_submit(op);
        return;
    }

    ngx_queue_insert_tail(ngx_async_op_is_read(op) ? &st->reads : &st->writes,
                          &op->queue);

    ngx_async_store_post();
}


void
ngx_async_store_pass(ngx_async_op_t *op)
{
    ngx_queue_insert_tail(&ngx_async_store.writes, &op->queue);

    ngx_async_store_post();
}


void
ngx_async_store_reset(ngx_async_op_t *op)
{
    op->err = 0;
    op->full = NGX_ASYNC_FULL_NONE;
    op->claimed = 0;
    op->more = 0;
    op->was_running = 0;
    op->position = 0;
    op->blob.len = 0;
}


void
ngx_async_store_release(ngx_async_op_t *op)
{
    if (op->buf.data) {
        ngx_free(op->buf.data);
        op->buf.data = NULL;
        op->buf.len = 0;
    }

    if (op->opened) {
        op->opened = 0;
        (void) close(op->fd);
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


void
ngx_async_store_dispatch(ngx_event_t *ev)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    st->turning = 1;

    ngx_async_store_start_works();

    if (st->db == NULL || st->broken) {

        /* the writer does not run */

        ngx_async_store_refuse(&st->inbox);
        ngx_async_store_refuse(&st->writes);
        ngx_async_store_refuse(&st->reads);
        return;
    }

    ngx_async_store_start_write();
    ngx_async_store_start_reads();
}


/* NGX_ERROR: the pool is full; logged by it, and tried again */

ngx_int_t
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


void
ngx_async_store_task_done(ngx_async_store_task_t *t, ngx_queue_t *ops)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    st->running--;

    ngx_queue_init(ops);
    ngx_async_store_move(ops, &t->ops);

    t->nops = 0;
    t->bytes = 0;

    if (t->used) {
        st->used = t->used;
        st->size = t->size;
    }
}


static void
ngx_async_store_move(ngx_queue_t *to, ngx_queue_t *from)
{
    if (!ngx_queue_empty(from)) {
        ngx_queue_add(to, from);
        ngx_queue_init(from);
    }
}


static void
ngx_async_store_complete(ngx_queue_t *ops)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(ops)) {

        q = ngx_queue_head(ops);
        ngx_queue_remove(q);

        ngx_async_store_done(ngx_queue_data(q, ngx_async_op_t, queue));
    }
}


void
ngx_async_store_done(ngx_async_op_t *op)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (--st->pending == 0) {
        st->timer.cancelable = 1;
    }

    if (op->rc == NGX_BUSY) {
        ngx_async_store_full(op->full);
    }

    /* the operation may be gone or submitted again afterwards */

    op->handler(op);
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
    ngx_async_store_move(&refused, ops);

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


/*
 * The writer takes operations out of its inbox as late as it can, also those
 * that come there while it waits for its turn to write.
 */

static void
ngx_async_store_start_write(void)
{
    ngx_uint_t          empty;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    (void) pthread_mutex_lock(&st->mutex);

    ngx_async_store_move(&st->inbox, &st->writes);
    empty = ngx_queue_empty(&st->inbox);

    (void) pthread_mutex_unlock(&st->mutex);

    if (!empty && !st->writer.task.event.active) {
        (void) ngx_async_store_post_task(&st->writer);
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

    if (t->lost) {
        ngx_async_store_die(t->err);
        return;
    }

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

    if (t->ngone) {
        ngx_async_store_trash_unlink(t->gone, t->ngone);
        t->ngone = 0;
    }

    /* the disk works while the handlers run */

    ngx_async_store_dispatch(&st->posted);

    ngx_async_store_complete(&ops);
}


/*
 * The disk failed when a batch was committed already: whether it will be there
 * after a crash nobody knows, so its operations are never completed.  A worker
 * that ends is nothing new to the others and to its successor: what it was
 * running is recovered, and a client that got no answer was promised nothing.
 */

static void
ngx_async_store_die(ngx_err_t err)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    ngx_log_error(NGX_LOG_ALERT, st->log, err,
                  "async_store \"%V\": the disk failed behind a transaction, "
                  "this process ends", &st->conf.path);

    st->broken = 1;
    ngx_terminate = 1;
}


static void
ngx_async_store_start_reads(void)
{
    ngx_uint_t               i;
    ngx_queue_t             *q;
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;

    for (i = st->nworks; i < NGX_ASYNC_STORE_READERS; i++) {

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

    ngx_queue_t     *q;
    ngx_async_op_t  *op;

    for (q = ngx_queue_head(&t->ops);
         q != ngx_queue_sentinel(&t->ops);
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_async_db_read(ngx_async_store.db, op);

        if (op->rc == NGX_ERROR) {
            ngx_log_error(NGX_LOG_ERR, log, op->err,
                          "async_store \"%V\": reading a job failed",
                          &ngx_async_store.conf.path);
        }
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
