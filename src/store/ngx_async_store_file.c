
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"
#include <sys/random.h>
#include <sys/stat.h>


/*
 * A blob on its way into a file: its pieces are written by a work, one at a
 * time, that takes all that wait.  Before the file is created, and before it
 * grows, RESERVE commits its name and its size.  The operation that brings the
 * last piece goes on to the writer when the file is on the disk.
 */

/* pieces of a work */
#define NGX_ASYNC_STORE_FILE_BATCH  64

/* by how much a file of unknown size is to grow, at least and at most */
#define NGX_ASYNC_STORE_FILE_STEP   (1024 * 1024)
#define NGX_ASYNC_STORE_FILE_STEPS  (64 * 1024 * 1024)

/* the kernel is told to begin with writing so much of a file */
#define NGX_ASYNC_STORE_FILE_FLUSH  (4 * 1024 * 1024)


struct ngx_async_file_s {
    ngx_async_blob_t     blob;
    uint64_t             size;          /* expected, 0: not known */
    uint64_t             reserved;
    uint64_t             need;          /* of it, now */
    ngx_queue_t          ops;           /* that wait */
    ngx_queue_t          batch;         /* that are being written */
    ngx_async_op_t       op;            /* RESERVE */
    ngx_async_work_t     work;

    /* the thread's, while busy */
    ngx_fd_t             fd;
    uint64_t             flushed;
    ngx_int_t            rc;            /* of the first failure: it stays */
    ngx_err_t            err;
    ngx_uint_t           full;

    unsigned             busy:1;
    unsigned             closed:1;
};


static void ngx_async_store_file_next(ngx_async_file_t *file);
static void ngx_async_store_file_reserve(ngx_async_file_t *file,
    uint64_t size);
static void ngx_async_store_file_reserved(ngx_async_op_t *op);
static uint64_t ngx_async_store_file_end(ngx_async_file_t *file);
static void ngx_async_store_file_start(ngx_async_file_t *file);
static void ngx_async_store_file_run(void *data, ngx_log_t *log);
static ngx_int_t ngx_async_store_file_write(ngx_async_file_t *file,
    ngx_async_op_t *op, ngx_log_t *log);
static ngx_int_t ngx_async_store_file_create(ngx_async_file_t *file,
    ngx_log_t *log);
static ngx_int_t ngx_async_store_file_sync(ngx_async_file_t *file,
    ngx_log_t *log);
static ngx_int_t ngx_async_store_file_sync_dir(ngx_async_file_t *file,
    const char *path, ngx_log_t *log);
static ngx_int_t ngx_async_store_file_failed(ngx_async_file_t *file,
    const char *what, const char *path, ngx_log_t *log);
static void ngx_async_store_file_written(void *data);
static void ngx_async_store_file_outcome(ngx_async_file_t *file,
    ngx_async_op_t *op);
static void ngx_async_store_file_run_close(void *data, ngx_log_t *log);
static void ngx_async_store_file_is_closed(void *data);


/* the directory of the files is known to be on the disk */
static ngx_atomic_t  ngx_async_store_file_rooted;


ngx_async_file_t *
ngx_async_store_file(const ngx_async_id_t *id, ngx_uint_t part, uint64_t size)
{
    ngx_async_file_t  *file;

    file = ngx_calloc(sizeof(ngx_async_file_t), ngx_async_store.log);
    if (file == NULL) {
        return NULL;
    }

    file->blob.id = *id;
    file->blob.part = part;
    file->size = size;
    file->fd = NGX_INVALID_FILE;

    ngx_queue_init(&file->ops);
    ngx_queue_init(&file->batch);

    do {
        if (getrandom(&file->blob.nonce, sizeof(uint64_t), 0)
            != sizeof(uint64_t))
        {
            ngx_free(file);
            return NULL;
        }
    } while (file->blob.nonce == 0);

    return file;
}


void
ngx_async_store_file_close(ngx_async_file_t *file)
{
    file->closed = 1;

    ngx_async_store_file_next(file);
}


ngx_uint_t
ngx_async_store_file_noted(ngx_async_file_t *file)
{
    return file->reserved != 0;
}


void
ngx_async_store_file_submit(ngx_async_op_t *op)
{
    op->nonce = op->file->blob.nonce;

    ngx_queue_insert_tail(&op->file->ops, &op->queue);

    ngx_async_store_file_next(op->file);
}


