
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DOCUMENT_H_INCLUDED_
#define _NGX_ASYNC_DOCUMENT_H_INCLUDED_


#include "src/ngx_async.h"
#include "src/http/ngx_async_json.h"


/*
 * The status document of a job, as clients, streams and callbacks get it.
 */

typedef struct {
    ngx_async_job_t  *job;
    uint64_t          now;          /* milliseconds since the epoch */

    uint64_t          position;     /* 0: not known */
    uint64_t          received;
    uint64_t          total;        /* 0: not known */

    unsigned          progress:1;   /* received and total are known */
    unsigned          no_query:1;   /* callbacks and lists */
} ngx_async_document_t;


/* NGX_ERROR: no memory */
ngx_int_t ngx_async_document_create(ngx_pool_t *pool, ngx_async_document_t *d,
    ngx_str_t *json);

/*
 * Seconds after which it is worth asking again, 1..60.  *finish is when the
 * job may be expected to end, 0 if there is nothing to tell it from.
 */
ngx_uint_t ngx_async_document_retry_after(ngx_async_document_t *d,
    uint64_t *finish);

/* a member in another document; without a name inside an array */
void ngx_async_document_write(ngx_async_json_t *j, const char *name,
    ngx_async_document_t *d);


#endif /* _NGX_ASYNC_DOCUMENT_H_INCLUDED_ */
