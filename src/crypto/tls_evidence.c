/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

int tls__verify(X509_STORE_CTX *store, void *unused)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls_session *session = SSL_get_app_data(ssl);
    X509 *leaf = X509_STORE_CTX_get0_cert(store);
    int result = X509_verify_cert(store);

    (void)unused;
    if (leaf != NULL && session->leaf == NULL && X509_up_ref(leaf) == 1)
        session->leaf = leaf;
    session->was_verified = true;
    session->verify_result = X509_STORE_CTX_get_error(store);
    /* Never the one without the other, whatever the library's reason. */
    if (result != 1 && session->verify_result == X509_V_OK)
        session->verify_result = X509_V_ERR_UNSPECIFIED;
    return result;
}

/*
 * Mail servers show the certificate that they have: one for servers. Public authorities do not issue any
 * others, and it names the same host.
 */
static void take_server_certificates(X509_STORE_CTX *store, X509 *leaf)
{
    uint32_t usage = X509_get_extended_key_usage(leaf);

    if ((usage & XKU_SSL_CLIENT) == 0 && (usage & XKU_SSL_SERVER) != 0)
        X509_VERIFY_PARAM_set_purpose(X509_STORE_CTX_get0_param(store),
                                      X509_PURPOSE_SSL_SERVER);
}

int tls__verify_client(X509_STORE_CTX *store, void *unused)
{
    X509 *leaf = X509_STORE_CTX_get0_cert(store);

    if (leaf != NULL)
        take_server_certificates(store, leaf);
    if (tls__verify(store, unused) != 1)
        ERR_clear_error();
    return 1;
}

/* Text of a stranger, as printable ASCII; a mark at the end when it had to be cut. */
static void copy_text(char *out_cstr, size_t size, struct slice text)
{
    static const char mark_cstr[] = " ...";
    size_t len = text.len < size ? text.len : size - 1;

    for (size_t i = 0; i < len; i++)
        out_cstr[i] = (char)(text.at[i] >= ' ' && text.at[i] <= '~' ? text.at[i] : '?');
    out_cstr[len] = '\0';
    if (text.len >= size)
        memcpy(out_cstr + size - sizeof mark_cstr, mark_cstr, sizeof mark_cstr);
}

/* One name; a byte that no name has, a space above all, would make it look like two. */
static bool append_value(struct buffer *text, struct slice value)
{
    bool fits = buffer_len(text) == 0 || buffer_append_byte(text, ' ');

    for (size_t i = 0; fits && i < value.len; i++)
        fits = buffer_append_byte(text,
                                  value.at[i] > ' ' && value.at[i] <= '~' ? value.at[i] : '?');
    return fits;
}

static bool append_name(struct buffer *text, const GENERAL_NAME *name)
{
    char address_cstr[INET6_ADDRSTRLEN] = "?";
    const ASN1_STRING *string;
    struct slice value;

    if (name->type != GEN_DNS && name->type != GEN_IPADD)
        return true;
    string = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    value = slice_of(ASN1_STRING_get0_data(string), (size_t)ASN1_STRING_length(string));
    if (name->type == GEN_IPADD) {
        if (value.len == 4 || value.len == 16)
            inet_ntop(value.len == 4 ? AF_INET : AF_INET6, value.at, address_cstr,
                      sizeof address_cstr);
        value = slice_from_cstr(address_cstr);
    }
    return append_value(text, value);
}

/* Whole names only: the first half of a long one might be a name that somebody trusts. */
static void write_names(const X509 *leaf, char *out_cstr, size_t size)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    size_t whole = 0;
    struct buffer text;
    bool fits = true;

    buffer_init(&text, size - sizeof " ...");
    for (int i = 0; fits && i < sk_GENERAL_NAME_num(names); i++) {
        fits = append_name(&text, sk_GENERAL_NAME_value(names, i));
        if (fits)
            whole = buffer_len(&text);
    }
    snprintf(out_cstr, size, "%.*s%s", SLICE_ARGS(slice_head(buffer_view(&text), whole)),
             fits         ? ""
             : whole == 0 ? "..."
                          : " ...");
    buffer_deinit(&text);
    GENERAL_NAMES_free(names);
}

static void write_issuer(const X509 *leaf, char *out_cstr, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *at = NULL;
    long len;

    must(bio != NULL);
    if (X509_NAME_print_ex(bio, X509_get_issuer_name(leaf), 0, XN_FLAG_RFC2253) < 0)
        ERR_clear_error();
    len = BIO_get_mem_data(bio, &at);
    copy_text(out_cstr, size, slice_of(at, len > 0 ? (size_t)len : 0));
    BIO_free(bio);
}

static int64_t not_after_s(const X509 *leaf)
{
    struct tm moment;

    if (ASN1_TIME_to_tm(X509_get0_notAfter(leaf), &moment) != 1)
        return 0;
    return (int64_t)timegm(&moment);
}

