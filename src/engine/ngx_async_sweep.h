
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SWEEP_H_INCLUDED_
#define _NGX_ASYNC_SWEEP_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Housekeeping in bounded steps: what is due in the store (expiry, delayed
 * attempts, callbacks ...), and what dead runners left.  Its timers do not
 * keep a worker that exits.
 */

ngx_int_t ngx_async_sweep_start(ngx_cycle_t *cycle);

/* something becomes due at that time, milliseconds since the epoch */
void ngx_async_sweep_at(uint64_t when);

/*
 * What runners had left that were dead at the start has been taken back, if
 * that could be done.  Before that, jobs are not where they belong.
 */
ngx_uint_t ngx_async_sweep_recovered(void);

/* a job may wait in a queue that is gone from the configuration */
void ngx_async_sweep_rehome(void);

/* where due callbacks go */
typedef void (*ngx_async_sweep_callback_pt)(ngx_async_id_t *id);
void ngx_async_sweep_callbacks(ngx_async_sweep_callback_pt handler);


#endif /* _NGX_ASYNC_SWEEP_H_INCLUDED_ */
