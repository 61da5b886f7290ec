/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/writer.h"

#include "format/mime/address.h"
#include "format/mime/date.h"
#include "format/mime/utf8.h"
#include "format/mime/words.h"

#include "base/encode.h"

#include <string.h>

enum { FOLD_COLUMN = 76, TEXT_FIELD_MAX = 64 * 1024, FILE_NAME_MAX = 255 };

void mime_writer_init(struct mime_writer *writer, struct buffer *out)
{
    *writer = (struct mime_writer){.out = out};
}

bool mime_writer_ended_well(const struct mime_writer *writer)
{
    return !writer->failed && writer->base64.held_len == 0;
}

static void put(struct mime_writer *writer, struct slice bytes)
{
    if (!writer->failed && !buffer_append(writer->out, bytes))
        writer->failed = true;
}

void mime_write_raw(struct mime_writer *writer, struct slice bytes)
{
    put(writer, bytes);
}

/* ---- fields ---- */

/*
 * Put text that holds its own folds (CRLF and a space) or none: a line that grows over the column
 * is folded at the blank before the word that does not fit.
 */
static void put_folded(struct mime_writer *writer, size_t column, struct slice text)
{
    while (text.len > 0) {
        size_t len = 1; /* a word with the blank in front of it */

        while (len < text.len && text.at[len] != ' ' && text.at[len] != '\r')
            len++;
        if (text.at[0] == '\r')
            column = 0;
        /* A blank at the end of a line would leave a line of nothing but blanks. */
        if (text.at[0] == ' ' && column + len > FOLD_COLUMN && column > 1 && len > 1) {
            put(writer, S("\r\n"));
            column = 0;
        }
        put(writer, slice_head(text, len));
        column += len;
        text = slice_from(text, len);
    }
}

void mime_write_field(struct mime_writer *writer, struct slice name, struct slice value)
{
    struct buffer clean;

    buffer_init(&clean, TEXT_FIELD_MAX);
    if (!utf8_append_clean(&clean, value, true))
        writer->failed = true;
    put(writer, name);
    put(writer, S(": "));
    put_folded(writer, name.len + 2, buffer_view(&clean));
    put(writer, S("\r\n"));
    buffer_wipe(&clean);
}

void mime_write_text_field(struct mime_writer *writer, struct slice name, struct slice text)
{
    struct buffer clean, words;

    buffer_init(&clean, TEXT_FIELD_MAX);
    buffer_init(&words, (size_t)3 * TEXT_FIELD_MAX);
    if (!utf8_append_clean(&clean, slice_trim(text), true) ||
        !words_encode(buffer_view(&clean), &words))
        writer->failed = true;
    put(writer, name);
    put(writer, S(": "));
    put_folded(writer, name.len + 2, buffer_view(&words));
    put(writer, S("\r\n"));
    buffer_wipe(&clean);
    buffer_wipe(&words);
}

/* A phrase of atoms may stand as it is; anything else printable is quoted; the rest is encoded. */
static void put_display(struct mime_writer *writer, struct slice display)
{
    struct buffer clean, words;
    struct slice view;

    buffer_init(&clean, ADDRESS_DISPLAY_MAX * 4);
    buffer_init(&words, ADDRESS_DISPLAY_MAX * 12);
    if (!utf8_append_clean(&clean, utf8_head(slice_trim(display), ADDRESS_DISPLAY_MAX), true) ||
        !words_encode(buffer_view(&clean), &words))
        writer->failed = true;
    view = buffer_view(&words);
    if (slice_starts_with(view, S("=?"))) {
        put(writer, view);
    } else {
        put(writer, S("\""));
        for (size_t i = 0; i < view.len; i++) {
            if (view.at[i] == '"' || view.at[i] == '\\')
                put(writer, S("\\"));
            put(writer, slice_of(view.at + i, 1));
        }
        put(writer, S("\""));
    }
    put(writer, S(" "));
    buffer_wipe(&clean);
    buffer_wipe(&words);
}

void mime_write_mailboxes_begin(struct mime_writer *writer, struct slice name)
{
    put(writer, name);
    put(writer, S(": "));
}

void mime_write_mailboxes_next(struct mime_writer *writer, bool first, struct slice display,
                               struct slice address)
{
    if (!address_is_plausible(address)) {
        writer->failed = true;
        return;
    }
    if (!first)
        put(writer, S(",\r\n "));
    if (slice_trim(display).len > 0)
        put_display(writer, display);
    put(writer, S("<"));
    put(writer, address);
    put(writer, S(">"));
}

void mime_write_mailboxes_end(struct mime_writer *writer)
{
    put(writer, S("\r\n"));
}

void mime_write_mailbox(struct mime_writer *writer, struct slice name, struct slice display,
                        struct slice address)
{
    mime_write_mailboxes_begin(writer, name);
    mime_write_mailboxes_next(writer, true, display, address);
    mime_write_mailboxes_end(writer);
}

void mime_write_date(struct mime_writer *writer, int64_t unix_seconds)
{
    put(writer, S("Date: "));
    if (!mime_date_append(writer->out, unix_seconds))
        writer->failed = true;
    put(writer, S("\r\n"));
}

static bool is_id_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7F || text.at[i] == '<' || text.at[i] == '>' ||
            text.at[i] == '@')
            return false;
    return text.len > 0 && text.len <= 255;
}

void mime_write_message_id(struct mime_writer *writer, struct slice name, struct slice left,
                           struct slice domain)
{
    if (!is_id_text(left) || !is_id_text(domain))
        writer->failed = true;
    put(writer, name);
    put(writer, S(": <"));
    put(writer, left);
    put(writer, S("@"));
    put(writer, domain);
    put(writer, S(">\r\n"));
}

/* ---- parts ---- */

