/*
 * Quantiles of durations, as members of a JSON object:
 * "n":N,"min_ms":...,"p50_ms":...,"p99_ms":...,"max_ms":...
 */

#ifndef BENCH_QUANTILES_H_INCLUDED
#define BENCH_QUANTILES_H_INCLUDED


#include <stddef.h>
#include <stdint.h>

/* sorts the durations, which are in nanoseconds */
void quantiles_print(uint64_t *durations, size_t n);


#endif /* BENCH_QUANTILES_H_INCLUDED */
