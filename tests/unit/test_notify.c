
/* sources: src/store/ngx_async_notify.c */

/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/un.h>
#include <cmocka.h>
#include "src/store/ngx_async_notify.h"
#include "src/store/ngx_async_shared.h"


#define MESSAGE  40
#define BUFFER   65536


volatile ngx_msec_t     ngx_current_msec;
volatile ngx_cycle_t   *ngx_cycle;
ngx_uint_t              ngx_exiting;
ngx_queue_t             ngx_posted_events;
ngx_rbtree_t            ngx_event_timer_rbtree;
ngx_event_actions_t     ngx_event_actions;
u_char                  ngx_async_runner[NGX_ASYNC_RUNNER_LEN];
ngx_uint_t              ngx_async_runner_row;

static char               dir[300];
static ngx_str_t          path;
static ngx_cycle_t        cycle_;
static ngx_log_t          log_;
static ngx_connection_t   connection;
static ngx_event_t        events[2];
static ngx_rbtree_node_t *timer;
static ngx_uint_t         watched;      /* bits of rows */
static ngx_uint_t         missed;
static int                cwd;

static ngx_uint_t         received;
static ngx_uint_t         last_type;
static ngx_async_id_t     last_id;
static uint64_t           last_value;


void
ngx_log_error_core(ngx_uint_t level, ngx_log_t *log, ngx_err_t err,
    const char *fmt, ...)
{
}


void *
ngx_alloc(size_t size, ngx_log_t *log)
{
    return malloc(size);
}


int
ngx_nonblocking(ngx_socket_t s)
{
    int  nb = 1;

    return ioctl(s, FIONBIO, &nb);
}


/* for the two formats of the names */

u_char *
ngx_slprintf(u_char *buf, u_char *last, const char *fmt, ...)
{
    int         n, fd;
    va_list     args;
    ngx_str_t  *s;

    va_start(args, fmt);

    if (fmt[0] == '%') {
        s = va_arg(args, ngx_str_t *);
        n = snprintf((char *) buf, last - buf, "%.*s/n.%lu",
                     (int) s->len, s->data, va_arg(args, ngx_uint_t));
    } else {
        fd = va_arg(args, int);
        n = snprintf((char *) buf, last - buf, "/proc/self/fd/%d/n.%lu",
                     fd, va_arg(args, ngx_uint_t));
    }

    va_end(args);

    return buf + n;
}


void
ngx_rbtree_insert(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    assert_null(timer);
    timer = node;
}


void
ngx_rbtree_delete(ngx_rbtree_t *tree, ngx_rbtree_node_t *node)
{
    assert_ptr_equal(timer, node);
    timer = NULL;
}


ngx_connection_t *
ngx_get_connection(ngx_socket_t s, ngx_log_t *log)
{
    ngx_memzero(&connection, sizeof(connection));
    ngx_memzero(events, sizeof(events));

    connection.fd = s;
    connection.read = &events[0];
    connection.write = &events[1];
    events[0].data = &connection;
    events[1].data = &connection;

    return &connection;
}


void
ngx_close_connection(ngx_connection_t *c)
{
    (void) close(c->fd);
    c->fd = -1;
}


