/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/message_scan.h"
#include "protect/portal_copy.h"
#include "protect/portal_key.h"

#include "crypto/random.h"
#include "spool/writer.h"

#include "kit/kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct portal_manifest manifest;

static bool collect(void *context, struct slice bytes, struct err *err)
{
    return buffer_append(context, bytes) || FAIL(err, ERR_TEMP, "no room");
}

/* However many turns it takes, the copy is the same. */
static void copy_in_turns(struct slice message, uint64_t max_bytes, struct slice expected)
{
    struct memory_source memory = {.bytes = message, .piece = 77};
    struct content_source source = source_of_memory(&memory);
    struct buffer copy;
    struct copy_sink sink = {&copy, collect};
    struct portal_copier *copier = portal_copier_new(&source, &sink);
    enum progress got = PROGRESS_WAIT;
    struct err err = {0};

    buffer_init(&copy, expected.len + 1);
    while (got == PROGRESS_WAIT)
        got = portal_copier_step(copier, max_bytes, &err);
    assert_int_equal(got, PROGRESS_DONE);
    assert_true(slice_equal(buffer_view(&copy), expected));
    portal_copier_free(&copier);
    buffer_deinit(&copy);
}

/* Make the copy of a message and read its manifest back. */
static void copy_message(struct slice message, struct buffer *copy)
{
    struct memory_source memory = {.bytes = message, .piece = 77};
    struct content_source source = source_of_memory(&memory);
    struct copy_sink sink = {copy, collect};
    struct slice view;
    struct err err = {0};
    size_t len;

    buffer_clear(copy);
    assert_true(portal_copy_write(&source, &sink, &err));
    copy_in_turns(message, 1, buffer_view(copy));
    copy_in_turns(message, 1000, buffer_view(copy));
    view = buffer_view(copy);
    len = (size_t)view.at[9] << 16 | (size_t)view.at[10] << 8 | view.at[11];
    assert_true(portal_manifest_parse(slice_head(slice_from(view, PORTAL_HEAD_BYTES), len),
                                      view.len, &manifest, &err));
}

/* "kind type name=bytes" of each part, in one line. */
static void tell(const struct buffer *copy, struct buffer *story)
{
    buffer_clear(story);
    for (size_t i = 0; i < manifest.part_count; i++) {
        const struct portal_part *part = &manifest.parts[i];
        struct slice bytes =
            slice_head(slice_from(buffer_view(copy), part->offset), part->size);

        assert_true(buffer_append_format(story, "%u %.*s %.*s=", part->kind,
                                         SLICE_ARGS(part->type), SLICE_ARGS(part->name)) &&
                    buffer_append(story, bytes) && buffer_append(story, S("|")));
    }
}

#define HEAD                                                                                   \
    "From: =?utf-8?q?J=C3=B6rg?= <j@a.test>\r\nTo: b@x.test, Ann <c@x.test>\r\n"               \
    "Subject: a =?utf-8?q?=C3=A9?=\r\nDate: today\r\nMIME-Version: 1.0\r\n"
#define MIXED HEAD "Content-Type: multipart/mixed; boundary=m\r\n\r\n"
#define ALTERNATIVE "Content-Type: multipart/alternative; boundary=a\r\n\r\n"

