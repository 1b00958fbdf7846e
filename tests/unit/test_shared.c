
/* sources: src/store/ngx_async_shared.c src/store/ngx_async_shared_call.c src/store/ngx_async_shared_queue.c src/store/ngx_async_shared_time.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <sys/prctl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include "src/store/ngx_async_shared.h"


#define CHILDREN  8


typedef struct {
    pid_t     pid;
    int       in;               /* the child answers each byte of commands */
    int       out;
    u_char    runner[NGX_ASYNC_RUNNER_LEN];
} child_t;


static char         dir[64];
static ngx_str_t    path;
static ngx_log_t    log_;
static ngx_cycle_t  cycle_;
static ngx_uint_t   logged;
static pid_t        spawned[CHILDREN];      /* 0: nobody */


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
    logged++;
}


static ngx_int_t
start(void)
{
    return ngx_async_shared_start(&cycle_, &path);
}


static void
stop(void)
{
    ngx_async_shared_stop(&cycle_);
}


static ngx_uint_t
reclaim(void)
{
    ngx_uint_t  n;

    n = ngx_async_shared_dead();

    assert_int_equal(ngx_async_shared_reclaim(), n);

    return n;
}


static void
file_name(char *name, size_t len)
{
    (void) snprintf(name, len, "%s/shared.1", dir);
}


static int
setup(void **state)
{
    (void) strcpy(dir, "/tmp/test_shared.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    path.data = (u_char *) dir;
    path.len = strlen(dir);

    log_.log_level = NGX_LOG_DEBUG_ALL;
    cycle_.log = &log_;
    logged = 0;

    return 0;
}


/* a child ends with its test, however that ends */

static pid_t
spawn(void)
{
    pid_t       pid, parent;
    ngx_uint_t  i;

    for (i = 0; i < CHILDREN && spawned[i]; i++) { /* void */ }

    assert_true(i < CHILDREN);

    parent = getpid();
    pid = fork();

    assert_true(pid >= 0);

    if (pid) {
        spawned[i] = pid;

    } else if (prctl(PR_SET_PDEATHSIG, SIGKILL) == -1 || getppid() != parent) {
        _exit(5);
    }

    return pid;
}


static int
reap(pid_t pid)
{
    int         status;
    ngx_uint_t  i;

    assert_int_equal(waitpid(pid, &status, 0), pid);

    for (i = 0; i < CHILDREN; i++) {
        if (spawned[i] == pid) {
            spawned[i] = 0;
        }
    }

    return status;
}


static int
teardown(void **state)
{
    char        name[128];
    ngx_uint_t  i;

    /* of a test that has failed */

    for (i = 0; i < CHILDREN; i++) {
        if (spawned[i]) {
            (void) kill(spawned[i], SIGKILL);
            (void) reap(spawned[i]);
        }
    }

    stop();
    file_name(name, sizeof(name));
    (void) unlink(name);

    return rmdir(dir);
}


/*
 * a worker: "t" takes a slot of its queue, which has 4, "g" gives it, "1" to
 * "9" tell that it has as many since then, "q" ends
 */

static void
child_main(int in, int out)
{
    char            c;
    ngx_int_t       q;
    ngx_str_t       name = ngx_string("q");
    ngx_async_id_t  id;

    if (start() != NGX_OK) {
        _exit(1);
    }

    q = ngx_async_shared_queue(&name);
    ngx_async_shared_set_limit(q, 4, 1);

    if (write(out, ngx_async_runner, NGX_ASYNC_RUNNER_LEN)
        != NGX_ASYNC_RUNNER_LEN)
    {
        _exit(2);
    }

    while (read(in, &c, 1) == 1) {

        if (c >= '1' && c <= '9') {
            ngx_async_shared_set_limit(q, c - '0', c - '0');
        }

        switch (c) {

        case 't':
            c = ngx_async_shared_take(q) == NGX_OK ? '+' : '-';
            break;

        case 'g':
            ngx_async_shared_give(q);
            break;

        case 'r':
            ngx_async_shared_retire();
            break;

        case 'c':
            ngx_memset(&id, 7, sizeof(id));
            ngx_async_shared_received(ngx_async_shared_call(&id, 100), 60);
            break;

        case 'm':
            c = ngx_async_shared_missed() ? '+' : '-';
            break;

        case 'd':
            c = ngx_async_shared_dead() ? '+' : '-';
            break;

        case 'e':
            c = ngx_async_shared_reclaim() ? '+' : '-';
            break;

        case 'q':
            stop();
            _exit(0);
        }

        if (write(out, &c, 1) != 1) {
            _exit(3);
        }
    }

    _exit(4);
}


static void
child_start(child_t *child)
{
    int  in[2], out[2];

    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);

    child->pid = spawn();

    if (child->pid == 0) {

        /* a fork shares the locks of its parent, a worker does not fork */

        child_main(in[0], out[1]);
    }

    (void) close(in[0]);
    (void) close(out[1]);
    child->in = in[1];
    child->out = out[0];

    assert_int_equal(read(child->out, child->runner, NGX_ASYNC_RUNNER_LEN),
                     NGX_ASYNC_RUNNER_LEN);
}


