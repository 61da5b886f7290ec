/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why something did not work: a value in the caller's frame that allocates nothing. It starts with
 * what mail needs to know (try again, never, forbidden by our rules, the peer broke protocol), then
 * the SMTP reply code and enhanced status that fit, then words for a person: what, where, what to
 * do. Each layer that knows more rewrites the text; none swallows the class. The text never holds
 * message content, addresses or keys.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/must.h"

#include <stdbool.h>
#include <stdint.h>

enum err_class {
    ERR_NONE,
    ERR_TEMP,    /* our or their trouble: try later */
    ERR_PERM,    /* it will never work */
    ERR_REFUSED, /* our own rules forbid it */
    ERR_PEER,    /* the other side broke its protocol */
};

struct err {
    enum err_class class;
    uint16_t smtp_code;     /* e.g. 451; 0 = choose by class */
    char enhanced_cstr[12]; /* e.g. "4.3.0"; "" = choose by class */
    char text_cstr[240];
};

/* Fill `err` (NULL allowed: nobody asked) and return false, so that `return FAIL(...)` reads well. */
bool err_set(struct err *err, enum err_class class, uint16_t smtp_code,
             const char *enhanced_cstr, const char *format_cstr, ...) FORMAT_LIKE(5, 6);
void err_clear(struct err *err);
/* "temporary", "permanent", "refused", "peer" or "none". */
const char *err_class_name(enum err_class class);

#define FAIL(err, class, ...) err_set((err), (class), 0, "", __VA_ARGS__)
#define FAIL_SMTP(err, class, code, enhanced, ...)                                             \
    err_set((err), (class), (code), (enhanced), __VA_ARGS__)

/* For machines that are fed piece by piece. */
enum progress {
    PROGRESS_DONE, /* one whole thing is ready */
    PROGRESS_WAIT, /* not whole yet: push more, or be called again */
    PROGRESS_FAIL, /* the machine's err says why */
};

#endif
