
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_REPLAY_INTERNAL_H_INCLUDED_
#define _NGX_ASYNC_REPLAY_INTERNAL_H_INCLUDED_


#include "src/call/ngx_async_replay.h"
#include "src/call/ngx_async_snapshot.h"


/* replay_connection.c: the connection without a client */

/*
 * Reads the run's snapshot into s and makes a connection as the snapshot tells
 * it; c->data is the replay until it has a request.  The run's memory is lent
 * until the pool of the connection is destroyed.  NULL: no memory, no free
 * connection or a damaged snapshot.
 */
ngx_connection_t *ngx_async_replay_open(ngx_async_run_t *run,
    ngx_async_snapshot_t *s);

/* of a connection whose request was not made, or is freed already */
void ngx_async_replay_close(ngx_connection_t *c);


/* replay_request.c: the request that is built from a snapshot */

/*
 * Fills all that the content phase looks at: line, headers, variables, body,
 * and the head of the response so far.  NGX_ERROR: no memory, or damaged.
 */
ngx_int_t ngx_async_replay_build(ngx_http_request_t *r,
    ngx_async_snapshot_t *s, ngx_async_run_t *run);


/* replay.c: from start to end */

/*
 * Closes the connection to the upstream; ends in replay_ended().  The
 * upstream's cleanup gives back a reference, which is not to be the last.  A
 * post_action would be called instead, with the upstream as it is.
 */
void ngx_async_replay_terminate(ngx_http_request_t *r, ngx_int_t rc);


#endif /* _NGX_ASYNC_REPLAY_INTERNAL_H_INCLUDED_ */
