
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_PIECES_H_INCLUDED_
#define _NGX_ASYNC_PIECES_H_INCLUDED_


#include "src/engine/ngx_async_run.h"


/*
 * A response on its way into the store: bytes that come as they come become
 * the pieces of its blob, which are written a few at a time; whether in LMDB or
 * in a file is decided with the first that is written.
 */

/*
 * Adds n bytes (copied).  The handler is called when a piece was written, with
 * what came of it, and may end the run.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_async_pieces_put(ngx_async_run_t *run, u_char *p, size_t n,
    ngx_async_pieces_pt handler);

/* enough of them are under way: whoever makes more has to wait */
ngx_uint_t ngx_async_pieces_full(ngx_async_run_t *run);

/* gives a FINISH what is left of the response, its last piece */
void ngx_async_pieces_last(ngx_async_run_t *run, ngx_async_op_t *op);

/* forgets what is not under way */
void ngx_async_pieces_free(ngx_async_run_t *run);

/* frees what is kept for the next responses */
void ngx_async_pieces_exit(void);


#endif /* _NGX_ASYNC_PIECES_H_INCLUDED_ */
