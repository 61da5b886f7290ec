/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS decision for one message at one host, as a table (doc/tls.md): what the sender's side requires and what the
 * recipient's side has published in, what this host must prove and what happens if it does not out. Pure. The rows carry the
 * numbers of doc/tls.md; the first row that fits decides, and its number and name are evidence.
 *
 * Two steps. Before connecting: tls_table_demand() finds the row, and with it what the connection must prove. On the
 * connection: tls_table_decide() says what to do next. What the sender's side requires is a floor: its mail is
 * always under row 1 or 2, and what is published only adds to what they demand.
 *
 * The values travel between roles, are stored, reported [RFC 8460] and shown.
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

const char *mx_proof_name(enum mx_proof proof);
const char *sts_state_name(enum sts_state state);
const char *dane_state_name(enum dane_state state);

/* ---- before connecting ---- */

/* What is known of one host before it is connected to. */
struct tls_host_facts {
    enum mx_proof mx; /* the best there is */
    bool
        is_mx_signed; /* MX records signed, or named by our own settings: DANE applies in full */
    enum dane_state dane;
    enum sts_state sts; /* NONE for a host that our own settings name */
    bool
        is_listed; /* among the MX patterns of that policy; only looked at when one is in force */
    bool
        is_ratcheted; /* seen with TLS again and again: no clear text (rows 10, 11) until whoever says so lifts it */
};

/* What happens when the host does not prove what it must. */
enum tls_unmet {
    UNMET_LATER,      /* next host; none left: try again later */
    UNMET_NOT_PROVED, /* next host; none left: the planner chooses anew */
};

/* When a message may leave in the clear. */
enum tls_clear {
    CLEAR_NEVER,
    CLEAR_AGED,  /* rows 10 and 11 */
    CLEAR_ASKED, /* row 12: its sender said that TLS is not required */
};

/* What one message demands of one host. A value: kept with the delivery while it is at this host. */
struct tls_demand {
    unsigned row;          /* of doc/tls.md */
    const char *name_cstr; /* of the row, "secure-dane"; static */
    bool is_skipped;       /* do not even connect: unmet and why_cstr say what comes of it */
    /*
     * NONE: TLS is tried and nothing insisted on. ENCRYPTED: TLS with anybody. VERIFIED: chain and host name by WebPKI.
     * DANE: nothing but a match of the TLSA records.
     */
    enum proof_level least;
    bool tls_1_3_only;
    bool needs_requiretls; /* offered by the host after TLS */
    enum tls_clear clear;
    bool cleartext_allowed;
    uint32_t cleartext_after_ms;
    bool is_ratcheted;
    enum tls_unmet unmet;
    const char *why_cstr; /* when skipped; else "" */
};

/* The row that fits, and what it demands. Never fails: the last row fits all. */
struct tls_demand tls_table_demand(const struct tls_requirement *requirement,
                                   const struct tls_host_facts *facts);

/* ---- on the connection ---- */

enum starttls_offer { STARTTLS_ABSENT, STARTTLS_OFFERED };
enum tls_handshake { HANDSHAKE_NOT_TRIED, HANDSHAKE_DONE, HANDSHAKE_FAILED };

/* What has been seen on one connection, and how the walk stands. */
struct tls_connection_facts {
    enum starttls_offer offer;
    enum tls_handshake handshake; /* on this connection, or the one before it to this host */
    bool
        may_be_the_hello; /* it broke off as it would if our ClientHello were too large, and no small one was tried */
    bool is_enforced;       /* the TLS context itself refuses what does not reach the level */
    enum proof_level level; /* reached; NONE in the clear */
    bool is_tls_1_3;
    bool offers_requiretls; /* in the answer to EHLO under TLS */
    int64_t age_ms;         /* of the message, since it was accepted */
    bool is_last_resort;    /* every host has been tried with TLS before */
};

enum tls_action {
    TLS_ACT_START,         /* say STARTTLS */
    TLS_ACT_ENCRYPTED,     /* send over this TLS connection */
    TLS_ACT_CLEAR,         /* send in the clear */
    TLS_ACT_SMALLER_HELLO, /* the same host once more, with a small ClientHello */
    TLS_ACT_NOT_PROVED,    /* not at this host: next one; none left: OUTCOME_NOT_PROVED */
    TLS_ACT_LATER,         /* not at this host: next one; none left: try again later */
    TLS_ACT_COUNT
};

struct tls_decision {
    unsigned row;
    const char *name_cstr; /* of the row; static */
    enum tls_action action;
    const char *why_cstr; /* for NOT_PROVED and LATER: words for a person, else "" */
};

/* The first line that fits. Never fails: where none does, the answer is LATER. */
struct tls_decision tls_table_decide(const struct tls_demand *demand,
                                     const struct tls_connection_facts *facts);
/* What a host that is skipped comes to, as a decision. */
struct tls_decision tls_table_skip(const struct tls_demand *demand);

/* For tests and documents: the rows in order; NULL behind the last one. */
const char *tls_table_row(size_t index, unsigned *row_out);

#endif
