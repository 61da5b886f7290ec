/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/concurrency.h"

void concurrency_init(struct concurrency *concurrency, unsigned ceiling)
{
    if (ceiling == 0)
        ceiling = 1;
    *concurrency = (struct concurrency){
        .limit = ceiling < CONCURRENCY_FIRST ? ceiling : CONCURRENCY_FIRST, .ceiling = ceiling};
}

void concurrency_succeeded(struct concurrency *concurrency)
{
    concurrency->failed_cohorts = 0;
    if (++concurrency->successes < concurrency->limit)
        return;
    concurrency->successes = concurrency->failures = 0;
    if (concurrency->limit < concurrency->ceiling)
        concurrency->limit++;
}

bool concurrency_failed(struct concurrency *concurrency)
{
    if (++concurrency->failures < concurrency->limit)
        return false;
    concurrency->successes = concurrency->failures = 0;
    if (concurrency->limit > 1)
        concurrency->limit--;
    if (++concurrency->failed_cohorts < CONCURRENCY_DEAD_COHORTS)
        return false;
    concurrency->failed_cohorts = 0;
    return true;
}

void concurrency_cap(struct concurrency *concurrency, unsigned limit)
{
    concurrency->limit = limit > 0 ? limit : 1;
    if (concurrency->limit > concurrency->ceiling)
        concurrency->limit = concurrency->ceiling;
    concurrency->successes = concurrency->failures = 0;
}