static char
child_ask(child_t *child, char c)
{
    char  answer = 0;

    assert_int_equal(write(child->in, &c, 1), 1);
    assert_int_equal(read(child->out, &answer, 1), 1);

    return answer;
}


static void
child_end(child_t *child, int signal)
{
    char  c = 'q';

    if (signal) {
        assert_int_equal(kill(child->pid, signal), 0);
    } else {
        assert_int_equal(write(child->in, &c, 1), 1);
    }

    (void) reap(child->pid);

    (void) close(child->in);
    (void) close(child->out);
}


static void
test_a_runner_has_a_row_and_an_id(void **state)
{
    u_char  zeros[NGX_ASYNC_RUNNER_LEN], old[NGX_ASYNC_RUNNER_LEN];

    ngx_memzero(zeros, sizeof(zeros));

    assert_int_equal(start(), NGX_OK);
    assert_memory_not_equal(ngx_async_runner, zeros, sizeof(zeros));
    assert_true(ngx_async_shared_alive(ngx_async_runner));
    assert_false(ngx_async_shared_alive(zeros));
    assert_int_equal(ngx_async_shared_row(ngx_async_runner),
                     ngx_async_runner_row);

    ngx_memcpy(old, ngx_async_runner, sizeof(old));
    stop();

    assert_int_equal(start(), NGX_OK);
    assert_memory_not_equal(ngx_async_runner, old, sizeof(old));
    assert_false(ngx_async_shared_alive(old));
    assert_int_equal(logged, 0);
}


static void
test_a_killed_runner_is_dead_and_gives_back(void **state)
{
    child_t    child, next;
    ngx_str_t  name = ngx_string("q");

    child_start(&child);
    assert_int_equal(start(), NGX_OK);

    assert_true(ngx_async_shared_alive(child.runner));
    assert_int_equal(child_ask(&child, 't'), '+');
    assert_int_equal(child_ask(&child, 't'), '+');
    assert_int_equal(ngx_async_shared_queue(&name), 0);
    assert_int_equal(ngx_async_shared_running(0), 2);
    assert_int_equal(reclaim(), 0);

    child_end(&child, SIGKILL);

    assert_false(ngx_async_shared_alive(child.runner));
    assert_int_equal(ngx_async_shared_running(0), 2);

    /* a successor takes a row, maybe the same, but never its life */

    child_start(&next);
    assert_false(ngx_async_shared_alive(child.runner));
    assert_true(ngx_async_shared_alive(next.runner));

    /* nor its slots, before somebody has seen to its jobs */

    assert_int_equal(ngx_async_shared_running(0), 2);
    assert_int_equal(ngx_async_shared_reclaim(), 0);
    assert_int_equal(ngx_async_shared_running(0), 2);

    assert_int_equal(reclaim(), 1);
    assert_int_equal(ngx_async_shared_running(0), 0);
    assert_int_equal(reclaim(), 0);

    child_end(&next, 0);
    assert_false(ngx_async_shared_alive(next.runner));
    assert_int_equal(reclaim(), 0);
}


static void
test_reclaim_counts_the_dead(void **state)
{
    child_t  a, b, c;

    child_start(&a);
    child_start(&b);
    child_start(&c);
    assert_int_equal(start(), NGX_OK);

    assert_int_equal(child_ask(&c, 't'), '+');

    child_end(&a, SIGKILL);
    child_end(&b, 0);               /* clean: nothing to see to */
    child_end(&c, 0);               /* stopped, but with a call running */

    assert_int_equal(reclaim(), 2);
    assert_int_equal(ngx_async_shared_running(0), 0);
}


