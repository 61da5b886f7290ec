/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "role/role.h"
#include "store/message.h"
#include "store/recipient.h"

#include <string.h>

enum { GENERATIONS_MAX = 16 };

static json_t *roles_of(struct keeper *keeper)
{
    json_t *roles = json_array();

    for (size_t i = 0; i < keeper->peers.count; i++) {
        const struct peer *peer = keeper->peers.all[i];

        json_array_append_new(roles, json_pack("{s:s,s:I,s:I}", "role", role_name(peer->role),
                                               "index", (json_int_t)peer->index, "working",
                                               (json_int_t)peer->working));
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

void status_answer(struct control_output *output, const json_t *request)
{
    struct keeper *keeper = output->keeper;
    const struct inbox *inbox = &keeper->inbox;
    uint64_t held = store_recipient_held_count(keeper->store);

    (void)request;
    control_line(
        output,
        json_pack("{s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:b,s:b,s:o,s:o}", "version",
                  POSTERN_VERSION, "started_ms", (json_int_t)keeper->started_ms, "queue",
                  (json_int_t)store_recipient_count(keeper->store), "held", (json_int_t)held,
                  "messages", (json_int_t)store_message_count(keeper->store), "ready",
                  (json_int_t)keeper->schedule.count, "in_flight",
                  (json_int_t)keeper->deliveries.jobs.count, "batches",
                  (json_int_t)inbox->batches, "last_batch", (json_int_t)inbox->last_batch,
                  "largest_batch", (json_int_t)inbox->largest_batch, "failed_commits",
                  (json_int_t)inbox->failures, "failing", (int)inbox->is_failing, "hold_all",
                  (int)keeper->settings->hold_all, "roles", roles_of(keeper), "keys",
                  keys_of(keeper)));
}

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
            domain_tls_name(domain_tls_state(&domain, PROOF_VERIFIED, clock_unix_ms())),
            "level", proof_level_name(row.level), "held", (int)row.is_held);

        control_set_text(object, "mx", slice_from_cstr(mx_cstr));
        control_set_text(object, "detail", slice_from_cstr(detail_cstr));
        control_set_number(object, "checked_ms", row.checked_ms);
        control_set_number(object, "lacking_ms", row.lacking_ms);
        control_line(output, object);
        memcpy(after_cstr, row.name_cstr, sizeof after_cstr);
    }
}
