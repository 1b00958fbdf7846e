
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_URI_H_INCLUDED_
#define _NGX_ASYNC_URI_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Resolves a reference against the URL origin + uri (RFC 3986, 5.2), where
 * origin is "https://host" and uri begins with "/" and may have a query.  The
 * result is in memory of the pool, or the reference itself if it is absolute.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_uri_resolve(ngx_pool_t *pool, ngx_str_t *origin,
    ngx_str_t *uri, ngx_str_t *reference, ngx_str_t *out);


#endif /* _NGX_ASYNC_URI_H_INCLUDED_ */
