/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portal's pages: templates from web/portal, put into the program and parsed once at start, and
 * its one style sheet under a name that changes with its content.
 */
#ifndef PORTAL_PAGES_H
#define PORTAL_PAGES_H

#include "format/html/template.h"

enum page {
    PAGE_HOME,    /* "/" */
    PAGE_LINK,    /* who sent it; send a code, answer a question, or just open it */
    PAGE_CODE,    /* type the code */
    PAGE_MESSAGE, /* the message itself */
    PAGE_FRAME,   /* its HTML, inside the frame */
    PAGE_REPLY,   /* write a reply */
    PAGE_SENT,    /* it was sent */
    PAGE_KEPT,    /* it was not sent: copy your text */
    PAGE_GONE,    /* missing, expired, retracted, wrong: all the same */
    PAGE_LOCKED,  /* too many tries */
    PAGE_NOTICE,  /* a heading, some words, a way back */
    PAGE_COUNT
};

struct pages;

/* ERR_PERM: a template is wrong (our bug). url: of the portal, shown to readers; copied. */
MUST_CHECK bool pages_new(struct slice url, struct pages **pages_out, struct err *err);
void pages_free(struct pages **pages);

/*
 * Append the page. values: what it needs besides `url` and `css`, which are always there. A page
 * that lacks a value or is longer than `out` may be is ERR_PERM.
 */
MUST_CHECK bool pages_write(const struct pages *pages, enum page page,
                            const struct template_value *values, size_t count,
                            struct buffer *out, struct err *err);

/* "/portal-0123456789ab.css" and what stands there. */
struct slice pages_css_path(const struct pages *pages);
struct slice pages_css(const struct pages *pages);

#endif
