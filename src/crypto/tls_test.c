/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/certificate.h"
#include "crypto/random.h"
#include "crypto/tls.h"

#include "kit/kit.h"
#include "kit/run.h"

#include <signal.h>
#include <sys/socket.h>
#include <time.h>

enum { DAY_S = 86400 };

/* Certificates of every kind, made once. */
struct papers {
    struct certificate_pair authority, other_authority;
    struct certificate_pair good, wrong_name, expired, future, alone, wild, address;
};

static struct papers papers;

static void issue(const struct certificate_pair *authority, const char *name_cstr,
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

static int make_papers(void **state)
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

static int burn_papers(void **state)
{
    struct certificate_pair *all = (struct certificate_pair *)&papers;

    (void)state;
    for (size_t i = 0; i < sizeof papers / sizeof *all; i++)
        certificate_pair_deinit(&all[i]);
    return 0;
}

static struct tls_context *server_with(const struct certificate_pair *pair,
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

static struct tls_context *client_with(enum tls_trust trust)
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

static void pair_open(struct pair *pair, struct tls_context *server, struct tls_context *client,
                      const struct tls_peer *peer)
{
    *pair = (struct pair){.server_step = TLS_WANT_READ, .client_step = TLS_WANT_READ};
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair->fds) == 0);
    pair->server = tls_session_new_server(server, pair->fds[0]);
    must(tls_session_new_client(client, pair->fds[1], peer, &pair->client, NULL));
}

static bool is_waiting(enum tls_step step)
{
    return step == TLS_WANT_READ || step == TLS_WANT_WRITE;
}

static void pair_handshake(struct pair *pair)
{
    for (int i = 0; i < 20; i++) {
        if (is_waiting(pair->client_step))
            pair->client_step = tls_session_handshake(pair->client, &pair->client_err);
        if (is_waiting(pair->server_step))
            pair->server_step = tls_session_handshake(pair->server, &pair->server_err);
    }
}

static void pair_close(struct pair *pair)
{
    tls_session_free(&pair->server);
    tls_session_free(&pair->client);
    close(pair->fds[0]);
    if (pair->fds[1] >= 0)
        close(pair->fds[1]);
}

/* A few bytes each way; TLS 1.3 tickets arrive with them. */
static void pair_talk(struct pair *pair)
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

static void test_proof_and_refusal(void **state)
{
    static const struct {
        const char *name_cstr;
        const struct certificate_pair *pair;
        const char *expected_cstr;
        const char *reason_cstr; /* NULL = proved */
    } cases[] = {
        {"good", &papers.good, "mx.example.test", NULL},
        {"case does not matter", &papers.good, "MX.Example.TEST", NULL},
        {"wrong name", &papers.wrong_name, "mx.example.test", "hostname mismatch"},
        {"common name is no name", &papers.good, "leaf", "hostname mismatch"},
        {"expired", &papers.expired, "mx.example.test", "certificate has expired"},
        {"not yet valid", &papers.future, "mx.example.test", "certificate is not yet valid"},
        {"self-signed", &papers.alone, "mx.example.test", "self-signed certificate"},
        {"wildcard", &papers.wild, "mx.example.test", NULL},
        {"wildcard is one label", &papers.wild, "a.mx.example.test", "hostname mismatch"},
        {"wildcard needs a label", &papers.wild, "example.test", "hostname mismatch"},
        {"address", &papers.address, "127.0.0.1", NULL},
        {"other address", &papers.address, "127.0.0.2", "IP address mismatch"},
        {"address for a name", &papers.good, "127.0.0.1", "IP address mismatch"},
    };
    struct tls_context *strict = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *trusting = client_with(TLS_TRUST_NOBODY);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tls_peer peer = {.names_cstr = {cases[i].expected_cstr}};
        struct tls_context *server = server_with(cases[i].pair, TLS_VERSION_NONE);
        struct tls_evidence evidence;
        struct pair pair;

        pair_open(&pair, server, strict, &peer);
        pair_handshake(&pair);
        tls_session_evidence(pair.client, &evidence);
        assert_true(evidence.has_certificate);
        assert_int_equal(evidence.is_verified, cases[i].reason_cstr == NULL);
        assert_string_equal(evidence.reason_cstr,
                            cases[i].reason_cstr ? cases[i].reason_cstr : "");
        if (cases[i].reason_cstr == NULL) {
            assert_int_equal(pair.client_step, TLS_DONE);
            assert_int_equal(pair.server_step, TLS_DONE);
            pair_talk(&pair);
        } else {
            assert_int_equal(pair.client_step, TLS_FAILED);
            assert_int_equal(pair.client_err.class, ERR_TEMP);
            assert_string_equal(pair.client_err.enhanced_cstr, "4.7.5");
            assert_non_null(strstr(pair.client_err.text_cstr, cases[i].reason_cstr));
            assert_int_equal(pair.server_step, TLS_FAILED);
            assert_int_equal(evidence.version, TLS_VERSION_NONE);
        }
        pair_close(&pair);
        /* Without a demand for proof it works all the same, and the evidence is as honest. */
        pair_open(&pair, server, trusting, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, TLS_DONE);
        tls_session_evidence(pair.client, &evidence);
        assert_int_equal(evidence.is_verified, cases[i].reason_cstr == NULL);
        assert_string_equal(evidence.reason_cstr,
                            cases[i].reason_cstr ? cases[i].reason_cstr : "");
        pair_talk(&pair);
        pair_close(&pair);
        tls_context_unref(&server);
    }
    tls_context_unref(&strict);
    tls_context_unref(&trusting);
}

