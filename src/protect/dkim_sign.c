/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/dkim_sign.h"

#include "base/encode.h"
#include "format/mime/header.h"

#include <stdlib.h>
#include <string.h>

enum { FIELDS_SIGNED_MAX = 200, FOLD_COLUMN = 72 };

/* Oversigned ones are named once more than they are there. */
static const struct {
    struct slice name;
    bool oversign;
} wanted[] = {
    {SLICE_INIT("From"), true},
    {SLICE_INIT("Reply-To"), true},
    {SLICE_INIT("Subject"), true},
    {SLICE_INIT("Date"), true},
    {SLICE_INIT("To"), true},
    {SLICE_INIT("Cc"), true},
    {SLICE_INIT("Message-ID"), true},
    {SLICE_INIT("In-Reply-To"), true},
    {SLICE_INIT("References"), true},
    {SLICE_INIT("MIME-Version"), true},
    {SLICE_INIT("Content-Type"), true},
    {SLICE_INIT("Content-Transfer-Encoding"), true},
    {SLICE_INIT("Auto-Submitted"), false},
    {SLICE_INIT("TLS-Report-Domain"), false},
    {SLICE_INIT("TLS-Report-Submitter"), false},
    {SLICE_INIT("TLS-Required"), false},
    {SLICE_INIT("List-Id"), false},
    {SLICE_INIT("List-Unsubscribe"), false},
    {SLICE_INIT("List-Unsubscribe-Post"), false},
};

/* What all signatures of one message share. */
struct facts {
    struct slice domain;
    int64_t now_s;
    uint8_t body_digest[SHA256_BYTES];
    struct buffer names;  /* "From:From:Subject..." */
    struct buffer fields; /* the signed fields in their relaxed form */
};

/* ---- reading the message ---- */

/*
 * The length of the header once its empty line is there, else 0. *line is where the last line that
 * is not whole begins: what was looked at before is not looked at again.
 */
static size_t header_end(struct slice header, size_t *line)
{
    size_t len = mime_header_len(slice_from(header, *line));

    if (len > 0)
        return *line + len;
    for (size_t at = header.len; at > *line; at--)
        if (header.at[at - 1] == '\n') {
            *line = at;
            break;
        }
    return 0;
}

struct dkim_reading {
    struct content_source source;
    struct buffer header;
    struct dkim_body body;
    size_t line; /* see header_end */
    bool is_begun, in_body;
    uint8_t body_digest[SHA256_BYTES];
};

struct dkim_reading *dkim_reading_new(const struct content_source *source)
{
    struct dkim_reading *reading = calloc(1, sizeof *reading);

    must(reading != NULL);
    reading->source = *source;
    buffer_init(&reading->header, DKIM_HEADER_MAX);
    dkim_body_init(&reading->body);
    return reading;
}

void dkim_reading_free(struct dkim_reading **reading)
{
    struct dkim_reading *it = *reading;

    if (it == NULL)
        return;
    buffer_wipe(&it->header);
    dkim_body_deinit(&it->body);
    explicit_bzero(it, sizeof *it);
    free(it);
    *reading = NULL;
}

/* The header is kept, the body hashed. */
static bool take_piece(struct dkim_reading *reading, struct slice piece, struct err *err)
{
    size_t before = buffer_len(&reading->header), len;

    if (reading->in_body) {
        dkim_body_push(&reading->body, piece);
        return true;
    }
    /* What goes past the ceiling may already be body. */
    must(buffer_append(&reading->header, slice_head(piece, buffer_room(&reading->header))));
    len = header_end(buffer_view(&reading->header), &reading->line);
    if (len > 0) {
        reading->in_body = true;
        dkim_body_push(&reading->body, slice_from(piece, len - before));
        buffer_truncate(&reading->header, len);
    } else if (buffer_room(&reading->header) == 0) {
        return FAIL(err, ERR_PERM, "the message's header is too large to be signed");
    }
    return true;
}

