/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/recipient_key.h"
#include "crypto/internal.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DAY_S = 86400, LIFE_DAYS = 30 * 365 };

struct recipient_certificate {
    X509 *x509;
};

struct recipient_key {
    EVP_PKEY *private_key;
    struct recipient_certificate certificate;
};

static struct recipient_key *key_new(EVP_PKEY *private_key, X509 *certificate)
{
    struct recipient_key *key = calloc(1, sizeof *key);

    must(key != NULL);
    key->private_key = private_key;
    key->certificate.x509 = certificate;
    return key;
}

bool recipient_key_generate(const char *name_cstr, struct recipient_key **key_out,
                            struct err *err)
{
    EVP_PKEY *private_key = crypto__p256_generate();
    int64_t now_s = (int64_t)time(NULL);
    X509 *certificate = crypto__certificate_new(name_cstr, private_key, now_s - DAY_S,
                                                now_s + (int64_t)LIFE_DAYS * DAY_S);

    if (certificate == NULL ||
        !crypto__certificate_extend(certificate, certificate, NID_key_usage,
                                    "critical,keyAgreement") ||
        !crypto__certificate_extend(certificate, certificate, NID_subject_key_identifier,
                                    "hash") ||
        X509_sign(certificate, private_key, crypto__sha256()) == 0) {
        X509_free(certificate);
        EVP_PKEY_free(private_key);
        return crypto__fail(err, ERR_PERM, "cannot make a certificate with this name");
    }
    *key_out = key_new(private_key, certificate);
    return true;
}

static X509 *certificate_parse(struct slice bytes, struct err *err)
{
    X509 *certificate = crypto__certificate_parse(bytes);

    if (certificate == NULL) {
        FAIL(err, ERR_PERM, "the certificate is neither PEM nor DER");
        return NULL;
    }
    if (X509_get0_pubkey(certificate) == NULL ||
        !crypto__is_p256(X509_get0_pubkey(certificate))) {
        crypto__fail(err, ERR_PERM, "the certificate's key is not on curve P-256");
        X509_free(certificate);
        return NULL;
    }
    return certificate;
}

bool recipient_key_parse(struct slice private_key, struct slice certificate,
                         struct recipient_key **key_out, struct err *err)
{
    X509 *x509 = certificate_parse(certificate, err);
    EVP_PKEY *pkey;

    if (x509 == NULL)
        return false;
    pkey = crypto__private_key_parse(private_key);
    if (pkey == NULL)
        FAIL(err, ERR_PERM, "the private key is neither PEM nor DER, or it has a passphrase");
    else if (X509_check_private_key(x509, pkey) != 1)
        crypto__fail(err, ERR_PERM, "private key and certificate do not belong together");
    else {
        *key_out = key_new(pkey, x509);
        return true;
    }
    EVP_PKEY_free(pkey);
    X509_free(x509);
    return false;
}

void recipient_key_free(struct recipient_key **key)
{
    if (*key == NULL)
        return;
    EVP_PKEY_free((*key)->private_key);
    X509_free((*key)->certificate.x509);
    free(*key);
    *key = NULL;
}

bool recipient_key_write_pem(const struct recipient_key *key, struct buffer *out)
{
    return crypto__private_key_write_pem(key->private_key, out);
}

bool recipient_key_write_der(const struct recipient_key *key, struct buffer *out)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->private_key);
    unsigned char *der = NULL;
    int len = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);
    bool fits;

    must(len > 0);
    fits = buffer_append(out, slice_of(der, (size_t)len));
    PKCS8_PRIV_KEY_INFO_free(info);
    OPENSSL_clear_free(der, (size_t)len);
    return fits;
}

const struct recipient_certificate *recipient_key_certificate(const struct recipient_key *key)
{
    return &key->certificate;
}

bool recipient_certificate_parse(struct slice certificate,
                                 struct recipient_certificate **certificate_out,
                                 struct err *err)
{
    X509 *x509 = certificate_parse(certificate, err);

    if (x509 == NULL)
        return false;
    *certificate_out = calloc(1, sizeof **certificate_out);
    must(*certificate_out != NULL);
    (*certificate_out)->x509 = x509;
    return true;
}

void recipient_certificate_free(struct recipient_certificate **certificate)
{
    if (*certificate == NULL)
        return;
    X509_free((*certificate)->x509);
    free(*certificate);
    *certificate = NULL;
}

