/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"

#include "base/log.h"
#include "base/stats.h"
#include "format/smtp/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    IN_MAX_BYTES = 64 << 10,
    OUT_MAX_BYTES = 64 << 10,
    OUT_RESERVE_BYTES = 4 << 10, /* no command is begun with less room for its reply */
    FINISH_MS = 10 * 1000,
    ASK_MS = 5 * 60 * 1000, /* the keeper answers long before this, or is lost */
    HANDSHAKE_MS = 60 * 1000,
};

static void session_run(struct session *session, bool is_news);

/* ---- replies ---- */

static void write_reply(struct session *session, unsigned code, const char *enhanced_cstr,
                        const char *text_cstr)
{
    struct buffer reply;
    bool fits;

    stats_add_class(STAT_SMTP_REPLIES_2XX, code);
    if (session->is_gone)
        return;
    buffer_init(&reply, OUT_RESERVE_BYTES);
    fits = smtp_reply_write(&reply, code, enhanced_cstr, slice_from_cstr(text_cstr)) &&
           connection_write(session->connection, buffer_view(&reply));
    must(fits);
    buffer_deinit(&reply);
}

void session_reply(struct session *session, unsigned code, const char *enhanced_cstr,
                   const char *format_cstr, ...)
{
    char text_cstr[512];
    va_list args;

    va_start(args, format_cstr);
    /* NOLINTNEXTLINE(clang-analyzer-valist.Uninitialized): va_start stands above. */
    vsnprintf(text_cstr, sizeof text_cstr, format_cstr, args);
    va_end(args);
    write_reply(session, code, enhanced_cstr, text_cstr);
    if (code < 500)
        return;
    session->errors++;
    if (session->errors >= SESSION_ERRORS_MAX && session->mode != MODE_CLOSING)
        session_close(session, 421, "4.7.0", "Too many errors");
}

void session_reply_err(struct session *session, const struct err *err)
{
    unsigned code = err->smtp_code != 0 ? err->smtp_code : err->class == ERR_TEMP ? 451 : 550;
    const char *enhanced_cstr = err->enhanced_cstr;

    if (enhanced_cstr[0] == '\0')
        enhanced_cstr = code < 500 ? "4.3.0" : "5.0.0";
    session_reply(session, code, enhanced_cstr, "%s", err->text_cstr);
}

void session_close(struct session *session, unsigned code, const char *enhanced_cstr,
                   const char *text_cstr)
{
    if (session->mode == MODE_CLOSING)
        return;
    session->mode = MODE_CLOSING;
    write_reply(session, code, enhanced_cstr, text_cstr);
}

/* ---- life ---- */

void session_free(struct session *session)
{
    struct smtpd *server = session->server;

    transaction_end(session);
    auth_end(session);
    if (session->ask != 0)
        map_take(&server->asks, session->ask);
    list_remove(&session->link);
    server->session_count--;
    client_release(server, session->client);
    connection_free(&session->connection);
    free(session->helo_cstr);
    settings_unref(&session->settings);
    free(session);
    if (server->is_draining && server->session_count == 0 && server->done != NULL)
        server->done(server->done_context);
}

/* Let what is queued go out, then end. */
static void session_finish(struct session *session)
{
    connection_finish(&session->connection, FINISH_MS);
    session_free(session);
}

void session_dismiss(struct session *session, const char *enhanced_cstr, const char *text_cstr)
{
    session_close(session, 421, enhanced_cstr, text_cstr);
    session_finish(session);
}

void session_last_words(struct session *session, const char *enhanced_cstr,
                        const char *text_cstr)
{
    session_close(session, 421, enhanced_cstr, text_cstr);
    connection_flush(session->connection);
    session_free(session);
}

bool session_is_idle(const struct session *session)
{
    return session->mode == MODE_COMMAND && session->transaction == NULL;
}

/* Who sends a byte now and then keeps a session, memory and a place in a segment: not for ever. */
static int64_t time_left(const struct session *session, int64_t delay_ms)
{
    int64_t left_ms;

    if (session->transaction == NULL || session->mode == MODE_ASKED)
        return delay_ms;
    left_ms = session->transaction->began_ms + session->settings->limits.message_timeout_ms -
              loop_now_ms();
    if (left_ms < 1)
        return 1;
    return left_ms < delay_ms ? left_ms : delay_ms;
}

