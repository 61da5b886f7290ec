/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls_internal.h"

#include <openssl/err.h>

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
    ":!aNULL:!eNULL:!PSK:!SRP:!AESCCM:@SECLEVEL=1";
/* One unknown name refuses the whole list in OpenSSL before 3.5, so there are two lists. */
static const char hybrid_groups_cstr[] = "X25519MLKEM768:X25519:P-256:P-384:P-521";
static const char plain_groups_cstr[] = "X25519:P-256:P-384:P-521";
/*
 * For hosts that choke on a long ClientHello: what everybody has. The names of the ciphers cost two bytes each; what makes a
 * hello long is key shares and tickets.
 */
static const char small_groups_cstr[] = "X25519:P-256";
static const char small_ciphers_cstr[] = "ECDHE+AESGCM:!aNULL:!eNULL:!PSK:!SRP:@SECLEVEL=2";
static const char small_any_ciphers_cstr[] =
    "ECDHE+AESGCM:ECDHE+AES:kRSA+AESGCM:kRSA+AES:!aNULL:!eNULL:!PSK:!SRP:!AESCCM:@SECLEVEL=1";

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
    tls__choices_free(it);
    secret_wipe(&it->tickets.secret);
    free(it);
}

static SSL_CTX *ssl_ctx_new(bool is_server, enum tls_version least, const char *ciphers_cstr)
{
    SSL_CTX *ctx = SSL_CTX_new(is_server ? TLS_server_method() : TLS_client_method());

    must(ctx != NULL);
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
    return ctx;
}

static struct tls_context *context_new(bool is_server, SSL_CTX *ssl_ctx)
{
    struct tls_context *context = calloc(1, sizeof *context);

    must(context != NULL);
    context->references = 1;
    context->ssl_ctx = ssl_ctx;
    context->is_server = is_server;
    return context;
}

SSL_CTX *tls__server_ctx_new(enum tls_version least)
{
    SSL_CTX *ctx = ssl_ctx_new(true, least, good_ciphers_cstr);

    SSL_CTX_set_options(ctx, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    must(SSL_CTX_set_dh_auto(ctx, 1) == 1);
    /* Tickets only: the server remembers nothing. One is enough for a client that comes back. */
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    must(SSL_CTX_set_num_tickets(ctx, 1) == 1);
    return ctx;
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
    struct tls_context *context = context_new(true, tls__server_ctx_new(options->least));

    if (!tls__use_certificate(context->ssl_ctx, options->certificate_chain_pem,
                              options->private_key_pem, err) ||
        !tls__ask_clients(context, options, err) ||
        !tls__choose_by_name(context, options, err)) {
        tls_context_unref(&context);
        return false;
    }
    if (options->tickets != NULL && options->tickets->period > 0) {
        context->tickets = *options->tickets;
        use_tickets(context);
    }
    *context_out = context;
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
    return options->authorities_pem.len == 0 ||
           tls__trust_pem(ctx, options->authorities_pem, err);
}

static const char *client_ciphers(const struct tls_client_options *options)
{
    if (options->trust == TLS_TRUST_NOBODY)
        return options->small_hello ? small_any_ciphers_cstr : any_ciphers_cstr;
    return options->small_hello ? small_ciphers_cstr : good_ciphers_cstr;
}

bool tls_context_new_client(const struct tls_client_options *options,
                            struct tls_context **context_out, struct err *err)
{
    bool is_strict = options->trust != TLS_TRUST_NOBODY;
    struct tls_context *context =
        context_new(false, ssl_ctx_new(false, options->least, client_ciphers(options)));
    SSL_CTX *ctx = context->ssl_ctx;

    context->trust = options->trust;
    context->is_small = options->small_hello;
    if (!trust(ctx, options, err)) {
        tls_context_unref(&context);
        return false;
    }
    if (options->trust == TLS_TRUST_DANE)
        must(SSL_CTX_dane_enable(ctx) == 1);
    if (options->small_hello) {
        must(SSL_CTX_set1_groups_list(ctx, small_groups_cstr) == 1);
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
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
