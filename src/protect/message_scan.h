/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A message looked through once, to know what a portal copy of it will hold: who and what the
 * header names, which leaves are the text to read, which are pictures inside it, which are files. The
 * bytes of texts and small pictures are kept; of files only the decoded size, so that memory is
 * bounded whatever the message is.
 */
#ifndef PROTECT_MESSAGE_SCAN_H
#define PROTECT_MESSAGE_SCAN_H

#include "format/mime/reader.h"
#include "format/mime/transfer.h"
#include "protect/portal_container.h"
#include "protect/source.h"

enum {
    SCAN_BODY_MAX = 4 * 1024 * 1024, /* all texts together; a longer one becomes a file */
    SCAN_IMAGE_MAX =
        2 * 1024 * 1024, /* one picture shown in the text; a larger one is a file */
    SCAN_IMAGES_MAX = 8 * 1024 * 1024,
    SCAN_FIELD_MAX = 16 * 1024, /* of one header field, as shown */
};

enum leaf_role { LEAF_TEXT, LEAF_HTML, LEAF_IMAGE, LEAF_FILE };

struct leaf {
    int index; /* as mime_part.index */
    enum leaf_role role;
    bool in_alternative; /* somewhere inside a multipart/alternative */
    bool is_shown;       /* LEAF_IMAGE: used in the text (set by whoever uses it) */
    enum mime_encoding encoding;
    uint64_t size;       /* decoded bytes */
    struct buffer bytes; /* decoded; TEXT, HTML, IMAGE only */
    uint8_t type[100], name[PORTAL_NAME_MAX], charset[40], content_id[200];
    size_t type_len, name_len, charset_len, content_id_len;
};

struct message_scan {
    struct leaf *leaves;
    size_t count, cap;
    struct buffer from, to, cc, subject, date; /* clean UTF-8, one line each */
};

/*
 * Look through a message, in steps: new, step until it is not WAIT, free.
 *
 * source     copied; what it points to is borrowed
 * scan_out   owned by the caller, in every case: message_scan_deinit
 * step       reads until *left bytes were read, and counts it down. DONE: all was seen. WAIT: there is
 *            more. FAIL: only free is left
 * Errors     ERR_PERM: over the limits of the MIME reader; what the header says is there all the same.
 *            Others as the source's.
 */
struct message_scanner;
struct message_scanner *message_scanner_new(const struct content_source *source,
                                            struct message_scan *scan_out);
MUST_CHECK enum progress message_scanner_step(struct message_scanner *scanner, uint64_t *left,
                                              struct err *err);
/* Wipes. NULL inside is fine. */
void message_scanner_free(struct message_scanner **scanner);

/* Wipes. */
void message_scan_deinit(struct message_scan *scan);
/* The leaf with that index, NULL when there is none. */
struct leaf *message_scan_leaf(struct message_scan *scan, int index);

/*
 * A file name that is only a name: no path, no control character, no leading dot, nothing that a
 * file system forbids, at most PORTAL_NAME_MAX bytes with its ending kept. Empty in, or nothing
 * left: "part-NUMBER" with an ending that fits the type.
 */
void message_file_name(struct slice name, struct slice type, int number, struct buffer *out);

#endif
