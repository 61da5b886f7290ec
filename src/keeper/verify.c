/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/verify_internal.h"

#include "store/forward.h"
#include "store/key.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096 };

#define RESTORE "restore the newest backup that is whole"
#define REPORT "this is a fault of the program: report it with this output"

static const struct {
    const char *name_cstr, *words_cstr, *advice_cstr;
} findings[VERIFY_FINDING_COUNT] = {
    [VERIFY_DATABASE] = {"database", "the database file is damaged", RESTORE},
    [VERIFY_KEYS] = {"keys", "the keys in the database do not open",
                     "name the master key file that belongs to this state folder"},
    [VERIFY_SEALED] = {"sealed", "a sealed column does not open", RESTORE},
    [VERIFY_STRAY] = {"stray", "a row belongs to nothing", REPORT},
    [VERIFY_COUNTS] = {"counts", "a message's numbers differ from its recipients", REPORT},
    [VERIFY_KEY_PRESENCE] = {"key", "a content key is there or missing against the states",
                             REPORT},
    [VERIFY_STATE] = {"state", "a row says what cannot be", RESTORE},
    [VERIFY_STRANDED] = {"stranded", "mail that nothing will ever move on",
                         "start the server, then: postern queue retry"},
    [VERIFY_STORY] = {"story", "a state without the event that led to it", REPORT},
    [VERIFY_SEGMENT_MISSING] = {"segment-missing", "a file with content is gone",
                                "put the file back from a backup, or purge the message"},
    [VERIFY_SEGMENT_DAMAGED] = {"segment-damaged", "a file with content is damaged",
                                "put the file back from a backup"},
    [VERIFY_CONTENT] = {"content", "a message's content cannot be read",
                        "put its segment back from a backup, or purge the message"},
    [VERIFY_COPY] = {"portal-copy", "a portal copy does not fit its recipient",
                     "put its segment back from a backup, or retract the message"},
    [VERIFY_SEGMENT_COUNT] = {"segment-count", "a segment's count of users is wrong", REPORT},
    [VERIFY_ACCEPTED] = {"accepted", "mail that was acknowledged is not here",
                         "was it older than story_keep? else it is lost: " RESTORE},
    [VERIFY_BACKUP] = {"backup", "a file of the backup differs from its manifest",
                       "make a new backup into another folder"},
};

const char *verify_finding_name(enum verify_finding finding)
{
    return findings[finding].name_cstr;
}

const char *verify_finding_words(enum verify_finding finding)
{
    return findings[finding].words_cstr;
}

const char *verify_finding_advice(enum verify_finding finding)
{
    return findings[finding].advice_cstr;
}

void verify__tell(struct verify *verify, enum verify_finding finding, uint64_t message,
                  int64_t number, uint64_t segment, const char *format_cstr, ...)
{
    struct verify_problem problem = {
        .finding = finding, .message = message, .number = number, .segment = segment};
    va_list args;

    va_start(args, format_cstr);
    (void)vsnprintf(problem.detail_cstr, sizeof problem.detail_cstr, format_cstr, args);
    va_end(args);
    verify->report->problems++;
    verify->report->problems_of[finding]++;
    verify->options->on_problem(verify->options->context, &problem);
}

/* ---- opening ---- */

static bool open_folder(const char *state_cstr, const char *name_cstr, int *fd_out,
                        struct err *err)
{
    char path_cstr[PATH_BYTES];

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s", state_cstr, name_cstr);
    *fd_out = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *fd_out >= 0 || errno == ENOENT ||
           FAIL(err, ERR_TEMP, "cannot open %s: %s", path_cstr, strerror(errno));
}

/* A folder without a database is a state that was never begun, if it looks like one at all. */
static bool find_database(struct verify *verify, bool *is_there_out, struct err *err)
{
    char path_cstr[PATH_BYTES];
    struct stat status;

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s", verify->options->state_cstr,
                   verify->options->database_cstr);
    *is_there_out = stat(path_cstr, &status) == 0;
    if (*is_there_out)
        return true;
    if (errno == ENOENT && verify->queue_fd >= 0)
        return true;
    return FAIL(err, errno == ENOENT ? ERR_PERM : ERR_TEMP, "%s: %s; is this a state folder?",
                path_cstr, strerror(errno));
}

