/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of TLS share: the bodies of context, session and resumption. */
#ifndef CRYPTO_TLS_INTERNAL_H
#define CRYPTO_TLS_INTERNAL_H

#include "crypto/internal.h"
#include "crypto/tls.h"

#include <openssl/ssl.h>

enum {
    TLS_KEY_SIZE =
        1400, /* server name and TLS_MAX_NAMES names of up to 253 bytes, a digest in hex */
    TLS_CERTIFICATES_MAX = 1000
};

/* One of a server's further certificates. */
struct tls__choice {
    X509 *leaf;
    SSL_CTX *ssl_ctx;
};

struct tls_context {
    unsigned references;
    SSL_CTX *ssl_ctx;
    bool is_server;
    bool asks_certificate; /* of a server: from its clients */
    bool is_small;         /* of a client: small_hello */
    enum tls_trust trust;  /* of a client */
    uint8_t session_id
        [SHA256_BYTES]; /* of a server: the world in which its sessions may be resumed */
    struct tls__choice *choices; /* of a server, by SNI */
    size_t choice_count;
    struct tls_tickets tickets; /* of a server; period 0: OpenSSL's own */
};

struct tls_resumption {
    unsigned references;
    SSL_SESSION *ssl_session;
    struct tls_context *context;
    char peer_cstr
        [TLS_KEY_SIZE]; /* every name that the first connection was opened with, and its TLSA set */
    char tlsa_cstr[TLSA_TEXT_SIZE]; /* the record that proved the first one */
    int tlsa_depth;
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
    char tlsa_cstr
        [TLSA_TEXT_SIZE]; /* the record that matched, here or on the connection that is resumed */
    int tlsa_depth;
};

/* At a new session: a new day has new keys. */
void tls__refresh_tickets(struct tls_context *context);
/* A BIO over a socket that never raises SIGPIPE and never closes the socket. */
BIO *tls__bio_new(int fd);
/* The next read asks the socket, whatever the last one found. */
void tls__bio_ask_again(BIO *bio);
/* More will be written in this turn: the kernel may wait for it and send full packets. */
void tls__bio_more(BIO *bio, bool has_more);
/* An SSL_CTX with all of a server's rules, without a certificate. */
SSL_CTX *tls__server_ctx_new(enum tls_version least);
/* PEM into an SSL_CTX. ERR_PERM: not readable, or they do not belong together. */
bool tls__use_certificate(SSL_CTX *ctx, struct slice chain_pem, struct slice key_pem,
                          struct err *err);
/* Trust every certificate of the PEM bytes. ERR_PERM: there is none. */
bool tls__trust_pem(SSL_CTX *ctx, struct slice pem, struct err *err);
/* Take over further certificates, and choose among them by SNI. ERR_PERM: one is not usable; the text says which. */
bool tls__choose_by_name(struct tls_context *context, const struct tls_server_options *options,
                         struct err *err);
void tls__choices_free(struct tls_context *context);
/* Ask clients for certificates, as the options say. ERR_PERM: the authorities are not readable. */
bool tls__ask_clients(struct tls_context *context, const struct tls_server_options *options,
                      struct err *err);
/* For SSL_CTX_set_cert_verify_callback, server's side: as tls__verify, but never ends the handshake. */
int tls__verify_client(X509_STORE_CTX *store, void *unused);

/* DANE for this session: false when the names or records do not do. */
bool tls__dane_expect(struct tls_session *session, const struct tls_peer *peer);
/* After a handshake that was not a resumption: which record matched. */
void tls__dane_note(struct tls_session *session);
/* As tlsa_write_text, of a record outside of a set. */
void tls__tlsa_text(unsigned usage, unsigned selector, unsigned matching, struct slice data,
                    char text_out[TLSA_TEXT_SIZE]);

/* For SSL_CTX_set_cert_verify_callback: check, and remember what was seen even when it fails. */
int tls__verify(X509_STORE_CTX *store, void *unused);

#endif
