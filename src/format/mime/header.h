/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header fields as they stand in a message: views into the caller's bytes, byte-exact, folding
 * included. Line ends may be CRLF or a bare LF (mail from files has those); nothing is repaired.
 * A line that is no field and no continuation is handed out too, with an empty name, so that the
 * raw views of a block always add up to the block. [RFC 5322 §2.2] [RFC 5322 §3.6]
 */
#ifndef FORMAT_MIME_HEADER_H
#define FORMAT_MIME_HEADER_H

#include "base/buffer.h"

enum {
    MIME_HEADER_MAX = 256 * 1024, /* bytes of the header block of a message or of one part */
    MIME_FIELDS_MAX = 2000,       /* fields in one block */
    MIME_NAME_MAX = 76,           /* bytes of a field name; longer ones are no fields */
};

struct mime_field {
    struct slice raw;   /* name, colon, value, line ends: all of it */
    struct slice name;  /* "Subject"; empty when the line is no field */
    struct slice value; /* behind the colon, folded as it came, without the last line end */
};

/*
 * Take the next field off `rest`, which starts as a header block (with or without the empty line
 * that ends it). False at the empty line or the end; `rest` then holds what follows (the body).
 */
MUST_CHECK bool mime_field_next(struct slice *rest, struct mime_field *field_out);

/* The first field called `name` (any case). False when there is none. */
MUST_CHECK bool mime_field_find(struct slice block, struct slice name,
                                struct mime_field *field_out);
/* How often the field is there. */
size_t mime_field_count(struct slice block, struct slice name);

/*
 * Where the header block of a message ends: the offset of the first body byte, the empty line
 * counted to the header. 0 when the empty line is not (yet) there.
 */
size_t mime_header_len(struct slice message);

/* Within both limits? A block of just fields passes; lines that are no fields count as fields. */
MUST_CHECK bool mime_header_is_sane(struct slice block);

/*
 * Append the value on one line: line ends of folding removed, the blanks behind them kept, outer
 * blanks trimmed. Bytes are not decoded. False when the ceiling of `out` is crossed.
 */
MUST_CHECK bool mime_value_unfold(struct slice value, struct buffer *out);

/* Visible ASCII without the colon, 1..MIME_NAME_MAX bytes. [RFC 5322 §2.2] */
bool mime_name_is_valid(struct slice name);

#endif
