/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"

#include "base/log.h"
#include "base/stats.h"
#include "crypto/random.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
    TICK_MS = 1000,
    FAILURES_MAX = 20,                   /* of one client network ... */
    FAILURES_FORGET_MS = 10 * 60 * 1000, /* ... within this time lock logins */
    SWEEP_MAX = 100,                     /* clients forgotten in one turn */
    SCRATCH_MAX_BYTES = 64 << 20,
    SCRATCH_KEEP_BYTES = 1 << 20,
};

/* One client: an IPv4 address or an IPv6 network of 64 bits. */
struct client {
    uint32_t sessions;
    uint32_t failures;
    int64_t failures_since_ms; /* of the loop's clock */
};

static uint64_t client_key(const struct sockaddr *peer)
{
    uint8_t bytes[16] = {0};
    uint64_t key = 0;

    if (peer->sa_family == AF_INET)
        memcpy(bytes + 4, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, 4);
    else if (peer->sa_family == AF_INET6) {
        const struct in6_addr *address =
            &((const struct sockaddr_in6 *)(const void *)peer)->sin6_addr;

        if (IN6_IS_ADDR_V4MAPPED(address))
            memcpy(bytes + 4, address->s6_addr + 12, 4);
        else
            memcpy(bytes, address->s6_addr, 8);
    }
    for (size_t i = 0; i < 8; i++)
        key = key << 8 | bytes[i];
    return key == 0 ? UINT64_MAX : key;
}

static struct client *client_need(struct smtpd *server, uint64_t key)
{
    struct client *client = map_get(&server->clients, key);

    if (client == NULL) {
        client = calloc(1, sizeof *client);
        must(client != NULL);
        map_put(&server->clients, key, client);
    }
    return client;
}

void client_release(struct smtpd *server, uint64_t key)
{
    struct client *client = map_get(&server->clients, key);

    must(client != NULL && client->sessions > 0);
    client->sessions--;
    if (client->sessions == 0 && client->failures == 0)
        free(map_take(&server->clients, key));
}

bool client_failed(struct smtpd *server, uint64_t key)
{
    struct client *client = client_need(server, key);

    if (client->failures == 0)
        client->failures_since_ms = loop_now_ms();
    return ++client->failures >= FAILURES_MAX;
}

bool client_is_locked(const struct smtpd *server, uint64_t key)
{
    const struct client *client = map_get(&server->clients, key);

    return client != NULL && client->failures >= FAILURES_MAX;
}

/* Forget old failures, and clients of whom nothing is left. */
static void clients_sweep(struct smtpd *server)
{
    int64_t now_ms = loop_now_ms();
    size_t position = 0, forgotten = 0;
    struct client *client;
    uint64_t key;

    while (forgotten < SWEEP_MAX &&
           (client = map_next(&server->clients, &position, &key)) != NULL) {
        if (client->failures > 0 && now_ms - client->failures_since_ms >= FAILURES_FORGET_MS)
            client->failures = 0;
        if (client->failures == 0 && client->sessions == 0) {
            free(map_take(&server->clients, key));
            position = 0;
            forgotten++;
        }
    }
}

/* ---- every second ---- */

static void look_at_disk(struct smtpd *server)
{
    struct statvfs disk;
    bool is_full;

    if (fstatvfs(server->spool_dir_fd, &disk) != 0)
        return;
    is_full =
        (uint64_t)disk.f_bavail * disk.f_frsize < server->settings->limits.disk_reserve_bytes;
    if (is_full != server->is_disk_full)
        LOG(is_full ? LOG_ERROR : LOG_INFO, is_full ? "smtpd.disk_full" : "smtpd.disk_fine",
            log_u64("free_bytes", (uint64_t)disk.f_bavail * disk.f_frsize));
    server->is_disk_full = is_full;
}

