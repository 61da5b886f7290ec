/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/delivery.h"

#include "base/encode.h"
#include "deliver/directory.h"
#include "ipc/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARENA_MAX_BYTES = 64 << 20, /* more than any frame holds */
    TRAIL_MAX_BYTES = 4096,
    LOOKUPS_MAX_BYTES = 2048,
    TLS_RESULTS_MAX_BYTES = 16 << 10,
    REPLY_MAX_BYTES = 480,
    RECIPIENTS_MAX = 100000,
};

static struct slice copy(struct delivery *delivery, struct slice text)
{
    struct slice copied = arena_copy(delivery->arena, text);

    /* The frame was smaller than the arena's ceiling. */
    must(copied.at != NULL);
    return copied;
}

static bool count_recipients(struct slice items, size_t *count_out)
{
    struct ipc_recipient item;
    enum progress got = ipc_list_next(&items, IPC_RECIPIENT, &item);

    *count_out = 0;
    for (; got == PROGRESS_DONE; got = ipc_list_next(&items, IPC_RECIPIENT, &item))
        if (++*count_out > RECIPIENTS_MAX)
            return false;
    return got == PROGRESS_WAIT;
}

static void take_recipients(struct delivery *delivery, struct slice items)
{
    struct ipc_recipient item;

    delivery->recipients =
        arena_alloc(delivery->arena, delivery->recipient_count * sizeof *delivery->recipients);
    must(delivery->recipients != NULL);
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct delivery_recipient *recipient = &delivery->recipients[i];

        must(ipc_list_next(&items, IPC_RECIPIENT, &item) == PROGRESS_DONE);
        recipient->id = item.recipient;
        recipient->address = copy(delivery, item.address);
        recipient->orcpt = copy(delivery, item.orcpt);
        recipient->notify = (unsigned)(item.notify & 15);
    }
}

static void take_envelope(struct delivery *delivery, const struct ipc_deliver *message)
{
    delivery->job = message->job;
    delivery->message = message->message;
    delivery->mail_from = copy(delivery, message->mail_from);
    delivery->envid = copy(delivery, message->envid);
    delivery->prefix = copy(delivery, message->prefix);
    delivery->ret = (unsigned)(message->ret & 3);
    delivery->body_8bit = message->body_8bit;
    delivery->smtputf8 = message->smtputf8;
    delivery->sts = message->sts < STS_COUNT ? (enum sts_state)message->sts : STS_NONE;
    delivery->sts_id = copy(delivery, message->sts_id);
    delivery->sts_mx = copy(delivery, message->sts_mx);
    delivery->is_ratcheted = message->ratcheted;
    delivery->is_ratchet_lifted = message->ratchet_lifted;
    delivery->accepted_ms = message->accepted_ms;
    delivery->requirement = message->requirement;
    delivery->content = message->content;
    delivery->data_key = message->data_key;
}

bool delivery_new(const struct ipc_deliver *message, struct delivery **delivery_out,
                  struct err *err)
{
    struct delivery *delivery;
    size_t count;

    *delivery_out = NULL;
    if (!count_recipients(message->recipients, &count) || (count == 0) != message->probe)
        return FAIL(err, ERR_PEER, "the job's recipients cannot be read");
    delivery = calloc(1, sizeof *delivery);
    must(delivery != NULL);
    delivery->arena = arena_new(ARENA_MAX_BYTES);
    buffer_init(&delivery->trail, TRAIL_MAX_BYTES);
    buffer_init(&delivery->lookups, LOOKUPS_MAX_BYTES);
    buffer_init(&delivery->tls_results, TLS_RESULTS_MAX_BYTES);
    delivery->recipient_count = count;
    if (!slice_to_cstr(message->domain, delivery->domain_cstr, sizeof delivery->domain_cstr) ||
        !slice_to_cstr(message->host, delivery->host_cstr, sizeof delivery->host_cstr) ||
        !slice_to_cstr(message->route, delivery->route_cstr, sizeof delivery->route_cstr) ||
        !slice_to_cstr(message->group, delivery->group_cstr, sizeof delivery->group_cstr) ||
        message->port > UINT16_MAX) {
        delivery_free(&delivery);
        return FAIL(err, ERR_PEER, "the job's destination cannot be read");
    }
    delivery->port = (uint16_t)message->port;
    delivery->is_probe = message->probe;
    delivery->is_urgent = message->urgent;
    delivery->stays = message->stay;
    take_envelope(delivery, message);
    take_recipients(delivery, message->recipients);
    *delivery_out = delivery;
    return true;
}

void delivery_free(struct delivery **delivery)
{
    if (*delivery == NULL)
        return;
    list_remove(&(*delivery)->link);
    list_remove(&(*delivery)->all);
    directory_entry_unref(&(*delivery)->walk.hosts);
    directory_entry_unref(&(*delivery)->walk.addresses);
    secret_wipe(&(*delivery)->data_key);
    buffer_deinit(&(*delivery)->trail);
    buffer_deinit(&(*delivery)->lookups);
    buffer_deinit(&(*delivery)->tls_results);
    arena_free(&(*delivery)->arena);
    free(*delivery);
    *delivery = NULL;
}

bool delivery_is_settled(const struct delivery *delivery)
{
    for (size_t i = 0; i < delivery->recipient_count; i++)
        if (delivery->recipients[i].state != RECIPIENT_DONE)
            return false;
    return true;
}

