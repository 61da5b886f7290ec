/* SPDX-License-Identifier: Apache-2.0 */
/* Where a domain wants to hear how TLS went with it, and telling it over HTTPS. [RFC 8460 §3] [RFC 8460 §5.4] */
#ifndef SCOUT_REPORT_H
#define SCOUT_REPORT_H

#include "scout/scout.h"

extern const struct scout_kind scout_rua, scout_report;

#endif
