/* SPDX-License-Identifier: Apache-2.0 */
/* The office's requests about the board: list, show, test, report (office/README.md). */
#include "keeper/control.h"
#include "keeper/internal.h"
#include "keeper/tls_reported.h"

#include <stdlib.h>
#include <string.h>

enum { CHANGES_MAX = 20, LIST_SLICE = 500 };

static const struct feature {
    enum board_feature bit;
    const char *name_cstr;
} features[] = {
    {BOARD_HAS_STARTTLS, "starttls"},
    {BOARD_HAS_TLS_1_3, "tls_1_3"},
    {BOARD_HAS_WEBPKI, "webpki"},
    {BOARD_HAS_DANE, "dane"},
    {BOARD_HAS_REQUIRETLS, "requiretls"},
    {BOARD_HAS_STS_ENFORCE, "sts_enforce"},
    {BOARD_HAS_STS_TESTING, "sts_testing"},
    {BOARD_HAS_SIGNED_MX, "signed_mx"},
    {BOARD_IS_MIXED, "mixed"},
};

static json_t *features_of(unsigned bits)
{
    json_t *list = json_array();

    for (size_t i = 0; i < COUNT_OF(features); i++)
        if ((bits & features[i].bit) != 0)
            json_array_append_new(list, json_string(features[i].name_cstr));
    return list;
}

static json_t *row_object(struct keeper *keeper, const struct store_board *row)
{
    struct slice name = slice_from_cstr(row->name_cstr);
    json_t *object =
        json_pack("{s:s,s:s,s:o}", "domain", row->name_cstr, "verdict",
                  board_verdict_name(row->verdict), "features", features_of(row->features));

    control_set_number(object, "since_ms", row->since_ms);
    control_set_number(object, "tested_ms", row->tested_ms);
    control_set_number(object, "due_ms", row->due_ms);
    control_set_number(object, "used_ms", row->used_ms);
    control_set_number(object, "worse_ms", row->worse_ms);
    if (row->mx_proof != MX_PROOF_NONE)
        json_object_set_new(object, "mx_proof", json_string(mx_proof_name(row->mx_proof)));
    if (domain_list_holds(&keeper->forced, name))
        json_object_set_new(object, "forced", json_true());
    return object;
}

/* ---- list ---- */

struct listing {
    char after_cstr[STORE_BOARD_NAME_SIZE];
};

/* A slice of the list; mail goes on between them. */
static bool list_some(struct control_output *output, void *state)
{
    struct listing *listing = state;
    struct store_board row;

    for (size_t i = 0; i < LIST_SLICE; i++) {
        if (!store_board_next(output->keeper->store, listing->after_cstr, &row))
            return false;
        control_line(output, row_object(output->keeper, &row));
        memcpy(listing->after_cstr, row.name_cstr, sizeof listing->after_cstr);
    }
    return true;
}

static void list_boards(struct control_output *output)
{
    struct listing *listing = calloc(1, sizeof *listing);

    must(listing != NULL);
    control_continue(output, list_some, listing);
}

/* ---- show ---- */

static json_t *changes_of(struct keeper *keeper, struct slice name)
{
    struct store_board_change changes[CHANGES_MAX];
    size_t count = store_board_changes(keeper->store, name, changes, CHANGES_MAX);
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++) {
        json_t *object = json_pack("{s:I,s:s,s:s}", "at_ms", (json_int_t)changes[i].at_ms,
                                   "before", board_verdict_name(changes[i].before), "after",
                                   board_verdict_name(changes[i].after));

        control_set_text(object, "why", slice_from_cstr(changes[i].why_cstr));
        json_array_append_new(list, object);
    }
    return list;
}

