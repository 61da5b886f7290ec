/* SPDX-License-Identifier: Apache-2.0 */
/* The Date field's value, always in UTC: where the server stands is nobody's business. */
#ifndef FORMAT_MIME_DATE_H
#define FORMAT_MIME_DATE_H

#include "base/buffer.h"

/* Append "Sun, 22 Nov 2026 06:52:39 +0000". unix_seconds 0..253402300799. [RFC 5322 §3.3] */
MUST_CHECK bool mime_date_append(struct buffer *out, int64_t unix_seconds);
/* Append "22 November 2026" for people. Same range. */
MUST_CHECK bool mime_day_append(struct buffer *out, int64_t unix_seconds);

#endif
