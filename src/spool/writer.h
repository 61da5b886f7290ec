/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing content. One writer per process and directory; any number of messages are written through
 * it at the same time: begin, write as the bytes come, then finish or abort. A message up to
 * solo_bytes is collected in memory (nothing is allocated before its first byte), sealed when it is
 * finished and appended to the writer's open segment by one write(). A larger one, or one that comes
 * while too much memory is in use, gets a segment of its own and is sealed chunk by chunk as it
 * comes. The writer never reads, and keeps nothing with which it could: the data key is wrapped
 * under the epoch key, handed to the caller and forgotten.
 *
 * Nothing is on disk for good until spool_writer_sync says so: whoever finishes messages calls it once for
 * all that have gathered, and only then tells the keeper of them. So the disk's time is spent in the process
 * that wrote, while the keeper commits what came before (doc/decisions/0004). A segment that could not be
 * written or synced is closed, and the next message starts another.
 */
#ifndef SPOOL_WRITER_H
#define SPOOL_WRITER_H

#include "base/err.h"
#include "base/id.h"
#include "crypto/recipient_key.h"
#include "spool/content.h"
#include "spool/segment.h"

struct spool_limits {
    uint64_t segment_bytes; /* a new segment from here on; default 64 MiB */
    int64_t segment_age_ms; /* or from here on; default 10 minutes */
    uint64_t solo_bytes;    /* larger messages stand alone; default 256 KiB, 64 KiB..16 MiB */
    /*
     * Plaintext collected by all messages together; default 64 MiB. Above it messages over 64 KiB
     * stand alone at once; above twice as much they are refused for now.
     */
    uint64_t memory_bytes;
};
/* Zero in a field of spool_limits means its default. */

struct spool_writer;
struct spool_message;

/*
 * dir_fd        the segments' directory, duplicated
 * ids           borrowed: segment ids come from the process's own maker
 * certificate   borrowed: must outlive the writer
 * limits        NULL = all defaults
 * Creates no file before the first message is finished. Never fails.
 */
struct spool_writer *spool_writer_open(int dir_fd, enum spool_kind kind, struct id_maker *ids,
                                       const struct recipient_certificate *certificate,
                                       const struct spool_limits *limits);
/* All messages must be finished or aborted before. Wipes the epoch key. */
void spool_writer_close(struct spool_writer **writer);
/*
 * Once in a while from a timer (a second or a minute): closes a segment that is too old, so that the
 * keeper can remove it. now_ms: unix milliseconds.
 */
void spool_writer_tick(struct spool_writer *writer, int64_t now_ms);
/*
 * Make every message durable that was finished since the last call; costs nothing when there is none.
 * Blocks for the time the disk takes. False: ERR_TEMP (452 4.3.1), and none of those messages may be told
 * of; their segment is given up, and for a second no other is begun, so that a disk in trouble is not filled
 * with segments.
 */
MUST_CHECK bool spool_writer_sync(struct spool_writer *writer, struct err *err);

/* Begin a message; costs about 100 bytes. The writer must outlive it. */
struct spool_message *spool_message_begin(struct spool_writer *writer);
/*
 * Before the first byte: seal under this key instead of a fresh one. Then ref_out->wrapped_key is all
 * zeros: keeping the key, wrapped in some other way, is the caller's business. A key that is used for
 * two messages gives both away: draw a new one each time.
 */
void spool_message_set_key(struct spool_message *message, const struct secret *data_key);
/*
 * Add bytes. ERR_TEMP (452 4.3.1): no space, a failing disk, or too much memory in use; then only
 * abort is left.
 */
MUST_CHECK bool spool_message_write(struct spool_message *message, struct slice bytes,
                                    struct err *err);
/* Bytes added so far. */
uint64_t spool_message_bytes(const struct spool_message *message);
/*
 * Seal what is left and tell where the content stands. The message is freed in both cases and the
 * pointer cleared. False: ERR_TEMP (452 4.3.1) as above, and nothing stays behind.
 */
MUST_CHECK bool spool_message_finish(struct spool_message **message,
                                     struct content_ref *ref_out, struct err *err);
/*
 * Small content need not lie in a segment of this writer: sealed, with its data key, it fits into a message
 * to the keeper, which places it (spool_writer_place) in one write and one sync with everybody else's.
 */
struct spool_parcel {
    struct slice sealed; /* a view into the writer's memory until its next call */
    uint64_t plain_bytes;
    struct secret data_key; /* wipe it */
};
/* Collected in memory so far, at most solo_bytes, and no key set from outside? */
bool spool_message_is_small(const struct spool_message *message);
/* Seal a small message into a parcel instead of finishing it. It is freed and the pointer cleared. */
void spool_message_seal(struct spool_message **message, struct spool_parcel *parcel_out);
/*
 * Append a parcel to this writer's open segment and wrap its key under the segment's epoch key. Durable after
 * spool_writer_sync, like all that is finished. ERR_TEMP (452 4.3.1) as spool_message_finish; ERR_PEER: too
 * large or too small for a parcel.
 */
MUST_CHECK bool spool_writer_place(struct spool_writer *writer,
                                   const struct spool_parcel *parcel,
                                   struct content_ref *ref_out, struct err *err);
/* Give up: frees and wipes. NULL inside is fine. */
void spool_message_abort(struct spool_message **message);

#endif
