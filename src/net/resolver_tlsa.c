/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the TLSA records of a mail host are, step by step [RFC 7672 §2.2.2]. Each step is one look-up; its answer
 * names the next one. Whatever cannot be found out ends the walk with TRY_LATER: an attacker who can only make
 * look-ups fail must not be able to make DANE go away.
 */
#include "net/resolver_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tlsa_ask {
    struct resolver *resolver;
    uint64_t id, inner; /* inner: the look-up of this step */
    resolver_tlsa_fn *fn;
    void *context;
    unsigned port;
    bool is_last; /* of the candidates for the TLSA base domain */
    char host_cstr[DNS_NAME_SIZE];
    char base_cstr[DNS_NAME_SIZE]; /* the candidate that is asked for now */
};

static void tlsa_ask_free(struct tlsa_ask *ask)
{
    map_take(&ask->resolver->tlsa_asks, ask->id);
    free(ask);
}

void resolver__tlsa_cancel(struct resolver *resolver, uint64_t id)
{
    struct tlsa_ask *ask = map_get(&resolver->tlsa_asks, id);

    if (ask == NULL)
        return;
    resolver_cancel(resolver, ask->inner);
    tlsa_ask_free(ask);
}

void resolver__tlsa_cancel_all(struct resolver *resolver)
{
    uint64_t id;

    for (size_t position = 0; map_next(&resolver->tlsa_asks, &position, &id) != NULL;
         position = 0)
        resolver__tlsa_cancel(resolver, id);
}

static void finish(struct tlsa_ask *ask, const struct resolver_tlsa_answer *answer)
{
    map_take(&ask->resolver->tlsa_asks, ask->id);
    ask->fn(ask->context, ask->id, answer);
    free(ask);
}

static void finish_without(struct tlsa_ask *ask, enum resolver_outcome outcome,
                           enum dnssec_state dnssec, bool was_asked, uint32_t ttl_s,
                           const char *why_cstr)
{
    struct resolver_tlsa_answer answer = {
        .outcome = outcome, .dnssec = dnssec, .was_asked = was_asked, .ttl_s = ttl_s};

    snprintf(answer.text_cstr, sizeof answer.text_cstr, "%s", why_cstr);
    finish(ask, &answer);
}

/* ---- TLSA at one candidate for the base domain ---- */

static void on_tlsa(void *context, uint64_t inner, const struct question *question);

static void ask_at(struct tlsa_ask *ask, const char *base_cstr)
{
    char name_cstr[DNS_NAME_SIZE + sizeof "_65535._tcp."];

    if (base_cstr != ask->base_cstr)
        memcpy(ask->base_cstr, base_cstr, DNS_NAME_SIZE);
    ask->is_last = strcmp(base_cstr, ask->host_cstr) == 0;
    snprintf(name_cstr, sizeof name_cstr, "_%u._tcp.%s", ask->port, base_cstr);
    /* A name that is too long cannot exist; it is answered so. */
    ask->inner = resolver__ask_record(ask->resolver, name_cstr, DNS_TYPE_TLSA, on_tlsa, ask);
}

static void finish_found(struct tlsa_ask *ask, const struct question *question)
{
    struct resolver_tlsa_answer answer = {.outcome = RESOLVER_FOUND,
                                          .dnssec = DNSSEC_SECURE,
                                          .was_asked = true,
                                          .ttl_s = question->answer.ttl_s,
                                          .set = question->tlsa};

    memcpy(answer.base_cstr, ask->base_cstr, DNS_NAME_SIZE);
    finish(ask, &answer);
}

static void on_tlsa(void *context, uint64_t inner, const struct question *question)
{
    struct tlsa_ask *ask = context;
    char why_cstr[RESOLVER_TEXT_SIZE];

    (void)inner;
    if (question->outcome == RESOLVER_TRY_LATER) {
        snprintf(why_cstr, sizeof why_cstr, "TLSA of %.100s: %.120s", ask->base_cstr,
                 question->text_cstr);
        finish_without(ask, RESOLVER_TRY_LATER, question->dnssec, true, DNS_TTL_NEGATIVE_S,
                       why_cstr);
    } else if (question->outcome == RESOLVER_FOUND && question->dnssec == DNSSEC_SECURE) {
        finish_found(ask, question);
    } else if (!ask->is_last) {
        ask_at(ask, ask->host_cstr);
    } else {
        finish_without(ask, RESOLVER_NO_DATA, question->dnssec, true, question->answer.ttl_s,
                       question->outcome == RESOLVER_FOUND ? "the TLSA records are not signed"
                                                           : "there are no TLSA records");
    }
}

/* ---- an alias whose target is not signed: is the alias itself? ---- */

static void on_alias(void *context, uint64_t inner, const struct question *question)
{
    struct tlsa_ask *ask = context;

    (void)inner;
    if (question->outcome == RESOLVER_TRY_LATER)
        finish_without(ask, RESOLVER_TRY_LATER, question->dnssec, false, DNS_TTL_NEGATIVE_S,
                       question->text_cstr);
    else if (question->outcome == RESOLVER_FOUND && question->dnssec == DNSSEC_SECURE)
        ask_at(ask, ask->host_cstr);
    else
        finish_without(ask, RESOLVER_NO_DATA, DNSSEC_INSECURE, false, question->answer.ttl_s,
                       "neither the host's alias nor its addresses are signed");
}

/* ---- the addresses ---- */

static void on_addresses(void *context, uint64_t inner,
                         const struct resolver_address_answer *answer)
{
    struct tlsa_ask *ask = context;

    (void)inner;
    /* One signed kind is enough: many name servers cannot prove that they have no AAAA record. */
    if (answer->outcome == RESOLVER_TRY_LATER ||
        (answer->dnssec == DNSSEC_BOGUS && !answer->has_secure_kind))
        finish_without(ask, RESOLVER_TRY_LATER, answer->dnssec, false, DNS_TTL_NEGATIVE_S,
                       answer->text_cstr[0] != '\0'
                           ? answer->text_cstr
                           : "the signatures of one kind of address do not hold (bogus)");
    else if (answer->outcome != RESOLVER_FOUND)
        finish_without(ask, RESOLVER_NO_DATA, answer->dnssec, false, answer->ttl_s,
                       "the host has no address");
    else if (answer->has_secure_kind)
        ask_at(ask, answer->canonical_cstr);
    else if (strcmp(answer->canonical_cstr, ask->host_cstr) != 0)
        ask->inner =
            resolver__ask_record(ask->resolver, ask->host_cstr, DNS_TYPE_CNAME, on_alias, ask);
    else
        finish_without(ask, RESOLVER_NO_DATA, answer->dnssec, false, answer->ttl_s,
                       "the host's addresses are not signed");
}

uint64_t resolver_ask_tlsa(struct resolver *resolver, const char *host_cstr, uint16_t port,
                           resolver_tlsa_fn *fn, void *context)
{
    struct tlsa_ask *ask = calloc(1, sizeof *ask);
    struct slice host = slice_from_cstr(host_cstr);

    must(ask != NULL);
    ask->resolver = resolver;
    ask->id = ++resolver->last_id;
    ask->fn = fn;
    ask->context = context;
    ask->port = port;
    /* Any other stays "": it has no address, and no records. */
    if (dns_is_host_name(host))
        for (size_t i = 0; i < host.len; i++)
            ask->host_cstr[i] = (char)byte_lower(host.at[i]);
    map_put(&resolver->tlsa_asks, ask->id, ask);
    ask->inner = resolver_ask_addresses(resolver, ask->host_cstr, on_addresses, ask);
    return ask->id;
}
