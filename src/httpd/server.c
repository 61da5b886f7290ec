/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/internal.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SWEEP_MS = 2000,
    CONNECTION_MEMORY = 64 * 1024,
    CONNECTIONS_DEFAULT = 2000,
    CONNECTIONS_PER_NETWORK_DEFAULT = 200,
};

/* The same policy as crypto/tls: TLS 1.2 and 1.3, forward secrecy, AEAD, nothing kept for later. */
#define PRIORITIES                                                                             \
    "NONE:+VERS-TLS1.3:+VERS-TLS1.2:+AEAD:+COMP-NULL:"                                         \
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:+ECDHE-ECDSA:+ECDHE-RSA:"                    \
    "+GROUP-X25519:+GROUP-SECP256R1:+GROUP-SECP384R1:"                                         \
    "+SIGN-ECDSA-SECP256R1-SHA256:+SIGN-ECDSA-SECP384R1-SHA384:+SIGN-EDDSA-ED25519:"           \
    "+SIGN-ECDSA-SHA256:+SIGN-ECDSA-SHA384:+SIGN-ECDSA-SHA512:"                                \
    "+SIGN-RSA-PSS-RSAE-SHA256:+SIGN-RSA-PSS-RSAE-SHA384:+SIGN-RSA-PSS-RSAE-SHA512:"           \
    "+SIGN-RSA-SHA256:+SIGN-RSA-SHA384:+SIGN-RSA-SHA512:+CTYPE-X509:"                          \
    "%SERVER_PRECEDENCE:%NO_TICKETS:%SAFE_RENEGOTIATION"

/* ---- connections ---- */

void httpd__network_write(const struct sockaddr *address, char text_out[NETWORK_SIZE])
{
    uint8_t bytes[16] = {0};
    char text_cstr[INET6_ADDRSTRLEN] = "";
    bool is_v4 = address->sa_family == AF_INET;

    if (is_v4)
        memcpy(bytes, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 3);
    else if (address->sa_family == AF_INET6) {
        const struct in6_addr *v6 =
            &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

        is_v4 = IN6_IS_ADDR_V4MAPPED(v6);
        memcpy(bytes, v6->s6_addr + (is_v4 ? 12 : 0), is_v4 ? 3 : 8);
    } else {
        snprintf(text_out, NETWORK_SIZE, "local");
        return;
    }
    must(inet_ntop(is_v4 ? AF_INET : AF_INET6, bytes, text_cstr, sizeof text_cstr) != NULL);
    snprintf(text_out, NETWORK_SIZE, "%s/%d", text_cstr, is_v4 ? 24 : 64);
}

void httpd__set_deadline(struct httpd_connection *connection, int64_t least_ms, uint64_t bytes)
{
    connection->deadline_ms =
        loop_now_ms() + least_ms + (int64_t)(bytes / SLOW_BYTES_PER_S) * 1000;
}

/* One network cannot take all connections. IPv6: a /64 is one customer. */
static enum MHD_Result may_connect(void *context, const struct sockaddr *address, socklen_t len)
{
    const struct httpd *httpd = ((struct httpd_daemon *)context)->httpd;
    char network_cstr[NETWORK_SIZE];
    unsigned count = 0;

    (void)len;
    httpd__network_write(address, network_cstr);
    for (struct list_link *at = list_first(&httpd->connections); at != NULL;
         at = list_next(&httpd->connections, at))
        count += strcmp(LIST_ELEMENT(at, struct httpd_connection, link)->network_cstr,
                        network_cstr) == 0;
    return count < httpd->options.connections_per_network ? MHD_YES : MHD_NO;
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **connection_at,
                          enum MHD_ConnectionNotificationCode what)
{
    struct httpd *httpd = ((struct httpd_daemon *)context)->httpd;
    struct httpd_connection *connection = *connection_at;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        connection = calloc(1, sizeof *connection);
        must(connection != NULL);
        connection->fd =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
        httpd__network_write(
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CLIENT_ADDRESS)->client_addr,
            connection->network_cstr);
        httpd__set_deadline(connection, HEAD_LIMIT_MS, 0);
        list_push_back(&httpd->connections, &connection->link);
        httpd->connection_count++;
        *connection_at = connection;
        return;
    }
    list_remove(&connection->link);
    httpd->connection_count--;
    *connection_at = NULL;
    free(connection);
}

