
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"


/*
 * Work on files.  While some is under way fewer reads are started, so that
 * there is a thread for the writer.
 */


static void ngx_async_store_run_work(void *data, ngx_log_t *log);
static void ngx_async_store_worked(ngx_event_t *ev);


void
ngx_async_store_work(ngx_async_work_t *work)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    ngx_memzero(&work->task, sizeof(ngx_thread_task_t));

    work->task.handler = ngx_async_store_run_work;
    work->task.ctx = work;
    work->task.event.handler = ngx_async_store_worked;
    work->task.event.data = work;
    work->task.event.log = st->log;

    ngx_queue_insert_tail(&st->works, &work->queue);

    st->pending++;
    st->timer.cancelable = 0;

    ngx_async_store_start_works();
}


void
ngx_async_store_start_works(void)
{
    ngx_queue_t        *q;
    ngx_async_work_t   *work;
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    while (st->nworks < NGX_ASYNC_STORE_WORKS && !ngx_queue_empty(&st->works)) {

        q = ngx_queue_head(&st->works);
        work = ngx_queue_data(q, ngx_async_work_t, queue);

        if (ngx_thread_task_post(st->conf.thread_pool, &work->task) != NGX_OK)
        {
            /* the pool is full; logged by it */

            work->task.event.active = 0;

            if (!st->repost.timer_set) {
                ngx_add_timer(&st->repost, NGX_ASYNC_STORE_REPOST);
            }

            return;
        }

        ngx_queue_remove(q);
        st->nworks++;
    }
}


/* in a thread */

static void
ngx_async_store_run_work(void *data, ngx_log_t *log)
{
    ngx_async_work_t  *work = data;

    work->run(work->data, log);
}


static void
ngx_async_store_worked(ngx_event_t *ev)
{
    ngx_async_work_t   *work;
    ngx_async_store_t  *st;

    st = &ngx_async_store;
    work = ev->data;

    st->nworks--;

    if (--st->pending == 0) {
        st->timer.cancelable = 1;
    }

    ngx_async_store_dispatch(&st->posted);

    /* it may be gone, or started again, afterwards */

    work->handler(work->data);
}
