
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_REPLY_H_INCLUDED_
#define _NGX_ASYNC_REPLY_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * What the module itself writes: problems (RFC 9457), status documents, 202
 * and 303, with their headers.  All of these have Cache-Control: no-store.
 */

typedef enum {
    NGX_ASYNC_PROBLEM_CALLBACK = 0,     /* 400 callback not allowed */
    NGX_ASYNC_PROBLEM_KEY,              /* 400 malformed Idempotency-Key */
    NGX_ASYNC_PROBLEM_KEY_REUSED,       /* 422 */
    NGX_ASYNC_PROBLEM_PER_FULL,         /* 429 */
    NGX_ASYNC_PROBLEM_QUEUE_FULL,       /* 503 */
    NGX_ASYNC_PROBLEM_STORE_FULL,       /* 503 */
    NGX_ASYNC_PROBLEM_STORE_FAILED,     /* 500 */
    NGX_ASYNC_PROBLEM_DIRECT_CALL,      /* 500 async_pass gives no URL */
    NGX_ASYNC_PROBLEM_NOT_FOUND,        /* 404 */
    NGX_ASYNC_PROBLEM_METHOD,           /* 405 */
    NGX_ASYNC_PROBLEM_CROSS_SITE,       /* 403 */
    NGX_ASYNC_PROBLEM_FINISHED,         /* 409 cancel */
    NGX_ASYNC_PROBLEM_NOT_RETRYABLE,    /* 409 retry */
    NGX_ASYNC_PROBLEM_CANCELED,         /* 404 result of a canceled job */
    NGX_ASYNC_PROBLEM_NO_RESPONSE,      /* 502 or 504 result */
    NGX_ASYNC_PROBLEM_CURSOR            /* 400 list */
} ngx_async_problem_e;


/*
 * Sends a problem (a page if a browser navigates) and returns what a content
 * handler returns; error_page does not apply.  "detail" may be NULL: then the
 * problem's own text.  retry_after in seconds, 0: none.
 */
ngx_int_t ngx_async_reply_problem(ngx_http_request_t *r, ngx_uint_t problem,
    ngx_str_t *detail, ngx_uint_t retry_after);

/*
 * The answer to a submission whose job is durable: 202 with the status
 * document and its headers, or with "redirect" 303 to J/wait, or for a
 * navigation 303 to J.  "preferred": add Preference-Applied: respond-async.
 */
ngx_int_t ngx_async_reply_accepted(ngx_http_request_t *r,
    ngx_async_job_t *job, ngx_uint_t redirect, ngx_uint_t preferred);

/* adds a response header; value is not copied; NGX_ERROR: no memory */
ngx_int_t ngx_async_reply_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value);



/*
 * For the job resources.
 */

/* a header field of the module or of a stored response, see unique() */
#define NGX_ASYNC_REPLY_HASH  2

/*
 * Sends a whole response with Cache-Control: no-store, in a jobs location
 * with the security headers too.  The body is not copied.
 */
ngx_int_t ngx_async_reply_send(ngx_http_request_t *r, ngx_uint_t status,
    const char *content_type, ngx_str_t *body);

/* as ngx_async_reply_header(); NULL: no memory */
ngx_table_elt_t *ngx_async_reply_push(ngx_http_request_t *r, ngx_str_t *key,
    ngx_str_t *value);

/* what everything under J has; NGX_ERROR: no memory */
ngx_int_t ngx_async_reply_guard(ngx_http_request_t *r);

/* a header field with the URL of a job resource: suffix "", "/result", ... */
ngx_int_t ngx_async_reply_link(ngx_http_request_t *r, const char *name,
    ngx_async_job_t *job, const char *suffix);

/* "https://host", as the client has it, in memory of the pool */
ngx_int_t ngx_async_reply_origin(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *origin);

/* Async-Id */
ngx_int_t ngx_async_reply_id(ngx_http_request_t *r, ngx_async_job_t *job);

ngx_int_t ngx_async_reply_retry_after(ngx_http_request_t *r,
    ngx_uint_t seconds);

/* 303 to a resource of the job */
ngx_int_t ngx_async_reply_see(ngx_http_request_t *r, ngx_async_job_t *job,
    const char *suffix);

/*
 * Problem no-response of a job that has ended without one.  "status" is in
 * the document, "sent" is the status of the reply.
 */
ngx_int_t ngx_async_problem_ended(ngx_http_request_t *r, ngx_uint_t sent,
    ngx_uint_t status, ngx_async_job_t *job);

/*
 * Removes from r->headers_out, below all filters of the location, what they
 * added a second time: a stored response has been through its own location's
 * add_header already, and caching of a job is not for "expires" to decide.
 */
void ngx_async_reply_unique(ngx_http_request_t *r);


#endif /* _NGX_ASYNC_REPLY_H_INCLUDED_ */
