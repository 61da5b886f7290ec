/* SPDX-License-Identifier: Apache-2.0 */
/* Writing one message: its commands, as many at once as the server allows, then its content. */
#include "deliver/client_internal.h"
#include "deliver/commands.h"

#include <string.h>

enum { CONTENT_ROOM = 2 * SPOOL_CHUNK_BYTES + 16 };

static bool has_pipelining(const struct deliver_client *client)
{
    return (client->ehlo.extensions & SMTP_PIPELINING) != 0;
}

/* ---- beginning and end ---- */

/* Open the content and its first chunk before a word is said: what cannot be read is not announced. */
static bool open_content(struct deliver_client *client, struct transaction *transaction,
                         struct err *err)
{
    struct delivery *delivery = transaction->delivery;

    if (!spool_shelf_open(client->options.shelf, &delivery->content, &delivery->data_key,
                          &transaction->reader, err))
        return false;
    return spool_reader_next(transaction->reader, &transaction->chunk, err);
}

static struct mail_command mail_of(const struct deliver_client *client,
                                   const struct delivery *delivery)
{
    return (struct mail_command){.from = delivery->mail_from,
                                 .envid = delivery->envid,
                                 .ret = delivery->ret,
                                 .bytes = delivery_bytes(delivery),
                                 .body_8bit = delivery->body_8bit,
                                 .smtputf8 = delivery->smtputf8,
                                 .requiretls = delivery->requirement.requiretls,
                                 .is_tls = deliver_client_proof(client).is_tls};
}

/* What can be known before MAIL FROM: too large, SMTPUTF8 missing, unreadable content. */
static bool check_mail(struct deliver_client *client, struct transaction *transaction,
                       struct err *err)
{
    struct mail_command mail = mail_of(client, transaction->delivery);
    bool ok;

    buffer_clear(client->options.scratch);
    ok = mail_command_write(&mail, &client->ehlo, client->options.scratch, err);
    buffer_clear(client->options.scratch);
    return ok && open_content(client, transaction, err);
}

bool deliver_client_send(struct deliver_client *client, struct delivery *delivery,
                         struct err *err)
{
    struct transaction *transaction = &client->sending;

    must(client->at == &client_ready && transaction->delivery == NULL && !client->is_over);
    *transaction =
        (struct transaction){.delivery = delivery,
                             .prefix = delivery->prefix,
                             .next = client->needs_rset ? COMMAND_RSET : COMMAND_MAIL,
                             .at = client->needs_rset ? &client_rset : &client_mail,
                             .is_fresh = client->messages == 0};
    if (!check_mail(client, transaction, err)) {
        spool_reader_close(&transaction->reader);
        *transaction = (struct transaction){.delivery = NULL};
        return false;
    }
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct delivery_recipient *recipient = &delivery->recipients[i];

        recipient->is_asked = false;
        if (recipient->state != RECIPIENT_DONE)
            recipient->state = RECIPIENT_OPEN;
    }
    delivery->evidence = client->evidence;
    delivery->evidence.is_reused = client->messages > 0;
    delivery->evidence.has_requiretls =
        delivery->requirement.requiretls && deliver_client_proof(client).offers_requiretls;
    delivery->evidence.reports = (client->ehlo.extensions & SMTP_DSN) != 0;
    client->messages++;
    client->needs_rset = false;
    client_enter(client);
    client_write_commands(client, transaction);
    client_watch_clock(client);
    client_leave(client);
    return true;
}

void client_give_back(struct deliver_client *client, struct transaction *transaction,
                      enum client_step step, const struct err *why)
{
    struct delivery *delivery = transaction->delivery;

    spool_reader_close(&transaction->reader);
    *transaction = (struct transaction){.delivery = NULL};
    client->handlers->on_step(client->context, client, delivery, step, why);
}

void client_go_on(struct deliver_client *client, struct transaction *transaction)
{
    struct err err;

    transaction->unanswered--;
    /* A message whose sender was refused has no more commands worth sending. */
    if (transaction->is_mail_refused)
        transaction->next = COMMAND_NONE;
    client_write_commands(client, transaction);
    if (client->is_over || transaction->unanswered > 0 || transaction->next != COMMAND_NONE)
        return;
    client->needs_rset = transaction->is_mail_taken;
    err_clear(&err);
    client_give_back(client, transaction, CLIENT_STEP_ENDED, &err);
    if (!client->is_over && !client->is_leaving && client->sending.delivery == NULL)
        client->handlers->on_ready(client->context, client);
}

/* ---- commands ---- */

static void write_mail(struct deliver_client *client, struct transaction *transaction)
{
    struct delivery *delivery = transaction->delivery;
    struct connection_proof proof = deliver_client_proof(client);
    struct buffer *line = client->options.scratch;
    struct mail_command mail = mail_of(client, delivery);
    struct send_need need = {
        .requirement = &delivery->requirement,
        .mx = delivery->walk.policy.facts.mx,
        .published = deliver_published(&delivery->requirement, &delivery->walk.policy.facts)};

    /*
     * The one gate: no byte about a message leaves before this. Whoever gets here with a connection that is not good
     * enough has a bug, and a stopped process is better than a secret on the wire.
     */
    must(deliver_may_send(&proof, &need));
    must(mail_command_write(&mail, &client->ehlo, line, NULL));
    client_say(client, buffer_view(line));
    transaction->unanswered++;
    transaction->next = COMMAND_RCPT;
}

