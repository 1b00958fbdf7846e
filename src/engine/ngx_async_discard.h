
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_DISCARD_H_INCLUDED_
#define _NGX_ASYNC_DISCARD_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include "src/base/ngx_async_id.h"


/*
 * Drops what was staged of a request that is not to be a job's.  While the
 * store cannot do that it is tried again each second: nobody else looks for it
 * as long as this worker lives.
 */

typedef struct ngx_async_discard_s  ngx_async_discard_t;


/* before anything is staged, so that memory is there; NULL: there is none */
ngx_async_discard_t *ngx_async_discard_create(ngx_async_id_t *id);

/* frees one that is not needed, or takes it and drops what was staged */
void ngx_async_discard_free(ngx_async_discard_t *d);
void ngx_async_discard_start(ngx_async_discard_t *d);


#endif /* _NGX_ASYNC_DISCARD_H_INCLUDED_ */