static void on_tick(void *context)
{
    struct smtpd *server = context;

    if (server->settings != NULL)
        look_at_disk(server);
    spool_writer_tick(server->spool, clock_unix_ms());
    clients_sweep(server);
    if (server->scratch.cap > SCRATCH_KEEP_BYTES) {
        buffer_wipe(&server->scratch);
        buffer_init(&server->scratch, SCRATCH_MAX_BYTES);
    }
    loop_timer_set(server->tick, TICK_MS);
}

/* ---- life ---- */

struct smtpd *smtpd_new(const struct smtpd_options *options)
{
    struct smtpd *server = calloc(1, sizeof *server);

    must(server != NULL);
    server->loop = options->loop;
    server->keeper = options->keeper;
    server->ids = options->ids;
    server->spool = options->spool;
    server->tickets = options->tickets;
    server->spool_dir_fd = dup(options->spool_dir_fd);
    must(server->spool_dir_fd >= 0);
    server->hash_seed = random_u64();
    server->auth_pause_ms = 1000;
    list_init(&server->sessions);
    map_init(&server->asks);
    map_init(&server->clients);
    buffer_init(&server->scratch, SCRATCH_MAX_BYTES);
    buffer_init(&server->items, 4096);
    server->tick = loop_timer_new(server->loop, on_tick, server);
    loop_timer_set(server->tick, TICK_MS);
    return server;
}

void smtpd_free(struct smtpd **smtpd)
{
    struct smtpd *server = *smtpd;
    size_t position = 0;
    struct list_link *link;
    uint64_t key;
    void *client;

    if (server == NULL)
        return;
    server->done = NULL;
    while ((link = list_first(&server->sessions)) != NULL)
        session_free(LIST_ELEMENT(link, struct session, link));
    while ((client = map_next(&server->clients, &position, &key)) != NULL)
        free(client);
    loop_timer_free(&server->tick);
    tls_context_unref(&server->tls);
    tls_context_unref(&server->tls_asking);
    settings_unref(&server->settings);
    map_deinit(&server->asks);
    map_deinit(&server->clients);
    buffer_wipe(&server->scratch);
    buffer_deinit(&server->items);
    close(server->spool_dir_fd);
    free(server);
    *smtpd = NULL;
}

static bool is_any_asked(const struct settings *settings)
{
    for (size_t i = 0; i < settings->listener_count; i++)
        if (settings->listeners[i].client_certificates == SETTINGS_ASK)
            return true;
    return false;
}

/* One context for listeners that ask for certificates, one for the others. */
static bool make_contexts(const struct smtpd *smtpd, const struct settings *settings,
                          struct tls_context **plain_out, struct tls_context **asking_out,
                          struct err *err)
{
    struct tls_certificate *more = calloc(settings->certificate_count + 1, sizeof *more);
    struct tls_server_options options = {
        .certificate_chain_pem = settings->tls_certificate.bytes,
        .private_key_pem = settings->tls_key.bytes,
        .more = more,
        .more_count = settings->certificate_count,
        .client_authorities_pem = settings->client_authorities.bytes,
        .tickets = smtpd->tickets,
    };
    bool is_made = true;

    must(more != NULL);
    for (size_t i = 0; i < settings->certificate_count; i++)
        more[i] = (struct tls_certificate){settings->certificates[i].certificate.bytes,
                                           settings->certificates[i].key.bytes};
    if (options.certificate_chain_pem.len > 0) {
        is_made = tls_context_new_server(&options, plain_out, err);
        options.ask_certificate = true;
        if (is_made && is_any_asked(settings))
            is_made = tls_context_new_server(&options, asking_out, err);
    }
    free(more);
    return is_made;
}

bool smtpd_configure(struct smtpd *smtpd, struct settings *settings, struct err *err)
{
    struct tls_context *plain = NULL, *asking = NULL;

    if (!make_contexts(smtpd, settings, &plain, &asking, err)) {
        tls_context_unref(&plain);
        return false;
    }
    tls_context_unref(&smtpd->tls);
    tls_context_unref(&smtpd->tls_asking);
    smtpd->tls = plain;
    smtpd->tls_asking = asking;
    settings_unref(&smtpd->settings);
    smtpd->settings = settings_ref(settings);
    look_at_disk(smtpd);
    return true;
}