static void
test_only_what_was_noted_is_given_back(void **state)
{
    child_t    a, b, c, d;
    ngx_str_t  name = ngx_string("q");

    child_start(&a);
    child_start(&b);
    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);

    assert_int_equal(child_ask(&a, 't'), '+');
    assert_int_equal(child_ask(&b, 't'), '+');

    /* one dies when the jobs of the other one are taken back */

    child_end(&a, SIGKILL);
    assert_int_equal(ngx_async_shared_dead(), 1);
    child_end(&b, SIGKILL);

    assert_int_equal(ngx_async_shared_reclaim(), 1);
    assert_int_equal(ngx_async_shared_running(0), 1);
    assert_int_equal(ngx_async_shared_reclaim(), 0);

    /* two see to it, and the row is another one's in between */

    assert_int_equal(ngx_async_shared_dead(), 1);

    child_start(&c);
    assert_int_equal(child_ask(&c, 'd'), '+');
    assert_int_equal(child_ask(&c, 'e'), '+');
    assert_int_equal(ngx_async_shared_running(0), 0);

    child_start(&d);
    assert_int_equal(child_ask(&d, 't'), '+');
    assert_int_equal(child_ask(&c, 't'), '+');

    assert_int_equal(ngx_async_shared_reclaim(), 0);
    assert_int_equal(ngx_async_shared_running(0), 2);

    /* who does is killed before the end */

    child_end(&d, SIGKILL);
    assert_int_equal(child_ask(&c, 'd'), '+');
    child_end(&c, SIGKILL);
    assert_int_equal(ngx_async_shared_running(0), 2);

    assert_int_equal(reclaim(), 2);
    assert_int_equal(ngx_async_shared_running(0), 0);
}


static void
test_limit_holds_over_all_runners(void **state)
{
    child_t     child[2];
    ngx_str_t   name = ngx_string("q");

    child_start(&child[0]);
    child_start(&child[1]);
    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);

    assert_int_equal(child_ask(&child[0], 't'), '+');
    assert_int_equal(child_ask(&child[0], 't'), '+');
    assert_int_equal(child_ask(&child[1], 't'), '+');
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(child_ask(&child[1], 't'), '-');
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);
    ngx_async_shared_set_limit(0, 5, 2);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_running(0), 5);

    ngx_async_shared_give(0);
    ngx_async_shared_give(0);
    ngx_async_shared_give(0);       /* had none any more */
    assert_int_equal(ngx_async_shared_running(0), 3);

    (void) child_ask(&child[0], 'g');
    assert_int_equal(ngx_async_shared_running(0), 2);

    assert_int_equal(ngx_async_shared_take(NGX_ASYNC_QUEUES), NGX_BUSY);
    assert_int_equal(ngx_async_shared_take((ngx_uint_t) NGX_ERROR), NGX_BUSY);

    child_end(&child[0], 0);
    child_end(&child[1], 0);
}


/* this one has an old configuration, and the child newer ones */

static void
test_the_newest_limit_holds_for_all_runners(void **state)
{
    child_t    child;
    ngx_str_t  name = ngx_string("q");

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);
    assert_int_equal(ngx_async_shared_limit(0), 0);
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);

    ngx_async_shared_set_limit(0, 3, 0);            /* a clock that fails */
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);

    /* more, as the new one says, for this one too */

    child_start(&child);
    assert_int_equal(ngx_async_shared_limit(0), 4);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);
    assert_int_equal(child_ask(&child, 't'), '-');

    /* less: nobody takes one until fewer than that are taken */

    (void) child_ask(&child, '2');
    assert_int_equal(ngx_async_shared_limit(0), 2);
    ngx_async_shared_give(0);
    ngx_async_shared_give(0);
    assert_int_equal(ngx_async_shared_running(0), 2);
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);
    assert_int_equal(child_ask(&child, 't'), '-');
    ngx_async_shared_give(0);
    assert_int_equal(child_ask(&child, 't'), '+');
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);

    /* what an older one has is no news, nor what is told once more */

    ngx_async_shared_set_limit(0, 9, 1);
    assert_int_equal(ngx_async_shared_limit(0), 2);
    ngx_async_shared_set_limit(0, 2, 2);
    assert_int_equal(ngx_async_shared_limit(0), 2);
    assert_int_equal(child_ask(&child, 't'), '-');

    /* the newest one stays when those end that have told it */

    (void) child_ask(&child, '5');
    child_end(&child, SIGKILL);
    child_start(&child);
    assert_int_equal(ngx_async_shared_limit(0), 5);
    child_end(&child, 0);

    ngx_async_shared_set_limit(0, (ngx_uint_t) -1, 6);
    assert_int_equal(ngx_async_shared_limit(0), UINT32_MAX);

    ngx_async_shared_set_limit(NGX_ASYNC_QUEUES, 7, 7);
    assert_int_equal(ngx_async_shared_limit(NGX_ASYNC_QUEUES), 0);
    assert_int_equal(ngx_async_shared_limit((ngx_uint_t) NGX_ERROR), 0);
}


