
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_json.h"
#include "src/http/ngx_async_page.h"
#include "src/base/ngx_async_prefer.h"


#define NGX_ASYNC_PROBLEM_TYPE  "urn:ngx-async:problem:"


typedef struct {
    const char  *name;
    ngx_uint_t   status;
    const char  *title;
    const char  *detail;
} ngx_async_problem_t;


static ngx_int_t ngx_async_problem_send(ngx_http_request_t *r,
    ngx_async_problem_t *problem, ngx_uint_t sent, ngx_str_t *detail,
    ngx_str_t *code);
static void ngx_async_problem_write(ngx_async_json_t *j,
    ngx_async_problem_t *problem, ngx_str_t *detail, ngx_str_t *code);


/* in the order of ngx_async_problem_e */

static ngx_async_problem_t  ngx_async_problems[] = {

    { "callback", 400, "Callback not allowed",
      "The callback URL is malformed, or not one that this server may call." },

    { "key", 400, "Malformed idempotency key",
      "Send the idempotency key as a non-empty quoted string, or bare." },

    { "key-reused", 422, "Idempotency key reused",
      "This idempotency key belongs to a job with another method, URI or "
      "body. Use a new key for a new request." },

    { "per-full", 429, "Too many jobs",
      "Your share of the queue is full. Try again when some of your jobs "
      "have finished." },

    { "queue-full", 503, "Queue full",
      "The backlog of the queue is full. Nothing was accepted; try again "
      "later." },

    { "store-full", 503, "Store full",
      "There is no room to keep another job. Nothing was accepted; try "
      "again later." },

    { "store-failed", 500, "Store failed",
      "The job store did not answer as it should. Try again later; the "
      "server's error log has the reason." },

    { "direct-call", 500, "Unusable backend URL",
      "\"async_pass\" or \"async_set_header\" of this location give no usable "
      "URL or header for this request. The server's error log has the "
      "reason." },

    { "not-found", 404, "Not found",
      "There is no such job here. It may have expired." },

    { "method", 405, "Method not allowed",
      "Use one of the methods that the Allow header names." },

    { "cross-site", 403, "Cross-site request refused",
      "A page of another site must not change jobs." },

    { "finished", 409, "Already finished",
      "The job has finished and cannot be canceled. DELETE forgets it and "
      "its result." },

    { "not-retryable", 409, "Not retryable",
      "Only a failed job whose request is kept can be run again." },

    { "canceled", 404, "Canceled",
      "The job was canceled, and has no result. Its call may have had an "
      "effect before that: submit the request as a new one only if it may be "
      "run once more." },

    { "no-response", 502, "No response",
      "The job ended without a response." },

    { "cursor", 400, "Malformed query",
      "Use the URL that \"next\" of the page before gives." }
};


ngx_int_t
ngx_async_reply_problem(ngx_http_request_t *r, ngx_uint_t problem,
    ngx_str_t *detail, ngx_uint_t retry_after)
{
    if (retry_after != 0
        && ngx_async_reply_retry_after(r, retry_after) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_async_problem_send(r, &ngx_async_problems[problem],
                                  ngx_async_problems[problem].status, detail,
                                  NULL);
}


ngx_int_t
ngx_async_problem_ended(ngx_http_request_t *r, ngx_uint_t sent,
    ngx_uint_t status, ngx_async_job_t *job)
{
    ngx_async_problem_t  problem;

    problem = ngx_async_problems[NGX_ASYNC_PROBLEM_NO_RESPONSE];
    problem.status = status;

    return ngx_async_problem_send(r, &problem, sent, &job->error_message,
                                  &job->error_code);
}


static ngx_int_t
ngx_async_problem_send(ngx_http_request_t *r, ngx_async_problem_t *problem,
    ngx_uint_t sent, ngx_str_t *detail, ngx_str_t *code)
{
    ngx_str_t         body, text;
    ngx_async_json_t  j;

    text.data = (u_char *) problem->detail;
    text.len = ngx_strlen(problem->detail);

    if (detail == NULL || detail->len == 0) {
        detail = &text;
    }

    if (ngx_async_prefer_navigation(r)) {
        return ngx_async_page_problem(r, sent, problem->title, detail);
    }

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    ngx_async_problem_write(&j, problem, detail, code);

    body.len = j.len;
    body.data = ngx_pnalloc(r->pool, j.len);
    if (body.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    j.pos = body.data;
    ngx_async_problem_write(&j, problem, detail, code);

    return ngx_async_reply_send(r, sent, "application/problem+json", &body);
}


static void
ngx_async_problem_write(ngx_async_json_t *j, ngx_async_problem_t *problem,
    ngx_str_t *detail, ngx_str_t *code)
{
    ngx_str_t  type, none;

    ngx_str_set(&type, NGX_ASYNC_PROBLEM_TYPE);
    ngx_str_null(&none);

    ngx_async_json_open(j, NULL, '{');
    ngx_async_json_link(j, "type", &type, &none, problem->name);
    ngx_async_json_text(j, "title", problem->title);
    ngx_async_json_number(j, "status", problem->status);
    ngx_async_json_string(j, "detail", detail);

    if (code != NULL && code->len != 0) {
        ngx_async_json_string(j, "code", code);
    }

    ngx_async_json_close(j, '}');
}
