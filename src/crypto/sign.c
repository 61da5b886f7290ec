/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/sign.h"
#include "base/encode.h"
#include "crypto/internal.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#include <stdlib.h>

enum { ED25519_PUBLIC_BYTES = 32, RSA_MOST_BITS = 8192 };

struct sign_key {
    enum sign_algorithm algorithm;
    EVP_PKEY *pkey;
    EVP_PKEY_CTX *rsa; /* ready for signing; NULL for Ed25519 */
};

static EVP_PKEY_CTX *rsa_signer(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);

    must(context != NULL && EVP_PKEY_sign_init(context) == 1 &&
         EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
         EVP_PKEY_CTX_set_signature_md(context, crypto__sha256()) == 1);
    return context;
}

static struct sign_key *key_new(enum sign_algorithm algorithm, EVP_PKEY *pkey)
{
    struct sign_key *key = calloc(1, sizeof *key);

    must(key != NULL);
    key->algorithm = algorithm;
    key->pkey = pkey;
    if (algorithm == SIGN_RSA_SHA256)
        key->rsa = rsa_signer(pkey);
    return key;
}

bool sign_key_generate(enum sign_algorithm algorithm, unsigned bits, struct sign_key **key_out,
                       struct err *err)
{
    EVP_PKEY *pkey = NULL;

    switch (algorithm) {
    case SIGN_RSA_SHA256:
        if (bits < SIGN_RSA_GOOD_BITS || bits > RSA_MOST_BITS)
            return FAIL(err, ERR_PERM, "new RSA keys have 2048 to 8192 bits, not %u", bits);
        pkey = EVP_RSA_gen(bits);
        break;
    case SIGN_ED25519_SHA256:
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        break;
    }
    if (pkey == NULL)
        return crypto__fail(err, ERR_PERM, "cannot make a signing key");
    *key_out = key_new(algorithm, pkey);
    return true;
}

static bool rsa_size_is_usable(const EVP_PKEY *pkey)
{
    int bits = EVP_PKEY_get_bits(pkey);

    return bits >= SIGN_RSA_LEAST_BITS && bits <= RSA_MOST_BITS;
}

bool sign_key_parse(struct slice pem, struct sign_key **key_out, struct err *err)
{
    EVP_PKEY *pkey = crypto__private_key_parse(pem);

    if (pkey == NULL)
        return FAIL(err, ERR_PERM,
                    "the signing key is not a PEM private key, or it has a passphrase");
    if (EVP_PKEY_is_a(pkey, "ED25519")) {
        *key_out = key_new(SIGN_ED25519_SHA256, pkey);
        return true;
    }
    if (EVP_PKEY_is_a(pkey, "RSA") && rsa_size_is_usable(pkey)) {
        *key_out = key_new(SIGN_RSA_SHA256, pkey);
        return true;
    }
    if (EVP_PKEY_is_a(pkey, "RSA"))
        FAIL(err, ERR_PERM, "an RSA signing key has 1024 to 8192 bits, this one has %d",
             EVP_PKEY_get_bits(pkey));
    else
        FAIL(err, ERR_PERM, "a signing key is RSA or Ed25519, this one is neither");
    EVP_PKEY_free(pkey);
    return false;
}

void sign_key_free(struct sign_key **key)
{
    if (*key == NULL)
        return;
    EVP_PKEY_CTX_free((*key)->rsa);
    EVP_PKEY_free((*key)->pkey);
    free(*key);
    *key = NULL;
}

enum sign_algorithm sign_key_algorithm(const struct sign_key *key)
{
    return key->algorithm;
}

unsigned sign_key_bits(const struct sign_key *key)
{
    return key->algorithm == SIGN_RSA_SHA256 ? (unsigned)EVP_PKEY_get_bits(key->pkey) : 256;
}

