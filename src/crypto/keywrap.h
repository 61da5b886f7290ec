/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One 32-byte key inside 40 bytes under another: AES-256 key wrap, which needs no nonce and
 * notices every change. [RFC 3394]
 */
#ifndef CRYPTO_KEYWRAP_H
#define CRYPTO_KEYWRAP_H

#include "base/secret.h"

enum { KEYWRAP_BYTES = SECRET_BYTES + 8 };

/* Cannot fail. */
void keywrap_wrap(const struct secret *wrapping_key, const struct secret *key,
                  uint8_t wrapped_out[KEYWRAP_BYTES]);
/* False when `wrapped` was not made with wrapping_key or was changed; then key_out is wiped. */
MUST_CHECK bool keywrap_unwrap(const struct secret *wrapping_key,
                               const uint8_t wrapped[KEYWRAP_BYTES], struct secret *key_out);

#endif
