/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLSA records as plain values [RFC 6698 §2.1]: what a mail host has signed into the DNS about its certificate. Which of
 * them mean anything for SMTP is judged here [RFC 7672 §3.1]: usages 2 (DANE-TA) and 3 (DANE-EE), selectors 0 and 1, and a
 * digest of the right length (or a whole certificate or key that can be read). All others are unusable: they neither prove nor
 * refuse anything. A set that has records but no usable one still demands TLS, without authentication [RFC 7672 §2.2]:
 * the caller must see that this is not "no records".
 *
 * A set holds its own bytes and no pointers: it may be copied and kept.
 */
#ifndef CRYPTO_TLSA_H
#define CRYPTO_TLSA_H

#include "base/slice.h"
#include "crypto/digest.h"

enum {
    TLSA_MAX = 32,          /* records in a set */
    TLSA_BYTES_MAX = 16384, /* certificate association data of a whole set */
    TLSA_TEXT_SIZE = 40,    /* "3 1 1 8d02536c887482bc..." */
};

enum { TLSA_USAGE_TA = 2, TLSA_USAGE_EE = 3 };
enum { TLSA_SELECTOR_CERTIFICATE = 0, TLSA_SELECTOR_KEY = 1 };
enum { TLSA_MATCHING_FULL = 0, TLSA_MATCHING_SHA256 = 1, TLSA_MATCHING_SHA512 = 2 };

struct tlsa_record {
    uint8_t usage, selector, matching;
    uint16_t at, len; /* its data, within the set's bytes */
    bool is_usable;
};

struct tlsa_set {
    size_t count, usable_count, used_bytes;
    struct tlsa_record records[TLSA_MAX];
    uint8_t bytes[TLSA_BYTES_MAX];
};

/*
 * Add one record, given as it stands in the DNS (three bytes, then the data). One that is malformed or means nothing to SMTP is
 * kept as unusable, so that the set still counts as published. False: the set is full, and what is known of it must
 * not be taken for the whole.
 */
MUST_CHECK bool tlsa_set_add(struct tlsa_set *set, struct slice rdata);
/* A view into the set. */
struct slice tlsa_data(const struct tlsa_set *set, const struct tlsa_record *record);
/* "3 1 1 " and the first bytes in hex: enough for a person to find it in the zone. */
void tlsa_write_text(const struct tlsa_set *set, const struct tlsa_record *record,
                     char text_out[TLSA_TEXT_SIZE]);
/* What distinguishes this set of usable records from another; the order of the records does not matter. */
void tlsa_set_digest(const struct tlsa_set *set, uint8_t digest_out[SHA256_BYTES]);

#endif
