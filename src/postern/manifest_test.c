/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "postern/manifest.h"

#include <stdio.h>
#include <string.h>

#define D "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define HEAD                                                                                   \
    "postern-backup 1\nmade 1763805600000\nserver " D                                          \
    "\ndatabase postern-0SA8M1A2M0022.db 40960 " D "\n"

/* Lines with a right last one behind them. */
static struct slice finished(struct buffer *text, const char *lines_cstr)
{
    uint8_t digest[SHA256_BYTES];

    buffer_clear(text);
    must(buffer_append(text, slice_from_cstr(lines_cstr)));
    sha256(buffer_view(text), digest);
    must(buffer_append(text, S("end ")));
    for (size_t i = 0; i < SHA256_BYTES; i++)
        must(buffer_append_format(text, "%02x", digest[i]));
    must(buffer_append_byte(text, '\n'));
    return buffer_view(text);
}

static void test_there_and_back(void **state)
{
    static const char lines_cstr[] = HEAD "piece queue 0123456789abcdef 0 81920 " D "\n"
                                          "piece queue 0123456789abcdef 81920 90112 " D "\n"
                                          "piece portal 0000000000000001 0 12288 " D "\n"
                                          "master 88 " D "\n";
    struct manifest manifest;
    struct buffer text, again;
    struct err err = {0};
    size_t first;

    (void)state;
    buffer_init(&text, MANIFEST_MAX_BYTES);
    buffer_init(&again, MANIFEST_MAX_BYTES);
    if (!manifest_parse(finished(&text, lines_cstr), &manifest, &err))
        fail_msg("%s", err.text_cstr);
    assert_int_equal(manifest.made_ms, INT64_C(1763805600000));
    assert_string_equal(manifest.database_cstr, "postern-0SA8M1A2M0022.db");
    assert_int_equal(manifest.database_bytes, 40960);
    assert_int_equal(manifest.server[31], 0x1f);
    assert_true(manifest.has_master);
    assert_int_equal(manifest.master_bytes, 88);
    assert_int_equal(manifest.piece_count, 3);
    assert_int_equal(manifest_find(&manifest, SPOOL_QUEUE, 0x0123456789abcdef, &first), 2);
    assert_int_equal(first, 0);
    assert_int_equal(manifest.pieces[1].to, 90112);
    assert_int_equal(manifest_find(&manifest, SPOOL_PORTAL, 1, &first), 1);
    assert_int_equal(first, 2);
    assert_int_equal(manifest_find(&manifest, SPOOL_QUEUE, 1, &first), 0);
    assert_int_equal(manifest_find(&manifest, SPOOL_PORTAL, 2, &first), 0);
    assert_true(manifest_write(&manifest, &again));
    assert_true(slice_equal(buffer_view(&text), buffer_view(&again)));
    manifest_deinit(&manifest);
    /* A server without mail. */
    assert_true(manifest_parse(finished(&text, HEAD), &manifest, &err));
    assert_int_equal(manifest.piece_count, 0);
    assert_false(manifest.has_master);
    manifest_deinit(&manifest);
    buffer_deinit(&text);
    buffer_deinit(&again);
}

static const char *const refused[] = {
    "",
    "postern-backup 1\n",
    "postern-backup 2\nmade 1\n",
    /* A line that is missing. */
    "postern-backup 1\nmade 1\nserver " D "\n",
    "postern-backup 1\nserver " D "\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    "postern-backup 1\nmade 1\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    /* … twice, empty, unknown. */
    HEAD "made 1763805600000\n",
    HEAD "server " D "\n",
    HEAD "database postern-0SA8M1A2M0022.db 40960 " D "\n",
    HEAD "master 88 " D "\nmaster 88 " D "\n",
    HEAD "\n",
    HEAD "folder x\n",
    /* Names that lead elsewhere. */
    "postern-backup 1\nmade 1\nserver " D "\ndatabase ../postern-0SA8M1A2M0022.db 1 " D "\n",
    "postern-backup 1\nmade 1\nserver " D "\ndatabase /etc/passwd 1 " D "\n",
    "postern-backup 1\nmade 1\nserver " D "\ndatabase postern-../../../xxxx.db 1 " D "\n",
    "postern-backup 1\nmade 1\nserver " D "\ndatabase postern-0sa8m1a2m0022.db 1 " D "\n",
    /* Numbers. */
    "postern-backup 1\nmade 0\nserver " D "\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    "postern-backup 1\nmade -1\nserver " D "\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    "postern-backup 1\nmade 1\nserver " D
    "\ndatabase postern-0SA8M1A2M0022.db 18446744073709551615 " D "\n",
    "postern-backup 1\nmade 1\nserver 00\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    "postern-backup 1\nmade 1\nserver " D "0\ndatabase postern-0SA8M1A2M0022.db 1 " D "\n",
    /* Pieces: kind, name, order, gaps. */
    HEAD "piece cellar 0123456789abcdef 0 1 " D "\n",
    HEAD "piece queue 0123456789ABCDEF 0 1 " D "\n",
    HEAD "piece queue ../../../etc/pas 0 1 " D "\n",
    HEAD "piece queue 0000000000000000 0 1 " D "\n",
    HEAD "piece queue 123456789abcdef 0 1 " D "\n",
    HEAD "piece queue 0123456789abcdef 1 2 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 0 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 9223372036854775808 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 5 " D "\npiece queue 0123456789abcdef 4 6 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 5 " D "\npiece queue 0123456789abcdef 6 7 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 5 " D "\npiece queue 0123456789abcdee 0 5 " D "\n",
    HEAD "piece portal 0123456789abcdee 0 5 " D "\npiece queue 0123456789abcdef 0 5 " D "\n",
    HEAD "piece queue 0123456789abcdef 0 5\n",
};

static void test_refusals(void **state)
{
    struct manifest manifest;
    struct buffer text;
    struct err err;
    size_t len;

    (void)state;
    buffer_init(&text, MANIFEST_MAX_BYTES);
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        err_clear(&err);
        if (manifest_parse(finished(&text, refused[i]), &manifest, &err))
            fail_msg("taken: %s", refused[i]);
        assert_int_equal(err.class, ERR_PERM);
        assert_null(manifest.pieces);
    }
    /* Cut off anywhere, or one bit changed anywhere. */
    finished(&text, HEAD "piece queue 0123456789abcdef 0 81920 " D "\n");
    len = buffer_len(&text);
    for (size_t i = 0; i < len - 1; i++)
        assert_false(manifest_parse(slice_head(buffer_view(&text), i), &manifest, &err));
    for (size_t i = 0; i < len - 1; i++) {
        uint8_t *byte = (uint8_t *)(uintptr_t)buffer_view(&text).at + i;

        *byte ^= 1;
        assert_false(manifest_parse(buffer_view(&text), &manifest, &err));
        *byte ^= 1;
    }
    assert_true(manifest_parse(buffer_view(&text), &manifest, &err));
    manifest_deinit(&manifest);
    buffer_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
