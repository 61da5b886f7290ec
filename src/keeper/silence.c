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

void circuit_deinit(struct circuit *circuit)
{
    free(circuit->silent_why_cstr);
    circuit->silent_why_cstr = NULL;
}

static void begin_rest(struct circuit *circuit, struct slice name,
                       const struct ipc_result *result, int64_t now_ms, int64_t retry_first_ms)
{
    /* [RFC 3463 §3.5] 4.4.3: the directory server. */
    bool is_dns = slice_equal(result->enhanced, S("4.4.3"));

    circuit->silent_rounds++;
    circuit->silent_until_ms = now_ms + rest_ms(circuit->silent_rounds, retry_first_ms, is_dns);
    free(circuit->silent_why_cstr);
    circuit->silent_why_cstr = strndup((const char *)result->reply.at, result->reply.len);
    must(circuit->silent_why_cstr != NULL);
    LOG(LOG_INFO, "keeper.domain_silent", log_text("domain", name),
        log_i64("rest_ms", circuit->silent_until_ms - now_ms),
        log_u64("round", circuit->silent_rounds));
}

void silence_note(struct circuit *circuit, struct slice name,
                  const struct ipc_delivered *delivered, int64_t now_ms, int64_t retry_first_ms)
{
    struct ipc_result result = {.reply = S("")};

    if (is_heard(delivered, &result)) {
        silence_end(circuit, name);
        return;
    }
    if (!delivered->unreached || result.outcome != OUTCOME_TEMPORARY)
        return;
    circuit->is_suspect = true;
    /* Those that were under way together tell the same thing once. */
    if (silence_rests(circuit, now_ms) ||
        (circuit->silent_rounds == 0 && ++circuit->misses < SILENCE_MISSES))
        return;
    begin_rest(circuit, name, &result, now_ms, retry_first_ms);
}

void silence_suspect(struct circuit *circuit)
{
    if (circuit->is_suspect)
        return;
    circuit->is_suspect = true;
    circuit->misses = SILENCE_MISSES - 1;
}

void silence_end(struct circuit *circuit, struct slice name)
{
    if (circuit->silent_rounds > 0)
        LOG(LOG_INFO, "keeper.domain_heard", log_text("domain", name));
    circuit->is_suspect = false;
    circuit->misses = circuit->silent_rounds = 0;
    circuit->silent_until_ms = 0;
    free(circuit->silent_why_cstr);
    circuit->silent_why_cstr = NULL;
}

static void end_all_of(const struct provider *provider)
{
    for (struct lane *lane = provider->lanes; lane != NULL; lane = lane->next)
        silence_end(&lane->circuit, slice_from_cstr(provider->name_cstr));
}

void silence_end_all(struct keeper *keeper)
{
    struct domain *domain;
    struct provider *provider;
    size_t position = 0;
    uint64_t id;

    while ((domain = map_next(&keeper->domains.by_id, &position, &id)) != NULL)
        end_all_of(domain->provider);
    position = 0;
    while ((provider = map_next(&keeper->lanes.providers, &position, &id)) != NULL)
        for (; provider != NULL; provider = provider->next_same)
            end_all_of(provider);
}

bool silence_rests(const struct circuit *circuit, int64_t now_ms)
{
    return circuit->silent_rounds > 0 && now_ms < circuit->silent_until_ms;
}
