
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_EVENTS_H_INCLUDED_
#define _NGX_ASYNC_EVENTS_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/* J/events: the job's changes as server-sent events */
void ngx_async_events_start(ngx_async_ask_t *ask);


#endif /* _NGX_ASYNC_EVENTS_H_INCLUDED_ */
