/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connection.h"

#include "crypto/certificate.h"
#include "kit/kit.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One end of a conversation, and what happened to it. */
struct end {
    struct connection *connection;
    struct buffer got;
    size_t consume_each; /* 0 = everything */
    int connected, drained, tls, timeouts, closed, inputs;
    struct err why;
    bool answers;
};

static void on_input(void *context)
{
    struct end *end = context;
    struct slice input = connection_input(end->connection);
    size_t take =
        end->consume_each > 0 && end->consume_each < input.len ? end->consume_each : input.len;

    end->inputs++;
    assert_true(buffer_append(&end->got, slice_head(input, take)));
    if (end->answers)
        assert_true(connection_write(end->connection, slice_head(input, take)));
    connection_consume(end->connection, take);
}
static void on_drained(void *context)
{
    ((struct end *)context)->drained++;
}
static void on_connected(void *context)
{
    ((struct end *)context)->connected++;
}
static void on_tls(void *context)
{
    ((struct end *)context)->tls++;
}
static void on_timeout(void *context)
{
    ((struct end *)context)->timeouts++;
}
static void on_closed(void *context, const struct err *why)
{
    struct end *end = context;

    end->closed++;
    end->why = *why;
    connection_free(&end->connection);
}

static const struct connection_handlers handlers = {
    on_input, on_drained, on_connected, on_tls, on_timeout, on_closed,
};
static const struct connection_limits limits = {1 << 20, 16 << 20};

struct pair {
    struct loop *loop;
    struct end client, server;
};

static void pair_open(struct pair *pair)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
    struct err err = {0};

    memset(pair, 0, sizeof *pair);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    pair->loop = loop_new();
    buffer_init(&pair->client.got, 32 << 20);
    buffer_init(&pair->server.got, 32 << 20);
    pair->client.connection = connection_connect(pair->loop, (struct sockaddr *)&address, len,
                                                 limits, &handlers, &pair->client, &err);
    assert_non_null(pair->client.connection);
    fd = accept(listener, NULL, NULL);
    assert_true(fd >= 0);
    pair->server.connection =
        connection_accept(pair->loop, fd, limits, &handlers, &pair->server);
    close(listener);
}

static void pair_close(struct pair *pair)
{
    connection_free(&pair->client.connection);
    connection_free(&pair->server.connection);
    buffer_deinit(&pair->client.got);
    buffer_deinit(&pair->server.got);
    loop_free(&pair->loop);
}

/* Turn the loop until the condition holds; fails after five seconds. */
#define TURN_UNTIL(pair, condition)                                                            \
    do {                                                                                       \
        int64_t until_ms = loop_now_ms() + 5000;                                               \
                                                                                               \
        while (!(condition)) {                                                                 \
            assert_true(loop_now_ms() < until_ms);                                             \
            loop_run_once((pair)->loop);                                                       \
        }                                                                                      \
    } while (0)

static void test_plain_bytes_go_both_ways(void **state)
{
    struct pair pair;
    char address_cstr[64];

    (void)state;
    pair_open(&pair);
    pair.server.answers = true;
    TURN_UNTIL(&pair, pair.client.connected == 1);
    assert_true(connection_write(pair.client.connection, S("EHLO\r\n")));
    assert_true(connection_write(pair.client.connection, S("QUIT\r\n")));
    connection_want_drained(pair.client.connection);
    TURN_UNTIL(&pair, buffer_len(&pair.client.got) == 12);
    assert_int_equal(pair.client.drained, 1);
    assert_int_equal(pair.server.inputs, 1);
    address_write(connection_peer(pair.server.connection), address_cstr, sizeof address_cstr);
    assert_string_equal(address_cstr, "127.0.0.1");
    assert_false(connection_is_tls(pair.client.connection));
    pair_close(&pair);
}

