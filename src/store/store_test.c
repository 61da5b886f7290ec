/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "kit/run.h"
#include "store/domain.h"
#include "store/event.h"
#include "store/internal.h"
#include "store/master.h"
#include "store/message.h"
#include "store/portal.h"
#include "store/recipient.h"
#include "store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <signal.h>

#define KEY_1 "postern-master-key-1 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
#define KEY_2 "postern-master-key-1 2 AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

static struct store *open_store(const char *folder_cstr, struct slice keys)
{
    struct store *store = NULL;
    struct err err = {0};

    if (!store_open(folder_cstr, &store, &err) || !store_keys_open(store, keys, &err))
        fail_msg("%s", err.text_cstr);
    return store;
}

/* Stands in front of the C library's, for SQLite as well. */
static bool syncs_fail;

int fdatasync(int fd)
{
    if (!syncs_fail)
        return (int)syscall(SYS_fdatasync, fd);
    errno = EIO;
    return -1;
}

/* Syncs that save the names of database and log: whole ones, of their folder, with the log in it. */
static unsigned saved_names;
static bool folder_syncs_fail;

int fsync(int fd)
{
    struct stat status;

    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        if (folder_syncs_fail) {
            errno = EIO;
            return -1;
        }
        saved_names += faccessat(fd, "postern.db-wal", F_OK, 0) == 0 ? 1U : 0U;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void commit(struct store *store)
{
    struct err err = {0};

    if (!store_commit(store, &err))
        fail_msg("%s", err.text_cstr);
}

static const char twice_cstr[] = KEY_1 KEY_1;

static void test_master_key_file(void **state)
{
    static const char *const wrong[] = {
        "",
        "# nothing\n",
        "postern-master-key-2 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "postern-master-key-1 0 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "postern-master-key-1 x AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
        "postern-master-key-1 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==\n",
        "postern-master-key-1 1 AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=x\n",
        "postern-master-key-1 1\n",
        twice_cstr,
    };
    struct master master;
    struct buffer text;
    struct err err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(master_parse(slice_from_cstr(wrong[i]), &master, &err));
        assert_int_equal(err.class, ERR_PERM);
    }
    assert_true(master_parse(S("# old\n" KEY_1 "\r\n" KEY_2), &master, &err));
    assert_int_equal(master.count, 2);
    assert_int_equal(master.keys[0].generation, 2);
    assert_non_null(master_find(&master, 1));
    assert_null(master_find(&master, 3));
    buffer_init(&text, 1000);
    assert_true(master_write(&master.keys[1], &text));
    assert_true(slice_equal(buffer_view(&text), S(KEY_1)));
    buffer_wipe(&text);
    master_wipe(&master);
}

