
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SCHEDULE_H_INCLUDED_
#define _NGX_ASYNC_SCHEDULE_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Which job runs when: takes slots of the queues, claims jobs for them, ends
 * attempts, sweeps what is due, recovers what dead runners left.
 */

/*
 * Opens the store and starts all of it, in a worker.  One that cannot join the
 * others runs without the store until it can; NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_schedule_start(ngx_cycle_t *cycle,
    ngx_async_main_conf_t *amcf);
void ngx_async_schedule_stop(ngx_cycle_t *cycle);

/* a new configuration in the process that runs ("master_process off") */
ngx_int_t ngx_async_schedule_reconfigure(ngx_cycle_t *cycle,
    ngx_async_main_conf_t *amcf);

/* a queue may have work and a free slot: claims as much as fits */
void ngx_async_schedule_poke(ngx_async_queue_t *queue);
void ngx_async_schedule_poke_all(void);

/*
 * This worker has a slot of the queue that is free now: a waiting job gets it,
 * or it is given back.
 */
void ngx_async_schedule_slot(ngx_async_queue_t *queue);

/*
 * The same when the end of the call has been submitted, but is not stored yet;
 * "late": a claim would be stored before it.  NGX_DECLINED: it is for slot()
 * when that is done, since until then others could start what is not first any
 * more.
 */
ngx_int_t ngx_async_schedule_next(ngx_async_queue_t *queue, ngx_uint_t late);

/* something becomes due at that time (milliseconds since the epoch) */
void ngx_async_schedule_due(uint64_t when);

/* what becomes due when a job has ended: its callback, its expiry ... */
void ngx_async_schedule_ended(ngx_async_job_t *job);

/*
 * A CANCEL operation that completed with NGX_OK tells the runner of the job,
 * here or in another worker, to abort its call, and every watch.
 */
void ngx_async_schedule_canceled(ngx_async_op_t *op);

/*
 * A message between workers may have got lost: whatever it may have told is
 * looked for, here and, unless "here", in all other workers.
 */
void ngx_async_schedule_missed(ngx_uint_t here);

/*
 * Seconds after which a rejected client may try again, 1..60; not before
 * "begin" (milliseconds since the epoch) as far as these reach.
 */
ngx_uint_t ngx_async_schedule_retry_after(ngx_async_loc_conf_t *alcf,
    uint64_t begin);

/*
 * Bytes that have been received of the response of a running job, in whichever
 * worker, and the total if it is known (else 0).  NGX_DECLINED: none has begun.
 */
ngx_int_t ngx_async_schedule_progress(ngx_async_job_t *job,
    uint64_t *received, uint64_t *total);


#endif /* _NGX_ASYNC_SCHEDULE_H_INCLUDED_ */
