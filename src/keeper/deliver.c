/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/deliver.h"

#include "base/log.h"
#include "keeper/bounce.h"
#include "keeper/forward_leave.h"
#include "keeper/internal.h"
#include "keeper/mail.h"
#include "keeper/plan.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "keeper/sign.h"
#include "keeper/silence.h"
#include "keeper/tls_reported.h"

#include <stdlib.h>
#include <string.h>

enum { JOB_TEXT_BYTES = 1 << 20, REST_MS = 1000, MOVES_MAX = 3 };

void deliver_init(struct deliveries *deliveries)
{
    *deliveries = (struct deliveries){0};
    map_init(&deliveries->jobs);
    map_init(&deliveries->signings);
}

static void free_job(struct job *job)
{
    arena_free(&job->texts);
    secret_wipe(&job->deliver.data_key);
    free(job);
}

void deliver_deinit(struct deliveries *deliveries)
{
    size_t position = 0;
    uint64_t id;
    struct job *job;

    while ((job = map_next(&deliveries->jobs, &position, &id)) != NULL)
        free_job(job);
    map_deinit(&deliveries->jobs);
    sign_deinit(deliveries);
}

void deliver_job_ended(struct keeper *keeper, struct job *job)
{
    map_take(&keeper->deliveries.jobs, job->id);
    job->domain->working--;
    job->lane->working--;
    lane_job_ends(&keeper->lanes, job->lane, job->flow);
    keeper->deliveries.suspects -= job->is_suspect ? 1 : 0;
}

void job_free(struct keeper *keeper, struct job **job)
{
    if (*job == NULL)
        return;
    sign_release(keeper, (*job)->message.id);
    free_job(*job);
    *job = NULL;
}

/* ---- where there is room ---- */

/* What the provider puts up with holds over all couriers: one of them has all of its mail. */
static const char *group_of(const struct domain *domain)
{
    return domain->provider->rule != NULL ? domain->provider->name_cstr : "";
}

/* Mail to one next hop goes through one courier, so that its connections are used again. */
static struct peer *courier_for(struct keeper *keeper, const struct domain *domain)
{
    struct slice name = slice_from_cstr(domain->row.name_cstr);
    const struct settings_route *route = settings_route_find(keeper->settings, name);

    if (route != NULL)
        name = slice_from_cstr(route->host_cstr);
    else if (domain->provider->rule != NULL)
        name = slice_from_cstr(domain->provider->name_cstr);
    return peer_by_hash(keeper, ROLE_COURIER, domain_hash(&keeper->domains, name) >> 7);
}

static size_t suspects_max(struct keeper *keeper)
{
    return peer_count(keeper, ROLE_COURIER) * COURIER_SUSPECT_MAX;
}

bool deliver_has_place(struct keeper *keeper, const struct lane *lane, const struct item *head)
{
    bool is_suspect = lane->circuit.is_suspect;
    bool is_heard = lane->window > DOMAIN_JOBS_FIRST && !is_suspect;
    size_t window = is_suspect          ? DOMAIN_JOBS_SUSPECT
                    : lane->window == 0 ? DOMAIN_JOBS_FIRST
                                        : lane->window;
    struct peer *peer;

    if (!is_suspect && head->in->working == 0)
        window += FLOW_JOBS_MORE;
    if (lane->working >= window ||
        (is_suspect && keeper->deliveries.suspects >= suspects_max(keeper)))
        return false;
    peer = courier_for(keeper, head->domain);
    return peer != NULL &&
           peer->working < (is_heard ? (size_t)COURIER_JOBS_MAX : (size_t)COURIER_UNHEARD_MAX);
}

bool deliver_has_any_place(struct keeper *keeper, bool is_suspect)
{
    const struct deliveries *deliveries = &keeper->deliveries;
    struct peer *peer = peer_idlest(keeper, ROLE_COURIER);

    /* Those that wait for a signature are on no courier yet. */
    return peer != NULL && peer->working < COURIER_JOBS_MAX &&
           deliveries->jobs.count < 2 * COURIER_JOBS_MAX * peer_count(keeper, ROLE_COURIER) &&
           (!is_suspect || deliveries->suspects < suspects_max(keeper));
}

/* ---- what a courier needs to know ---- */

static struct slice keep_text(struct job *job, struct slice text)
{
    return text.len == 0 ? slice_of("", 0) : arena_copy(job->texts, text);
}

