/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out: what connections are made with when mail goes by an outbound route of the settings. The first one, with
 * the name "", is the usual way. Views of the settings, which must live as long.
 */
#ifndef DELIVER_ROUTE_H
#define DELIVER_ROUTE_H

#include "deliver/delivery.h"
#include "net/dns.h"
#include "net/connection.h"
#include "settings/settings.h"

struct deliver_route {
    const char *name_cstr;
    const char *helo_cstr;
    bool has_source; /* it connects from its own addresses only */
    struct sockaddr_storage source_v4, source_v6;
    socklen_t source_v4_len, source_v6_len;   /* 0 = none of this family */
    char smart_host_cstr[DELIVERY_HOST_SIZE]; /* "" = by MX */
    uint16_t port;
    bool is_tls_first;
    struct slice user, password;
};

struct deliver_routes {
    struct deliver_route *all;
    size_t count;
};

void deliver_routes_init(struct deliver_routes *routes, const struct settings *settings);
void deliver_routes_deinit(struct deliver_routes *routes);
/* NULL: there is none of this name. */
const struct deliver_route *deliver_route_find(const struct deliver_routes *routes,
                                               struct slice name);
bool deliver_route_is_smart(const struct deliver_route *route);
/* From where to connect to an address of this family. False: the route has no address of that kind. */
MUST_CHECK bool deliver_route_source(const struct deliver_route *route, int family,
                                     struct connection_source *source_out);
/*
 * Find the route that a delivery names, and set what it brings with it: a smart host is spoken to under verified TLS
 * only, whatever the mail asks for. A probe by a route without one is done with it. ROUTE_NO_SOURCE: not a probe's
 * addresses of ours, or no such route.
 */
enum route_failure deliver_route_take(const struct deliver_routes *routes,
                                      struct delivery *delivery, struct err *err);
/* True, and noted: the route cannot connect to this kind of address. */
bool deliver_route_lacks_source(struct delivery *delivery, const char *host_cstr,
                                const struct dns_address *address);
/* What it says about the route that no host is left: a smart host that was told nothing has failed. */
enum route_failure deliver_route_failure(const struct delivery *delivery);

/*
 * All mail to a provider with limits goes by one courier. True, and marked as parked: the keeper did not know yet whose the
 * domain is. After the hosts were found.
 */
bool deliver_route_is_misplaced(struct delivery *delivery);

#endif