static void test_messages_are_taken_apart(void **state)
{
    static const struct {
        struct slice message, want;
    } cases[] = {
        {SLICE_INIT(HEAD "\r\nHello\r\nthere\r\n"),
         SLICE_INIT("1 text/plain =Hello\nthere\n|")},
        {SLICE_INIT(HEAD "\r\n"), SLICE_INIT("")},
        {SLICE_INIT(HEAD "Content-Type: text/html; charset=iso-8859-1\r\n"
                         "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
                         "<p>caf=E9<script>x</script>"),
         SLICE_INIT("1 text/plain =caf\xC3\xA9|2 text/html =<p>caf\xC3\xA9</p>|")},
        {SLICE_INIT(HEAD ALTERNATIVE
                    "--a\r\n\r\nplain\r\n--a\r\nContent-Type: text/html\r\n\r\n"
                    "<b>rich</b>\r\n--a--\r\n"),
         SLICE_INIT("1 text/plain =plain|2 text/html =<b>rich</b>|")},
        {SLICE_INIT(
             MIXED
             "--m\r\n" ALTERNATIVE "--a\r\n\r\nplain\r\n--a\r\nContent-Type: text/html\r\n"
             "\r\n<b>rich</b>\r\n--a--\r\n--m\r\nContent-Type: Application/PDF\r\n"
             "Content-Disposition: attachment; filename=\"../../etc/p:w.pdf\"\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\nJVBERg==\r\n--m\r\n\r\nfooter\r\n--m--"),
         SLICE_INIT("1 text/plain =plain\n\nfooter|2 text/html =<b>rich</b>"
                    "<pre style=\"white-space:pre-wrap\">footer</pre>|3 application/pdf "
                    "p_w.pdf=%PDF|")},
        {SLICE_INIT(
             MIXED
             "--m\r\nContent-Type: text/html\r\n\r\n<img src=cid:x@y><img src=\"cid:z\">\r\n"
             "--m\r\nContent-Type: image/png\r\nContent-ID: <x@y>\r\n"
             "Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
             "--m\r\nContent-Type: image/gif; name=unused.gif\r\nContent-ID: <q>\r\n\r\nGIF\r\n"
             "--m\r\nContent-Type: image/svg+xml\r\nContent-ID: <z>\r\n\r\n<svg>\r\n--m--"),
         SLICE_INIT("2 text/html =<img src=\"data:image/png;base64,AAAA\">"
                    "|3 image/gif unused.gif=GIF|3 image/svg+xml part-4.bin=<svg>|")},
        {SLICE_INIT(
             MIXED
             "--m\r\n\r\none\r\n--m\r\nContent-Type: text/plain; name=n.txt\r\n\r\ntwo\r\n"
             "--m\r\nContent-Disposition: attachment\r\n\r\nthree\r\n--m\r\n"
             "Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx\r\n--m--"),
         SLICE_INIT("1 text/plain =one|3 text/plain n.txt=two|3 text/plain part-3.txt=three|"
                    "3 message/rfc822 part-4.eml=Subject: inner\r\n\r\nx|")},
        {SLICE_INIT(HEAD "Content-Type: multipart/encrypted; boundary=m\r\n\r\n--m\r\n"
                         "Content-Type: application/pgp-encrypted\r\n\r\nVersion: 1\r\n--m--"),
         SLICE_INIT("3 application/pgp-encrypted part-1.bin=Version: 1|")},
        {SLICE_INIT(HEAD "Content-Type: bad type here\r\n\r\nx"),
         SLICE_INIT("3 application/octet-stream part-0.bin=x|")},
        {SLICE_INIT(MIXED "--m\r\n" ALTERNATIVE
                          "--a\r\nContent-Type: text/html\r\n\r\n<b>only\r\n--m--"),
         SLICE_INIT("1 text/plain =only|2 text/html =<b>only</b>|")},
    };
    struct buffer copy, story;

    (void)state;
    buffer_init(&copy, 100000);
    buffer_init(&story, 100000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        copy_message(cases[i].message, &copy);
        tell(&copy, &story);
        if (!slice_equal(buffer_view(&story), cases[i].want))
            fail_msg("case %zu: [%.*s]", i, SLICE_ARGS(buffer_view(&story)));
        assert_true(slice_equal(manifest.from, S("J\xC3\xB6rg <j@a.test>")));
        assert_true(slice_equal(manifest.to, S("b@x.test, Ann <c@x.test>")));
        assert_true(slice_equal(manifest.subject, S("a \xC3\xA9")));
        assert_true(slice_equal(manifest.date, S("today")));
        assert_int_equal(manifest.cc.len, 0);
    }
    buffer_deinit(&copy);
    buffer_deinit(&story);
}

static void test_what_cannot_be_taken_apart_is_given_whole(void **state)
{
    struct buffer message, copy, story;

    (void)state;
    buffer_init(&message, 100000);
    buffer_init(&copy, 100000);
    buffer_init(&story, 100000);
    assert_true(buffer_append(&message, S(MIXED)));
    for (int i = 0; i < MIME_PARTS_MAX + 5; i++)
        assert_true(buffer_append(&message, S("--m\r\n\r\n")));
    copy_message(buffer_view(&message), &copy);
    assert_int_equal(manifest.part_count, 1);
    assert_int_equal(manifest.parts[0].size, buffer_len(&message));
    assert_true(slice_equal(manifest.parts[0].name, S("message.eml")));
    assert_true(slice_equal(manifest.subject, S("a \xC3\xA9")));
    assert_true(slice_ends_with_nocase(buffer_view(&copy), buffer_view(&message)));
    buffer_deinit(&message);
    buffer_deinit(&copy);
    buffer_deinit(&story);
}

