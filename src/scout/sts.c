/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/sts.h"

#include "format/sts/sts.h"

#include <stdio.h>

enum { HTTPS_PORT = 443, PATTERNS_MAX_BYTES = STS_MX_MAX * (STS_PATTERN_MAX_BYTES + 1) };

struct finding {
    uint64_t lookup, fetch; /* 0: none is under way */
    uint32_t ttl_s;
    char id_cstr[STS_ID_SIZE];
};

static void answer(struct scout_ask *ask, enum sts_outcome outcome, const char *why_cstr)
{
    const struct finding *finding = ask->state;
    struct ipc_sts_found found = {.outcome = outcome,
                                  .id = slice_from_cstr(finding->id_cstr),
                                  .ttl_s = finding->ttl_s,
                                  .why = slice_from_cstr(why_cstr)};

    scout_answer(ask, IPC_STS_FOUND, &found);
}

/* ---- the policy ---- */

/* The type, parameters apart [RFC 8461 §3.2]: whatever a stranger can put on a web server that shows text is no policy. */
static bool is_plain_text(const char *type_cstr)
{
    struct slice rest = slice_from_cstr(type_cstr);

    return slice_equal_nocase(slice_trim(slice_cut(&rest, ';')), S("text/plain"));
}

static enum sts_state state_of(enum sts_mode mode)
{
    switch (mode) {
    case STS_MODE_NONE:
    case STS_MODE_COUNT:
        break;
    case STS_MODE_TESTING:
        return STS_TESTING;
    case STS_MODE_ENFORCE:
        return STS_ENFORCE;
    }
    return STS_NONE;
}

static void answer_policy(struct scout_ask *ask, struct slice text)
{
    const struct finding *finding = ask->state;
    struct sts_policy policy;
    struct ipc_sts_found found = {.outcome = STS_OUTCOME_POLICY,
                                  .id = slice_from_cstr(finding->id_cstr),
                                  .ttl_s = finding->ttl_s,
                                  .text = text};
    struct buffer patterns;
    struct err err = {0};

    if (!sts_policy_parse(text, &policy, &err)) {
        answer(ask, STS_OUTCOME_INVALID, err.text_cstr);
        return;
    }
    buffer_init(&patterns, PATTERNS_MAX_BYTES);
    must(sts_policy_patterns(&policy, &patterns));
    found.mode = state_of(policy.mode);
    found.max_age_s = policy.max_age_s;
    found.mx = buffer_view(&patterns);
    scout_answer(ask, IPC_STS_FOUND, &found);
    buffer_deinit(&patterns);
}

static void on_fetched(void *context, uint64_t fetch, const struct https_answer *got)
{
    struct scout_ask *ask = context;
    struct finding *finding = ask->state;

    (void)fetch;
    finding->fetch = 0;
    if (got->failure != HTTPS_OK)
        answer(ask, STS_OUTCOME_UNFETCHED, got->text_cstr);
    else if (!is_plain_text(got->content_type_cstr))
        answer(ask, STS_OUTCOME_INVALID, "what is there is not text/plain");
    else
        answer_policy(ask, got->body);
}

static void fetch(struct scout_ask *ask)
{
    struct finding *finding = ask->state;
    unsigned port = ask->epoch->settings->sts.port;
    char url_cstr[DNS_NAME_SIZE + 64];

    if (ask->epoch->https == NULL) {
        answer(ask, STS_OUTCOME_UNFETCHED, "there are no trusted authorities");
        return;
    }
    if (port == HTTPS_PORT)
        snprintf(url_cstr, sizeof url_cstr, "https://mta-sts.%.*s/.well-known/mta-sts.txt",
                 SLICE_ARGS(ask->question->sts_find.domain));
    else
        snprintf(url_cstr, sizeof url_cstr, "https://mta-sts.%.*s:%u/.well-known/mta-sts.txt",
                 SLICE_ARGS(ask->question->sts_find.domain), port);
    finding->fetch = https_ask(
        ask->epoch->https,
        &(struct https_request){.url_cstr = url_cstr,
                                .max_bytes = STS_POLICY_MAX_BYTES,
                                .timeout_ms = scout_lane_limits[SCOUT_FETCHES].limit_ms},
        on_fetched, ask);
}

/* ---- the record ---- */

static void read_records(struct scout_ask *ask, const struct resolver_txt_answer *got)
{
    struct finding *finding = ask->state;
    struct slice records[DNS_TEXTS_MAX];
    struct err err = {0};

    for (size_t i = 0; i < got->texts->count; i++)
        records[i] = dns_text(got->texts, i);
    switch (sts_records_find(records, got->texts->count, finding->id_cstr, &err)) {
    case PROGRESS_WAIT:
        answer(ask, STS_OUTCOME_NONE, "");
        return;
    case PROGRESS_FAIL:
        finding->id_cstr[0] = '\0';
        answer(ask, STS_OUTCOME_NONE, err.text_cstr);
        return;
    case PROGRESS_DONE:
        break;
    }
    if (slice_equal(ask->question->sts_find.known_id, slice_from_cstr(finding->id_cstr)))
        answer(ask, STS_OUTCOME_SAME, "");
    else
        scout_enter(ask, SCOUT_FETCHES, fetch);
}

static void on_records(void *context, uint64_t lookup, const struct resolver_txt_answer *got)
{
    struct scout_ask *ask = context;
    struct finding *finding = ask->state;

    (void)lookup;
    finding->lookup = 0;
    finding->ttl_s = got->ttl_s;
    switch (got->outcome) {
    case RESOLVER_FOUND:
        read_records(ask, got);
        return;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_NO_DATA:
    case RESOLVER_NULL_MX:
        answer(ask, STS_OUTCOME_NONE, "");
        return;
    case RESOLVER_TRY_LATER:
        break;
    }
    answer(ask, STS_OUTCOME_UNKNOWN, got->text_cstr);
}

static void begin(struct scout_ask *ask)
{
    struct finding *finding = ask->state;
    struct slice domain = ask->question->sts_find.domain;
    char name_cstr[DNS_NAME_SIZE];

    /* A name too long for the label in front of it cannot have a record. */
    if (!dns_is_host_name(domain) ||
        (size_t)snprintf(name_cstr, sizeof name_cstr, "_mta-sts.%.*s", SLICE_ARGS(domain)) >=
            sizeof name_cstr) {
        answer(ask, STS_OUTCOME_NONE, "no name of a domain");
        return;
    }
    finding->lookup = resolver_ask_txt(ask->epoch->resolver, name_cstr, on_records, ask);
}

static void time_is_up(struct scout_ask *ask)
{
    if (ask->lane == SCOUT_LOOKUPS)
        answer(ask, STS_OUTCOME_UNKNOWN, "the DNS did not answer in time");
    else
        answer(ask, STS_OUTCOME_UNFETCHED, "the policy did not come in time");
}

static void let_go(struct scout_ask *ask)
{
    struct finding *finding = ask->state;

    if (finding->lookup != 0)
        resolver_cancel(ask->epoch->resolver, finding->lookup);
    if (finding->fetch != 0)
        https_cancel(ask->epoch->https, finding->fetch);
}

const struct scout_kind scout_sts = {.question = IPC_STS_FIND,
                                     .lane = SCOUT_LOOKUPS,
                                     .state_bytes = sizeof(struct finding),
                                     .begin = begin,
                                     .time_is_up = time_is_up,
                                     .let_go = let_go};
