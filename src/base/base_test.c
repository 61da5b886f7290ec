/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"
#include "base/buffer.h"
#include "base/encode.h"
#include "base/err.h"
#include "base/id.h"
#include "base/list.h"
#include "base/map.h"
#include "base/number.h"
#include "base/secret.h"

#include "kit/kit.h"

static void test_slices(void **state)
{
    struct slice rest = S("a=b=c");
    uint64_t value = 0;
    char text_cstr[4];

    (void)state;
    assert_true(slice_equal(slice_cut(&rest, '='), S("a")));
    assert_true(slice_equal(rest, S("b=c")));
    assert_true(slice_equal_nocase(S("EhLo"), S("ehlo")));
    assert_false(slice_equal(S("a"), S("ab")));
    assert_true(slice_equal(slice_trim(S(" \tx y\r\n")), S("x y")));
    assert_int_equal(slice_find_nocase(S("xx+EnCrypt+"), S("+encrypt+")), 2);
    assert_int_equal(slice_find_nocase(S("short"), S("longer than")), 5);
    assert_true(slice_parse_u64(S("18446744073709551615"), &value));
    assert_true(value == UINT64_MAX);
    assert_false(slice_parse_u64(S("18446744073709551616"), &value));
    assert_false(slice_parse_u64(S("+1"), &value));
    assert_false(slice_parse_u64(S(""), &value));
    assert_true(slice_to_cstr(S("abc"), text_cstr, sizeof text_cstr));
    assert_false(slice_to_cstr(S("abcd"), text_cstr, sizeof text_cstr));
    assert_false(slice_to_cstr(S("a\0b"), text_cstr, sizeof text_cstr));
}

static void test_buffer_keeps_its_ceiling(void **state)
{
    struct buffer buffer;

    (void)state;
    buffer_init(&buffer, 10);
    assert_true(buffer_append(&buffer, S("12345678")));
    assert_false(buffer_append(&buffer, S("901")));
    assert_true(buffer_append_format(&buffer, "%d", 90));
    assert_false(buffer_append_format(&buffer, "%d", 1));
    buffer_consume(&buffer, 7);
    assert_true(buffer_append(&buffer, S("abcdefg")));
    assert_true(slice_equal(buffer_view(&buffer), S("890abcdefg")));
    buffer_truncate(&buffer, 2);
    assert_true(slice_equal(buffer_view(&buffer), S("89")));
    buffer_clear(&buffer);
    buffer_release_if_empty(&buffer);
    assert_null(buffer.at);
    assert_int_equal(buffer_room(&buffer), 10);
    buffer_deinit(&buffer);
}

static void test_encodings_go_both_ways(void **state)
{
    static const struct {
        struct slice bytes, base64, base64url, hex;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("f"), SLICE_INIT("Zg=="), SLICE_INIT("Zg"), SLICE_INIT("66")},
        {SLICE_INIT("fo"), SLICE_INIT("Zm8="), SLICE_INIT("Zm8"), SLICE_INIT("666f")},
        {SLICE_INIT("foo"), SLICE_INIT("Zm9v"), SLICE_INIT("Zm9v"), SLICE_INIT("666f6f")},
        {SLICE_INIT("\xfb\xff"), SLICE_INIT("+/8="), SLICE_INIT("-_8"), SLICE_INIT("fbff")},
    };
    static const struct slice refused[] = {
        SLICE_INIT("Zg="),  SLICE_INIT("Zg"),     SLICE_INIT("Zh=="),
        SLICE_INIT("Z g="), SLICE_INIT("Zg==\n"), SLICE_INIT("===="),
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(base64_append(&out, cases[i].bytes));
        assert_true(slice_equal(buffer_view(&out), cases[i].base64));
        buffer_clear(&out);
        assert_true(base64_decode(cases[i].base64, &out));
        assert_true(slice_equal(buffer_view(&out), cases[i].bytes));
        buffer_clear(&out);
        assert_true(base64url_append(&out, cases[i].bytes));
        assert_true(slice_equal(buffer_view(&out), cases[i].base64url));
        buffer_clear(&out);
        assert_true(base64url_decode(cases[i].base64url, &out));
        assert_true(slice_equal(buffer_view(&out), cases[i].bytes));
        buffer_clear(&out);
        assert_true(hex_append(&out, cases[i].bytes));
        assert_true(slice_equal(buffer_view(&out), cases[i].hex));
        buffer_clear(&out);
        assert_true(hex_decode(cases[i].hex, &out));
        assert_true(slice_equal(buffer_view(&out), cases[i].bytes));
        buffer_clear(&out);
    }
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_false(base64_decode(refused[i], &out));
    assert_false(hex_decode(S("6"), &out));
    assert_false(hex_decode(S("6g"), &out));
    buffer_deinit(&out);
}

