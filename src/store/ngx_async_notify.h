
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_NOTIFY_H_INCLUDED_
#define _NGX_ASYNC_NOTIFY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"


/*
 * Messages between workers: datagrams over AF_UNIX sockets in the store's
 * directory, named by the row of the runner (see shared.h), so that they reach
 * workers of another cycle or binary.  A socket
 * takes only so much, and so does the memory for what waits for it: a receiver
 * that missed a message is told so, for certain, by NGX_ASYNC_NOTIFY_MISSED,
 * and then has to look for what it may have been told.  Only the death of a
 * sender goes unnoticed here: whoever reclaims its row tells the others.
 */

typedef enum {
    NGX_ASYNC_NOTIFY_CHANGED = 1,   /* job "id" has changed */
    NGX_ASYNC_NOTIFY_PROGRESS,      /* job "id": value is bytes received */
    NGX_ASYNC_NOTIFY_CANCEL,        /* abort the call of job "id" */
    NGX_ASYNC_NOTIFY_WORK,          /* queue number "value" may have work;
                                       value2: something is due at that time */
    NGX_ASYNC_NOTIFY_MISSED         /* any of these may have got lost */
} ngx_async_notify_e;

typedef void (*ngx_async_notify_pt)(ngx_uint_t type, ngx_async_id_t *id,
    uint64_t value, uint64_t value2);


/*
 * Binds this worker's socket, after ngx_async_shared_start(): it belongs to the
 * row.  Messages go to handler, on the event loop.  It is to be stopped before
 * the row is given up, in exit_process: running calls can be canceled until
 * then.
 */
ngx_int_t ngx_async_notify_start(ngx_cycle_t *cycle, ngx_str_t *path,
    ngx_async_notify_pt handler);
void ngx_async_notify_stop(ngx_cycle_t *cycle);

/*
 * The messages of a turn of the event loop are sent together at its end.
 * NGX_OK, or NGX_DECLINED: there is no such row, or too much waits for it, so
 * that it will learn only that it missed something.
 */
ngx_int_t ngx_async_notify_send(ngx_uint_t row, ngx_uint_t type,
    ngx_async_id_t *id, uint64_t value, uint64_t value2);

/* to every other live runner that watches the job */
void ngx_async_notify_watchers(ngx_uint_t type, ngx_async_id_t *id,
    uint64_t value, uint64_t value2);


#endif /* _NGX_ASYNC_NOTIFY_H_INCLUDED_ */
