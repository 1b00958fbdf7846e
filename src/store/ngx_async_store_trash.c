
/*
 * Copyright (C) The ngx_async authors
 */


#include "src/store/ngx_async_store_internal.h"
#include <dirent.h>


/*
 * Files of blobs that no job has: those whose entries a transaction deleted,
 * and, looked for when a worker starts, what a process left behind that was
 * killed before it could unlink them.  They are looked for again when
 * something did not get done for lack of memory, or because the store or the
 * directory failed.
 */

#define NGX_ASYNC_STORE_TRASH  256          /* files of a step */

typedef struct {
    ngx_async_op_t        op;
    ngx_async_work_t      work;
    ngx_async_orphans_t   orphans;
    DIR                  *dir;
    unsigned              scan:1;           /* there may be more in dir */
    unsigned              failed:1;         /* dir was not read to its end */
} ngx_async_store_trash_t;


static ngx_async_store_trash_t *ngx_async_store_trash_create(void);
static void ngx_async_store_trash_free(ngx_async_store_trash_t *trash);
static void ngx_async_store_trash_ask(ngx_async_store_trash_t *trash);
static void ngx_async_store_trash_asked(ngx_async_op_t *op);
static void ngx_async_store_trash_work(ngx_async_store_trash_t *trash);
static void ngx_async_store_trash_run(void *data, ngx_log_t *log);
static void ngx_async_store_trash_list(ngx_async_store_trash_t *trash,
    ngx_log_t *log);
static struct dirent *ngx_async_store_trash_next(
    ngx_async_store_trash_t *trash, ngx_log_t *log);
static void ngx_async_store_trash_worked(void *data);


static ngx_uint_t  ngx_async_store_trash_left;      /* to be looked for */


/* NULL for blob: the directory itself */

ngx_int_t
ngx_async_store_file_path(char *path, ngx_async_blob_t *blob)
{
    int     n;
    u_char  name[NGX_ASYNC_BLOB_NAME_LEN + 1];

    name[0] = '\0';

    if (blob) {
        (void) ngx_async_db_file_name(name, blob);
    }

    n = snprintf(path, PATH_MAX, "%s/" NGX_ASYNC_BLOB_DIR "%s%s",
                 (char *) ngx_async_store.conf.path.data, blob ? "/" : "",
                 name);

    return n < PATH_MAX ? NGX_OK : NGX_ERROR;
}


void
ngx_async_store_trash_unlink(ngx_async_blob_t *blobs, ngx_uint_t n)
{
    ngx_async_store_trash_t  *trash;

    trash = ngx_async_store_trash_create();

    if (trash == NULL) {
        free(blobs);
        return;
    }

    trash->orphans.blobs = blobs;
    trash->orphans.n = n;

    ngx_async_store_trash_work(trash);
}


void
ngx_async_store_trash_check(ngx_async_blob_t *blob)
{
    ngx_async_store_trash_t  *trash;

    trash = ngx_async_store_trash_create();

    if (trash == NULL) {
        return;
    }

    trash->orphans.blobs = malloc(sizeof(ngx_async_blob_t));

    if (trash->orphans.blobs == NULL) {
        ngx_async_store_trash_left = 1;
        ngx_async_store_trash_free(trash);
        return;
    }

    trash->orphans.blobs[0] = *blob;
    trash->orphans.n = 1;

    ngx_async_store_trash_ask(trash);
}


void
ngx_async_store_trash_scan(void)
{
    ngx_async_store_trash_t  *trash;

    trash = ngx_async_store_trash_create();

    if (trash == NULL) {
        return;
    }

    trash->orphans.blobs = malloc(NGX_ASYNC_STORE_TRASH
                                  * sizeof(ngx_async_blob_t));

    if (trash->orphans.blobs == NULL) {
        ngx_async_store_trash_left = 1;
        ngx_async_store_trash_free(trash);
        return;
    }

    trash->scan = 1;

    ngx_async_store_trash_work(trash);
}


void
ngx_async_store_trash_again(void)
{
    if (ngx_async_store_trash_left) {
        ngx_async_store_trash_left = 0;
        ngx_async_store_trash_scan();
    }
}


static ngx_async_store_trash_t *
ngx_async_store_trash_create(void)
{
    ngx_async_store_trash_t  *trash;

    trash = ngx_calloc(sizeof(ngx_async_store_trash_t), ngx_async_store.log);

    if (trash == NULL) {
        ngx_async_store_trash_left = 1;
    }

    return trash;
}


