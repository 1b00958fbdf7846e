
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_head.h"
#include "src/call/ngx_async_compat.h"


#define NGX_ASYNC_HEAD_VERSION  2


static ngx_int_t ngx_async_head_collect(ngx_http_request_t *r,
    ngx_array_t *fields, ngx_uint_t *location);
static ngx_int_t ngx_async_head_content_type(ngx_http_request_t *r,
    ngx_pool_t *pool, ngx_str_t *type);
static ngx_table_elt_t *ngx_async_head_push(ngx_http_request_t *r,
    ngx_async_field_t *field);


/* what belongs to the connection, in lower case */

static ngx_str_t  ngx_async_head_hop[] = {
    ngx_string("connection"),
    ngx_string("keep-alive"),
    ngx_string("proxy-connection"),
    ngx_string("transfer-encoding"),
    ngx_string("upgrade"),
    ngx_string("content-length"),
    ngx_null_string
};


ngx_int_t
ngx_async_head_encode(ngx_http_request_t *r, ngx_pool_t *pool, ngx_str_t *head)
{
    ngx_array_t       fields;
    ngx_async_head_t  hd;

    if (ngx_array_init(&fields, pool, 16, sizeof(ngx_async_field_t)) != NGX_OK
        || ngx_async_head_collect(r, &fields, &hd.location) != NGX_OK
        || ngx_async_head_content_type(r, pool, &hd.content_type) != NGX_OK)
    {
        return NGX_ERROR;
    }

    hd.status = r->headers_out.status;
    hd.status_line = r->headers_out.status_line;
    hd.content_length = r->headers_out.content_length_n;
    hd.last_modified = r->headers_out.last_modified_time;
    hd.nfields = fields.nelts;
    hd.fields = fields.elts;

    if (r->headers_out.last_modified && r->headers_out.last_modified->hash) {
        hd.last_modified = -1;
    }

    return ngx_async_head_encode_fields(&hd, pool, head);
}


static ngx_int_t
ngx_async_head_collect(ngx_http_request_t *r, ngx_array_t *fields,
    ngx_uint_t *location)
{
    ngx_table_elt_t           *h;
    ngx_async_field_t         *field;
    ngx_async_field_each_t     each;
#if (NGX_HTTP_GZIP)
    ngx_http_core_loc_conf_t  *clcf;

    /* the header filter adds it, before the others: below the tail */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->gzip_vary && clcf->gzip_vary) {
        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        ngx_str_set(&field->key, "Vary");
        ngx_str_set(&field->value, "Accept-Encoding");
    }