static ngx_int_t
add_event(ngx_event_t *ev, ngx_int_t event, ngx_uint_t flags)
{
    assert_int_equal(flags, NGX_LEVEL_EVENT);
    ev->active = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_async_shared_rows(void)
{
    return 5;
}


ngx_uint_t
ngx_async_shared_watched(ngx_uint_t row, const ngx_async_id_t *id)
{
    return (watched >> row) & 1;
}


void
ngx_async_shared_miss(ngx_uint_t row)
{
    missed |= 1 << row;
}


ngx_uint_t
ngx_async_shared_missed(void)
{
    ngx_uint_t  own;

    own = missed & 1;
    missed &= ~1;

    return own;
}


static void
handler(ngx_uint_t type, ngx_async_id_t *id, uint64_t value, uint64_t value2)
{
    received++;
    last_type = type;
    last_id = *id;
    last_value = value;

    if (type != NGX_ASYNC_NOTIFY_MISSED) {
        assert_int_equal(value2, value + 1);
    }
}


static void
turn(void)
{
    ngx_queue_t  *q;
    ngx_event_t  *ev;

    while (!ngx_queue_empty(&ngx_posted_events)) {
        q = ngx_queue_head(&ngx_posted_events);
        ev = ngx_queue_data(q, ngx_event_t, queue);

        ngx_delete_posted_event(ev);
        ev->handler(ev);
    }
}


static void
expire(void)
{
    ngx_event_t  *ev;

    assert_non_null(timer);

    ev = ngx_rbtree_data(timer, ngx_event_t, timer);
    ngx_current_msec = timer->key;
    timer = NULL;
    ev->timer_set = 0;
    ev->handler(ev);
}


/* another worker's socket */

static int
peer(ngx_uint_t row)
{
    int                 s;
    struct sockaddr_un  sun;

    ngx_memzero(&sun, sizeof(sun));
    sun.sun_family = AF_UNIX;
    (void) sprintf(sun.sun_path, "n.%lu", row);

    s = socket(AF_UNIX, SOCK_DGRAM|SOCK_NONBLOCK, 0);
    assert_true(s >= 0);

    /* relative, since the whole name may be too long */

    assert_int_equal(chdir(dir), 0);
    (void) unlink(sun.sun_path);
    assert_int_equal(bind(s, (struct sockaddr *) &sun, sizeof(sun)), 0);
    assert_int_equal(fchdir(cwd), 0);

    return s;
}


static ngx_uint_t
peer_messages(int s)
{
    ssize_t     n;
    ngx_uint_t  total;
    u_char      buf[BUFFER];

    total = 0;

    for ( ;; ) {
        n = recv(s, buf, sizeof(buf), 0);
        if (n == -1) {
            assert_int_equal(errno, EAGAIN);
            return total;
        }

        assert_int_equal(n % MESSAGE, 0);
        total += n / MESSAGE;
    }
}


static int
setup_dir(const char *tail)
{
    (void) strcpy(dir, "/tmp/test_notify.XXXXXX");

    if (mkdtemp(dir) == NULL) {
        return -1;
    }

    if (tail[0]) {
        (void) strcat(dir, tail);

        if (mkdir(dir, 0700) == -1) {
            return -1;
        }
    }

    cwd = open(".", O_RDONLY|O_DIRECTORY);

    path.data = (u_char *) dir;
    path.len = strlen(dir);
    cycle_.log = &log_;
    ngx_cycle = &cycle_;
    ngx_event_actions.add = add_event;
    ngx_exiting = 0;
    received = 0;
    ngx_async_runner_row = 0;
    watched = 0;
    missed = 0;

    ngx_queue_init(&ngx_posted_events);

    return ngx_async_notify_start(&cycle_, &path, handler) == NGX_OK ? 0 : -1;
}


static int
setup(void **state)
{
    return setup_dir("");
}


static int
setup_long(void **state)
{
    char  tail[202];

    ngx_memset(tail, 'x', sizeof(tail));
    tail[0] = '/';
    tail[201] = '\0';

    return setup_dir(tail);
}


static int
teardown(void **state)
{
    char        name[320];
    ngx_uint_t  i;

    ngx_async_notify_stop(&cycle_);

    for (i = 0; i < 6; i++) {
        (void) snprintf(name, sizeof(name), "%s/n.%lu", dir, i);

        /* the own one is gone */

        if (unlink(name) == 0 && i == ngx_async_runner_row) {
            return -1;
        }
    }

    (void) close(cwd);

    if (rmdir(dir) == -1) {
        return -1;
    }

    if (strlen(dir) > 100) {
        *strrchr(dir, '/') = '\0';
        return rmdir(dir);
    }

    return timer != NULL;
}


static void
test_messages_arrive(void **state)
{
    ngx_async_id_t  id;

    ngx_memset(&id, 7, sizeof(id));

    assert_int_equal(ngx_async_notify_send(0, NGX_ASYNC_NOTIFY_PROGRESS, &id,
                                           5, 6), NGX_OK);
    turn();
    events[0].handler(&events[0]);

    assert_int_equal(received, 1);
    assert_int_equal(last_type, NGX_ASYNC_NOTIFY_PROGRESS);
    assert_int_equal(last_value, 5);
    assert_memory_equal(&last_id, &id, sizeof(id));

    events[0].handler(&events[0]);
    assert_int_equal(received, 1);
}


static void
test_a_turn_is_one_datagram(void **state)
{
    int         s, t;
    u_char      buf[BUFFER];
    ngx_uint_t  i;

    s = peer(1);
    t = peer(2);

    for (i = 0; i < 10; i++) {
        assert_int_equal(ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL,
                                               i, 0), NGX_OK);
    }

    /* the same twice is once */

    assert_int_equal(ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL,
                                           9, 0), NGX_OK);
    assert_int_equal(ngx_async_notify_send(2, NGX_ASYNC_NOTIFY_WORK, NULL,
                                           9, 0), NGX_OK);

    assert_int_equal(peer_messages(s), 0);
    turn();

    assert_int_equal(recv(s, buf, sizeof(buf), 0), 10 * MESSAGE);
    assert_int_equal(peer_messages(s), 0);
    assert_int_equal(peer_messages(t), 1);

    (void) close(s);
    (void) close(t);
}


