/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a person would read of an HTML mail, as plain text: blocks on lines of their own, items with
 * a dash, links followed by their address, white space collapsed, scripts and styles left out.
 */
#ifndef FORMAT_HTML_TEXT_H
#define FORMAT_HTML_TEXT_H

#include "base/buffer.h"

/* Append; lines end in LF. False when the ceiling of `out` is crossed. Linear in the input. */
MUST_CHECK bool html_to_text(struct slice html, struct buffer *out);

#endif
