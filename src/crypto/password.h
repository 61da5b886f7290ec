/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Turning what people remember into what machines can check: argon2id [RFC 9106]. Each call takes
 * tens of milliseconds and tens of mebibytes on purpose: only the scribe and tools call it, from a
 * queue with a limit, else logging in is a way to overload us.
 */
#ifndef CRYPTO_PASSWORD_H
#define CRYPTO_PASSWORD_H

#include "base/buffer.h"
#include "base/err.h"
#include "base/secret.h"

enum {
    PASSWORD_HASH_SIZE = 128, /* a hash string with its NUL */
    PASSWORD_SALT_BYTES = 16,
    PASSWORD_MAX_BYTES = 1024, /* longer passwords are refused */
    PASSWORD_BOX_OVERHEAD = 8 + 8 + 4 + PASSWORD_SALT_BYTES + 40, /* see password_box_seal */
};

struct password_cost {
    uint64_t memory_bytes; /* 8 KiB .. 1 GiB */
    uint32_t passes;       /* 1 .. 16 */
};

/* About 60 ms: people who wait, machines that are not overloaded. */
#define PASSWORD_COST_DEFAULT ((struct password_cost){UINT64_C(64) << 20, 2})
/* For tests only. */
#define PASSWORD_COST_CHEAP ((struct password_cost){UINT64_C(8) << 10, 1})

/*
 * A string "$argon2id$..." with its own random salt. ERR_PERM: password too long or cost out of
 * range. ERR_TEMP: no memory.
 */
MUST_CHECK bool password_hash(struct slice password, struct password_cost cost,
                              char hash_out_cstr[PASSWORD_HASH_SIZE], struct err *err);
/*
 * True only for the right password. Any libargon2 string is understood; one that asks for more than
 * the largest cost above is refused.
 */
MUST_CHECK bool password_verify(struct slice password, const char *hash_cstr);
/* True when the hash was made with another cost and should be made anew at the next login. */
bool password_is_outdated(const char *hash_cstr, struct password_cost cost);
/* Spend the time that a check costs, for a name that does not exist: both look the same. */
void password_verify_nobody(struct slice password, struct password_cost cost);

/* A key from an answer or passphrase and a salt kept beside it. Errors as password_hash. */
MUST_CHECK bool password_derive(struct slice answer, const uint8_t salt[PASSWORD_SALT_BYTES],
                                struct password_cost cost, struct secret *secret_out,
                                struct err *err);

/*
 * A small blob that leaves the machine under a passphrase (key backup). Layout: 8 bytes
 * "PSTNBOX1", memory_bytes (8, big endian), passes (4, big endian), salt (16), then an aead box
 * over the blob whose aad is everything before it.
 */
MUST_CHECK bool password_box_seal(struct slice passphrase, struct slice plain,
                                  struct password_cost cost, struct buffer *box_out,
                                  struct err *err);
/* ERR_PERM: wrong passphrase, changed, or not such a box. plain_out is appended to: wipe it after. */
MUST_CHECK bool password_box_open(struct slice passphrase, struct slice sealed,
                                  struct buffer *plain_out, struct err *err);

#endif
