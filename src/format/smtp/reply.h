/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SMTP replies, both ways [RFC 5321 §4.2] [RFC 3463 §2]. The reader takes what a remote server
 * sends, piece by piece, and gives one whole reply at a time; it never takes a byte behind the
 * reply's last line, so that whoever asks can see that something was injected before a TLS
 * handshake. The writer makes our own replies. Remote servers are strangers: lengths and lines
 * have ceilings, control bytes never come through, and all lines must carry one code.
 */
#ifndef FORMAT_SMTP_REPLY_H
#define FORMAT_SMTP_REPLY_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    SMTP_REPLY_LINE_MAX = 2048,      /* bytes of one line, four times [RFC 5321 §4.5.3.1.5] */
    SMTP_REPLY_LINES_MAX = 256,      /* lines of one reply */
    SMTP_REPLY_TEXT_MAX = 32 * 1024, /* bytes of text of one reply */
};

struct smtp_reply {
    uint16_t code;          /* 200..599 */
    char enhanced_cstr[12]; /* "5.7.1"; "" = none, or of another class than the code */
    struct slice text; /* lines without code, joined by LF; no other byte below 32, no 127 */
};

struct smtp_reply_reader {
    struct buffer line; /* a line whose end has not come yet */
    struct buffer text; /* text of the lines read so far */
    uint16_t code;      /* 0 before the first line */
    unsigned lines;
    bool was_returned; /* the last reply is out: the next byte starts a new one */
    struct err err;
};

/* Owned by the caller: smtp_reply_reader_init .. smtp_reply_reader_deinit. Idle readers hold no
 * storage. */
void smtp_reply_reader_init(struct smtp_reply_reader *reader);
void smtp_reply_reader_deinit(struct smtp_reply_reader *reader);

/*
 * Read on. Takes bytes from the front of *input up to the end of one reply, no further.
 *
 * reply_out  filled on DONE; its text lives until the next push
 * Results    DONE  one reply is ready, *input begins behind it
 *            WAIT  *input is empty and the reply not whole
 *            FAIL  reader->err is ERR_PEER: no code, codes differ between lines, too long;
 *                  close the connection
 * Differs    a line may end with a bare LF; a CR elsewhere becomes a question mark
 */
MUST_CHECK enum progress smtp_reply_push(struct smtp_reply_reader *reader, struct slice *input,
                                         struct smtp_reply *reply_out);

/* The enhanced status code at the front of `text` ("5.7.1 ..."), alone or followed by a space;
 * false when there is none. */
MUST_CHECK bool smtp_enhanced_parse(struct slice text, char enhanced_out[12]);

/*
 * Append one reply, "250-2.1.0 text" and so on: one line per LF in `text`, control bytes
 * replaced.
 *
 * enhanced_cstr  repeated on every line; "" for none
 * Result         false when `out` is full; then nothing was appended
 */
MUST_CHECK bool smtp_reply_write(struct buffer *out, unsigned code, const char *enhanced_cstr,
                                 struct slice text);

#endif