const char *sign_algorithm_name(enum sign_algorithm algorithm)
{
    return algorithm == SIGN_RSA_SHA256 ? "rsa-sha256" : "ed25519-sha256";
}

bool sign_key_write_pem(const struct sign_key *key, struct buffer *out)
{
    return crypto__private_key_write_pem(key->pkey, out);
}

bool sign_key_write_public(const struct sign_key *key, struct buffer *out)
{
    unsigned char raw[ED25519_PUBLIC_BYTES], *der = NULL;
    size_t raw_len = sizeof raw;
    int len;
    bool fits;

    if (key->algorithm == SIGN_ED25519_SHA256) {
        must(EVP_PKEY_get_raw_public_key(key->pkey, raw, &raw_len) == 1);
        return base64_append(out, slice_of(raw, raw_len));
    }
    len = i2d_PUBKEY(key->pkey, &der);
    must(len > 0);
    fits = base64_append(out, slice_of(der, (size_t)len));
    OPENSSL_free(der);
    return fits;
}

bool sign_digest(struct sign_key *key, const uint8_t digest[SHA256_BYTES],
                 uint8_t signature_out[SIGN_MAX_BYTES], size_t *len_out, struct err *err)
{
    size_t len = SIGN_MAX_BYTES;
    bool made;

    if (key->algorithm == SIGN_RSA_SHA256) {
        made = EVP_PKEY_sign(key->rsa, signature_out, &len, digest, SHA256_BYTES) == 1;
    } else {
        EVP_MD_CTX *context = EVP_MD_CTX_new();

        must(context != NULL);
        made = EVP_DigestSignInit_ex(context, NULL, NULL, NULL, NULL, key->pkey, NULL) == 1 &&
               EVP_DigestSign(context, signature_out, &len, digest, SHA256_BYTES) == 1;
        EVP_MD_CTX_free(context);
    }
    if (!made)
        return crypto__fail(err, ERR_TEMP, "cannot sign");
    *len_out = len;
    return true;
}

static bool rsa_verify(struct slice public_key, const uint8_t *digest, struct slice signature)
{
    const unsigned char *at = public_key.at;
    EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)public_key.len);
    EVP_PKEY_CTX *context = NULL;
    bool verified = false;

    if (pkey != NULL && at == public_key.at + public_key.len && EVP_PKEY_is_a(pkey, "RSA") &&
        rsa_size_is_usable(pkey)) {
        context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
        must(context != NULL);
        verified =
            EVP_PKEY_verify_init(context) == 1 &&
            EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
            EVP_PKEY_CTX_set_signature_md(context, crypto__sha256()) == 1 &&
            EVP_PKEY_verify(context, signature.at, signature.len, digest, SHA256_BYTES) == 1;
    }
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(pkey);
    return verified;
}

static bool ed25519_verify(struct slice public_key, const uint8_t *digest,
                           struct slice signature)
{
    EVP_PKEY *pkey = NULL;
    EVP_MD_CTX *context;
    bool verified;

    if (public_key.len == ED25519_PUBLIC_BYTES)
        pkey = EVP_PKEY_new_raw_public_key_ex(NULL, "ED25519", NULL, public_key.at,
                                              public_key.len);
    if (pkey == NULL)
        return false;
    context = EVP_MD_CTX_new();
    must(context != NULL);
    verified =
        EVP_DigestVerifyInit_ex(context, NULL, NULL, NULL, NULL, pkey, NULL) == 1 &&
        EVP_DigestVerify(context, signature.at, signature.len, digest, SHA256_BYTES) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(pkey);
    return verified;
}

bool sign_digest_verify(enum sign_algorithm algorithm, struct slice public_key,
                        const uint8_t digest[SHA256_BYTES], struct slice signature)
{
    bool verified = algorithm == SIGN_RSA_SHA256
                        ? rsa_verify(public_key, digest, signature)
                        : ed25519_verify(public_key, digest, signature);

    ERR_clear_error();
    return verified;
}
