/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A reader's reply as a MIME message, written straight into a sealed queue segment while the browser
 * still sends it: constant memory, and no way to read it back. The original is not quoted: what was
 * protected does not travel in a reply.
 */
#ifndef PORTAL_COMPOSE_H
#define PORTAL_COMPOSE_H

#include "spool/writer.h"

struct compose_head {
    struct slice reader;      /* who writes: Reply-To, and named in From */
    struct slice notice_from; /* "Name <address>" or "address": the account's own, for From */
    struct slice sender;      /* of the original: To */
    struct slice subject;     /* of the original, UTF-8 */
    struct slice message_id;  /* left side of the reply's Message-ID */
    struct slice hostname;    /* its right side */
    struct slice original_id; /* of the original, without <>; may be empty */
    int64_t unix_ms;
};

struct compose;

/*
 * Begin with the header and the text (UTF-8, any line ends). has_files: whether files will follow.
 * Errors  ERR_TEMP: the spool cannot take it now. ERR_PERM: an address that is none.
 */
MUST_CHECK bool compose_begin(struct spool_writer *writer, const struct compose_head *head,
                              struct slice text, bool has_files, struct compose **compose_out,
                              struct err *err);
/* One file: begin, bytes as often as needed, end. Errors ERR_TEMP, ERR_PERM as above. */
MUST_CHECK bool compose_file_begin(struct compose *compose, struct slice type,
                                   struct slice name, struct err *err);
MUST_CHECK bool compose_file_bytes(struct compose *compose, struct slice bytes,
                                   struct err *err);
MUST_CHECK bool compose_file_end(struct compose *compose, struct err *err);
/* Freed in both cases, *compose is NULL after. */
MUST_CHECK bool compose_finish(struct compose **compose, struct content_ref *content_out,
                               struct err *err);
/* NULL inside is fine. */
void compose_abort(struct compose **compose);

#endif
