/* SPDX-License-Identifier: Apache-2.0 */
/* What goes on to others as it leaves: in whose name, and with which trace. See doc/decisions/0006. */
#ifndef KEEPER_FORWARD_LEAVE_H
#define KEEPER_FORWARD_LEAVE_H

#include "keeper/deliver.h"

/*
 * The job's first recipient: if its mail goes on from an address of ours, note by which way, and choose MAIL FROM. What
 * strangers send and what leaves our house leaves in our name: hosts out there ask whether we may send for the domain in MAIL
 * FROM, and bounces come back to us, who tell the sender. Each such recipient has an address of its own for
 * that, and so a job (is_alone). [RFC 5321 §3.9.1] leaves the choice.
 */
void forward_envelope(struct keeper *keeper, struct job *job,
                      const struct store_recipient *row);
/*
 * What stands before the content: `prefix` (signatures), and before it, of mail that goes on, where it was already, so that it
 * is known when it comes back [RFC 9228 §2]. The view is of `prefix` or of `lines`, which is the caller's to deinit.
 */
struct slice forward_prefix(struct slice via, struct slice prefix, struct buffer *lines);

#endif
