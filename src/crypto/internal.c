/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/internal.h"
#include "crypto/random.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <string.h>

enum { SERIAL_BYTES = 16 };

const EVP_MD *crypto__sha256(void)
{
    static EVP_MD *fetched;

    if (fetched == NULL)
        fetched = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    must(fetched != NULL);
    return fetched;
}

static const EVP_CIPHER *fetch_cipher_once(EVP_CIPHER **fetched, const char *name_cstr)
{
    if (*fetched == NULL)
        *fetched = EVP_CIPHER_fetch(NULL, name_cstr, NULL);
    must(*fetched != NULL);
    return *fetched;
}

const EVP_CIPHER *crypto__aes_256_gcm(void)
{
    static EVP_CIPHER *fetched;

    return fetch_cipher_once(&fetched, "AES-256-GCM");
}

const EVP_CIPHER *crypto__aes_256_ecb(void)
{
    static EVP_CIPHER *fetched;

    return fetch_cipher_once(&fetched, "AES-256-ECB");
}

bool crypto__fail(struct err *err, enum err_class class, const char *what_cstr)
{
    const char *reason_cstr = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    if (reason_cstr == NULL)
        return FAIL(err, class, "%s", what_cstr);
    return FAIL(err, class, "%s: %s", what_cstr, reason_cstr);
}

BIO *crypto__bio_of(struct slice bytes)
{
    BIO *bio;

    must(bytes.len <= INT_MAX);
    bio = BIO_new_mem_buf(bytes.len == 0 ? "" : (const void *)bytes.at, (int)bytes.len);
    must(bio != NULL);
    return bio;
}

bool crypto__bio_take(BIO *bio, struct buffer *out)
{
    char *at = NULL;
    long len = BIO_get_mem_data(bio, &at);
    bool fits = len >= 0 && buffer_append(out, slice_of(at, (size_t)len));

    if (len > 0)
        OPENSSL_cleanse(at, (size_t)len);
    BIO_free(bio);
    return fits;
}

/* Without this OpenSSL would ask on the terminal. */
static int no_passphrase(char *at, int size, int is_writing, void *context)
{
    (void)at;
    (void)size;
    (void)is_writing;
    (void)context;
    return -1;
}

/* DER begins with the tag of a SEQUENCE, PEM with dashes or words. */
static bool is_der(struct slice bytes)
{
    return bytes.len > 0 && bytes.at[0] == 0x30;
}

EVP_PKEY *crypto__private_key_parse(struct slice bytes)
{
    BIO *bio = crypto__bio_of(bytes);
    EVP_PKEY *key;

    if (is_der(bytes))
        key = d2i_PrivateKey_bio(bio, NULL);
    else
        key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return key;
}

X509 *crypto__certificate_parse(struct slice bytes)
{
    BIO *bio = crypto__bio_of(bytes);
    X509 *certificate;

    if (is_der(bytes))
        certificate = d2i_X509_bio(bio, NULL);
    else
        certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

bool crypto__private_key_write_pem(const EVP_PKEY *key, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_secmem());

    must(bio != NULL);
    must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1);
    return crypto__bio_take(bio, out);
}

bool crypto__certificate_write_pem(const X509 *certificate, struct buffer *out)
{
    BIO *bio = BIO_new(BIO_s_mem());

    must(bio != NULL && PEM_write_bio_X509(bio, certificate) == 1);
    return crypto__bio_take(bio, out);
}

EVP_PKEY *crypto__p256_generate(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    must(key != NULL);
    return key;
}

bool crypto__is_p256(const EVP_PKEY *key)
{
    char group_cstr[32];
    size_t len;

    return EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group_cstr,
                                          sizeof group_cstr, &len) == 1 &&
           strcmp(group_cstr, SN_X9_62_prime256v1) == 0;
}

static bool set_serial(X509 *certificate)
{
    uint8_t serial[SERIAL_BYTES];
    BIGNUM *number;
    bool set;

    random_bytes(serial, sizeof serial);
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and always 16 bytes long */
    number = BN_bin2bn(serial, sizeof serial, NULL);
    set = number != NULL &&
          BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return set;
}

X509 *crypto__certificate_new(const char *common_name_cstr, EVP_PKEY *key, int64_t not_before_s,
                              int64_t not_after_s)
{
    X509 *certificate = X509_new();
    X509_NAME *name;

    must(certificate != NULL);
    name = X509_get_subject_name(certificate);
    if (X509_set_version(certificate, X509_VERSION_3) != 1 || !set_serial(certificate) ||
        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                                   (const unsigned char *)common_name_cstr, -1, -1, 0) != 1 ||
        X509_set_issuer_name(certificate, name) != 1 ||
        X509_set_pubkey(certificate, key) != 1 ||
        ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)not_before_s) == NULL ||
        ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)not_after_s) == NULL) {
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

bool crypto__certificate_extend(X509 *certificate, const X509 *issuer, int nid,
                                const char *value_cstr)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, (X509 *)(uintptr_t)issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value_cstr);
    added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}
