/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/random.h"
#include "spool/internal.h"
#include "spool/test_house.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

static void test_round_trips(void **state)
{
    static const size_t sizes[] = {0,      1,      16,     4096,   65535,  65536,  65537,
                                   131072, 131073, 262143, 262144, 262145, 327680, 3000001};
    static const size_t pieces[] = {1000, 65536, 70000, 10000000};
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    uint8_t *content = make_content(3000001);

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t j = 0; j < COUNT_OF(pieces); j++) {
            struct content_ref ref = write_one(writer, slice_of(content, sizes[i]), pieces[j]);

            assert_int_equal(ref.sealed_bytes, spool_sealed_bytes(sizes[i]));
            assert_reads_back(house, &ref, slice_of(content, sizes[i]));
        }
    }
    free(content);
    spool_writer_close(&writer);
    spool_writer_close(&writer);
}

static void test_many_messages_at_once(void **state)
{
    enum { MESSAGES = 40, ROUNDS = 60 };
    struct house *house = *state;
    /* So little memory that some of them must stand alone. */
    struct spool_limits limits = {.memory_bytes = 2 << 20};
    struct spool_writer *writer = open_writer(house, &limits);
    struct spool_message *messages[MESSAGES];
    struct content_ref refs[MESSAGES];
    uint8_t *content = make_content(MESSAGES * ROUNDS * 200);
    struct err err;

    for (size_t i = 0; i < MESSAGES; i++)
        messages[i] = spool_message_begin(writer);
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < MESSAGES; i++)
            assert_true(spool_message_write(
                messages[i], slice_of(content + round * i * 200, i * 200), &err));
    for (size_t i = 0; i < MESSAGES; i++) {
        assert_int_equal(spool_message_bytes(messages[i]), i * 200 * ROUNDS);
        if (i % 5 == 4)
            spool_message_abort(&messages[i]);
        else
            assert_true(spool_message_finish(&messages[i], &refs[i], &err));
    }
    for (size_t i = 0; i < MESSAGES; i++) {
        uint8_t *expected = malloc(i * 200 * ROUNDS + 1);

        if (i % 5 != 4) {
            for (size_t round = 0; round < ROUNDS; round++)
                memcpy(expected + round * i * 200, content + round * i * 200, i * 200);
            assert_reads_back(house, &refs[i], slice_of(expected, i * 200 * ROUNDS));
        }
        free(expected);
    }
    free(content);
    spool_writer_close(&writer);
}

static void test_too_much_memory_is_refused(void **state)
{
    struct house *house = *state;
    struct spool_limits limits = {.memory_bytes = 64 << 10};
    struct spool_writer *writer = open_writer(house, &limits);
    struct spool_message *messages[64];
    struct content_ref ref;
    uint8_t *content = make_content(60000);
    size_t refused = 0;
    struct err err;

    for (size_t i = 0; i < COUNT_OF(messages); i++) {
        messages[i] = spool_message_begin(writer);
        if (!spool_message_write(messages[i], slice_of(content, 60000), &err)) {
            refused++;
            assert_int_equal(err.smtp_code, 452);
            assert_string_equal(err.enhanced_cstr, "4.3.1");
        }
    }
    assert_in_range(refused, 50, 63);
    for (size_t i = 0; i < COUNT_OF(messages); i++)
        spool_message_abort(&messages[i]);
    messages[0] = spool_message_begin(writer);
    assert_true(spool_message_write(messages[0], slice_of(content, 60000), &err));
    assert_true(spool_message_finish(&messages[0], &ref, &err));
    free(content);
    spool_writer_close(&writer);
}

/* The disk as the tests want it: the linker finds this before the C library's. */
static int sync_error;
static unsigned syncs;

int fdatasync(int fd)
{
    syncs++;
    if (sync_error == 0)
        return fsync(fd);
    errno = sync_error;
    return -1;
}

/* Tells of an error in that call; the syncs that come later know nothing of it. */
static unsigned push_that_fails;

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
    (void)fd;
    (void)offset;
    (void)len;
    (void)flags;
    if (push_that_fails == 0 || --push_that_fails > 0)
        return 0;
    errno = EIO;
    return -1;
}

static size_t count_segments(struct house *house)
{
    struct spool_segment_info *list = NULL;
    size_t count = 0;

    must(spool_segment_list(house->dir_fd, &list, &count, NULL));
    free(list);
    return count;
}

