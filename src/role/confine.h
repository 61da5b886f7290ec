/* SPDX-License-Identifier: Apache-2.0 */
/* What each role keeps after its first configure: files and kinds of system calls, one row a role. */
#ifndef ROLE_CONFINE_H
#define ROLE_CONFINE_H

#include "role/role.h"

/* Give up everything else. Errors as sandbox_enter. */
MUST_CHECK bool role_confine(enum ipc_role kind, const struct settings *settings,
                             struct err *err);

#endif
