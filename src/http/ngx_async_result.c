
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_result.h"
#include "src/http/ngx_async_fields.h"
#include "src/http/ngx_async_reply.h"
#include "src/http/ngx_async_stream.h"
#include "src/call/ngx_async_replay.h"


/* a head is as large as an upstream's buffers let it be, never that large */

#define NGX_ASYNC_RESULT_HEAD_MAX  (16 * 1024 * 1024)


typedef struct {
    ngx_async_head_t   head;
    ngx_str_t          data;        /* encoded, in the pool */
    size_t             len;         /* read so far */
    uint32_t           attempt;
} ngx_async_result_t;


static void ngx_async_result_none(ngx_async_ask_t *ask);
static void ngx_async_result_head(ngx_async_ask_t *ask);
static void ngx_async_result_reread(ngx_async_ask_t *ask);
static void ngx_async_result_serve(ngx_async_ask_t *ask);
static void ngx_async_result_restore(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_result_last(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_result_body(ngx_async_ask_t *ask, off_t *start,
    off_t *end);
static void ngx_async_result_unsatisfiable(ngx_http_request_t *r);


void
ngx_async_result_send(ngx_async_ask_t *ask)
{
    ngx_async_job_t     *job;
    ngx_async_result_t  *result;

    job = &ask->op.found;

    if (job->response_status == 0) {
        ngx_async_result_none(ask);
        return;
    }

    result = ask->data;

    if (result != NULL
        && (result->attempt != job->attempt || !ngx_async_job_finished(job)))
    {
        /* it was run again while its head was read */

        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
        return;
    }

    if (result == NULL) {

        if (job->response_head_len > NGX_ASYNC_RESULT_HEAD_MAX) {
            ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
            return;
        }

        result = ngx_pcalloc(ask->request->pool, sizeof(ngx_async_result_t));
        if (result == NULL) {
            ngx_async_ask_finish(ask, NGX_ERROR);
            return;
        }

        /* variables read the header when the request is logged, still */

        result->data.len = job->response_head_len;
        result->data.data = ngx_pnalloc(ask->request->pool, result->data.len);
        if (result->data.data == NULL) {
            ngx_async_ask_finish(ask, NGX_ERROR);
            return;
        }

        result->attempt = job->attempt;
        ask->data = result;
    }

    if (result->len < result->data.len) {
        result->len = ngx_min(ask->op.blob.len, result->data.len);
        ngx_memcpy(result->data.data, ask->op.blob.data, result->len);

        if (result->len < result->data.len) {
            ngx_async_result_head(ask);
            return;
        }
    }

    ngx_async_result_serve(ask);
}


/* the head does not fit the first piece: reads the rest of it */

static void
ngx_async_result_head(ngx_async_ask_t *ask)
{
    ngx_async_result_t  *result;

    result = ask->data;

    ngx_async_ask_prepare(ask, NGX_ASYNC_OP_READ);

    ask->op.part = NGX_ASYNC_RESPONSE;
    ask->op.offset = result->len;
    ask->op.limit = ngx_min(result->data.len - result->len, NGX_ASYNC_PIECE);

    ngx_async_ask_submit(ask, ngx_async_result_reread);
}


static void
ngx_async_result_reread(ngx_async_ask_t *ask)
{
    size_t               n;
    ngx_async_result_t  *result;

    result = ask->data;

    if (ask->op.rc != NGX_OK || ask->op.blob.len == 0) {
        ngx_async_ask_problem(ask, ask->op.rc == NGX_DECLINED
                                   ? NGX_ASYNC_PROBLEM_NOT_FOUND
                                   : NGX_ASYNC_PROBLEM_STORE_FAILED);
        return;
    }

    n = ngx_min(ask->op.blob.len, result->data.len - result->len);
    ngx_memcpy(result->data.data + result->len, ask->op.blob.data, n);
    result->len += n;

    if (result->len < result->data.len) {
        ngx_async_result_head(ask);
        return;
    }

    /* its record once more, whose strings were in that buffer */

    ngx_async_ask_job(ask, ngx_async_result_send);
}


static void
ngx_async_result_serve(ngx_async_ask_t *ask)
{
    off_t                start, end;
    ngx_int_t            rc;
    ngx_uint_t           file;
    ngx_async_job_t     *job;
    ngx_async_result_t  *result;
    ngx_http_request_t  *r;

    r = ask->request;
    job = &ask->op.found;
    result = ask->data;

    if (ngx_async_head_decode(&result->head, r->pool, result->data.data,
                              result->data.len)
        != NGX_OK)
    {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "the stored response of a job is damaged");

        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_STORE_FAILED);
        return;
    }

    if (ask->held) {
        ngx_async_result_restore(ask);
        return;
    }

    if (ngx_async_fields_fill(r, job, &result->head) != NGX_OK) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    /* several ranges are cut from one buffer */

    file = ngx_async_stream_is_file(ask);

    if (!file
        && job->response_head_len + job->response_body_len > ask->op.blob.len)
    {
        r->single_range = 1;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_HTTP_RANGE_NOT_SATISFIABLE) {
        ngx_async_result_unsatisfiable(r);
    }

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_async_ask_finish(ask, rc);
        return;
    }

    if (file) {
        ngx_async_stream_file(ask);
        return;
    }

    if (ngx_async_result_body(ask, &start, &end) != NGX_OK) {
        ngx_async_ask_finish(ask, ngx_http_send_special(r, NGX_HTTP_LAST));
        return;
    }

    ngx_async_stream_start(ask, start, end);
}


