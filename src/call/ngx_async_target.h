
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_TARGET_H_INCLUDED_
#define _NGX_ASYNC_TARGET_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Where a callback may go.  A URL is taken apart by libcurl's own parser, the
 * one that the request will be made with: what was checked is what is used.
 */

#define NGX_ASYNC_TARGET_URL_MAX   2048
#define NGX_ASYNC_TARGET_HOST_MAX  255

typedef struct {
    unsigned    https:1;
    unsigned    wildcard:1;     /* of a prefix: "*." was before host */
    in_port_t   port;
    u_char      host[NGX_ASYNC_TARGET_HOST_MAX + 1];    /* lower case */
    size_t      host_len;
    u_char      path[NGX_ASYNC_TARGET_URL_MAX + 1];     /* with the query */
    size_t      path_len;
} ngx_async_target_t;


/*
 * Reads a URL, or with "prefix" one of async_callback_allow.  NGX_DECLINED:
 * *why says what is wrong with it.
 */
ngx_int_t ngx_async_target_parse(ngx_async_target_t *t, ngx_str_t *url,
    ngx_uint_t prefix, const char **why);

/*
 * NGX_OK: the URL begins with one of the prefixes (ngx_str_t), same scheme,
 * same host or, for "*.", a subdomain of it, same port, and the path goes on
 * after the prefix with a new segment.
 */
ngx_int_t ngx_async_target_allowed(ngx_async_target_t *t, ngx_array_t *allow);

/*
 * NGX_OK: a callback may connect to this address.  Addresses that are not
 * those of hosts on the public internet are declined, unless the prefixes list
 * the very address and port.
 */
ngx_int_t ngx_async_target_address(struct sockaddr *sa, ngx_array_t *allow);

/* the same for a host that is an address; names are not known yet: NGX_OK */
ngx_int_t ngx_async_target_host(ngx_async_target_t *t, ngx_array_t *allow);


#endif /* _NGX_ASYNC_TARGET_H_INCLUDED_ */
