/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/gate.h"

enum proof_level deliver_published(const struct tls_requirement *requirement,
                                   const struct tls_host_facts *facts)
{
    bool is_secure =
        requirement->least > PROOF_NONE || requirement->requiretls || requirement->mx_proved;
    bool is_in_force = facts->sts == STS_ENFORCE || facts->sts == STS_KEPT;

    if (requirement->tls_not_required && !is_secure)
        return PROOF_NONE;
    /* Nothing makes good that the policy does not name the host, but DANE that leads there by signatures. */
    if (is_in_force && !facts->is_listed &&
        !(facts->dane == DANE_USABLE && facts->is_mx_signed))
        return PROOF_COUNT;
    if (facts->dane == DANE_USABLE || facts->dane == DANE_FAILED)
        return PROOF_DANE;
    if (is_in_force)
        return PROOF_VERIFIED;
    return facts->dane == DANE_UNUSABLE ? PROOF_ENCRYPTED : PROOF_NONE;
}

static enum proof_level greater(enum proof_level a, enum proof_level b)
{
    return a > b ? a : b;
}

bool deliver_may_send(const struct connection_proof *proof, const struct send_need *need)
{
    const struct tls_requirement *requirement = need->requirement;
    enum proof_level least = greater(requirement->least, need->published);

    if (requirement->requiretls)
        least = greater(least, PROOF_VERIFIED);
    if (requirement->mx_proved)
        least = greater(least, PROOF_ENCRYPTED);
    if ((requirement->requiretls || requirement->mx_proved) && need->mx == MX_PROOF_NONE)
        return false;
    if (requirement->requiretls && !requirement->requiretls_relaxed &&
        !proof->offers_requiretls)
        return false;
    if (requirement->tls_1_3_only && proof->is_tls && proof->version < TLS_VERSION_1_3)
        return false;
    if (least == PROOF_NONE)
        return proof->is_tls || requirement->cleartext_allowed;
    return proof->is_tls && proof->level >= least &&
           (least < PROOF_VERIFIED || proof->is_enforced);
}
