/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: one JSON request a connection, handed to the keeper; its answer streamed back. See
 * README.md. Understands nothing of what passes; what it guards is who may ask, and how much waits.
 */
#include "base/buffer.h"
#include "base/map.h"
#include "net/listener.h"
#include "office/monitor.h"
#include "role/role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    CLIENTS_MAX = 32,
    REQUEST_MAX_BYTES = 64 << 10,
    ANSWER_MAX_BYTES = 64 << 20, /* of a client that does not read */
    REQUEST_LIMIT_MS = 10000,
    READ_BYTES = 4096,
};

struct client {
    struct office *office;
    uint64_t ask; /* also its key in the map */
    int fd;
    struct loop_watch *watch;
    struct loop_timer *limit; /* until the request is here */
    struct buffer in, out;
    bool has_asked, has_answer; /* the whole request came; the whole answer came */
    bool is_deaf;               /* says nothing more, but still listens */
};

struct office {
    struct role *role;
    struct listener *listener;
    struct monitor *monitor; /* NULL: nobody watches */
    struct map clients;      /* by ask */
    uint64_t last_ask;
};

static void client_free(struct client *client)
{
    struct office *office = client->office;

    (void)map_take(&office->clients, client->ask);
    loop_watch_free(&client->watch);
    loop_timer_free(&client->limit);
    close(client->fd);
    buffer_wipe(&client->in);
    buffer_wipe(&client->out);
    free(client);
    if (office->role->is_draining && office->clients.count == 0)
        role_finished(office->role);
    else
        listener_enable(office->listener, !office->role->is_draining);
}

static void watch(struct client *client)
{
    loop_watch_set(client->watch, (client->is_deaf ? 0 : LOOP_READ) |
                                      (buffer_len(&client->out) > 0 ? LOOP_WRITE : 0));
}

/* False when the client went and was freed. */
static bool write_out(struct client *client)
{
    while (buffer_len(&client->out) > 0) {
        struct slice bytes = buffer_view(&client->out);
        ssize_t sent = send(client->fd, bytes.at, bytes.len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (sent < 0) {
            client_free(client);
            return false;
        }
        buffer_consume(&client->out, (size_t)sent);
    }
    if (client->has_answer && buffer_len(&client->out) == 0) {
        client_free(client);
        return false;
    }
    watch(client);
    return true;
}

static void answer_error(struct client *client, const char *text_cstr)
{
    client->has_asked = client->has_answer = true;
    if (buffer_append_format(&client->out, "{\"error\": \"%s\"}\n", text_cstr))
        (void)write_out(client);
    else
        client_free(client);
}

/* Hand the line to the keeper. May free the client. */
static void ask_keeper(struct client *client, struct slice line)
{
    struct ipc_control control = {.ask = client->ask, .request = line};

    client->has_asked = true;
    loop_timer_clear(client->limit);
    if (!ipc_send(client->office->role->keeper, IPC_CONTROL, &control))
        answer_error(client, "the server is busy; try again");
}

/* A new piece of the request. May free the client. */
static void take_request(struct client *client, struct slice bytes)
{
    struct slice text;

    if (client->has_asked)
        return; /* one request a connection: the rest is not for us */
    if (!buffer_append(&client->in, bytes)) {
        answer_error(client, "the request is too long");
        return;
    }
    text = buffer_view(&client->in);
    if (slice_find_byte(text, '\n') < text.len)
        ask_keeper(client, slice_head(text, slice_find_byte(text, '\n')));
}

static void on_client_ready(void *context, int ready)
{
    struct client *client = context;
    uint8_t bytes[READ_BYTES];
    ssize_t got;

    if ((ready & LOOP_WRITE) != 0 && !write_out(client))
        return;
    if ((ready & LOOP_READ) == 0 || client->is_deaf)
        return;
    got = recv(client->fd, bytes, sizeof bytes, 0);
    if (got > 0) {
        take_request(client, slice_of(bytes, (size_t)got));
    } else if (got == 0 && client->has_asked) {
        client->is_deaf = true; /* it may still read the answer */
        watch(client);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR && errno != EWOULDBLOCK)) {
        client_free(client);
    }
}

static void on_client_late(void *context)
{
    client_free(context);
}

