
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_direct_call.h"
#include "src/call/ngx_async_held.h"


/*
 * A response that is paused after so much of it keeps the next calls of its
 * location from sharing connections, until that many were short.
 */
#define NGX_ASYNC_DIRECT_LARGE  (1024 * 1024)
#define NGX_ASYNC_DIRECT_SHORT  16


static ngx_int_t ngx_async_direct_header(ngx_async_curl_t *t, u_char *p,
    size_t n);
static ngx_int_t ngx_async_direct_body(ngx_async_curl_t *t, u_char *p,
    size_t n);
static void ngx_async_direct_paused(ngx_async_direct_t *d);
static void ngx_async_direct_end(ngx_async_curl_t *t, CURLcode rc);
static ngx_uint_t ngx_async_direct_outcome(ngx_async_direct_t *d, CURLcode rc,
    const char **code);

static void ngx_async_direct_abort(ngx_async_run_t *run);
static void ngx_async_direct_resume(ngx_async_run_t *run);
static void ngx_async_direct_last(ngx_async_run_t *run);
static void ngx_async_direct_free(ngx_async_direct_t *d);


static const ngx_async_curl_handlers_t  ngx_async_direct_handlers = {
    ngx_async_direct_end,
    ngx_async_direct_header,
    ngx_async_direct_body,
    ngx_async_direct_read,
    ngx_async_direct_seek,
    NULL
};


ngx_int_t
ngx_async_direct_start(ngx_async_run_t *run)
{
    ngx_pool_t          *pool;
    ngx_async_direct_t  *d;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NGX_ERROR;
    }

    d = ngx_pcalloc(pool, sizeof(ngx_async_direct_t));
    if (d == NULL) {
        ngx_destroy_pool(pool);
        return NGX_ERROR;
    }

    d->run = run;
    d->pool = pool;

    d->transfer = ngx_async_curl_create(&ngx_async_direct_handlers, d);

    if (d->transfer == NULL
        || ngx_async_response_init(&d->response, pool) != NGX_OK
        || ngx_async_direct_request(d) != NGX_OK)
    {
        ngx_async_direct_free(d);
        return NGX_ERROR;
    }

    run->call = d;
    run->abort = ngx_async_direct_abort;
    run->resume = ngx_async_direct_resume;

    ngx_async_curl_start(d->transfer);

    return NGX_OK;
}


static ngx_int_t
ngx_async_direct_header(ngx_async_curl_t *t, u_char *p, size_t n)
{
    ngx_int_t            rc;
    const char          *why;
    ngx_async_direct_t  *d;

    d = t->data;

    rc = ngx_async_response_line(&d->response, p, n, &why);

    if (rc == NGX_AGAIN) {
        return NGX_OK;
    }

    if (rc == NGX_DECLINED) {
        d->code = "bad_response";
        d->message = why;
        return NGX_ERROR;
    }

    if (rc != NGX_OK) {
        return NGX_ERROR;
    }

    if (d->snapshot.err_status) {

        /* as ngx_http_send_header(): an error_page has led here */

        d->response.head.status = d->snapshot.err_status;
        ngx_str_null(&d->response.head.status_line);
    }

    d->run->job.etag = d->response.etag;

    d->busy = 1;
    rc = ngx_async_sink_head(d->run, &d->response.head, NULL);
    d->busy = 0;

    if (rc != NGX_OK) {
        d->aborted = 1;
    }

    return d->aborted ? NGX_ERROR : NGX_OK;
}


static ngx_int_t
ngx_async_direct_body(ngx_async_curl_t *t, u_char *p, size_t n)
{
    ngx_int_t            rc;
    ngx_async_direct_t  *d;

    d = t->data;

    /* a held client has not taken yet what it was given before */

    if (d->run->blocked) {
        ngx_async_direct_paused(d);
        return NGX_AGAIN;
    }

    d->busy = 1;
    rc = ngx_async_sink_data(d->run, p, n);
    d->busy = 0;

    if (rc == NGX_ABORT || rc == NGX_ERROR) {
        d->aborted = 1;
    }

    if (d->aborted) {
        return NGX_ERROR;
    }

    if (rc == NGX_AGAIN) {
        ngx_async_direct_paused(d);

    } else {
        d->received += n;
    }

    return rc;
}


/* what libcurl may keep of it meanwhile is bounded on a single connection */

