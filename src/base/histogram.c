/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

uint64_t histogram_count(const struct histogram *histogram)
{
    uint64_t count = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        count += histogram->buckets[i];
    return count;
}

double histogram_quantile(const struct histogram *histogram, double part)
{
    double wanted = part * (double)histogram_count(histogram), seen = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        double here = (double)histogram->buckets[i];
        double top = (double)(UINT64_C(1) << i), bottom = i == 0 ? 0 : top / 2;

        if (here > 0 && seen + here >= wanted)
            return bottom + (top - bottom) * (wanted - seen) / here;
        seen += here;
    }
    return 0;
}
