/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board of domains' TLS: tests of every host without mail, by the scout, at a domain's first mail, daily as long as it is
 * used, and when asked for; what they found, and since when. The verdict is used for planning (which method to
 * begin with) and shown to people; what decides about a message is the connection that carries it [product A12].
 */
#ifndef KEEPER_BOARD_H
#define KEEPER_BOARD_H

#include "keeper/domains.h"
#include "store/board.h"

struct keeper;

struct board {
    struct loop_timer *timer;
    struct list tests; /* struct board_test, under way */
    size_t count;
    struct board_count counted; /* for the metrics, as of counted_ms (loop clock; 0 = never) */
    int64_t counted_ms;
};

void board_init(struct keeper *keeper);
void board_deinit(struct keeper *keeper);

/* What is known of a domain (any case); BOARD_UNKNOWN before its first test. Proved is BOARD_VERIFIED and more. */
enum board_verdict board_verdict(struct keeper *keeper, struct slice domain);
/* Test the domain soon, out of turn. Not inside of a batch. */
void board_want_test(struct keeper *keeper, struct slice domain);
/* Inside of a batch: the domain has had mail. Written at most once a day. */
void board_note_use(struct keeper *keeper, struct domain *domain);

/* How many domains there are of each kind; counted once a minute. */
const struct board_count *board_counts(struct keeper *keeper);
/* Begin a test now. False: no scout is there, or the name is too long. True also when one is under way. */
bool board_test_now(struct keeper *keeper, struct slice domain);
bool board_is_testing(const struct keeper *keeper, struct slice domain);

#endif
