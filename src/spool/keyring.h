/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening data keys: what the keeper alone can do. A segment's epoch key is opened with the private
 * key once and kept in a small cache; the data keys of its messages are unwrapped with it. After a
 * change of the master key the older pairs stay in the ring for the segments they sealed.
 */
#ifndef SPOOL_KEYRING_H
#define SPOOL_KEYRING_H

#include "base/err.h"
#include "crypto/recipient_key.h"
#include "spool/content.h"
#include "spool/segment.h"

/* Open a header's epoch key. ERR_PERM: sealed for another key, or changed. */
MUST_CHECK bool spool_epoch_open(const struct spool_header *header,
                                 const struct recipient_key *key, struct secret *epoch_key_out,
                                 struct err *err);
/* Unwrap one data key. ERR_PERM: wrapped under another epoch key, or changed. */
MUST_CHECK bool spool_data_key_unwrap(const struct secret *epoch_key,
                                      const uint8_t wrapped[KEYWRAP_BYTES],
                                      struct secret *data_key_out, struct err *err);

struct spool_keyring;
/* dir_fd: the segments' directory, duplicated. Start with no key, then add at least one. */
struct spool_keyring *spool_keyring_new(int dir_fd);
/* Borrowed: must outlive the ring. Tried in the order added: the present key first. At most 16. */
void spool_keyring_add(struct spool_keyring *ring, const struct recipient_key *key);
/* Wipes the cache. */
void spool_keyring_free(struct spool_keyring **ring);

/*
 * The data key of a message. ERR_PERM: segment missing or damaged, sealed for a key not in the ring,
 * wrapped key damaged. ERR_TEMP: the segment cannot be read now. Cost: 1 µs when the segment's
 * epoch is cached, else about 0.3 ms and one read. Wipe data_key_out after use.
 */
MUST_CHECK bool spool_keyring_open(struct spool_keyring *ring, const struct content_ref *ref,
                                   struct secret *data_key_out, struct err *err);
/* The segment has been removed: drop what is cached of it. */
void spool_keyring_forget(struct spool_keyring *ring, uint64_t segment);

#endif
