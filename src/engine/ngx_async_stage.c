
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_stage.h"
#include "src/engine/ngx_async_discard.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_STAGE_PIECES  4               /* on their way, at most */
#define NGX_ASYNC_STAGE_MEMORY  (256 * 1024)    /* larger bodies to a file */


typedef struct ngx_async_stage_s  ngx_async_stage_t;

typedef struct {
    ngx_async_op_t       op;
    ngx_async_work_t     work;          /* fills it from the body's file */
    ngx_async_stage_t   *stage;
    u_char              *data;
    ngx_int_t            rc;            /* of the work */
    ngx_err_t            err;
} ngx_async_stage_piece_t;

struct ngx_async_stage_s {
    ngx_async_run_t     *run;
    ngx_async_stage_pt   handler;
    uint64_t             size;          /* of the whole blob */
    uint64_t             offset;        /* of the next piece */
    ngx_uint_t           npieces;       /* on their way */
    ngx_int_t            rc;
    ngx_uint_t           full;
    unsigned             filling:1;     /* store: in a thread */
    unsigned             last:1;        /* store: the last piece is filled */

    u_char              *memory;        /* load: the blob, if it fits */
    ngx_file_t           file;
    ngx_str_t            out;           /* to be written to it */
    ngx_async_work_t     work;
    ngx_async_op_t       op;
};


static void ngx_async_stage_more(ngx_async_stage_t *stage);
static void ngx_async_stage_last(ngx_async_stage_t *stage);
static ngx_int_t ngx_async_stage_piece(ngx_async_stage_t *stage, size_t size);
static void ngx_async_stage_fill(ngx_async_stage_piece_t *piece);
static void ngx_async_stage_fill_file(void *data, ngx_log_t *log);
static void ngx_async_stage_filled(void *data);
static void ngx_async_stage_send(ngx_async_stage_piece_t *piece);
static void ngx_async_stage_written(ngx_async_op_t *op);
static void ngx_async_stage_cleanup(void *data);
static ngx_int_t ngx_async_stage_create(ngx_async_stage_t *stage);
static void ngx_async_stage_read(ngx_async_stage_t *stage);
static void ngx_async_stage_loaded(ngx_async_op_t *op);
static void ngx_async_stage_put(ngx_async_stage_t *stage, ngx_str_t *s);
static void ngx_async_stage_put_file(void *data, ngx_log_t *log);
static void ngx_async_stage_have_put(void *data);
static void ngx_async_stage_ready(ngx_async_stage_t *stage);


void
ngx_async_stage_store(ngx_async_run_t *run, ngx_async_stage_pt handler)
{
    ngx_async_stage_t  *stage;

    run->job.request_head_len = run->blob.len;
    run->job.request_body_len = run->body_len;

    if (run->body_fd == NGX_INVALID_FILE
        && run->blob.len + run->body.len <= NGX_ASYNC_PIECE)
    {
        /* the body lies right behind the snapshot */

        run->op.piece.data = run->blob.data;
        run->op.piece.len = run->blob.len + run->body.len;
        run->op.offset = 0;

        /* what will not be sent again by anybody else */

        run->op.lazy = !(run->job.flags & NGX_ASYNC_JOB_IDEMPOTENT)
                       && run->job.keep_request == 0;

        handler(run, NGX_OK, NGX_ASYNC_FULL_NONE);
        return;
    }

    run->discard = ngx_async_discard_create(&run->job.id);
    stage = ngx_pcalloc(run->pool, sizeof(ngx_async_stage_t));

    if (run->discard == NULL || stage == NULL) {
        handler(run, NGX_ERROR, NGX_ASYNC_FULL_NONE);
        return;
    }

    stage->run = run;
    stage->handler = handler;
    stage->size = run->blob.len + run->body_len;
    stage->rc = NGX_OK;

    if (stage->size >= NGX_ASYNC_FILE_MIN) {

        /* without memory for it pieces will do */

        run->body_file = ngx_async_store_file(&run->job.id, NGX_ASYNC_REQUEST,
                                              stage->size);
    }

    run->op.file = run->body_file;

    ngx_async_stage_more(stage);
}


