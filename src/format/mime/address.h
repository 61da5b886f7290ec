/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mailboxes of a From, To or Cc field, one after the other, for showing and for replies. Groups
 * are flattened, comments skipped (nesting is counted, never followed by recursion), source routes
 * dropped. Each byte is read once. [RFC 5322 §3.4]
 */
#ifndef FORMAT_MIME_ADDRESS_H
#define FORMAT_MIME_ADDRESS_H

#include "base/buffer.h"

enum {
    ADDRESS_BYTES_MAX = 320, /* local part 64, "@", domain 255 [RFC 5321 §4.5.3.1] */
    ADDRESS_DISPLAY_MAX = 400,
};

struct address_reader {
    struct slice rest;
    struct buffer
        display; /* UTF-8, clean, one line, at most ADDRESS_DISPLAY_MAX bytes; may be empty */
    struct buffer address; /* "local@domain"; empty when what stands there is no address */
    struct buffer phrase, spec, angle, comment; /* inside */
};

/* Start reading a raw field value (folded or not), which must outlive the reader. */
void address_reader_init(struct address_reader *reader, struct slice value);
void address_reader_deinit(struct address_reader *reader);
/* The next mailbox into `display` and `address`, good until the next call. False at the end. */
MUST_CHECK bool address_next(struct address_reader *reader);

/*
 * May this be an address on the wire: a local part and a domain, no blank or control character
 * outside quotes, no "<>", within the limits? Not whether it exists.
 */
bool address_is_plausible(struct slice address);

#endif
