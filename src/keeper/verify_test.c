/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/stand.h"
#include "keeper/verify.h"
#include "kit/run.h"
#include "store/message.h"

#include <dirent.h>

/* What came of a check. */
struct found {
    struct verify_report report;
    struct verify_problem last;
};

static void on_problem(void *context, const struct verify_problem *problem)
{
    struct found *found = context;

    found->last = *problem;
}

static void state_of(const struct stand *stand, char path_out_cstr[96])
{
    (void)snprintf(path_out_cstr, 96, "%s/state", stand->folder_cstr);
}

static bool check(const struct stand *stand, struct verify_options options, struct found *found,
                  struct err *err)
{
    char path_cstr[96];

    state_of(stand, path_cstr);
    memset(found, 0, sizeof *found);
    options.state_cstr = path_cstr;
    options.database_cstr = "postern.db";
    options.on_problem = on_problem;
    options.context = found;
    return verify_run(&options, &found->report, err);
}

static void check_well(const struct stand *stand, struct verify_options options,
                       struct found *found)
{
    struct err err = {0};

    if (!check(stand, options, found, &err))
        fail_msg("%s", err.text_cstr);
}

/* Delivered, waiting, in the portal; then the keeper is gone. Returns the id of the one that waits. */
static uint64_t fill(struct stand *stand)
{
    uint64_t waiting;

    stand_open(stand, "");
    stand_outcome(stand, "plain.test", OUTCOME_NOT_PROVED, PROOF_NONE);
    stand_outcome(stand, "later.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    stand_submit(stand,
                 &(struct stand_mail){.to_cstr = "a@good.test b@good.test c@plain.test"});
    waiting = stand_submit(stand, &(struct stand_mail){.to_cstr = "a@later.test"});
    stand_run(stand, 200);
    assert_int_equal(stand->copies, 1);
    assert_int_equal(stand_state(stand, waiting, 0), STATE_DEFERRED);
    return waiting;
}

static void test_what_a_keeper_leaves_is_clean(void **state)
{
    struct stand stand;
    struct found found;
    struct verify_options options = {0};
    uint64_t waiting, ids[3];
    struct err err = {0};

    (void)state;
    waiting = fill(&stand);
    assert_false(check(&stand, options, &found, &err));
    assert_int_equal(err.class, ERR_REFUSED);
    keeper_close(&stand.keeper);
    options.master_text = stand.settings->master_key.bytes;
    check_well(&stand, options, &found);
    if (found.report.problems > 0)
        fail_msg("%s: %s", verify_finding_name(found.last.finding), found.last.detail_cstr);
    assert_int_equal(found.report.messages, 3);      /* and the notice */
    assert_int_equal(found.report.open_messages, 3); /* the stand never takes the notice */
    assert_int_equal(found.report.recipients, 5);
    assert_int_equal(found.report.open_copies, 1);
    assert_int_equal(found.report.contents, 2);
    options.is_quick = true;
    check_well(&stand, options, &found);
    assert_int_equal(found.report.problems, 0);
    assert_int_equal(found.report.contents, 0);
    /* In any order, twice, and one that never was. */
    ids[0] = INT64_MAX;
    ids[1] = ids[2] = waiting;
    options.accepted = ids;
    options.accepted_count = 3;
    check_well(&stand, options, &found);
    assert_int_equal(found.report.accepted, 2);
    assert_int_equal(found.report.problems, 1);
    assert_int_equal(found.last.finding, VERIFY_ACCEPTED);
    assert_int_equal(found.last.message, INT64_MAX);
    stand_close(&stand);
}

static void test_keys(void **state)
{
    struct stand stand;
    struct found found;

    (void)state;
    fill(&stand);
    keeper_close(&stand.keeper);
    /* Without the key the rows still have to agree. */
    check_well(&stand, (struct verify_options){0}, &found);
    assert_int_equal(found.report.problems, 0);
    assert_int_equal(found.report.contents, 0);
    check_well(&stand,
               (struct verify_options){.master_text =
                                           S("postern-master-key-1 1 "
                                             "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n")},
               &found);
    assert_int_equal(found.report.problems, 1);
    assert_int_equal(found.last.finding, VERIFY_KEYS);
    stand_close(&stand);
}

/* Do something to every segment of the queue. */
static void damage(const struct stand *stand, off_t flip_at, off_t cut_to)
{
    char path_cstr[400];
    struct dirent *entry;
    DIR *folder;
    char byte = 0;
    int fd;

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/state/queue", stand->folder_cstr);
    folder = opendir(path_cstr);
    must(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path_cstr, sizeof path_cstr, "%s/state/queue/%s", stand->folder_cstr,
                       entry->d_name);
        fd = open(path_cstr, O_RDWR | O_CLOEXEC);
        must(fd >= 0);
        if (flip_at >= 0) {
            must(pread(fd, &byte, 1, flip_at) == 1);
            byte ^= 1;
            must(pwrite(fd, &byte, 1, flip_at) == 1);
        }
        if (cut_to >= 0)
            must(ftruncate(fd, cut_to) == 0);
        close(fd);
        if (flip_at < 0 && cut_to < 0)
            must(unlink(path_cstr) == 0);
    }
    closedir(folder);
}

static void test_damaged_segments(void **state)
{
    static const struct {
        off_t flip_at, cut_to;
        enum verify_finding finding;
        uint64_t problems;
    } cases[] = {
        /* The message that waits and the notice; each in a segment whose damaged header is told too. */
        {50, -1, VERIFY_CONTENT, 4},
        {-1, SPOOL_HEADER_BYTES + 10, VERIFY_CONTENT, 2},
        {-1, 100, VERIFY_CONTENT, 4},
        {-1, -1, VERIFY_SEGMENT_MISSING, 2},
    };
    struct stand stand;
    struct found found;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        fill(&stand);
        keeper_close(&stand.keeper);
        damage(&stand, cases[i].flip_at, cases[i].cut_to);
        check_well(&stand,
                   (struct verify_options){.master_text = stand.settings->master_key.bytes},
                   &found);
        assert_int_equal(found.report.problems, cases[i].problems);
        assert_int_equal(found.last.finding, cases[i].finding);
        stand_close(&stand);
    }
}

static void test_places_that_are_no_state(void **state)
{
    struct verify_options options = {.database_cstr = "postern.db", .on_problem = on_problem};
    struct found found;
    struct err err = {0};
    char folder_cstr[64];

    (void)state;
    kit_make_folder(folder_cstr);
    options.state_cstr = folder_cstr;
    options.context = &found;
    assert_false(verify_run(&options, &found.report, &err));
    assert_int_equal(err.class, ERR_PERM);
    kit_write_file(folder_cstr, "postern.db", S("this is no database at all, only words"));
    assert_false(verify_run(&options, &found.report, &err));
    options.state_cstr = "/nonexistent";
    assert_false(verify_run(&options, &found.report, &err));
    kit_remove_folder(folder_cstr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_keeper_leaves_is_clean),
        cmocka_unit_test(test_keys),
        cmocka_unit_test(test_damaged_segments),
        cmocka_unit_test(test_places_that_are_no_state),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
