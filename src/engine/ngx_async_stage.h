
/*
 * Copyright (C) The ngx_async authors
 */


#ifndef _NGX_ASYNC_STAGE_H_INCLUDED_
#define _NGX_ASYNC_STAGE_H_INCLUDED_


#include "src/engine/ngx_async_run.h"


/*
 * A request on its way into the store, and back.  All pieces of its blob but
 * the last are written first, a few at a time; the last one goes with the
 * record of the job, so that a job is there whole or not at all.
 */

typedef void (*ngx_async_stage_pt)(ngx_async_run_t *run, ngx_int_t rc,
    ngx_uint_t full);


/*
 * Writes the pieces of run's request and sets run->op.piece and
 * run->op.offset to the last one; then calls handler, possibly at once.  rc is
 * that of the operation that failed, or NGX_OK.
 */
void ngx_async_stage_store(ngx_async_run_t *run, ngx_async_stage_pt handler);

/*
 * The request became that of a job (NGX_OK), or did not: then what was written
 * of it is dropped.  To be called after each ngx_async_stage_store(), with
 * what came of run->op or the handler's rc.
 */
void ngx_async_stage_over(ngx_async_run_t *run, ngx_int_t rc);

/*
 * Reads the request of a job that was claimed: "first" is its first piece.
 * Sets run->blob, and run->body or run->body_fd; large bodies go to a
 * temporary file.  Calls handler, possibly at once; NGX_DECLINED: the request,
 * or a part of it, is lost.
 */
void ngx_async_stage_load(ngx_async_run_t *run, ngx_str_t *first,
    ngx_async_stage_pt handler);

/*
 * Whether a body that is in a file must have a name there: a PUT of WebDAV
 * renames it, client_body_in_file_only passes its name on.
 */
ngx_uint_t ngx_async_stage_named(ngx_str_t *method,
    ngx_async_loc_conf_t *alcf);


#endif /* _NGX_ASYNC_STAGE_H_INCLUDED_ */
