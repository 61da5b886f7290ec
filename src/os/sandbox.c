/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sandbox.h"

#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define IS_SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define IS_SANITIZED true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED false
#endif

/* Debian 12's header stops at ABI 2. */
#define ACCESS_TRUNCATE (UINT64_C(1) << 14) /* ABI 3 */

static bool change_user(const char *user_cstr, struct err *err)
{
    const struct passwd *user;

    if (geteuid() != 0 || user_cstr[0] == '\0')
        return true;
    user = getpwnam(user_cstr);
    if (user == NULL) {
        LOG(LOG_WARN, "sandbox.no_such_user", log_cstr("user", user_cstr));
        return true;
    }
    if (setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
        return FAIL(err, ERR_PERM, "cannot become user %s: %s", user_cstr, strerror(errno));
    return true;
}

/* ---- files ---- */

static uint64_t read_access(void)
{
    return LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
}

static uint64_t write_access(int abi)
{
    return LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG |
           (abi >= 3 ? ACCESS_TRUNCATE : 0);
}

static uint64_t handled_access(int abi)
{
    return read_access() | write_access(abi) | LANDLOCK_ACCESS_FS_EXECUTE |
           LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
           LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SYM |
           LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
           LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_BLOCK;
}

static uint64_t access_of(int bits, int abi)
{
    uint64_t access = 0;

    if ((bits & SANDBOX_READ) != 0)
        access |= read_access();
    if ((bits & SANDBOX_WRITE) != 0)
        access |= write_access(abi);
    if (bits == (SANDBOX_READ | SANDBOX_WRITE))
        access |= LANDLOCK_ACCESS_FS_REMOVE_FILE;
    return access;
}

/* A folder that does not exist needs no rule. */
static void allow_path(int rules, const char *path_cstr, uint64_t access)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = access};

    if (access == 0)
        return;
    rule.parent_fd = open(path_cstr, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        LOG(LOG_WARN, "sandbox.rule_refused", log_cstr("why", strerror(errno)));
    close(rule.parent_fd);
}

static void confine_files(const struct sandbox_plan *plan)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct landlock_ruleset_attr all = {.handled_access_fs = handled_access((int)abi)};
    char path_cstr[4096];
    int rules;

    if (abi < 1) {
        LOG(LOG_WARN, "sandbox.no_landlock", log_cstr("why", strerror(errno)));
        return;
    }
    rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0) {
        LOG(LOG_WARN, "sandbox.no_landlock", log_cstr("why", strerror(errno)));
        return;
    }
    allow_path(rules, plan->state_dir_cstr, access_of(plan->state, (int)abi));
    snprintf(path_cstr, sizeof path_cstr, "%s/queue", plan->state_dir_cstr);
    allow_path(rules, path_cstr, access_of(plan->queue, (int)abi));
    snprintf(path_cstr, sizeof path_cstr, "%s/portal", plan->state_dir_cstr);
    allow_path(rules, path_cstr, access_of(plan->portal, (int)abi));
    /* Character set tables of iconv(3), and the clock's zone. */
    allow_path(rules, "/usr/lib", read_access());
    allow_path(rules, "/usr/share/zoneinfo", read_access());
    if (syscall(SYS_landlock_restrict_self, rules, 0) != 0)
        LOG(LOG_WARN, "sandbox.no_landlock", log_cstr("why", strerror(errno)));
    close(rules);
}

/* ---- system calls ---- */

static const int needed_by_nobody[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(setns),
    SCMP_SYS(unshare),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(reboot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(personality),
    SCMP_SYS(quotactl),
    SCMP_SYS(acct),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(link),
    SCMP_SYS(linkat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
};
static const int needed_to_accept[] = {SCMP_SYS(accept), SCMP_SYS(accept4)};
static const int needed_to_connect[] = {SCMP_SYS(connect), SCMP_SYS(bind)};

static bool deny(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0) != 0)
            return false;
    return true;
}

static bool deny_by_role(scmp_filter_ctx filter, const struct sandbox_plan *plan)
{
    if (!deny(filter, needed_by_nobody, COUNT_OF(needed_by_nobody)))
        return false;
    if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(listen), 0) != 0)
        return false;
    if (!plan->may_accept && !deny(filter, needed_to_accept, COUNT_OF(needed_to_accept)))
        return false;
    if (plan->may_connect)
        return true;
    return deny(filter, needed_to_connect, COUNT_OF(needed_to_connect)) &&
           seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(socket), 0) == 0;
}

static void confine_calls(const struct sandbox_plan *plan)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);

    if (filter == NULL || !deny_by_role(filter, plan) || seccomp_load(filter) != 0)
        LOG(LOG_WARN, "sandbox.no_seccomp", log_cstr("why", strerror(errno)));
    seccomp_release(filter);
}

bool sandbox_enter(const struct sandbox_plan *plan, struct err *err)
{
    if (!change_user(plan->user_cstr, err))
        return false;
    if (IS_SANITIZED)
        return true;
    /* No core dump, no debugger of the same user: keys and plaintext are in memory. */
    prctl(PR_SET_DUMPABLE, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return FAIL(err, ERR_PERM, "cannot give up new privileges: %s", strerror(errno));
    confine_files(plan);
    confine_calls(plan);
    return true;
}
