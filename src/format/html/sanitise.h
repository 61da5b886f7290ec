/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Foreign HTML made harmless: written anew from an allow-list, never patched. What comes out holds
 * no script, no event attribute, no form, no comment, no class or id, no style that loads or moves,
 * and nothing that fetches anything: images are data: URIs that the caller vouches for, links are
 * http, https or mailto and open elsewhere without telling from where. It is a fragment (no <html>,
 * no <body>), balanced, at most HTML_DEPTH_MAX deep, UTF-8. It is the first of three walls: show it
 * in a sandboxed frame under a policy that forbids scripts and loads all the same.
 *
 * Linear in the input, for any input.
 */
#ifndef FORMAT_HTML_SANITISE_H
#define FORMAT_HTML_SANITISE_H

#include "base/buffer.h"

enum {
    HTML_DEPTH_MAX = 100,
    HTML_LINK_MAX = 4096,    /* bytes of a link; a longer one is dropped */
    HTML_VALUE_MAX = 8192,   /* of any attribute */
    HTML_ATTRIBUTES_MAX = 64 /* looked at in one tag */
};

/*
 * Append a data: URI ("data:image/png;base64,...") for the image with this Content-ID (without <>),
 * or return false: then its alternative text stands in its place.
 */
typedef bool html_image_fn(void *context, struct slice content_id, struct buffer *uri_out);

/*
 * Append the harmless form of `html` (UTF-8). image_fn may be NULL: no images at all.
 * False when the ceiling of `out` is crossed; `out` is then cut back to what it held.
 */
MUST_CHECK bool html_sanitise(struct slice html, html_image_fn *image_fn, void *context,
                              struct buffer *out);

/* Is this a link that may stay: http, https or mailto, no control character or blank inside? */
bool html_link_is_allowed(struct slice link);

#endif