static void on_sweep(void *context)
{
    struct httpd *httpd = context;
    int64_t now_ms = loop_now_ms();
    struct list_link *next;

    for (struct list_link *at = list_first(&httpd->connections); at != NULL; at = next) {
        struct httpd_connection *connection = LIST_ELEMENT(at, struct httpd_connection, link);

        next = list_next(&httpd->connections, at);
        if (connection->deadline_ms > now_ms)
            continue;
        if (connection->request != NULL && connection->request->is_suspended)
            httpd__give_up(connection->request);
        else
            shutdown(connection->fd, SHUT_RDWR);
    }
    loop_timer_set(httpd->sweep, SWEEP_MS);
}

/* ---- daemons ---- */

static void close_daemon(struct httpd_daemon *daemon)
{
    loop_watch_free(&daemon->watch);
    loop_timer_free(&daemon->timer);
    MHD_stop_daemon(daemon->daemon);
    list_remove(&daemon->link);
    free(daemon);
}

static void run(struct httpd_daemon *daemon)
{
    struct httpd *httpd = daemon->httpd;
    unsigned long long wait_ms;

    MHD_run(daemon->daemon);
    if (daemon->is_quiet &&
        MHD_get_daemon_info(daemon->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
                ->num_connections == 0) {
        close_daemon(daemon);
        if (httpd->is_draining && list_is_empty(&httpd->daemons) && httpd->on_idle != NULL)
            httpd->on_idle(httpd->idle_context);
        return;
    }
    if (MHD_get_timeout(daemon->daemon, &wait_ms) == MHD_YES)
        loop_timer_set(daemon->timer, wait_ms > 60000 ? 60000 : (int64_t)wait_ms);
    else
        loop_timer_clear(daemon->timer);
}

static void on_ready(void *context, int ready)
{
    (void)ready;
    run(context);
}

static void on_timer(void *context)
{
    run(context);
}

void httpd__wake(struct httpd_daemon *daemon)
{
    loop_timer_set(daemon->timer, 0);
}

/* Paths stay as they came: decoding is the business of whoever reads them. */
static size_t keep_escapes(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context;
    (void)mhd;
    return strlen(text);
}

static char *copy_text(struct slice text)
{
    char *copy = malloc(text.len + 1);

    must(copy != NULL);
    if (text.len > 0)
        memcpy(copy, text.at, text.len);
    copy[text.len] = '\0';
    return copy;
}

static struct MHD_Daemon *start(struct httpd_daemon *daemon, int fd, struct slice certificate,
                                struct slice private_key)
{
    const struct httpd_options *options = &daemon->httpd->options;
    char *certificate_cstr = copy_text(certificate), *key_cstr = copy_text(private_key);
    struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, certificate_cstr},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, key_cstr},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)PRIORITIES},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME;
    struct MHD_Daemon *mhd = MHD_start_daemon(
        flags | (options->is_plain ? 0U : MHD_USE_TLS), 0, may_connect, daemon,
        httpd__on_access, daemon, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_CONNECTION_LIMIT, options->connections, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)CONNECTION_MEMORY, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)(IDLE_LIMIT_MS / 1000), MHD_OPTION_URI_LOG_CALLBACK, httpd__on_uri, daemon,
        MHD_OPTION_NOTIFY_COMPLETED, httpd__on_completed, daemon, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, daemon, MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL,
        MHD_OPTION_ARRAY, options->is_plain ? &tls[3] : tls, MHD_OPTION_END);

    /* The library has parsed them. */
    explicit_bzero(key_cstr, private_key.len);
    free(key_cstr);
    free(certificate_cstr);
    return mhd;
}

static bool open_daemon(struct httpd *httpd, struct slice certificate, struct slice private_key,
                        struct err *err)
{
    struct httpd_daemon *daemon = calloc(1, sizeof *daemon);
    int fd = fcntl(httpd->options.listen_fd, F_DUPFD_CLOEXEC, 0);
    const union MHD_DaemonInfo *info;

