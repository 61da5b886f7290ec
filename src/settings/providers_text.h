/* SPDX-License-Identifier: Apache-2.0 */
/* conf/providers.conf, as it was when the program was built. */
#ifndef SETTINGS_PROVIDERS_TEXT_H
#define SETTINGS_PROVIDERS_TEXT_H

#include "base/slice.h"

/* Static. */
struct slice providers_text(void);

#endif
