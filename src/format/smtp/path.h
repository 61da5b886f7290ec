/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mail addresses in the envelope [RFC 5321 §4.1.2] [RFC 6531 §3.3], parsed once: everything
 * later works on the local part and the domain that come out here, never on the text again,
 * because two readings of `"x@evil y"@good` are two different destinations. What is written
 * back is canonical: domain in lower case, quotes only where they are needed. No control byte,
 * U+2028 or U+2029 ever passes, quoted or not.
 */
#ifndef FORMAT_SMTP_PATH_H
#define FORMAT_SMTP_PATH_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    SMTP_LOCAL_MAX =
        128, /* [RFC 5321 §4.5.3.1.1] asks for 64; variable return paths are longer */
    SMTP_DOMAIN_MAX = 255,
    SMTP_ADDRESS_MAX = 254, /* local@domain as written */
};

struct smtp_path {
    bool is_null;    /* <>, a sender only */
    bool has_domain; /* false only for <> and <postmaster> */
    bool is_literal; /* domain is "[192.0.2.1]" or "[ipv6:2001:db8::1]" */
    bool is_utf8;    /* some byte is not ASCII: allowed only with SMTPUTF8 */
    uint16_t local_len, domain_len;
    uint8_t local[SMTP_LOCAL_MAX];   /* without quotes and backslashes */
    uint8_t domain[SMTP_DOMAIN_MAX]; /* ASCII letters in lower case; U-labels as they came */
};

enum smtp_path_kind {
    SMTP_PATH_SENDER,    /* <> allowed */
    SMTP_PATH_RECIPIENT, /* <postmaster> allowed */
};

static inline struct slice smtp_path_local(const struct smtp_path *path)
{
    return slice_of(path->local, path->local_len);
}
static inline struct slice smtp_path_domain(const struct smtp_path *path)
{
    return slice_of(path->domain, path->domain_len);
}

/*
 * Read "<...>" at the front of *rest (spaces before it are passed over) and move *rest behind
 * it. A source route is read and dropped [RFC 5321 §4.1.1.3]. Errors: ERR_PEER 501 5.1.7
 * (sender) or 501 5.1.3 (recipient): malformed or too long.
 */
MUST_CHECK bool smtp_path_take(struct slice *rest, enum smtp_path_kind kind,
                               struct smtp_path *path_out, struct err *err);
/* A whole text "local@domain" without angle brackets. Errors as above, 501 5.1.3. */
MUST_CHECK bool smtp_address_parse(struct slice text, struct smtp_path *path_out,
                                   struct err *err);
/* Append "local@domain", quoted where needed; nothing for <>. False when `out` is full. */
MUST_CHECK bool smtp_path_write(const struct smtp_path *path, struct buffer *out);

/*
 * Cut a keyword like "FROM:" off the front of MAIL's or RCPT's arguments, case ignored; false
 * when it is not there.
 */
MUST_CHECK bool smtp_keyword_take(struct slice *args, struct slice keyword);

#endif
