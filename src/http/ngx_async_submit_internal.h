
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SUBMIT_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_SUBMIT_INTERNAL_H_INCLUDED_


#include "src/http/ngx_async_submit.h"


/*
 * The parts of a submission, each in a file of its own.
 */

/* its fingerprint (submit_hash.c): true if it has to be made in a thread */
ngx_uint_t ngx_async_submit_must_hash(ngx_async_submit_t *s);

/* makes it, and goes on with ngx_async_submit_start() */
ngx_int_t ngx_async_submit_hash(ngx_async_submit_t *s);

/* the client has left: nobody waits for it any more */
void ngx_async_submit_unhash(ngx_async_submit_t *s);

/* the submission has all that a job needs (submit.c) */
void ngx_async_submit_start(ngx_async_submit_t *s);

/*
 * Fills run from the request: record, snapshot and body (submit_job.c).
 * NGX_ABORT: the client's key is malformed; NGX_DECLINED: "async_pass" or
 * "async_set_header" give what cannot be sent, which was logged.
 */
ngx_int_t ngx_async_submit_fill(ngx_async_submit_t *s, ngx_async_run_t *run);

/* a body's file goes with the client's request again, not with the run */
void ngx_async_submit_return_file(ngx_async_submit_t *s,
    ngx_async_run_t *run);

/* the request is staged: accepts the job (submit_accept.c) */
void ngx_async_submit_staged(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full);

/*
 * Its client (submit_hold.c).  From hold() on it may leave, and time passes;
 * release() ends that.
 */
void ngx_async_submit_hold(ngx_async_submit_t *s);
void ngx_async_submit_release(ngx_async_submit_t *s);

/* holds it for a job that is in the store, here or in another worker */
void ngx_async_submit_wait(ngx_async_submit_t *s, ngx_async_job_t *job);

/* handlers of ngx_async_held_t */
void ngx_async_submit_left(ngx_async_held_t *held);
void ngx_async_submit_ended(ngx_async_held_t *held);

/* the answer (submit_answer.c) */
void ngx_async_submit_note(ngx_async_submit_t *s, ngx_async_job_t *job);
void ngx_async_submit_reply(ngx_async_submit_t *s, ngx_async_job_t *job);
void ngx_async_submit_problem(ngx_async_submit_t *s, ngx_uint_t problem,
    ngx_uint_t retry_after);
void ngx_async_submit_bypass(ngx_async_submit_t *s, const char *reason);
void ngx_async_submit_finalize(ngx_async_submit_t *s, ngx_int_t rc);


#endif /* _NGX_ASYNC_SUBMIT_INTERNAL_H_INCLUDED_ */
