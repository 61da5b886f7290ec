/* SPDX-License-Identifier: Apache-2.0 */
#include "os/sandbox.h"

#include "os/process.h"
#include "os/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers we build with. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (UINT64_C(1) << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (UINT64_C(1) << 14)
#endif

static const uint64_t read_rights = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t write_rights =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_TRUNCATE;
static const uint64_t make_rights =
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_DIR;
static const uint64_t other_rights =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_CHAR |
    LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM;

static bool fail(struct err *err, const char *what_cstr)
{
    return FAIL(err, ERR_TEMP, "cannot %s: %s", what_cstr, strerror(errno));
}

/* ---- Landlock: the C library has no names for it ---- */

static bool allow_path(int rules, const struct sandbox_path *path, uint64_t known)
{
    struct landlock_path_beneath_attr rule = {.parent_fd = -1};
    struct stat status;
    bool allowed;

    rule.parent_fd = open(path->path_cstr, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return true; /* what is not there needs no leave */
    if ((path->access & SANDBOX_READ) != 0)
        rule.allowed_access |= read_rights;
    if ((path->access & SANDBOX_WRITE) != 0)
        rule.allowed_access |= write_rights;
    if ((path->access & SANDBOX_MAKE) != 0)
        rule.allowed_access |= make_rights;
    if (fstat(rule.parent_fd, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | write_rights;
    rule.allowed_access &= known;
    allowed = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0;
    close(rule.parent_fd);
    return allowed;
}

/* False with errno when the kernel has Landlock but refuses. */
static bool restrict_files(const struct sandbox *sandbox, bool *has_landlock_out)
{
    struct landlock_ruleset_attr attr = {.handled_access_fs = read_rights | write_rights |
                                                              make_rights | other_rights};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    bool done = true;
    int rules;

    *has_landlock_out = abi >= 1;
    if (abi < 1 || IS_SANITIZED)
        return true;
    if (abi >= 2)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (abi < 3)
        attr.handled_access_fs &= ~LANDLOCK_ACCESS_FS_TRUNCATE;
    rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (rules < 0)
        return false;
    for (size_t i = 0; i < sandbox->path_count && done; i++)
        done = allow_path(rules, &sandbox->paths[i], attr.handled_access_fs);
    done = done && syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    close(rules);
    return done;
}

/* ---- seccomp ---- */

/* Nobody needs these after the start: they widen the kernel's face or reach other processes. */
static const int never[] = {
    SCMP_SYS(execve),
    SCMP_SYS(execveat),
    SCMP_SYS(ptrace),
    SCMP_SYS(process_vm_readv),
    SCMP_SYS(process_vm_writev),
    SCMP_SYS(mount),
    SCMP_SYS(umount2),
    SCMP_SYS(pivot_root),
    SCMP_SYS(chroot),
    SCMP_SYS(swapon),
    SCMP_SYS(swapoff),
    SCMP_SYS(reboot),
    SCMP_SYS(init_module),
    SCMP_SYS(finit_module),
    SCMP_SYS(delete_module),
    SCMP_SYS(kexec_load),
    SCMP_SYS(kexec_file_load),
    SCMP_SYS(bpf),
    SCMP_SYS(perf_event_open),
    SCMP_SYS(io_uring_setup),
    SCMP_SYS(io_uring_enter),
    SCMP_SYS(io_uring_register),
    SCMP_SYS(userfaultfd),
    SCMP_SYS(keyctl),
    SCMP_SYS(add_key),
    SCMP_SYS(request_key),
    SCMP_SYS(unshare),
    SCMP_SYS(setns),
    SCMP_SYS(open_by_handle_at),
    SCMP_SYS(name_to_handle_at),
    SCMP_SYS(acct),
    SCMP_SYS(quotactl),
    SCMP_SYS(settimeofday),
    SCMP_SYS(clock_settime),
    SCMP_SYS(adjtimex),
    SCMP_SYS(clock_adjtime),
    SCMP_SYS(sethostname),
    SCMP_SYS(setdomainname),
    SCMP_SYS(personality),
    SCMP_SYS(setuid),
    SCMP_SYS(setgid),
    SCMP_SYS(setresuid),
    SCMP_SYS(setresgid),
    SCMP_SYS(setgroups),
    SCMP_SYS(fork),
    SCMP_SYS(vfork),
    SCMP_SYS(mknod),
    SCMP_SYS(mknodat),
    SCMP_SYS(symlink),
    SCMP_SYS(symlinkat),
    SCMP_SYS(pidfd_getfd),
    SCMP_SYS(process_madvise),
    SCMP_SYS(move_pages),
    SCMP_SYS(iopl),
    SCMP_SYS(ioperm),
    SCMP_SYS(vhangup),
    SCMP_SYS(fanotify_init),
    SCMP_SYS(open_tree),
    SCMP_SYS(move_mount),
    SCMP_SYS(fsopen),
    SCMP_SYS(fsconfig),
    SCMP_SYS(fsmount),
    SCMP_SYS(fspick),
    SCMP_SYS(mount_setattr),
    SCMP_SYS(memfd_secret),
    SCMP_SYS(chmod),
    SCMP_SYS(chown),
    SCMP_SYS(lchown),
    SCMP_SYS(setxattr),
    /* All roles are one user: without this any of them could stop the keeper. */
    SCMP_SYS(kill),
    SCMP_SYS(tkill),
    SCMP_SYS(rt_sigqueueinfo),
    SCMP_SYS(rt_tgsigqueueinfo),
    SCMP_SYS(pidfd_open),
    SCMP_SYS(pidfd_send_signal),
};
static const int connecting[] = {SCMP_SYS(connect)};
static const int accepting[] = {SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(listen)};
static const int opening[] = {SCMP_SYS(open),   SCMP_SYS(openat),    SCMP_SYS(openat2),
                              SCMP_SYS(creat),  SCMP_SYS(unlink),    SCMP_SYS(unlinkat),
                              SCMP_SYS(rename), SCMP_SYS(renameat2), SCMP_SYS(mkdir)};

static const int changing[] = {SCMP_SYS(open),     SCMP_SYS(openat2),  SCMP_SYS(creat),
                               SCMP_SYS(truncate), SCMP_SYS(unlink),   SCMP_SYS(unlinkat),
                               SCMP_SYS(rename),   SCMP_SYS(renameat), SCMP_SYS(renameat2),
                               SCMP_SYS(link),     SCMP_SYS(linkat),   SCMP_SYS(rmdir),
                               SCMP_SYS(fchmodat), SCMP_SYS(fchownat), SCMP_SYS(utimensat)};

/* A system call that this kernel or machine does not have cannot be denied, and need not. */
static void deny(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++)
        (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), calls[i], 0);
}

static void deny_internet(scmp_filter_ctx filter)
{
    /* Anything but AF_UNIX. */
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                           SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0));
}