/* The socket's mode is the first gate; this one holds when somebody changes the mode. */
static bool may_ask(int fd)
{
    struct ucred who;
    socklen_t len = sizeof who;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0)
        return false;
    if (who.uid == 0 || who.uid == getuid() || who.gid == getgid())
        return true;
    LOG(LOG_WARN, "office.refused", log_u64("uid", who.uid));
    return false;
}

static void on_connection(void *context, int fd, const struct sockaddr *peer)
{
    struct office *office = context;
    struct client *client;

    (void)peer;
    if (!may_ask(fd)) {
        close(fd);
        return;
    }
    client = calloc(1, sizeof *client);
    must(client != NULL);
    client->office = office;
    client->ask = ++office->last_ask;
    client->fd = fd;
    buffer_init(&client->in, REQUEST_MAX_BYTES);
    buffer_init(&client->out, ANSWER_MAX_BYTES);
    client->watch = loop_watch_new(office->role->loop, fd, on_client_ready, client);
    client->limit = loop_timer_new(office->role->loop, on_client_late, client);
    map_put(&office->clients, client->ask, client);
    loop_watch_set(client->watch, LOOP_READ);
    loop_timer_set(client->limit, REQUEST_LIMIT_MS);
    listener_enable(office->listener, office->clients.count < CLIENTS_MAX);
}

/* ---- the role ---- */

static uint64_t ask_for_monitor(void *context, struct slice request)
{
    struct office *office = context;
    struct ipc_control control = {.ask = ++office->last_ask, .request = request};

    return ipc_send(office->role->keeper, IPC_CONTROL, &control) ? control.ask : 0;
}

static bool open_monitor(struct office *office, struct err *err)
{
    const struct monitor_options options = {.loop = office->role->loop,
                                            .listen_fd = ROLE_FD_LISTENERS + 1,
                                            .ask = ask_for_monitor,
                                            .context = office};

    return !office->role->settings->metrics.enabled ||
           monitor_open(&options, &office->monitor, err);
}

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    struct office *office = role->context;

    if (!is_first)
        return true;
    office->role = role;
    office->listener = listener_new(role->loop, ROLE_FD_LISTENERS, on_connection, office);
    return open_monitor(office, err);
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct office *office = role->context;
    struct client *client;

    (void)channel;
    if (type != IPC_CONTROL_RESULT) {
        LOG(LOG_ERROR, "office.unexpected_message", log_cstr("type", ipc_type_name(type)));
        return;
    }
    client = map_get(&office->clients, message->control_result.ask);
    if (client == NULL) { /* a watcher's, or it did not wait */
        monitor_on_answer(office->monitor, message->control_result.ask,
                          message->control_result.answer, message->control_result.more);
        return;
    }
    if (!buffer_append(&client->out, message->control_result.answer)) {
        client_free(client);
        return;
    }
    client->has_answer = !message->control_result.more;
    (void)write_out(client);
}

static void on_drain(struct role *role)
{
    struct office *office = role->context;

    listener_enable(office->listener, false);
    monitor_close(&office->monitor);
    if (office->clients.count == 0)
        role_finished(role);
}

/* Everybody goes, with what can be sent at once. */
static void dismiss_all(struct office *office, struct slice last_words)
{
    size_t position = 0;
    struct client *client;
    uint64_t ask;

    while ((client = map_next(&office->clients, &position, &ask)) != NULL) {
        if (!client->has_answer && client->has_asked)
            (void)send(client->fd, last_words.at, last_words.len, MSG_NOSIGNAL);
        client_free(client);
        position = 0; /* taking one out changes the order */
    }
}

static void on_keeper_lost(struct role *role)
{
    dismiss_all(role->context, S("{\"error\": \"the server starts anew; try again\"}\n"));
}

static void on_end(struct role *role)
{
    struct office *office = role->context;

    dismiss_all(office, S("{\"error\": \"the server ends\"}\n"));
    map_deinit(&office->clients);
    monitor_close(&office->monitor);
    listener_free(&office->listener);
}

int office_main(unsigned index)
{
    static const struct role_hooks hooks = {.on_configure = on_configure,
                                            .on_keeper_message = on_keeper_message,
                                            .on_drain = on_drain,
                                            .on_keeper_lost = on_keeper_lost,
                                            .on_end = on_end};
    struct office office = {0};

    map_init(&office.clients);
    return role_run(ROLE_OFFICE, index, &hooks, &office);
}
