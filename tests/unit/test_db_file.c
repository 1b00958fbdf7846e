
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"
#include <sys/stat.h>


#define LARGE  (3 * NGX_ASYNC_PIECE + 100)

static ngx_async_job_t    job;
static ngx_async_blob_t  *gone;
static ngx_uint_t         ngone;


/* what was left without a job since the last time */

static ngx_uint_t
left(void)
{
    free(gone);
    ngone = ngx_async_db_gone(db, &gone);

    return ngone;
}


static int
teardown(void **state)
{
    free(gone);
    gone = NULL;

    return db_teardown(state);
}


static ngx_async_id_t
running(void)
{
    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 100, 1, 1), NGX_OK);
    assert_int_equal(op.claimed, 1);

    return job.id;
}


static ngx_int_t
reserve(ngx_async_id_t *id, ngx_uint_t part, uint64_t nonce, uint64_t offset,
    uint64_t size, int runner)
{
    db_op(NGX_ASYNC_OP_RESERVE, id, runner);
    op.part = part;
    op.nonce = nonce;
    op.offset = offset;
    op.size = size;

    return db_run(&op);
}


static void
path(char *p, const ngx_async_id_t *id, ngx_uint_t part, uint64_t nonce)
{
    u_char            name[NGX_ASYNC_BLOB_NAME_LEN + 1];
    ngx_async_blob_t  blob;

    blob.id = *id;
    blob.part = part;
    blob.nonce = nonce;

    (void) ngx_async_db_file_name(name, &blob);

    sprintf(p, "%s/" NGX_ASYNC_BLOB_DIR, db_dir);
    (void) mkdir(p, 0700);
    sprintf(p + strlen(p), "/%s", name);
}


static void
write_file(const ngx_async_id_t *id, ngx_uint_t part, uint64_t nonce,
    size_t len)
{
    int      fd;
    char     name[400];
    size_t   i;
    u_char  *p;

    path(name, id, part, nonce);

    p = malloc(len);

    for (i = 0; i < len; i++) {
        p[i] = db_byte(id, part, i);
    }

    fd = open(name, O_WRONLY|O_CREAT|O_TRUNC, 0600);
    assert_true(fd != -1);
    assert_int_equal(write(fd, p, len), len);
    close(fd);
    free(p);
}


static ngx_int_t
finish(ngx_async_id_t *id, uint64_t nonce, uint64_t len, int runner)
{
    static u_char           piece[NGX_ASYNC_PIECE];
    static ngx_async_job_t  end;

    ngx_memzero(&end, sizeof(end));

    db_op(NGX_ASYNC_OP_FINISH, id, runner);

    end.status = NGX_ASYNC_SUCCEEDED;
    end.response_status = 200;
    end.response_body_len = len;
    end.content_type = db_str("text/plain");

    op.job = &end;
    op.nonce = nonce;
    op.offset = len / NGX_ASYNC_PIECE * NGX_ASYNC_PIECE;
    op.piece.data = piece;
    op.piece.len = (size_t) (len - op.offset);

    return db_run(&op);
}


static ngx_async_id_t
finished(uint64_t nonce)
{
    ngx_async_id_t  id;

    id = running();

    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, nonce, 0, LARGE, 1),
                     NGX_OK);
    write_file(&id, NGX_ASYNC_RESPONSE, nonce, LARGE);
    assert_int_equal(finish(&id, nonce, LARGE, 1), NGX_OK);
    db_check();

    return id;
}


static void
assert_reads(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset, size_t len)
{
    assert_int_equal(db_blob(id, part, offset, len), NGX_OK);
    assert_bytes(id, part, offset, len);
}


static uint64_t
used(void)
{
    uint64_t  n, size;

    ngx_async_db_usage(db, &n, &size);

    return n;
}


static ngx_int_t
get_response(ngx_async_id_t *id)
{
    db_op(NGX_ASYNC_OP_GET, id, 0);
    op.want_response = 1;

    return db_ask(&op);
}


