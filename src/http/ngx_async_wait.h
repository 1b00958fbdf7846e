
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_WAIT_H_INCLUDED_
#define _NGX_ASYNC_WAIT_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/*
 * Milliseconds that the client may be held for, as it asks by ?wait= or
 * Prefer: wait=, at most async_wait_max; 0: not at all.
 */
ngx_msec_t ngx_async_wait_asked(ngx_http_request_t *r);

/*
 * As ngx_async_ask_job(), but the handler is called when the job has finished,
 * or after "msec" at the latest, or when the worker exits.  An ask that gets
 * the response as it was ("held") stays for one that has begun by then.
 */
void ngx_async_wait_job(ngx_async_ask_t *ask, ngx_msec_t msec,
    ngx_async_ask_pt handler);


#endif /* _NGX_ASYNC_WAIT_H_INCLUDED_ */
