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

/* ---- telling it over HTTPS ---- */

enum { ANSWER_MAX_BYTES = 64 << 10, URL_MAX_BYTES = 600, POST_MS = 50 * 1000 };

struct post {
    uint64_t request; /* 0: none is under way */
};

static void answer_post(struct scout_ask *ask, bool ok, bool temporary, const char *why_cstr)
{
    struct ipc_report_posted posted = {
        .ok = ok, .temporary = temporary, .why = slice_from_cstr(why_cstr)};

    scout_answer(ask, IPC_REPORT_POSTED, &posted);
}

/* What another try may mend: not an address that is none, and not a server that has understood and refused. */
static bool is_temporary(const struct https_answer *got)
{
    switch (got->failure) {
    case HTTPS_URL:
    case HTTPS_ADDRESS:
    case HTTPS_REDIRECT:
        return false;
    case HTTPS_STATUS:
        return got->status >= 500 || got->status == 408 || got->status == 429;
    case HTTPS_OK:
    case HTTPS_DNS:
    case HTTPS_CONNECT:
    case HTTPS_TLS:
    case HTTPS_PROTOCOL:
    case HTTPS_TOO_LARGE:
    case HTTPS_TOO_SLOW:
        break;
    }
    return true;
}

static void on_posted(void *context, uint64_t request, const struct https_answer *got)
{
    struct scout_ask *ask = context;
    struct post *post = ask->state;

    (void)request;
    post->request = 0;
    /* A long answer to a report that was taken is nobody's loss. */
    if (got->failure == HTTPS_OK || (got->failure == HTTPS_TOO_LARGE && got->status / 100 == 2))
        answer_post(ask, true, false, "");
    else
        answer_post(ask, false, is_temporary(got), got->text_cstr);
}

static void begin_post(struct scout_ask *ask)
{
    const struct ipc_report_post *question = &ask->question->report_post;
    struct https_request request = {
        .max_bytes = ANSWER_MAX_BYTES, .timeout_ms = POST_MS, .post = question->content};
    char url_cstr[URL_MAX_BYTES], type_cstr[128];
    struct post *post = ask->state;

    if (!slice_to_cstr(question->url, url_cstr, sizeof url_cstr) ||
        !slice_to_cstr(question->type, type_cstr, sizeof type_cstr)) {
        answer_post(ask, false, false, "the address is too long");
        return;
    }
    if (ask->epoch->https == NULL) {
        answer_post(ask, false, true, "there are no trusted authorities");
        return;
    }
    request.url_cstr = url_cstr;
    request.content_type_cstr = type_cstr;
    post->request = https_ask(ask->epoch->https, &request, on_posted, ask);
}

static void post_is_late(struct scout_ask *ask)
{
    answer_post(ask, false, true, "the report was not taken in time");
}

static void let_go_post(struct scout_ask *ask)
{
    struct post *post = ask->state;

    if (post->request != 0)
        https_cancel(ask->epoch->https, post->request);
}

const struct scout_kind scout_report = {.question = IPC_REPORT_POST,
                                        .lane = SCOUT_FETCHES,
                                        .state_bytes = sizeof(struct post),
                                        .begin = begin_post,
                                        .time_is_up = post_is_late,
                                        .let_go = let_go_post};
