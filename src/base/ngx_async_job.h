
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_JOB_H_INCLUDED_
#define _NGX_ASYNC_JOB_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"


/*
 * The record of a job, its legal state changes, and its encoding: one version
 * byte, numbers of as many bytes as they need, strings with their lengths.  The
 * request and the response themselves are blobs of the store (see store.h);
 * the record holds their lengths and what a status document needs.
 */

typedef enum {
    NGX_ASYNC_NOT_STARTED = 0,      /* in its queue, or between attempts */
    NGX_ASYNC_RUNNING,
    NGX_ASYNC_SUCCEEDED,
    NGX_ASYNC_FAILED,
    NGX_ASYNC_CANCELED
} ngx_async_status_e;

typedef enum {
    NGX_ASYNC_CALLBACK_NONE = 0,
    NGX_ASYNC_CALLBACK_PENDING,
    NGX_ASYNC_CALLBACK_DELIVERED,
    NGX_ASYNC_CALLBACK_FAILED
} ngx_async_callback_e;

#define NGX_ASYNC_HASH_LEN          32      /* SHA-256 */
#define NGX_ASYNC_RUNNER_LEN        16

/* job->flags */
#define NGX_ASYNC_JOB_KEY           0x01    /* "key" is set */
#define NGX_ASYNC_JOB_IDEMPOTENT    0x02    /* may be sent again when cut off */
#define NGX_ASYNC_JOB_REQUEST       0x04    /* the request blob is kept */
#define NGX_ASYNC_JOB_DIRECT        0x08    /* a direct call (async_pass) */
#define NGX_ASYNC_JOB_PROBE         0x10    /* probes a paused queue */
#define NGX_ASYNC_JOB_CALLBACK_FIXED  0x20  /* its URL was not the client's */

/* error codes of jobs that the module itself ended, else "http_<status>" */
#define NGX_ASYNC_MAX_CUTS          3


typedef struct {
    ngx_async_id_t  id;

    unsigned        status:3;               /* ngx_async_status_e */
    unsigned        callback_status:3;      /* ngx_async_callback_e */
    unsigned        flags:8;
    unsigned        urgency:3;              /* RFC 9218, 0 the most urgent */

    uint32_t        attempt;                /* 0 before the first one */
    uint32_t        cuts;                   /* attempts that were cut off */
    uint32_t        version;                /* +1 with every state change */

    /* milliseconds since the epoch, 0: not set */
    uint64_t        created;
    uint64_t        started;                /* of the current/last attempt */
    uint64_t        finished;
    uint64_t        expires;                /* set when finished */
    uint64_t        not_before;             /* start of the next attempt */
    uint64_t        queued;                 /* waits since then */
    uint64_t        queue_deadline;         /* fails with queue_timeout then */
    uint64_t        paused_until;           /* its queue, while it waits or is
                                               refused; not encoded */

    /* durations in milliseconds, as configured at submission */
    uint64_t        ttl;
    uint64_t        ttl_failed;
    uint64_t        keep_request;

    /* place in the queue: ordered by (urgency, turn, seq) */
    uint64_t        turn;
    uint64_t        seq;

    u_char          runner[NGX_ASYNC_RUNNER_LEN];   /* while running */
    u_char          key[NGX_ASYNC_HASH_LEN];
    u_char          fingerprint[NGX_ASYNC_HASH_LEN];

    /* the request blob: head_len bytes of snapshot, then the body */
    uint64_t        request_head_len;
    uint64_t        request_body_len;

    /* the response blob: head_len bytes of encoded head, then the body */
    uint32_t        response_status;        /* 0: there is no response */
    uint64_t        response_head_len;
    uint64_t        response_body_len;

    uint32_t        callback_attempts;
    uint64_t        callback_due;           /* next attempt, while pending */

    /* the store's: see ngx_async_db_clock.c */
    uint64_t        clock;
    uint32_t        boot;

    ngx_str_t       queue;
    ngx_str_t       per;                    /* value of the queue's per= */
    ngx_str_t       owner;
    ngx_str_t       server;                 /* key of the server */
    ngx_str_t       location;               /* key of the location in it */
    ngx_str_t       method;
    ngx_str_t       uri;                    /* with the query, as submitted */
    ngx_str_t       origin;                 /* "https://host" as submitted */
    ngx_str_t       jobs_uri;               /* absolute, ends with "/" */
    ngx_str_t       content_type;           /* of the response */
    ngx_str_t       etag;                   /* of the response, or empty */
    ngx_str_t       error_code;             /* when failed or canceled */
    ngx_str_t       error_message;
    ngx_str_t       callback_url;
    ngx_str_t       callback_error;         /* of its last attempt */
} ngx_async_job_t;


#define ngx_async_job_finished(job)  ((job)->status >= NGX_ASYNC_SUCCEEDED)

/* number of bytes that ngx_async_job_encode() will write */
size_t ngx_async_job_encoded_len(const ngx_async_job_t *job);

/* writes the record, returns its end */
u_char *ngx_async_job_encode(u_char *p, const ngx_async_job_t *job);

/*
 * Reads a record; its strings point into "data", which must outlive *job.
 * NGX_ERROR: truncated, of an unknown version, or with an impossible value.
 */
ngx_int_t ngx_async_job_decode(ngx_async_job_t *job, u_char *data, size_t len);

/*
 * Changes job->status and what follows from it (version, and of the times:
 * started on RUNNING; finished and expires on a final state).  NGX_ABORT: the
 * change is not legal and nothing was touched.  Legal are
 *     notStarted -> running | failed | canceled
 *     running    -> notStarted | succeeded | failed | canceled
 *     failed     -> notStarted            (POST J/retry)
 */
ngx_int_t ngx_async_job_change(ngx_async_job_t *job, ngx_uint_t status,
    uint64_t now);

/* "notStarted", "running", ...: the words of the status document */
extern ngx_str_t  ngx_async_job_status_names[];


#endif /* _NGX_ASYNC_JOB_H_INCLUDED_ */
