/*
 * From the end of a call to the answer of a client held for it.
 *
 *     wake PORT LANES ROUNDS KIND
 *
 * The backend stamps its answer with the monotonic time of sending; the delay
 * is the client's time of receiving it less that.  KIND is one of
 *
 *     held    POST /held/N, answered with the response itself
 *     same    POST /job/N, answered with a job; its J/wait is asked for on a
 *             connection of the same worker
 *     other   the same on a connection of another worker
 *
 * N is the duration of the call in milliseconds.  GET /pid tells a
 * connection's worker.  LANES clients do ROUNDS each; one line of JSON.
 */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "http.h"
#include "quantiles.h"

#define TRIES  200                      /* to connect to the wanted worker */


typedef struct {
    int        number;
    uint64_t  *delays;
    pthread_t  thread;
} lane_t;


static int          port, nrounds;
static const char  *kind;


static int
worker(http_t *h)
{
    if (http_do(h, "GET", "/pid", NULL) != 200) {
        http_die("GET /pid: %d", h->status);
    }

    return atoi(h->body);
}


static void
open_waiter(http_t *waiter, int pid, int same)
{
    int  i;

    for (i = 0; i < TRIES; i++) {
        http_open(waiter, port);

        if ((worker(waiter) == pid) == same) {
            return;
        }

        http_close(waiter);
    }

    http_die("no connection to the %s worker", same ? "same" : "other");
}


static void
submit(http_t *submitter, unsigned ms, char *path, size_t size)
{
    snprintf(path, size, "/job/%u", ms);

    if (http_do(submitter, "POST", path, http_json_1k()) != 202) {
        http_die("POST %s: %d", path, submitter->status);
    }

    /* Location is J/result */
    if (strlen(submitter->location) < sizeof("/result")) {
        http_die("POST %s: no Location", path);
    }

    snprintf(path, size, "%.*s/wait",
             (int) (strlen(submitter->location) - strlen("/result")),
             submitter->location);
}


static uint64_t
one(http_t *submitter, http_t *waiter, unsigned ms)
{
    char      path[600];
    http_t   *h;
    uint64_t  now, stamp;

    if (waiter) {
        submit(submitter, ms, path, sizeof(path));
        h = waiter;
        http_do(h, "GET", path, NULL);

    } else {
        snprintf(path, sizeof(path), "/held/%u", ms);
        h = submitter;
        http_do(h, "POST", path, http_json_1k());
    }

    now = http_now();
    stamp = http_stamp(h->body);

    if (h->status != 200 || stamp == 0 || stamp > now) {
        http_die("%s: status %d without a stamp", path, h->status);
    }

    return now - stamp;
}


static void *
run_lane(void *data)
{
    int       i, pid;
    http_t    submitter, waiter, *w;
    lane_t   *lane;
    unsigned  seed;

    lane = data;
    seed = (unsigned) lane->number + 1;
    w = NULL;

    http_open(&submitter, port);

    if (strcmp(kind, "held") != 0) {
        pid = worker(&submitter);
        open_waiter(&waiter, pid, strcmp(kind, "same") == 0);
        w = &waiter;
    }

    for (i = 0; i < nrounds; i++) {
        lane->delays[i] = one(&submitter, w, 20 + rand_r(&seed) % 60);
    }

    return NULL;
}


int
main(int argc, char **argv)
{
    int        i, n, nlanes;
    lane_t    *lanes;
    uint64_t  *delays;

    if (argc != 5) {
        http_die("usage: wake PORT LANES ROUNDS held|same|other");
    }

    port = atoi(argv[1]);
    nlanes = atoi(argv[2]);
    nrounds = atoi(argv[3]);
    kind = argv[4];
    n = nlanes * nrounds;

    alarm(60);

    lanes = calloc((size_t) nlanes, sizeof(lane_t));
    delays = calloc((size_t) n, sizeof(uint64_t));

    if (n <= 0 || lanes == NULL || delays == NULL) {
        http_die("wake: no memory");
    }

    for (i = 0; i < nlanes; i++) {
        lanes[i].number = i;
        lanes[i].delays = delays + i * nrounds;

        if (pthread_create(&lanes[i].thread, NULL, run_lane, &lanes[i]) != 0) {
            http_die("wake: pthread_create()");
        }
    }

    for (i = 0; i < nlanes; i++) {
        pthread_join(lanes[i].thread, NULL);
    }

    putchar('{');
    quantiles_print(delays, (size_t) n);
    puts("}");

    return 0;
}
