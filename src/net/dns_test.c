/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include "base/buffer.h"
#include "kit/kit.h"

#include <stdlib.h>
#include <string.h>

/* ---- a small packet writer ---- */

static void put(struct buffer *out, const void *bytes, size_t len)
{
    assert_true(buffer_append(out, slice_of(bytes, len)));
}

static void put_u16(struct buffer *out, unsigned value)
{
    uint8_t bytes[2] = {(uint8_t)(value >> 8), (uint8_t)value};

    put(out, bytes, sizeof bytes);
}

static void put_name(struct buffer *out, const char *name_cstr)
{
    struct slice rest = slice_from_cstr(name_cstr);

    while (rest.len > 0) {
        struct slice label = slice_cut(&rest, '.');

        assert_true(buffer_append_byte(out, (uint8_t)label.len));
        assert_true(buffer_append(out, label));
    }
    assert_true(buffer_append_byte(out, 0));
}

static void begin(struct buffer *out, unsigned rcode, const char *name_cstr, unsigned type,
                  unsigned answers)
{
    buffer_init(out, 65536);
    put_u16(out, 7);
    put_u16(out, 0x8180 | rcode);
    put_u16(out, 1);
    put_u16(out, answers);
    put_u16(out, 0);
    put_u16(out, 0);
    put_name(out, name_cstr);
    put_u16(out, type);
    put_u16(out, 1);
}

static void put_record(struct buffer *out, const char *owner_cstr, unsigned type, unsigned ttl,
                       const struct buffer *data)
{
    put_name(out, owner_cstr);
    put_u16(out, type);
    put_u16(out, 1);
    put_u16(out, 0);
    put_u16(out, ttl);
    put_u16(out, (unsigned)buffer_len(data));
    assert_true(buffer_append(out, buffer_view(data)));
}

static void put_mx(struct buffer *out, const char *owner_cstr, unsigned preference,
                   const char *host_cstr)
{
    struct buffer data;

    buffer_init(&data, 512);
    put_u16(&data, preference);
    put_name(&data, host_cstr);
    put_record(out, owner_cstr, DNS_TYPE_MX, 300, &data);
    buffer_deinit(&data);
}

static void put_alias(struct buffer *out, const char *owner_cstr, const char *target_cstr)
{
    struct buffer data;

    buffer_init(&data, 512);
    put_name(&data, target_cstr);
    put_record(out, owner_cstr, DNS_TYPE_CNAME, 60, &data);
    buffer_deinit(&data);
}

static void put_a(struct buffer *out, const char *owner_cstr, uint8_t last)
{
    struct buffer data;
    const uint8_t address[4] = {192, 0, 2, last};

    buffer_init(&data, 16);
    put(&data, address, sizeof address);
    put_record(out, owner_cstr, DNS_TYPE_A, 120, &data);
    buffer_deinit(&data);
}

static bool parse(struct buffer *packet, const char *name_cstr, unsigned type,
                  struct dns_answer *answer)
{
    struct err err;
    /* An exact copy, so that a sanitizer sees one byte too far. */
    struct slice view = buffer_view(packet);
    uint8_t *exact = malloc(view.len);
    bool ok;

    memcpy(exact, view.at, view.len);
    ok = dns_answer_parse(slice_of(exact, view.len), name_cstr, type, answer, &err);
    assert_true(ok || err.class == ERR_PEER);
    free(exact);
    buffer_deinit(packet);
    return ok;
}

/* ---- tests ---- */

static void test_mx_records_come_sorted_and_foreign_ones_are_passed_over(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "Good.test", DNS_TYPE_MX, 4);
    put_mx(&packet, "good.test", 20, "MX2.good.test");
    put_mx(&packet, "evil.test", 1, "mx.evil.test");
    put_mx(&packet, "GOOD.test", 10, "mx1.good.test");
    put_a(&packet, "mx1.good.test", 1);
    assert_true(parse(&packet, "good.test", DNS_TYPE_MX, &answer));
    assert_int_equal(answer.mx_count, 2);
    assert_string_equal(answer.mx[0].host_cstr, "mx1.good.test");
    assert_string_equal(answer.mx[1].host_cstr, "mx2.good.test");
    assert_int_equal(answer.ttl_s, 300);
    assert_int_equal(answer.address_count, 0);
}

