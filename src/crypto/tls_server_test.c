/* SPDX-License-Identifier: Apache-2.0 */
/* A server with several certificates, and one that asks its clients for theirs. */
#include "crypto/test_pair.h"

static const char *shown_to(struct tls_context *server, const char *asked_cstr)
{
    static struct tls_evidence evidence;
    struct tls_context *client = client_with(TLS_TRUST_NOBODY);
    struct tls_peer peer = {.server_name_cstr = asked_cstr};
    struct pair pair;

    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    assert_int_equal(pair.server_step, TLS_DONE);
    pair_talk(&pair);
    tls_session_evidence(pair.client, &evidence);
    pair_close(&pair);
    tls_context_unref(&client);
    return evidence.names_cstr;
}

static struct tls_certificate certificate_of(const struct certificate_pair *pair)
{
    return (struct tls_certificate){buffer_view(&pair->certificate_pem),
                                    buffer_view(&pair->key_pem)};
}

static void test_the_certificate_is_chosen_by_name(void **state)
{
    struct tls_certificate more[] = {certificate_of(&papers.wrong_name),
                                     certificate_of(&papers.wild)};
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&papers.good.certificate_pem),
                                         .private_key_pem = buffer_view(&papers.good.key_pem),
                                         .more = more,
                                         .more_count = 2,
                                         .client_authorities_pem = S("")};
    struct tls_context *server = NULL;
    struct err err;

    (void)state;
    for (int asks = 0; asks < 2; asks++) {
        options.ask_certificate = asks == 1;
        assert_true(tls_context_new_server(&options, &server, &err));
        assert_string_equal(shown_to(server, "mx.elsewhere.test"), "mx.elsewhere.test");
        assert_string_equal(shown_to(server, "MX.Elsewhere.test"), "mx.elsewhere.test");
        assert_string_equal(shown_to(server, "any.example.test"), "*.example.test");
        assert_string_equal(shown_to(server, "a.b.example.test"), "mx.example.test");
        assert_string_equal(shown_to(server, "unknown.test"), "mx.example.test");
        assert_string_equal(shown_to(server, NULL), "mx.example.test");
        tls_context_unref(&server);
    }
    more[1].private_key_pem = buffer_view(&papers.good.key_pem);
    assert_false(tls_context_new_server(&options, &server, &err));
    assert_non_null(strstr(err.text_cstr, "further certificate 2: "));
    assert_non_null(strstr(err.text_cstr, "do not belong together"));
    more[1].chain_pem = S("junk");
    assert_false(tls_context_new_server(&options, &server, &err));
}

/* Sessions of a name that has its own certificate are resumed as well. */
static void test_a_chosen_certificate_can_be_resumed(void **state)
{
    struct tls_certificate more = certificate_of(&papers.wrong_name);
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&papers.good.certificate_pem),
                                         .private_key_pem = buffer_view(&papers.good.key_pem),
                                         .more = &more,
                                         .more_count = 1};
    struct tls_context *server = NULL, *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_peer peer = {.server_name_cstr = "mx.elsewhere.test",
                            .names_cstr = {"mx.elsewhere.test"}};
    struct tls_evidence evidence;

    (void)state;
    assert_true(tls_context_new_server(&options, &server, NULL));
    for (int round = 0; round < 2; round++) {
        struct pair pair;

        pair_open(&pair, server, client, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, TLS_DONE);
        pair_talk(&pair);
        tls_session_evidence(pair.client, &evidence);
        assert_true(evidence.is_verified);
        assert_int_equal(evidence.is_resumed, round == 1);
        assert_string_equal(evidence.names_cstr, "mx.elsewhere.test");
        tls_resumption_unref(&peer.resumption);
        peer.resumption = tls_session_resumption(pair.client);
        pair_close(&pair);
    }
    tls_resumption_unref(&peer.resumption);
    tls_context_unref(&server);
    tls_context_unref(&client);
}

/* ---- certificates of clients ---- */

static struct tls_context *asking_server(const struct certificate_pair *authority,
                                         const struct tls_tickets *tickets)
{
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&papers.good.certificate_pem),
                                         .private_key_pem = buffer_view(&papers.good.key_pem),
                                         .ask_certificate = true,
                                         .tickets = tickets};
    struct tls_context *server = NULL;

    if (authority != NULL)
        options.client_authorities_pem = buffer_view(&authority->certificate_pem);
    must(tls_context_new_server(&options, &server, NULL));
    return server;
}

/* A certificate for something else altogether. */
static void issue_for_code(struct certificate_pair *pair)
{
    EVP_PKEY *key = crypto__p256_generate();
    EVP_PKEY *authority_key = crypto__private_key_parse(buffer_view(&papers.authority.key_pem));
    X509 *authority = crypto__certificate_parse(buffer_view(&papers.authority.certificate_pem));
    X509 *leaf = crypto__certificate_new("code", key, (int64_t)time(NULL) - DAY_S,
                                         (int64_t)time(NULL) + DAY_S);

    must(X509_set_issuer_name(leaf, X509_get_subject_name(authority)) == 1 &&
         crypto__certificate_extend(leaf, authority, NID_ext_key_usage, "codeSigning") &&
         crypto__certificate_extend(leaf, authority, NID_subject_alt_name, "DNS:a.test") &&
         X509_sign(leaf, authority_key, EVP_sha256()) > 0);
    buffer_init(&pair->certificate_pem, 65536);
    buffer_init(&pair->key_pem, 65536);
    must(crypto__certificate_write_pem(leaf, &pair->certificate_pem) &&
         crypto__private_key_write_pem(key, &pair->key_pem));
    X509_free(leaf);
    X509_free(authority);
    EVP_PKEY_free(key);
    EVP_PKEY_free(authority_key);
}