static void test_keys_survive_and_are_rewrapped(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct store_key_use uses[4];
    struct secret index;
    uint8_t digest[SHA256_BYTES], again[SHA256_BYTES];
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    index = *store_key_index(store);
    recipient_certificate_digest(recipient_key_certificate(store_key_pair(store, 0)), digest);
    assert_int_equal(store_key_uses(store, uses, 4), 1);
    assert_int_equal(uses[0].rows, 4);
    store_close(&store);
    /* Another key does not open it, and a missing one is named. */
    assert_true(store_open(folder_cstr, &store, &err));
    assert_false(store_keys_open(store, S(KEY_2), &err));
    assert_non_null(strstr(err.text_cstr, "generation 1"));
    store_close(&store);
    assert_true(store_open(folder_cstr, &store, &err));
    assert_false(store_keys_open(
        store, S("postern-master-key-1 1 AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"),
        &err));
    assert_int_equal(err.class, ERR_PERM);
    store_close(&store);
    /* A newer one takes over; then the old one may go. */
    store = open_store(folder_cstr, S(KEY_1 KEY_2));
    assert_int_equal(store_key_uses(store, uses, 4), 1);
    assert_int_equal(uses[0].generation, 2);
    assert_true(secret_equal(&index, store_key_index(store)));
    store_close(&store);
    store = open_store(folder_cstr, S(KEY_2));
    recipient_certificate_digest(recipient_key_certificate(store_key_pair(store, 0)), again);
    assert_memory_equal(digest, again, sizeof digest);
    assert_true(store_key_pair_renew(store, S(KEY_2), &err));
    store_close(&store);
    store = open_store(folder_cstr, S(KEY_2));
    assert_non_null(store_key_pair(store, 1));
    recipient_certificate_digest(recipient_key_certificate(store_key_pair(store, 1)), again);
    assert_memory_equal(digest, again, sizeof digest);
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_one_server_per_folder(void **state)
{
    char folder_cstr[64];
    struct store *store, *other = NULL;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    assert_false(store_open(folder_cstr, &other, &err));
    assert_non_null(strstr(err.text_cstr, "another server"));
    store_close(&store);
    assert_false(store_open("/dev/null/none", &other, &err));
    kit_write_file(folder_cstr, "postern.db", S("this is no database at all, only words"));
    assert_false(store_open(folder_cstr, &other, &err));
    kit_remove_folder(folder_cstr);
}

static void test_versions(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    /* From the future: hands off. */
    assert_true(store__execute(store, "PRAGMA user_version=999"));
    store_close(&store);
    assert_false(store_open(folder_cstr, &store, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_non_null(strstr(err.text_cstr, "later version"));
    kit_remove_folder(folder_cstr);
}

static void test_addresses(void **state)
{
    char folder_cstr[64];
    struct store *store;
    uint64_t id, other;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    id = store_address_put(store, S("Canary@clinic.test"));
    other = store_address_put(store, S("b@clinic.test"));
    assert_true(id != 0 && other != 0 && id != other);
    assert_int_equal(store_address_put(store, S("")), 0);
    commit(store);
    assert_int_equal(store_address_put(store, S("canary@CLINIC.test")), id);
    assert_int_equal(store_address_find(store, S("nobody@clinic.test")), 0);
    store_close(&store);
    store = open_store(folder_cstr, S(KEY_1));
    assert_int_equal(store_address_find(store, S("CANARY@clinic.test")), id);
    assert_true(slice_equal(store_address_get(store, id), S("Canary@clinic.test")));
    assert_true(slice_equal(store_address_get(store, 0), S("")));
    assert_true(slice_equal(store_address_get(store, 99), S("")));
    /* What a batch that did not happen has made is forgotten. */
    other = store_address_put(store, S("gone@clinic.test"));
    store_rollback(store);
    assert_int_equal(store_address_find(store, S("gone@clinic.test")), 0);
    assert_int_equal(store_address_put(store, S("new@clinic.test")), other);
    assert_true(slice_equal(store_address_get(store, other), S("new@clinic.test")));
    assert_true(store_commit(store, &err));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_rows_come_back(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct store_message message = {.id = 77,
                                    .kind = 1,
                                    .sender = 3,
                                    .flags = MESSAGE_8BIT | 2 << MESSAGE_PROOF_SHIFT,
                                    .recipients = 2,
                                    .open = 2,
                                    .live = 2,
                                    .content = {.segment = 5,
                                                .offset = 4096,
                                                .sealed_bytes = 9},
                                    .account = S("clinic"),
                                    .question = S("Pet?"),
                                    .answer = S("Rex")},
                         got;
    struct store_recipient recipient = {.message = 77,
                                        .number = 1,
                                        .address = 4,
                                        .domain = 2,
                                        .state = 2,
                                        .method = METHOD_TLS,
                                        .requirement = {.least = PROOF_VERIFIED,
                                                        .requiretls_relaxed = true,
                                                        .tls_not_required = true,
                                                        .cleartext_after_ms = 900000,
                                                        .requiretls = true},
                                        .due_ms = 1000,
                                        .orcpt = S("rfc822;x@y"),
                                        .reasons = S("because")},
                           row;
    struct store_event event = {.message = 77, .id = 5, .number = 1, .kind = 2}, told;
    struct store_due due, after = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    message.content.wrapped_key[0] = 0xAA;
    store_message_put(store, &message);
    store_recipient_put(store, &recipient);
    event.texts[0] = S("mx.test");
    event.texts[1] = S("");
    event.texts[2] = S("reply");
    event.text_count = 3;
    store_event_put(store, &event);
    commit(store);
    assert_true(store_message_get(store, 77, &got));
    assert_int_equal(got.flags, message.flags);
    assert_int_equal(message_flag_bits(got.flags, MESSAGE_PROOF_SHIFT, 3), 2);
    assert_true(got.has_key && got.content.wrapped_key[0] == 0xAA);
    assert_true(slice_equal(got.answer, S("Rex")));
    assert_true(store_recipient_get(store, 77, 1, &row));
    assert_int_equal(row.requirement.least, PROOF_VERIFIED);
    assert_int_equal(row.requirement.cleartext_after_ms, 900000);
    assert_true(row.requirement.requiretls && !row.requirement.cleartext_allowed);
    assert_true(row.requirement.requiretls_relaxed && row.requirement.tls_not_required);
    assert_false(row.requirement.mx_proved);
    assert_true(slice_equal(row.orcpt, S("rfc822;x@y")));
    assert_true(store_event_next(store, 77, 0, &told));
    assert_true(slice_equal(told.texts[2], S("reply")) && told.texts[1].len == 0);
    assert_false(store_event_next(store, 77, told.id, &told));
    assert_int_equal(store_recipient_due(store, &after, 999, &due, 1), 0);
    assert_int_equal(store_recipient_due(store, &after, 1000, &due, 1), 1);
    assert_int_equal(store_recipient_due(store, &due, 1000, &due, 1), 0);
    assert_int_equal(store_recipient_next_due(store, 0), 1000);
    assert_int_equal(store_recipient_next_due(store, 1000), RECIPIENT_NOT_DUE);
    /* The key goes with the last who needs it. */
    assert_false(store_message_release(store, 77, 1, 0));
    assert_true(store_message_get(store, 77, &got) && got.has_key);
    store_message_forget_answer(store, &got);
    assert_true(store_message_release(store, 77, 1, 2));
    assert_true(store_message_get(store, 77, &got) && !got.has_key);
    assert_int_equal(got.answer.len, 0);
    assert_int_equal(store_message_purge(store, 77, 10), 0);
    assert_int_equal(store_message_purge(store, 78, 10), 1);
    commit(store);
    assert_false(store_message_get(store, 77, &got));
    assert_false(store_recipient_get(store, 77, 1, &row));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_a_moved_value_does_not_open(void **state)
{
    char folder_cstr[64];
    struct store *store;
    uint64_t a, b;

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    a = store_address_put(store, S("a@x.test"));
    b = store_address_put(store, S("b@x.test"));
    commit(store);
    address_cache_clear(store->addresses);
    store__execute(store,
                   "UPDATE address SET sealed = (SELECT sealed FROM address WHERE id = 1)"
                   " WHERE id = 2");
    assert_true(slice_equal(store_address_get(store, a), S("a@x.test")));
    assert_true(slice_equal(store_address_get(store, b), S("")));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_portal_rows(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct store_portal_copy copy = {.message = 1, .number = 2, .expires_ms = 99}, got;

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    memset(copy.lookup, 3, sizeof copy.lookup);
    memset(copy.share.bytes, 4, sizeof copy.share.bytes);
    store_portal_put(store, &copy);
    commit(store);
    assert_false(store_portal_find(store, S("short"), &got));
    assert_true(store_portal_find(store, slice_of(copy.lookup, 32), &got));
    assert_true(got.is_open && !got.has_answer && !got.has_code);
    assert_memory_equal(got.share.bytes, copy.share.bytes, 32);
    got.tries = 3;
    got.has_code = true;
    store_portal_update(store, &got);
    assert_true(store_portal_get(store, 1, 2, &got));
    assert_true(got.has_code && got.tries == 3);
    store_portal_shred(store, got.id);
    assert_true(store_portal_get(store, 1, 2, &got));
    assert_false(got.is_open || got.has_code);
    commit(store);
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void fill(struct store *store, unsigned from, unsigned count)
{
    char text_cstr[64];

    for (unsigned i = from; i < from + count; i++) {
        snprintf(text_cstr, sizeof text_cstr, "address-number-%u@long-domain.test", i);
        store_address_put(store, slice_from_cstr(text_cstr));
    }
}

static void test_a_full_disk(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    store_limit_pages(store, 40);
    fill(store, 0, 5000);
    assert_true(store_is_troubled(store, NULL));
    assert_false(store_commit(store, &err));
    assert_int_equal(err.smtp_code, 452);
    assert_string_equal(err.enhanced_cstr, "4.3.1");
    assert_int_equal(store_address_find(store, S("address-number-1@long-domain.test")), 0);
    store_limit_pages(store, 0);
    fill(store, 0, 100);
    commit(store);
    assert_true(store_address_find(store, S("address-number-1@long-domain.test")) != 0);
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_a_disk_that_fails(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct rlimit before, none = {0};
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    must(getrlimit(RLIMIT_FSIZE, &before) == 0);
    signal(SIGXFSZ, SIG_IGN);
    none.rlim_max = before.rlim_max;
    must(setrlimit(RLIMIT_FSIZE, &none) == 0);
    for (int i = 0; i < 3; i++) {
        fill(store, 0, 10);
        assert_false(store_commit(store, &err));
        assert_int_equal(err.class, ERR_TEMP);
        assert_true(err.smtp_code == 451 || err.smtp_code == 452);
    }
    must(setrlimit(RLIMIT_FSIZE, &before) == 0);
    fill(store, 0, 10);
    commit(store);
    store_close(&store);
    store = open_store(folder_cstr, S(KEY_1));
    assert_true(store_address_find(store, S("address-number-9@long-domain.test")) != 0);
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

/* A refused commit stays refused, however the disk comes back; and then commits go on. */
static void test_syncs_that_fail(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct store_domain row;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    assert_true(store_domain_put(store, S("a.test"), &row));
    commit(store);
    syncs_fail = true;
    for (int i = 0; i < 3; i++) {
        store_domain_put(store, S("b.test"), &row);
        assert_false(store_commit(store, &err));
        assert_int_equal(err.smtp_code, 451);
    }
    syncs_fail = false;
    assert_false(store_domain_find(store, S("b.test"), &row));
    assert_true(store_domain_put(store, S("c.test"), &row));
    commit(store);
    store_close(&store);
    store = open_store(folder_cstr, S(KEY_1));
    assert_true(store_domain_find(store, S("a.test"), &row));
    assert_false(store_domain_find(store, S("b.test"), &row));
    assert_true(store_domain_find(store, S("c.test"), &row));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

/* What is committed is lost all the same when a power cut takes the name of the log away. */
static void test_names_are_made_durable(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    saved_names = 0;
    store = open_store(folder_cstr, S(KEY_1));
    assert_true(saved_names > 0);
    store_close(&store);
    folder_syncs_fail = true;
    assert_false(store_open(folder_cstr, &store, &err));
    assert_int_equal(err.class, ERR_TEMP);
    folder_syncs_fail = false;
    store = open_store(folder_cstr, S(KEY_1));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void put_page(const char *folder_cstr, uint8_t last)
{
    uint8_t page[4096] = {0};
    char path_cstr[128];
    int fd;

    page[sizeof page - 1] = last;
    snprintf(path_cstr, sizeof path_cstr, "%s/postern.db", folder_cstr);
    fd = open(path_cstr, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, page, sizeof page), sizeof page);
    close(fd);
}

/* A power cut before anything was begun leaves a page of zeros; a page with anything in it is not ours. */
static void test_a_blank_page_is_no_database_yet(void **state)
{
    char folder_cstr[64];
    struct store *store;
    struct err err = {0};

    (void)state;
    kit_make_folder(folder_cstr);
    put_page(folder_cstr, 1);
    assert_false(store_open(folder_cstr, &store, &err));
    put_page(folder_cstr, 0);
    store = open_store(folder_cstr, S(KEY_1));
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_a_file_belongs_to_the_folders_owner(void **state)
{
    char folder_cstr[64], path_cstr[96];
    struct store *store;
    struct store_domain row;
    struct stat status;

    (void)state;
    if (geteuid() != 0)
        skip();
    kit_make_folder(folder_cstr);
    must(chown(folder_cstr, 65534, 65534) == 0);
    store = open_store(folder_cstr, S(KEY_1));
    assert_true(store_domain_put(store, S("a.test"), &row));
    commit(store);
    for (int i = 0; i < 2; i++) {
        snprintf(path_cstr, sizeof path_cstr, "%s/postern.db%s", folder_cstr, i ? "-wal" : "");
        must(stat(path_cstr, &status) == 0);
        assert_int_equal(status.st_uid, 65534);
    }
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

static void test_segments_and_domains(void **state)
{
    char folder_cstr[64], mx_cstr[STORE_DOMAIN_SIZE], detail_cstr[STORE_DOMAIN_TEXT_SIZE];
    struct store *store;
    struct store_domain domain, again;
    uint64_t dead[4];

    (void)state;
    kit_make_folder(folder_cstr);
    store = open_store(folder_cstr, S(KEY_1));
    store_segment_count(store, SPOOL_QUEUE, 9, 2);
    store_segment_count(store, SPOOL_QUEUE, 9, -1);
    assert_int_equal(store_segment_dead(store, SPOOL_QUEUE, 0, dead, 4), 0);
    store_segment_forget(store, 9);
    assert_true(store_segment_exists(store, 9));
    store_segment_count(store, SPOOL_QUEUE, 9, -1);
    assert_int_equal(store_segment_dead(store, SPOOL_PORTAL, 0, dead, 4), 0);
    assert_int_equal(store_segment_dead(store, SPOOL_QUEUE, 0, dead, 4), 1);
    store_segment_forget(store, 9);
    assert_false(store_segment_exists(store, 9));
    assert_true(store_domain_put(store, S("x.test"), &domain));
    assert_true(store_domain_put(store, S("x.test"), &again));
    assert_int_equal(domain.id, again.id);
    domain.level = PROOF_DANE;
    domain.checked_ms = 7;
    store_domain_learn(store, &domain, S("mx.x.test"), S("fine"));
    store_domain_hold(store, domain.id, true);
    assert_true(store_domain_next(store, "", &again, mx_cstr, detail_cstr));
    assert_string_equal(again.name_cstr, "x.test");
    assert_string_equal(mx_cstr, "mx.x.test");
    assert_true(again.is_held && again.level == PROOF_DANE);
    assert_false(store_domain_next(store, "x.test", &again, mx_cstr, detail_cstr));
    commit(store);
    store_close(&store);
    kit_remove_folder(folder_cstr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_master_key_file),
        cmocka_unit_test(test_keys_survive_and_are_rewrapped),
        cmocka_unit_test(test_one_server_per_folder),
        cmocka_unit_test(test_versions),
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_rows_come_back),
        cmocka_unit_test(test_a_moved_value_does_not_open),
        cmocka_unit_test(test_portal_rows),
        cmocka_unit_test(test_a_full_disk),
        cmocka_unit_test(test_a_disk_that_fails),
        cmocka_unit_test(test_syncs_that_fail),
        cmocka_unit_test(test_names_are_made_durable),
        cmocka_unit_test(test_a_blank_page_is_no_database_yet),
        cmocka_unit_test(test_a_file_belongs_to_the_folders_owner),
        cmocka_unit_test(test_segments_and_domains),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
