
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/http/ngx_async_events.h"
#include "src/base/ngx_async_prefer.h"
#include "src/http/ngx_async_reply.h"


#define NGX_ASYNC_EVENTS_HEARTBEAT  15000
#define NGX_ASYNC_EVENTS_RETRY      "retry: 2000\n\n"


/*
 * A stream has one buffer.  What happens while it is still being sent is only
 * noted, and told in its newest state when the client has taken it.
 */

typedef struct {
    ngx_buf_t    buf;
    u_char      *memory;
    uint32_t     version;           /* of the last status event */
    unsigned     known:1;           /* version is set */
    unsigned     begun:1;           /* the header was sent */
    unsigned     stale:1;           /* the status has to be read */
    unsigned     progress:1;        /* progress has to be told */
    unsigned     beat:1;            /* something has to be sent */
    unsigned     exiting:1;
} ngx_async_events_t;


static ngx_int_t ngx_async_events_create(ngx_async_ask_t *ask);
static void ngx_async_events_first(ngx_async_ask_t *ask);
static ngx_int_t ngx_async_events_header(ngx_http_request_t *r);
static void ngx_async_events_got(ngx_async_ask_t *ask);
static void ngx_async_events_run(ngx_async_ask_t *ask);
static void ngx_async_events_status(ngx_async_ask_t *ask);
static void ngx_async_events_progress(ngx_async_ask_t *ask);
static u_char *ngx_async_events_buffer(ngx_async_ask_t *ask, size_t len);
static ngx_int_t ngx_async_events_write(ngx_async_ask_t *ask, u_char *last,
    ngx_uint_t end);
static void ngx_async_events_end(ngx_async_ask_t *ask);
static ngx_uint_t ngx_async_events_sending(ngx_async_ask_t *ask);
static void ngx_async_events_writer(ngx_http_request_t *r);
static void ngx_async_events_changed(ngx_async_watch_t *watch,
    ngx_async_change_t *change);
static void ngx_async_events_timer(ngx_event_t *ev);
static void ngx_async_events_shutdown(void *data);
static void ngx_async_events_free(void *data);


static ngx_str_t  ngx_async_events_no_store = ngx_string("no-store");
static ngx_str_t  ngx_async_events_no_buffering = ngx_string("no");


void
ngx_async_events_start(ngx_async_ask_t *ask)
{
    if (ngx_async_events_create(ask) != NGX_OK) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ask->watch.id = ask->id;
    ask->watch.progress = 1;
    ask->watch.handler = ngx_async_events_changed;
    ask->watch.data = ask;

    ask->timer.handler = ngx_async_events_timer;
    ask->timer.data = ask;
    ask->timer.log = ask->request->connection->log;
    ask->timer.cancelable = 1;

    ask->shutdown.handler = ngx_async_events_shutdown;
    ask->shutdown.data = ask;

    if (ngx_async_watch_add(&ask->watch) != NGX_OK) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ask->want_position = 1;

    ngx_async_ask_job(ask, ngx_async_events_first);
}


static ngx_int_t
ngx_async_events_create(ngx_async_ask_t *ask)
{
    ngx_pool_cleanup_t  *cln;
    ngx_async_events_t  *e;

    cln = ngx_pool_cleanup_add(ask->request->pool, sizeof(ngx_async_events_t));
    if (cln == NULL) {
        return NGX_ERROR;
    }

    e = cln->data;
    ngx_memzero(e, sizeof(ngx_async_events_t));
    cln->handler = ngx_async_events_free;

    e->known = ngx_async_prefer_last_event(ask->request, &e->version);

    ask->data = e;

    return NGX_OK;
}


