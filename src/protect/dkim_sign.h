/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DKIM signatures for one message: relaxed/relaxed, one field per key (RSA and Ed25519 side by
 * side), the body hashed once as it streams by. What a reader sees as the message's face (From,
 * Subject, Date, To, Cc, Reply-To, the types) is oversigned: named once more than it is there, so
 * that nobody adds another. [RFC 6376] [RFC 8463]
 */
#ifndef PROTECT_DKIM_SIGN_H
#define PROTECT_DKIM_SIGN_H

#include "base/buffer.h"
#include "crypto/sign.h"
#include "protect/source.h"

enum { DKIM_HEADER_MAX = 1024 * 1024 /* bytes of the header of a message that is signed */ };

struct dkim_key {
    struct slice selector; /* "2026a" */
    struct sign_key *key;  /* borrowed */
};

/*
 * Append the DKIM-Signature fields of the message, complete with CRLF, to be sent in front of it.
 * domain: an A-label domain, the d= tag. now_s: unix seconds, the t= tag.
 *
 * A message without a From field gets none (nothing to align with), nor does one without keys:
 * true, and nothing is appended.
 * Errors  ERR_PERM: the header is larger than DKIM_HEADER_MAX, or the domain or a selector is none.
 *         ERR_TEMP: the source cannot be read, or the library cannot sign.
 * Cost    one pass; 4 KiB take about 15 us and the signing itself (RSA-2048 about 300 us).
 */
MUST_CHECK bool dkim_sign(const struct content_source *source, struct slice domain,
                          const struct dkim_key *keys, size_t key_count, int64_t now_s,
                          struct buffer *out, struct err *err);

/*
 * The same in steps, for messages that are too large for one turn of a loop: read, then sign.
 *
 * source     copied; what it points to is borrowed
 * step       DONE: all was read, sign now. WAIT: at least max_bytes were read, and there is more.
 *            FAIL: as above; only free is left
 */
struct dkim_reading;
struct dkim_reading *dkim_reading_new(const struct content_source *source);
MUST_CHECK enum progress dkim_reading_step(struct dkim_reading *reading, uint64_t max_bytes,
                                           struct err *err);
MUST_CHECK bool dkim_reading_sign(const struct dkim_reading *reading, struct slice domain,
                                  const struct dkim_key *keys, size_t key_count, int64_t now_s,
                                  struct buffer *out, struct err *err);
/* Wipes. NULL inside is fine. */
void dkim_reading_free(struct dkim_reading **reading);

/*
 * The relaxed form of a body, hashed as it comes. Init, push, finish; deinit in every case.
 * [RFC 6376 §3.4.4]
 */
struct dkim_body {
    struct sha256_stream hash;
    size_t owed_lines; /* empty lines and the last line end: dropped at the end of the body */
    bool owes_space;
    bool owes_return; /* a CR whose LF may follow */
    bool has_any;
    size_t len;
    uint8_t block[4096];
};
void dkim_body_init(struct dkim_body *body);
void dkim_body_push(struct dkim_body *body, struct slice bytes);
void dkim_body_finish(struct dkim_body *body, uint8_t digest_out[SHA256_BYTES]);
void dkim_body_deinit(struct dkim_body *body);

/* Append the relaxed form of one field (raw, with its line end), CRLF included. [RFC 6376 §3.4.2] */
MUST_CHECK bool dkim_relaxed_field(struct slice raw, struct buffer *out);

#endif