static void
test_nobody_there(void **state)
{
    int             s;
    ngx_uint_t      i;
    ngx_async_id_t  id;

    ngx_memset(&id, 7, sizeof(id));

    for (i = 0; i < 500; i++) {
        (void) ngx_async_notify_send(4, NGX_ASYNC_NOTIFY_WORK, NULL, i, 0);
    }

    turn();

    s = peer(1);
    (void) close(s);

    assert_int_equal(ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, 1,
                                           0), NGX_OK);
    turn();
    assert_null(timer);

    assert_int_equal(ngx_async_notify_send(NGX_ASYNC_RUNNERS,
                                           NGX_ASYNC_NOTIFY_WORK, NULL, 1, 0),
                     NGX_DECLINED);
    assert_int_equal(ngx_async_notify_send((ngx_uint_t) NGX_ERROR,
                                           NGX_ASYNC_NOTIFY_WORK, NULL, 1, 0),
                     NGX_DECLINED);
}


static void
test_a_full_socket_is_tried_again_and_blocks_no_other(void **state)
{
    int         s, t;
    ngx_msec_t  now;
    ngx_uint_t  i, sent;

    s = peer(1);
    t = peer(2);
    sent = 0;

    for (i = 0; i < 100000; i++) {
        if (ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, i, 0)
            != NGX_OK)
        {
            break;
        }

        sent++;
    }

    assert_true(i < 100000);
    assert_non_null(timer);

    /* what has no room is known to be lost before anything else arrives */

    assert_int_equal(missed, 1 << 1);

    (void) ngx_async_notify_send(2, NGX_ASYNC_NOTIFY_WORK, NULL, 1, 0);
    turn();
    assert_int_equal(peer_messages(t), 1);

    expire();
    assert_non_null(timer);
    i = peer_messages(s);
    expire();
    i += peer_messages(s);
    assert_int_equal(i, sent);
    assert_null(timer);

    /* as good as new */

    (void) ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, 1, 0);
    turn();
    assert_int_equal(peer_messages(s), 1);

    /* a worker that is stopped for a long time gets them after that */

    for (sent = 0; sent < 100000; sent++) {
        if (ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, sent, 0)
            != NGX_OK)
        {
            break;
        }
    }

    for (i = 0; i < 30; i++) {
        now = ngx_current_msec;
        expire();
        assert_non_null(timer);
        assert_true(ngx_current_msec - now <= 256);
    }

    i = peer_messages(s);
    expire();
    i += peer_messages(s);
    assert_int_equal(i, sent);
    assert_null(timer);

    (void) close(s);
    (void) close(t);
}


/* messages for a row until there is no room for more */

static ngx_uint_t
fill(ngx_uint_t row)
{
    ngx_uint_t  n;

    for (n = 0; n < 100000; n++) {
        if (ngx_async_notify_send(row, NGX_ASYNC_NOTIFY_WORK, NULL, n, 0)
            != NGX_OK)
        {
            break;
        }
    }

    return n;
}


static void
test_what_waits_is_sent_at_exit(void **state)
{
    int         s;
    ngx_uint_t  n, sent;

    s = peer(1);
    sent = fill(1);
    n = peer_messages(s);
    missed = 0;

    ngx_async_notify_stop(&cycle_);

    assert_true(n < sent);
    assert_int_equal(n + peer_messages(s), sent);
    assert_int_equal(missed, 0);

    (void) close(s);
}


static void
test_an_exit_is_told_past_those_who_do_not_read(void **state)
{
    int  s, t, u;

    s = peer(1);
    t = peer(2);
    u = peer(3);
    fill(2);
    fill(3);

    /* this worker's own socket is full */

    (void) ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, 1, 0);
    turn();
    assert_int_equal(peer_messages(s), 0);
    missed = 0;

    ngx_async_notify_stop(&cycle_);

    assert_int_equal(missed, 1 << 1 | 1 << 2 | 1 << 3);
    assert_int_equal(peer_messages(s), 1);

    (void) close(s);
    (void) close(t);
    (void) close(u);
}


static void
test_watchers_are_told_but_not_the_own_ones(void **state)
{
    int             s[4];
    ngx_uint_t      i;
    ngx_async_id_t  id;

    ngx_memset(&id, 7, sizeof(id));

    for (i = 1; i < 4; i++) {
        s[i] = peer(i);
    }

    watched = 1 << 0 | 1 << 1 | 1 << 3 | 1 << 4;

    ngx_async_notify_watchers(NGX_ASYNC_NOTIFY_CHANGED, &id, 0, 0);
    turn();

    assert_int_equal(peer_messages(s[1]), 1);
    assert_int_equal(peer_messages(s[2]), 0);
    assert_int_equal(peer_messages(s[3]), 1);

    events[0].handler(&events[0]);
    assert_int_equal(received, 0);

    for (i = 1; i < 4; i++) {
        (void) close(s[i]);
    }
}


