
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SNAPSHOT_H_INCLUDED_
#define _NGX_ASYNC_SNAPSHOT_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_head.h"


/*
 * A snapshot is what the content handler of a location may look at in a
 * request: it is the first part of the request blob, and a call is made from
 * it alone, whether the submission is still there, long gone, or was made in
 * another process before a restart.
 *
 * The call enters the content phase of the location where its submission was,
 * with the same uri, args, captures and variables.  Nothing that ran before is
 * run again.  Values of variables that depend on the client's connection (TLS,
 * PROXY protocol, realip) are evaluated when the snapshot is taken.
 */

typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
    ngx_uint_t   index;
    unsigned     not_found:1;
} ngx_async_snapshot_var_t;

typedef struct {
    ngx_uint_t                    method;
    ngx_uint_t                    http_version;
    ngx_uint_t                    flags;
    ngx_uint_t                    err_status;
    ngx_str_t                     method_name;
    ngx_str_t                     http_protocol;
    ngx_str_t                     request_line;
    ngx_str_t                     unparsed_uri;
    ngx_str_t                     uri;
    ngx_str_t                     args;
    ngx_str_t                     exten;
    ngx_str_t                     schema;
    ngx_str_t                     server;       /* headers_in.server */
    ngx_uint_t                    port;         /* r->port, 0: none */
    ngx_str_t                     sockaddr;     /* bytes of struct sockaddr */
    ngx_str_t                     local_sockaddr;
    ngx_str_t                     addr_text;
    ngx_str_t                     proxy_src;    /* PROXY protocol, or empty */
    ngx_str_t                     proxy_dst;
    ngx_uint_t                    proxy_src_port;
    ngx_uint_t                    proxy_dst_port;
    ngx_str_t                     proxy_tlvs;
    uint64_t                      connection;   /* its number */
    ngx_uint_t                    requests;     /* on that connection */
    uint64_t                      start;        /* ms since the epoch */
    uint64_t                      connection_start;
    ngx_uint_t                    limit_conn_status;
    ngx_uint_t                    limit_req_status;
    off_t                         request_length;
    off_t                         content_length;       /* -1: none */
    ngx_uint_t                    ncaptures;
    int                          *captures;
    ngx_str_t                     captures_data;
    ngx_str_t                     body_file;    /* its name, if it is kept */
    ngx_str_t                     direct_url;   /* of a direct call, or empty */
    ngx_str_t                     handler;      /* key of the location that the
                                                   content handler is from, or
                                                   empty: its own */
    ngx_str_t                     head;         /* of the response so far */
    ngx_uint_t                    nheaders;     /* a direct call's own, then */
    ngx_async_field_t            *headers;
    ngx_uint_t                    nvars;
    ngx_async_snapshot_var_t     *vars;
} ngx_async_snapshot_t;

#define NGX_ASYNC_SNAPSHOT_VALID_URI        0x0001
#define NGX_ASYNC_SNAPSHOT_VALID_LOCATION   0x0002
#define NGX_ASYNC_SNAPSHOT_QUOTED           0x0004
#define NGX_ASYNC_SNAPSHOT_PLUS             0x0008
#define NGX_ASYNC_SNAPSHOT_INTERNAL         0x0010
#define NGX_ASYNC_SNAPSHOT_ALIAS            0x0020
#define NGX_ASYNC_SNAPSHOT_CHUNKED          0x0040
#define NGX_ASYNC_SNAPSHOT_KEEPALIVE        0x0080
#define NGX_ASYNC_SNAPSHOT_COMPLEX          0x0100
#define NGX_ASYNC_SNAPSHOT_ERROR_PAGE       0x0200
#define NGX_ASYNC_SNAPSHOT_EMPTY_PATH       0x0400
#define NGX_ASYNC_SNAPSHOT_BODY             0x0800  /* there is a body */


/* finds the connection's variables; in postconfiguration */
ngx_int_t ngx_async_snapshot_init(ngx_conf_t *cf);

/*
 * Takes a snapshot of r into ngx_alloc()ed memory, with "room" bytes free
 * after it for the body.  Prefer loses respond-async and wait; "whole": Range,
 * If-Range, If-None-Match and If-Modified-Since are left out, so that a whole
 * response comes.  For a direct call the URL and the headers (an array of
 * ngx_async_field_t) are given, else NULL.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_snapshot_take(ngx_http_request_t *r, ngx_uint_t whole,
    ngx_str_t *direct_url, ngx_array_t *direct_headers, size_t room,
    ngx_str_t *blob);

/*
 * Reads a snapshot; strings point into data, arrays are from pool.
 * NGX_ERROR: damaged or of an unknown version, or no memory.
 */
ngx_int_t ngx_async_snapshot_read(ngx_async_snapshot_t *s, ngx_pool_t *pool,
    u_char *data, size_t len);


#endif /* _NGX_ASYNC_SNAPSHOT_H_INCLUDED_ */
