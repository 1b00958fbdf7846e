/*
 * Times one action again and again, with a pause between, and prints the
 * quantiles of its duration as a line of JSON.
 */

#ifndef BENCH_PACE_H_INCLUDED
#define BENCH_PACE_H_INCLUDED


void pace(int count, int pause_ms, void (*action)(int i));


#endif /* BENCH_PACE_H_INCLUDED */
