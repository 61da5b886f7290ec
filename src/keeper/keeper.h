/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the one role that opens the database, and the hub that every other role talks to. It
 * takes messages (group commit), plans each recipient, hands work to couriers and scribes, keeps
 * links and sessions of the portal, and answers the office. It touches no network and parses no
 * message. main.c makes a role of it; tests drive it over socket pairs.
 *
 * The rooms, in the order of a message's life: inbox (tasks, batches), peers (channels), asks
 * (questions that wait), overview, accept, plan, state, schedule, deliver, results, story (events), mail, bounce,
 * portal_copy, portal_read, portal_prove, auth, control and its commands, housekeeping.
 */
#ifndef KEEPER_KEEPER_H
#define KEEPER_KEEPER_H

#include "ipc/channel.h"
#include "os/usage.h"
#include "settings/settings.h"

struct keeper;

/*
 * Open the state folder of the settings (STATE, STATE/queue, STATE/portal are made) with the master
 * key file's bytes in the settings. Takes a reference to the settings. ERR_PERM, ERR_TEMP: see
 * store/store.h and store/key.h.
 */
MUST_CHECK bool keeper_open(struct loop *loop, struct settings *settings, uint8_t id_maker,
                            struct keeper **keeper_out, struct err *err);
/* Other settings from now on. False: err says why, the old ones stay. */
MUST_CHECK bool keeper_configure(struct keeper *keeper, struct settings *settings,
                                 struct err *err);
/* DER of the certificate that new content is to be sealed for; dies with the keeper. */
struct slice keeper_certificate(const struct keeper *keeper);
/* A channel to another role. Takes the descriptor. */
void keeper_attach(struct keeper *keeper, enum ipc_role role, unsigned index, int fd);
/* Who runs, from the supervisor (items: ipc_member). */
void keeper_census(struct keeper *keeper, struct slice members);
/* Every second: note how things go. on_silent: this role has said nothing for longer than `watchdog`. */
typedef void keeper_silent_fn(void *context, const struct ipc_silent *who);
void keeper_tick(struct keeper *keeper, const struct usage *usage, keeper_silent_fn *on_silent,
                 void *context);
/*
 * Take no new work, commit what waits, and call `done` when nothing is in flight or limit_ms has
 * passed.
 */
void keeper_drain(struct keeper *keeper, int64_t limit_ms, void (*done)(void *context),
                  void *context);
/* Commits what waits and closes. */
void keeper_close(struct keeper **keeper);

#endif
