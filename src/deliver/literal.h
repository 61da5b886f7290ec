/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts that are named by their address, and addresses as the kernel wants them. */
#ifndef DELIVER_LITERAL_H
#define DELIVER_LITERAL_H

#include "net/dns.h"

#include <sys/socket.h>

/* Does it look like a literal, "[...]"? */
bool literal_is(const char *host_cstr);
/* "[192.0.2.1]" or "[IPv6:2001:db8::1]" [RFC 5321 §4.1.3]; plain IPv6 between brackets is taken too. */
MUST_CHECK bool literal_parse(const char *host_cstr, struct dns_address *address_out);
/* Address and port as a socket address; its length. */
socklen_t literal_socket_address(const struct dns_address *from, uint16_t port,
                                 struct sockaddr_storage *to);

#endif
