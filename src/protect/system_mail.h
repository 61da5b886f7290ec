/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The other mails that Postern writes itself: one-time codes, read receipts, and reports of
 * delivery (failed, delayed, done). A receipt or report names the message by its Message-ID and
 * date, never by its subject, and gives nothing of its content back. [RFC 3464] [RFC 6522]
 */
#ifndef PROTECT_SYSTEM_MAIL_H
#define PROTECT_SYSTEM_MAIL_H

#include "protect/mail_face.h"

enum system_mail_kind {
    SYSTEM_MAIL_CODE,
    SYSTEM_MAIL_RECEIPT,
    SYSTEM_MAIL_FAILURE,
    SYSTEM_MAIL_DELAY,
    SYSTEM_MAIL_SUCCESS,
};

struct system_mail {
    enum system_mail_kind kind;
    struct mail_face face; /* to: the reader (CODE) or the sender of the original */
    uint64_t original;     /* our id of the message it is about */
    struct slice about;    /* the reader, or the recipient reported on */
    struct slice detail; /* CODE: the code; reports: the remote reply in words, may be empty */
    struct slice enhanced;     /* reports: "5.1.1"; empty = by kind */
    struct slice mx;           /* reports: host that answered, may be empty */
    struct slice header_id;    /* Message-ID of the original without <>, may be empty */
    struct slice envid, orcpt; /* reports: as the sender gave them, decoded; may be empty */
    int64_t at_ms;             /* when it happened, unix milliseconds */
    int64_t original_ms;       /* when the original was accepted */
    int64_t until_ms;          /* CODE: good until; DELAY: tried until */
};

/*
 * Append the whole mail. header_id_out: its Message-ID without <>.
 * Errors  ERR_PERM: `to` is no address, or a value is too long.
 */
MUST_CHECK bool system_mail_write(const struct mail_templates *templates,
                                  const struct system_mail *mail, struct buffer *out,
                                  struct buffer *header_id_out, struct err *err);

#endif
