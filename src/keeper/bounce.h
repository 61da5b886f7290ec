/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bounces to our own mails: notices, codes and replies leave with MAIL FROM
 * bounce+ID-MAC@domain, where ID is the mail's id and MAC proves that we made the address. A bounce
 * that comes to it is eaten here and fails the recipient that the notice was for.
 */
#ifndef KEEPER_BOUNCE_H
#define KEEPER_BOUNCE_H

#include "base/buffer.h"
#include "base/err.h"
#include "ipc/pack.h"

struct keeper;

/* Append "bounce+ID+NUMBER-MAC@domain": for one recipient of a stranger's message that goes on to others. */
void bounce_address_of(struct keeper *keeper, uint64_t message, uint64_t number,
                       struct slice domain, struct buffer *out);
/* Append "bounce+ID-MAC@domain". */
void bounce_address(struct keeper *keeper, uint64_t message, struct slice domain,
                    struct buffer *out);
/* For the accept of a KIND_BOUNCE: false (550 5.1.1) unless every recipient is such an address. */
bool bounce_check(struct keeper *keeper, const struct ipc_accept *accept, struct err *err);
/* Inside of a batch: let it take effect. */
void bounce_write(struct keeper *keeper, const struct ipc_accept *accept);

#endif
