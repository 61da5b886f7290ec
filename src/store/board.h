/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables `tls_board` and `tls_change`: what tests found of a domain's TLS, when the next one is due, and how the verdict has
 * changed. Names are domains and hosts, in clear; nothing in it names a person.
 */
#ifndef STORE_BOARD_H
#define STORE_BOARD_H

#include "policy/board.h"
#include "store/store.h"

enum {
    STORE_BOARD_NAME_SIZE = 256,
    STORE_BOARD_CHANGES = 50, /* kept of each domain */
    STORE_BOARD_FOUND_MAX_BYTES = 256 << 10,
};

struct store_board {
    char name_cstr[STORE_BOARD_NAME_SIZE];
    int64_t used_ms;   /* last mail for it, to the day; 0 = never */
    int64_t tested_ms; /* last test that could be made; 0 = never */
    int64_t due_ms;    /* next test; 0 = none planned */
    enum board_verdict verdict;
    int64_t since_ms; /* when it became so */
    int64_t worse_ms; /* since when tests say that it is worse; 0 = they do not */
    unsigned features;
    enum mx_proof mx_proof;
    struct slice
        found; /* the last test, as the keeper wrote it; dies with the next read of this room */
};

/* False: no such row. `found` is empty with store_board_next and store_board_due. */
bool store_board_get(struct store *store, struct slice name, struct store_board *board_out);
/* Insert, or replace the row, `found` included. */
void store_board_put(struct store *store, const struct store_board *board);
/* Insert or change only when it was used, and when the next test is due (0: as it is). */
void store_board_use(struct store *store, struct slice name, int64_t used_ms, int64_t due_ms);
void store_board_set_due(struct store *store, struct slice name, int64_t due_ms);

/* Walk by name: start with after_cstr "", then the last name; false at the end. */
bool store_board_next(struct store *store, const char *after_cstr,
                      struct store_board *board_out);
/* Those that are due until until_ms, the most overdue first, at most max; how many. */
size_t store_board_due(struct store *store, int64_t until_ms, struct store_board *boards_out,
                       size_t max);
/* How many domains there are of each verdict; with these features; known at all. */
struct board_count {
    uint64_t domains, verdicts[BOARD_VERDICT_COUNT], features[9], never_tested;
};
void store_board_count(struct store *store, struct board_count *count_out);

struct store_board_change {
    int64_t at_ms;
    enum board_verdict before, after;
    char why_cstr[200];
};
/* Add to the history; the oldest beyond STORE_BOARD_CHANGES go. */
void store_board_change_put(struct store *store, struct slice name,
                            const struct store_board_change *change);
/* Newest first; how many. */
size_t store_board_changes(struct store *store, struct slice name,
                           struct store_board_change *changes_out, size_t max);

#endif
