/* SPDX-License-Identifier: Apache-2.0 */
/* AUTH PLAIN and LOGIN [RFC 4954] [RFC 4616]. Passwords are in memory from the line to the
 * question. */
#include "smtpd/session.h"

#include "base/encode.h"
#include "base/log.h"
#include "base/stats.h"

#include <stdlib.h>

enum { NAME_MAX_BYTES = 255, PASSWORD_MAX_BYTES_SENT = 1024 };

void auth_end(struct session *session)
{
    if (session->auth == NULL)
        return;
    buffer_wipe(&session->auth->name);
    free(session->auth);
    session->auth = NULL;
}

/* Back to commands with an answer. */
static void refuse(struct session *session, unsigned code, const char *enhanced_cstr,
                   const char *text_cstr)
{
    auth_end(session);
    session->mode = MODE_COMMAND;
    session_reply(session, code, enhanced_cstr, "%s", text_cstr);
}

static void failed(struct session *session)
{
    auth_end(session);
    session->auth_failures++;
    client_failed(session->server, session->client);
    /* The answer waits a moment (session_arm), longer each time: guessing is slow. */
    session->mode = MODE_PAUSED;
}

void auth_pause_over(struct session *session)
{
    session->mode = MODE_COMMAND;
    if (session->auth_failures >= SESSION_AUTH_FAILURES_MAX)
        session_close(session, 421, "4.7.0", "Too many failed logins");
    else
        session_reply(session, 535, "5.7.8", "Wrong name or password");
}

static void ask_keeper(struct session *session, struct slice name, struct slice password)
{
    char client_cstr[64];
    struct ipc_auth_check check;

    if (name.len == 0 || name.len > NAME_MAX_BYTES || password.len == 0 ||
        password.len > PASSWORD_MAX_BYTES_SENT) {
        failed(session);
        return;
    }
    address_write(connection_peer(session->connection), client_cstr, sizeof client_cstr);
    check = (struct ipc_auth_check){session_ask(session), name, password,
                                    slice_from_cstr(client_cstr)};
    if (!ipc_send(session->server->keeper, IPC_AUTH_CHECK, &check)) {
        session_unask(session);
        refuse(session, 454, "4.7.0", "Cannot check it now");
    }
}

/* "authzid NUL name NUL password"; the first empty or the same as the second. */
static void take_plain(struct session *session, struct slice text)
{
    struct slice who = slice_cut(&text, '\0');
    struct slice name = slice_cut(&text, '\0');

    if (slice_find_byte(text, '\0') < text.len ||
        (who.len > 0 && !slice_equal_nocase(who, name))) {
        failed(session);
        return;
    }
    ask_keeper(session, name, text);
}

static void prompt(struct session *session, const char *text_cstr)
{
    session->mode = MODE_AUTH;
    session_reply(session, 334, "", "%s", text_cstr);
}

static void take_response(struct session *session, struct slice decoded)
{
    struct auth_exchange *auth = session->auth;

    switch (auth->expects) {
    case AUTH_PLAIN:
        take_plain(session, decoded);
        return;
    case AUTH_LOGIN_NAME:
        if (!buffer_append(&auth->name, decoded)) {
            failed(session);
            return;
        }
        auth->expects = AUTH_LOGIN_PASSWORD;
        prompt(session, "UGFzc3dvcmQ6"); /* "Password:" */
        return;
    case AUTH_LOGIN_PASSWORD:
        ask_keeper(session, buffer_view(&auth->name), decoded);
        return;
    }
}

static void decode_response(struct session *session, struct slice text)
{
    struct buffer decoded;

    buffer_init(&decoded, SMTP_AUTH_LINE_MAX);
    if (!base64_decode(text, &decoded))
        refuse(session, 501, "5.5.2", "Not base64");
    else
        take_response(session, buffer_view(&decoded));
    buffer_wipe(&decoded);
}

void on_auth(struct session *session, struct slice args)
{
    struct slice mechanism = slice_cut(&args, ' ');
    bool is_plain = slice_equal_nocase(mechanism, S("PLAIN"));

    if (session->kind == LISTENER_MX) {
        session_reply(session, 502, "5.5.1", "No logins here");
        return;
    }
    if (session->user != NULL) {
        session_reply(session, 503, "5.5.1", "Logged in already");
        return;
    }
    if (!is_plain && !slice_equal_nocase(mechanism, S("LOGIN"))) {
        session_reply(session, 504, "5.5.4", "PLAIN or LOGIN");
        return;
    }
    if (client_is_locked(session->server, session->client)) {
        session_reply(session, 454, "4.7.0", "Too many failed logins from your network; wait");
        return;
    }
    session->auth = calloc(1, sizeof *session->auth);
    must(session->auth != NULL);
    session->auth->expects = is_plain ? AUTH_PLAIN : AUTH_LOGIN_NAME;
    buffer_init(&session->auth->name, NAME_MAX_BYTES);
    args = slice_trim(args);
    if (args.len == 0)
        prompt(session, is_plain ? "" : "VXNlcm5hbWU6"); /* "Username:" */
    else
        decode_response(session, slice_equal(args, S("=")) ? S("") : args);
}

void auth_line(struct session *session, struct slice line, enum smtp_line_fault fault)
{
    if (fault != SMTP_LINE_FINE)
        refuse(session, 500, "5.5.6", "Malformed line");
    else if (slice_equal(line, S("*")))
        refuse(session, 501, "5.7.0", "Given up");
    else
        decode_response(session, line);
}

void auth_result(struct session *session, const struct ipc_auth_result *result)
{
    const struct settings_account *account =
        settings_account_find(session->settings, result->account);
    const struct settings_user *user = settings_user_find(session->settings, result->user);

    if (result->ok)
        STAT_ADD(SMTP_AUTH_OK, 1);
    else if (result->problem)
        STAT_ADD(SMTP_AUTH_PROBLEM, 1);
    else
        STAT_ADD(SMTP_AUTH_REFUSED, 1);
    if (session->is_gone)
        return;
    if (!result->ok && !result->problem) {
        LOG(LOG_WARN, "smtpd.login_failed", log_id("session", session->id));
        failed(session);
        return;
    }
    if (!result->ok || account == NULL || user == NULL) {
        refuse(session, 454, "4.7.0", "Cannot check it now");
        return;
    }
    auth_end(session);
    session->account = account;
    session->user = user;
    session->auth_failures = 0;
    session->mode = MODE_COMMAND;
    session_reply(session, 235, "2.7.0", "Welcome");
}