/* MAIL FROM: our own mails that may bounce get an address that tells us; reports get none. */
static struct slice envelope_from(struct keeper *keeper, struct job *job,
                                  const struct store_message *message, struct slice sender)
{
    struct buffer address;
    struct slice kept;

    switch ((enum message_kind)message->kind) {
    case KIND_SUBMITTED:
    case KIND_INBOUND:
    case KIND_BOUNCE:
        return keep_text(job, sender);
    case KIND_NOTICE:
    case KIND_CODE:
    case KIND_REPLY:
    case KIND_TLS_REPORT:
        buffer_init(&address, ADDRESS_MAX_BYTES);
        if (address_domain(sender).len > 0)
            bounce_address(keeper, message->id, address_domain(sender), &address);
        kept = keep_text(job, buffer_view(&address));
        buffer_deinit(&address);
        return kept;
    case KIND_RECEIPT:
    case KIND_DSN_FAILURE:
    case KIND_DSN_DELAY:
    case KIND_DSN_SUCCESS:
    case KIND_TLS_REPORTED:
    case KIND_COUNT:
        break;
    }
    return slice_of("", 0);
}

/* "host:port" or "host". */
static void split_host(struct slice text, struct slice *host_out, uint64_t *port_out)
{
    size_t colon = text.len;

    *port_out = 0;
    if (text.len > 0 && text.at[text.len - 1] != ']')
        for (colon = text.len; colon-- > 0 && text.at[colon] != ':';)
            ;
    if (colon < text.len && slice_parse_u64(slice_from(text, colon + 1), port_out))
        text = slice_head(text, colon);
    *host_out = text;
}

/* An own domain's next hop, a route, or the domain's MX. */
void deliver_next_hop(struct keeper *keeper, struct slice domain, char *host_out_cstr,
                      size_t size, uint64_t *port_out)
{
    const struct settings_domain *own = settings_domain_find(keeper->settings, domain);
    const struct settings_route *route = settings_route_find(keeper->settings, domain);
    struct slice host = {NULL, 0};

    *port_out = 0;
    if (own != NULL && own->next_hop_cstr[0] != '\0') {
        split_host(slice_from_cstr(own->next_hop_cstr), &host, port_out);
    } else if (route != NULL) {
        host = slice_from_cstr(route->host_cstr);
        *port_out = route->port;
    }
    if (!slice_to_cstr(host, host_out_cstr, size))
        host_out_cstr[0] = '\0';
}

static void choose_host(struct keeper *keeper, struct job *job)
{
    char host_cstr[STORE_DOMAIN_SIZE];

    deliver_next_hop(keeper, slice_from_cstr(job->domain->row.name_cstr), host_cstr,
                     sizeof host_cstr, &job->deliver.port);
    job->deliver.host = keep_text(job, slice_from_cstr(host_cstr));
}

/* The job may outlive what we know now. */
static void fill_sts(struct keeper *keeper, struct job *job)
{
    sts_fill(keeper, job->domain, &job->deliver);
    job->deliver.sts_id = keep_text(job, job->deliver.sts_id);
    job->deliver.sts_mx = keep_text(job, job->deliver.sts_mx);
}

static bool fill_recipients(struct keeper *keeper, struct job *job)
{
    struct buffer list;
    bool filled = true;

    buffer_init(&list, JOB_TEXT_BYTES / 2);
    for (size_t i = 0; i < job->count && filled; i++) {
        struct store_recipient row;
        struct ipc_recipient item;

        filled = store_recipient_get(keeper->store, job->message.id, job->rows[i].number, &row);
        if (!filled)
            break;
        item = (struct ipc_recipient){
            .recipient = row.number + 1,
            .address = row.spelled.len > 0 ? row.spelled
                                           : store_address_get(keeper->store, row.address),
            .notify = row.notify,
            .orcpt = row.orcpt,
        };
        filled = ipc_list_append(&list, IPC_RECIPIENT, &item);
    }
    job->deliver.recipients = keep_text(job, buffer_view(&list));
    filled = filled && job->deliver.recipients.at != NULL;
    buffer_deinit(&list);
    return filled;
}

static struct hold_rules rules_of_account(const struct keeper *keeper,
                                          const struct settings_account *account)
{
    struct hold_rules rules = {.tls_retry_ms = 4 * 3600 * 1000,
                               .ratchet_hold_ms = keeper->settings->delivery.ratchet_hold_ms};

    if (account != NULL) {
        rules.tls_retry_ms = account->tls_retry_ms;
        rules.policy_unmet = account->policy_unmet;
        rules.ratchet_after = account->ratchet_after;
        rules.may_be_clear = account->cleartext_allowed;
    }
    return rules;
}

