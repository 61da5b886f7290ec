/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/reader.h"
#include "format/mime/transfer.h"
#include "format/mime/writer.h"

#include "kit/kit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes what it is told as text: (index/parent header-lines body ) per part. */
struct story {
    struct buffer text;
    struct slice message; /* to check offsets against; may be empty */
    uint64_t body_offset[MIME_PARTS_MAX];
};

static bool tell_part(void *context, const struct mime_part *part, struct err *err)
{
    struct story *story = context;
    uint64_t offset = part->header_offset;

    (void)err;
    story->body_offset[part->index] = part->body_offset;
    if (story->message.len > 0)
        assert_true(slice_equal(
            slice_head(slice_from(story->message, offset), part->header.len), part->header));
    return buffer_append_format(&story->text, "(%d/%d%s ", part->index, part->parent,
                                part->is_multipart ? "m" : "");
}

static bool tell_body(void *context, int index, struct slice raw, struct err *err)
{
    struct story *story = context;

    (void)index;
    (void)err;
    return buffer_append(&story->text, raw);
}

static bool tell_end(void *context, int index, uint64_t body_end, struct err *err)
{
    struct story *story = context;

    (void)err;
    assert_true(story->body_offset[index] <= body_end);
    return buffer_append_format(&story->text, ")%d ", index);
}

static bool tell(struct story *story, struct slice message, size_t piece, struct err *err)
{
    const struct mime_handler handler = {story, tell_part, tell_body, tell_end};
    struct mime_reader *reader = mime_reader_new(&handler);
    bool went_well = true;

    buffer_clear(&story->text);
    story->message = message;
    while (went_well && message.len > 0) {
        went_well = mime_reader_push(reader, slice_head(message, piece), err);
        message = slice_from(message, piece);
    }
    went_well = went_well && mime_reader_end(reader, err);
    mime_reader_free(&reader);
    return went_well;
}

#define MULTI "Content-Type: multipart/mixed; boundary=b\r\n\r\n"

static void test_trees_are_read_in_any_pieces(void **state)
{
    static const struct {
        struct slice message, want;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("(0/-1 )0 ")},
        {SLICE_INIT("A: b\r\n\r\nhello\r\n"), SLICE_INIT("(0/-1 hello\r\n)0 ")},
        {SLICE_INIT("A: b"), SLICE_INIT("(0/-1 )0 ")},
        {SLICE_INIT("A: b\n\n--b\n-\r\r\n-"), SLICE_INIT("(0/-1 --b\n-\r\r\n-)0 ")},
        {SLICE_INIT(
             MULTI
             "pre\r\n--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue"),
         SLICE_INIT("(0/-1m (1/0 one)1 (2/0 \r\ntwo\r\n)2 )0 ")},
        {SLICE_INIT(MULTI "--b\n\none\n--b \t\r\n\r\ntwo"),
         SLICE_INIT("(0/-1m (1/0 one)1 (2/0 two)2 )0 ")},
        {SLICE_INIT(MULTI "--b\r\n\r\none\r\n--bb\r\n--b-\r\n--b--"),
         SLICE_INIT("(0/-1m (1/0 one\r\n--bb\r\n--b-)1 )0 ")},
        {SLICE_INIT(MULTI "--b\r\nA: b\r\n--b\r\n\r\ntwo\r\n--b--\r\n"),
         SLICE_INIT("(0/-1m (1/0 )1 (2/0 two)2 )0 ")},
        {SLICE_INIT(MULTI "--b\r\nContent-Type: multipart/alternative; boundary=\"c\"\r\n\r\n"
                          "--c\r\n\r\nx\r\n--b\r\n\r\ny\r\n--c--\r\n--b--\r\n"),
         SLICE_INIT("(0/-1m (1/0m (2/1 x)2 )1 (3/0 y\r\n--c--)3 )0 ")},
        {SLICE_INIT(MULTI "--b\r\nContent-Type: multipart/mixed; boundary=c\r\n--b--\r\n"),
         SLICE_INIT("(0/-1m (1/0m )1 )0 ")},
        {SLICE_INIT(MULTI), SLICE_INIT("(0/-1m )0 ")},
        {SLICE_INIT(MULTI "--b"), SLICE_INIT("(0/-1m (1/0 )1 )0 ")},
        {SLICE_INIT("Content-Type: multipart/mixed\r\n\r\nx"), SLICE_INIT("(0/-1 x)0 ")},
        {SLICE_INIT(MULTI "--b\r\nContent-Type: message/rfc822\r\n\r\n" MULTI "x\r\n--b--\r\n"),
         SLICE_INIT("(0/-1m (1/0 " MULTI "x)1 )0 ")},
    };
    static struct story story;
    struct err err;

    (void)state;
    buffer_init(&story.text, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        for (size_t piece = 1; piece <= cases[i].message.len + 1; piece++) {
            assert_true(tell(&story, cases[i].message, piece, &err));
            if (!slice_equal(buffer_view(&story.text), cases[i].want))
                fail_msg("case %zu, pieces of %zu: %.*s", i, piece,
                         SLICE_ARGS(buffer_view(&story.text)));
        }
    }
    buffer_deinit(&story.text);
}

