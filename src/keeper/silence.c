/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/silence.h"

#include "base/log.h"
#include "keeper/internal.h"

#include <stdlib.h>
#include <string.h>

static bool is_heard(const struct ipc_delivered *delivered, struct ipc_result *first_out)
{
    struct slice rest = delivered->results;
    struct ipc_result item;
    bool is_first = true;

    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE) {
        if (is_first)
            *first_out = item;
        is_first = false;
        if (item.code != 0 || item.outcome == OUTCOME_DELIVERED)
            return true;
    }
    return false;
}

static int64_t rest_ms(unsigned rounds, int64_t retry_first_ms, bool is_dns)
{
    int64_t rest = retry_first_ms < 1 ? 1 : retry_first_ms;
    int64_t max = is_dns ? SILENCE_DNS_MAX_MS : SILENCE_MAX_MS;

    for (unsigned i = 1; i < rounds && rest < max; i++)
        rest *= 2;
    return rest < max ? rest : max;
}

static void begin_rest(struct domain *domain, const struct ipc_result *result, int64_t now_ms,
                       int64_t retry_first_ms)
{
    /* [RFC 3463 §3.5] 4.4.3: the directory server. */
    bool is_dns = slice_equal(result->enhanced, S("4.4.3"));

    domain->silent_rounds++;
    domain->silent_until_ms = now_ms + rest_ms(domain->silent_rounds, retry_first_ms, is_dns);
    free(domain->silent_why_cstr);
    domain->silent_why_cstr = strndup((const char *)result->reply.at, result->reply.len);
    must(domain->silent_why_cstr != NULL);
    LOG(LOG_INFO, "keeper.domain_silent", log_cstr("domain", domain->row.name_cstr),
        log_i64("rest_ms", domain->silent_until_ms - now_ms),
        log_u64("round", domain->silent_rounds));
}

void silence_note(struct domain *domain, const struct ipc_delivered *delivered, int64_t now_ms,
                  int64_t retry_first_ms)
{
    struct ipc_result result = {.reply = S("")};

    if (is_heard(delivered, &result)) {
        silence_end(domain);
        return;
    }
    if (!delivered->unreached || result.outcome != OUTCOME_TEMPORARY)
        return;
    domain->is_suspect = true;
    /* Those that were under way together tell the same thing once. */
    if (silence_rests(domain, now_ms) ||
        (domain->silent_rounds == 0 && ++domain->misses < SILENCE_MISSES))
        return;
    begin_rest(domain, &result, now_ms, retry_first_ms);
}

void silence_suspect(struct domain *domain)
{
    /* Once something was heard of it, or tried, that says more. */
    if (domain->window != 0 || domain->is_suspect)
        return;
    domain->is_suspect = true;
    domain->misses = SILENCE_MISSES - 1;
}

void silence_end(struct domain *domain)
{
    if (domain->silent_rounds > 0)
        LOG(LOG_INFO, "keeper.domain_heard", log_cstr("domain", domain->row.name_cstr));
    domain->is_suspect = false;
    domain->misses = domain->silent_rounds = 0;
    domain->silent_until_ms = 0;
    free(domain->silent_why_cstr);
    domain->silent_why_cstr = NULL;
}

void silence_end_all(struct keeper *keeper)
{
    struct domain *domain;
    size_t position = 0;
    uint64_t id;

    while ((domain = map_next(&keeper->domains.by_id, &position, &id)) != NULL)
        silence_end(domain);
}

bool silence_rests(const struct domain *domain, int64_t now_ms)
{
    return domain->silent_rounds > 0 && now_ms < domain->silent_until_ms;
}