/* ---- connections ---- */

/* A few words, if the socket takes them at once, and the end. */
static void turn_away(int fd, struct slice words)
{
    ssize_t sent = send(fd, words.at, words.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    (void)sent;
    close(fd);
}

void smtpd_accept(struct smtpd *smtpd, int fd, const struct settings_listener *listener)
{
    const struct settings_limits *limits = &smtpd->settings->limits;
    struct sockaddr_storage peer = {.ss_family = AF_UNSPEC};
    socklen_t len = sizeof peer;
    uint64_t key;
    struct client *client;

    if (getpeername(fd, (struct sockaddr *)&peer, &len) != 0)
        peer.ss_family = AF_UNSPEC;
    key = client_key((const struct sockaddr *)&peer);
    client = client_need(smtpd, key);
    if (smtpd->session_count >= limits->sessions || smtpd->is_draining ||
        client->sessions >= limits->sessions_per_client) {
        STAT_ADD(SMTP_TURNED_AWAY, 1);
        turn_away(fd, S("421 4.7.0 Too many connections; try again later\r\n"));
        client->sessions++;
        client_release(smtpd, key);
        return;
    }
    client->sessions++;
    STAT_ADD(SMTP_CONNECTIONS, 1);
    session_start(smtpd, fd, listener, key);
}

size_t smtpd_session_count(const struct smtpd *smtpd)
{
    return smtpd->session_count;
}

/* ---- the keeper ---- */

static struct session *session_of(struct smtpd *server, uint64_t ask)
{
    struct session *session = ask == 0 ? NULL : map_take(&server->asks, ask);

    if (session != NULL)
        session->ask = 0;
    return session;
}

void smtpd_on_message(struct smtpd *smtpd, enum ipc_type type, const union ipc_any *message)
{
    struct session *session = NULL;

    if (type == IPC_AUTH_RESULT) {
        session = session_of(smtpd, message->auth_result.ask);
        if (session != NULL)
            auth_result(session, &message->auth_result);
    } else if (type == IPC_ACCEPT_RESULT) {
        session = session_of(smtpd, message->accept_result.ask);
        if (session != NULL)
            accept_result(session, &message->accept_result);
    } else if (type == IPC_RCPT_RESULT) {
        session = session_of(smtpd, message->rcpt_result.ask);
        if (session != NULL)
            rcpt_result(session, &message->rcpt_result);
    }
    if (session != NULL)
        session_resume(session);
}

/* ---- the end ---- */

typedef void dismiss_fn(struct session *session, const char *enhanced_cstr,
                        const char *text_cstr);

static void dismiss_all(struct smtpd *server, bool only_idle, dismiss_fn *dismiss,
                        const char *text_cstr)
{
    struct list_link *link = list_first(&server->sessions), *next;

    for (; link != NULL; link = next) {
        struct session *session = LIST_ELEMENT(link, struct session, link);

        next = list_next(&server->sessions, link);
        if (!only_idle || session_is_idle(session))
            dismiss(session, "4.3.2", text_cstr);
    }
}

void smtpd_drain(struct smtpd *smtpd, smtpd_done_fn *done, void *context)
{
    smtpd->is_draining = true;
    dismiss_all(smtpd, true, session_last_words, "Shutting down");
    smtpd->done = done;
    smtpd->done_context = context;
    if (smtpd->session_count == 0)
        done(context);
}

void smtpd_keeper_lost(struct smtpd *smtpd)
{
    smtpd->is_keeper_lost = true;
    smtpd->done = NULL;
    dismiss_all(smtpd, false, session_last_words, "Something broke here; try again later");
}
