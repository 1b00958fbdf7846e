
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_COMPAT_H_INCLUDED_
#define _NGX_ASYNC_COMPAT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * What differs between the versions of nginx that are supported, 1.22 to
 * mainline; there are no other version checks.
 */

#if (nginx_version >= 1029003)

#define ngx_async_request_port(r)         (r)->port
#define ngx_async_set_request_port(r, n)  (r)->port = (in_port_t) (n)

#else

#define ngx_async_request_port(r)         0
#define ngx_async_set_request_port(r, n)

#endif


#if (nginx_version >= 1023002)

#define ngx_async_proxy_tlvs_len(pp)      (pp)->tlvs.len
#define ngx_async_put_proxy_tlvs(p, pp)                                       \
    ngx_async_put_str(p, (pp) ? &(pp)->tlvs : &empty)
#define ngx_async_set_proxy_tlvs(pp, s)   (pp)->tlvs = *(s)

#else

#define ngx_async_proxy_tlvs_len(pp)      0
#define ngx_async_put_proxy_tlvs(p, pp)   ngx_async_put_str(p, &empty)
#define ngx_async_set_proxy_tlvs(pp, s)

#endif


/*
 * Header fields of one name are linked since 1.23.0, and the first
 * Content-Type of a response counts, not the last one.
 */

#if (nginx_version >= 1023000)
#define ngx_async_header_unlink(h)        (h)->next = NULL
#define NGX_ASYNC_FIRST_TYPE              1
#else
#define ngx_async_header_unlink(h)
#define NGX_ASYNC_FIRST_TYPE              0
#endif


#if (nginx_version >= 1029000)
#define NGX_ASYNC_EARLY_HINTS  1
#endif


/* two are those of the whole match: there may be no array at all then */

#if (NGX_PCRE)
#define ngx_async_ncaptures(r)                                                \
    ((r)->captures && (r)->ncaptures > 2 ? (r)->ncaptures : 0)
#else
#define ngx_async_ncaptures(r)            0
#endif


#endif /* _NGX_ASYNC_COMPAT_H_INCLUDED_ */
