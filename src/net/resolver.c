/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver.h"

#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "base/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unbound.h>

#include <unbound-event.h>

enum { DEFAULT_TIMEOUT_MS = 30000, RECORD_SIZE = 1024, SEC_BOGUS = 1, SEC_SECURE = 2 };

struct resolver {
    struct loop *loop;
    struct list tickets;
    struct ub_ctx *unbound;
    struct map asks;
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
    bool is_secure;
    enum resolver_outcome outcome;
    struct dns_answer answer;
    char text_cstr[RESOLVER_TEXT_SIZE];
};

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
    resolver_mx_fn *mx_fn;    /* one of the two */
    resolver_address_fn *address_fn;
    void *context;
    char name_cstr[DNS_NAME_SIZE];
    size_t question_count;
    struct question questions[2];
};

/* ---- setting up ---- */

static bool is_reserved_zone(struct slice zone)
{
    return slice_equal_nocase(zone, S("test")) || slice_equal_nocase(zone, S("example")) ||
           slice_equal_nocase(zone, S("invalid"));
}

/* The zone that a local record needs: see resolver_new. */
static bool add_local_zone(struct resolver *resolver, struct slice record, bool has_forwarders)
{
    size_t len = 0;
    struct slice owner, top;
    char zone_cstr[DNS_NAME_SIZE];

    while (len < record.len && record.at[len] != ' ' && record.at[len] != '\t')
        len++;
    owner = slice_head(record, len);
    if (owner.len > 0 && owner.at[owner.len - 1] == '.')
        owner.len--;
    top = owner;
    while (slice_find_byte(top, '.') < top.len)
        slice_cut(&top, '.');
    if (is_reserved_zone(top) && !has_forwarders)
        return snprintf(zone_cstr, sizeof zone_cstr, "%.*s.", SLICE_ARGS(top)) > 0 &&
               ub_ctx_zone_add(resolver->unbound, zone_cstr, "static") == 0;
    if (owner.len >= sizeof zone_cstr - 1)
        return false;
    snprintf(zone_cstr, sizeof zone_cstr, "%.*s.", SLICE_ARGS(owner));
    return ub_ctx_zone_add(resolver->unbound, zone_cstr, "transparent") == 0;
}

static bool add_local_data(struct resolver *resolver, const struct resolver_options *options,
                           struct err *err)
{
    for (size_t i = 0; i < options->local_data_count; i++) {
        const char *record_cstr = options->local_data[i];

        if (!add_local_zone(resolver, slice_trim(slice_from_cstr(record_cstr)),
                            options->forward_count > 0) ||
            ub_ctx_data_add(resolver->unbound, record_cstr) != 0)
            return FAIL(err, ERR_PERM,
                        "cannot read the local DNS record \"%s\"; write it like "
                        "\"good.test. MX 10 mx.good.test.\"",
                        record_cstr);
    }
    return true;
}

static bool add_forwarders(struct resolver *resolver, const struct resolver_options *options,
                           struct err *err)
{
    if (options->forward_count == 0)
        return true;
    /* By default unbound never asks 127.0.0.1; a forwarder may well be there. */
    must(ub_ctx_set_option(resolver->unbound, "do-not-query-localhost:", "no") == 0);
    for (size_t i = 0; i < options->forward_count; i++)
        if (ub_ctx_set_fwd(resolver->unbound, options->forward[i]) != 0)
            return FAIL(err, ERR_PERM,
                        "\"%s\" is not the address of a resolver; write it like "
                        "\"192.0.2.1\" or \"127.0.0.1@5353\"",
                        options->forward[i]);
    return true;
}

static bool add_trust_anchor(struct resolver *resolver, struct slice bytes, struct err *err)
{
    while (bytes.len > 0) {
        struct slice line = slice_cut(&bytes, '\n');
        char line_cstr[RECORD_SIZE];

        line = slice_trim(slice_head(line, slice_find_byte(line, ';')));
        if (line.len == 0)
            continue;
        if (!slice_to_cstr(line, line_cstr, sizeof line_cstr) ||
            ub_ctx_add_ta(resolver->unbound, line_cstr) != 0)
            return FAIL(err, ERR_PERM,
                        "a line of the trust anchor is not a DS or DNSKEY record");
    }
    return true;
}