/* the clock begins anew with the machine */

static void
test_a_limit_ends_with_the_last_runner(void **state)
{
    ngx_str_t  name = ngx_string("q");

    ngx_async_shared_set_limit(0, 3, 1);
    assert_int_equal(ngx_async_shared_limit(0), 0);

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);
    ngx_async_shared_set_limit(0, 3, 1000);
    stop();

    assert_int_equal(ngx_async_shared_limit(0), 0);

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);
    assert_int_equal(ngx_async_shared_limit(0), 0);
    ngx_async_shared_set_limit(0, 8, 10);
    assert_int_equal(ngx_async_shared_limit(0), 8);
}


static void
test_peer_runs_fewer_and_takes_jobs(void **state)
{
    child_t    child[3];
    ngx_str_t  name = ngx_string("q");

    child_start(&child[0]);
    child_start(&child[1]);
    child_start(&child[2]);
    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&name), 0);

    assert_int_equal(ngx_async_shared_peer(0), NGX_ERROR);

    ngx_async_shared_set_limit(0, 9, 2);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(ngx_async_shared_take(0), NGX_OK);
    assert_int_equal(child_ask(&child[0], 't'), '+');
    assert_int_equal(child_ask(&child[1], 't'), '+');

    assert_int_equal(ngx_async_shared_peer(0),
                     ngx_async_shared_row(child[2].runner));

    (void) child_ask(&child[2], 'r');

    /* one call more is not worth a message */

    assert_int_equal(ngx_async_shared_peer(0), NGX_ERROR);

    assert_int_equal(ngx_async_shared_take(0), NGX_OK);

    (void) child_ask(&child[1], 'r');
    assert_int_equal(ngx_async_shared_peer(0),
                     ngx_async_shared_row(child[0].runner));

    child_end(&child[0], SIGKILL);
    assert_int_equal(ngx_async_shared_peer(0), NGX_ERROR);

    child_end(&child[1], 0);
    child_end(&child[2], 0);
}


/* many starts at once, some of them killed at any point */

static void
test_starts_at_once_get_rows_of_their_own(void **state)
{
    pid_t       pid[CHILDREN];
    int         out[2];
    char        name[128];
    size_t      n;
    ngx_uint_t  i, k, round;
    u_char      row, seen[NGX_ASYNC_RUNNERS];

    file_name(name, sizeof(name));

    for (round = 0; round < 20; round++) {

        (void) unlink(name);
        assert_int_equal(pipe(out), 0);

        for (i = 0; i < CHILDREN; i++) {

            pid[i] = spawn();

            if (pid[i] == 0) {

                if (start() != NGX_OK) {
                    _exit(1);
                }

                row = ngx_async_runner_row;
                _exit(write(out[1], &row, 1) == 1 && pause() ? 0 : 2);
            }
        }

        for (k = 0; k < round % 4; k++) {
            usleep(100 * round);
            assert_int_equal(kill(pid[k], SIGKILL), 0);
        }

        ngx_memzero(seen, sizeof(seen));

        for (n = 0; n < CHILDREN - k; n++) {
            assert_int_equal(read(out[0], &row, 1), 1);

            /* a killed one may have told its row, which is free again then */

            if (k == 0) {
                assert_int_equal(seen[row]++, 0);
            }
        }

        for (i = 0; i < CHILDREN; i++) {
            (void) kill(pid[i], SIGKILL);
            assert_true(WIFSIGNALED(reap(pid[i])));
        }

        (void) close(out[0]);
        (void) close(out[1]);
    }

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_runner_row, 0);
}


/* kills hit the middle of what is done under the mutex sooner or later */

static void
test_kills_leave_the_counts_right(void **state)
{
    pid_t       pid;
    ngx_uint_t  i, n;
    ngx_str_t   name = ngx_string("q");

    for (i = 0; i < 100; i++) {

        pid = spawn();

        if (pid == 0) {
            if (start() != NGX_OK) {
                _exit(1);
            }

            (void) ngx_async_shared_queue(&name);

            for ( ;; ) {
                ngx_async_shared_set_limit(0, 1000000, 1);
                (void) ngx_async_shared_take(0);
                (void) ngx_async_shared_take(0);
                ngx_async_shared_give(0);
                (void) ngx_async_shared_set_ready(&name, 1, 4, 0, 1);
            }
        }

        if (i == 0) {
            while (start() != NGX_OK) { /* void */ }
            assert_int_equal(ngx_async_shared_queue(&name), 0);
        }

        for (n = 0; n < 1000 && ngx_async_shared_running(0) == 0; n++) {
            usleep(1000);
        }

        usleep(i * 10);

        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_true(WIFSIGNALED(reap(pid)));

        assert_int_equal(ngx_async_shared_limit(0), 1000000);
        assert_int_equal(ngx_async_shared_take(0), NGX_OK);
        assert_int_equal(reclaim(), 1);
        assert_int_equal(ngx_async_shared_running(0), 1);
        ngx_async_shared_give(0);
        assert_int_equal(ngx_async_shared_running(0), 0);
    }
}


