/*
 * Implements http.h.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "http.h"


void
http_die(const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    fputc('\n', stderr);
    exit(1);
}


uint64_t
http_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


uint64_t
http_stamp(const char *body)
{
    const char  *p;

    p = strstr(body, "\"sent\":");

    return p ? strtoull(p + sizeof("\"sent\":") - 1, NULL, 10) : 0;
}


const char *
http_json_1k(void)
{
    static char  json[1025];

    static const char  head[] = "{\"report\":\"";

    memset(json, 'x', 1024);
    memcpy(json, head, sizeof(head) - 1);
    memcpy(json + 1022, "\"}", 3);

    return json;
}


void
http_open(http_t *h, int port)
{
    int                 on;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons((uint16_t) port);

    h->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (h->fd == -1
        || connect(h->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        http_die("connecting to port %d: %s", port, strerror(errno));
    }

    on = 1;
    setsockopt(h->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}


void
http_close(http_t *h)
{
    close(h->fd);
}


/* the value of a header, NULL if it is not there */

static const char *
http_header(const char *head, const char *name)
{
    size_t       len;
    const char  *p;

    len = strlen(name);

    for (p = strstr(head, "\r\n"); p; p = strstr(p, "\r\n")) {
        p += 2;

        if (strncasecmp(p, name, len) == 0 && p[len] == ':') {
            return p + len + 1 + strspn(p + len + 1, " ");
        }
    }

    return NULL;
}


static void
http_location(http_t *h)
{
    size_t       len;
    const char  *p, *slashes;

    h->location[0] = '\0';

    p = http_header(h->buf, "Location");
    if (p == NULL) {
        return;
    }

    slashes = strstr(p, "://");
    if (slashes) {
        p = strchr(slashes + 3, '/');
    }

    len = p ? strcspn(p, "\r\n") : 0;

    if (len == 0 || len >= sizeof(h->location)) {
        http_die("unexpected Location");
    }

    memcpy(h->location, p, len);
    h->location[len] = '\0';
}


/* true as soon as the response is complete */

static int
http_parse(http_t *h)
{
    char        *end;
    size_t       length;
    const char  *value;

    h->buf[h->len] = '\0';

    end = strstr(h->buf, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }

    value = http_header(h->buf, "Content-Length");
    length = value ? strtoul(value, NULL, 10) : 0;

    if (value == NULL && http_header(h->buf, "Transfer-Encoding")) {
        http_die("a response without a Content-Length");
    }

    h->body = end + 4;

    if (h->len < (size_t) (h->body - h->buf) + length) {
        return 0;
    }

    h->status = atoi(h->buf + sizeof("HTTP/1.1 ") - 1);
    http_location(h);

    return 1;
}


int
http_do(http_t *h, const char *method, const char *path, const char *body)
{
    int      n;
    char     request[4096];
    ssize_t  rc;

    n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n"
                 "Host: 127.0.0.1\r\n", method, path);

    if (body) {
        n += snprintf(request + n, sizeof(request) - (size_t) n,
                      "Content-Type: application/json\r\n"
                      "Content-Length: %zu\r\n\r\n%s", strlen(body), body);
    } else {
        n += snprintf(request + n, sizeof(request) - (size_t) n, "\r\n");
    }

    if (n >= (int) sizeof(request)) {
        http_die("request too large");
    }

    if (send(h->fd, request, (size_t) n, MSG_NOSIGNAL) != n) {
        http_die("sending %s: %s", path, strerror(errno));
    }

    h->len = 0;

    do {
        rc = recv(h->fd, h->buf + h->len, sizeof(h->buf) - 1 - h->len, 0);

        if (rc <= 0) {
            http_die("%s %s: %s", method, path,
                     rc ? strerror(errno) : "connection closed");
        }

        h->len += (size_t) rc;

    } while (!http_parse(h));

    return h->status;
}
