/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's part of a backup: a snapshot of the database beside it, made in slices between
 * batches, and a lease during which no segment is removed, so that whatever the snapshot refers to can
 * be copied. The command that asked copies files by itself (postern/backup.c): no role of ours writes
 * outside of the state folder, and none can read both content and keys for it. A command that dies
 * leaves nothing behind but a lease that runs out.
 */
#ifndef KEEPER_BACKUP_H
#define KEEPER_BACKUP_H

#include "keeper/control.h"
#include "store/snapshot.h"

/* In the state folder; gone when no backup is under way. */
#define BACKUP_SNAPSHOT_NAME "snapshot.db"

struct keeper;

struct backup {
    struct keeper *keeper;
    uint64_t id; /* 0 = none */
    struct store_snapshot *snapshot;
    bool is_done;
    char trouble_cstr[240]; /* "" = none */
    int64_t until_ms; /* loop clock: when the lease ends without a word from the command */
    struct loop_timer *timer;
};

void backup_init(struct keeper *keeper);
/* When the state folder is ours: remove what an earlier life has left. */
void backup_clean(const struct keeper *keeper);
void backup_deinit(struct keeper *keeper);
/* Segments have to stay. */
bool backup_is_under_way(const struct keeper *keeper);

/* {"do":"backup","what":"begin"}, then "look" with the id until it is done, copy, then "end". */
void backup_answer(struct control_output *output, const json_t *request);

#endif