static void
test_what_a_file_holds_does_not_matter_when_nobody_uses_it(void **state)
{
    int     fd;
    char    name[128], junk[4096];
    size_t  i;

    file_name(name, sizeof(name));

    fd = open(name, O_RDWR|O_CREAT, 0600);
    assert_true(fd >= 0);

    ngx_memset(junk, 0xff, sizeof(junk));

    for (i = 0; i < 512; i++) {
        assert_int_equal(write(fd, junk, sizeof(junk)), sizeof(junk));
    }

    (void) close(fd);

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_runner_row, 0);
    assert_int_equal(ngx_async_shared_running(7), 0);
    assert_int_equal(reclaim(), 0);
    stop();

    assert_int_equal(truncate(name, 10), 0);
    assert_int_equal(start(), NGX_OK);
    assert_int_equal(logged, 0);
}


static void
test_a_file_of_another_build_in_use_is_refused(void **state)
{
    int      fd;
    char     name[128];
    child_t  child;

    child_start(&child);
    file_name(name, sizeof(name));

    fd = open(name, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "x", 1, 8), 1);
    (void) close(fd);

    assert_int_equal(start(), NGX_ERROR);
    assert_int_equal(logged, 1);

    /* to say "dead" would repeat what live runners do */

    assert_true(ngx_async_shared_alive(child.runner));
    assert_int_equal(ngx_async_shared_take(0), NGX_BUSY);
    assert_int_equal(ngx_async_shared_running(0), 0);

    child_end(&child, SIGKILL);
    assert_int_equal(start(), NGX_OK);
}


static void
test_queues_have_numbers(void **state)
{
    u_char      text[300];
    ngx_int_t   n;
    ngx_str_t   a = ngx_string("a"), b = ngx_string("b"), s;
    ngx_uint_t  i;

    assert_int_equal(start(), NGX_OK);

    assert_int_equal(ngx_async_shared_queue(&a), 0);
    assert_int_equal(ngx_async_shared_queue(&b), 1);
    assert_int_equal(ngx_async_shared_queue(&a), 0);

    ngx_memset(text, 'x', sizeof(text));
    s.data = text;
    s.len = sizeof(text);

    n = ngx_async_shared_queue(&s);
    assert_int_equal(n, 2);
    assert_int_equal(ngx_async_shared_queue(&s), 2);

    text[299] = 'y';
    assert_int_equal(ngx_async_shared_queue(&s), 3);

    s.len = 4;

    for (i = 4; i < NGX_ASYNC_QUEUES + 8; i++) {
        (void) sprintf((char *) text, "%04u", (unsigned) i);
        n = ngx_async_shared_queue(&s);

        if (i < NGX_ASYNC_QUEUES) {
            assert_int_equal(n, i);
        } else {
            assert_int_equal(n, NGX_ERROR);
        }
    }
}


static void
test_ready_follows_the_newest_transaction(void **state)
{
    ngx_str_t  a = ngx_string("a");

    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&a), 0);

    assert_int_equal(ngx_async_shared_ready(0), 0);
    assert_false(ngx_async_shared_set_ready(&a, 5, 8, 0, 10));
    assert_int_equal(ngx_async_shared_ready(0), 5);
    assert_int_equal(ngx_async_shared_waiting(0), 8);
    assert_false(ngx_async_shared_set_ready(&a, 7, 10, 1, 9));
    assert_int_equal(ngx_async_shared_ready(0), 5);
    assert_int_equal(ngx_async_shared_waiting(0), 8);
    assert_false(ngx_async_shared_paused(0));

    assert_true(ngx_async_shared_set_ready(&a, 6, 9, 1, 10));
    assert_false(ngx_async_shared_set_ready(&a, 6, 9, 1, 10));
    assert_int_equal(ngx_async_shared_ready(0), 6);
    assert_true(ngx_async_shared_paused(0));

    assert_true(ngx_async_shared_set_ready(&a, 0, 3, 0, 11));
    assert_int_equal(ngx_async_shared_ready(0), 0);
    assert_false(ngx_async_shared_paused(0));
}


