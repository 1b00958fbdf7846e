
/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"
#include <dirent.h>
#include <sys/syscall.h>
#include <sys/uio.h>


/* nginx's own */
ngx_pid_t           ngx_pid;

char                db_dir[64];
ngx_async_db_t     *db;
size_t              db_size;
uint64_t            now;
int64_t             jumped;

int                 fail_write = -1;
int                 fail_sync = -1;
int                 fail_fallocate = -1;
int                 fail_errno = EIO;

ngx_async_op_t      op;
ngx_async_limits_t  limits;
ngx_async_sweep_t   sweep;

static u_char       piece[NGX_ASYNC_PIECE];


static int
fails(int *n)
{
    if (*n < 0) {
        return 0;
    }

    if (*n == 0) {
        errno = fail_errno;
        return 1;
    }

    (*n)--;

    return 0;
}


/* LMDB's calls end here */

int
fdatasync(int fd)
{
    return fails(&fail_sync) ? -1 : (int) syscall(SYS_fdatasync, fd);
}


/* LMDB's own name: with 64-bit offsets, the headers make it another one here */

ssize_t db_pwrite(int fd, const void *buf, size_t n, off_t offset)
    __asm__("pwrite");

ssize_t
db_pwrite(int fd, const void *buf, size_t n, off_t offset)
{
    return fails(&fail_write) ? -1 : syscall(SYS_pwrite64, fd, buf, n, offset);
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    return fails(&fail_write) ? -1 : syscall(SYS_writev, fd, iov, n);
}


int
fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fails(&fail_fallocate)
           ? -1 : (int) syscall(SYS_fallocate, fd, mode, offset, len);
}


static void clear(const char *name);


int
db_setup(void **state)
{
    db_free(&op);
    ngx_memzero(&op, sizeof(op));
    ngx_memzero(&limits, sizeof(limits));

    fail_write = fail_sync = fail_fallocate = -1;
    now = 1700000000000ULL;
    jumped = 0;

    /* in memory if possible: thousands of commits */

    strcpy(db_dir, "/dev/shm/ngx_async_db_XXXXXX");

    if (mkdtemp(db_dir) == NULL) {
        strcpy(db_dir, "/tmp/ngx_async_db_XXXXXX");
        return mkdtemp(db_dir) == NULL;
    }

    return 0;
}


int
db_teardown(void **state)
{
    db_stop();
    db_clear();
    db_free(&op);

    return rmdir(db_dir);
}


void
db_clear(void)
{
    char  path[400];

    clear(db_dir);

    snprintf(path, sizeof(path), "%s/" NGX_ASYNC_BLOB_DIR, db_dir);
    clear(path);
    (void) rmdir(path);
}