enum progress dkim_reading_step(struct dkim_reading *reading, uint64_t max_bytes,
                                struct err *err)
{
    const struct content_source *source = &reading->source;
    struct slice piece;

    if (!reading->is_begun && !source->rewind(source->context, err))
        return PROGRESS_FAIL;
    reading->is_begun = true;
    for (uint64_t taken = 0; taken < max_bytes; taken += piece.len) {
        if (!source->next(source->context, &piece, err))
            return PROGRESS_FAIL;
        if (piece.len == 0) {
            dkim_body_finish(&reading->body, reading->body_digest);
            return PROGRESS_DONE;
        }
        if (!take_piece(reading, piece, err))
            return PROGRESS_FAIL;
    }
    return PROGRESS_WAIT;
}

/* ---- choosing fields ---- */

static bool append_name(struct buffer *names, struct slice name)
{
    return (buffer_len(names) == 0 || buffer_append(names, S(":"))) &&
           buffer_append(names, name);
}

/* All fields called `name`, the last one first, as a verifier takes them. [RFC 6376 §5.4.2] */
static bool choose(struct facts *facts, struct slice header, struct slice name, bool oversign)
{
    struct slice found[FIELDS_SIGNED_MAX];
    struct mime_field field;
    size_t count = 0;

    while (mime_field_next(&header, &field)) {
        if (!slice_equal_nocase(field.name, name))
            continue;
        if (count == FIELDS_SIGNED_MAX)
            return false;
        found[count++] = field.raw;
    }
    if (oversign && !append_name(&facts->names, name))
        return false;
    while (count-- > 0)
        if (!append_name(&facts->names, name) ||
            !dkim_relaxed_field(found[count], &facts->fields))
            return false;
    return true;
}

static bool choose_fields(struct facts *facts, struct slice header, struct err *err)
{
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!choose(facts, header, wanted[i].name, wanted[i].oversign))
            return FAIL(err, ERR_PERM, "the message has too many header fields to be signed");
    return true;
}

/* ---- the signature field ---- */

/* The list of names or a base64 text, folded where a verifier ignores it: behind ":" or anywhere. */
static bool append_folded(struct buffer *out, struct slice text, bool at_colons)
{
    size_t column = 4;

    for (size_t i = 0; i < text.len; i++) {
        if (!buffer_append_byte(out, text.at[i]))
            return false;
        column++;
        if (i + 1 < text.len && column >= FOLD_COLUMN - (at_colons ? 12U : 0U) &&
            (!at_colons || text.at[i] == ':')) {
            if (!buffer_append(out, S("\r\n ")))
                return false;
            column = 1;
        }
    }
    return true;
}

static bool append_base64_folded(struct buffer *out, struct slice bytes)
{
    struct buffer text;
    bool fits;

    buffer_init(&text, 4096);
    fits = base64_append(&text, bytes) && append_folded(out, buffer_view(&text), false);
    buffer_deinit(&text);
    return fits;
}

/* The field up to "b=", which is what gets signed after the other fields. */
static bool append_unsigned(const struct facts *facts, const struct dkim_key *key,
                            struct buffer *out)
{
    enum sign_algorithm algorithm = sign_key_algorithm(key->key);

    return buffer_append_format(
               out,
               "DKIM-Signature: v=1; a=%s; c=relaxed/relaxed;\r\n d=%.*s; s=%.*s; "
               "t=%lld;\r\n h=",
               sign_algorithm_name(algorithm), SLICE_ARGS(facts->domain),
               SLICE_ARGS(key->selector), (long long)facts->now_s) &&
           append_folded(out, buffer_view(&facts->names), true) &&
           buffer_append(out, S(";\r\n bh=")) &&
           base64_append(out, slice_of(facts->body_digest, SHA256_BYTES)) &&
           buffer_append(out, S(";\r\n b="));
}