static void
ngx_async_direct_paused(ngx_async_direct_t *d)
{
    if (d->received >= NGX_ASYNC_DIRECT_LARGE
        || d->response.head.content_length >= NGX_ASYNC_DIRECT_LARGE)
    {
        d->run->alcf->direct_large = NGX_ASYNC_DIRECT_SHORT;
    }
}


static void
ngx_async_direct_end(ngx_async_curl_t *t, CURLcode rc)
{
    size_t               len;
    u_char              *text;
    ngx_uint_t           end;
    const char          *code, *message;
    ngx_async_run_t     *run;
    ngx_async_direct_t  *d;

    d = t->data;
    run = d->run;

    if (rc == CURLE_OK && d->response.done) {

        if (d->received < NGX_ASYNC_DIRECT_LARGE && run->alcf->direct_large) {
            run->alcf->direct_large--;
        }

        ngx_async_direct_free(d);
        ngx_async_direct_last(run);
        ngx_async_sink_end(run, NGX_ASYNC_END_COMPLETE, NULL, NULL);
        return;
    }

    code = d->code;
    message = d->message;

    if (code == NULL) {
        code = ngx_async_curl_error(t, rc, &message);

        /* the text lies in the transfer */

        len = ngx_strlen(message) + 1;
        text = ngx_pnalloc(run->pool, len);

        if (text) {
            ngx_memcpy(text, message, len);
        }

        message = text ? (char *) text : "";
    }

    end = ngx_async_direct_outcome(d, rc, &code);

    ngx_async_direct_free(d);

    ngx_async_sink_end(run, end, code, message);
}


/* what another attempt may change is not final */

static ngx_uint_t
ngx_async_direct_outcome(ngx_async_direct_t *d, CURLcode rc, const char **code)
{
    ngx_async_run_t  *run;

    run = d->run;

    if (d->aborted) {
        return d->transfer->sent ? NGX_ASYNC_END_CUT : NGX_ASYNC_END_UNSENT;
    }

    if (d->code) {
        return NGX_ASYNC_END_FAILED;
    }

    if (!run->stored && !run->promising && !d->response.done) {

        /* nobody was promised another attempt: its client is told */

        return NGX_ASYNC_END_FAILED;
    }

    switch (rc) {

    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_URL_MALFORMAT:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
        return NGX_ASYNC_END_FAILED;

    default:
        break;
    }

    if (!d->transfer->sent) {

        /* it goes back to a queue that pauses, or when this side is short */

        if (d->transfer->starved
            || (run->queue && (run->queue->pause_on & NGX_ASYNC_COND_ERROR)))
        {
            return NGX_ASYNC_END_UNSENT;
        }

        run->unsent = 1;

        return ngx_async_retry_allowed(run, NGX_ASYNC_COND_ERROR)
               ? NGX_ASYNC_END_CUT : NGX_ASYNC_END_FAILED;
    }

    if (ngx_async_retry_cut(run)) {
        return NGX_ASYNC_END_CUT;
    }

    *code = "interrupted";

    return NGX_ASYNC_END_FAILED;
}


static void
ngx_async_direct_abort(ngx_async_run_t *run)
{
    ngx_uint_t           end;
    ngx_async_direct_t  *d;

    d = run->call;

    if (d->busy) {

        /* libcurl ends the transfer, which then ends the call */

        d->aborted = 1;
        return;
    }

    run->unsent = !d->transfer->sent;
    end = run->unsent ? NGX_ASYNC_END_UNSENT : NGX_ASYNC_END_CUT;

    ngx_async_direct_free(d);

    ngx_async_sink_end(run, end, "connection_lost",
                       "The call was stopped before it had ended.");
}


static void
ngx_async_direct_resume(ngx_async_run_t *run)
{
    ngx_async_direct_t  *d;

    d = run->call;

    /* what a held client has not taken is sent before anything new comes */

    if (run->held
        && ngx_async_held_begun(run->held)
        && ngx_async_held_chain(run->held, NULL) == NGX_AGAIN)
    {
        return;
    }

    run->blocked = 0;

    ngx_async_curl_resume(d->transfer);
}


/* the end of the body, which libcurl tells of without a buffer */

static void
ngx_async_direct_last(ngx_async_run_t *run)
{
    if (run->held && ngx_async_held_begun(run->held)) {
        ngx_async_held_last(run->held);
    }
}


static void
ngx_async_direct_free(ngx_async_direct_t *d)
{
    if (d->transfer) {
        ngx_async_curl_destroy(d->transfer);
    }

    ngx_async_direct_close(d);

    curl_slist_free_all(d->headers);

    ngx_destroy_pool(d->pool);
}
