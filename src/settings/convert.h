/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the tree that libconfuse read to the struct: walks the table, converts every value or its default,
 * and notes the first mistake. Knows nothing of what values mean together: that is settings/check.h.
 */
#ifndef SETTINGS_CONVERT_H
#define SETTINGS_CONVERT_H

#include "settings/reader.h"

/*
 * Fill the zeroed struct of `section` from its part of the tree. folder: what relative paths begin with, ends
 * with '/' or is empty. False when the arena's ceiling was crossed; mistakes go to `mistake`.
 */
MUST_CHECK bool settings_convert(const struct settings_section *section, struct cfg_t *tree,
                                 struct slice folder, struct arena *memory,
                                 struct settings_mistake *mistake, void *section_out);

#endif
