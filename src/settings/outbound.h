/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Outbound routes as the operator names them: which of them an account uses and with which weight, what must be
 * written together, from which addresses a route connects. "direct" is always there: no address of its own, no smart
 * host.
 */
#ifndef SETTINGS_OUTBOUND_H
#define SETTINGS_OUTBOUND_H

#include "settings/reader.h"

enum { OUTBOUND_MAX = 31, OUTBOUND_NAME_MAX = 40, OUTBOUND_WEIGHT_MAX = 1000 };
#define OUTBOUND_DIRECT "direct"

/* "name" or "name=weight" (weight_out 0 = none written). False: neither. */
MUST_CHECK bool outbound_use_parse(struct slice text, struct slice *name_out,
                                   uint32_t *weight_out);
/* An address without port, as bind(2) wants it. */
MUST_CHECK bool outbound_source_parse(struct slice text, struct sockaddr_storage *address_out,
                                      socklen_t *len_out);
/* The address of this family that the route connects from; NULL-like (len 0) when it has none. */
socklen_t outbound_source(const struct settings_outbound *outbound, int family,
                          struct sockaddr_storage *address_out);

/* What is wrong with the outbound sections and with who uses them goes to `mistake`. */
void outbound_check(const struct settings *settings, struct cfg_t *tree,
                    struct settings_mistake *mistake);

#endif
