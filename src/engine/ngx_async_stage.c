
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_stage.h"
#include "src/store/ngx_async_shared.h"


#define NGX_ASYNC_STAGE_PIECES  4               /* on their way, at most */
#define NGX_ASYNC_STAGE_MEMORY  (256 * 1024)    /* larger bodies to a file */


typedef struct ngx_async_stage_s  ngx_async_stage_t;

typedef struct {
    ngx_async_op_t       op;
    ngx_async_stage_t   *stage;
    u_char              *data;
} ngx_async_stage_piece_t;

struct ngx_async_stage_s {
    ngx_async_run_t     *run;
    ngx_async_stage_pt   handler;
    uint64_t             size;          /* of the whole blob */
    uint64_t             offset;        /* of the next piece */
    ngx_uint_t           npieces;       /* on their way */
    ngx_int_t            rc;
    ngx_uint_t           full;
    u_char              *memory;        /* load: the blob, if it fits */
    ngx_file_t           file;
    ngx_async_op_t       op;
};


static void ngx_async_stage_more(ngx_async_stage_t *stage);
static ngx_async_stage_piece_t *ngx_async_stage_piece(
    ngx_async_stage_t *stage, size_t size);
static ngx_int_t ngx_async_stage_fill(ngx_async_run_t *run, u_char *p,
    uint64_t offset, size_t size);
static void ngx_async_stage_written(ngx_async_op_t *op);
static void ngx_async_stage_cleanup(void *data);
static void ngx_async_stage_read(ngx_async_stage_t *stage);
static void ngx_async_stage_loaded(ngx_async_op_t *op);
static ngx_int_t ngx_async_stage_put(ngx_async_stage_t *stage, ngx_str_t *s);
static ngx_int_t ngx_async_stage_create(ngx_async_stage_t *stage);
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

    ngx_async_stage_more(stage);
}


static void
ngx_async_stage_more(ngx_async_stage_t *stage)
{
    size_t                    size;
    ngx_async_run_t          *run;
    ngx_pool_cleanup_t       *cln;
    ngx_async_stage_piece_t  *piece;

    run = stage->run;

    while (stage->rc == NGX_OK && stage->size - stage->offset > NGX_ASYNC_PIECE)
    {
        if (stage->npieces == NGX_ASYNC_STAGE_PIECES) {
            return;
        }

        piece = ngx_async_stage_piece(stage, NGX_ASYNC_PIECE);
        if (piece == NULL) {
            stage->rc = NGX_ERROR;
            break;
        }

        stage->npieces++;
        stage->offset += NGX_ASYNC_PIECE;

        ngx_async_store_submit(&piece->op);
    }

    if (stage->npieces) {
        return;
    }

    if (stage->rc == NGX_OK) {

        size = stage->size - stage->offset;

        piece = ngx_async_stage_piece(stage, size);
        cln = ngx_pool_cleanup_add(run->pool, 0);

        if (piece == NULL || cln == NULL) {
            stage->rc = NGX_ERROR;

        } else {
            cln->handler = ngx_async_stage_cleanup;
            cln->data = piece;

            run->op.piece.data = piece->data;
            run->op.piece.len = size;
            run->op.offset = stage->offset;
        }
    }

    stage->handler(run, stage->rc, stage->full);
}


static ngx_async_stage_piece_t *
ngx_async_stage_piece(ngx_async_stage_t *stage, size_t size)
{
    ngx_async_op_t           *op;
    ngx_async_run_t          *run;
    ngx_async_stage_piece_t  *piece;

    run = stage->run;

    piece = ngx_calloc(sizeof(ngx_async_stage_piece_t), ngx_cycle->log);
    if (piece == NULL) {
        return NULL;
    }

    piece->stage = stage;
    piece->data = ngx_alloc(size, ngx_cycle->log);

    if (piece->data == NULL
        || ngx_async_stage_fill(run, piece->data, stage->offset, size)
           != NGX_OK)
    {
        ngx_async_stage_cleanup(piece);
        return NULL;
    }

    op = &piece->op;

    op->type = NGX_ASYNC_OP_APPEND;
    op->handler = ngx_async_stage_written;
    op->data = piece;
    op->id = run->job.id;
    op->now = ngx_async_time_now();
    op->part = NGX_ASYNC_REQUEST;
    op->offset = stage->offset;
    op->piece.data = piece->data;
    op->piece.len = size;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    return piece;
}


/* copies a part of the blob: the snapshot, then the body */

static ngx_int_t
ngx_async_stage_fill(ngx_async_run_t *run, u_char *p, uint64_t offset,
    size_t size)
{
    size_t   n;
    ssize_t  rc;

    if (offset < run->blob.len) {
        n = ngx_min(size, run->blob.len - offset);
        p = ngx_cpymem(p, run->blob.data + offset, n);
        offset += n;
        size -= n;
    }

    offset -= run->blob.len;

    if (run->body_fd == NGX_INVALID_FILE) {
        ngx_memcpy(p, run->body.data + offset, size);
        return NGX_OK;
    }

    while (size) {
        rc = pread(run->body_fd, p, size, offset);

        if (rc <= 0) {
            ngx_log_error(NGX_LOG_CRIT, ngx_cycle->log, ngx_errno,
                          "async: pread() of a request body failed");
            return NGX_ERROR;
        }

        p += rc;
        offset += rc;
        size -= rc;
    }

    return NGX_OK;
}


static void
ngx_async_stage_written(ngx_async_op_t *op)
{
    ngx_async_stage_t        *stage;
    ngx_async_stage_piece_t  *piece;

    piece = op->data;
    stage = piece->stage;

    stage->npieces--;

    if (op->rc != NGX_OK && stage->rc == NGX_OK) {
        stage->rc = op->rc;
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

    if (ngx_async_stage_create(stage) != NGX_OK
        || ngx_async_stage_put(stage, first) != NGX_OK)
    {
        handler(run, NGX_ERROR, NGX_ASYNC_FULL_NONE);
        return;
    }

    ngx_async_stage_read(stage);
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

    if (op->rc != NGX_OK || op->blob.len == 0
        || ngx_async_stage_put(stage, &op->blob) != NGX_OK)
    {
        stage->rc = (op->rc == NGX_OK) ? NGX_ERROR : op->rc;
    }

    ngx_async_store_release(op);

    if (stage->rc != NGX_OK) {
        ngx_async_stage_ready(stage);
        return;
    }

    ngx_async_stage_read(stage);
}


static ngx_int_t
ngx_async_stage_put(ngx_async_stage_t *stage, ngx_str_t *s)
{
    size_t            n;
    u_char           *p, *last;
    uint64_t          head;

    p = s->data;
    last = p + s->len;
    head = stage->run->blob.len;

    if (s->len > stage->size - stage->offset) {
        return NGX_ERROR;
    }

    if (stage->file.fd == NGX_INVALID_FILE) {
        ngx_memcpy(stage->memory + stage->offset, p, s->len);
        stage->offset += s->len;
        return NGX_OK;
    }

    if (stage->offset < head) {
        n = ngx_min(head - stage->offset, s->len);
        ngx_memcpy(stage->memory + stage->offset, p, n);
        stage->offset += n;
        p += n;
    }

    if (p == last) {
        return NGX_OK;
    }

    if (ngx_write_file(&stage->file, p, last - p, stage->offset - head)
        == NGX_ERROR)
    {
        return NGX_ERROR;
    }

    stage->offset += last - p;

    return NGX_OK;
}


static void
ngx_async_stage_ready(ngx_async_stage_t *stage)
{
    stage->handler(stage->run, stage->rc, NGX_ASYNC_FULL_NONE);
}
