/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/client_internal.h"

#include "base/stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_input(void *context);
static void on_drained(void *context);
static void on_connected(void *context);
static void on_tls(void *context);
static void on_timeout(void *context);
static void on_closed(void *context, const struct err *why);

static const struct connection_handlers connection_handlers = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_connected = on_connected,
    .on_tls = on_tls,
    .on_timeout = on_timeout,
    .on_closed = on_closed,
};

/* ---- life ---- */

static void take_options(struct deliver_client *client,
                         const struct deliver_client_options *options)
{
    client->options = *options;
    snprintf(client->host_cstr, sizeof client->host_cstr, "%s", options->host_cstr);
    snprintf(client->helo_cstr, sizeof client->helo_cstr, "%s", options->helo_cstr);
    client->options.host_cstr = client->host_cstr;
    client->options.helo_cstr = client->helo_cstr;
    if (options->tls != NULL)
        tls_context_ref(options->tls);
    if (options->resumption != NULL)
        tls_resumption_ref(options->resumption);
    snprintf(client->evidence.mx_cstr, sizeof client->evidence.mx_cstr, "%s",
             client->host_cstr);
    address_write((const struct sockaddr *)&options->address, client->evidence.address_cstr,
                  sizeof client->evidence.address_cstr);
}

static void destroy(struct deliver_client *client)
{
    struct transaction *transactions[] = {&client->ending, &client->sending};

    for (size_t i = 0; i < COUNT_OF(transactions); i++) {
        spool_reader_close(&transactions[i]->reader);
        delivery_free(&transactions[i]->delivery);
    }
    connection_free(&client->connection);
    smtp_reply_reader_deinit(&client->replies);
    tls_context_unref(&client->options.tls);
    tls_resumption_unref(&client->options.resumption);
    free(client);
}

struct deliver_client *deliver_client_open(const struct deliver_client_options *options,
                                           const struct deliver_client_handlers *handlers,
                                           void *context, struct err *err)
{
    static const struct connection_limits limits = {CLIENT_IN_MAX, CLIENT_OUT_MAX};
    struct deliver_client *client = calloc(1, sizeof *client);

    must(client != NULL);
    take_options(client, options);
    client->handlers = handlers;
    client->context = context;
    client->at = &client_connect;
    smtp_reply_reader_init(&client->replies);
    client->connection = connection_connect_from(
        options->loop, options->source, (const struct sockaddr *)&client->options.address,
        options->address_len, limits, &connection_handlers, client, err);
    if (client->connection == NULL) {
        destroy(client);
        return NULL;
    }
    STAT_ADD(COURIER_CONNECTIONS, 1);
    connection_timeout(client->connection, options->connect_timeout_ms);
    return client;
}

void deliver_client_free(struct deliver_client **client)
{
    if (*client == NULL)
        return;
    (*client)->is_over = true;
    if ((*client)->depth > 0)
        (*client)->is_freed = true;
    else
        destroy(*client);
    *client = NULL;
}

void deliver_client_quit(struct deliver_client **client)
{
    struct deliver_client *it = *client;

    if (it != NULL && deliver_client_is_idle(it)) {
        client_say(it, S("QUIT\r\n"));
        connection_finish(&it->connection, CLIENT_QUIT_MS);
    }
    deliver_client_free(client);
}

/* Between these two the client may be freed by a handler without dying under our feet. */
void client_enter(struct deliver_client *client)
{
    client->depth++;
}

void client_leave(struct deliver_client *client)
{
    if (--client->depth == 0 && client->is_freed)
        destroy(client);
}

/* The message was not heard of on a kept connection: the server had closed it, that says nothing about the host. */
static bool is_stale(const struct transaction *transaction)
{
    return !transaction->is_fresh && !transaction->was_answered;
}

