
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/call/ngx_async_direct_call.h"


/*
 * The body of a request that lies in a file is read by the store's threads, a
 * piece at a time, while libcurl waits.  A thread may be reading when the call
 * and its file are gone: the reader has a descriptor of its own and goes last.
 */

#define NGX_ASYNC_DIRECT_PIECE  65536

struct ngx_async_direct_file_s {
    ngx_async_work_t        work;
    ngx_async_direct_t     *call;       /* NULL: gone */
    ngx_fd_t                fd;
    off_t                   offset;     /* of what is in data */
    size_t                  size;       /* to be read */
    ssize_t                 len;        /* that was read, or -1 */
    ngx_err_t               err;
    unsigned                reading:1;
    u_char                  data[NGX_ASYNC_DIRECT_PIECE];
};


static ssize_t ngx_async_direct_read_file(ngx_async_direct_t *d, u_char *p,
    size_t n);
static ngx_async_direct_file_t *ngx_async_direct_open(ngx_async_direct_t *d);
static void ngx_async_direct_load(void *data, ngx_log_t *log);
static void ngx_async_direct_loaded(void *data);
static void ngx_async_direct_free_file(ngx_async_direct_file_t *f);


ssize_t
ngx_async_direct_read(ngx_async_curl_t *t, u_char *p, size_t n)
{
    ssize_t              len;
    ngx_async_run_t     *run;
    ngx_async_direct_t  *d;

    d = t->data;
    run = d->run;

    n = (size_t) ngx_min((off_t) n, run->body_len - d->sent);

    if (n == 0) {
        return 0;
    }

    if (run->body_fd == NGX_INVALID_FILE) {
        ngx_memcpy(p, run->body.data + d->sent, n);
        d->sent += n;
        return n;
    }

    len = ngx_async_direct_read_file(d, p, n);

    if (len > 0) {
        d->sent += len;
        return len;
    }

    if (len == NGX_ERROR) {
        d->code = "request_lost";
        d->message = "The request could not be read.";
    }

    return len;
}


ngx_int_t
ngx_async_direct_seek(ngx_async_curl_t *t, off_t offset)
{
    ngx_async_direct_t  *d;

    d = t->data;

    if (offset < 0 || offset > d->run->body_len) {
        return NGX_ERROR;
    }

    d->sent = offset;

    return NGX_OK;
}


static ssize_t
ngx_async_direct_read_file(ngx_async_direct_t *d, u_char *p, size_t n)
{
    off_t                     pos;
    ngx_async_direct_file_t  *f;

    f = d->file;

    if (f == NULL) {
        f = ngx_async_direct_open(d);
        if (f == NULL) {
            return NGX_ERROR;
        }
    }

    if (f->reading) {
        return NGX_AGAIN;
    }

    if (f->len < 0) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, f->err,
                      "async: reading the body of a request failed");
        return NGX_ERROR;
    }

    pos = d->sent - f->offset;

    if (pos >= 0 && pos < f->len) {
        n = ngx_min(n, (size_t) (f->len - pos));
        ngx_memcpy(p, f->data + pos, n);
        return n;
    }

    f->offset = d->sent;
    f->size = (size_t) ngx_min(d->run->body_len - d->sent,
                               NGX_ASYNC_DIRECT_PIECE);
    f->reading = 1;

    ngx_async_store_work(&f->work);

    return NGX_AGAIN;
}


static ngx_async_direct_file_t *
ngx_async_direct_open(ngx_async_direct_t *d)
{
    ngx_async_direct_file_t  *f;

    f = ngx_alloc(sizeof(ngx_async_direct_file_t), ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    ngx_memzero(f, offsetof(ngx_async_direct_file_t, data));

    f->fd = fcntl(d->run->body_fd, F_DUPFD_CLOEXEC, 0);

    if (f->fd == NGX_INVALID_FILE) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      "async: fcntl(F_DUPFD_CLOEXEC) failed");
        ngx_free(f);
        return NULL;
    }

    f->call = d;
    f->work.run = ngx_async_direct_load;
    f->work.handler = ngx_async_direct_loaded;
    f->work.data = f;

    d->file = f;

    return f;
}


/* in a thread */

static void
ngx_async_direct_load(void *data, ngx_log_t *log)
{
    ngx_async_direct_file_t  *f = data;

    do {
        f->len = pread(f->fd, f->data, f->size, f->offset);
    } while (f->len == -1 && ngx_errno == NGX_EINTR);

    f->err = (f->len == -1) ? ngx_errno : 0;

    /* it ends before it should */

    if (f->len == 0) {
        f->len = -1;
    }
}


static void
ngx_async_direct_loaded(void *data)
{
    ngx_async_direct_file_t  *f = data;

    f->reading = 0;

    if (f->call == NULL) {
        ngx_async_direct_free_file(f);
        return;
    }

    ngx_async_curl_resume(f->call->transfer);
}


void
ngx_async_direct_close(ngx_async_direct_t *d)
{
    ngx_async_direct_file_t  *f;

    f = d->file;

    if (f == NULL) {
        return;
    }

    d->file = NULL;
    f->call = NULL;

    if (!f->reading) {
        ngx_async_direct_free_file(f);
    }
}


static void
ngx_async_direct_free_file(ngx_async_direct_file_t *f)
{
    if (ngx_close_file(f->fd) == NGX_FILE_ERROR) {
        ngx_log_error(NGX_LOG_ALERT, ngx_cycle->log, ngx_errno,
                      ngx_close_file_n " failed");
    }

    ngx_free(f);
}
