/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/checker.h"
#include "spool/test_house.h"

static void test_rotation_and_removal(void **state)
{
    struct house *house = *state;
    struct spool_limits limits = {.segment_bytes = 100000};
    struct spool_writer *writer = open_writer(house, &limits);
    uint8_t *content = make_content(40000);
    struct slice text = slice_of(content, 40000);
    struct content_ref refs[5];
    struct spool_segment_info *list = NULL;
    size_t count = 0;
    struct secret key;
    struct err err;

    for (size_t i = 0; i < COUNT_OF(refs); i++)
        refs[i] = write_one(writer, text, 4000);
    assert_int_equal(refs[0].segment, refs[1].segment);
    assert_int_not_equal(refs[1].segment, refs[2].segment);
    assert_int_equal(refs[2].segment, refs[3].segment);
    kit_write_file(house->folder_cstr, "0000000000000000.seg", S("not ours"));
    kit_write_file(house->folder_cstr, "notes.txt", S("not ours"));
    assert_true(spool_segment_list(house->dir_fd, &list, &count, &err));
    assert_int_equal(count, 3);
    free(list);
    /* The open one is locked; after an hour it is closed. */
    assert_int_equal(spool_segment_remove(house->dir_fd, refs[0].segment, &err), SPOOL_REMOVED);
    assert_int_equal(spool_segment_remove(house->dir_fd, refs[0].segment, &err), SPOOL_REMOVED);
    assert_int_equal(spool_segment_remove(house->dir_fd, refs[4].segment, &err), SPOOL_IN_USE);
    spool_writer_tick(writer, id_time_ms(refs[4].segment) + 1000);
    assert_int_equal(spool_segment_remove(house->dir_fd, refs[4].segment, &err), SPOOL_IN_USE);
    assert_reads_back(house, &refs[4], text);
    spool_writer_tick(writer, id_time_ms(refs[4].segment) + 3600 * 1000);
    assert_int_equal(spool_segment_remove(house->dir_fd, refs[4].segment, &err), SPOOL_REMOVED);
    spool_keyring_forget(house->ring, refs[4].segment);
    assert_false(spool_keyring_open(house->ring, &refs[4], &key, &err));
    assert_int_equal(err.class, ERR_PERM);
    free(content);
    spool_writer_close(&writer);
}

/* What segment.h tells to do after a disaster, with the openssl program. */
static void test_openssl_opens_an_epoch(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct content_ref ref = write_one(writer, S("text"), 10);
    struct spool_header header;
    struct secret epoch, data_key;
    struct buffer pem;
    uint8_t got[64];

    buffer_init(&pem, 4096);
    assert_true(spool_segment_read(house->dir_fd, ref.segment, &header, NULL));
    assert_int_equal(header.kind, SPOOL_QUEUE);
    kit_write_file(house->folder_cstr, "sealed",
                   slice_of(header.sealed_epoch_key, header.sealed_epoch_key_bytes));
    assert_true(recipient_key_write_pem(house->key, &pem));
    kit_write_file(house->folder_cstr, "key", buffer_view(&pem));
    buffer_clear(&pem);
    assert_true(recipient_certificate_write_pem(recipient_key_certificate(house->key), &pem));
    kit_write_file(house->folder_cstr, "certificate", buffer_view(&pem));
    assert_true(KIT_RUN("env", "-C", house->folder_cstr, "openssl", "cms", "-decrypt",
                        "-inform", "DER", "-in", "sealed", "-inkey", "key", "-recip",
                        "certificate", "-out", "epoch"));
    assert_int_equal(kit_read_file(house->folder_cstr, "epoch", got, sizeof got), SECRET_BYTES);
    memcpy(epoch.bytes, got, SECRET_BYTES);
    assert_true(spool_data_key_unwrap(&epoch, ref.wrapped_key, &data_key, NULL));
    assert_true(reads_all(house, &ref, &data_key, S("text"), NULL));
    buffer_wipe(&pem);
    spool_writer_close(&writer);
}

