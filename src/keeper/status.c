/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/state.h"
#include "role/role.h"
#include "store/message.h"
#include "store/recipient.h"

#include <stdio.h>
#include <string.h>

enum { GENERATIONS_MAX = 16, BUSIEST_MAX = 20, LOST_MAX = 20, LOOKED_AT_MAX = 100000 };

/* ---- roles ---- */

static void set_usage(json_t *object, const struct usage *usage)
{
    control_set_number(object, "cpu_us", (int64_t)usage->cpu_us);
    control_set_number(object, "rss_bytes", (int64_t)usage->rss_bytes);
    control_set_number(object, "pss_bytes", (int64_t)usage->pss_bytes);
    control_set_number(object, "descriptors", (int64_t)usage->descriptors);
}

static json_t *role_object(enum ipc_role role, unsigned index, const struct peer *peer)
{
    json_t *object =
        json_pack("{s:s,s:I,s:b}", "role", role_name(role), "index", (json_int_t)index, "runs",
                  peer != NULL || role == ROLE_KEEPER || role == ROLE_SUPERVISOR);

    if (peer == NULL)
        return object;
    json_object_set_new(object, "working", json_integer((json_int_t)peer->working));
    control_set_number(object, "silent_ms", loop_now_ms() - peer->heard_ms);
    control_set_number(object, "pid", (int64_t)peer->pid);
    set_usage(object, &peer->usage);
    return object;
}

static json_t *member_object(struct keeper *keeper, const struct ipc_member *member)
{
    enum ipc_role role =
        member->role < ROLE_COUNT ? (enum ipc_role)member->role : ROLE_SUPERVISOR;
    struct usage supervisors = {member->cpu_us, member->rss_bytes, member->pss_bytes,
                                member->descriptors};
    json_t *object = role_object(role, (unsigned)member->index,
                                 peer_of(keeper, role, (unsigned)member->index));

    control_set_number(object, "pid", (int64_t)member->pid);
    control_set_number(object, "started_ms", member->started_ms);
    json_object_set_new(object, "restarts", json_integer((json_int_t)member->restarts));
    if (role == ROLE_KEEPER)
        set_usage(object, &keeper->overview.usage);
    else if (role == ROLE_SUPERVISOR)
        set_usage(object, &supervisors);
    return object;
}

/* As the supervisor told; before it has, those that have a channel to us. */
static json_t *roles_of(struct keeper *keeper)
{
    const struct overview *overview = &keeper->overview;
    json_t *roles = json_array();

    for (size_t i = 0; i < overview->member_count; i++)
        json_array_append_new(roles, member_object(keeper, &overview->members[i]));
    for (size_t i = 0; overview->member_count == 0 && i < keeper->peers.count; i++) {
        const struct peer *peer = keeper->peers.all[i];

        json_array_append_new(roles, role_object(peer->role, peer->index, peer));
    }
    return roles;
}

static json_t *keys_of(struct keeper *keeper)
{
    struct store_key_use uses[GENERATIONS_MAX];
    size_t count = store_key_uses(keeper->store, uses, GENERATIONS_MAX);
    json_t *keys = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(keys, json_pack("{s:I,s:I}", "generation",
                                              (json_int_t)uses[i].generation, "rows",
                                              (json_int_t)uses[i].rows));
    return keys;
}

/* ---- how it goes ---- */

static json_t *states_of(struct keeper *keeper)
{
    json_t *states = json_object();

    for (unsigned state = STATE_ACCEPTED; state <= STATE_REVEALED; state++)
        json_object_set_new(
            states, state_name((enum recipient_state)state),
            json_integer((json_int_t)store_recipient_state_count(keeper->store, state)));
    return states;
}

/* A second, over the last minute, five and fifteen. */
static json_t *rates_of(struct keeper *keeper)
{
    static const char *const names[RATE_COUNT] = {
        [RATE_ACCEPTED] = "accepted",
        [RATE_DELIVERED] = "delivered",
        [RATE_DEFERRED] = "deferred",
        [RATE_FAILED] = "failed",
    };
    static const int64_t windows_ms[] = {60000, 300000, 900000};
    json_t *rates = json_object();

    for (unsigned i = 0; i < RATE_COUNT; i++) {
        json_t *list = json_array();

        for (size_t j = 0; j < COUNT_OF(windows_ms); j++)
            json_array_append_new(
                list, json_real(overview_rate(keeper, (enum overview_rate)i, windows_ms[j])));
        json_object_set_new(rates, names[i], list);
    }
    return rates;
}

