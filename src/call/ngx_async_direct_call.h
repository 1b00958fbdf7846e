
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DIRECT_CALL_H_INCLUDED_
#define _NGX_ASYNC_DIRECT_CALL_H_INCLUDED_


#include "src/call/ngx_async_call.h"
#include "src/call/ngx_async_curl.h"
#include "src/call/ngx_async_response.h"
#include "src/call/ngx_async_snapshot.h"


/*
 * A direct call under way: one transfer from a snapshot to the sink of its
 * run (ngx_async_direct.c), how the request is put together for libcurl
 * (ngx_async_direct_request.c), and its body (ngx_async_direct_body.c).
 */

typedef struct ngx_async_direct_file_s  ngx_async_direct_file_t;

typedef struct {
    ngx_async_run_t        *run;
    ngx_async_curl_t       *transfer;
    struct curl_slist      *headers;
    ngx_pool_t             *pool;
    ngx_async_snapshot_t    snapshot;
    ngx_async_response_t    response;
    off_t                   sent;           /* bytes of the request body */
    off_t                   received;       /* of the response's */
    ngx_async_direct_file_t *file;          /* a body in a file, once read */

    /* why this side has ended it */
    const char             *code;
    const char             *message;

    unsigned                upload:1;       /* there is a body, or a length */
    unsigned                busy:1;         /* the sink is being called */
    unsigned                aborted:1;
} ngx_async_direct_t;


/* sets up the transfer; NGX_ERROR: no memory, or the snapshot is damaged */
ngx_int_t ngx_async_direct_request(ngx_async_direct_t *d);

/* the next bytes of the request body; for libcurl, as its handlers */
ssize_t ngx_async_direct_read(ngx_async_curl_t *t, u_char *p, size_t n);
ngx_int_t ngx_async_direct_seek(ngx_async_curl_t *t, off_t offset);

/* nothing more is read */
void ngx_async_direct_close(ngx_async_direct_t *d);


#endif /* _NGX_ASYNC_DIRECT_CALL_H_INCLUDED_ */
