/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is an address one of the public Internet? Whoever connects where a stranger's DNS points must not become that
 * stranger's arm into our own network. By the IANA special-purpose address registries [RFC 6890]; addresses that carry an
 * IPv4 address (mapped, translated, 6to4) are judged by it.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include "net/dns.h"

/* False: loopback, private, link-local, documentation, multicast, reserved, or unspecified. */
bool address_is_public(const struct dns_address *address);

#endif