void client_fail(struct deliver_client *client, enum client_failure failure,
                 const struct err *why)
{
    if (client->is_over)
        return;
    client->is_over = true;
    if (client->ending.delivery != NULL) {
        /* The end of the content was sent and never answered: the server may have taken it. */
        client->ending.delivery->is_unsure = true;
        client_give_back(client, &client->ending, CLIENT_STEP_LOST, why);
    }
    if (client->sending.delivery != NULL)
        client_give_back(client, &client->sending,
                         is_stale(&client->sending) ? CLIENT_STEP_STALE : CLIENT_STEP_LOST,
                         why);
    client->handlers->on_failed(client->context, client, failure, why);
}

void client_say(struct deliver_client *client, struct slice line)
{
    must(connection_write(client->connection, line));
}

void client_say_hello(struct deliver_client *client)
{
    char line_cstr[DELIVERY_HOST_SIZE + 16];
    int len = snprintf(line_cstr, sizeof line_cstr, "EHLO %s\r\n", client->helo_cstr);

    client_say(client, slice_of(line_cstr, (size_t)len));
}

void client_blame_reply(struct err *err, enum err_class class, const char *stage_cstr,
                        const struct smtp_reply *reply)
{
    struct slice line = slice_head(reply->text, slice_find_byte(reply->text, '\n'));

    (void)FAIL_SMTP(err, class, reply->code, reply->enhanced_cstr, "%s: %u %.*s", stage_cstr,
                    (unsigned)reply->code, SLICE_ARGS(slice_head(line, 160)));
}

/* ---- TLS ---- */

/* A literal is verified by its address, without brackets, and is not sent as SNI [RFC 6066 §3]. */
static const char *reference_name(const struct deliver_client *client, char *bare_out,
                                  size_t size)
{
    struct slice host = slice_from_cstr(client->host_cstr);

    if (host.len < 2 || host.at[0] != '[')
        return client->host_cstr;
    host = slice_of(host.at + 1, host.len - 2);
    if (slice_starts_with_nocase(host, S("IPv6:")))
        host = slice_from(host, 5);
    if (!slice_to_cstr(host, bare_out, size))
        bare_out[0] = '\0';
    return bare_out;
}

void client_start_tls(struct deliver_client *client)
{
    char bare_cstr[DELIVERY_HOST_SIZE];
    const char *name_cstr = reference_name(client, bare_cstr, sizeof bare_cstr);
    struct tls_peer peer = {
        .server_name_cstr = client->host_cstr[0] == '[' ? NULL : name_cstr,
        .names_cstr = {name_cstr},
        .tlsa = client->options.tlsa,
        .least = client->options.least,
        .resumption = client->options.resumption,
    };
    struct err err;

    if (peer.tlsa != NULL) {
        peer.server_name_cstr = client->options.names_cstr[0];
        memcpy(peer.names_cstr, client->options.names_cstr, sizeof peer.names_cstr);
    }
    client->at = &client_handshake;
    if (!connection_start_tls_client(client->connection, client->options.tls, &peer, &err))
        client_fail(client, CLIENT_NO_TLS, &err);
}

static void take_evidence(struct deliver_client *client)
{
    struct delivery_evidence *evidence = &client->evidence;

    connection_evidence(client->connection, &evidence->tls);
    stats.numbers[STAT_COURIER_TLS_1_2 + (evidence->tls.version == TLS_VERSION_1_3 ? 2U : 0U) +
                  (evidence->tls.is_resumed ? 1U : 0U)]++;
    evidence->is_tls = true;
    evidence->level = !evidence->tls.is_verified     ? PROOF_ENCRYPTED
                      : client->options.tlsa != NULL ? PROOF_DANE
                                                     : PROOF_VERIFIED;
    evidence->is_small_hello = client->options.small_hello;
    snprintf(evidence->why_cstr, sizeof evidence->why_cstr, "%s", evidence->tls.reason_cstr);
}

