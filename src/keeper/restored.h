/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first start on a state folder that was restored from a backup. `postern restore` leaves a file
 * that says so; before anything else moves, and in one transaction, everything that
 * STATE/retractions names is taken back again, and, when that was asked for, everything that waits is put
 * aside. Then the file goes. A crash before that does it again, with the same end.
 */
#ifndef KEEPER_RESTORED_H
#define KEEPER_RESTORED_H

#include "base/err.h"
#include "base/slice.h"

#define RESTORED_NAME "restored"

enum { RESTORED_MAX_BYTES = 200 };

struct keeper;

struct restored {
    bool is_waiting; /* not settled yet */
    bool holds;
};

/* The file's text. */
struct slice restored_text(bool holds);
/* False: it is none. */
MUST_CHECK bool restored_parse(struct slice text, bool *holds_out);

/* At the start, before the schedule. True at once when there is no such file. ERR_TEMP, ERR_PERM. */
MUST_CHECK bool restored_settle(struct keeper *keeper, struct err *err);

#endif
