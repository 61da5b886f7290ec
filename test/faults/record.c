/* SPDX-License-Identifier: Apache-2.0 */
#include "shim.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONTROL_MAGIC 0x31544c55414653ULL
#define LOG_MAGIC 0x31474f4c53ULL

struct shim_control *shim_control;
uint64_t shim_state_device;
enum shim_role shim_role = SHIM_OTHER;
static struct shim_log *own_log;
static uint64_t chance;

uint64_t shim_stamp_at(struct shim_control *control)
{
    return atomic_fetch_add(&control->stamp, 1) + 1;
}

uint64_t shim_stamp(void)
{
    return shim_stamp_at(shim_control);
}

static uint64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* Not for secrets: chance that need not be good. */
static uint32_t draw(uint32_t below)
{
    chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
    return (uint32_t)(chance >> 33) % below;
}

/* ---- the record ---- */

struct shim_record *shim_begin(enum shim_record_kind kind, uint64_t inode, uint64_t offset,
                               const void *data, size_t len)
{
    struct shim_record *record;
    uint64_t size = (sizeof *record + len + 7) & ~7ULL, at;
    int kept = errno;

    if (own_log == NULL || !atomic_load(&shim_control->is_recording))
        return NULL;
    at = atomic_fetch_add(&own_log->used, size);
    if (at + size + sizeof *own_log > SHIM_LOG_BYTES) {
        atomic_store(&own_log->is_full, 1);
        return NULL;
    }
    record = (struct shim_record *)(void *)(own_log->records + at);
    record->kind = (uint16_t)kind;
    record->inode = inode;
    record->offset = offset;
    record->len = (uint32_t)len;
    record->at_ns = now_ns();
    if (len > 0)
        memcpy(record->data, data, len);
    record->size = (uint32_t)size;
    record->start = shim_stamp();
    errno = kept;
    return record;
}

void shim_end(struct shim_record *record, int64_t result)
{
    if (record == NULL)
        return;
    record->result = result < 0 ? -errno : result;
    if (record->kind == RECORD_SYNC && result == 0 && shim_control->sync_delay_us > 0) {
        struct timespec wait = {0, (long)draw(shim_control->sync_delay_us) * 1000};

        syscall(SYS_nanosleep, &wait, NULL);
    }
    atomic_store(&record->end, shim_stamp());
}

/* ---- the rules ---- */

void shim_die(void)
{
    syscall(SYS_exit_group, 137);
}

static bool fires(struct shim_rule *rule, enum shim_call call)
{
    uint32_t seen;

    if (!atomic_load(&rule->armed) || (rule->roles >> shim_role & 1) == 0 ||
        (rule->calls >> call & 1) == 0)
        return false;
    seen = atomic_fetch_add(&rule->seen, 1) + 1;
    if (rule->permille > 0 ? draw(1000) >= rule->permille
                           : seen < rule->first ||
                                 (rule->every > 0 && (seen - rule->first) % rule->every != 0))
        return false;
    return atomic_fetch_add(&rule->fired, 1) < rule->times || rule->times == 0;
}

struct shim_fate shim_ask(enum shim_call call)
{
    struct shim_fate fate = {0};

    if (shim_control == NULL || !atomic_load(&shim_control->is_armed))
        return fate;
    for (size_t i = 0; i < SHIM_RULES; i++) {
        const struct shim_rule *rule = &shim_control->rules[i];

        if (!fires(&shim_control->rules[i], call))
            continue;
        if (rule->action == ACTION_DIE_BEFORE)
            shim_die();
        if (rule->action == ACTION_DIE_AFTER)
            fate.dies_after = true;
        if (rule->action == ACTION_SHORT)
            fate.is_short = true;
        if (rule->action == ACTION_FAIL)
            fate.error = rule->error;
    }
    return fate;
}

/* ---- the start ---- */

static void *map_file(const char *path_cstr, size_t bytes, bool is_new)
{
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path_cstr,
                          O_RDWR | O_CLOEXEC | (is_new ? O_CREAT | O_EXCL : 0), 0666);
    void *at;

    if (fd < 0)
        return NULL;
    if (is_new && syscall(SYS_ftruncate, fd, bytes) != 0) {
        syscall(SYS_close, fd);
        return NULL;
    }
    at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    return at == MAP_FAILED ? NULL : at;
}

static enum shim_role role_of(int argc, char **argv)
{
    static const char *const names[] = {"keeper", "smtpd",  "courier", "scribe",
                                        "portal", "office", "scout"};

    if (argc >= 2 && strcmp(argv[1], "serve") == 0)
        return SHIM_SUPERVISOR;
    if (argc < 3 || strcmp(argv[1], "role") != 0)
        return SHIM_OTHER;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(argv[2], names[i]) == 0)
            return (enum shim_role)(SHIM_KEEPER + i);
    return SHIM_OTHER;
}

__attribute__((constructor)) static void begin(int argc, char **argv)
{
    const char *folder_cstr = getenv("FAULTS_DIR"), *state_cstr = getenv("FAULTS_STATE");
    char path_cstr[4096];
    struct stat status;
    struct shim_control *control;

    if (folder_cstr == NULL || state_cstr == NULL || stat(state_cstr, &status) != 0)
        return;
    shim_role = role_of(argc, argv);
    snprintf(path_cstr, sizeof path_cstr, "%s/control", folder_cstr);
    control = map_file(path_cstr, SHIM_CONTROL_BYTES, false);
    if (control == NULL || control->magic != CONTROL_MAGIC)
        return;
    chance = now_ns() ^ (uint64_t)getpid() << 32;
    snprintf(path_cstr, sizeof path_cstr, "%s/log-%d", folder_cstr, (int)getpid());
    own_log = map_file(path_cstr, SHIM_LOG_BYTES, true);
    if (own_log != NULL) {
        own_log->magic = LOG_MAGIC;
        own_log->pid = (uint32_t)getpid();
        own_log->role = shim_role;
    }
    shim_state_device = status.st_dev;
    shim_control = control;
}
