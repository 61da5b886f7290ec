/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"
#include "crypto/internal.h"
#include "crypto/random.h"

#include <openssl/err.h>

#include <stdlib.h>
#include <string.h>

enum { AEAD_MAX_BYTES = 1 << 30, AES_BLOCK_BYTES = 16, BOX_SALT_BYTES = 12 };

struct aead {
    EVP_CIPHER_CTX *context;
};

struct aead *aead_new(const struct secret *key)
{
    struct aead *aead = calloc(1, sizeof *aead);

    must(aead != NULL);
    aead->context = EVP_CIPHER_CTX_new();
    must(aead->context != NULL);
    must(EVP_CipherInit_ex2(aead->context, crypto__aes_256_gcm(), key->bytes, NULL, 1, NULL) ==
         1);
    return aead;
}

void aead_set_key(struct aead *aead, const struct secret *key)
{
    must(EVP_CipherInit_ex2(aead->context, NULL, key->bytes, NULL, 1, NULL) == 1);
}

void aead_forget(struct aead *aead)
{
    static const struct secret zeros;

    aead_set_key(aead, &zeros);
}

void aead_free(struct aead **aead)
{
    if (*aead == NULL)
        return;
    EVP_CIPHER_CTX_free((*aead)->context); /* cleanses the key schedule */
    free(*aead);
    *aead = NULL;
}

/* Set the nonce, take in the additional data. */
static void start(EVP_CIPHER_CTX *context, const uint8_t *nonce, struct slice aad,
                  int is_sealing)
{
    int len;

    must(EVP_CipherInit_ex2(context, NULL, NULL, nonce, is_sealing, NULL) == 1);
    must(aad.len <= AEAD_MAX_BYTES);
    if (aad.len > 0)
        must(EVP_CipherUpdate(context, NULL, &len, aad.at, (int)aad.len) == 1);
}

void aead_seal(struct aead *aead, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice aad,
               struct slice plain, uint8_t *sealed_out)
{
    uint8_t rest[AES_BLOCK_BYTES];
    int len;

    must(plain.len <= AEAD_MAX_BYTES);
    start(aead->context, nonce, aad, 1);
    if (plain.len > 0)
        must(EVP_CipherUpdate(aead->context, sealed_out, &len, plain.at, (int)plain.len) == 1);
    must(EVP_CipherFinal_ex(aead->context, rest, &len) == 1);
    must(EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_GET_TAG, AEAD_TAG_BYTES,
                             sealed_out + plain.len) == 1);
}

bool aead_open(struct aead *aead, const uint8_t nonce[AEAD_NONCE_BYTES], struct slice aad,
               struct slice sealed, uint8_t *plain_out)
{
    uint8_t tag[AEAD_TAG_BYTES], rest[AES_BLOCK_BYTES];
    size_t plain_len;
    int len;

    if (sealed.len < AEAD_TAG_BYTES || sealed.len - AEAD_TAG_BYTES > AEAD_MAX_BYTES)
        return false;
    plain_len = sealed.len - AEAD_TAG_BYTES;
    memcpy(tag, sealed.at + plain_len, sizeof tag);
    start(aead->context, nonce, aad, 0);
    if (plain_len > 0)
        must(EVP_CipherUpdate(aead->context, plain_out, &len, sealed.at, (int)plain_len) == 1);
    must(EVP_CIPHER_CTX_ctrl(aead->context, EVP_CTRL_AEAD_SET_TAG, sizeof tag, tag) == 1);
    if (EVP_CipherFinal_ex(aead->context, rest, &len) == 1)
        return true;
    ERR_clear_error();
    if (plain_len > 0)
        explicit_bzero(plain_out, plain_len);
    return false;
}

/*
 * XAES-256-GCM [C2SP]: the first 12 bytes of the nonce and the box's key give the key of one value,
 * by the counter-mode derivation of NIST SP 800-108 with AES-CMAC; the other 12 are that value's
 * GCM nonce.
 */
struct aead_box {
    EVP_CIPHER_CTX *block_cipher;
    uint8_t subkey[AES_BLOCK_BYTES]; /* CMAC's K1 */
    struct aead *aead;
};

static void encrypt_block(struct aead_box *box, const uint8_t *in, uint8_t *out)
{
    int len;

    must(EVP_CipherUpdate(box->block_cipher, out, &len, in, AES_BLOCK_BYTES) == 1 &&
         len == AES_BLOCK_BYTES);
}

struct aead_box *aead_box_new(const struct secret *key)
{
    static const uint8_t zeros[AES_BLOCK_BYTES];
    struct aead_box *box = calloc(1, sizeof *box);
    uint8_t carry = 0;

    must(box != NULL);
    box->block_cipher = EVP_CIPHER_CTX_new();
    must(box->block_cipher != NULL);
    must(EVP_CipherInit_ex2(box->block_cipher, crypto__aes_256_ecb(), key->bytes, NULL, 1,
                            NULL) == 1);
    must(EVP_CIPHER_CTX_set_padding(box->block_cipher, 0) == 1);
    encrypt_block(box, zeros, box->subkey);
    /* Double it in GF(2^128), without a branch on the secret. */
    for (int i = AES_BLOCK_BYTES - 1; i >= 0; i--) {
        uint8_t byte = box->subkey[i];

        box->subkey[i] = (uint8_t)((byte << 1) | carry);
        carry = byte >> 7;
    }
    box->subkey[AES_BLOCK_BYTES - 1] ^= (uint8_t)(0x87 & (0 - carry));
    box->aead = aead_new(key);
    return box;
}

void aead_box_free(struct aead_box **box)
{
    if (*box == NULL)
        return;
    EVP_CIPHER_CTX_free((*box)->block_cipher);
    aead_free(&(*box)->aead);
    explicit_bzero(*box, sizeof **box);
    free(*box);
    *box = NULL;
}

/* Make box->aead ready for the value with this nonce. */
static void derive_key(struct aead_box *box, const uint8_t nonce[AEAD_BOX_NONCE_BYTES])
{
    struct secret key;

    for (uint8_t half = 0; half < 2; half++) {
        uint8_t block[AES_BLOCK_BYTES] = {0, (uint8_t)(half + 1), 'X', 0};

        memcpy(block + 4, nonce, BOX_SALT_BYTES);
        for (size_t i = 0; i < sizeof block; i++)
            block[i] ^= box->subkey[i];
        encrypt_block(box, block, key.bytes + half * AES_BLOCK_BYTES);
    }
    aead_set_key(box->aead, &key);
    secret_wipe(&key);
}

void aead_box_seal(struct aead_box *box, struct slice aad, struct slice plain, uint8_t *box_out)
{
    random_bytes(box_out, AEAD_BOX_NONCE_BYTES);
    derive_key(box, box_out);
    aead_seal(box->aead, box_out + BOX_SALT_BYTES, aad, plain, box_out + AEAD_BOX_NONCE_BYTES);
}

bool aead_box_open(struct aead_box *box, struct slice aad, struct slice sealed,
                   uint8_t *plain_out)
{
    if (sealed.len < AEAD_BOX_OVERHEAD)
        return false;
    derive_key(box, sealed.at);
    return aead_open(box->aead, sealed.at + BOX_SALT_BYTES, aad,
                     slice_from(sealed, AEAD_BOX_NONCE_BYTES), plain_out);
}
