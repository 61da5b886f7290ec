/* SPDX-License-Identifier: Apache-2.0 */
/* For the tests of this wing: a folder of segments with its keys, and whole messages in and out. */
#ifndef SPOOL_TEST_HOUSE_H
#define SPOOL_TEST_HOUSE_H

#include "spool/keyring.h"
#include "spool/shelf.h"
#include "spool/writer.h"

#include "kit/kit.h"
#include "kit/run.h"

/* A folder, a key pair and a ring that opens what a writer seals. */
struct house {
    char folder_cstr[64];
    int dir_fd;
    struct recipient_key *key;
    struct spool_keyring *ring;
    struct id_maker ids;
};

static inline int house_open(void **state)
{
    struct house *house = calloc(1, sizeof *house);

    must(house != NULL);
    kit_make_folder(house->folder_cstr);
    house->dir_fd = open(house->folder_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    house->ring = spool_keyring_new(house->dir_fd);
    house->ids.maker = 7;
    must(recipient_key_generate("Postern keeper", &house->key, NULL));
    spool_keyring_add(house->ring, house->key);
    *state = house;
    return 0;
}

static inline int house_close(void **state)
{
    struct house *house = *state;

    spool_keyring_free(&house->ring);
    recipient_key_free(&house->key);
    close(house->dir_fd);
    kit_remove_folder(house->folder_cstr);
    free(house);
    return 0;
}

static inline struct spool_writer *open_writer(struct house *house,
                                               const struct spool_limits *limits)
{
    return spool_writer_open(house->dir_fd, SPOOL_QUEUE, &house->ids,
                             recipient_key_certificate(house->key), limits);
}

/* Content that differs at every place. */
static inline uint8_t *make_content(size_t len)
{
    uint8_t *content = malloc(len + 1);

    must(content != NULL);
    for (size_t i = 0; i < len; i++)
        content[i] = (uint8_t)(i * 31 + (i >> 8) * 7 + (i >> 16));
    return content;
}

static inline void assert_reads_back(struct house *house, const struct content_ref *ref,
                                     struct slice expected)
{
    struct spool_reader *reader = NULL;
    struct secret data_key;
    struct slice got;
    struct err err;

    assert_int_equal(ref->plain_bytes, expected.len);
    assert_true(spool_keyring_open(house->ring, ref, &data_key, &err));
    assert_true(spool_reader_open(house->dir_fd, ref, &data_key, &reader, &err));
    do {
        assert_true(spool_reader_next(reader, &got, &err));
        assert_true(got.len <= expected.len);
        if (got.len > 0)
            assert_memory_equal(got.at, expected.at, got.len);
        expected = slice_from(expected, got.len);
    } while (got.len > 0);
    assert_int_equal(expected.len, 0);
    assert_true(spool_reader_next(reader, &got, &err));
    assert_int_equal(got.len, 0);
    spool_reader_close(&reader);
}

static inline struct content_ref write_one(struct spool_writer *writer, struct slice content,
                                           size_t piece)
{
    struct spool_message *message = spool_message_begin(writer);
    struct content_ref ref;
    struct err err;

    while (content.len > 0) {
        assert_true(spool_message_write(message, slice_head(content, piece), &err));
        content = slice_from(content, piece);
    }
    assert_true(spool_message_finish(&message, &ref, &err));
    assert_null(message);
    return ref;
}

/* Read all; true when everything came and was proved. Bad chunks must have given nothing. */
static inline bool reads_all(struct house *house, const struct content_ref *ref,
                             const struct secret *key, struct slice expected, struct err *err)
{
    struct spool_reader *reader = NULL;
    struct slice got = {NULL, 0};

    if (!spool_reader_open(house->dir_fd, ref, key, &reader, err))
        return false;
    do {
        if (!spool_reader_next(reader, &got, err)) {
            assert_false(spool_reader_next(reader, &got, err));
            spool_reader_close(&reader);
            return false;
        }
        assert_true(got.len <= expected.len);
        if (got.len > 0)
            assert_memory_equal(got.at, expected.at, got.len);
        expected = slice_from(expected, got.len);
    } while (got.len > 0);
    spool_reader_close(&reader);
    return expected.len == 0;
}

#define IN_HOUSE(test) cmocka_unit_test_setup_teardown(test, house_open, house_close)

#endif
