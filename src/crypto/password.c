/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/password.h"
#include "base/number.h"
#include "crypto/aead.h"
#include "crypto/random.h"

#include <sodium.h>

#include <string.h>

_Static_assert(PASSWORD_HASH_SIZE >= crypto_pwhash_STRBYTES, "room for libsodium's string");
_Static_assert(PASSWORD_SALT_BYTES == crypto_pwhash_SALTBYTES, "libsodium's salt");

static const uint64_t least_memory_bytes = UINT64_C(8) << 10, most_memory_bytes = UINT64_C(1)
                                                                                  << 30;
enum { MOST_PASSES = 16, MOST_LANES = 16 };
/* Where the parts of a passphrase box stand, see password.h. */
enum { BOX_MEMORY_AT = 8, BOX_PASSES_AT = 16, BOX_SALT_AT = 20, BOX_HEAD_BYTES = 36 };
static const char box_magic[8] = {'P', 'S', 'T', 'N', 'B', 'O', 'X', '1'};

static void need_sodium(void)
{
    must(sodium_init() >= 0); /* 1 = was ready already */
}

static bool cost_in_range(struct password_cost cost)
{
    return cost.memory_bytes >= least_memory_bytes && cost.memory_bytes <= most_memory_bytes &&
           cost.passes >= 1 && cost.passes <= MOST_PASSES;
}

static bool check(struct slice password, struct password_cost cost, struct err *err)
{
    if (password.len > PASSWORD_MAX_BYTES)
        return FAIL(err, ERR_PERM, "a password may have %d bytes", PASSWORD_MAX_BYTES);
    if (!cost_in_range(cost))
        return FAIL(err, ERR_PERM, "argon2id: 8 KiB to 1 GiB and 1 to %d passes", MOST_PASSES);
    need_sodium();
    return true;
}

bool password_hash(struct slice password, struct password_cost cost,
                   char hash_out_cstr[PASSWORD_HASH_SIZE], struct err *err)
{
    if (!check(password, cost, err))
        return false;
    if (crypto_pwhash_str_alg(hash_out_cstr, (const char *)password.at, password.len,
                              cost.passes, (size_t)cost.memory_bytes,
                              crypto_pwhash_ALG_ARGON2ID13) != 0)
        return FAIL(err, ERR_TEMP, "no memory to hash a password");
    return true;
}

/* Take "NAME=number" off the front of a comma-separated list. */
static bool take_parameter(struct slice *rest, struct slice name, uint64_t *value_out)
{
    struct slice parameter = slice_cut(rest, ',');

    return slice_starts_with(parameter, name) &&
           slice_parse_u64(slice_from(parameter, name.len), value_out);
}

/* The cost that a hash string asks for; false when it is not argon2id or asks for too much. */
static bool hash_cost(const char *hash_cstr, struct password_cost *cost_out)
{
    struct slice rest = slice_from_cstr(hash_cstr);
    uint64_t memory_kib, passes, lanes;

    if (rest.len >= PASSWORD_HASH_SIZE || !slice_starts_with(rest, S("$argon2id$v=19$")))
        return false;
    rest = slice_from(rest, sizeof "$argon2id$v=19$" - 1);
    rest = slice_head(rest, slice_find_byte(rest, '$'));
    if (!take_parameter(&rest, S("m="), &memory_kib) ||
        !take_parameter(&rest, S("t="), &passes) || !take_parameter(&rest, S("p="), &lanes) ||
        rest.len > 0)
        return false;
    if (memory_kib > most_memory_bytes / 1024 || passes > MOST_PASSES || lanes > MOST_LANES)
        return false;
    *cost_out = (struct password_cost){memory_kib * 1024, (uint32_t)passes};
    return true;
}

bool password_verify(struct slice password, const char *hash_cstr)
{
    struct password_cost cost;
    char hash[PASSWORD_HASH_SIZE] = {0}; /* libsodium reads a whole fixed-size array */

    if (password.len > PASSWORD_MAX_BYTES || !hash_cost(hash_cstr, &cost) ||
        !slice_to_cstr(slice_from_cstr(hash_cstr), hash, sizeof hash))
        return false;
    need_sodium();
    return crypto_pwhash_str_verify(hash, (const char *)password.at, password.len) == 0;
}

