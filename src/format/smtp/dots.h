/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The content between DATA and its final dot [RFC 5321 §4.5.2], both ways, as a stream.
 *
 * The reader is strict about line ends, because servers that disagree about them let a stranger
 * hide a second message in the first ("SMTP smuggling"): only CR LF ends a line, only CR LF .
 * CR LF ends the content. A bare CR or LF never ends anything; it is remembered, and the
 * content is read to its true end so that the refusal comes at the right place. The same reader
 * checks BDAT chunks, which have no dots. Content comes out as views into what was pushed:
 * nothing is copied.
 *
 * The writer turns content into what goes after DATA. It repairs bare CR and LF into CR LF:
 * nothing that we send can be read as two messages, whatever was stored.
 */
#ifndef FORMAT_SMTP_DOTS_H
#define FORMAT_SMTP_DOTS_H

#include "base/buffer.h"
#include "base/err.h"

enum smtp_dots_at {
    SMTP_DOTS_LINE_START,
    SMTP_DOTS_LINE,   /* inside a line */
    SMTP_DOTS_CR,     /* a CR was the last byte of the push */
    SMTP_DOTS_DOT,    /* a line that so far is "." */
    SMTP_DOTS_DOT_CR, /* a line that so far is ".\r" */
    SMTP_DOTS_END,    /* the final dot has been read */
};

struct smtp_dots {
    enum smtp_dots_at at;
    bool is_chunk;      /* BDAT: dots mean nothing, the content ends where the client said */
    bool has_bare_end;  /* a bare CR or LF was seen: refuse with 550 5.6.0 */
    bool has_nul;       /* a NUL was seen: some servers drop it and see an end; 550 5.6.0 */
    bool has_long_line; /* a line was longer than line_max: refuse with 550 5.6.0 */
    bool owes_cr;       /* a CR held back from the last push, to come out first */
    size_t line_len;    /* bytes of the present line, its end not counted */
    size_t line_max;
};

/* line_max: longest line accepted, without its CR LF. is_chunk: for BDAT. Holds no storage. */
void smtp_dots_init(struct smtp_dots *dots, size_t line_max, bool is_chunk);

/*
 * Read on. Takes bytes from the front of *input and gives a run of content.
 *
 * piece_out  content without added dots, maybe empty; a view into *input as it was (or into a
 *            constant): use it before *input's storage changes
 * Results    DONE  the final dot was read, *input begins behind it; piece_out is empty
 *            WAIT  piece_out is the next run; call again while *input is not empty
 *            (never FAIL: bad content is read to its end, then the flags say what was wrong)
 */
MUST_CHECK enum progress smtp_dots_push(struct smtp_dots *dots, struct slice *input,
                                        struct slice *piece_out);
/*
 * The last chunk has ended (BDAT LAST): gives the CR held back, if one is (then has_bare_end is
 * set). Returns true when the content ended with CR LF or was empty.
 */
bool smtp_dots_finish_chunks(struct smtp_dots *dots, struct slice *piece_out);

struct smtp_dots_writer {
    bool in_line; /* the last byte written was not the end of a line */
    bool owes_lf; /* the last byte of content was a CR */
};

/* A zeroed writer is ready. Appends `content` with dots doubled; false when `out` is full. */
MUST_CHECK bool smtp_dots_write(struct smtp_dots_writer *writer, struct slice content,
                                struct buffer *out);
/* Ends the last line if it is open, then the content: ".\r\n". False when `out` is full. */
MUST_CHECK bool smtp_dots_write_end(struct smtp_dots_writer *writer, struct buffer *out);

#endif