/* The time until on_timeout, by what is waited for. */
static void session_arm(struct session *session)
{
    const struct settings_limits *limits = &session->settings->limits;
    int64_t delay_ms = limits->command_timeout_ms;

    switch (session->mode) {
    case MODE_COMMAND:
    case MODE_AUTH:
        break;
    case MODE_DATA:
    case MODE_CHUNK:
        delay_ms = limits->data_timeout_ms;
        break;
    case MODE_ASKED:
        delay_ms = ASK_MS;
        break;
    case MODE_PAUSED:
        delay_ms = session->server->auth_pause_ms * session->auth_failures;
        break;
    case MODE_HANDSHAKE:
        delay_ms = HANDSHAKE_MS;
        break;
    case MODE_CLOSING:
        return;
    }
    connection_timeout(session->connection, time_left(session, delay_ms));
}

uint64_t session_ask(struct session *session)
{
    session->ask = ++session->server->last_ask;
    map_put(&session->server->asks, session->ask, session);
    session->mode = MODE_ASKED;
    return session->ask;
}

void session_unask(struct session *session)
{
    map_take(&session->server->asks, session->ask);
    session->ask = 0;
    session->mode = MODE_COMMAND;
}

/* ---- input ---- */

static void take_line(struct session *session, struct slice *input)
{
    size_t line_max = session->mode == MODE_AUTH ? SMTP_AUTH_LINE_MAX : SMTP_LINE_MAX;
    enum smtp_line_fault fault;
    struct slice line;

    if (session->state == AT_START && smtp_is_foreign(*input)) {
        LOG(LOG_INFO, "smtpd.foreign_protocol", log_id("session", session->id));
        session_close(session, 421, "4.7.0", "This is a mail server");
        return;
    }
    if (smtp_line_next(&session->lines, input, line_max, &line, &fault) == PROGRESS_WAIT) {
        if (session->lines.skipped > SESSION_SKIP_MAX)
            session_close(session, 421, "4.7.0", "Line too long");
        return;
    }
    session->has_input = input->len > 0;
    if (session->mode == MODE_AUTH) {
        auth_line(session, line, fault);
        return;
    }
    switch (fault) {
    case SMTP_LINE_FINE:
        command_run(session, line);
        break;
    case SMTP_LINE_BARE:
        session_reply(session, 500, "5.5.2", "Lines end with CR LF, nothing else");
        break;
    case SMTP_LINE_CONTROL:
        session_reply(session, 500, "5.5.2", "Control character in a command");
        break;
    case SMTP_LINE_LONG:
        session_reply(session, 500, "5.5.2", "Line too long");
        break;
    }
}

/* One step over the bytes at hand; false when nothing more can be done with them now. */
static bool session_step(struct session *session)
{
    struct slice input = connection_input(session->connection);
    size_t before = input.len;
    bool moved;

    if (before == 0)
        return false;
    if (connection_output_room(session->connection) < OUT_RESERVE_BYTES) {
        /* The client sends and does not read: it must read first. */
        connection_want_drained(session->connection);
        return false;
    }
    switch (session->mode) {
    case MODE_COMMAND:
    case MODE_AUTH:
        take_line(session, &input);
        break;
    case MODE_DATA:
    case MODE_CHUNK:
        content_input(session, &input);
        break;
    case MODE_ASKED:
    case MODE_PAUSED:
    case MODE_HANDSHAKE:
    case MODE_CLOSING:
        return false;
    }
    /* A handshake may have begun: it looked at has_input, and there was nothing behind the
     * command. */
    moved = input.len < before;
    if (session->mode != MODE_HANDSHAKE)
        connection_consume(session->connection, before - input.len);
    return moved;
}

/*
 * Take in all that can be taken. is_news: the time-out begins anew in any case; else only when
 * something whole was taken, so that nobody keeps a session open with a byte now and then. The
 * session may be gone on return.
 */
static void session_run(struct session *session, bool is_news)
{
    while (session_step(session))
        is_news = true;
    if (session->server->is_draining && session_is_idle(session))
        session_close(session, 421, "4.3.2", "Shutting down");
    if (session->mode == MODE_CLOSING)
        session_finish(session);
    else if (is_news)
        session_arm(session);
}

void session_resume(struct session *session)
{
    if (session->is_gone)
        session_free(session);
    else
        session_run(session, true);
}