bool password_is_outdated(const char *hash_cstr, struct password_cost cost)
{
    struct password_cost found;

    return !hash_cost(hash_cstr, &found) || found.passes != cost.passes ||
           found.memory_bytes != cost.memory_bytes / 1024 * 1024;
}

void password_verify_nobody(struct slice password, struct password_cost cost)
{
    static const uint8_t salt[PASSWORD_SALT_BYTES];
    struct secret unused;

    if (password_derive(password, salt, cost, &unused, NULL))
        secret_wipe(&unused);
}

bool password_derive(struct slice answer, const uint8_t salt[PASSWORD_SALT_BYTES],
                     struct password_cost cost, struct secret *secret_out, struct err *err)
{
    if (!check(answer, cost, err))
        return false;
    if (crypto_pwhash(secret_out->bytes, SECRET_BYTES, (const char *)answer.at, answer.len,
                      salt, cost.passes, (size_t)cost.memory_bytes,
                      crypto_pwhash_ALG_ARGON2ID13) != 0)
        return FAIL(err, ERR_TEMP, "no memory to hash a password");
    return true;
}

static struct aead_box *box_for(struct slice passphrase, const uint8_t *salt,
                                struct password_cost cost, struct err *err)
{
    struct secret key;
    struct aead_box *box = NULL;

    if (password_derive(passphrase, salt, cost, &key, err)) {
        box = aead_box_new(&key);
        secret_wipe(&key);
    }
    return box;
}

bool password_box_seal(struct slice passphrase, struct slice plain, struct password_cost cost,
                       struct buffer *box_out, struct err *err)
{
    uint8_t salt[PASSWORD_SALT_BYTES];
    uint8_t *at = buffer_reserve(box_out, plain.len + PASSWORD_BOX_OVERHEAD);
    struct aead_box *box;

    if (at == NULL)
        return FAIL(err, ERR_PERM, "no room for %zu bytes under a passphrase", plain.len);
    random_bytes(salt, sizeof salt);
    box = box_for(passphrase, salt, cost, err);
    if (box == NULL)
        return false;
    memcpy(at, box_magic, sizeof box_magic);
    number_put_big(at + BOX_MEMORY_AT, cost.memory_bytes, 8);
    number_put_big(at + BOX_PASSES_AT, cost.passes, 4);
    memcpy(at + BOX_SALT_AT, salt, sizeof salt);
    aead_box_seal(box, slice_of(at, BOX_HEAD_BYTES), plain, at + BOX_HEAD_BYTES);
    aead_box_free(&box);
    buffer_commit(box_out, plain.len + PASSWORD_BOX_OVERHEAD);
    return true;
}

bool password_box_open(struct slice passphrase, struct slice sealed, struct buffer *plain_out,
                       struct err *err)
{
    struct password_cost cost;
    struct aead_box *box;
    uint8_t *at;
    bool opened;

    if (sealed.len < PASSWORD_BOX_OVERHEAD ||
        memcmp(sealed.at, box_magic, sizeof box_magic) != 0)
        return FAIL(err, ERR_PERM, "this is not something sealed under a passphrase");
    cost.memory_bytes = number_get_big(sealed.at + BOX_MEMORY_AT, 8);
    cost.passes = (uint32_t)number_get_big(sealed.at + BOX_PASSES_AT, 4);
    at = buffer_reserve(plain_out, sealed.len - PASSWORD_BOX_OVERHEAD);
    if (at == NULL)
        return FAIL(err, ERR_PERM, "no room for what is under the passphrase");
    box = box_for(passphrase, sealed.at + BOX_SALT_AT, cost, err);
    if (box == NULL)
        return false;
    opened = aead_box_open(box, slice_head(sealed, BOX_HEAD_BYTES),
                           slice_from(sealed, BOX_HEAD_BYTES), at);
    aead_box_free(&box);
    if (!opened)
        return FAIL(err, ERR_PERM, "wrong passphrase, or the file was changed");
    buffer_commit(plain_out, sealed.len - PASSWORD_BOX_OVERHEAD);
    return true;
}
