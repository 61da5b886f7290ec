/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/segment.h"

#include "base/number.h"
#include "crypto/digest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    VERSION = 1,
    VERSION_AT = 8,
    KIND_AT = 12,
    ID_AT = 16,
    CREATED_AT = 24,
    KEY_LENGTH_AT = 32,
    KEY_AT = 36,
    CHECKSUM_AT = SPOOL_HEADER_BYTES - SHA256_BYTES,
};
_Static_assert(KEY_AT + RECIPIENT_SEALED_MAX_BYTES <= CHECKSUM_AT,
               "a sealed key fits the header");

static const char segment_magic[8] = {'P', 'S', 'T', 'N', 'S', 'E', 'G', '1'};
const uint8_t spool_chunk_aad[SPOOL_AAD_BYTES] = {'P', 'S', 'T', 'N', 'M', 'S', 'G', '1'};
static const char suffix_cstr[] = ".seg";

void spool_header_write(const struct spool_header *header,
                        uint8_t bytes_out[SPOOL_HEADER_BYTES])
{
    must(header->sealed_epoch_key_bytes >= 1 &&
         header->sealed_epoch_key_bytes <= RECIPIENT_SEALED_MAX_BYTES);
    memset(bytes_out, 0, SPOOL_HEADER_BYTES);
    memcpy(bytes_out, segment_magic, sizeof segment_magic);
    number_put_big(bytes_out + VERSION_AT, VERSION, 4);
    number_put_big(bytes_out + KIND_AT, header->kind, 4);
    number_put_big(bytes_out + ID_AT, header->id, 8);
    number_put_big(bytes_out + CREATED_AT, (uint64_t)header->created_ms, 8);
    number_put_big(bytes_out + KEY_LENGTH_AT, header->sealed_epoch_key_bytes, 4);
    memcpy(bytes_out + KEY_AT, header->sealed_epoch_key, header->sealed_epoch_key_bytes);
    sha256(slice_of(bytes_out, CHECKSUM_AT), bytes_out + CHECKSUM_AT);
}

bool spool_header_parse(struct slice bytes, struct spool_header *header_out, struct err *err)
{
    uint8_t digest[SHA256_BYTES];
    uint64_t kind, key_bytes;

    if (bytes.len < SPOOL_HEADER_BYTES ||
        memcmp(bytes.at, segment_magic, sizeof segment_magic) != 0)
        return FAIL(err, ERR_PERM, "not a segment: too short, or another kind of file");
    sha256(slice_of(bytes.at, CHECKSUM_AT), digest);
    if (memcmp(digest, bytes.at + CHECKSUM_AT, sizeof digest) != 0)
        return FAIL(err, ERR_PERM, "segment header damaged: checksum differs");
    if (number_get_big(bytes.at + VERSION_AT, 4) != VERSION)
        return FAIL(err, ERR_PERM, "segment has format version %u, this program knows %d",
                    (unsigned)number_get_big(bytes.at + VERSION_AT, 4), VERSION);
    kind = number_get_big(bytes.at + KIND_AT, 4);
    key_bytes = number_get_big(bytes.at + KEY_LENGTH_AT, 4);
    if (kind != SPOOL_QUEUE && kind != SPOOL_PORTAL)
        return FAIL(err, ERR_PERM, "segment header: unknown kind");
    if (key_bytes < 1 || key_bytes > RECIPIENT_SEALED_MAX_BYTES)
        return FAIL(err, ERR_PERM, "segment header: key length out of range");
    header_out->id = number_get_big(bytes.at + ID_AT, 8);
    header_out->kind = kind == SPOOL_QUEUE ? SPOOL_QUEUE : SPOOL_PORTAL;
    header_out->created_ms = (int64_t)number_get_big(bytes.at + CREATED_AT, 8);
    header_out->sealed_epoch_key_bytes = (uint32_t)key_bytes;
    memcpy(header_out->sealed_epoch_key, bytes.at + KEY_AT, key_bytes);
    return true;
}

void spool_segment_name(uint64_t segment, char name_out_cstr[SPOOL_NAME_SIZE])
{
    snprintf(name_out_cstr, SPOOL_NAME_SIZE, "%016llx%s", (unsigned long long)segment,
             suffix_cstr);
}

