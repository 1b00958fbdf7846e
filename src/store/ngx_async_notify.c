
/*
 * Copyright (C) The ngx_async authors
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <sys/un.h>
#include "src/store/ngx_async_notify.h"
#include "src/store/ngx_async_shared.h"


/*
 * A message is 40 bytes: version, type, 6 zeros, id, value, value2, in the
 * machine's byte order.  The messages for one worker that come up in one turn
 * of the event loop go out as one datagram: a socket takes only a few
 * datagrams (net.unix.max_dgram_qlen is 10), however small.
 */

#define NGX_ASYNC_NOTIFY_VERSION   1
#define NGX_ASYNC_NOTIFY_LEN       40
#define NGX_ASYNC_NOTIFY_MESSAGES  200
#define NGX_ASYNC_NOTIFY_SIZE                                                 \
    (NGX_ASYNC_NOTIFY_LEN * NGX_ASYNC_NOTIFY_MESSAGES)

/* datagrams that are read, one event */
#define NGX_ASYNC_NOTIFY_READS     16

/* a full socket is tried again after 1, 2, 4, ... 256 milliseconds */
#define NGX_ASYNC_NOTIFY_BACKOFF   8


typedef struct {
    u_char                 *buf;
    size_t                  len;
    ngx_uint_t              blocked;    /* times its socket was full, or 0 */
    ngx_queue_t             queue;      /* while len > 0 */
} ngx_async_notify_peer_t;


static ngx_int_t ngx_async_notify_open(ngx_cycle_t *cycle, ngx_str_t *path);
static void ngx_async_notify_address(ngx_uint_t row, struct sockaddr_un *sun);
static ngx_int_t ngx_async_notify_listen(ngx_cycle_t *cycle);
static void ngx_async_notify_read(ngx_event_t *rev);
static void ngx_async_notify_deliver(u_char *p, size_t len);
static void ngx_async_notify_stray(ngx_event_t *ev);
static ngx_async_notify_peer_t *ngx_async_notify_room(ngx_uint_t row);
static void ngx_async_notify_flush(ngx_event_t *ev);
static void ngx_async_notify_retry(ngx_event_t *ev);
static void ngx_async_notify_transmit(ngx_async_notify_peer_t *peer);
static void ngx_async_notify_leave(void);


static ngx_async_notify_pt      ngx_async_notify_handler;
static ngx_connection_t        *ngx_async_notify_connection;
static ngx_socket_t             ngx_async_notify_fd = (ngx_socket_t) -1;
static int                      ngx_async_notify_dir = -1;
static ngx_str_t                ngx_async_notify_path;
static struct sockaddr_un       ngx_async_notify_sun;

static ngx_async_notify_peer_t  ngx_async_notify_peers[NGX_ASYNC_RUNNERS];
static ngx_queue_t              ngx_async_notify_ready;
static ngx_queue_t              ngx_async_notify_blocked;
static ngx_event_t              ngx_async_notify_posted;
static ngx_event_t              ngx_async_notify_timer;
static ngx_connection_t         ngx_async_notify_dumb;


/* after ngx_async_shared_start(): the socket belongs to the row */

