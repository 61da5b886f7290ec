/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of TLS share: the bodies of context, session and resumption. */
#ifndef CRYPTO_TLS_INTERNAL_H
#define CRYPTO_TLS_INTERNAL_H

#include "crypto/internal.h"
#include "crypto/tls.h"

#include <openssl/ssl.h>

enum { TLS_KEY_SIZE = 1300 }; /* server name and TLS_MAX_NAMES names of up to 253 bytes */

struct tls_context {
    unsigned references;
    SSL_CTX *ssl_ctx;
    bool is_server;
    enum tls_trust trust;       /* of a client */
    struct tls_tickets tickets; /* of a server; period 0: OpenSSL's own */
};

struct tls_resumption {
    unsigned references;
    SSL_SESSION *ssl_session;
    struct tls_context *context;
    char peer_cstr[TLS_KEY_SIZE]; /* every name that the first connection was opened with */
};

struct tls_session {
    struct tls_context *context;
    SSL *ssl;
    bool is_done;      /* the handshake is */
    bool has_failed;   /* nothing but freeing is allowed */
    bool has_names;    /* reference identifiers were given */
    bool was_verified; /* the chain was checked on this connection, with this result: */
    int verify_result; /* X509_V_... */
    X509 *leaf;        /* the peer's own, as soon as it was seen; NULL = none */
    char peer_cstr[TLS_KEY_SIZE];
};

/* At a new session: a new day has new keys. */
void tls__refresh_tickets(struct tls_context *context);
/* A BIO over a socket that never raises SIGPIPE and never closes the socket. */
BIO *tls__bio_new(int fd);
/* The next read asks the socket, whatever the last one found. */
void tls__bio_ask_again(BIO *bio);
/* More will be written in this turn: the kernel may wait for it and send full packets. */
void tls__bio_more(BIO *bio, bool has_more);
/* For SSL_CTX_set_cert_verify_callback: check, and remember what was seen even when it fails. */
int tls__verify(X509_STORE_CTX *store, void *unused);

#endif