void
ngx_async_stage_over(ngx_async_run_t *run, ngx_int_t rc)
{
    ngx_uint_t            written;
    ngx_async_discard_t  *discard;

    discard = run->discard;

    if (discard == NULL) {
        return;
    }

    run->discard = NULL;

    written = run->staged;
    run->staged = 0;

    if (run->body_file) {
        written = ngx_async_store_file_noted(run->body_file);

        ngx_async_store_file_close(run->body_file);
        run->body_file = NULL;
        run->op.file = NULL;
    }

    if (rc != NGX_OK && written) {
        ngx_async_discard_start(discard);
        return;
    }

    ngx_async_discard_free(discard);
}


static void
ngx_async_stage_more(ngx_async_stage_t *stage)
{
    /* one is filled after the other, as they are written in their order */

    while (stage->rc == NGX_OK && stage->size - stage->offset > NGX_ASYNC_PIECE)
    {
        if (stage->npieces == NGX_ASYNC_STAGE_PIECES || stage->filling) {
            return;
        }

        stage->rc = ngx_async_stage_piece(stage, NGX_ASYNC_PIECE);
    }

    if (stage->npieces) {
        return;
    }

    if (stage->rc == NGX_OK && !stage->last) {
        ngx_async_stage_last(stage);
        return;
    }

    stage->handler(stage->run, stage->rc, stage->full);
}


/* the last piece is not written: it goes with the record of the job */

static void
ngx_async_stage_last(ngx_async_stage_t *stage)
{
    stage->last = 1;

    /* the handler may have been called already, and the run be gone */

    if (ngx_async_stage_piece(stage, stage->size - stage->offset) != NGX_OK) {
        stage->handler(stage->run, NGX_ERROR, stage->full);
    }
}


static ngx_int_t
ngx_async_stage_piece(ngx_async_stage_t *stage, size_t size)
{
    ngx_async_op_t           *op;
    ngx_async_run_t          *run;
    ngx_async_stage_piece_t  *piece;

    run = stage->run;

    piece = ngx_calloc(sizeof(ngx_async_stage_piece_t), ngx_cycle->log);
    if (piece == NULL) {
        return NGX_ERROR;
    }

    piece->stage = stage;
    piece->data = ngx_alloc(size, ngx_cycle->log);

    if (piece->data == NULL) {
        ngx_free(piece);
        return NGX_ERROR;
    }

    op = &piece->op;

    op->type = NGX_ASYNC_OP_APPEND;
    op->handler = ngx_async_stage_written;
    op->data = piece;
    op->id = run->job.id;
    op->part = NGX_ASYNC_REQUEST;
    op->offset = stage->offset;
    op->piece.data = piece->data;
    op->piece.len = size;
    op->file = run->body_file;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    stage->npieces++;
    stage->offset += size;

    ngx_async_stage_fill(piece);

    return NGX_OK;
}


/* copies a part of the blob: the snapshot, then the body */

static void
ngx_async_stage_fill(ngx_async_stage_piece_t *piece)
{
    size_t            n, size;
    u_char           *p;
    uint64_t          offset;
    ngx_async_run_t  *run;

    run = piece->stage->run;

    p = piece->data;
    offset = piece->op.offset;
    size = piece->op.piece.len;

    if (offset < run->blob.len) {
        n = ngx_min(size, run->blob.len - offset);
        p = ngx_cpymem(p, run->blob.data + offset, n);
        offset += n;
        size -= n;
    }

    if (run->body_fd == NGX_INVALID_FILE) {
        ngx_memcpy(p, run->body.data + (offset - run->blob.len), size);
    }

    if (run->body_fd == NGX_INVALID_FILE || size == 0) {
        ngx_async_stage_send(piece);
        return;
    }

    piece->work.run = ngx_async_stage_fill_file;
    piece->work.handler = ngx_async_stage_filled;
    piece->work.data = piece;

    piece->stage->filling = 1;

    ngx_async_store_work(&piece->work);
}


/* in a thread */

static void
ngx_async_stage_fill_file(void *data, ngx_log_t *log)
{
    ngx_async_stage_piece_t  *piece = data;

    u_char           *p, *last;
    off_t             offset;
    ssize_t           n;
    ngx_async_run_t  *run;

    run = piece->stage->run;

    p = piece->data;
    last = p + piece->op.piece.len;

    if (piece->op.offset < run->blob.len) {
        p += run->blob.len - piece->op.offset;
    }

    offset = piece->op.offset + (p - piece->data) - run->blob.len;

    piece->rc = NGX_OK;

    while (p < last) {
        n = pread(run->body_fd, p, last - p, offset);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n <= 0) {
            piece->rc = NGX_ERROR;
            piece->err = (n == -1) ? ngx_errno : 0;
            return;
        }

        p += n;
        offset += n;
    }
}