static void
ngx_async_events_first(ngx_async_ask_t *ask)
{
    u_char              *p;
    ngx_int_t            rc;
    ngx_async_job_t     *job;
    ngx_async_events_t  *e;

    e = ask->data;
    job = &ask->op.found;

    /* the client has had the last event of a finished job: no more of them */

    if (ngx_async_job_finished(job)
        && e->known && e->version >= job->version)
    {
        ngx_async_ask_finish(ask, ngx_async_reply_send(ask->request,
                                                       NGX_HTTP_NO_CONTENT,
                                                       NULL, NULL));
        return;
    }

    rc = ngx_async_events_header(ask->request);

    if (rc == NGX_ERROR || rc > NGX_OK || ask->request->header_only) {
        ngx_async_ask_finish(ask, rc);
        return;
    }

    e->begun = 1;
    ask->request->write_event_handler = ngx_async_events_writer;

    p = ngx_async_events_buffer(ask, sizeof(NGX_ASYNC_EVENTS_RETRY) - 1);

    if (p == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    p = ngx_cpymem(p, NGX_ASYNC_EVENTS_RETRY,
                   sizeof(NGX_ASYNC_EVENTS_RETRY) - 1);

    if (ngx_async_events_write(ask, p, 0) == NGX_ERROR) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    if (ngx_async_shutdown_add(&ask->shutdown) != NGX_OK) {
        e->exiting = 1;
    }

    ngx_add_timer(&ask->timer, NGX_ASYNC_EVENTS_HEARTBEAT);

    ngx_async_events_got(ask);
}


static ngx_int_t
ngx_async_events_header(ngx_http_request_t *r)
{
    if (ngx_async_reply_header(r, "Cache-Control", &ngx_async_events_no_store)
        != NGX_OK
        || ngx_async_reply_header(r, "X-Accel-Buffering",
                                  &ngx_async_events_no_buffering)
           != NGX_OK
        || ngx_async_reply_guard(r) != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->err_status = 0;
    r->disable_not_modified = 1;
    r->headers_out.status = NGX_HTTP_OK;
    r->headers_out.content_length_n = -1;

    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;

    return ngx_http_send_header(r);
}


/* the record has been read */

static void
ngx_async_events_got(ngx_async_ask_t *ask)
{
    ngx_async_events_t  *e;

    e = ask->data;

    if (ask->op.rc == NGX_DECLINED) {

        /* forgotten: who asks again is told so */

        ngx_async_events_end(ask);
        return;
    }

    if (ask->op.rc == NGX_OK
        && (!e->known || e->version != ask->op.found.version))
    {
        ngx_async_events_status(ask);
        return;
    }

    ngx_async_store_release(&ask->op);

    ngx_async_events_run(ask);
}


/* does what was noted, if the last event has been taken */

static void
ngx_async_events_run(ngx_async_ask_t *ask)
{
    u_char              *p;
    ngx_async_events_t  *e;

    e = ask->data;

    if (ask->busy || ngx_async_events_sending(ask)) {
        ngx_async_ask_hold(ask);
        return;
    }

    if (e->exiting) {
        ngx_async_events_end(ask);
        return;
    }

    if (e->stale) {
        e->stale = 0;

        ngx_async_ask_prepare(ask, NGX_ASYNC_OP_GET);
        ask->op.want_position = 1;
        ngx_async_ask_submit(ask, ngx_async_events_got);
        return;
    }

    if (e->progress) {
        e->progress = 0;
        e->beat = 0;

        ngx_async_events_progress(ask);
        return;
    }

    if (e->beat) {
        e->beat = 0;

        p = ngx_async_events_buffer(ask, sizeof(":\n\n") - 1);

        if (p == NULL
            || ngx_async_events_write(ask, ngx_cpymem(p, ":\n\n", 3), 0)
               == NGX_ERROR)
        {
            ngx_async_ask_finish(ask, NGX_ERROR);
            return;
        }
    }

    ask->request->connection->log->action = "waiting for events of a job";

    ngx_async_ask_hold(ask);
}


static void
ngx_async_events_status(ngx_async_ask_t *ask)
{
    u_char                *p;
    ngx_int_t              rc;
    ngx_uint_t             end;
    ngx_async_json_t       j;
    ngx_async_events_t    *e;
    ngx_async_document_t   d;

    e = ask->data;

    if (ngx_async_events_sending(ask)) {

        /* it will be read again then, which is the newest state */

        e->stale = 1;
        ngx_async_store_release(&ask->op);
        ngx_async_ask_hold(ask);
        return;
    }

    ngx_async_ask_document(ask, &d);

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    ngx_async_document_write(&j, NULL, &d);

    p = ngx_async_events_buffer(ask, sizeof("event: status\nid: \ndata: \n\n")
                                     + NGX_INT32_LEN + j.len);
    if (p == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    p = ngx_sprintf(p, "event: status\nid: %uD\ndata: ", d.job->version);

    ngx_memzero(&j, sizeof(ngx_async_json_t));
    j.pos = p;
    ngx_async_document_write(&j, NULL, &d);
    p = j.pos;

    *p++ = '\n';
    *p++ = '\n';

    e->known = 1;
    e->version = d.job->version;

    end = ngx_async_job_finished(d.job);

    ngx_async_store_release(&ask->op);

    rc = ngx_async_events_write(ask, p, end);

    if (rc == NGX_ERROR || end) {
        ngx_async_ask_finish(ask, rc);
        return;
    }

    ngx_async_events_run(ask);
}


static void
ngx_async_events_progress(ngx_async_ask_t *ask)
{
    u_char  *p;

    p = ngx_async_events_buffer(ask, sizeof("event: progress\ndata: "
                                            "{\"bytes_received\":,"
                                            "\"bytes_total\":}\n\n")
                                     + 2 * NGX_INT64_LEN);
    if (p == NULL) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    p = ngx_sprintf(p, "event: progress\ndata: {\"bytes_received\":%uL",
                    ask->received);

    if (ask->total != 0) {
        p = ngx_sprintf(p, ",\"bytes_total\":%uL", ask->total);
    }

    p = ngx_cpymem(p, "}\n\n", 3);

    if (ngx_async_events_write(ask, p, 0) == NGX_ERROR) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    ngx_async_events_run(ask);
}


/* a new buffer in place of the one that was sent; NULL: no memory */

static u_char *
ngx_async_events_buffer(ngx_async_ask_t *ask, size_t len)
{
    ngx_async_events_t  *e;

    e = ask->data;

    if (e->memory) {
        ngx_free(e->memory);
    }

    e->memory = ngx_alloc(len, ask->request->connection->log);

    return e->memory;
}


static ngx_int_t
ngx_async_events_write(ngx_async_ask_t *ask, u_char *last, ngx_uint_t end)
{
    ngx_int_t            rc;
    ngx_buf_t           *b;
    ngx_chain_t          out;
    ngx_async_events_t  *e;
    ngx_http_request_t  *r;

    e = ask->data;
    r = ask->request;
    b = &e->buf;

    ngx_memzero(b, sizeof(ngx_buf_t));

    b->start = e->memory;
    b->pos = e->memory;
    b->last = last;
    b->end = last;
    b->temporary = 1;
    b->flush = 1;

    if (end) {
        b->last_buf = (r == r->main) ? 1 : 0;
        b->last_in_chain = 1;
    }

    out.buf = b;
    out.next = NULL;

    rc = ngx_http_output_filter(r, &out);

    if (rc == NGX_ERROR || end) {
        return rc;
    }

    return ngx_async_ask_sent(ask);
}


/* the stream ends, not the job: the client comes back for the rest */

static void
ngx_async_events_end(ngx_async_ask_t *ask)
{
    ngx_async_ask_finish(ask, ngx_http_send_special(ask->request,
                                                    NGX_HTTP_LAST));
}


static ngx_uint_t
ngx_async_events_sending(ngx_async_ask_t *ask)
{
    ngx_async_events_t  *e;

    e = ask->data;

    return e->buf.pos != e->buf.last;
}


static void
ngx_async_events_writer(ngx_http_request_t *r)
{
    ngx_int_t         rc;
    ngx_async_ask_t  *ask;

    ask = ngx_async_ask_get(r);

    if (ask == NULL || ask->closed || ngx_async_ask_resume(ask) != NGX_OK) {
        return;
    }

    rc = ngx_async_ask_sent(ask);

    if (rc == NGX_ERROR) {
        ngx_async_ask_finish(ask, NGX_ERROR);
        return;
    }

    if (rc == NGX_OK) {
        ngx_async_events_run(ask);
    }
}


static void
ngx_async_events_changed(ngx_async_watch_t *watch, ngx_async_change_t *change)
{
    ngx_async_ask_t     *ask;
    ngx_async_events_t  *e;

    ask = watch->data;
    e = ask->data;

    if (change->progress) {
        ask->progress = 1;
        ask->received = change->received;
        ask->total = change->total;
        e->progress = 1;

    } else {
        e->stale = 1;
    }

    if (e->begun && !ask->busy) {
        ngx_async_events_run(ask);
    }
}


/*
 * The comment shows a dead client, and the record is read as well: a message
 * of another worker may have been lost.
 */

static void
ngx_async_events_timer(ngx_event_t *ev)
{
    ngx_async_ask_t     *ask;
    ngx_async_events_t  *e;

    ask = ev->data;
    e = ask->data;

    e->beat = 1;
    e->stale = 1;

    ngx_add_timer(ev, NGX_ASYNC_EVENTS_HEARTBEAT);

    if (!ask->busy) {
        ngx_async_events_run(ask);
    }
}


static void
ngx_async_events_shutdown(void *data)
{
    ngx_async_ask_t     *ask;
    ngx_async_events_t  *e;

    ask = data;
    e = ask->data;

    e->exiting = 1;

    if (!ask->busy) {
        ngx_async_events_run(ask);
    }
}


static void
ngx_async_events_free(void *data)
{
    ngx_async_events_t  *e = data;

    if (e->memory) {
        ngx_free(e->memory);
    }
}
