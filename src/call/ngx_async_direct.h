
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DIRECT_H_INCLUDED_
#define _NGX_ASYNC_DIRECT_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_head.h"


/*
 * A direct call: async_pass.  Everything that takes variables is evaluated at
 * the submission; a snapshot keeps the outcome, from which the call is made.
 */

/* an element of set_headers (async_set_header) */

typedef struct {
    ngx_str_t                  name;
    ngx_http_complex_value_t   value;       /* empty: the field is left out */
} ngx_async_set_header_t;


/*
 * At the submission, when the body has been read: the URL, as "async_pass" has
 * it with the request's own URI as proxy_pass would send it, and the header
 * fields (array of ngx_async_field_t, initialized here), in memory of r->pool.
 * "whole": without conditions and ranges, as for a snapshot.  NGX_DECLINED: a
 * value is no URL or no field, which was logged.
 */
ngx_int_t ngx_async_direct_prepare(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf, ngx_uint_t whole, ngx_str_t *url,
    ngx_array_t *fields);

ngx_int_t ngx_async_direct_fields(ngx_http_request_t *r,
    ngx_async_loc_conf_t *alcf, ngx_uint_t whole, ngx_str_t *host,
    ngx_array_t *fields);


/*
 * The directive's value in a location of cf: NGX_ERROR was logged.  One that
 * has variables is looked at when it is evaluated.
 */
ngx_int_t ngx_async_direct_check(ngx_conf_t *cf, ngx_str_t *value);

/*
 * The same in postconfiguration, for every location: upstream{} blocks are not
 * for libcurl, and only now all of them are known.
 */
ngx_int_t ngx_async_direct_check_upstream(ngx_conf_t *cf, ngx_str_t *value);


#endif /* _NGX_ASYNC_DIRECT_H_INCLUDED_ */
