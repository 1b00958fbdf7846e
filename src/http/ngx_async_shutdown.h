
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SHUTDOWN_H_INCLUDED_
#define _NGX_ASYNC_SHUTDOWN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Who wants to know at once that this worker exits gracefully.  An entry is
 * owned by its user, who removes it before it goes away.
 */

typedef struct {
    ngx_queue_t    queue;
    void         (*handler)(void *data);    /* the entry is removed before */
    void          *data;
    unsigned       active:1;
} ngx_async_shutdown_t;


/* NGX_DECLINED: the worker is exiting already, the handler is not called */
ngx_int_t ngx_async_shutdown_add(ngx_async_shutdown_t *entry);
void ngx_async_shutdown_del(ngx_async_shutdown_t *entry);   /* idempotent */


#endif /* _NGX_ASYNC_SHUTDOWN_H_INCLUDED_ */
