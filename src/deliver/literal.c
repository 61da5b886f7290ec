/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/literal.h"

#include "base/slice.h"
#include "deliver/delivery.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

bool literal_is(const char *host_cstr)
{
    return host_cstr[0] == '[';
}

bool literal_parse(const char *host_cstr, struct dns_address *address_out)
{
    struct slice text = slice_from_cstr(host_cstr);
    char bare_cstr[DELIVERY_ADDRESS_SIZE];

    if (text.len < 3 || text.at[text.len - 1] != ']')
        return false;
    text = slice_of(text.at + 1, text.len - 2);
    if (slice_starts_with_nocase(text, S("IPv6:")))
        text = slice_from(text, 5);
    memset(address_out, 0, sizeof *address_out);
    if (!slice_to_cstr(text, bare_cstr, sizeof bare_cstr))
        return false;
    address_out->is_ipv6 = inet_pton(AF_INET6, bare_cstr, address_out->bytes) == 1;
    return address_out->is_ipv6 || inet_pton(AF_INET, bare_cstr, address_out->bytes) == 1;
}

socklen_t literal_socket_address(const struct dns_address *from, uint16_t port,
                                 struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (from->is_ipv6) {
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)to;

        ipv6->sin6_family = AF_INET6;
        ipv6->sin6_port = htons(port);
        memcpy(&ipv6->sin6_addr, from->bytes, 16);
        return sizeof *ipv6;
    }
    ((struct sockaddr_in *)to)->sin_family = AF_INET;
    ((struct sockaddr_in *)to)->sin_port = htons(port);
    memcpy(&((struct sockaddr_in *)to)->sin_addr, from->bytes, 4);
    return sizeof(struct sockaddr_in);
}
