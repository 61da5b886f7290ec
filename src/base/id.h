/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ids of messages, recipients and sessions: 64 bits that sort by time. The upper 42 bits are
 * milliseconds since 2020-01-01, the lower 22 are a counter and the maker's number, so that
 * processes make ids without asking each other. People see 13 letters and digits (Crockford
 * base 32, no I L O U); reading ignores case and takes I, L as 1 and O as 0.
 */
#ifndef BASE_ID_H
#define BASE_ID_H

#include "base/slice.h"

enum { ID_TEXT_SIZE = 14 };

/*
 * Makes ids that strictly increase. Each maker (process) has an own number 0..63. A process that begins
 * after the clock was set back passes through the same milliseconds again, so each counts from a place of
 * its own in them. Zeroed it is maker 0 that counts from 0: the first id of a time.
 */
struct id_maker {
    uint64_t last;
    uint16_t start;
    uint8_t maker;
};

/* random: any random number. */
void id_maker_init(struct id_maker *maker, uint8_t number, uint64_t random);

/* now_ms: unix milliseconds. Never returns 0. */
uint64_t id_next(struct id_maker *maker, int64_t now_ms);
/* Unix milliseconds of an id's making. */
int64_t id_time_ms(uint64_t id);
void id_write(uint64_t id, char text_out[ID_TEXT_SIZE]);
MUST_CHECK bool id_parse(struct slice text, uint64_t *id_out);

#endif
