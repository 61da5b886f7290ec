/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A name that the client gives itself is kept for the trace of relayed mail; nothing is decided
 * by it. */
static bool greet(struct session *session, struct slice args)
{
    struct slice name;

    if (!smtp_helo_parse(args, &name)) {
        session_reply(session, 501, "5.5.4", "Give your host name");
        return false;
    }
    transaction_end(session);
    session->state = AT_HELLO;
    if (session->kind == LISTENER_MX) {
        free(session->helo_cstr);
        session->helo_cstr = strndup((const char *)name.at, name.len);
        must(session->helo_cstr != NULL);
    }
    return true;
}

static void on_ehlo(struct session *session, struct slice args)
{
    bool is_tls = connection_is_tls(session->connection);
    bool may_start_tls = !is_tls && session->server->tls != NULL;
    bool may_auth = is_tls && session->kind != LISTENER_MX && session->user == NULL;

    if (!greet(session, args))
        return;
    session->is_extended = true;
    session_reply(session, 250, "",
                  "%s\nPIPELINING\nSIZE %llu\n8BITMIME\nSMTPUTF8\nCHUNKING\nDSN\n"
                  "ENHANCEDSTATUSCODES%s%s%s",
                  session->settings->hostname_cstr,
                  (unsigned long long)session->settings->limits.message_bytes,
                  may_start_tls ? "\nSTARTTLS" : "", may_auth ? "\nAUTH PLAIN LOGIN" : "",
                  is_tls ? "\nREQUIRETLS" : "");
}

static void on_helo(struct session *session, struct slice args)
{
    if (!greet(session, args))
        return;
    session->is_extended = false;
    session_reply(session, 250, "", "%s", session->settings->hostname_cstr);
}

static void on_starttls(struct session *session, struct slice args)
{
    (void)args;
    if (connection_is_tls(session->connection)) {
        session_reply(session, 503, "5.5.1", "TLS is on already");
        return;
    }
    if (session->server->tls == NULL) {
        session_reply(session, 454, "4.7.0", "TLS is not available");
        return;
    }
    session_reply(session, 220, "2.0.0", "Go ahead");
    /* Whatever was said in the clear is forgotten [RFC 3207 §4.2]. */
    transaction_end(session);
    free(session->helo_cstr);
    session->helo_cstr = NULL;
    session->state = AT_START;
    session->is_extended = false;
    session->mode = MODE_HANDSHAKE;
    /* The command's own line is all that is there: command_run() saw to it. */
    connection_consume(session->connection, connection_input(session->connection).len);
    connection_start_tls_server(session->connection, session_context(session));
}

static void on_rset(struct session *session, struct slice args)
{
    (void)args;
    transaction_end(session);
    if (session->state != AT_START)
        session->state = AT_HELLO;
    session_reply(session, 250, "2.0.0", "Done");
}

static void on_noop(struct session *session, struct slice args)
{
    (void)args;
    session_reply(session, 250, "2.0.0", "Fine");
}

static void on_vrfy(struct session *session, struct slice args)
{
    (void)args;
    session_reply(session, 252, "2.5.2", "Send it and see");
}

static void on_expn(struct session *session, struct slice args)
{
    (void)args;
    session_reply(session, 502, "5.5.1", "Not here");
}

static void on_help(struct session *session, struct slice args)
{
    (void)args;
    session_reply(session, 214, "2.0.0", "[RFC 5321]");
}

static void on_quit(struct session *session, struct slice args)
{
    (void)args;
    session_close(session, 221, "2.0.0", "Bye");
}

static const struct command_row rows[] = {
    {SMTP_VERB_EHLO, AT_ANY, LEADS_NOWHERE, on_ehlo},
    {SMTP_VERB_HELO, AT_ANY, LEADS_NOWHERE, on_helo},
    {SMTP_VERB_STARTTLS, AT_HELLO, TAKES_NO_ARGS | ENDS_GROUP, on_starttls},
    {SMTP_VERB_AUTH, AT_HELLO, NEEDS_TLS | LEADS_NOWHERE, on_auth},
    {SMTP_VERB_MAIL, AT_HELLO, NEEDS_TLS | NEEDS_SENDER | LEADS_NOWHERE, on_mail},
    {SMTP_VERB_RCPT, AT_MAIL | AT_RCPT, 0, on_rcpt},
    {SMTP_VERB_DATA, AT_RCPT, TAKES_NO_ARGS, on_data},
    /* In a wrong state too: the chunk behind it must be swallowed. */
    {SMTP_VERB_BDAT, AT_ANY, 0, on_bdat},
    {SMTP_VERB_RSET, AT_ANY, TAKES_NO_ARGS | LEADS_NOWHERE, on_rset},
    {SMTP_VERB_NOOP, AT_ANY, LEADS_NOWHERE, on_noop},
    {SMTP_VERB_VRFY, AT_ANY, LEADS_NOWHERE, on_vrfy},
    {SMTP_VERB_EXPN, AT_ANY, LEADS_NOWHERE, on_expn},
    {SMTP_VERB_HELP, AT_ANY, LEADS_NOWHERE, on_help},
    {SMTP_VERB_QUIT, AT_ANY, TAKES_NO_ARGS, on_quit},
};

const struct command_row *command_find(enum smtp_verb verb)
{
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (rows[i].verb == verb)
            return &rows[i];
    return NULL;
}

/* The rules that rows state by flags. True: the command may run; else it has been answered. */
static bool may_run(struct session *session, const struct command_row *row, struct slice args)
{
    bool is_submission = session->kind != LISTENER_MX;

    if ((row->flags & ENDS_GROUP) && session->has_input) {
        /* Bytes behind STARTTLS would be read as if they had come encrypted. */
        LOG(LOG_WARN, "smtpd.injection_refused", log_id("session", session->id));
        session_close(session, 554, "5.5.0", "Nothing may be sent behind this command");
        return false;
    }
    if ((session->state & row->when) == 0) {
        session_reply(session, 503, "5.5.1", "Not now: %s",
                      session->state == AT_START ? "say EHLO first"
                                                 : "this is not its place in the sequence");
        return false;
    }
    if ((row->flags & NEEDS_TLS) && is_submission && !connection_is_tls(session->connection)) {
        session_reply(session, 530, "5.7.0", "Say STARTTLS first");
        return false;
    }
    if ((row->flags & NEEDS_SENDER) && is_submission && session->user == NULL) {
        session_reply(session, 530, "5.7.0", "Log in first");
        return false;
    }
    if ((row->flags & TAKES_NO_ARGS) && args.len > 0) {
        session_reply(session, 501, "5.5.4", "It takes no argument");
        return false;
    }
    return true;
}

void command_run(struct session *session, struct slice line)
{
    struct smtp_command command;
    const struct command_row *row;

    smtp_command_parse(line, &command);
    row = command_find(command.verb);
    if (command.verb == SMTP_VERB_FOREIGN) {
        session_close(session, 421, "4.7.0", "This is a mail server");
        return;
    }
    if (row == NULL) {
        session_reply(session, 500, "5.5.1", "Unknown command");
        return;
    }
    if ((row->flags & LEADS_NOWHERE) && ++session->idle_commands > SESSION_IDLE_COMMANDS_MAX) {
        session_close(session, 421, "4.7.0", "Too many commands");
        return;
    }
    if (may_run(session, row, command.args))
        row->act(session, command.args);
}
