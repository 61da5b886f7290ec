/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A recipient's way through the portal, seen from the queue: have the copy sealed and the notice
 * written, wait for the notice, expire. What readers do is in portal_read.h and portal_prove.h.
 */
#ifndef KEEPER_PORTAL_COPY_H
#define KEEPER_PORTAL_COPY_H

#include "keeper/schedule.h"
#include "keeper/story.h"
#include "settings/settings.h"

/* Ask a scribe for the sealed copy and the notice of this WORKING item. */
void portal_copy_work(struct keeper *keeper, struct item *item,
                      const struct store_message *message);

/* How this reader proves who they are. Pure; answer and question are set when they are needed. */
struct portal_proof {
    enum reader_proof proof;
    struct slice question, answer;
};
void portal_choose_proof(const struct settings_account *account, struct slice address,
                         unsigned asked, struct slice question, struct slice answer,
                         struct portal_proof *proof_out);
/* When the copy expires: as asked, within the account's bounds, else the account's time. Pure. */
int64_t portal_choose_expiry(const struct settings_account *account, int64_t asked_ms,
                             int64_t now_ms);

/* Inside of a batch: the notice waits, and its sender is to be told: that is who sent the message, once. */
void portal_notice_late(struct keeper *keeper, uint64_t message_id, uint64_t number);
/* Inside of a batch: the notice of this recipient was delivered; failed, at once or as a bounce. */
void portal_notice_sent(struct keeper *keeper, uint64_t message, uint64_t number,
                        uint64_t notice);
void portal_notice_bounced(struct keeper *keeper, uint64_t message, uint64_t number,
                           uint64_t notice);
/* Inside of a batch: its time is over; brings `row` up to date. */
void portal_expire(struct keeper *keeper, const struct store_message *message,
                   struct store_recipient *row);
/* Inside of a batch: destroy the copy's keys and count its segment down. */
void portal_shred(struct keeper *keeper, uint64_t message, uint64_t number);

#endif
