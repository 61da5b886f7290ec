/* SPDX-License-Identifier: Apache-2.0 */
/* The check's look at segments: files, rows about them, and the content that rows refer to. */
#include "keeper/verify_internal.h"

#include "spool/reader.h"
#include "store/key.h"

#include <stdlib.h>

static struct verify_segment *segment_of(struct verify *verify, uint64_t id)
{
    struct verify_segment *segment = map_get(&verify->segments, id);

    if (segment != NULL)
        return segment;
    segment = calloc(1, sizeof *segment);
    must(segment != NULL);
    segment->id = id;
    map_put(&verify->segments, id, segment);
    return segment;
}

static bool list_folder(struct verify *verify, enum spool_kind kind, int fd, struct err *err)
{
    struct spool_segment_info *list = NULL;
    size_t count = 0;

    if (fd < 0)
        return true;
    if (!spool_segment_list(fd, &list, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct verify_segment *segment = segment_of(verify, list[i].segment);

        if (segment->has_file)
            verify__tell(verify, VERIFY_SEGMENT_DAMAGED, 0, VERIFY_NONE, segment->id,
                         "it lies in both folders");
        segment->has_file = true;
        segment->file_kind = kind;
        segment->size_bytes = list[i].size_bytes;
        verify->report->segment_bytes += list[i].size_bytes;
    }
    if (kind == SPOOL_QUEUE)
        verify->report->queue_segments = count;
    else
        verify->report->portal_segments = count;
    free(list);
    return true;
}

bool verify__segments_begin(struct verify *verify, struct err *err)
{
    struct walked_segment row;

    if (!list_folder(verify, SPOOL_QUEUE, verify->queue_fd, err) ||
        !list_folder(verify, SPOOL_PORTAL, verify->portal_fd, err))
        return false;
    while (verify->walk != NULL && store_walk_segment(verify->walk, &row)) {
        struct verify_segment *segment = row.id == 0 ? NULL : segment_of(verify, row.id);

        if (segment == NULL) {
            verify__tell(verify, VERIFY_STRAY, 0, VERIFY_NONE, 0, "a segment's row without id");
            continue;
        }
        segment->has_row = true;
        segment->row_kind = row.kind;
        segment->row_live = row.live;
    }
    return true;
}

/* Told once a segment, whoever uses it. */
static bool check_header(struct verify *verify, struct verify_segment *segment,
                         enum spool_kind kind, int dir_fd)
{
    const struct recipient_key *pair;
    struct spool_header header;
    struct secret epoch;
    struct err err = {0};
    bool is_opened = !verify->has_keys;

    if (segment->is_header_checked)
        return segment->is_header_good;
    segment->is_header_checked = true;
    segment->is_header_good = spool_segment_read(dir_fd, segment->id, &header, &err);
    if (segment->is_header_good && header.kind != kind)
        segment->is_header_good = FAIL(&err, ERR_PERM, "it is of the other folder's kind");
    for (size_t i = 0; segment->is_header_good && !is_opened &&
                       (pair = store_key_pair(verify->store, i)) != NULL;
         i++)
        is_opened = spool_epoch_open(&header, pair, &epoch, &err);
    if (verify->has_keys && is_opened && segment->is_header_good)
        secret_wipe(&epoch);
    if (segment->is_header_good && !is_opened)
        segment->is_header_good = false;
    if (!segment->is_header_good)
        verify__tell(verify, VERIFY_SEGMENT_DAMAGED, 0, VERIFY_NONE, segment->id, "%s",
                     err.text_cstr);
    return segment->is_header_good;
}

/* What a message and a copy have in common. False: there is nothing more to look at. */
static bool check_place(struct verify *verify, enum spool_kind kind, int dir_fd,
                        const struct content_ref *ref, uint64_t message, int64_t number)
{
    struct verify_segment *segment =
        ref->segment == 0 ? NULL : segment_of(verify, ref->segment);
    enum verify_finding damage = kind == SPOOL_QUEUE ? VERIFY_CONTENT : VERIFY_COPY;

    if (segment == NULL) {
        verify__tell(verify, damage, message, number, 0, "its row names no segment");
        return false;
    }
    segment->users++;
    if (!segment->has_file || segment->file_kind != kind) {
        verify__tell(verify, VERIFY_SEGMENT_MISSING, message, number, ref->segment,
                     "there is no such file in %s/", kind == SPOOL_QUEUE ? "queue" : "portal");
        return false;
    }
    if (!check_header(verify, segment, kind, dir_fd)) {
        verify__tell(verify, damage, message, number, ref->segment,
                     "its segment's header is damaged");
        return false;
    }
    if (ref->offset < SPOOL_HEADER_BYTES || ref->plain_bytes > UINT64_C(1) << 40 ||
        ref->sealed_bytes != spool_sealed_bytes(ref->plain_bytes)) {
        verify__tell(verify, damage, message, number, ref->segment,
                     "its place and lengths cannot be");
        return false;
    }
    if (ref->offset > segment->size_bytes ||
        ref->sealed_bytes > segment->size_bytes - ref->offset) {
        verify__tell(verify, damage, message, number, ref->segment,
                     "it ends at byte %llu, the file at %llu",
                     (unsigned long long)ref->offset + ref->sealed_bytes,
                     (unsigned long long)segment->size_bytes);
        return false;
    }
    return true;
}

/* Every chunk's tag, and that the last one is the last. */
static bool read_through(struct verify *verify, const struct content_ref *ref,
                         const struct secret *data_key, struct err *err)
{
    struct spool_reader *reader = NULL;
    struct slice plain;
    bool is_good;

    if (!spool_reader_open(verify->queue_fd, ref, data_key, &reader, err))
        return false;
    do {
        is_good = spool_reader_next(reader, &plain, err);
        if (is_good)
            verify->report->content_bytes += plain.len;
    } while (is_good && plain.len > 0);
    spool_reader_close(&reader);
    return is_good;
}

void verify__content(struct verify *verify, const struct walked_message *row)
{
    struct secret data_key;
    struct err err = {0};

    if (!check_place(verify, SPOOL_QUEUE, verify->queue_fd, &row->content, row->id,
                     VERIFY_NONE) ||
        row->key_bytes != KEYWRAP_BYTES || !verify->has_keys)
        return;
    if (!spool_keyring_open(verify->queue_ring, &row->content, &data_key, &err)) {
        verify__tell(verify, VERIFY_CONTENT, row->id, VERIFY_NONE, row->content.segment, "%s",
                     err.text_cstr);
        return;
    }
    if (!verify->options->is_quick) {
        if (read_through(verify, &row->content, &data_key, &err))
            verify->report->contents++;
        else
            verify__tell(verify, VERIFY_CONTENT, row->id, VERIFY_NONE, row->content.segment,
                         "%s", err.text_cstr);
    }
    secret_wipe(&data_key);
}

/* Its key needs the reader's link: what it says cannot be opened here, only where it stands. */
void verify__copy(struct verify *verify, const struct walked_copy *row)
{
    (void)check_place(verify, SPOOL_PORTAL, verify->portal_fd, &row->copy, row->message,
                      (int64_t)row->number);
}

static void compare(struct verify *verify, const struct verify_segment *segment)
{
    int64_t row_live = segment->has_row ? segment->row_live : 0;

    if (segment->users == 0 && row_live <= 0) {
        if (!segment->has_file)
            return;
        verify->report->garbage_segments++;
        verify->report->garbage_bytes += segment->size_bytes;
        return;
    }
    if (row_live != segment->users)
        verify__tell(verify, VERIFY_SEGMENT_COUNT, 0, VERIFY_NONE, segment->id,
                     "its row counts %lld users, %lld need it", (long long)row_live,
                     (long long)segment->users);
    else if (segment->has_file && segment->row_kind != (int64_t)segment->file_kind)
        verify__tell(verify, VERIFY_SEGMENT_COUNT, 0, VERIFY_NONE, segment->id,
                     "its row says another folder");
}

void verify__segments_end(struct verify *verify)
{
    struct verify_segment *segment;
    size_t position = 0;
    uint64_t id;

    while ((segment = map_next(&verify->segments, &position, &id)) != NULL)
        compare(verify, segment);
}

void verify__segments_free(struct verify *verify)
{
    struct verify_segment *segment;
    size_t position = 0;
    uint64_t id;

    while ((segment = map_next(&verify->segments, &position, &id)) != NULL)
        free(segment);
    map_deinit(&verify->segments);
}
