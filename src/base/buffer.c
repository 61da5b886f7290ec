/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_STORAGE_BYTES = 512 };

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    *buffer = (struct buffer){.max = max_bytes};
}

void buffer_deinit(struct buffer *buffer)
{
    free(buffer->at);
    *buffer = (struct buffer){0};
}

void buffer_wipe(struct buffer *buffer)
{
    if (buffer->at != NULL)
        explicit_bzero(buffer->at, buffer->cap);
    buffer_deinit(buffer);
}

/*
 * Make `len` more bytes fit behind the live ones. They are moved to the front only when at least as
 * many have been consumed, else the storage grows: so each byte is moved a bounded number of times,
 * also by a peer that makes us consume a full buffer byte by byte.
 */
static void make_room(struct buffer *buffer, size_t len)
{
    size_t live = buffer_len(buffer);
    size_t cap = buffer->cap == 0 ? FIRST_STORAGE_BYTES : buffer->cap;
    bool may_shift = buffer->begin >= live;

    if (may_shift && buffer->begin > 0) {
        memmove(buffer->at, buffer->at + buffer->begin, live);
        buffer->begin = 0;
        buffer->end = live;
    }
    while (cap < buffer->end + len)
        cap *= 2;
    if (cap != buffer->cap) {
        buffer->at = realloc(buffer->at, cap);
        must(buffer->at != NULL);
        buffer->cap = cap;
    }
}

uint8_t *buffer_reserve(struct buffer *buffer, size_t len)
{
    if (len > buffer_room(buffer))
        return NULL;
    if (buffer->at == NULL || buffer->cap - buffer->end < len)
        make_room(buffer, len);
    return buffer->at + buffer->end;
}

void buffer_commit(struct buffer *buffer, size_t len)
{
    must(buffer->cap - buffer->end >= len);
    buffer->end += len;
}

bool buffer_append(struct buffer *buffer, struct slice bytes)
{
    uint8_t *to = buffer_reserve(buffer, bytes.len);

    if (to == NULL)
        return false;
    if (bytes.len > 0)
        memcpy(to, bytes.at, bytes.len);
    buffer_commit(buffer, bytes.len);
    return true;
}

bool buffer_append_byte(struct buffer *buffer, uint8_t byte)
{
    return buffer_append(buffer, slice_of(&byte, 1));
}

bool buffer_append_vformat(struct buffer *buffer, const char *format_cstr, va_list args)
{
    va_list again;
    int len;
    uint8_t *to;

    va_copy(again, args);
    len = vsnprintf(NULL, 0, format_cstr, again);
    va_end(again);
    must(len >= 0);
    /* vsnprintf ends with a NUL: reserve it, but never count it. */
    if ((size_t)len > buffer_room(buffer))
        return false;
    if (buffer->at == NULL || buffer->cap - buffer->end < (size_t)len + 1)
        make_room(buffer, (size_t)len + 1);
    to = buffer->at + buffer->end;
    vsnprintf((char *)to, (size_t)len + 1, format_cstr, args);
    buffer_commit(buffer, (size_t)len);
    return true;
}

bool buffer_append_format(struct buffer *buffer, const char *format_cstr, ...)
{
    va_list args;
    bool fits;

    va_start(args, format_cstr);
    fits = buffer_append_vformat(buffer, format_cstr, args);
    va_end(args);
    return fits;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    must(len <= buffer_len(buffer));
    buffer->begin += len;
    if (buffer->begin == buffer->end)
        buffer_clear(buffer);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->begin = buffer->end = 0;
}

void buffer_clear_wiped(struct buffer *buffer)
{
    /* Live bytes end at `end`; those before `begin` were consumed and may be secret too. */
    if (buffer->at != NULL)
        explicit_bzero(buffer->at, buffer->end);
    buffer_clear(buffer);
}

void buffer_truncate(struct buffer *buffer, size_t len)
{
    must(len <= buffer_len(buffer));
    buffer->end = buffer->begin + len;
}

void buffer_release_if_empty(struct buffer *buffer)
{
    size_t max = buffer->max;

    if (buffer_len(buffer) == 0 && buffer->at != NULL) {
        buffer_deinit(buffer);
        buffer->max = max;
    }
}