/* ---- what the connection tells ---- */

static void on_input(void *context)
{
    session_run(context, false);
}

static void count_handshake(const struct session *session)
{
    struct tls_evidence evidence;

    connection_evidence(session->connection, &evidence);
    stats
        .numbers[evidence.version == TLS_VERSION_1_3 ? STAT_SMTP_TLS_1_3 : STAT_SMTP_TLS_1_2]++;
    STAT_ADD(SMTP_TLS_RESUMED, evidence.is_resumed ? 1 : 0);
}

/* A relay host may be known by what it shows: the handshake has proved that it holds the key. */
static void know_by_certificate(struct session *session)
{
    struct tls_evidence evidence;

    if (session->kind != LISTENER_MX || !session->asks || session->account != NULL)
        return;
    connection_evidence(session->connection, &evidence);
    if (evidence.has_certificate)
        session->account =
            settings_relay_certificate(session->settings, evidence.certificate_sha256);
}

static void on_tls(void *context)
{
    struct session *session = context;

    count_handshake(session);
    know_by_certificate(session);
    session->mode = MODE_COMMAND;
    if (session->kind == LISTENER_SUBMISSIONS)
        session_reply(session, 220, "", "%s ESMTP Postern", session->settings->hostname_cstr);
    session_run(session, true);
}

static void on_timeout(void *context)
{
    struct session *session = context;

    if (session->mode == MODE_PAUSED) {
        auth_pause_over(session);
        session_run(session, true);
        return;
    }
    if (session->mode == MODE_HANDSHAKE) {
        STAT_ADD(SMTP_TLS_FAILED, 1);
        session_free(session);
        return;
    }
    LOG(LOG_INFO, "smtpd.timeout", log_id("session", session->id),
        log_u64("mode", (uint64_t)session->mode));
    session_dismiss(session, "4.4.2", "Timeout");
}

/*
 * While the keeper is asked the session stays until the answer: a message that the keeper takes
 * is taken, though nobody hears it, and the log shall say so.
 */
static void on_closed(void *context, const struct err *why)
{
    struct session *session = context;

    STAT_ADD(SMTP_TLS_FAILED, session->mode == MODE_HANDSHAKE ? 1 : 0);
    if (why->class != ERR_NONE && session->mode == MODE_HANDSHAKE)
        LOG(LOG_INFO, "smtpd.handshake_failed", log_id("session", session->id),
            log_cstr("why", why->text_cstr));
    session->is_gone = true;
    if (session->mode != MODE_ASKED)
        session_free(session);
}

static const struct connection_handlers handlers = {
    .on_input = on_input,
    .on_drained = on_input,
    .on_tls = on_tls,
    .on_timeout = on_timeout,
    .on_closed = on_closed,
};

struct tls_context *session_context(const struct session *session)
{
    /* What was asked for at the start may be gone from the settings: then nobody is. */
    return session->asks && session->server->tls_asking != NULL ? session->server->tls_asking
                                                                : session->server->tls;
}

void session_start(struct smtpd *server, int fd, const struct settings_listener *listener,
                   uint64_t client)
{
    static const struct connection_limits limits = {IN_MAX_BYTES, OUT_MAX_BYTES};
    struct session *session = calloc(1, sizeof *session);

    must(session != NULL);
    session->server = server;
    session->settings = settings_ref(server->settings);
    session->id = id_next(server->ids, clock_unix_ms());
    session->client = client;
    session->kind = listener->kind;
    session->asks = listener->client_certificates == SETTINGS_ASK;
    session->state = AT_START;
    session->connection = connection_accept(server->loop, fd, limits, &handlers, session);
    list_push_back(&server->sessions, &session->link);
    server->session_count++;
    if (listener->kind == LISTENER_MX)
        session->account =
            settings_relay_account(session->settings, connection_peer(session->connection));
    if (listener->kind == LISTENER_SUBMISSIONS && server->tls == NULL) {
        session_free(session);
        return;
    }
    if (listener->kind == LISTENER_SUBMISSIONS) {
        session->mode = MODE_HANDSHAKE;
        connection_start_tls_server(session->connection, session_context(session));
    } else {
        session_reply(session, 220, "", "%s ESMTP Postern", session->settings->hostname_cstr);
    }
    session_arm(session);
}
