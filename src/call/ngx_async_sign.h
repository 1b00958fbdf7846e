
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_SIGN_H_INCLUDED_
#define _NGX_ASYNC_SIGN_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* Signatures of Standard Webhooks: HMAC-SHA256, version "v1". */

#define NGX_ASYNC_SIGN_LEN  (sizeof("v1,") - 1 + 44)


/*
 * The key of a secret as it is written in a configuration ("whsec_" and its
 * base64), in memory of the pool.  NGX_DECLINED: it is not one; NGX_ERROR: no
 * memory.
 */
ngx_int_t ngx_async_sign_key(ngx_pool_t *pool, ngx_str_t *secret,
    ngx_str_t *key);

/*
 * Writes the signatures of "content" ("id.timestamp.body") by all keys (an
 * array of ngx_str_t), separated by spaces: n * (NGX_ASYNC_SIGN_LEN + 1) bytes
 * at most.  Returns the end, or NULL: OpenSSL failed.
 */
u_char *ngx_async_sign_write(u_char *p, ngx_array_t *keys,
    ngx_str_t *content);


#endif /* _NGX_ASYNC_SIGN_H_INCLUDED_ */
