/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the decision table would say about a message at each host of a domain, as far as is known without asking anybody: the
 * MTA-STS policy that is kept, and the hosts as the last test found them.
 */
#ifndef KEEPER_EXPLAIN_TLS_H
#define KEEPER_EXPLAIN_TLS_H

#include "keeper/domains.h"
#include "policy/tls_table.h"

#include <jansson.h>

struct keeper;

/*
 * Adds to `object`: `sts` and `sts_id` when a policy is kept; `hosts`, each with mx, row, rule, tlsa, and demands (enum
 * proof_level) or, where the host would be skipped, why; `tested_ms`. domain NULL: nothing is known.
 */
void explain_tls(struct keeper *keeper, struct domain *domain,
                 const struct tls_requirement *requirement, json_t *object);

#endif