static bool sign_with(const struct facts *facts, const struct dkim_key *key, struct buffer *out,
                      struct err *err)
{
    struct buffer field, relaxed;
    struct sha256_stream hash;
    uint8_t digest[SHA256_BYTES], signature[SIGN_MAX_BYTES];
    size_t len = 0;
    bool went_well;

    buffer_init(&field, 16 * 1024);
    buffer_init(&relaxed, 16 * 1024);
    sha256_init(&hash);
    went_well = (append_unsigned(facts, key, &field) &&
                 dkim_relaxed_field(buffer_view(&field), &relaxed)) ||
                FAIL(err, ERR_PERM, "a signature field would be too large");
    if (went_well) {
        sha256_push(&hash, buffer_view(&facts->fields));
        /* Without its own line end. [RFC 6376 §3.7] */
        sha256_push(&hash, slice_head(buffer_view(&relaxed), buffer_len(&relaxed) - 2));
        sha256_finish(&hash, digest);
        went_well = sign_digest(key->key, digest, signature, &len, err);
    }
    if (went_well)
        went_well =
            (append_base64_folded(&field, slice_of(signature, len)) &&
             buffer_append(&field, S("\r\n")) && buffer_append(out, buffer_view(&field))) ||
            FAIL(err, ERR_PERM, "a signature field would be too large");
    sha256_deinit(&hash);
    buffer_deinit(&field);
    buffer_deinit(&relaxed);
    return went_well;
}

/* Letters, digits, "-", "_" and ".": nothing that could end a tag or the field. */
static bool is_dns_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alpha(name.at[i]) && !byte_is_digit(name.at[i]) && name.at[i] != '-' &&
            name.at[i] != '_' && name.at[i] != '.')
            return false;
    return name.len > 0 && name.len <= 253;
}

static bool sign_all(struct facts *facts, struct slice header, const struct dkim_key *keys,
                     size_t key_count, struct buffer *out, struct err *err)
{
    size_t before = buffer_len(out);
    bool went_well = choose_fields(facts, header, err);

    if (mime_field_count(header, S("From")) == 0)
        key_count = 0;
    for (size_t i = 0; i < key_count && went_well; i++)
        went_well = is_dns_name(keys[i].selector)
                        ? sign_with(facts, &keys[i], out, err)
                        : FAIL(err, ERR_PERM, "a selector is not a name");
    if (!went_well)
        buffer_truncate(out, before);
    return went_well;
}

bool dkim_reading_sign(const struct dkim_reading *reading, struct slice domain,
                       const struct dkim_key *keys, size_t key_count, int64_t now_s,
                       struct buffer *out, struct err *err)
{
    struct facts facts = {.domain = domain, .now_s = now_s};
    bool went_well;

    if (key_count == 0)
        return true;
    if (!is_dns_name(domain))
        return FAIL(err, ERR_PERM, "the domain to sign for is not a name");
    memcpy(facts.body_digest, reading->body_digest, sizeof facts.body_digest);
    buffer_init(&facts.names, 8192);
    buffer_init(&facts.fields, (size_t)2 * DKIM_HEADER_MAX);
    went_well = sign_all(&facts, buffer_view(&reading->header), keys, key_count, out, err);
    buffer_wipe(&facts.names);
    buffer_wipe(&facts.fields);
    return went_well;
}

bool dkim_sign(const struct content_source *source, struct slice domain,
               const struct dkim_key *keys, size_t key_count, int64_t now_s, struct buffer *out,
               struct err *err)
{
    struct dkim_reading *reading;
    bool went_well;

    if (key_count == 0)
        return true;
    reading = dkim_reading_new(source);
    went_well = dkim_reading_step(reading, UINT64_MAX, err) == PROGRESS_DONE &&
                dkim_reading_sign(reading, domain, keys, key_count, now_s, out, err);
    dkim_reading_free(&reading);
    return went_well;
}