void recipient_note(struct delivery *delivery, struct delivery_recipient *recipient,
                    unsigned code, const char *enhanced_cstr, struct slice text)
{
    uint8_t line[REPLY_MAX_BYTES];
    size_t len = text.len < sizeof line ? text.len : sizeof line;
    struct slice kept;

    for (size_t i = 0; i < len; i++)
        line[i] = text.at[i] < ' ' || text.at[i] == 127 ? ' ' : text.at[i];
    /* A host may refuse a recipient at most once, and the number of hosts is bounded; still, no must. */
    kept = arena_copy(delivery->arena, slice_of(line, len));
    recipient->reply = kept.at != NULL ? kept : S("");
    recipient->code = (uint16_t)code;
    snprintf(recipient->enhanced_cstr, sizeof recipient->enhanced_cstr, "%s", enhanced_cstr);
}

/* Is what the recipient was told by a server of the kind that this outcome claims? */
static bool reply_fits(const struct delivery_recipient *recipient,
                       enum delivery_outcome outcome)
{
    return (outcome == OUTCOME_TEMPORARY && recipient->code / 100 == 4) ||
           (outcome == OUTCOME_PERMANENT && recipient->code / 100 == 5);
}

void delivery_settle(struct delivery *delivery, enum delivery_outcome outcome, unsigned code,
                     const char *enhanced_cstr, const char *text_cstr)
{
    for (size_t i = 0; i < delivery->recipient_count; i++) {
        struct delivery_recipient *recipient = &delivery->recipients[i];

        if (recipient->state == RECIPIENT_DONE)
            continue;
        recipient->state = RECIPIENT_DONE;
        recipient->outcome = outcome;
        if (!reply_fits(recipient, outcome))
            recipient_note(delivery, recipient, code, enhanced_cstr,
                           slice_from_cstr(text_cstr));
    }
}

void delivery_trail(struct delivery *delivery, const char *host_cstr, const char *address_cstr,
                    const char *text_cstr)
{
    const char *separator_cstr = buffer_len(&delivery->trail) > 0 ? "\n" : "";
    bool fits = address_cstr[0] == '\0'
                    ? buffer_append_format(&delivery->trail, "%s%s: %s", separator_cstr,
                                           host_cstr, text_cstr)
                    : buffer_append_format(&delivery->trail, "%s%s [%s]: %s", separator_cstr,
                                           host_cstr, address_cstr, text_cstr);

    (void)fits; /* a trail that is full has said enough */
}

void delivery_lookups(struct delivery *delivery, const struct directory_entry *entry)
{
    bool fits = buffer_append_format(&delivery->lookups, "%s%s",
                                     buffer_len(&delivery->lookups) > 0 ? "\n" : "",
                                     entry->lookups_cstr);

    (void)fits; /* as the trail */
}

uint64_t delivery_bytes(const struct delivery *delivery)
{
    return delivery->content.plain_bytes + delivery->prefix.len;
}

static bool append_result(const struct delivery_recipient *recipient, struct buffer *results)
{
    struct ipc_result result = {.recipient = recipient->id,
                                .outcome = recipient->outcome,
                                .code = recipient->code,
                                .enhanced = slice_from_cstr(recipient->enhanced_cstr),
                                .reply = recipient->reply};

    return ipc_list_append(results, IPC_RESULT, &result);
}

static void describe_ruling(const struct delivery *delivery, struct ipc_delivered *report)
{
    const struct delivery_ruling *ruling = &delivery->ruling;

    if (ruling->row == 0)
        return;
    report->row = ruling->row;
    report->rule = slice_from_cstr(ruling->name_cstr);
    report->mx_proof = ruling->mx;
    report->policy = slice_from_cstr(ruling->policy_cstr);
}

static void describe_tls(const struct tls_evidence *tls, struct ipc_delivered *report)
{
    report->tls = slice_from_cstr(tls_version_name(tls->version));
    report->cipher = slice_from_cstr(tls->cipher_cstr);
}

bool delivery_report(const struct delivery *delivery, struct buffer *results,
                     struct ipc_delivered *report_out)
{
    const struct delivery_evidence *evidence = &delivery->evidence;
    size_t results_at;

    must(delivery_is_settled(delivery));
    if (evidence->tls.has_certificate &&
        !hex_append(results, slice_of(evidence->tls.certificate_sha256, SHA256_BYTES)))
        return false;
    results_at = buffer_len(results);
    for (size_t i = 0; i < delivery->recipient_count; i++)
        if (!append_result(&delivery->recipients[i], results))
            return false;
    *report_out = (struct ipc_delivered){
        .job = delivery->job,
        .mx = slice_from_cstr(evidence->mx_cstr),
        .mx_address = slice_from_cstr(evidence->address_cstr),
        .names = slice_from_cstr(evidence->tls.names_cstr),
        .certificate = slice_head(buffer_view(results), results_at),
        .level = evidence->level,
        .unverified_why = slice_from_cstr(evidence->why_cstr),
        .reused = evidence->is_reused,
        .dsn = evidence->reports,
        .unreached = delivery->walk.is_unreached,
        .lookups = buffer_view(&delivery->lookups),
        .small_hello = evidence->is_small_hello,
        .requiretls = evidence->has_requiretls,
        .tls_results = buffer_view(&delivery->tls_results),
        .trail = buffer_view(&delivery->trail),
        .results = slice_from(buffer_view(results), results_at),
        .route_failure = delivery->route_failure,
        .mx_set =
            slice_from_cstr(delivery->walk.hosts != NULL ? delivery->walk.hosts->set_cstr : ""),
        .parked = delivery->is_parked,
        .crowded = delivery->is_crowded,
    };
    describe_ruling(delivery, report_out);
    if (evidence->is_tls)
        describe_tls(&evidence->tls, report_out);
    return true;
}
