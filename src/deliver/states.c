/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reply means in each state. Setting up: greeting → hello → starttls → handshake → hello → ready. A message:
 * rset → mail → rcpt… → data → content → end, or void where no recipient was taken.
 */
#include "deliver/client_internal.h"

static unsigned kind_of(const struct smtp_reply *reply)
{
    return reply->code / 100U;
}

static void refuse_host(struct deliver_client *client, enum client_failure failure,
                        const char *stage_cstr, const struct smtp_reply *reply)
{
    struct err err;

    /* Even 5xx is only this host's word about this connection: never a verdict about the mail. */
    client_blame_reply(&err, ERR_TEMP, stage_cstr, reply);
    client_fail(client, failure, &err);
}

/* A reply where none was asked for: the two sides no longer agree on what is being answered. */
static void on_unasked(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct err err;

    client_blame_reply(&err, ERR_PEER, "unasked reply", reply);
    client_fail(client,
                deliver_client_is_idle(client)
                    ? CLIENT_IDLE_END
                    : (client->at == &client_ready ? CLIENT_LOST : CLIENT_UNREACHABLE),
                &err);
}

static void on_greeting(struct deliver_client *client, const struct smtp_reply *reply)
{
    if (reply->code != 220) {
        refuse_host(client, CLIENT_UNREACHABLE, "greeting", reply);
        return;
    }
    client->at = &client_hello;
    client_say_hello(client);
}

static void on_hello(struct deliver_client *client, const struct smtp_reply *reply)
{
    if (reply->code != 250) {
        refuse_host(client, CLIENT_UNREACHABLE, "EHLO", reply);
        return;
    }
    smtp_ehlo_parse(reply->text, &client->ehlo);
    if (client->options.user.len > 0 &&
        (client->evidence.is_tls || client->options.tls == NULL)) {
        client_log_in(client);
        return;
    }
    if (client->evidence.is_tls) {
        client_become_ready(client);
        return;
    }
    client->saw_starttls = (client->ehlo.extensions & SMTP_STARTTLS) != 0;
    if (client->saw_starttls && client->options.tls != NULL) {
        client->at = &client_starttls;
        client_say(client, S("STARTTLS\r\n"));
        return;
    }
    client_become_ready(client);
}

static void on_starttls(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct err err;

    if (reply->code != 220) {
        refuse_host(client, CLIENT_NO_TLS, "STARTTLS", reply);
        return;
    }
    /* Whoever can add plain bytes here would have them read as said under TLS (CVE-2011-0411 and its kin). */
    if (connection_input(client->connection).len > 0) {
        (void)FAIL_SMTP(&err, ERR_PEER, 0, "4.7.5",
                        "bytes were injected before the TLS handshake");
        client_fail(client, CLIENT_NO_TLS, &err);
        return;
    }
    client_start_tls(client);
}

/* ---- one message ---- */

static void judge_recipient(struct deliver_client *client, struct transaction *transaction,
                            struct delivery_recipient *recipient,
                            const struct smtp_reply *reply, bool is_final)
{
    (void)client;
    recipient_note(transaction->delivery, recipient, reply->code, reply->enhanced_cstr,
                   reply->text);
    if (is_final) {
        recipient->state = RECIPIENT_DONE;
        recipient->outcome = kind_of(reply) == 2 ? OUTCOME_DELIVERED : OUTCOME_PERMANENT;
    } else {
        recipient->state = RECIPIENT_TRY_NEXT;
    }
}

/* A reply to the message as a whole: `of` are the recipients that it is about. */
static void judge_all(struct deliver_client *client, struct transaction *transaction,
                      enum recipient_state of, const struct smtp_reply *reply)
{
    bool is_final = kind_of(reply) == 5 || kind_of(reply) == 2;

    for (size_t i = 0; i < transaction->delivery->recipient_count; i++) {
        struct delivery_recipient *recipient = &transaction->delivery->recipients[i];

        if (recipient->state == of)
            judge_recipient(client, transaction, recipient, reply, is_final);
    }
}

static void on_rset(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct transaction *transaction = &client->sending;

    if (kind_of(reply) != 2) {
        refuse_host(client, CLIENT_LOST, "RSET", reply);
        return;
    }
    transaction->was_answered = false; /* nothing was heard about the message yet */
    transaction->at = &client_mail;
    client_go_on(client, transaction);
}

