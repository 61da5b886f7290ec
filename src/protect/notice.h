/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The notice of the pickup portal: a neutral mail from the customer's own domain, in plain text and
 * HTML, with one link and nothing to load. It says which organisation and which sender, until when,
 * and how the reader proves to be the reader. It is built from the values below and nothing else, so
 * that no subject, body, file name or recipient's name can be in it.
 */
#ifndef PROTECT_NOTICE_H
#define PROTECT_NOTICE_H

#include "protect/mail_face.h"

struct notice {
    struct mail_face face;   /* to: the reader's address */
    struct slice subject;    /* of the notice: neutral, from the settings; empty = our own */
    struct slice sender;     /* the sender's address */
    struct slice link;       /* the whole link; https */
    int64_t expires_ms;      /* unix milliseconds */
    bool by_code, by_answer; /* how the reader proves; neither: by link */
};

/*
 * Append the whole mail. header_id_out: its Message-ID without <>.
 * Errors  ERR_PERM: an address that is none, a link that is none, or a value that is too long.
 */
MUST_CHECK bool notice_write(const struct mail_templates *templates,
                             const struct notice *notice, struct buffer *out,
                             struct buffer *header_id_out, struct err *err);

#endif
