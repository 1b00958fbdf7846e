
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_run.h"
#include "src/engine/ngx_async_pieces.h"
#include "src/base/ngx_async_reason.h"
#include "src/call/ngx_async_held.h"
#include "src/store/ngx_async_shared.h"
#include "src/engine/ngx_async_watch.h"


/*
 * Where the response of a call goes: to a held client, to the store, to both,
 * or nowhere.  It is decided when the response begins; a promise that is on
 * its way to the disk then puts the decision off.
 */

#define NGX_ASYNC_SINK_REASON   128         /* of a status line or error */
#define NGX_ASYNC_SINK_FAILURE  256


static void ngx_async_sink_choose(ngx_async_run_t *run);
static void ngx_async_sink_describe(ngx_async_run_t *run, ngx_async_head_t *h);
static void ngx_async_sink_answer(ngx_async_run_t *run, ngx_async_head_t *h);
static void ngx_async_sink_written(ngx_async_run_t *run, ngx_int_t rc,
    ngx_err_t err);
static ngx_int_t ngx_async_sink_put(ngx_async_run_t *run, u_char *p, size_t n);
static ngx_int_t ngx_async_sink_drop(ngx_async_run_t *run, const char *code,
    const char *message);
static ngx_int_t ngx_async_sink_store(ngx_async_run_t *run, u_char *p,
    size_t n);
static ngx_int_t ngx_async_sink_copy(ngx_async_run_t *run, ngx_chain_t *in);
static ngx_int_t ngx_async_sink_pass(ngx_async_run_t *run, ngx_pool_t *pool);
static ngx_int_t ngx_async_sink_keep(ngx_chain_t **ll, ngx_pool_t *pool,
    ngx_chain_t *in);
static void ngx_async_sink_sent(ngx_async_run_t *run, ngx_pool_t *pool);
static void ngx_async_sink_consume(ngx_chain_t *in);


ngx_int_t
ngx_async_sink_head(ngx_async_run_t *run, ngx_async_head_t *h,
    ngx_http_request_t *r)
{
    ngx_async_head_t  hd;

    run->headed = 1;
    run->request = r;

    if (run->canceled || run->failed) {
        return NGX_ABORT;
    }

    if (h == NULL) {

        if (run->sink != NGX_ASYNC_SINK_DISCARD
            && (run->stored || run->promising)
            && ngx_async_head_encode(r, run->pool, &run->head) != NGX_OK)
        {
            return NGX_ABORT;
        }

        ngx_memzero(&hd, sizeof(ngx_async_head_t));

        hd.status = r->headers_out.status;
        hd.status_line = r->headers_out.status_line;
        hd.content_type = r->headers_out.content_type;
        hd.content_length = r->headers_out.content_length_n;

        if (r->headers_out.etag && r->headers_out.etag->hash) {
            run->job.etag = r->headers_out.etag->value;
        }

        h = &hd;

    } else if (ngx_async_head_encode_fields(h, run->pool, &run->head)
               != NGX_OK)
    {
        return NGX_ABORT;
    }

    run->dead = ngx_async_retry_dead(r);

    ngx_async_sink_describe(run, h);

    if (run->stored && ngx_async_retry_response(run, h, r)) {
        run->retried = 1;
        run->sink = NGX_ASYNC_SINK_DISCARD;
        return NGX_OK;
    }

    if (run->promising) {
        return NGX_OK;
    }

    ngx_async_sink_choose(run);

    return (run->failed) ? NGX_ABORT : NGX_OK;
}


static void
ngx_async_sink_describe(ngx_async_run_t *run, ngx_async_head_t *h)
{
    ngx_str_t  *type, *etag;

    type = &run->job.content_type;
    etag = &run->job.etag;

    run->job.response_status = h->status;
    run->job.response_head_len = run->head.len;

    *type = h->content_type;

    if (type->len) {
        type->data = ngx_pstrdup(run->pool, type);
    }

    if (etag->len) {
        etag->data = ngx_pstrdup(run->pool, etag);
    }

    if (type->data == NULL) {
        type->len = 0;
    }

    if (etag->data == NULL) {
        etag->len = 0;
    }

    if (h->status >= 400 || run->dead) {
        ngx_async_sink_answer(run, h);
    }

    run->total = h->content_length > 0 ? h->content_length : 0;
}