/* What connections that carried mail have taught. */
static void set_mail(struct keeper *keeper, struct slice name, json_t *object)
{
    struct domain *domain = domain_find(keeper, name);
    struct store_memory memory;

    if (domain != NULL) {
        json_object_set_new(
            object, "tls",
            json_string(domain_tls_name(domain_tls_state(
                domain, (struct domain_need){PROOF_VERIFIED, false}, clock_unix_ms()))));
        json_object_set_new(object, "level", json_string(proof_level_name(domain->row.level)));
        control_set_number(object, "seen_ms", domain->row.checked_ms);
        control_set_number(object, "lacking_ms", domain->row.lacking_ms);
    }
    if (store_memory_get(keeper->store, MEMORY_DOMAIN, name, &memory)) {
        control_set_number(object, "times_seen",
                           ratchet_times(&memory.seen, ratchet_day(clock_unix_ms())));
        control_set_number(object, "lost_ms", memory.lost_ms);
    }
    json_object_set_new(object, "ratcheted",
                        json_boolean(memory_is_ratcheted(keeper, MEMORY_DOMAIN, name)));
    if (settings_is_excepted(keeper->settings, name, clock_unix_ms()))
        json_object_set_new(object, "excepted", json_true());
}

static void show_board(struct control_output *output, struct slice name)
{
    struct keeper *keeper = output->keeper;
    char name_cstr[STORE_BOARD_NAME_SIZE];
    struct store_board row;
    json_t *object, *found;

    if (!slice_to_cstr(name, name_cstr, sizeof name_cstr)) {
        control_error(output, "name a domain");
        return;
    }
    for (char *at = name_cstr; *at != '\0'; at++)
        *at = (char)byte_lower((uint8_t)*at);
    name = slice_from_cstr(name_cstr);
    if (!store_board_get(keeper->store, name, &row)) {
        row = (struct store_board){.found = S("")};
        memcpy(row.name_cstr, name_cstr, sizeof row.name_cstr);
    }
    object = row_object(keeper, &row);
    found = json_loadb((const char *)row.found.at, row.found.len, 0, NULL);
    if (found != NULL)
        json_object_set_new(object, "last_test", found);
    json_object_set_new(object, "changes", changes_of(keeper, name));
    json_object_set_new(object, "testing", json_boolean(board_is_testing(keeper, name)));
    set_mail(keeper, name, object);
    control_line(output, object);
}

/* ---- test ---- */

static void begin_test(struct control_output *output, struct slice name)
{
    if (slice_find_byte(name, '.') == name.len || slice_find_byte(name, '@') < name.len)
        control_error(output, "name a domain");
    else if (!board_test_now(output->keeper, name))
        control_error(output, "it cannot be tested now: the scout is not there");
    else
        control_line(output, json_pack("{s:b,s:I}", "testing", 1, "now_ms",
                                       (json_int_t)clock_unix_ms()));
}

/* ---- report ---- */

static void report_boards(struct control_output *output)
{
    struct board_count count;
    json_t *verdicts = json_object(), *with = json_object();
    uint64_t none;

    store_board_count(output->keeper->store, &count);
    for (unsigned i = 0; i < BOARD_VERDICT_COUNT; i++)
        json_object_set_new(verdicts, board_verdict_name((enum board_verdict)i),
                            json_integer((json_int_t)count.verdicts[i]));
    for (unsigned i = 0; i < COUNT_OF(features); i++)
        json_object_set_new(with, features[i].name_cstr,
                            json_integer((json_int_t)count.features[i]));
    none = count.verdicts[BOARD_CLEAR];
    control_line(output,
                 json_pack("{s:I,s:I,s:I,s:o,s:o}", "domains", (json_int_t)count.domains,
                           "tested", (json_int_t)(count.domains - count.never_tested), "no_tls",
                           (json_int_t)none, "verdicts", verdicts, "features", with));
}

void tls_answer(struct control_output *output, const json_t *request)
{
    struct slice what = control_member(request, "what");
    struct slice name = control_member(request, "domain");

    if (slice_equal(what, S("reports")))
        tls_reported_answer(output, request);
    else if (slice_equal(what, S("list")))
        list_boards(output);
    else if (slice_equal(what, S("report")))
        report_boards(output);
    else if (slice_equal(what, S("show")))
        show_board(output, name);
    else if (slice_equal(what, S("test")))
        begin_test(output, name);
    else
        control_error(output, "list, show, test, report or reports");
}