static void
ngx_async_stage_filled(void *data)
{
    ngx_async_stage_piece_t  *piece = data;

    ngx_uint_t          last;
    ngx_async_stage_t  *stage;

    stage = piece->stage;
    stage->filling = 0;

    if (piece->rc == NGX_OK) {

        last = stage->last;

        ngx_async_stage_send(piece);

        if (!last) {
            ngx_async_stage_more(stage);
        }

        return;
    }

    ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, piece->err,
                  "async: pread() of a request body failed");

    stage->npieces--;
    stage->rc = piece->rc;

    ngx_async_stage_cleanup(piece);

    ngx_async_stage_more(stage);
}


static void
ngx_async_stage_send(ngx_async_stage_piece_t *piece)
{
    ngx_async_run_t     *run;
    ngx_async_stage_t   *stage;
    ngx_pool_cleanup_t  *cln;

    stage = piece->stage;

    if (!stage->last) {
        piece->op.now = ngx_async_time_now();
        ngx_async_store_submit(&piece->op);
        return;
    }

    run = stage->run;

    stage->npieces--;

    cln = ngx_pool_cleanup_add(run->pool, 0);

    if (cln) {
        cln->handler = ngx_async_stage_cleanup;
        cln->data = piece;

        run->op.piece = piece->op.piece;
        run->op.offset = piece->op.offset;

    } else {
        ngx_async_stage_cleanup(piece);
        stage->rc = NGX_ERROR;
    }

    stage->handler(run, stage->rc, stage->full);
}


static void
ngx_async_stage_written(ngx_async_op_t *op)
{
    ngx_async_stage_t        *stage;
    ngx_async_stage_piece_t  *piece;

    piece = op->data;
    stage = piece->stage;

    stage->npieces--;

    if (op->rc == NGX_OK) {
        stage->run->staged = 1;

    } else if (stage->rc == NGX_OK) {

        /* NGX_ABORT would mean that the job is there already */

        stage->rc = (op->rc == NGX_BUSY) ? NGX_BUSY : NGX_ERROR;
        stage->full = op->full;
    }

    ngx_async_store_release(op);
    ngx_async_stage_cleanup(piece);

    ngx_async_stage_more(stage);
}


static void
ngx_async_stage_cleanup(void *data)
{
    ngx_async_stage_piece_t  *piece = data;

    if (piece->data) {
        ngx_free(piece->data);
    }

    ngx_free(piece);
}


void
ngx_async_stage_load(ngx_async_run_t *run, ngx_str_t *first,
    ngx_async_stage_pt handler)
{
    ngx_async_stage_t  *stage;

    run->blob.len = run->job.request_head_len;
    run->body_len = run->job.request_body_len;

    if (first->len == run->blob.len + (size_t) run->body_len) {

        run->blob.data = first->data;
        run->body.data = first->data + run->blob.len;
        run->body.len = run->body_len;

        handler(run, NGX_OK, NGX_ASYNC_FULL_NONE);
        return;
    }

    stage = ngx_pcalloc(run->pool, sizeof(ngx_async_stage_t));
    if (stage == NULL) {
        handler(run, NGX_ERROR, NGX_ASYNC_FULL_NONE);
        return;
    }

    stage->run = run;
    stage->handler = handler;
    stage->size = run->blob.len + run->body_len;
    stage->rc = NGX_OK;
    stage->file.fd = NGX_INVALID_FILE;

    if (ngx_async_stage_create(stage) != NGX_OK) {
        handler(run, NGX_ERROR, NGX_ASYNC_FULL_NONE);
        return;
    }

    ngx_async_stage_put(stage, first);
}


ngx_uint_t
ngx_async_stage_named(ngx_str_t *method, ngx_async_loc_conf_t *alcf)
{
    ngx_http_core_loc_conf_t  *clcf;

    clcf = alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    return clcf->client_body_in_file_only
           || (method->len == 3 && ngx_strncmp(method->data, "PUT", 3) == 0);
}


/* memory for the snapshot, and for a body that is not large, else a file */

