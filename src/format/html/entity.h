/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Character references decoded: numbers, and the names that mail uses (HTML 4's Latin-1 names and
 * common punctuation). Names that are not known stay as they are written.
 */
#ifndef FORMAT_HTML_ENTITY_H
#define FORMAT_HTML_ENTITY_H

#include "base/buffer.h"

/*
 * At "&": the character that stands there and the length of the reference, with its ";" if it has
 * one. False when it is no reference that we know.
 */
MUST_CHECK bool html_reference_parse(struct slice text, uint32_t *character_out,
                                     size_t *len_out);
/* Append `text` decoded, as UTF-8 (broken bytes are passed on as they are). */
MUST_CHECK bool html_unescape_append(struct buffer *out, struct slice text);

#endif
