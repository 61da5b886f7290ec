/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/dkim_sign.h"

#include "base/encode.h"

#include "kit/kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MESSAGE                                                                                \
    "Received: from a\r\n by b\r\nFrom: Ann <ann@clinic.test>\r\nTo: bob@x.test\r\n"           \
    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n  folded \t line\r\nDate: Mon, 23 Nov 2026 "      \
    "06:52:39 "                                                                                \
    "+0000\r\nMessage-ID: <1@clinic.test>\r\nMIME-Version: 1.0\r\nContent-Type: "              \
    "text/plain\r\n\r\n"

static void hash_body(struct slice body, size_t piece, struct buffer *out)
{
    struct dkim_body hasher;
    uint8_t digest[SHA256_BYTES];

    dkim_body_init(&hasher);
    while (body.len > 0) {
        dkim_body_push(&hasher, slice_head(body, piece));
        body = slice_from(body, piece);
    }
    dkim_body_finish(&hasher, digest);
    dkim_body_deinit(&hasher);
    buffer_clear(out);
    assert_true(base64_append(out, slice_of(digest, sizeof digest)));
}

static void test_bodies_are_relaxed(void **state)
{
    static const struct {
        struct slice body, relaxed;
    } cases[] = {
        /* [RFC 6376 §3.4.5] */
        {SLICE_INIT(" C \r\nD \t E\r\n\r\n\r\n"), SLICE_INIT(" C\r\nD E\r\n")},
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("\r\n\r\n"), SLICE_INIT("")},
        {SLICE_INIT(" \t\r\n"), SLICE_INIT("")},
        {SLICE_INIT("no end"), SLICE_INIT("no end\r\n")},
        {SLICE_INIT("a\r\n\r\nb \r\n"), SLICE_INIT("a\r\n\r\nb\r\n")},
        {SLICE_INIT("a\rb\r\r\n"), SLICE_INIT("a\rb\r\r\n")},
        {SLICE_INIT("\r\n\r\n \r\nx"), SLICE_INIT("\r\n\r\n\r\nx\r\n")},
    };
    struct buffer got, want;

    (void)state;
    buffer_init(&got, 100);
    buffer_init(&want, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t piece = 1; piece <= 5; piece++) {
            uint8_t digest[SHA256_BYTES];

            sha256(cases[i].relaxed, digest);
            buffer_clear(&want);
            assert_true(base64_append(&want, slice_of(digest, sizeof digest)));
            hash_body(cases[i].body, piece, &got);
            if (!slice_equal(buffer_view(&got), buffer_view(&want)))
                fail_msg("case %zu, pieces of %zu", i, piece);
        }
    hash_body(S(""), 1, &got);
    assert_true(
        slice_equal(buffer_view(&got), S("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=")));
    buffer_deinit(&got);
    buffer_deinit(&want);
}

static void test_fields_are_relaxed(void **state)
{
    static const struct {
        struct slice raw, relaxed;
    } cases[] = {
        {SLICE_INIT("A: X \r\n"), SLICE_INIT("a:X\r\n")},
        {SLICE_INIT("B : Y\t\r\n\tZ  \r\n"), SLICE_INIT("b:Y Z\r\n")},
        {SLICE_INIT("SubJect:\r\n"), SLICE_INIT("subject:\r\n")},
        {SLICE_INIT("X: a  b\r\n \r\n c"), SLICE_INIT("x:a b c\r\n")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 100);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(dkim_relaxed_field(cases[i].raw, &out));
        assert_true(slice_equal(buffer_view(&out), cases[i].relaxed));
    }
    assert_false(dkim_relaxed_field(S("no field"), &out));
    assert_false(dkim_relaxed_field(S(""), &out));
    buffer_deinit(&out);
}

