
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_RUN_H_INCLUDED_
#define _NGX_ASYNC_RUN_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_head.h"
#include "src/engine/ngx_async_discard.h"


/*
 * A run: one attempt of a job's call in this worker, from the slot of its
 * queue that it holds to the end of the attempt in the store.  It owns its
 * memory and outlives both the submission and the call's request.
 *
 * A call (a replay or a direct call) is started by the run and reports to
 * its sink:
 *
 *     ngx_async_sink_head()    once, when the response begins
 *     ngx_async_sink_data()    any number of times; or
 *     ngx_async_sink_chain()   for a replay
 *     ngx_async_sink_end()     once, always; the call must then not touch the
 *                              run again, which may be gone
 */

typedef struct ngx_async_run_s  ngx_async_run_t;
typedef struct ngx_async_held_s  ngx_async_held_t;

typedef enum {
    NGX_ASYNC_END_COMPLETE = 0,     /* the whole response was given */
    NGX_ASYNC_END_CUT,              /* sent, but no whole response came */
    NGX_ASYNC_END_UNSENT,           /* nothing was sent to the backend */
    NGX_ASYNC_END_FAILED            /* ends failed with code and message */
} ngx_async_end_e;

typedef void (*ngx_async_run_pt)(ngx_async_run_t *run);

typedef void (*ngx_async_pieces_pt)(ngx_async_run_t *run, ngx_int_t rc,
    ngx_err_t err);

typedef struct {
    ngx_async_op_t              op;
    ngx_async_run_t            *run;
    ngx_async_pieces_pt         handler;    /* when it was written */
    size_t                      size;
    u_char                     *data;       /* ngx_alloc()ed */
} ngx_async_piece_t;

typedef enum {
    NGX_ASYNC_SINK_UNDECIDED = 0,   /* no response yet, or a promise is on */
    NGX_ASYNC_SINK_HELD,            /* to the held client alone */
    NGX_ASYNC_SINK_STORE,           /* to the store, and to a held client */
    NGX_ASYNC_SINK_DISCARD          /* nobody will ever ask for it */
} ngx_async_sink_e;


/*
 * The life of a run, from top to bottom.  A flag that was set on the way stays
 * set, but for promising.
 *
 *     waits for                  stored  linked  ended  finishing
 *     ACCEPT of a submission     -       -       -      -
 *     its request, of a CLAIM    yes     yes     -      -
 *     the call                   maybe   yes     -      -
 *     pieces, or the promise     maybe   yes     yes    -
 *     FINISH or REQUEUE          yes     maybe   maybe  yes
 *     the request of a replay    maybe   -       yes    yes     freed, lent
 *
 * "promising" goes with a call, and may outlast it: the job is being stored
 * for its held client.  A run that is not stored then is forgotten at its end
 * instead of finished; so is one that is canceled, whose job has ended.  One
 * that cannot start is finished without having been linked (its location is
 * gone) or without having ended (its request is lost).
 *
 * "slot" is set from the first line on, or never for a job that is accepted
 * into its queue, to "finishing": the next claim follows the end of the
 * attempt to the store.
 */

struct ngx_async_run_s {
    ngx_rbtree_node_t           node;       /* of ngx_async_runs */

    ngx_pool_t                 *pool;       /* the run is in it */
    ngx_async_job_t             job;        /* strings live with the run */
    ngx_async_loc_conf_t       *alcf;
    ngx_async_queue_t          *queue;

    /* the request: blob is the snapshot and, unless body_fd is set, the body */
    ngx_str_t                   blob;       /* ngx_alloc()ed, or in op.buf */
    ngx_str_t                   body;       /* in memory; in blob */
    ngx_fd_t                    body_fd;    /* NGX_INVALID_FILE: none */
    off_t                       body_len;
    ngx_str_t                   body_name;  /* of body_fd, or empty */
    ngx_async_file_t           *body_file;  /* of the store, while stored */

