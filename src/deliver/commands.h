/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command lines that a client says about one message [RFC 5321 §4.1.1], with only those parameters that
 * the server offers [RFC 3461] [RFC 6152] [RFC 6531] [RFC 1870] [RFC 8689]. Pure. An address or identifier that holds
 * a control byte cannot become a command of its own: it is refused here whoever let it through before.
 */
#ifndef DELIVER_COMMANDS_H
#define DELIVER_COMMANDS_H

#include "base/buffer.h"
#include "base/err.h"
#include "format/smtp/ehlo.h"

struct mail_command {
    struct slice from; /* "local@domain"; empty = null sender */
    struct slice envid;
    unsigned ret;   /* 0 unset, 1 FULL, 2 HDRS */
    uint64_t bytes; /* of the content, for SIZE */
    bool body_8bit, smtputf8, requiretls;
    bool is_tls; /* REQUIRETLS may only be said over TLS */
};
/*
 * "MAIL FROM:<…> …\r\n". ERR_PERM: 5.1.7 a bad address, 5.3.4 larger than the server takes, 5.6.7 needs SMTPUTF8
 * and the server lacks it.
 */
MUST_CHECK bool mail_command_write(const struct mail_command *mail,
                                   const struct smtp_ehlo *ehlo, struct buffer *out,
                                   struct err *err);

struct rcpt_command {
    struct slice to;    /* "local@domain" */
    struct slice orcpt; /* "rfc822;bob@x.test", decoded; empty = none */
    unsigned notify;    /* 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY; 0 = unset */
};
/* "RCPT TO:<…> …\r\n". ERR_PERM: 5.1.3 a bad address. */
MUST_CHECK bool rcpt_command_write(const struct rcpt_command *rcpt,
                                   const struct smtp_ehlo *ehlo, struct buffer *out,
                                   struct err *err);

#endif
