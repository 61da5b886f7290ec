/* SPDX-License-Identifier: Apache-2.0 */
/* MAIL and RCPT: who sends what to whom, and whether they may. */
#include "smtpd/session.h"

#include "base/log.h"
#include "ipc/pack.h"
#include "net/idn.h"
#include "smtpd/lockdown.h"
#include "smtpd/sender_rules.h"

#include <stdlib.h>
#include <string.h>

enum {
    HELD_MAX_BYTES = 256 << 20,      /* all sessions' headers and recipient lists */
    RECIPIENTS_MAX_BYTES = 12 << 20, /* below a frame to the keeper */
};

bool transaction_hold(struct session *session, size_t bytes)
{
    if (session->server->held_bytes + bytes > HELD_MAX_BYTES)
        return false;
    session->server->held_bytes += bytes;
    session->transaction->held_bytes += bytes;
    return true;
}

void transaction_end(struct session *session)
{
    struct transaction *transaction = session->transaction;

    if (transaction == NULL)
        return;
    session->server->held_bytes -= transaction->held_bytes;
    content_deinit(&transaction->content);
    buffer_deinit(&transaction->from);
    buffer_deinit(&transaction->recipients);
    map_deinit(&transaction->seen);
    free(transaction->asked);
    free(transaction);
    session->transaction = NULL;
}

static void transaction_begin(struct session *session, const struct smtp_mail_params *params)
{
    struct transaction *transaction = calloc(1, sizeof *transaction);

    must(transaction != NULL);
    transaction->params = *params;
    transaction->kind = KIND_SUBMITTED;
    transaction->began_ms = loop_now_ms();
    transaction->has_kind = session->account != NULL;
    buffer_init(&transaction->from, SMTP_ADDRESS_MAX + 10);
    buffer_init(&transaction->recipients, RECIPIENTS_MAX_BYTES);
    map_init(&transaction->seen);
    content_init(&transaction->content);
    session->transaction = transaction;
    session->state = AT_MAIL;
}

/* Internationalised domains are asked for, stored and compared as A-labels. */
static bool to_a_labels(struct smtp_path *path, struct err *err)
{
    char domain_cstr[SMTP_DOMAIN_MAX + 1];

    if (!path->is_utf8 || !path->has_domain || path->is_literal)
        return true;
    if (!domain_to_ascii(smtp_path_domain(path), domain_cstr, sizeof domain_cstr))
        return FAIL_SMTP(err, ERR_PEER, 501, "5.1.2", "not a domain");
    path->domain_len = (uint16_t)strlen(domain_cstr);
    memcpy(path->domain, domain_cstr, path->domain_len);
    return true;
}

static bool params_are_allowed(struct session *session, const struct smtp_path *path,
                               const struct smtp_mail_params *params, struct err *err)
{
    if (params->has_size && params->size > session->settings->limits.message_bytes)
        return FAIL_SMTP(err, ERR_PERM, 552, "5.3.4", "larger than %llu bytes, our limit",
                         (unsigned long long)session->settings->limits.message_bytes);
    if (params->requiretls && !connection_is_tls(session->connection))
        return FAIL_SMTP(err, ERR_PEER, 555, "5.5.4", "REQUIRETLS needs TLS here already");
    if (path->is_utf8 && !params->smtputf8)
        return FAIL_SMTP(err, ERR_PEER, 553, "5.6.7", "this address needs SMTPUTF8");
    return true;
}

static bool sender_parse(struct session *session, struct slice args, struct smtp_path *path,
                         struct smtp_mail_params *params, struct err *err)
{
    if (!smtp_keyword_take(&args, S("FROM:")))
        return FAIL_SMTP(err, ERR_PEER, 501, "5.5.4", "MAIL FROM:<address>");
    if (!smtp_path_take(&args, SMTP_PATH_SENDER, path, err) ||
        !smtp_mail_params_parse(args, params, err) ||
        !params_are_allowed(session, path, params, err) || !to_a_labels(path, err))
        return false;
    if (session->account != NULL && !path->is_null &&
        !sender_is_allowed(session->settings, session->account, session->user, path))
        return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1", "you may not send as this address");
    return true;
}

/* Who is listed is heard over TLS only. Submission needs it anyway. */
static bool is_locked_down(struct session *session, const struct smtp_path *path,
                           struct err *err)
{
    const struct settings_lockdown *list;
    struct tls_evidence evidence;
    struct lockdown_facts facts = {
        .sender_domain =
            path->has_domain && !path->is_null ? smtp_path_domain(path) : slice_of("", 0),
        .helo = slice_from_cstr(session->helo_cstr),
        .peer = connection_peer(session->connection),
    };

