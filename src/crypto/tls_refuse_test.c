/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers we never speak with: by answers made by hand, for what no library of today offers any more, and by the
 * openssl program, for what it still can. And how long our first word is.
 */
#include "crypto/random.h"
#include "crypto/test_pair.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

static struct tls_context *client_like(enum tls_trust trust, bool is_small)
{
    struct tls_client_options options = {.trust = trust,
                                         .small_hello = is_small,
                                         .authorities_pem =
                                             buffer_view(&papers.authority.certificate_pem)};
    struct tls_context *context = NULL;

    must(tls_context_new_client(&options, &context, NULL));
    return context;
}

/* ---- the first word ---- */

static size_t hello_bytes(struct tls_context *client, const struct tls_peer *peer, uint8_t *at,
                          size_t max)
{
    struct tls_session *session = NULL;
    struct err err;
    ssize_t len;
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    must(tls_session_new_client(client, fds[1], peer, &session, NULL));
    assert_int_equal(tls_session_handshake(session, &err), TLS_WANT_READ);
    len = recv(fds[0], at, max, 0);
    assert_true(len > 0);
    tls_session_free(&session);
    close(fds[0]);
    close(fds[1]);
    return (size_t)len;
}

static void test_the_small_hello_fits_one_packet(void **state)
{
    enum { SMALLEST_SEGMENT = 1220 };
    static char long_cstr[254];
    struct tls_peer peer = {.server_name_cstr = long_cstr, .names_cstr = {long_cstr}};
    struct tls_context *big = client_like(TLS_TRUST_NOBODY, false);
    static const enum tls_trust trusts[] = {TLS_TRUST_NOBODY, TLS_TRUST_WEBPKI};
    uint8_t bytes[8192];
    size_t big_len;

    (void)state;
    /* The longest name there is. */
    memset(long_cstr, 'a', sizeof long_cstr - 1);
    for (size_t i = 63; i < sizeof long_cstr - 1; i += 64)
        long_cstr[i] = '.';
    big_len = hello_bytes(big, &peer, bytes, sizeof bytes);
    for (size_t i = 0; i < COUNT_OF(trusts); i++) {
        struct tls_context *small = client_like(trusts[i], true);
        size_t len = hello_bytes(small, &peer, bytes, sizeof bytes);

        assert_true(len < big_len);
        assert_in_range(len, 100, 600); /* a hybrid share alone is longer */
        assert_true(len < SMALLEST_SEGMENT);
        tls_context_unref(&small);
    }
    tls_context_unref(&big);
}

/* It works like the long one, and never brings a ticket, which alone can be longer than a packet. */
static void test_the_small_hello_does_not_resume(void **state)
{
    struct tls_context *server = server_with(&papers.good, TLS_VERSION_NONE);
    struct tls_context *small = client_like(TLS_TRUST_WEBPKI, true);
    struct tls_peer peer = {.server_name_cstr = "mx.example.test",
                            .names_cstr = {"mx.example.test"}};

    (void)state;
    for (int round = 0; round < 2; round++) {
        struct tls_evidence evidence;
        struct pair pair;

        pair_open(&pair, server, small, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, TLS_DONE);
        pair_talk(&pair);
        tls_session_evidence(pair.client, &evidence);
        assert_true(evidence.is_verified);
        assert_false(evidence.is_resumed);
        tls_resumption_unref(&peer.resumption);
        peer.resumption = tls_session_resumption(pair.client);
        pair_close(&pair);
    }
    tls_resumption_unref(&peer.resumption);
    tls_context_unref(&server);
    tls_context_unref(&small);
}

/* ---- answers made by hand ---- */

enum { REFUSED, TAKEN };

struct answer {
    const char *what_cstr;
    uint16_t version, cipher;
    uint8_t compression;
    bool lacks_renegotiation_info;
    int strict, trusting; /* REFUSED or TAKEN, where proof is demanded and where it is not */
};

