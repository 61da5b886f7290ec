/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a sender asks of us for one message: X-Postern-* header fields and trigger texts in the
 * subject. Both are read and taken out before the message is stored. Only mail that was
 * submitted may ask; from anybody else the fields are forged and just dropped.
 */
#ifndef SMTPD_HEADER_CONTROL_H
#define SMTPD_HEADER_CONTROL_H

#include "base/buffer.h"
#include "base/err.h"

enum { HEADER_QUESTION_MAX = 500, HEADER_ANSWER_MAX = 200 };

enum header_encrypt { HEADER_ENCRYPT_UNSET, HEADER_ENCRYPT_ESCALATE, HEADER_ENCRYPT_OPT_OUT };

/* Owned by whoever embeds it: header_wishes_init .. header_wishes_deinit, which wipes the
 * answer. */
struct header_wishes {
    bool wants_encrypt, wants_opt_out; /* by trigger or by X-Postern-Encrypt */
    unsigned proof;                    /* 0 unset, else enum reader_proof + 1 */
    unsigned receipt;                  /* 0 unset, 1 yes, 2 no */
    int64_t expires_ms;                /* unix milliseconds, 0 unset */
    struct buffer question, answer;    /* UTF-8, one line */
};

void header_wishes_init(struct header_wishes *wishes);
void header_wishes_deinit(struct header_wishes *wishes);
/* If both are asked for, encryption wins. */
enum header_encrypt header_wishes_encrypt(const struct header_wishes *wishes);

/* Is this the name of an X-Postern-* field? */
bool header_is_control(struct slice name);
/*
 * Read one X-Postern-* field (raw value, folded or not). now_ms: unix milliseconds, for
 * X-Postern-Expires. Errors: ERR_PEER 550 5.6.0: unknown field, unknown value, twice: a wish
 * that is not understood must not be dropped in silence.
 *
 *     X-Postern-Question: text         X-Postern-Answer: text
 *     X-Postern-Expires: 30m 12h 7d    X-Postern-Proof: code | answer | link
 *     X-Postern-Receipt: yes | no      X-Postern-Encrypt: yes | no
 */
MUST_CHECK bool header_control_take(struct header_wishes *wishes, struct slice name,
                                    struct slice value, int64_t now_ms, struct err *err);

struct header_triggers {
    struct slice encrypt, opt_out; /* ASCII, case ignored; empty = none */
};
/*
 * Look for triggers in a Subject value, encoded words decoded. When one is there, it is noted
 * in `wishes` and true is returned with the subject without it in `subject_out`, encoded and
 * folded as it may stand behind "Subject: " (no line end). Else false: keep the field as it is.
 */
bool header_triggers_take(const struct header_triggers *triggers, struct slice value,
                          struct header_wishes *wishes, struct buffer *subject_out);

#endif
