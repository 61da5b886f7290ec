/* SPDX-License-Identifier: Apache-2.0 */
/* DANE: what matches, what must not, and what is no record at all. The mistakes that others have made each have a row. */
#include "crypto/test_pair.h"

#include <openssl/err.h>

#include <stdlib.h>

/* One record: of which certificate; made wrong in its last byte, or of no meaning. */
enum wrong { RIGHT, WRONG, MALFORMED };
struct record {
    uint8_t usage, selector, matching;
    const struct certificate_pair *of;
    enum wrong wrong;
};

static size_t data_of(const struct record *record, uint8_t *at, size_t max)
{
    X509 *certificate = crypto__certificate_parse(buffer_view(&record->of->certificate_pem));
    unsigned char *der = NULL;
    unsigned len = 0;
    int der_len;

    must(certificate != NULL);
    der_len = record->selector == TLSA_SELECTOR_CERTIFICATE
                  ? i2d_X509(certificate, &der)
                  : i2d_PUBKEY(X509_get0_pubkey(certificate), &der);
    must(der_len > 0 && (size_t)der_len <= max);
    if (record->matching == TLSA_MATCHING_FULL) {
        memcpy(at, der, (size_t)der_len);
        len = (unsigned)der_len;
    } else {
        must(EVP_Digest(der, (size_t)der_len, at, &len,
                        record->matching == TLSA_MATCHING_SHA256 ? EVP_sha256() : EVP_sha512(),
                        NULL) == 1);
    }
    if (record->wrong == WRONG)
        at[len - 1] ^= 1;
    OPENSSL_free(der);
    X509_free(certificate);
    return record->wrong == MALFORMED ? len - 1 : len;
}

static void add_record(struct tlsa_set *set, const struct record *record)
{
    uint8_t rdata[4096] = {record->usage, record->selector, record->matching};

    must(tlsa_set_add(set, slice_of(rdata, 3 + data_of(record, rdata + 3, sizeof rdata - 3))));
}

/* A server that shows its authority's certificate too, as DANE-TA asks of it [RFC 7672 §3.1.2]. */
static struct tls_context *server_with_chain(const struct certificate_pair *pair)
{
    struct tls_server_options options = {.private_key_pem = buffer_view(&pair->key_pem)};
    struct tls_context *context = NULL;
    struct buffer chain;

    buffer_init(&chain, 65536);
    must(buffer_append(&chain, buffer_view(&pair->certificate_pem)) &&
         buffer_append(&chain, buffer_view(&papers.authority.certificate_pem)));
    options.certificate_chain_pem = buffer_view(&chain);
    must(tls_context_new_server(&options, &context, NULL));
    buffer_deinit(&chain);
    return context;
}

enum { RECORDS_MAX = 3, NO_CHAIN = 0, CHAIN = 1 };
struct row {
    const char *what_cstr;
    const struct certificate_pair *pair;
    int shows_chain;
    struct record records[RECORDS_MAX];
    enum tls_failure failure; /* NONE: proved */
    const char *matched_cstr; /* begin of the record that proved it */
    int depth;
};

