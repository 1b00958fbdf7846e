
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_LIST_H_INCLUDED_
#define _NGX_ASYNC_LIST_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/* the list of jobs at the jobs URI itself */
void ngx_async_list_start(ngx_async_ask_t *ask);


#endif /* _NGX_ASYNC_LIST_H_INCLUDED_ */
