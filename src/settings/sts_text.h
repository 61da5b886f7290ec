/* SPDX-License-Identifier: Apache-2.0 */
/* The MTA-STS policy of an own domain: its text and its id [RFC 8461 §3]. The portal serves it, `postern dns` announces it. */
#ifndef SETTINGS_STS_TEXT_H
#define SETTINGS_STS_TEXT_H

#include "base/buffer.h"
#include "settings/settings.h"

enum { SETTINGS_STS_ID_SIZE = 33 };

/* True when a domain of ours has a policy to be served. */
bool settings_publishes_sts(const struct settings *settings);
/* The own domain whose policy lies at this host, "mta-sts.DOMAIN" in any case; NULL: none. */
const struct settings_domain *settings_sts_host_find(const struct settings *settings,
                                                     struct slice host);
/* Append the policy. False: the domain publishes none, or out is full. */
MUST_CHECK bool settings_sts_text(const struct settings *settings,
                                  const struct settings_domain *domain, struct buffer *out);
/* The id of a text: another text, another id; the same on every server that publishes it. */
void settings_sts_id(struct slice text, char id_out_cstr[SETTINGS_STS_ID_SIZE]);

#endif