/* Numbers: the IANA registry of TLS cipher suites. */
static const struct answer answers[] = {
    {"ECDHE, AES-256-GCM", 0x0303, 0xc030, 0, false, TAKEN, TAKEN},
    {"ECDHE-ECDSA, AES-128-GCM", 0x0303, 0xc02b, 0, false, TAKEN, TAKEN},
    {"ECDHE, ChaCha20-Poly1305", 0x0303, 0xcca8, 0, false, TAKEN, TAKEN},
    {"DHE, AES-256-GCM", 0x0303, 0x009f, 0, false, TAKEN, TAKEN},
    /* Better than clear text, not good enough for proof. */
    {"ECDHE, AES-128-CBC", 0x0303, 0xc013, 0, false, REFUSED, TAKEN},
    {"static RSA, AES-128-GCM", 0x0303, 0x009c, 0, false, REFUSED, TAKEN},
    {"static RSA, AES-128-CBC", 0x0303, 0x002f, 0, false, REFUSED, TAKEN},
    {"no renegotiation info", 0x0303, 0xc030, 0, true, REFUSED, TAKEN},
    /* Never. */
    {"TLS 1.1", 0x0302, 0xc013, 0, false, REFUSED, REFUSED},
    {"TLS 1.0", 0x0301, 0xc013, 0, false, REFUSED, REFUSED},
    {"SSL 3.0", 0x0300, 0x002f, 0, false, REFUSED, REFUSED},
    {"SSL 2.0", 0x0002, 0x002f, 0, false, REFUSED, REFUSED},
    {"compression", 0x0303, 0xc030, 1, false, REFUSED, REFUSED},
    {"3DES", 0x0303, 0x000a, 0, false, REFUSED, REFUSED},
    {"ECDHE, 3DES", 0x0303, 0xc012, 0, false, REFUSED, REFUSED},
    {"RC4-MD5", 0x0303, 0x0004, 0, false, REFUSED, REFUSED},
    {"RC4-SHA", 0x0303, 0x0005, 0, false, REFUSED, REFUSED},
    {"ECDHE, RC4", 0x0303, 0xc011, 0, false, REFUSED, REFUSED},
    {"DES", 0x0303, 0x0009, 0, false, REFUSED, REFUSED},
    {"export RC4-40", 0x0303, 0x0003, 0, false, REFUSED, REFUSED},
    {"export DES-40", 0x0303, 0x0008, 0, false, REFUSED, REFUSED},
    {"export RC2-40", 0x0303, 0x0006, 0, false, REFUSED, REFUSED},
    {"NULL", 0x0303, 0x0002, 0, false, REFUSED, REFUSED},
    {"NULL-SHA256", 0x0303, 0x003b, 0, false, REFUSED, REFUSED},
    {"ECDHE, NULL", 0x0303, 0xc010, 0, false, REFUSED, REFUSED},
    {"no cipher at all", 0x0303, 0x0000, 0, false, REFUSED, REFUSED},
    {"anonymous DH", 0x0303, 0x0034, 0, false, REFUSED, REFUSED},
    {"anonymous ECDH", 0x0303, 0xc018, 0, false, REFUSED, REFUSED},
    {"anonymous RC4", 0x0303, 0x0018, 0, false, REFUSED, REFUSED},
    {"PSK", 0x0303, 0x00a8, 0, false, REFUSED, REFUSED},
    {"SRP", 0x0303, 0xc01d, 0, false, REFUSED, REFUSED},
    {"IDEA", 0x0303, 0x0007, 0, false, REFUSED, REFUSED},
    {"SEED", 0x0303, 0x0096, 0, false, REFUSED, REFUSED},
    {"Camellia", 0x0303, 0x0041, 0, false, REFUSED, REFUSED},
    {"AES-CCM-8", 0x0303, 0xc0a0, 0, false, REFUSED, REFUSED},
    {"TLS_FALLBACK_SCSV as a cipher", 0x0303, 0x5600, 0, false, REFUSED, REFUSED},
    {"a TLS 1.3 cipher in TLS 1.2", 0x0303, 0x1301, 0, false, REFUSED, REFUSED},
};

