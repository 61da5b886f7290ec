/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"
#include "crypto/internal.h"

enum { PEM_MAX_BYTES = 65536 };

void certificate_pair_deinit(struct certificate_pair *pair)
{
    buffer_deinit(&pair->certificate_pem);
    buffer_wipe(&pair->key_pem);
}

/* Sign and put both into the pair; takes nothing over. */
static bool finish(X509 *certificate, EVP_PKEY *key, EVP_PKEY *issuer_key,
                   struct certificate_pair *pair_out)
{
    if (X509_sign(certificate, issuer_key, crypto__sha256()) == 0)
        return false;
    buffer_init(&pair_out->certificate_pem, PEM_MAX_BYTES);
    buffer_init(&pair_out->key_pem, PEM_MAX_BYTES);
    return crypto__certificate_write_pem(certificate, &pair_out->certificate_pem) &&
           crypto__private_key_write_pem(key, &pair_out->key_pem);
}

bool certificate_make_authority(const struct certificate_wish *wish,
                                struct certificate_pair *pair_out, struct err *err)
{
    EVP_PKEY *key = crypto__p256_generate();
    X509 *x509 = crypto__certificate_new(wish->common_name_cstr, key, wish->not_before_s,
                                         wish->not_after_s);
    bool made =
        x509 != NULL &&
        crypto__certificate_extend(x509, x509, NID_basic_constraints, "critical,CA:TRUE") &&
        crypto__certificate_extend(x509, x509, NID_key_usage, "critical,keyCertSign,cRLSign") &&
        crypto__certificate_extend(x509, x509, NID_subject_key_identifier, "hash") &&
        finish(x509, key, key, pair_out);

    if (!made)
        crypto__fail(err, ERR_PERM, "cannot make this certificate authority");
    X509_free(x509);
    EVP_PKEY_free(key);
    return made;
}

static bool append_names(struct buffer *text, const char *kind_cstr,
                         const char *const *names_cstr)
{
    for (; names_cstr != NULL && *names_cstr != NULL; names_cstr++) {
        struct slice name = slice_from_cstr(*names_cstr);

        /* A comma would start another entry in the notation of openssl.cnf. */
        if (name.len == 0 || slice_find_byte(name, ',') < name.len)
            return false;
        if (!buffer_append_format(text, "%s%s:%s", buffer_len(text) > 0 ? "," : "", kind_cstr,
                                  *names_cstr))
            return false;
    }
    return true;
}

static bool extend_names(X509 *x509, const struct certificate_wish *wish)
{
    struct buffer text;
    bool added;

    buffer_init(&text, PEM_MAX_BYTES);
    added = append_names(&text, "DNS", wish->dns_names_cstr) &&
            append_names(&text, "IP", wish->addresses_cstr);
    if (added && buffer_len(&text) > 0)
        added = buffer_append_byte(&text, '\0') &&
                crypto__certificate_extend(x509, NULL, NID_subject_alt_name,
                                           (const char *)buffer_view(&text).at);
    buffer_deinit(&text);
    return added;
}

static bool extend_leaf(X509 *x509, const X509 *issuer, const struct certificate_wish *wish)
{
    return crypto__certificate_extend(x509, issuer, NID_basic_constraints,
                                      "critical,CA:FALSE") &&
           crypto__certificate_extend(x509, issuer, NID_key_usage,
                                      "critical,digitalSignature") &&
           crypto__certificate_extend(x509, issuer, NID_ext_key_usage, "serverAuth") &&
           crypto__certificate_extend(x509, issuer, NID_subject_key_identifier, "hash") &&
           crypto__certificate_extend(x509, issuer, NID_authority_key_identifier, "keyid") &&
           extend_names(x509, wish);
}

bool certificate_issue(const struct certificate_pair *authority,
                       const struct certificate_wish *wish, struct certificate_pair *pair_out,
                       struct err *err)
{
    EVP_PKEY *key = crypto__p256_generate(), *issuer_key = NULL;
    X509 *issuer = NULL;
    X509 *x509 = crypto__certificate_new(wish->common_name_cstr, key, wish->not_before_s,
                                         wish->not_after_s);
    bool made = x509 != NULL;

    if (made && authority != NULL) {
        issuer = crypto__certificate_parse(buffer_view(&authority->certificate_pem));
        issuer_key = crypto__private_key_parse(buffer_view(&authority->key_pem));
        made = issuer != NULL && issuer_key != NULL &&
               X509_set_issuer_name(x509, X509_get_subject_name(issuer)) == 1;
    }
    made = made && extend_leaf(x509, issuer == NULL ? x509 : issuer, wish) &&
           finish(x509, key, issuer_key == NULL ? key : issuer_key, pair_out);
    if (!made)
        crypto__fail(err, ERR_PERM, "cannot make this certificate");
    X509_free(x509);
    X509_free(issuer);
    EVP_PKEY_free(key);
    EVP_PKEY_free(issuer_key);
    return made;
}

int64_t certificate_end(struct slice pem)
{
    X509 *certificate = crypto__certificate_parse(pem);
    struct tm moment;
    int64_t end_s = 0;

    if (certificate != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &moment) == 1)
        end_s = (int64_t)timegm(&moment);
    X509_free(certificate);
    return end_s;
}

bool certificate_key_digest(struct slice pem, uint8_t digest_out[SHA256_BYTES])
{
    X509 *certificate = crypto__certificate_parse(pem);
    uint8_t *der = NULL;
    int len = certificate == NULL ? 0 : i2d_PUBKEY(X509_get0_pubkey(certificate), &der);

    if (len > 0)
        sha256(slice_of(der, (size_t)len), digest_out);
    OPENSSL_free(der);
    X509_free(certificate);
    return len > 0;
}
