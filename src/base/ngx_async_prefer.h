
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_PREFER_H_INCLUDED_
#define _NGX_ASYNC_PREFER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Parsers of what clients send: Prefer (RFC 7240), Idempotency-Key (an RFC
 * 8941 string, or bare), urgency (RFC 9218), Last-Event-ID, browsers'
 * navigations.
 */

typedef struct {
    unsigned    respond_async:1;
    unsigned    wait_set:1;
    ngx_uint_t  wait;               /* seconds; large values are clipped */
} ngx_async_prefer_t;


/*
 * All Prefer lines of the request: several lines, commas, parameters, quoted
 * values, case-insensitive, the first of a name wins; a malformed element is
 * dropped alone.
 */
void ngx_async_prefer_parse(ngx_http_request_t *r, ngx_async_prefer_t *p);

/* one field value, into *p, after what is there already; for tests too */
void ngx_async_prefer_parse_value(ngx_async_prefer_t *p, u_char *data,
    size_t len);

/*
 * The value of a Prefer field without respond-async and wait, in memory of
 * the pool, and never longer; empty if nothing is left.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_prefer_strip(ngx_pool_t *pool, ngx_str_t *value,
    ngx_str_t *out);

/*
 * The key in an Idempotency-Key value: "k" and k are the same.  NGX_DECLINED:
 * a quoted value that is empty or malformed.  Bare values are taken trimmed.
 */
ngx_int_t ngx_async_prefer_key(ngx_pool_t *pool, ngx_str_t *value,
    ngx_str_t *key);

/* urgency 0..7 of a Priority value or of a bare number; 3 by default */
ngx_uint_t ngx_async_prefer_urgency(ngx_str_t *value);

/* true if it is no mistake: one urgency, and at most RFC 9218's "i" besides */
ngx_uint_t ngx_async_prefer_is_urgency(ngx_str_t *value);

/* true if it can be the name of a header */
ngx_uint_t ngx_async_prefer_is_token(ngx_str_t *s);

/* true if a browser navigates: it wants pages */
ngx_uint_t ngx_async_prefer_navigation(ngx_http_request_t *r);

/* the value of the first header field of this name, or NULL */
ngx_str_t *ngx_async_prefer_field(ngx_http_request_t *r, const char *name);

/* ?wait=N: true and *wait in seconds if there is a number */
ngx_uint_t ngx_async_prefer_wait_arg(ngx_http_request_t *r, ngx_uint_t *wait);

/* Last-Event-ID: true and *version if it is one that a job may have had */
ngx_uint_t ngx_async_prefer_last_event(ngx_http_request_t *r,
    uint32_t *version);


#endif /* _NGX_ASYNC_PREFER_H_INCLUDED_ */