    /* the call */
    ngx_async_run_pt            abort;      /* stops the call: it then calls
                                               ngx_async_sink_end() */
    ngx_async_run_pt            resume;     /* the sink takes data again */
    void                       *call;       /* the call's own */
    ngx_event_t                 timer;      /* async_timeout */
    uint64_t                    started;

    /* the response */
    ngx_uint_t                  sink;       /* ngx_async_sink_e */
    ngx_async_piece_t          *piece;      /* being filled */
    ngx_uint_t                  npieces;    /* being written */
    uint64_t                    offset;     /* of piece in the blob */
    ngx_async_file_t           *file;       /* the blob is there, or NULL */
    uint64_t                    received;   /* bytes of the body */
    uint64_t                    total;      /* announced; 0: not known */
    ngx_uint_t                  shown;      /* to other workers; or 0 */

    ngx_http_request_t         *request;    /* of a replay, while it lasts */
    ngx_str_t                   head;       /* of the response, encoded */
    ngx_str_t                   answer;     /* status line of a failure */
    ngx_chain_t                *waiting;    /* not taken yet; in its pool */
    ngx_chain_t                *passed;     /* to a held client, which has
                                               not sent all of it */
    const char                 *code;       /* error.code and error.message */
    const char                 *message;    /* of a call that failed */
    uint64_t                    retry_after;    /* the upstream's, ms */
    ngx_uint_t                  cond;       /* NGX_ASYNC_COND_* it ended by */
    ngx_uint_t                  dead;       /* status of no upstream, or 0 */

    ngx_async_held_t           *held;       /* a held client, or NULL */

    ngx_async_op_t              op;         /* accept, promise, claim, finish */
    ngx_str_t                   buf;        /* what a claim returned */

    ngx_async_discard_t        *discard;    /* of what is staged, or NULL */

    ngx_event_t                 retry;      /* of a finish that failed */
    ngx_async_run_pt            accepted;   /* of op, for the submission */

    unsigned                    end:4;      /* ngx_async_end_e */
    unsigned                    body_borrowed:1;    /* body_fd is not ours */
    unsigned                    own_blob:1; /* blob is ngx_alloc()ed */
    unsigned                    slot:1;     /* holds a slot of the queue */
    unsigned                    missed:1;   /* by the last check */

    /* how far it is: see above */
    unsigned                    stored:1;   /* the store knows the job */
    unsigned                    staged:1;   /* pieces of the request, no job */
    unsigned                    promising:1;
    unsigned                    linked:1;   /* node is in the tree */
    unsigned                    headed:1;   /* the response has begun */
    unsigned                    ended:1;    /* sink_end was called */
    unsigned                    finishing:1;
    unsigned                    lent:1;     /* a replay's request has strings
                                               of blob and the body */
    unsigned                    freed:1;    /* but for what is lent */

    /* of the response that is taken */
    unsigned                    blocked:1;  /* the call waits for resume */
    unsigned                    uncopied:1; /* what waits is not stored yet */

    /* why it ends: the first one of these that is set */
    unsigned                    canceled:1;
    unsigned                    failed:1;   /* code and message are set */
    unsigned                    timedout:1;
    unsigned                    retried:1;  /* this response is for nobody */
    unsigned                    dropped:1;  /* no response can be stored */

    /* what that means for another attempt */
    unsigned                    starved:1;  /* could not start, on our side */
    unsigned                    unsent:1;   /* no upstream was ever reached */
};


/*
 * The response begins.  For a direct call h is the head; for a replay (r is
 * its request, h is NULL) it is r->headers_out.  NGX_OK, or NGX_ABORT: stop
 * the call, end follows as usual.
 */
ngx_int_t ngx_async_sink_head(ngx_async_run_t *run, ngx_async_head_t *h,
    ngx_http_request_t *r);

/*
 * Takes n bytes of the body (copied).  NGX_OK: taken.  NGX_AGAIN: nothing was
 * taken, run->resume will be called.  NGX_ABORT as above.
 */
