/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver_internal.h"

#include "base/log.h"
#include "base/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include <unbound-event.h>

enum { DEFAULT_TIMEOUT_MS = 30000, SEC_BOGUS = 1, SEC_SECURE = 2 };

/* What unbound gets as its context. The ask may have gone when the answer comes: so its id, no pointer. */
struct ticket {
    struct list_link link;
    struct resolver *resolver;
    uint64_t ask;
    size_t which;
};

struct ask {
    struct resolver *resolver;
    uint64_t id;
    int64_t deadline_ms, began_us;
    struct loop_timer *timer; /* the time-out; then the turn in which the answer is given */
    void (*answer)(const struct ask *ask);
    union {
        resolver_mx_fn *mx;
        resolver_address_fn *address;
        resolver_txt_fn *txt;
        resolver__record_fn *record;
    } fn;
    void *context;
    char name_cstr[DNS_NAME_SIZE];
    size_t question_count;
    struct question questions[2];
};

const char *dnssec_state_name(enum dnssec_state state)
{
    static const char *const names[] = {"unsigned", "signed", "bogus", "unknown"};

    must((unsigned)state < COUNT_OF(names));
    return names[state];
}

bool resolver_new(struct loop *loop, const struct resolver_options *options,
                  struct resolver **resolver_out, struct err *err)
{
    struct resolver *resolver = calloc(1, sizeof *resolver);

    must(resolver != NULL);
    resolver->loop = loop;
    resolver->prefer_ipv4 = options->prefer_ipv4;
    resolver->timeout_ms = options->timeout_ms > 0 ? options->timeout_ms : DEFAULT_TIMEOUT_MS;
    map_init(&resolver->asks);
    map_init(&resolver->tlsa_asks);
    list_init(&resolver->tickets);
    resolver->unbound = ub_ctx_create_event(loop_event_base(loop));
    must(resolver->unbound != NULL);
    *resolver_out = resolver;
    if (resolver__set_up(resolver, options, err))
        return true;
    resolver_free(resolver_out);
    return false;
}

static void ask_destroy(struct ask *ask)
{
    loop_timer_free(&ask->timer);
    for (size_t i = 0; i < ask->question_count; i++) {
        free(ask->questions[i].tlsa);
        free(ask->questions[i].texts);
    }
    free(ask);
}

static void ask_free(struct ask *ask)
{
    map_take(&ask->resolver->asks, ask->id);
    ask_destroy(ask);
}

void resolver_free(struct resolver **resolver)
{
    struct resolver *it = *resolver;
    struct ask *ask;
    uint64_t id;

    if (it == NULL)
        return;
    resolver__tlsa_cancel_all(it);
    for (size_t position = 0; (ask = map_next(&it->asks, &position, &id)) != NULL; position = 0)
        ask_free(ask);
    ub_ctx_delete(it->unbound);
    for (struct list_link *link; (link = list_take_first(&it->tickets)) != NULL;)
        free(LIST_ELEMENT(link, struct ticket, link));
    map_deinit(&it->asks);
    map_deinit(&it->tlsa_asks);
    free(it);
    *resolver = NULL;
}

void resolver_cancel(struct resolver *resolver, uint64_t id)
{
    struct ask *ask = map_get(&resolver->asks, id);

    /* unbound goes on looking, for its cache; its answer finds no ask any more. */
    if (ask != NULL)
        ask_free(ask);
    resolver__tlsa_cancel(resolver, id);
}

/* ---- answers ---- */

static void fail_question(struct question *question, enum dnssec_state dnssec,
                          const char *why_cstr)
{
    question->outcome = RESOLVER_TRY_LATER;
    question->dnssec = dnssec;
    snprintf(question->text_cstr, sizeof question->text_cstr, "%s", why_cstr);
}

static void judge(struct question *question)
{
    const struct dns_answer *answer = &question->answer;

    question->outcome = RESOLVER_FOUND;
    if (answer->rcode == DNS_RCODE_NO_DOMAIN) {
        question->outcome = RESOLVER_NO_DOMAIN;
    } else if (answer->rcode != DNS_RCODE_OK) {
        fail_question(question, DNSSEC_UNKNOWN, "");
        snprintf(question->text_cstr, sizeof question->text_cstr, "the DNS server failed (%s)",
                 answer->rcode == DNS_RCODE_SERVFAIL ? "SERVFAIL" : "an error code");
    } else if (answer->is_null_mx) {
        question->outcome = RESOLVER_NULL_MX;
    } else if (answer->mx_count + answer->address_count + answer->record_count == 0) {
        question->outcome = RESOLVER_NO_DATA;
        if (answer->unusable > 0)
            fail_question(question, question->dnssec, "the MX records name no usable host");
    }
}

