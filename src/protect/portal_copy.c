/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/portal_copy.h"

#include "protect/portal_body.h"

#include <stdlib.h>
#include <string.h>

struct portal_copier {
    struct content_source source;
    struct copy_sink sink;
    enum progress (*step)(struct portal_copier *copier, uint64_t *left, struct err *err);
    struct message_scanner *scanner;
    struct message_scan scan;
    struct portal_body body;
    struct portal_manifest manifest;
    /* Second pass: */
    struct mime_reader *reader;
    struct leaf *leaf; /* being written; NULL for what is no file */
    struct mime_decoder decoder;
    struct buffer decoded;
    uint64_t written; /* of the leaf */
};

static bool is_file(const struct leaf *leaf)
{
    return leaf->role == LEAF_FILE || (leaf->role == LEAF_IMAGE && !leaf->is_shown);
}

/* ---- the manifest ---- */

static void add_part(struct portal_manifest *manifest, enum portal_part_kind kind,
                     uint64_t size, struct slice type, struct slice name)
{
    must(manifest->part_count < PORTAL_PARTS_MAX);
    manifest->parts[manifest->part_count++] =
        (struct portal_part){.kind = kind, .size = size, .type = type, .name = name};
}

static void lay_out(struct portal_copier *copier)
{
    struct portal_manifest *manifest = &copier->manifest;
    struct message_scan *scan = &copier->scan;

    manifest->from = buffer_view(&scan->from);
    manifest->to = buffer_view(&scan->to);
    manifest->cc = buffer_view(&scan->cc);
    manifest->subject = buffer_view(&scan->subject);
    manifest->date = buffer_view(&scan->date);
    if (buffer_len(&copier->body.text) > 0)
        add_part(manifest, PORTAL_PART_TEXT, buffer_len(&copier->body.text), S("text/plain"),
                 S(""));
    if (buffer_len(&copier->body.html) > 0)
        add_part(manifest, PORTAL_PART_HTML, buffer_len(&copier->body.html), S("text/html"),
                 S(""));
    for (size_t i = 0; i < scan->count; i++) {
        struct leaf *leaf = &scan->leaves[i];

        if (is_file(leaf))
            add_part(manifest, PORTAL_PART_ATTACHMENT, leaf->size,
                     slice_of(leaf->type, leaf->type_len),
                     slice_of(leaf->name, leaf->name_len));
    }
}

static bool write_buffer(struct portal_copier *copier, const struct buffer *buffer,
                         struct err *err)
{
    return buffer_len(buffer) == 0 ||
           copier->sink.write(copier->sink.context, buffer_view(buffer), err);
}

static bool write_manifest(struct portal_copier *copier, struct err *err)
{
    struct buffer head;
    bool went_well;

    buffer_init(&head, PORTAL_MANIFEST_MAX + PORTAL_HEAD_BYTES);
    must(portal_manifest_write(&copier->manifest, &head));
    went_well = write_buffer(copier, &head, err);
    buffer_wipe(&head);
    return went_well;
}

/* ---- the files ---- */

static bool on_part(void *context, const struct mime_part *part, struct err *err)
{
    struct portal_copier *copier = context;

    (void)err;
    copier->leaf = message_scan_leaf(&copier->scan, part->index);
    if (copier->leaf != NULL && !is_file(copier->leaf))
        copier->leaf = NULL;
    copier->written = 0;
    if (copier->leaf != NULL)
        mime_decoder_init(&copier->decoder, copier->leaf->encoding);
    return true;
}

static bool pass_on(struct portal_copier *copier, struct err *err)
{
    bool went_well = write_buffer(copier, &copier->decoded, err);

    copier->written += buffer_len(&copier->decoded);
    buffer_clear(&copier->decoded);
    return went_well;
}

static bool on_body(void *context, int index, struct slice raw, struct err *err)
{
    struct portal_copier *copier = context;

    (void)index;
    while (copier->leaf != NULL && raw.len > 0) {
        must(mime_decode(&copier->decoder, slice_head(raw, SPOOL_CHUNK_BYTES),
                         &copier->decoded));
        if (!pass_on(copier, err))
            return false;
        raw = slice_from(raw, SPOOL_CHUNK_BYTES);
    }
    return true;
}

static bool on_end(void *context, int index, uint64_t body_end, struct err *err)
{
    struct portal_copier *copier = context;

    (void)body_end;
    if (copier->leaf == NULL || copier->leaf->index != index)
        return true;
    must(mime_decode_end(&copier->decoder, &copier->decoded));
    if (!pass_on(copier, err))
        return false;
    /* Both passes saw the same bytes, so they must agree. */
    must(copier->written == copier->leaf->size);
    copier->leaf = NULL;
    return true;
}

static enum progress files_step(struct portal_copier *copier, uint64_t *left, struct err *err)
{
    const struct content_source *source = &copier->source;
    struct slice piece;

