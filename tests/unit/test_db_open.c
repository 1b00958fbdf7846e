
/* sources: src/base/ngx_async_id.c src/base/ngx_async_time.c src/base/ngx_async_job.c src/store/ngx_async_db*.c tests/unit/db_util.c tests/unit/db_check.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include "tests/unit/db_util.h"
#include <dirent.h>
#include <sys/stat.h>
#include <sys/wait.h>


static char  why[512];


static char *
in_dir(const char *name)
{
    static char  path[200];

    snprintf(path, sizeof(path), "%s/%s", db_dir, name);

    return path;
}


static void
write_file(const char *name, const void *data, size_t len)
{
    FILE  *f;

    f = fopen(in_dir(name), "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    fclose(f);
}


/* names, sizes, times and bytes of all files, as one number */

static uint64_t
look(void)
{
    int             c;
    FILE           *f;
    DIR            *dir;
    char           *p;
    uint64_t        sum, one;
    struct stat     st;
    struct dirent  *de;

    dir = opendir(db_dir);
    assert_non_null(dir);
    sum = 0;

    while ((de = readdir(dir)) != NULL) {
        one = 1469598103934665603ULL;

        if (stat(in_dir(de->d_name), &st) == 0 && S_ISREG(st.st_mode)) {
            one += (uint64_t) st.st_mtim.tv_nsec;
            f = fopen(in_dir(de->d_name), "r");

            while (f && (c = getc_unlocked(f)) != EOF) {
                one = (one ^ (uint64_t) c) * 1099511628211ULL;
            }

            if (f) {
                fclose(f);
            }
        }

        for (p = de->d_name; *p; p++) {
            one = (one ^ (uint64_t) *p) * 1099511628211ULL;
        }

        sum += one;
    }

    closedir(dir);

    return sum;
}


/* refused for this reason, and nothing is changed */

static void
assert_refused(const char *text)
{
    uint64_t     before;
    const char  *reason;

    before = look();

    assert_int_equal(ngx_async_db_check(db_dir, &reason), NGX_ERROR);

    if (strstr(reason, text) == NULL) {
        fail_msg("checked with \"%s\"", reason);
    }

    db = ngx_async_db_open(db_dir, 16 * MIB, 16, &reason);
    assert_null(db);

    snprintf(why, sizeof(why), "%s", reason);

    if (strstr(why, text) == NULL) {
        fail_msg("refused with \"%s\"", why);
    }

    assert_true(look() == before);
}


static void
files_of_other_parts_are_no_hindrance(void **state)
{
    const char  *reason;

    write_file("shared.1", "x", 1);
    write_file("n.17", "", 0);
    write_file("lock.mdb", "", 0);
    write_file("data.mdb", "", 0);
    assert_int_equal(ngx_async_db_check(db_dir, &reason), NGX_OK);

    db_start(16 * MIB);
    (void) accept_job("q", "", 3);
    db_stop();

    assert_int_equal(ngx_async_db_check(db_dir, &reason), NGX_OK);

    db_start(16 * MIB);
    assert_int_equal(db_claim("q", 1), NGX_OK);
}


static void
a_directory_of_something_else_is_refused(void **state)
{
    write_file("notes.txt", "x", 1);
    assert_refused("\"notes.txt\"");
    assert_non_null(strstr(why, "directory of its own"));
}


static void
no_directory_is_refused(void **state)
{
    const char  *reason;

    assert_null(ngx_async_db_open(in_dir("none"), 16 * MIB, 16, &reason));
    assert_non_null(strstr(reason, "No such file"));
}


static void
what_is_no_lmdb_file_is_refused(void **state)
{
    char  junk[20000];

    memset(junk, 'x', sizeof(junk));
    write_file("data.mdb", junk, sizeof(junk));
    assert_refused("not an LMDB file");

    memset(junk, 0, sizeof(junk));
    write_file("data.mdb", junk, sizeof(junk));
    assert_refused("not an LMDB file");

    write_file("data.mdb", junk, 10);
    assert_refused("not an LMDB file");
}


