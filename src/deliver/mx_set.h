/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The name of a set of MX hosts: domains with the same hosts are served as one. The names in order, separated by spaces;
 * a long list ends in a digest. Pure.
 */
#ifndef DELIVER_MX_SET_H
#define DELIVER_MX_SET_H

#include "net/dns.h"

enum { MX_SET_SIZE = 200 };

/* "" when there are none. */
void mx_set_write(const struct dns_mx *hosts, size_t count, char text_out[MX_SET_SIZE]);

#endif
