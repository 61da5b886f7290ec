/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Command lines as clients send them [RFC 5321 §4.1.1]. The line reader takes one line at a
 * time and is strict: only CR LF ends a line; a line with a bare CR or LF, a NUL or another
 * control byte, or one that is too long, is taken whole and reported as a fault, so that no
 * part of it is ever read as a command. Then a line is split into verb and arguments. Other
 * protocols that browsers, scanners and confused clients speak to an SMTP port are told apart,
 * so that they can be hung up on at once.
 */
#ifndef FORMAT_SMTP_COMMAND_H
#define FORMAT_SMTP_COMMAND_H

#include "base/err.h"
#include "base/slice.h"

enum {
    SMTP_LINE_MAX = 2048, /* command line without CR LF; [RFC 5321 §4.5.3.1.4] asks for 510 */
    SMTP_AUTH_LINE_MAX = 12288, /* [RFC 4954 §4] */
};

enum smtp_verb {
    SMTP_VERB_UNKNOWN,
    SMTP_VERB_FOREIGN, /* another protocol: hang up */
    SMTP_VERB_EHLO,
    SMTP_VERB_HELO,
    SMTP_VERB_MAIL,
    SMTP_VERB_RCPT,
    SMTP_VERB_DATA,
    SMTP_VERB_BDAT,
    SMTP_VERB_RSET,
    SMTP_VERB_NOOP,
    SMTP_VERB_QUIT,
    SMTP_VERB_VRFY,
    SMTP_VERB_EXPN,
    SMTP_VERB_HELP,
    SMTP_VERB_STARTTLS,
    SMTP_VERB_AUTH,
    SMTP_VERB_COUNT
};

enum smtp_line_fault {
    SMTP_LINE_FINE,
    SMTP_LINE_BARE,    /* ended by a LF without CR, or a CR inside */
    SMTP_LINE_CONTROL, /* holds a NUL or another control byte */
    SMTP_LINE_LONG,
};

/* A zeroed reader is ready. */
struct smtp_line_reader {
    size_t skipped; /* bytes of a line that is too long, thrown away so far */
};

/*
 * Take one line.
 *
 * input     the bytes at hand; on DONE moved behind the line; on WAIT only moved when the line
 *           is too long already (what is left of it is thrown away as it comes)
 * line_max  longest line, without CR LF
 * Results   DONE  *line_out is the line without CR LF, a view into *input; *fault_out tells
 *                 whether it may be used (on a fault *line_out is empty)
 *           WAIT  no line end yet
 */
MUST_CHECK enum progress smtp_line_next(struct smtp_line_reader *reader, struct slice *input,
                                        size_t line_max, struct slice *line_out,
                                        enum smtp_line_fault *fault_out);

/* Do the first bytes of a connection speak another protocol (TLS, RDP, SSH, HTTP, PROXY)? */
bool smtp_is_foreign(struct slice first_bytes);

struct smtp_command {
    enum smtp_verb verb;
    struct slice args; /* without the spaces around */
};
/* Split a line. Never fails: what is no verb of ours is UNKNOWN or FOREIGN. */
void smtp_command_parse(struct slice line, struct smtp_command *command_out);

/* "EHLO"; "" for UNKNOWN and FOREIGN. */
const char *smtp_verb_name(enum smtp_verb verb);

/*
 * The name in EHLO and HELO: 1..255 printable bytes without spaces or any of <>()"\@;, . Cuts
 * off and forgets what follows a space. False: 501. Nothing may ever be decided from this name.
 */
MUST_CHECK bool smtp_helo_parse(struct slice args, struct slice *name_out);

/* BDAT's arguments "SIZE [LAST]" [RFC 3030 §2]; false for anything else. */
MUST_CHECK bool smtp_bdat_parse(struct slice args, uint64_t *size_out, bool *is_last_out);

#endif
