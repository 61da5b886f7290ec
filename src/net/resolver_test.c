/* SPDX-License-Identifier: Apache-2.0 */
#include "net/resolver.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct got {
    unsigned mx_calls, address_calls;
    uint64_t ask;
    struct resolver_mx_answer mx;
    struct resolver_address_answer address;
};

static void on_mx(void *context, uint64_t ask, const struct resolver_mx_answer *answer)
{
    struct got *got = context;

    got->mx_calls++;
    got->ask = ask;
    got->mx = *answer;
}

static void on_addresses(void *context, uint64_t ask,
                         const struct resolver_address_answer *answer)
{
    struct got *got = context;

    got->address_calls++;
    got->ask = ask;
    got->address = *answer;
}

static void run_until(struct loop *loop, const unsigned *calls, unsigned wanted)
{
    for (int64_t end = loop_now_ms() + 5000; *calls < wanted && loop_now_ms() < end;) {
        loop_run_once(loop);
        usleep(200);
    }
    assert_int_equal(*calls, wanted);
}

static const char *const local_data[] = {
    "good.test. MX 10 mx.good.test.",
    "mx.good.test. A 127.0.0.1",
    "mx.good.test. AAAA ::1",
    "null.test. MX 0 .",
    "plain.test. A 127.0.0.2",
    "alias.test. CNAME mx.good.test.",
    "loop.test. CNAME loop.test.",
    "numeric.test. MX 10 127.0.0.1.",
    "elsewhere.org. MX 10 mx.good.test.",
};

static struct resolver *make(struct loop *loop, bool prefer_ipv4)
{
    struct resolver_options options = {.local_data = local_data,
                                       .local_data_count = COUNT_OF(local_data),
                                       .prefer_ipv4 = prefer_ipv4,
                                       .timeout_ms = 3000};
    struct resolver *resolver;
    struct err err;

    assert_true(resolver_new(loop, &options, &resolver, &err));
    return resolver;
}

static void test_local_zones_answer_every_kind(void **state)
{
    static const struct {
        const char *domain_cstr;
        enum resolver_outcome outcome;
        bool is_implicit;
        const char *host_cstr;
    } cases[] = {
        {"good.test", RESOLVER_FOUND, false, "mx.good.test"},
        {"GOOD.test", RESOLVER_FOUND, false, "mx.good.test"},
        {"elsewhere.org", RESOLVER_FOUND, false, "mx.good.test"},
        {"null.test", RESOLVER_NULL_MX, false, ""},
        {"plain.test", RESOLVER_FOUND, true, "plain.test"},
        {"absent.test", RESOLVER_NO_DOMAIN, false, ""},
        {"numeric.test", RESOLVER_TRY_LATER, false, ""},
        {"not a name", RESOLVER_NO_DOMAIN, false, ""},
    };
    struct loop *loop = loop_new();
    struct resolver *resolver = make(loop, false);
    struct got got = {0};

    (void)state;
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        uint64_t ask = resolver_ask_mx(resolver, cases[i].domain_cstr, on_mx, &got);

        assert_int_equal(got.mx_calls, i); /* never inside the ask */
        run_until(loop, &got.mx_calls, i + 1);
        assert_int_equal(got.ask, ask);
        assert_int_equal(got.mx.outcome, cases[i].outcome);
        assert_int_equal(got.mx.is_implicit, cases[i].is_implicit);
        assert_false(got.mx.is_secure);
        if (cases[i].outcome == RESOLVER_FOUND)
            assert_string_equal(got.mx.mx[0].host_cstr, cases[i].host_cstr);
    }
    resolver_free(&resolver);
    loop_free(&loop);
}

static void test_addresses_of_both_kinds_in_the_preferred_order(void **state)
{
    struct loop *loop = loop_new();

    (void)state;
    for (int prefer_ipv4 = 0; prefer_ipv4 < 2; prefer_ipv4++) {
        struct resolver *resolver = make(loop, prefer_ipv4);
        struct got got = {0};

        resolver_ask_addresses(resolver, "mx.good.test", on_addresses, &got);
        run_until(loop, &got.address_calls, 1);
        assert_int_equal(got.address.outcome, RESOLVER_FOUND);
        assert_int_equal(got.address.count, 2);
        assert_int_equal(got.address.addresses[0].is_ipv6, !prefer_ipv4);
        /* A lone alias is followed by asking again. */
        resolver_ask_addresses(resolver, "alias.test", on_addresses, &got);
        run_until(loop, &got.address_calls, 2);
        assert_int_equal(got.address.count, 2);
        resolver_ask_addresses(resolver, "loop.test", on_addresses, &got);
        run_until(loop, &got.address_calls, 3);
        assert_int_equal(got.address.count, 0);
        resolver_ask_addresses(resolver, "good.test", on_addresses, &got);
        run_until(loop, &got.address_calls, 4);
        assert_int_equal(got.address.outcome, RESOLVER_NO_DATA);
        resolver_free(&resolver);
    }
    loop_free(&loop);
}