static void
ngx_async_store_file_next(ngx_async_file_t *file)
{
    uint64_t  end, size;

    if (file->busy) {
        return;
    }

    if (ngx_queue_empty(&file->ops)) {

        if (!file->closed) {
            return;
        }

        if (file->fd == NGX_INVALID_FILE) {
            ngx_free(file);
            return;
        }

        file->busy = 1;

        /* the last close of a file that is unlinked takes time */

        file->work.run = ngx_async_store_file_run_close;
        file->work.handler = ngx_async_store_file_is_closed;
        file->work.data = file;

        ngx_async_store_work(&file->work);
        return;
    }

    file->busy = 1;

    end = ngx_async_store_file_end(file);

    if (file->rc != NGX_OK || end <= file->reserved) {
        ngx_async_store_file_start(file);
        return;
    }

    file->need = end;

    if (end <= file->size) {
        ngx_async_store_file_reserve(file, file->size);
        return;
    }

    size = ngx_max(end / 4, NGX_ASYNC_STORE_FILE_STEP);
    size = ngx_min(size, NGX_ASYNC_STORE_FILE_STEPS);

    ngx_async_store_file_reserve(file, end + size);
}


/* the end of what waits */

static uint64_t
ngx_async_store_file_end(ngx_async_file_t *file)
{
    ngx_async_op_t  *op;

    op = ngx_queue_data(ngx_queue_last(&file->ops), ngx_async_op_t, queue);

    /* the last piece of all needs nothing ahead of it */

    if (op->type != NGX_ASYNC_OP_APPEND) {
        file->size = op->offset + op->piece.len;
    }

    return op->offset + op->piece.len;
}


static void
ngx_async_store_file_reserve(ngx_async_file_t *file, uint64_t size)
{
    ngx_queue_t     *q;
    ngx_async_op_t  *op, *first;

    q = ngx_queue_head(&file->ops);
    first = ngx_queue_data(q, ngx_async_op_t, queue);

    op = &file->op;
    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_RESERVE;
    op->handler = ngx_async_store_file_reserved;
    op->data = file;
    op->id = file->blob.id;
    op->part = file->blob.part;
    op->nonce = file->blob.nonce;
    op->offset = file->reserved;
    op->now = first->now;
    op->size = size;
    ngx_memcpy(op->runner, first->runner, NGX_ASYNC_RUNNER_LEN);

    ngx_async_store_submit(op);
}


static void
ngx_async_store_file_reserved(ngx_async_op_t *op)
{
    ngx_async_file_t  *file;

    file = op->data;

    if (op->rc == NGX_OK) {
        file->reserved = op->size;

    } else if (op->rc == NGX_BUSY && op->size > file->need) {

        /* what is there now may fit, and all of it later */

        ngx_async_store_file_reserve(file, file->need);
        return;

    } else {
        file->rc = op->rc;
        file->err = op->err;
        file->full = op->full;
    }

    ngx_async_store_file_start(file);
}


static void
ngx_async_store_file_start(ngx_async_file_t *file)
{
    ngx_uint_t       n;
    ngx_queue_t     *q;
    ngx_async_op_t  *op;

    for (n = 0; n < NGX_ASYNC_STORE_FILE_BATCH; n++) {

        if (ngx_queue_empty(&file->ops)) {
            break;
        }

        q = ngx_queue_head(&file->ops);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        if (file->rc == NGX_OK
            && op->offset + op->piece.len > file->reserved)
        {
            break;
        }

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&file->batch, q);
    }

    file->work.run = ngx_async_store_file_run;
    file->work.handler = ngx_async_store_file_written;
    file->work.data = file;

    ngx_async_store_work(&file->work);
}


/* in a thread */

static void
ngx_async_store_file_run(void *data, ngx_log_t *log)
{
    ngx_async_file_t *file = data;

    uint64_t         end;
    ngx_queue_t     *q;
    ngx_async_op_t  *op;

    for (q = ngx_queue_head(&file->batch);
         q != ngx_queue_sentinel(&file->batch) && file->rc == NGX_OK;
         q = ngx_queue_next(q))
    {
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        file->rc = ngx_async_store_file_write(file, op, log);

        if (file->rc != NGX_OK) {
            return;
        }

        if (op->type != NGX_ASYNC_OP_APPEND) {
            file->rc = ngx_async_store_file_sync(file, log);
            return;
        }

        end = op->offset + op->piece.len;

        if (end - file->flushed >= NGX_ASYNC_STORE_FILE_FLUSH) {
            (void) sync_file_range(file->fd, (off_t) file->flushed,
                                   (off_t) (end - file->flushed),
                                   SYNC_FILE_RANGE_WRITE);
            file->flushed = end;
        }
    }
}