bool spool_segment_name_parse(const char *name_cstr, uint64_t *segment_out)
{
    char again_cstr[SPOOL_NAME_SIZE];
    uint64_t segment = 0;

    if (strlen(name_cstr) != SPOOL_NAME_SIZE - 1)
        return false;
    for (int i = 0; i < 16; i++) {
        char digit = name_cstr[i];

        segment = segment << 4 | (uint64_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
    }
    /* Whatever was not a digit, the name made from the number then differs. */
    spool_segment_name(segment, again_cstr);
    if (segment == 0 || strcmp(again_cstr, name_cstr) != 0)
        return false;
    *segment_out = segment;
    return true;
}

/* Fill the whole array from the start of the file; the number of bytes that were there, or -1. */
static ssize_t read_head(int fd, uint8_t bytes_out[SPOOL_HEADER_BYTES])
{
    size_t len = 0;

    while (len < SPOOL_HEADER_BYTES) {
        ssize_t got = pread(fd, bytes_out + len, SPOOL_HEADER_BYTES - len, (off_t)len);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

bool spool_segment_read(int dir_fd, uint64_t segment, struct spool_header *header_out,
                        struct err *err)
{
    char name_cstr[SPOOL_NAME_SIZE];
    uint8_t bytes[SPOOL_HEADER_BYTES];
    ssize_t len;
    int fd, error;

    spool_segment_name(segment, name_cstr);
    fd = openat(dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return FAIL(err, ERR_PERM, "segment %s does not exist", name_cstr);
    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot open segment %s: %s", name_cstr, strerror(errno));
    len = read_head(fd, bytes);
    error = errno;
    close(fd);
    if (len < 0)
        return FAIL(err, ERR_TEMP, "cannot read segment %s: %s", name_cstr, strerror(error));
    if (!spool_header_parse(slice_of(bytes, (size_t)len), header_out, err))
        return false;
    if (header_out->id != segment)
        return FAIL(err, ERR_PERM, "segment %s has another segment's header", name_cstr);
    return true;
}

static bool add_to_list(int dir_fd, const char *name_cstr, struct spool_segment_info **list,
                        size_t *count, size_t *room)
{
    uint64_t segment;
    struct stat status;

    if (!spool_segment_name_parse(name_cstr, &segment))
        return true;
    if (fstatat(dir_fd, name_cstr, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT; /* removed while we looked */
    if (!S_ISREG(status.st_mode))
        return true;
    if (*count == *room) {
        *room = *room == 0 ? 64 : *room * 2;
        *list = reallocarray(*list, *room, sizeof **list);
        must(*list != NULL);
    }
    (*list)[(*count)++] = (struct spool_segment_info){segment, (uint64_t)status.st_size};
    return true;
}

bool spool_segment_list(int dir_fd, struct spool_segment_info **list_out, size_t *count_out,
                        struct err *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct spool_segment_info *list = NULL;
    size_t count = 0, room = 0;
    struct dirent *entry = NULL;
    bool listed;

    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return FAIL(err, ERR_TEMP, "cannot read the segments' folder: %s", strerror(errno));
    }
    do {
        errno = 0;
        entry = readdir(folder);
        listed = entry == NULL ? errno == 0
                               : add_to_list(dir_fd, entry->d_name, &list, &count, &room);
    } while (listed && entry != NULL);
    if (!listed) {
        FAIL(err, ERR_TEMP, "cannot read the segments' folder: %s", strerror(errno));
        free(list);
    } else {
        *list_out = list;
        *count_out = count;
    }
    closedir(folder);
    return listed;
}

enum spool_removal spool_segment_remove(int dir_fd, uint64_t segment, struct err *err)
{
    enum spool_removal result = SPOOL_REMOVED;
    char name_cstr[SPOOL_NAME_SIZE];
    int fd;

    spool_segment_name(segment, name_cstr);
    fd = openat(dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return SPOOL_REMOVED;
    if (fd < 0) {
        FAIL(err, ERR_TEMP, "cannot open segment %s: %s", name_cstr, strerror(errno));
        return SPOOL_REMOVAL_FAILED;
    }
    /* The lock is held until the name is gone: a writer that comes between notices it. */
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        result = SPOOL_IN_USE;
    } else if (unlinkat(dir_fd, name_cstr, 0) != 0 && errno != ENOENT) {
        FAIL(err, ERR_TEMP, "cannot remove segment %s: %s", name_cstr, strerror(errno));
        result = SPOOL_REMOVAL_FAILED;
    }
    close(fd);
    return result;
}

void spool_chunk_nonce(uint32_t chunk, bool is_last, uint8_t nonce_out[AEAD_NONCE_BYTES])
{
    memset(nonce_out, 0, AEAD_NONCE_BYTES);
    number_put_big(nonce_out + 7, chunk, 4);
    nonce_out[11] = is_last ? 1 : 0;
}

uint64_t spool_sealed_bytes(uint64_t plain_bytes)
{
    uint64_t chunks = plain_bytes / SPOOL_CHUNK_BYTES + (plain_bytes % SPOOL_CHUNK_BYTES != 0);

    return plain_bytes + (chunks == 0 ? 1 : chunks) * AEAD_TAG_BYTES;
}
