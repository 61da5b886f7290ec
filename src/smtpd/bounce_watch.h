/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does mail to a bounce address say that something failed? A report that the mail is delayed or was delivered
 * says no such thing, nor does an absent reader's automatic answer, which comes with a null sender too
 * [RFC 3834 §3.3]: taken for a bounce each would destroy a message that its reader can still open.
 */
#ifndef SMTPD_BOUNCE_WATCH_H
#define SMTPD_BOUNCE_WATCH_H

#include "base/slice.h"

enum { BOUNCE_LINE_SIZE = 24 };

/* Zero it, then one header, then the body in pieces. */
struct bounce_watch {
    bool is_report;    /* multipart/report of delivery-status [RFC 3464] */
    bool is_other;     /* a report of something else */
    bool is_automatic; /* Auto-Submitted [RFC 3834 §5] */
    bool names_failed; /* X-Failed-Recipients, as Exim and others write */
    bool has_failed;   /* an Action: failed */
    bool has_other;    /* any other Action */
    size_t len; /* of the present line; more than `line` holds: the rest does not matter */
    uint8_t line[BOUNCE_LINE_SIZE];
};

/* Look at the header block. */
void bounce_watch_header(struct bounce_watch *watch, struct slice header);
/* Look at a piece of the body, cut anywhere. */
void bounce_watch_body(struct bounce_watch *watch, struct slice piece);
/* The judgement. When in doubt it is a bounce: the sender must hear of what did not arrive. */
bool bounce_watch_is_failure(const struct bounce_watch *watch);

#endif