static void
ngx_async_store_trash_free(ngx_async_store_trash_t *trash)
{
    if (trash->dir) {
        (void) closedir(trash->dir);
    }

    free(trash->orphans.blobs);
    ngx_free(trash);
}


/* the names were read before: a file that gets its entry later is not here */

static void
ngx_async_store_trash_ask(ngx_async_store_trash_t *trash)
{
    ngx_async_op_t  *op;

    op = &trash->op;
    ngx_memzero(op, sizeof(ngx_async_op_t));

    op->type = NGX_ASYNC_OP_ORPHANS;
    op->handler = ngx_async_store_trash_asked;
    op->data = trash;
    op->orphans = &trash->orphans;

    ngx_async_store_submit(op);
}


static void
ngx_async_store_trash_asked(ngx_async_op_t *op)
{
    ngx_async_store_trash_t  *trash;

    trash = op->data;

    if (op->rc != NGX_OK) {
        ngx_async_store_trash_left = 1;
    }

    if (op->rc != NGX_OK
        || ngx_exiting
        || (trash->orphans.n == 0 && !trash->scan))
    {
        ngx_async_store_trash_free(trash);
        return;
    }

    if (trash->scan && trash->orphans.n) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_async_store.log, 0,
                      "async_store: %ui files of no job removed",
                      trash->orphans.n);
    }

    ngx_async_store_trash_work(trash);
}


static void
ngx_async_store_trash_work(ngx_async_store_trash_t *trash)
{
    trash->work.run = ngx_async_store_trash_run;
    trash->work.handler = ngx_async_store_trash_worked;
    trash->work.data = trash;

    ngx_async_store_work(&trash->work);
}


/* in a thread */

static void
ngx_async_store_trash_run(void *data, ngx_log_t *log)
{
    ngx_async_store_trash_t *trash = data;

    char        path[PATH_MAX];
    ngx_uint_t  i;

    for (i = 0; i < trash->orphans.n; i++) {

        if (ngx_async_store_file_path(path, &trash->orphans.blobs[i])
            != NGX_OK)
        {
            continue;
        }

        if (unlink(path) == -1 && ngx_errno != NGX_ENOENT) {
            ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                          "unlink() \"%s\" failed", path);
        }
    }

    trash->orphans.n = 0;

    if (trash->scan) {
        ngx_async_store_trash_list(trash, log);
    }
}


/* other names are not ours, and are left alone */

static void
ngx_async_store_trash_list(ngx_async_store_trash_t *trash, ngx_log_t *log)
{
    struct dirent        *de;
    ngx_async_orphans_t  *orphans;

    orphans = &trash->orphans;

    while (orphans->n < NGX_ASYNC_STORE_TRASH) {

        de = ngx_async_store_trash_next(trash, log);

        if (de == NULL) {
            trash->scan = 0;
            return;
        }

        if (ngx_async_db_file_parse(&orphans->blobs[orphans->n],
                                    (u_char *) de->d_name)
            == NGX_OK)
        {
            orphans->n++;
        }
    }
}


/* a directory that is not there has no files yet */

static struct dirent *
ngx_async_store_trash_next(ngx_async_store_trash_t *trash, ngx_log_t *log)
{
    char            path[PATH_MAX];
    struct dirent  *de;

    ngx_set_errno(0);

    if (trash->dir == NULL) {
        (void) ngx_async_store_file_path(path, NULL);
        trash->dir = opendir(path);
    }

    de = trash->dir ? readdir(trash->dir) : NULL;

    if (de == NULL && ngx_errno != 0 && ngx_errno != NGX_ENOENT) {
        trash->failed = 1;

        ngx_log_error(NGX_LOG_ERR, log, ngx_errno,
                      "async_store: \"" NGX_ASYNC_BLOB_DIR "\" cannot be "
                      "read, files of no job are looked for later");
    }

    return de;
}


static void
ngx_async_store_trash_worked(void *data)
{
    ngx_async_store_trash_t *trash = data;

    if (trash->failed) {
        trash->failed = 0;
        ngx_async_store_trash_left = 1;
    }

    if (trash->orphans.n == 0) {
        ngx_async_store_trash_free(trash);
        return;
    }

    ngx_async_store_trash_ask(trash);
}
