/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/board.h"

static const char *const names[BOARD_VERDICT_COUNT] = {
    [BOARD_UNKNOWN] = "unknown",     [BOARD_NO_MAIL] = "no mail",
    [BOARD_UNREACHED] = "unreached", [BOARD_CLEAR] = "no TLS",
    [BOARD_ENCRYPTED] = "encrypted", [BOARD_VERIFIED] = "verified",
    [BOARD_DANE] = "dane",
};

const char *board_verdict_name(enum board_verdict verdict)
{
    return (unsigned)verdict < BOARD_VERDICT_COUNT ? names[verdict] : "?";
}

enum proof_level board_verdict_level(enum board_verdict verdict)
{
    switch (verdict) {
    case BOARD_DANE:
        return PROOF_DANE;
    case BOARD_VERIFIED:
        return PROOF_VERIFIED;
    case BOARD_ENCRYPTED:
        return PROOF_ENCRYPTED;
    case BOARD_UNKNOWN:
    case BOARD_NO_MAIL:
    case BOARD_UNREACHED:
    case BOARD_CLEAR:
    case BOARD_VERDICT_COUNT:
        break;
    }
    return PROOF_NONE;
}

static unsigned features_of(const struct board_host *host)
{
    return (host->has_starttls ? BOARD_HAS_STARTTLS : 0U) |
           (host->is_tls_1_3 ? BOARD_HAS_TLS_1_3 : 0U) |
           (host->is_webpki ? BOARD_HAS_WEBPKI : 0U) |
           (host->dane == DANE_USABLE && host->level == PROOF_DANE ? BOARD_HAS_DANE : 0U) |
           (host->has_requiretls ? BOARD_HAS_REQUIRETLS : 0U);
}

void board_add(struct board_sum *sum, const struct board_host *host)
{
    sum->hosts++;
    if (!host->was_reached)
        return;
    if (sum->reached++ == 0) {
        sum->best = sum->least = host->level;
        sum->mx_proof = host->mx_proof;
        sum->features = features_of(host);
        return;
    }
    if (host->level > sum->best) {
        sum->best = host->level;
        sum->mx_proof = host->mx_proof;
    }
    if (host->level < sum->least)
        sum->least = host->level;
    sum->features &= features_of(host);
}

enum board_verdict board_judge(struct board_sum *sum, bool is_mx_signed, enum sts_state sts)
{
    sum->features |= is_mx_signed ? BOARD_HAS_SIGNED_MX : 0U;
    sum->features |= sts == STS_ENFORCE || sts == STS_KEPT ? BOARD_HAS_STS_ENFORCE : 0U;
    sum->features |= sts == STS_TESTING ? BOARD_HAS_STS_TESTING : 0U;
    sum->features |= sum->best != sum->least ? BOARD_IS_MIXED : 0U;
    if (sum->reached == 0)
        return BOARD_UNREACHED;
    switch (sum->best) {
    case PROOF_DANE:
        return BOARD_DANE;
    case PROOF_VERIFIED:
        return BOARD_VERIFIED;
    case PROOF_ENCRYPTED:
        return BOARD_ENCRYPTED;
    case PROOF_NONE:
    case PROOF_COUNT:
        break;
    }
    return BOARD_CLEAR;
}

enum board_step board_step(enum board_verdict before, enum board_verdict now,
                           int64_t worse_ms_ago, int64_t again_after_ms)
{
    /* Nobody reached says nothing about TLS. */
    if (now == before || now == BOARD_UNKNOWN ||
        (now == BOARD_UNREACHED && before > BOARD_UNREACHED))
        return BOARD_STEP_KEEP;
    if (before <= BOARD_UNREACHED || now > before)
        return BOARD_STEP_TAKE;
    if (worse_ms_ago >= 0 && worse_ms_ago >= again_after_ms / 2)
        return BOARD_STEP_TAKE;
    return BOARD_STEP_AGAIN;
}