/* Sealed by one process, placed by another. */
static void test_parcels(void **state)
{
    static const size_t sizes[] = {0,     1, 4096, SPOOL_CHUNK_BYTES, SPOOL_CHUNK_BYTES + 1,
                                   262144};
    struct house *house = *state;
    struct spool_writer *sender = open_writer(house, NULL), *keeper = open_writer(house, NULL);
    uint8_t *content = make_content(262145);
    struct spool_parcel parcel;
    struct spool_message *message;
    struct content_ref ref;
    struct err err = {0};

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        message = spool_message_begin(sender);
        assert_true(spool_message_write(message, slice_of(content, sizes[i]), &err));
        assert_true(spool_message_is_small(message));
        spool_message_seal(&message, &parcel);
        assert_null(message);
        assert_true(spool_writer_place(keeper, &parcel, &ref, &err));
        assert_reads_back(house, &ref, slice_of(content, sizes[i]));
    }
    assert_int_equal(count_segments(house), 1); /* the sender made none */
    parcel.plain_bytes--;
    assert_false(spool_writer_place(keeper, &parcel, &ref, &err));
    assert_int_equal(err.class, ERR_PEER);
    parcel.plain_bytes = UINT64_MAX;
    assert_false(spool_writer_place(keeper, &parcel, &ref, &err));
    parcel.sealed = slice_of(content, 0);
    assert_false(spool_writer_place(keeper, &parcel, &ref, &err));
    message = spool_message_begin(sender);
    assert_true(spool_message_write(message, slice_of(content, 262145), &err));
    assert_false(spool_message_is_small(message));
    spool_message_abort(&message);
    free(content);
    spool_writer_close(&sender);
    spool_writer_close(&keeper);
}

/* What was lost on the way to the disk is no longer in the sync's answer: the message must not be told of. */
static void test_a_large_message_is_lost_on_its_way(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    uint8_t *content = make_content(1 << 20);

    for (unsigned at = 1; at <= 4; at++) {
        struct spool_message *message = spool_message_begin(writer);
        struct err err = {0};
        bool is_good = true;

        push_that_fails = at;
        for (size_t i = 0; i < 20 && is_good; i++)
            is_good = spool_message_write(message, slice_of(content, 1 << 20), &err);
        assert_int_equal(is_good, at == 4); /* twenty MiB are pushed three times */
        if (!is_good)
            assert_int_equal(err.smtp_code, 452);
        spool_message_abort(&message);
        push_that_fails = 0;
    }
    assert_int_equal(count_segments(house), 0);
    free(content);
    spool_writer_close(&writer);
}

static void test_one_sync_for_many(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct err err;

    syncs = 0;
    assert_true(spool_writer_sync(writer, &err));
    assert_int_equal(syncs, 0);
    for (int i = 0; i < 10; i++)
        write_one(writer, S("content"), 100);
    assert_true(spool_writer_sync(writer, &err));
    assert_true(spool_writer_sync(writer, &err));
    assert_int_equal(syncs, 1);
    write_one(writer, S("content"), 100);
    assert_true(spool_writer_sync(writer, &err));
    assert_int_equal(syncs, 2);
    spool_writer_close(&writer);
}

/* A failed sync is said once, its segment is never used again, and for a moment there is no other. */
static void test_a_sync_that_fails(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct spool_message *message = spool_message_begin(writer);
    struct content_ref first = write_one(writer, S("content"), 100), second;
    struct err err = {0};

    assert_true(spool_writer_sync(writer, &err));
    write_one(writer, S("content"), 100);
    sync_error = EIO;
    assert_false(spool_writer_sync(writer, &err));
    sync_error = 0;
    assert_int_equal(err.smtp_code, 452);
    assert_true(spool_message_write(message, S("content"), &err));
    assert_false(spool_message_finish(&message, &second, &err));
    assert_int_equal(err.smtp_code, 452);
    assert_true(spool_writer_sync(writer, &err)); /* said already */
    usleep(1100 * 1000);
    second = write_one(writer, S("content"), 100);
    assert_true(second.segment != first.segment);
    assert_true(spool_writer_sync(writer, &err));
    assert_reads_back(house, &first, S("content"));
    assert_reads_back(house, &second, S("content"));
    spool_writer_close(&writer);
}

