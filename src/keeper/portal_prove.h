/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof of the reader: one-time codes by mail, answers to the sender's question, or the link alone.
 * Every try is on disk before it is checked; too many lock the link for a while, and too many from
 * one network lock that network out.
 */
#ifndef KEEPER_PORTAL_PROVE_H
#define KEEPER_PORTAL_PROVE_H

#include "keeper/peers.h"

/* Mail a fresh code to the recipient, within limits. */
void portal_take_send_code(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                           const union ipc_any *message);
/* Check what the reader typed; a session when it is right. */
void portal_take_prove(struct keeper *keeper, struct peer *peer, enum ipc_type type,
                       const union ipc_any *message);

#endif
