/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments: append-only files of sealed content. A segment starts with a header of 4096 bytes;
 * numbers are big endian:
 *
 *      0   8  magic "PSTNSEG1"
 *      8   4  format version, 1
 *     12   4  kind: 1 queue, 2 portal
 *     16   8  segment id (base/id.h); the file is named by it, 16 hex digits and ".seg"
 *     24   8  creation time, unix milliseconds
 *     32   4  L, length of the sealed epoch key (1..RECIPIENT_SEALED_MAX_BYTES)
 *     36   L  epoch key, CMS EnvelopedData DER for the keeper's certificate (crypto/recipient_key.h)
 *   36+L  ..  zeros
 *   4064  32  SHA-256 of the 4064 bytes before it (against disk faults; against people there is AEAD)
 *
 * Then messages follow one another. A message is a run of chunks without anything between them:
 * each is AES-256-GCM of 65536 bytes of plaintext (the last: 0..65536) followed by its 16-byte tag.
 * An empty message is one chunk of no bytes; a message of n > 0 bytes has ceil(n / 65536) chunks.
 *
 *     key    32 random bytes per message; RFC 3394 wrapped under the epoch key in the message's row
 *     nonce  7 zero bytes, chunk number (4), 1 for the last chunk else 0 (1)
 *     aad    "PSTNMSG1"; not the place: a data key seals one message only, so content that was moved elsewhere
 *            does not open there, and small content is sealed before anybody knows its place
 *
 * so chunks cannot be cut off, repeated, reordered, or moved to another place without being noticed.
 *
 * A writer holds an exclusive flock on its open segment: a segment whose lock can be had gets no more
 * messages. After a disaster: cut the DER out of the header (`tail -c +37 FILE | head -c L`), open it
 * with `openssl cms -decrypt`; the rest is AES-KW and AES-GCM as above.
 */
#ifndef SPOOL_SEGMENT_H
#define SPOOL_SEGMENT_H

#include "base/err.h"
#include "crypto/aead.h"
#include "crypto/recipient_key.h"
#include "spool/content.h"

enum spool_kind { SPOOL_QUEUE = 1, SPOOL_PORTAL = 2 };

enum {
    SPOOL_HEADER_BYTES = 4096,
    SPOOL_NAME_SIZE = 16 + 4 + 1,
    SPOOL_AAD_BYTES = 8,
};

struct spool_header {
    uint64_t id;
    enum spool_kind kind;
    int64_t created_ms;              /* unix milliseconds */
    uint32_t sealed_epoch_key_bytes; /* length of the next */
    uint8_t sealed_epoch_key[RECIPIENT_SEALED_MAX_BYTES];
};

/* Lay out the header, checksum included. */
void spool_header_write(const struct spool_header *header,
                        uint8_t bytes_out[SPOOL_HEADER_BYTES]);
/* ERR_PERM: too short, not a segment, another version, a field out of range, checksum wrong. */
MUST_CHECK bool spool_header_parse(struct slice bytes, struct spool_header *header_out,
                                   struct err *err);

void spool_segment_name(uint64_t segment, char name_out_cstr[SPOOL_NAME_SIZE]);
/* False for any name that spool_segment_name does not make. */
MUST_CHECK bool spool_segment_name_parse(const char *name_cstr, uint64_t *segment_out);

/*
 * Read and check the header of a segment in directory dir_fd. ERR_PERM: as spool_header_parse, the
 * file does not exist, or its id is not its name. ERR_TEMP: cannot read.
 */
MUST_CHECK bool spool_segment_read(int dir_fd, uint64_t segment,
                                   struct spool_header *header_out, struct err *err);

struct spool_segment_info {
    uint64_t segment;
    uint64_t size_bytes;
};
/*
 * Every segment of the directory by name, in no order, without opening them. Other files are passed
 * over. *list_out is from malloc: free() it. ERR_TEMP: the directory cannot be read.
 */
MUST_CHECK bool spool_segment_list(int dir_fd, struct spool_segment_info **list_out,
                                   size_t *count_out, struct err *err);

enum spool_removal { SPOOL_REMOVED, SPOOL_IN_USE, SPOOL_REMOVAL_FAILED };
/*
 * Unlink a segment that nothing refers to any more. IN_USE: a writer still has it open; ask again
 * later. A file that is gone already counts as removed. Call spool_checker_forget first: a message
 * that arrives for it afterwards is then refused, never lost. Leave segments alone whose id is
 * younger than a few minutes (id_time_ms): their writer may just be telling. FAILED: err is ERR_TEMP.
 */
enum spool_removal spool_segment_remove(int dir_fd, uint64_t segment, struct err *err);

/* The nonce and additional data of one chunk, for writer and reader. */
void spool_chunk_nonce(uint32_t chunk, bool is_last, uint8_t nonce_out[AEAD_NONCE_BYTES]);
extern const uint8_t spool_chunk_aad[SPOOL_AAD_BYTES];
/* Length in the segment of a message of plain_bytes. */
uint64_t spool_sealed_bytes(uint64_t plain_bytes);

#endif