static void test_a_text_too_long_to_show_is_a_file(void **state)
{
    struct buffer message, copy;

    (void)state;
    buffer_init(&message, (size_t)2 * SCAN_BODY_MAX);
    buffer_init(&copy, (size_t)3 * SCAN_BODY_MAX);
    assert_true(buffer_append(&message, S(HEAD "\r\n")));
    while (buffer_len(&message) <= SCAN_BODY_MAX + 1000)
        assert_true(buffer_append(&message, S("0123456789012345678901234567890123456789\r\n")));
    copy_message(buffer_view(&message), &copy);
    assert_int_equal(manifest.part_count, 1);
    assert_int_equal(manifest.parts[0].kind, PORTAL_PART_ATTACHMENT);
    assert_true(slice_equal(manifest.parts[0].name, S("part-0.txt")));
    buffer_deinit(&message);
    buffer_deinit(&copy);
}

static void test_file_names_are_only_names(void **state)
{
    static const struct {
        struct slice name, want;
    } cases[] = {
        {SLICE_INIT("a.pdf"), SLICE_INIT("a.pdf")},
        {SLICE_INIT(""), SLICE_INIT("part-7.pdf")},
        {SLICE_INIT(".."), SLICE_INIT("part-7.pdf")},
        {SLICE_INIT("/"), SLICE_INIT("part-7.pdf")},
        {SLICE_INIT("C:\\Users\\x\\.hidden. "), SLICE_INIT("hidden")},
        {SLICE_INIT("a/../b\r\nX: y"), SLICE_INIT("b X_ y")},
        {SLICE_INIT("x\xE2\x80\xAE"
                    "fdp.exe\x01"),
         SLICE_INIT("xfdp.exe")},
        {SLICE_INIT("caf\xC3\xA9<>|\"?*.pdf"), SLICE_INIT("caf\xC3\xA9______.pdf")},
    };
    struct buffer out, name;

    (void)state;
    buffer_init(&out, 300);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        message_file_name(cases[i].name, S("application/pdf"), 7, &out);
        if (!slice_equal(buffer_view(&out), cases[i].want))
            fail_msg("case %zu: [%.*s]", i, SLICE_ARGS(buffer_view(&out)));
    }
    buffer_init(&name, 1000);
    for (int i = 0; i < 150; i++)
        assert_true(buffer_append(&name, S("\xC3\xA9")));
    assert_true(buffer_append(&name, S(".docx")));
    buffer_clear(&out);
    message_file_name(buffer_view(&name), S("a/b"), 1, &out);
    assert_true(buffer_len(&out) <= PORTAL_NAME_MAX && buffer_len(&out) > PORTAL_NAME_MAX - 3);
    assert_true(slice_ends_with_nocase(buffer_view(&out), S("\xC3\xA9.docx")));
    buffer_deinit(&name);
    buffer_deinit(&out);
}

static void test_keys_need_all_three(void **state)
{
    struct secret token, share, answer, content, got, none = {{0}};
    uint8_t wrapped[KEYWRAP_BYTES], lookup[PORTAL_LOOKUP_BYTES], other[PORTAL_LOOKUP_BYTES];
    struct secret token_again;
    struct buffer text;

    (void)state;
    random_secret(&token);
    random_secret(&share);
    random_secret(&answer);
    random_secret(&content);
    portal_key_wrap(&token, &share, &answer, &content, wrapped);
    assert_true(portal_key_unwrap(&token, &share, &answer, wrapped, &got));
    assert_true(secret_equal(&got, &content));
    assert_false(portal_key_unwrap(&share, &token, &answer, wrapped, &got));
    assert_false(portal_key_unwrap(&token, &share, &none, wrapped, &got));
    assert_false(portal_key_unwrap(&token, &share, NULL, wrapped, &got));
    assert_false(portal_key_unwrap(&token, &token, &answer, wrapped, &got));
    wrapped[3] ^= 1;
    assert_false(portal_key_unwrap(&token, &share, &answer, wrapped, &got));
    portal_key_wrap(&token, &share, NULL, &content, wrapped);
    assert_true(portal_key_unwrap(&token, &share, &none, wrapped, &got));
    portal_token_lookup(&token, lookup);
    portal_token_lookup(&share, other);
    assert_memory_not_equal(lookup, other, sizeof lookup);
    assert_memory_not_equal(lookup, token.bytes, sizeof lookup);

    buffer_init(&text, 100);
    assert_true(portal_token_write(&token, &text));
    assert_int_equal(buffer_len(&text), PORTAL_TOKEN_TEXT);
    assert_true(portal_token_parse(buffer_view(&text), &token_again));
    assert_true(secret_equal(&token, &token_again));
    assert_false(portal_token_parse(slice_head(buffer_view(&text), 42), &token_again));
    assert_false(portal_token_parse(S(""), &token_again));
    assert_false(
        portal_token_parse(S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), &token_again));
    /* Not in its one right form: bits behind the last byte. */
    assert_false(
        portal_token_parse(S("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"), &token_again));
    buffer_deinit(&text);
}