static void
a_response_in_a_file_is_read(void **state)
{
    char            c;
    ngx_async_id_t  id;

    id = finished(7);

    assert_reads(&id, NGX_ASYNC_RESPONSE, 0, NGX_ASYNC_PIECE);
    assert_reads(&id, NGX_ASYNC_RESPONSE, NGX_ASYNC_PIECE + 5, 1000);
    assert_reads(&id, NGX_ASYNC_RESPONSE, LARGE - 10, 10);

    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, LARGE, 10), NGX_OK);
    assert_int_equal(op.blob.len, 0);

    /* and is open for who asks for the job */

    assert_int_equal(get_response(&id), NGX_OK);
    assert_int_equal(op.found.response_body_len, LARGE);
    assert_true(op.opened);
    assert_int_equal(pread(op.fd, &c, 1, LARGE - 1), 1);
    assert_int_equal((u_char) c, db_byte(&id, NGX_ASYNC_RESPONSE, LARGE - 1));
    close(op.fd);

    assert_int_equal(left(), 0);
}


static void
a_part_is_never_given_out(void **state)
{
    ngx_async_id_t  id;

    id = running();
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 7, 0, LARGE, 1), NGX_OK);
    write_file(&id, NGX_ASYNC_RESPONSE, 7, LARGE);

    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 0, 100), NGX_DECLINED);
    assert_int_equal(get_response(&id), NGX_OK);
    assert_int_equal(op.opened, 0);
    assert_int_equal(op.blob.len, 0);
    db_check();
}


static void
a_file_that_is_lost_or_short_is_an_error(void **state)
{
    char            name[400];
    ngx_async_id_t  id;

    id = finished(7);
    path(name, &id, NGX_ASYNC_RESPONSE, 7);

    assert_int_equal(truncate(name, LARGE - 1), 0);
    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 0, 100), NGX_ERROR);
    assert_int_equal(op.err, EUCLEAN);
    assert_int_equal(get_response(&id), NGX_ERROR);
    assert_int_equal(op.opened, 0);

    assert_int_equal(truncate(name, LARGE + 1), 0);
    assert_int_equal(get_response(&id), NGX_ERROR);

    assert_int_equal(unlink(name), 0);
    assert_int_equal(db_blob(&id, NGX_ASYNC_RESPONSE, 0, 100), NGX_ERROR);
    assert_int_equal(op.err, ENOENT);
    assert_int_equal(get_response(&id), NGX_ERROR);

    /* the job itself can be seen, and forgotten */

    assert_int_equal(db_get(&id), NGX_OK);
    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &id), NGX_OK);
    assert_int_equal(left(), 1);
    db_check();
}


static void
files_go_with_what_they_belong_to(void **state)
{
    uint64_t        before;
    ngx_async_id_t  id;

    id = running();
    before = used();

    /* another attempt */

    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 1, 0, LARGE, 1), NGX_OK);
    assert_true(used() >= before + LARGE);
    assert_int_equal(db_requeue(&id, 1, 0), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 1);
    assert_int_equal(gone[0].part, NGX_ASYNC_RESPONSE);
    assert_memory_equal(&gone[0].id, &id, sizeof(id));
    assert_true(used() < before + LARGE);
    db_check();

    /* a cancel, by whoever */

    assert_int_equal(db_claim("q", 1), NGX_OK);
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 2, 0, LARGE, 1), NGX_OK);
    assert_int_equal(db_cancel(&id), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 2);
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 2, 100, 2 * LARGE, 1),
                     NGX_ABORT);
    assert_int_equal(finish(&id, 2, LARGE, 1), NGX_ABORT);
    assert_int_equal(left(), 0);
    db_check();

    /* an end without a response */

    id = running();
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 3, 0, LARGE, 1), NGX_OK);
    assert_int_equal(db_finish(&id, 1, NGX_ASYNC_FAILED, 0), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 3);
    db_check();

    /* the end of its time */

    id = finished(4);
    assert_int_equal(left(), 0);
    now += 60000;
    assert_int_equal(db_sweep(), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 4);
    assert_int_equal(db_get(&id), NGX_DECLINED);
    db_check();

    /* the death of its runner */

    id = running();
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 5, 0, LARGE, 1), NGX_OK);
    assert_int_equal(db_recover(1), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 5);
    db_check();
}


