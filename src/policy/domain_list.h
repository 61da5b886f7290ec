/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A set of domains, asked for often and made once: "partner.example" is that domain alone, "*.partner.example"
 * every name below it (not itself). Written one a line: blank lines and what stands behind # do not count, case does
 * not matter. Asking costs a binary search a label, however long the list is.
 */
#ifndef POLICY_DOMAIN_LIST_H
#define POLICY_DOMAIN_LIST_H

#include "base/slice.h"

enum { DOMAIN_LIST_MAX = 1000000 };

/* A zeroed one is an empty list. */
struct domain_list {
    struct slice *entries; /* sorted; views */
    size_t count, cap;
    bool is_sorted;
};

/* Add one entry: the bytes must outlive the list. False: neither a domain nor "*." and a domain, or too many. */
MUST_CHECK bool domain_list_add(struct domain_list *list, struct slice entry);
/* Add a text's lines. False: *line_out (from 1) is the first that is no entry; those before it are in. */
MUST_CHECK bool domain_list_add_lines(struct domain_list *list, struct slice text,
                                      unsigned *line_out);
/* Is the domain (any case, no dot at its end) in it? Sorts at the first question. */
bool domain_list_holds(struct domain_list *list, struct slice domain);
void domain_list_deinit(struct domain_list *list);

#endif