static void test_limits_hold(void **state)
{
    static struct story story;
    struct buffer message;
    struct err err = {0};

    (void)state;
    buffer_init(&story.text, 10000000);
    buffer_init(&message, 10000000);
    assert_true(buffer_append(&message, S(MULTI)));
    for (int i = 1; i < MIME_PARTS_MAX; i++)
        assert_true(buffer_append(&message, S("--b\r\n\r\n")));
    assert_true(tell(&story, buffer_view(&message), 1000, &err));
    assert_true(buffer_append(&message, S("--b\r\n\r\n")));
    assert_false(tell(&story, buffer_view(&message), 1000, &err));
    assert_int_equal(err.class, ERR_PERM);

    /* Deeper than the limit: the rest is a leaf, not an error. */
    buffer_clear(&message);
    for (int i = 0; i < 2 * MIME_DEPTH_MAX; i++)
        assert_true(buffer_append_format(
            &message, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i));
    assert_true(tell(&story, buffer_view(&message), 1000, &err));

    buffer_clear(&message);
    assert_true(buffer_append(&message, S("A: ")));
    while (buffer_len(&message) <= MIME_HEADER_MAX)
        assert_true(buffer_append(&message, S("0123456789012345678901234567890123456789")));
    assert_false(tell(&story, buffer_view(&message), 1000, &err));
    assert_int_equal(err.class, ERR_PERM);
    buffer_deinit(&message);
    buffer_deinit(&story.text);
}

static bool refuse_body(void *context, int index, struct slice raw, struct err *err)
{
    (void)context;
    (void)index;
    (void)raw;
    return FAIL(err, ERR_TEMP, "no more room");
}

static void test_a_handler_ends_the_reading(void **state)
{
    const struct mime_handler handler = {.on_body = refuse_body};
    struct mime_reader *reader = mime_reader_new(&handler);
    struct err err = {0};

    (void)state;
    assert_false(mime_reader_push(reader, S("A: b\r\n\r\nx"), &err));
    assert_int_equal(err.class, ERR_TEMP);
    mime_reader_free(&reader);
}

static void test_vectors_give_the_same_in_any_pieces(void **state)
{
    const char *vectors_cstr = getenv("VECTORS");
    DIR *folder;
    struct dirent *entry;
    static struct story whole, pieces;
    int count = 0;

    (void)state;
    if (vectors_cstr == NULL)
        skip();
    assert_int_equal(chdir(vectors_cstr), 0);
    folder = opendir("mime");
    assert_non_null(folder);
    buffer_init(&whole.text, 1000000);
    buffer_init(&pieces.text, 1000000);
    while ((entry = readdir(folder)) != NULL) {
        char path_cstr[600];
        struct err err;
        uint8_t *bytes;
        size_t size;
        FILE *file;

        if (strstr(entry->d_name, ".eml") == NULL)
            continue;
        snprintf(path_cstr, sizeof path_cstr, "mime/%s", entry->d_name);
        file = fopen(path_cstr, "rb");
        assert_non_null(file);
        bytes = malloc(100000);
        size = fread(bytes, 1, 100000, file);
        fclose(file);
        assert_true(tell(&whole, slice_of(bytes, size), size, &err));
        for (size_t piece = 1; piece < 100; piece = piece * 2 + 1) {
            assert_true(tell(&pieces, slice_of(bytes, size), piece, &err));
            assert_true(slice_equal(buffer_view(&whole.text), buffer_view(&pieces.text)));
        }
        free(bytes);
        count++;
    }
    closedir(folder);
    assert_true(count > 50);
    buffer_deinit(&whole.text);
    buffer_deinit(&pieces.text);
}

static void decode_in_pieces(enum mime_encoding encoding, struct slice in, size_t piece,
                             struct buffer *out)
{
    struct mime_decoder decoder;

    mime_decoder_init(&decoder, encoding);
    buffer_clear(out);
    while (in.len > 0) {
        assert_true(mime_decode(&decoder, slice_head(in, piece), out));
        in = slice_from(in, piece);
    }
    assert_true(mime_decode_end(&decoder, out));
}

