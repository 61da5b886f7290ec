/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <string.h>

void secret_wipe(struct secret *secret)
{
    explicit_bzero(secret, sizeof *secret);
}

bool bytes_equal_constant_time(const uint8_t *a, const uint8_t *b, size_t len)
{
    volatile uint8_t difference = 0;

    for (size_t i = 0; i < len; i++)
        difference |= (uint8_t)(a[i] ^ b[i]);
    return difference == 0;
}

bool secret_equal(const struct secret *a, const struct secret *b)
{
    return bytes_equal_constant_time(a->bytes, b->bytes, SECRET_BYTES);
}
