
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_held_internal.h"


/*
 * The head of a response on its way from the call's request to the client's.
 */


static void ngx_async_held_take_str(ngx_http_request_t *r, ngx_str_t *to,
    ngx_str_t *from);
static ngx_int_t ngx_async_held_copy(ngx_http_request_t *r, ngx_list_t *to,
    ngx_list_t *from);


void
ngx_async_held_take_head(ngx_http_request_t *r, ngx_http_request_t *cr)
{
    ngx_http_core_loc_conf_t  *clcf;

    /* where X-Accel-Redirect or an error_page has led to */

    if (r->loc_conf != cr->loc_conf) {
        r->loc_conf = cr->loc_conf;

        ngx_async_held_take_str(r, &r->uri, &cr->uri);
        ngx_async_held_take_str(r, &r->args, &cr->args);
    }

    r->err_status = cr->err_status;
    r->headers_out = cr->headers_out;

    ngx_async_held_take_list(&r->headers_out.headers, &cr->headers_out.headers);
    ngx_async_held_take_list(&r->headers_out.trailers,
                             &cr->headers_out.trailers);

    r->upstream_states = cr->upstream_states;
    r->expect_trailers = cr->expect_trailers;
    r->header_only = cr->header_only;
    r->allow_ranges = cr->allow_ranges;

#if (NGX_HTTP_GZIP)
    r->gzip_vary = cr->gzip_vary;
#endif

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (!cr->limit_rate_set && !r->limit_rate_set) {
        cr->limit_rate = ngx_http_complex_value_size(cr, clcf->limit_rate, 0);
        cr->limit_rate_set = 1;
    }

    if (cr->limit_rate_set) {
        r->limit_rate = cr->limit_rate;
        r->limit_rate_set = 1;
    }

    if (!r->limit_rate_after_set) {
        r->limit_rate_after = ngx_http_complex_value_size(cr,
                                                    clcf->limit_rate_after, 0);
        r->limit_rate_after_set = 1;
    }

    if (!cr->keepalive) {
        r->keepalive = 0;
    }

    if (cr->http_version < NGX_HTTP_VERSION_10) {
        /* an upstream that knows of no headers: there are none */
        r->http_version = cr->http_version;
    }
}


/* copied: the call's memory may go first */

static void
ngx_async_held_take_str(ngx_http_request_t *r, ngx_str_t *to, ngx_str_t *from)
{
    u_char  *p;

    p = ngx_pstrdup(r->pool, from);

    if (p) {
        to->data = p;
        to->len = from->len;
    }
}


/* a list that was copied still points to its source's first part */

void
ngx_async_held_take_list(ngx_list_t *to, ngx_list_t *from)
{
    *to = *from;

    if (from->last == &from->part) {
        to->last = &to->part;
    }
}


ngx_int_t
ngx_async_held_add_id(ngx_async_held_t *held)
{
    u_char              *p;
    ngx_table_elt_t     *h;
    ngx_http_request_t  *r;

    r = held->request;

    p = ngx_pnalloc(r->pool, NGX_ASYNC_ID_TEXT_LEN);
    h = ngx_list_push(&r->headers_out.headers);

    if (p == NULL || h == NULL) {
        return NGX_ERROR;
    }

    (void) ngx_async_id_format(p, &held->run->job.id);

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    ngx_str_set(&h->key, "Async-Id");
    h->value.data = p;
    h->value.len = NGX_ASYNC_ID_TEXT_LEN;

    return NGX_OK;
}


/*
 * Copies what is still in the call's pool, which is about to go.  Variables
 * look for fields in the list; what else pointed to them is forgotten.
 */

void
ngx_async_held_keep_head(ngx_http_request_t *r)
{
    ngx_http_headers_out_t  *out, kept;

    out = &r->headers_out;

    ngx_memzero(&kept, sizeof(ngx_http_headers_out_t));

    kept.status = out->status;
    kept.content_type_len = out->content_type_len;
    kept.content_length_n = out->content_length_n;
    kept.date_time = out->date_time;
    kept.last_modified_time = out->last_modified_time;

    ngx_async_held_take_str(r, &kept.content_type, &out->content_type);
    ngx_async_held_take_str(r, &kept.charset, &out->charset);
    ngx_async_held_take_str(r, &kept.status_line, &out->status_line);

    if (ngx_async_held_copy(r, &kept.headers, &out->headers) != NGX_OK) {
        ngx_memzero(&kept.headers, sizeof(ngx_list_t));
    }

    *out = kept;
    ngx_async_held_take_list(&out->headers, &kept.headers);

    r->upstream_states = NULL;
}


static ngx_int_t
ngx_async_held_copy(ngx_http_request_t *r, ngx_list_t *to, ngx_list_t *from)
{
    ngx_table_elt_t         *h, *copy;
    ngx_async_field_each_t   each;

    if (ngx_list_init(to, r->pool, 20, sizeof(ngx_table_elt_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_async_field_first(&each, from);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        copy = ngx_list_push(to);
        if (copy == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(copy, sizeof(ngx_table_elt_t));

        copy->hash = h->hash;

        ngx_async_held_take_str(r, &copy->key, &h->key);
        ngx_async_held_take_str(r, &copy->value, &h->value);
    }

    return NGX_OK;
}