/* What fails when a full segment is closed in passing is said at the next sync. */
static void test_a_sync_that_fails_in_passing(void **state)
{
    struct house *house = *state;
    struct spool_limits limits = {.segment_bytes = SPOOL_HEADER_BYTES + 100};
    struct spool_writer *writer = open_writer(house, &limits);
    struct spool_message *message = spool_message_begin(writer);
    struct content_ref ref;
    struct err err = {0};

    write_one(writer, S("content of the first"), 100);
    sync_error = EIO;
    assert_true(spool_message_write(message,
                                    S("content that does not fit into the first segment any "
                                      "more, because it is longer than the rest of it"),
                                    &err));
    assert_false(spool_message_finish(&message, &ref, &err));
    sync_error = 0;
    assert_false(spool_writer_sync(writer, &err));
    assert_int_equal(err.smtp_code, 452);
    assert_true(spool_writer_sync(writer, &err));
    assert_int_equal(count_segments(house), 0); /* nothing in it counted */
    spool_writer_close(&writer);
}

static void test_a_large_one_is_synced_at_its_end(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct spool_message *message = spool_message_begin(writer);
    uint8_t *content = make_content(20 << 20);
    struct content_ref ref;
    struct err err = {0};

    syncs = 0;
    ref = write_one(writer, slice_of(content, 20 << 20), 100000);
    assert_int_equal(syncs, 1);
    assert_reads_back(house, &ref, slice_of(content, 20 << 20));
    assert_true(spool_message_write(message, slice_of(content, 1 << 20), &err));
    sync_error = EIO;
    assert_false(spool_message_finish(&message, &ref, &err));
    sync_error = 0;
    assert_int_equal(count_segments(house), 1);
    free(content);
    spool_writer_close(&writer);
}

static void flip(struct house *house, uint64_t segment, uint64_t offset, uint8_t mask)
{
    char name_cstr[SPOOL_NAME_SIZE];
    uint8_t byte;
    int fd;

    spool_segment_name(segment, name_cstr);
    fd = openat(house->dir_fd, name_cstr, O_RDWR | O_CLOEXEC);
    must(fd >= 0 && pread(fd, &byte, 1, (off_t)offset) == 1);
    byte ^= mask;
    must(pwrite(fd, &byte, 1, (off_t)offset) == 1);
    close(fd);
}

static void test_every_changed_byte_is_noticed(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct slice text = S("Subject: a small message\r\n\r\nHello.\r\n");
    struct content_ref ref = write_one(writer, text, 7), changed;
    struct secret key, wrong;
    struct err err;

    assert_true(spool_keyring_open(house->ring, &ref, &key, &err));
    for (uint64_t i = 0; i < ref.sealed_bytes; i++) {
        flip(house, ref.segment, ref.offset + i, (uint8_t)(1U << (i % 8)));
        assert_false(reads_all(house, &ref, &key, text, &err));
        assert_int_equal(err.class, ERR_PERM);
        flip(house, ref.segment, ref.offset + i, (uint8_t)(1U << (i % 8)));
    }
    assert_true(reads_all(house, &ref, &key, text, &err));
    random_secret(&wrong);
    assert_false(reads_all(house, &ref, &wrong, text, &err));
    assert_int_equal(err.class, ERR_PERM);
    for (size_t i = 0; i < KEYWRAP_BYTES; i++) {
        changed = ref;
        changed.wrapped_key[i] ^= 1;
        assert_false(spool_keyring_open(house->ring, &changed, &wrong, &err));
        assert_int_equal(err.class, ERR_PERM);
    }
    /* References that lie. */
    changed = ref;
    changed.plain_bytes--;
    changed.sealed_bytes--;
    assert_false(reads_all(house, &changed, &key, text, &err));
    changed = ref;
    changed.sealed_bytes = UINT64_MAX;
    assert_false(reads_all(house, &changed, &key, text, &err));
    changed = ref;
    changed.plain_bytes = UINT64_MAX;
    assert_false(reads_all(house, &changed, &key, text, &err));
    changed = ref;
    changed.offset = INT64_MAX;
    assert_false(reads_all(house, &changed, &key, text, &err));
    changed = ref;
    changed.offset = 0;
    assert_false(reads_all(house, &changed, &key, text, &err));
    changed = ref;
    changed.segment++;
    assert_false(reads_all(house, &changed, &key, text, &err));
    assert_non_null(strstr(err.text_cstr, "does not exist"));
    spool_writer_close(&writer);
}