/* The last warnings and errors of all roles, the newest first, as they stand in the log. */
static json_t *troubles_of(const struct overview *overview)
{
    size_t count = overview->trouble_count < OVERVIEW_TROUBLES ? overview->trouble_count
                                                               : OVERVIEW_TROUBLES;
    json_t *list = json_array();

    for (size_t i = 1; i <= count; i++) {
        const struct overview_trouble *trouble =
            &overview->troubles[(overview->trouble_count - i) % OVERVIEW_TROUBLES];
        json_t *object = json_loadb(trouble->text, trouble->len, 0, NULL);

        json_array_append_new(list, object != NULL
                                        ? object
                                        : control_text(slice_of(trouble->text, trouble->len)));
    }
    return list;
}

static json_t *certificates_of(const struct stats *total)
{
    json_t *object = json_object();

    control_set_number(object, "smtp",
                       (int64_t)total->numbers[STAT_SMTP_CERTIFICATE_ENDS] * 1000);
    control_set_number(object, "portal",
                       (int64_t)total->numbers[STAT_PORTAL_CERTIFICATE_ENDS] * 1000);
    return object;
}

/* Domains that were seen with TLS again and again and have none now: their mail waits. The first of them by name. */
static json_t *lost_of(struct keeper *keeper)
{
    struct store_memory memory = {.name_cstr = ""};
    json_t *list = json_array();

    while (json_array_size(list) < LOST_MAX &&
           store_memory_next_lost(keeper->store, memory.name_cstr, &memory))
        json_array_append_new(list, json_pack("{s:s,s:I}", "domain", memory.name_cstr,
                                              "lost_ms", (json_int_t)memory.lost_ms));
    return list;
}

static json_t *status_of(struct keeper *keeper, const struct stats *total)
{
    const struct inbox *inbox = &keeper->inbox;
    const char *why_cstr = overview_why_not_ready(keeper);
    json_t *object = json_pack(
        "{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:b}", "version",
        POSTERN_VERSION, "started_ms", (json_int_t)keeper->started_ms, "now_ms",
        (json_int_t)clock_unix_ms(), "queue", (json_int_t)store_recipient_count(keeper->store),
        "held", (json_int_t)store_recipient_held_count(keeper->store), "messages",
        (json_int_t)store_message_count(keeper->store), "ready",
        (json_int_t)keeper->schedule.count, "in_flight",
        (json_int_t)keeper->deliveries.jobs.count, "batches", (json_int_t)inbox->batches,
        "last_batch", (json_int_t)inbox->last_batch, "largest_batch",
        (json_int_t)inbox->largest_batch, "failed_commits", (json_int_t)inbox->failures,
        "failing", (int)inbox->is_failing, "hold_all", (int)keeper->settings->hold_all,
        "serves", why_cstr == NULL);

    if (why_cstr != NULL)
        json_object_set_new(object, "why", json_string(why_cstr));
    json_object_set_new(object, "late_ms", json_integer(overview_late_ms(keeper)));
    json_object_set_new(object, "states", states_of(keeper));
    json_object_set_new(object, "rates", rates_of(keeper));
    json_object_set_new(object, "disk_free_bytes",
                        json_integer((json_int_t)total->numbers[STAT_DISK_FREE]));
    json_object_set_new(object, "disk_reserve_bytes",
                        json_integer((json_int_t)total->numbers[STAT_DISK_RESERVE]));
    json_object_set_new(object, "certificates_end_ms", certificates_of(total));
    json_object_set_new(object, "roles", roles_of(keeper));
    json_object_set_new(object, "routes", routes_objects(keeper));
    json_object_set_new(object, "keys", keys_of(keeper));
    json_object_set_new(object, "sts", sts_status(keeper));
    json_object_set_new(object, "tls_lost", lost_of(keeper));
    json_object_set_new(object, "troubles", troubles_of(&keeper->overview));
    return object;
}

void status_answer(struct control_output *output, const json_t *request)
{
    static struct stats total; /* large */

    (void)request;
    overview_total(output->keeper, &total);
    control_line(output, status_of(output->keeper, &total));
}

/* ---- all figures ---- */

static json_t *numbers_of(const struct stats *total)
{
    json_t *numbers = json_object();

    for (unsigned i = 0; i < STAT_COUNT; i++) {
        const struct stat_row *row = stats_row((enum stat_number)i);
        char name_cstr[120];

        snprintf(name_cstr, sizeof name_cstr, "%s%s%s%s", row->name_cstr,
                 row->labels_cstr[0] == 0 ? "" : "{", row->labels_cstr,
                 row->labels_cstr[0] == 0 ? "" : "}");
        json_object_set_new(numbers, name_cstr, json_integer((json_int_t)total->numbers[i]));
    }
    return numbers;
}

