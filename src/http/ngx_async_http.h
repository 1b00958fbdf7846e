
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_HTTP_H_INCLUDED_
#define _NGX_ASYNC_HTTP_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Entry points of the HTTP interface for the module file.
 */

/* content handler of an async_jobs location */
ngx_int_t ngx_async_jobs_handler(ngx_http_request_t *r);

/*
 * For the tail filter: what everything under J has, where nginx itself has
 * written it (412, 413, ...); then ngx_async_reply_unique().
 */
void ngx_async_resources_finish(ngx_http_request_t *r);

/* content handler of an async_metrics location */
ngx_int_t ngx_async_metrics_handler(ngx_http_request_t *r);

/* content handler of a location with async_pass, for what is no job */
ngx_int_t ngx_async_pass_handler(ngx_http_request_t *r);

/* the module's handler in the precontent phase (submit) */
ngx_int_t ngx_async_submit_handler(ngx_http_request_t *r);


#endif /* _NGX_ASYNC_HTTP_H_INCLUDED_ */
