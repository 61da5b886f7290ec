/* SPDX-License-Identifier: Apache-2.0 */
/* A backup folder as a whole: its manifest, what must be in it, and whether it is. */
#ifndef POSTERN_BACKUP_FOLDER_H
#define POSTERN_BACKUP_FOLDER_H

#include "postern/manifest.h"

/* False with ERR_NONE: there is no manifest. */
MUST_CHECK bool backup_folder_read(int dir_fd, struct manifest *manifest_out, struct err *err);

/* A segment that a backup must hold up to this byte. */
struct backup_need {
    enum spool_kind kind;
    uint64_t segment, end;
};
/*
 * What the rows of a database copy need, in the manifest's order. *needs_out: free(). identity: as
 * store_identity. ERR_PERM, ERR_TEMP: the copy cannot be read.
 */
MUST_CHECK bool backup_folder_needs(const char *dir_cstr, const char *database_cstr,
                                    struct backup_need **needs_out, size_t *count_out,
                                    uint8_t identity_out[SHA256_BYTES], struct err *err);

/*
 * Every file against the manifest, all bytes unless is_quick. The first thing wrong is told for each
 * file with what to do; their number is returned.
 */
uint64_t backup_folder_check(int dir_fd, const struct manifest *manifest, bool is_quick,
                             void (*on_wrong)(void *context, const char *words_cstr),
                             void *context);

/*
 * Remove what is ours and does not belong to the manifest: older databases, segments that are gone,
 * parts of what was broken off.
 */
void backup_folder_sweep(int dir_fd, const struct manifest *manifest);
/* True when everything in it could be ours. */
bool backup_folder_is_ours(int dir_fd);

#endif