static void test_answers_are_forgiving_about_form_only(void **state)
{
    static const uint8_t salt[PASSWORD_SALT_BYTES] = "sixteen bytes...";
    struct portal_answer want, got;
    struct buffer large;
    struct err err = {0};

    (void)state;
    assert_true(portal_answer_derive(S("Blue Bird"), salt, PASSWORD_COST_CHEAP, &want, &err));
    assert_true(
        portal_answer_derive(S("  blue \t bIRD\r\n"), salt, PASSWORD_COST_CHEAP, &got, &err));
    assert_true(secret_equal(&want.key, &got.key));
    assert_memory_equal(want.verifier, got.verifier, sizeof want.verifier);
    assert_memory_not_equal(want.verifier, want.key.bytes, sizeof want.verifier);
    assert_true(portal_answer_derive(S("bluebird"), salt, PASSWORD_COST_CHEAP, &got, &err));
    assert_memory_not_equal(want.verifier, got.verifier, sizeof want.verifier);
    assert_false(portal_answer_derive(S("  "), salt, PASSWORD_COST_CHEAP, &got, &err));
    assert_int_equal(err.class, ERR_PERM);
    buffer_init(&large, 1000);
    while (buffer_len(&large) <= PORTAL_ANSWER_MAX)
        assert_true(buffer_append(&large, S("answer")));
    assert_false(
        portal_answer_derive(buffer_view(&large), salt, PASSWORD_COST_CHEAP, &got, &err));
    buffer_deinit(&large);
}

/* ---- sealed ---- */

