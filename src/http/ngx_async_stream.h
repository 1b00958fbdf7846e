
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_STREAM_H_INCLUDED_
#define _NGX_ASYNC_STREAM_H_INCLUDED_


#include "src/http/ngx_async_ask.h"


/*
 * Sends a part of a stored response to the client, after the header: one
 * piece is read while the one before it is sent, and nothing is held in the
 * store between two reads.  The ask is finished at the end.
 *
 * A response that is open as a file is given to the filters as one, where
 * ngx_async_stream_is_file() says so: nginx sends it as it sends its own files,
 * with any ranges.
 *
 * op is the GET with the first piece, whose buffer goes over to the stream.
 * start and end are offsets in the body, ngx_async_job_t's head_len before it.
 */
ngx_uint_t ngx_async_stream_is_file(ngx_async_ask_t *ask);
void ngx_async_stream_file(ngx_async_ask_t *ask);
void ngx_async_stream_start(ngx_async_ask_t *ask, off_t start, off_t end);


#endif /* _NGX_ASYNC_STREAM_H_INCLUDED_ */