static void test_evidence(void **state)
{
    static const enum tls_version versions[] = {TLS_VERSION_1_2, TLS_VERSION_1_3};
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.server_name_cstr = "mx.example.test",
                            .names_cstr = {"other.test", "mx.example.test"}};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(versions); i++) {
        struct tls_evidence evidence;
        struct pair pair;

        peer.least = versions[i];
        pair_open(&pair, server, client, &peer);
        pair_handshake(&pair);
        tls_session_evidence(pair.client, &evidence);
        assert_int_equal(evidence.version, TLS_VERSION_1_3);
        assert_string_equal(evidence.cipher_cstr, "TLS_AES_256_GCM_SHA384");
        assert_int_equal(evidence.cipher_bits, 256);
        assert_string_equal(evidence.group_cstr, "x25519");
        assert_string_equal(evidence.names_cstr, "mx.example.test");
        assert_string_equal(evidence.issuer_cstr, "CN=Test authority");
        assert_true(evidence.is_verified);
        assert_false(evidence.is_resumed);
        assert_in_range(evidence.not_after_s - (int64_t)time(NULL), 29 * DAY_S, 31 * DAY_S);
        tls_session_evidence(pair.server, &evidence);
        assert_int_equal(evidence.version, TLS_VERSION_1_3);
        assert_false(evidence.has_certificate);
        pair_close(&pair);
    }
    assert_string_equal(tls_version_name(TLS_VERSION_1_2), "TLSv1.2");
    tls_context_unref(&server);
    tls_context_unref(&client);
}

/* More and stranger names than there is room for. */
static void test_evidence_is_bounded(void **state)
{
    char names_cstr[60][64];
    const char *list_cstr[61] = {NULL};
    struct certificate_wish wish = {.common_name_cstr = "x",
                                    .dns_names_cstr = list_cstr,
                                    .not_before_s = 0,
                                    .not_after_s = (int64_t)time(NULL) + DAY_S};
    struct certificate_pair many = {0};
    struct tls_context *client = client_with(TLS_TRUST_NOBODY), *server;
    struct tls_peer peer = {0};
    struct tls_evidence evidence;
    struct pair pair;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names_cstr); i++) {
        snprintf(names_cstr[i], sizeof names_cstr[i], "host-\x07-number-%zu.a-long-name.test",
                 i);
        list_cstr[i] = names_cstr[i];
    }
    assert_true(certificate_issue(&papers.authority, &wish, &many, NULL));
    server = server_with(&many, TLS_VERSION_NONE);
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    tls_session_evidence(pair.client, &evidence);
    assert_int_equal(strlen(evidence.names_cstr), TLS_NAMES_SIZE - 1);
    assert_string_equal(evidence.names_cstr + TLS_NAMES_SIZE - 5, " ...");
    assert_non_null(strstr(evidence.names_cstr, "host-?-number-0."));
    assert_false(evidence.is_verified);
    assert_string_equal(evidence.reason_cstr, "no name was expected");
    pair_close(&pair);
    certificate_pair_deinit(&many);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