static json_t *histograms_of(const struct stats *total)
{
    json_t *all = json_object();

    for (unsigned i = 0; i < HISTOGRAM_COUNT; i++) {
        const struct histogram *histogram = &total->histograms[i];
        json_t *buckets = json_array();

        for (size_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            json_array_append_new(buckets, json_integer((json_int_t)histogram->buckets[j]));
        json_object_set_new(
            all, histogram_row((enum stat_histogram)i)->name_cstr,
            json_pack("{s:o,s:I}", "buckets", buckets, "sum", (json_int_t)histogram->sum));
    }
    return all;
}

static bool is_busier(const struct domain *a, const struct domain *b)
{
    if (a->count != b->count)
        return a->count > b->count;
    return a->delivered + a->deferred > b->delivered + b->deferred;
}

/* Insert into the list of the busiest, best first. */
static void rank(struct domain **busiest, size_t *count, struct domain *domain)
{
    size_t at = *count;

    if (domain->count + domain->delivered + domain->deferred == 0)
        return;
    if (at == BUSIEST_MAX && !is_busier(domain, busiest[at - 1]))
        return;
    if (at == BUSIEST_MAX)
        at--;
    else
        ++*count;
    for (; at > 0 && is_busier(domain, busiest[at - 1]); at--)
        busiest[at] = busiest[at - 1];
    busiest[at] = domain;
}

/* Looks at what is in memory, at most LOOKED_AT_MAX: for a screen, not for accounts. */
static json_t *busiest_of(struct keeper *keeper)
{
    struct domain *busiest[BUSIEST_MAX], *domain;
    size_t count = 0, position = 0, looked_at = 0;
    json_t *list = json_array();
    uint64_t id;

    while (looked_at++ < LOOKED_AT_MAX &&
           (domain = map_next(&keeper->domains.by_id, &position, &id)) != NULL)
        rank(busiest, &count, domain);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            list,
            json_pack(
                "{s:s,s:I,s:I,s:I,s:I,s:s,s:b}", "domain", busiest[i]->row.name_cstr, "ready",
                (json_int_t)busiest[i]->count, "jobs", (json_int_t)busiest[i]->working,
                "delivered", (json_int_t)busiest[i]->delivered, "deferred",
                (json_int_t)busiest[i]->deferred, "tls",
                domain_tls_name(domain_tls_state(
                    busiest[i], (struct domain_need){PROOF_VERIFIED, false}, clock_unix_ms())),
                "held", (int)busiest[i]->row.is_held));
    return list;
}

void stats_answer(struct control_output *output, const json_t *request)
{
    static struct stats total; /* large */
    struct keeper *keeper = output->keeper;
    json_t *object;

    (void)request;
    overview_total(keeper, &total);
    object = status_of(keeper, &total);
    json_object_set_new(object, "numbers", numbers_of(&total));
    json_object_set_new(object, "histograms", histograms_of(&total));
    json_object_set_new(object, "domains", busiest_of(keeper));
    control_line(output, object);
}

/* ---- domains ---- */

void domains_answer(struct control_output *output, const json_t *request)
{
    struct keeper *keeper = output->keeper;
    char after_cstr[STORE_DOMAIN_SIZE] = "", mx_cstr[STORE_DOMAIN_SIZE],
         detail_cstr[STORE_DOMAIN_TEXT_SIZE];
    struct store_domain row;

    (void)request;
    while (!control_is_lost(output) &&
           store_domain_next(keeper->store, after_cstr, &row, mx_cstr, detail_cstr)) {
        struct domain domain = {.row = row};
        json_t *object = json_pack(
            "{s:s,s:s,s:s,s:b}", "domain", row.name_cstr, "tls",
            domain_tls_name(domain_tls_state(
                &domain, (struct domain_need){PROOF_VERIFIED, false}, clock_unix_ms())),
            "level", proof_level_name(row.level), "held", (int)row.is_held);

        control_set_text(object, "mx", slice_from_cstr(mx_cstr));
        control_set_text(object, "detail", slice_from_cstr(detail_cstr));
        control_set_number(object, "checked_ms", row.checked_ms);
        control_set_number(object, "lacking_ms", row.lacking_ms);
        control_line(output, object);
        memcpy(after_cstr, row.name_cstr, sizeof after_cstr);
    }
}
