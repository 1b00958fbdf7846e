
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_STORE_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_STORE_INTERNAL_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_thread_pool.h>
#include <pthread.h>
#include "src/store/ngx_async_store.h"
#include "src/store/ngx_async_db.h"


/* one thread of the usual four stays free for the writer */
#define NGX_ASYNC_STORE_READERS   3

/* of those that read, as many may work on files instead */
#define NGX_ASYNC_STORE_WORKS     2

/* milliseconds */
#define NGX_ASYNC_STORE_REPOST    10
#define NGX_ASYNC_STORE_CHECK     30000
#define NGX_ASYNC_STORE_REOPEN    1000


typedef struct {
    ngx_thread_task_t         task;
    ngx_queue_t               ops;
    ngx_uint_t                nops;
    size_t                    bytes;

    /* results */
    ngx_async_blob_t         *gone;         /* files to be unlinked */
    ngx_uint_t                ngone;
    ngx_async_db_t           *db;
    const char               *reason;
    ngx_err_t                 err;
    ngx_uint_t                full;         /* ngx_async_full_e */
    uint64_t                  used;
    uint64_t                  size;
    unsigned                  failed:1;     /* why is in err */
    unsigned                  broken:1;     /* the environment is unusable */
    unsigned                  lost:1;       /* what was done is not known */

    /* set by the thread as the last thing it does */
    volatile ngx_uint_t       finished;
} ngx_async_store_task_t;


typedef struct {
    ngx_async_store_conf_t    conf;
    ngx_async_db_t           *db;           /* NULL: not open */
    ngx_log_t                *log;

    ngx_queue_t               writes;
    ngx_queue_t               reads;
    ngx_queue_t               works;
    ngx_uint_t                nworks;       /* under way */
    ngx_uint_t                pending;

    ngx_queue_t               inbox;        /* of the writer, under mutex */
    pthread_mutex_t           mutex;

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


extern ngx_async_store_t  ngx_async_store;


/*
 * Of a task that is posted only its thread may touch anything but the event,
 * until its completion comes.  NGX_ERROR: the pool is full; it was logged, and
 * the operations of the task are tried again.
 */
ngx_int_t ngx_async_store_post_task(ngx_async_store_task_t *t);

/* takes the operations of a completed task, which is free afterwards */
void ngx_async_store_task_done(ngx_async_store_task_t *t, ngx_queue_t *ops);

/* puts an operation's results back to nothing */
void ngx_async_store_reset(ngx_async_op_t *op);

/* starts what can be started */
void ngx_async_store_dispatch(ngx_event_t *ev);

/* gives the writer an operation that was submitted before */
void ngx_async_store_pass(ngx_async_op_t *op);

/* calls the handler of an operation that is in no queue any more */
void ngx_async_store_done(ngx_async_op_t *op);

/* store_file.c: takes an operation with a file */
void ngx_async_store_file_submit(ngx_async_op_t *op);

/*
 * store_trash.c: path is of PATH_MAX bytes.  unlink() takes the list;
 * check() unlinks a file if no job has it; scan() looks for such files, and
 * again() if one of these three could not do all that it was to.
 */
ngx_int_t ngx_async_store_file_path(char *path, ngx_async_blob_t *blob);
void ngx_async_store_trash_unlink(ngx_async_blob_t *blobs, ngx_uint_t n);
void ngx_async_store_trash_check(ngx_async_blob_t *blob);
void ngx_async_store_trash_scan(void);
void ngx_async_store_trash_again(void);

/* store_full.c: what had no room, and at the end of the worker what is left */
void ngx_async_store_full(ngx_uint_t full);
void ngx_async_store_full_stop(void);

/* store_work.c: starts what waits */
void ngx_async_store_start_works(void);

/* store_write.c: what the writer's thread does */
void ngx_async_store_write(void *data, ngx_log_t *log);
void ngx_async_store_ready(void *data, ngx_str_t *queue, uint64_t ready,
    uint64_t waiting, ngx_uint_t paused, uint64_t txnid);

/*
 * store_keep.c: the environment's life.  What opens it runs in a thread, or at
 * the start of the worker; break() has it opened again.
 */
void ngx_async_store_open(void *data, ngx_log_t *log);
void ngx_async_store_report(ngx_async_store_task_t *t);
void ngx_async_store_break(void);
void ngx_async_store_reopen(ngx_event_t *ev);
void ngx_async_store_housekeeping(ngx_event_t *ev);


#endif /* _NGX_ASYNC_STORE_INTERNAL_H_INCLUDED_ */
