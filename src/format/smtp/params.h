/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may stand behind the address in MAIL FROM and RCPT TO: SIZE [RFC 1870], BODY [RFC 6152],
 * SMTPUTF8 [RFC 6531], RET ENVID NOTIFY ORCPT [RFC 3461], REQUIRETLS [RFC 8689], AUTH [RFC 4954
 * §5]. Unknown and doubled parameters are refused. Values that travel on (ENVID, ORCPT) are
 * decoded and hold no control byte: an encoded line end in them must not reach a bounce.
 */
#ifndef FORMAT_SMTP_PARAMS_H
#define FORMAT_SMTP_PARAMS_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    SMTP_ENVID_MAX = 100, /* [RFC 3461 §4.4], before decoding */
    SMTP_ORCPT_MAX = 500, /* [RFC 3461 §4.2], before decoding */
};

enum smtp_body { SMTP_BODY_UNSET, SMTP_BODY_7BIT, SMTP_BODY_8BITMIME };
enum smtp_ret { SMTP_RET_UNSET, SMTP_RET_FULL, SMTP_RET_HDRS };
enum smtp_notify {
    SMTP_NOTIFY_UNSET = 0,
    SMTP_NOTIFY_NEVER = 1,
    SMTP_NOTIFY_SUCCESS = 2,
    SMTP_NOTIFY_FAILURE = 4,
    SMTP_NOTIFY_DELAY = 8,
};

struct smtp_mail_params {
    bool has_size;
    uint64_t size; /* bytes */
    enum smtp_body body;
    bool smtputf8;
    enum smtp_ret ret;
    bool requiretls;
    bool has_auth; /* its value is checked and forgotten: we trust nobody's word for it */
    uint8_t envid_len;
    uint8_t envid[SMTP_ENVID_MAX]; /* decoded, printable ASCII */
};

struct smtp_rcpt_params {
    unsigned notify; /* enum smtp_notify, or-ed */
    uint16_t orcpt_len;
    uint8_t orcpt[SMTP_ORCPT_MAX]; /* decoded, "rfc822;bob@example.org", no control bytes */
};

/*
 * `text`: what follows the path. Errors: ERR_PEER 501 5.5.4 malformed or doubled; 555 5.5.4
 * unknown; 501 5.5.4 BINARYMIME (we do not offer it).
 */
MUST_CHECK bool smtp_mail_params_parse(struct slice text, struct smtp_mail_params *params_out,
                                       struct err *err);
MUST_CHECK bool smtp_rcpt_params_parse(struct slice text, struct smtp_rcpt_params *params_out,
                                       struct err *err);

/*
 * xtext [RFC 3461 §4]. Decoding: false for a malformed text, for one that decodes to a control
 * byte or DEL, and for a full buffer. Encoding: any bytes.
 */
MUST_CHECK bool smtp_xtext_decode(struct slice text, struct buffer *out);
MUST_CHECK bool smtp_xtext_append(struct buffer *out, struct slice bytes);

#endif