static void
test_strange_messages_are_passed_over(void **state)
{
    int                 s;
    size_t              n;
    u_char              buf[BUFFER];
    uint64_t            value;
    struct sockaddr_un  sun;

    s = peer(1);

    ngx_memzero(&sun, sizeof(sun));
    sun.sun_family = AF_UNIX;
    (void) strcpy(sun.sun_path, "n.0");

    assert_int_equal(chdir(dir), 0);

    ngx_memset(buf, 0xff, sizeof(buf));

    for (n = 0; n <= 2 * MESSAGE; n += 13) {
        assert_int_equal(sendto(s, buf, n, 0, (struct sockaddr *) &sun,
                                sizeof(sun)), n);
    }

    /* a good one among bad ones, and one that is cut */

    buf[MESSAGE] = 1;
    buf[MESSAGE + 1] = NGX_ASYNC_NOTIFY_CANCEL;
    value = 3;
    ngx_memcpy(buf + MESSAGE + 24, &value, 8);
    value = 4;
    ngx_memcpy(buf + MESSAGE + 32, &value, 8);
    buf[3 * MESSAGE] = 1;

    assert_int_equal(sendto(s, buf, 4 * MESSAGE - 1, 0,
                            (struct sockaddr *) &sun, sizeof(sun)),
                     4 * MESSAGE - 1);
    assert_int_equal(fchdir(cwd), 0);

    for (n = 0; n < 20; n++) {
        events[0].handler(&events[0]);
    }

    assert_int_equal(received, 1);
    assert_int_equal(last_type, NGX_ASYNC_NOTIFY_CANCEL);

    (void) close(s);
}


static void
test_what_a_dead_runner_left_is_replaced(void **state)
{
    int  s;

    ngx_async_notify_stop(&cycle_);

    s = peer(0);
    (void) close(s);

    assert_int_equal(ngx_async_notify_start(&cycle_, &path, handler), NGX_OK);
    test_messages_arrive(state);
}


static void
test_an_exiting_worker_sends_at_once(void **state)
{
    int  s;

    s = peer(1);
    ngx_exiting = 1;

    assert_int_equal(ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, 1,
                                           0), NGX_OK);
    assert_int_equal(peer_messages(s), 1);

    (void) close(s);
}


/* what says so comes with any message; it is told once */

static void
test_a_loss_is_told(void **state)
{
    missed = 1;

    events[0].handler(&events[0]);
    assert_int_equal(received, 1);
    assert_int_equal(last_type, NGX_ASYNC_NOTIFY_MISSED);

    events[0].handler(&events[0]);
    assert_int_equal(received, 1);
}


static void
test_what_is_not_sent_when_a_worker_ends_is_lost(void **state)
{
    int         s;
    ngx_uint_t  i;

    s = peer(1);

    for (i = 0; i < 100000 && timer == NULL; i++) {
        (void) ngx_async_notify_send(1, NGX_ASYNC_NOTIFY_WORK, NULL, i, 0);
        turn();
    }

    assert_non_null(timer);
    assert_int_equal(missed, 0);

    ngx_async_notify_stop(&cycle_);

    assert_int_equal(missed, 1 << 1);
    assert_null(timer);

    assert_int_equal(ngx_async_notify_start(&cycle_, &path, handler), NGX_OK);

    (void) close(s);
}


/* the address of a socket has room for 107 bytes */

static void
test_a_long_path_is_no_obstacle(void **state)
{
    test_a_turn_is_one_datagram(state);
}


#define test(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)


int
main(void)
{
    const struct CMUnitTest  tests[] = {
        test(test_messages_arrive),
        test(test_a_turn_is_one_datagram),
        test(test_nobody_there),
        test(test_a_full_socket_is_tried_again_and_blocks_no_other),
        test(test_what_waits_is_sent_at_exit),
        test(test_an_exit_is_told_past_those_who_do_not_read),
        test(test_watchers_are_told_but_not_the_own_ones),
        test(test_strange_messages_are_passed_over),
        test(test_what_a_dead_runner_left_is_replaced),
        test(test_an_exiting_worker_sends_at_once),
        test(test_a_loss_is_told),
        test(test_what_is_not_sent_when_a_worker_ends_is_lost),
        cmocka_unit_test_setup_teardown(test_a_long_path_is_no_obstacle,
                                        setup_long, teardown),
    };

    return cmocka_run_group_tests_name("notify", tests, NULL, NULL);
}
