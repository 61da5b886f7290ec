/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of a backup folder: what belongs to the backup, with sizes and SHA-256, as text:
 *
 *     postern-backup 1
 *     made 1763805600000
 *     server DIGEST
 *     database postern-0SA8M1A2M0022.db 40960 DIGEST
 *     piece queue 0123456789abcdef 0 81920 DIGEST
 *     piece queue 0123456789abcdef 81920 90112 DIGEST
 *     piece portal 0123456789abcdf0 0 12288 DIGEST
 *     master 88 DIGEST
 *     end DIGEST
 *
 * Segments only grow, so a later backup adds the piece that is new (from, to) and leaves the rest:
 * the pieces of a segment follow one another without a gap and stand together. Bytes behind the
 * last piece are of a backup that was broken off and count for nothing. `server` tells servers apart
 * (store_identity). `master` stands there when
 * master.key was taken. The last line's digest is over all lines before it. Pure.
 */
#ifndef POSTERN_MANIFEST_H
#define POSTERN_MANIFEST_H

#include "base/buffer.h"
#include "base/err.h"
#include "crypto/digest.h"
#include "spool/segment.h"

enum { MANIFEST_MAX_BYTES = 256 << 20, MANIFEST_NAME_SIZE = 64 };

#define MANIFEST_NAME "MANIFEST"
#define MANIFEST_MASTER_NAME "master.key"

struct manifest_piece {
    enum spool_kind kind;
    uint64_t segment, from, to;
    uint8_t digest[SHA256_BYTES];
};

struct manifest {
    int64_t made_ms;
    bool has_server;
    uint8_t server[SHA256_BYTES];
    char database_cstr[MANIFEST_NAME_SIZE]; /* "postern-ID.db" */
    uint64_t database_bytes;
    uint8_t database_digest[SHA256_BYTES];
    bool has_master;
    uint64_t master_bytes;
    uint8_t master_digest[SHA256_BYTES];
    struct manifest_piece *pieces;
    size_t piece_count, piece_cap;
};

void manifest_init(struct manifest *manifest);
void manifest_deinit(struct manifest *manifest);
/* Copied. */
void manifest_add(struct manifest *manifest, const struct manifest_piece *piece);
/* Where a segment's first piece stands, and how many there are; 0: none. */
size_t manifest_find(const struct manifest *manifest, enum spool_kind kind, uint64_t segment,
                     size_t *first_out);

/* False: `out` is full. */
MUST_CHECK bool manifest_write(const struct manifest *manifest, struct buffer *out);
/* ERR_PERM: not a manifest, of another version, cut off, changed, pieces that do not follow. */
MUST_CHECK bool manifest_parse(struct slice text, struct manifest *manifest_out,
                               struct err *err);
/* The database's name for a backup with this id. */
void manifest_database_name(uint64_t id, char name_out_cstr[MANIFEST_NAME_SIZE]);
/* True for such a name. */
bool manifest_is_database_name(struct slice name);

#endif
