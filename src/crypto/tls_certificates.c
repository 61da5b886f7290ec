/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates into contexts: a server's own, further ones chosen by name, and those whom we trust. */
#include "crypto/tls_internal.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdlib.h>

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

bool tls__use_certificate(SSL_CTX *ctx, struct slice chain_pem, struct slice key_pem,
                          struct err *err)
{
    return use_chain(ctx, chain_pem, err) && use_key(ctx, key_pem, err);
}

bool tls__trust_pem(SSL_CTX *ctx, struct slice pem, struct err *err)
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

/* ---- certificates of clients ---- */

/* Their names go into the request, so that a client with several certificates finds the right one. */
static void tell_authorities(SSL_CTX *ctx)
{
    STACK_OF(X509) *all = X509_STORE_get1_all_certs(SSL_CTX_get_cert_store(ctx));

    must(all != NULL);
    for (int i = 0; i < sk_X509_num(all); i++)
        must(SSL_CTX_add_client_CA(ctx, sk_X509_value(all, i)) == 1);
    sk_X509_pop_free(all, X509_free);
}

static void ask(SSL_CTX *ctx)
{
    tell_authorities(ctx);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, tls__verify_client, NULL);
}

bool tls__ask_clients(struct tls_context *context, const struct tls_server_options *options,
                      struct err *err)
{
    struct sha256_stream stream;

    /*
     * A session that was made under other authorities must not be resumed: its ticket holds the old verdict on the client. The
     * ticket keys may be the same; so the id of the session's world is not.
     */
    sha256_init(&stream);
    sha256_push(&stream, options->ask_certificate ? S("asked") : S("postern"));
    sha256_push(&stream, options->client_authorities_pem);
    sha256_finish(&stream, context->session_id);
    sha256_deinit(&stream);
    must(SSL_CTX_set_session_id_context(context->ssl_ctx, context->session_id, SHA256_BYTES) ==
         1);
    if (!options->ask_certificate)
        return true;
    context->asks_certificate = true;
    if (options->client_authorities_pem.len > 0 &&
        !tls__trust_pem(context->ssl_ctx, options->client_authorities_pem, err))
        return false;
    ask(context->ssl_ctx);
    return true;
}

/* ---- several certificates on one port ---- */

static SSL_CTX *choose(const struct tls_context *context, const char *name_cstr)
{
    for (size_t i = 0; i < context->choice_count; i++)
        if (X509_check_host(context->choices[i].leaf, name_cstr, 0,
                            X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                X509_CHECK_FLAG_NEVER_CHECK_SUBJECT,
                            NULL) == 1)
            return context->choices[i].ssl_ctx;
    return NULL;
}

static int on_server_name(SSL *ssl, int *alert, void *context)
{
    const char *name_cstr = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    SSL_CTX *chosen = name_cstr == NULL ? NULL : choose(context, name_cstr);

    (void)alert;
    ERR_clear_error();
    if (chosen != NULL && SSL_set_SSL_CTX(ssl, chosen) == NULL)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    /* An unknown name is no reason to refuse: the client judges the certificate. */
    return SSL_TLSEXT_ERR_OK;
}

/*
 * With SSL_set_SSL_CTX a connection takes over much more than a certificate: so a choice is made like the
 * context itself, and shares whom it trusts.
 */
static bool make_choice(const struct tls_context *context,
                        const struct tls_certificate *certificate, enum tls_version least,
                        struct tls__choice *choice, struct err *err)
{
    SSL_CTX *ctx = tls__server_ctx_new(least);

    choice->ssl_ctx = ctx;
    if (!tls__use_certificate(ctx, certificate->chain_pem, certificate->private_key_pem, err))
        return false;
    choice->leaf = SSL_CTX_get0_certificate(ctx);
    must(SSL_CTX_set_session_id_context(ctx, context->session_id, SHA256_BYTES) == 1);
    if (context->asks_certificate) {
        SSL_CTX_set1_cert_store(ctx, SSL_CTX_get_cert_store(context->ssl_ctx));
        ask(ctx);
    }
    return true;
}

bool tls__choose_by_name(struct tls_context *context, const struct tls_server_options *options,
                         struct err *err)
{
    must(options->more_count <= TLS_CERTIFICATES_MAX);
    if (options->more_count == 0)
        return true;
    context->choices = calloc(options->more_count, sizeof *context->choices);
    must(context->choices != NULL);
    for (size_t i = 0; i < options->more_count; i++) {
        struct err why;

        if (!make_choice(context, &options->more[i], options->least,
                         &context->choices[context->choice_count++], &why))
            return FAIL(err, why.class, "further certificate %zu: %s", i + 1, why.text_cstr);
    }
    must(SSL_CTX_set_tlsext_servername_callback(context->ssl_ctx, on_server_name) == 1);
    must(SSL_CTX_set_tlsext_servername_arg(context->ssl_ctx, context) == 1);
    return true;
}

void tls__choices_free(struct tls_context *context)
{
    for (size_t i = 0; i < context->choice_count; i++)
        SSL_CTX_free(context->choices[i].ssl_ctx);
    free(context->choices);
}
