/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is published about one host of one domain, and what one message therefore demands of it: from the MX look-up, the
 * host's addresses and TLSA records and the domain's MTA-STS policy to the facts of the decision table, and from its
 * row to what the connection needs (TLSA records, names to expect, a key that keeps apart what must not share a
 * connection). Pure: it reads directory entries and asks nobody. Delivery uses it for each host it walks to, the scout
 * for each host it tests.
 */
#ifndef DELIVER_HOST_POLICY_H
#define DELIVER_HOST_POLICY_H

#include "crypto/tls.h"
#include "deliver/directory.h"
#include "policy/tls_table.h"

/* All views; they must outlive the host_policy that is made of them. */
struct host_policy_facts {
    const char *domain_cstr; /* the recipients' */
    const char *host_cstr;
    bool is_fixed;                       /* named by our own settings, or an address literal */
    const struct directory_entry *hosts; /* of the domain; NULL when is_fixed */
    const struct directory_entry *addresses; /* of the host; NULL for an address literal */
    enum sts_state sts;                      /* of the domain */
    struct slice sts_id, sts_mx;             /* the policy's id, and its patterns, one a line */
    bool is_ratcheted;      /* the domain is; the host's own state is in `addresses` */
    bool is_ratchet_lifted; /* neither counts for this message any more */
};

struct host_policy {
    struct tls_host_facts facts;
    struct tls_demand demand;
    struct slice sts_id, sts_pattern; /* the policy, and what in it names the host */
    /*
     * For a demand of PROOF_DANE: the TLSA records, and the names of which a certificate under a DANE-TA record must hold
     * one, the base domain first [RFC 7672 §3.2.2]. Else NULL.
     */
    const struct tlsa_set *tlsa;
    const char *names_cstr[TLS_MAX_NAMES];
    uint8_t
        key[SHA256_BYTES]; /* of both: connections with different keys never mix. Else zeros */
};

/* Never fails. */
void host_policy_find(const struct host_policy_facts *known,
                      const struct tls_requirement *requirement,
                      struct host_policy *policy_out);

/*
 * Words for the story: the policy that was met or not ("TLSA 3 1 1 0a1b…", "MTA-STS 20260101 (enforce): *.mail.example"; nothing
 * when there is none). Cut when it does not fit.
 */
void host_policy_write(const struct host_policy *policy, char *text_out, size_t size);

#endif
