/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that nobody can reach: one attempt tells for all of their mail, whatever the domain. After a few
 * attempts in a row that reached nobody the lane rests: whatever of it is due meanwhile is put off
 * without a courier, with the same words, by its own retry times, so that it still grows old and fails.
 * When the rest is over one message is tried; that nobody answers again makes the next rest longer.
 * Whoever answers ends it. In memory only.
 */
#ifndef KEEPER_SILENCE_H
#define KEEPER_SILENCE_H

#include "ipc/pack.h"

struct keeper;

enum {
    SILENCE_MISSES = 3, /* attempts in a row that reached nobody, before the first rest */
    SILENCE_MAX_MS = 10 * 60 * 1000, /* the longest rest, */
    SILENCE_DNS_MAX_MS = 60 * 1000,  /* … when the DNS was it: that may be our own resolver */
};

/* Is anybody there? Of a lane. */
struct circuit {
    bool is_suspect; /* its hosts may be dead: few places, last in turn */
    unsigned misses, silent_rounds;
    int64_t silent_until_ms; /* the loop's clock */
    char *silent_why_cstr;
};
void circuit_deinit(struct circuit *circuit);

/*
 * What a job's answer says about the hosts. now_ms: the loop's clock. retry_first_ms: of the settings. name: for the log, of
 * the domain asked for.
 */
void silence_note(struct circuit *circuit, struct slice name,
                  const struct ipc_delivered *delivered, int64_t now_ms,
                  int64_t retry_first_ms);
/* Mail was tried before this process began, and what came of it is not known: be careful. */
void silence_suspect(struct circuit *circuit);
/* Forget it: the operator says so, or somebody answered. */
void silence_end(struct circuit *circuit, struct slice name);
void silence_end_all(struct keeper *keeper);
/* Nobody is tried now. */
bool silence_rests(const struct circuit *circuit, int64_t now_ms);

#endif