ngx_int_t
ngx_async_notify_start(ngx_cycle_t *cycle, ngx_str_t *path,
    ngx_async_notify_pt handler)
{
    ngx_async_notify_handler = handler;

    ngx_queue_init(&ngx_async_notify_ready);
    ngx_queue_init(&ngx_async_notify_blocked);

    ngx_async_notify_dumb.fd = (ngx_socket_t) -1;

    ngx_async_notify_posted.handler = ngx_async_notify_flush;
    ngx_async_notify_posted.log = cycle->log;
    ngx_async_notify_posted.data = &ngx_async_notify_dumb;

    ngx_async_notify_timer.handler = ngx_async_notify_retry;
    ngx_async_notify_timer.log = cycle->log;
    ngx_async_notify_timer.data = &ngx_async_notify_dumb;
    ngx_async_notify_timer.cancelable = 1;

    if (ngx_async_notify_open(cycle, path) != NGX_OK
        || ngx_async_notify_listen(cycle) != NGX_OK)
    {
        ngx_async_notify_stop(cycle);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* in exit_process, before ngx_async_shared_stop() gives up the row */

void
ngx_async_notify_stop(ngx_cycle_t *cycle)
{
    ngx_uint_t  i;

    ngx_async_notify_leave();

    if (ngx_async_notify_sun.sun_path[0] != '\0') {
        (void) unlink(ngx_async_notify_sun.sun_path);
        ngx_async_notify_sun.sun_path[0] = '\0';
    }

    if (ngx_async_notify_connection) {
        ngx_close_connection(ngx_async_notify_connection);
        ngx_async_notify_connection = NULL;

    } else if (ngx_async_notify_fd != (ngx_socket_t) -1) {
        (void) ngx_close_socket(ngx_async_notify_fd);
    }

    ngx_async_notify_fd = (ngx_socket_t) -1;

    if (ngx_async_notify_dir != -1) {
        (void) close(ngx_async_notify_dir);
        ngx_async_notify_dir = -1;
    }

    if (ngx_async_notify_posted.posted) {
        ngx_delete_posted_event(&ngx_async_notify_posted);
    }

    if (ngx_async_notify_timer.timer_set) {
        ngx_del_timer(&ngx_async_notify_timer);
    }

    for (i = 0; i < NGX_ASYNC_RUNNERS; i++) {
        if (ngx_async_notify_peers[i].buf) {
            ngx_free(ngx_async_notify_peers[i].buf);
            ngx_memzero(&ngx_async_notify_peers[i],
                        sizeof(ngx_async_notify_peer_t));
        }
    }
}


static ngx_int_t
ngx_async_notify_open(ngx_cycle_t *cycle, ngx_str_t *path)
{
    int                  dir;
    ngx_log_t           *log;
    struct sockaddr_un   sun;

    log = cycle->log;

    ngx_async_notify_path = *path;

    dir = open((char *) path->data, O_PATH|O_DIRECTORY|O_CLOEXEC);

    if (dir == -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "open(\"%V\") failed", path);
        return NGX_ERROR;
    }

    ngx_async_notify_dir = dir;

    ngx_async_notify_fd = ngx_socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);

    if (ngx_async_notify_fd == (ngx_socket_t) -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      ngx_socket_n " failed");
        return NGX_ERROR;
    }

    if (ngx_nonblocking(ngx_async_notify_fd) == -1) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      ngx_nonblocking_n " failed");
        return NGX_ERROR;
    }

    ngx_async_notify_address(ngx_async_runner_row, &sun);

    /* what is there was left by a runner that died: the row is locked by us */

    if (unlink(sun.sun_path) == -1 && ngx_errno != NGX_ENOENT) {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_errno,
                      "unlink(\"%s\") failed", sun.sun_path);
        return NGX_ERROR;
    }

    if (bind(ngx_async_notify_fd, (struct sockaddr *) &sun, sizeof(sun))
        == -1)
    {
        ngx_log_error(NGX_LOG_CRIT, log, ngx_socket_errno,
                      "bind(\"%s\") failed", sun.sun_path);
        return NGX_ERROR;
    }

    ngx_async_notify_sun = sun;

    return NGX_OK;
}


/* the name of a socket is 107 bytes long at most: /proc has shorter ones */

static void
ngx_async_notify_address(ngx_uint_t row, struct sockaddr_un *sun)
{
    u_char  *p, *last;

    ngx_memzero(sun, sizeof(struct sockaddr_un));

    sun->sun_family = AF_UNIX;

    p = (u_char *) sun->sun_path;
    last = p + sizeof(sun->sun_path) - 1;

    if (ngx_async_notify_path.len + sizeof("/n.1023") > sizeof(sun->sun_path)) {
        p = ngx_slprintf(p, last, "/proc/self/fd/%d/n.%ui",
                         ngx_async_notify_dir, row);
    } else {
        p = ngx_slprintf(p, last, "%V/n.%ui", &ngx_async_notify_path, row);
    }

    *p = '\0';
}


