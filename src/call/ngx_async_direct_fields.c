
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_direct.h"


/* the header fields that a direct call sends */

typedef struct {
    ngx_http_request_t     *request;
    ngx_async_loc_conf_t   *alcf;
    ngx_uint_t              whole;
    ngx_array_t            *connection;     /* names that Connection lists */
} ngx_async_direct_ctx_t;


static ngx_int_t ngx_async_direct_own(ngx_async_direct_ctx_t *ctx,
    ngx_str_t *host, ngx_array_t *fields);
static ngx_int_t ngx_async_direct_client(ngx_async_direct_ctx_t *ctx,
    ngx_array_t *fields);
static ngx_int_t ngx_async_direct_listed(ngx_async_direct_ctx_t *ctx);
static ngx_uint_t ngx_async_direct_drop(ngx_async_direct_ctx_t *ctx,
    ngx_table_elt_t *h);


/* of one connection only */

static ngx_str_t  ngx_async_direct_hop[] = {
    ngx_string("Connection"),
    ngx_string("Content-Length"),
    ngx_string("Expect"),
    ngx_string("HTTP2-Settings"),
    ngx_string("Keep-Alive"),
    ngx_string("Proxy-Connection"),
    ngx_string("TE"),
    ngx_string("Trailer"),
    ngx_string("Transfer-Encoding"),
    ngx_string("Upgrade"),
    ngx_null_string
};

/* conditions and ranges, which a response that is kept must not have */

static ngx_str_t  ngx_async_direct_partial[] = {
    ngx_string("Range"),
    ngx_string("If-Range"),
    ngx_string("If-None-Match"),
    ngx_string("If-Modified-Since"),
    ngx_null_string
};

static ngx_str_t  ngx_async_direct_host = ngx_string("Host");
static ngx_str_t  ngx_async_direct_length = ngx_string("Content-Length");


ngx_int_t
ngx_async_direct_fields(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_uint_t whole, ngx_str_t *host, ngx_array_t *fields)
{
    ngx_int_t               rc;
    ngx_async_direct_ctx_t  ctx;

    if (ngx_array_init(fields, r->pool, 16, sizeof(ngx_async_field_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx.request = r;
    ctx.alcf = alcf;
    ctx.whole = whole;

    if (ngx_async_direct_listed(&ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_async_direct_own(&ctx, host, fields);

    if (rc != NGX_OK) {
        return rc;
    }

    return ngx_async_direct_client(&ctx, fields);
}


static ngx_int_t
ngx_async_direct_own(ngx_async_direct_ctx_t *ctx, ngx_str_t *host,
    ngx_array_t *fields)
{
    size_t                   i, k;
    ngx_str_t                value;
    ngx_uint_t               named;
    ngx_array_t             *set;
    ngx_http_request_t      *r;
    ngx_async_set_header_t  *header;

    r = ctx->request;
    set = ctx->alcf->set_headers;

    named = 0;

    header = set ? set->elts : NULL;

    for (i = 0; set && i < set->nelts; i++) {

        if (ngx_async_field_same(&header[i].name, &ngx_async_direct_host)) {
            named = 1;
        }
    }

    if (!named
        && ngx_async_field_push(fields, &ngx_async_direct_host, host)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (r->headers_in.content_length_n >= 0) {

        value.data = ngx_pnalloc(r->pool, NGX_OFF_T_LEN);
        if (value.data == NULL) {
            return NGX_ERROR;
        }

        value.len = ngx_sprintf(value.data, "%O",
                                r->headers_in.content_length_n)
                    - value.data;

        if (ngx_async_field_push(fields, &ngx_async_direct_length, &value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    for (i = 0; set && i < set->nelts; i++) {

        if (ngx_http_complex_value(r, &header[i].value, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        if (value.len == 0
            || ngx_async_field_in(ngx_async_direct_hop, &header[i].name))
        {
            continue;
        }

        for (k = 0; k < value.len; k++) {
            if (value.data[k] == CR || value.data[k] == LF
                || value.data[k] == '\0')
            {
                ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                              "async: the value of \"async_set_header %V\" "
                              "has a line break or a zero byte",
                              &header[i].name);
                return NGX_DECLINED;
            }
        }

        if (ngx_async_field_push(fields, &header[i].name, &value) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_direct_client(ngx_async_direct_ctx_t *ctx, ngx_array_t *fields)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ngx_async_field_first(&each, &ctx->request->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (ngx_async_direct_drop(ctx, h)) {
            continue;
        }

        if (ngx_async_field_forward(fields, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* the fields that the client declares to be meant for nginx alone */

static ngx_int_t
ngx_async_direct_listed(ngx_async_direct_ctx_t *ctx)
{
    ngx_table_elt_t         *h;
    ngx_async_field_each_t   each;

    ctx->connection = ngx_array_create(ctx->request->pool, 4,
                                       sizeof(ngx_str_t));
    if (ctx->connection == NULL) {
        return NGX_ERROR;
    }

    ngx_async_field_first(&each, &ctx->request->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (ngx_async_field_is(&h->key, "Connection")
            && ngx_async_field_names(&h->value, ctx->connection) != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_async_direct_drop(ngx_async_direct_ctx_t *ctx, ngx_table_elt_t *h)
{
    ngx_uint_t               i;
    ngx_async_set_header_t  *header;

    if (ngx_async_field_same(&h->key, &ngx_async_direct_host)
        || ngx_async_field_in(ngx_async_direct_hop, &h->key))
    {
        return 1;
    }

    if (ctx->whole && ngx_async_field_in(ngx_async_direct_partial, &h->key)) {
        return 1;
    }

    if (ctx->alcf->set_headers) {
        header = ctx->alcf->set_headers->elts;

        for (i = 0; i < ctx->alcf->set_headers->nelts; i++) {
            if (ngx_async_field_same(&header[i].name, &h->key)) {
                return 1;
            }
        }
    }

    return ngx_async_field_listed(ctx->connection, &h->key);
}
