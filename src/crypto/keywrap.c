/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keywrap.h"
#include "crypto/internal.h"

#include <openssl/err.h>

/*
 * One context for all: the key is set anew for each call and overwritten with zeros after it. The
 * cipher is set only once, because setting it again would throw the context's memory away.
 */
static EVP_CIPHER_CTX *context_with(const uint8_t *key, int is_wrapping)
{
    static EVP_CIPHER_CTX *context;
    const EVP_CIPHER *cipher = NULL;

    if (context == NULL) {
        context = EVP_CIPHER_CTX_new();
        must(context != NULL);
        EVP_CIPHER_CTX_set_flags(context, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
        cipher = crypto__aes_256_wrap();
    }
    must(EVP_CipherInit_ex2(context, cipher, key, NULL, is_wrapping, NULL) == 1);
    return context;
}

static void forget_key(void)
{
    static const struct secret zeros;

    context_with(zeros.bytes, 1);
}

void keywrap_wrap(const struct secret *wrapping_key, const struct secret *key,
                  uint8_t wrapped_out[KEYWRAP_BYTES])
{
    EVP_CIPHER_CTX *context = context_with(wrapping_key->bytes, 1);
    int len = 0;

    must(EVP_CipherUpdate(context, wrapped_out, &len, key->bytes, SECRET_BYTES) == 1 &&
         len == KEYWRAP_BYTES);
    forget_key();
}

bool keywrap_unwrap(const struct secret *wrapping_key, const uint8_t wrapped[KEYWRAP_BYTES],
                    struct secret *key_out)
{
    EVP_CIPHER_CTX *context = context_with(wrapping_key->bytes, 0);
    uint8_t plain[KEYWRAP_BYTES]; /* OpenSSL uses more than the result's size while it works */
    int len = 0;
    bool opened = EVP_CipherUpdate(context, plain, &len, wrapped, KEYWRAP_BYTES) == 1 &&
                  len == SECRET_BYTES;

    forget_key();
    if (opened)
        *key_out = *(struct secret *)(void *)plain;
    else
        secret_wipe(key_out);
    explicit_bzero(plain, sizeof plain);
    ERR_clear_error();
    return opened;
}
