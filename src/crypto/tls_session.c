/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/tls_internal.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 253 };

static struct tls_session *session_new(struct tls_context *context, int fd)
{
    struct tls_session *session = calloc(1, sizeof *session);
    BIO *bio = tls__bio_new(fd);

    must(session != NULL);
    session->ssl = SSL_new(context->ssl_ctx);
    must(session->ssl != NULL);
    SSL_set_bio(session->ssl, bio, bio);
    SSL_set_app_data(session->ssl, session);
    tls_context_ref(context);
    session->context = context;
    session->verify_result = X509_V_ERR_UNSPECIFIED;
    return session;
}

struct tls_session *tls_session_new_server(struct tls_context *context, int fd)
{
    struct tls_session *session;

    must(context->is_server);
    tls__refresh_tickets(context);
    session = session_new(context, fd);
    SSL_set_accept_state(session->ssl);
    return session;
}

static bool is_address(const char *name_cstr)
{
    uint8_t bytes[16];

    return inet_pton(AF_INET, name_cstr, bytes) == 1 ||
           inet_pton(AF_INET6, name_cstr, bytes) == 1;
}

static bool is_name(const char *name_cstr)
{
    struct slice name = slice_from_cstr(name_cstr);

    if (name.len == 0 || name.len > NAME_MAX_BYTES || name.at[0] == '.' ||
        name.at[name.len - 1] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.at[i];

        if (!byte_is_alpha(byte) && !byte_is_digit(byte) && byte != '-' && byte != '_' &&
            byte != '.')
            return false;
    }
    return true;
}