static void test_decoders_are_tolerant(void **state)
{
    static const struct {
        enum mime_encoding encoding;
        struct slice in, want;
    } cases[] = {
        {MIME_BASE64, SLICE_INIT("aGVsbG8="), SLICE_INIT("hello")},
        {MIME_BASE64, SLICE_INIT("aGVs\r\nbG8"), SLICE_INIT("hello")},
        {MIME_BASE64, SLICE_INIT("a*G-V s=bG8="), SLICE_INIT("hello")},
        {MIME_BASE64, SLICE_INIT("aA==aA=="), SLICE_INIT("hh")},
        {MIME_BASE64, SLICE_INIT("a"), SLICE_INIT("")},
        {MIME_BASE64, SLICE_INIT("===="), SLICE_INIT("")},
        {MIME_QUOTED_PRINTABLE, SLICE_INIT("a=3Db=c3=a9"), SLICE_INIT("a=b\xC3\xA9")},
        {MIME_QUOTED_PRINTABLE, SLICE_INIT("soft=\r\n end= \t\r\n."), SLICE_INIT("soft end.")},
        {MIME_QUOTED_PRINTABLE, SLICE_INIT("trail  \t\r\nx \nlast "),
         SLICE_INIT("trail\r\nx\nlast")},
        {MIME_QUOTED_PRINTABLE, SLICE_INIT("a = b =XY =4 =4Z =\n"),
         SLICE_INIT("a = b =XY =4 =4Z ")},
        {MIME_QUOTED_PRINTABLE, SLICE_INIT("=20=\r\n=20\r\nx="), SLICE_INIT("  \r\nx")},
        {MIME_IDENTITY, SLICE_INIT("=3D \r\n"), SLICE_INIT("=3D \r\n")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t piece = 1; piece <= cases[i].in.len; piece++) {
            decode_in_pieces(cases[i].encoding, cases[i].in, piece, &out);
            if (!slice_equal(buffer_view(&out), cases[i].want))
                fail_msg("case %zu, pieces of %zu: %.*s", i, piece,
                         SLICE_ARGS(buffer_view(&out)));
        }
    buffer_deinit(&out);
    assert_int_equal(mime_encoding_parse(S(" BASE64\r\n")), MIME_BASE64);
    assert_int_equal(mime_encoding_parse(S("Quoted-Printable")), MIME_QUOTED_PRINTABLE);
    assert_int_equal(mime_encoding_parse(S("x-uuencode")), MIME_IDENTITY);
}

static void test_encoders_are_undone_by_decoders(void **state)
{
    uint8_t bytes[1000];
    struct buffer coded, out;

    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + i / 256);
    buffer_init(&coded, 10000);
    buffer_init(&out, 10000);
    for (size_t len = 0; len < 200; len += 19) {
        struct mime_base64_encoder encoder = {0};

        buffer_clear(&coded);
        for (size_t at = 0; at < len; at += 10)
            assert_true(mime_base64_encode(
                &encoder, slice_head(slice_of(bytes + at, len - at), 10), &coded));
        assert_true(mime_base64_encode_end(&encoder, &coded));
        decode_in_pieces(MIME_BASE64, buffer_view(&coded), 33, &out);
        assert_true(slice_equal(buffer_view(&out), slice_of(bytes, len)));
    }
    buffer_clear(&coded);
    assert_true(mime_quoted_printable_append(&coded, S("From me\n.dot\n\xC3\xA9 = \nend ")));
    assert_true(
        slice_equal(buffer_view(&coded), S("=46rom me\r\n=2Edot\r\n=C3=A9 =3D=20\r\nend=20")));
    buffer_clear(&coded);
    for (size_t i = 0; i < sizeof bytes; i++)
        if (bytes[i] == '\n' || bytes[i] == '\r')
            bytes[i] = ' ';
    assert_true(mime_quoted_printable_append(&coded, slice_of(bytes, sizeof bytes)));
    decode_in_pieces(MIME_QUOTED_PRINTABLE, buffer_view(&coded), 5, &out);
    assert_true(slice_equal(buffer_view(&out), slice_of(bytes, sizeof bytes)));
    buffer_deinit(&coded);
    buffer_deinit(&out);
}

static void compose(struct mime_writer *writer, struct buffer *out)
{
    static const uint8_t random[MIME_BOUNDARY_RANDOM] = "fifteen bytes..";
    struct mime_boundary boundary;

    mime_boundary_init(&boundary, random);
    mime_writer_init(writer, out);
    mime_write_mailbox(writer, S("From"), S("Dr. \"Who\"\r\nBcc: x@y"), S("who@example.org"));
    mime_write_mailboxes_begin(writer, S("To"));
    mime_write_mailboxes_next(writer, true, S("\xC3\x89va"), S("eva@example.org"));
    mime_write_mailboxes_next(writer, false, S(""), S("b@example.org"));
    mime_write_mailboxes_end(writer);
    mime_write_text_field(writer, S("Subject"), S("a\r\nBcc: b"));
    mime_write_date(writer, 0);
    mime_write_message_id(writer, S("Message-ID"), S("left"), S("example.org"));
    mime_write_multipart(writer, S("mixed"), &boundary, S(""));
    mime_write_boundary(writer, &boundary);
    mime_write_text_part(writer, S("plain"), S("short\r\n"));
    mime_write_boundary(writer, &boundary);
    mime_write_attachment_header(writer, S("evil\r\nX: y"), S("\xC3\xA9\"\r\nx.pdf"));
    mime_write_base64(writer, S("hel"));
    mime_write_base64(writer, S("lo"));
    mime_write_base64_end(writer);
    mime_write_boundary_end(writer, &boundary);
}

