/* SPDX-License-Identifier: Apache-2.0 */
/* One-time codes: 8 digits, mailed to the recipient, kept as a keyed hash, good once and for a while. */
#ifndef KEEPER_PORTAL_CODE_H
#define KEEPER_PORTAL_CODE_H

#include "base/slice.h"
#include "store/portal.h"

struct keeper;

enum { CODE_DIGITS = 8 };

/* What the row keeps of a code as typed (8 digits). */
void portal_code_hash(struct keeper *keeper, const uint8_t lookup[PORTAL_LOOKUP_BYTES],
                      struct slice code, uint8_t hash_out[PORTAL_CODE_BYTES]);

#endif