static bool set_up(struct resolver *resolver, const struct resolver_options *options,
                   struct err *err)
{
    static const char *const settings[][2] = {
        {"verbosity:", "0"},
        {"use-syslog:", "no"},
        {"outgoing-range:", "512"},
        {"num-queries-per-thread:", "2048"},
        {"qname-minimisation:", "yes"},
        {"msg-cache-size:", "16m"},
        {"rrset-cache-size:", "32m"},
    };

    for (size_t i = 0; i < COUNT_OF(settings); i++)
        must(ub_ctx_set_option(resolver->unbound, settings[i][0], settings[i][1]) == 0);
    must(ub_ctx_debugout(resolver->unbound, NULL) == 0);
    if (!add_forwarders(resolver, options, err) ||
        !add_trust_anchor(resolver, options->trust_anchor, err))
        return false;
    /* The first zone closes the context for all settings above. By default "test." does not exist. */
    if (options->forward_count > 0)
        must(ub_ctx_zone_add(resolver->unbound, "test.", "transparent") == 0);
    return add_local_data(resolver, options, err);
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
    list_init(&resolver->tickets);
    resolver->unbound = ub_ctx_create_event(loop_event_base(loop));
    must(resolver->unbound != NULL);
    *resolver_out = resolver;
    if (set_up(resolver, options, err))
        return true;
    resolver_free(resolver_out);
    return false;
}

static void ask_free(struct ask *ask)
{
    map_take(&ask->resolver->asks, ask->id);
    loop_timer_free(&ask->timer);
    free(ask);
}

void resolver_free(struct resolver **resolver)
{
    struct resolver *it = *resolver;
    struct ask *ask;
    uint64_t id;

    if (it == NULL)
        return;
    for (size_t position = 0; (ask = map_next(&it->asks, &position, &id)) != NULL; position = 0)
        ask_free(ask);
    ub_ctx_delete(it->unbound);
    for (struct list_link *link; (link = list_take_first(&it->tickets)) != NULL;)
        free(LIST_ELEMENT(link, struct ticket, link));
    map_deinit(&it->asks);
    free(it);
    *resolver = NULL;
}

void resolver_cancel(struct resolver *resolver, uint64_t id)
{
    struct ask *ask = map_get(&resolver->asks, id);

    /* unbound goes on looking, for its cache; its answer finds no ask any more. */
    if (ask != NULL)
        ask_free(ask);
}

/* ---- answers ---- */

static void fail_question(struct question *question, const char *why_cstr)
{
    question->outcome = RESOLVER_TRY_LATER;
    snprintf(question->text_cstr, sizeof question->text_cstr, "%s", why_cstr);
}

static void judge(struct question *question)
{
    const struct dns_answer *answer = &question->answer;

    question->outcome = RESOLVER_FOUND;
    if (answer->rcode == DNS_RCODE_NO_DOMAIN) {
        question->outcome = RESOLVER_NO_DOMAIN;
    } else if (answer->rcode != DNS_RCODE_OK) {
        fail_question(question, "");
        snprintf(question->text_cstr, sizeof question->text_cstr,
                 "the DNS server failed (code %u)", answer->rcode);
    } else if (answer->is_null_mx) {
        question->outcome = RESOLVER_NULL_MX;
    } else if (answer->mx_count + answer->address_count == 0) {
        question->outcome = RESOLVER_NO_DATA;
        if (answer->unusable > 0)
            fail_question(question, "the MX records name no usable host");
    }
}

/* The answer ends in an alias without its target (local data does that): then ask for the target. */
static bool needs_chase(const struct question *question, const char *asked_cstr)
{
    return question->outcome == RESOLVER_NO_DATA && question->aliases < DNS_CHAIN_MAX &&
           strcmp(question->answer.canonical_cstr, asked_cstr) != 0 &&
           dns_is_host_name(slice_from_cstr(question->answer.canonical_cstr));
}

