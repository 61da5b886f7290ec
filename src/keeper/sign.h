/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signature lines for outgoing mail: asked of a scribe once for each message while jobs of it are
 * under way, then shared by them.
 */
#ifndef KEEPER_SIGN_H
#define KEEPER_SIGN_H

#include "keeper/deliver.h"

/* A job of this message begins, ends. */
void sign_use(struct keeper *keeper, uint64_t message);
void sign_release(struct keeper *keeper, uint64_t message);
void sign_deinit(struct deliveries *deliveries);
/*
 * Send the job (deliver_send) with the signature lines of the domain that signs: at once when there
 * are none to make or they are known, else when the scribe has answered.
 */
void sign_then_send(struct keeper *keeper, struct job *job, const struct store_message *message,
                    struct slice sender);
/* In deliver.c: hand it to its courier. */
void deliver_send(struct keeper *keeper, struct job *job, struct slice prefix);

#endif