static size_t write_answer(const struct answer *answer, uint8_t out[128])
{
    size_t at = 9;

    memset(out, 0, 128);
    out[0] = 22; /* a handshake record: a ServerHello [RFC 5246 §7.4.1.3] */
    out[1] = 3;
    out[2] = 3;
    out[5] = 2;
    out[at++] = (uint8_t)(answer->version >> 8);
    out[at++] = (uint8_t)answer->version;
    random_bytes(out + at, 24); /* the last eight: no mark of a downgrade */
    at += 32;
    out[at++] = 0; /* no session */
    out[at++] = (uint8_t)(answer->cipher >> 8);
    out[at++] = (uint8_t)answer->cipher;
    out[at++] = answer->compression;
    if (!answer->lacks_renegotiation_info) {
        static const uint8_t info[] = {0, 5, 0xff, 1, 0, 1, 0};

        memcpy(out + at, info, sizeof info);
        at += sizeof info;
    }
    out[4] = (uint8_t)(at - 5);
    out[8] = (uint8_t)(at - 9);
    return at;
}

/* TAKEN: the client waits for the next message. */
static int try_answer(struct tls_context *client, const struct answer *answer)
{
    struct tls_peer peer = {.server_name_cstr = "mx.example.test",
                            .names_cstr = {"mx.example.test"}};
    struct tls_session *session = NULL;
    uint8_t bytes[128];
    size_t len = write_answer(answer, bytes);
    struct tls_evidence evidence;
    enum tls_step step;
    struct err err;
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    must(tls_session_new_client(client, fds[1], &peer, &session, NULL));
    assert_int_equal(tls_session_handshake(session, &err), TLS_WANT_READ);
    must(send(fds[0], bytes, len, 0) == (ssize_t)len);
    step = tls_session_handshake(session, &err);
    if (step == TLS_FAILED) {
        assert_int_equal(err.class, ERR_PEER);
        tls_session_evidence(session, &evidence);
        assert_int_equal(evidence.failure, TLS_FAILURE_HANDSHAKE);
        assert_int_equal(evidence.version, TLS_VERSION_NONE);
    }
    tls_session_free(&session);
    close(fds[0]);
    close(fds[1]);
    return step == TLS_FAILED ? REFUSED : TAKEN;
}

static void test_weak_answers_are_refused(void **state)
{
    struct tls_context *strict = client_like(TLS_TRUST_WEBPKI, false);
    struct tls_context *trusting = client_like(TLS_TRUST_NOBODY, false);
    struct tls_context *small = client_like(TLS_TRUST_NOBODY, true);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(answers); i++) {
        const struct answer *answer = &answers[i];

        if (try_answer(strict, answer) != answer->strict)
            fail_msg("%s, where proof is demanded", answer->what_cstr);
        if (try_answer(trusting, answer) != answer->trusting)
            fail_msg("%s, where it is not", answer->what_cstr);
        /* The small hello offers less, never more. */
        if (try_answer(small, answer) == TAKEN && answer->trusting == REFUSED)
            fail_msg("%s, with the small hello", answer->what_cstr);
    }
    tls_context_unref(&strict);
    tls_context_unref(&trusting);
    tls_context_unref(&small);
}

/* ---- the openssl program as the server ---- */

struct program {
    const char *options[4];
    int strict, trusting;
};

