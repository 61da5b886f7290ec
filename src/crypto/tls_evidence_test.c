/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"
#include "crypto/test_pair.h"

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
        snprintf(names_cstr[i], sizeof names_cstr[i], "host-\x07-number %zu.a-long-name.test",
                 i);
        list_cstr[i] = names_cstr[i];
    }
    assert_true(certificate_issue(&papers.authority, &wish, &many, NULL));
    server = server_with(&many, TLS_VERSION_NONE);
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    tls_session_evidence(pair.client, &evidence);
    /* Whole names only: a part of one could be a name that somebody trusts. */
    assert_in_range(strlen(evidence.names_cstr), TLS_NAMES_SIZE - 64, TLS_NAMES_SIZE - 1);
    assert_string_equal(strrchr(evidence.names_cstr, ' '), " ...");
    assert_memory_equal(strrchr(evidence.names_cstr, '.') - 8, ".test ...", 9);
    assert_non_null(strstr(evidence.names_cstr, "host-?-number?0."));
    assert_int_equal(evidence.failure, TLS_FAILURE_VALIDATION);
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

/* Two who begin with the same secret have the same keys each day, and never those of another day. */
static void test_tickets_change_each_day(void **state)
{
    enum { DAYS = 5 };
    struct tls_tickets one, late;
    uint8_t keys[DAYS][TLS_TICKETS_KEYS_BYTES], other[TLS_TICKETS_KEYS_BYTES];
    int64_t now_s = 1700000000;

    (void)state;
    tls_tickets_init(&one, now_s);
    late = one;
    for (int day = 0; day < DAYS; day++, now_s += DAY_S) {
        assert_true(tls_tickets_advance(&one, now_s) == (day > 0));
        assert_false(tls_tickets_advance(&one, now_s - DAY_S));
        tls_tickets_keys(&one, keys[day]);
        for (int before = 0; before < day; before++)
            assert_memory_not_equal(keys[day], keys[before], TLS_TICKETS_KEYS_BYTES);
    }
    assert_true(tls_tickets_advance(&late, now_s - DAY_S));
    tls_tickets_keys(&late, other);
    assert_memory_equal(other, keys[DAYS - 1], TLS_TICKETS_KEYS_BYTES);
    /* A clock that went mad costs milliseconds, not minutes. */
    assert_true(tls_tickets_advance(&late, INT64_MAX / 2));
    assert_false(tls_tickets_advance(&late, 0));
}

static void test_resumption_stays_in_its_class(void **state)
{
    struct tls_tickets tickets, aged;
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&papers.good.certificate_pem),
                                         .private_key_pem = buffer_view(&papers.good.key_pem),
                                         .tickets = &tickets};
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
    tls_tickets_init(&tickets, (int64_t)time(NULL));
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
    /* A process that began days ago has gone on to the same; one whose secret is another has not. */
    tls_context_unref(&twin);
    aged = tickets;
    options.tickets = &aged;
    aged.period = tickets.period - 2;
    assert_true(tls_tickets_advance(&aged, (int64_t)time(NULL)));
    assert_int_equal(aged.period, tickets.period);
    assert_false(secret_equal(&aged.secret, &tickets.secret));
    assert_false(tls_tickets_advance(&aged, (int64_t)time(NULL)));
    assert_false(tls_tickets_advance(&aged, 1000));
    assert_true(tls_context_new_server(&options, &twin, NULL));
    again = resumption_of(twin, strict, &peer, &is_resumed, &is_verified);
    assert_false(is_resumed);
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

/* Peers that know nothing newer than TLS 1.2: used with all its evidence, or refused. */
static void test_tls_1_2(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    struct tls_evidence evidence;
    struct pair pair;

    (void)state;
    must(SSL_CTX_set_max_proto_version(server->ssl_ctx, TLS1_2_VERSION) == 1);
    for (int round = 0; round < 2; round++) {
        pair_open(&pair, server, client, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, TLS_DONE);
        pair_talk(&pair);
        tls_session_evidence(pair.client, &evidence);
        assert_int_equal(evidence.version, TLS_VERSION_1_2);
        assert_string_equal(evidence.cipher_cstr, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384");
        if (round == 0)
            assert_string_equal(evidence.group_cstr, "x25519");
        assert_true(evidence.is_verified);
        assert_int_equal(evidence.is_resumed, round == 1);
        assert_string_equal(evidence.names_cstr, "mx.example.test");
        if (round == 0)
            peer.resumption = tls_session_resumption(pair.client);
        pair_close(&pair);
    }
    peer.least = TLS_VERSION_1_3;
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_FAILED);
    tls_session_evidence(pair.client, &evidence);
    assert_false(evidence.is_verified);
    assert_false(evidence.has_certificate);
    pair_close(&pair);
    tls_resumption_unref(&peer.resumption);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

/* Nobody may speak an older version, even with a peer whom we do not ask for proof. */
static void test_tls_1_1_is_refused(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_NOBODY);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    struct pair pair;

    (void)state;
    must(SSL_CTX_set_min_proto_version(server->ssl_ctx, TLS1_VERSION) == 1);
    must(SSL_CTX_set_max_proto_version(server->ssl_ctx, TLS1_1_VERSION) == 1);
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_FAILED);
    assert_int_equal(pair.client_err.class, ERR_PEER);
    pair_close(&pair);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evidence),
        cmocka_unit_test(test_evidence_is_bounded),
        cmocka_unit_test(test_tickets_change_each_day),
        cmocka_unit_test(test_resumption_stays_in_its_class),
        cmocka_unit_test(test_tls_1_2),
        cmocka_unit_test(test_tls_1_1_is_refused),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
