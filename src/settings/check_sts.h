/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the MTA-STS policies that own domains shall publish are such, and somebody serves them. */
#ifndef SETTINGS_CHECK_STS_H
#define SETTINGS_CHECK_STS_H

#include "settings/reader.h"
#include "settings/settings.h"

/* Note the first mistake. */
void settings_check_sts(const struct settings *settings, struct cfg_t *tree,
                        struct settings_mistake *mistake);

#endif
