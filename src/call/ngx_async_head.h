
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_HEAD_H_INCLUDED_
#define _NGX_ASYNC_HEAD_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/base/ngx_async_field.h"


/*
 * The head of a response as it lies at the start of the response blob: a
 * version byte, status, status line, then the fields that nginx keeps apart
 * (Content-Type, Last-Modified) and all header fields in their order with
 * repeats.  What belongs to a connection (Connection, Transfer-Encoding,
 * Content-Length, Date, Server when it is nginx's own) is not in it.
 */

typedef struct {
    ngx_uint_t          status;
    ngx_str_t           status_line;    /* empty: nginx's own for status */
    ngx_str_t           content_type;   /* with its parameters */
    time_t              last_modified;  /* -1: none */
    off_t               content_length; /* as announced; -1: none */
    ngx_uint_t          location;       /* number, from 1, of the field that
                                           nginx may make absolute; 0: none */
    ngx_uint_t          nfields;
    ngx_async_field_t  *fields;         /* in the memory given to decode */
} ngx_async_head_t;


/*
 * Encodes r->headers_out (of a call, at the tail of its filters) into memory
 * of "pool".  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_head_encode(ngx_http_request_t *r, ngx_pool_t *pool,
    ngx_str_t *head);

/* the same from explicit parts, for a response that libcurl received */
ngx_int_t ngx_async_head_encode_fields(ngx_async_head_t *h, ngx_pool_t *pool,
    ngx_str_t *head);

/*
 * Decodes "len" bytes at "data" (strings point into it; fields from "pool").
 * NGX_ERROR: damaged, or no memory.
 */
ngx_int_t ngx_async_head_decode(ngx_async_head_t *h, ngx_pool_t *pool,
    u_char *data, size_t len);

/*
 * Fills r->headers_out from a head exactly as it was, for a held client.
 * Strings are not copied.
 */
ngx_int_t ngx_async_head_restore(ngx_http_request_t *r, ngx_async_head_t *h,
    off_t body_len);


#endif /* _NGX_ASYNC_HEAD_H_INCLUDED_ */