static struct job *make_job(struct keeper *keeper, struct domain *domain,
                            const struct store_message *message)
{
    const struct settings_account *account = plan_account(keeper, message->account);
    struct job *job = calloc(1, sizeof *job);

    must(job != NULL);
    job->id = ++keeper->deliveries.last_id;
    job->domain = domain;
    job->message = story_message_of(message);
    job->kind = message->kind;
    job->parent = message->parent;
    job->parent_number = message->parent_number;
    job->accepted_ms = message->accepted_ms;
    job->has_sender = message->sender != 0 &&
                      (message->kind == KIND_SUBMITTED || message->kind == KIND_INBOUND);
    job->need = account != NULL
                    ? (struct domain_need){account->proof_needed, account->mx_proved}
                    : (struct domain_need){PROOF_VERIFIED, false};
    job->rules = rules_of_account(keeper, account);
    job->routes = routes_list_of(keeper, account);
    job->texts = arena_new(JOB_TEXT_BYTES);
    job->deliver = (struct ipc_deliver){
        .job = job->id,
        .message = message->id,
        .domain = keep_text(job, slice_from_cstr(domain->row.name_cstr)),
        .envid = keep_text(job, message->envid),
        .ret = message_flag_bits(message->flags, MESSAGE_RET_SHIFT, 2),
        .body_8bit = (message->flags & MESSAGE_8BIT) != 0,
        .smtputf8 = (message->flags & MESSAGE_SMTPUTF8) != 0,
        .accepted_ms = message->accepted_ms,
        .content = message->content,
    };
    job->sender = keep_text(job, store_address_get(keeper->store, message->sender));
    job->deliver.mail_from = envelope_from(keeper, job, message, job->sender);
    choose_host(keeper, job);
    fill_sts(keeper, job);
    job->deliver.ratcheted = memory_is_ratcheted(keeper, MEMORY_DOMAIN, job->deliver.domain);
    return job;
}

/* ---- sending ---- */

void deliver_give_back(struct keeper *keeper, const struct job *job)
{
    for (size_t i = job->count; i-- > 0;) {
        struct item *item = schedule_find(keeper, job->message.id, job->rows[i].number);

        if (item != NULL)
            schedule_back(keeper, item);
    }
}

/* Not now: given back at once, they would be given out again before anything else could happen. */
static void rest_items(struct keeper *keeper, const struct job *job)
{
    for (size_t i = 0; i < job->count; i++)
        schedule_rest(keeper, job->message.id, job->rows[i].number, REST_MS);
}

void deliver_send(struct keeper *keeper, struct job *job, struct slice prefix)
{
    struct peer *peer = courier_for(keeper, job->domain);
    struct buffer lines;
    bool is_sent;

    job->deliver.prefix = forward_prefix(job->via, prefix, &lines);
    job->deliver.group = slice_from_cstr(group_of(job->domain));
    job->deliver.stay = job->domain->moves >= MOVES_MAX;
    is_sent = peer != NULL && ipc_send(peer->channel, IPC_DELIVER, &job->deliver);
    buffer_deinit(&lines);
    if (!is_sent) {
        rest_items(keeper, job);
        deliver_job_ended(keeper, job);
        job_free(keeper, &job);
        return;
    }
    secret_wipe(&job->deliver.data_key);
    job->deliver.prefix = slice_of("", 0);
    job->peer = peer->id;
    job->began_ms = loop_now_ms();
    peer->working++;
    keeper->deliveries.sent++;
}

/* The content cannot be opened: never (damaged), or not now. */
static void fail_unopened(struct keeper *keeper, struct job *job, const struct err *why)
{
    LOG(LOG_ERROR, "keeper.content_not_opened", log_id("message", job->message.id),
        log_cstr("why", why->text_cstr));
    results_put_local(keeper, job,
                      why->class == ERR_PERM ? OUTCOME_PERMANENT : OUTCOME_TEMPORARY,
                      S("5.3.0"), S("the stored content cannot be opened"));
}

/* Its hosts were tried a moment ago for other mail: that holds for this, too. */
static void spare_job(struct keeper *keeper, struct job *job)
{
    struct buffer text;

    buffer_init(&text, JOB_TEXT_BYTES);
    must(buffer_append(&text, S("not tried, as nobody was reached a moment ago: ")) &&
         buffer_append(&text, slice_from_cstr(job->lane->circuit.silent_why_cstr)));
    sign_use(keeper, job->message.id);
    results_put_local(keeper, job, OUTCOME_TEMPORARY, S("4.4.1"), buffer_view(&text));
    buffer_deinit(&text);
}

