
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_ID_H_INCLUDED_
#define _NGX_ASYNC_ID_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * A job id: a UUIDv7 (RFC 9562, 5.7) kept as 16 bytes in network order, so
 * that memcmp() orders ids by their creation time.
 */

#define NGX_ASYNC_ID_LEN       16
#define NGX_ASYNC_ID_TEXT_LEN  (sizeof("00000000-0000-0000-0000-000000000000") \
                                - 1)

typedef struct {
    u_char  bytes[NGX_ASYNC_ID_LEN];
} ngx_async_id_t;


/*
 * Makes a new id for the time "msec" (milliseconds since the epoch).  All
 * 74 random bits are fresh from getrandom(2).  NGX_ERROR: no randomness.
 */
ngx_int_t ngx_async_id_create(ngx_async_id_t *id, uint64_t msec);

/* writes NGX_ASYNC_ID_TEXT_LEN lower case characters, returns the end */
u_char *ngx_async_id_format(u_char *p, const ngx_async_id_t *id);

/*
 * Reads the canonical form in either case; NGX_ERROR for anything else,
 * another version or variant included.
 */
ngx_int_t ngx_async_id_parse(ngx_async_id_t *id, const u_char *p, size_t len);


#define ngx_async_id_cmp(a, b)                                                \
    ngx_memcmp((a)->bytes, (b)->bytes, NGX_ASYNC_ID_LEN)

/* its end, which is random, for trees */

static ngx_inline ngx_rbtree_key_t
ngx_async_id_key(const ngx_async_id_t *id)
{
    ngx_rbtree_key_t  key;

    ngx_memcpy(&key, id->bytes + NGX_ASYNC_ID_LEN - sizeof(ngx_rbtree_key_t),
               sizeof(ngx_rbtree_key_t));

    return key;
}


#endif /* _NGX_ASYNC_ID_H_INCLUDED_ */
