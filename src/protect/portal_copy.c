/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/portal_copy.h"

#include "protect/portal_body.h"

#include <stdlib.h>

struct copier {
    struct message_scan scan;
    struct portal_body body;
    struct portal_manifest manifest;
    const struct copy_sink *sink;
    /* Second pass: */
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

static void lay_out(struct copier *copier)
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

static bool write_buffer(struct copier *copier, const struct buffer *buffer, struct err *err)
{
    return buffer_len(buffer) == 0 ||
           copier->sink->write(copier->sink->context, buffer_view(buffer), err);
}

static bool write_manifest(struct copier *copier, struct err *err)
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
    struct copier *copier = context;

    (void)err;
    copier->leaf = message_scan_leaf(&copier->scan, part->index);
    if (copier->leaf != NULL && !is_file(copier->leaf))
        copier->leaf = NULL;
    copier->written = 0;
    if (copier->leaf != NULL)
        mime_decoder_init(&copier->decoder, copier->leaf->encoding);
    return true;
}

static bool pass_on(struct copier *copier, struct err *err)
{
    bool went_well = write_buffer(copier, &copier->decoded, err);

    copier->written += buffer_len(&copier->decoded);
    buffer_clear(&copier->decoded);
    return went_well;
}

static bool on_body(void *context, int index, struct slice raw, struct err *err)
{
    struct copier *copier = context;

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
    struct copier *copier = context;

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

static bool write_files(struct copier *copier, const struct content_source *source,
                        struct err *err)
{
    const struct mime_handler handler = {copier, on_part, on_body, on_end};
    struct mime_reader *reader = mime_reader_new(&handler);
    struct slice piece;
    bool went_well = source->rewind(source->context, err);

    buffer_init(&copier->decoded, SPOOL_CHUNK_BYTES + 1024);
    while (went_well) {
        went_well = source->next(source->context, &piece, err);
        if (!went_well || piece.len == 0)
            break;
        went_well = mime_reader_push(reader, piece, err);
    }
    went_well = went_well && mime_reader_end(reader, err);
    mime_reader_free(&reader);
    buffer_wipe(&copier->decoded);
    return went_well;
}

/* The message as one file, for what cannot be taken apart. */
static bool write_whole(struct copier *copier, const struct content_source *source,
                        struct err *err)
{
    struct slice piece;

    for (size_t i = 0; i < copier->scan.count; i++)
        copier->scan.leaves[i].role = LEAF_TEXT; /* no files of their own */
    lay_out(copier);
    add_part(&copier->manifest, PORTAL_PART_ATTACHMENT, source->bytes, S("message/rfc822"),
             S("message.eml"));
    if (!write_manifest(copier, err) || !source->rewind(source->context, err))
        return false;
    for (;;) {
        if (!source->next(source->context, &piece, err))
            return false;
        if (piece.len == 0)
            return true;
        if (!copier->sink->write(copier->sink->context, piece, err))
            return false;
    }
}

static bool has_files(const struct copier *copier)
{
    size_t count = copier->manifest.part_count;

    return count > 0 && copier->manifest.parts[count - 1].kind == PORTAL_PART_ATTACHMENT;
}

bool portal_copy_write(const struct content_source *source, const struct copy_sink *sink,
                       struct err *err)
{
    struct copier *copier = calloc(1, sizeof *copier);
    struct err why = {0};
    bool went_well;

    must(copier != NULL);
    copier->sink = sink;
    if (message_scan(source, &copier->scan, &why)) {
        portal_body_compose(&copier->scan, &copier->body);
        lay_out(copier);
        went_well = write_manifest(copier, err) &&
                    write_buffer(copier, &copier->body.text, err) &&
                    write_buffer(copier, &copier->body.html, err) &&
                    (!has_files(copier) || write_files(copier, source, err));
    } else if (why.class == ERR_PERM) {
        went_well = write_whole(copier, source, err);
    } else {
        *err = why;
        went_well = false;
    }
    portal_body_deinit(&copier->body);
    message_scan_deinit(&copier->scan);
    free(copier);
    return went_well;
}