static ngx_int_t
ngx_async_notify_listen(ngx_cycle_t *cycle)
{
    ngx_connection_t  *c;

    c = ngx_get_connection(ngx_async_notify_fd, cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    ngx_async_notify_connection = c;

    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;

    c->read->handler = ngx_async_notify_read;
    c->write->handler = ngx_async_notify_stray;

    /*
     * As the channel from the master it must outlive the closing of all other
     * connections: running calls can be canceled until the worker exits.
     */

    c->read->channel = 1;

    return ngx_add_event(c->read, NGX_READ_EVENT, NGX_LEVEL_EVENT);
}


/*
 * The event is level-triggered: what is left after a bounded number of
 * datagrams comes with the next turn.
 */

static void
ngx_async_notify_read(ngx_event_t *rev)
{
    ssize_t            n;
    ngx_err_t          err;
    ngx_uint_t         i;
    ngx_async_id_t     id;
    ngx_connection_t  *c;
    u_char             buf[NGX_ASYNC_NOTIFY_SIZE];

    c = rev->data;

    for (i = 0; i < NGX_ASYNC_NOTIFY_READS; i++) {

        n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);

        if (n == -1) {
            err = ngx_socket_errno;

            if (err == NGX_EINTR) {
                continue;
            }

            if (err != NGX_EAGAIN) {
                ngx_log_error(NGX_LOG_ERR, rev->log, err,
                              "recv() from another worker failed");
            }

            break;
        }

        ngx_async_notify_deliver(buf, n);
    }

    /*
     * Whoever lost a message has said so before it sent another one: what it
     * has said is seen with that one at the latest.
     */

    if (ngx_async_shared_missed()) {
        ngx_memzero(&id, sizeof(ngx_async_id_t));
        ngx_async_notify_handler(NGX_ASYNC_NOTIFY_MISSED, &id, 0, 0);
    }
}


/* what another version of the module may send is passed over */

static void
ngx_async_notify_deliver(u_char *p, size_t len)
{
    u_char          *last;
    uint64_t         value, value2;
    ngx_async_id_t   id;

    last = p + len;

    for ( /* void */ ;
         last - p >= NGX_ASYNC_NOTIFY_LEN;
         p += NGX_ASYNC_NOTIFY_LEN)
    {
        if (p[0] != NGX_ASYNC_NOTIFY_VERSION) {
            continue;
        }

        ngx_memcpy(id.bytes, p + 8, NGX_ASYNC_ID_LEN);
        ngx_memcpy(&value, p + 24, sizeof(uint64_t));
        ngx_memcpy(&value2, p + 32, sizeof(uint64_t));

        ngx_async_notify_handler(p[1], &id, value, value2);
    }
}


static void
ngx_async_notify_stray(ngx_event_t *ev)
{
    ngx_log_debug0(NGX_LOG_DEBUG_EVENT, ev->log, 0,
                   "async notify: stray write event");
}


ngx_int_t
ngx_async_notify_send(ngx_uint_t row, ngx_uint_t type, ngx_async_id_t *id,
    uint64_t value, uint64_t value2)
{
    u_char                   *p;
    ngx_async_notify_peer_t  *peer;

    peer = ngx_async_notify_room(row);

    if (peer == NULL) {
        return NGX_DECLINED;
    }

    p = peer->buf + peer->len;

    ngx_memzero(p, NGX_ASYNC_NOTIFY_LEN);

    p[0] = NGX_ASYNC_NOTIFY_VERSION;
    p[1] = (u_char) type;

    if (id) {
        ngx_memcpy(p + 8, id->bytes, NGX_ASYNC_ID_LEN);
    }

    ngx_memcpy(p + 24, &value, sizeof(uint64_t));
    ngx_memcpy(p + 32, &value2, sizeof(uint64_t));

    if (peer->len == 0) {
        ngx_queue_insert_tail(&ngx_async_notify_ready, &peer->queue);

    } else if (ngx_memcmp(p - NGX_ASYNC_NOTIFY_LEN, p, NGX_ASYNC_NOTIFY_LEN)
               == 0)
    {
        /* the same as the last one, which has not left yet */
        return NGX_OK;
    }

    peer->len += NGX_ASYNC_NOTIFY_LEN;

    if (ngx_exiting) {

        /* connections are closed after the posted events of a turn */

        ngx_async_notify_flush(&ngx_async_notify_posted);

    } else {
        ngx_post_event(&ngx_async_notify_posted, &ngx_posted_events);
    }

    return NGX_OK;
}


static ngx_async_notify_peer_t *
ngx_async_notify_room(ngx_uint_t row)
{
    ngx_async_notify_peer_t  *peer;

    if (ngx_async_notify_fd == (ngx_socket_t) -1 || row >= NGX_ASYNC_RUNNERS) {
        return NULL;
    }

    peer = &ngx_async_notify_peers[row];

    if (peer->buf == NULL) {
        peer->buf = ngx_alloc(NGX_ASYNC_NOTIFY_SIZE, ngx_cycle->log);
        if (peer->buf == NULL) {
            ngx_async_shared_miss(row);
            return NULL;
        }
    }

    if (peer->len == NGX_ASYNC_NOTIFY_SIZE && !peer->blocked) {
        ngx_async_notify_transmit(peer);
    }

    if (peer->len == NGX_ASYNC_NOTIFY_SIZE) {

        /* what waits is sent after this */

        ngx_async_shared_miss(row);
        return NULL;
    }

    return peer;
}


