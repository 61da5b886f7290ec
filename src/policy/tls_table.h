/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of the TLS decision at one host (doc/tls.md): what the recipient's side has published, what was found
 * out about it, and what came of it. Values only; they travel between roles, are stored, reported [RFC 8460] and shown.
 */
#ifndef POLICY_TLS_TABLE_H
#define POLICY_TLS_TABLE_H

#include "policy/verdict.h"

/* How the host's name is known to belong to the recipient's domain. */
enum mx_proof {
    MX_PROOF_NONE, /* an unsigned MX record said so: whoever forges the DNS may have chosen it */
    MX_PROOF_DNSSEC, /* signed and validated [RFC 7672 §2.2.1] */
    MX_PROOF_STS,    /* on the list of an MTA-STS policy in force [RFC 8461 §4.1] */
    MX_PROOF_ROUTE,  /* our own settings name the host */
    MX_PROOF_COUNT
};

/* What is known of the domain's MTA-STS policy when a job begins. */
enum sts_state {
    STS_NONE,    /* no policy, or mode none */
    STS_TESTING, /* what fails is reported and nothing else */
    STS_ENFORCE, /* in force: fetched, or kept and still the announced one */
    STS_KEPT, /* in force: an older one whose max_age has not ended, as the announced one cannot be had */
    STS_UNFETCHED, /* announced, never had: as without, but reported */
    STS_COUNT
};

/* What the DNS says about the host's TLSA records. */
enum dane_state {
    DANE_NOT_ASKED, /* the host's address is not signed [RFC 7672 §2.2.2] */
    DANE_NONE,      /* securely none, or none in an unsigned zone */
    DANE_USABLE,
    DANE_UNUSABLE, /* there are some, and none that can be used */
    DANE_FAILED,   /* bogus, or no answer, under a signed address: never "none" */
    DANE_COUNT
};

/* Which kind of policy an outcome is counted under [RFC 8460 §4.4]. */
enum tls_report_policy { REPORT_NO_POLICY, REPORT_TLSA, REPORT_STS, REPORT_POLICY_COUNT };

/* What came of one try at one host, in the words of [RFC 8460 §4.3]. */
enum tls_report_result {
    REPORT_SUCCESS,
    REPORT_STARTTLS_NOT_SUPPORTED,
    REPORT_CERTIFICATE_HOST_MISMATCH,
    REPORT_CERTIFICATE_EXPIRED,
    REPORT_CERTIFICATE_NOT_TRUSTED,
    REPORT_VALIDATION_FAILURE,
    REPORT_TLSA_INVALID,
    REPORT_DNSSEC_INVALID,
    REPORT_DANE_REQUIRED,
    REPORT_STS_POLICY_FETCH_ERROR,
    REPORT_STS_POLICY_INVALID,
    REPORT_STS_WEBPKI_INVALID,
    REPORT_RESULT_COUNT
};

#endif