static struct tls_resumption *resumption_of(struct tls_context *server,
                                            struct tls_context *client,
                                            const struct tls_peer *peer, bool *is_resumed_out,
                                            bool *is_verified_out)
{
    struct tls_resumption *resumption;
    struct tls_evidence evidence;
    struct pair pair;

    pair_open(&pair, server, client, peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    pair_talk(&pair);
    tls_session_evidence(pair.client, &evidence);
    *is_resumed_out = evidence.is_resumed;
    *is_verified_out = evidence.is_verified;
    assert_true(evidence.has_certificate);
    assert_string_equal(evidence.names_cstr, "mx.example.test");
    resumption = tls_session_resumption(pair.client);
    pair_close(&pair);
    return resumption;
}

static void test_resumption_stays_in_its_class(void **state)
{
    struct secret tickets;
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&papers.good.certificate_pem),
                                         .private_key_pem = buffer_view(&papers.good.key_pem),
                                         .ticket_secret = &tickets};
    struct tls_context *server = NULL, *twin = NULL;
    struct tls_context *strict = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *trusting = client_with(TLS_TRUST_NOBODY);
    struct tls_peer peer = {.server_name_cstr = "mx.example.test",
                            .names_cstr = {"mx.example.test"}};
    struct tls_peer other = {.server_name_cstr = "mx.example.test",
                             .names_cstr = {"mx.example.test", "other.test"}};
    struct tls_resumption *first, *again;
    bool is_resumed, is_verified;

    (void)state;
    random_secret(&tickets);
    assert_true(tls_context_new_server(&options, &server, NULL));
    assert_true(tls_context_new_server(&options, &twin, NULL));
    first = resumption_of(server, strict, &peer, &is_resumed, &is_verified);
    assert_non_null(first);
    assert_false(is_resumed);
    peer.resumption = other.resumption = first;
    /* The same class and names: resumed, by the other process of the server too. */
    again = resumption_of(server, strict, &peer, &is_resumed, &is_verified);
    assert_true(is_resumed);
    assert_true(is_verified);
    tls_resumption_unref(&again);
    again = resumption_of(twin, strict, &peer, &is_resumed, &is_verified);
    assert_true(is_resumed);
    assert_true(is_verified);
    tls_resumption_unref(&again);
    /* Other names, or another class: a full handshake. */
    again = resumption_of(server, strict, &other, &is_resumed, &is_verified);
    assert_false(is_resumed);
    tls_resumption_unref(&again);
    again = resumption_of(server, trusting, &peer, &is_resumed, &is_verified);
    assert_false(is_resumed);
    peer.resumption = again;
    {
        struct tls_resumption *weak =
            resumption_of(server, strict, &peer, &is_resumed, &is_verified);

        assert_false(is_resumed);
        assert_true(is_verified);
        tls_resumption_unref(&weak);
    }
    tls_resumption_unref(&again);
    tls_resumption_ref(first);
    again = first;
    tls_resumption_unref(&first);
    tls_resumption_unref(&again);
    tls_context_unref(&server);
    tls_context_unref(&twin);
    tls_context_unref(&strict);
    tls_context_unref(&trusting);
}

static void test_least_version_is_kept(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_1_3);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    struct pair pair;

    (void)state;
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    pair_close(&pair);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