bool recipient_certificate_write_pem(const struct recipient_certificate *certificate,
                                     struct buffer *out)
{
    return crypto__certificate_write_pem(certificate->x509, out);
}

bool recipient_certificate_write_der(const struct recipient_certificate *certificate,
                                     struct buffer *out)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate->x509, &der);
    bool fits;

    must(len > 0);
    fits = buffer_append(out, slice_of(der, (size_t)len));
    OPENSSL_free(der);
    return fits;
}

void recipient_certificate_digest(const struct recipient_certificate *certificate,
                                  uint8_t digest_out[SHA256_BYTES])
{
    must(X509_digest(certificate->x509, crypto__sha256(), digest_out, NULL) == 1);
}

/* An EnvelopedData with one recipient; SHA-256 in the key derivation, where OpenSSL would take
 * SHA-1. */
static CMS_ContentInfo *envelope(X509 *certificate, struct slice content)
{
    unsigned flags = CMS_BINARY | CMS_PARTIAL;
    CMS_ContentInfo *cms = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), flags);
    CMS_RecipientInfo *recipient;
    BIO *bio;
    bool made;

    if (cms == NULL)
        return NULL;
    recipient = CMS_add1_recipient_cert(cms, certificate, flags | CMS_KEY_PARAM);
    bio = crypto__bio_of(content);
    made = recipient != NULL &&
           EVP_PKEY_CTX_set_ecdh_kdf_md(CMS_RecipientInfo_get0_pkey_ctx(recipient),
                                        crypto__sha256()) > 0 &&
           CMS_final(cms, bio, NULL, flags) == 1;
    BIO_free(bio);
    if (!made) {
        CMS_ContentInfo_free(cms);
        return NULL;
    }
    return cms;
}

bool recipient_seal(const struct recipient_certificate *certificate,
                    const struct secret *secret, struct buffer *sealed_out, struct err *err)
{
    CMS_ContentInfo *cms = envelope(certificate->x509, slice_of(secret->bytes, SECRET_BYTES));
    unsigned char *der = NULL;
    int len;
    bool fits;

    if (cms == NULL)
        return crypto__fail(err, ERR_TEMP, "cannot seal a key for the keeper");
    len = i2d_CMS_ContentInfo(cms, &der);
    CMS_ContentInfo_free(cms);
    if (len <= 0)
        return crypto__fail(err, ERR_TEMP, "cannot seal a key for the keeper");
    fits = len <= RECIPIENT_SEALED_MAX_BYTES &&
           buffer_append(sealed_out, slice_of(der, (size_t)len));
    OPENSSL_free(der);
    return fits || FAIL(err, ERR_TEMP, "no room for a sealed key of %d bytes", len);
}

/* True when the content is exactly one secret. */
static bool take_secret(BIO *bio, struct secret *secret_out)
{
    char *at = NULL;
    long len = BIO_get_mem_data(bio, &at);
    bool fits = len == SECRET_BYTES;

    if (fits)
        memcpy(secret_out->bytes, at, SECRET_BYTES);
    if (len > 0)
        OPENSSL_cleanse(at, (size_t)len);
    return fits;
}

bool recipient_open(const struct recipient_key *key, struct slice sealed,
                    struct secret *secret_out, struct err *err)
{
    const unsigned char *at = sealed.at;
    CMS_ContentInfo *cms = NULL;
    BIO *bio = NULL;
    bool opened = false;

    if (sealed.len > 0 && sealed.len <= RECIPIENT_SEALED_MAX_BYTES)
        cms = d2i_CMS_ContentInfo(NULL, &at, (long)sealed.len);
    if (cms == NULL || at != sealed.at + sealed.len ||
        OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_enveloped) {
        crypto__fail(err, ERR_PERM, "a sealed key is not CMS EnvelopedData");
        goto done;
    }
    bio = BIO_new(BIO_s_mem());
    must(bio != NULL);
    if (CMS_decrypt(cms, key->private_key, key->certificate.x509, NULL, bio, 0) == 1)
        opened = take_secret(bio, secret_out);
    if (!opened)
        crypto__fail(err, ERR_PERM, "a sealed key was not sealed for this key, or was changed");
done:
    ERR_clear_error();
    BIO_free(bio);
    CMS_ContentInfo_free(cms);
    return opened;
}
