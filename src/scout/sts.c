/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/sts.h"

#include "format/sts/sts.h"

#include <stdio.h>

struct finding {
    uint64_t lookup; /* 0: none is under way */
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
        answer(ask, STS_OUTCOME_UNFETCHED, "");
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
}

const struct scout_kind scout_sts = {.question = IPC_STS_FIND,
                                     .lane = SCOUT_LOOKUPS,
                                     .state_bytes = sizeof(struct finding),
                                     .begin = begin,
                                     .time_is_up = time_is_up,
                                     .let_go = let_go};