/* The certificate that was refused, if one was shown; a break without one may be due to our ClientHello. */
static void note_failed_handshake(struct deliver_client *client)
{
    struct delivery_evidence *evidence = &client->evidence;

    if (client->at != &client_handshake ||
        !connection_handshake_evidence(client->connection, &evidence->tls))
        return;
    client->may_be_the_hello =
        !client->options.small_hello && (evidence->tls.failure == TLS_FAILURE_HANDSHAKE ||
                                         evidence->tls.failure == TLS_FAILURE_NONE);
    snprintf(evidence->why_cstr, sizeof evidence->why_cstr, "%s", evidence->tls.reason_cstr);
}

bool deliver_client_may_be_the_hello(const struct deliver_client *client)
{
    return client->may_be_the_hello;
}

struct connection_proof deliver_client_proof(const struct deliver_client *client)
{
    /* From the live connection: a copied flag could survive what it was copied from. */
    if (client->connection == NULL || !connection_is_tls(client->connection) ||
        !client->evidence.is_tls)
        return (struct connection_proof){.level = PROOF_NONE};
    return (struct connection_proof){.is_tls = true,
                                     .is_enforced = client->options.is_enforced,
                                     .level = client->evidence.level,
                                     .version = client->evidence.tls.version,
                                     .offers_requiretls =
                                         (client->ehlo.extensions & SMTP_REQUIRETLS) != 0};
}

/* ---- the clock ---- */

void client_watch_clock(struct deliver_client *client)
{
    int64_t wait_ms = client->options.command_timeout_ms;

    if (client->is_over)
        return;
    if (client->ending.delivery != NULL)
        wait_ms *= 2; /* the server may think about a message for long [RFC 5321 §4.5.3.2.6] */
    else if (client->sending.delivery == NULL && client->at == &client_ready)
        wait_ms = client->options.idle_ms > 0 ? client->options.idle_ms : 1;
    connection_timeout(client->connection, wait_ms);
}

static void on_timeout(void *context)
{
    struct deliver_client *client = context;
    struct err err;

    client_enter(client);
    if (deliver_client_is_idle(client)) {
        err_clear(&err);
        client_say(client, S("QUIT\r\n"));
        connection_finish(&client->connection, CLIENT_QUIT_MS);
        client_fail(client, CLIENT_IDLE_END, &err);
    } else {
        enum client_failure failure =
            client->at == &client_ready ? CLIENT_LOST
            : client->at == &client_starttls || client->at == &client_handshake
                ? CLIENT_NO_TLS
                : CLIENT_UNREACHABLE;

        (void)FAIL_SMTP(&err, ERR_TEMP, 0, "4.4.2", "no answer in time (%s)",
                        deliver_client_state(client));
        note_failed_handshake(client);
        client_fail(client, failure, &err);
    }
    client_leave(client);
}

/* ---- the connection's events ---- */

static void on_connected(void *context)
{
    struct deliver_client *client = context;

    client_enter(client);
    connection_own_address(client->connection, client->evidence.source_cstr,
                           sizeof client->evidence.source_cstr);
    client->at = &client_greeting;
    if (client->options.is_tls_first)
        client_start_tls(client);
    client_watch_clock(client);
    client_leave(client);
}

static void on_tls(void *context)
{
    struct deliver_client *client = context;

    /* What was said before TLS is forgotten, the capabilities too [RFC 3207 §4.2]. */
    take_evidence(client);
    memset(&client->ehlo, 0, sizeof client->ehlo);
    if (client->options.is_tls_first) {
        client->saw_starttls = true; /* for the decision table the two are one */
        client->at = &client_greeting;
    } else {
        client->at = &client_hello;
        client_say_hello(client);
    }
    client_watch_clock(client);
}

static enum client_failure failure_of_state(const struct deliver_client *client)
{
    if (client->at == &client_starttls || client->at == &client_handshake)
        return CLIENT_NO_TLS;
    if (client->at != &client_ready)
        return CLIENT_UNREACHABLE;
    return deliver_client_is_idle(client) ? CLIENT_IDLE_END : CLIENT_LOST;
}

