/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tlsa.h"

#include "crypto/tls_internal.h"

#include <openssl/err.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAD_BYTES = 3,
    SHA512_BYTES = 64,
    SHOWN_BYTES = 8,
    UNUSABLE_USAGE = 255 /* of a record too short to have one [RFC 7218 §2.1: private use] */
};

/* A whole certificate, or a whole public key: exactly these bytes in DER. */
static bool can_be_read(struct slice data, bool is_key)
{
    const unsigned char *at = data.at, *end = data.at + data.len;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    bool ok;

    if (is_key)
        key = d2i_PUBKEY(NULL, &at, (long)data.len);
    else
        certificate = d2i_X509(NULL, &at, (long)data.len);
    /* A certificate whose key we do not understand can match nothing. */
    ok = at == end &&
         (key != NULL || (certificate != NULL && X509_get0_pubkey(certificate) != NULL));
    X509_free(certificate);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}

static bool is_usable(const struct tlsa_record *record, struct slice data)
{
    if ((record->usage != TLSA_USAGE_TA && record->usage != TLSA_USAGE_EE) ||
        record->selector > TLSA_SELECTOR_KEY)
        return false;
    if (record->matching == TLSA_MATCHING_SHA256)
        return data.len == SHA256_BYTES;
    if (record->matching == TLSA_MATCHING_SHA512)
        return data.len == SHA512_BYTES;
    return record->matching == TLSA_MATCHING_FULL && data.len > 0 &&
           can_be_read(data, record->selector == TLSA_SELECTOR_KEY);
}

bool tlsa_set_add(struct tlsa_set *set, struct slice rdata)
{
    struct tlsa_record *record = &set->records[set->count];
    struct slice data = rdata.len > HEAD_BYTES
                            ? slice_of(rdata.at + HEAD_BYTES, rdata.len - HEAD_BYTES)
                            : slice_of(NULL, 0);

    if (set->count == TLSA_MAX || data.len > TLSA_BYTES_MAX - set->used_bytes)
        return false;
    *record = (struct tlsa_record){
        .usage = UNUSABLE_USAGE, .at = (uint16_t)set->used_bytes, .len = (uint16_t)data.len};
    if (rdata.len >= HEAD_BYTES) {
        record->usage = rdata.at[0];
        record->selector = rdata.at[1];
        record->matching = rdata.at[2];
    }
    if (data.len > 0)
        memcpy(set->bytes + set->used_bytes, data.at, data.len);
    set->used_bytes += data.len;
    record->is_usable = is_usable(record, data);
    set->usable_count += record->is_usable;
    set->count++;
    return true;
}

struct slice tlsa_data(const struct tlsa_set *set, const struct tlsa_record *record)
{
    return slice_of(set->bytes + record->at, record->len);
}

void tls__tlsa_text(unsigned usage, unsigned selector, unsigned matching, struct slice data,
                    char text_out[TLSA_TEXT_SIZE])
{
    int len = snprintf(text_out, TLSA_TEXT_SIZE, "%u %u %u ", usage, selector, matching);

    for (size_t i = 0; i < data.len && i < SHOWN_BYTES; i++)
        len += snprintf(text_out + len, TLSA_TEXT_SIZE - (size_t)len, "%02x", data.at[i]);
    if (data.len > SHOWN_BYTES)
        snprintf(text_out + len, TLSA_TEXT_SIZE - (size_t)len, "...");
}

void tlsa_write_text(const struct tlsa_set *set, const struct tlsa_record *record,
                     char text_out[TLSA_TEXT_SIZE])
{
    tls__tlsa_text(record->usage, record->selector, record->matching, tlsa_data(set, record),
                   text_out);
}

static int compare_digests(const void *left, const void *right)
{
    return memcmp(left, right, SHA256_BYTES);
}

void tlsa_set_digest(const struct tlsa_set *set, uint8_t digest_out[SHA256_BYTES])
{
    uint8_t digests[TLSA_MAX][SHA256_BYTES];
    struct sha256_stream stream;
    size_t count = 0;

    sha256_init(&stream);
    for (size_t i = 0; i < set->count; i++) {
        const struct tlsa_record *record = &set->records[i];
        const uint8_t head[HEAD_BYTES] = {record->usage, record->selector, record->matching};

        if (!record->is_usable)
            continue;
        sha256_push(&stream, slice_of(head, sizeof head));
        sha256_push(&stream, tlsa_data(set, record));
        sha256_finish(&stream, digests[count++]);
    }
    if (count > 0)
        qsort(digests, count, SHA256_BYTES, compare_digests);
    sha256_push(&stream, slice_of(digests, count * SHA256_BYTES));
    sha256_finish(&stream, digest_out);
    sha256_deinit(&stream);
}
