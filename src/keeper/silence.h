/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Domains none of whose hosts can be reached: one attempt tells for all of the domain's mail. After a few
 * attempts in a row that reached nobody the domain rests: whatever of it is due meanwhile is put off
 * without a courier, with the same words, by its own retry times, so that it still grows old and fails.
 * When the rest is over one message is tried; that nobody answers again makes the next rest longer.
 * Whoever answers ends it. In memory only.
 */
#ifndef KEEPER_SILENCE_H
#define KEEPER_SILENCE_H

#include "ipc/pack.h"
#include "keeper/domains.h"

enum {
    SILENCE_MISSES = 3, /* attempts in a row that reached nobody, before the first rest */
    SILENCE_MAX_MS = 10 * 60 * 1000, /* the longest rest, */
    SILENCE_DNS_MAX_MS = 60 * 1000,  /* … when the DNS was it: that may be our own resolver */
};

/* What a job's answer says about the domain. now_ms: the loop's clock. retry_first_ms: of the settings. */
void silence_note(struct domain *domain, const struct ipc_delivered *delivered, int64_t now_ms,
                  int64_t retry_first_ms);
/* Mail of it was tried before this process began, and what came of it is not known: be careful. */
void silence_suspect(struct domain *domain);
/* Forget it all: the operator says so. */
void silence_end(struct domain *domain);
void silence_end_all(struct keeper *keeper);
/* Nobody is tried now. */
bool silence_rests(const struct domain *domain, int64_t now_ms);

#endif