static ngx_int_t
ngx_async_store_file_write(ngx_async_file_t *file, ngx_async_op_t *op,
    ngx_log_t *log)
{
    size_t     len;
    u_char    *p;
    ssize_t    n;
    uint64_t   offset;
    ngx_int_t  rc;

    if (file->fd == NGX_INVALID_FILE) {
        rc = ngx_async_store_file_create(file, log);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    p = op->piece.data;
    len = op->piece.len;
    offset = op->offset;

    while (len) {
        n = pwrite(file->fd, p, len, (off_t) offset);

        if (n == -1) {
            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            return ngx_async_store_file_failed(file, "pwrite()", NULL, log);
        }

        p += n;
        len -= n;
        offset += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_async_store_file_create(ngx_async_file_t *file, ngx_log_t *log)
{
    char        path[PATH_MAX];
    ngx_uint_t  tries;

    for (tries = 0; tries < 2; tries++) {

        if (ngx_async_store_file_path(path, &file->blob) != NGX_OK) {
            ngx_set_errno(ENAMETOOLONG);
            break;
        }

        file->fd = open(path, O_WRONLY|O_CREAT|O_EXCL|O_NOFOLLOW|O_CLOEXEC,
                        0600);

        if (file->fd != NGX_INVALID_FILE) {
            return NGX_OK;
        }

        if (ngx_errno != NGX_ENOENT) {
            break;
        }

        /* the first file of all */

        (void) ngx_async_store_file_path(path, NULL);

        if (mkdir(path, 0700) == -1 && ngx_errno != NGX_EEXIST) {
            break;
        }
    }

    return ngx_async_store_file_failed(file, "open()", path, log);
}


/* what the record will name is on the disk, and so is its name */

static ngx_int_t
ngx_async_store_file_sync(ngx_async_file_t *file, ngx_log_t *log)
{
    char        path[PATH_MAX];
    ngx_int_t   rc;
    ngx_str_t  *root;

    if (fdatasync(file->fd) == -1) {
        return ngx_async_store_file_failed(file, "fdatasync()", NULL, log);
    }

    (void) ngx_async_store_file_path(path, NULL);

    rc = ngx_async_store_file_sync_dir(file, path, log);

    if (rc != NGX_OK || ngx_async_store_file_rooted) {
        return rc;
    }

    root = &ngx_async_store.conf.path;

    rc = ngx_async_store_file_sync_dir(file, (char *) root->data, log);

    if (rc == NGX_OK) {
        ngx_async_store_file_rooted = 1;
    }

    return rc;
}


static ngx_int_t
ngx_async_store_file_sync_dir(ngx_async_file_t *file, const char *path,
    ngx_log_t *log)
{
    int        fd;
    ngx_int_t  rc;

    fd = open(path, O_RDONLY|O_DIRECTORY|O_CLOEXEC);

    if (fd == -1) {
        return ngx_async_store_file_failed(file, "open()", path, log);
    }

    rc = NGX_OK;

    if (fsync(fd) == -1) {
        rc = ngx_async_store_file_failed(file, "fsync()", path, log);
    }

    (void) close(fd);

    return rc;
}


/*
 * After a failure the kernel may drop what it could not write, and say so only
 * once: the file is not tried again.
 */

static ngx_int_t
ngx_async_store_file_failed(ngx_async_file_t *file, const char *what,
    const char *path, ngx_log_t *log)
{
    file->err = ngx_errno;

    if (file->err == NGX_ENOSPC || file->err == EDQUOT || file->err == EFBIG) {
        file->full = NGX_ASYNC_FULL_DISK;
        return NGX_BUSY;
    }

    ngx_log_error(NGX_LOG_ERR, log, file->err,
                  "async_store: %s \"%s\" failed", what,
                  path ? path : NGX_ASYNC_BLOB_DIR);

    return NGX_ERROR;
}


static void
ngx_async_store_file_written(void *data)
{
    ngx_async_file_t *file = data;

    ngx_queue_t     *q;
    ngx_async_op_t  *op;

    /* handlers may submit more, or close the file: it is busy until the end */

    while (!ngx_queue_empty(&file->batch)) {

        q = ngx_queue_head(&file->batch);
        op = ngx_queue_data(q, ngx_async_op_t, queue);

        ngx_queue_remove(q);

        if (file->rc == NGX_OK && op->type != NGX_ASYNC_OP_APPEND) {
            ngx_async_store_pass(op);
            continue;
        }

        ngx_async_store_file_outcome(file, op);
        ngx_async_store_done(op);
    }

    file->busy = 0;

    ngx_async_store_file_next(file);
}


static void
ngx_async_store_file_outcome(ngx_async_file_t *file, ngx_async_op_t *op)
{
    op->rc = file->rc;
    op->err = file->err;
    op->full = file->full;

    switch (op->type) {

    case NGX_ASYNC_OP_FINISH:

        /* to be ended without its response, as one that does not fit */

        if (op->rc == NGX_ERROR) {
            op->rc = NGX_BUSY;
        }

        return;

    case NGX_ASYNC_OP_ACCEPT:

        /* NGX_ABORT would mean that the job is there already */

        if (op->rc == NGX_ABORT) {
            op->rc = NGX_ERROR;
            op->err = EIO;
        }

        return;
    }
}


/* in a thread */

static void
ngx_async_store_file_run_close(void *data, ngx_log_t *log)
{
    ngx_async_file_t *file = data;

    (void) close(file->fd);
}


static void
ngx_async_store_file_is_closed(void *data)
{
    ngx_async_file_t *file = data;

    /* it may have been dropped before it was created */

    ngx_async_store_trash_check(&file->blob);

    ngx_free(file);
}
