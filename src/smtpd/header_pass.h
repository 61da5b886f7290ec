/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to the header of an incoming message before it is stored: hops are counted, the
 * wishes of our own senders are read and taken out, Bcc goes, Message-ID and Date come if they
 * are missing, the author is found. Everything else stays byte for byte. Pure: bytes in, bytes
 * and facts out.
 */
#ifndef SMTPD_HEADER_PASS_H
#define SMTPD_HEADER_PASS_H

#include "base/id.h"
#include "format/smtp/path.h"
#include "smtpd/header_control.h"

enum {
    HEADER_HOPS_MAX = 50, /* that many Received fields are a loop */
    HEADER_FIELDS_MAX = 2000,
    HEADER_DELIVERED_MAX = 8192, /* bytes of the addresses that are kept of Delivered-To */
    HEADER_ID_MAX = 250,         /* bytes of a Message-ID; a longer one is not recorded */
};

enum header_source {
    HEADER_SUBMITTED, /* from our own people: may ask, must have one author */
    HEADER_STRANGER,
};

struct header_rules {
    enum header_source source;
    uint64_t message; /* for a Message-ID of ours */
    const char *hostname_cstr;
    int64_t now_ms; /* unix milliseconds */
    struct header_triggers triggers;
    /* Of which domains Delivered-To counts [RFC 9228]; NULL: of none. */
    bool (*is_own_domain)(const void *context, struct slice domain);
    const void *context;
};

/* Owned by whoever embeds it: header_facts_init .. header_facts_deinit. */
struct header_facts {
    unsigned hops;                          /* Received fields that were there */
    struct buffer message_id;               /* without <>; empty when there is none to record */
    unsigned tls_required, tls_required_no; /* TLS-Required fields; those that say No */
    struct buffer
        delivered_to; /* where it was delivered before: addresses at own domains, a line each */
    struct smtp_path from; /* the one author of a submitted message */
    struct header_wishes wishes;
};

void header_facts_init(struct header_facts *facts);
void header_facts_deinit(struct header_facts *facts);

/* Does the header say TLS-Required: No, once and nothing else [RFC 8689 §3]? */
bool header_tls_required_no(const struct header_facts *facts);

/* Where the header ends: the offset behind its empty line; 0 when that is not there (yet). */
size_t header_find_end(struct slice content, size_t searched);

/*
 * header   the header block; all of the content when there is no empty line
 * out      the new header, ended by an empty line, is appended
 * body_at  how much of `header` was header; what is left is body. From strangers a line that is
 *          no field ends the header, so that nobody later reads fields behind it that we did not
 *          see.
 * Errors   ERR_PEER 554 5.4.6 a loop; 550 5.6.0 no author, several, or one we cannot read, a line
 *          that is no field (submitted only), a wish that is not understood; 552 5.3.4 too many fields or `out`
 *          full.
 */
MUST_CHECK bool header_pass(struct slice header, const struct header_rules *rules,
                            struct buffer *out, struct header_facts *facts, size_t *body_at,
                            struct err *err);

#endif
