
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
 * run (ngx_async_direct.c), and how the request is put together for libcurl
 * (ngx_async_direct_request.c).
 */

typedef struct {
    ngx_async_run_t        *run;
    ngx_async_curl_t       *transfer;
    struct curl_slist      *headers;
    ngx_pool_t             *pool;
    ngx_async_snapshot_t    snapshot;
    ngx_async_response_t    response;
    off_t                   sent;           /* bytes of the request body */

    /* why this side has ended it */
    const char             *code;
    const char             *message;

    unsigned                upload:1;       /* there is a body, or a length */
    unsigned                busy:1;         /* the sink is being called */
    unsigned                aborted:1;
} ngx_async_direct_t;


/* sets up the transfer; NGX_ERROR: no memory, or the snapshot is damaged */
ngx_int_t ngx_async_direct_request(ngx_async_direct_t *d);


#endif /* _NGX_ASYNC_DIRECT_CALL_H_INCLUDED_ */