static const struct row rows[] = {
    {"3 1 1", &papers.good, NO_CHAIN, {{3, 1, 1, &papers.good, RIGHT}}, 0, "3 1 1 ", 0},
    {"3 0 1", &papers.good, NO_CHAIN, {{3, 0, 1, &papers.good, RIGHT}}, 0, "3 0 1 ", 0},
    {"3 1 2", &papers.good, NO_CHAIN, {{3, 1, 2, &papers.good, RIGHT}}, 0, "3 1 2 ", 0},
    {"3 0 0", &papers.good, NO_CHAIN, {{3, 0, 0, &papers.good, RIGHT}}, 0, "3 0 0 ", 0},
    {"3 1 0", &papers.good, NO_CHAIN, {{3, 1, 0, &papers.good, RIGHT}}, 0, "3 1 0 ", 0},
    /* DANE-EE: neither dates nor names nor authorities count. */
    {"EE, expired",
     &papers.expired,
     NO_CHAIN,
     {{3, 1, 1, &papers.expired, RIGHT}},
     0,
     "3 1 1 ",
     0},
    {"EE, not yet",
     &papers.future,
     NO_CHAIN,
     {{3, 0, 1, &papers.future, RIGHT}},
     0,
     "3 0 1 ",
     0},
    {"EE, other name",
     &papers.wrong_name,
     NO_CHAIN,
     {{3, 1, 1, &papers.wrong_name, RIGHT}},
     0,
     "3 1 1 ",
     0},
    {"EE, self-signed",
     &papers.alone,
     NO_CHAIN,
     {{3, 1, 1, &papers.alone, RIGHT}},
     0,
     "3 1 1 ",
     0},
    /* DANE-TA: the authority in the chain, or in the record only. */
    {"2 0 1", &papers.good, CHAIN, {{2, 0, 1, &papers.authority, RIGHT}}, 0, "2 0 1 ", 1},
    {"2 1 1", &papers.good, CHAIN, {{2, 1, 1, &papers.authority, RIGHT}}, 0, "2 1 1 ", 1},
    {"2 1 2", &papers.good, CHAIN, {{2, 1, 2, &papers.authority, RIGHT}}, 0, "2 1 2 ", 1},
    {"2 0 0 without chain",
     &papers.good,
     NO_CHAIN,
     {{2, 0, 0, &papers.authority, RIGHT}},
     0,
     "2 0 0 ",
     1},
    {"2 1 0 without chain",
     &papers.good,
     NO_CHAIN,
     {{2, 1, 0, &papers.authority, RIGHT}},
     0,
     "2 1 0 ",
     1},
    {"2 0 1 without chain",
     &papers.good,
     NO_CHAIN,
     {{2, 0, 1, &papers.authority, RIGHT}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    {"TA, wildcard",
     &papers.wild,
     CHAIN,
     {{2, 0, 1, &papers.authority, RIGHT}},
     0,
     "2 0 1 ",
     1},
    {"TA, other name",
     &papers.wrong_name,
     CHAIN,
     {{2, 0, 1, &papers.authority, RIGHT}},
     TLS_FAILURE_HOST_MISMATCH,
     "",
     0},
    {"TA, expired",
     &papers.expired,
     CHAIN,
     {{2, 0, 1, &papers.authority, RIGHT}},
     TLS_FAILURE_EXPIRED,
     "",
     0},
    {"TA, other authority",
     &papers.good,
     CHAIN,
     {{2, 0, 1, &papers.other_authority, RIGHT}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    /* The leaf is not an authority, and an authority is not the leaf. */
    {"TA record of the leaf",
     &papers.good,
     CHAIN,
     {{2, 1, 1, &papers.good, RIGHT}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    {"EE record of the authority",
     &papers.good,
     CHAIN,
     {{3, 1, 1, &papers.authority, RIGHT}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    /* Mismatch is refused, whatever the web's authorities say. */
    {"mismatch",
     &papers.good,
     CHAIN,
     {{3, 1, 1, &papers.good, WRONG}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    {"of another key",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.wild, RIGHT}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    /* Digest agility: of the same usage and selector the strongest digest alone. */
    {"SHA-512 right, SHA-256 wrong",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.good, WRONG}, {3, 1, 2, &papers.good, RIGHT}},
     0,
     "3 1 2 ",
     0},
    {"SHA-256 right, SHA-512 wrong",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.good, RIGHT}, {3, 1, 2, &papers.good, WRONG}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
    {"another selector is another kind",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.good, RIGHT}, {3, 0, 2, &papers.good, WRONG}},
     0,
     "3 1 1 ",
     0},
    /* A roll-over: the next key's record beside the present one's. */
    {"roll-over",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.wild, RIGHT}, {3, 1, 1, &papers.good, RIGHT}},
     0,
     "3 1 1 ",
     0},
    {"EE wrong, TA right",
     &papers.good,
     CHAIN,
     {{3, 1, 1, &papers.good, WRONG}, {2, 0, 1, &papers.authority, RIGHT}},
     0,
     "2 0 1 ",
     1},
    /* What means nothing is passed over: it neither proves nor refuses. */
    {"malformed among good",
     &papers.good,
     NO_CHAIN,
     {{3, 1, 1, &papers.good, MALFORMED},
      {3, 1, 2, &papers.good, MALFORMED},
      {3, 1, 1, &papers.good, RIGHT}},
     0,
     "3 1 1 ",
     0},
    {"usages 0 and 1 among good",
     &papers.good,
     CHAIN,
     {{0, 0, 1, &papers.authority, RIGHT},
      {1, 1, 1, &papers.good, RIGHT},
      {3, 1, 1, &papers.good, WRONG}},
     TLS_FAILURE_TLSA_MISMATCH,
     "",
     0},
};

static void fill_set(const struct row *row, struct tlsa_set *set)
{
    memset(set, 0, sizeof *set);
    for (size_t i = 0; i < RECORDS_MAX && row->records[i].of != NULL; i++)
        add_record(set, &row->records[i]);
}

static void test_rows(void **state)
{
    struct tls_context *client = client_with(TLS_TRUST_DANE);
    static struct tlsa_set set;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct row *row = &rows[i];
        struct tls_peer peer = {.names_cstr = {"mx.example.test", "example.test"},
                                .tlsa = &set};
        struct tls_context *server = row->shows_chain
                                         ? server_with_chain(row->pair)
                                         : server_with(row->pair, TLS_VERSION_NONE);
        struct tls_evidence evidence;
        struct pair pair;

        fill_set(row, &set);
        pair_open(&pair, server, client, &peer);
        memset(&set, 0, sizeof set); /* was copied */
        pair_handshake(&pair);
        tls_session_evidence(pair.client, &evidence);
        if (evidence.failure != row->failure || evidence.is_verified != (row->failure == 0) ||
            strncmp(evidence.tlsa_cstr, row->matched_cstr, strlen(row->matched_cstr)) != 0 ||
            (row->failure != 0 && evidence.tlsa_cstr[0] != '\0') ||
            evidence.tlsa_depth != row->depth ||
            pair.client_step != (row->failure == 0 ? TLS_DONE : TLS_FAILED))
            fail_msg("%s: step %d, failure %d, \"%s\", matched %s at %d", row->what_cstr,
                     pair.client_step, evidence.failure, evidence.reason_cstr,
                     evidence.tlsa_cstr, evidence.tlsa_depth);
        /* The name that the server was asked for is the TLSA base domain. */
        assert_string_equal(SSL_get_servername(pair.client->ssl, TLSEXT_NAMETYPE_host_name),
                            "mx.example.test");
        if (row->failure == 0) {
            pair_talk(&pair);
        } else {
            assert_int_equal(pair.client_err.class, ERR_TEMP);
            assert_string_equal(pair.client_err.enhanced_cstr, "4.7.5");
        }
        pair_close(&pair);
        tls_context_unref(&server);
    }
    tls_context_unref(&client);
}

/* A set without a usable record is no reason to refuse a host, and none to prove it: the caller has to know. */
static void test_unusable_sets_are_said_before(void **state)
{
    static const struct row unusable = {
        .records = {{0, 0, 1, &papers.good, RIGHT}, {3, 1, 1, &papers.good, MALFORMED}}};
    static const struct record good = {3, 1, 1, &papers.good, RIGHT};
    struct tls_context *client = client_with(TLS_TRUST_DANE);
    struct tls_session *session = NULL;
    static struct tlsa_set set;
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}, .tlsa = &set};
    struct err err;

    (void)state;
    fill_set(&unusable, &set);
    assert_int_equal(set.count, 2);
    assert_int_equal(set.usable_count, 0);
    assert_false(tls_session_new_client(client, 0, &peer, &session, &err));
    assert_int_equal(err.class, ERR_PERM);
    peer.tlsa = NULL;
    assert_false(tls_session_new_client(client, 0, &peer, &session, &err));
    peer.tlsa = &set;
    add_record(&set, &good);
    peer.names_cstr[0] = NULL;
    assert_false(tls_session_new_client(client, 0, &peer, &session, &err));
    peer.names_cstr[0] = "127.0.0.1";
    assert_false(tls_session_new_client(client, 0, &peer, &session, &err));
    assert_null(session);
    tls_context_unref(&client);
}

/* A further name, given by the caller, is as good as the base domain for DANE-TA [RFC 7672 §3.2.2]. */
static void test_further_names(void **state)
{
    static const struct record record = {2, 0, 1, &papers.authority, RIGHT};
    struct tls_context *client = client_with(TLS_TRUST_DANE);
    struct tls_context *server = server_with_chain(&papers.wrong_name);
    static struct tlsa_set set;
    struct tls_peer peer = {.names_cstr = {"mx.example.test", "mx.elsewhere.test"},
                            .tlsa = &set};
    struct pair pair;

    (void)state;
    add_record(&set, &record);
    pair_open(&pair, server, client, &peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    pair_close(&pair);
    tls_context_unref(&client);
    tls_context_unref(&server);
}

static struct tls_resumption *connect_once(struct tls_context *server,
                                           struct tls_context *client,
                                           const struct tls_peer *peer,
                                           struct tls_evidence *evidence_out)
{
    struct tls_resumption *resumption;
    struct pair pair;

    pair_open(&pair, server, client, peer);
    pair_handshake(&pair);
    assert_int_equal(pair.client_step, TLS_DONE);
    pair_talk(&pair);
    tls_session_evidence(pair.client, evidence_out);
    assert_true(evidence_out->is_verified);
    resumption = tls_session_resumption(pair.client);
    assert_non_null(resumption);
    pair_close(&pair);
    return resumption;
}

/* The proof of one set of records is not the proof of another, nor of the web's authorities. */
static void test_resumption_stays_with_its_records(void **state)
{
    static const struct record record = {3, 1, 1, &papers.good, RIGHT};
    static const struct record next = {3, 1, 1, &papers.wild, RIGHT};
    struct tls_context *client = client_with(TLS_TRUST_DANE);
    struct tls_context *other = client_with(TLS_TRUST_DANE);
    struct tls_context *web = client_with(TLS_TRUST_WEBPKI);
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    static struct tlsa_set one, two, turned;
    struct tls_peer peer = {
        .server_name_cstr = "mx.example.test", .names_cstr = {"mx.example.test"}, .tlsa = &one};
    struct tls_resumption *first, *again;
    struct tls_evidence evidence;

    (void)state;
    add_record(&one, &record);
    add_record(&two, &record);
    add_record(&two, &next);
    add_record(&turned, &next);
    add_record(&turned, &record);
    first = connect_once(server, client, &peer, &evidence);
    assert_false(evidence.is_resumed);
    peer.resumption = first;
    again = connect_once(server, client, &peer, &evidence);
    assert_true(evidence.is_resumed);
    assert_memory_equal(evidence.tlsa_cstr, "3 1 1 ", 6);
    tls_resumption_unref(&again);
    peer.tlsa = &two;
    again = connect_once(server, client, &peer, &evidence);
    assert_false(evidence.is_resumed);
    /* The order of the records is nobody's business: servers turn it. */
    peer.tlsa = &turned;
    peer.resumption = again;
    tls_resumption_unref(&first);
    first = connect_once(server, client, &peer, &evidence);
    assert_true(evidence.is_resumed);
    assert_memory_equal(evidence.tlsa_cstr, "3 1 1 ", 6);
    tls_resumption_unref(&again);
    peer.resumption = first;
    again = connect_once(server, other, &peer, &evidence);
    assert_false(evidence.is_resumed);
    tls_resumption_unref(&again);
    again = connect_once(server, web, &peer, &evidence);
    assert_false(evidence.is_resumed);
    assert_string_equal(evidence.tlsa_cstr, "");
    tls_resumption_unref(&again);
    tls_resumption_unref(&first);
    tls_context_unref(&client);
    tls_context_unref(&other);
    tls_context_unref(&web);
    tls_context_unref(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_unusable_sets_are_said_before),
        cmocka_unit_test(test_further_names),
        cmocka_unit_test(test_resumption_stays_with_its_records),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
