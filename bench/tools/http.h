/*
 * A small blocking HTTP/1.1 client for the measuring tools: loopback only,
 * kept connections, bodies with a Content-Length.  Every failure is fatal.
 */

#ifndef BENCH_HTTP_H_INCLUDED
#define BENCH_HTTP_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

typedef struct {
    int     fd;
    int     status;
    char   *body;               /* in buf, zero-terminated */
    size_t  len;                /* of what is in buf */
    char    location[512];      /* path of the last Location, or empty */
    char    buf[16384];
} http_t;

void http_open(http_t *h, int port);
void http_close(http_t *h);

/* sends a request, "body" may be NULL, and returns its status */
int http_do(http_t *h, const char *method, const char *path,
    const char *body);

/* a JSON document of 1 KB */
const char *http_json_1k(void);

/* CLOCK_MONOTONIC in nanoseconds */
uint64_t http_now(void);

/* the backend's time stamp in a response's body */
uint64_t http_stamp(const char *body);

void http_die(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));


#endif /* BENCH_HTTP_H_INCLUDED */