/* for people: "503 Service Unavailable" */

static void
ngx_async_sink_answer(ngx_async_run_t *run, ngx_async_head_t *h)
{
    ngx_str_t  *line;

    line = &run->answer;

    *line = h->status_line;
    line->len = ngx_min(line->len, NGX_ASYNC_SINK_REASON);

    while (line->len && line->data[line->len - 1] == ' ') {
        line->len--;
    }

    if (line->len <= sizeof("503") - 1) {
        ngx_async_reason_line(h->status, line);
        return;
    }

    line->data = ngx_pstrdup(run->pool, line);

    if (line->data == NULL) {
        line->len = 0;
    }
}


/* the response begins, and it is known whether the job is in the store */

static void
ngx_async_sink_choose(ngx_async_run_t *run)
{
    ngx_async_head_t  h;

    if (run->sink == NGX_ASYNC_SINK_UNDECIDED) {
        run->sink = run->stored ? NGX_ASYNC_SINK_STORE
                    : run->held ? NGX_ASYNC_SINK_HELD : NGX_ASYNC_SINK_DISCARD;
    }

    if (run->sink == NGX_ASYNC_SINK_STORE) {
        run->shown = ngx_async_shared_call(&run->job.id, run->total);

        if (ngx_async_sink_put(run, run->head.data, run->head.len) != NGX_OK) {
            return;
        }
    }

    if (run->held == NULL) {
        return;
    }

    if (run->request) {
        (void) ngx_async_held_head(run->held, run->request, NULL);

    } else if (ngx_async_head_decode(&h, run->pool, run->head.data,
                                     run->head.len)
               == NGX_OK)
    {
        (void) ngx_async_held_head(run->held, NULL, &h);
    }

    if (run->held == NULL && run->sink == NGX_ASYNC_SINK_HELD) {
        run->sink = NGX_ASYNC_SINK_DISCARD;
    }
}


void
ngx_async_sink_decide(ngx_async_run_t *run)
{
    run->promising = 0;

    if (!run->headed
        || (run->ended && run->end != NGX_ASYNC_END_COMPLETE))
    {
        return;
    }

    ngx_async_sink_choose(run);

    if (run->blocked && run->resume && !run->ended) {
        run->resume(run);
    }
}