/* Somebody with the disk cuts, repeats, exchanges and moves whole chunks. */
static void test_chunks_stay_in_their_places(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    size_t len = 3 * SPOOL_CHUNK_BYTES, sealed_len;
    uint8_t *content = make_content(len), *sealed;
    struct slice all = slice_of(content, len);
    struct content_ref first = write_one(writer, all, 50000), second, ref;
    char name_cstr[SPOOL_NAME_SIZE];
    struct secret key, second_key;
    struct err err;
    int fd;

    second = write_one(writer, all, 50000);
    assert_int_equal(first.segment, second.segment);
    assert_true(spool_keyring_open(house->ring, &first, &key, &err));
    sealed_len = first.sealed_bytes;
    sealed = malloc(sealed_len);
    spool_segment_name(first.segment, name_cstr);
    fd = openat(house->dir_fd, name_cstr, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, sealed, sealed_len, (off_t)first.offset), sealed_len);

    /* Cut after two chunks: the second one does not say that it is the last. */
    ref = first;
    ref.plain_bytes = 2 * SPOOL_CHUNK_BYTES;
    ref.sealed_bytes = spool_sealed_bytes(ref.plain_bytes);
    assert_false(reads_all(house, &ref, &key, all, &err));
    assert_int_equal(err.class, ERR_PERM);
    /* Exchange the first two. */
    assert_true(pwrite(fd, sealed + SPOOL_SEALED_CHUNK_BYTES, SPOOL_SEALED_CHUNK_BYTES,
                       (off_t)first.offset) > 0);
    assert_true(pwrite(fd, sealed, SPOOL_SEALED_CHUNK_BYTES,
                       (off_t)first.offset + SPOOL_SEALED_CHUNK_BYTES) > 0);
    assert_false(reads_all(house, &first, &key, all, &err));
    /* The whole message in another one's place: that one's key does not open it. */
    assert_true(pwrite(fd, sealed, sealed_len, (off_t)second.offset) > 0);
    assert_true(spool_keyring_open(house->ring, &second, &second_key, &err));
    assert_false(reads_all(house, &second, &second_key, all, &err));
    assert_true(pwrite(fd, sealed, sealed_len, (off_t)first.offset) > 0);
    assert_true(reads_all(house, &first, &key, all, &err));
    /* The file ends early. */
    assert_int_equal(ftruncate(fd, (off_t)(second.offset + second.sealed_bytes - 1)), 0);
    assert_false(reads_all(house, &second, &key, all, &err));
    assert_non_null(strstr(err.text_cstr, "cut off"));
    close(fd);
    free(sealed);
    free(content);
    spool_writer_close(&writer);
}

static void test_seek(void **state)
{
    static const size_t places[] = {0, 1, 65535, 65536, 65537, 131072, 196607, 196608};
    static const size_t sizes[] = {0, 100, 65536, 196608};
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    uint8_t *content = make_content(196608);
    struct err err;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct content_ref ref = write_one(writer, slice_of(content, sizes[i]), 10000);
        struct spool_reader *reader = NULL;
        struct secret key;

        assert_true(spool_keyring_open(house->ring, &ref, &key, &err));
        assert_true(spool_reader_open(house->dir_fd, &ref, &key, &reader, &err));
        assert_int_equal(spool_reader_plain_bytes(reader), sizes[i]);
        for (size_t j = 0; j < COUNT_OF(places); j++) {
            size_t at = places[j];
            struct slice got;

            if (at > sizes[i]) {
                assert_false(spool_reader_seek(reader, at, &err));
                continue;
            }
            assert_true(spool_reader_seek(reader, at, &err));
            do {
                assert_true(spool_reader_next(reader, &got, &err));
                if (got.len > 0)
                    assert_memory_equal(got.at, content + at, got.len);
                at += got.len;
            } while (got.len > 0);
            assert_int_equal(at, sizes[i]);
        }
        spool_reader_close(&reader);
    }
    free(content);
    spool_writer_close(&writer);
}

static struct spool_reader *open_on_shelf(struct house *house, struct spool_shelf *shelf,
                                          const struct content_ref *ref)
{
    struct spool_reader *reader = NULL;
    struct secret key;
    struct err err;

    assert_true(spool_keyring_open(house->ring, ref, &key, &err));
    assert_true(spool_shelf_open(shelf, ref, &key, &reader, &err));
    return reader;
}

static void assert_reader_gives(struct spool_reader *reader, struct slice expected)
{
    struct slice got;
    struct err err;

    assert_true(spool_reader_next(reader, &got, &err));
    assert_true(slice_equal(got, expected));
    assert_true(spool_reader_next(reader, &got, &err));
    assert_int_equal(got.len, 0);
}

