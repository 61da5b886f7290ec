/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings of incoming mail mean together: who is held to TLS. */
#ifndef SETTINGS_CHECK_INBOUND_H
#define SETTINGS_CHECK_INBOUND_H

#include "settings/reader.h"
#include "settings/settings.h"

/* Note the first mistake. */
void settings_check_inbound(const struct settings *settings, struct cfg_t *tree,
                            struct settings_mistake *mistake);

#endif