/* A fixed next hop goes before all outbound routes. */
static enum route_choice choose_route(struct keeper *keeper, struct job *job)
{
    enum route_choice choice = CHOICE_MADE;
    unsigned route = 0;

    if (job->deliver.host.len == 0)
        choice = routes_choose(keeper, job->routes, job->message.id,
                               job->deliver.requirement.least >= PROOF_VERIFIED, &route);
    job->deliver.route =
        route == 0 ? S("")
                   : keep_text(job, slice_from_cstr(keeper->routes.all[route].name_cstr));
    return choice;
}

/* No route carries it: none of them works now, or may carry mail of this kind. */
static void strand_job(struct keeper *keeper, struct job *job, enum route_choice choice)
{
    sign_use(keeper, job->message.id);
    if (choice == CHOICE_NONE_SECURE)
        results_put_local(keeper, job, OUTCOME_NOT_PROVED, S("5.7.10"),
                          S("no outbound route may carry mail that needs proved TLS"));
    else
        results_put_local(keeper, job, OUTCOME_TEMPORARY, S("4.4.1"),
                          S("no outbound route works now"));
}

static void start_job(struct keeper *keeper, struct job *job,
                      const struct store_message *message, struct slice sender)
{
    enum route_choice choice = choose_route(keeper, job);
    struct err err = {0};

    if (choice != CHOICE_MADE) {
        strand_job(keeper, job, choice);
        return;
    }

    job->domain->working++;
    job->lane->working++;
    job->deliver.urgent = lane_job_begins(&keeper->lanes, job->lane, job->flow);
    job->is_suspect = job->lane->circuit.is_suspect;
    keeper->deliveries.suspects += job->is_suspect ? 1 : 0;
    map_put(&keeper->deliveries.jobs, job->id, job);
    sign_use(keeper, job->message.id);
    if (!fill_recipients(keeper, job)) {
        deliver_job_ended(keeper, job);
        rest_items(keeper, job);
        job_free(keeper, &job);
    } else if (!message->has_key || !spool_keyring_open(keeper->ring, &message->content,
                                                        &job->deliver.data_key, &err)) {
        if (!message->has_key)
            FAIL(&err, ERR_PERM, "its key is destroyed");
        deliver_job_ended(keeper, job);
        fail_unopened(keeper, job, &err);
    } else {
        sign_then_send(keeper, job, message, sender);
    }
}

struct job *deliver_take_job(struct keeper *keeper, uint64_t peer_id, uint64_t id)
{
    struct job *job = map_get(&keeper->deliveries.jobs, id);
    struct peer *peer = peer_find(keeper, peer_id);

    if (job == NULL || job->peer != peer_id)
        return NULL;
    deliver_job_ended(keeper, job);
    if (peer != NULL && peer->working > 0)
        peer->working--;
    keeper->deliveries.finished++;
    return job;
}

static bool is_untouched(const struct ipc_delivered *delivered, uint64_t number)
{
    struct slice rest = delivered->results;
    struct ipc_result item;

    while (ipc_list_next(&rest, IPC_RESULT, &item) == PROGRESS_DONE)
        if (item.recipient == number + 1)
            return item.outcome == OUTCOME_TEMPORARY && item.code == 0;
    return false;
}

void deliver_reroute(struct keeper *keeper, struct job *job,
                     const struct ipc_delivered *delivered)
{
    size_t left = 0;
    unsigned route;

    if (routes_choose(keeper, job->routes, job->message.id,
                      job->deliver.requirement.least >= PROOF_VERIFIED, &route) != CHOICE_MADE)
        return;
    for (size_t i = 0; i < job->count; i++) {
        struct item *item = schedule_find(keeper, job->message.id, job->rows[i].number);

        if (item != NULL && is_untouched(delivered, job->rows[i].number))
            schedule_back(keeper, item);
        else
            job->rows[left++] = job->rows[i];
    }
    job->count = left;
}

void deliver_peer_lost(struct keeper *keeper, uint64_t peer)
{
    size_t position = 0;
    uint64_t id;
    struct job *job;

    while ((job = map_next(&keeper->deliveries.jobs, &position, &id)) != NULL)
        if (job->peer == peer) {
            deliver_job_ended(keeper, job);
            deliver_give_back(keeper, job);
            job_free(keeper, &job);
            position = 0; /* taking out changes the order */
        }
}

/* ---- from items to jobs ---- */

