
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_HELD_H_INCLUDED_
#define _NGX_ASYNC_HELD_H_INCLUDED_


#include "src/engine/ngx_async_run.h"


/*
 * A client's request that is held for the response of a call in this worker.
 * The structure lives in the request's pool; if the client goes away, it lets
 * go of the run by itself.
 */

struct ngx_async_held_s {
    ngx_http_request_t     *request;
    ngx_async_run_t        *run;        /* NULL: not attached */
    void                  (*left)(ngx_async_held_t *held);
                                        /* the wait is over: the client went
                                           away, or the response begins; or
                                           NULL */
    void                  (*ended)(ngx_async_held_t *held);
                                        /* the run ended without one, and its
                                           end is in the store if the job is;
                                           or NULL */
    ngx_int_t             (*starts)(ngx_async_held_t *held);
                                        /* the job that it waits for is about
                                           to run here; NGX_DECLINED: it is not
                                           held for that any more */
    void                   *data;
    ngx_rbtree_node_t       node;       /* while awaiting */
    ngx_async_id_t          id;
    ngx_buf_t              *buf;        /* of a direct call: what is sent */
    ngx_uint_t             *gone;
    unsigned                begun:1;    /* the response has begun */
    unsigned                entering:1; /* its request's phases are running:
                                           they may not lose it */
    unsigned                awaiting:1; /* a job that is in the store */
};


#define ngx_async_held_begun(held)  (held)->begun


/* registers the undo; NGX_ERROR: no memory */
ngx_int_t ngx_async_held_init(ngx_async_held_t *held, ngx_http_request_t *r);

void ngx_async_held_attach(ngx_async_held_t *held, ngx_async_run_t *run);
void ngx_async_held_detach(ngx_async_held_t *held);

/*
 * The client waits for a job that is in the store.  When that begins to run in
 * this worker, and nobody else is attached to its run, starts() is called, and
 * the client attached.
 */
void ngx_async_held_await(ngx_async_held_t *held, const ngx_async_id_t *id);
void ngx_async_held_forgo(ngx_async_held_t *held);      /* idempotent */

/* the run of a stored job is about to start its call */
void ngx_async_held_meet(ngx_async_run_t *run);

/*
 * Gives the client the head of the response: that of a replay's request, or
 * (cr NULL) an encoded one.  NGX_ERROR: the client is gone.
 */
ngx_int_t ngx_async_held_head(ngx_async_held_t *held, ngx_http_request_t *cr,
    ngx_async_head_t *h);

/* 103, of a replay; where nginx has it */
void ngx_async_held_early_hints(ngx_async_held_t *held,
    ngx_http_request_t *cr);

/*
 * NGX_OK, NGX_AGAIN (not all is sent: run->resume is called when there is
 * room) or NGX_ERROR: the client is gone, nothing was consumed for it.
 */
ngx_int_t ngx_async_held_chain(ngx_async_held_t *held, ngx_chain_t *in);

/*
 * The same for n bytes, which are copied.  After NGX_AGAIN only when it has
 * returned NGX_OK for NULL again.
 */
ngx_int_t ngx_async_held_data(ngx_async_held_t *held, u_char *p, size_t n);

/* the end of the body of a direct call */
void ngx_async_held_last(ngx_async_held_t *held);

/* true if the client has not sent all it was given */
ngx_uint_t ngx_async_held_busy(ngx_async_held_t *held);

/* finalizes the client's request */
void ngx_async_held_finalize(ngx_async_held_t *held, ngx_int_t rc);

/*
 * The call is over, its request still there.  A response that is not complete
 * closes the client's connection, as nginx does.
 */
void ngx_async_held_end(ngx_async_held_t *held, ngx_uint_t complete);

/*
 * Before a client's request is finalized: it is complete, and its post_action
 * is that of the call.
 */
void ngx_async_held_no_action(ngx_http_request_t *r);


#endif /* _NGX_ASYNC_HELD_H_INCLUDED_ */
