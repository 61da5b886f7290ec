/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a name to an id for base/map.h. Keyed, with a salt that no stranger knows: nobody can choose two names that
 * meet, so that one domain's mail would find the other's hosts.
 */
#ifndef DELIVER_KEY_H
#define DELIVER_KEY_H

#include "base/secret.h"

/* Never 0. kind keeps names of different uses apart. */
uint64_t key_id(const struct secret *salt, uint8_t kind, struct slice name);

#endif
