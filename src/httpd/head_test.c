/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/head.h"

#include "kit/kit.h"

enum { FIELDS_MAX = 6 };

struct head_case {
    struct slice method, uri, version;
    struct httpd_header fields[FIELDS_MAX];
    unsigned want;
};

#define GET SLICE_INIT("GET")
#define POST SLICE_INIT("POST")
#define ROOT SLICE_INIT("/")
#define V11 SLICE_INIT("HTTP/1.1")
#define FIELD(name, value)                                                                     \
    {                                                                                          \
        SLICE_INIT(name), SLICE_INIT(value)                                                    \
    }
#define HOST FIELD("Host", "p.test:8443")

static const struct head_case cases[] = {
    {GET, ROOT, V11, {HOST}, 0},
    {GET, ROOT, SLICE_INIT("HTTP/1.0"), {HOST}, 0},
    {GET, SLICE_INIT("/m/x?y=1#z"), V11, {FIELD("HOST", "P.TEST:8443")}, 0},
    {SLICE_INIT("HEAD"), ROOT, V11, {HOST}, 0},
    {SLICE_INIT("OPTIONS"), SLICE_INIT("*"), V11, {HOST}, 0},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "12")}, 0},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "0"), FIELD("Expect", "100-continue")}, 0},
    {GET, ROOT, V11, {HOST, FIELD("X", "caf\xC3\xA9\tx")}, 0},
    /* methods, versions, targets */
    {SLICE_INIT("TRACE"), ROOT, V11, {HOST}, 405},
    {SLICE_INIT("get"), ROOT, V11, {HOST}, 405},
    {SLICE_INIT("CONNECT"), SLICE_INIT("p.test:443"), V11, {HOST}, 405},
    {SLICE_INIT("G(T"), ROOT, V11, {HOST}, 400},
    {GET, ROOT, SLICE_INIT("HTTP/1.9"), {HOST}, 505},
    {GET, ROOT, SLICE_INIT("HTTP/2.0"), {HOST}, 505},
    {GET, ROOT, SLICE_INIT(""), {HOST}, 505},
    {GET, SLICE_INIT(""), V11, {HOST}, 400},
    {GET, SLICE_INIT("*"), V11, {HOST}, 400},
    {GET, SLICE_INIT("x"), V11, {HOST}, 400},
    {GET, SLICE_INIT("https://p.test/"), V11, {HOST}, 400},
    {GET, SLICE_INIT("/\x01"), V11, {HOST}, 400},
    {GET, SLICE_INIT("/a b"), V11, {HOST}, 400},
    {GET, SLICE_INIT("/\x7f"), V11, {HOST}, 400},
    {GET, SLICE_INIT("/\xC3\xA9"), V11, {HOST}, 400},
    /* host */
    {GET, ROOT, V11, {{{NULL, 0}, {NULL, 0}}}, 400},
    {GET, ROOT, V11, {FIELD("Host", "")}, 400},
    {GET, ROOT, V11, {FIELD("Host", "evil.test")}, 421},
    {GET, ROOT, V11, {FIELD("Host", "p.test")}, 421},
    {GET, ROOT, V11, {FIELD("Host", "p.test:84430")}, 421},
    {GET, ROOT, V11, {HOST, HOST}, 400},
    {GET, ROOT, V11, {HOST, FIELD("host", "evil.test")}, 400},
    /* fields */
    {GET, ROOT, V11, {HOST, FIELD("X ", "1")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("", "1")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("X\t", "1")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("X", "a\x01")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("X", "a\rb")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("Cookie", "a=b"), FIELD("Cookie", "c=d")}, 400},
    /* framing */
    {POST, ROOT, V11, {HOST}, 411},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "+12")}, 400},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "12abc")}, 400},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "")}, 400},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "12, 12")}, 400},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "18446744073709551628")}, 400},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "1"), FIELD("Content-Length", "1")}, 400},
    {POST,
     ROOT,
     V11,
     {HOST, FIELD("Content-Length", "1"), FIELD("Transfer-Encoding", "chunked")},
     400},
    {POST, ROOT, V11, {HOST, FIELD("Transfer-Encoding", "chunked")}, 411},
    {POST, ROOT, V11, {HOST, FIELD("Transfer-Encoding", "identity")}, 411},
    {GET, ROOT, V11, {HOST, FIELD("Content-Length", "5")}, 400},
    {GET, ROOT, V11, {HOST, FIELD("Transfer-Encoding", "chunked")}, 411},
    {POST, ROOT, V11, {HOST, FIELD("Content-Length", "1"), FIELD("Expect", "x")}, 417},
};