static bool shelf_refuses(struct house *house, struct spool_shelf *shelf,
                          const struct content_ref *ref, const char *words_cstr)
{
    struct spool_reader *reader = NULL;
    struct secret key;
    struct err err = {0};

    must(spool_keyring_open(house->ring, ref, &key, &err));
    return !spool_shelf_open(shelf, ref, &key, &reader, &err) && err.class == ERR_PERM &&
           strstr(err.text_cstr, words_cstr) != NULL;
}

enum { SHELF_MESSAGES = 20 /* each in a segment of its own, more than a shelf holds */ };

static void test_a_shelf_of_segments(void **state)
{
    static const struct spool_limits limits = {.segment_bytes = 1};
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, &limits),
                        *growing = open_writer(house, NULL);
    struct spool_shelf *shelf = spool_shelf_new(house->dir_fd);
    struct spool_reader *readers[SHELF_MESSAGES];
    struct content_ref refs[SHELF_MESSAGES], first, second, far;
    char name_cstr[SPOOL_NAME_SIZE];
    uint8_t *content = make_content(1000);

    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < SHELF_MESSAGES; i++) {
            refs[i] = write_one(writer, slice_of(content, 100 + i), 1000);
            assert_true(i == 0 || refs[i].segment != refs[i - 1].segment);
            readers[i] = open_on_shelf(house, shelf, &refs[i]);
        }
        for (size_t i = 0; i < SHELF_MESSAGES; i++)
            assert_reader_gives(readers[i], slice_of(content, 100 + i));
        for (size_t i = 0; i < SHELF_MESSAGES; i++)
            spool_reader_close(&readers[i]);
    }
    /* A segment that grows while it is open. */
    first = write_one(growing, slice_of(content, 500), 1000);
    readers[0] = open_on_shelf(house, shelf, &first);
    second = write_one(growing, slice_of(content, 600), 1000);
    assert_int_equal(first.segment, second.segment);
    readers[1] = open_on_shelf(house, shelf, &second);
    assert_reader_gives(readers[1], slice_of(content, 600));
    assert_reader_gives(readers[0], slice_of(content, 500));
    far = second;
    far.offset += 10000;
    assert_true(shelf_refuses(house, shelf, &far, "cut off"));
    /* One that was removed: those who read it go on; nobody keeps it when they have gone. */
    spool_segment_name(first.segment, name_cstr);
    assert_int_equal(unlinkat(house->dir_fd, name_cstr, 0), 0);
    assert_true(spool_shelf_tidy(shelf) && spool_shelf_tidy(shelf));
    readers[2] = open_on_shelf(house, shelf, &first);
    for (size_t i = 0; i < 3; i++)
        spool_reader_close(&readers[i]);
    assert_true(spool_shelf_tidy(shelf));
    assert_false(spool_shelf_tidy(shelf));
    assert_true(shelf_refuses(house, shelf, &first, "does not exist"));
    spool_shelf_free(&shelf);
    free(content);
    spool_writer_close(&writer);
    spool_writer_close(&growing);
}

static void test_own_key_leaves_no_wrapped_key(void **state)
{
    static const uint8_t zeros[KEYWRAP_BYTES];
    static const size_t sizes[] = {1000, 1000000};
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    uint8_t *content = make_content(1000000);
    struct err err;

    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct spool_message *message = spool_message_begin(writer);
        struct content_ref ref;
        struct secret key, unused;

        random_secret(&key);
        spool_message_set_key(message, &key);
        assert_true(spool_message_write(message, slice_of(content, sizes[i]), &err));
        assert_true(spool_message_finish(&message, &ref, &err));
        assert_memory_equal(ref.wrapped_key, zeros, sizeof zeros);
        assert_true(reads_all(house, &ref, &key, slice_of(content, sizes[i]), &err));
        assert_false(spool_keyring_open(house->ring, &ref, &unused, &err));
    }
    free(content);
    spool_writer_close(&writer);
}

static bool folder_holds(struct house *house, struct slice word)
{
    struct spool_segment_info *list = NULL;
    size_t count = 0, max = 8 << 20;
    uint8_t *bytes = malloc(max);
    bool found = false;

    must(spool_segment_list(house->dir_fd, &list, &count, NULL));
    for (size_t i = 0; i < count; i++) {
        char name_cstr[SPOOL_NAME_SIZE];
        size_t len;

        spool_segment_name(list[i].segment, name_cstr);
        len = kit_read_file(house->folder_cstr, name_cstr, bytes, max);
        assert_int_equal(len, list[i].size_bytes);
        found = found || memmem(bytes, len, word.at, word.len) != NULL;
    }
    assert_true(count > 0);
    free(bytes);
    free(list);
    return found;
}

