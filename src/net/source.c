/* SPDX-License-Identifier: Apache-2.0 */
/* From which address of this machine a connection is made. */
#include "net/connection_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

/* With the port left to connect(2): bind(2) alone would use up a port for all destinations. */
bool net__bind_source(int fd, struct connection_source source, struct err *err)
{
    char text_cstr[INET6_ADDRSTRLEN];
    int on = 1;

    if (source.address == NULL)
        return true;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(fd, source.address, source.len) == 0)
        return true;
    address_write(source.address, text_cstr, sizeof text_cstr);
    return FAIL(err, ERR_PERM, "cannot connect from %s: %s", text_cstr, strerror(errno));
}

bool connection_source_works(struct connection_source source, struct err *err)
{
    int fd = socket(source.address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool works;

    if (fd < 0)
        return FAIL(err, ERR_PERM, "cannot make a socket: %s", strerror(errno));
    works = net__bind_source(fd, source, err);
    close(fd);
    return works;
}