static void test_aliases_are_followed_in_any_order_and_not_for_ever(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_A, 3);
    put_a(&packet, "c.test", 3);
    put_alias(&packet, "b.test", "c.test");
    put_alias(&packet, "a.test", "b.test");
    assert_true(parse(&packet, "a.test", DNS_TYPE_A, &answer));
    assert_int_equal(answer.address_count, 1);
    assert_int_equal(answer.addresses[0].bytes[3], 3);
    assert_string_equal(answer.canonical_cstr, "c.test");
    assert_int_equal(answer.ttl_s, 60);

    begin(&packet, 0, "a.test", DNS_TYPE_A, 2);
    put_alias(&packet, "a.test", "b.test");
    put_alias(&packet, "b.test", "a.test");
    assert_false(parse(&packet, "a.test", DNS_TYPE_A, &answer));
}

static void test_null_mx_and_unusable_hosts(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_MX, 1);
    put_mx(&packet, "a.test", 0, "");
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_true(answer.is_null_mx);

    /* "." next to a real host is only a mistake. */
    begin(&packet, 0, "a.test", DNS_TYPE_MX, 2);
    put_mx(&packet, "a.test", 0, "");
    put_mx(&packet, "a.test", 5, "mx.a.test");
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_false(answer.is_null_mx);
    assert_int_equal(answer.mx_count, 1);

    begin(&packet, 0, "a.test", DNS_TYPE_MX, 2);
    put_mx(&packet, "a.test", 5, "192.0.2.1");
    put_mx(&packet, "a.test", 5, "m\rx.test");
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_false(answer.is_null_mx);
    assert_int_equal(answer.mx_count, 0);
    assert_int_equal(answer.unusable, 2);
}

static void test_only_the_best_twenty_are_kept(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_MX, 40);
    for (unsigned i = 0; i < 40; i++)
        put_mx(&packet, "a.test", 100 - i, "mx.a.test");
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_int_equal(answer.mx_count, DNS_MX_MAX);
    assert_int_equal(answer.mx[0].preference, 61);
    assert_int_equal(answer.mx[19].preference, 80);

    begin(&packet, 0, "a.test", DNS_TYPE_A, 30);
    for (uint8_t i = 0; i < 30; i++)
        put_a(&packet, "a.test", i);
    assert_true(parse(&packet, "a.test", DNS_TYPE_A, &answer));
    assert_int_equal(answer.address_count, DNS_ADDRESSES_MAX);
}

static void test_no_domain_and_no_data(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 3, "a.test", DNS_TYPE_MX, 0);
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_int_equal(answer.rcode, DNS_RCODE_NO_DOMAIN);
    begin(&packet, 0, "a.test", DNS_TYPE_MX, 0);
    assert_true(parse(&packet, "a.test", DNS_TYPE_MX, &answer));
    assert_int_equal(answer.rcode, DNS_RCODE_OK);
    assert_int_equal(answer.mx_count, 0);
    assert_int_equal(answer.ttl_s, DNS_TTL_NEGATIVE_S);
}

static void test_hostile_packets_are_refused(void **state)
{
    static const struct slice packets[] = {
        SLICE_INIT(""),
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0"),
        /* A question, not an answer. */
        SLICE_INIT("\0\0\0\0\0\0\0\0\0\0\0\0"),
        /* A name that points at itself, forward, and past the end. */
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0\0\xc0\x0c\0\1\0\1"),
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0\0\xc0\x0d\0\1\0\1"),
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0\0\xff\xff\0\1\0\1"),
        /* A label of a reserved kind, and one that is longer than the packet. */
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0\0\x40\0\0\1\0\1"),
        SLICE_INIT("\0\0\x80\0\0\1\0\0\0\0\0\0\x3f\0\0\1\0\1"),
        /* An answer promised, none there; an answer whose data is longer than the packet. */
        SLICE_INIT("\0\0\x80\0\0\0\0\1\0\0\0\0"),
        SLICE_INIT("\0\0\x80\0\0\0\0\1\0\0\0\0\1a\0\0\1\0\1\0\0\0\1\0\5abcd"),
        /* An address of three bytes for the name asked. */
        SLICE_INIT("\0\0\x80\0\0\0\0\1\0\0\0\0\1a\0\0\1\0\1\0\0\0\1\0\3abc"),
        /* More answers than we look at. */
        SLICE_INIT("\0\0\x80\0\0\0\xff\xff\0\0\0\0"),
    };
    struct dns_answer answer;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(packets); i++) {
        assert_false(dns_answer_parse(packets[i], "a", DNS_TYPE_A, &answer, &err));
        assert_int_equal(err.class, ERR_PEER);
    }
}