/* A megabyte against a full socket, byte for byte, moving the buffer between the attempts. */
static void test_writes_go_on_where_they_stopped(void **state)
{
    enum { TOTAL = 1 << 20 };
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    uint8_t *content = malloc(TOTAL), *got = malloc(TOTAL);
    size_t sent = 0, received = 0, blocked = 0;
    struct pair pair;
    struct err err;

    (void)state;
    random_bytes(content, TOTAL);
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    while (received < TOTAL) {
        size_t len = 0;
        enum tls_step step;

        if (sent < TOTAL) {
            uint8_t *moved = malloc(TOTAL - sent);

            memcpy(moved, content + sent, TOTAL - sent);
            step = tls_session_write(pair.client, slice_of(moved, TOTAL - sent), &len, &err);
            free(moved);
            assert_true(step == TLS_DONE || step == TLS_WANT_WRITE);
            blocked += step == TLS_WANT_WRITE;
            sent += step == TLS_DONE ? len : 0;
        }
        step = tls_session_read(pair.server, got + received, TOTAL - received, &len, &err);
        assert_true(step == TLS_DONE || step == TLS_WANT_READ);
        received += step == TLS_DONE ? len : 0;
    }
    assert_memory_equal(content, got, TOTAL);
    assert_true(blocked > 0);
    free(content);
    free(got);
    pair_close(&pair);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

static void test_endings(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    uint8_t bytes[100];
    size_t len;
    struct pair pair;
    struct err err;

    (void)state;
    signal(SIGPIPE, SIG_DFL); /* dies, if anything here would raise it */
    /* In order. */
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(tls_session_shutdown(pair.client, &err), TLS_DONE);
    assert_int_equal(tls_session_read(pair.server, bytes, sizeof bytes, &len, &err),
                     TLS_CLOSED);
    assert_int_equal(tls_session_shutdown(pair.server, &err), TLS_DONE);
    pair_close(&pair);
    /* Cut off. */
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    pair_talk(&pair); /* takes the ticket, which would make it a reset */
    close(pair.fds[1]);
    pair.fds[1] = -1;
    assert_int_equal(tls_session_read(pair.server, bytes, sizeof bytes, &len, &err),
                     TLS_FAILED);
    assert_int_equal(err.class, ERR_PEER);
    assert_non_null(strstr(err.text_cstr, "without closing TLS"));
    pair_close(&pair);
    /* Writing to nobody. */
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    close(pair.fds[1]);
    pair.fds[1] = -1;
    assert_int_equal(tls_session_write(pair.server, S("x"), &len, &err), TLS_FAILED);
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(tls_session_shutdown(pair.server, &err), TLS_DONE);
    pair_close(&pair);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

/* Peers that do not speak TLS at all. */
static void test_garbage(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    struct pair pair;

    (void)state;
    pair_open(&pair, server, client, &peer);
    assert_int_equal(send(pair.fds[0], "454 no TLS today\r\n", 18, 0), 18);
    assert_int_equal(tls_session_handshake(pair.client, &pair.client_err), TLS_FAILED);
    assert_int_equal(pair.client_err.class, ERR_PEER);
    pair_close(&pair);
    pair_open(&pair, server, client, &peer);
    assert_int_equal(send(pair.fds[1], "EHLO again\r\n", 12, 0), 12);
    assert_int_equal(tls_session_handshake(pair.server, &pair.server_err), TLS_FAILED);
    assert_int_equal(pair.server_err.class, ERR_PEER);
    pair_close(&pair);
    /* Gone before the first byte. */
    pair_open(&pair, server, client, &peer);
    assert_int_equal(shutdown(pair.fds[0], SHUT_RDWR), 0);
    assert_int_equal(tls_session_handshake(pair.client, &pair.client_err), TLS_FAILED);
    pair_close(&pair);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

static void test_wrong_settings_are_refused(void **state)
{
    struct tls_context *context = NULL;
    struct tls_server_options server = {.certificate_chain_pem =
                                            buffer_view(&papers.good.certificate_pem),
                                        .private_key_pem = buffer_view(&papers.wild.key_pem)};
    struct tls_client_options client = {.trust = TLS_TRUST_WEBPKI};
    struct tls_session *session = NULL;
    static const struct tls_peer peers[] = {
        {.server_name_cstr = "a.test"},
        {.names_cstr = {""}},
        {.names_cstr = {"a.test."}},
        {.names_cstr = {"a test"}},
        {.names_cstr = {"a.test", "127.0.0.1"}},
        {.names_cstr = {"127.0.0.1", "a.test"}},
        {.names_cstr = {"a.test"}, .server_name_cstr = "127.0.0.1"},
        {.names_cstr = {"a.test"}, .server_name_cstr = "a/test"},
    };
    struct err err;

    (void)state;
    assert_false(tls_context_new_server(&server, &context, &err));
    assert_non_null(strstr(err.text_cstr, "do not belong together"));
    server.private_key_pem = S("junk");
    assert_false(tls_context_new_server(&server, &context, &err));
    server.certificate_chain_pem = S("");
    assert_false(tls_context_new_server(&server, &context, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_false(tls_context_new_client(&client, &context, &err));
    client.authorities_pem = S("junk");
    assert_false(tls_context_new_client(&client, &context, &err));
    client.authorities_path_cstr = "/nonexistent/authorities.pem";
    assert_false(tls_context_new_client(&client, &context, &err));
    assert_int_equal(err.class, ERR_PERM);
    context = client_with(TLS_TRUST_WEBPKI);
    for (size_t i = 0; i < COUNT_OF(peers); i++) {
        assert_false(tls_session_new_client(context, 0, &peers[i], &session, &err));
        assert_int_equal(err.class, ERR_PERM);
        assert_null(session);
    }
    tls_context_unref(&context);
}

/* A chain as servers have it: own certificate first; the openssl program accepts what we made. */
static void test_openssl_verifies_our_papers(void **state)
{
    char folder_cstr[64];

    (void)state;
    kit_make_folder(folder_cstr);
    kit_write_file(folder_cstr, "authority", buffer_view(&papers.authority.certificate_pem));
    kit_write_file(folder_cstr, "good", buffer_view(&papers.good.certificate_pem));
    assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "verify", "-x509_strict",
                        "-purpose", "sslserver", "-verify_hostname", "mx.example.test",
                        "-CAfile", "authority", "good"));
    assert_false(KIT_RUN("env", "-C", folder_cstr, "openssl", "verify", "-verify_hostname",
                         "other.test", "-CAfile", "authority", "good"));
    kit_remove_folder(folder_cstr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_proof_and_refusal),
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_evidence_is_bounded),
        cmocka_unit_test(test_resumption_stays_in_its_class),
        cmocka_unit_test(test_least_version_is_kept),
        cmocka_unit_test(test_writes_go_on_where_they_stopped),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_wrong_settings_are_refused),
        cmocka_unit_test(test_openssl_verifies_our_papers),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