    if (session->kind != LISTENER_MX || session->settings->lockdown_count == 0)
        return false;
    if (connection_is_tls(session->connection)) {
        connection_evidence(session->connection, &evidence);
        facts.tls = &evidence;
    }
    if (lockdown_check(session->settings, &facts, &list, err))
        return false;
    LOG(LOG_INFO, "smtpd.locked_down", log_id("session", session->id),
        log_cstr("list", list->name_cstr), log_cstr("why", err->text_cstr));
    return true;
}

void on_mail(struct session *session, struct slice args)
{
    struct smtp_path path = {0};
    struct smtp_mail_params params;
    struct err err = {0};
    bool fits;

    if (!sender_parse(session, args, &path, &params, &err) ||
        is_locked_down(session, &path, &err)) {
        session_reply_err(session, &err);
        return;
    }
    if (session->server->is_disk_full) {
        session_reply(session, 452, "4.3.1", "No space now; try again later");
        return;
    }
    transaction_begin(session, &params);
    fits = smtp_path_write(&path, &session->transaction->from);
    must(fits);
    session_reply(session, 250, "2.1.0", "Sender fine");
}

/* A stranger's recipient decides what kind of message this is; all others must be of that kind.
 */
static bool stranger_may(struct session *session, struct smtp_path *path, bool *must_ask_out,
                         struct err *err)
{
    struct transaction *transaction = session->transaction;
    const struct settings_domain *domain;
    enum message_kind kind = KIND_INBOUND;

    switch (stranger_rcpt_judge(session->settings, path, &domain)) {
    case STRANGER_RCPT_ASK:
        *must_ask_out = true;
        break;
    case STRANGER_RCPT_INBOUND:
        break;
    case STRANGER_RCPT_BOUNCE:
        if (buffer_len(&transaction->from) > 0)
            return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1", "only bounces go there");
        kind = KIND_BOUNCE;
        break;
    case STRANGER_RCPT_REPORT:
        kind = KIND_TLS_REPORTED;
        break;
    case STRANGER_RCPT_UNKNOWN:
        return FAIL_SMTP(err, ERR_PERM, 550, "5.1.1", "no such mailbox here");
    case STRANGER_RCPT_RELAY:
        return FAIL_SMTP(err, ERR_REFUSED, 550, "5.7.1", "we do not relay for you");
    }
    if (transaction->has_kind && transaction->kind != kind)
        return FAIL_SMTP(err, ERR_TEMP, 452, "4.5.3", "send this one in a message of its own");
    transaction->kind = kind;
    transaction->has_kind = true;
    if (!path->has_domain) {
        path->has_domain = true;
        path->domain_len = (uint16_t)strlen(domain->name_cstr);
        must(path->domain_len <= SMTP_DOMAIN_MAX);
        memcpy(path->domain, domain->name_cstr, path->domain_len);
    }
    return true;
}

static bool recipient_parse(struct session *session, struct slice args, struct smtp_path *path,
                            struct smtp_rcpt_params *params, bool *must_ask_out,
                            struct err *err)
{
    if (!smtp_keyword_take(&args, S("TO:")))
        return FAIL_SMTP(err, ERR_PEER, 501, "5.5.4", "RCPT TO:<address>");
    if (!smtp_path_take(&args, SMTP_PATH_RECIPIENT, path, err) ||
        !smtp_rcpt_params_parse(args, params, err))
        return false;
    if (path->is_utf8 && !session->transaction->params.smtputf8)
        return FAIL_SMTP(err, ERR_PEER, 553, "5.6.7", "this address needs SMTPUTF8");
    if (!to_a_labels(path, err))
        return false;
    if (session->account == NULL)
        return stranger_may(session, path, must_ask_out, err);
    if (!path->has_domain)
        return FAIL_SMTP(err, ERR_PERM, 550, "5.1.3", "an address has a domain");
    if (path->is_literal)
        return FAIL_SMTP(err, ERR_PERM, 550, "5.1.2",
                         "an address literal is not a destination");
    return true;
}

/* FNV-1a with a seed nobody outside knows. */
static uint64_t address_hash(const struct smtpd *server, struct slice address)
{
    uint64_t hash = server->hash_seed ^ UINT64_C(14695981039346656037);

    for (size_t i = 0; i < address.len; i++)
        hash = (hash ^ address.at[i]) * UINT64_C(1099511628211);
    return hash == 0 ? 1 : hash;
}

