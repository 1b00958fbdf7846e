
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_replay.h"
#include "src/call/ngx_async_held.h"
#include "src/call/ngx_async_compat.h"


/*
 * The filter at the tail: below range and above chunked, HTTP/2, HTTP/3 and
 * header filters.  It takes the response of a replay after all filters of the
 * location have run, and is where the response enters a held client's request,
 * so that no filter runs twice.
 */


static void ngx_async_tail_whole(ngx_http_request_t *r);
static ngx_int_t ngx_async_tail_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_async_tail_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_async_tail_init(ngx_conf_t *cf);


static ngx_http_module_t  ngx_async_tail_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_async_tail_init,                   /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_async_tail_module = {
    NGX_MODULE_V1,
    &ngx_async_tail_module_ctx,            /* module context */
    NULL,                                  /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void  (*ngx_async_tail_finish)(ngx_http_request_t *r);

static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;

#if (NGX_ASYNC_EARLY_HINTS)
static ngx_int_t ngx_async_tail_early_hints_filter(ngx_http_request_t *r);

static ngx_http_output_header_filter_pt  ngx_http_next_early_hints_filter;
#endif


void
ngx_async_tail_finish_with(void (*finish)(ngx_http_request_t *r))
{
    ngx_async_tail_finish = finish;
}


/* a replay may have been sent on to where a direct call answers */

ngx_int_t
ngx_async_tail_send_header(ngx_http_request_t *r)
{
    return ngx_async_replay_of(r) ? ngx_async_tail_header_filter(r)
                                  : ngx_http_next_header_filter(r);
}


ngx_int_t
ngx_async_tail_output(ngx_http_request_t *r, ngx_chain_t *in)
{
    return ngx_async_tail_body_filter(r, in);
}


/* no lingering close: there is nobody whose data might still come */

static void
ngx_async_tail_whole(ngx_http_request_t *r)
{
    r->connection->read->eof = 1;
}


static ngx_int_t
ngx_async_tail_header_filter(ngx_http_request_t *r)
{
    ngx_async_replay_t    *rp;
    ngx_async_loc_conf_t  *alcf;

    rp = ngx_async_replay_of(r);

    if (rp == NULL) {
        alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);

        if (ngx_async_tail_finish
            && (alcf->jobs || ngx_http_get_module_ctx(r, ngx_async_module)))
        {
            ngx_async_tail_finish(r);
        }

        return ngx_http_next_header_filter(r);
    }

    if (r != r->main || r->header_sent) {
        return NGX_OK;
    }

    r->header_sent = 1;

    /* as the header filter decides it */

    if (r->method == NGX_HTTP_HEAD
        || (r->headers_out.status_line.len == 0
            && (r->headers_out.status == NGX_HTTP_NO_CONTENT
                || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)))
    {
        r->header_only = 1;
    }

    if (r->header_only) {
        rp->last = 1;
        ngx_async_tail_whole(r);
    }

    if (rp->run && ngx_async_sink_head(rp->run, NULL, r) != NGX_OK) {
        return NGX_ERROR;
    }

    /* the connection of a replay is never kept */
    r->keepalive = 0;

    return NGX_OK;
}


static ngx_int_t
ngx_async_tail_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_connection_t    *c;
    ngx_async_replay_t  *rp;

    rp = ngx_async_replay_of(r);

    if (rp == NULL) {
        return ngx_http_next_body_filter(r, in);
    }

    c = r->connection;

    if (r->post_action) {
        /* the response is over */
        return NGX_OK;
    }

    for (cl = in; cl; cl = cl->next) {
        if (cl->buf->last_buf) {
            rp->last = 1;
            ngx_async_tail_whole(r);
        }
    }

    if (rp->run == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_async_sink_chain(rp->run, r->main->pool, in);

    if (rc == NGX_AGAIN) {

        /*
         * Stops whoever produces the response, without a timeout, until
         * run->resume(): "delayed" is what limit_rate uses for that.
         */

        c->buffered |= NGX_LOWLEVEL_BUFFERED;
        c->write->delayed = 1;

        return NGX_AGAIN;
    }

    c->buffered &= ~NGX_LOWLEVEL_BUFFERED;

    return (rc == NGX_OK) ? NGX_OK : NGX_ERROR;
}


#if (NGX_ASYNC_EARLY_HINTS)

static ngx_int_t
ngx_async_tail_early_hints_filter(ngx_http_request_t *r)
{
    ngx_async_replay_t  *rp;

    rp = ngx_async_replay_of(r);

    if (rp == NULL) {
        return ngx_http_next_early_hints_filter(r);
    }

    /* hints are for somebody who waits now; nothing of them is stored */

    if (r == r->main && rp->run && rp->run->held) {
        ngx_async_held_early_hints(rp->run->held, r);
    }

    return NGX_OK;
}


ngx_int_t
ngx_async_tail_early_hints(ngx_http_request_t *r)
{
    return ngx_http_next_early_hints_filter(r);
}

#endif


static ngx_int_t
ngx_async_tail_init(ngx_conf_t *cf)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_async_tail_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_async_tail_body_filter;

#if (NGX_ASYNC_EARLY_HINTS)
    ngx_http_next_early_hints_filter = ngx_http_top_early_hints_filter;
    ngx_http_top_early_hints_filter = ngx_async_tail_early_hints_filter;
#endif

    return NGX_OK;
}
