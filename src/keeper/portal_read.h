/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reader does with a link, seen from the rows: look at it, come back with a session, see the
 * message, take an attachment, reply. Missing, expired, retracted and wrong links get one answer.
 */
#ifndef KEEPER_PORTAL_READ_H
#define KEEPER_PORTAL_READ_H

#include "keeper/peers.h"
#include "keeper/sessions.h"
#include "keeper/story.h"
#include "store/portal.h"

/* Everything behind a link that is open. Wipe with portal_link_wipe. */
struct portal_link {
    struct store_portal_copy copy;
    struct store_message message; /* its texts die with the next read of messages */
    struct store_recipient recipient;
};
/* False: no such link, or not open any more. */
MUST_CHECK bool portal_link_find(struct keeper *keeper, struct slice lookup,
                                 struct portal_link *link_out);
void portal_link_wipe(struct portal_link *link);

/* The portal's messages. */
void portal_take_look(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                      const union ipc_any *message);
void portal_take_resume(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                        const union ipc_any *message);
void portal_take_event(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message);
void portal_take_reply(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message);

/* Fill `opened` for an open link and its session, and hand it to `send`. */
typedef void portal_send_fn(struct keeper *keeper, uint64_t peer, enum ipc_type type,
                            const void *message);
void portal_send_opened(struct keeper *keeper, uint64_t peer, uint64_t ask,
                        const struct portal_link *link, const struct session *session,
                        portal_send_fn *send);
/* "b***@x.test" into out. */
void portal_mask_address(struct slice address, char *out_cstr, size_t size);

#endif