#endif

    *location = 0;

    ngx_async_field_first(&each, &r->headers_out.headers);

    while ((h = ngx_async_field_next(&each)) != NULL) {

        if (h == r->headers_out.content_length
            || ngx_async_field_in(ngx_async_head_hop, &h->key))
        {
            continue;
        }

        field = ngx_array_push(fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        field->key = h->key;
        field->value = h->value;

        if (h == r->headers_out.location) {
            *location = fields->nelts;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_head_content_type(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *type)
{
    u_char                   *p;
    ngx_http_headers_out_t   *out;

    out = &r->headers_out;

    /* as the header filter writes it */

    if (out->status_line.len == 0 && out->status == NGX_HTTP_NO_CONTENT) {
        ngx_str_null(type);
        return NGX_OK;
    }

    if (out->content_type_len != out->content_type.len || out->charset.len == 0
        || out->content_type.len == 0)
    {
        *type = out->content_type;
        return NGX_OK;
    }

    type->len = out->content_type.len + sizeof("; charset=") - 1
                + out->charset.len;

    p = ngx_pnalloc(pool, type->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    type->data = p;

    p = ngx_cpymem(p, out->content_type.data, out->content_type.len);
    p = ngx_cpymem(p, "; charset=", sizeof("; charset=") - 1);
    ngx_memcpy(p, out->charset.data, out->charset.len);

    return NGX_OK;
}


ngx_int_t
ngx_async_head_encode_fields(ngx_async_head_t *h, ngx_pool_t *pool,
    ngx_str_t *head)
{
    size_t   size;
    u_char  *p;

    size = 1 + 2 + 8 + 8 + 4 + ngx_async_str_size(&h->status_line)
           + ngx_async_str_size(&h->content_type)
           + ngx_async_field_size(h->fields, h->nfields);

    p = ngx_pnalloc(pool, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    head->data = p;

    *p++ = NGX_ASYNC_HEAD_VERSION;
    p = ngx_async_put_uint(p, h->status, 2);
    p = ngx_async_put_uint(p, (uint64_t) h->last_modified, 8);
    p = ngx_async_put_uint(p, (uint64_t) h->content_length, 8);
    p = ngx_async_put_str(p, &h->status_line);
    p = ngx_async_put_str(p, &h->content_type);
    p = ngx_async_put_uint(p, h->location, 4);
    p = ngx_async_field_put(p, h->fields, h->nfields);

    head->len = p - head->data;

    return NGX_OK;
}


ngx_int_t
ngx_async_head_decode(ngx_async_head_t *h, ngx_pool_t *pool, u_char *data,
    size_t len)
{
    ngx_async_reader_t  rd;

    rd.pos = data;
    rd.last = data + len;
    rd.failed = 0;

    if (ngx_async_get_uint(&rd, 1) != NGX_ASYNC_HEAD_VERSION) {
        return NGX_ERROR;
    }

    h->status = ngx_async_get_uint(&rd, 2);
    h->last_modified = (time_t) ngx_async_get_uint(&rd, 8);
    h->content_length = (off_t) ngx_async_get_uint(&rd, 8);
    ngx_async_get_str(&rd, &h->status_line);
    ngx_async_get_str(&rd, &h->content_type);
    h->location = ngx_async_get_uint(&rd, 4);

    return ngx_async_field_get(&rd, pool, &h->fields, &h->nfields);
}


ngx_int_t
ngx_async_head_restore(ngx_http_request_t *r, ngx_async_head_t *h,
    off_t body_len)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *e;

    r->headers_out.status = h->status;
    r->headers_out.status_line = h->status_line;
    r->headers_out.content_type = h->content_type;
    r->headers_out.content_type_len = h->content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    ngx_str_null(&r->headers_out.charset);
    r->headers_out.last_modified_time = h->last_modified;
    r->headers_out.content_length_n = body_len;

    for (i = 0; i < h->nfields; i++) {

        e = ngx_async_head_push(r, &h->fields[i]);
        if (e == NULL) {
            return NGX_ERROR;
        }

        if (i + 1 == h->location) {
            r->headers_out.location = e;
            continue;
        }

        if (ngx_async_field_is(&e->key, "Date")) {
            r->headers_out.date = e;

        } else if (ngx_async_field_is(&e->key, "ETag")) {
            r->headers_out.etag = e;

        } else if (ngx_async_field_is(&e->key, "Server")) {
            r->headers_out.server = e;

        } else if (ngx_async_field_is(&e->key, "Last-Modified")) {
            r->headers_out.last_modified = e;
            r->headers_out.last_modified_time =
                            ngx_parse_http_time(e->value.data, e->value.len);

        } else if (ngx_async_field_is(&e->key, "Content-Encoding")) {
            r->headers_out.content_encoding = e;
        }
    }

    return NGX_OK;
}


static ngx_table_elt_t *
ngx_async_head_push(ngx_http_request_t *r, ngx_async_field_t *field)
{
    ngx_table_elt_t  *e;

    e = ngx_list_push(&r->headers_out.headers);
    if (e == NULL) {
        return NULL;
    }

    ngx_memzero(e, sizeof(ngx_table_elt_t));

    e->hash = 1;
    e->key = field->key;
    e->value = field->value;

    return e;
}
