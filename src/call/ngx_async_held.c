
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_held_internal.h"
#include "src/call/ngx_async_replay.h"
#include "src/call/ngx_async_compat.h"


/* as much as libcurl gives at once */
#define NGX_ASYNC_HELD_BUFFER  16384


static void ngx_async_held_cleanup(void *data);
#if (NGX_HTTP_V2)
static void ngx_async_held_keep_frame(ngx_http_request_t *r);
#endif
#if (NGX_ASYNC_EARLY_HINTS)
static void ngx_async_held_hints_writer(ngx_http_request_t *r);
#endif
static void ngx_async_held_writer(ngx_http_request_t *r);
static ngx_async_held_t *ngx_async_held_of(ngx_http_request_t *r);


ngx_int_t
ngx_async_held_init(ngx_async_held_t *held, ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    cln = ngx_http_cleanup_add(r, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_async_held_cleanup;
    cln->data = held;

    held->request = r;

    return NGX_OK;
}


void
ngx_async_held_attach(ngx_async_held_t *held, ngx_async_run_t *run)
{
    held->run = run;
    run->held = held;
}


void
ngx_async_held_detach(ngx_async_held_t *held)
{
    if (held->run) {
        held->run->held = NULL;
        held->run = NULL;
    }
}


/* the client's request is being freed or terminated */

static void
ngx_async_held_cleanup(void *data)
{
    ngx_async_held_t  *held = data;

    ngx_async_run_t  *run;

    if (held->gone) {
        *held->gone = 1;
        held->gone = NULL;
    }

#if (NGX_HTTP_V2)
    ngx_async_held_keep_frame(held->request);
#endif

    if (held->begun && held->entering) {
        /* it is logged when its phases are left, the call may be gone then */
        ngx_async_held_keep_head(held->request);
    }

    held->request = NULL;

    ngx_async_held_forgo(held);

    run = held->run;

    if (run) {
        ngx_async_held_detach(held);
        ngx_async_sink_left(run);
    }

    if (held->left) {
        held->left(held);
    }
}


#if (NGX_HTTP_V2)

/*
 * A frame that is sent in part is sent to its end, whatever becomes of its
 * stream: it must not lie in memory of the call then.
 */

static void
ngx_async_held_keep_frame(ngx_http_request_t *r)
{
    size_t                    size;
    ngx_buf_t                *b;
    ngx_chain_t              *cl;
    ngx_http_v2_stream_t     *stream;
    ngx_http_v2_out_frame_t  *frame;

    stream = r->stream;

    if (stream == NULL || stream->queued == 0) {
        return;
    }

    for (frame = stream->connection->last_out; frame; frame = frame->next) {

        if (frame->stream != stream) {
            continue;
        }

        for (cl = frame->first; cl; cl = cl->next) {

            size = ngx_buf_in_memory(cl->buf) ? cl->buf->last - cl->buf->pos
                                              : 0;

            if (size) {
                b = ngx_create_temp_buf(r->pool, size);

                if (b == NULL) {
                    stream->connection->connection->error = 1;
                    return;
                }

                b->last = ngx_cpymem(b->pos, cl->buf->pos, size);
                b->last_buf = cl->buf->last_buf;
                b->flush = cl->buf->flush;

                if (cl->buf->shadow == NULL) {
                    b->tag = cl->buf->tag;
                }

                cl->buf = b;
            }

            if (cl == frame->last) {
                break;
            }
        }
    }
}

#endif


ngx_int_t
ngx_async_held_head(ngx_async_held_t *held, ngx_http_request_t *cr,
    ngx_async_head_t *h)
{
    ngx_int_t            rc;
    ngx_http_request_t  *r;

    r = held->request;

    held->begun = 1;

    if (held->left) {
        held->left(held);
        held->left = NULL;
    }

    if (h == NULL) {
        ngx_async_held_take_head(r, cr);

    } else if (ngx_async_head_restore(r, h, h->content_length) != NGX_OK) {
        rc = NGX_ERROR;
        goto failed;
    }

    if (held->run->stored && ngx_async_held_add_id(held) != NGX_OK) {
        rc = NGX_ERROR;
        goto failed;
    }

    r->write_event_handler = ngx_async_held_writer;

    rc = ngx_async_tail_send_header(r);

    if (rc != NGX_ERROR && rc <= NGX_OK) {
        return NGX_OK;
    }

failed:

    ngx_async_held_detach(held);
    ngx_async_held_finalize(held, NGX_ERROR);

    return NGX_ERROR;
}


#if (NGX_ASYNC_EARLY_HINTS)

void
ngx_async_held_early_hints(ngx_async_held_t *held, ngx_http_request_t *cr)
{
    ngx_list_t           own;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = held->request;
    c = r->connection;

    if (held->begun) {
        return;
    }

    own = r->headers_out.headers;
    ngx_async_held_take_list(&r->headers_out.headers, &cr->headers_out.headers);

    /* a client that is gone is noticed as any other */

    (void) ngx_async_tail_early_hints(r);

    r->headers_out.headers = own;

    if (c->buffered) {
        r->write_event_handler = ngx_async_held_hints_writer;
        (void) ngx_handle_write_event(c->write, 0);
    }
}


static void
ngx_async_held_hints_writer(ngx_http_request_t *r)
{
    ngx_connection_t  *c;

    c = r->connection;

    (void) ngx_http_write_filter(r, NULL);

    if (!c->buffered) {
        r->write_event_handler = ngx_http_request_empty_handler;
    }

    (void) ngx_handle_write_event(c->write, 0);
}

#endif


ngx_int_t
ngx_async_held_chain(ngx_async_held_t *held, ngx_chain_t *in)
{
    ngx_int_t                  rc;
    ngx_event_t               *wev;
    ngx_chain_t               *cl;
    ngx_connection_t          *c;
    ngx_http_request_t        *r, *cr;
    ngx_http_core_loc_conf_t  *clcf;

    r = held->request;
    c = r->connection;
    wev = c->write;
    cr = held->run->request;

    for (cl = in; cl; cl = cl->next) {
        if (cl->buf->last_buf && cr) {
            ngx_async_held_take_list(&r->headers_out.trailers,
                                     &cr->headers_out.trailers);
        }
    }

    rc = (in || ngx_async_held_busy(held)) ? ngx_async_tail_output(r, in)
                                           : NGX_OK;

    if (rc == NGX_ERROR) {
        ngx_async_held_detach(held);
        ngx_async_held_finalize(held, NGX_ERROR);

        return NGX_ERROR;
    }

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->buffered || c->buffered) {

        if (!wev->delayed) {
            ngx_add_timer(wev, clcf->send_timeout);
        }

        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_async_held_detach(held);
            ngx_async_held_finalize(held, NGX_ERROR);

            return NGX_ERROR;
        }

        return NGX_AGAIN;
    }

    if (wev->timer_set && !wev->delayed) {
        ngx_del_timer(wev);
    }

    return NGX_OK;
}


