
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_QUERY_H_INCLUDED_
#define _NGX_ASYNC_QUERY_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * What the URIs of job resources say.  Strings stay where the request has
 * them.
 */

/* what follows the prefix of the location: an id, and "/result" or the like */
void ngx_async_query_path(ngx_str_t *path, ngx_str_t *id, ngx_str_t *suffix);

/* the hop of a chain, n=K of J/wait; 0: it is the first one */
ngx_uint_t ngx_async_query_hop(ngx_http_request_t *r);

/*
 * Filters of the list: status, queue, limit, cursor.  NGX_ERROR: one of them
 * is malformed, detail (may be empty) says how.
 */
ngx_int_t ngx_async_query_list(ngx_http_request_t *r, ngx_async_list_t *list,
    ngx_str_t *detail);


#endif /* _NGX_ASYNC_QUERY_H_INCLUDED_ */