/* After a change of the master key old segments open with the old one, strangers' with none. */
static void test_older_keys_stay_in_the_ring(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL), *newer;
    struct content_ref old_ref = write_one(writer, S("old"), 10), new_ref;
    struct spool_keyring *stranger = spool_keyring_new(house->dir_fd);
    struct recipient_key *key = NULL;
    struct secret data_key;
    struct err err;

    assert_true(recipient_key_generate("next key", &key, &err));
    newer = spool_writer_open(house->dir_fd, SPOOL_PORTAL, &house->ids,
                              recipient_key_certificate(key), NULL);
    new_ref = write_one(newer, S("new"), 10);
    assert_false(spool_keyring_open(house->ring, &new_ref, &data_key, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_false(spool_keyring_open(stranger, &new_ref, &data_key, &err));
    spool_keyring_add(house->ring, key);
    assert_reads_back(house, &new_ref, S("new"));
    assert_reads_back(house, &old_ref, S("old"));
    spool_writer_close(&writer);
    spool_writer_close(&newer);
    spool_keyring_free(&stranger);
    spool_keyring_free(&house->ring);
    house->ring = spool_keyring_new(house->dir_fd);
    recipient_key_free(&key);
}

static void test_header_refusals(void **state)
{
    struct spool_header header = {
        .id = 0x123, .kind = SPOOL_PORTAL, .created_ms = 99, .sealed_epoch_key_bytes = 3};
    struct spool_header got;
    uint8_t bytes[SPOOL_HEADER_BYTES];
    uint64_t segment;
    struct err err;

    (void)state;
    memcpy(header.sealed_epoch_key, "abc", 3);
    spool_header_write(&header, bytes);
    assert_true(spool_header_parse(slice_of(bytes, sizeof bytes), &got, &err));
    assert_int_equal(got.id, 0x123);
    assert_int_equal(got.kind, SPOOL_PORTAL);
    assert_int_equal(got.created_ms, 99);
    assert_int_equal(got.sealed_epoch_key_bytes, 3);
    assert_memory_equal(got.sealed_epoch_key, "abc", 3);
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] ^= 1;
        assert_false(spool_header_parse(slice_of(bytes, sizeof bytes), &got, &err));
        assert_int_equal(err.class, ERR_PERM);
        bytes[i] ^= 1;
    }
    assert_false(spool_header_parse(slice_of(bytes, sizeof bytes - 1), &got, &err));
    assert_false(spool_header_parse(S(""), &got, &err));
    header.kind = (enum spool_kind)3;
    spool_header_write(&header, bytes);
    assert_false(spool_header_parse(slice_of(bytes, sizeof bytes), &got, &err));
    assert_true(spool_segment_name_parse("00000000000000ff.seg", &segment));
    assert_int_equal(segment, 255);
    assert_false(spool_segment_name_parse("00000000000000FF.seg", &segment));
    assert_false(spool_segment_name_parse("00000000000000fg.seg", &segment));
    assert_false(spool_segment_name_parse("0000000000000000.seg", &segment));
    assert_false(spool_segment_name_parse("00000000000000ff.sed", &segment));
    assert_false(spool_segment_name_parse("", &segment));
}

static void test_check(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct spool_checker *checker = spool_checker_new(house->dir_fd);
    struct content_ref refs[3], lie;
    struct err err;

    for (size_t i = 0; i < COUNT_OF(refs); i++)
        refs[i] = write_one(writer, S("a message"), 10);
    for (size_t i = 0; i < COUNT_OF(refs); i++)
        assert_true(spool_check(checker, &refs[i], &err));
    refs[0] = write_one(writer, S("another"), 10);
    assert_true(spool_check(checker, &refs[0], &err));
    lie = refs[0];
    lie.sealed_bytes++;
    assert_false(spool_check(checker, &lie, &err));
    assert_int_equal(err.class, ERR_TEMP);
    assert_int_equal(err.smtp_code, 452);
    lie.sealed_bytes = UINT64_MAX;
    assert_false(spool_check(checker, &lie, &err));
    lie = refs[0];
    lie.segment++;
    assert_false(spool_check(checker, &lie, &err));
    lie.segment = 0;
    assert_false(spool_check(checker, &lie, &err));
    /* Removed behind its back: what comes later is not taken. */
    assert_true(spool_check(checker, &refs[0], &err));
    {
        char name_cstr[SPOOL_NAME_SIZE];

        spool_segment_name(refs[0].segment, name_cstr);
        assert_int_equal(unlinkat(house->dir_fd, name_cstr, 0), 0);
    }
    refs[1] = write_one(writer, S("late"), 10);
    assert_int_equal(refs[1].segment, refs[0].segment);
    assert_false(spool_check(checker, &refs[1], &err));
    spool_checker_forget(checker, refs[0].segment);
    assert_false(spool_check(checker, &refs[1], &err));
    spool_writer_close(&writer);
    spool_checker_free(&checker);
}

/* More segments than the checker keeps open. */
static void test_check_of_many_segments(void **state)
{
    struct house *house = *state;
    struct spool_limits limits = {.segment_bytes = 5000};
    struct spool_writer *writer = open_writer(house, &limits);
    struct spool_checker *checker = spool_checker_new(house->dir_fd);
    uint8_t *content = make_content(1000);
    struct content_ref refs[70];
    struct err err;

    for (size_t i = 0; i < COUNT_OF(refs); i++)
        refs[i] = write_one(writer, slice_of(content, 1000), 1000);
    for (size_t i = 0; i < COUNT_OF(refs); i++)
        assert_true(spool_check(checker, &refs[i], &err));
    for (size_t i = 0; i < COUNT_OF(refs); i++)
        assert_true(spool_check(checker, &refs[i], &err));
    free(content);
    spool_writer_close(&writer);
    spool_checker_free(&checker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOUSE(test_rotation_and_removal),
        IN_HOUSE(test_openssl_opens_an_epoch),
        IN_HOUSE(test_older_keys_stay_in_the_ring),
        cmocka_unit_test(test_header_refusals),
        IN_HOUSE(test_check),
        IN_HOUSE(test_check_of_many_segments),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
