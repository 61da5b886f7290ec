/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers as bytes, in both orders: what our stored formats and messages between roles are written
 * with. `len` is 1..8 bytes; on writing, bits that do not fit are left out. A format keeps the order that
 * it began with.
 */
#ifndef BASE_NUMBER_H
#define BASE_NUMBER_H

#include <stddef.h>
#include <stdint.h>

/* Most significant byte first. */
static inline void number_put_big(uint8_t *to, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[len - 1 - i] = (uint8_t)(value >> (8 * i));
}
static inline uint64_t number_get_big(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value = value << 8 | at[i];
    return value;
}

/* Least significant byte first. */
static inline void number_put_little(uint8_t *to, uint64_t value, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = (uint8_t)(value >> (8 * i));
}
static inline uint64_t number_get_little(const uint8_t *at, size_t len)
{
    uint64_t value = 0;

    for (size_t i = 0; i < len; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

#endif
