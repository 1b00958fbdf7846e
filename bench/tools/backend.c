/*
 * A slow backend: an epoll loop that can hold many thousands of requests.
 *
 *     backend PORT SECONDS
 *
 *     /delay/N      answered after N milliseconds
 *     /hold/...     answered after the next /release
 *     /release      answers what is held
 *     /bytes/N      N bytes at once
 *     /waiting      how many requests wait
 *
 * Any method; a request's body is read and ignored.  Delayed and held answers
 * carry the monotonic time at which they were sent: {"sent":nanoseconds}.  It
 * listens on 127.0.0.1 only and ends after SECONDS.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "http.h"

#define MAX_FD    65536
#define IN_SIZE   4096
#define BYTES     (1024 * 1024)
#define HELD      UINT64_MAX            /* due at the next release */


typedef struct {
    uint64_t  due;                      /* 0: no answer is owed */
    uint64_t  bytes;                    /* of a large body, still to be sent */
    size_t    len;                      /* of in[] */
    char      in[IN_SIZE + 1];
} conn_t;

/* requests wait in a heap by their time; stale entries are skipped */

typedef struct {
    uint64_t  due;
    int       fd;
} wait_t;


static conn_t    *conns[MAX_FD];
static wait_t     heap[MAX_FD * 2];
static size_t     nheap, nwaiting;
static int        ep, listener;
static char       bytes[BYTES];


static void
heap_push(uint64_t due, int fd)
{
    size_t  i;

    if (nheap == MAX_FD * 2) {
        http_die("backend: too many requests wait");
    }

    for (i = nheap++; i > 0 && heap[(i - 1) / 2].due > due; i = (i - 1) / 2) {
        heap[i] = heap[(i - 1) / 2];
    }

    heap[i] = (wait_t) { due, fd };
}


static wait_t
heap_pop(void)
{
    size_t  i, child;
    wait_t  top, last;

    top = heap[0];
    last = heap[--nheap];

    for (i = 0; (child = 2 * i + 1) < nheap; i = child) {
        if (child + 1 < nheap && heap[child + 1].due < heap[child].due) {
            child++;
        }

        if (heap[child].due >= last.due) {
            break;
        }

        heap[i] = heap[child];
    }

    heap[i] = last;

    return top;
}


static void
watch(int fd, uint32_t events, int op)
{
    struct epoll_event  ev;

    ev.events = events;
    ev.data.fd = fd;

    if (epoll_ctl(ep, op, fd, &ev) == -1) {
        http_die("backend: epoll_ctl(): %s", strerror(errno));
    }
}


static void
conn_close(int fd)
{
    nwaiting -= (conns[fd]->due != 0);

    free(conns[fd]);
    conns[fd] = NULL;
    close(fd);
}


/* answers are small and their socket's buffer is empty */

static void
reply(int fd, const char *body)
{
    int   n;
    char  out[512];

    n = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\n"
                 "Content-Type: application/json\r\n"
                 "Content-Length: %zu\r\n\r\n%s", strlen(body), body);

    if (send(fd, out, (size_t) n, MSG_NOSIGNAL) != n) {
        shutdown(fd, SHUT_RDWR);
    }
}


static void
reply_stamped(int fd)
{
    char  body[128];

    nwaiting--;
    conns[fd]->due = 0;

    snprintf(body, sizeof(body), "{\"sent\":%llu,\"ok\":true}",
             (unsigned long long) http_now());
    reply(fd, body);
}


static void
reply_bytes(int fd)
{
    size_t   n;
    conn_t  *c;
    ssize_t  rc;

    c = conns[fd];

    while (c->bytes) {
        n = c->bytes < BYTES ? (size_t) c->bytes : BYTES;
        rc = send(fd, bytes, n, MSG_NOSIGNAL);

        if (rc == -1) {
            if (errno == EAGAIN) {
                watch(fd, EPOLLIN|EPOLLOUT, EPOLL_CTL_MOD);
            } else {
                shutdown(fd, SHUT_RDWR);
            }

            return;
        }

        c->bytes -= (uint64_t) rc;
    }

    watch(fd, EPOLLIN, EPOLL_CTL_MOD);
}


static void
start_bytes(int fd, uint64_t n)
{
    int   len;
    char  out[256];

    len = snprintf(out, sizeof(out), "HTTP/1.1 200 OK\r\n"
                   "Content-Type: application/octet-stream\r\n"
                   "Content-Length: %llu\r\n\r\n", (unsigned long long) n);

    if (send(fd, out, (size_t) len, MSG_NOSIGNAL) != len) {
        shutdown(fd, SHUT_RDWR);
        return;
    }

    conns[fd]->bytes = n;
    reply_bytes(fd);
}


