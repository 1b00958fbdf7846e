
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CONTROL_H_INCLUDED_
#define _NGX_ASYNC_CONTROL_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/* what clients do to jobs: handlers of resources, see resources.c */
void ngx_async_control_delete(ngx_async_ask_t *ask);
void ngx_async_control_cancel(ngx_async_ask_t *ask);
void ngx_async_control_retry(ngx_async_ask_t *ask);


#endif /* _NGX_ASYNC_CONTROL_H_INCLUDED_ */