ngx_int_t ngx_async_sink_data(ngx_async_run_t *run, u_char *p, size_t n);

/*
 * The same for bufs in memory of a replay; what was taken has pos == last.
 * NGX_AGAIN: some are left (or are being sent to a held client); links to them
 * are kept in memory of "pool", and the next call may have no new bufs.
 */
ngx_int_t ngx_async_sink_chain(ngx_async_run_t *run, ngx_pool_t *pool,
    ngx_chain_t *in);

/*
 * The attempt is over.  code and message (static or copied by the callee) are
 * error.code and error.message if the job fails because of it; may be NULL
 * for COMPLETE, CUT and TIMEOUT.
 */
void ngx_async_sink_end(ngx_async_run_t *run, ngx_uint_t end,
    const char *code, const char *message);

/* the held client is gone: what it has not taken is taken, the call goes on */
void ngx_async_sink_left(ngx_async_run_t *run);

/* a promise was kept (stored) or could not be: what was held back goes on */
void ngx_async_sink_decide(ngx_async_run_t *run);

/* the message of a response that could not be stored, though there is room */
const char *ngx_async_sink_failure(ngx_async_run_t *run, ngx_err_t err);

void ngx_async_sink_free(ngx_async_run_t *run);


/*
 * A new run with memory of its own; job is zeroed.  NULL: no memory.
 */
ngx_async_run_t *ngx_async_run_create(ngx_async_loc_conf_t *alcf,
    ngx_log_t *log);

/* frees a run whose call is over (or never began) and whose op is done */
void ngx_async_run_free(ngx_async_run_t *run);

/* the request of a replay is gone, and with it what points to the blob */
void ngx_async_run_returned(ngx_async_run_t *run);

/* starts the call; a call that cannot be started ends the attempt */
void ngx_async_run_start(ngx_async_run_t *run);

/*
 * Starts a run from a CLAIM that completed with NGX_OK; takes over op->buf.
 * NGX_ERROR: there is no memory for it.
 */
ngx_int_t ngx_async_run_claimed(ngx_async_op_t *op, ngx_async_queue_t *queue);

/*
 * Makes the run end as failed with code and message (static), without a
 * response.  Who gives the sink the response learns of it by NGX_ABORT.
 */
void ngx_async_run_fail(ngx_async_run_t *run, const char *code,
    const char *message);

/* the attempt is over: stores its outcome, then gives the slot back */
void ngx_async_run_finish(ngx_async_run_t *run);

/* stores a run that has no job yet as running: for its held client's 202 */
void ngx_async_run_promise(ngx_async_run_t *run, ngx_async_run_pt accepted);

/*
 * Before a response is taken: true if it is for nobody, because async_retry
 * or the queue's pause_on lets the job be run again.  r: see sink_head().
 */
ngx_uint_t ngx_async_retry_response(ngx_async_run_t *run,
    ngx_async_head_t *h, ngx_http_request_t *r);

/*
 * 502 or 504 if the upstream that a replay tried last gave no response, so that
 * this one is the location's own, or its error_page's; else 0.
 */
ngx_uint_t ngx_async_retry_dead(ngx_http_request_t *r);

/*
 * At the end of an attempt, with run->op prepared: true if it becomes a
 * REQUEUE.  Sets op.pause_until in any case.
 */
ngx_uint_t ngx_async_retry_attempt(ngx_async_run_t *run);

/*
 * True if async_retry allows another attempt after this condition
 * (NGX_ASYNC_COND_*), by its tries, the method rule and run->unsent.
 */
ngx_uint_t ngx_async_retry_allowed(ngx_async_run_t *run, ngx_uint_t cond);

/*
 * True if a call that was cut off is repeated: as async_retry says, if it has
 * "error", else by the method rule, NGX_ASYNC_MAX_CUTS times.
 */
ngx_uint_t ngx_async_retry_cut(ngx_async_run_t *run);


#endif /* _NGX_ASYNC_RUN_H_INCLUDED_ */
