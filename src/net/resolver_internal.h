/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the resolver share: the resolver itself, one look-up, and its raw result. */
#ifndef NET_RESOLVER_INTERNAL_H
#define NET_RESOLVER_INTERNAL_H

#include "base/list.h"
#include "base/map.h"
#include "net/resolver.h"

struct ub_ctx;

struct resolver {
    struct loop *loop;
    struct list tickets;
    struct ub_ctx *unbound;
    struct map asks;      /* by id: struct ask */
    struct map tlsa_asks; /* by id: struct tlsa_ask, each with an ask for its present step */
    uint64_t last_id;
    int64_t timeout_ms;
    bool prefer_ipv4;
};

enum question_state { QUESTION_WAITS, QUESTION_HAS_ALIAS, QUESTION_ANSWERED };

/* One look-up of one type; an ask for addresses has two of them. */
struct question {
    unsigned type;
    enum question_state state;
    unsigned aliases; /* times that we asked again for the target of a lone CNAME */
    enum dnssec_state dnssec;
    enum resolver_outcome outcome;
    struct dns_answer answer;
    struct tlsa_set *tlsa;   /* FOUND, type TLSA; else NULL */
    struct dns_texts *texts; /* FOUND, type TXT; else NULL */
    char text_cstr[RESOLVER_TEXT_SIZE];
};

/* Tell unbound what the options say. ERR_PERM as in resolver_new. */
bool resolver__set_up(struct resolver *resolver, const struct resolver_options *options,
                      struct err *err);

/* Any other type, with the raw result: it dies with the call. resolver_cancel takes the id back. */
typedef void resolver__record_fn(void *context, uint64_t ask, const struct question *question);
uint64_t resolver__ask_record(struct resolver *resolver, const char *name_cstr, unsigned type,
                              resolver__record_fn *fn, void *context);

/* Forget one open ask for TLSA, or all. Ids that are not open are fine. */
void resolver__tlsa_cancel(struct resolver *resolver, uint64_t id);
void resolver__tlsa_cancel_all(struct resolver *resolver);

#endif
