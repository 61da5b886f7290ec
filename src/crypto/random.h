/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unpredictable bytes from the kernel. It never fails and never blocks after boot: a machine that
 * cannot give random bytes cannot run Postern, so that is a broken promise, not an error.
 */
#ifndef CRYPTO_RANDOM_H
#define CRYPTO_RANDOM_H

#include "base/secret.h"

/* Fill `out` with `len` bytes fit for keys. */
void random_bytes(void *out, size_t len);
uint64_t random_u64(void);
void random_secret(struct secret *secret_out);

#endif
