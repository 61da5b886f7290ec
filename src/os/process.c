/* SPDX-License-Identifier: Apache-2.0 */
#include "os/process.h"

#include "os/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ABOVE_ALL_PLACES = PROCESS_FIRST_FD + PROCESS_FDS_MAX,
    SOCKET_BUFFER_BYTES = 2 << 20,
    FD_LIMIT_AS_ROOT = 1 << 20
};

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* In the child: out of each other's way first, then into place. */
static bool place_fds(const int *fds, size_t fd_count)
{
    int moved[PROCESS_FDS_MAX];

    for (size_t i = 0; i < fd_count; i++) {
        moved[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, ABOVE_ALL_PLACES);
        if (moved[i] < 0)
            return false;
    }
    for (size_t i = 0; i < fd_count; i++) {
        if (dup2(moved[i], PROCESS_FIRST_FD + (int)i) < 0)
            return false;
    }
    return close_range((unsigned)(PROCESS_FIRST_FD + fd_count), ~0U, 0) == 0;
}

bool process_start(const char *program_cstr, char *const arguments[], const int *fds,
                   size_t fd_count, pid_t *pid_out, struct err *err)
{
    pid_t parent = getpid();

    must(fd_count <= PROCESS_FDS_MAX);
    *pid_out = fork();
    if (*pid_out < 0)
        return FAIL(err, ERR_TEMP, "cannot start %s: %s", arguments[0], strerror(errno));
    if (*pid_out > 0)
        return true;
    reset_signals();
    /* The parent may have gone before the wish was heard. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent &&
        place_fds(fds, fd_count))
        (void)execv(program_cstr, arguments);
    _exit(127);
}

bool process_reap(pid_t *pid_out, int *status_out)
{
    *pid_out = waitpid(-1, status_out, WNOHANG);
    return *pid_out > 0;
}

void process_describe(int status, char *text_out, size_t size)
{
    if (WIFSIGNALED(status))
        (void)snprintf(text_out, size, "signal %d (%s)", WTERMSIG(status),
                       strsignal(WTERMSIG(status)));
    else
        (void)snprintf(text_out, size, "exit code %d", WEXITSTATUS(status));
}

bool process_socket_pair(int fds_out[2], struct err *err)
{
    const int bytes = SOCKET_BUFFER_BYTES;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds_out) != 0)
        return FAIL(err, ERR_TEMP, "cannot make a socket pair: %s", strerror(errno));
    /* Many messages should fit into one reading; root may go beyond the system's ceiling, others get up to it. */
    for (int i = 0; i < 2; i++)
        if (setsockopt(fds_out[i], SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) != 0)
            (void)setsockopt(fds_out[i], SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return true;
}

void process_raise_fd_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    if (geteuid() == 0 && limit.rlim_max < FD_LIMIT_AS_ROOT) {
        struct rlimit more = {FD_LIMIT_AS_ROOT, FD_LIMIT_AS_ROOT};

        if (setrlimit(RLIMIT_NOFILE, &more) == 0)
            return;
    }
    limit.rlim_cur = limit.rlim_max < FD_LIMIT_AS_ROOT ? limit.rlim_max : FD_LIMIT_AS_ROOT;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

bool process_forbid_dumps(void)
{
    return IS_SANITIZED || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0;
}

bool process_drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

    if (geteuid() == 0)
        return true;
    /* Nothing inheritable means nothing ambient: the kernel keeps the one within the other. */
    if (syscall(SYS_capset, &header, none) != 0)
        return FAIL(err, ERR_TEMP, "cannot give up capabilities: %s", strerror(errno));
    return true;
}

void process_notify(const char *state_cstr)
{
    const char *path_cstr = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = path_cstr == NULL ? 0 : strlen(path_cstr);
    int fd;

    if (len == 0 || len >= sizeof address.sun_path)
        return;
    memcpy(address.sun_path, path_cstr, len);
    if (path_cstr[0] == '@')
        address.sun_path[0] = 0; /* an abstract socket */
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state_cstr, strlen(state_cstr), MSG_NOSIGNAL,
                 (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
    close(fd);
}

void process_notify_reloading(void)
{
    struct timespec now = {0};
    char text_cstr[80];

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(text_cstr, sizeof text_cstr, "RELOADING=1\nMONOTONIC_USEC=%lld",
                   (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    process_notify(text_cstr);
}
