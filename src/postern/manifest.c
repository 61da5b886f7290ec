/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/manifest.h"

#include "base/encode.h"
#include "base/id.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_LINE "postern-backup 1"

void manifest_init(struct manifest *manifest)
{
    *manifest = (struct manifest){0};
}

void manifest_deinit(struct manifest *manifest)
{
    free(manifest->pieces);
    *manifest = (struct manifest){0};
}

void manifest_add(struct manifest *manifest, const struct manifest_piece *piece)
{
    if (manifest->piece_count == manifest->piece_cap) {
        manifest->piece_cap = manifest->piece_cap == 0 ? 64 : manifest->piece_cap * 2;
        manifest->pieces =
            reallocarray(manifest->pieces, manifest->piece_cap, sizeof *manifest->pieces);
        must(manifest->pieces != NULL);
    }
    manifest->pieces[manifest->piece_count++] = *piece;
}

static int compare(const struct manifest_piece *piece, enum spool_kind kind, uint64_t segment)
{
    if (piece->kind != kind)
        return piece->kind < kind ? -1 : 1;
    return piece->segment < segment ? -1 : piece->segment > segment;
}

/* Pieces stand in the order of kind, segment, from: see follows. */
size_t manifest_find(const struct manifest *manifest, enum spool_kind kind, uint64_t segment,
                     size_t *first_out)
{
    size_t low = 0, high = manifest->piece_count, count = 0;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (compare(&manifest->pieces[middle], kind, segment) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *first_out = low;
    while (low + count < manifest->piece_count &&
           compare(&manifest->pieces[low + count], kind, segment) == 0)
        count++;
    return count;
}

void manifest_database_name(uint64_t id, char name_out_cstr[MANIFEST_NAME_SIZE])
{
    char id_text[ID_TEXT_SIZE];

    id_write(id, id_text);
    (void)snprintf(name_out_cstr, MANIFEST_NAME_SIZE, "postern-%s.db", id_text);
}

bool manifest_is_database_name(struct slice name)
{
    char again_cstr[MANIFEST_NAME_SIZE];
    uint64_t id;

    if (!slice_starts_with(name, S("postern-")) || name.len != 8 + ID_TEXT_SIZE - 1 + 3 ||
        !id_parse(slice_head(slice_from(name, 8), ID_TEXT_SIZE - 1), &id))
        return false;
    manifest_database_name(id, again_cstr);
    return slice_equal(name, slice_from_cstr(again_cstr));
}

/* ---- write ---- */

static bool write_digest(struct buffer *out, const uint8_t digest[SHA256_BYTES])
{
    return buffer_append_byte(out, ' ') && hex_append(out, slice_of(digest, SHA256_BYTES)) &&
           buffer_append_byte(out, '\n');
}

static const char *kind_name(enum spool_kind kind)
{
    return kind == SPOOL_QUEUE ? "queue" : "portal";
}

static bool write_pieces(const struct manifest *manifest, struct buffer *out)
{
    for (size_t i = 0; i < manifest->piece_count; i++) {
        const struct manifest_piece *piece = &manifest->pieces[i];

        if (!buffer_append_format(out, "piece %s %016llx %llu %llu", kind_name(piece->kind),
                                  (unsigned long long)piece->segment,
                                  (unsigned long long)piece->from,
                                  (unsigned long long)piece->to) ||
            !write_digest(out, piece->digest))
            return false;
    }
    return true;
}

bool manifest_write(const struct manifest *manifest, struct buffer *out)
{
    uint8_t digest[SHA256_BYTES];

    if (!buffer_append_format(out, FIRST_LINE "\nmade %lld\nserver",
                              (long long)manifest->made_ms) ||
        !write_digest(out, manifest->server) ||
        !buffer_append_format(out, "database %s %llu", manifest->database_cstr,
                              (unsigned long long)manifest->database_bytes) ||
        !write_digest(out, manifest->database_digest) || !write_pieces(manifest, out))
        return false;
    if (manifest->has_master &&
        (!buffer_append_format(out, "master %llu",
                               (unsigned long long)manifest->master_bytes) ||
         !write_digest(out, manifest->master_digest)))
        return false;
    sha256(buffer_view(out), digest);
    return buffer_append_format(out, "end") && write_digest(out, digest);
}

/* ---- parse ---- */

static bool parse_digest(struct slice text, uint8_t digest_out[SHA256_BYTES])
{
    struct buffer bytes;
    bool is_good;

    buffer_init(&bytes, SHA256_BYTES);
    is_good = text.len == 2 * (size_t)SHA256_BYTES && hex_decode(text, &bytes) &&
              buffer_len(&bytes) == SHA256_BYTES;
    if (is_good)
        memcpy(digest_out, buffer_view(&bytes).at, SHA256_BYTES);
    buffer_deinit(&bytes);
    return is_good;
}

static bool parse_made(struct manifest *manifest, struct slice rest)
{
    uint64_t number;

    if (!slice_parse_u64(rest, &number) || number == 0 || number > INT64_MAX ||
        manifest->made_ms != 0)
        return false;
    manifest->made_ms = (int64_t)number;
    return true;
}

static bool parse_server(struct manifest *manifest, struct slice rest)
{
    if (manifest->has_server)
        return false;
    manifest->has_server = true;
    return parse_digest(rest, manifest->server);
}

static bool parse_database(struct manifest *manifest, struct slice rest)
{
    struct slice name = slice_cut(&rest, ' '), bytes = slice_cut(&rest, ' ');

    return manifest->database_cstr[0] == '\0' && manifest_is_database_name(name) &&
           slice_to_cstr(name, manifest->database_cstr, sizeof manifest->database_cstr) &&
           slice_parse_u64(bytes, &manifest->database_bytes) &&
           manifest->database_bytes <= INT64_MAX &&
           parse_digest(rest, manifest->database_digest);
}

static bool parse_master(struct manifest *manifest, struct slice rest)
{
    struct slice bytes = slice_cut(&rest, ' ');

    if (manifest->has_master)
        return false;
    manifest->has_master = true;
    return slice_parse_u64(bytes, &manifest->master_bytes) &&
           manifest->master_bytes <= INT64_MAX && parse_digest(rest, manifest->master_digest);
}

/* Behind the piece before it, in the order that manifest_find searches in. */
static bool follows(const struct manifest *manifest, const struct manifest_piece *piece)
{
    const struct manifest_piece *last;
    int order;

    if (piece->to <= piece->from || piece->to > INT64_MAX)
        return false;
    if (manifest->piece_count == 0)
        return piece->from == 0;
    last = &manifest->pieces[manifest->piece_count - 1];
    order = compare(last, piece->kind, piece->segment);
    return order < 0 ? piece->from == 0 : order == 0 && piece->from == last->to;
}

static bool parse_piece(struct manifest *manifest, struct slice rest)
{
    struct slice kind = slice_cut(&rest, ' '), segment = slice_cut(&rest, ' '),
                 from = slice_cut(&rest, ' '), to = slice_cut(&rest, ' ');
    struct manifest_piece piece = {.kind = SPOOL_QUEUE};
    char name_cstr[SPOOL_NAME_SIZE + 1];

    if (slice_equal(kind, S("portal")))
        piece.kind = SPOOL_PORTAL;
    else if (!slice_equal(kind, S("queue")))
        return false;
    if (segment.len != 16)
        return false;
    (void)snprintf(name_cstr, sizeof name_cstr, "%.*s.seg", SLICE_ARGS(segment));
    if (!spool_segment_name_parse(name_cstr, &piece.segment) ||
        !slice_parse_u64(from, &piece.from) || !slice_parse_u64(to, &piece.to) ||
        !parse_digest(rest, piece.digest) || !follows(manifest, &piece))
        return false;
    manifest_add(manifest, &piece);
    return true;
}

static bool parse_line(struct manifest *manifest, struct slice line)
{
    struct slice word = slice_cut(&line, ' ');

    if (slice_equal(word, S("piece")))
        return parse_piece(manifest, line);
    if (slice_equal(word, S("made")))
        return parse_made(manifest, line);
    if (slice_equal(word, S("server")))
        return parse_server(manifest, line);
    if (slice_equal(word, S("database")))
        return parse_database(manifest, line);
    return slice_equal(word, S("master")) && parse_master(manifest, line);
}

/* The last line speaks for all before it. */
static bool check_end(struct slice text, struct slice end_line)
{
    struct slice word = slice_cut(&end_line, ' ');
    uint8_t said[SHA256_BYTES], digest[SHA256_BYTES];

    sha256(text, digest);
    return slice_equal(word, S("end")) && parse_digest(end_line, said) &&
           memcmp(said, digest, sizeof digest) == 0;
}

static bool parse(struct slice text, struct manifest *manifest, struct err *err)
{
    struct slice rest = text, line = slice_cut(&rest, '\n');
    unsigned long number = 1;

    if (text.len > MANIFEST_MAX_BYTES || !slice_equal(line, S(FIRST_LINE)))
        return FAIL(err, ERR_PERM, "this is no manifest of a backup, or of a later version");
    while (rest.len > 0) {
        size_t before = text.len - rest.len;

        line = slice_cut(&rest, '\n');
        number++;
        if (rest.len == 0)
            return (check_end(slice_head(text, before), line) && manifest->made_ms != 0 &&
                    manifest->has_server && manifest->database_cstr[0] != '\0') ||
                   FAIL(err, ERR_PERM, "the manifest is cut off or was changed");
        if (!parse_line(manifest, line))
            return FAIL(err, ERR_PERM, "line %lu of the manifest is damaged", number);
    }
    return FAIL(err, ERR_PERM, "the manifest is cut off");
}

bool manifest_parse(struct slice text, struct manifest *manifest_out, struct err *err)
{
    manifest_init(manifest_out);
    if (parse(text, manifest_out, err))
        return true;
    manifest_deinit(manifest_out);
    return false;
}