static ngx_int_t
queue(const char *format, ngx_uint_t n)
{
    char       text[32];
    ngx_str_t  name;

    name.data = (u_char *) text;
    name.len = snprintf(text, sizeof(text), format, (unsigned) n);

    return ngx_async_shared_queue(&name);
}


/*
 * A number goes from one name to another only when nobody who has the old one
 * takes jobs or runs one.
 */

static void
test_numbers_of_queues_are_used_again(void **state)
{
    child_t     retired, busy, dead, idle;
    ngx_str_t   q = ngx_string("q"), x = ngx_string("x0");
    ngx_uint_t  i;

    child_start(&retired);                          /* each has "q", number 0 */
    child_start(&busy);

    assert_int_equal(start(), NGX_OK);

    for (i = 1; i < NGX_ASYNC_QUEUES; i++) {
        assert_int_equal(queue("old%u", i), i);
    }

    assert_int_equal(queue("x%u", 0), NGX_ERROR);
    assert_int_equal(queue("old%u", 7), 7);

    /* what this one had is free when it ends, what the others have is not */

    stop();
    assert_int_equal(start(), NGX_OK);

    assert_int_equal(queue("x%u", 0), 1);
    assert_int_equal(queue("old%u", 2), 2);

    ngx_async_shared_count(1, NGX_ASYNC_COUNT_FAILED);
    ngx_async_shared_set_limit(1, 6, 20);
    assert_true(ngx_async_shared_set_ready(&x, 5, 8, 1, 10));

    for (i = 3; i < NGX_ASYNC_QUEUES; i++) {
        assert_int_equal(queue("x%u", i), i);
    }

    assert_int_equal(queue("y%u", 0), NGX_ERROR);

    /* they retire, one of them with a call */

    assert_int_equal(child_ask(&busy, 't'), '+');
    (void) child_ask(&busy, 'r');
    assert_int_equal(child_ask(&busy, 't'), '-');
    assert_int_equal(queue("y%u", 0), NGX_ERROR);
    (void) child_ask(&retired, 'r');
    assert_int_equal(queue("y%u", 0), NGX_ERROR);

    /* whose end it is told */

    (void) child_ask(&busy, 'g');
    assert_int_equal(queue("y%u", 0), 0);
    assert_false(ngx_async_shared_set_ready(&q, 5, 8, 1, 10));
    assert_int_equal(ngx_async_shared_ready(0), 0);
    child_end(&busy, 0);

    /* a new name begins anew */

    stop();
    assert_int_equal(start(), NGX_OK);

    assert_int_equal(ngx_async_shared_queue(&x), 1);
    assert_int_equal(ngx_async_shared_ready(1), 5);
    assert_int_equal(ngx_async_shared_limit(1), 6);
    assert_true(ngx_async_shared_paused(1));

    assert_int_equal(queue("z%u", 0), 0);
    assert_int_equal(queue("z%u", 1), 2);

    stop();
    assert_int_equal(start(), NGX_OK);

    assert_int_equal(queue("w%u", 0), 0);
    assert_int_equal(queue("w%u", 1), 1);
    assert_int_equal(ngx_async_shared_ready(1), 0);
    assert_false(ngx_async_shared_paused(1));
    assert_int_equal(ngx_async_shared_counted(1, NGX_ASYNC_COUNT_FAILED), 0);
    assert_int_equal(ngx_async_shared_limit(1), 0);
    ngx_async_shared_set_limit(1, 7, 10);
    assert_int_equal(ngx_async_shared_limit(1), 7);

    /* a dead one is as good as one that lives until it is seen */

    stop();
    child_start(&dead);
    child_start(&idle);
    assert_int_equal(start(), NGX_OK);
    child_end(&dead, SIGKILL);
    (void) child_ask(&idle, 'r');

    for (i = 1; i < NGX_ASYNC_QUEUES; i++) {
        assert_int_not_equal(queue("v%u", i), NGX_ERROR);
    }

    assert_int_equal(queue("v%u", 0), NGX_ERROR);
    assert_int_equal(reclaim(), 1);
    assert_int_not_equal(queue("v%u", 0), NGX_ERROR);

    child_end(&idle, 0);
    child_end(&retired, 0);
}


/* names come from configurations, not from the store */

