/* SPDX-License-Identifier: Apache-2.0 */
/* What the settings of reports about TLS mean together with our domains. */
#ifndef SETTINGS_CHECK_REPORTS_H
#define SETTINGS_CHECK_REPORTS_H

#include "settings/reader.h"
#include "settings/settings.h"

/* Note the first mistake. */
void settings_check_reports(const struct settings *settings, struct cfg_t *tree,
                            struct settings_mistake *mistake);

#endif