static void describe_certificate(const X509 *leaf, struct tls_evidence *evidence)
{
    evidence->has_certificate = true;
    must(X509_digest(leaf, crypto__sha256(), evidence->certificate_sha256, NULL) == 1);
    write_names(leaf, evidence->names_cstr, sizeof evidence->names_cstr);
    write_issuer(leaf, evidence->issuer_cstr, sizeof evidence->issuer_cstr);
    evidence->not_after_s = not_after_s(leaf);
}

static void describe_connection(SSL *ssl, struct tls_evidence *evidence)
{
    const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
    const char *name_cstr = cipher == NULL ? NULL : SSL_CIPHER_standard_name(cipher);
    int group = (int)SSL_get_negotiated_group(ssl);

    evidence->version = SSL_version(ssl) == TLS1_3_VERSION ? TLS_VERSION_1_3 : TLS_VERSION_1_2;
    copy_text(evidence->cipher_cstr, sizeof evidence->cipher_cstr, slice_from_cstr(name_cstr));
    if (cipher != NULL)
        evidence->cipher_bits = (uint16_t)SSL_CIPHER_get_bits(cipher, NULL);
    if (group != 0)
        copy_text(evidence->group_cstr, sizeof evidence->group_cstr,
                  slice_from_cstr(SSL_group_to_name(ssl, group)));
    evidence->is_resumed = SSL_session_reused(ssl) == 1;
}

/* The result of checking this peer: on this connection, or on the one that is resumed. */
static long verify_result(const struct tls_session *session)
{
    if (session->was_verified)
        return session->verify_result;
    return session->is_done && SSL_session_reused(session->ssl) == 1
               ? SSL_get_verify_result(session->ssl)
               : X509_V_ERR_UNSPECIFIED;
}

static enum tls_failure failure_of(long result)
{
    switch (result) {
    case X509_V_OK:
        return TLS_FAILURE_NONE;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return TLS_FAILURE_HOST_MISMATCH;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return TLS_FAILURE_EXPIRED;
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_INVALID_CA:
        return TLS_FAILURE_NOT_TRUSTED;
    case X509_V_ERR_DANE_NO_MATCH:
        return TLS_FAILURE_TLSA_MISMATCH;
    default:
        return TLS_FAILURE_VALIDATION;
    }
}

const char *tls_failure_report_name(enum tls_failure failure)
{
    static const char *const names[] = {
        "",
        "validation-failure",
        "certificate-host-mismatch",
        "certificate-expired",
        "certificate-not-trusted",
        "validation-failure",
        "validation-failure",
    };

    must((unsigned)failure < COUNT_OF(names));
    return names[failure];
}

/* Words and kind of what speaks against the peer. */
static void explain(const struct tls_session *session, bool has_certificate, long result,
                    struct tls_evidence *evidence)
{
    const char *why_cstr = "the handshake did not finish";

    evidence->failure = TLS_FAILURE_HANDSHAKE;
    if (!has_certificate) {
        why_cstr = "the peer showed no certificate";
        if (session->is_done)
            evidence->failure = TLS_FAILURE_VALIDATION;
    } else if (result != X509_V_OK) {
        why_cstr = X509_verify_cert_error_string(result);
        if (session->is_done || session->was_verified)
            evidence->failure = failure_of(result);
    } else if (session->is_done) {
        why_cstr = "no name was expected";
        evidence->failure = TLS_FAILURE_VALIDATION;
    }
    copy_text(evidence->reason_cstr, sizeof evidence->reason_cstr, slice_from_cstr(why_cstr));
}

void tls_session_evidence(const struct tls_session *session, struct tls_evidence *evidence_out)
{
    const X509 *leaf = session->leaf;
    bool is_server = session->context->is_server;
    long result;

    memset(evidence_out, 0, sizeof *evidence_out);
    if (session->is_done)
        describe_connection(session->ssl, evidence_out);
    if (is_server && !session->context->asks_certificate)
        return;
    if (leaf == NULL && session->is_done)
        leaf = SSL_get0_peer_certificate(session->ssl);
    if (leaf != NULL)
        describe_certificate(leaf, evidence_out);
    result = verify_result(session);
    /* A client that comes back with a ticket: its certificate may have ended since. */
    if (is_server && result == X509_V_OK && leaf != NULL && !session->was_verified &&
        X509_cmp_current_time(X509_get0_notAfter(leaf)) <= 0)
        result = X509_V_ERR_CERT_HAS_EXPIRED;
    evidence_out->is_verified = session->is_done && leaf != NULL &&
                                (session->has_names || is_server) && result == X509_V_OK;
    if (evidence_out->is_verified) {
        memcpy(evidence_out->tlsa_cstr, session->tlsa_cstr, sizeof evidence_out->tlsa_cstr);
        evidence_out->tlsa_depth = session->tlsa_depth;
    } else {
        explain(session, leaf != NULL, result, evidence_out);
    }
    ERR_clear_error();
}