static void
a_request_in_a_file_is_staged(void **state)
{
    ngx_async_id_t  id;

    db_job(&job, "q");
    id = job.id;
    job.request_body_len = LARGE;

    assert_int_equal(reserve(&id, NGX_ASYNC_REQUEST, 1, 0, LARGE, 1), NGX_OK);
    write_file(&id, NGX_ASYNC_REQUEST, 1, LARGE);
    db_check();

    db_op(NGX_ASYNC_OP_ACCEPT, &id, 1);
    op.job = &job;
    op.nonce = 1;
    op.part = NGX_ASYNC_REQUEST;
    op.offset = 3 * NGX_ASYNC_PIECE;
    op.piece.len = 100;
    assert_int_equal(db_run(&op), NGX_OK);
    assert_reads(&id, NGX_ASYNC_REQUEST, 2 * NGX_ASYNC_PIECE, NGX_ASYNC_PIECE);
    db_check();

    /* the claim leaves the reading to its caller */

    assert_int_equal(db_claim("q", 2), NGX_OK);
    assert_int_equal(op.blob.len, 0);
    assert_reads(&id, NGX_ASYNC_REQUEST, 0, 1000);

    /* its end drops it */

    assert_int_equal(db_finish(&id, 2, NGX_ASYNC_FAILED, 0), NGX_OK);
    assert_int_equal(left(), 1);
    db_check();

    /* one that never became a job */

    db_job(&job, "q");
    assert_int_equal(reserve(&job.id, NGX_ASYNC_REQUEST, 2, 0, LARGE, 1),
                     NGX_OK);
    assert_int_equal(db_discard(&job.id, 1), NGX_OK);
    assert_int_equal(left(), 1);
    db_check();

    db_job(&job, "q");
    assert_int_equal(reserve(&job.id, NGX_ASYNC_REQUEST, 3, 0, LARGE, 1),
                     NGX_OK);
    assert_int_equal(db_recover(1), NGX_OK);
    assert_int_equal(left(), 1);
    assert_int_equal(gone[0].nonce, 3);
    db_check();
}


static void
files_count_in_full(void **state)
{
    uint64_t        before;
    ngx_async_id_t  id;

    before = used();
    id = running();

    /* a store of 16 MiB has no room for this */

    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 1, 0, 16 * MIB, 1),
                     NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);
    db_check();

    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 1, 0, 8 * MIB, 1),
                     NGX_OK);
    assert_true(used() >= before + 8 * MIB);
    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 1, 8 * MIB, 12 * MIB, 1),
                     NGX_OK);
    assert_true(used() >= before + 12 * MIB);
    db_check();

    assert_int_equal(reserve(&id, NGX_ASYNC_RESPONSE, 1, 12 * MIB, 17 * MIB,
                             1),
                     NGX_BUSY);

    /* pieces and jobs find no more room than that */

    db_job(&job, "q");
    assert_int_equal(reserve(&job.id, NGX_ASYNC_REQUEST, 2, 0, 5 * MIB, 1),
                     NGX_BUSY);

    while (db_accept(&job, 60000, 0, 1) == NGX_OK) {
        db_job(&job, "q");
    }

    assert_int_equal(op.rc, NGX_BUSY);
    assert_int_equal(op.full, NGX_ASYNC_FULL_STORE);

    /* the end counts what it is, and always fits */

    assert_int_equal(finish(&id, 1, LARGE, 1), NGX_OK);
    assert_true(used() < before + 6 * MIB);
    db_check();

    db_job(&job, "q");
    assert_int_equal(db_accept(&job, 60000, 0, 1), NGX_OK);
}


static void
nothing_goes_with_a_batch_that_fails(void **state)
{
    ngx_async_id_t  id;

    id = finished(1);

    fail_write = 0;
    fail_errno = EIO;
    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &id), NGX_ERROR);
    fail_write = -1;

    assert_int_equal(left(), 0);
    assert_reads(&id, NGX_ASYNC_RESPONSE, 0, 1000);

    assert_int_equal(db_simple(NGX_ASYNC_OP_FORGET, &id), NGX_OK);
    assert_int_equal(left(), 1);
}


