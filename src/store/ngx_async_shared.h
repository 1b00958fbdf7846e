
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SHARED_H_INCLUDED_
#define _NGX_ASYNC_SHARED_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"
#include "src/base/ngx_async_job.h"


/*
 * What workers of one machine share besides the store: a small file in the
 * store's directory, mapped by every worker of every cycle and binary.  It
 * holds hints and counts only; all of it can be lost without losing a job.
 *
 * A worker is a runner: it holds a row of the file by an OFD byte-range lock
 * (fcntl(2), F_OFD_SETLK), which the kernel drops when the process ends, and
 * has a random id.  What a dead runner had taken is given back when its row is
 * reclaimed.
 */

#define NGX_ASYNC_RUNNERS  1024
#define NGX_ASYNC_QUEUES   256


/* takes a row; NGX_ERROR: logged */
ngx_int_t ngx_async_shared_start(ngx_cycle_t *cycle, ngx_str_t *path);
void ngx_async_shared_stop(ngx_cycle_t *cycle);

/* this worker's id and row */
extern u_char      ngx_async_runner[NGX_ASYNC_RUNNER_LEN];
extern ngx_uint_t  ngx_async_runner_row;

/* true if a live process holds the row that carries this id */
ngx_uint_t ngx_async_shared_alive(const u_char *runner);

/* the row of a live runner, or NGX_ERROR */
ngx_int_t ngx_async_shared_row(const u_char *runner);

/* the rows that are or were in use are those below this one */
ngx_uint_t ngx_async_shared_rows(void);

/*
 * Notes which runners have died, whose jobs have to be taken back in the store;
 * number of them.  reclaim() gives back then what they had taken.  Any worker
 * may do so, and any number of them: it is given back once.
 */
ngx_uint_t ngx_async_shared_dead(void);
ngx_uint_t ngx_async_shared_reclaim(void);

/* marks this runner as one that takes no new jobs (it exits) */
void ngx_async_shared_retire(void);

/*
 * A row of another runner that is alive, takes jobs and runs clearly fewer
 * calls of this queue than this one, or NGX_ERROR.  To a runner that has
 * retired every such row is one.
 */
ngx_int_t ngx_async_shared_peer(ngx_uint_t queue);


/*
 * Number of the queue of this name, which is in this runner's configuration.
 * It is the queue's until this runner retires and has no slot of it.
 * NGX_ERROR: as many others are in use.
 */
ngx_int_t ngx_async_shared_queue(ngx_str_t *name);

/*
 * How many slots a queue has, by the configuration that was read at "since"
 * (ngx_async_time_steady()).  The newest one holds, for the runners of all
 * configurations: it is to be told before the store is told anything by which
 * more jobs may start.  0: none was told since nobody had the queue.
 */
void ngx_async_shared_set_limit(ngx_uint_t queue, ngx_uint_t limit,
    uint64_t since);
ngx_uint_t ngx_async_shared_limit(ngx_uint_t queue);

/*
 * A slot of a queue's concurrency, over all workers together.  take():
 * NGX_OK or NGX_BUSY (as many are taken, or this runner has retired).
 * give() returns it.
 */
ngx_int_t ngx_async_shared_take(ngx_uint_t queue);
void ngx_async_shared_give(ngx_uint_t queue);
ngx_uint_t ngx_async_shared_running(ngx_uint_t queue);

/*
 * Jobs of the queue that could be claimed, all that wait, and whether it is
 * paused, as of the newest transaction that changed it.  A claimer that gives
 * back its slot must look once more afterwards: a job accepted in between saw
 * no free slot.
 */
uint64_t ngx_async_shared_ready(ngx_uint_t queue);
uint64_t ngx_async_shared_waiting(ngx_uint_t queue);
ngx_uint_t ngx_async_shared_paused(ngx_uint_t queue);

/*
 * Nothing if no runner has the queue in its configuration.  True if it is news
 * that it is paused, or not any more: to one of all.
 */
ngx_uint_t ngx_async_shared_set_ready(ngx_str_t *name, uint64_t n,
    uint64_t waiting, ngx_uint_t paused, uint64_t txnid);


/* for ngx_async_db_share(); NULL: not mapped */
uint64_t *ngx_async_shared_durable(void);


/*
 * Which runners hold clients or streams that wait for a job: a counting
 * filter, so that a change is announced only to those that may care.
 */
void ngx_async_shared_watch(const ngx_async_id_t *id, ngx_int_t delta);
ngx_uint_t ngx_async_shared_watched(ngx_uint_t row, const ngx_async_id_t *id);


/*
 * A message to the runner of this row was lost; missed() is true once for it,
 * in the worker whose row it is.
 */
void ngx_async_shared_miss(ngx_uint_t row);
ngx_uint_t ngx_async_shared_missed(void);


/*
 * Responses that are coming to stored jobs, for workers other than the runner:
 * call() when one begins (total: its announced length, or 0), received() as
 * its bytes come, done() at its end, with what call() has returned; that is
 * 0 when the table is full.  progress() is NGX_OK if a response of
 * this job has begun at this runner, as far as the table tells.
 */
ngx_uint_t ngx_async_shared_call(const ngx_async_id_t *id, uint64_t total);
void ngx_async_shared_received(ngx_uint_t call, uint64_t received);
void ngx_async_shared_call_done(ngx_uint_t call);
ngx_int_t ngx_async_shared_progress(const ngx_async_id_t *id,
    const u_char *runner, uint64_t *received, uint64_t *total);


/*
 * Durations of finished calls per location (key: any string), in
 * milliseconds: a decaying estimate of the median and of the deviation.
 * expect() is 0 while there is no sample.
 */
void ngx_async_shared_sample(ngx_str_t *key, uint64_t duration);
uint64_t ngx_async_shared_expect(ngx_str_t *key);


/* counters for metrics, per queue, added up over all workers and time */
typedef enum {
    NGX_ASYNC_COUNT_ACCEPTED = 0,
    NGX_ASYNC_COUNT_SUCCEEDED,
    NGX_ASYNC_COUNT_FAILED,
    NGX_ASYNC_COUNT_CANCELED,
    NGX_ASYNC_COUNT_RETRIED,
    NGX_ASYNC_COUNT_REJECTED,
    NGX_ASYNC_COUNT_BYPASSED,
    NGX_ASYNC_COUNT_HELD,
    NGX_ASYNC_COUNT_EXPIRED,
    NGX_ASYNC_COUNT_CALLBACKS,
    NGX_ASYNC_COUNT_N
} ngx_async_count_e;

void ngx_async_shared_count(ngx_uint_t queue, ngx_uint_t what);
uint64_t ngx_async_shared_counted(ngx_uint_t queue, ngx_uint_t what);


#endif /* _NGX_ASYNC_SHARED_H_INCLUDED_ */