static void
test_a_queue_that_nobody_has_gets_no_number(void **state)
{
    ngx_str_t  a = ngx_string("a"), gone = ngx_string("gone");

    assert_int_equal(start(), NGX_OK);

    assert_false(ngx_async_shared_set_ready(&gone, 5, 8, 1, 10));
    assert_int_equal(ngx_async_shared_queue(&a), 0);
    assert_int_equal(ngx_async_shared_ready(0), 0);

    assert_int_equal(ngx_async_shared_queue(&gone), 1);
    assert_int_equal(ngx_async_shared_ready(1), 0);
}


static void
test_watches_are_counted(void **state)
{
    ngx_int_t       i;
    ngx_uint_t      row;
    ngx_async_id_t  id, other;

    assert_int_equal(start(), NGX_OK);
    row = ngx_async_runner_row;

    ngx_memset(&id, 1, sizeof(id));
    ngx_memset(&other, 2, sizeof(other));

    assert_false(ngx_async_shared_watched(row, &id));
    ngx_async_shared_watch(&id, 1);
    ngx_async_shared_watch(&id, 1);
    assert_true(ngx_async_shared_watched(row, &id));
    assert_false(ngx_async_shared_watched(row, &other));
    assert_false(ngx_async_shared_watched(row + 1, &id));
    ngx_async_shared_watch(&id, -1);
    assert_true(ngx_async_shared_watched(row, &id));
    ngx_async_shared_watch(&id, -1);
    ngx_async_shared_watch(&id, -1);
    assert_false(ngx_async_shared_watched(row, &id));

    /* a counter at its end tells too much, never less */

    for (i = 0; i < 70000; i++) {
        ngx_async_shared_watch(&id, 1);
    }

    for (i = 0; i < 69999; i++) {
        ngx_async_shared_watch(&id, -1);
    }

    assert_true(ngx_async_shared_watched(row, &id));
}


static void
test_responses_are_seen_by_others(void **state)
{
    child_t         child;
    uint64_t        received, total;
    ngx_uint_t      i, n, call;
    ngx_async_id_t  id, other;

    child_start(&child);
    assert_int_equal(start(), NGX_OK);

    ngx_memset(&id, 7, sizeof(id));
    ngx_memset(&other, 8, sizeof(other));

    assert_int_equal(ngx_async_shared_progress(&id, child.runner, &received,
                                               &total), NGX_DECLINED);

    (void) child_ask(&child, 'c');

    assert_int_equal(ngx_async_shared_progress(&id, child.runner, &received,
                                               &total), NGX_OK);
    assert_int_equal(received, 60);
    assert_int_equal(total, 100);

    /* of another job, and at another runner */

    assert_int_equal(ngx_async_shared_progress(&other, child.runner,
                                               &received, &total),
                     NGX_DECLINED);
    assert_int_equal(ngx_async_shared_progress(&id, ngx_async_runner,
                                               &received, &total),
                     NGX_DECLINED);

    call = ngx_async_shared_call(&id, 0);
    ngx_async_shared_received(call, 5);
    assert_int_equal(ngx_async_shared_progress(&id, ngx_async_runner,
                                               &received, &total), NGX_OK);
    assert_int_equal(received, 5);
    assert_int_equal(total, 0);

    ngx_async_shared_call_done(call);
    assert_int_equal(ngx_async_shared_progress(&id, ngx_async_runner,
                                               &received, &total),
                     NGX_DECLINED);

    /* the place is full; what a dead runner had there is free again */

    for (n = 0; ngx_async_shared_call(&id, 0); n++) {
        assert_true(n < 100);
    }

    ngx_async_shared_received(0, 1);
    ngx_async_shared_call_done(0);

    child_end(&child, SIGKILL);
    assert_int_equal(reclaim(), 1);
    assert_int_not_equal(ngx_async_shared_call(&id, 0), 0);
    assert_int_equal(ngx_async_shared_call(&id, 0), 0);

    /* and what one that stopped had */

    stop();
    assert_int_equal(start(), NGX_OK);

    for (i = 0; i < n + 1; i++) {
        assert_int_not_equal(ngx_async_shared_call(&id, 0), 0);
    }
}


static void
test_a_loss_is_seen_once_by_whom_it_befell(void **state)
{
    child_t  child;

    child_start(&child);
    assert_int_equal(start(), NGX_OK);

    assert_int_equal(child_ask(&child, 'm'), '-');

    ngx_async_shared_miss(ngx_async_shared_row(child.runner));

    assert_false(ngx_async_shared_missed());
    assert_int_equal(child_ask(&child, 'm'), '+');
    assert_int_equal(child_ask(&child, 'm'), '-');

    ngx_async_shared_miss(NGX_ASYNC_RUNNERS);

    child_end(&child, 0);
}


