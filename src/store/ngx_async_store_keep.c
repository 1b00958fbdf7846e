
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"
#include "src/store/ngx_async_shared.h"


/* reader slots of LMDB, for each worker: its tasks, and those of old cycles */
#define NGX_ASYNC_STORE_SLOTS      (4 * (NGX_ASYNC_STORE_READERS + 2))
#define NGX_ASYNC_STORE_MIN_SLOTS  512

/* milliseconds between reports that say the same */
#define NGX_ASYNC_STORE_REPORT     60000


static void ngx_async_store_opened(ngx_event_t *ev);
static void ngx_async_store_check(void *data, ngx_log_t *log);
static void ngx_async_store_checked(ngx_event_t *ev);


/* in a thread, or at start; closes an environment that has become unusable */

void
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
        if (ngx_async_shared_durable()) {
            ngx_async_db_share(t->db, ngx_async_shared_durable());
        }

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

    ngx_async_store_trash_scan();
}


/* the same reason only once a minute */

void
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

void
ngx_async_store_break(void)
{
    ngx_async_store_t  *st;

    st = &ngx_async_store;

    if (!st->broken) {
        st->broken = 1;
        ngx_add_timer(&st->reopen, NGX_ASYNC_STORE_REOPEN);
    }
}


void
ngx_async_store_reopen(ngx_event_t *ev)
{
    ngx_async_store_t       *st;
    ngx_async_store_task_t  *t;

    st = &ngx_async_store;
    t = &st->keeper;

    if (st->running || st->conf.apart) {
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


void
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

    ngx_async_store_trash_again();

    t->task.handler = ngx_async_store_check;
    t->task.event.handler = ngx_async_store_checked;

    (void) ngx_async_store_post_task(t);
}
