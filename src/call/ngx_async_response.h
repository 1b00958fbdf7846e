
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_RESPONSE_H_INCLUDED_
#define _NGX_ASYNC_RESPONSE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/call/ngx_async_head.h"


/*
 * The head of a response that libcurl receives, line by line as it comes.
 */

typedef struct {
    ngx_pool_t                *pool;
    ngx_array_t                fields;      /* of ngx_async_field_t */
    ngx_async_head_t           head;
    size_t                     size;        /* bytes of it so far */
    ngx_async_field_t         *last;        /* that a line may continue */
    size_t                     room;        /* behind its value */
    ngx_str_t                  etag;
    unsigned                   started:1;
    unsigned                   chunked:1;
    unsigned                   done:1;
} ngx_async_response_t;


ngx_int_t ngx_async_response_init(ngx_async_response_t *rs, ngx_pool_t *pool);

/*
 * Takes a line with its end.  NGX_AGAIN: more follow; NGX_OK: the head is
 * complete, in rs->head; NGX_DECLINED: *why it is not one; NGX_ERROR: no
 * memory.  Lines after the head (trailers) give NGX_AGAIN.
 */
ngx_int_t ngx_async_response_line(ngx_async_response_t *rs, u_char *p,
    size_t n, const char **why);


#endif /* _NGX_ASYNC_RESPONSE_H_INCLUDED_ */
