/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "keeper/retractions.h"
#include "keeper/stand.h"
#include "kit/run.h"
#include "store/message.h"

#include <sys/stat.h>

/* ---- lines ---- */

static void test_lines(void **state)
{
    static const struct retraction_line line = {
        .state = STATE_RETRACTED, .message = UINT64_C(0x1234567890ABCDE), .number = 7};
    struct secret key = {{1}}, other = {{2}};
    struct retraction_line got;
    struct buffer text, changed;

    (void)state;
    buffer_init(&text, 200);
    buffer_init(&changed, 200);
    assert_true(retraction_write(&key, &line, &text));
    assert_true(slice_starts_with(buffer_view(&text), S("retracted ")));
    assert_true(retraction_parse(&key, slice_trim(buffer_view(&text)), &got));
    assert_int_equal(got.state, STATE_RETRACTED);
    assert_int_equal(got.message, line.message);
    assert_int_equal(got.number, 7);
    assert_true(retraction_parse(NULL, slice_trim(buffer_view(&text)), &got));
    assert_false(retraction_parse(&other, slice_trim(buffer_view(&text)), &got));
    for (size_t i = 0; i < buffer_len(&text) - 1; i++) {
        struct slice whole = slice_trim(buffer_view(&text));

        assert_false(retraction_parse(&key, slice_head(whole, i), &got));
        buffer_clear(&changed);
        assert_true(buffer_append(&changed, whole));
        ((uint8_t *)(uintptr_t)buffer_view(&changed).at)[i] ^= 1;
        assert_false(retraction_parse(&key, buffer_view(&changed), &got));
    }
    assert_false(
        retraction_parse(NULL, S("delivered 0SA8M1A2M0022 0 AAAAAAAAAAAAAAAAAAAAAA"), &got));
    assert_false(
        retraction_parse(NULL, S("retracted 0SA8M1A2M0022 -1 AAAAAAAAAAAAAAAAAAAAAA"), &got));
    assert_false(retraction_parse(NULL, S("retracted 0SA8M1A2M0022 0"), &got));
    /* No room: nothing is left behind. */
    buffer_deinit(&text);
    buffer_init(&text, 30);
    assert_false(retraction_write(&key, &line, &text));
    assert_int_equal(buffer_len(&text), 0);
    buffer_deinit(&text);
    buffer_deinit(&changed);
}

static void test_orders(void **state)
{
    bool holds = true;

    (void)state;
    assert_true(restored_parse(restored_text(false), &holds));
    assert_false(holds);
    assert_true(restored_parse(restored_text(true), &holds));
    assert_true(holds);
    assert_false(restored_parse(S(""), &holds));
    assert_false(restored_parse(S("postern-restored 1 go"), &holds));
    assert_false(restored_parse(S("postern-restored 2 go\n"), &holds));
}

/* ---- the keeper ---- */

static bool is_there(const struct stand *stand, const char *name_cstr)
{
    char path_cstr[160];
    struct stat status;

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/state/%s", stand->folder_cstr, name_cstr);
    return stat(path_cstr, &status) == 0;
}

/* Begin, and run until the copy is complete; its id. */
static void begin(struct stand *stand, char id_out[ID_TEXT_SIZE])
{
    char request_cstr[120];
    json_t *answer =
        json_loads(stand_control(stand, "{\"do\":\"backup\",\"what\":\"begin\"}"), 0, NULL);
    const char *id_cstr = json_string_value(json_object_get(answer, "backup"));
    bool is_done = false;

    assert_non_null(id_cstr);
    (void)snprintf(id_out, ID_TEXT_SIZE, "%s", id_cstr);
    json_decref(answer);
    (void)snprintf(request_cstr, sizeof request_cstr,
                   "{\"do\":\"backup\",\"what\":\"look\",\"backup\":\"%s\"}", id_out);
    for (int i = 0; i < 200 && !is_done; i++) {
        stand_run(stand, 5);
        is_done = strstr(stand_control(stand, request_cstr), "\"done\":true") != NULL;
    }
    assert_true(is_done);
}