/*
 * For a client that was held: as it would have come without the module.  The
 * filters of the location have run in the call.
 */

static void
ngx_async_result_restore(ngx_async_ask_t *ask)
{
    ngx_int_t            rc;
    ngx_async_job_t     *job;
    ngx_async_result_t  *result;
    ngx_http_request_t  *r;

    r = ask->request;
    job = &ask->op.found;
    result = ask->data;

    if (ngx_async_head_restore(r, &result->head, result->head.content_length)
        != NGX_OK
        || ngx_async_reply_id(r, job) != NGX_OK)
    {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    rc = ngx_async_tail_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_async_ask_finish(ask, rc);
        return;
    }

    if (job->response_body_len == 0) {
        ngx_async_ask_finish(ask, ngx_async_result_last(ask));
        return;
    }

    ngx_async_stream_start(ask, 0, job->response_body_len);
}


static ngx_int_t
ngx_async_result_last(ngx_async_ask_t *ask)
{
    ngx_buf_t    *b;
    ngx_chain_t   out;

    b = ngx_calloc_buf(ask->request->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last_buf = 1;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_async_ask_output(ask, &out);
}


/* which bytes of the body the filters have left to be sent */

static ngx_int_t
ngx_async_result_body(ngx_async_ask_t *ask, off_t *start, off_t *end)
{
    ngx_http_request_t  *r;

    r = ask->request;

    *start = 0;
    *end = ask->op.found.response_body_len;

    if (r->headers_out.status == NGX_HTTP_PARTIAL_CONTENT
        && r->headers_out.content_range != NULL)
    {
        *start = r->headers_out.content_offset;
        *end = *start + r->headers_out.content_length_n;
    }

    return (*start < *end) ? NGX_OK : NGX_DECLINED;
}


/* nginx's error page is not of the type that the response was */

static void
ngx_async_result_unsatisfiable(ngx_http_request_t *r)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (h->key.len > 8
            && ngx_strncasecmp(h->key.data, (u_char *) "Content-", 8) == 0
            && h != r->headers_out.content_range)
        {
            h->hash = 0;
        }
    }

    r->headers_out.content_encoding = NULL;
    r->headers_out.charset.len = 0;
}


/* the module ended the job itself */

static void
ngx_async_result_none(ngx_async_ask_t *ask)
{
    ngx_str_t           *code;
    ngx_uint_t           status;
    ngx_async_job_t     *job;
    ngx_http_request_t  *r;

    r = ask->request;
    job = &ask->op.found;
    code = &job->error_code;

    if (ask->held && ngx_async_reply_id(r, job) != NGX_OK) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    if (job->status == NGX_ASYNC_CANCELED) {

        if (!ask->held && ngx_async_fields_status(r, job, 0) != NGX_OK) {
            ngx_async_ask_finish(ask, NGX_ERROR);
            return;
        }

        ngx_async_ask_problem(ask, NGX_ASYNC_PROBLEM_CANCELED);
        return;
    }

    /* timeout, queue_timeout */

    status = (code->len >= 7
              && ngx_strncmp(code->data + code->len - 7, "timeout", 7) == 0)
             ? NGX_HTTP_GATEWAY_TIME_OUT : NGX_HTTP_BAD_GATEWAY;

    if (ask->held) {
        ngx_async_ask_finish(ask, ngx_async_problem_ended(r, status, status,
                                                          job));
        return;
    }

    if (ngx_async_fields_status(r, job,
                                ask->alcf->result_status_200 ? status : 0)
        != NGX_OK)
    {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ngx_async_ask_finish(ask, ngx_async_problem_ended(r,
                               ask->alcf->result_status_200 ? 200 : status,
                               status, job));
}
