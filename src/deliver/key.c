/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/key.h"

#include "crypto/digest.h"

#include <string.h>

enum { NAME_MAX_BYTES = 1024 };

uint64_t key_id(const struct secret *salt, uint8_t kind, struct slice name)
{
    uint8_t text[SECRET_BYTES + 1 + NAME_MAX_BYTES];
    uint8_t digest[SHA256_BYTES];
    uint64_t id;

    must(name.len <= NAME_MAX_BYTES);
    memcpy(text, salt->bytes, SECRET_BYTES);
    text[SECRET_BYTES] = kind;
    memcpy(text + SECRET_BYTES + 1, name.at, name.len);
    sha256(slice_of(text, SECRET_BYTES + 1 + name.len), digest);
    memcpy(&id, digest, sizeof id);
    return id != 0 ? id : 1;
}
