/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/reader.h"

#include "spool/internal.h"
#include "spool/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* More than any mail; keeps all sums far from overflow. */
static const uint64_t most_plain_bytes = UINT64_C(1) << 40;

struct spool_reader {
    int fd;
    struct spool_shared *shared; /* whose the fd is; NULL: ours */
    struct content_ref ref;
    struct aead *aead;
    uint32_t chunk;  /* the next one */
    uint32_t chunks; /* of the message */
    size_t skip;     /* of the next chunk's plaintext, after a seek */
    bool is_damaged;
    bool is_end_proved; /* the last chunk was opened */
    size_t size;        /* of bytes: one sealed chunk, or the whole of a small message */
    uint8_t bytes[];
};

static bool check_ref(const struct content_ref *ref, struct err *err)
{
    if (ref->plain_bytes > most_plain_bytes ||
        ref->sealed_bytes != spool_sealed_bytes(ref->plain_bytes) ||
        ref->offset < SPOOL_HEADER_BYTES || ref->offset > INT64_MAX - ref->sealed_bytes)
        return FAIL(err, ERR_PERM, "content reference contradicts itself");
    return true;
}

int spool__segment_open(int dir_fd, uint64_t segment, struct err *err)
{
    char name_cstr[SPOOL_NAME_SIZE];
    int fd;

    spool_segment_name(segment, name_cstr);
    fd = openat(dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        FAIL(err, ERR_PERM, "segment %s does not exist", name_cstr);
    else if (fd < 0)
        FAIL(err, ERR_TEMP, "cannot open segment %s: %s", name_cstr, strerror(errno));
    return fd;
}

bool spool_reader_open(int dir_fd, const struct content_ref *ref, const struct secret *data_key,
                       struct spool_reader **reader_out, struct err *err)
{
    int fd = spool__segment_open(dir_fd, ref->segment, err);

    return fd >= 0 && spool_reader_open_fd(fd, ref, data_key, reader_out, err);
}

static bool check_length(struct spool_shared *file, const struct content_ref *ref,
                         struct err *err)
{
    struct stat status;

    if (file->bytes >= ref->offset + ref->sealed_bytes)
        return true;
    if (fstat(file->fd, &status) != 0)
        return FAIL(err, ERR_TEMP, "cannot look at a segment: %s", strerror(errno));
    file->bytes = status.st_size < 0 ? 0 : (uint64_t)status.st_size;
    if (file->bytes < ref->offset + ref->sealed_bytes)
        return FAIL(err, ERR_PERM, "content was cut off: the segment ends before it");
    return true;
}

static struct spool_reader *reader_new(int fd, const struct content_ref *ref,
                                       const struct secret *data_key)
{
    size_t size = ref->sealed_bytes < SPOOL_SEALED_CHUNK_BYTES ? (size_t)ref->sealed_bytes
                                                               : SPOOL_SEALED_CHUNK_BYTES;
    /* Most messages are small: clearing and wiping 64 KiB for each was 7 % of delivery. */
    struct spool_reader *reader = calloc(1, sizeof *reader + size);

    must(reader != NULL);
    reader->size = size;
    reader->fd = fd;
    reader->ref = *ref;
    reader->aead = aead_new(data_key);
    reader->chunks = (uint32_t)((ref->sealed_bytes - ref->plain_bytes) / AEAD_TAG_BYTES);
    return reader;
}

bool spool_reader_open_fd(int segment_fd, const struct content_ref *ref,
                          const struct secret *data_key, struct spool_reader **reader_out,
                          struct err *err)
{
    struct spool_shared file = {.fd = segment_fd};

    if (!check_ref(ref, err) || !check_length(&file, ref, err)) {
        close(segment_fd);
        return false;
    }
    *reader_out = reader_new(segment_fd, ref, data_key);
    return true;
}

bool spool__reader_open_shared(struct spool_shared *shared, const struct content_ref *ref,
                               const struct secret *data_key, struct spool_reader **reader_out,
                               struct err *err)
{
    if (!check_ref(ref, err) || !check_length(shared, ref, err))
        return false;
    *reader_out = reader_new(shared->fd, ref, data_key);
    (*reader_out)->shared = shared;
    shared->readers++;
    return true;
}

void spool_reader_close(struct spool_reader **reader)
{
    struct spool_reader *it = *reader;

    if (it == NULL)
        return;
    if (it->shared != NULL)
        it->shared->readers--;
    else
        close(it->fd);
    aead_free(&it->aead);
    explicit_bzero(it, sizeof *it + it->size);
    free(it);
    *reader = NULL;
}

uint64_t spool_reader_plain_bytes(const struct spool_reader *reader)
{
    return reader->ref.plain_bytes;
}

static bool read_fully(struct spool_reader *reader, uint64_t offset, size_t len,
                       struct err *err)
{
    for (size_t done = 0; done < len;) {
        ssize_t got =
            pread(reader->fd, reader->bytes + done, len - done, (off_t)(offset + done));

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return FAIL(err, ERR_TEMP, "cannot read a segment: %s", strerror(errno));
        if (got == 0)
            return FAIL(err, ERR_PERM, "content was cut off: the segment ends before it");
        done += (size_t)got;
    }
    return true;
}

/* Read and open the next chunk into reader->bytes. */
static bool open_chunk(struct spool_reader *reader, size_t *len_out, struct err *err)
{
    uint64_t before = (uint64_t)reader->chunk * SPOOL_SEALED_CHUNK_BYTES;
    bool is_last = reader->chunk == reader->chunks - 1;
    size_t sealed_len =
        is_last ? (size_t)(reader->ref.sealed_bytes - before) : SPOOL_SEALED_CHUNK_BYTES;
    uint8_t nonce[AEAD_NONCE_BYTES];

    if (!read_fully(reader, reader->ref.offset + before, sealed_len, err))
        return false;
    spool_chunk_nonce(reader->chunk, is_last, nonce);
    if (!aead_open(reader->aead, nonce, slice_of(spool_chunk_aad, SPOOL_AAD_BYTES),
                   slice_of(reader->bytes, sealed_len), reader->bytes)) {
        reader->is_damaged = true;
        return FAIL(err, ERR_PERM,
                    "content was changed, or this is not its key (chunk %u of %u)",
                    reader->chunk + 1, reader->chunks);
    }
    reader->chunk++;
    reader->is_end_proved = is_last;
    *len_out = sealed_len - AEAD_TAG_BYTES;
    return true;
}

bool spool_reader_next(struct spool_reader *reader, struct slice *plain_out, struct err *err)
{
    size_t len = 0, skip;

    if (reader->is_damaged)
        return FAIL(err, ERR_PERM, "content was changed");
    do {
        if (reader->is_end_proved) {
            *plain_out = (struct slice){NULL, 0};
            return true;
        }
        if (!open_chunk(reader, &len, err))
            return false;
        skip = reader->skip;
        reader->skip = 0;
    } while (len == skip);
    *plain_out = slice_of(reader->bytes + skip, len - skip);
    return true;
}

bool spool_reader_seek(struct spool_reader *reader, uint64_t plain_offset, struct err *err)
{
    uint64_t chunk = plain_offset / SPOOL_CHUNK_BYTES;

    if (plain_offset > reader->ref.plain_bytes)
        return FAIL(err, ERR_PERM, "the content ends before that place");
    /* The end of a message of whole chunks is the end of its last one. */
    if (chunk == reader->chunks)
        chunk--;
    reader->chunk = (uint32_t)chunk;
    reader->skip = (size_t)(plain_offset - chunk * SPOOL_CHUNK_BYTES);
    reader->is_end_proved = false;
    return true;
}
