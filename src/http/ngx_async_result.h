
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_RESULT_H_INCLUDED_
#define _NGX_ASYNC_RESULT_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/*
 * The stored response of a job, as J/result and J/wait show it.
 */

/* answers with what a finished job in op.found has; want_response was set */
void ngx_async_result_send(ngx_async_ask_t *ask);


#endif /* _NGX_ASYNC_RESULT_H_INCLUDED_ */
