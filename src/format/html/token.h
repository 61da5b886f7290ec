/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign HTML cut into tags and text, the way browsers cut it: each byte is looked at a fixed
 * number of times, whatever it is. Nothing is judged here. Views into the caller's text.
 * [WHATWG HTML §13.2.5]
 */
#ifndef FORMAT_HTML_TOKEN_H
#define FORMAT_HTML_TOKEN_H

#include "base/slice.h"

enum html_token_kind {
    HTML_TEXT,    /* `text`: character references not decoded */
    HTML_OPEN,    /* <name attributes> */
    HTML_CLOSE,   /* </name> */
    HTML_COMMENT, /* comments, conditional ones too, doctypes, instructions: nothing to show */
    HTML_RAW,     /* `text`: what stood inside <script>, <style>, <title> and the like */
};

struct html_token {
    enum html_token_kind kind;
    struct slice name;       /* OPEN, CLOSE: as written, 1.. bytes */
    struct slice attributes; /* OPEN: everything between name and ">" */
    struct slice text;       /* TEXT, RAW */
};

/* Zero it, then set rest. */
struct html_reader {
    struct slice rest;
    struct slice raw_name; /* inside an element whose content is no markup */
};

/* The next token; false at the end. A tag or comment that does not end takes all of the rest. */
MUST_CHECK bool html_token_next(struct html_reader *reader, struct html_token *token_out);

struct html_attribute {
    struct slice name;
    struct slice value; /* raw: character references not decoded; may be empty */
};

/* The next attribute off html_token.attributes; false at the end. */
MUST_CHECK bool html_attribute_next(struct slice *attributes,
                                    struct html_attribute *attribute_out);

#endif