void
ngx_async_notify_watchers(ngx_uint_t type, ngx_async_id_t *id, uint64_t value,
    uint64_t value2)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_async_shared_rows(); i++) {

        if (i != ngx_async_runner_row && ngx_async_shared_watched(i, id)) {
            (void) ngx_async_notify_send(i, type, id, value, value2);
        }
    }
}


/* what is for a socket that was full waits for the timer */

static void
ngx_async_notify_flush(ngx_event_t *ev)
{
    ngx_queue_t              *q;
    ngx_async_notify_peer_t  *peer;

    while (!ngx_queue_empty(&ngx_async_notify_ready)) {

        q = ngx_queue_head(&ngx_async_notify_ready);
        peer = ngx_queue_data(q, ngx_async_notify_peer_t, queue);

        ngx_async_notify_transmit(peer);
    }
}


static void
ngx_async_notify_retry(ngx_event_t *ev)
{
    ngx_queue_t  *q;

    /* all of them become ready; those that are still full come back */

    while (!ngx_queue_empty(&ngx_async_notify_blocked)) {

        q = ngx_queue_head(&ngx_async_notify_blocked);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_async_notify_ready, q);
    }

    ngx_async_notify_flush(ev);
}


/* takes the peer out of its queue; it is empty or blocked afterwards */

static void
ngx_async_notify_transmit(ngx_async_notify_peer_t *peer)
{
    ssize_t             n;
    ngx_err_t           err;
    struct sockaddr_un  sun;

    ngx_queue_remove(&peer->queue);

    ngx_async_notify_address(peer - ngx_async_notify_peers, &sun);

    do {
        n = sendto(ngx_async_notify_fd, peer->buf, peer->len, MSG_DONTWAIT,
                   (struct sockaddr *) &sun, sizeof(sun));

        err = (n == -1) ? ngx_socket_errno : 0;

    } while (err == NGX_EINTR);

    if (err == NGX_EAGAIN || err == ENOBUFS) {

        ngx_queue_insert_tail(&ngx_async_notify_blocked, &peer->queue);

        if (!ngx_async_notify_timer.timer_set) {
            ngx_add_timer(&ngx_async_notify_timer,
                          (ngx_msec_t) 1 << peer->blocked);
        }

        if (peer->blocked < NGX_ASYNC_NOTIFY_BACKOFF) {
            peer->blocked++;
        }

        return;
    }

    if (err && err != NGX_ECONNREFUSED && err != NGX_ENOENT) {
        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, err,
                      "%uz messages to another worker are lost: "
                      "sendto(\"%s\") failed",
                      peer->len / NGX_ASYNC_NOTIFY_LEN, sun.sun_path);
    }

    peer->blocked = 0;
    peer->len = 0;
}


/*
 * What waits is sent now or never.  A receiver that has no room for it is told
 * that it missed something.  It sees that with what its socket is full of; or,
 * if it is this worker's socket that is full of what others have not read,
 * with a message from another one.
 */

static void
ngx_async_notify_leave(void)
{
    u_char                    msg[NGX_ASYNC_NOTIFY_LEN];
    ngx_uint_t                i;
    ngx_socket_t              s;
    struct sockaddr_un        sun;
    ngx_async_notify_peer_t  *peer;

    s = (ngx_socket_t) -1;

    ngx_memzero(msg, NGX_ASYNC_NOTIFY_LEN);
    msg[0] = NGX_ASYNC_NOTIFY_VERSION;
    msg[1] = NGX_ASYNC_NOTIFY_MISSED;

    for (i = 0; i < NGX_ASYNC_RUNNERS; i++) {

        peer = &ngx_async_notify_peers[i];

        if (peer->len == 0) {
            continue;
        }

        ngx_async_notify_transmit(peer);

        if (peer->len == 0) {
            continue;
        }

        ngx_async_shared_miss(i);

        if (s == (ngx_socket_t) -1) {
            s = socket(AF_UNIX, SOCK_DGRAM|SOCK_CLOEXEC, 0);
        }

        if (s != (ngx_socket_t) -1) {
            ngx_async_notify_address(i, &sun);

            (void) sendto(s, msg, NGX_ASYNC_NOTIFY_LEN, MSG_DONTWAIT,
                          (struct sockaddr *) &sun, sizeof(sun));
        }
    }

    if (s != (ngx_socket_t) -1) {
        (void) close(s);
    }
}
