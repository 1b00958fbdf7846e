/*
 * Implements pace.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "http.h"
#include "pace.h"
#include "quantiles.h"

#define WARM_UP  10


void
pace(int count, int pause_ms, void (*action)(int i))
{
    int        i;
    uint64_t   start, *times;

    times = calloc((size_t) count + WARM_UP, sizeof(uint64_t));
    if (times == NULL || count <= 0) {
        http_die("pace: no memory");
    }

    for (i = 0; i < count + WARM_UP; i++) {
        usleep((unsigned) pause_ms * 1000);

        start = http_now();
        action(i);
        times[i] = http_now() - start;
    }

    putchar('{');
    quantiles_print(times + WARM_UP, (size_t) count);
    puts("}");
}