static void test_a_cancelled_ask_is_not_answered(void **state)
{
    struct loop *loop = loop_new();
    struct resolver *resolver = make(loop, false);
    struct got got = {0};
    uint64_t ask = resolver_ask_mx(resolver, "good.test", on_mx, &got);

    (void)state;
    resolver_cancel(resolver, ask);
    resolver_cancel(resolver, ask);
    resolver_ask_mx(resolver, "good.test", on_mx, &got);
    run_until(loop, &got.mx_calls, 1);
    for (int i = 0; i < 10; i++)
        loop_run_once(loop);
    assert_int_equal(got.mx_calls, 1);
    resolver_free(&resolver);
    loop_free(&loop);
}

static void test_wrong_options_are_refused(void **state)
{
    static const char *const bad_record[] = {"good.test. MXX 10 mx.good.test."};
    static const char *const bad_forward[] = {"not-an-address"};
    const struct resolver_options cases[] = {
        {.local_data = bad_record, .local_data_count = 1},
        {.forward = bad_forward, .forward_count = 1},
    };
    struct loop *loop = loop_new();

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct resolver *resolver;
        struct err err;

        assert_false(resolver_new(loop, &cases[i], &resolver, &err));
        assert_int_equal(err.class, ERR_PERM);
        assert_null(resolver);
    }
    loop_free(&loop);
}

/* ---- a name server that answers as the name says ---- */

struct server {
    int fd;
    char address_cstr[32];
};

static void server_answer(void *context, int ready)
{
    struct server *server = context;
    uint8_t packet[1500];
    struct sockaddr_in from;
    socklen_t from_len = sizeof from;
    ssize_t len = recvfrom(server->fd, packet, sizeof packet, 0, (void *)&from, &from_len);

    (void)ready;
    if (len < 18 || memcmp(packet + 13, "silent", 6) == 0)
        return;
    packet[2] |= 0x84; /* an authoritative answer */
    packet[3] = 0x80;
    memset(packet + 6, 0, 6);
    if (memcmp(packet + 13, "broken", 6) == 0)
        packet[3] |= 2;
    if (memcmp(packet + 13, "absent", 6) == 0)
        packet[3] |= 3;
    /* The question ends 4 bytes behind the name's zero; nothing else is sent back. */
    len = 12 + (ssize_t)strlen((char *)packet + 12) + 1 + 4;
    sendto(server->fd, packet, (size_t)len, 0, (void *)&from, from_len);
}

static void server_open(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (void *)&address, len), 0);
    assert_int_equal(getsockname(server->fd, (void *)&address, &len), 0);
    snprintf(server->address_cstr, sizeof server->address_cstr, "127.0.0.1@%u",
             ntohs(address.sin_port));
}

static void test_failure_to_find_out_is_never_absence(void **state)
{
    static const struct {
        const char *domain_cstr;
        enum resolver_outcome outcome;
    } cases[] = {
        {"absent.example", RESOLVER_NO_DOMAIN},
        {"absent.test", RESOLVER_NO_DOMAIN},
        {"broken.example", RESOLVER_TRY_LATER},
        {"silent.example", RESOLVER_TRY_LATER},
    };
    struct loop *loop = loop_new();
    struct server server;
    struct loop_watch *watch;
    const char *forward[1];
    struct resolver_options options = {
        .forward = forward, .forward_count = 1, .timeout_ms = 1500};
    struct resolver *resolver;
    struct got got = {0};
    struct err err;

    (void)state;
    server_open(&server);
    watch = loop_watch_new(loop, server.fd, server_answer, &server);
    loop_watch_set(watch, LOOP_READ);
    forward[0] = server.address_cstr;
    assert_true(resolver_new(loop, &options, &resolver, &err));
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        resolver_ask_mx(resolver, cases[i].domain_cstr, on_mx, &got);
        run_until(loop, &got.mx_calls, i + 1);
        assert_int_equal(got.mx.outcome, cases[i].outcome);
        resolver_ask_addresses(resolver, cases[i].domain_cstr, on_addresses, &got);
        run_until(loop, &got.address_calls, i + 1);
        assert_int_equal(got.address.outcome, cases[i].outcome);
    }
    /* Forgetting a resolver with open asks leaves nothing behind. */
    resolver_ask_mx(resolver, "silent.example", on_mx, &got);
    resolver_free(&resolver);
    loop_watch_free(&watch);
    close(server.fd);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_local_zones_answer_every_kind),
        cmocka_unit_test(test_addresses_of_both_kinds_in_the_preferred_order),
        cmocka_unit_test(test_a_cancelled_ask_is_not_answered),
        cmocka_unit_test(test_wrong_options_are_refused),
        cmocka_unit_test(test_failure_to_find_out_is_never_absence),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