static void test_segments_stay_while_a_backup_is_made(void **state)
{
    struct stand stand;
    char id_cstr[ID_TEXT_SIZE], request_cstr[120], path_cstr[120];
    struct spool_segment_info *list;
    struct err err = {0};
    size_t count;

    (void)state;
    stand_open(&stand, "");
    stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@good.test"});
    stand_run(&stand, 60);
    begin(&stand, id_cstr);
    assert_true(is_there(&stand, BACKUP_SNAPSHOT_NAME));
    assert_non_null(
        strstr(stand_control(&stand, "{\"do\":\"backup\",\"what\":\"begin\"}"), "under way"));
    /* Nothing needs the segment any more, and its writer has let it go; it stays all the same. */
    spool_writer_tick(stand.keeper->queue_writer, clock_unix_ms() + INT64_C(3600000));
    keeper_sweep_segments(stand.keeper);
    assert_true(spool_segment_list(stand.queue_fd, &list, &count, &err));
    free(list);
    assert_int_equal(count, 1);
    (void)snprintf(request_cstr, sizeof request_cstr,
                   "{\"do\":\"backup\",\"what\":\"end\",\"backup\":\"%s\"}", id_cstr);
    assert_non_null(strstr(stand_control(&stand, request_cstr), "ended"));
    assert_false(is_there(&stand, BACKUP_SNAPSHOT_NAME));
    assert_non_null(strstr(stand_control(&stand, request_cstr), "not under way"));
    keeper_sweep_segments(stand.keeper);
    assert_true(spool_segment_list(stand.queue_fd, &list, &count, &err));
    free(list);
    assert_int_equal(count, 0);
    /* What a crash leaves goes at the next start. */
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/state", stand.folder_cstr);
    kit_write_file(path_cstr, BACKUP_SNAPSHOT_NAME, S("left"));
    stand_restart(&stand, false);
    assert_false(is_there(&stand, BACKUP_SNAPSHOT_NAME));
    stand_close(&stand);
}

/* Page by page, with commits between: the copy is as the database is at its end. */
static void test_mail_goes_on_while_a_copy_is_made(void **state)
{
    struct store_snapshot *snapshot = NULL, *second = NULL;
    struct stand stand;
    struct store *copy = NULL;
    struct err err = {0};
    char path_cstr[160];
    uint64_t page[2000], last = 0, done, all;
    enum progress got;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "later.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    for (int i = 0; i < 200; i++)
        stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@later.test"});
    stand_wait(&stand, &stand.accepted, 200);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/copy", stand.folder_cstr);
    must(mkdir(path_cstr, 0700) == 0);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/copy/postern.db", stand.folder_cstr);
    assert_true(store_snapshot_begin(stand.keeper->store, path_cstr, &snapshot, &err));
    assert_false(store_snapshot_begin(stand.keeper->store, path_cstr, &second, &err));
    for (int i = 0; i < 20; i++) {
        assert_int_equal(store_snapshot_step(snapshot, 1, &err), PROGRESS_WAIT);
        last = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@later.test"});
        stand_wait(&stand, &stand.accepted, (uint64_t)i + 201);
    }
    store_snapshot_progress(snapshot, &done, &all);
    assert_true(done >= 20 && all > done);
    do
        got = store_snapshot_step(snapshot, 10, &err);
    while (got == PROGRESS_WAIT);
    assert_int_equal(got, PROGRESS_DONE);
    store_snapshot_free(&snapshot);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/copy", stand.folder_cstr);
    if (!store_open_to_read(path_cstr, "postern.db", &copy, &err) ||
        !store_keys_read(copy, stand.settings->master_key.bytes, &err))
        fail_msg("%s", err.text_cstr);
    assert_int_equal(store_message_list(copy, 0, INT64_MAX, page, COUNT_OF(page)), 220);
    assert_int_equal(page[0], last);
    store_close(&copy);
    /* One that is not complete goes with the connection. */
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/copy/half.db", stand.folder_cstr);
    assert_true(store_snapshot_begin(stand.keeper->store, path_cstr, &snapshot, &err));
    assert_int_equal(store_snapshot_step(snapshot, 1, &err), PROGRESS_WAIT);
    keeper_close(&stand.keeper);
    assert_int_equal(store_snapshot_step(snapshot, 1, &err), PROGRESS_FAIL);
    store_snapshot_free(&snapshot);
    stand_close(&stand);
}