static void
another_lmdb_environment_is_refused(void **state)
{
    MDB_dbi   dbi;
    MDB_env  *env;
    MDB_txn  *txn;
    MDB_val   key, val;

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 4), 0);
    assert_int_equal(mdb_env_open(env, db_dir, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", MDB_CREATE, &dbi), 0);
    key.mv_data = val.mv_data = "something";
    key.mv_size = val.mv_size = 9;
    assert_int_equal(mdb_put(txn, dbi, &key, &val, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    assert_refused("something else");

    /* without its lock file there must be none afterwards, either */

    assert_int_equal(unlink(in_dir("lock.mdb")), 0);
    assert_refused("something else");
}


static void
a_format_of_the_future_is_refused(void **state)
{
    u_char               version[4];
    ngx_err_t            err;
    ngx_async_db_txn_t  *txn;

    db_start(16 * MIB);

    txn = ngx_async_db_begin(db, &err);
    assert_non_null(txn);
    ngx_async_db_u32(version, 5);
    assert_int_equal(ngx_async_db_put(txn, NGX_ASYNC_DB_META, "ngx_async", 9,
                                      version, 4), NGX_OK);
    assert_int_equal(ngx_async_db_commit(txn, &err), NGX_OK);
    db_stop();

    assert_refused("format 5");
}


static void
a_file_that_lost_its_end_is_refused(void **state)
{
    int          i;
    char        *path;
    struct stat  st;

    db_start(16 * MIB);

    for (i = 0; i < 200; i++) {
        (void) accept_job("q", "", 3);
    }

    db_stop();

    path = in_dir("data.mdb");
    assert_int_equal(stat(path, &st), 0);

    assert_int_equal(truncate(path, 10 * 4096), 0);
    assert_refused("is damaged");

    assert_int_equal(truncate(path, 4096), 0);
    assert_refused("is damaged");
}


static void
a_first_page_that_is_damaged_is_refused(void **state)
{
    FILE  *f;
    char   junk[64];

    db_start(16 * MIB);
    (void) accept_job("q", "", 3);
    db_stop();

    memset(junk, 0x55, sizeof(junk));
    f = fopen(in_dir("data.mdb"), "r+");
    assert_non_null(f);
    assert_int_equal(fwrite(junk, 1, sizeof(junk), f), sizeof(junk));
    fclose(f);

    assert_refused("damaged or not an LMDB file");
}


static void
a_start_that_failed_can_be_repeated(void **state)
{
    int          i;
    const char  *reason;

    for (i = 0; i < 10; i++) {
        fail_write = i;
        db = ngx_async_db_open(db_dir, 16 * MIB, 16, &reason);
        fail_write = -1;

        if (db) {
            break;
        }
    }

    assert_true(i > 0);
    assert_non_null(db);

    (void) accept_job("q", "", 3);
    db_check();
}


static void
an_open_store_that_loses_its_file_is_not_made_anew(void **state)
{
    ngx_err_t  err;

    db_start(16 * MIB);
    (void) accept_job("q", "", 3);

    assert_int_equal(unlink(in_dir("data.mdb")), 0);

    assert_int_equal(ngx_async_db_mend(db, MDB_PANIC), NGX_ERROR);
    assert_null(ngx_async_db_begin(db, &err));
    assert_int_equal(db_get(&op.id), NGX_ERROR);
    assert_int_equal(access(in_dir("data.mdb"), F_OK), -1);
}


static void
child(void (*run)(void))
{
    int    status;
    pid_t  pid;

    pid = fork();
    assert_true(pid >= 0);

    if (pid == 0) {

        /* without the parent's environment, as a new process has none */

        ngx_pid = getpid();
        db = NULL;
        run();
        _exit(0);
    }

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) || WIFSIGNALED(status));
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : 0, 0);
}


static void
grow(void)
{
    int                     i;
    static ngx_async_job_t  job;

    db_start(64 * MIB);

    for (i = 0; i < 400; i++) {
        db_job(&job, "q");

        if (db_accept(&job, 60000, 0, 2) != NGX_OK) {
            _exit(1);
        }
    }

    db_stop();
}


