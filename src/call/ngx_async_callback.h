
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CALLBACK_H_INCLUDED_
#define _NGX_ASYNC_CALLBACK_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Callbacks: what is told to a URL when a job has ended.  The store keeps
 * which callbacks are due; whoever leases one calls ngx_async_callback_due().
 * A lease that ends in nothing (this process is killed, a receiver keeps all
 * its places busy) is simply given again a minute later; a worker that exits
 * gives back what it has not begun.
 */

typedef struct {
    /* the job's status document, without the query; NGX_ERROR: no memory */
    ngx_int_t   (*document)(ngx_pool_t *pool, ngx_async_job_t *job,
                            ngx_str_t *json);

    /* the next attempt of a callback is due then, in ms since the epoch */
    void        (*due)(uint64_t when);
} ngx_async_callback_handlers_t;


/* in a worker, before anything can be due; "handlers" must stay there */
ngx_int_t ngx_async_callback_start(ngx_cycle_t *cycle,
    const ngx_async_callback_handlers_t *handlers);

/* this worker has leased the callback of the job for a minute */
void ngx_async_callback_due(ngx_async_id_t *id);

/*
 * NGX_OK, or NGX_DECLINED: the submission may not choose this URL, and why
 * not (static text).
 */
ngx_int_t ngx_async_callback_allowed(ngx_async_loc_conf_t *alcf,
    ngx_str_t *url, ngx_str_t *why);


#endif /* _NGX_ASYNC_CALLBACK_H_INCLUDED_ */
