
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_RUNS_H_INCLUDED_
#define _NGX_ASYNC_RUNS_H_INCLUDED_


#include "src/engine/ngx_async_run.h"


/*
 * The runs of this worker by the ids of their jobs, and their cancellation.
 *
 * A worker that cancels a job sends a message to the job's runner, which may
 * be lost, with its sender for instance.  So every runner also looks every few
 * seconds whether the jobs that it runs are still its own in the store.
 */

void ngx_async_runs_init(ngx_cycle_t *cycle);

/* both may be called again */
void ngx_async_runs_add(ngx_async_run_t *run);
void ngx_async_runs_remove(ngx_async_run_t *run);

/* the run of this job in this worker, or NULL */
ngx_async_run_t *ngx_async_runs_find(ngx_async_id_t *id);

/*
 * The job was canceled: aborts its call, also one that is about to start in
 * this worker.
 */
void ngx_async_runs_cancel(ngx_async_id_t *id);


#endif /* _NGX_ASYNC_RUNS_H_INCLUDED_ */
