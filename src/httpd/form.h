/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The body of a form, read as it comes: application/x-www-form-urlencoded or multipart/form-data.
 * Small fields are handed out whole, files piece by piece in the order they stand. Everything a
 * browser does not send is refused: a part without a name, a repeated part header, another
 * transfer encoding, a boundary that is too long. [RFC 7578] [HTML §4.10.21]
 *
 * Memory: the longest field plus 16 KiB. File names are words for people, never paths.
 */
#ifndef HTTPD_FORM_H
#define HTTPD_FORM_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    FORM_NAME_MAX = 64,       /* bytes of a field's name */
    FORM_FILENAME_MAX = 1024, /* bytes of a file's name, and of its type */
    FORM_PART_HEADER_MAX = 4096,
};

struct form_limits {
    size_t fields;       /* small fields */
    size_t field_bytes;  /* of all small fields together */
    size_t files;        /* files with a name; an empty file input does not count */
    uint64_t file_bytes; /* of all files together */
};

/* Each may be NULL when such a thing is to be refused. False ends the reading: set `err`. */
struct form_handler {
    void *context;
    /* A small field, whole. name: 1..FORM_NAME_MAX bytes; value: as typed, any bytes. */
    bool (*on_field)(void *context, struct slice name, struct slice value, struct err *err);
    /* A file begins. filename: 1..FORM_FILENAME_MAX bytes, as sent; type may be empty. */
    bool (*on_file)(void *context, struct slice name, struct slice filename, struct slice type,
                    struct err *err);
    bool (*on_file_bytes)(void *context, struct slice bytes, struct err *err);
    bool (*on_file_end)(void *context, struct err *err);
};

struct form;

/*
 * content_type: the request's field. The limits and the handler are copied.
 * Errors  ERR_PEER: another content type, or a boundary that cannot be one.
 */
MUST_CHECK bool form_open(struct slice content_type, const struct form_limits *limits,
                          const struct form_handler *handler, struct form **form_out,
                          struct err *err);
/* Wipes what it holds. NULL inside is fine. */
void form_close(struct form **form);
/*
 * Errors  ERR_PEER: malformed. ERR_REFUSED: a limit. Or what the handler set. After an error the
 *         form is of no further use.
 */
MUST_CHECK bool form_push(struct form *form, struct slice bytes, struct err *err);
/* The body has ended. ERR_PEER: in the middle of something. */
MUST_CHECK bool form_end(struct form *form, struct err *err);

#endif
