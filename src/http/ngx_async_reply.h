
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


#endif /* _NGX_ASYNC_REPLY_H_INCLUDED_ */
