/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sts_find: is there a TXT record at _mta-sts.DOMAIN, and if its id is not the known one, what is the policy at
 * https://mta-sts.DOMAIN/.well-known/mta-sts.txt [RFC 8461 §3]? The record is not believed further than that: without a
 * policy that was fetched from a verified host it changes nothing.
 */
#ifndef SCOUT_STS_H
#define SCOUT_STS_H

#include "scout/scout.h"

extern const struct scout_kind scout_sts;

#endif
