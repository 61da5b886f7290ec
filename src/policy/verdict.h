/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words in which Postern judges: methods, TLS requirements, proof levels. They are values: made
 * once by the planner (policy/plan.h), carried between processes, obeyed by delivery, recorded as
 * evidence. No function here has an effect.
 */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include "base/slice.h"

/* How one recipient's copy leaves the house. */
enum method {
    METHOD_NONE,    /* not planned yet */
    METHOD_REGULAR, /* ordinary mail: opportunistic TLS */
    METHOD_TLS,     /* only over a connection whose TLS is proved */
    METHOD_OPENPGP, /* foreseen: never chosen before keys exist */
    METHOD_SMIME,   /* foreseen: never chosen before certificates exist */
    METHOD_PORTAL,  /* sealed copy in the portal, neutral notice by mail */
    METHOD_DROP,    /* exclusive mode without proof: dropped and recorded, no bounce */
    METHOD_FAIL,    /* no method left: back to the sender */
    METHOD_COUNT
};

/* Delivery modes of product.md A3. */
enum delivery_mode {
    MODE_UNSET, /* inherit */
    MODE_NONE,
    MODE_OPPORTUNISTIC,
    MODE_FORCED,
    MODE_EXCLUSIVE,
    MODE_TRY,
    MODE_COUNT
};

/* What was proved about a connection, weakest first: comparable with >=. */
enum proof_level {
    PROOF_NONE,      /* cleartext */
    PROOF_ENCRYPTED, /* TLS, peer not authenticated */
    PROOF_VERIFIED,  /* TLS, certificate chain and MX name verified by WebPKI */
    PROOF_DANE,      /* TLS, matched TLSA under DNSSEC */
    PROOF_COUNT
};

/*
 * What the courier must see on the very connection before it says MAIL FROM. `least` above
 * PROOF_NONE forbids cleartext in every case. With least == PROOF_NONE cleartext is still only
 * taken when `cleartext_after_ms` has passed since the message was accepted or STARTTLS is not
 * offered at all (mtas.md section 11 rows 10 and 11).
 */
struct tls_requirement {
    enum proof_level least;
    bool tls_1_3_only;
    bool cleartext_allowed; /* false: even ordinary mail waits for TLS */
    uint32_t
        cleartext_after_ms;  /* age of the message before a failed handshake may end in clear */
    bool requiretls;         /* the message asked for REQUIRETLS [RFC 8689] */
    bool requiretls_relaxed; /* … but a next hop that does not offer it is enough if proved */
    bool mx_proved;          /* the host's name must be proved, too: enum mx_proof above NONE */
    bool
        tls_not_required; /* TLS-Required: No: what recipients publish may be ignored [RFC 8689 §3] */
};

/* What is known of a recipient domain's TLS, from earlier connections. */
enum domain_tls {
    DOMAIN_TLS_UNKNOWN, /* never tried */
    DOMAIN_TLS_PROVED,  /* the account's proof level was reached last time */
    DOMAIN_TLS_LACKING, /* tried and not proved */
    DOMAIN_TLS_COUNT
};

const char *method_name(enum method method);
const char *delivery_mode_name(enum delivery_mode mode);
const char *proof_level_name(enum proof_level level);
const char *domain_tls_name(enum domain_tls state);
/* The same names back; false for any other text. */
MUST_CHECK bool method_parse(struct slice name, enum method *method_out);
MUST_CHECK bool delivery_mode_parse(struct slice name, enum delivery_mode *mode_out);
MUST_CHECK bool proof_level_parse(struct slice name, enum proof_level *level_out);

#endif
