/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of reports about TLS: results and kinds of policies by name, and the DNS record that says where a
 * domain wants its reports. Pure. [RFC 8460 §3] [RFC 8460 §4.3]
 */
#ifndef POLICY_TLS_REPORT_H
#define POLICY_TLS_REPORT_H

#include "base/buffer.h"
#include "base/err.h"
#include "policy/tls_table.h"

enum {
    RUA_URIS_MAX = 4,        /* a domain's wishes beyond these are not followed */
    RUA_URI_MAX_BYTES = 512, /* of one URI as we keep it */
    RUA_RECORD_MAX_BYTES = 4096
};

/* "starttls-not-supported", …; "" for REPORT_SUCCESS and for what is none. */
const char *tls_report_result_name(enum tls_report_result result);
/* "tlsa", "sts", "no-policy-found". */
const char *tls_report_policy_name(enum tls_report_policy policy);
/* The same name back; false for any other text. */
MUST_CHECK bool tls_report_policy_parse(struct slice name, enum tls_report_policy *policy_out);

/* Does the text begin as a TLSRPT record does? Other TXT records of the name do not count. [RFC 8460 §3] */
bool rua_is_record(struct slice text);
/*
 * Read the record (its strings put together) and append the places where reports are wanted, a URI a line:
 * "https://…" as it stands, "mailto:" with the address decoded and its query dropped. Other schemes, and what is no
 * proper address or URL, are left out; at most RUA_URIS_MAX.
 * ERR_PEER: not such a record, or it names no place.
 */
MUST_CHECK bool rua_record_parse(struct slice text, struct buffer *uris_out, struct err *err);

#endif
