/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured values with parameters: Content-Type and Content-Disposition. Parameter values come
 * out as clean UTF-8: quoted strings unquoted, RFC 2231 pieces put together and decoded, and the
 * encoded words that many programs put into quoted strings decoded too. [RFC 2045 §5.1] [RFC 2231]
 */
#ifndef FORMAT_MIME_PARAMETER_H
#define FORMAT_MIME_PARAMETER_H

#include "base/buffer.h"

enum {
    MIME_PARAMETERS_MAX = 100,       /* read of one field; more are not looked at */
    MIME_PARAMETER_VALUE_MAX = 4096, /* bytes of one decoded value; longer ones are cut */
    MIME_BOUNDARY_MAX = 200,         /* RFC says 70; programs do not care */
};

/*
 * The head of the value: "text/plain" of `text/plain; charset=x`, "attachment" of a disposition.
 * Blanks and comments around it are dropped. A view into `value`.
 */
struct slice mime_value_head(struct slice value);

/*
 * Append the decoded value of the parameter `name` (any case) of a raw field value. The first
 * one counts; `name*` and `name*0` win over a plain `name`. [RFC 6266 §4.3]
 * Returns false when the parameter is not there or the ceiling of `out` is too low.
 */
MUST_CHECK bool mime_parameter(struct slice value, struct slice name, struct buffer *out);

/*
 * Like mime_parameter, but bytes as they are, only unquoted: for a boundary.
 */
MUST_CHECK bool mime_parameter_raw(struct slice value, struct slice name, struct buffer *out);

#endif
