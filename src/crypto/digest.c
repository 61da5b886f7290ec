/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/digest.h"
#include "base/number.h"
#include "crypto/internal.h"

#include <sodium.h>
#include <string.h>

enum { SHA256_BLOCK_BYTES = 64 };

void sha256_init(struct sha256_stream *stream)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();

    must(context != NULL && EVP_DigestInit_ex2(context, crypto__sha256(), NULL) == 1);
    stream->context = context;
}

void sha256_push(struct sha256_stream *stream, struct slice bytes)
{
    must(EVP_DigestUpdate(stream->context, bytes.at, bytes.len) == 1);
}

void sha256_finish(struct sha256_stream *stream, uint8_t digest_out[SHA256_BYTES])
{
    must(EVP_DigestFinal_ex(stream->context, digest_out, NULL) == 1);
    must(EVP_DigestInit_ex2(stream->context, NULL, NULL) == 1);
}

void sha256_deinit(struct sha256_stream *stream)
{
    EVP_MD_CTX_free(stream->context);
    stream->context = NULL;
}

/* The stream behind the one-shot calls; always fresh between them. */
static struct sha256_stream *shared_stream(void)
{
    static struct sha256_stream stream;

    if (stream.context == NULL)
        sha256_init(&stream);
    return &stream;
}

void sha256(struct slice bytes, uint8_t digest_out[SHA256_BYTES])
{
    struct sha256_stream *stream = shared_stream();

    sha256_push(stream, bytes);
    sha256_finish(stream, digest_out);
}

/* One of HMAC's two hashes: digest of (key ^ pad) and up to three pieces. */
static void hash_padded(const uint8_t key_block[SHA256_BLOCK_BYTES], uint8_t pad,
                        const struct slice *pieces, size_t count, uint8_t *digest_out)
{
    struct sha256_stream *stream = shared_stream();
    uint8_t block[SHA256_BLOCK_BYTES];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = key_block[i] ^ pad;
    sha256_push(stream, slice_of(block, sizeof block));
    for (size_t i = 0; i < count; i++)
        sha256_push(stream, pieces[i]);
    sha256_finish(stream, digest_out);
    explicit_bzero(block, sizeof block);
}

static void hmac_of_pieces(struct slice key, const struct slice *pieces, size_t count,
                           uint8_t mac_out[SHA256_BYTES])
{
    uint8_t key_block[SHA256_BLOCK_BYTES] = {0};
    uint8_t inner[SHA256_BYTES];
    struct slice inner_slice = slice_of(inner, sizeof inner);

    if (key.len > sizeof key_block)
        sha256(key, key_block);
    else if (key.len > 0)
        memcpy(key_block, key.at, key.len);
    hash_padded(key_block, 0x36, pieces, count, inner);
    hash_padded(key_block, 0x5c, &inner_slice, 1, mac_out);
    explicit_bzero(key_block, sizeof key_block);
    explicit_bzero(inner, sizeof inner);
}

void hmac_sha256(struct slice key, struct slice bytes, uint8_t mac_out[SHA256_BYTES])
{
    hmac_of_pieces(key, &bytes, 1, mac_out);
}

void hkdf_sha256(struct slice secret, struct slice salt, struct slice info, uint8_t *out,
                 size_t len)
{
    uint8_t extracted[SHA256_BYTES], block[SHA256_BYTES];
    size_t block_len = 0; /* T(0) is empty */
    uint8_t counter = 0;

    must(len <= HKDF_MAX_BYTES);
    hmac_sha256(salt, secret, extracted);
    while (len > 0) {
        size_t take = len < sizeof block ? len : sizeof block;
        struct slice pieces[3];

        counter++;
        pieces[0] = slice_of(block, block_len);
        pieces[1] = info;
        pieces[2] = slice_of(&counter, 1);
        hmac_of_pieces(slice_of(extracted, sizeof extracted), pieces, 3, block);
        block_len = sizeof block;
        memcpy(out, block, take);
        out += take;
        len -= take;
    }
    explicit_bzero(extracted, sizeof extracted);
    explicit_bzero(block, sizeof block);
}

void hkdf_secret(const struct secret *from, struct slice info, struct secret *secret_out)
{
    hkdf_sha256(slice_of(from->bytes, SECRET_BYTES), (struct slice){NULL, 0}, info,
                secret_out->bytes, SECRET_BYTES);
}

uint64_t siphash(const struct secret *key, struct slice bytes)
{
    uint8_t hash[crypto_shorthash_BYTES];

    must(crypto_shorthash_KEYBYTES <= SECRET_BYTES);
    (void)crypto_shorthash(hash, bytes.len == 0 ? (const uint8_t *)"" : bytes.at, bytes.len,
                           key->bytes);
    return number_get_little(hash, sizeof hash);
}
