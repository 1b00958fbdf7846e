
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_PAGE_H_INCLUDED_
#define _NGX_ASYNC_PAGE_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/http/ngx_async_document.h"


/*
 * HTML pages for browsers.  They are whole in themselves: their policy lets
 * nothing be loaded, and names the only script and style by their hashes.
 */

/* an error, with its status */
ngx_int_t ngx_async_page_problem(ngx_http_request_t *r, ngx_uint_t status,
    const char *title, ngx_str_t *detail);

/* a job, with 200 */
ngx_int_t ngx_async_page_job(ngx_http_request_t *r, ngx_async_document_t *d);


#endif /* _NGX_ASYNC_PAGE_H_INCLUDED_ */