static void
clear(const char *name)
{
    DIR            *dir;
    char            path[400];
    struct dirent  *de;

    dir = opendir(name);

    if (dir == NULL) {
        return;
    }

    while ((de = readdir(dir)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", name, de->d_name);
        (void) unlink(path);
    }

    closedir(dir);
}


static uint64_t
steady(void)
{
    return now - (uint64_t) jumped - 1600000000000ULL;
}


void
db_start(size_t size)
{
    const char  *reason;

    db = ngx_async_db_open(db_dir, size, 16, &reason);

    if (db == NULL) {
        fail_msg("%s", reason);
    }

    db->steady = steady;
}


void
db_stop(void)
{
    if (db) {
        ngx_async_db_close(db);
        db = NULL;
    }
}


void
db_free(ngx_async_op_t *o)
{
    free(o->buf.data);
    ngx_str_null(&o->buf);
}


ngx_int_t
db_run(ngx_async_op_t *o)
{
    ngx_int_t            rc;
    ngx_err_t            err;
    ngx_async_job_t      saved;
    ngx_async_db_txn_t  *txn;

    err = 0;
    txn = ngx_async_db_begin(db, &err);

    if (txn == NULL) {
        o->rc = NGX_ERROR;
        o->err = err;
        return NGX_ERROR;
    }

    if (o->job) {
        saved = *o->job;
    }

    rc = ngx_async_db_write(txn, o);

    if (rc == NGX_AGAIN || rc == NGX_ERROR) {
        ngx_async_db_abort(txn);

    } else {
        rc = ngx_async_db_commit(txn, &err);

        if (rc == NGX_AGAIN) {
            o->rc = NGX_BUSY;
            o->full = NGX_ASYNC_FULL_DISK;

        } else if (rc == NGX_ERROR) {
            o->rc = NGX_ERROR;
            o->err = err;
        }
    }

    if (o->job && o->rc != NGX_OK) {
        *o->job = saved;
    }

    return o->rc;
}


ngx_int_t
db_ask(ngx_async_op_t *o)
{
    db_free(o);
    ngx_async_db_read(db, o);

    return o->rc;
}


ngx_str_t
db_str(const char *s)
{
    ngx_str_t  str;

    str.data = (u_char *) s;
    str.len = strlen(s);

    return str;
}


void
db_runner(u_char *p, int runner)
{
    memset(p, runner, NGX_ASYNC_RUNNER_LEN);
}


void
db_op(ngx_uint_t type, ngx_async_id_t *id, int runner)
{
    db_free(&op);
    ngx_memzero(&op, sizeof(op));

    op.type = type;
    op.now = now;
    op.limits = &limits;

    if (id) {
        op.id = *id;
    }

    db_runner(op.runner, runner);
}


u_char
db_byte(const ngx_async_id_t *id, ngx_uint_t part, uint64_t offset)
{
    return id->bytes[15] ^ (u_char) (part * 85 + offset / NGX_ASYNC_PIECE);
}


static void
fill(const ngx_async_id_t *id, ngx_uint_t part, uint64_t offset, size_t len)
{
    memset(piece, db_byte(id, part, offset), len);

    op.part = part;
    op.offset = offset;
    op.piece.data = piece;
    op.piece.len = len;
}


void
db_job(ngx_async_job_t *job, const char *queue)
{
    ngx_memzero(job, sizeof(ngx_async_job_t));

    assert_int_equal(ngx_async_id_create(&job->id, now), NGX_OK);

    job->created = now;
    job->urgency = 3;
    job->ttl = 60000;
    job->ttl_failed = 60000;
    job->queue = db_str(queue);
    job->server = db_str("server");
    job->location = db_str("/slow/");
    job->method = db_str("POST");
    job->uri = db_str("/slow/report?year=2024");
}


/* len: of the last piece; those before it have been staged */

ngx_int_t
db_accept(ngx_async_job_t *job, size_t len, ngx_uint_t claim, int runner)
{
    uint64_t  offset;

    offset = job->request_body_len;
    job->request_body_len += len;

    db_op(NGX_ASYNC_OP_ACCEPT, NULL, runner);
    fill(&job->id, NGX_ASYNC_REQUEST, offset, len);
    op.job = job;
    op.claim = claim & 1;

    if (db_run(&op) != NGX_OK) {
        job->request_body_len = offset;
    }

    return op.rc;
}


ngx_int_t
db_append(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset, size_t len,
    int runner)
{
    db_op(NGX_ASYNC_OP_APPEND, id, runner);
    fill(id, part, offset, len);

    return db_run(&op);
}


ngx_int_t
db_discard(ngx_async_id_t *id, int runner)
{
    db_op(NGX_ASYNC_OP_DISCARD, id, runner);

    return db_run(&op);
}


ngx_int_t
db_claim(const char *queue, int runner)
{
    db_op(NGX_ASYNC_OP_CLAIM, NULL, runner);
    op.queue_name = db_str(queue);

    return db_run(&op);
}


/* len: of the whole response; all but its last piece have been appended */

ngx_int_t
db_finish(ngx_async_id_t *id, int runner, ngx_uint_t status, uint64_t len)
{
    uint64_t                offset;
    static ngx_async_job_t  end;

    ngx_memzero(&end, sizeof(end));

    db_op(NGX_ASYNC_OP_FINISH, id, runner);

    end.status = status & 7;
    op.job = &end;

    if (status == NGX_ASYNC_FAILED && len == 0) {
        end.error_code = db_str("timeout");
        end.error_message = db_str("it took too long");

    } else {
        offset = len / NGX_ASYNC_PIECE * NGX_ASYNC_PIECE;
        fill(id, NGX_ASYNC_RESPONSE, offset, (size_t) (len - offset));

        end.response_status = 200;
        end.response_body_len = len;
        end.content_type = db_str("text/plain");
    }

    return db_run(&op);
}


ngx_int_t
db_requeue(ngx_async_id_t *id, int runner, uint64_t not_before)
{
    db_op(NGX_ASYNC_OP_REQUEUE, id, runner);
    op.not_before = not_before;

    return db_run(&op);
}


ngx_int_t
db_cancel(ngx_async_id_t *id)
{
    static ngx_async_job_t  end;

    ngx_memzero(&end, sizeof(end));

    db_op(NGX_ASYNC_OP_CANCEL, id, 0);
    op.job = &end;
    end.error_code = db_str("canceled");
    end.error_message = db_str("somebody did not want it");

    return db_run(&op);
}


ngx_int_t
db_simple(ngx_uint_t type, ngx_async_id_t *id)
{
    db_op(type, id, 0);

    return db_run(&op);
}


ngx_int_t
db_move(const char *from, ngx_async_job_t *job, const char *to)
{
    static ngx_async_job_t  target;

    db_op(NGX_ASYNC_OP_MOVE, NULL, 0);
    op.queue_name = db_str(from);

    if (job) {
        target.server = job->server;
        target.location = job->location;
        target.queue = db_str(to);
        op.job = &target;
    }

    return db_run(&op);
}


ngx_int_t
db_sweep(void)
{
    db_op(NGX_ASYNC_OP_SWEEP, NULL, 0);
    op.sweep = &sweep;

    return db_run(&op);
}


ngx_int_t
db_recover(int runner)
{
    db_op(NGX_ASYNC_OP_RECOVER, NULL, runner);
    op.sweep = &sweep;

    return db_run(&op);
}


ngx_int_t
db_get(ngx_async_id_t *id)
{
    db_op(NGX_ASYNC_OP_GET, id, 0);
    op.want_position = 1;

    return db_ask(&op);
}


ngx_int_t
db_blob(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset, size_t limit)
{
    db_op(NGX_ASYNC_OP_READ, id, 0);
    op.part = part;
    op.offset = offset;
    op.limit = limit;

    return db_ask(&op);
}


int
db_setup_small(void **state)
{
    if (db_setup(state) != 0) {
        return -1;
    }

    db_start(16 * MIB);

    return 0;
}


int
db_setup_tiny(void **state)
{
    if (db_setup(state) != 0) {
        return -1;
    }

    db_start(MIB);

    return 0;
}


ngx_async_id_t
accept_job(const char *queue, const char *per, ngx_uint_t urgency)
{
    static ngx_async_job_t  job;

    db_job(&job, queue);
    job.per = db_str(per);
    job.urgency = urgency & 7;

    assert_int_equal(db_accept(&job, 100, 0, 1), NGX_OK);
    assert_int_equal(op.claimed, 0);

    return job.id;
}


void
assert_claims(const char *queue, const ngx_async_id_t *id)
{
    assert_int_equal(db_claim(queue, 1), NGX_OK);
    assert_memory_equal(op.found.id.bytes, id->bytes, NGX_ASYNC_ID_LEN);
    assert_memory_equal(op.id.bytes, id->bytes, NGX_ASYNC_ID_LEN);
}


void
assert_status(ngx_async_id_t *id, ngx_uint_t status)
{
    assert_int_equal(db_get(id), NGX_OK);
    assert_int_equal(op.found.status, status);
}


void
assert_bytes(ngx_async_id_t *id, ngx_uint_t part, uint64_t offset, size_t len)
{
    size_t  i;

    assert_int_equal(op.blob.len, len);

    for (i = 0; i < len; i++) {
        if (op.blob.data[i] != db_byte(id, part, offset + i)) {
            fail_msg("byte %zu differs", i);
        }
    }
}
