/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tree of a message, read as a stream: bytes are pushed in pieces of any size, and a handler
 * is told of each part when its header is whole, of each leaf's body bytes as they stand (still
 * transfer-encoded, the line end before a boundary not counted), and of each part's end. Memory is
 * bounded by the limits below, whatever comes in; the work is linear. Nothing is refused that a
 * mail reader would show: an unclosed multipart ends with the message, a boundary of an outer part
 * ends the inner ones, a multipart nested too deep or without a boundary is a leaf. A message
 * inside a message (message/rfc822) is a leaf: its recipient opens it as a file. [RFC 2046 §5.1]
 *
 * Order of calls: on_part(0), then for a leaf on_body* and on_end; for a multipart the parts
 * inside it, then its on_end. Parts are numbered in the order of their headers.
 */
#ifndef FORMAT_MIME_READER_H
#define FORMAT_MIME_READER_H

#include "format/mime/header.h"

#include "base/err.h"

enum {
    MIME_DEPTH_MAX = 64,
    MIME_PARTS_MAX = 1000,
    MIME_ALL_HEADERS_MAX = 1024 * 1024, /* bytes of all header blocks together */
    MIME_NO_PART = -1,
};

struct mime_part {
    int index;
    int parent; /* MIME_NO_PART for the message itself */
    int depth;  /* 0 for the message itself */
    bool is_multipart;
    bool in_digest; /* the default type is message/rfc822 [RFC 2046 §5.1.5] */
    struct slice
        header; /* the block with its empty line, if it had one; valid during the call */
    uint64_t header_offset; /* bytes from the start of the message */
    uint64_t body_offset;
};

/* Each may be NULL. False ends the reading: set `err`. */
struct mime_handler {
    void *context;
    bool (*on_part)(void *context, const struct mime_part *part, struct err *err);
    bool (*on_body)(void *context, int index, struct slice raw, struct err *err);
    /* body_end: offset of the first byte behind the part's body. */
    bool (*on_end)(void *context, int index, uint64_t body_end, struct err *err);
};

struct mime_reader;

/* The handler is copied. Owned by the caller: mime_reader_free. */
struct mime_reader *mime_reader_new(const struct mime_handler *handler);
/* NULL is fine. What was held of the message is wiped. */
void mime_reader_free(struct mime_reader **reader);

/*
 * Errors  ERR_PERM: a header block, the sum of them or the number of parts over its limit; and
 *         whatever the handler says. The reader is then of no further use.
 */
MUST_CHECK bool mime_reader_push(struct mime_reader *reader, struct slice bytes,
                                 struct err *err);
/* The message is whole: ends what is still open. Errors as above. */
MUST_CHECK bool mime_reader_end(struct mime_reader *reader, struct err *err);

#endif
