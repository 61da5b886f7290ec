/* SPDX-License-Identifier: Apache-2.0 */
/* What each role can still do once confined, tried out: one row a role. */
#include "kit/kit.h"

#include "os/sanitized.h"
#include "role/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    READ_QUEUE = 1,
    WRITE_QUEUE = 2,
    READ_PORTAL = 4,
    WRITE_PORTAL = 8,
    WRITE_STATE = 16,
    READ_PASSWD = 32,
    INTERNET = 64,
    CONNECT = 128,
    ACCEPT = 256,
    EXECUTE = 512,
    FORK = 1024,
    LOCAL = 2048,         /* make a UNIX socket, as the control socket's clients do */
    SIGNAL = 4096,        /* send one to another process */
    CHANGE_QUEUE = 16384, /* write to, cut, rename or remove what another process has written */
    LIMITS = 8192,        /* change another process's */
    /* Only Landlock keeps a role from these; what was written is safe from changes without it. */
    FILES = READ_QUEUE | WRITE_QUEUE | READ_PORTAL | WRITE_PORTAL | WRITE_STATE | READ_PASSWD,
};

static const unsigned expected[ROLE_COUNT] = {
    [ROLE_KEEPER] = READ_QUEUE | WRITE_QUEUE | CHANGE_QUEUE | READ_PORTAL | WRITE_PORTAL |
                    WRITE_STATE | LOCAL,
    [ROLE_SMTPD] = WRITE_QUEUE | ACCEPT | LOCAL,
    /* It may connect: were it to reach the control socket it could ask everything. */
    [ROLE_COURIER] = READ_QUEUE | INTERNET | CONNECT,
    [ROLE_SCRIBE] = READ_QUEUE | WRITE_QUEUE | READ_PORTAL | WRITE_PORTAL | LOCAL,
    [ROLE_PORTAL] = READ_PORTAL | WRITE_QUEUE | ACCEPT | LOCAL,
    [ROLE_OFFICE] = ACCEPT | LOCAL,
    [ROLE_SCOUT] = INTERNET | CONNECT,
};

static char folder_cstr[] = "/tmp/postern-confine-XXXXXX";

