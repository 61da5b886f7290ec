/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What values mean together: names that must exist, be written once, or need each other. Also fills the
 * defaults that depend on the machine or on other settings. The tree gives the lines for messages.
 */
#ifndef SETTINGS_CHECK_H
#define SETTINGS_CHECK_H

#include "settings/reader.h"

/* False when the arena's ceiling was crossed. Mistakes go to `mistake`. */
MUST_CHECK bool settings_complete(struct settings *settings, struct arena *memory);
void settings_check(struct settings *settings, struct cfg_t *tree,
                    struct settings_mistake *mistake);

#endif