static void on_mail(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct transaction *transaction = &client->sending;

    transaction->at = &client_rcpt;
    transaction->is_mail_taken = kind_of(reply) == 2;
    if (!transaction->is_mail_taken) {
        transaction->is_mail_refused = true;
        judge_all(client, transaction, RECIPIENT_OPEN, reply);
    }
    client_go_on(client, transaction);
}

static struct delivery_recipient *next_asked(struct transaction *transaction)
{
    struct delivery *delivery = transaction->delivery;

    while (transaction->rcpt_answered < delivery->recipient_count) {
        struct delivery_recipient *recipient =
            &delivery->recipients[transaction->rcpt_answered++];

        if (recipient->is_asked)
            return recipient;
    }
    return NULL;
}

static void on_rcpt(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct transaction *transaction = &client->sending;
    struct delivery_recipient *recipient;

    if (transaction->answered == transaction->asked) {
        transaction->at = &client_data;
        client_data.on_reply(client, reply);
        return;
    }
    recipient = next_asked(transaction);
    must(recipient != NULL);
    transaction->answered++;
    if (!transaction->is_mail_refused) {
        if (kind_of(reply) == 2) {
            recipient->state = RECIPIENT_ACCEPTED;
            transaction->accepted++;
        } else {
            /* 552 after many recipients means "not so many at once" [RFC 5321 §4.5.3.1.10]. */
            judge_recipient(client, transaction, recipient, reply,
                            kind_of(reply) == 5 && reply->code != 552);
        }
    }
    client_go_on(client, transaction);
}

static void on_data(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct transaction *transaction = &client->sending;
    struct err err;

    if (reply->code == 354 && transaction->accepted > 0) {
        transaction->unanswered--;
        transaction->at = &client_content;
        client_write_content(client, transaction);
        return;
    }
    if (reply->code == 354) {
        /* It was pipelined and nobody was accepted: end it with nothing said [RFC 2920 §3.1]. */
        transaction->at = &client_void;
        client_say(client, S(".\r\n"));
        return;
    }
    if (kind_of(reply) != 4 && kind_of(reply) != 5) {
        client_blame_reply(&err, ERR_PEER, "DATA", reply);
        client_fail(client, CLIENT_LOST, &err);
        return;
    }
    judge_all(client, transaction, RECIPIENT_ACCEPTED, reply);
    client_go_on(client, transaction);
}

/* The server has judged before it heard all. What we still send it would read as commands: hang up. */
static void on_early(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct err err;

    client_blame_reply(&err, ERR_TEMP, "while content was sent", reply);
    if (kind_of(reply) == 4 || kind_of(reply) == 5)
        judge_all(client, &client->sending, RECIPIENT_ACCEPTED, reply);
    client_fail(client, CLIENT_LOST, &err);
}

static void on_end(struct deliver_client *client, const struct smtp_reply *reply)
{
    struct err err;

    if (kind_of(reply) == 3) {
        on_unasked(client, reply);
        return;
    }
    judge_all(client, &client->ending, RECIPIENT_ACCEPTED, reply);
    err_clear(&err);
    client_give_back(client, &client->ending, CLIENT_STEP_ENDED, &err);
    if (!client->is_over && !client->is_leaving && client->sending.delivery == NULL)
        client->handlers->on_ready(client->context, client);
}

static void on_void(struct deliver_client *client, const struct smtp_reply *reply)
{
    (void)reply;
    client->sending.is_mail_taken = false; /* that ended the server's transaction: no RSET */
    client_go_on(client, &client->sending);
}

const struct client_state client_connect = {"connecting", on_unasked};
const struct client_state client_greeting = {"greeting", on_greeting};
const struct client_state client_hello = {"EHLO", on_hello};
const struct client_state client_starttls = {"STARTTLS", on_starttls};
const struct client_state client_handshake = {"TLS handshake", on_unasked};
const struct client_state client_ready = {"ready", on_unasked};
const struct client_state client_rset = {"RSET", on_rset};
const struct client_state client_mail = {"MAIL FROM", on_mail};
const struct client_state client_rcpt = {"RCPT TO", on_rcpt};
const struct client_state client_data = {"DATA", on_data};
const struct client_state client_content = {"content", on_early};
const struct client_state client_end = {"end of content", on_end};
const struct client_state client_void = {"end of nothing", on_void};