static bool can_open(const char *path_cstr, int flags)
{
    int fd = open(path_cstr, flags, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool can_change(void)
{
    return can_open("queue/old.seg", O_WRONLY) || can_open("queue/old.seg", O_RDWR) ||
           can_open("queue/old.seg", O_WRONLY | O_CREAT) ||
           can_open("queue/old.seg", O_RDONLY | O_TRUNC) ||
           can_open("queue/old.seg", O_WRONLY | O_EXCL) || truncate("queue/old.seg", 0) == 0 ||
           rename("queue/old.seg", "queue/moved.seg") == 0 ||
           link("queue/old.seg", "queue/new.seg") == 0 || unlink("queue/old.seg") == 0;
}

static bool can_execute(void)
{
    static char *const arguments[] = {(char *)(uintptr_t) "true", NULL};

    (void)execv("/bin/true",
                arguments); /* on success the exit code is 0: no abilities reported */
    return false;
}

static bool can_fork(void)
{
    pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

    if (pid == 0)
        _exit(0);
    return pid > 0;
}

/* In the confined process. */
static unsigned try_everything(void)
{
    struct sockaddr_in nowhere = {.sin_family = AF_INET};
    struct rlimit limits;
    unsigned found = 0;
    int fd = socket(AF_INET, SOCK_STREAM, 0), pair[2];

    nowhere.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    found |= can_open("queue/old.seg", O_RDONLY) ? READ_QUEUE : 0;
    found |= can_open("queue/new.seg", O_WRONLY | O_CREAT | O_EXCL) ? WRITE_QUEUE : 0;
    found |= can_change() ? CHANGE_QUEUE : 0;
    found |= can_open("portal/old.seg", O_RDONLY) ? READ_PORTAL : 0;
    found |= can_open("portal/new.seg", O_WRONLY | O_CREAT | O_EXCL) ? WRITE_PORTAL : 0;
    found |= can_open("new.db", O_RDWR | O_CREAT) ? WRITE_STATE : 0;
    found |= can_open("/etc/passwd", O_RDONLY) ? READ_PASSWD : 0;
    found |= fd >= 0 ? INTERNET : 0;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    if (connect(fd >= 0 ? fd : pair[0], (const struct sockaddr *)&nowhere, sizeof nowhere) ==
            0 ||
        errno != EPERM)
        found |= CONNECT;
    if (accept(pair[0], NULL, NULL) >= 0 || errno != EPERM)
        found |= ACCEPT;
    found |= can_fork() ? FORK : 0;
    found |= socket(AF_UNIX, SOCK_STREAM, 0) >= 0 ? LOCAL : 0;
    found |= kill(getppid(), 0) == 0 || syscall(SYS_tgkill, getppid(), getppid(), 0) == 0
                 ? SIGNAL
                 : 0;
    found |= prlimit(getppid(), RLIMIT_NOFILE, NULL, &limits) == 0 ? LIMITS : 0;
    must(syscall(SYS_tgkill, getpid(), getpid(), 0) == 0); /* or abort() would not end us */
    found |= !IS_SANITIZED && can_execute() ? EXECUTE : 0;
    return found;
}

static unsigned confined_abilities(enum ipc_role kind, struct settings *settings)
{
    unsigned *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    unsigned found;
    int status;
    pid_t pid;

    must(shared != MAP_FAILED);
    *shared = ~0U;
    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        struct err err = {0};

        if (role_confine(kind, settings, &err))
            *shared = try_everything();
        else
            (void)fprintf(stderr, "%s\n", err.text_cstr);
        _exit(0);
    }
    must(waitpid(pid, &status, 0) == pid);
    found = *shared;
    must(munmap(shared, sizeof *shared) == 0);
    return found;
}

static void clean(void)
{
    (void)unlink("queue/new.seg");
    (void)unlink("portal/new.seg");
    (void)unlink("new.db");
}

static void check_every_role(unsigned tested)
{
    char text_cstr[256];
    struct settings *settings = NULL;
    struct err err = {0};

    (void)snprintf(
        text_cstr, sizeof text_cstr,
        "hostname = \"a.test\"\nstate = \"%s\"\nmaster_key = \"/m\"\nrun_as = \"root\"\n",
        folder_cstr);
    must(settings_parse(slice_from_cstr(text_cstr), "p", &settings, &err));
    for (enum ipc_role kind = ROLE_KEEPER; kind < ROLE_COUNT; kind++) {
        unsigned found = confined_abilities(kind, settings);

        if ((found & tested) != (expected[kind] & tested))
            fail_msg("%s: found %x, expected %x", role_name(kind), found, expected[kind]);
        clean();
    }
    settings_unref(&settings);
}

static void test_system_calls(void **state)
{
    (void)state;
    check_every_role(IS_SANITIZED ? (unsigned)(INTERNET | CONNECT | ACCEPT | LOCAL)
                                  : ~(unsigned)FILES);
}

static void test_files(void **state)
{
    (void)state;
    if (IS_SANITIZED)
        skip();
    if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* which version? */) < 1) {
        print_message("skipped: this kernel lacks Landlock\n");
        skip();
    }
    check_every_role(FILES);
}

static void test_changes_user(void **state)
{
    char text_cstr[256];
    struct settings *settings = NULL;
    struct err err = {0};
    int status;
    pid_t pid;

    (void)state;
    if (geteuid() != 0)
        skip();
    (void)snprintf(
        text_cstr, sizeof text_cstr,
        "hostname = \"a.test\"\nstate = \"%s\"\nmaster_key = \"/m\"\nrun_as = \"nobody\"\n",
        folder_cstr);
    must(settings_parse(slice_from_cstr(text_cstr), "p", &settings, &err));
    pid = fork();
    must(pid >= 0);
    if (pid == 0) {
        gid_t groups[8];

        if (!role_confine(ROLE_SCRIBE, settings, &err))
            _exit(1);
        if (geteuid() == 0 || getuid() == 0 || getegid() == 0 || getgroups(8, groups) != 1 ||
            groups[0] == 0)
            _exit(2);
        _exit(setuid(0) == 0 ? 3 : 0);
    }
    must(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    settings_unref(&settings);
}

static int set_up(void **state)
{
    (void)state;
    must(mkdtemp(folder_cstr) != NULL && chdir(folder_cstr) == 0 && mkdir("queue", 0700) == 0 &&
         mkdir("portal", 0700) == 0);
    must(can_open("queue/old.seg", O_WRONLY | O_CREAT) &&
         can_open("portal/old.seg", O_WRONLY | O_CREAT));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    clean();
    must(unlink("queue/old.seg") == 0 && unlink("portal/old.seg") == 0 && rmdir("queue") == 0 &&
         rmdir("portal") == 0 && chdir("/") == 0 && rmdir(folder_cstr) == 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_system_calls),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_changes_user),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