static void on_closed(void *context, const struct err *why)
{
    struct deliver_client *client = context;
    struct err err = *why;

    if (why->class == ERR_NONE)
        (void)FAIL_SMTP(&err, ERR_TEMP, 0, "4.4.2", "the server closed the connection (%s)",
                        deliver_client_state(client));
    client_enter(client);
    note_failed_handshake(client);
    client_fail(client, failure_of_state(client), &err);
    client_leave(client);
}

static void on_drained(void *context)
{
    struct deliver_client *client = context;

    client_enter(client);
    if (!client->is_over && client->sending.delivery != NULL) {
        struct transaction *transaction = &client->sending;

        if (transaction->at == &client_content)
            client_write_content(client, transaction);
        else
            client_write_commands(client, transaction);
        client_watch_clock(client);
    }
    client_leave(client);
}

static void take_reply(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct transaction *transaction = client->ending.delivery != NULL    ? &client->ending
                                      : client->sending.delivery != NULL ? &client->sending
                                                                         : NULL;
    struct err err;

    stats_add_class(STAT_COURIER_REPLIES_2XX, reply->code);
    /* 421 may come at any time; the server closes after it [RFC 5321 §3.8]. */
    client->is_leaving = reply->code == 421;
    if (transaction == NULL) {
        client->at->on_reply(client, reply);
    } else if (client->is_leaving && is_stale(transaction)) {
        client_blame_reply(&err, ERR_TEMP, "kept connection", reply);
        client_fail(client, CLIENT_LOST, &err);
    } else {
        transaction->was_answered = true;
        transaction->at->on_reply(client, reply);
    }
    if (client->is_leaving && !client->is_over) {
        client_blame_reply(&err, ERR_TEMP, "the server leaves", reply);
        client_fail(client, failure_of_state(client), &err);
    }
}

static void on_input(void *context)
{
    struct deliver_client *client = context;
    enum progress got = PROGRESS_DONE;
    bool has_moved = false;

    client_enter(client);
    while (!client->is_over && got == PROGRESS_DONE && client->at != &client_handshake) {
        struct slice input = connection_input(client->connection);
        size_t len = input.len;
        struct smtp_reply reply;

        if (len == 0)
            break;
        got = smtp_reply_push(&client->replies, &input, &reply);
        connection_consume(client->connection, len - input.len);
        has_moved = has_moved || got == PROGRESS_DONE;
        if (got == PROGRESS_DONE)
            take_reply(client, &reply);
        else if (got == PROGRESS_FAIL)
            client_fail(client, failure_of_state(client), &client->replies.err);
    }
    /* Only a whole reply winds the clock: single bytes would keep it going for ever. */
    if (has_moved)
        client_watch_clock(client);
    client_leave(client);
}

/* ---- ready ---- */

void client_become_ready(struct deliver_client *client)
{
    client->at = &client_ready;
    client->handlers->on_ready(client->context, client);
}

const struct delivery_evidence *deliver_client_evidence(const struct deliver_client *client)
{
    return &client->evidence;
}

bool deliver_client_saw_starttls(const struct deliver_client *client)
{
    return client->saw_starttls;
}

bool deliver_client_is_ahead(const struct deliver_client *client)
{
    return client->ending.delivery != NULL;
}

bool deliver_client_is_idle(const struct deliver_client *client)
{
    return client->at == &client_ready && !client->is_over && client->ending.delivery == NULL &&
           client->sending.delivery == NULL;
}

unsigned deliver_client_messages(const struct deliver_client *client)
{
    return client->messages;
}

struct tls_resumption *deliver_client_resumption(struct deliver_client *client)
{
    return client->connection != NULL ? connection_resumption(client->connection) : NULL;
}

const char *deliver_client_state(const struct deliver_client *client)
{
    if (client->ending.delivery != NULL)
        return client->ending.at->name_cstr;
    if (client->sending.delivery != NULL)
        return client->sending.at->name_cstr;
    return client->at->name_cstr;
}
