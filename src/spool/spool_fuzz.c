/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A segment as somebody with the disk could leave it. The input is a header followed by content; it
 * is read as it is, and a second time after its content was really sealed and then damaged as the
 * input says: what comes out must be the content or a refusal.
 */
#include "spool/keyring.h"
#include "spool/reader.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct secret data_key = {{1, 2, 3}};

/* A file in memory with a header's worth of nothing and then these bytes; the reader will own it. */
static int file_of(struct slice bytes)
{
    int fd = memfd_create("segment", MFD_CLOEXEC);

    must(fd >= 0 && pwrite(fd, bytes.at, bytes.len, SPOOL_HEADER_BYTES) == (ssize_t)bytes.len);
    return fd;
}

/* Read all; what comes must be the front of `plain`, and all of it when the reader says so. */
static void read_all(struct slice sealed, struct slice plain)
{
    struct content_ref ref = {.segment = 1,
                              .offset = SPOOL_HEADER_BYTES,
                              .sealed_bytes = spool_sealed_bytes(plain.len),
                              .plain_bytes = plain.len};
    struct spool_reader *reader = NULL;
    struct slice got = {NULL, 0};

    if (!spool_reader_open_fd(file_of(sealed), &ref, &data_key, &reader, NULL))
        return;
    while (spool_reader_next(reader, &got, NULL)) {
        if (got.len == 0) {
            must(plain.len == 0);
            break;
        }
        must(got.len <= plain.len && memcmp(got.at, plain.at, got.len) == 0);
        plain = slice_from(plain, got.len);
    }
    spool_reader_close(&reader);
}

static void seal(struct slice plain, uint8_t *out)
{
    struct aead *aead = aead_new(&data_key);
    uint8_t nonce[AEAD_NONCE_BYTES];
    uint32_t chunk = 0;
    bool is_last;

    do {
        struct slice piece = slice_head(plain, SPOOL_CHUNK_BYTES);

        is_last = piece.len == plain.len;
        spool_chunk_nonce(chunk++, is_last, nonce);
        aead_seal(aead, nonce, slice_of(spool_chunk_aad, SPOOL_AAD_BYTES), piece, out);
        out += piece.len + AEAD_TAG_BYTES;
        plain = slice_from(plain, piece.len);
    } while (!is_last);
    aead_free(&aead);
}

static void parse_header(struct slice bytes)
{
    static struct recipient_key *key;
    struct spool_header header;
    struct secret epoch;
    uint8_t again[SPOOL_HEADER_BYTES];

    if (key == NULL)
        must(recipient_key_generate("fuzz", &key, NULL));
    /* Past the checksum too: the key as DER from a stranger. */
    if (bytes.len > 0 && bytes.len <= RECIPIENT_SEALED_MAX_BYTES)
        must(!recipient_open(key, bytes, &epoch, NULL));
    if (!spool_header_parse(bytes, &header, NULL))
        return;
    spool_header_write(&header, again);
    must(spool_header_parse(slice_of(again, sizeof again), &header, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size), plain = slice_from(input, 4);
    uint64_t sealed_len = spool_sealed_bytes(plain.len);
    uint8_t *sealed = malloc(sealed_len);

    must(sealed != NULL);
    parse_header(input);
    read_all(input, slice_head(input, size > AEAD_TAG_BYTES ? size - AEAD_TAG_BYTES : 0));
    seal(plain, sealed);
    read_all(slice_of(sealed, sealed_len), plain);
    if (size >= 4) {
        uint64_t place =
            ((uint64_t)data[0] << 16 | (uint64_t)data[1] << 8 | data[2]) % sealed_len;

        sealed[place] ^= data[3];
        read_all(slice_of(sealed, sealed_len), plain);
        read_all(slice_of(sealed, place), plain);
    }
    free(sealed);
    return 0;
}