/* Its certificate is RSA and signed by itself: so even the good ones are "taken" only where no proof is demanded. */
static const struct program programs[] = {
    {{"-tls1_3"}, REFUSED, TAKEN},
    {{"-tls1_2"}, REFUSED, TAKEN},
    {{"-tls1_2", "-cipher", "AES128-SHA:@SECLEVEL=0"}, REFUSED, TAKEN},
    {{"-tls1_1", "-cipher", "ALL:@SECLEVEL=0"}, REFUSED, REFUSED},
    {{"-tls1", "-cipher", "ALL:@SECLEVEL=0"}, REFUSED, REFUSED},
    {{"-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"}, REFUSED, REFUSED},
    {{"-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"}, REFUSED, REFUSED},
    {{"-tls1_2", "-cipher", "CAMELLIA:@SECLEVEL=0"}, REFUSED, REFUSED},
};

static pid_t start_server(const char *folder_cstr, const char *address_cstr,
                          const struct program *program)
{
    const char *words[24] = {"openssl", "s_server", "-accept", address_cstr, "-cert",
                             "cert",    "-key",     "key",     "-quiet"};
    size_t count = 9;
    pid_t pid = fork();

    must(pid >= 0);
    if (pid > 0)
        return pid;
    for (size_t i = 0; i < COUNT_OF(program->options) && program->options[i] != NULL; i++)
        words[count++] = program->options[i];
    {
        int null_fd = open("/dev/null", O_RDWR);

        dup2(null_fd, 1);
        dup2(null_fd, 2);
    }
    if (chdir(folder_cstr) == 0)
        execvp(words[0], (char *const *)(uintptr_t)words);
    _exit(127);
}

static int connect_to(struct sockaddr_in *address)
{
    for (int i = 0; i < 200; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        must(fd >= 0);
        if (connect(fd, (void *)address, sizeof *address) == 0) {
            must(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
            return fd;
        }
        close(fd);
        usleep(20000);
    }
    fail_msg("openssl s_server does not listen");
    return -1;
}

static int try_program(struct tls_context *client, struct sockaddr_in *address)
{
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    struct tls_session *session = NULL;
    int fd = connect_to(address);
    enum tls_step step;
    struct err err;

    must(tls_session_new_client(client, fd, &peer, &session, NULL));
    while (is_waiting(step = tls_session_handshake(session, &err))) {
        struct pollfd wait = {.fd = fd, .events = step == TLS_WANT_READ ? POLLIN : POLLOUT};

        assert_int_equal(poll(&wait, 1, 5000), 1);
    }
    tls_session_free(&session);
    close(fd);
    return step == TLS_DONE ? TAKEN : REFUSED;
}

static void make_rsa(const char *folder_cstr)
{
    assert_true(KIT_RUN("env", "-C", folder_cstr, "openssl", "req", "-x509", "-newkey",
                        "rsa:2048", "-nodes", "-keyout", "key", "-out", "cert", "-subj",
                        "/CN=mx.example.test", "-days", "2"));
}

static void test_weak_programs_are_refused(void **state)
{
    struct tls_context *strict = client_like(TLS_TRUST_WEBPKI, false);
    struct tls_context *trusting = client_like(TLS_TRUST_NOBODY, false);
    unsigned own = (unsigned)getpid();
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(0x7f000036U | (1 + own % 250) << 16 | (own / 250 % 250) << 8)};
    char folder_cstr[64], address_cstr[40];

    (void)state;
    kit_make_folder(folder_cstr);
    make_rsa(folder_cstr);
    assert_true(
        KIT_RUN("env", "-C", folder_cstr, "openssl", "dhparam", "-out", "dh512", "512"));
    for (size_t i = 0; i < COUNT_OF(programs); i++) {
        pid_t pid;

        address.sin_port = htons((uint16_t)(20000 + own % 10000 + i));
        snprintf(address_cstr, sizeof address_cstr, "%s:%u", inet_ntoa(address.sin_addr),
                 ntohs(address.sin_port));
        pid = start_server(folder_cstr, address_cstr, &programs[i]);
        if (try_program(strict, &address) != programs[i].strict ||
            try_program(trusting, &address) != programs[i].trusting)
            fail_msg("openssl s_server %s %s", programs[i].options[0],
                     programs[i].options[2] == NULL ? "" : programs[i].options[2]);
        kill(pid, SIGTERM);
        waitpid(pid, NULL, 0);
    }
    kit_remove_folder(folder_cstr);
    tls_context_unref(&strict);
    tls_context_unref(&trusting);
}

