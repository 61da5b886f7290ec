/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Forward secrecy and AEAD [RFC 9325 §4.2]. */
static const char good_ciphers_cstr[] = "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20"
                                        ":!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=2";
/*
 * To a peer whom we would otherwise tell everything in clear text, weaker encryption is better than
 * none: old key exchange and CBC at the end of the list [RFC 7435].
 */
static const char any_ciphers_cstr[] =
    "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:DHE+CHACHA20:ECDHE+AES:DHE+AES:kRSA+AESGCM:kRSA+AES"
    ":!aNULL:!eNULL:!PSK:!SRP:!CCM:@SECLEVEL=1";
/* One unknown name refuses the whole list in OpenSSL before 3.5, so there are two lists. */
static const char hybrid_groups_cstr[] = "X25519MLKEM768:X25519:P-256:P-384:P-521";
static const char plain_groups_cstr[] = "X25519:P-256:P-384:P-521";

enum { SESSION_LIFE_S = 3600 };

const char *tls_version_name(enum tls_version version)
{
    static const char *const names[] = {"none", "TLSv1.2", "TLSv1.3"};

    must((unsigned)version < COUNT_OF(names));
    return names[version];
}

void tls_context_ref(struct tls_context *context)
{
    context->references++;
}

void tls_context_unref(struct tls_context **context)
{
    struct tls_context *it = *context;

    *context = NULL;
    if (it == NULL || --it->references > 0)
        return;
    SSL_CTX_free(it->ssl_ctx);
    secret_wipe(&it->tickets.secret);
    free(it);
}

static struct tls_context *context_new(bool is_server, enum tls_version least,
                                       const char *ciphers_cstr)
{
    struct tls_context *context = calloc(1, sizeof *context);
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());

    must(context != NULL && ctx != NULL);
    context->references = 1;
    context->ssl_ctx = ctx;
    context->is_server = is_server;
    must(SSL_CTX_set_min_proto_version(ctx, least == TLS_VERSION_1_3 ? TLS1_3_VERSION
                                                                     : TLS1_2_VERSION) == 1);
    must(SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1);
    must(SSL_CTX_set_cipher_list(ctx, ciphers_cstr) == 1);
    if (SSL_CTX_set1_groups_list(ctx, hybrid_groups_cstr) != 1)
        must(SSL_CTX_set1_groups_list(ctx, plain_groups_cstr) == 1);
    ERR_clear_error();
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    /* Idle sessions give their buffers back: 10,000 of them must fit. */
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(ctx, 1);
    SSL_CTX_set_timeout(ctx, SESSION_LIFE_S);
    return context;
}

/* The first certificate of the PEM is the server's own, the others are its chain. */
static bool use_chain(SSL_CTX *ctx, struct slice pem, struct err *err)
{
    BIO *bio = crypto__bio_of(pem);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    bool used = certificate != NULL && SSL_CTX_use_certificate(ctx, certificate) == 1;

    if (certificate == NULL)
        crypto__fail(err, ERR_PERM, "there is no PEM certificate in the certificate file");
    else if (!used)
        crypto__fail(err, ERR_PERM, "the server's certificate cannot be used");
    X509_free(certificate);
    while (used && (certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        must(SSL_CTX_add0_chain_cert(ctx, certificate) == 1);
    /* After the last one the queue says "no start line"; anything else is damage. */
    if (used && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
        used = crypto__fail(err, ERR_PERM, "a certificate of the chain is damaged");
    ERR_clear_error();
    BIO_free(bio);
    return used;
}

static bool use_key(SSL_CTX *ctx, struct slice pem, struct err *err)
{
    EVP_PKEY *key = crypto__private_key_parse(pem);
    bool used;

    if (key == NULL)
        return FAIL(err, ERR_PERM,
                    "the TLS key file holds no readable private key, or one with a passphrase");
    used = SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
    EVP_PKEY_free(key);
    return used ||
           crypto__fail(err, ERR_PERM, "TLS key and certificate do not belong together");
}

static void use_tickets(struct tls_context *context)
{
    uint8_t keys[TLS_TICKETS_KEYS_BYTES];

    tls_tickets_keys(&context->tickets, keys);
    must(SSL_CTX_set_tlsext_ticket_keys(context->ssl_ctx, keys, sizeof keys) == 1);
    explicit_bzero(keys, sizeof keys);
}

void tls__refresh_tickets(struct tls_context *context)
{
    if (context->tickets.period > 0 &&
        tls_tickets_advance(&context->tickets, (int64_t)time(NULL)))
        use_tickets(context);
}

bool tls_context_new_server(const struct tls_server_options *options,
                            struct tls_context **context_out, struct err *err)
{
    struct tls_context *context = context_new(true, options->least, good_ciphers_cstr);
    SSL_CTX *ctx = context->ssl_ctx;

    if (!use_chain(ctx, options->certificate_chain_pem, err) ||
        !use_key(ctx, options->private_key_pem, err)) {
        tls_context_unref(&context);
        return false;
    }
    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    must(SSL_CTX_set_dh_auto(ctx, 1) == 1);
    /* Tickets only: the server remembers nothing. One is enough for a client that comes back. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_num_tickets(ctx, 1) == 1);
    must(SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"postern", 7) == 1);
    if (options->tickets != NULL && options->tickets->period > 0) {
        context->tickets = *options->tickets;
        use_tickets(context);
    }
    *context_out = context;
    return true;
}

/* Trust every certificate of the PEM bytes; false when there is none. */
static bool trust_pem(SSL_CTX *ctx, struct slice pem, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(ctx);
    BIO *bio = crypto__bio_of(pem);
    size_t count = 0;
    X509 *certificate;

    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
        if (X509_STORE_add_cert(store, certificate) == 1)
            count++;
        X509_free(certificate);
    }
    BIO_free(bio);
    if (count == 0)
        return crypto__fail(err, ERR_PERM,
                            "there is no certificate among the trusted authorities");
    ERR_clear_error();
    return true;
}

static bool trust(SSL_CTX *ctx, const struct tls_client_options *options, struct err *err)
{
    if (options->trust == TLS_TRUST_WEBPKI && options->authorities_path_cstr == NULL &&
        options->authorities_pem.len == 0)
        return FAIL(err, ERR_PERM, "verifying names needs trusted authorities");
    if (options->authorities_path_cstr != NULL &&
        SSL_CTX_load_verify_file(ctx, options->authorities_path_cstr) != 1)
        return crypto__fail(err, ERR_PERM, "cannot read the file of trusted authorities");
    return options->authorities_pem.len == 0 || trust_pem(ctx, options->authorities_pem, err);
}

bool tls_context_new_client(const struct tls_client_options *options,
                            struct tls_context **context_out, struct err *err)
{
    bool is_strict = options->trust == TLS_TRUST_WEBPKI;
    struct tls_context *context =
        context_new(false, options->least, is_strict ? good_ciphers_cstr : any_ciphers_cstr);
    SSL_CTX *ctx = context->ssl_ctx;

    context->trust = options->trust;
    if (!trust(ctx, options, err)) {
        tls_context_unref(&context);
        return false;
    }
    SSL_CTX_set_verify(ctx, is_strict ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, tls__verify, NULL);
    if (!is_strict)
        SSL_CTX_set_options(ctx, SSL_OP_LEGACY_SERVER_CONNECT);
    /* Who may be resumed is the caller's decision, connection by connection. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    *context_out = context;
    return true;
}
