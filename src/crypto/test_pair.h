/* SPDX-License-Identifier: Apache-2.0 */
/* For the TLS tests: certificates of every kind, and two sessions that talk with each other. */
#ifndef CRYPTO_TEST_PAIR_H
#define CRYPTO_TEST_PAIR_H

#include "crypto/certificate.h"
#include "crypto/tls_internal.h"

#include "kit/kit.h"
#include "kit/run.h"

#include <sys/socket.h>
#include <time.h>

enum { DAY_S = 86400 };

/* Certificates of every kind, made once. */
struct papers {
    struct certificate_pair authority, other_authority;
    struct certificate_pair good, wrong_name, expired, future, alone, wild, address;
};

static struct papers papers;

static inline void issue(const struct certificate_pair *authority, const char *name_cstr,
                         const char *address_cstr, int64_t from_days, int64_t to_days,
                         struct certificate_pair *pair_out)
{
    const char *names_cstr[] = {name_cstr, NULL}, *addresses_cstr[] = {address_cstr, NULL};
    int64_t now_s = (int64_t)time(NULL);
    struct certificate_wish wish = {
        .common_name_cstr = "leaf",
        .dns_names_cstr = names_cstr,
        .addresses_cstr = addresses_cstr,
        .not_before_s = now_s + from_days * DAY_S,
        .not_after_s = now_s + to_days * DAY_S,
    };
    struct err err;

    assert_true(certificate_issue(authority, &wish, pair_out, &err));
}

static inline int make_papers(void **state)
{
    int64_t now_s = (int64_t)time(NULL);
    struct certificate_wish wish = {
        .common_name_cstr = "Test authority",
        .not_before_s = now_s - DAY_S,
        .not_after_s = now_s + 100 * DAY_S,
    };

    (void)state;
    must(certificate_make_authority(&wish, &papers.authority, NULL));
    must(certificate_make_authority(&wish, &papers.other_authority, NULL));
    issue(&papers.authority, "mx.example.test", NULL, -1, 30, &papers.good);
    issue(&papers.authority, "mx.elsewhere.test", NULL, -1, 30, &papers.wrong_name);
    issue(&papers.authority, "mx.example.test", NULL, -30, -1, &papers.expired);
    issue(&papers.authority, "mx.example.test", NULL, 1, 30, &papers.future);
    issue(NULL, "mx.example.test", NULL, -1, 30, &papers.alone);
    issue(&papers.authority, "*.example.test", NULL, -1, 30, &papers.wild);
    issue(&papers.authority, NULL, "127.0.0.1", -1, 30, &papers.address);
    return 0;
}

static inline int burn_papers(void **state)
{
    struct certificate_pair *all = (struct certificate_pair *)&papers;

    (void)state;
    for (size_t i = 0; i < sizeof papers / sizeof *all; i++)
        certificate_pair_deinit(&all[i]);
    return 0;
}

static inline struct tls_context *server_with(const struct certificate_pair *pair,
                                              enum tls_version least)
{
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&pair->certificate_pem),
                                         .private_key_pem = buffer_view(&pair->key_pem),
                                         .least = least};
    struct tls_context *context = NULL;
    struct err err;

    assert_true(tls_context_new_server(&options, &context, &err));
    return context;
}

static inline struct tls_context *client_with(enum tls_trust trust)
{
    struct tls_client_options options = {
        .trust = trust, .authorities_pem = buffer_view(&papers.authority.certificate_pem)};
    struct tls_context *context = NULL;
    struct err err;

    assert_true(tls_context_new_client(&options, &context, &err));
    return context;
}

struct pair {
    int fds[2];
    struct tls_session *server, *client;
    enum tls_step server_step, client_step;
    struct err server_err, client_err;
};

static inline void pair_open(struct pair *pair, struct tls_context *server,
                             struct tls_context *client, const struct tls_peer *peer)
{
    *pair = (struct pair){.server_step = TLS_WANT_READ, .client_step = TLS_WANT_READ};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds) == 0);
    pair->server = tls_session_new_server(server, pair->fds[0]);
    must(tls_session_new_client(client, pair->fds[1], peer, &pair->client, NULL));
}

static inline bool is_waiting(enum tls_step step)
{
    return step == TLS_WANT_READ || step == TLS_WANT_WRITE;
}

static inline void pair_handshake(struct pair *pair)
{
    for (int i = 0; i < 20; i++) {
        if (is_waiting(pair->client_step))
            pair->client_step = tls_session_handshake(pair->client, &pair->client_err);
        if (is_waiting(pair->server_step))
            pair->server_step = tls_session_handshake(pair->server, &pair->server_err);
    }
}

static inline void pair_close(struct pair *pair)
{
    tls_session_free(&pair->server);
    tls_session_free(&pair->client);
    close(pair->fds[0]);
    if (pair->fds[1] >= 0)
        close(pair->fds[1]);
}

/* A few bytes each way; TLS 1.3 tickets arrive with them. */
static inline void pair_talk(struct pair *pair)
{
    uint8_t bytes[100];
    size_t len = 0;
    struct err err;

    assert_int_equal(tls_session_write(pair->server, S("220 hello"), &len, &err), TLS_DONE);
    assert_int_equal(len, 9);
    assert_int_equal(tls_session_read(pair->client, bytes, 5, &len, &err), TLS_DONE);
    assert_int_equal(len, 5);
    assert_int_equal(tls_session_pending(pair->client), 4);
    assert_int_equal(tls_session_read(pair->client, bytes, sizeof bytes, &len, &err), TLS_DONE);
    assert_int_equal(len, 4);
    assert_int_equal(tls_session_read(pair->client, bytes, sizeof bytes, &len, &err),
                     TLS_WANT_READ);
    assert_int_equal(tls_session_write(pair->client, S("EHLO"), &len, &err), TLS_DONE);
    assert_int_equal(tls_session_read(pair->server, bytes, sizeof bytes, &len, &err), TLS_DONE);
    assert_memory_equal(bytes, "EHLO", 4);
}

#endif
