/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/dkim_sign.h"

#include "format/mime/header.h"

#include <string.h>

/* ---- body ---- */

void dkim_body_init(struct dkim_body *body)
{
    memset(body, 0, offsetof(struct dkim_body, block));
    sha256_init(&body->hash);
}

void dkim_body_deinit(struct dkim_body *body)
{
    sha256_deinit(&body->hash);
    explicit_bzero(body->block, sizeof body->block);
}

static void flush(struct dkim_body *body)
{
    sha256_push(&body->hash, slice_of(body->block, body->len));
    body->len = 0;
}

static void put(struct dkim_body *body, struct slice bytes)
{
    while (bytes.len > 0) {
        struct slice part = slice_head(bytes, sizeof body->block - body->len);

        memcpy(body->block + body->len, part.at, part.len);
        body->len += part.len;
        bytes = slice_from(bytes, part.len);
        if (body->len == sizeof body->block)
            flush(body);
    }
}

/* Something visible comes: the empty lines and the space before it count after all. */
static void pay(struct dkim_body *body)
{
    for (; body->owed_lines > 0; body->owed_lines--)
        put(body, S("\r\n"));
    if (body->owes_space)
        put(body, S(" "));
    body->owes_space = false;
    body->has_any = true;
}

/* A CR that no LF followed is a byte like any other. */
static void pay_return(struct dkim_body *body)
{
    if (!body->owes_return)
        return;
    body->owes_return = false;
    pay(body);
    put(body, S("\r"));
}

static bool is_plain(uint8_t byte)
{
    return byte != ' ' && byte != '\t' && byte != '\r' && byte != '\n';
}

/*
 * How many bytes from a visible one on are their own relaxed form: words with one space between, and
 * line ends with a word on both sides. That is nearly all of a mail.
 */
static size_t canonical_run(struct slice bytes)
{
    size_t at = 0;

    while (at < bytes.len) {
        if (is_plain(bytes.at[at]))
            at++;
        else if (bytes.at[at] == ' ' && at + 1 < bytes.len && is_plain(bytes.at[at + 1]))
            at += 2;
        else if (bytes.at[at] == '\r' && at + 2 < bytes.len && bytes.at[at + 1] == '\n' &&
                 is_plain(bytes.at[at + 2]))
            at += 3;
        else
            break;
    }
    return at;
}

void dkim_body_push(struct dkim_body *body, struct slice bytes)
{
    while (bytes.len > 0) {
        uint8_t first = bytes.at[0];
        size_t run;

        if (first == '\n') {
            body->owes_return = body->owes_space = false;
            body->owed_lines++;
            bytes = slice_from(bytes, 1);
            continue;
        }
        pay_return(body);
        if (!is_plain(first)) {
            body->owes_return = first == '\r';
            body->owes_space = body->owes_space || first != '\r';
            bytes = slice_from(bytes, 1);
            continue;
        }
        run = canonical_run(bytes);
        pay(body);
        put(body, slice_head(bytes, run));
        bytes = slice_from(bytes, run);
    }
}

void dkim_body_finish(struct dkim_body *body, uint8_t digest_out[SHA256_BYTES])
{
    pay_return(body);
    if (body->has_any)
        put(body, S("\r\n"));
    flush(body);
    sha256_finish(&body->hash, digest_out);
}

/* ---- header fields ---- */

bool dkim_relaxed_field(struct slice raw, struct buffer *out)
{
    struct slice rest = raw;
    struct mime_field field;
    bool space = false;
    uint8_t *name;

    if (!mime_field_next(&rest, &field) || field.name.len == 0)
        return false;
    name = buffer_reserve(out, field.name.len + field.value.len + 3);
    if (name == NULL)
        return false;
    for (size_t i = 0; i < field.name.len; i++)
        *name++ = byte_lower(field.name.at[i]);
    *name++ = ':';
    field.value = slice_trim(field.value);
    for (size_t i = 0; i < field.value.len; i++) {
        uint8_t byte = field.value.at[i];

        if (byte == '\r' || byte == '\n')
            continue;
        if (byte == ' ' || byte == '\t') {
            space = true;
            continue;
        }
        if (space)
            *name++ = ' ';
        space = false;
        *name++ = byte;
    }
    *name++ = '\r';
    *name++ = '\n';
    buffer_commit(out, (size_t)(name - (out->at + out->end)));
    return true;
}
