/* SPDX-License-Identifier: Apache-2.0 */
/* What each role keeps after its first configure: files and kinds of system calls, one row a role. */
#ifndef ROLE_CONFINE_H
#define ROLE_CONFINE_H

#include "role/role.h"

/*
 * Become the user that the settings name, before any file is opened: what root opens or makes in a folder
 * of that user could be something else by then, and is not its own later. Errors as sandbox_become.
 */
MUST_CHECK bool role_become(const struct settings *settings, struct err *err);

/* Give up everything else. Errors as sandbox_enter. */
MUST_CHECK bool role_confine(enum ipc_role kind, const struct settings *settings,
                             struct err *err);

#endif