ngx_int_t
ngx_async_sink_data(ngx_async_run_t *run, u_char *p, size_t n)
{
    if (run->canceled || run->failed) {
        return NGX_ABORT;
    }

    if (run->promising || ngx_async_pieces_full(run)
        || run->waiting)
    {
        run->blocked = 1;
        return NGX_AGAIN;
    }

    if (run->sink == NGX_ASYNC_SINK_STORE
        && ngx_async_sink_store(run, p, n) != NGX_OK)
    {
        return NGX_ABORT;
    }

    if (run->held == NULL || run->retried) {
        return NGX_OK;
    }

    if (ngx_async_held_data(run->held, p, n) == NGX_AGAIN) {
        run->blocked = 1;
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_sink_chain(ngx_async_run_t *run, ngx_pool_t *pool, ngx_chain_t *in)
{
    run->blocked = 0;

    ngx_async_sink_sent(run, pool);

    if (run->canceled || run->failed) {
        return NGX_ABORT;
    }

    if (run->sink == NGX_ASYNC_SINK_STORE) {

        if (run->uncopied
            && ngx_async_sink_copy(run, run->waiting) != NGX_OK)
        {
            return NGX_ABORT;
        }

        run->uncopied = 0;

        if (ngx_async_sink_copy(run, in) != NGX_OK) {
            return NGX_ABORT;
        }

    } else if (run->promising && in) {
        run->uncopied = 1;
    }

    if (run->waiting == NULL && !run->promising
        && !ngx_async_pieces_full(run))
    {
        run->waiting = in;
        return ngx_async_sink_pass(run, pool);
    }

    if (in && ngx_async_sink_keep(&run->waiting, pool, in) != NGX_OK) {
        return NGX_ABORT;
    }

    if (run->promising || ngx_async_pieces_full(run)) {
        run->blocked = 1;
        return NGX_AGAIN;
    }

    return ngx_async_sink_pass(run, pool);
}


static ngx_int_t
ngx_async_sink_copy(ngx_async_run_t *run, ngx_chain_t *in)
{
    off_t       n;
    ngx_buf_t  *b;

    for ( /* void */ ; in; in = in->next) {
        b = in->buf;

        if (!ngx_buf_in_memory(b)) {
            continue;
        }

        n = b->last - b->pos;

        if (n && ngx_async_sink_store(run, b->pos, n) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* hands what waits to a held client, or marks it as taken */

static ngx_int_t
ngx_async_sink_pass(ngx_async_run_t *run, ngx_pool_t *pool)
{
    ngx_int_t     rc;
    ngx_chain_t  *in;

    in = run->waiting;
    run->waiting = NULL;
    run->uncopied = 0;

    /* a response that is for nobody is not for a held client either */

    if (run->held && !run->retried) {

        if (in && ngx_async_sink_keep(&run->passed, pool, in) != NGX_OK) {
            return NGX_ABORT;
        }

        rc = ngx_async_held_chain(run->held, in);

        if (rc != NGX_ERROR) {
            ngx_async_sink_sent(run, pool);

            run->blocked = (rc == NGX_AGAIN);
            return rc;
        }

        /* the client is gone */

        ngx_async_sink_left(run);
    }

    ngx_async_sink_consume(in);

    return NGX_OK;
}


static ngx_int_t
ngx_async_sink_keep(ngx_chain_t **ll, ngx_pool_t *pool, ngx_chain_t *in)
{
    for ( /* void */ ; *ll; ll = &(*ll)->next) { /* void */ }

    return ngx_chain_add_copy(pool, ll, in) == NGX_OK ? NGX_OK : NGX_ERROR;
}


/*
 * Forgets what a held client has sent, which comes here before the producer
 * can use a buf again.
 */

static void
ngx_async_sink_sent(ngx_async_run_t *run, ngx_pool_t *pool)
{
    ngx_chain_t  *cl;

    while (run->passed && ngx_buf_size(run->passed->buf) == 0) {
        cl = run->passed;
        run->passed = cl->next;
        ngx_free_chain(pool, cl);
    }
}


/* what it was given and has not sent has to be taken for the producer */

void
ngx_async_sink_left(ngx_async_run_t *run)
{
    ngx_async_sink_consume(run->passed);
    run->passed = NULL;

    if (run->sink == NGX_ASYNC_SINK_HELD) {
        run->sink = NGX_ASYNC_SINK_DISCARD;
    }

    if (run->blocked && run->resume && !run->ended) {
        run->resume(run);
    }
}


static void
ngx_async_sink_consume(ngx_chain_t *in)
{
    for ( /* void */ ; in; in = in->next) {
        in->buf->pos = in->buf->last;

        if (in->buf->in_file) {
            in->buf->file_pos = in->buf->file_last;
        }
    }
}


static ngx_int_t
ngx_async_sink_store(ngx_async_run_t *run, u_char *p, size_t n)
{
    run->received += n;
    ngx_async_shared_received(run->shown, run->received);

    if (run->alcf->max_response_size
        && run->received > (uint64_t) run->alcf->max_response_size)
    {
        return ngx_async_sink_drop(run, "response_too_large",
                                   "The response is larger than "
                                   "async_max_response_size allows.");
    }

    return ngx_async_sink_put(run, p, n);
}


/*
 * The response cannot be stored: the job fails.  A held client that gets it
 * already gets all of it, for what is worth storing is not its concern.
 */

static ngx_int_t
ngx_async_sink_drop(ngx_async_run_t *run, const char *code,
    const char *message)
{
    if (run->failed || run->canceled
        || run->held == NULL || !ngx_async_held_begun(run->held))
    {
        ngx_async_run_fail(run, code, message);
        return NGX_ABORT;
    }

    run->dropped = 1;
    run->code = code;
    run->message = message;
    run->sink = NGX_ASYNC_SINK_HELD;

    ngx_async_sink_free(run);

    return NGX_OK;
}


static ngx_int_t
ngx_async_sink_put(ngx_async_run_t *run, u_char *p, size_t n)
{
    if (ngx_async_pieces_put(run, p, n, ngx_async_sink_written) == NGX_OK) {
        return NGX_OK;
    }

    ngx_async_run_fail(run, "store_failed",
                       "There is not enough memory for the response.");

    return NGX_ERROR;
}


static void
ngx_async_sink_written(ngx_async_run_t *run, ngx_int_t rc, ngx_err_t err)
{
    if (rc == NGX_BUSY || rc == NGX_ERROR) {

        if (!run->dropped && rc == NGX_BUSY) {
            rc = ngx_async_sink_drop(run, "store_full",
                                     "There is no room for the response in "
                                     "the store.");

        } else if (!run->dropped) {
            rc = ngx_async_sink_drop(run, "store_failed",
                                     ngx_async_sink_failure(run, err));
        }

    } else if (rc != NGX_OK) {
        /* canceled, or taken over, meanwhile */
        run->canceled = 1;
    }

    if (rc != NGX_OK && (run->canceled || run->failed) && !run->ended) {
        run->abort(run);
        return;
    }

    if (run->ended) {
        if (run->npieces == 0 && !run->promising) {
            ngx_async_run_finish(run);
        }

        return;
    }

    if (run->blocked && !ngx_async_pieces_full(run)) {
        /* it stays blocked if its held client is slow */
        run->resume(run);
    }
}


const char *
ngx_async_sink_failure(ngx_async_run_t *run, ngx_err_t err)
{
    u_char  *p, reason[NGX_ASYNC_SINK_REASON];

    p = ngx_pnalloc(run->pool, NGX_ASYNC_SINK_FAILURE);

    if (p == NULL) {
        return "The response could not be written to the store.";
    }

    *ngx_strerror(err, reason, sizeof(reason) - 1) = '\0';

    *ngx_snprintf(p, NGX_ASYNC_SINK_FAILURE - 1,
                  "The response could not be written to the store: %s.",
                  reason) = '\0';

    return (const char *) p;
}


void
ngx_async_sink_end(ngx_async_run_t *run, ngx_uint_t end, const char *code,
    const char *message)
{
    ngx_uint_t  complete;

    run->ended = 1;
    run->end = end;

    complete = (end == NGX_ASYNC_END_COMPLETE && run->waiting == NULL);

    if (run->held && run->request && !run->request->header_only
        && ngx_async_held_busy(run->held))
    {
        /* what it has not sent lies in memory of the call */
        complete = 0;
    }

    run->request = NULL;
    run->waiting = NULL;
    run->passed = NULL;
    run->blocked = 0;

    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    if (run->dropped) {
        run->failed = 1;

    } else if (end == NGX_ASYNC_END_FAILED && !run->failed) {
        run->failed = 1;
        run->code = code;
        run->message = message;
    }

    if (run->held && ngx_async_held_begun(run->held)) {
        ngx_async_held_end(run->held, complete);
    }

    if (run->promising || run->npieces) {
        return;
    }

    ngx_async_run_finish(run);
}


void
ngx_async_sink_free(ngx_async_run_t *run)
{
    ngx_async_shared_call_done(run->shown);

    run->shown = 0;

    ngx_async_pieces_free(run);
}
