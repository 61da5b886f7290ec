/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/report.h"

#include "policy/tls_report.h"

#include <stdio.h>

/* ---- where reports are wanted ---- */

struct rua {
    uint64_t lookup; /* 0: none is under way */
};

static void answer_rua(struct scout_ask *ask, bool ok, struct slice uris, const char *why_cstr)
{
    struct ipc_rua_found found = {.ok = ok, .uris = uris, .why = slice_from_cstr(why_cstr)};

    scout_answer(ask, IPC_RUA_FOUND, &found);
}

/* Texts that are no such record do not count; of those that are there must be exactly one. [RFC 8460 §3] */
static void read_records(struct scout_ask *ask, const struct dns_texts *texts)
{
    struct slice record = S("");
    struct buffer uris;
    struct err err = {0};
    size_t count = 0;

    for (size_t i = 0; i < texts->count; i++)
        if (rua_is_record(dns_text(texts, i))) {
            record = dns_text(texts, i);
            count++;
        }
    buffer_init(&uris, (size_t)RUA_URIS_MAX * (RUA_URI_MAX_BYTES + 10));
    if (count != 1)
        answer_rua(ask, true, S(""), count == 0 ? "" : "there is more than one record");
    else if (rua_record_parse(record, &uris, &err))
        answer_rua(ask, true, buffer_view(&uris), "");
    else
        answer_rua(ask, true, S(""), err.text_cstr);
    buffer_deinit(&uris);
}

static void on_records(void *context, uint64_t lookup, const struct resolver_txt_answer *got)
{
    struct scout_ask *ask = context;
    struct rua *rua = ask->state;

    (void)lookup;
    rua->lookup = 0;
    switch (got->outcome) {
    case RESOLVER_FOUND:
        read_records(ask, got->texts);
        return;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_NO_DATA:
    case RESOLVER_NULL_MX:
        answer_rua(ask, true, S(""), "");
        return;
    case RESOLVER_TRY_LATER:
        break;
    }
    answer_rua(ask, false, S(""), got->text_cstr);
}

static void begin_rua(struct scout_ask *ask)
{
    struct slice domain = ask->question->rua_find.domain;
    struct rua *rua = ask->state;
    char name_cstr[DNS_NAME_SIZE];

    if (!dns_is_host_name(domain) ||
        (size_t)snprintf(name_cstr, sizeof name_cstr, "_smtp._tls.%.*s", SLICE_ARGS(domain)) >=
            sizeof name_cstr) {
        answer_rua(ask, true, S(""), "no name of a domain");
        return;
    }
    rua->lookup = resolver_ask_txt(ask->epoch->resolver, name_cstr, on_records, ask);
}

static void rua_is_late(struct scout_ask *ask)
{
    answer_rua(ask, false, S(""), "the DNS did not answer in time");
}

static void let_go_rua(struct scout_ask *ask)
{
    struct rua *rua = ask->state;

    if (rua->lookup != 0)
        resolver_cancel(ask->epoch->resolver, rua->lookup);
}

const struct scout_kind scout_rua = {.question = IPC_RUA_FIND,
                                     .lane = SCOUT_LOOKUPS,
                                     .state_bytes = sizeof(struct rua),
                                     .begin = begin_rua,
                                     .time_is_up = rua_is_late,
                                     .let_go = let_go_rua};