static bool same_requirement(const struct tls_requirement *a, const struct tls_requirement *b)
{
    return a->least == b->least && a->tls_1_3_only == b->tls_1_3_only &&
           a->cleartext_allowed == b->cleartext_allowed && a->requiretls == b->requiretls &&
           a->requiretls_relaxed == b->requiretls_relaxed && a->mx_proved == b->mx_proved &&
           a->tls_not_required == b->tls_not_required &&
           a->cleartext_after_ms == b->cleartext_after_ms;
}

int64_t deliver_expire_ms(const struct keeper *keeper, uint64_t kind)
{
    int64_t usual_ms = keeper->settings->delivery.expire_ms;

    return kind == KIND_TLS_REPORT && usual_ms > TLS_REPORT_TRY_MS ? TLS_REPORT_TRY_MS
                                                                   : usual_ms;
}

/* Add a recipient to the job; false when it needs another one. */
static bool join_job(struct keeper *keeper, struct job *job, const struct store_recipient *row)
{
    bool is_lifted = (row->flags & RECIPIENT_RATCHET_LIFTED) != 0;

    if (job->count > 0 && (!same_requirement(&job->deliver.requirement, &row->requirement) ||
                           job->deliver.ratchet_lifted != is_lifted || job->is_alone ||
                           !slice_equal(job->via, row->via)))
        return false;
    if (job->count == 0)
        forward_envelope(keeper, job, row);
    job->deliver.ratchet_lifted = is_lifted;
    job->deliver.requirement = row->requirement;
    job->rows[job->count] = *row;
    job->rows[job->count].spelled = job->rows[job->count].orcpt =
        job->rows[job->count].reasons = job->rows[job->count].via = slice_of("", 0);
    job->count++;
    return true;
}

static void do_other_work(struct keeper *keeper, struct item *item, enum work work,
                          const struct store_message *message)
{
    switch (work) {
    case WORK_NONE:
    case WORK_CARRY:
        schedule_done(keeper, item->message, item->number);
        return;
    case WORK_COPY:
        portal_copy_work(keeper, item, message);
        return;
    case WORK_MAIL:
        mail_work(keeper, item, message);
        return;
    case WORK_EXPIRE:
    case WORK_TOO_OLD:
    case WORK_REPLAN:
    case WORK_HOLD:
        results_put_work(keeper, item, work);
        return;
    }
}

/* No such row: forget it. A database in trouble is no reason to: it is looked at again. */
static void skip_unread(struct keeper *keeper, const struct item *item)
{
    if (store_is_troubled(keeper->store, NULL))
        schedule_rest(keeper, item->message, item->number, REST_MS);
    else
        schedule_done(keeper, item->message, item->number);
}

void deliver_work(struct keeper *keeper, struct lane *lane, struct item **items, size_t count)
{
    struct domain *domain = items[0]->domain;
    struct store_message message;
    struct store_recipient row;
    struct job *job = NULL;
    struct slice sender;
    struct work_facts facts = {.now_ms = clock_unix_ms()};

    if (!store_message_get(keeper->store, items[0]->message, &message)) {
        for (size_t i = 0; i < count; i++)
            skip_unread(keeper, items[i]);
        return;
    }
    job = make_job(keeper, domain, &message);
    job->lane = lane;
    job->flow = items[0]->flow;
    sender = job->sender;
    facts.accepted_ms = message.accepted_ms;
    facts.give_up_ms = deliver_expire_ms(keeper, message.kind);
    facts.is_domain_held = domain->row.is_held;
    facts.domain_tls = domain_tls_state(domain, job->need, facts.now_ms);
    facts.is_inbound = message.kind == KIND_INBOUND;
    for (size_t i = 0; i < count; i++) {
        enum work work = WORK_NONE;

        if (!store_recipient_get(keeper->store, items[i]->message, items[i]->number, &row)) {
            skip_unread(keeper, items[i]);
            continue;
        }
        facts.must_prove = forward_must_prove(keeper, row.via, domain);
        work = work_for(&row, &facts);
        if (work == WORK_CARRY && message.kind == KIND_TLS_REPORTED)
            tls_reported_work(keeper, items[i], &message);
        else if (work != WORK_CARRY)
            do_other_work(keeper, items[i], work, &message);
        else if (!join_job(keeper, job, &row))
            schedule_back(keeper, items[i]);
    }
    if (job->count > 0 && silence_rests(&lane->circuit, loop_now_ms()))
        spare_job(keeper, job);
    else if (job->count > 0)
        start_job(keeper, job, &message, sender);
    else
        free_job(job);
}