static void test_map_finds_what_was_put(void **state)
{
    struct map map;
    int values[1000];
    size_t position = 0, seen = 0;
    uint64_t id;

    (void)state;
    map_init(&map);
    for (uint64_t i = 1; i < COUNT_OF(values); i++)
        map_put(&map, i << 7, &values[i]);
    for (uint64_t i = 1; i < COUNT_OF(values); i += 2)
        assert_ptr_equal(map_take(&map, i << 7), &values[i]);
    for (uint64_t i = 1; i < COUNT_OF(values); i++)
        assert_ptr_equal(map_get(&map, i << 7), i % 2 == 0 ? (void *)&values[i] : NULL);
    assert_null(map_take(&map, 1));
    while (map_next(&map, &position, &id) != NULL)
        seen++;
    assert_int_equal(seen, map.count);
    map_deinit(&map);
}

static void test_ids_increase_and_read_back(void **state)
{
    struct id_maker maker = {.maker = 3};
    uint64_t last = 0, read = 0;
    char text_cstr[ID_TEXT_SIZE];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        uint64_t id = id_next(&maker, INT64_C(1790000000000) - i);

        assert_true(id > last);
        last = id;
    }
    id_write(last, text_cstr);
    assert_true(id_parse(slice_from_cstr(text_cstr), &read));
    assert_true(read == last);
    assert_false(id_parse(S("short"), &read));
    assert_false(id_parse(S("ZZZZZZZZZZZZZ"), &read));
    assert_false(id_parse(S("0123456789!BC"), &read));
}

static void test_ids_after_the_clock_was_set_back(void **state)
{
    struct id_maker before, after, none = {0};
    const int64_t at_ms = INT64_C(1790000000000);

    (void)state;
    id_maker_init(&before, 3, 0x11234);
    id_maker_init(&after, 3, 0x23456);
    for (int i = 0; i < 1000; i++)
        assert_true(id_next(&before, at_ms) != id_next(&after, at_ms));
    id_maker_init(&before, 63, UINT64_MAX);
    assert_true(id_time_ms(id_next(&before, at_ms)) == at_ms);
    assert_true(id_next(&none, at_ms) < id_next(&after, at_ms + 1));
}

static void test_numbers_in_both_orders(void **state)
{
    uint8_t bytes[8] = {0};

    (void)state;
    number_put_big(bytes, 0x010203, 4);
    assert_memory_equal(bytes, "\0\1\2\3\0\0\0\0", 8);
    assert_true(number_get_big(bytes, 4) == 0x010203);
    number_put_little(bytes, 0x010203, 4);
    assert_memory_equal(bytes, "\3\2\1\0\0\0\0\0", 8);
    assert_true(number_get_little(bytes, 4) == 0x010203);
    number_put_big(bytes, UINT64_MAX - 1, 8);
    assert_true(number_get_big(bytes, 8) == UINT64_MAX - 1);
    number_put_little(bytes, UINT64_MAX - 1, 8);
    assert_true(number_get_little(bytes, 8) == UINT64_MAX - 1);
}

static void test_arena_keeps_its_ceiling(void **state)
{
    struct arena *arena = arena_new(100);

    (void)state;
    assert_non_null(arena_alloc(arena, 50));
    assert_true(slice_equal(arena_copy(arena, S("abc")), S("abc")));
    assert_null(arena_alloc(arena, 50));
    arena_free(&arena);
    assert_null(arena);
}

static void test_list_order(void **state)
{
    struct list list;
    struct {
        int n;
        struct list_link link;
    } a = {1, {0}}, b = {2, {0}};

    (void)state;
    list_init(&list);
    assert_null(list_first(&list));
    list_push_back(&list, &a.link);
    list_push_front(&list, &b.link);
    assert_ptr_equal(list_first(&list), &b.link);
    assert_ptr_equal(list_next(&list, &b.link), &a.link);
    list_remove(&b.link);
    list_remove(&b.link);
    assert_ptr_equal(list_take_first(&list), &a.link);
    assert_true(list_is_empty(&list));
}

static void test_errors_and_secrets(void **state)
{
    struct err err = {0};
    struct secret a = {{1}}, b = {{1}};

    (void)state;
    assert_false(FAIL_SMTP(&err, ERR_TEMP, 451, "4.3.0", "disk %s", "full"));
    assert_int_equal(err.class, ERR_TEMP);
    assert_string_equal(err.text_cstr, "disk full");
    assert_false(FAIL(NULL, ERR_PERM, "nobody asked"));
    assert_true(secret_equal(&a, &b));
    b.bytes[31] = 1;
    assert_false(secret_equal(&a, &b));
    secret_wipe(&a);
    assert_int_equal(a.bytes[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slices),
        cmocka_unit_test(test_buffer_keeps_its_ceiling),
        cmocka_unit_test(test_encodings_go_both_ways),
        cmocka_unit_test(test_map_finds_what_was_put),
        cmocka_unit_test(test_ids_increase_and_read_back),
        cmocka_unit_test(test_ids_after_the_clock_was_set_back),
        cmocka_unit_test(test_numbers_in_both_orders),
        cmocka_unit_test(test_arena_keeps_its_ceiling),
        cmocka_unit_test(test_list_order),
        cmocka_unit_test(test_errors_and_secrets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
