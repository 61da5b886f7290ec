/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a server says that it can do: the lines of its answer to EHLO [RFC 5321 §4.1.1.1], read
 * into flags. Unknown keywords are ignored, a malformed known one counts as absent: what is not
 * clearly offered is not used.
 */
#ifndef FORMAT_SMTP_EHLO_H
#define FORMAT_SMTP_EHLO_H

#include "base/slice.h"

enum smtp_extension {
    SMTP_PIPELINING = 1 << 0, /* RFC 2920 */
    SMTP_SIZE = 1 << 1,       /* RFC 1870 */
    SMTP_8BITMIME = 1 << 2,   /* RFC 6152 */
    SMTP_SMTPUTF8 = 1 << 3,   /* RFC 6531 */
    SMTP_CHUNKING = 1 << 4,   /* RFC 3030 */
    SMTP_BINARYMIME = 1 << 5, /* RFC 3030 */
    SMTP_DSN = 1 << 6,        /* RFC 3461 */
    SMTP_ENHANCED = 1 << 7,   /* RFC 2034 */
    SMTP_STARTTLS = 1 << 8,   /* RFC 3207 */
    SMTP_REQUIRETLS = 1 << 9, /* RFC 8689 */
    SMTP_AUTH = 1 << 10,      /* RFC 4954 */
};

enum smtp_mechanism {
    SMTP_AUTH_PLAIN = 1 << 0,
    SMTP_AUTH_LOGIN = 1 << 1,
};

struct smtp_ehlo {
    unsigned extensions; /* enum smtp_extension, or-ed */
    unsigned mechanisms; /* enum smtp_mechanism, or-ed */
    uint64_t size_max;   /* bytes of the largest message; 0 = the server states none */
};

/* `reply_text`: the text of the reply as smtp_reply_push() gives it; its first line is a
 * greeting and is skipped. */
void smtp_ehlo_parse(struct slice reply_text, struct smtp_ehlo *ehlo_out);

#endif
