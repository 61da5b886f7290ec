/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"
#include "crypto/test_pair.h"

#include <signal.h>

static void test_proof_and_refusal(void **state)
{
    static const struct {
        const char *name_cstr;
        const struct certificate_pair *pair;
        const char *expected_cstr;
        const char *reason_cstr; /* NULL = proved */
        enum tls_failure failure;
    } cases[] = {
        {"good", &papers.good, "mx.example.test", NULL, TLS_FAILURE_NONE},
        {"case does not matter", &papers.good, "MX.Example.TEST", NULL, TLS_FAILURE_NONE},
        {"wrong name", &papers.wrong_name, "mx.example.test", "hostname mismatch",
         TLS_FAILURE_HOST_MISMATCH},
        {"common name is no name", &papers.good, "leaf", "hostname mismatch",
         TLS_FAILURE_HOST_MISMATCH},
        {"expired", &papers.expired, "mx.example.test", "certificate has expired",
         TLS_FAILURE_EXPIRED},
        {"not yet valid", &papers.future, "mx.example.test", "certificate is not yet valid",
         TLS_FAILURE_EXPIRED},
        {"self-signed", &papers.alone, "mx.example.test", "self-signed certificate",
         TLS_FAILURE_NOT_TRUSTED},
        {"wildcard", &papers.wild, "mx.example.test", NULL, TLS_FAILURE_NONE},
        {"wildcard is one label", &papers.wild, "a.mx.example.test", "hostname mismatch",
         TLS_FAILURE_HOST_MISMATCH},
        {"wildcard needs a label", &papers.wild, "example.test", "hostname mismatch",
         TLS_FAILURE_HOST_MISMATCH},
        {"address", &papers.address, "127.0.0.1", NULL, TLS_FAILURE_NONE},
        {"other address", &papers.address, "127.0.0.2", "IP address mismatch",
         TLS_FAILURE_HOST_MISMATCH},
        {"address for a name", &papers.good, "127.0.0.1", "IP address mismatch",
         TLS_FAILURE_HOST_MISMATCH},
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
        assert_int_equal(evidence.failure, cases[i].failure);
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
    /* The last bytes had emptied the socket: that is said before it is asked again. */
    assert_int_equal(tls_session_read(pair.server, bytes, sizeof bytes, &len, &err),
                     TLS_WANT_READ);
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
    struct tls_evidence evidence;
    struct pair pair;

    (void)state;
    pair_open(&pair, server, client, &peer);
    assert_int_equal(send(pair.fds[0], "454 no TLS today\r\n", 18, 0), 18);
    assert_int_equal(tls_session_handshake(pair.client, &pair.client_err), TLS_FAILED);
    assert_int_equal(pair.client_err.class, ERR_PEER);
    tls_session_evidence(pair.client, &evidence);
    assert_int_equal(evidence.failure, TLS_FAILURE_HANDSHAKE);
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
    client.authorities_path_cstr = "/dev/null/authorities.pem";
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
        cmocka_unit_test(test_writes_go_on_where_they_stopped),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_garbage),
        cmocka_unit_test(test_wrong_settings_are_refused),
        cmocka_unit_test(test_openssl_verifies_our_papers),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
