/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Mails that we write ourselves: failure, delay and success reports to the sender, read receipts. What
 * is owed stands in the recipient's row until the mail is accepted like any other, so a crash
 * forgets none. Never about mails of our own, never to the null sender: no loops.
 */
#ifndef KEEPER_MAIL_H
#define KEEPER_MAIL_H

#include "keeper/schedule.h"
#include "store/message.h"

/* Ask a scribe for the mail that this WORKING item's row owes. */
void mail_work(struct keeper *keeper, struct item *item, const struct store_message *message);

/* The kind of mail for one bit of owes. */
unsigned mail_kind(enum recipient_owes what);

#endif