/* However many turns the reading takes, the signature is the same. */
static void test_reading_in_turns(void **state)
{
    static const uint64_t turns[] = {1, 150, 100000};
    struct memory_source memory = {.bytes = S(MESSAGE), .piece = 10};
    struct content_source source = source_of_memory(&memory);
    struct sign_key *key = NULL;
    struct buffer out, expected;
    struct err err = {0};

    (void)state;
    buffer_init(&out, 10000);
    buffer_init(&expected, 10000);
    assert_true(sign_key_generate(SIGN_ED25519_SHA256, 0, &key, &err));
    struct dkim_key good = {S("s1"), key};

    assert_true(dkim_sign(&source, S("clinic.test"), &good, 1, 1700000000, &expected, &err));
    for (size_t i = 0; i < COUNT_OF(turns); i++) {
        struct dkim_reading *reading = dkim_reading_new(&source);
        enum progress got = PROGRESS_WAIT;
        size_t steps = 0;

        for (; got == PROGRESS_WAIT; steps++)
            got = dkim_reading_step(reading, turns[i], &err);
        assert_int_equal(got, PROGRESS_DONE);
        assert_true((steps == 1) == (turns[i] > sizeof MESSAGE));
        buffer_clear(&out);
        assert_true(
            dkim_reading_sign(reading, S("clinic.test"), &good, 1, 1700000000, &out, &err));
        assert_true(slice_equal(buffer_view(&out), buffer_view(&expected)));
        dkim_reading_free(&reading);
    }
    buffer_deinit(&out);
    buffer_deinit(&expected);
    sign_key_free(&key);
}

static bool sign_text(struct slice message, struct slice domain, const struct dkim_key *keys,
                      size_t count, struct buffer *out, struct err *err)
{
    struct memory_source memory = {.bytes = message, .piece = 100};
    struct content_source source = source_of_memory(&memory);

    return dkim_sign(&source, domain, keys, count, time(NULL), out, err);
}

