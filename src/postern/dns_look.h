/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the records that should be in the DNS are there: each is asked for, by our own resolver, all at once. */
#ifndef POSTERN_DNS_LOOK_H
#define POSTERN_DNS_LOOK_H

#include "net/resolver.h"
#include "postern/dns_wanted.h"

enum look_state {
    LOOK_RIGHT, /* there, as it should be, or as its owner wants it where that is his business */
    LOOK_OTHER,    /* something of its kind is there, and it is another */
    LOOK_MISSING,  /* nothing of its kind */
    LOOK_UNSIGNED, /* a TLSA record where the zone is not signed: nothing to publish */
    LOOK_UNKNOWN,  /* the DNS could not be asked */
    LOOK_COUNT
};

enum { LOOK_TEXT_SIZE = 600 };

struct look {
    enum look_state state;
    bool is_signed;
    char
        found_cstr[LOOK_TEXT_SIZE]; /* what is there, or why it is not known; printable ASCII */
};

/* "right", "other", "missing", "unsigned", "unknown". */
const char *look_state_name(enum look_state state);
/* Ask, and run the loop until each has its answer. looks_out: list->count of them. */
void look_at(struct loop *loop, struct resolver *resolver, const struct wanted_list *list,
             struct look *looks_out);

#endif
