/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gzip, whole buffers at once: what we send is small, and what strangers send is unpacked into a buffer with a
 * ceiling, so that a few bytes cannot become a gigabyte. [RFC 1952]
 */
#ifndef PROTECT_GZIP_H
#define PROTECT_GZIP_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    GZIP_FREE_BYTES = 1 << 20, /* unpacked; beyond these it may not grow more than … times */
    GZIP_RATIO_MAX = 200
};

/* Append the packed bytes. ERR_PERM: they do not fit into `out`. */
MUST_CHECK bool gzip_pack(struct slice plain, struct buffer *out, struct err *err);
/*
 * Append what the first member holds; what stands behind it is not looked at. ERR_PEER: not gzip, damaged, cut off, or
 * larger than `out` or the ratio allows.
 */
MUST_CHECK bool gzip_unpack(struct slice packed, struct buffer *out, struct err *err);

#endif
