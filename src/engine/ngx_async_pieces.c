
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/engine/ngx_async_pieces.h"
#include "src/engine/ngx_async_watch.h"
#include "src/store/ngx_async_shared.h"


/*
 * Pieces that are being written, at most: of any call, of one that has more to
 * write than a commit takes time for, and of all calls before they get few.
 */
#define NGX_ASYNC_PIECES_FEW      4
#define NGX_ASYNC_PIECES_FILE     32        /* of one that goes to a file */
#define NGX_ASYNC_PIECES_MANY     96
#define NGX_ASYNC_PIECES_ALL      112

/* buffers of whole pieces that are kept for the next ones */
#define NGX_ASYNC_PIECES_SPARE    32

#define NGX_ASYNC_PIECES_START    4096      /* first size of one */


static ngx_int_t ngx_async_pieces_grow(ngx_async_run_t *run, size_t n);
static u_char *ngx_async_pieces_alloc(size_t size);
static void ngx_async_pieces_spare(u_char *data);
static void ngx_async_pieces_write(ngx_async_run_t *run);
static void ngx_async_pieces_file(ngx_async_run_t *run);
static void ngx_async_pieces_written(ngx_async_op_t *op);


static ngx_uint_t  ngx_async_pieces_n;      /* being written, of all calls */

static u_char     *ngx_async_pieces_spares[NGX_ASYNC_PIECES_SPARE];
static ngx_uint_t  ngx_async_pieces_nspares;


ngx_uint_t
ngx_async_pieces_full(ngx_async_run_t *run)
{
    return run->npieces >= (run->file ? NGX_ASYNC_PIECES_FILE
                                      : NGX_ASYNC_PIECES_MANY)
           || (run->npieces >= NGX_ASYNC_PIECES_FEW
               && ngx_async_pieces_n >= NGX_ASYNC_PIECES_ALL);
}


ngx_int_t
ngx_async_pieces_put(ngx_async_run_t *run, u_char *p, size_t n,
    ngx_async_pieces_pt handler)
{
    size_t              len;
    ngx_async_piece_t  *piece;

    while (n) {

        if (ngx_async_pieces_grow(run, n) != NGX_OK) {
            return NGX_ERROR;
        }

        piece = run->piece;
        piece->handler = handler;

        len = ngx_min(n, piece->size - piece->op.piece.len);

        ngx_memcpy(piece->data + piece->op.piece.len, p, len);

        piece->op.piece.len += len;
        p += len;
        n -= len;

        if (piece->op.piece.len == NGX_ASYNC_PIECE) {
            ngx_async_pieces_write(run);
        }
    }

    return NGX_OK;
}


/* makes room for some of n bytes */

static ngx_int_t
ngx_async_pieces_grow(ngx_async_run_t *run, size_t n)
{
    size_t              size;
    u_char             *data;
    uint64_t            expected;
    ngx_async_piece_t  *piece;

    piece = run->piece;

    if (piece == NULL) {
        piece = ngx_calloc(sizeof(ngx_async_piece_t), ngx_cycle->log);
        if (piece == NULL) {
            return NGX_ERROR;
        }

        piece->run = run;
        run->piece = piece;

    } else if (piece->op.piece.len < piece->size) {
        return NGX_OK;
    }

    expected = run->head.len + run->total - run->offset;

    size = ngx_max(piece->size * 2, piece->op.piece.len + n);
    size = ngx_max(size, ngx_min(expected, NGX_ASYNC_PIECE));
    size = ngx_max(size, NGX_ASYNC_PIECES_START);
    size = ngx_min(size, NGX_ASYNC_PIECE);

    data = ngx_async_pieces_alloc(size);
    if (data == NULL) {
        return NGX_ERROR;
    }

    if (piece->data) {
        ngx_memcpy(data, piece->data, piece->op.piece.len);
        ngx_free(piece->data);
    }

    piece->data = data;
    piece->size = size;

    return NGX_OK;
}


/* memory that goes back to the kernel is zeroed by it when it comes again */

static u_char *
ngx_async_pieces_alloc(size_t size)
{
    if (size == NGX_ASYNC_PIECE && ngx_async_pieces_nspares) {
        return ngx_async_pieces_spares[--ngx_async_pieces_nspares];
    }

    return ngx_alloc(size, ngx_cycle->log);
}


/* what is written before the end of a response is a whole piece */

static void
ngx_async_pieces_spare(u_char *data)
{
    if (ngx_async_pieces_nspares < NGX_ASYNC_PIECES_SPARE) {
        ngx_async_pieces_spares[ngx_async_pieces_nspares++] = data;
        return;
    }

    ngx_free(data);
}


void
ngx_async_pieces_exit(void)
{
    while (ngx_async_pieces_nspares) {
        ngx_free(ngx_async_pieces_spares[--ngx_async_pieces_nspares]);
    }
}


static void
ngx_async_pieces_write(ngx_async_run_t *run)
{
    ngx_async_op_t     *op;
    ngx_async_piece_t  *piece;

    if (run->offset == 0) {
        ngx_async_pieces_file(run);
    }

    piece = run->piece;
    run->piece = NULL;
    run->npieces++;
    ngx_async_pieces_n++;

    op = &piece->op;

    op->type = NGX_ASYNC_OP_APPEND;
    op->handler = ngx_async_pieces_written;
    op->data = piece;
    op->id = run->job.id;
    op->now = ngx_async_time_now();
    op->part = NGX_ASYNC_RESPONSE;
    op->offset = run->offset;
    op->piece.data = piece->data;
    op->file = run->file;
    ngx_memcpy(op->runner, ngx_async_runner, NGX_ASYNC_RUNNER_LEN);

    run->offset += op->piece.len;

    ngx_async_store_submit(op);

    ngx_async_watch_progress(&run->job.id, run->received, run->total);
}


/* a blob that is large, or may become large, is a file from its beginning */

static void
ngx_async_pieces_file(ngx_async_run_t *run)
{
    uint64_t  size;

    size = run->total ? run->head.len + run->total : 0;

    if (size == 0 || size >= NGX_ASYNC_FILE_MIN) {

        /* without memory for it pieces will do */

        run->file = ngx_async_store_file(&run->job.id, NGX_ASYNC_RESPONSE,
                                         size);
    }
}


static void
ngx_async_pieces_written(ngx_async_op_t *op)
{
    ngx_err_t             err;
    ngx_int_t             rc;
    ngx_async_run_t      *run;
    ngx_async_piece_t    *piece;
    ngx_async_pieces_pt   handler;

    piece = op->data;
    run = piece->run;
    handler = piece->handler;
    rc = op->rc;
    err = op->err;

    ngx_async_store_release(op);
    ngx_async_pieces_spare(piece->data);
    ngx_free(piece);

    run->npieces--;
    ngx_async_pieces_n--;

    handler(run, rc, err);
}


void
ngx_async_pieces_last(ngx_async_run_t *run, ngx_async_op_t *op)
{
    op->offset = run->offset;
    op->file = run->file;

    if (run->piece) {
        op->piece = run->piece->op.piece;
        op->piece.data = run->piece->data;

    } else {
        ngx_str_null(&op->piece);
    }
}


void
ngx_async_pieces_free(ngx_async_run_t *run)
{
    if (run->file) {
        ngx_async_store_file_close(run->file);
        run->file = NULL;
    }

    if (run->piece == NULL) {
        return;
    }

    if (run->piece->data) {
        ngx_free(run->piece->data);
    }

    ngx_free(run->piece);
    run->piece = NULL;
}
