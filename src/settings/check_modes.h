/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings about modes, lists and exceptions of outgoing mail mean together. */
#ifndef SETTINGS_CHECK_MODES_H
#define SETTINGS_CHECK_MODES_H

#include "settings/reader.h"
#include "settings/settings.h"

/* Note the first mistake. */
void settings_check_modes(const struct settings *settings, struct cfg_t *tree,
                          struct settings_mistake *mistake);

#endif
