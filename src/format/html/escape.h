/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text made safe for a place in HTML. One escape serves text and quoted attribute values alike:
 * & < > " and ' are written as references, broken UTF-8 becomes U+FFFD and control characters are
 * dropped, so that no value can leave the place it was put in. Never put a value into an unquoted
 * attribute, a <script> or a <style>.
 */
#ifndef FORMAT_HTML_ESCAPE_H
#define FORMAT_HTML_ESCAPE_H

#include "base/buffer.h"

/* Append `text` (UTF-8 or not) escaped; false when the ceiling of `out` is crossed. */
MUST_CHECK bool html_escape_append(struct buffer *out, struct slice text);

#endif