static void
release(void)
{
    int  fd;

    for (fd = 0; fd < MAX_FD; fd++) {
        if (conns[fd] && conns[fd]->due == HELD) {
            reply_stamped(fd);
        }
    }
}


static void
answer(int fd, const char *path)
{
    char      body[64];
    conn_t   *c;
    uint64_t  due;

    c = conns[fd];

    if (strncmp(path, "/delay/", 7) == 0) {
        due = http_now() + strtoull(path + 7, NULL, 10) * 1000000;
        heap_push(due, fd);
        c->due = due;
        nwaiting++;

    } else if (strncmp(path, "/hold/", 6) == 0) {
        c->due = HELD;
        nwaiting++;

    } else if (strncmp(path, "/bytes/", 7) == 0) {
        start_bytes(fd, strtoull(path + 7, NULL, 10));

    } else if (strncmp(path, "/release", 8) == 0) {
        reply(fd, "{}");
        release();

    } else {
        snprintf(body, sizeof(body), "%zu", nwaiting);
        reply(fd, body);
    }
}


/* one request at a time: nobody here pipelines */

static void
parse(int fd)
{
    char    *end, *path, *value;
    size_t   length;
    conn_t  *c;

    c = conns[fd];
    c->in[c->len] = '\0';

    end = strstr(c->in, "\r\n\r\n");

    path = strchr(c->in, ' ');
    value = strcasestr(c->in, "\r\nContent-Length:");

    length = value ? strtoul(value + 17, NULL, 10) : 0;

    if (end && c->len >= (size_t) (end + 4 - c->in) + length) {
        c->len = 0;
        answer(fd, path + 1);

    } else if (c->len == IN_SIZE) {
        shutdown(fd, SHUT_RDWR);        /* larger than any request used here */
    }
}


static void
readable(int fd)
{
    conn_t  *c;
    ssize_t  n;

    c = conns[fd];
    n = recv(fd, c->in + c->len, IN_SIZE - c->len, 0);

    if (n == -1 && errno == EAGAIN) {
        return;
    }

    if (n <= 0) {
        conn_close(fd);
        return;
    }

    c->len += (size_t) n;
    parse(fd);
}


static void
accept_all(void)
{
    int  fd, on;

    for ( ;; ) {
        fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);

        if (fd == -1) {
            return;
        }

        if (fd >= MAX_FD) {
            close(fd);
            continue;
        }

        conns[fd] = calloc(1, sizeof(conn_t));
        if (conns[fd] == NULL) {
            http_die("backend: no memory");
        }

        on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        watch(fd, EPOLLIN, EPOLL_CTL_ADD);
    }
}


static void
listen_on(int port)
{
    int                 on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);

    listener = socket(AF_INET, SOCK_STREAM|SOCK_NONBLOCK, 0);

    on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));

    if (bind(listener, (struct sockaddr *) &sin, sizeof(sin)) == -1
        || listen(listener, 16384) == -1)
    {
        http_die("backend: port %d: %s", port, strerror(errno));
    }

    watch(listener, EPOLLIN, EPOLL_CTL_ADD);
}


/* answers what is due; milliseconds until the next, or -1 */

static int
expire(void)
{
    wait_t    w;
    uint64_t  now;

    while (nheap) {
        now = http_now();

        if (heap[0].due > now) {
            return (int) ((heap[0].due - now + 999999) / 1000000);
        }

        w = heap_pop();

        if (conns[w.fd] && conns[w.fd]->due == w.due) {
            reply_stamped(w.fd);
        }
    }

    return -1;
}


int
main(int argc, char **argv)
{
    int                 i, n, fd;
    struct epoll_event  events[256];

    if (argc != 3) {
        http_die("usage: backend PORT SECONDS");
    }

    alarm((unsigned) atoi(argv[2]));

    for (i = 0; i < BYTES; i++) {
        bytes[i] = (char) random();
    }

    ep = epoll_create1(0);
    listen_on(atoi(argv[1]));

    for ( ;; ) {
        n = epoll_wait(ep, events, 256, expire());

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            if (fd == listener) {
                accept_all();
                continue;
            }

            if (events[i].events & EPOLLOUT && conns[fd]->bytes) {
                reply_bytes(fd);
            }

            if (events[i].events & ~(uint32_t) EPOLLOUT) {
                readable(fd);
            }
        }
    }
}