static ngx_int_t
ngx_async_stage_create(ngx_async_stage_t *stage)
{
    size_t                     size;
    ngx_uint_t                 named;
    ngx_pool_cleanup_t        *cln;
    ngx_async_run_t           *run;
    ngx_http_core_loc_conf_t  *clcf;

    run = stage->run;

    size = (stage->size <= NGX_ASYNC_STAGE_MEMORY) ? stage->size
                                                   : run->blob.len;

    cln = ngx_pool_cleanup_add(run->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    stage->memory = ngx_alloc(size, ngx_cycle->log);
    if (stage->memory == NULL) {
        return NGX_ERROR;
    }

    cln->handler = (ngx_pool_cleanup_pt) free;
    cln->data = stage->memory;

    run->blob.data = stage->memory;

    if (size == stage->size) {
        run->body.data = stage->memory + run->blob.len;
        run->body.len = run->body_len;
        return NGX_OK;
    }

    clcf = run->alcf->ctx->loc_conf[ngx_http_core_module.ctx_index];

    stage->file.log = ngx_cycle->log;

    /* unlinked at once, or with the pool of the run, which closes it */

    named = ngx_async_stage_named(&run->job.method, run->alcf);

    if (ngx_create_temp_file(&stage->file, clcf->client_body_temp_path,
                             run->pool, named, named, 0600)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    run->body_name = stage->file.name;

    run->body_fd = stage->file.fd;
    run->body_borrowed = 1;

    return NGX_OK;
}


static void
ngx_async_stage_read(ngx_async_stage_t *stage)
{
    ngx_async_op_t  *op;

    if (stage->offset == stage->size) {
        ngx_async_stage_ready(stage);
        return;
    }

    op = &stage->op;

    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_READ;
    op->handler = ngx_async_stage_loaded;
    op->data = stage;
    op->id = stage->run->job.id;
    op->part = NGX_ASYNC_REQUEST;
    op->offset = stage->offset;
    op->limit = NGX_ASYNC_PIECE;

    ngx_async_store_submit(op);
}


static void
ngx_async_stage_loaded(ngx_async_op_t *op)
{
    ngx_async_stage_t  *stage;

    stage = op->data;

    if (op->rc != NGX_OK || op->blob.len == 0) {
        stage->rc = (op->rc == NGX_OK) ? NGX_ERROR : op->rc;

        if (op->rc == NGX_ERROR
            && (op->err == NGX_ENOENT || op->err == EUCLEAN))
        {
            /* it will not be there the next time either */
            stage->rc = NGX_DECLINED;
        }

        ngx_async_stage_ready(stage);
        return;
    }

    ngx_async_stage_put(stage, &op->blob);
}


static void
ngx_async_stage_put(ngx_async_stage_t *stage, ngx_str_t *s)
{
    size_t    n;
    uint64_t  room;

    if (s->len > stage->size - stage->offset) {
        stage->rc = NGX_ERROR;
        ngx_async_stage_ready(stage);
        return;
    }

    /* what belongs into memory, and what into the file */

    room = (stage->file.fd == NGX_INVALID_FILE) ? stage->size
                                                : stage->run->blob.len;
    n = 0;

    if (stage->offset < room) {
        n = ngx_min(room - stage->offset, s->len);
        ngx_memcpy(stage->memory + stage->offset, s->data, n);
        stage->offset += n;
    }

    if (n == s->len) {
        ngx_async_store_release(&stage->op);
        ngx_async_stage_read(stage);
        return;
    }

    stage->out.data = s->data + n;
    stage->out.len = s->len - n;

    stage->work.run = ngx_async_stage_put_file;
    stage->work.handler = ngx_async_stage_have_put;
    stage->work.data = stage;

    ngx_async_store_work(&stage->work);
}


/* in a thread */

static void
ngx_async_stage_put_file(void *data, ngx_log_t *log)
{
    ngx_async_stage_t  *stage = data;

    stage->file.log = log;

    if (ngx_write_file(&stage->file, stage->out.data, stage->out.len,
                       stage->offset - stage->run->blob.len)
        == NGX_ERROR)
    {
        stage->rc = NGX_ERROR;
    }
}


static void
ngx_async_stage_have_put(void *data)
{
    ngx_async_stage_t  *stage = data;

    stage->offset += stage->out.len;

    ngx_async_store_release(&stage->op);

    if (stage->rc != NGX_OK) {
        ngx_async_stage_ready(stage);
        return;
    }

    ngx_async_stage_read(stage);
}


static void
ngx_async_stage_ready(ngx_async_stage_t *stage)
{
    ngx_async_store_release(&stage->op);

    stage->handler(stage->run, stage->rc, NGX_ASYNC_FULL_NONE);
}
