
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_REPLAY_H_INCLUDED_
#define _NGX_ASYNC_REPLAY_H_INCLUDED_


#include "src/call/ngx_async_call.h"


/*
 * A replay is a request of this nginx without a client: on a connection that
 * has a descriptor which never becomes readable or writable, in the way of
 * nginx's own HTTP/2 streams.  The tail filter takes its response.
 */

typedef struct {
    ngx_http_connection_t   hc;         /* first: see ngx_async_replay_of() */

    ngx_async_run_t        *run;        /* NULL once the end was reported */
    ngx_async_job_t        *job;        /* once the run is gone, for the log */
    ngx_http_request_t     *request;
    ngx_http_handler_pt     content_handler;    /* behind our own */
    ngx_http_log_ctx_t      log_ctx;
    ngx_log_t               log;
    ngx_buf_t               header_in;
    ngx_proxy_protocol_t    proxy_protocol;
    ngx_chain_t            *tail;       /* early hints, trailers */

    unsigned                last:1;     /* the whole response was seen */
    unsigned                started:1;
    unsigned                entered:1;  /* the content phase was reached */
} ngx_async_replay_t;


/* opens the descriptor that all replays of this worker share */
ngx_int_t ngx_async_replay_init(ngx_cycle_t *cycle);
void ngx_async_replay_exit(ngx_cycle_t *cycle);

/* the replay whose request this is (or a subrequest of), or NULL */
ngx_async_replay_t *ngx_async_replay_of(ngx_http_request_t *r);

/*
 * In the precontent phase of every location that a replay is sent on to:
 * upstream timeouts are raised there, too.
 */
void ngx_async_replay_prepare_location(ngx_http_request_t *r);


/*
 * The numbers of a job and the name of its queue, for variables that are read
 * when the run is gone; NULL: no memory.
 */
ngx_async_job_t *ngx_async_replay_note(ngx_pool_t *pool,
    ngx_async_run_t *run);


/*
 * What is done to the header of a response of the module itself when all
 * filters of its location have run.
 */
void ngx_async_tail_finish_with(void (*finish)(ngx_http_request_t *r));

/* tail filter: where a held client's response enters its own request */
ngx_int_t ngx_async_tail_send_header(ngx_http_request_t *r);
ngx_int_t ngx_async_tail_output(ngx_http_request_t *r, ngx_chain_t *in);
ngx_int_t ngx_async_tail_early_hints(ngx_http_request_t *r);


#endif /* _NGX_ASYNC_REPLAY_H_INCLUDED_ */
