/* SPDX-License-Identifier: Apache-2.0 */
#include "store/master.h"

#include "base/encode.h"

#include <string.h>

#define MASTER_WORD "postern-master-key-1"

static bool parse_line(struct slice line, struct master_key *key_out)
{
    struct slice word = slice_cut(&line, ' '), generation = slice_cut(&line, ' ');
    struct buffer key;
    bool parsed;

    buffer_init(&key, SECRET_BYTES);
    parsed = slice_equal(word, S(MASTER_WORD)) &&
             slice_parse_u64(generation, &key_out->generation) && key_out->generation > 0 &&
             key_out->generation <= INT64_MAX && base64_decode(slice_trim(line), &key) &&
             buffer_len(&key) == SECRET_BYTES;
    if (parsed)
        memcpy(key_out->key.bytes, buffer_view(&key).at, SECRET_BYTES);
    buffer_wipe(&key);
    return parsed;
}

/* Insert so that the newest stands first. */
static void insert(struct master *master, const struct master_key *key)
{
    size_t at = 0;

    while (at < master->count && master->keys[at].generation > key->generation)
        at++;
    memmove(&master->keys[at + 1], &master->keys[at],
            (master->count - at) * sizeof master->keys[0]);
    master->keys[at] = *key;
    master->count++;
}

bool master_parse(struct slice text, struct master *master_out, struct err *err)
{
    struct master_key key;
    unsigned line_number = 0;

    *master_out = (struct master){0};
    if (text.len > MASTER_FILE_MAX_BYTES)
        return FAIL(err, ERR_PERM, "the master key file is too long");
    while (text.len > 0) {
        struct slice line = slice_trim(slice_cut(&text, '\n'));
        bool is_good;

        line_number++;
        if (line.len == 0 || line.at[0] == '#')
            continue;
        is_good = master_out->count < MASTER_KEYS_MAX && parse_line(line, &key) &&
                  master_find(master_out, key.generation) == NULL;
        if (is_good)
            insert(master_out, &key);
        secret_wipe(&key.key);
        if (!is_good) {
            master_wipe(master_out);
            return FAIL(err, ERR_PERM,
                        "line %u of the master key file is not a master key, is one too many, "
                        "or has a generation for the second time",
                        line_number);
        }
    }
    if (master_out->count == 0)
        return FAIL(err, ERR_PERM, "the master key file holds no key");
    return true;
}

bool master_write(const struct master_key *key, struct buffer *out)
{
    size_t before = buffer_len(out);

    if (buffer_append_format(out, MASTER_WORD " %llu ", (unsigned long long)key->generation) &&
        base64_append(out, slice_of(key->key.bytes, SECRET_BYTES)) &&
        buffer_append_byte(out, '\n'))
        return true;
    buffer_truncate(out, before);
    return false;
}

const struct secret *master_find(const struct master *master, uint64_t generation)
{
    for (size_t i = 0; i < master->count; i++)
        if (master->keys[i].generation == generation)
            return &master->keys[i].key;
    return NULL;
}

void master_wipe(struct master *master)
{
    explicit_bzero(master, sizeof *master);
}