static void test_host_names(void **state)
{
    static const struct {
        struct slice name;
        bool ok;
    } cases[] = {
        {SLICE_INIT("a"), true},
        {SLICE_INIT("mx-1.a_b.test"), true},
        {SLICE_INIT("xn--bcher-kva.test"), true},
        {SLICE_INIT(""), false},
        {SLICE_INIT("a."), false},
        {SLICE_INIT(".a"), false},
        {SLICE_INIT("a..b"), false},
        {SLICE_INIT("192.0.2.1"), false},
        {SLICE_INIT("a b.test"), false},
        {SLICE_INIT("a?.test"), false},
        {SLICE_INIT("[192.0.2.1]"), false},
        {SLICE_INIT("a\0b.test"), false},
        {SLICE_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"),
         false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(dns_is_host_name(cases[i].name), cases[i].ok);
}

static void test_equal_preferences_change_places_and_others_do_not(void **state)
{
    unsigned first[3] = {0, 0, 0};

    (void)state;
    for (uint64_t chance = 0; chance < 3000; chance++) {
        struct dns_mx mx[4] = {{20, "d"}, {10, "a"}, {10, "b"}, {10, "c"}};

        assert_int_equal(dns_mx_arrange(mx, 4, "other", chance), 4);
        assert_string_equal(mx[3].host_cstr, "d");
        first[mx[0].host_cstr[0] - 'a']++;
        assert_true(mx[0].host_cstr[0] != mx[1].host_cstr[0]);
    }
    for (size_t i = 0; i < 3; i++)
        assert_in_range(first[i], 800, 1200);
}

static void test_our_own_host_ends_the_list(void **state)
{
    struct dns_mx mx[4] = {{5, "a"}, {10, "Us"}, {10, "b"}, {20, "c"}};
    struct dns_mx only[1] = {{10, "us"}};

    (void)state;
    assert_int_equal(dns_mx_arrange(mx, 4, "us", 1), 1);
    assert_string_equal(mx[0].host_cstr, "a");
    assert_int_equal(dns_mx_arrange(only, 1, "US", 1), 0);
}

static void put_bytes(struct buffer *out, const char *owner_cstr, unsigned type,
                      struct slice bytes)
{
    struct buffer data;

    buffer_init(&data, 65536);
    put(&data, bytes.at, bytes.len);
    put_record(out, owner_cstr, type, 90, &data);
    buffer_deinit(&data);
}

static struct tlsa_set tlsa;
static struct dns_texts texts;

static bool parse_records(struct buffer *packet, unsigned type, struct dns_answer *answer)
{
    struct slice view = buffer_view(packet);
    uint8_t *exact = malloc(view.len);
    struct err err;
    bool ok;

    memcpy(exact, view.at, view.len);
    view.at = exact;
    assert_true(dns_answer_parse(view, "a.test", type, answer, &err));
    ok = type == DNS_TYPE_TLSA ? dns_tlsa_parse(view, answer, &tlsa, &err)
                               : dns_texts_parse(view, answer, &texts, &err);
    assert_true(ok || err.class == ERR_PEER);
    free(exact);
    buffer_deinit(packet);
    return ok;
}

static void test_tlsa_records(void **state)
{
    static const uint8_t good[35] = {3, 1, 1, 0xaa};
    static uint8_t big[20000] = {3, 1};
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_TLSA, 5);
    put_alias(&packet, "a.test", "b.test");
    put_bytes(&packet, "a.test", DNS_TYPE_TLSA, S("\3\1\1of another owner"));
    put_bytes(&packet, "b.test", DNS_TYPE_TLSA, S("\3"));
    put_bytes(&packet, "b.test", DNS_TYPE_TLSA, slice_of(good, sizeof good));
    put_bytes(&packet, "b.test", DNS_TYPE_TXT, S("\1x"));
    assert_true(parse_records(&packet, DNS_TYPE_TLSA, &answer));
    assert_string_equal(answer.canonical_cstr, "b.test");
    assert_int_equal(answer.record_count, 2);
    assert_int_equal(answer.ttl_s, 60);
    assert_int_equal(tlsa.count, 2);
    assert_int_equal(tlsa.usable_count, 1);
    assert_false(tlsa.records[0].is_usable);
    assert_int_equal(tlsa_data(&tlsa, &tlsa.records[1]).at[0], 0xaa);
    /* A part of a set is refused: the part that is missing may be the one that matters. */
    begin(&packet, 0, "a.test", DNS_TYPE_TLSA, TLSA_MAX + 1);
    for (int i = 0; i < TLSA_MAX + 1; i++)
        put_bytes(&packet, "a.test", DNS_TYPE_TLSA, slice_of(good, sizeof good));
    assert_false(parse_records(&packet, DNS_TYPE_TLSA, &answer));
    begin(&packet, 0, "a.test", DNS_TYPE_TLSA, 1);
    put_bytes(&packet, "a.test", DNS_TYPE_TLSA, slice_of(big, sizeof big));
    assert_false(parse_records(&packet, DNS_TYPE_TLSA, &answer));
}

static void test_text_records(void **state)
{
    static uint8_t big[5 * 1021];
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_TXT, 4);
    put_bytes(&packet, "a.test", DNS_TYPE_TXT, S("\3abc\0\2de"));
    put_bytes(&packet, "a.test", DNS_TYPE_TXT, S("\0"));
    put_bytes(&packet, "b.test", DNS_TYPE_TXT, S("\1b"));
    put_bytes(&packet, "a.test", DNS_TYPE_TXT, S("\4\0\377\n "));
    assert_true(parse_records(&packet, DNS_TYPE_TXT, &answer));
    assert_int_equal(texts.count, 3);
    assert_true(slice_equal(dns_text(&texts, 0), S("abcde")));
    assert_int_equal(dns_text(&texts, 1).len, 0);
    assert_true(slice_equal(dns_text(&texts, 2), S("\0\377\n ")));
    assert_int_equal(texts.left_out, 0);
    /* Strings that end behind the record. */
    begin(&packet, 0, "a.test", DNS_TYPE_TXT, 1);
    put_bytes(&packet, "a.test", DNS_TYPE_TXT, S("\3ab"));
    assert_false(parse_records(&packet, DNS_TYPE_TXT, &answer));
    /* Too long: left out; the others stay. Too many: as many as fit. */
    for (size_t i = 0; i < sizeof big; i += 256)
        big[i] = i + 256 < sizeof big ? 255 : (uint8_t)(sizeof big - i - 1);
    begin(&packet, 0, "a.test", DNS_TYPE_TXT, DNS_TEXTS_MAX + 3);
    put_bytes(&packet, "a.test", DNS_TYPE_TXT, slice_of(big, sizeof big));
    for (int i = 0; i < DNS_TEXTS_MAX + 2; i++)
        put_bytes(&packet, "a.test", DNS_TYPE_TXT, S("\1a"));
    assert_true(parse_records(&packet, DNS_TYPE_TXT, &answer));
    assert_int_equal(texts.count, DNS_TEXTS_MAX);
    assert_int_equal(texts.left_out, 3);
    assert_true(slice_equal(dns_text(&texts, DNS_TEXTS_MAX - 1), S("a")));
}