/* The records of the types that are not part of struct dns_answer. */
static bool keep_records(struct question *question, struct slice packet, struct err *err)
{
    if (question->outcome != RESOLVER_FOUND)
        return true;
    if (question->type == DNS_TYPE_TLSA) {
        question->tlsa = calloc(1, sizeof *question->tlsa);
        must(question->tlsa != NULL);
        return dns_tlsa_parse(packet, &question->answer, question->tlsa, err);
    }
    if (question->type == DNS_TYPE_TXT) {
        question->texts = calloc(1, sizeof *question->texts);
        must(question->texts != NULL);
        return dns_texts_parse(packet, &question->answer, question->texts, err);
    }
    return true;
}

/* The answer ends in an alias without its target (local data does that): then ask for the target. */
static bool needs_chase(const struct question *question, const char *asked_cstr)
{
    return question->outcome == RESOLVER_NO_DATA && question->aliases < DNS_CHAIN_MAX &&
           strcmp(question->answer.canonical_cstr, asked_cstr) != 0 &&
           dns_is_host_name(slice_from_cstr(question->answer.canonical_cstr));
}

/* Why the signatures do not hold, in libunbound's words: text with parts made by strangers. */
static void fail_bogus(struct question *question, const char *why_cstr)
{
    fail_question(question, DNSSEC_BOGUS, "");
    snprintf(question->text_cstr, sizeof question->text_cstr,
             "the signatures of the DNS answer do not hold (bogus)%s%s",
             why_cstr == NULL ? "" : ": ", why_cstr == NULL ? "" : why_cstr);
    for (char *at = question->text_cstr; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

static void take_answer(struct ask *ask, struct question *question, int rcode, int security,
                        struct slice packet, const char *why_bogus_cstr)
{
    char asked_cstr[DNS_NAME_SIZE];
    struct err err;

    memcpy(asked_cstr, question->answer.canonical_cstr, sizeof asked_cstr);
    if (security != SEC_SECURE)
        question->dnssec = DNSSEC_INSECURE;
    question->state = QUESTION_ANSWERED;
    if (security == SEC_BOGUS) {
        fail_bogus(question, why_bogus_cstr);
    } else if (rcode != 0 || packet.len == 0) {
        fail_question(question, DNSSEC_UNKNOWN, "no DNS server gave an answer (SERVFAIL)");
    } else if (!dns_answer_parse(packet, asked_cstr, question->type, &question->answer, &err)) {
        fail_question(question, DNSSEC_UNKNOWN, err.text_cstr);
    } else {
        judge(question);
        if (!keep_records(question, packet, &err))
            fail_question(question, DNSSEC_UNKNOWN, err.text_cstr);
        else if (needs_chase(question, asked_cstr))
            question->state = QUESTION_HAS_ALIAS;
    }
    /* Not from here: we may be inside unbound, or inside resolver_ask_*. */
    loop_timer_set(ask->timer, 0);
}

static void on_resolved(void *data, int rcode, void *packet, int packet_len, int security,
                        char *why_bogus_cstr, int was_ratelimited)
{
    struct ticket *ticket = data;
    struct ask *ask = map_get(&ticket->resolver->asks, ticket->ask);

    (void)was_ratelimited;
    if (ask != NULL)
        take_answer(ask, &ask->questions[ticket->which], rcode, security,
                    slice_of(packet, packet_len > 0 ? (size_t)packet_len : 0), why_bogus_cstr);
    list_remove(&ticket->link);
    free(ticket);
}

/* question->answer.canonical_cstr holds the name. */
static void ask_unbound(struct ask *ask, size_t which)
{
    struct question *question = &ask->questions[which];
    struct ticket *ticket = calloc(1, sizeof *ticket);

    must(ticket != NULL);
    ticket->resolver = ask->resolver;
    ticket->ask = ask->id;
    ticket->which = which;
    list_push_back(&ask->resolver->tickets, &ticket->link);
    question->state = QUESTION_WAITS;
    if (ub_resolve_event(ask->resolver->unbound, question->answer.canonical_cstr,
                         (int)question->type, 1, ticket, on_resolved, NULL) != 0)
        on_resolved(ticket, DNS_RCODE_SERVFAIL, NULL, 0, 0, NULL, 0);
}

static void answer_mx(const struct ask *ask)
{
    const struct question *question = &ask->questions[0];
    struct resolver_mx_answer answer = {.outcome = question->outcome,
                                        .is_secure = question->dnssec == DNSSEC_SECURE,
                                        .dnssec = question->dnssec,
                                        .ttl_s = question->answer.ttl_s};

    snprintf(answer.text_cstr, sizeof answer.text_cstr, "%s", question->text_cstr);
    answer.count = question->answer.mx_count;
    memcpy(answer.mx, question->answer.mx, sizeof answer.mx);
    if (answer.outcome == RESOLVER_NO_DATA) {
        answer.outcome = RESOLVER_FOUND;
        answer.is_implicit = true;
        answer.count = 1;
        answer.mx[0].preference = 0;
        memcpy(answer.mx[0].host_cstr, ask->name_cstr, sizeof ask->name_cstr);
    }
    ask->fn.mx(ask->context, ask->id, &answer);
}

static void add_addresses(struct resolver_address_answer *answer, const struct dns_answer *from,
                          size_t max)
{
    for (size_t i = 0; i < from->address_count && answer->count < max; i++)
        answer->addresses[answer->count++] = from->addresses[i];
}

/* FOUND beats everything; a failure beats "none". */
static const struct question *decisive_question(const struct ask *ask)
{
    const struct question *a = &ask->questions[0], *b = &ask->questions[1];

    if (a->outcome == RESOLVER_FOUND || b->outcome == RESOLVER_FOUND)
        return a->outcome == RESOLVER_FOUND ? a : b;
    if (a->outcome == RESOLVER_TRY_LATER || b->outcome == RESOLVER_TRY_LATER)
        return a->outcome == RESOLVER_TRY_LATER ? a : b;
    return a->outcome == RESOLVER_NO_DOMAIN ? a : b;
}

/* Of the two look-ups, the state that promises less. */
static enum dnssec_state weaker(enum dnssec_state a, enum dnssec_state b)
{
    static const enum dnssec_state order[] = {DNSSEC_BOGUS, DNSSEC_UNKNOWN, DNSSEC_INSECURE};

    for (size_t i = 0; i < COUNT_OF(order); i++)
        if (a == order[i] || b == order[i])
            return order[i];
    return DNSSEC_SECURE;
}

static bool is_found_secure(const struct question *question)
{
    return question->outcome == RESOLVER_FOUND && question->dnssec == DNSSEC_SECURE;
}

static void answer_addresses(const struct ask *ask)
{
    const struct question *ipv4 = &ask->questions[0], *ipv6 = &ask->questions[1];
    const struct question *decisive = decisive_question(ask);
    struct resolver_address_answer answer = {.outcome = decisive->outcome,
                                             .dnssec = weaker(ipv4->dnssec, ipv6->dnssec),
                                             .has_secure_kind = is_found_secure(ipv4) ||
                                                                is_found_secure(ipv6)};

    answer.is_secure = answer.dnssec == DNSSEC_SECURE;
    snprintf(answer.text_cstr, sizeof answer.text_cstr, "%s", decisive->text_cstr);
    if (answer.has_secure_kind && !is_found_secure(decisive))
        decisive = decisive == ipv4 ? ipv6 : ipv4;
    memcpy(answer.canonical_cstr, decisive->answer.canonical_cstr, DNS_NAME_SIZE);
    answer.ttl_s = decisive->answer.ttl_s;
    if (ask->resolver->prefer_ipv4) {
        add_addresses(&answer, &ipv4->answer, DNS_ADDRESSES_MAX);
        add_addresses(&answer, &ipv6->answer, DNS_ADDRESSES_MAX);
    } else {
        /* Leave room for IPv4: a host with many IPv6 addresses must stay reachable without IPv6. */
        add_addresses(&answer, &ipv6->answer, DNS_ADDRESSES_MAX / 2);
        add_addresses(&answer, &ipv4->answer, DNS_ADDRESSES_MAX);
    }
    ask->fn.address(ask->context, ask->id, &answer);
}

static void answer_txt(const struct ask *ask)
{
    const struct question *question = &ask->questions[0];
    struct resolver_txt_answer answer = {.outcome = question->outcome,
                                         .dnssec = question->dnssec,
                                         .ttl_s = question->answer.ttl_s,
                                         .texts = question->texts};

    memcpy(answer.canonical_cstr, question->answer.canonical_cstr, DNS_NAME_SIZE);
    snprintf(answer.text_cstr, sizeof answer.text_cstr, "%s", question->text_cstr);
    if (answer.outcome != RESOLVER_FOUND)
        answer.texts = NULL;
    ask->fn.txt(ask->context, ask->id, &answer);
}

static void answer_record(const struct ask *ask)
{
    ask->fn.record(ask->context, ask->id, &ask->questions[0]);
}

static void give_up_waiting(struct ask *ask)
{
    for (size_t i = 0; i < ask->question_count; i++)
        if (ask->questions[i].state != QUESTION_ANSWERED) {
            fail_question(&ask->questions[i], DNSSEC_UNKNOWN,
                          "the DNS did not answer in time (time-out)");
            ask->questions[i].state = QUESTION_ANSWERED;
        }
}

static void measure(const struct ask *ask)
{
    int64_t took_us = stats_now_us() - ask->began_us;

    STAT_MEASURE(DNS, took_us);
    STAT_ADD(DNS_FAILED, ask->questions[0].outcome == RESOLVER_TRY_LATER ? 1 : 0);
    log_slow("DNS look-up", took_us);
}

/* The time-out, or the turn after something was answered (then less than the time-out has passed). */
static void on_ask_timer(void *context)
{
    struct ask *ask = context;
    int64_t left_ms = ask->deadline_ms - loop_now_ms();
    bool is_done = true;

    if (left_ms <= 0)
        give_up_waiting(ask);
    /* First of all: setting it later would take back what an immediate answer sets. */
    loop_timer_set(ask->timer, left_ms + 1);
    for (size_t i = 0; i < ask->question_count; i++) {
        if (ask->questions[i].state == QUESTION_HAS_ALIAS) {
            ask->questions[i].aliases++;
            ask_unbound(ask, i);
        }
        is_done = is_done && ask->questions[i].state == QUESTION_ANSWERED;
    }
    if (!is_done)
        return;
    map_take(&ask->resolver->asks, ask->id);
    measure(ask);
    ask->answer(ask);
    ask_destroy(ask);
}

/* ---- asking ---- */

static struct ask *ask_new(struct resolver *resolver, const char *name_cstr, void *context)
{
    struct ask *ask = calloc(1, sizeof *ask);
    struct slice name = slice_from_cstr(name_cstr);

    must(ask != NULL);
    ask->resolver = resolver;
    ask->id = ++resolver->last_id;
    ask->context = context;
    ask->began_us = stats_now_us();
    ask->deadline_ms = loop_now_ms() + resolver->timeout_ms;
    ask->timer = loop_timer_new(resolver->loop, on_ask_timer, ask);
    /* A name that cannot exist stays "" and is answered NO_DOMAIN without asking anybody. */
    if (dns_is_host_name(name))
        for (size_t i = 0; i < name.len; i++)
            ask->name_cstr[i] = (char)byte_lower(name.at[i]);
    map_put(&resolver->asks, ask->id, ask);
    return ask;
}

static void ask_question(struct ask *ask, unsigned type)
{
    size_t which = ask->question_count++;
    struct question *question = &ask->questions[which];

    question->type = type;
    question->dnssec = DNSSEC_SECURE;
    memcpy(question->answer.canonical_cstr, ask->name_cstr, sizeof ask->name_cstr);
    if (ask->name_cstr[0] != '\0') {
        ask_unbound(ask, which);
        return;
    }
    question->dnssec = DNSSEC_INSECURE;
    question->state = QUESTION_ANSWERED;
    question->outcome = RESOLVER_NO_DOMAIN;
    question->answer.ttl_s = DNS_TTL_NEGATIVE_S;
    loop_timer_set(ask->timer, 0);
}

uint64_t resolver_ask_mx(struct resolver *resolver, const char *domain_cstr, resolver_mx_fn *fn,
                         void *context)
{
    struct ask *ask = ask_new(resolver, domain_cstr, context);

    ask->answer = answer_mx;
    ask->fn.mx = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, DNS_TYPE_MX);
    return ask->id;
}

uint64_t resolver_ask_addresses(struct resolver *resolver, const char *host_cstr,
                                resolver_address_fn *fn, void *context)
{
    struct ask *ask = ask_new(resolver, host_cstr, context);

    ask->answer = answer_addresses;
    ask->fn.address = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, DNS_TYPE_A);
    ask_question(ask, DNS_TYPE_AAAA);
    return ask->id;
}

uint64_t resolver_ask_txt(struct resolver *resolver, const char *name_cstr, resolver_txt_fn *fn,
                          void *context)
{
    struct ask *ask = ask_new(resolver, name_cstr, context);

    ask->answer = answer_txt;
    ask->fn.txt = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, DNS_TYPE_TXT);
    return ask->id;
}

uint64_t resolver__ask_record(struct resolver *resolver, const char *name_cstr, unsigned type,
                              resolver__record_fn *fn, void *context)
{
    struct ask *ask = ask_new(resolver, name_cstr, context);

    ask->answer = answer_record;
    ask->fn.record = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, type);
    return ask->id;
}