/* False in has_keys: rows are looked at all the same, what is sealed stays closed. */
static void open_keys(struct verify *verify)
{
    const struct recipient_key *pair;
    struct store_key_use uses[1];
    struct err err = {0};

    if (verify->options->master_text.len == 0)
        return;
    /* Between its first two transactions a new server has tables but no keys, and no mail either. */
    if (store_key_uses(verify->store, uses, 1) == 0)
        return;
    if (!store_keys_read(verify->store, verify->options->master_text, &err)) {
        verify__tell(verify, VERIFY_KEYS, 0, VERIFY_NONE, 0, "%s", err.text_cstr);
        return;
    }
    verify->has_keys = true;
    verify->queue_ring = verify->queue_fd < 0 ? NULL : spool_keyring_new(verify->queue_fd);
    for (size_t i = 0;
         verify->queue_ring != NULL && (pair = store_key_pair(verify->store, i)) != NULL; i++)
        spool_keyring_add(verify->queue_ring, pair);
}

/* ---- the parts ---- */

static void on_database_finding(void *context, const char *words_cstr)
{
    verify__tell(context, VERIFY_DATABASE, 0, VERIFY_NONE, 0, "%s", words_cstr);
}

static void check_names(struct verify *verify)
{
    struct walked_name row;

    while (store_walk_address(verify->walk, &row)) {
        verify->report->addresses++;
        if (!row.is_whole)
            verify__tell(verify, VERIFY_SEALED, 0, VERIFY_NONE, 0, "address %llu",
                         (unsigned long long)row.id);
    }
    while (store_walk_domain(verify->walk, &row)) {
        verify->report->domains++;
        if (!row.is_whole)
            verify__tell(verify, VERIFY_SEALED, 0, VERIFY_NONE, 0, "domain %llu",
                         (unsigned long long)row.id);
    }
}

/* Both ends of a forward are addresses that are there. */
static void check_forwards(struct verify *verify)
{
    struct store_forward row = {0};

    while (store_forward_next(verify->store, row.id, &row))
        if (!store_has_address(verify->store, row.source) ||
            !store_has_address(verify->store, row.target))
            verify__tell(verify, VERIFY_STATE, 0, VERIFY_NONE, 0,
                         "an address of forward %llu has no row", (unsigned long long)row.id);
}

static bool check_all(struct verify *verify, struct err *err)
{
    struct err trouble = {0};
    bool is_there = false;

    if (!open_folder(verify->options->state_cstr, "queue", &verify->queue_fd, err) ||
        !open_folder(verify->options->state_cstr, "portal", &verify->portal_fd, err) ||
        !find_database(verify, &is_there, err))
        return false;
    if (is_there && !store_open_to_read(verify->options->state_cstr,
                                        verify->options->database_cstr, &verify->store, err))
        return false;
    verify->report->is_blank = !is_there || store_is_blank(verify->store);
    if (!verify->report->is_blank) {
        (void)store_check_file(verify->store, verify->options->is_quick, on_database_finding,
                               verify);
        open_keys(verify);
        verify->walk = store_walk_new(verify->store);
    }
    if (!verify__segments_begin(verify, err))
        return false;
    /* A server makes its database before the first segment. */
    if (!is_there && verify->segments.count > 0)
        verify__tell(verify, VERIFY_DATABASE, 0, VERIFY_NONE, 0, "there is no %s",
                     verify->options->database_cstr);
    verify__rows(verify);
    if (verify->walk != NULL)
        check_names(verify);
    if (verify->walk != NULL)
        check_forwards(verify);
    if (verify->store != NULL && store_is_troubled(verify->store, &trouble))
        verify__tell(verify, VERIFY_DATABASE, 0, VERIFY_NONE, 0,
                     "reading it ended before its end: %s", trouble.text_cstr);
    else
        verify__segments_end(verify);
    return true;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

bool verify_run(const struct verify_options *options, struct verify_report *report_out,
                struct err *err)
{
    struct verify verify = {
        .options = options, .report = report_out, .queue_fd = -1, .portal_fd = -1};
    bool is_checked;

    *report_out = (struct verify_report){0};
    if (options->accepted_count > 0)
        qsort(options->accepted, options->accepted_count, sizeof options->accepted[0],
              compare_ids);
    map_init(&verify.segments);
    map_init(&verify.awaited);
    is_checked = check_all(&verify, err);
    verify__segments_free(&verify);
    map_deinit(&verify.awaited);
    store_walk_free(&verify.walk);
    spool_keyring_free(&verify.queue_ring);
    if (verify.store != NULL)
        store_close(&verify.store);
    if (verify.queue_fd >= 0)
        close(verify.queue_fd);
    if (verify.portal_fd >= 0)
        close(verify.portal_fd);
    return is_checked;
}