static void test_the_writer_composes_what_the_reader_reads(void **state)
{
    static struct story story;
    struct mime_writer writer;
    struct buffer out;
    struct err err;

    (void)state;
    buffer_init(&out, 10000);
    compose(&writer, &out);
    assert_true(mime_writer_ended_well(&writer));
    assert_true(slice_starts_with(
        buffer_view(&out),
        S("From: \"Dr. \\\"Who\\\" Bcc: x@y\" <who@example.org>\r\n"
          "To: =?utf-8?B?w4l2YQ==?= <eva@example.org>,\r\n <b@example.org>\r\n"
          "Subject: a Bcc: b\r\n"
          "Date: Thu, 01 Jan 1970 00:00:00 +0000\r\n"
          "Message-ID: <left@example.org>\r\n"
          "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"=_")));
    assert_true(
        slice_find_nocase(buffer_view(&out),
                          S("Content-Type: application/octet-stream\r\n"
                            "Content-Transfer-Encoding: base64\r\n"
                            "Content-Disposition: attachment;\r\n"
                            " filename=\"__ x.pdf\";\r\n"
                            " filename*=utf-8''%C3%A9%22%20x.pdf\r\n\r\naGVsbG8=\r\n")) <
        buffer_len(&out));
    buffer_init(&story.text, 10000);
    assert_true(tell(&story, buffer_view(&out), 7, &err));
    assert_true(slice_equal(buffer_view(&story.text),
                            S("(0/-1m (1/0 short\r\n)1 (2/0 aGVsbG8=\r\n)2 )0 ")));
    buffer_deinit(&story.text);
    buffer_deinit(&out);
}

static void test_the_writer_refuses(void **state)
{
    struct mime_writer writer;
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    mime_writer_init(&writer, &out);
    mime_write_mailbox(&writer, S("To"), S(""), S("a@b\r\nX: y"));
    assert_false(mime_writer_ended_well(&writer));
    mime_writer_init(&writer, &out);
    mime_write_message_id(&writer, S("Message-ID"), S("a>b"), S("c"));
    assert_false(mime_writer_ended_well(&writer));
    mime_writer_init(&writer, &out);
    mime_write_base64(&writer, S("x"));
    assert_false(mime_writer_ended_well(&writer));
    buffer_deinit(&out);
    buffer_init(&out, 50);
    compose(&writer, &out);
    assert_false(mime_writer_ended_well(&writer));
    buffer_deinit(&out);
}

static void test_long_fields_are_folded(void **state)
{
    struct mime_writer writer;
    struct buffer text, out;
    struct slice rest;

    (void)state;
    buffer_init(&text, 10000);
    buffer_init(&out, 10000);
    for (int i = 0; i < 60; i++)
        assert_true(buffer_append(&text, i % 20 == 7 ? S("na\xC3\xAFve ") : S("word  ")));
    mime_writer_init(&writer, &out);
    mime_write_text_field(&writer, S("Subject"), buffer_view(&text));
    mime_write_text_field(&writer, S("X-Plain"), slice_head(buffer_view(&text), 40));
    mime_write_field(&writer, S("References"),
                     S("<aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa@b.org> "
                       "<bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb@b.org> "
                       "<cccccccccccccccccccccccccccccccccccc@b.org>"));
    assert_true(mime_writer_ended_well(&writer));
    rest = buffer_view(&out);
    while (rest.len > 0) {
        struct slice line = slice_cut(&rest, '\n');

        assert_true(line.len > 1 && line.len <= 79);
        assert_true(slice_trim(line).len > 0);
    }
    buffer_deinit(&text);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trees_are_read_in_any_pieces),
        cmocka_unit_test(test_limits_hold),
        cmocka_unit_test(test_a_handler_ends_the_reading),
        cmocka_unit_test(test_vectors_give_the_same_in_any_pieces),
        cmocka_unit_test(test_decoders_are_tolerant),
        cmocka_unit_test(test_encoders_are_undone_by_decoders),
        cmocka_unit_test(test_the_writer_composes_what_the_reader_reads),
        cmocka_unit_test(test_the_writer_refuses),
        cmocka_unit_test(test_long_fields_are_folded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
