/* SPDX-License-Identifier: Apache-2.0 */
#include "store/seal.h"

#include "base/number.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>

enum { SALT_BYTES = 32, EPOCHS_CACHED = 16, AAD_BYTES = 1 + 8 + 8 };

struct epoch {
    uint64_t id; /* 0 = free */
    struct aead *aead;
};

struct seal {
    struct secret column_key;
    uint64_t column_key_id;
    struct epoch now;
    uint64_t counter;
    struct epoch cached[EPOCHS_CACHED]; /* earlier ones, by id modulo */
};

static struct aead *epoch_aead(const struct secret *column_key, struct slice salt)
{
    struct secret key;
    struct aead *aead;

    hkdf_sha256(slice_of(column_key->bytes, SECRET_BYTES), salt, S("postern column"), key.bytes,
                sizeof key.bytes);
    aead = aead_new(&key);
    secret_wipe(&key);
    return aead;
}

struct seal *seal_new(struct store *store, uint64_t column_key_id,
                      const struct secret *column_key)
{
    static const char sql[] = "INSERT INTO seal_epoch(key, salt) VALUES(?1, ?2)";
    struct seal *seal = calloc(1, sizeof *seal);
    uint8_t salt[SALT_BYTES];
    struct err err;

    must(seal != NULL);
    random_bytes(salt, sizeof salt);
    store__run(store, sql,
               VALUES(NUMBER(column_key_id), value_blob(slice_of(salt, SALT_BYTES))));
    seal->now.id = store->db == NULL ? 0 : (uint64_t)sqlite3_last_insert_rowid(store->db);
    if (!store_commit(store, &err)) {
        free(seal);
        return NULL;
    }
    seal->column_key = *column_key;
    seal->column_key_id = column_key_id;
    seal->now.aead = epoch_aead(column_key, slice_of(salt, SALT_BYTES));
    return seal;
}

struct seal *seal_new_to_read(uint64_t column_key_id, const struct secret *column_key)
{
    struct seal *seal = calloc(1, sizeof *seal);

    must(seal != NULL);
    seal->column_key = *column_key;
    seal->column_key_id = column_key_id;
    return seal;
}

void seal_free(struct seal **seal)
{
    if (*seal == NULL)
        return;
    aead_free(&(*seal)->now.aead);
    for (size_t i = 0; i < EPOCHS_CACHED; i++)
        aead_free(&(*seal)->cached[i].aead);
    secret_wipe(&(*seal)->column_key);
    free(*seal);
    *seal = NULL;
}

static void write_aad(enum seal_column column, uint64_t id, uint64_t number, uint8_t *aad_out)
{
    aad_out[0] = (uint8_t)column;
    number_put_little(aad_out + 1, id, 8);
    number_put_little(aad_out + 9, number, 8);
}

void seal_close(struct seal *seal, enum seal_column column, uint64_t id, uint64_t number,
                struct slice plain, uint8_t *sealed_out)
{
    uint8_t aad[AAD_BYTES], nonce[AEAD_NONCE_BYTES] = {0};

    must(seal != NULL && seal->now.aead != NULL);
    seal->counter++;
    number_put_little(sealed_out, seal->now.id, 4);
    number_put_little(sealed_out + 4, seal->counter, 8);
    memcpy(nonce + 4, sealed_out + 4, 8);
    write_aad(column, id, number, aad);
    aead_seal(seal->now.aead, nonce, slice_of(aad, sizeof aad), plain, sealed_out + 12);
}

/* The key of an earlier epoch; NULL when its row is not there. */
static struct aead *find_epoch(struct store *store, uint64_t id)
{
    static const char sql[] = "SELECT salt FROM seal_epoch WHERE id = ?1 AND key = ?2";
    struct seal *seal = store->seal;
    struct epoch *cached = &seal->cached[id % EPOCHS_CACHED];
    sqlite3_stmt *query;

    if (id == 0)
        return NULL;
    if (id == seal->now.id)
        return seal->now.aead;
    if (cached->id == id)
        return cached->aead;
    query = store__query(store, sql, VALUES(NUMBER(id), NUMBER(seal->column_key_id)));
    if (!store__step(store, query))
        return NULL;
    aead_free(&cached->aead);
    cached->aead = epoch_aead(&seal->column_key, store__column_blob(query, 0));
    cached->id = id;
    store__end(query);
    return cached->aead;
}

bool seal_open(struct store *store, enum seal_column column, uint64_t id, uint64_t number,
               struct slice sealed, uint8_t *plain_out)
{
    uint8_t aad[AAD_BYTES], nonce[AEAD_NONCE_BYTES] = {0};
    struct aead *aead;

    must(store->seal != NULL && sealed.len >= SEAL_OVERHEAD);
    aead = find_epoch(store, number_get_little(sealed.at, 4));
    if (aead == NULL)
        return false;
    memcpy(nonce + 4, sealed.at + 4, 8);
    write_aad(column, id, number, aad);
    return aead_open(aead, nonce, slice_of(aad, sizeof aad), slice_from(sealed, 12), plain_out);
}