static size_t wire_len(const struct httpd_head *head, size_t blanks)
{
    size_t len = head->method.len + head->uri.len + head->version.len + 6;

    for (size_t i = 0; i < head->header_count; i++)
        len += head->headers[i].name.len + head->headers[i].value.len + 3 + blanks;
    return len;
}

static void test_heads_are_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct httpd_head head = {
            cases[i].method, cases[i].uri, cases[i].version, cases[i].fields, 0, 0};
        struct httpd_facts facts;
        unsigned got;

        while (head.header_count < FIELDS_MAX &&
               cases[i].fields[head.header_count].name.at != NULL)
            head.header_count++;
        head.wire_bytes = wire_len(&head, 1);
        got = httpd_head_check(&head, S("p.test:8443"), &facts);
        if (got != cases[i].want)
            fail_msg("case %zu: %u, not %u", i, got, cases[i].want);
    }
}

static void test_swallowed_bytes_show(void **state)
{
    static const struct httpd_header fields[] = {HOST, FIELD("X", "a")};
    struct httpd_head head = {GET, ROOT, V11, fields, 2, 0};
    struct httpd_facts facts;

    (void)state;
    head.wire_bytes = wire_len(&head, 0);
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 0);
    head.wire_bytes = wire_len(&head, 1);
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 0);
    head.wire_bytes = wire_len(&head, 1) + 1; /* "X: a<NUL>" */
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 400);
    head.wire_bytes = wire_len(&head, 0) - 1; /* a bare LF */
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 400);
}

static void test_sizes_have_limits(void **state)
{
    static char uri[HTTPD_URI_MAX + 2], value[HTTPD_HEAD_BYTES_MAX];
    struct httpd_header fields[HTTPD_HEADERS_MAX + 1] = {HOST};
    struct httpd_head head = {GET, ROOT, V11, fields, 1, 0};
    struct httpd_facts facts;

    (void)state;
    for (size_t i = 0; i < sizeof uri; i++)
        uri[i] = '/';
    for (size_t i = 0; i < sizeof value; i++)
        value[i] = 'v';
    for (size_t i = 1; i < COUNT_OF(fields); i++)
        fields[i] = (struct httpd_header)FIELD("X", "y");
    head.uri = slice_of(uri, HTTPD_URI_MAX);
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 0);
    head.uri = slice_of(uri, HTTPD_URI_MAX + 1);
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 414);
    head.uri = S("/");
    head.header_count = HTTPD_HEADERS_MAX;
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 0);
    head.header_count = HTTPD_HEADERS_MAX + 1;
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 431);
    head.header_count = 2;
    fields[1].value = slice_of(value, sizeof value);
    assert_int_equal(httpd_head_check(&head, S("p.test:8443"), &facts), 431);
}

static void test_facts_and_default_port(void **state)
{
    static const struct httpd_header fields[] = {FIELD("Host", "p.test:443"),
                                                 FIELD("Content-Length", "7")};
    struct httpd_head head = {POST, SLICE_INIT("/m/a?b"), V11, fields, 2, 0};
    struct httpd_facts facts;

    (void)state;
    assert_int_equal(httpd_head_check(&head, S("p.test"), &facts), 0);
    assert_int_equal(facts.method, HTTPD_POST);
    assert_int_equal(facts.content_length, 7);
    assert_true(slice_equal(facts.path, S("/m/a")));
    assert_int_equal(httpd_head_check(&head, S("p.test:444"), &facts), 421);
}

static void test_cookies_are_found(void **state)
{
    struct slice got;

    (void)state;
    assert_true(httpd_cookie_find(S("a=1; b=2;c=3"), S("b"), &got));
    assert_true(slice_equal(got, S("2")));
    assert_true(httpd_cookie_find(S("a=1=2"), S("a"), &got));
    assert_true(slice_equal(got, S("1=2")));
    assert_false(httpd_cookie_find(S("aa=1; ba=2"), S("a"), &got));
    assert_false(httpd_cookie_find(S("a=1; a=2"), S("a"), &got));
    assert_false(httpd_cookie_find(S(""), S("a"), &got));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heads_are_judged),  cmocka_unit_test(test_swallowed_bytes_show),
        cmocka_unit_test(test_sizes_have_limits), cmocka_unit_test(test_facts_and_default_port),
        cmocka_unit_test(test_cookies_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