static void test_what_is_left_comes_again(void **state)
{
    struct pair pair;

    (void)state;
    pair_open(&pair);
    pair.server.consume_each = 3;
    TURN_UNTIL(&pair, pair.client.connected == 1);
    assert_true(connection_write(pair.client.connection, S("abcdefgh")));
    TURN_UNTIL(&pair, pair.server.inputs == 1);
    assert_true(slice_equal(connection_input(pair.server.connection), S("defgh")));
    connection_input_again(pair.server.connection);
    TURN_UNTIL(&pair, pair.server.inputs == 2);
    assert_true(connection_write(pair.client.connection, S("ij")));
    TURN_UNTIL(&pair, pair.server.inputs == 3);
    assert_true(slice_equal(buffer_view(&pair.server.got), S("abcdefghi")));
    pair_close(&pair);
}

static void test_a_full_input_stops_reading(void **state)
{
    struct pair pair;
    struct slice block = slice_of(calloc(1, 4 << 20), 4 << 20);

    (void)state;
    pair_open(&pair);
    connection_read_enable(pair.server.connection, false);
    TURN_UNTIL(&pair, pair.client.connected == 1);
    assert_true(connection_write(pair.client.connection, block));
    for (int i = 0; i < 20; i++)
        loop_run_once(pair.loop);
    assert_int_equal(pair.server.inputs, 0);
    pair.server.consume_each = 1;
    connection_read_enable(pair.server.connection, true);
    for (int i = 0; i < 200; i++)
        loop_run_once(pair.loop);
    assert_true(connection_input(pair.server.connection).len <= limits.in_max_bytes);
    pair.server.consume_each = 0;
    connection_input_again(pair.server.connection);
    TURN_UNTIL(&pair, buffer_len(&pair.server.got) == block.len);
    assert_false(
        connection_write(pair.client.connection, slice_of(block.at, limits.out_max_bytes + 1)));
    free((void *)(uintptr_t)block.at);
    pair_close(&pair);
}

static void test_the_end_is_told_once_and_last_words_arrive(void **state)
{
    struct pair pair;

    (void)state;
    pair_open(&pair);
    TURN_UNTIL(&pair, pair.client.connected == 1);
    assert_true(connection_write(pair.client.connection, S("unread input")));
    TURN_UNTIL(&pair, pair.server.inputs == 1);
    assert_true(connection_write(pair.server.connection, S("421 bye\r\n")));
    connection_finish(&pair.server.connection, 1000);
    assert_null(pair.server.connection);
    TURN_UNTIL(&pair, pair.client.closed == 1);
    assert_int_equal(pair.client.why.class, ERR_NONE);
    assert_true(slice_equal(buffer_view(&pair.client.got), S("421 bye\r\n")));
    for (int i = 0; i < 10; i++)
        loop_run_once(pair.loop);
    pair_close(&pair);
}