static void
orphans_are_told_from_the_others(void **state)
{
    ngx_async_id_t       live, done, lost;
    ngx_async_blob_t     blobs[5];
    ngx_async_orphans_t  orphans;

    done = finished(1);
    live = running();
    assert_int_equal(reserve(&live, NGX_ASYNC_RESPONSE, 2, 0, LARGE, 2),
                     NGX_ABORT);
    assert_int_equal(reserve(&live, NGX_ASYNC_RESPONSE, 2, 0, LARGE, 1),
                     NGX_OK);
    db_job(&job, "q");
    lost = job.id;

    blobs[0].id = done;
    blobs[0].nonce = 1;
    blobs[1].id = live;
    blobs[1].nonce = 2;
    blobs[2].id = lost;
    blobs[2].nonce = 3;
    blobs[3].id = live;                 /* of an earlier attempt */
    blobs[3].nonce = 4;
    blobs[4].id = done;
    blobs[4].nonce = 1;

    blobs[0].part = blobs[1].part = blobs[2].part = blobs[3].part
        = NGX_ASYNC_RESPONSE;
    blobs[4].part = NGX_ASYNC_REQUEST;

    orphans.blobs = blobs;
    orphans.n = 5;

    db_op(NGX_ASYNC_OP_ORPHANS, NULL, 0);
    op.orphans = &orphans;
    assert_int_equal(db_ask(&op), NGX_OK);

    assert_int_equal(orphans.n, 3);
    assert_int_equal(blobs[0].nonce, 3);
    assert_int_equal(blobs[1].nonce, 4);
    assert_int_equal(blobs[2].part, NGX_ASYNC_REQUEST);
}


static void
only_names_of_blobs_are_names(void **state)
{
    char              longer[200];
    u_char            name[NGX_ASYNC_BLOB_NAME_LEN + 1];
    ngx_uint_t        i;
    ngx_async_blob_t  blob, parsed;

    db_job(&job, "q");
    blob.id = job.id;
    blob.part = NGX_ASYNC_RESPONSE;
    blob.nonce = 0xfedcba9876543210ULL;

    assert_int_equal(ngx_async_db_file_name(name, &blob) - name,
                     NGX_ASYNC_BLOB_NAME_LEN);
    assert_int_equal(ngx_async_db_file_parse(&parsed, name), NGX_OK);
    assert_memory_equal(&parsed.id, &blob.id, sizeof(blob.id));
    assert_int_equal(parsed.part, blob.part);
    assert_int_equal(parsed.nonce, blob.nonce);

    sprintf(longer, "%s0", name);
    assert_int_equal(ngx_async_db_file_parse(&parsed, (u_char *) longer),
                     NGX_ERROR);
    strcpy(longer, (char *) name);
    longer[NGX_ASYNC_BLOB_NAME_LEN - 1] = 0;
    assert_int_equal(ngx_async_db_file_parse(&parsed, (u_char *) longer),
                     NGX_ERROR);

    for (i = 0; i < NGX_ASYNC_BLOB_NAME_LEN; i++) {
        strcpy(longer, (char *) name);
        longer[i] = 'x';
        assert_int_equal(ngx_async_db_file_parse(&parsed, (u_char *) longer),
                         NGX_ERROR);
    }

    assert_int_equal(ngx_async_db_file_parse(&parsed, (u_char *) "README"),
                     NGX_ERROR);
}


int
main(void)
{
#define test(f)                                                               \
    cmocka_unit_test_setup_teardown(f, db_setup_small, teardown)

    const struct CMUnitTest  tests[] = {
        test(a_response_in_a_file_is_read),
        test(a_part_is_never_given_out),
        test(a_file_that_is_lost_or_short_is_an_error),
        test(files_go_with_what_they_belong_to),
        test(a_request_in_a_file_is_staged),
        test(files_count_in_full),
        test(nothing_goes_with_a_batch_that_fails),
        test(orphans_are_told_from_the_others),
        test(only_names_of_blobs_are_names)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
