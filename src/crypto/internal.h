/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the rooms of this wing share and nobody else sees: algorithms fetched once, OpenSSL's error
 * queue turned into a struct err, keys and certificates between memory and PEM.
 */
#ifndef CRYPTO_INTERNAL_H
#define CRYPTO_INTERNAL_H

#include "base/buffer.h"
#include "base/err.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

/* Fetched at the first call, kept for the life of the process: a fetch costs more than a digest. */
const EVP_MD *crypto__sha256(void);
const EVP_CIPHER *crypto__aes_256_gcm(void);
const EVP_CIPHER *crypto__aes_256_ecb(void);

/* Say `what_cstr` and OpenSSL's first reason, and clear its queue. Returns false. */
bool crypto__fail(struct err *err, enum err_class class, const char *what_cstr);

/* Read-only memory BIO over the slice. */
BIO *crypto__bio_of(struct slice bytes);
/* Append what a memory BIO collected; false when the buffer's ceiling is crossed. Frees the BIO and
 * wipes its memory. */
bool crypto__bio_take(BIO *bio, struct buffer *out);

/* PEM or DER, never asking anybody for a passphrase. NULL when not readable; the error queue is
 * then cleared. */
EVP_PKEY *crypto__private_key_parse(struct slice bytes);
X509 *crypto__certificate_parse(struct slice bytes);
bool crypto__private_key_write_pem(const EVP_PKEY *key, struct buffer *out);
bool crypto__certificate_write_pem(const X509 *certificate, struct buffer *out);

/* A fresh key pair on P-256. */
EVP_PKEY *crypto__p256_generate(void);
/* Is this key on P-256? */
bool crypto__is_p256(const EVP_PKEY *key);

/* A version 3 certificate with a random serial number, not yet signed. Issuer = subject. NULL when
 * the name does not fit. */
X509 *crypto__certificate_new(const char *common_name_cstr, EVP_PKEY *key, int64_t not_before_s,
                              int64_t not_after_s);
/* Add an extension in the notation of openssl.cnf, e.g. NID_key_usage "critical,keyAgreement". */
bool crypto__certificate_extend(X509 *certificate, const X509 *issuer, int nid,
                                const char *value_cstr);

#endif
