/* SPDX-License-Identifier: Apache-2.0 */
/* From one of our addresses to all that mail to it goes on to: bounded in depth and number, no address twice. */
#ifndef KEEPER_FORWARD_EXPAND_H
#define KEEPER_FORWARD_EXPAND_H

#include "base/buffer.h"
#include "keeper/forward.h"

enum { FORWARD_DEPTH_MAX = 10, FORWARD_ENDS_MAX = 1000 };

enum forward_answer {
    FORWARD_STAYS, /* nothing leads on from it: the address itself */
    FORWARD_ENDS,
    FORWARD_CIRCLE, /* in a circle, here or by way of others */
    FORWARD_CLOSED, /* all that leads on is shut or barred */
};

struct forward_end {
    struct slice address; /* dies with the next change of a forward */
    size_t via_at, via_len;
};

struct forward_expansion {
    struct forward_end ends[FORWARD_ENDS_MAX];
    size_t count;
    bool has_circle;   /* some way was not gone to its end */
    struct buffer via; /* of all ends */
};

/*
 * is_live: mail goes on by it (inside of a batch); else somebody only asks. delivered_to: where the message was before,
 * a line each; who is among them would send it in a circle. The expansion is deinitialised by the caller in any case,
 * and need not have been initialised.
 */
enum forward_answer forward_expand(struct keeper *keeper, struct slice address, bool is_live,
                                   struct slice delivered_to,
                                   struct forward_expansion *expansion_out);
void forward_expansion_deinit(struct forward_expansion *expansion);
/* As recipient.via: the addresses on the way; empty when the mail stays with the address written. */
struct slice forward_end_via(const struct forward_expansion *expansion,
                             const struct forward_end *end);

#endif
