/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections a host is given: one more for each cohort of successes (as many as there are connections), one
 * fewer for each cohort of failures, and none for a while after several cohorts of nothing but failures. Single
 * failures among successes change nothing: that is the hysteresis. Pure.
 */
#ifndef DELIVER_CONCURRENCY_H
#define DELIVER_CONCURRENCY_H

#include <stdbool.h>

enum { CONCURRENCY_FIRST = 5, CONCURRENCY_DEAD_COHORTS = 3 };

struct concurrency {
    unsigned limit, ceiling;
    unsigned successes, failures; /* of the present cohort */
    unsigned failed_cohorts;      /* in a row */
};

/* ceiling: at least 1. */
void concurrency_init(struct concurrency *concurrency, unsigned ceiling);
/* A message was answered. */
void concurrency_succeeded(struct concurrency *concurrency);
/* A connection was lost, or not had. True: the host is dead for now. */
bool concurrency_failed(struct concurrency *concurrency);
/* So many and no more are welcome: the host has said so. */
void concurrency_cap(struct concurrency *concurrency, unsigned limit);

#endif