static void write_next_rcpt(struct deliver_client *client, struct transaction *transaction)
{
    struct delivery *delivery = transaction->delivery;
    struct delivery_recipient *recipient;
    struct rcpt_command rcpt;
    struct err err;

    while (transaction->rcpt_written < delivery->recipient_count &&
           delivery->recipients[transaction->rcpt_written].state != RECIPIENT_OPEN)
        transaction->rcpt_written++;
    if (transaction->rcpt_written == delivery->recipient_count) {
        transaction->next = COMMAND_DATA;
        return;
    }
    recipient = &delivery->recipients[transaction->rcpt_written++];
    rcpt = (struct rcpt_command){recipient->address, recipient->orcpt, recipient->notify};
    if (!rcpt_command_write(&rcpt, &client->ehlo, client->options.scratch, &err)) {
        recipient->state = RECIPIENT_DONE;
        recipient->outcome = OUTCOME_PERMANENT;
        recipient_note(delivery, recipient, 0, err.enhanced_cstr,
                       slice_from_cstr(err.text_cstr));
        return;
    }
    client_say(client, buffer_view(client->options.scratch));
    recipient->is_asked = true;
    transaction->asked++;
    transaction->unanswered++;
}

static void write_data(struct deliver_client *client, struct transaction *transaction)
{
    bool is_known = transaction->answered == transaction->asked;

    transaction->next = COMMAND_NONE;
    if (transaction->asked == 0 || (is_known && transaction->accepted == 0))
        return;
    client_say(client, S("DATA\r\n"));
    transaction->unanswered++;
}

static void write_one(struct deliver_client *client, struct transaction *transaction)
{
    buffer_clear(client->options.scratch);
    switch (transaction->next) {
    case COMMAND_RSET:
        client_say(client, S("RSET\r\n"));
        transaction->unanswered++;
        transaction->next = COMMAND_MAIL;
        break;
    case COMMAND_MAIL:
        write_mail(client, transaction);
        break;
    case COMMAND_RCPT:
        write_next_rcpt(client, transaction);
        break;
    case COMMAND_DATA:
        write_data(client, transaction);
        break;
    case COMMAND_NONE:
        break;
    }
    buffer_clear(client->options.scratch);
}

void client_write_commands(struct deliver_client *client, struct transaction *transaction)
{
    while (transaction->next != COMMAND_NONE &&
           (has_pipelining(client) || transaction->unanswered == 0)) {
        if (connection_output_room(client->connection) < CLIENT_LINE_MAX) {
            connection_want_drained(client->connection);
            return;
        }
        write_one(client, transaction);
    }
}

/* ---- content ---- */

/* The next piece: first our own header lines, then the spool's chunks. Empty = all is written. */
static bool next_piece(struct transaction *transaction, struct slice *piece_out,
                       struct err *err)
{
    if (transaction->prefix.len > 0) {
        *piece_out = slice_head(transaction->prefix, SPOOL_CHUNK_BYTES);
        transaction->prefix = slice_from(transaction->prefix, piece_out->len);
        return true;
    }
    if (transaction->chunk.len > 0) {
        *piece_out = transaction->chunk;
        transaction->chunk = (struct slice){NULL, 0};
        return true;
    }
    return spool_reader_next(transaction->reader, piece_out, err);
}

static void flush_scratch(struct deliver_client *client)
{
    struct buffer *scratch = client->options.scratch;

    client_say(client, buffer_view(scratch));
    buffer_clear_wiped(scratch);
}

static void end_content(struct deliver_client *client, struct transaction *transaction)
{
    must(smtp_dots_write_end(&transaction->dots, client->options.scratch));
    flush_scratch(client);
    spool_reader_close(&transaction->reader);
    transaction->at = &client_end;
    client->ending = *transaction;
    *transaction = (struct transaction){.delivery = NULL};
    /* The next envelope may travel in the same packet. */
    if (has_pipelining(client))
        client->handlers->on_ready(client->context, client);
}

void client_write_content(struct deliver_client *client, struct transaction *transaction)
{
    struct buffer *scratch = client->options.scratch;
    struct slice piece;
    struct err err;

    buffer_clear(scratch);
    for (;;) {
        if (connection_output_room(client->connection) < CONTENT_ROOM) {
            connection_want_drained(client->connection);
            return;
        }
        if (!next_piece(transaction, &piece, &err)) {
            /* Nothing but silence can stop a server from taking half a message: hang up. */
            client_give_back(client, transaction, CLIENT_STEP_CONTENT, &err);
            client_fail(client, CLIENT_LOST, &err);
            return;
        }
        if (piece.len == 0)
            break;
        must(smtp_dots_write(&transaction->dots, piece, scratch));
        /* A short last piece leaves together with the final dot. */
        if (buffer_len(scratch) > CLIENT_LINE_MAX * 2)
            flush_scratch(client);
    }
    end_content(client, transaction);
}
