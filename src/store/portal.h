/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `portal_copy`: what stands behind each link. The row is found by a value derived from the
 * link's token, which the server never stores; together with the token the sealed share opens the
 * copy. Shredding removes share and wrapped key for good.
 */
#ifndef STORE_PORTAL_H
#define STORE_PORTAL_H

#include "base/secret.h"
#include "spool/content.h"
#include "store/store.h"

enum { PORTAL_LOOKUP_BYTES = 32, PORTAL_SALT_BYTES = 16, PORTAL_CODE_BYTES = 16 };

struct store_portal_copy {
    uint64_t id;
    uint8_t lookup[PORTAL_LOOKUP_BYTES];
    uint64_t message, number;
    unsigned proof; /* enum reader_proof */
    int64_t expires_ms;
    int64_t revealed_ms; /* first reveal; 0 = not yet */
    unsigned tries;      /* wrong ones since the last right one or lock */
    int64_t locked_ms;   /* locked until */
    bool has_code;
    uint8_t code[PORTAL_CODE_BYTES]; /* keyed hash of the one-time code */
    int64_t code_ms;                 /* the code is good until */
    unsigned codes;                  /* codes sent since codes_ms */
    int64_t codes_ms;
    struct content_ref copy; /* wrapped_key unused */
    /* Sealed. */
    bool is_open; /* false: expired, retracted or deleted: nothing below */
    struct secret share;
    uint8_t wrapped[KEYWRAP_BYTES];
    bool has_answer;
    uint8_t salt[PORTAL_SALT_BYTES];
    uint8_t verifier[SECRET_BYTES];
};

/* Insert; id is made by the store and set. */
void store_portal_put(struct store *store, struct store_portal_copy *copy);
/* False: no such link. lookup: any length. */
MUST_CHECK bool store_portal_find(struct store *store, struct slice lookup,
                                  struct store_portal_copy *copy_out);
MUST_CHECK bool store_portal_get(struct store *store, uint64_t message, uint64_t number,
                                 struct store_portal_copy *copy_out);
/* Write what changes with proofs and codes; not the sealed part. */
void store_portal_update(struct store *store, const struct store_portal_copy *copy);
/* Destroy the keys: expired, retracted or deleted. */
void store_portal_shred(struct store *store, uint64_t id);

#endif
