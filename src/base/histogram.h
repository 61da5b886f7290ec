/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A histogram of fixed buckets, each twice as wide as the one before: bucket i counts values of at most
 * 2^i (and more than 2^(i-1)), the last one everything above. Times are counted in microseconds: from
 * 1 µs to 67 s. Counting is a shift and two additions; nothing is allocated, two add up.
 */
#ifndef BASE_HISTOGRAM_H
#define BASE_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 28 };

/* Only uint64_t, so that it can travel as an array of them. */
struct histogram {
    uint64_t buckets[HISTOGRAM_BUCKETS];
    uint64_t sum;
};

/* The bucket that counts this value. */
static inline size_t histogram_bucket(uint64_t value)
{
    size_t bits = value <= 1 ? 0 : (size_t)(64 - __builtin_clzll(value - 1));

    return bits < HISTOGRAM_BUCKETS ? bits : HISTOGRAM_BUCKETS - 1;
}
static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->buckets[histogram_bucket(value)]++;
    histogram->sum += value;
}
/* How many values were counted. */
uint64_t histogram_count(const struct histogram *histogram);
/*
 * The value below which `part` (0..1) of all lie, as if each bucket were filled evenly; 0 when nothing
 * was counted. Never off by more than the bucket's width.
 */
double histogram_quantile(const struct histogram *histogram, double part);

#endif
