/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does an MTA-STS policy name this host [RFC 8461 §4.1]? A pattern is a host name, or "*." and a host name: then the star
 * stands for exactly one whole label. Case does not matter; names are A-labels. Pure.
 */
#ifndef POLICY_MX_MATCH_H
#define POLICY_MX_MATCH_H

#include "base/slice.h"

/* "*.mail.example" matches "a.mail.example", not "mail.example" and not "a.b.mail.example". */
bool mx_pattern_matches(struct slice pattern, struct slice host);
/* The same for a whole policy: patterns one a line. *pattern_out: the one that matched, a view; may be NULL. */
bool mx_patterns_match(struct slice patterns, struct slice host, struct slice *pattern_out);

#endif
