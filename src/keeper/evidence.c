/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/evidence.h"

#include "keeper/internal.h"

#include <stdio.h>

static void fill_ruling(const struct ipc_delivered *delivered, struct evidence *evidence_out)
{
    struct slice *at = evidence_out->texts + EVIDENCE_AGAIN;

    snprintf(evidence_out->row_cstr, EVIDENCE_NUMBER_SIZE, "%u", (unsigned)delivered->row);
    *at++ = S("");
    *at++ = delivered->row == 0 ? S("") : slice_from_cstr(evidence_out->row_cstr);
    *at++ = delivered->rule;
    *at++ = delivered->row == 0 || delivered->mx_proof >= MX_PROOF_COUNT
                ? S("")
                : slice_from_cstr(mx_proof_name((enum mx_proof)delivered->mx_proof));
    *at++ = delivered->policy;
    *at++ = delivered->lookups;
    *at++ = delivered->small_hello ? S("yes") : S("");
    *at++ = delivered->requiretls ? S("yes") : S("");
    must(at == evidence_out->texts + EVIDENCE_TEXTS);
}

void evidence_fill(const struct ipc_delivered *delivered, const struct ipc_result *result,
                   struct evidence *evidence_out)
{
    struct slice *at = evidence_out->texts;
    enum proof_level level =
        delivered->level < PROOF_COUNT ? (enum proof_level)delivered->level : PROOF_NONE;

    snprintf(evidence_out->code_cstr, EVIDENCE_NUMBER_SIZE, "%u", (unsigned)result->code);
    *at++ = delivered->mx;
    *at++ = delivered->mx_address;
    *at++ = delivered->tls;
    *at++ = delivered->cipher;
    *at++ = delivered->certificate;
    *at++ = delivered->names;
    *at++ = delivered->mx_address.len == 0 ? S("") : slice_from_cstr(proof_level_name(level));
    *at++ = delivered->unverified_why;
    *at++ = delivered->reused ? S("yes") : S("");
    *at++ = result->code == 0 ? S("") : slice_from_cstr(evidence_out->code_cstr);
    *at++ = result->enhanced;
    *at++ = result->reply;
    *at++ = delivered->trail;
    fill_ruling(delivered, evidence_out);
    evidence_out->hold = HOLD_NONE;
}

void evidence_find_hold(struct keeper *keeper, const struct job *job,
                        const struct store_recipient *row,
                        const struct ipc_delivered *delivered, const struct ipc_result *result,
                        struct evidence *evidence)
{
    static const enum stat_number counters[] = {[HOLD_PROOF] = STAT_TLS_HELD_PROOF,
                                                [HOLD_POLICY] = STAT_TLS_HELD_POLICY,
                                                [HOLD_RATCHET] = STAT_TLS_HELD_RATCHET};
    enum hold hold = hold_of(delivered, result, row->method == METHOD_TLS,
                             !job->deliver.ratchet_lifted &&
                                 (job->deliver.ratcheted ||
                                  memory_is_ratcheted(keeper, MEMORY_HOST, delivered->mx)));

    evidence->hold = hold;
    if (hold == HOLD_NONE)
        return;
    stats.numbers[counters[hold]]++;
    if (hold == HOLD_RATCHET)
        memory_note_lost(keeper, job->deliver.domain);
    if (hold_write(hold, delivered, slice_head(result->reply, EVIDENCE_HELD_SIZE / 2),
                   evidence->held_cstr, EVIDENCE_HELD_SIZE))
        evidence->texts[11] = slice_from_cstr(evidence->held_cstr);
}

void evidence_tell(struct keeper *keeper, const struct store_recipient *row,
                   enum event_kind kind, struct evidence *evidence, int64_t again_ms)
{
    evidence->again_cstr[0] = '\0';
    if (again_ms != 0)
        snprintf(evidence->again_cstr, EVIDENCE_NUMBER_SIZE, "%lld", (long long)again_ms);
    evidence->texts[EVIDENCE_AGAIN] = slice_from_cstr(evidence->again_cstr);
    story_tell(keeper, row->message, (int64_t)row->number, kind, evidence->texts,
               EVIDENCE_TEXTS);
}
