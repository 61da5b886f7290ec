/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/route.h"

#include "deliver/directory.h"
#include "deliver/literal.h"
#include "settings/outbound.h"
#include "settings/values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUBMISSION_PORT = 587, SUBMISSIONS_PORT = 465 };

static struct slice first_line(struct slice text)
{
    while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
        text.len--;
    return text;
}

static void take_smart_host(struct deliver_route *route,
                            const struct settings_outbound *outbound)
{
    struct slice host = {NULL, 0};
    uint16_t port = 0;

    if (outbound->smart_host_cstr[0] == '\0' ||
        !value_host_port_parse(slice_from_cstr(outbound->smart_host_cstr), &host, &port))
        return;
    must(slice_to_cstr(host, route->smart_host_cstr, sizeof route->smart_host_cstr));
    route->is_tls_first = outbound->mode == OUTBOUND_TLS;
    route->port = port != 0 ? port : route->is_tls_first ? SUBMISSIONS_PORT : SUBMISSION_PORT;
    route->user = slice_from_cstr(outbound->user_cstr);
    route->password = first_line(outbound->password.bytes);
}

static void take_outbound(struct deliver_route *route, const struct settings_outbound *outbound)
{
    route->name_cstr = outbound->name_cstr;
    if (outbound->helo_cstr[0] != '\0')
        route->helo_cstr = outbound->helo_cstr;
    route->source_v4_len = outbound_source(outbound, AF_INET, &route->source_v4);
    route->source_v6_len = outbound_source(outbound, AF_INET6, &route->source_v6);
    route->has_source = route->source_v4_len + route->source_v6_len > 0;
    take_smart_host(route, outbound);
}

void deliver_routes_init(struct deliver_routes *routes, const struct settings *settings)
{
    const char *helo_cstr = settings->delivery.helo_cstr[0] != '\0'
                                ? settings->delivery.helo_cstr
                                : settings->hostname_cstr;

    routes->count = settings->outbound_count + 1;
    routes->all = calloc(routes->count, sizeof *routes->all);
    must(routes->all != NULL);
    for (size_t i = 0; i < routes->count; i++) {
        routes->all[i].name_cstr = "";
        routes->all[i].helo_cstr = helo_cstr;
        if (i > 0)
            take_outbound(&routes->all[i], &settings->outbounds[i - 1]);
    }
}

void deliver_routes_deinit(struct deliver_routes *routes)
{
    free(routes->all);
    *routes = (struct deliver_routes){0};
}

const struct deliver_route *deliver_route_find(const struct deliver_routes *routes,
                                               struct slice name)
{
    for (size_t i = 0; i < routes->count; i++)
        if (slice_equal_nocase(slice_from_cstr(routes->all[i].name_cstr), name))
            return &routes->all[i];
    return NULL;
}

bool deliver_route_is_smart(const struct deliver_route *route)
{
    return route->smart_host_cstr[0] != '\0';
}

bool deliver_route_source(const struct deliver_route *route, int family,
                          struct connection_source *source_out)
{
    bool is_v6 = family == AF_INET6;

    *source_out = (struct connection_source){0};
    if (!route->has_source)
        return true;
    source_out->address =
        (const struct sockaddr *)(is_v6 ? &route->source_v6 : &route->source_v4);
    source_out->len = is_v6 ? route->source_v6_len : route->source_v4_len;
    return source_out->len > 0;
}

static bool try_sources(const struct deliver_route *route, struct err *err)
{
    static const int families[] = {AF_INET, AF_INET6};
    struct connection_source source;

    for (size_t i = 0; i < COUNT_OF(families); i++)
        if (deliver_route_source(route, families[i], &source) && source.address != NULL &&
            !connection_source_works(source, err))
            return false;
    return true;
}

enum route_failure deliver_route_take(const struct deliver_routes *routes,
                                      struct delivery *delivery, struct err *err)
{
    const struct deliver_route *route =
        deliver_route_find(routes, slice_from_cstr(delivery->route_cstr));

    delivery->route = route != NULL ? route : &routes->all[0];
    if (route == NULL) {
        (void)FAIL(err, ERR_TEMP, "the outbound route is not in the settings any more");
        return ROUTE_NO_SOURCE;
    }
    if (deliver_route_is_smart(route)) {
        memcpy(delivery->host_cstr, route->smart_host_cstr, sizeof delivery->host_cstr);
        delivery->port = route->port;
        delivery->requirement.cleartext_allowed = delivery->requirement.tls_not_required =
            false;
        delivery->sts = STS_NONE; /* what the domain publishes is about its own hosts */
        if (delivery->requirement.least < PROOF_VERIFIED)
            delivery->requirement.least = PROOF_VERIFIED;
    } else if (delivery->is_probe && !try_sources(route, err)) {
        return ROUTE_NO_SOURCE;
    }
    return ROUTE_WORKS;
}

bool deliver_route_lacks_source(struct delivery *delivery, const char *host_cstr,
                                const struct dns_address *address)
{
    struct connection_source source;
    struct sockaddr_storage to;

    (void)literal_socket_address(address, 1, &to);
    if (deliver_route_source(delivery->route, to.ss_family, &source))
        return false;
    delivery->walk.had_no_source = delivery->walk.had_address = true;
    snprintf(delivery->walk.last_why_cstr, sizeof delivery->walk.last_why_cstr,
             "%s: the route %s has no %s source address", host_cstr, delivery->route->name_cstr,
             to.ss_family == AF_INET6 ? "IPv6" : "IPv4");
    return true;
}

enum route_failure deliver_route_failure(const struct delivery *delivery)
{
    const struct delivery_walk *at = &delivery->walk;

    if (!deliver_route_is_smart(delivery->route) || at->sessions > 0)
        return ROUTE_WORKS;
    /* Not good enough for this mail only. */
    if (at->route_failure == ROUTE_NO_TLS &&
        (delivery->requirement.tls_1_3_only || delivery->requirement.least > PROOF_VERIFIED))
        return ROUTE_WORKS;
    return at->route_failure != 0 ? (enum route_failure)at->route_failure : ROUTE_NOT_REACHED;
}

bool deliver_route_is_misplaced(struct delivery *delivery)
{
    const struct directory_entry *hosts = delivery->walk.hosts;

    if (hosts == NULL || delivery->host_cstr[0] != '\0' || hosts->rule == NULL ||
        delivery->stays || strcmp(delivery->group_cstr, hosts->set_cstr) == 0)
        return false;
    delivery->is_parked = true;
    return true;
}