/* Is the address among the recipients already? Else remember where it will stand. */
static bool is_double(struct session *session, struct slice address)
{
    struct transaction *transaction = session->transaction;
    uint64_t hash = address_hash(session->server, address);
    uintptr_t known = (uintptr_t)map_get(&transaction->seen, hash);
    struct slice rest = buffer_view(&transaction->recipients);
    struct ipc_recipient item;

    if (known != 0) {
        rest = slice_from(rest, known - 1);
        return ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE &&
               slice_equal(item.address, address);
    }
    map_put(&transaction->seen, hash, (void *)(uintptr_t)(rest.len + 1));
    return false;
}

static bool recipient_add(struct session *session, const struct smtp_path *path,
                          const struct smtp_rcpt_params *params, struct err *err)
{
    struct transaction *transaction = session->transaction;
    struct buffer *address = &session->server->items;
    size_t before = buffer_len(&transaction->recipients);
    struct ipc_recipient item;

    buffer_clear(address);
    if (!smtp_path_write(path, address))
        return FAIL_SMTP(err, ERR_PEER, 501, "5.1.3", "address too long");
    /* The same recipient again gets the message once. */
    if (is_double(session, buffer_view(address)))
        return true;
    item = (struct ipc_recipient){id_next(session->server->ids, clock_unix_ms()),
                                  buffer_view(address), params->notify,
                                  slice_of(params->orcpt, params->orcpt_len)};
    if (!ipc_list_append(&transaction->recipients, IPC_RECIPIENT, &item) ||
        !transaction_hold(session, buffer_len(&transaction->recipients) - before)) {
        buffer_truncate(&transaction->recipients, before);
        return FAIL_SMTP(err, ERR_TEMP, 452, "4.5.3", "too many recipients in one message");
    }
    transaction->count++;
    return true;
}

static void rcpt_refuse(struct session *session, const struct err *err)
{
    session_reply_err(session, err);
    /* A mailing with some bad addresses is no attack; guessing addresses from outside is. */
    if (session->account != NULL && session->errors > 0 && err->smtp_code >= 500)
        session->errors--;
}

static void rcpt_add(struct session *session, const struct smtp_path *path,
                     const struct smtp_rcpt_params *params)
{
    struct err err = {0};

    if (!recipient_add(session, path, params, &err)) {
        rcpt_refuse(session, &err);
        return;
    }
    session->state = AT_RCPT;
    session_reply(session, 250, "2.1.5", "Recipient fine");
}

/* Whether mail goes on from this address is known to the keeper alone: wait for its word. */
static void rcpt_ask(struct session *session, const struct smtp_path *path,
                     const struct smtp_rcpt_params *params)
{
    struct transaction *transaction = session->transaction;
    struct buffer *address = &session->server->items;
    struct ipc_rcpt_check check;

    buffer_clear(address);
    if (transaction->asked == NULL)
        transaction->asked = calloc(1, sizeof *transaction->asked);
    must(transaction->asked != NULL);
    transaction->asked->path = *path;
    transaction->asked->params = *params;
    if (smtp_path_write(path, address)) {
        check = (struct ipc_rcpt_check){session_ask(session), buffer_view(address)};
        if (ipc_send(session->server->keeper, IPC_RCPT_CHECK, &check))
            return;
        session_unask(session);
    }
    session_reply(session, 451, "4.3.2", "Too busy; try again later");
}

void rcpt_result(struct session *session, const struct ipc_rcpt_result *result)
{
    const struct asked_recipient *asked = session->transaction->asked;
    char enhanced_cstr[12], text_cstr[200];

    session->mode = MODE_COMMAND;
    if (result->code == 250)
        rcpt_add(session, &asked->path, &asked->params);
    else if (result->code < 400 || result->code > 599 ||
             !slice_to_cstr(result->enhanced, enhanced_cstr, sizeof enhanced_cstr) ||
             !slice_to_cstr(slice_head(result->text, sizeof text_cstr - 1), text_cstr,
                            sizeof text_cstr))
        session_reply(session, 451, "4.3.0", "Cannot say now");
    else
        session_reply(session, (unsigned)result->code, enhanced_cstr, "%s", text_cstr);
}

void on_rcpt(struct session *session, struct slice args)
{
    struct smtp_path path = {0};
    struct smtp_rcpt_params params = {0};
    struct err err = {0};
    bool must_ask = false;

    if (session->transaction->count >= session->settings->limits.recipients) {
        session_reply(session, 452, "4.5.3", "Too many recipients in one message");
        return;
    }
    if (!recipient_parse(session, args, &path, &params, &must_ask, &err))
        rcpt_refuse(session, &err);
    else if (must_ask)
        rcpt_ask(session, &path, &params);
    else
        rcpt_add(session, &path, &params);
}
