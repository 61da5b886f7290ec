/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the check share: the check under way, and the segments that it has seen. */
#ifndef KEEPER_VERIFY_INTERNAL_H
#define KEEPER_VERIFY_INTERNAL_H

#include "base/map.h"
#include "keeper/verify.h"
#include "spool/keyring.h"
#include "store/walk.h"

enum { VERIFY_NONE = -1 };

/* One segment: its file, its row, its users. */
struct verify_segment {
    uint64_t id;
    bool has_file, has_row;
    enum spool_kind file_kind; /* of the folder that it lies in */
    uint64_t size_bytes;
    int64_t row_kind, row_live, users;
    bool is_header_checked, is_header_good;
};

struct verify {
    const struct verify_options *options;
    struct verify_report *report;
    struct store *store;
    struct store_walk *walk;
    bool has_keys;
    int queue_fd, portal_fd; /* -1: there is no such folder */
    struct spool_keyring *queue_ring;
    struct map segments; /* by id: struct verify_segment */
    /* Recipients that wait for a notice, and notices under way, by a hash of the recipient. */
    struct map awaited;
    size_t awaited_count;
    int64_t counts[LEDGER_COUNTS]; /* what table batch should say */
    size_t accepted_at;            /* ids below are found or told */
};

/* Tell one problem. number: VERIFY_NONE = no recipient; 0 for message or segment = none. */
void verify__tell(struct verify *verify, enum verify_finding finding, uint64_t message,
                  int64_t number, uint64_t segment, const char *format_cstr, ...)
    FORMAT_LIKE(6, 7);

/* Messages with their recipients, events and copies. */
void verify__rows(struct verify *verify);

/* List the files and the rows of segments. False: a folder cannot be read. */
MUST_CHECK bool verify__segments_begin(struct verify *verify, struct err *err);
/* A message needs its content; a copy is open. */
void verify__content(struct verify *verify, const struct walked_message *row);
void verify__copy(struct verify *verify, const struct walked_copy *row);
/* Compare the counts; count what nothing needs. */
void verify__segments_end(struct verify *verify);
void verify__segments_free(struct verify *verify);

#endif
