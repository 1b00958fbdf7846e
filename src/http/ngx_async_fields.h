
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_FIELDS_H_INCLUDED_
#define _NGX_ASYNC_FIELDS_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_head.h"


/*
 * Fills r->headers_out with the head of a stored response, by the rules of
 * J/result.  Strings of the head are not copied, those of the job are.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_fields_fill(ngx_http_request_t *r, ngx_async_job_t *job,
    ngx_async_head_t *head);

/* AsyncResult (0: none) and Async-Status */
ngx_int_t ngx_async_fields_status(ngx_http_request_t *r,
    ngx_async_job_t *job, ngx_uint_t status);


#endif /* _NGX_ASYNC_FIELDS_H_INCLUDED_ */