/* ---- Diffie and Hellman with a small prime [Logjam] ---- */

static EVP_PKEY *parameters_of(int bits)
{
    EVP_PKEY_CTX *maker = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
    EVP_PKEY *parameters = NULL;

    must(maker != NULL && EVP_PKEY_paramgen_init(maker) == 1 &&
         EVP_PKEY_CTX_set_dh_paramgen_prime_len(maker, bits) == 1 &&
         EVP_PKEY_paramgen(maker, &parameters) == 1);
    EVP_PKEY_CTX_free(maker);
    return parameters;
}

/* Even at its lowest level OpenSSL has no such server. */
static int allow_all(const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid,
                     void *other, void *ex)
{
    (void)ssl, (void)ctx, (void)operation, (void)bits, (void)nid, (void)other, (void)ex;
    return 1;
}

static struct tls_context *server_with_small_dh(struct slice certificate, struct slice key,
                                                int bits)
{
    struct tls_server_options options = {.certificate_chain_pem = certificate,
                                         .private_key_pem = key};
    struct tls_context *server = NULL;

    must(tls_context_new_server(&options, &server, NULL));
    must(SSL_CTX_set_max_proto_version(server->ssl_ctx, TLS1_2_VERSION) == 1);
    must(SSL_CTX_set_cipher_list(server->ssl_ctx, "DHE+AESGCM:@SECLEVEL=0") == 1);
    SSL_CTX_set_security_callback(server->ssl_ctx, allow_all);
    must(SSL_CTX_set_dh_auto(server->ssl_ctx, bits == 0 ? 1 : 0) == 1);
    if (bits > 0)
        must(SSL_CTX_set0_tmp_dh_pkey(server->ssl_ctx, parameters_of(bits)) == 1);
    return server;
}

static void test_small_primes_are_refused(void **state)
{
    static const int sizes[] = {512, 768, 0}; /* 0: what a good server has */
    struct tls_context *trusting = client_like(TLS_TRUST_NOBODY, false);
    struct tls_peer peer = {.names_cstr = {"mx.example.test"}};
    uint8_t certificate[4096], key[4096];
    size_t certificate_len, key_len;
    char folder_cstr[64];

    (void)state;
    kit_make_folder(folder_cstr);
    make_rsa(folder_cstr);
    certificate_len = kit_read_file(folder_cstr, "cert", certificate, sizeof certificate);
    key_len = kit_read_file(folder_cstr, "key", key, sizeof key);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct tls_context *server = server_with_small_dh(
            slice_of(certificate, certificate_len), slice_of(key, key_len), sizes[i]);
        struct pair pair;

        pair_open(&pair, server, trusting, &peer);
        pair_handshake(&pair);
        assert_int_equal(pair.client_step, sizes[i] == 0 ? TLS_DONE : TLS_FAILED);
        if (sizes[i] > 0)
            assert_non_null(strstr(pair.client_err.text_cstr, "dh key too small"));
        pair_close(&pair);
        tls_context_unref(&server);
    }
    kit_remove_folder(folder_cstr);
    tls_context_unref(&trusting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_small_hello_fits_one_packet),
        cmocka_unit_test(test_the_small_hello_does_not_resume),
        cmocka_unit_test(test_weak_answers_are_refused),
        cmocka_unit_test(test_weak_programs_are_refused),
        cmocka_unit_test(test_small_primes_are_refused),
    };

    return cmocka_run_group_tests(tests, make_papers, burn_papers);
}