    while (*left > 0) {
        if (!source->next(source->context, &piece, err))
            return PROGRESS_FAIL;
        if (piece.len == 0)
            return mime_reader_end(copier->reader, err) ? PROGRESS_DONE : PROGRESS_FAIL;
        if (!mime_reader_push(copier->reader, piece, err))
            return PROGRESS_FAIL;
        source_spend(left, piece.len);
    }
    return PROGRESS_WAIT;
}

static bool has_files(const struct portal_copier *copier)
{
    size_t count = copier->manifest.part_count;

    return count > 0 && copier->manifest.parts[count - 1].kind == PORTAL_PART_ATTACHMENT;
}

/* All has been seen: write what is in memory, then go for the files. */
static enum progress begin_copy(struct portal_copier *copier, struct err *err)
{
    const struct mime_handler handler = {copier, on_part, on_body, on_end};

    portal_body_compose(&copier->scan, &copier->body);
    lay_out(copier);
    if (!write_manifest(copier, err) || !write_buffer(copier, &copier->body.text, err) ||
        !write_buffer(copier, &copier->body.html, err))
        return PROGRESS_FAIL;
    if (!has_files(copier))
        return PROGRESS_DONE;
    if (!copier->source.rewind(copier->source.context, err))
        return PROGRESS_FAIL;
    copier->reader = mime_reader_new(&handler);
    copier->step = files_step;
    return PROGRESS_WAIT;
}

static enum progress whole_step(struct portal_copier *copier, uint64_t *left, struct err *err)
{
    struct slice piece;

    while (*left > 0) {
        if (!copier->source.next(copier->source.context, &piece, err))
            return PROGRESS_FAIL;
        if (piece.len == 0)
            return PROGRESS_DONE;
        if (!copier->sink.write(copier->sink.context, piece, err))
            return PROGRESS_FAIL;
        source_spend(left, piece.len);
    }
    return PROGRESS_WAIT;
}

/* The message as one file, for what cannot be taken apart. */
static enum progress begin_whole(struct portal_copier *copier, struct err *err)
{
    for (size_t i = 0; i < copier->scan.count; i++)
        copier->scan.leaves[i].role = LEAF_TEXT; /* no files of their own */
    lay_out(copier);
    add_part(&copier->manifest, PORTAL_PART_ATTACHMENT, copier->source.bytes,
             S("message/rfc822"), S("message.eml"));
    if (!write_manifest(copier, err) || !copier->source.rewind(copier->source.context, err))
        return PROGRESS_FAIL;
    copier->step = whole_step;
    return PROGRESS_WAIT;
}

static enum progress scan_step(struct portal_copier *copier, uint64_t *left, struct err *err)
{
    struct err why = {0};

    switch (message_scanner_step(copier->scanner, left, &why)) {
    case PROGRESS_DONE:
        return begin_copy(copier, err);
    case PROGRESS_WAIT:
        return PROGRESS_WAIT;
    case PROGRESS_FAIL:
        break;
    }
    if (why.class == ERR_PERM)
        return begin_whole(copier, err);
    *err = why;
    return PROGRESS_FAIL;
}

/* ---- the door ---- */

struct portal_copier *portal_copier_new(const struct content_source *source,
                                        const struct copy_sink *sink)
{
    struct portal_copier *copier = calloc(1, sizeof *copier);

    must(copier != NULL);
    copier->source = *source;
    copier->sink = *sink;
    copier->step = scan_step;
    copier->scanner = message_scanner_new(&copier->source, &copier->scan);
    buffer_init(&copier->decoded, SPOOL_CHUNK_BYTES + 1024);
    return copier;
}

enum progress portal_copier_step(struct portal_copier *copier, uint64_t max_bytes,
                                 struct err *err)
{
    enum progress got = PROGRESS_WAIT;

    while (got == PROGRESS_WAIT && max_bytes > 0)
        got = copier->step(copier, &max_bytes, err);
    return got;
}

void portal_copier_free(struct portal_copier **copier)
{
    struct portal_copier *it = *copier;

    if (it == NULL)
        return;
    message_scanner_free(&it->scanner);
    mime_reader_free(&it->reader);
    portal_body_deinit(&it->body);
    message_scan_deinit(&it->scan);
    buffer_wipe(&it->decoded);
    explicit_bzero(it, sizeof *it);
    free(it);
    *copier = NULL;
}

bool portal_copy_write(const struct content_source *source, const struct copy_sink *sink,
                       struct err *err)
{
    struct portal_copier *copier = portal_copier_new(source, sink);
    enum progress got = PROGRESS_WAIT;

    while (got == PROGRESS_WAIT)
        got = portal_copier_step(copier, UINT64_MAX, err);
    portal_copier_free(&copier);
    return got == PROGRESS_DONE;
}
