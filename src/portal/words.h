/* SPDX-License-Identifier: Apache-2.0 */
/* Values made fit for people and for header fields: sizes, days, file names. Pure. */
#ifndef PORTAL_WORDS_H
#define PORTAL_WORDS_H

#include "base/buffer.h"

enum { WORDS_FILENAME_MAX = 150 };

/* Append "17 bytes", "4.2 KB", "25 MB". */
MUST_CHECK bool words_size(struct buffer *out, uint64_t bytes);
/* Append "22 November 2026". */
MUST_CHECK bool words_day(struct buffer *out, int64_t unix_ms);
/* Append "22 November 2026, 06:52 UTC". */
MUST_CHECK bool words_moment(struct buffer *out, int64_t unix_ms);
/* Whole minutes, rounded up, at least 1. */
uint64_t words_minutes(int64_t ms);
/*
 * Append a stranger's file name made harmless: no path, no control or bidirectional characters, no
 * dot at its start, at most WORDS_FILENAME_MAX bytes; "attachment-N" when nothing is left.
 */
MUST_CHECK bool words_filename(struct buffer *out, struct slice name, uint64_t number);
/*
 * Append the value of Content-Disposition for a file with a harmless name (from words_filename):
 * attachment, with a plain ASCII name and the real one. [RFC 6266 §4] [RFC 8187 §3.2]
 */
MUST_CHECK bool words_disposition(struct buffer *out, struct slice name);
/* A type that a browser may know of a file it saves; all others are application/octet-stream. */
const char *words_file_type(struct slice type);

#endif