static void
test_durations_are_estimated(void **state)
{
    ngx_str_t   key = ngx_string("server\0/location/");
    uint64_t    expect;
    ngx_uint_t  i;

    assert_int_equal(start(), NGX_OK);

    assert_int_equal(ngx_async_shared_expect(&key), 0);

    ngx_async_shared_sample(&key, 4000);
    assert_int_equal(ngx_async_shared_expect(&key), 4000);

    ngx_async_shared_sample(&key, 6000);
    expect = ngx_async_shared_expect(&key);
    assert_in_range(expect, 4500, 5500);

    for (i = 0; i < 100; i++) {
        ngx_async_shared_sample(&key, 1900 + (i * 37) % 200);
    }

    assert_in_range(ngx_async_shared_expect(&key), 1850, 2150);

    /* one that lasts an hour changes little */

    ngx_async_shared_sample(&key, 3600000);
    assert_in_range(ngx_async_shared_expect(&key), 1850, 2500);

    /* a lasting change is followed */

    for (i = 0; i < 60; i++) {
        ngx_async_shared_sample(&key, 60000);
    }

    assert_in_range(ngx_async_shared_expect(&key), 45000, 75000);

    /* they outlive the runners; "nothing" is still a sample */

    stop();
    assert_int_equal(start(), NGX_OK);
    assert_in_range(ngx_async_shared_expect(&key), 45000, 75000);

    for (i = 0; i < 200; i++) {
        ngx_async_shared_sample(&key, 0);
    }

    assert_in_range(ngx_async_shared_expect(&key), 1, 20);
}


static void
test_the_oldest_durations_make_room(void **state)
{
    char        text[16];
    ngx_str_t   key;
    ngx_uint_t  i, found;

    assert_int_equal(start(), NGX_OK);

    key.data = (u_char *) text;
    found = 0;

    for (i = 0; i < 5000; i++) {
        key.len = sprintf(text, "/%u", (unsigned) i);
        ngx_async_shared_sample(&key, 1000 + i);
        assert_int_equal(ngx_async_shared_expect(&key), 1000 + i);
    }

    for (i = 4900; i < 5000; i++) {
        key.len = sprintf(text, "/%u", (unsigned) i);
        found += ngx_async_shared_expect(&key) == 1000 + i;
    }

    assert_true(found > 60);
}


static void
test_events_are_counted(void **state)
{
    child_t    child;
    ngx_str_t  a = ngx_string("a");

    child_start(&child);
    assert_int_equal(start(), NGX_OK);
    assert_int_equal(ngx_async_shared_queue(&a), 1);

    ngx_async_shared_count(1, NGX_ASYNC_COUNT_FAILED);
    ngx_async_shared_count(1, NGX_ASYNC_COUNT_FAILED);
    ngx_async_shared_count(1, NGX_ASYNC_COUNT_N);
    ngx_async_shared_count((ngx_uint_t) NGX_ERROR, NGX_ASYNC_COUNT_FAILED);

    assert_int_equal(ngx_async_shared_counted(1, NGX_ASYNC_COUNT_FAILED), 2);
    assert_int_equal(ngx_async_shared_counted(1, NGX_ASYNC_COUNT_HELD), 0);
    assert_int_equal(ngx_async_shared_counted(0, NGX_ASYNC_COUNT_FAILED), 0);

    child_end(&child, 0);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_a_runner_has_a_row_and_an_id),
        test(test_a_killed_runner_is_dead_and_gives_back),
        test(test_reclaim_counts_the_dead),
        test(test_only_what_was_noted_is_given_back),
        test(test_limit_holds_over_all_runners),
        test(test_the_newest_limit_holds_for_all_runners),
        test(test_a_limit_ends_with_the_last_runner),
        test(test_peer_runs_fewer_and_takes_jobs),
        test(test_starts_at_once_get_rows_of_their_own),
        test(test_kills_leave_the_counts_right),
        test(test_what_a_file_holds_does_not_matter_when_nobody_uses_it),
        test(test_a_file_of_another_build_in_use_is_refused),
        test(test_queues_have_numbers),
        test(test_numbers_of_queues_are_used_again),
        test(test_ready_follows_the_newest_transaction),
        test(test_a_queue_that_nobody_has_gets_no_number),
        test(test_watches_are_counted),
        test(test_responses_are_seen_by_others),
        test(test_a_loss_is_seen_once_by_whom_it_befell),
        test(test_durations_are_estimated),
        test(test_the_oldest_durations_make_room),
        test(test_events_are_counted),
    };

    return cmocka_run_group_tests_name("shared", tests, NULL, NULL);
}
