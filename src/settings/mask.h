/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings text as other roles than the keeper may see it: same lines, same columns, but what only the
 * keeper uses is blanked out: the letters of password hashes and the answers set per recipient; our logins at
 * smart hosts, which only the courier uses. The text still parses, so every role reads it with the same code.
 */
#ifndef SETTINGS_MASK_H
#define SETTINGS_MASK_H

#include "base/buffer.h"

/* Append a masked copy of text; has_logins: for the courier. False when out's ceiling is crossed. */
MUST_CHECK bool settings_mask(struct slice text, bool has_logins, struct buffer *out);

#endif
