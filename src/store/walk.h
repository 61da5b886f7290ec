/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole tables, row by row in the order of their keys, for checking them against each other
 * (keeper/verify.h). One pass, in the memory of one row. Numbers come as they lie there, legal or
 * not; a sealed column is opened and only said to be whole. Without keys (store_keys_read was not
 * called) nothing is opened and everything counts as whole.
 */
#ifndef STORE_WALK_H
#define STORE_WALK_H

#include "policy/verdict.h"
#include "spool/content.h"
#include "store/ledger.h"
#include "store/store.h"

struct store_walk;

/* Store: opened to read, not blank, outlives the walk. */
struct store_walk *store_walk_new(struct store *store);
void store_walk_free(struct store_walk **walk);

struct walked_message {
    uint64_t id, kind, sender, parent, parent_number;
    int64_t recipients, open, live;
    struct content_ref content; /* wrapped_key: zeros when key_bytes is not its size */
    size_t key_bytes;           /* 0 = destroyed */
    bool is_whole;
};
struct walked_recipient {
    uint64_t message, number, address, domain;
    int64_t state, method, owes;
    struct tls_requirement requirement;
    bool is_requirement_legal, is_due, is_held, is_whole;
};
struct walked_event {
    uint64_t message, id;
    int64_t number, kind;
    bool is_whole;
};
struct walked_copy {
    uint64_t id, message, number;
    struct content_ref copy; /* wrapped_key unused */
    bool has_keys;           /* false: shredded */
    bool is_whole;
};
struct walked_segment {
    uint64_t id;
    int64_t kind, live;
};
/* An address or a domain. */
struct walked_name {
    uint64_t id;
    bool is_whole;
};

/*
 * The next row: messages by id, recipients by message and number, events by message and id, copies
 * by message and number, segments, addresses and domains by id. False: the end, or trouble (ask
 * store_is_troubled when the walk is over).
 */
MUST_CHECK bool store_walk_message(struct store_walk *walk, struct walked_message *row_out);
MUST_CHECK bool store_walk_recipient(struct store_walk *walk, struct walked_recipient *row_out);
MUST_CHECK bool store_walk_event(struct store_walk *walk, struct walked_event *row_out);
MUST_CHECK bool store_walk_copy(struct store_walk *walk, struct walked_copy *row_out);
MUST_CHECK bool store_walk_segment(struct store_walk *walk, struct walked_segment *row_out);
MUST_CHECK bool store_walk_address(struct store_walk *walk, struct walked_name *row_out);
MUST_CHECK bool store_walk_domain(struct store_walk *walk, struct walked_name *row_out);

/* Is there a row with this id? */
bool store_has_address(struct store *store, uint64_t id);
bool store_has_domain(struct store *store, uint64_t id);

/* What the newest row of table `batch` counts. False: it has no row. */
MUST_CHECK bool store_walk_counts(struct store *store, int64_t counts_out[LEDGER_COUNTS]);

/*
 * SQLite's own check of the file; is_quick leaves out what indexes hold. Each finding in words;
 * ours first when the check itself could not run. True: nothing was found.
 */
bool store_check_file(struct store *store, bool is_quick,
                      void (*on_finding)(void *context, const char *words_cstr), void *context);

#endif