static void remove_folder(const char *path_cstr)
{
    DIR *folder = opendir(path_cstr);
    struct dirent *entry;

    while ((entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    rmdir(path_cstr);
}

static bool write_message(void *context, struct slice bytes, struct err *err)
{
    return spool_message_write(context, bytes, err);
}

/* Seal `message` as a portal copy under `key`. */
static void seal(int dir_fd, struct slice message, const struct secret *key,
                 struct content_ref *ref)
{
    struct recipient_key *pair;
    struct id_maker ids = {0};
    struct spool_writer *writer;
    struct spool_message *sealed;
    struct memory_source memory = {.bytes = message};
    struct content_source source = source_of_memory(&memory);
    struct err err = {0};

    assert_true(recipient_key_generate("test", &pair, &err));
    writer =
        spool_writer_open(dir_fd, SPOOL_PORTAL, &ids, recipient_key_certificate(pair), NULL);
    sealed = spool_message_begin(writer);
    spool_message_set_key(sealed, key);
    struct copy_sink sink = {sealed, write_message};

    assert_true(portal_copy_write(&source, &sink, &err));
    assert_true(spool_message_finish(&sealed, ref, &err));
    spool_writer_close(&writer);
    recipient_key_free(&pair);
}

static void read_part(struct portal_container *container, size_t index, struct buffer *out)
{
    struct slice piece;
    struct err err;

    buffer_clear(out);
    assert_true(portal_container_part(container, index, &err));
    do {
        assert_true(portal_container_next(container, &piece, &err));
        assert_true(buffer_append(out, piece));
    } while (piece.len > 0);
}

static void test_a_sealed_copy_opens_with_its_key_only(void **state)
{
    char path_cstr[] = "/tmp/postern-copy-XXXXXX";
    struct portal_container *container = NULL;
    struct buffer message, part;
    struct content_ref ref;
    struct secret key, other;
    struct err err = {0};
    int dir_fd;

    (void)state;
    assert_non_null(mkdtemp(path_cstr));
    dir_fd = open(path_cstr, O_RDONLY | O_DIRECTORY);
    assert_true(dir_fd >= 0);
    buffer_init(&message, 1000000);
    buffer_init(&part, 1000000);
    assert_true(buffer_append(
        &message, S(MIXED "--m\r\n\r\nhello\r\n--m\r\nContent-Type: a/b; name=f\r\n\r\n")));
    for (int i = 0; i < 20000; i++)
        assert_true(buffer_append_format(&message, "line %d\r\n", i));
    assert_true(buffer_append(&message, S("--m--\r\n")));
    random_secret(&key);
    random_secret(&other);
    seal(dir_fd, buffer_view(&message), &key, &ref);
    /* The server alone has no key in the reference. */
    for (size_t i = 0; i < sizeof ref.wrapped_key; i++)
        assert_int_equal(ref.wrapped_key[i], 0);
    assert_false(portal_container_open(dir_fd, &ref, &other, &container, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_true(portal_container_open(dir_fd, &ref, &key, &container, &err));
    assert_int_equal(portal_container_manifest(container)->part_count, 2);
    read_part(container, 1, &part);
    assert_true(slice_starts_with(buffer_view(&part), S("line 0\r\nline 1\r\n")));
    assert_true(slice_ends_with_nocase(buffer_view(&part), S("line 19999")));
    read_part(container, 0, &part);
    assert_true(slice_equal(buffer_view(&part), S("hello")));
    portal_container_close(&container);
    ref.segment++;
    assert_false(portal_container_open(dir_fd, &ref, &key, &container, &err));
    assert_int_equal(err.class, ERR_PERM);
    close(dir_fd);
    remove_folder(path_cstr);
    buffer_deinit(&message);
    buffer_deinit(&part);
}

static void test_malformed_manifests_are_refused(void **state)
{
#define NUM4(n) "\0\0\0" n
#define PART(kind, size, name)                                                                 \
    "\x10" NUM4("\x11") kind "\0\0\0\0\0\0\0" size "\0\x03"                                    \
                             "a/b"                                                             \
                             "\0\x01" name
    static const struct {
        struct slice bytes;
        uint64_t more; /* bytes of parts */
    } refused[] = {
        {SLICE_INIT(""), 1},
        {SLICE_INIT("\x01"), 0},
        {SLICE_INIT("\x01" NUM4("\x05") "abcd"), 0},
        {SLICE_INIT("\x01" NUM4("\x00")), 0},
        {SLICE_INIT("\x01" NUM4("\x01") "a\x01" NUM4("\x01") "b"), 0},
        {SLICE_INIT("\x01" NUM4("\x02") "a\n"), 0},
        {SLICE_INIT("\x01" NUM4("\x01") "\xFF"), 0},
        {SLICE_INIT("\x63" NUM4("\x01") "a"), 0},
        {SLICE_INIT(PART("\x03", "\x05", "n")), 4},
        {SLICE_INIT(PART("\x03", "\x05", "n")), 6},
        {SLICE_INIT(PART("\x03", "\x05", "/")), 5},
        {SLICE_INIT(PART("\x03", "\x05", ".")), 5},
        {SLICE_INIT(PART("\x04", "\x05", "n")), 5},
        {SLICE_INIT(PART("\x00", "\x05", "n")), 5},
        {SLICE_INIT(PART("\x01", "\x05", "n")), 5},
        {SLICE_INIT("\x10" NUM4("\x0d") "\x03\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0"), 0},
        {SLICE_INIT("\x10" NUM4("\x0d") "\x03\0\0\0\0\0\0\0\0\xff\xff\0\0"), 0},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        uint64_t total = PORTAL_HEAD_BYTES + refused[i].bytes.len + refused[i].more;

        err_clear(&err);
        if (portal_manifest_parse(refused[i].bytes, total, &manifest, &err))
            fail_msg("case %zu", i);
        assert_int_equal(err.class, ERR_PERM);
    }
    assert_true(portal_manifest_parse(S(PART("\x03", "\x05", "n")), PORTAL_HEAD_BYTES + 22 + 5,
                                      &manifest, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_are_taken_apart),
        cmocka_unit_test(test_what_cannot_be_taken_apart_is_given_whole),
        cmocka_unit_test(test_a_text_too_long_to_show_is_a_file),
        cmocka_unit_test(test_file_names_are_only_names),
        cmocka_unit_test(test_keys_need_all_three),
        cmocka_unit_test(test_answers_are_forgiving_about_form_only),
        cmocka_unit_test(test_a_sealed_copy_opens_with_its_key_only),
        cmocka_unit_test(test_malformed_manifests_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
