/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Composes new messages into a buffer: header fields folded and encoded, parts with their
 * encodings, boundaries. Failure sticks: write everything, then ask mime_writer_ended_well() once.
 * Whatever is given as text cannot leave its field: line ends and control characters become
 * spaces or are dropped, and an address that is none makes the message fail. All lines end in CRLF
 * and none is longer than 998 bytes. [RFC 5322 §2.1] [RFC 2046 §5.1]
 *
 *     struct mime_writer writer;
 *     mime_writer_init(&writer, &out);
 *     mime_write_mailbox(&writer, S("From"), S("Dr. Who"), S("who@example.org"));
 *     mime_write_text_field(&writer, S("Subject"), subject);
 *     mime_write_date(&writer, now);
 *     mime_write_multipart(&writer, S("mixed"), &boundary, S(""));
 *     mime_write_boundary(&writer, &boundary);
 *     mime_write_text_part(&writer, S("plain"), text);
 *     mime_write_boundary(&writer, &boundary);
 *     mime_write_attachment_header(&writer, S("image/png"), S("scan.png"));
 *     mime_write_base64(&writer, bytes);          (as often as needed)
 *     mime_write_base64_end(&writer);
 *     mime_write_boundary_end(&writer, &boundary);
 *     if (!mime_writer_ended_well(&writer)) ...
 */
#ifndef FORMAT_MIME_WRITER_H
#define FORMAT_MIME_WRITER_H

#include "format/mime/transfer.h"

struct mime_writer {
    struct buffer *out;
    bool failed;
    struct mime_base64_encoder base64;
};

enum { MIME_BOUNDARY_RANDOM = 15, MIME_BOUNDARY_SIZE = 31 };

/* A boundary of random bytes: no content can hold it, and it says nothing about who made it. */
struct mime_boundary {
    char text_cstr[MIME_BOUNDARY_SIZE];
};

/* `out` is borrowed; streaming writers may empty it between calls. */
void mime_writer_init(struct mime_writer *writer, struct buffer *out);
/* False when anything did not fit or was refused. */
MUST_CHECK bool mime_writer_ended_well(const struct mime_writer *writer);

/* Fields. `name` is our own constant. A structured value is folded at blanks, else left alone. */
void mime_write_field(struct mime_writer *writer, struct slice name, struct slice value);
/* Unstructured text (UTF-8), encoded where it must be. */
void mime_write_text_field(struct mime_writer *writer, struct slice name, struct slice text);
/* One mailbox; the display name (UTF-8) may be empty. */
void mime_write_mailbox(struct mime_writer *writer, struct slice name, struct slice display,
                        struct slice address);
/* The same for several, as "To" has them: call begin, then each, then end. */
void mime_write_mailboxes_begin(struct mime_writer *writer, struct slice name);
void mime_write_mailboxes_next(struct mime_writer *writer, bool first, struct slice display,
                               struct slice address);
void mime_write_mailboxes_end(struct mime_writer *writer);
void mime_write_date(struct mime_writer *writer, int64_t unix_seconds);
/* "<left@domain>" for Message-ID, In-Reply-To: `left` is base64url or an id. */
void mime_write_message_id(struct mime_writer *writer, struct slice name, struct slice left,
                           struct slice domain);

/* Parts. */
void mime_boundary_init(struct mime_boundary *boundary,
                        const uint8_t random[MIME_BOUNDARY_RANDOM]);
/*
 * Content-Type of a multipart ("mixed", "alternative", "report") and the empty line: ends the
 * header of the message or part. extra: more parameters, "; report-type=delivery-status", or empty.
 */
void mime_write_multipart(struct mime_writer *writer, struct slice subtype,
                          const struct mime_boundary *boundary, struct slice extra);
void mime_write_boundary(struct mime_writer *writer, const struct mime_boundary *boundary);
void mime_write_boundary_end(struct mime_writer *writer, const struct mime_boundary *boundary);
/*
 * A whole text part, its own header fields first: "plain" or "html", UTF-8, as 7bit if it is short
 * lines of ASCII, else quoted-printable.
 */
void mime_write_text_part(struct mime_writer *writer, struct slice subtype, struct slice text);
/*
 * Header of an attachment in base64, empty line included. type: "image/png", anything that is no
 * proper type becomes application/octet-stream; name: file name in UTF-8, may be empty.
 */
void mime_write_attachment_header(struct mime_writer *writer, struct slice type,
                                  struct slice name);
void mime_write_base64(struct mime_writer *writer, struct slice bytes);
void mime_write_base64_end(struct mime_writer *writer);
/* Bytes as they are: the caller vouches for them. */
void mime_write_raw(struct mime_writer *writer, struct slice bytes);

/* "type/subtype" of tokens, at most 100 bytes? [RFC 2045 §5.1] */
bool mime_type_is_valid(struct slice type);

#endif