static void test_what_is_not_signed(void **state)
{
    struct sign_key *key = NULL;
    struct buffer out, large;
    struct err err = {0};

    (void)state;
    buffer_init(&out, 10000);
    assert_true(sign_key_generate(SIGN_ED25519_SHA256, 0, &key, &err));
    struct dkim_key good = {S("s1"), key}, bad = {S("s1;x"), key};

    assert_true(sign_text(S(MESSAGE), S("clinic.test"), NULL, 0, &out, &err));
    assert_true(sign_text(S("To: x\r\n\r\nno sender"), S("clinic.test"), &good, 1, &out, &err));
    assert_int_equal(buffer_len(&out), 0);
    assert_false(sign_text(S(MESSAGE), S("clinic.test; x"), &good, 1, &out, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_false(sign_text(S(MESSAGE), S("clinic.test"), &bad, 1, &out, &err));
    assert_int_equal(err.class, ERR_PERM);
    buffer_init(&large, (size_t)2 * DKIM_HEADER_MAX);
    assert_true(buffer_append(&large, S("From: a@b\r\n")));
    while (buffer_len(&large) <= DKIM_HEADER_MAX)
        assert_true(
            buffer_append(&large, S("X: 01234567890123456789012345678901234567890123456\r\n")));
    assert_false(sign_text(buffer_view(&large), S("clinic.test"), &good, 1, &out, &err));
    buffer_clear(&large);
    for (int i = 0; i < 300; i++)
        assert_true(buffer_append(&large, S("From: a@b\r\n")));
    assert_false(sign_text(buffer_view(&large), S("clinic.test"), &good, 1, &out, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_int_equal(buffer_len(&out), 0);
    buffer_deinit(&large);
    buffer_deinit(&out);
    sign_key_free(&key);
}

static void write_file(const char *path_cstr, struct slice a, struct slice b)
{
    FILE *file = fopen(path_cstr, "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(a.at, 1, a.len, file), a.len);
    if (b.len > 0)
        assert_int_equal(fwrite(b.at, 1, b.len, file), b.len);
    assert_int_equal(fclose(file), 0);
}

/* Exit code of the checker: 0 all good, 77 nothing there to check with. */
static int run_checker(const char *folder_cstr)
{
    char script_cstr[4096];
    int status;
    pid_t child;

    snprintf(script_cstr, sizeof script_cstr, "%s/../interop/verify_dkim.py",
             getenv("VECTORS"));
    child = fork();
    if (child == 0) {
        execl("/usr/bin/python3", "python3", script_cstr, folder_cstr, (char *)NULL);
        _exit(77);
    }
    assert_true(waitpid(child, &status, 0) == child && WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* dkimpy must agree with us. */
static void test_others_verify_both_signatures(void **state)
{
    static const struct slice bodies[] = {
        SLICE_INIT("Hello  there \r\n\r\n\xC3\xA9 .\r\n\r\n\r\n"), SLICE_INIT(""),
        SLICE_INIT("\r\n"), SLICE_INIT("no end of line")};
    char folder_cstr[] = "/tmp/postern-dkim-XXXXXX", path_cstr[100];
    struct sign_key *rsa = NULL, *ed25519 = NULL;
    struct buffer out, message;
    struct err err;
    int code = 0;

    (void)state;
    if (getenv("VECTORS") == NULL)
        skip();
    assert_non_null(mkdtemp(folder_cstr));
    assert_true(sign_key_generate(SIGN_RSA_SHA256, 2048, &rsa, &err));
    assert_true(sign_key_generate(SIGN_ED25519_SHA256, 0, &ed25519, &err));
    struct dkim_key keys[] = {{S("rsa"), rsa}, {S("ed"), ed25519}};

    buffer_init(&out, 10000);
    buffer_init(&message, 10000);
    assert_true(sign_key_write_public(rsa, &out));
    snprintf(path_cstr, sizeof path_cstr, "%s/rsa.key", folder_cstr);
    write_file(path_cstr, buffer_view(&out), S(""));
    buffer_clear(&out);
    assert_true(sign_key_write_public(ed25519, &out));
    snprintf(path_cstr, sizeof path_cstr, "%s/ed.key", folder_cstr);
    write_file(path_cstr, buffer_view(&out), S(""));
    for (size_t i = 0; i < COUNT_OF(bodies); i++) {
        buffer_clear(&out);
        buffer_clear(&message);
        assert_true(buffer_append(&message, S(MESSAGE)) && buffer_append(&message, bodies[i]));
        assert_true(sign_text(buffer_view(&message), S("clinic.test"), keys, 2, &out, &err));
        snprintf(path_cstr, sizeof path_cstr, "%s/%zu.eml", folder_cstr, i);
        write_file(path_cstr, buffer_view(&out), buffer_view(&message));
    }
    code = run_checker(folder_cstr);
    buffer_deinit(&out);
    buffer_deinit(&message);
    sign_key_free(&rsa);
    sign_key_free(&ed25519);
    if (code == 77)
        skip();
    assert_int_equal(code, 0);
}

/* Everything but the signing itself has to be fast. */
static void test_speed(void **state)
{
    struct sign_key *key = NULL;
    struct buffer out, message;
    struct err err;
    clock_t before;
    double seconds;

    (void)state;
    buffer_init(&out, 10000);
    buffer_init(&message, 10000);
    assert_true(sign_key_generate(SIGN_ED25519_SHA256, 0, &key, &err));
    struct dkim_key good = {S("s1"), key};

    assert_true(buffer_append(&message, S(MESSAGE)));
    while (buffer_len(&message) < 4096)
        assert_true(
            buffer_append(&message, S("Some words of a line as people write them, say.\r\n")));
    before = clock();
    for (int i = 0; i < 2000; i++) {
        buffer_clear(&out);
        assert_true(sign_text(buffer_view(&message), S("clinic.test"), &good, 1, &out, &err));
    }
    seconds = (double)(clock() - before) / CLOCKS_PER_SEC;
    print_message("%.0f signatures/s (Ed25519, 4 KiB)\n", 2000 / seconds);
    assert_true(seconds < 20);
    buffer_deinit(&out);
    buffer_deinit(&message);
    sign_key_free(&key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies_are_relaxed),
        cmocka_unit_test(test_fields_are_relaxed),
        cmocka_unit_test(test_reading_in_turns),
        cmocka_unit_test(test_what_is_not_signed),
        cmocka_unit_test(test_others_verify_both_signatures),
        cmocka_unit_test(test_speed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
