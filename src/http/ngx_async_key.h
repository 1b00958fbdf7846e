
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_KEY_H_INCLUDED_
#define _NGX_ASYNC_KEY_H_INCLUDED_


#include "src/ngx_async.h"


/*
 * Deduplication: what makes two submissions the same job.
 */

/*
 * SHA-256 over method, URI and body, which must have been read.  NGX_ERROR:
 * the body's file could not be read, or no memory.
 */
ngx_int_t ngx_async_key_fingerprint(ngx_http_request_t *r, u_char *hash);

/*
 * The same for a body in a file, whose reading blocks: start() takes what it
 * needs of the request, read() does the rest, in a thread, and leaves its end
 * in rc and hash; free() is to be called after that, on the event loop.
 * NULL: no memory, or no descriptor.
 */
typedef struct {
    void        *md;
    ngx_fd_t     fd;
    off_t        pos;
    off_t        last;
    ngx_int_t    rc;
    u_char       hash[NGX_ASYNC_HASH_LEN];
} ngx_async_key_file_t;

ngx_async_key_file_t *ngx_async_key_file_start(ngx_http_request_t *r);
void ngx_async_key_file_read(ngx_async_key_file_t *f);
void ngx_async_key_file_free(ngx_async_key_file_t *f);

/*
 * The key of a submission within its scope: server, owner and Authorization.
 * NGX_OK; NGX_DECLINED: no key is configured or given; NGX_ABORT: the client's
 * key is malformed; NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_key_get(ngx_http_request_t *r, ngx_async_loc_conf_t *alcf,
    ngx_str_t *owner, u_char *hash);


#endif /* _NGX_ASYNC_KEY_H_INCLUDED_ */
