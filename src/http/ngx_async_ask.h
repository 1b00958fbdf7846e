
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_ASK_H_INCLUDED_
#define _NGX_ASYNC_ASK_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/engine/ngx_async_watch.h"
#include "src/http/ngx_async_document.h"
#include "src/http/ngx_async_shutdown.h"


/*
 * An ask: one client request for a job resource, while the store works for
 * it or while it is held.
 *
 * A client may leave at any moment, and its request is then freed at once,
 * while an operation belongs to the store until it is completed.  So an ask
 * has memory of its own and lives as long as the longer of the two.  No
 * handler of an ask is called once its request is being closed.
 */

typedef struct ngx_async_ask_s  ngx_async_ask_t;

typedef void (*ngx_async_ask_pt)(ngx_async_ask_t *ask);

/* what variables tell of the job, op.found being gone by then */

typedef struct {
    ngx_uint_t             status;
    uint32_t               attempt;
    uint64_t               created;     /* 0: no job, or not for this client */
    uint64_t               started;
    uint64_t               finished;
    ngx_str_t              queue;
} ngx_async_ask_note_t;

struct ngx_async_ask_s {
    ngx_http_request_t    *request;     /* NULL: it has been freed */
    ngx_async_loc_conf_t  *alcf;

    ngx_async_op_t         op;
    ngx_async_ask_pt       handler;     /* when op is completed */
    ngx_async_ask_pt       answer;      /* with the job, if it may be seen */
    ngx_queue_t            queue;       /* before a read of a response */

    ngx_async_id_t         id;
    ngx_str_t              owner;       /* in the request's pool */
    ngx_async_ask_note_t   note;

    /* who is held until the job changes: see ngx_async_wait.h */
    ngx_async_watch_t      watch;
    ngx_async_shutdown_t   shutdown;
    ngx_event_t            timer;
    ngx_async_ask_pt       waiter;
    uint64_t               received;
    uint64_t               total;

    void                  *data;        /* of the resource; in the pool */
    void                  *memory;      /* what op refers to; freed with it */

    unsigned               want_position:1;
    unsigned               want_response:1;
    unsigned               navigation:1;
    unsigned               progress:1;  /* received and total are known */
    unsigned               busy:1;      /* op is with the store */
    unsigned               queued:1;
    unsigned               reading:1;   /* counts as read of a response */
    unsigned               closed:1;
    unsigned               changed:1;
    unsigned               held:1;      /* gets the response as it was */
    unsigned               over:1;      /* is answered whatever the state */
    unsigned               last:1;      /* this is the last look at it */
};


/* for a request that then returns NGX_DONE; NULL: no memory */
ngx_async_ask_t *ngx_async_ask_create(ngx_http_request_t *r);

/* the ask of a request, in its event handlers and in the log; or NULL */
ngx_async_ask_t *ngx_async_ask_get(ngx_http_request_t *r);

/* clears the operation, for the job of the ask, and frees what it returned */
void ngx_async_ask_prepare(ngx_async_ask_t *ask, ngx_uint_t type);

/* gives the operation to the store */
void ngx_async_ask_submit(ngx_async_ask_t *ask, ngx_async_ask_pt handler);

/*
 * Gets the job and calls the handler with it in op.found, with what the
 * want_* bits ask for.  If there is no such job, or not for this client, the
 * request is answered so and the handler is not called.
 */
void ngx_async_ask_job(ngx_async_ask_t *ask, ngx_async_ask_pt handler);

/*
 * The client is to be kept waiting: from now on its leaving is noticed.  It
 * may be noticed at once, so the ask must not be used afterwards.
 */
void ngx_async_ask_hold(ngx_async_ask_t *ask);

/* write event handler of a request that is held: its client may leave */
void ngx_async_ask_writing(ngx_http_request_t *r);

/* the request goes on without the ask, no handler of which is called again */
void ngx_async_ask_drop(ngx_async_ask_t *ask);

/* changes of the job and time do not matter any more */
void ngx_async_ask_quiet(ngx_async_ask_t *ask);

/* the request is answered; rc is what a content handler returns */
void ngx_async_ask_finish(ngx_async_ask_t *ask, ngx_int_t rc);
void ngx_async_ask_problem(ngx_async_ask_t *ask, ngx_uint_t problem);

/* to the client, past all filters if it gets the response as it was */
ngx_int_t ngx_async_ask_output(ngx_async_ask_t *ask, ngx_chain_t *in);

/*
 * For those who send a body bit by bit.  After each output: the client's
 * timeout runs while bytes wait (NGX_AGAIN) and does not else (NGX_OK).
 */
ngx_int_t ngx_async_ask_sent(ngx_async_ask_t *ask);

/*
 * In a write event handler: passes on bytes that wait.  NGX_DONE: there is
 * nothing more to do now, or ever.
 */
ngx_int_t ngx_async_ask_resume(ngx_async_ask_t *ask);

/* what is known of the job in op.found */
void ngx_async_ask_document(ngx_async_ask_t *ask, ngx_async_document_t *d);

/* sends the status document of op.found and finishes the ask */
ngx_int_t ngx_async_ask_send_document(ngx_async_ask_t *ask, ngx_uint_t status);


#endif /* _NGX_ASYNC_ASK_H_INCLUDED_ */
