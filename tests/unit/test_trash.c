
/* sources: src/store/ngx_async_store_trash.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <cmocka.h>
#include "src/store/ngx_async_store_internal.h"


/*
 * A store that has one job's file, and whose operations the test completes;
 * works are done at once.
 */

ngx_uint_t         ngx_exiting;
ngx_async_store_t  ngx_async_store;

static char             dir[64];
static ngx_log_t        log_;
static ngx_async_op_t  *asked;
static ngx_uint_t       no_memory;
static ngx_uint_t       logged;


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    logged += (level <= NGX_LOG_ERR);
}


void *
ngx_calloc(size_t size, ngx_log_t *log)
{
    return no_memory ? NULL : calloc(1, size);
}


void
ngx_async_store_submit(ngx_async_op_t *op)
{
    assert_null(asked);
    assert_int_equal(op->type, NGX_ASYNC_OP_ORPHANS);

    asked = op;
}


void
ngx_async_store_work(ngx_async_work_t *work)
{
    work->run(work->data, &log_);
    work->handler(work->data);
}


u_char *
ngx_async_db_file_name(u_char *p, const ngx_async_blob_t *blob)
{
    return p + sprintf((char *) p, "%016lx", blob->nonce);
}


ngx_int_t
ngx_async_db_file_parse(ngx_async_blob_t *blob, const u_char *name)
{
    ngx_memzero(blob, sizeof(ngx_async_blob_t));

    return sscanf((const char *) name, "%16lx", &blob->nonce) == 1
           ? NGX_OK : NGX_ERROR;
}


/* the store's answer: what is odd has a job */

static void
answer(ngx_int_t rc)
{
    ngx_uint_t            i, n;
    ngx_async_op_t       *op;
    ngx_async_orphans_t  *orphans;

    assert_non_null(asked);

    op = asked;
    asked = NULL;
    orphans = op->orphans;

    if (rc == NGX_OK) {
        for (i = 0, n = 0; i < orphans->n; i++) {
            if (orphans->blobs[i].nonce % 2 == 0) {
                orphans->blobs[n++] = orphans->blobs[i];
            }
        }

        orphans->n = n;
    }

    op->rc = rc;
    op->handler(op);
}


static char *
name_of(ngx_uint_t n)
{
    static char  name[128];

    (void) snprintf(name, sizeof(name), "%s/" NGX_ASYNC_BLOB_DIR "/%016lx",
                    dir, (unsigned long) n);
    return name;
}


static ngx_uint_t
there(ngx_uint_t n)
{
    return access(name_of(n), F_OK) == 0;
}


static ngx_async_blob_t
file(ngx_uint_t n)
{
    int               fd;
    ngx_async_blob_t  blob;

    fd = open(name_of(n), O_CREAT|O_WRONLY, 0600);
    assert_true(fd >= 0);
    (void) close(fd);

    ngx_memzero(&blob, sizeof(ngx_async_blob_t));
    blob.nonce = n;

    return blob;
}


static ngx_async_blob_t *
list(ngx_async_blob_t blob)
{
    ngx_async_blob_t  *blobs;

    blobs = malloc(sizeof(ngx_async_blob_t));
    assert_non_null(blobs);
    blobs[0] = blob;

    return blobs;
}


static int
setup(void **state)
{
    char  blobs[128];

    (void) strcpy(dir, "/tmp/test_trash.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    (void) snprintf(blobs, sizeof(blobs), "%s/" NGX_ASYNC_BLOB_DIR, dir);

    log_.log_level = NGX_LOG_ERR;
    logged = 0;

    ngx_async_store.log = &log_;
    ngx_async_store.conf.path.data = (u_char *) dir;
    ngx_async_store.conf.path.len = strlen(dir);

    return mkdir(blobs, 0700);
}


static int
teardown(void **state)
{
    char        blobs[128];
    ngx_uint_t  i;

    for (i = 0; i < 10; i++) {
        (void) unlink(name_of(i));
    }

    (void) snprintf(blobs, sizeof(blobs), "%s/" NGX_ASYNC_BLOB_DIR, dir);

    return asked || rmdir(blobs) == -1 || rmdir(dir) == -1 ? -1 : 0;
}


static void
test_what_has_no_job_is_removed(void **state)
{
    ngx_async_blob_t  one, two;

    one = file(1);
    two = file(2);

    ngx_async_store_trash_check(&one);
    answer(NGX_OK);
    assert_true(there(1));

    ngx_async_store_trash_check(&two);
    answer(NGX_OK);
    assert_false(there(2));
    assert_true(there(1));

    /* nothing is left to be done */

    ngx_async_store_trash_again();
    assert_null(asked);
}


static void
test_a_scan_removes_what_has_no_job(void **state)
{
    (void) file(1);
    (void) file(2);
    (void) file(4);

    ngx_async_store_trash_scan();
    answer(NGX_OK);

    assert_true(there(1));
    assert_false(there(2));
    assert_false(there(4));
    assert_null(asked);
}


static void
test_what_could_not_be_asked_is_looked_for_again(void **state)
{
    ngx_async_blob_t  two;

    (void) file(1);
    two = file(2);

    ngx_async_store_trash_check(&two);
    answer(NGX_ERROR);
    assert_true(there(2));

    /* not yet either */

    ngx_async_store_trash_again();
    answer(NGX_ERROR);
    assert_true(there(2));

    ngx_async_store_trash_again();
    answer(NGX_OK);
    assert_false(there(2));
    assert_true(there(1));

    ngx_async_store_trash_again();
    assert_null(asked);
}


static void
test_without_memory_it_is_removed_later(void **state)
{
    ngx_async_blob_t  two, four;

    two = file(2);
    four = file(4);

    no_memory = 1;
    ngx_async_store_trash_check(&two);
    ngx_async_store_trash_unlink(list(four), 1);
    ngx_async_store_trash_again();
    no_memory = 0;

    assert_null(asked);
    assert_true(there(2) && there(4));

    ngx_async_store_trash_again();
    answer(NGX_OK);
    assert_false(there(2) || there(4));
}


static void
test_a_directory_that_cannot_be_read_is_read_later(void **state)
{
    char           blobs[128], gone[128];
    struct rlimit  all, none;

    (void) file(2);

    assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
    none = all;
    none.rlim_cur = 0;

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ngx_async_store_trash_scan();
    ngx_async_store_trash_again();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);

    assert_null(asked);
    assert_int_equal(logged, 2);
    assert_true(there(2));

    ngx_async_store_trash_again();
    answer(NGX_OK);
    assert_false(there(2));

    ngx_async_store_trash_again();
    assert_null(asked);

    /* one that is not there is no failure */

    (void) snprintf(blobs, sizeof(blobs), "%s/" NGX_ASYNC_BLOB_DIR, dir);
    (void) snprintf(gone, sizeof(gone), "%s/gone", dir);

    logged = 0;
    assert_int_equal(rename(blobs, gone), 0);
    ngx_async_store_trash_scan();
    assert_int_equal(rename(gone, blobs), 0);
    assert_int_equal(logged, 0);

    (void) file(4);
    ngx_async_store_trash_again();
    assert_null(asked);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_what_has_no_job_is_removed),
        test(test_a_scan_removes_what_has_no_job),
        test(test_what_could_not_be_asked_is_looked_for_again),
        test(test_without_memory_it_is_removed_later),
        test(test_a_directory_that_cannot_be_read_is_read_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
