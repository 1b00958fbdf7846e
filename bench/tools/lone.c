/*
 * The latency of one request at a time on an idle server.
 *
 *     lone PORT COUNT PAUSE PATH STATUS
 *
 * COUNT times a POST of a JSON body of 1 KB on one kept connection, PAUSE
 * milliseconds between them; every answer must have STATUS.  One line of JSON.
 */

#include <stdlib.h>
#include <unistd.h>
#include "http.h"
#include "pace.h"


static http_t       client;
static const char  *path;
static int          expected;


static void
submit(int i)
{
    (void) i;

    if (http_do(&client, "POST", path, http_json_1k()) != expected) {
        http_die("POST %s: %d", path, client.status);
    }
}


int
main(int argc, char **argv)
{
    if (argc != 6) {
        http_die("usage: lone PORT COUNT PAUSE PATH STATUS");
    }

    alarm(60);

    path = argv[4];
    expected = atoi(argv[5]);

    http_open(&client, atoi(argv[1]));
    pace(atoi(argv[2]), atoi(argv[3]), submit);

    return 0;
}
