/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys have their own type: fixed size, passed by pointer, wiped after use, compared in constant
 * time. No formatter and no log field exists for it, so a key cannot reach a log by accident.
 */
#ifndef BASE_SECRET_H
#define BASE_SECRET_H

#include "base/slice.h"

enum { SECRET_BYTES = 32 };

struct secret {
    uint8_t bytes[SECRET_BYTES];
};

/* Overwrite, in a way that the compiler does not remove. */
void secret_wipe(struct secret *secret);
/* Constant-time comparison of `len` bytes. */
MUST_CHECK bool bytes_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t len);
MUST_CHECK bool secret_equal(const struct secret *a, const struct secret *b);

#endif
