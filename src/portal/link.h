/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an address of the portal says: /m/TOKEN, then perhaps what of it. The token is the link's
 * secret, 32 bytes in base64url; only the notice and the reader's browser know it. Gateways append
 * things to links (`#`, `%23`, punctuation): whatever follows the 43 letters directly is dropped, and
 * nothing depends on a fragment.
 *
 * A form's nonce is an HMAC under a key from the token, so every portal process can check what any
 * other made, and nobody without the link can make one.
 */
#ifndef PORTAL_LINK_H
#define PORTAL_LINK_H

#include "base/secret.h"
#include "protect/portal_key.h"

enum {
    LINK_BASE_SIZE = 3 + PORTAL_TOKEN_TEXT + 1, /* "/m/TOKEN" */
    LINK_NONCE_SIZE = 33,
    LINK_COOKIE_NAME_SIZE = 8 + 8 + 1, /* "postern_" and 8 hex digits */
};
enum { LINK_NONCE_LIVES_MS = 60 * 60 * 1000 };

enum link_page {
    LINK_START, /* /m/TOKEN */
    LINK_CODE,
    LINK_OPEN,
    LINK_MESSAGE,
    LINK_HTML,
    LINK_PART, /* /m/TOKEN/part/N */
    LINK_REPLY,
    LINK_SENT,
};

struct link {
    struct secret token;
    uint8_t lookup[PORTAL_LOOKUP_BYTES]; /* names the row at the keeper; gives no key away */
    char base_cstr[LINK_BASE_SIZE];      /* "/m/TOKEN": starts the addresses of its pages */
    char cookie_cstr[LINK_COOKIE_NAME_SIZE];
    enum link_page page;
    uint64_t part; /* LINK_PART only, 1.. */
};

/* False: no link of ours. path: raw, without query. Wipe link_out after use. */
MUST_CHECK bool link_parse(struct slice path, struct link *link_out);

/* purpose: "open", "code", "reply": a nonce made for one serves no other. */
void link_nonce_make(const struct secret *token, struct slice purpose, int64_t now_ms,
                     char nonce_out_cstr[LINK_NONCE_SIZE]);
/* False: not ours, of another link or purpose, from the future, or older than an hour. */
MUST_CHECK bool link_nonce_check(const struct secret *token, struct slice purpose,
                                 struct slice nonce, int64_t now_ms);

#endif
