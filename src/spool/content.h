/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where sealed content stands and the key that opens it, wrapped. This value travels between
 * processes and lives in the database row of its message: destroying wrapped_key there shreds the
 * content, whatever backups of the segment exist.
 */
#ifndef SPOOL_CONTENT_H
#define SPOOL_CONTENT_H

#include "crypto/keywrap.h"

struct content_ref {
    uint64_t segment;                   /* the segment's id, see spool/segment.h */
    uint64_t offset;                    /* of the first sealed byte in the segment */
    uint64_t sealed_bytes;              /* length in the segment */
    uint64_t plain_bytes;               /* length of the content itself */
    uint8_t wrapped_key[KEYWRAP_BYTES]; /* the data key under the segment's epoch key */
};

enum {
    SPOOL_CHUNK_BYTES = 65536, /* plaintext in every chunk but the last */
    SPOOL_SEALED_CHUNK_BYTES = SPOOL_CHUNK_BYTES + 16,
};

#endif
