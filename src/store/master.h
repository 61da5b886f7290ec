/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The master key file: text, one key a line,
 *
 *     postern-master-key-1 GENERATION BASE64-OF-32-BYTES
 *
 * Empty lines and lines that start with '#' are passed over. The highest generation wraps; each of
 * them may unwrap. So a new key is a line added, and an old one is a line taken away when nothing is
 * wrapped by it any more. Pure.
 */
#ifndef STORE_MASTER_H
#define STORE_MASTER_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/secret.h"

enum { MASTER_KEYS_MAX = 16, MASTER_FILE_MAX_BYTES = 64 << 10 };

struct master_key {
    uint64_t generation; /* 1.. */
    struct secret key;
};

struct master {
    struct master_key keys[MASTER_KEYS_MAX]; /* newest first */
    size_t count;
};

/* ERR_PERM: no key, too many, a malformed line (its number is said), a generation twice. */
MUST_CHECK bool master_parse(struct slice text, struct master *master_out, struct err *err);
/* Append one line. False when the buffer is full. */
MUST_CHECK bool master_write(const struct master_key *key, struct buffer *out);
/* NULL when the file has no such generation. */
const struct secret *master_find(const struct master *master, uint64_t generation);
void master_wipe(struct master *master);

#endif