static void test_the_first_start_after_a_restore(void **state)
{
    struct stand stand;
    char path_cstr[120], line_cstr[200];
    struct store_recipient row;
    uint64_t retracted, waiting;
    size_t len;

    (void)state;
    stand_open(&stand, "");
    stand_outcome(&stand, "later.test", OUTCOME_TEMPORARY, PROOF_VERIFIED);
    retracted = stand_submit(&stand, &(struct stand_mail){.to_cstr = "a@later.test"});
    waiting = stand_submit(&stand, &(struct stand_mail){.to_cstr = "b@later.test"});
    stand_wait(&stand, &stand.delivered, 2);
    stand_run(&stand, 60);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/state", stand.folder_cstr);
    {
        struct retraction_line line = {.state = STATE_RETRACTED, .message = retracted};
        struct secret key;
        struct buffer text;

        buffer_init(&text, 300);
        retraction_key(store_key_index(stand.keeper->store), &key);
        assert_true(retraction_write(&key, &line, &text));
        line.message = 1; /* never heard of */
        assert_true(retraction_write(&key, &line, &text));
        kit_write_file(path_cstr, RETRACTIONS_NAME, buffer_view(&text));
        buffer_deinit(&text);
    }
    kit_write_file(path_cstr, RESTORED_NAME, restored_text(true));
    stand_restart(&stand, false);
    assert_false(is_there(&stand, RESTORED_NAME));
    assert_int_equal(stand_state(&stand, retracted, 0), STATE_RETRACTED);
    assert_true(store_recipient_get(stand.keeper->store, waiting, 0, &row));
    assert_true(row.is_held && row.due_ms == RECIPIENT_NOT_DUE);
    assert_non_null(strstr(stand_control(&stand, "{\"do\":\"queue\",\"what\":\"release\","
                                                 "\"all\":true}"),
                           "\"changed\":1"));
    /* Only letting go is done to everything at once. */
    assert_non_null(strstr(
        stand_control(&stand, "{\"do\":\"queue\",\"what\":\"purge\",\"all\":true}"), "error"));
    /* A line is written for what is taken back from now on. */
    (void)stand_control(&stand,
                        "{\"do\":\"queue\",\"what\":\"purge\",\"domain\":\"later.test\"}");
    stand_run(&stand, 20);
    len =
        kit_read_file(path_cstr, RETRACTIONS_NAME, (uint8_t *)line_cstr, sizeof line_cstr - 1);
    line_cstr[len] = '\0';
    assert_non_null(strstr(line_cstr, "\ndeleted "));
    /* Nonsense is not passed over. */
    kit_write_file(path_cstr, RESTORED_NAME, S("postern-restored 9"));
    {
        struct keeper *other = NULL;
        struct err err = {0};

        keeper_close(&stand.keeper);
        assert_false(keeper_open(stand.loop, stand.settings, 0, &other, &err));
        assert_int_equal(err.class, ERR_PERM);
    }
    stand_close(&stand);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_orders),
        cmocka_unit_test(test_segments_stay_while_a_backup_is_made),
        cmocka_unit_test(test_mail_goes_on_while_a_copy_is_made),
        cmocka_unit_test(test_the_first_start_after_a_restore),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