static void test_refused_connection_and_timeout(void **state)
{
    struct pair pair;
    struct sockaddr_in nobody = {
        .sin_family = AF_INET, .sin_port = htons(1), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct err err = {0};
    struct end end = {0};

    (void)state;
    pair_open(&pair);
    connection_timeout(pair.client.connection, 20);
    TURN_UNTIL(&pair, pair.client.timeouts == 1);
    end.connection = connection_connect(pair.loop, (struct sockaddr *)&nobody, sizeof nobody,
                                        limits, &handlers, &end, &err);
    if (end.connection != NULL)
        TURN_UNTIL(&pair, end.closed == 1);
    assert_int_equal(end.connection == NULL && end.closed == 0 ? err.class : end.why.class,
                     ERR_TEMP);
    pair_close(&pair);
}

/* ---- TLS ---- */

struct authority {
    struct tls_context *server, *verifying, *trusting;
};

/* An authority, a server of that name, a client that trusts it and one that trusts nobody. */
static void authority_make(struct authority *authority, const char *name_cstr)
{
    const char *const names[] = {name_cstr, NULL};
    struct certificate_wish wish = {.common_name_cstr = "Test authority",
                                    .not_before_s = clock_unix_ms() / 1000 - 3600,
                                    .not_after_s = clock_unix_ms() / 1000 + 3600};
    struct certificate_pair root = {0}, leaf = {0};
    struct tls_server_options server = {0};
    struct tls_client_options client = {.trust = TLS_TRUST_WEBPKI};
    struct err err = {0};

    assert_true(certificate_make_authority(&wish, &root, &err));
    wish.common_name_cstr = name_cstr;
    wish.dns_names_cstr = names;
    assert_true(certificate_issue(&root, &wish, &leaf, &err));
    server.certificate_chain_pem = buffer_view(&leaf.certificate_pem);
    server.private_key_pem = buffer_view(&leaf.key_pem);
    client.authorities_pem = buffer_view(&root.certificate_pem);
    assert_true(tls_context_new_server(&server, &authority->server, &err));
    assert_true(tls_context_new_client(&client, &authority->verifying, &err));
    client.trust = TLS_TRUST_NOBODY;
    assert_true(tls_context_new_client(&client, &authority->trusting, &err));
    certificate_pair_deinit(&root);
    certificate_pair_deinit(&leaf);
}

static void test_tls_carries_megabytes_and_evidence(void **state)
{
    struct pair pair;
    struct authority authority;
    struct tls_peer peer = {.server_name_cstr = "mx.good.test", .names_cstr = {"mx.good.test"}};
    struct tls_evidence evidence;
    struct err err = {0};
    struct slice block = slice_of(calloc(1, 3 << 20), 3 << 20);

    (void)state;
    authority_make(&authority, "mx.good.test");
    pair_open(&pair);
    TURN_UNTIL(&pair, pair.client.connected == 1);
    connection_start_tls_server(pair.server.connection, authority.server);
    assert_true(
        connection_start_tls_client(pair.client.connection, authority.verifying, &peer, &err));
    TURN_UNTIL(&pair, pair.client.tls == 1 && pair.server.tls == 1);
    connection_evidence(pair.client.connection, &evidence);
    assert_true(evidence.is_verified);
    assert_int_equal(evidence.version, TLS_VERSION_1_3);
    pair.server.answers = true;
    assert_true(connection_write(pair.client.connection, block));
    TURN_UNTIL(&pair, buffer_len(&pair.client.got) == block.len);
    connection_finish(&pair.client.connection, 1000);
    TURN_UNTIL(&pair, pair.server.closed == 1);
    assert_int_equal(pair.server.why.class, ERR_NONE);
    free((void *)(uintptr_t)block.at);
    pair_close(&pair);
    tls_context_unref(&authority.server);
    tls_context_unref(&authority.verifying);
    tls_context_unref(&authority.trusting);
}

static void test_wrong_name_and_garbage_end_the_handshake(void **state)
{
    struct pair pair;
    struct authority authority;
    struct tls_peer peer = {.server_name_cstr = "mx.good.test", .names_cstr = {"mx.good.test"}};
    struct err err = {0};

    (void)state;
    authority_make(&authority, "mx.evil.test");
    pair_open(&pair);
    TURN_UNTIL(&pair, pair.client.connected == 1);
    connection_start_tls_server(pair.server.connection, authority.server);
    assert_true(
        connection_start_tls_client(pair.client.connection, authority.verifying, &peer, &err));
    TURN_UNTIL(&pair, pair.client.closed == 1);
    assert_int_equal(pair.client.tls, 0);
    assert_string_not_equal(pair.client.why.text_cstr, "");
    pair_close(&pair);

    pair_open(&pair);
    TURN_UNTIL(&pair, pair.client.connected == 1);
    assert_true(
        connection_start_tls_client(pair.client.connection, authority.trusting, &peer, &err));
    assert_true(connection_write(pair.server.connection, S("500 what is that?\r\n")));
    TURN_UNTIL(&pair, pair.client.closed == 1);
    assert_int_equal(pair.client.why.class, ERR_PEER);
    pair_close(&pair);
    tls_context_unref(&authority.server);
    tls_context_unref(&authority.verifying);
    tls_context_unref(&authority.trusting);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_bytes_go_both_ways),
        cmocka_unit_test(test_what_is_left_comes_again),
        cmocka_unit_test(test_a_full_input_stops_reading),
        cmocka_unit_test(test_the_end_is_told_once_and_last_words_arrive),
        cmocka_unit_test(test_refused_connection_and_timeout),
        cmocka_unit_test(test_tls_carries_megabytes_and_evidence),
        cmocka_unit_test(test_wrong_name_and_garbage_end_the_handshake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