static void test_alias_asked_for_itself(void **state)
{
    struct dns_answer answer;
    struct buffer packet;

    (void)state;
    begin(&packet, 0, "a.test", DNS_TYPE_CNAME, 1);
    put_alias(&packet, "a.test", "b.test");
    assert_true(parse(&packet, "a.test", DNS_TYPE_CNAME, &answer));
    assert_int_equal(answer.record_count, 1);
    assert_string_equal(answer.canonical_cstr, "b.test");
    begin(&packet, 0, "a.test", DNS_TYPE_CNAME, 0);
    assert_true(parse(&packet, "a.test", DNS_TYPE_CNAME, &answer));
    assert_int_equal(answer.record_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mx_records_come_sorted_and_foreign_ones_are_passed_over),
        cmocka_unit_test(test_aliases_are_followed_in_any_order_and_not_for_ever),
        cmocka_unit_test(test_null_mx_and_unusable_hosts),
        cmocka_unit_test(test_only_the_best_twenty_are_kept),
        cmocka_unit_test(test_no_domain_and_no_data),
        cmocka_unit_test(test_hostile_packets_are_refused),
        cmocka_unit_test(test_host_names),
        cmocka_unit_test(test_equal_preferences_change_places_and_others_do_not),
        cmocka_unit_test(test_our_own_host_ends_the_list),
        cmocka_unit_test(test_tlsa_records),
        cmocka_unit_test(test_text_records),
        cmocka_unit_test(test_alias_asked_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