static void deny_local(scmp_filter_ctx filter)
{
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), SCMP_SYS(socket), 1,
                           SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
}

/* All roles are one user: what the others have written can be neither overwritten nor removed. */
static void deny_changes(scmp_filter_ctx filter)
{
    static const int to_write[] = {O_WRONLY, O_RDWR, O_ACCMODE};

    deny(filter, changing, COUNT_OF(changing));
    for (size_t i = 0; i < COUNT_OF(to_write); i++)
        (void)seccomp_rule_add(
            filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
            SCMP_A2(SCMP_CMP_MASKED_EQ, O_ACCMODE | O_EXCL, (scmp_datum_t)to_write[i]));
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, O_TRUNC, O_TRUNC));
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(openat), 1,
                           SCMP_A2(SCMP_CMP_MASKED_EQ, O_CREAT | O_EXCL, O_EXCL));
}

/* abort() signals its own process; limits of the own process have pid 0. */
static void deny_neighbours(scmp_filter_ctx filter)
{
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(tgkill), 1,
                           SCMP_A0(SCMP_CMP_NE, (scmp_datum_t)getpid(), 0));
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(prlimit64), 1,
                           SCMP_A0(SCMP_CMP_NE, 0, 0));
}

/* Threads may be made, processes may not; and nothing is typed into a terminal. */
static void deny_processes(scmp_filter_ctx filter)
{
    /* clone3 has its flags in memory, where seccomp cannot look: the C library falls back to clone. */
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                           SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
    (void)seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
                           SCMP_A1(SCMP_CMP_EQ, TIOCSTI, 0));
}

static bool restrict_calls(const struct sandbox *sandbox)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int problem;

    must(filter != NULL);
    if (!IS_SANITIZED) {
        deny(filter, never, COUNT_OF(never));
        deny_processes(filter);
        deny_neighbours(filter);
        if ((sandbox->denials & SANDBOX_NO_FILES) != 0)
            deny(filter, opening, COUNT_OF(opening));
        if ((sandbox->denials & (SANDBOX_NO_FILES | SANDBOX_ONLY_NEW)) != 0)
            deny_changes(filter);
    }
    if ((sandbox->denials & SANDBOX_NO_INTERNET) != 0)
        deny_internet(filter);
    if ((sandbox->denials & SANDBOX_NO_LOCAL) != 0)
        deny_local(filter);
    if ((sandbox->denials & SANDBOX_NO_CONNECT) != 0)
        deny(filter, connecting, COUNT_OF(connecting));
    if ((sandbox->denials & SANDBOX_NO_ACCEPT) != 0)
        deny(filter, accepting, COUNT_OF(accepting));
    problem = seccomp_load(filter);
    seccomp_release(filter);
    errno = -problem;
    return problem == 0;
}

bool sandbox_become(struct owner owner, struct err *err)
{
    if (geteuid() != 0 || owner.user == (uid_t)-1 || owner.user == 0)
        return true;
    if (setgroups(1, &owner.group) != 0 ||
        setresgid(owner.group, owner.group, owner.group) != 0 ||
        setresuid(owner.user, owner.user, owner.user) != 0 || setuid(0) == 0)
        return fail(err, "become the server's user");
    return true;
}

bool sandbox_enter(const struct sandbox *sandbox, bool *has_landlock_out, struct err *err)
{
    if (!sandbox_become(sandbox->owner, err))
        return false;
    /* A change of user makes the kernel forget this wish. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return fail(err, "be ended with the supervisor");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return fail(err, "give up new privileges");
    if (!process_forbid_dumps())
        return fail(err, "forbid core dumps");
    if (!restrict_files(sandbox, has_landlock_out))
        return fail(err, "restrict files (Landlock)");
    if (!restrict_calls(sandbox))
        return fail(err, "restrict system calls (seccomp)");
    return true;
}