/* libcurl takes its buffer back at once: the client gets a copy */

ngx_int_t
ngx_async_held_data(ngx_async_held_t *held, u_char *p, size_t n)
{
    ngx_buf_t    *b;
    ngx_chain_t   cl;

    b = held->buf;

    if (b == NULL || (size_t) (b->end - b->start) < n) {

        b = ngx_create_temp_buf(held->request->pool,
                                ngx_max(n, NGX_ASYNC_HELD_BUFFER));
        if (b == NULL) {
            ngx_async_held_detach(held);
            ngx_async_held_finalize(held, NGX_ERROR);

            return NGX_ERROR;
        }

        held->buf = b;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->pos, p, n);
    b->flush = 1;

    cl.buf = b;
    cl.next = NULL;

    return ngx_async_held_chain(held, &cl);
}


void
ngx_async_held_last(ngx_async_held_t *held)
{
    ngx_buf_t    *b;
    ngx_chain_t   cl;

    if (held->request->header_only) {
        return;
    }

    b = ngx_calloc_buf(held->request->pool);
    if (b == NULL) {
        return;
    }

    b->last_buf = 1;

    cl.buf = b;
    cl.next = NULL;

    (void) ngx_async_held_chain(held, &cl);
}


ngx_uint_t
ngx_async_held_busy(ngx_async_held_t *held)
{
    return held->request->buffered || held->request->connection->buffered;
}


/* within its phases whoever runs them sees to the requests that are posted */

void
ngx_async_held_finalize(ngx_async_held_t *held, ngx_int_t rc)
{
    ngx_uint_t           entering;
    ngx_connection_t    *c;

    c = held->request->connection;
    entering = held->entering;

    ngx_http_finalize_request(held->request, rc);

    if (!entering) {
        ngx_http_run_posted_requests(c);
    }
}


static void
ngx_async_held_writer(ngx_http_request_t *r)
{
    ngx_event_t               *wev;
    ngx_async_run_t           *run;
    ngx_connection_t          *c;
    ngx_async_held_t          *held;
    ngx_http_core_loc_conf_t  *clcf;

    c = r->connection;
    wev = c->write;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (wev->timedout) {
        ngx_log_error(NGX_LOG_INFO, c->log, NGX_ETIMEDOUT, "client timed out");
        c->timedout = 1;

        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (wev->delayed) {
        if (ngx_handle_write_event(wev, clcf->send_lowat) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    held = ngx_async_held_of(r);
    run = held ? held->run : NULL;

    if (run == NULL || run->resume == NULL) {
        return;
    }

    /* at once: HTTP/2 orders by priority what becomes ready in one go */

    switch (ngx_async_held_chain(held, NULL)) {

    case NGX_OK:
        run->resume(run);
        return;

    case NGX_ERROR:
        ngx_async_sink_left(run);
        return;
    }
}


static ngx_async_held_t *
ngx_async_held_of(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;

    for (cln = r->cleanup; cln; cln = cln->next) {
        if (cln->handler == ngx_async_held_cleanup) {
            return cln->data;
        }
    }

    return NULL;
}


void
ngx_async_held_end(ngx_async_held_t *held, ngx_uint_t complete)
{
    ngx_uint_t           gone;
    ngx_http_request_t  *r;

    r = held->request;

    ngx_async_held_detach(held);

    gone = 0;

    /* reset before the return, by the cleanup or below */
    /* cppcheck-suppress autoVariables */
    held->gone = &gone;

    if (complete) {
        ngx_async_held_no_action(r);
    }

    ngx_async_held_finalize(held, complete ? NGX_OK : NGX_ERROR);

    if (!gone) {
        held->gone = NULL;

        /* lingering close: the log phase is yet to come */
        ngx_async_held_keep_head(r);
    }
}


void
ngx_async_held_no_action(ngx_http_request_t *r)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (clcf->post_action.data) {
        r->request_complete = 1;
        r->post_action = 1;
        r->uri_changes = 0;
    }
}
