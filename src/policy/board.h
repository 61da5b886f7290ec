/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a test of a domain's hosts comes to: one verdict for planning and for people, and when a new verdict replaces the
 * old one. Pure. A verdict never decides about a message: the connection that carries it does.
 */
#ifndef POLICY_BOARD_H
#define POLICY_BOARD_H

#include "policy/tls_table.h"

/* Worst first where TLS is concerned. In the database: never renumber. */
enum board_verdict {
    BOARD_UNKNOWN = 0,   /* nothing is known yet */
    BOARD_NO_MAIL = 1,   /* the domain does not exist, or takes no mail */
    BOARD_UNREACHED = 2, /* no host was reached */
    BOARD_CLEAR = 3,     /* hosts were reached, TLS came about with none */
    BOARD_ENCRYPTED = 4, /* TLS, nobody proved */
    BOARD_VERIFIED = 5,  /* at least one host proved by WebPKI */
    BOARD_DANE = 6,      /* at least one host proved by DANE */
    BOARD_VERDICT_COUNT
};

/* What every host that was reached has (the domain, for MTA-STS). Bits, in the database. */
enum board_feature {
    BOARD_HAS_STARTTLS = 1,
    BOARD_HAS_TLS_1_3 = 2,
    BOARD_HAS_WEBPKI = 4,
    BOARD_HAS_DANE = 8,
    BOARD_HAS_REQUIRETLS = 16,
    BOARD_HAS_STS_ENFORCE = 32,
    BOARD_HAS_STS_TESTING = 64,
    BOARD_HAS_SIGNED_MX = 128,
    BOARD_IS_MIXED = 256, /* hosts differ in the level they reach */
};

/* One address of one host. */
struct board_host {
    bool was_reached, has_starttls, is_tls_1_3, is_webpki, has_requiretls;
    enum proof_level level;
    enum dane_state dane;
    enum mx_proof mx_proof;
};

/* Gathered over the hosts: zeroed at first. */
struct board_sum {
    unsigned hosts, reached;
    enum proof_level best, least; /* of those that were reached */
    enum mx_proof mx_proof;       /* of the best */
    unsigned features;
};

/* Count one host in. */
void board_add(struct board_sum *sum, const struct board_host *host);
/* After the last host: the domain's own features joined in. */
enum board_verdict board_judge(struct board_sum *sum, bool is_mx_signed, enum sts_state sts);

/* What to do with a new verdict. */
enum board_step {
    BOARD_STEP_KEEP,  /* the old one stands: it is the same, or nothing can be said now */
    BOARD_STEP_TAKE,  /* the new one stands from now on */
    BOARD_STEP_AGAIN, /* worse than before: look again soon, before it is believed */
};
/*
 * worse_ms_ago: since when tests have said that it is worse; -1 = this one is the first. A moment's attack, or
 * a host that is being mended, shall not choose how mail is protected.
 */
enum board_step board_step(enum board_verdict before, enum board_verdict now,
                           int64_t worse_ms_ago, int64_t again_after_ms);

/* "verified". */
const char *board_verdict_name(enum board_verdict verdict);
/* The proof that a domain of this verdict has shown. */
enum proof_level board_verdict_level(enum board_verdict verdict);

#endif
