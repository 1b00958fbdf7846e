
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_CALL_H_INCLUDED_
#define _NGX_ASYNC_CALL_H_INCLUDED_


#include "src/engine/ngx_async_run.h"


/*
 * The two kinds of call.  start() takes run->blob (see snapshot.h), body,
 * body_fd and body_len, which stay valid until the call's end, sets
 * run->abort, run->resume and run->call, and returns NGX_OK: then
 * ngx_async_sink_end() follows, possibly from inside start().  NGX_ERROR: the
 * call was not started and no end follows.
 */
ngx_int_t ngx_async_replay_start(ngx_async_run_t *run);
ngx_int_t ngx_async_direct_start(ngx_async_run_t *run);


#endif /* _NGX_ASYNC_CALL_H_INCLUDED_ */