void mime_boundary_init(struct mime_boundary *boundary,
                        const uint8_t random[MIME_BOUNDARY_RANDOM])
{
    struct buffer text;

    /* "=_" stands in no quoted-printable and no base64 text. [RFC 2045 §6.7] */
    buffer_init(&text, MIME_BOUNDARY_SIZE);
    must(buffer_append(&text, S("=_")) &&
         base64url_append(&text, slice_of(random, MIME_BOUNDARY_RANDOM)));
    must(slice_to_cstr(buffer_view(&text), boundary->text_cstr, sizeof boundary->text_cstr));
    buffer_deinit(&text);
}

void mime_write_multipart(struct mime_writer *writer, struct slice subtype,
                          const struct mime_boundary *boundary, struct slice extra)
{
    put(writer, S("MIME-Version: 1.0\r\nContent-Type: multipart/"));
    put(writer, subtype);
    put(writer, extra);
    put(writer, S(";\r\n boundary=\""));
    put(writer, slice_from_cstr(boundary->text_cstr));
    put(writer, S("\"\r\n\r\n"));
}

void mime_write_boundary(struct mime_writer *writer, const struct mime_boundary *boundary)
{
    put(writer, S("\r\n--"));
    put(writer, slice_from_cstr(boundary->text_cstr));
    put(writer, S("\r\n"));
}

void mime_write_boundary_end(struct mime_writer *writer, const struct mime_boundary *boundary)
{
    put(writer, S("\r\n--"));
    put(writer, slice_from_cstr(boundary->text_cstr));
    put(writer, S("--\r\n"));
}

/* Printable ASCII in lines of at most 76 that no relay is tempted to change? */
static bool is_seven_bit(struct slice text)
{
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        if (line.len > 76 || slice_starts_with(line, S(".")) ||
            slice_starts_with(line, S("From ")) ||
            (line.len > 0 && line.at[line.len - 1] == ' '))
            return false;
        for (size_t i = 0; i < line.len; i++)
            if ((line.at[i] < ' ' && line.at[i] != '\t') || line.at[i] > '~')
                return false;
    }
    return true;
}

/* As it is, but with CRLF. */
static void put_lines(struct mime_writer *writer, struct slice text)
{
    while (text.len > 0) {
        size_t end = slice_find_byte(text, '\n');
        struct slice line = slice_head(text, end);

        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        put(writer, line);
        if (end < text.len)
            put(writer, S("\r\n"));
        text = slice_from(text, end + 1);
    }
}

void mime_write_text_part(struct mime_writer *writer, struct slice subtype, struct slice text)
{
    bool seven_bit = is_seven_bit(text);

    put(writer, S("Content-Type: text/"));
    put(writer, subtype);
    put(writer, S("; charset=utf-8\r\nContent-Transfer-Encoding: "));
    put(writer, seven_bit ? S("7bit\r\n\r\n") : S("quoted-printable\r\n\r\n"));
    if (seven_bit)
        put_lines(writer, text);
    else if (!mime_quoted_printable_append(writer->out, text))
        writer->failed = true;
}

static bool is_token_byte(uint8_t byte)
{
    return byte > ' ' && byte < 0x7F && slice_find_byte(S("()<>@,;:\\\"/[]?="), byte) == 15;
}

bool mime_type_is_valid(struct slice type)
{
    size_t slash = slice_find_byte(type, '/');

    for (size_t i = 0; i < type.len; i++)
        if (i != slash && !is_token_byte(type.at[i]))
            return false;
    return slash > 0 && slash + 1 < type.len && type.len <= 100;
}

/*
 * `filename="..."` with what ASCII can hold, and the whole name as `filename*` when it is more.
 * [RFC 2183 §2.3] [RFC 2231 §4]
 */
static void put_file_name(struct mime_writer *writer, struct slice name)
{
    bool ascii = true;

    put(writer, S(";\r\n filename=\""));
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.at[i];
        bool plain = byte >= ' ' && byte <= '~' && byte != '"' && byte != '\\';

        ascii = ascii && plain;
        /* One "_" a character: what follows its first byte is left out. */
        if (plain || (byte & 0xC0) != 0x80)
            put(writer, plain ? slice_of(&byte, 1) : S("_"));
    }
    put(writer, S("\""));
    if (ascii)
        return;
    put(writer, S(";\r\n filename*=utf-8''"));
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = name.at[i];

        if (byte_is_alpha(byte) || byte_is_digit(byte) || byte == '.' || byte == '-' ||
            byte == '_')
            put(writer, slice_of(&byte, 1));
        else if (!writer->failed && !buffer_append_format(writer->out, "%%%02X", byte))
            writer->failed = true;
    }
}

void mime_write_attachment_header(struct mime_writer *writer, struct slice type,
                                  struct slice name)
{
    struct buffer clean;

    put(writer, S("Content-Type: "));
    put(writer, mime_type_is_valid(type) ? type : S("application/octet-stream"));
    put(writer, S("\r\nContent-Transfer-Encoding: base64\r\nContent-Disposition: attachment"));
    buffer_init(&clean, (size_t)4 * FILE_NAME_MAX);
    if (!utf8_append_clean(&clean, utf8_head(name, FILE_NAME_MAX), true))
        writer->failed = true;
    if (buffer_len(&clean) > 0)
        put_file_name(writer, buffer_view(&clean));
    put(writer, S("\r\n\r\n"));
    buffer_wipe(&clean);
}

void mime_write_base64(struct mime_writer *writer, struct slice bytes)
{
    if (!writer->failed && !mime_base64_encode(&writer->base64, bytes, writer->out))
        writer->failed = true;
}

void mime_write_base64_end(struct mime_writer *writer)
{
    if (!writer->failed && !mime_base64_encode_end(&writer->base64, writer->out))
        writer->failed = true;
}