static void
a_map_that_another_process_made_larger_is_followed(void **state)
{
    int             i;
    uint64_t        used, size;
    ngx_async_id_t  id;

    db_start(4 * MIB);
    id = accept_job("q", "", 3);

    child(grow);

    assert_status(&id, NGX_ASYNC_NOT_STARTED);
    assert_claims("q", &id);

    for (i = 0; i < 400; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
    }

    ngx_async_db_usage(db, &used, &size);
    assert_true(size == 64 * MIB);
    assert_true(used > 20 * MIB);
    db_check();
}


static void
die(void)
{
    ngx_err_t               err;
    static ngx_async_job_t  job;

    db_start(16 * MIB);
    (void) accept_job("q", "", 3);

    if (ngx_async_db_begin(db, &err) == NULL) {
        _exit(1);
    }

    db_job(&job, "q");
    db_op(NGX_ASYNC_OP_ACCEPT, NULL, 2);
    op.job = &job;
    (void) ngx_async_db_write(&db->txn, &op);

    (void) kill(getpid(), SIGKILL);
}


static void
a_writer_that_was_killed_leaves_a_whole_store(void **state)
{
    int  i;

    db_start(16 * MIB);

    for (i = 0; i < 3; i++) {
        child(die);

        (void) accept_job("q", "", 3);
        db_check();
    }

    for (i = 0; i < 6; i++) {
        assert_int_equal(db_claim("q", 1), NGX_OK);
    }

    assert_int_equal(db_claim("q", 1), NGX_DECLINED);
}


static void
read_and_die(void)
{
    ngx_async_db_txn_t  txn;

    db_start(16 * MIB);

    if (ngx_async_db_reader(db, &txn) != NGX_OK) {
        _exit(1);
    }

    (void) kill(getpid(), SIGKILL);
}


static void
readers_that_were_killed_are_removed(void **state)
{
    int             i;
    ngx_async_id_t  id;

    db_start(16 * MIB);
    id = accept_job("q", "", 3);

    child(read_and_die);
    assert_int_equal(ngx_async_db_check_readers(db), 1);
    assert_int_equal(ngx_async_db_check_readers(db), 0);

    /* there are slots for 16 */

    for (i = 0; i < 40; i++) {
        child(read_and_die);
    }

    assert_status(&id, NGX_ASYNC_NOT_STARTED);
}


static void *
reader(void *data)
{
    int              i;
    ngx_async_op_t   o;
    ngx_async_id_t  *id = data;

    for (i = 0; i < 3000; i++) {
        memset(&o, 0, sizeof(o));
        o.type = NGX_ASYNC_OP_GET;
        o.id = *id;
        o.want_position = 1;
        ngx_async_db_read(db, &o);

        if (o.rc != NGX_OK || o.found.created != now) {
            return "failed";
        }

        free(o.buf.data);
    }

    return NULL;
}


static void
threads_read_while_one_writes(void **state)
{
    int             i;
    void           *failed;
    pthread_t       thread[4];
    ngx_async_id_t  id;

    db_start(16 * MIB);
    id = accept_job("q", "", 3);

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&thread[i], NULL, reader, &id), 0);
    }

    for (i = 0; i < 300; i++) {
        (void) accept_job("q", "", 3);

        if (i % 50 == 0) {
            assert_int_equal(ngx_async_db_mend(db, MDB_PANIC), NGX_OK);
        }
    }

    for (i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }

    db_check();
}


int
main(void)
{
#define test(name)                                                            \
    cmocka_unit_test_setup_teardown(name, db_setup, db_teardown)

    const struct CMUnitTest  tests[] = {
        test(files_of_other_parts_are_no_hindrance),
        test(a_directory_of_something_else_is_refused),
        test(no_directory_is_refused),
        test(what_is_no_lmdb_file_is_refused),
        test(another_lmdb_environment_is_refused),
        test(a_format_of_the_future_is_refused),
        test(a_file_that_lost_its_end_is_refused),
        test(a_first_page_that_is_damaged_is_refused),
        test(a_start_that_failed_can_be_repeated),
        test(an_open_store_that_loses_its_file_is_not_made_anew),
        test(a_map_that_another_process_made_larger_is_followed),
        test(a_writer_that_was_killed_leaves_a_whole_store),
        test(readers_that_were_killed_are_removed),
        test(threads_read_while_one_writes)
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
