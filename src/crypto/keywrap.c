/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Written out on AES blocks, because OpenSSL's own key wrap does not use the processor's AES
 * instructions and takes six times as long, once per message.
 */
#include "crypto/keywrap.h"

#include "crypto/internal.h"

#include <string.h>

enum { HALF_BYTES = 8, HALVES = SECRET_BYTES / HALF_BYTES, ROUNDS = 6, BLOCK_BYTES = 16 };

/* What stands before the key when it is whole. */
static const uint8_t intact[HALF_BYTES] = {0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6, 0xA6};

/* A context for one direction, made once; each call gives it a key and takes the key away again. */
static EVP_CIPHER_CTX *context_for(bool is_wrapping)
{
    static EVP_CIPHER_CTX *contexts[2];
    static const uint8_t no_key[SECRET_BYTES];
    EVP_CIPHER_CTX **context = &contexts[is_wrapping];

    if (*context == NULL) {
        *context = EVP_CIPHER_CTX_new();
        must(*context != NULL && EVP_CipherInit_ex2(*context, crypto__aes_256_ecb(), no_key,
                                                    NULL, is_wrapping, NULL) == 1);
        must(EVP_CIPHER_CTX_set_padding(*context, 0) == 1);
    }
    return *context;
}

static void set_key(EVP_CIPHER_CTX *context, const struct secret *key)
{
    static const struct secret no_key;

    must(EVP_CipherInit_ex2(context, NULL, key == NULL ? no_key.bytes : key->bytes, NULL, -1,
                            NULL) == 1);
}

static void one_block(EVP_CIPHER_CTX *context, uint8_t block[BLOCK_BYTES])
{
    int len;

    must(EVP_CipherUpdate(context, block, &len, block, BLOCK_BYTES) == 1 && len == BLOCK_BYTES);
}

/* [RFC 3394 §2.2.1], as the index-based description has it: `wrapped_out` holds A and R[1..4]. */
void keywrap_wrap(const struct secret *wrapping_key, const struct secret *key,
                  uint8_t wrapped_out[KEYWRAP_BYTES])
{
    EVP_CIPHER_CTX *context = context_for(true);
    uint8_t block[BLOCK_BYTES], step = 0;

    set_key(context, wrapping_key);
    memcpy(wrapped_out + HALF_BYTES, key->bytes, SECRET_BYTES);
    memcpy(block, intact, HALF_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 1; i <= HALVES; i++) {
            uint8_t *half = wrapped_out + i * HALF_BYTES;

            memcpy(block + HALF_BYTES, half, HALF_BYTES);
            one_block(context, block);
            memcpy(half, block + HALF_BYTES, HALF_BYTES);
            block[HALF_BYTES - 1] ^= ++step;
        }
    }
    memcpy(wrapped_out, block, HALF_BYTES);
    explicit_bzero(block, sizeof block);
    set_key(context, NULL);
}

/* [RFC 3394 §2.2.2] */
bool keywrap_unwrap(const struct secret *wrapping_key, const uint8_t wrapped[KEYWRAP_BYTES],
                    struct secret *key_out)
{
    EVP_CIPHER_CTX *context = context_for(false);
    uint8_t block[BLOCK_BYTES], step = ROUNDS * HALVES;
    bool opened;

    set_key(context, wrapping_key);
    memcpy(block, wrapped, HALF_BYTES);
    memcpy(key_out->bytes, wrapped + HALF_BYTES, SECRET_BYTES);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = HALVES - 1; i >= 0; i--) {
            uint8_t *half = key_out->bytes + i * HALF_BYTES;

            block[HALF_BYTES - 1] ^= step--;
            memcpy(block + HALF_BYTES, half, HALF_BYTES);
            one_block(context, block);
            memcpy(half, block + HALF_BYTES, HALF_BYTES);
        }
    }
    set_key(context, NULL);
    opened = bytes_equal_constant_time(block, intact, HALF_BYTES);
    explicit_bzero(block, sizeof block);
    if (!opened)
        secret_wipe(key_out);
    return opened;
}