    must(daemon != NULL);
    daemon->httpd = httpd;
    if (fd < 0) {
        free(daemon);
        return FAIL(err, ERR_TEMP, "cannot listen: no descriptor left");
    }
    must(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) == 0);
    daemon->daemon = start(daemon, fd, certificate, private_key);
    if (daemon->daemon == NULL) {
        close(fd);
        free(daemon);
        return FAIL(
            err, ERR_PERM,
            "the portal's certificate and key cannot be used: are both PEM, and do they "
            "belong together?");
    }
    info = MHD_get_daemon_info(daemon->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    must(info != NULL);
    daemon->watch = loop_watch_new(httpd->options.loop, info->epoll_fd, on_ready, daemon);
    daemon->timer = loop_timer_new(httpd->options.loop, on_timer, daemon);
    loop_watch_set(daemon->watch, LOOP_READ);
    httpd__wake(daemon);
    list_push_front(&httpd->daemons, &daemon->link);
    return true;
}

static void quiet(struct httpd_daemon *daemon)
{
    int fd;

    if (daemon->is_quiet)
        return;
    daemon->is_quiet = true;
    fd = MHD_quiesce_daemon(daemon->daemon);
    if (fd >= 0)
        close(fd);
    httpd__wake(daemon);
}

bool httpd_open(const struct httpd_options *options, struct httpd **httpd_out, struct err *err)
{
    struct httpd *httpd = calloc(1, sizeof *httpd);

    must(httpd != NULL);
    *httpd_out = NULL;
    httpd->options = *options;
    if (httpd->options.connections == 0)
        httpd->options.connections = CONNECTIONS_DEFAULT;
    if (httpd->options.connections_per_network == 0)
        httpd->options.connections_per_network = CONNECTIONS_PER_NETWORK_DEFAULT;
    list_init(&httpd->daemons);
    list_init(&httpd->connections);
    map_init(&httpd->requests);
    buffer_init(&httpd->host, 300);
    if (!buffer_append(&httpd->host, options->host)) {
        free(httpd);
        return FAIL(err, ERR_PERM, "the portal's host name is too long");
    }
    httpd->sweep = loop_timer_new(options->loop, on_sweep, httpd);
    httpd->options.listen_fd = fcntl(options->listen_fd, F_DUPFD_CLOEXEC, 0);
    if (!open_daemon(httpd, options->certificate_pem, options->private_key_pem, err)) {
        httpd_close(&httpd);
        return false;
    }
    loop_timer_set(httpd->sweep, SWEEP_MS);
    *httpd_out = httpd;
    return true;
}

bool httpd_change_certificate(struct httpd *httpd, struct slice certificate_pem,
                              struct slice private_key_pem, struct err *err)
{
    struct list_link *old = list_first(&httpd->daemons);

    if (!open_daemon(httpd, certificate_pem, private_key_pem, err))
        return false;
    if (old != NULL)
        quiet(LIST_ELEMENT(old, struct httpd_daemon, link));
    return true;
}

void httpd_drain(struct httpd *httpd, void (*on_idle)(void *context), void *context)
{
    httpd->is_draining = true;
    httpd->on_idle = on_idle;
    httpd->idle_context = context;
    for (struct list_link *at = list_first(&httpd->daemons); at != NULL;
         at = list_next(&httpd->daemons, at))
        quiet(LIST_ELEMENT(at, struct httpd_daemon, link));
    /* Connections that wait for their next request would keep us. */
    for (struct list_link *at = list_first(&httpd->connections); at != NULL;
         at = list_next(&httpd->connections, at)) {
        struct httpd_connection *connection = LIST_ELEMENT(at, struct httpd_connection, link);

        if (connection->request == NULL)
            shutdown(connection->fd, SHUT_RD);
    }
}

void httpd_close(struct httpd **httpd_at)
{
    struct httpd *httpd = *httpd_at;
    struct list_link *next;
    size_t position = 0;
    uint64_t id;
    struct httpd_request *request;

    if (httpd == NULL)
        return;
    httpd->on_idle = NULL;
    while ((request = map_next(&httpd->requests, &position, &id)) != NULL)
        httpd__give_up(request);
    for (struct list_link *at = list_first(&httpd->daemons); at != NULL; at = next) {
        struct httpd_daemon *daemon = LIST_ELEMENT(at, struct httpd_daemon, link);

        next = list_next(&httpd->daemons, at);
        MHD_run(daemon->daemon);
        close_daemon(daemon);
    }
    if (httpd->options.listen_fd >= 0)
        close(httpd->options.listen_fd);
    loop_timer_free(&httpd->sweep);
    map_deinit(&httpd->requests);
    buffer_deinit(&httpd->host);
    free(httpd);
    *httpd_at = NULL;
}

size_t httpd_connection_count(const struct httpd *httpd)
{
    return httpd->connection_count;
}
