/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id.h"

#define EPOCH_MS INT64_C(1577836800000) /* 2020-01-01T00:00:00Z */
enum { TIME_SHIFT = 22, MAKER_BITS = 6, /* and 16 between them */ ID_DIGITS = 13 };

static const char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

void id_maker_init(struct id_maker *maker, uint8_t number, uint64_t random)
{
    *maker = (struct id_maker){.start = (uint16_t)random, .maker = number};
}

uint64_t id_next(struct id_maker *maker, int64_t now_ms)
{
    uint64_t since_ms = now_ms > EPOCH_MS ? (uint64_t)(now_ms - EPOCH_MS) : 1;
    uint64_t id =
        (since_ms << TIME_SHIFT) | ((uint64_t)maker->start << MAKER_BITS) | maker->maker;

    must(maker->maker < (1U << MAKER_BITS));
    /* A burst within one millisecond, or a clock set back: count on from the last id. */
    if (id <= maker->last)
        id = maker->last + (UINT64_C(1) << MAKER_BITS);
    maker->last = id;
    return id;
}

int64_t id_time_ms(uint64_t id)
{
    return (int64_t)(id >> TIME_SHIFT) + EPOCH_MS;
}

void id_write(uint64_t id, char text_out[ID_TEXT_SIZE])
{
    for (int i = ID_DIGITS - 1; i >= 0; i--) {
        text_out[i] = alphabet[id & 31];
        id >>= 5;
    }
    text_out[ID_DIGITS] = '\0';
}

static int digit_value(uint8_t byte)
{
    if (byte >= 'a' && byte <= 'z')
        byte = (uint8_t)(byte - 32);
    if (byte == 'I' || byte == 'L')
        return 1;
    if (byte == 'O')
        return 0;
    for (int i = 0; i < 32; i++)
        if ((uint8_t)alphabet[i] == byte)
            return i;
    return -1;
}

bool id_parse(struct slice text, uint64_t *id_out)
{
    uint64_t id = 0;

    if (text.len != ID_DIGITS || digit_value(text.at[0]) > 15)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit_value(text.at[i]);

        if (value < 0)
            return false;
        id = (id << 5) | (uint64_t)value;
    }
    *id_out = id;
    return true;
}
