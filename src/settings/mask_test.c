/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/mask.h"

#include "kit/kit.h"
#include "settings/values.h"

static void test_what_is_blanked(void **state)
{
    static const struct {
        struct slice text, masked;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("hostname = \"a.test\"\n"), SLICE_INIT("hostname = \"a.test\"\n")},
        {SLICE_INIT("answer = \"blue\"\n"), SLICE_INIT("answer = \"AAAA\"\n")},
        {SLICE_INIT("answer='bl\\'ue' question = \"why\""),
         SLICE_INIT("answer='AAAAAA' question = \"why\"")},
        {SLICE_INIT("answer = # not yet\n  blue\n"),
         SLICE_INIT("answer = # not yet\n  AAAA\n")},
        {SLICE_INIT("/* answer = \"x\" */ a = answer"),
         SLICE_INIT("/* answer = \"x\" */ a = answer")},
        {SLICE_INIT("password = \"$argon2id$v=19$m=65536,t=2,p=1$c2FsdA$aGFzaA\""),
         SLICE_INIT("password = \"$argon2id$v=19$m=65536,t=2,p=1$AAAAAA$AAAAAA\"")},
        {SLICE_INIT("password = secret"), SLICE_INIT("password = AAAAAA")},
        {SLICE_INIT("user \"a\" { } outbound \"b\" { user = \"ab@c\" }"),
         SLICE_INIT("user \"a\" { } outbound \"b\" { user = \"AAAA\" }")},
        {SLICE_INIT("answer = \"never closed"), SLICE_INIT("answer = \"AAAAAAAAAAAA")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(settings_mask(cases[i].text, false, &out));
        if (!slice_equal(buffer_view(&out), cases[i].masked))
            fail_msg("%.*s became %.*s", SLICE_ARGS(cases[i].text),
                     SLICE_ARGS(buffer_view(&out)));
    }
    buffer_clear(&out);
    assert_true(settings_mask(S("user = u password = p"), true, &out));
    assert_true(slice_equal(buffer_view(&out), S("user = u password = A")));
    buffer_deinit(&out);
}

static void test_a_masked_hash_is_still_one(void **state)
{
    struct buffer out;
    struct slice token;

    (void)state;
    buffer_init(&out, 1000);
    assert_true(
        settings_mask(S("password = \"$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2Fs$"
                        "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY\""),
                      false, &out));
    token = slice_from(buffer_view(&out), S("password = \"").len);
    assert_true(value_is_argon2id(slice_head(token, token.len - 1)));
    assert_false(settings_mask(S("hostname = a"), true, &(struct buffer){.max = 3}));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_blanked),
        cmocka_unit_test(test_a_masked_hash_is_still_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
