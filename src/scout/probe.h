/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Testing a domain's hosts as mail would meet them, without mail: MX look-up, addresses, TLSA records, then one connection
 * to each address, with STARTTLS, and a second one where TLSA records must be matched. Delivery's own directory, client and
 * host policy are used, so that what is seen here is what mail sees. One address after the other.
 */
#ifndef SCOUT_PROBE_H
#define SCOUT_PROBE_H

#include "scout/scout.h"

enum {
    PROBE_ADDRESSES_MAX = 24, /* of all hosts together */
    PROBE_CONNECT_MS = 10 * 1000,
    PROBE_COMMAND_MS = 20 * 1000,
};

/* tls_test → tls_tested */
extern const struct scout_kind scout_probe;

#endif
