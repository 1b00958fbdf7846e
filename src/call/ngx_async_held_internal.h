
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_HELD_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_HELD_INTERNAL_H_INCLUDED_


#include "src/call/ngx_async_held.h"


/* the client's request gets the head of the call's */
void ngx_async_held_take_head(ngx_http_request_t *r, ngx_http_request_t *cr);
void ngx_async_held_take_list(ngx_list_t *to, ngx_list_t *from);

/* Async-Id */
ngx_int_t ngx_async_held_add_id(ngx_async_held_t *held);

/* copies what is still in the call's pool, which is about to go */
void ngx_async_held_keep_head(ngx_http_request_t *r);


#endif /* _NGX_ASYNC_HELD_INTERNAL_H_INCLUDED_ */
