/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Do the named files fit their purpose? Settings know only that they exist; this looks inside with the code that
 * the roles will use, so that a wrong file is refused with its line before any role sees it. And what of the settings
 * cannot change without a restart.
 */
#ifndef POSTERN_INSPECT_H
#define POSTERN_INSPECT_H

#include "settings/settings.h"

/* ERR_PERM "FILE:LINE: what is wrong; what to do". path_cstr: the settings file, for the message. */
MUST_CHECK bool inspect_files(struct settings *settings, const char *path_cstr,
                              struct err *err);
/* NULL when everything that is fixed at the start is the same in both; else what differs, in words. */
const char *inspect_fixed_change(const struct settings *a, const struct settings *b);

#endif
