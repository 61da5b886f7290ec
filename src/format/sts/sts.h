/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a domain publishes about TLS for its mail by MTA-STS [RFC 8461]: the TXT record that announces a
 * policy, and the policy's text. Pure: strangers' bytes in, values out, as many refusals as the grammar has. Which host a
 * pattern matches is judged where hosts are chosen.
 */
#ifndef FORMAT_STS_STS_H
#define FORMAT_STS_STS_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    STS_ID_SIZE = 33,             /* 1..32 letters and digits, and NUL [RFC 8461 §3.1] */
    STS_POLICY_MAX_BYTES = 65536, /* a text that is longer is none [RFC 8461 §3.3] */
    STS_MX_MAX = 64,              /* patterns in a policy */
    STS_PATTERN_MAX_BYTES = 255,
    STS_MAX_AGE_MAX_S = 31557600, /* a year; what is longer counts as this [RFC 8461 §3.2] */
};

/*
 * The announcement among the TXT records of _mta-sts.DOMAIN. DONE: id_out. WAIT: there is none: no record begins
 * with "v=STSv1;". FAIL (err: ERR_PEER): several do, or the one is malformed; that counts as none as well [RFC 8461 §3.1].
 */
enum progress sts_records_find(const struct slice *records, size_t count,
                               char id_out_cstr[STS_ID_SIZE], struct err *err);
/* One record. ERR_PEER: it is no announcement; the text says why. */
MUST_CHECK bool sts_record_parse(struct slice record, char id_out_cstr[STS_ID_SIZE],
                                 struct err *err);

enum sts_mode { STS_MODE_NONE, STS_MODE_TESTING, STS_MODE_ENFORCE, STS_MODE_COUNT };

struct sts_policy {
    enum sts_mode mode;
    uint32_t max_age_s;
    size_t mx_count; /* > 0 unless the mode is none */
    struct slice mx
        [STS_MX_MAX]; /* views into the text: "mx.example.org" or "*.example.org", as written */
};

/*
 * A policy's text, lines that end with LF or CRLF. Unknown keys are passed over, of a key other than mx that is there twice the
 * first counts [RFC 8461 §3.2]. ERR_PEER: not a policy; the text says which line and why.
 */
MUST_CHECK bool sts_policy_parse(struct slice text, struct sts_policy *policy_out,
                                 struct err *err);
/* Its patterns in lower case, one a line. False when out is full. */
MUST_CHECK bool sts_policy_patterns(const struct sts_policy *policy, struct buffer *out);
/* The text of a policy, with CRLF. False when out is full. */
MUST_CHECK bool sts_policy_write(const struct sts_policy *policy, struct buffer *out);
/* "mx.example.org" or "*.example.org": a wildcard only as the whole first label, and labels behind it. */
bool sts_is_pattern(struct slice pattern);
/* "none", "testing", "enforce". */
const char *sts_mode_name(enum sts_mode mode);

#endif
