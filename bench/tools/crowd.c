/*
 * A crowd of clients: COUNT connections that send one request each, all at
 * once, and wait for its answer.
 *
 *     crowd PORT COUNT SECONDS METHOD PATH
 *
 * A POST has a JSON body of 1 KB.  When all are connected it prints
 * "connected" and waits for a line on its standard input; then it sends, and
 * prints one line of JSON when all are answered or SECONDS are over: how many
 * answers, by status; when it began and when the last came (nanoseconds of the
 * monotonic clock); and how long after the backend's time stamp, where answers
 * carry one, they came.
 */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "http.h"
#include "quantiles.h"

#define IN_SIZE  4096


typedef struct {
    int       fd;
    int       status;                   /* 0: not answered yet */
    int       stamped;
    uint64_t  delay;                    /* after the stamp */
    size_t    len;
    char      in[IN_SIZE + 1];
} client_t;


static client_t  *clients;
static int        ep, count, nanswers, nerrors;
static uint64_t   started, ended, deadline;


static void
client_connect(client_t *c, int port)
{
    int                 on;
    struct sockaddr_in  sin;
    struct epoll_event  ev;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);

    /* blocking, so that no listen queue overflows */
    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        http_die("crowd: connecting to port %d: %s", port, strerror(errno));
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    ev.events = EPOLLIN;
    ev.data.ptr = c;
    epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev);
}


static int
client_answered(client_t *c)
{
    char      *end, *value;
    size_t     length;
    uint64_t   now, stamp;

    now = http_now();
    c->in[c->len] = '\0';

    end = strstr(c->in, "\r\n\r\n");
    value = strcasestr(c->in, "\r\nContent-Length:");

    if (end == NULL || value == NULL) {
        return 0;
    }

    length = strtoul(value + sizeof("\r\nContent-Length:") - 1, NULL, 10);

    if (c->len < (size_t) (end + 4 - c->in) + length) {
        return 0;
    }

    stamp = http_stamp(end);

    c->stamped = (stamp != 0);
    c->delay = now - stamp;
    c->status = atoi(c->in + sizeof("HTTP/1.1 ") - 1);
    ended = now;

    return 1;
}


static void
client_readable(client_t *c)
{
    ssize_t  n;

    n = recv(c->fd, c->in + c->len, IN_SIZE - c->len, MSG_DONTWAIT);

    if (n > 0) {
        c->len += (size_t) n;

        if (client_answered(c)) {
            nanswers++;
        }

    } else if (n == 0 || errno != EAGAIN) {
        nerrors += (c->status == 0);
        epoll_ctl(ep, EPOLL_CTL_DEL, c->fd, NULL);
    }
}


static void
collect(void)
{
    int                 i, n;
    uint64_t            now;
    struct epoll_event  events[256];

    while (nanswers + nerrors < count) {
        now = http_now();
        if (now >= deadline) {
            return;
        }

        n = epoll_wait(ep, events, 256, (int) ((deadline - now) / 1000000) + 1);

        for (i = 0; i < n; i++) {
            client_readable(events[i].data.ptr);
        }
    }
}


static void
print_result(void)
{
    int          i, statuses[600];
    size_t       n;
    uint64_t    *delays;
    const char  *comma;

    memset(statuses, 0, sizeof(statuses));
    delays = calloc((size_t) count, sizeof(uint64_t));
    n = 0;

    if (delays == NULL) {
        http_die("crowd: no memory");
    }

    for (i = 0; i < count; i++) {
        statuses[clients[i].status % 600]++;

        if (clients[i].stamped) {
            delays[n++] = clients[i].delay;
        }
    }

    printf("{\"answers\":%d,\"errors\":%d,\"started\":%llu,\"ended\":%llu,"
           "\"status\":{", nanswers, nerrors, (unsigned long long) started,
           (unsigned long long) ended);

    for (i = 1, comma = ""; i < 600; i++) {
        if (statuses[i]) {
            printf("%s\"%d\":%d", comma, i, statuses[i]);
            comma = ",";
        }
    }

    printf("},\"delay\":{");
    quantiles_print(delays, n);
    puts("}}");
}


int
main(int argc, char **argv)
{
    int            i, n, post;
    char           request[4096], line[16];
    struct rlimit  rl;

    if (argc != 6) {
        http_die("usage: crowd PORT COUNT SECONDS METHOD PATH");
    }

    count = atoi(argv[2]);
    post = strcmp(argv[4], "POST") == 0;

    getrlimit(RLIMIT_NOFILE, &rl);
    rl.rlim_cur = rl.rlim_max;
    setrlimit(RLIMIT_NOFILE, &rl);

    n = snprintf(request, sizeof(request),
                 "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s", argv[4], argv[5],
                 post ? "Content-Type: application/json\r\n"
                        "Content-Length: 1024\r\n\r\n" : "\r\n",
                 post ? http_json_1k() : "");

    alarm(600);
    ep = epoll_create1(0);
    clients = calloc((size_t) count, sizeof(client_t));

    if (clients == NULL) {
        http_die("crowd: no memory");
    }

    for (i = 0; i < count; i++) {
        client_connect(&clients[i], atoi(argv[1]));
    }

    puts("connected");
    fflush(stdout);

    if (fgets(line, sizeof(line), stdin) == NULL) {
        return 1;
    }

    started = http_now();
    deadline = started + strtoull(argv[3], NULL, 10) * 1000000000;

    for (i = 0; i < count; i++) {
        if (send(clients[i].fd, request, (size_t) n, MSG_NOSIGNAL) != n) {
            http_die("crowd: send(): %s", strerror(errno));
        }
    }

    collect();
    print_result();

    return 0;
}
