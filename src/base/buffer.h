/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing run of bytes with a ceiling given at birth. Append at the end, consume from the front.
 * Crossing the ceiling is an ordinary `false` that the caller must handle (a peer sent too much);
 * only the machine running out of memory ends the process. `struct buffer` is owned by whoever
 * embeds it: buffer_init .. buffer_deinit. Views from buffer_view die at the next change.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/slice.h"

#include <stdarg.h>

struct buffer {
    uint8_t *at;  /* storage, NULL until the first byte */
    size_t begin; /* first live byte */
    size_t end;   /* one past the last live byte */
    size_t cap;   /* bytes of storage */
    size_t max;   /* ceiling of end - begin */
};

/* An empty buffer that will never hold more than max_bytes. Allocates nothing. */
void buffer_init(struct buffer *buffer, size_t max_bytes);
/* Free the storage and zero the struct. Safe on a zeroed struct. */
void buffer_deinit(struct buffer *buffer);
/* Like buffer_deinit, but the bytes are wiped first: for secrets and plaintext. */
void buffer_wipe(struct buffer *buffer);

/* Live bytes. */
static inline struct slice buffer_view(const struct buffer *buffer)
{
    return (struct slice){buffer->at == NULL ? NULL : buffer->at + buffer->begin,
                          buffer->end - buffer->begin};
}
static inline size_t buffer_len(const struct buffer *buffer)
{
    return buffer->end - buffer->begin;
}
/* Bytes that may still be appended below the ceiling. */
static inline size_t buffer_room(const struct buffer *buffer)
{
    return buffer->max - buffer_len(buffer);
}

/* Append; false (and nothing appended) when the ceiling would be crossed. */
MUST_CHECK bool buffer_append(struct buffer *buffer, struct slice bytes);
MUST_CHECK bool buffer_append_byte(struct buffer *buffer, uint8_t byte);
/* printf into the buffer; false as above. */
MUST_CHECK bool buffer_append_format(struct buffer *buffer, const char *format_cstr, ...)
    FORMAT_LIKE(2, 3);
MUST_CHECK bool buffer_append_vformat(struct buffer *buffer, const char *format_cstr,
                                      va_list args) FORMAT_LIKE(2, 0);

/*
 * Room for `len` more bytes, to be written at the returned address (for read()); then
 * buffer_commit() says how many were written. NULL when the ceiling would be crossed.
 */
MUST_CHECK uint8_t *buffer_reserve(struct buffer *buffer, size_t len);
void buffer_commit(struct buffer *buffer, size_t len);

/* Drop `len` bytes (at most buffer_len) from the front. Cost: no copy. */
void buffer_consume(struct buffer *buffer, size_t len);
/* Drop everything, keep the storage. */
void buffer_clear(struct buffer *buffer);
/* Like buffer_clear, but the bytes are wiped first. */
void buffer_clear_wiped(struct buffer *buffer);
/* Keep only the first `len` bytes. */
void buffer_truncate(struct buffer *buffer, size_t len);
/* Give the storage back when the buffer is empty: an idle session should cost nothing. */
void buffer_release_if_empty(struct buffer *buffer);

#endif