/* Several host names, or one address: OpenSSL would ask for both to match when they are mixed. */
static bool expect_names(struct tls_session *session, const struct tls_peer *peer)
{
    size_t count = 0;
    bool has_address = false, is_dane = session->context->trust == TLS_TRUST_DANE;

    SSL_set_hostflags(session->ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                        X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    /* This gives OpenSSL the first name, too. */
    if (is_dane && !tls__dane_expect(session, peer))
        return false;
    for (size_t i = 0; i < TLS_MAX_NAMES; i++) {
        const char *name_cstr = peer->names_cstr[i];
        bool is_first = count == 0;

        if (name_cstr == NULL)
            continue;
        has_address = has_address || is_address(name_cstr);
        if ((has_address && (!is_first || is_dane)) ||
            (!is_address(name_cstr) && !is_name(name_cstr)))
            return false;
        count++;
        if (is_first && is_dane)
            continue;
        if ((is_first ? SSL_set1_host(session->ssl, name_cstr)
                      : SSL_add1_host(session->ssl, name_cstr)) != 1)
            return false;
    }
    session->has_names = count > 0;
    return count > 0 || session->context->trust == TLS_TRUST_NOBODY;
}

/* All that a later connection must have the same to be a resumption of this one. */
static void write_peer_key(struct tls_session *session, const struct tls_peer *peer)
{
    size_t len = 0;
    const char *names_cstr[1 + TLS_MAX_NAMES] = {peer->server_name_cstr};

    memcpy(names_cstr + 1, peer->names_cstr, sizeof peer->names_cstr);
    for (size_t i = 0; i < COUNT_OF(names_cstr); i++)
        len += (size_t)snprintf(session->peer_cstr + len, sizeof session->peer_cstr - len,
                                "%s,", names_cstr[i] == NULL ? "" : names_cstr[i]);
    if (session->context->trust == TLS_TRUST_DANE) {
        uint8_t digest[SHA256_BYTES];

        tlsa_set_digest(peer->tlsa, digest);
        for (size_t i = 0; i < sizeof digest && len < sizeof session->peer_cstr; i++)
            len += (size_t)snprintf(session->peer_cstr + len, sizeof session->peer_cstr - len,
                                    "%02x", digest[i]);
    }
    must(len < sizeof session->peer_cstr);
}

/* A certificate that has expired since its chain was checked proves nothing any more. */
static bool certificate_is_still_valid(const SSL_SESSION *ssl_session)
{
    const X509 *leaf = SSL_SESSION_get0_peer((SSL_SESSION *)(uintptr_t)ssl_session);

    return leaf != NULL && X509_cmp_current_time(X509_get0_notAfter(leaf)) > 0;
}

static void try_resumption(struct tls_session *session, const struct tls_resumption *resumption)
{
    if (resumption->context != session->context || session->context->is_small ||
        strcmp(resumption->peer_cstr, session->peer_cstr) != 0 ||
        !certificate_is_still_valid(resumption->ssl_session))
        return;
    SSL_set_session(session->ssl, resumption->ssl_session);
    memcpy(session->tlsa_cstr, resumption->tlsa_cstr, sizeof session->tlsa_cstr);
    session->tlsa_depth = resumption->tlsa_depth;
}

bool tls_session_new_client(struct tls_context *context, int fd, const struct tls_peer *peer,
                            struct tls_session **session_out, struct err *err)
{
    struct tls_session *session;
    const char *server_name_cstr =
        context->trust == TLS_TRUST_DANE ? peer->names_cstr[0] : peer->server_name_cstr;

    must(!context->is_server);
    session = session_new(context, fd);
    SSL_set_connect_state(session->ssl);
    if (!expect_names(session, peer) ||
        (server_name_cstr != NULL &&
         (!is_name(server_name_cstr) || is_address(server_name_cstr) ||
          SSL_set_tlsext_host_name(session->ssl, server_name_cstr) != 1))) {
        crypto__fail(err, ERR_PERM,
                     context->trust == TLS_TRUST_DANE
                         ? "DANE needs a name that a certificate can hold, and usable records"
                         : "TLS needs a name that a certificate can hold");
        tls_session_free(&session);
        return false;
    }
    if (peer->least == TLS_VERSION_1_3)
        must(SSL_set_min_proto_version(session->ssl, TLS1_3_VERSION) == 1);
    write_peer_key(session, peer);
    if (peer->resumption != NULL)
        try_resumption(session, peer->resumption);
    ERR_clear_error();
    *session_out = session;
    return true;
}

void tls_session_free(struct tls_session **session)
{
    struct tls_session *it = *session;

    *session = NULL;
    if (it == NULL)
        return;
    /* Else OpenSSL would take a connection without close_notify as a reason never to resume it. */
    if (!it->has_failed)
        SSL_set_shutdown(it->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(it->ssl);
    X509_free(it->leaf);
    tls_context_unref(&it->context);
    free(it);
}

static enum tls_step failed(struct tls_session *session)
{
    session->has_failed = true;
    ERR_clear_error();
    return TLS_FAILED;
}

/* What a call that gave nothing means. saved_errno: as it was right after that call. */
static enum tls_step step_of(struct tls_session *session, int result, int saved_errno,
                             const char *doing_cstr, struct err *err)
{
    int reason = SSL_get_error(session->ssl, result);

    if (reason == SSL_ERROR_WANT_READ)
        return TLS_WANT_READ;
    if (reason == SSL_ERROR_WANT_WRITE)
        return TLS_WANT_WRITE;
    if (reason == SSL_ERROR_ZERO_RETURN)
        return TLS_CLOSED;
    if (reason == SSL_ERROR_SSL &&
        ERR_GET_REASON(ERR_peek_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        FAIL(err, ERR_PEER, "%s: the peer ended the connection without closing TLS",
             doing_cstr);
    else if (reason == SSL_ERROR_SSL)
        crypto__fail(err, ERR_PEER, doing_cstr);
    else
        FAIL(err, ERR_TEMP, "%s: %s", doing_cstr,
             saved_errno == 0 ? "the connection ended" : strerror(saved_errno));
    return failed(session);
}

static bool was_refused_by_us(const struct tls_session *session)
{
    return ERR_GET_REASON(ERR_peek_error()) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
           session->was_verified && session->verify_result != X509_V_OK;
}

enum tls_step tls_session_handshake(struct tls_session *session, struct err *err)
{
    int result, saved_errno;

    must(!session->has_failed);
    ERR_clear_error();
    errno = 0;
    result = SSL_do_handshake(session->ssl);
    saved_errno = errno;
    if (result == 1) {
        session->is_done = true;
        if (!session->context->is_server && SSL_session_reused(session->ssl) != 1)
            tls__dane_note(session);
        tls__bio_ask_again(SSL_get_rbio(session->ssl));
        return TLS_DONE;
    }
    if (was_refused_by_us(session)) {
        FAIL_SMTP(err, ERR_TEMP, 454, "4.7.5", "not proved: %s",
                  X509_verify_cert_error_string(session->verify_result));
        return failed(session);
    }
    return step_of(session, result, saved_errno, "TLS handshake", err);
}

enum tls_step tls_session_read(struct tls_session *session, uint8_t *at, size_t max,
                               size_t *len_out, struct err *err)
{
    int result;

    must(session->is_done && !session->has_failed && max > 0);
    ERR_clear_error();
    errno = 0;
    result = SSL_read_ex(session->ssl, at, max, len_out);
    return result == 1 ? TLS_DONE : step_of(session, result, errno, "TLS read", err);
}

enum tls_step tls_session_write(struct tls_session *session, struct slice bytes,
                                size_t *len_out, struct err *err)
{
    size_t total = 0;

    must(session->is_done && !session->has_failed && bytes.len > 0);
    ERR_clear_error();
    /* One record a time; go on until the socket is full. */
    while (total < bytes.len) {
        size_t len = 0;
        enum tls_step step;
        int result;

        errno = 0;
        tls__bio_more(SSL_get_wbio(session->ssl), bytes.len - total > SSL3_RT_MAX_PLAIN_LENGTH);
        result = SSL_write_ex(session->ssl, bytes.at + total, bytes.len - total, &len);
        if (result != 1) {
            step = step_of(session, result, errno, "TLS write", err);
            if (total == 0 || step == TLS_FAILED)
                return step;
            break; /* the next call begins with what was not taken */
        }
        total += len;
    }
    *len_out = total;
    return TLS_DONE;
}

enum tls_step tls_session_shutdown(struct tls_session *session, struct err *err)
{
    int result;

    if (session->has_failed || !session->is_done)
        return TLS_DONE; /* there is nobody to say good-bye to */
    ERR_clear_error();
    errno = 0;
    result = SSL_shutdown(session->ssl);
    return result >= 0 ? TLS_DONE : step_of(session, result, errno, "TLS shutdown", err);
}

size_t tls_session_pending(const struct tls_session *session)
{
    int len = SSL_pending(session->ssl);

    if (len > 0)
        return (size_t)len;
    /* Read ahead, but not decrypted: there may be something. */
    return SSL_has_pending(session->ssl) ? 1 : 0;
}

void tls_resumption_ref(struct tls_resumption *resumption)
{
    resumption->references++;
}

void tls_resumption_unref(struct tls_resumption **resumption)
{
    struct tls_resumption *it = *resumption;

    *resumption = NULL;
    if (it == NULL || --it->references > 0)
        return;
    SSL_SESSION_free(it->ssl_session);
    tls_context_unref(&it->context);
    free(it);
}

struct tls_resumption *tls_session_resumption(struct tls_session *session)
{
    struct tls_resumption *resumption;
    SSL_SESSION *ssl_session;

    if (!session->is_done || session->has_failed || session->context->is_server)
        return NULL;
    ssl_session = SSL_get1_session(session->ssl);
    if (ssl_session == NULL || !SSL_SESSION_is_resumable(ssl_session)) {
        SSL_SESSION_free(ssl_session);
        return NULL;
    }
    resumption = calloc(1, sizeof *resumption);
    must(resumption != NULL);
    resumption->references = 1;
    resumption->ssl_session = ssl_session;
    tls_context_ref(session->context);
    resumption->context = session->context;
    memcpy(resumption->peer_cstr, session->peer_cstr, sizeof resumption->peer_cstr);
    memcpy(resumption->tlsa_cstr, session->tlsa_cstr, sizeof resumption->tlsa_cstr);
    resumption->tlsa_depth = session->tlsa_depth;
    return resumption;
}