static void test_client_certificates_are_seen_and_never_demanded(void **state)
{
    struct certificate_pair code = {0};
    const struct {
        const struct certificate_pair *shown, *authority;
        bool is_verified;
        const char *reason_cstr;
        enum tls_failure failure;
    } cases[] = {
        {&papers.wild, &papers.authority, true, "", TLS_FAILURE_NONE},
        {NULL, &papers.authority, false, "the peer showed no certificate",
         TLS_FAILURE_VALIDATION},
        {&papers.expired, &papers.authority, false, "certificate has expired",
         TLS_FAILURE_EXPIRED},
        {&papers.alone, &papers.authority, false, "self-signed certificate",
         TLS_FAILURE_NOT_TRUSTED},
        {&papers.wild, &papers.other_authority, false, NULL, TLS_FAILURE_VALIDATION},
        {&papers.wild, NULL, false, NULL, TLS_FAILURE_NOT_TRUSTED},
        {&code, &papers.authority, false, "unsuitable certificate purpose",
         TLS_FAILURE_VALIDATION},
    };

    (void)state;
    issue_for_code(&code);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
            struct tls_context *server = asking_server(cases[i].authority, NULL);
            struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
            struct tls_evidence evidence;
            struct pair pair;

            must(SSL_CTX_set_max_proto_version(client->ssl_ctx, version) == 1);
            if (cases[i].shown != NULL)
                assert_true(tls__use_certificate(client->ssl_ctx,
                                                 buffer_view(&cases[i].shown->certificate_pem),
                                                 buffer_view(&cases[i].shown->key_pem), NULL));
            pair_open(&pair, server, client, &peer);
            pair_handshake(&pair);
            assert_int_equal(pair.client_step, TLS_DONE);
            assert_int_equal(pair.server_step, TLS_DONE);
            pair_talk(&pair);
            tls_session_evidence(pair.server, &evidence);
            if (evidence.is_verified != cases[i].is_verified ||
                evidence.has_certificate != (cases[i].shown != NULL) ||
                evidence.failure != cases[i].failure)
                if (cases[i].reason_cstr != NULL)
                    fail_msg("case %zu: verified %d, %s, %d", i, evidence.is_verified,
                             evidence.reason_cstr, evidence.failure);
            assert_int_equal(evidence.is_verified, cases[i].is_verified);
            if (cases[i].reason_cstr != NULL)
                assert_string_equal(evidence.reason_cstr, cases[i].reason_cstr);
            if (cases[i].shown == &papers.wild)
                assert_string_equal(evidence.names_cstr, "*.example.test");
            pair_close(&pair);
            tls_context_unref(&client);
            tls_context_unref(&server);
        }
    }
    certificate_pair_deinit(&code);
}

/* A ticket holds the verdict on its client: only who trusts the same authorities may believe it. */
static void test_a_verdict_is_not_resumed_under_other_authorities(void **state)
{
    struct tls_tickets tickets;
    struct tls_context *client = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *servers[3];
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    static const struct {
        size_t server;
        bool is_resumed, is_verified;
    } visits[] = {{0, false, true},
                  {0, true, true},
                  {1, false, false},
                  {2, false, false},
                  {0, false, true}};

    (void)state;
    tls_tickets_init(&tickets, (int64_t)time(NULL));
    servers[0] = asking_server(&papers.authority, &tickets);
    servers[1] = asking_server(&papers.other_authority, &tickets);
    servers[2] = asking_server(NULL, &tickets);
    assert_true(tls__use_certificate(client->ssl_ctx, buffer_view(&papers.wild.certificate_pem),
                                     buffer_view(&papers.wild.key_pem), NULL));
    for (size_t i = 0; i < COUNT_OF(visits); i++) {
        struct tls_evidence evidence;
        struct pair pair;

        pair_open(&pair, servers[visits[i].server], client, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, TLS_DONE);
        assert_int_equal(pair.server_step, TLS_DONE);
        pair_talk(&pair);
        tls_session_evidence(pair.server, &evidence);
        assert_int_equal(evidence.is_resumed, visits[i].is_resumed);
        assert_int_equal(evidence.is_verified, visits[i].is_verified);
        assert_true(evidence.has_certificate);
        tls_resumption_unref(&peer.resumption);
        peer.resumption = tls_session_resumption(pair.client);
        pair_close(&pair);
    }
    tls_resumption_unref(&peer.resumption);
    for (size_t i = 0; i < COUNT_OF(servers); i++)
        tls_context_unref(&servers[i]);
    tls_context_unref(&client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_certificate_is_chosen_by_name),
        cmocka_unit_test(test_a_chosen_certificate_can_be_resumed),
        cmocka_unit_test(test_client_certificates_are_seen_and_never_demanded),
        cmocka_unit_test(test_a_verdict_is_not_resumed_under_other_authorities),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
