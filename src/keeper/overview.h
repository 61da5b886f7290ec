/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the whole server is: what all roles have counted, what each process uses, how fast things went in the last
 * minutes, the last warnings. Everything is kept as it comes, so that asking walks through nothing.
 * It also watches: a role that says nothing for long is to be ended.
 */
#ifndef KEEPER_OVERVIEW_H
#define KEEPER_OVERVIEW_H

#include "base/stats.h"
#include "keeper/keeper.h"
#include "keeper/peers.h"

enum {
    OVERVIEW_SAMPLE_MS = 5000,
    OVERVIEW_SAMPLES = 15 * 60 * 1000 / OVERVIEW_SAMPLE_MS + 1,
    OVERVIEW_MEMBERS = PEERS_MAX + 2,
    OVERVIEW_TROUBLES = 8,
    OVERVIEW_TROUBLE_BYTES = 1024,
};

/* What rates are told of. */
enum overview_rate { RATE_ACCEPTED, RATE_DELIVERED, RATE_DEFERRED, RATE_FAILED, RATE_COUNT };

struct overview {
    struct stats past;  /* counters of all other roles, those that have gone included */
    struct usage usage; /* the keeper's own */
    struct overview_sample {
        int64_t at_ms; /* loop clock */
        uint64_t counts[RATE_COUNT];
    } samples[OVERVIEW_SAMPLES]; /* a ring */
    size_t sample_count, next_sample;
    int64_t ticked_ms; /* loop clock */
    struct ipc_member members[OVERVIEW_MEMBERS];
    size_t member_count;
    struct overview_trouble {
        char text[OVERVIEW_TROUBLE_BYTES];
        size_t len;
    } troubles[OVERVIEW_TROUBLES]; /* a ring */
    size_t trouble_count;
};

/* A role's `stats`. */
void overview_take_stats(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                         const union ipc_any *message);
/* All of it, as of now. */
void overview_total(struct keeper *keeper, struct stats *total_out);
/* A second, over the last window_ms (or as far back as is known); 0 when nothing is known yet. */
double overview_rate(struct keeper *keeper, enum overview_rate rate, int64_t window_ms);
/* Milliseconds that the oldest recipient which is due has been due; 0: none is. */
int64_t overview_late_ms(struct keeper *keeper);
/* One role's row of the census; NULL: not known. */
const struct ipc_member *overview_member(const struct keeper *keeper, enum ipc_role role,
                                         unsigned index);
/* Can mail be taken and carried? NULL: yes; else why not. */
const char *overview_why_not_ready(struct keeper *keeper);
/* Free bytes where the state folder lies. */
uint64_t overview_disk_free(const struct keeper *keeper);

#endif
