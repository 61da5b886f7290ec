/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/address.h"

#include "format/mime/utf8.h"
#include "format/mime/words.h"

enum { PIECE_MAX = 4096 };

void address_reader_init(struct address_reader *reader, struct slice value)
{
    *reader = (struct address_reader){.rest = value};
    buffer_init(&reader->display, (size_t)3 * PIECE_MAX);
    buffer_init(&reader->address, ADDRESS_BYTES_MAX);
    buffer_init(&reader->phrase, PIECE_MAX);
    buffer_init(&reader->spec, PIECE_MAX);
    buffer_init(&reader->angle, PIECE_MAX);
    buffer_init(&reader->comment, PIECE_MAX);
}

void address_reader_deinit(struct address_reader *reader)
{
    buffer_wipe(&reader->display);
    buffer_wipe(&reader->address);
    buffer_wipe(&reader->phrase);
    buffer_wipe(&reader->spec);
    buffer_wipe(&reader->angle);
    buffer_wipe(&reader->comment);
}

/* What does not fit is cut: a name of pages is an attack, and a cut address is refused later. */
static void keep_byte(struct buffer *buffer, uint8_t byte)
{
    if (buffer_room(buffer) > 0)
        must(buffer_append_byte(buffer, byte));
}

static void keep(struct buffer *buffer, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        keep_byte(buffer, bytes.at[i]);
}

/* `rest` stands at '"'. Into `plain` goes the inside unescaped, into `raw` all as it is. */
static void take_quoted(struct slice *rest, struct buffer *plain, struct buffer *raw)
{
    size_t at = 1;

    keep_byte(raw, '"');
    for (; at < rest->len && rest->at[at] != '"'; at++) {
        if (rest->at[at] == '\\' && at + 1 < rest->len)
            keep_byte(raw, rest->at[at++]);
        keep_byte(raw, rest->at[at]);
        if (plain != NULL)
            keep_byte(plain, rest->at[at]);
    }
    keep_byte(raw, '"');
    *rest = slice_from(*rest, at + 1);
}

/* `rest` stands at '('. */
static void take_comment(struct slice *rest, struct buffer *comment)
{
    size_t depth = 1, at = 1;

    buffer_clear(comment);
    for (; at < rest->len && depth > 0; at++) {
        uint8_t byte = rest->at[at];

        if (byte == '(')
            depth++;
        if (byte == ')' && --depth == 0)
            continue;
        if (byte == '\\' && at + 1 < rest->len)
            byte = rest->at[++at];
        keep_byte(comment, byte);
    }
    *rest = slice_from(*rest, at);
}

/* `rest` stands at '<'. A route in front ("@a,@b:") is dropped. [RFC 5322 §4.4] */
static void take_angle(struct slice *rest, struct buffer *angle, struct buffer *comment)
{
    *rest = slice_from(*rest, 1);
    buffer_clear(angle);
    while (rest->len > 0 && rest->at[0] != '>') {
        uint8_t byte = rest->at[0];

        if (byte == '"') {
            take_quoted(rest, NULL, angle);
            continue;
        }
        if (byte == '(') {
            take_comment(rest, comment);
            continue;
        }
        if (byte == ':' && buffer_len(angle) > 0 && buffer_view(angle).at[0] == '@')
            buffer_clear(angle);
        else if (byte > ' ')
            keep_byte(angle, byte);
        *rest = slice_from(*rest, 1);
    }
    *rest = slice_from(*rest, 1);
}

bool address_is_plausible(struct slice address)
{
    size_t at = address.len;
    bool quoted = false;

    while (at > 0 && address.at[at - 1] != '@')
        at--;
    if (at < 2 || at == address.len || at - 1 > 64 || address.len - at > 255)
        return false;
    for (size_t i = 0; i < address.len; i++) {
        uint8_t byte = address.at[i];

        if (i < at - 1 && byte == '"' && (i == 0 || address.at[i - 1] != '\\')) {
            quoted = !quoted;
            /* The whole local part is quoted or none of it. */
            if (i != (quoted ? 0 : at - 2))
                return false;
        }
        if (byte < ' ' || byte == 0x7F)
            return false;
        if (!quoted &&
            (byte == ' ' || byte == '<' || byte == '>' || byte == ',' || byte == ';' ||
             byte == '(' || byte == ')' || (byte == '@' && i != at - 1)))
            return false;
    }
    return !quoted;
}

/* Read up to the "," or ";" that ends the mailbox. True when there was anything. */
static bool collect(struct address_reader *reader)
{
    struct slice *rest = &reader->rest;
    bool any = false;

    while (rest->len > 0) {
        uint8_t byte = rest->at[0];

        if (byte == '"') {
            take_quoted(rest, &reader->phrase, &reader->spec);
            any = true;
            continue;
        }
        if (byte == '(') {
            take_comment(rest, &reader->comment);
            continue;
        }
        if (byte == '<') {
            take_angle(rest, &reader->angle, &reader->comment);
            any = true;
            continue;
        }
        *rest = slice_from(*rest, 1);
        if (byte == ',' || byte == ';')
            return any;
        if (byte == ':' && buffer_len(&reader->angle) == 0) {
            /* That was the name of a group. */
            buffer_clear(&reader->phrase);
            buffer_clear(&reader->spec);
            any = false;
            continue;
        }
        keep_byte(&reader->phrase, byte);
        if (byte > ' ') {
            keep_byte(&reader->spec, byte);
            any = true;
        }
    }
    return any;
}

bool address_next(struct address_reader *reader)
{
    struct slice address, name;
    bool has_angle;

    do {
        if (reader->rest.len == 0)
            return false;
        buffer_clear(&reader->phrase);
        buffer_clear(&reader->spec);
        buffer_clear(&reader->angle);
        buffer_clear(&reader->comment);
    } while (!collect(reader));
    has_angle = buffer_len(&reader->angle) > 0;
    address = buffer_view(has_angle ? &reader->angle : &reader->spec);
    buffer_clear(&reader->address);
    if (address_is_plausible(address))
        keep(&reader->address, address);
    name = buffer_view(buffer_len(&reader->address) > 0 && !has_angle ? &reader->comment
                                                                      : &reader->phrase);
    if (slice_trim(name).len == 0)
        name = buffer_view(&reader->comment);
    buffer_clear(&reader->display);
    if (!words_decode(name, &reader->display))
        buffer_clear(&reader->display);
    buffer_truncate(&reader->display,
                    utf8_head(buffer_view(&reader->display), ADDRESS_DISPLAY_MAX).len);
    return true;
}
