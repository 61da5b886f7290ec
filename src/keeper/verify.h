/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does everything in a state folder agree: rows with rows, rows with segments, keys with both? For a
 * folder that no server uses, or a backup of one. Reads only. One pass over each table in the order
 * of its key, side by side, so memory grows with the number of segments, not of rows. What is found
 * names ids and domains, never a person or a word of content. Not part of the keeper's process:
 * `postern verify` calls it.
 */
#ifndef KEEPER_VERIFY_H
#define KEEPER_VERIFY_H

#include "base/err.h"
#include "base/slice.h"

enum verify_finding {
    VERIFY_DATABASE,        /* SQLite's own check, or a read, failed */
    VERIFY_KEYS,            /* the keys do not open with this master key */
    VERIFY_SEALED,          /* a sealed column does not open */
    VERIFY_STRAY,           /* a row whose message or recipient does not exist */
    VERIFY_COUNTS,          /* recipients, open or live differ from the rows */
    VERIFY_KEY_PRESENCE,    /* wrapped key there without need, or needed and not there */
    VERIFY_STATE,           /* state, method, requirement or reference that cannot be */
    VERIFY_STRANDED,        /* nothing will ever happen to it */
    VERIFY_STORY,           /* ended or moved on without the event that says so */
    VERIFY_SEGMENT_MISSING, /* the file that holds the content is not there */
    VERIFY_SEGMENT_DAMAGED, /* header damaged, of another segment, or sealed for another key */
    VERIFY_CONTENT,         /* content cut off, changed, or its key does not open */
    VERIFY_COPY,          /* a portal copy and its recipient do not agree, or it is not there */
    VERIFY_SEGMENT_COUNT, /* a segment's row counts other users than there are */
    VERIFY_ACCEPTED,      /* a message said to be accepted has no row */
    VERIFY_BACKUP, /* a backup's file differs from its manifest (postern/verify.c tells) */
    VERIFY_FINDING_COUNT
};

/* "content", and what it means and what to do, one sentence each. */
const char *verify_finding_name(enum verify_finding finding);
const char *verify_finding_words(enum verify_finding finding);
const char *verify_finding_advice(enum verify_finding finding);

struct verify_problem {
    enum verify_finding finding;
    uint64_t message; /* 0 = none */
    int64_t number;   /* the recipient's; -1 = none */
    uint64_t segment; /* 0 = none */
    char detail_cstr[240];
};

struct verify_report {
    bool is_blank; /* nothing was ever begun here */
    uint64_t messages, open_messages, recipients, open_recipients, held_recipients;
    uint64_t events, copies, open_copies, addresses, domains;
    uint64_t queue_segments, portal_segments, segment_bytes;
    uint64_t garbage_segments,
        garbage_bytes;                /* files that nothing needs: they go by themselves */
    uint64_t contents, content_bytes; /* opened from end to end */
    uint64_t accepted;                /* ids asked about and found */
    uint64_t problems, problems_of[VERIFY_FINDING_COUNT];
};

struct verify_options {
    const char *state_cstr;    /* the folder that holds queue/ and portal/ */
    const char *database_cstr; /* file name of the database in it */
    struct slice master_text;  /* empty: structure only, nothing sealed is opened */
    bool is_quick;             /* leave out indexes and the content itself */
    uint64_t *accepted;        /* message ids that must be there; they are sorted */
    size_t accepted_count;
    void (*on_problem)(void *context, const struct verify_problem *problem);
    void *context;
};

/*
 * Check all of it. False: it could not be checked: ERR_REFUSED a server runs there, ERR_TEMP a file
 * cannot be read, ERR_PERM no state folder, or a database of another version.
 */
MUST_CHECK bool verify_run(const struct verify_options *options,
                           struct verify_report *report_out, struct err *err);

#endif