static void take_answer(struct ask *ask, struct question *question, int rcode, int security,
                        struct slice packet)
{
    char asked_cstr[DNS_NAME_SIZE];
    struct err err;

    memcpy(asked_cstr, question->answer.canonical_cstr, sizeof asked_cstr);
    question->is_secure = question->is_secure && security == SEC_SECURE;
    question->state = QUESTION_ANSWERED;
    if (security == SEC_BOGUS) {
        fail_question(question, "the signatures of the DNS answer do not hold");
    } else if (rcode != 0 || packet.len == 0) {
        fail_question(question, "no DNS server gave an answer");
    } else if (!dns_answer_parse(packet, asked_cstr, question->type, &question->answer, &err)) {
        fail_question(question, err.text_cstr);
    } else {
        judge(question);
        if (needs_chase(question, asked_cstr))
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

    (void)why_bogus_cstr;
    (void)was_ratelimited;
    if (ask != NULL)
        take_answer(ask, &ask->questions[ticket->which], rcode, security,
                    slice_of(packet, packet_len > 0 ? (size_t)packet_len : 0));
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

static void answer_mx(struct ask *ask)
{
    const struct question *question = &ask->questions[0];
    struct resolver_mx_answer answer = {.outcome = question->outcome,
                                        .is_secure = question->is_secure,
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
    ask->mx_fn(ask->context, ask->id, &answer);
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

static void answer_addresses(struct ask *ask)
{
    const struct question *ipv4 = &ask->questions[0], *ipv6 = &ask->questions[1];
    const struct question *decisive = decisive_question(ask);
    struct resolver_address_answer answer = {.outcome = decisive->outcome,
                                             .is_secure = ipv4->is_secure && ipv6->is_secure};

    snprintf(answer.text_cstr, sizeof answer.text_cstr, "%s", decisive->text_cstr);
    answer.ttl_s = decisive->answer.ttl_s;
    if (ask->resolver->prefer_ipv4) {
        add_addresses(&answer, &ipv4->answer, DNS_ADDRESSES_MAX);
        add_addresses(&answer, &ipv6->answer, DNS_ADDRESSES_MAX);
    } else {
        /* Leave room for IPv4: a host with many IPv6 addresses must stay reachable without IPv6. */
        add_addresses(&answer, &ipv6->answer, DNS_ADDRESSES_MAX / 2);
        add_addresses(&answer, &ipv4->answer, DNS_ADDRESSES_MAX);
    }
    ask->address_fn(ask->context, ask->id, &answer);
}

static void give_up_waiting(struct ask *ask)
{
    for (size_t i = 0; i < ask->question_count; i++)
        if (ask->questions[i].state != QUESTION_ANSWERED) {
            fail_question(&ask->questions[i], "the DNS did not answer in time");
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
    if (ask->mx_fn != NULL)
        answer_mx(ask);
    else
        answer_addresses(ask);
    loop_timer_free(&ask->timer);
    free(ask);
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
    question->is_secure = true;
    memcpy(question->answer.canonical_cstr, ask->name_cstr, sizeof ask->name_cstr);
    if (ask->name_cstr[0] != '\0') {
        ask_unbound(ask, which);
        return;
    }
    question->is_secure = false;
    question->state = QUESTION_ANSWERED;
    question->outcome = RESOLVER_NO_DOMAIN;
    question->answer.ttl_s = DNS_TTL_NEGATIVE_S;
    loop_timer_set(ask->timer, 0);
}

uint64_t resolver_ask_mx(struct resolver *resolver, const char *domain_cstr, resolver_mx_fn *fn,
                         void *context)
{
    struct ask *ask = ask_new(resolver, domain_cstr, context);

    ask->mx_fn = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, DNS_TYPE_MX);
    return ask->id;
}

uint64_t resolver_ask_addresses(struct resolver *resolver, const char *host_cstr,
                                resolver_address_fn *fn, void *context)
{
    struct ask *ask = ask_new(resolver, host_cstr, context);

    ask->address_fn = fn;
    loop_timer_set(ask->timer, resolver->timeout_ms);
    ask_question(ask, DNS_TYPE_A);
    ask_question(ask, DNS_TYPE_AAAA);
    return ask->id;
}
