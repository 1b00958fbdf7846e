
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_head.h"
#include "src/base/ngx_async_codec.h"
#include "src/call/ngx_async_compat.h"


#define NGX_ASYNC_HEAD_VERSION  2


static ngx_uint_t ngx_async_head_skip(ngx_http_request_t *r,
    ngx_table_elt_t *h);
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
    ngx_uint_t                 i, n;
    ngx_array_t                fields;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    ngx_async_head_t           hd;
    ngx_async_field_t         *field;
    ngx_http_core_loc_conf_t  *clcf;

    if (ngx_array_init(&fields, pool, 16, sizeof(ngx_async_field_t)) != NGX_OK)
    {
        return NGX_ERROR;
    }

    hd.location = 0;

    /* the header filter adds it, before the others: below the tail */

    n = 0;

#if (NGX_HTTP_GZIP)
    if (r->gzip_vary) {
        clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
        n = clcf->gzip_vary;
    }
#endif

    if (n) {
        field = ngx_array_push(&fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        ngx_str_set(&field->key, "Vary");
        ngx_str_set(&field->value, "Accept-Encoding");
    }

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (ngx_async_head_skip(r, &h[i])) {
            continue;
        }

        field = ngx_array_push(&fields);
        if (field == NULL) {
            return NGX_ERROR;
        }

        field->key = h[i].key;
        field->value = h[i].value;

        if (&h[i] == r->headers_out.location) {
            hd.location = fields.nelts;
        }
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

    if (ngx_async_head_content_type(r, pool, &hd.content_type) != NGX_OK) {
        return NGX_ERROR;
    }

    return ngx_async_head_encode_fields(&hd, pool, head);
}


static ngx_uint_t
ngx_async_head_skip(ngx_http_request_t *r, ngx_table_elt_t *h)
{
    ngx_str_t  *name;

    if (h->hash == 0 || h == r->headers_out.content_length) {
        return 1;
    }

    for (name = ngx_async_head_hop; name->len; name++) {
        if (h->key.len == name->len
            && ngx_strncasecmp(h->key.data, name->data, name->len) == 0)
        {
            return 1;
        }
    }

    return 0;
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
    size_t       size;
    u_char      *p;
    ngx_uint_t   i;

    size = 1 + 2 + 8 + 8 + 4 + 4 + ngx_async_str_size(&h->status_line)
           + ngx_async_str_size(&h->content_type);

    for (i = 0; i < h->nfields; i++) {
        size += ngx_async_str_size(&h->fields[i].key)
                + ngx_async_str_size(&h->fields[i].value);
    }

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
    p = ngx_async_put_uint(p, h->nfields, 4);

    for (i = 0; i < h->nfields; i++) {
        p = ngx_async_put_str(p, &h->fields[i].key);
        p = ngx_async_put_str(p, &h->fields[i].value);
    }

    head->len = p - head->data;

    return NGX_OK;
}


ngx_int_t
ngx_async_head_decode(ngx_async_head_t *h, ngx_pool_t *pool, u_char *data,
    size_t len)
{
    ngx_uint_t          i;
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
    h->nfields = ngx_async_get_uint(&rd, 4);

    if (rd.failed || h->nfields > len) {
        return NGX_ERROR;
    }

    h->fields = ngx_palloc(pool, (h->nfields + 1) * sizeof(ngx_async_field_t));
    if (h->fields == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < h->nfields; i++) {
        ngx_async_get_str(&rd, &h->fields[i].key);
        ngx_async_get_str(&rd, &h->fields[i].value);
    }

    return rd.failed ? NGX_ERROR : NGX_OK;
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

        switch (e->key.len) {

        case sizeof("Date") - 1:
            if (ngx_strncasecmp(e->key.data, (u_char *) "Date", 4) == 0) {
                r->headers_out.date = e;

            } else if (ngx_strncasecmp(e->key.data, (u_char *) "ETag", 4) == 0)
            {
                r->headers_out.etag = e;
            }

            break;

        case sizeof("Server") - 1:
            if (ngx_strncasecmp(e->key.data, (u_char *) "Server", 6) == 0) {
                r->headers_out.server = e;
            }

            break;

        case sizeof("Last-Modified") - 1:
            if (ngx_strncasecmp(e->key.data, (u_char *) "Last-Modified", 13)
                == 0)
            {
                r->headers_out.last_modified = e;
                r->headers_out.last_modified_time =
                          ngx_parse_http_time(e->value.data, e->value.len);
            }

            break;

        case sizeof("Content-Encoding") - 1:
            if (ngx_strncasecmp(e->key.data, (u_char *) "Content-Encoding", 16)
                == 0)
            {
                r->headers_out.content_encoding = e;
            }

            break;
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
