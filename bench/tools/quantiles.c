/*
 * Implements quantiles.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include "quantiles.h"


static int
compare(const void *a, const void *b)
{
    uint64_t  x, y;

    x = *(const uint64_t *) a;
    y = *(const uint64_t *) b;

    return (x > y) - (x < y);
}


void
quantiles_print(uint64_t *durations, size_t n)
{
    printf("\"n\":%zu", n);

    if (n == 0) {
        return;
    }

    qsort(durations, n, sizeof(uint64_t), compare);

    printf(",\"min_ms\":%.4f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"max_ms\":%.4f",
           (double) durations[0] / 1e6, (double) durations[n / 2] / 1e6,
           (double) durations[n * 99 / 100] / 1e6,
           (double) durations[n - 1] / 1e6);
}
