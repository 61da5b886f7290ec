/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fault shim: a library that is preloaded into every process of a server under test. It writes
 * down, in one order over all processes, each call that changes a file of the state folder, with its
 * data, and each acknowledgement before it leaves; and it makes calls fail that a rule names. The
 * driver (recording.py, rules.py) shares the page `control` and reads the logs; keep them in step.
 *
 * Environment: FAULTS_DIR is a folder with the file `control`, where each process puts its log
 * `log-PID`; FAULTS_STATE is the state folder. Without them the shim does nothing. All memory is
 * mapped before the process confines itself, so that the walls of the product stay as they are.
 */
#ifndef FAULTS_SHIM_H
#define FAULTS_SHIM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SHIM_RULES = 16, SHIM_CONTROL_BYTES = 4096, SHIM_LOG_BYTES = 256 << 20 };

/* What kind of call it is; a rule names a set of them. */
enum shim_call {
    CALL_OPEN,     /* of a file in the state folder */
    CALL_OPEN_ANY, /* of any file */
    CALL_READ,
    CALL_WRITE,
    CALL_SYNC,
    CALL_TRUNCATE,
    CALL_UNLINK,
    CALL_RENAME,
    CALL_MKDIR,
    CALL_ALLOC,
    CALL_SEND,
    CALL_RECV,
    CALL_ACCEPT,
    CALL_SOCKET,
    CALL_CONNECT,
    CALL_FORK,
    CALL_PUSH, /* sync_file_range: it tells of an error that no later sync tells again */
};

enum shim_role {
    SHIM_OTHER,
    SHIM_SUPERVISOR,
    SHIM_KEEPER,
    SHIM_SMTPD,
    SHIM_COURIER,
    SHIM_SCRIBE,
    SHIM_PORTAL,
    SHIM_OFFICE,
};

enum shim_action {
    ACTION_FAIL,       /* return `error`; nothing happens */
    ACTION_SHORT,      /* write half of it */
    ACTION_DIE_BEFORE, /* end the process as kill -9 does */
    ACTION_DIE_AFTER,
};

struct shim_rule {
    atomic_uint armed;
    uint32_t roles; /* bits of enum shim_role */
    uint32_t calls; /* bits of enum shim_call */
    uint32_t action;
    int32_t error;
    uint32_t first;    /* the call of that number, counted from 1 … */
    uint32_t every;    /* … and each so many after it; 0 = all after it */
    uint32_t times;    /* at most so often; 0 = always */
    uint32_t permille; /* not 0: by chance instead */
    atomic_uint seen, fired;
};

struct shim_control {
    uint64_t magic;
    atomic_ullong stamp;        /* the one order */
    atomic_uint is_recording;   /* 0: nothing is written down */
    uint32_t sync_delay_us;     /* each sync takes up to so long, by chance */
    uint32_t checkpoint_factor; /* the database's log counts so many times */
    atomic_uint is_armed;       /* some rule is */
    atomic_uint is_alloc_armed; /* some rule for CALL_ALLOC is */
    uint32_t unused;
    struct shim_rule rules[SHIM_RULES];
};
_Static_assert(sizeof(struct shim_control) <= SHIM_CONTROL_BYTES, "one page");

enum shim_record_kind {
    RECORD_CREATE = 1, /* inode in folder `other` under name */
    RECORD_WRITE,
    RECORD_TRUNCATE, /* to `offset` bytes */
    RECORD_SYNC,
    RECORD_UNLINK, /* name in folder `other` */
    RECORD_RENAME, /* name in folder `inode`, a zero byte, name in folder `other` */
    RECORD_ACK,    /* data: the id that is about to be told */
    RECORD_EXTEND, /* at least `offset` bytes long */
};
enum shim_record_flag {
    FLAG_FOLDER = 1,
    FLAG_NEW = 2,   /* it was not there before */
    FLAG_DATA = 4,  /* fdatasync, not fsync */
    FLAG_SYNCED = 8 /* the write itself was synchronous */
};

struct shim_record {
    uint32_t size; /* with data, a multiple of 8; 0 = end of the log */
    uint16_t kind, flags;
    uint64_t start;
    atomic_ullong end; /* 0: it never returned */
    uint64_t at_ns;    /* CLOCK_MONOTONIC */
    uint64_t inode, other, offset;
    int64_t result; /* -errno when it failed */
    uint32_t len, unused;
    uint8_t data[];
};

struct shim_log {
    uint64_t magic;
    uint32_t pid, role;
    atomic_ullong used; /* bytes behind this header */
    atomic_uint is_full;
    uint32_t unused;
    uint8_t records[];
};

extern struct shim_control *shim_control;
extern uint64_t shim_state_device; /* 0: nothing to do */
extern enum shim_role shim_role;

/* The next stamp. */
uint64_t shim_stamp(void);
/* The same on a page that the driver has mapped. */
__attribute__((visibility("default"))) uint64_t shim_stamp_at(struct shim_control *control);
/* Begin a record (start is stamped, data copied); NULL when nothing is recorded. */
struct shim_record *shim_begin(enum shim_record_kind kind, uint64_t inode, uint64_t offset,
                               const void *data, size_t len);
/* The call has returned `result` (-1: errno says why). Keeps errno. */
void shim_end(struct shim_record *record, int64_t result);

/* What is to happen to this call. */
struct shim_fate {
    int error; /* not 0: return -1 with it */
    bool is_short, dies_after;
};
/* Ask the rules; ends the process when one says so. */
struct shim_fate shim_ask(enum shim_call call);
/* The end of a call that a rule wanted to be the last. */
void shim_die(void);
#endif