static void test_no_plaintext_on_disk(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct spool_message *small = spool_message_begin(writer);
    struct spool_message *large = spool_message_begin(writer);
    struct content_ref ref;
    struct err err;

    for (int i = 0; i < 40000; i++) {
        assert_true(spool_message_write(large, S("canary-canary-canary\r\n"), &err));
        if (i < 1000)
            assert_true(spool_message_write(small, S("canary-canary-canary\r\n"), &err));
    }
    assert_false(folder_holds(house, S("canary")));
    assert_true(spool_message_finish(&small, &ref, &err));
    assert_true(spool_message_finish(&large, &ref, &err));
    assert_false(folder_holds(house, S("canary")));
    assert_true(folder_holds(house, S("PSTNSEG1")));
    spool_writer_close(&writer);
}

/* The file size limit plays the full disk. */
static void test_no_space(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    uint8_t *content = make_content(1000000);
    struct rlimit unlimited, limit;
    struct content_ref before = write_one(writer, slice_of(content, 20000), 20000), ref;
    struct err err;

    signal(SIGXFSZ, SIG_IGN);
    must(getrlimit(RLIMIT_FSIZE, &unlimited) == 0);
    for (rlim_t room = 0; room <= 60000; room += 30000) {
        /* A small one, appended to a segment; a large one, alone. */
        for (int is_large = 0; is_large < 2; is_large++) {
            struct spool_message *message = spool_message_begin(writer);
            bool finished;

            limit = (struct rlimit){room, unlimited.rlim_max};
            must(setrlimit(RLIMIT_FSIZE, &limit) == 0);
            finished = spool_message_write(
                message, slice_of(content, is_large ? 1000000 : 100000), &err);
            finished = finished && spool_message_finish(&message, &ref, &err);
            must(setrlimit(RLIMIT_FSIZE, &unlimited) == 0);
            assert_false(finished);
            assert_int_equal(err.class, ERR_TEMP);
            assert_int_equal(err.smtp_code, 452);
            assert_string_equal(err.enhanced_cstr, "4.3.1");
            spool_message_abort(&message);
        }
    }
    assert_reads_back(house, &before, slice_of(content, 20000));
    /* Nothing but the first segment is left, and there is space again. */
    assert_int_equal(count_segments(house), 1);
    ref = write_one(writer, slice_of(content, 100000), 1000);
    assert_int_not_equal(ref.segment, before.segment);
    assert_reads_back(house, &ref, slice_of(content, 100000));
    free(content);
    spool_writer_close(&writer);
}

static void test_a_folder_that_is_gone(void **state)
{
    struct house *house = *state;
    struct spool_writer *writer = open_writer(house, NULL);
    struct spool_message *message = spool_message_begin(writer);
    struct content_ref ref;
    struct err err;

    assert_int_equal(rmdir(house->folder_cstr), 0);
    assert_true(spool_message_write(message, S("text"), &err));
    assert_false(spool_message_finish(&message, &ref, &err));
    assert_int_equal(err.smtp_code, 452);
    assert_int_equal(mkdir(house->folder_cstr, 0700), 0);
    spool_writer_close(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_HOUSE(test_round_trips),
        IN_HOUSE(test_many_messages_at_once),
        IN_HOUSE(test_too_much_memory_is_refused),
        IN_HOUSE(test_parcels),
        IN_HOUSE(test_a_large_message_is_lost_on_its_way),
        IN_HOUSE(test_one_sync_for_many),
        IN_HOUSE(test_a_sync_that_fails),
        IN_HOUSE(test_a_sync_that_fails_in_passing),
        IN_HOUSE(test_a_large_one_is_synced_at_its_end),
        IN_HOUSE(test_every_changed_byte_is_noticed),
        IN_HOUSE(test_chunks_stay_in_their_places),
        IN_HOUSE(test_seek),
        IN_HOUSE(test_a_shelf_of_segments),
        IN_HOUSE(test_own_key_leaves_no_wrapped_key),
        IN_HOUSE(test_no_plaintext_on_disk),
        IN_HOUSE(test_no_space),
        IN_HOUSE(test_a_folder_that_is_gone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
