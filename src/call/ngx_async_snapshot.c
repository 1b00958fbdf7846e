
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_snapshot_internal.h"
#include "src/call/ngx_async_compat.h"


static ngx_int_t ngx_async_snapshot_prepare(ngx_async_taking_t *t);
static void ngx_async_snapshot_handler(ngx_async_taking_t *t);
static ngx_int_t ngx_async_snapshot_head(ngx_async_taking_t *t);
static ngx_int_t ngx_async_snapshot_fields(ngx_async_taking_t *t);
static ngx_uint_t ngx_async_snapshot_partial(ngx_http_request_t *r,
    ngx_table_elt_t *h);


ngx_int_t
ngx_async_snapshot_take(ngx_http_request_t *r, ngx_uint_t whole,
    ngx_str_t *direct_url, ngx_array_t *direct_headers, size_t room,
    ngx_str_t *blob)
{
    size_t              size;
    u_char             *p;
    ngx_async_taking_t  t;

    ngx_memzero(&t, sizeof(ngx_async_taking_t));

    t.request = r;
    t.whole = whole;
    t.fields = direct_headers;

    if (direct_url) {
        t.direct_url = *direct_url;
    }

    if (ngx_async_snapshot_prepare(&t) != NGX_OK) {
        return NGX_ERROR;
    }

    size = ngx_async_snapshot_size(&t);

    p = ngx_alloc(size + room, r->connection->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    blob->data = p;
    blob->len = ngx_async_snapshot_write(&t, p) - p;

    return NGX_OK;
}


static ngx_int_t
ngx_async_snapshot_prepare(ngx_async_taking_t *t)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = t->request;
    c = r->connection;

    /* wildcard listeners: the address that the client connected to */

    if (ngx_connection_local_sockaddr(c, NULL, 0) != NGX_OK) {
        return NGX_ERROR;
    }

    t->sockaddr.data = (u_char *) c->sockaddr;
    t->sockaddr.len = c->socklen;
    t->local_sockaddr.data = (u_char *) c->local_sockaddr;
    t->local_sockaddr.len = c->local_socklen;

#if (NGX_PCRE)
    if (ngx_async_ncaptures(r)) {
        ngx_uint_t  i;

        for (i = 0; i < r->ncaptures; i++) {
            if (r->captures[i] > (int) t->captures_data.len) {
                t->captures_data.len = r->captures[i];
            }
        }

        t->captures_data.data = r->captures_data;
    }
#endif

    if (r->request_body && r->request_body->temp_file) {
        t->body_file = r->request_body->temp_file->file.name;
    }

    ngx_async_snapshot_handler(t);

    if (ngx_async_snapshot_head(t) != NGX_OK) {
        return NGX_ERROR;
    }

    if (t->fields == NULL && ngx_async_snapshot_fields(t) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_snapshot_choose_vars(t);
}


/*
 * In an "if" the content handler may be that of the location around it, or of
 * another "if" before: any location of this server that has it will do.
 */

static void
ngx_async_snapshot_handler(ngx_async_taking_t *t)
{
    ngx_uint_t                  i;
    ngx_http_request_t         *r;
    ngx_async_loc_conf_t       *alcf, **alcfp;
    ngx_async_main_conf_t      *amcf;
    ngx_http_core_loc_conf_t   *clcf;

    r = t->request;
    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->content_handler == NULL || r->content_handler == clcf->handler) {
        return;
    }

    alcf = ngx_http_get_module_loc_conf(r, ngx_async_module);
    amcf = ngx_http_get_module_main_conf(r, ngx_async_module);
    alcfp = amcf->locations.elts;

    for (i = 0; i < amcf->locations.nelts; i++) {

        if (alcfp[i]->ascf != alcf->ascf) {
            continue;
        }

        clcf = alcfp[i]->ctx->loc_conf[ngx_http_core_module.ctx_index];

        if (clcf->handler == r->content_handler) {
            t->handler = alcfp[i]->location;
            return;
        }
    }
}


/* what modules of earlier phases have put into the response */

static ngx_int_t
ngx_async_snapshot_head(ngx_async_taking_t *t)
{
    ngx_http_request_t  *r;

    r = t->request;

    if (r->headers_out.headers.part.nelts == 0 && r->headers_out.status == 0
        && r->headers_out.content_type.len == 0)
    {
        return NGX_OK;
    }

    return ngx_async_head_encode(r, r->pool, &t->head);
}


/*
 * The header fields of the client: what this nginx does by itself is not asked
 * for a second time.
 */

static ngx_int_t
ngx_async_snapshot_fields(ngx_async_taking_t *t)
{
    ngx_table_elt_t         *h;
    ngx_http_request_t      *r;
    ngx_async_field_each_t   each;

    r = t->request;

    t->fields = ngx_array_create(r->pool, 16, sizeof(ngx_async_field_t));
    if (t->fields == NULL) {
        return NGX_ERROR;
    }

    ngx_async_field_first(&each, &r->headers_in.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (t->whole && ngx_async_snapshot_partial(r, h)) {
            continue;
        }

        if (ngx_async_field_forward(t->fields, h) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_async_snapshot_partial(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    return h == r->headers_in.range
           || h == r->headers_in.if_range
           || h == r->headers_in.if_none_match
           || h == r->headers_in.if_modified_since;
}
