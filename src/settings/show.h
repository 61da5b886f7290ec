/* SPDX-License-Identifier: Apache-2.0 */
/* Settings in force, written as a settings file: for `postern show-settings`. */
#ifndef SETTINGS_SHOW_H
#define SETTINGS_SHOW_H

#include "base/buffer.h"
#include "settings/settings.h"

/* Append every setting, defaults included; password hashes and answers are left out. False: no room. */
MUST_CHECK bool settings_show(const struct settings *settings, struct buffer *out);

#endif
