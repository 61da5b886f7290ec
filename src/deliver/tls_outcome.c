/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/tls_outcome.h"

#include "base/encode.h"
#include "ipc/pack.h"

enum { TLSA_REPORTED_BYTES = 64, TLSA_TEXT_MAX_BYTES = 2048 };

static enum tls_report_policy policy_of(const struct tls_host_facts *facts)
{
    if (facts->dane == DANE_USABLE || facts->dane == DANE_UNUSABLE ||
        facts->dane == DANE_FAILED)
        return REPORT_TLSA;
    return facts->sts == STS_NONE ? REPORT_NO_POLICY : REPORT_STS;
}

/* The records as they are reported: "3 1 1 0a1b…" in full, whole certificates cut, one a line. */
static void write_records(const struct tlsa_set *set, struct buffer *out)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct tlsa_record *record = &set->records[i];
        size_t before = buffer_len(out);

        if (!buffer_append_format(out, "%u %u %u ", record->usage, record->selector,
                                  record->matching) ||
            !hex_append(out, slice_head(tlsa_data(set, record), TLSA_REPORTED_BYTES)) ||
            !buffer_append_byte(out, '\n')) {
            buffer_truncate(out, before);
            return;
        }
    }
}

static void note(struct delivery *delivery, enum tls_report_result result,
                 const char *detail_cstr)
{
    const struct delivery_evidence *evidence = &delivery->evidence;
    struct ipc_tls_result item = {
        .policy = policy_of(&delivery->walk.policy.facts),
        .result = result,
        .mx = slice_from_cstr(evidence->mx_cstr),
        .address = slice_from_cstr(evidence->address_cstr),
        .source = slice_from_cstr(evidence->source_cstr),
        .detail = slice_from_cstr(detail_cstr),
    };
    size_t before = buffer_len(&delivery->tls_results);
    struct buffer records;

    buffer_init(&records, TLSA_TEXT_MAX_BYTES);
    if (item.policy == REPORT_TLSA && delivery->walk.policy.tlsa != NULL)
        write_records(delivery->walk.policy.tlsa, &records);
    item.policy_text = buffer_view(&records);

    /* A list that is full has said enough; half an item would spoil it. */
    if (!ipc_list_append(&delivery->tls_results, IPC_TLS_RESULT, &item))
        buffer_truncate(&delivery->tls_results, before);
    buffer_deinit(&records);
}

static enum tls_report_result result_of(enum tls_failure failure)
{
    static const enum tls_report_result results[] = {
        [TLS_FAILURE_NONE] = REPORT_SUCCESS,
        [TLS_FAILURE_HANDSHAKE] = REPORT_VALIDATION_FAILURE,
        [TLS_FAILURE_HOST_MISMATCH] = REPORT_CERTIFICATE_HOST_MISMATCH,
        [TLS_FAILURE_EXPIRED] = REPORT_CERTIFICATE_EXPIRED,
        [TLS_FAILURE_NOT_TRUSTED] = REPORT_CERTIFICATE_NOT_TRUSTED,
        [TLS_FAILURE_TLSA_MISMATCH] = REPORT_VALIDATION_FAILURE,
        [TLS_FAILURE_VALIDATION] = REPORT_VALIDATION_FAILURE,
    };

    return results[failure];
}

/* Is an MTA-STS policy what this host is measured by? TLSA records win over it. */
static bool is_under_sts(const struct tls_host_facts *facts)
{
    return policy_of(facts) == REPORT_STS && facts->sts != STS_UNFETCHED;
}

void tls_outcome_skipped(struct delivery *delivery)
{
    const struct tls_host_facts *facts = &delivery->walk.policy.facts;

    if (facts->dane == DANE_FAILED)
        note(delivery, REPORT_DNSSEC_INVALID, "the TLSA look-up failed");
    else if (is_under_sts(facts) && !facts->is_listed)
        note(delivery, REPORT_VALIDATION_FAILURE, "the policy does not name this host");
}

/* What a connection over TLS says about what is published, whether or not that was insisted on. */
static void note_tls(struct delivery *delivery)
{
    const struct tls_host_facts *facts = &delivery->walk.policy.facts;
    const struct tls_evidence *tls = &delivery->evidence.tls;

    if (facts->dane == DANE_UNUSABLE)
        note(delivery, REPORT_TLSA_INVALID, "no TLSA record can be used");
    else if (facts->dane == DANE_FAILED)
        note(delivery, REPORT_DNSSEC_INVALID, "the TLSA look-up failed");
    else if (facts->sts == STS_UNFETCHED && policy_of(facts) == REPORT_STS)
        note(delivery, REPORT_STS_POLICY_FETCH_ERROR, "the policy cannot be had");
    else if (is_under_sts(facts) && !facts->is_listed)
        note(delivery, REPORT_VALIDATION_FAILURE, "the policy does not name this host");
    else if (is_under_sts(facts) && !tls->is_verified)
        note(delivery, result_of(tls->failure), tls->reason_cstr);
    else
        note(delivery, REPORT_SUCCESS, "");
}

void tls_outcome_used(struct delivery *delivery)
{
    const struct delivery_evidence *evidence = &delivery->evidence;

    if (evidence->is_reused || delivery->walk.is_last_resort)
        return; /* counted when it was new; when its handshake failed */
    if (evidence->is_tls)
        note_tls(delivery);
    else
        note(delivery, REPORT_STARTTLS_NOT_SUPPORTED, "");
}

void tls_outcome_refused(struct delivery *delivery, bool has_failed_handshake)
{
    const struct delivery_evidence *evidence = &delivery->evidence;

    if (has_failed_handshake && evidence->tls.has_certificate)
        note(delivery, result_of(evidence->tls.failure), evidence->tls.reason_cstr);
    else if (has_failed_handshake)
        note(delivery, REPORT_VALIDATION_FAILURE, "no TLS handshake came about");
    else if (!evidence->is_tls)
        note(delivery, REPORT_STARTTLS_NOT_SUPPORTED, "");
    else if (!evidence->is_reused)
        note_tls(delivery);
}
