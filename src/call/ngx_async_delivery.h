
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DELIVERY_H_INCLUDED_
#define _NGX_ASYNC_DELIVERY_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/call/ngx_async_curl.h"


/*
 * A delivery: one attempt of a callback, the POST and what it came to; a part
 * of callbacks (ngx_async_callback.c).
 */

/* both ends well before the lease does, which is for a minute */
#define NGX_ASYNC_DELIVERY_TIMEOUT  30000L          /* ms */
#define NGX_ASYNC_DELIVERY_PERIOD   (24 * 3600 * 1000ULL)

#define NGX_ASYNC_DELIVERY_ERROR_LEN  (CURL_ERROR_SIZE + 64)

typedef struct ngx_async_delivery_s  ngx_async_delivery_t;

typedef void (*ngx_async_delivery_pt)(ngx_async_delivery_t *d);

struct ngx_async_delivery_s {
    ngx_async_job_t        *job;        /* the caller's, until the end */
    ngx_async_loc_conf_t   *alcf;
    ngx_str_t              *document;
    ngx_async_delivery_pt   handler;    /* when it has ended */
    void                   *data;
    ngx_pool_t             *pool;       /* of this attempt */
    unsigned                fixed:1;    /* the URL is the administrator's */

    /* what it came to */
    ngx_uint_t              status;     /* ngx_async_callback_e */
    uint64_t                not_before; /* of the next one, when pending */
    ngx_str_t               error;      /* empty: delivered */

    ngx_async_curl_t       *transfer;
    struct curl_slist      *headers;
    size_t                  received;
    time_t                  retry_after;    /* seconds, -1: none */
    u_char                  text[NGX_ASYNC_DELIVERY_ERROR_LEN];
};


/* NGX_ERROR: no memory, the handler is not called */
ngx_int_t ngx_async_delivery_start(ngx_async_delivery_t *d);

/*
 * Decides about an attempt that was not made (code and message as of a call),
 * or ends one: sets status, not_before and error.
 */
void ngx_async_delivery_fail(ngx_async_delivery_t *d, const char *code,
    const char *message, ngx_uint_t final);


#endif /* _NGX_ASYNC_DELIVERY_H_INCLUDED_ */
