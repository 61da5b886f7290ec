/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inline styles by an allow-list: known properties with values made of plain words, numbers,
 * colours and quoted font names. Nothing that loads (url, image, import), moves an element out of
 * its place (position, z-index) or hides in escapes and comments gets through.
 */
#ifndef FORMAT_HTML_STYLE_H
#define FORMAT_HTML_STYLE_H

#include "base/buffer.h"

enum { STYLE_MAX = 8192 /* a longer style attribute is dropped whole */ };

/*
 * Append the declarations that are allowed, "name:value;" each. `style` has its character
 * references decoded; the result still has to be escaped. False when `out` is full.
 */
MUST_CHECK bool style_filter(struct slice style, struct buffer *out);
/* A colour as attributes have it: "#fff", "red", "rgb(1, 2, 3)". */
bool style_is_colour(struct slice value);

#endif
