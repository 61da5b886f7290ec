/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/sign.h"

#include "base/log.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/results.h"

#include <stdlib.h>

enum { PREFIX_MAX_BYTES = 64 << 10 };

void sign_use(struct keeper *keeper, uint64_t message)
{
    struct signing *signing = map_get(&keeper->deliveries.signings, message);

    if (signing == NULL) {
        signing = calloc(1, sizeof *signing);
        must(signing != NULL);
        signing->message = message;
        buffer_init(&signing->prefix, PREFIX_MAX_BYTES);
        map_put(&keeper->deliveries.signings, message, signing);
    }
    signing->users++;
}

void sign_release(struct keeper *keeper, uint64_t message)
{
    struct signing *signing = map_get(&keeper->deliveries.signings, message);

    if (signing == NULL || --signing->users > 0)
        return;
    map_take(&keeper->deliveries.signings, message);
    buffer_deinit(&signing->prefix);
    free(signing);
}

void sign_deinit(struct deliveries *deliveries)
{
    size_t position = 0;
    uint64_t id;
    struct signing *signing;

    while ((signing = map_next(&deliveries->signings, &position, &id)) != NULL) {
        buffer_deinit(&signing->prefix);
        free(signing);
    }
    map_deinit(&deliveries->signings);
}

/* The part of "Name <user@domain>" behind the '@'. */
static struct slice mailbox_domain(const char *mailbox_cstr)
{
    struct slice domain = address_domain(slice_from_cstr(mailbox_cstr));

    return slice_trim(slice_head(domain, slice_find_byte(domain, '>')));
}

/* The domain whose keys sign: the author's, which our own mails take from the account. */
static struct slice signing_domain(struct keeper *keeper, const struct store_message *message,
                                   struct slice sender)
{
    const struct settings_account *account = plan_account(keeper, message->account);
    const struct settings_domain *own;
    struct slice domain = address_domain(sender);

    if (message->kind == KIND_INBOUND)
        return slice_of("", 0);
    if (message->kind != KIND_SUBMITTED && message->kind != KIND_TLS_REPORT &&
        account != NULL && mailbox_domain(account->notice_from_cstr).len > 0)
        domain = mailbox_domain(account->notice_from_cstr);
    own = settings_domain_find(keeper->settings, domain);
    return own != NULL && own->dkim_key_count > 0 ? slice_from_cstr(own->name_cstr)
                                                  : slice_of("", 0);
}

static void send_waiting(struct keeper *keeper, struct signing *signing)
{
    struct job *job = signing->waiting, *next;

    signing->waiting = NULL;
    signing->users++; /* the last job may end in deliver_send */
    for (; job != NULL; job = next) {
        next = job->next_waiting;
        job->is_waiting = false;
        deliver_send(keeper, job, buffer_view(&signing->prefix));
    }
    sign_release(keeper, signing->message);
}

/* No signature now: better later with it than now without. */
static void put_off_waiting(struct keeper *keeper, struct signing *signing, struct slice why)
{
    struct job *job = signing->waiting, *next;

    signing->waiting = NULL;
    for (; job != NULL; job = next) {
        next = job->next_waiting;
        job->is_waiting = false;
        deliver_job_ended(keeper, job);
        results_put_local(keeper, job, OUTCOME_TEMPORARY, S("4.3.0"), why);
    }
}

static void on_signature(struct keeper *keeper, const struct ask *ask, enum ipc_type type,
                         const union ipc_any *answer)
{
    struct signing *signing = map_get(&keeper->deliveries.signings, ask->message);

    if (signing == NULL)
        return;
    signing->is_asked = false;
    if (answer == NULL || type != IPC_SIGNATURE || !answer->signature.ok) {
        LOG(LOG_WARN, "keeper.not_signed", log_id("message", ask->message));
        put_off_waiting(keeper, signing, S("no signature could be made"));
        return;
    }
    buffer_clear(&signing->prefix);
    if (!buffer_append(&signing->prefix, answer->signature.prefix)) {
        put_off_waiting(keeper, signing, S("the signature lines are too long"));
        return;
    }
    signing->is_ready = true;
    send_waiting(keeper, signing);
}

void sign_then_send(struct keeper *keeper, struct job *job, const struct store_message *message,
                    struct slice sender)
{
    struct signing *signing = map_get(&keeper->deliveries.signings, job->message.id);
    struct slice domain = signing_domain(keeper, message, sender);
    struct ask ask = {.on_answer = on_signature, .message = job->message.id};
    struct ipc_sign question = {
        .domain = domain, .content = message->content, .data_key = job->deliver.data_key};

    must(signing != NULL);
    if (domain.len == 0 || signing->is_ready) {
        deliver_send(keeper, job, buffer_view(&signing->prefix));
        return;
    }
    job->is_waiting = true;
    job->next_waiting = signing->waiting;
    signing->waiting = job;
    if (!signing->is_asked)
        signing->is_asked = asks_put(keeper, &ask, IPC_SIGN, &question);
    secret_wipe(&question.data_key);
    if (!signing->is_asked)
        put_off_waiting(keeper, signing, S("no process that signs is there"));
}
