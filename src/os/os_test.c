/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "os/bind.h"
#include "os/process.h"

#include <arpa/inet.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder_cstr[] = "/tmp/postern-os-XXXXXX";

static void test_folder(void **state)
{
    struct stat status;
    struct err err = {0};

    (void)state;
    must(mkdtemp(folder_cstr) != NULL && chdir(folder_cstr) == 0);
    assert_true(folder_make("state", NO_OWNER, &err));
    must(chmod("state", 0755) == 0);
    assert_true(folder_make("state", NO_OWNER, &err));
    must(stat("state", &status) == 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    must(symlink("state", "link") == 0);
    assert_false(folder_make("link", NO_OWNER, &err));
    assert_non_null(strstr(err.text_cstr, "is not a folder"));
    assert_false(folder_make("no/where", NO_OWNER, &err));
    must(unlink("link") == 0);
}

static void test_lock(void **state)
{
    struct err err = {0};
    int fd, other;

    (void)state;
    assert_true(lock_take("state/lock", &fd, &err));
    assert_false(lock_take("state/lock", &other, &err));
    assert_int_equal(err.class, ERR_REFUSED);
    close(fd);
    assert_true(lock_take("state/lock", &fd, &err));
    close(fd);
    must(unlink("state/lock") == 0);
}

static void test_listen(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    struct err err = {0};
    int fds[2], more[1], unix_fd;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_true(sockets_listen((struct sockaddr *)&address, len, 1, fds, &err));
    must(getsockname(fds[0], (struct sockaddr *)&address, &len) == 0);
    assert_false(sockets_listen((struct sockaddr *)&address, len, 1, more, &err));
    assert_non_null(strstr(err.text_cstr, "cannot listen on 127.0.0.1:"));
    assert_non_null(strstr(err.text_cstr, "choose another port"));
    close(fds[0]);
    assert_true(sockets_listen((struct sockaddr *)&address, len, 2, fds, &err));
    close(fds[0]);
    close(fds[1]);
    assert_true(socket_listen_unix("state/s", NO_OWNER, &unix_fd, &err));
    close(unix_fd);
    assert_true(socket_listen_unix("state/s", NO_OWNER, &unix_fd, &err));
    close(unix_fd);
    must(unlink("state/s") == 0 && rmdir("state") == 0 && chdir("/") == 0 &&
         rmdir(folder_cstr) == 0);
}

static void test_start(void **state)
{
    /* The child writes into descriptor 4, which is our pipe, and sees nothing above. */
    char *arguments[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t) "echo here >&4; test ! -e /dev/fd/5 && exit 7",
                         NULL};
    int pipes[2], fds[2], status = 0;
    char text_cstr[32] = "", how_cstr[32];
    struct err err = {0};
    pid_t pid, ended;

    (void)state;
    must(pipe(pipes) == 0);
    fds[0] = fds[1] = pipes[1];
    assert_true(process_start("/bin/sh", arguments, fds, 2, &pid, &err));
    close(pipes[1]);
    must(read(pipes[0], text_cstr, sizeof text_cstr - 1) == 5);
    close(pipes[0]);
    while (!process_reap(&ended, &status))
        (void)usleep(1000);
    assert_int_equal(ended, pid);
    process_describe(status, how_cstr, sizeof how_cstr);
    assert_string_equal(how_cstr, "exit code 7");
    process_describe(9, how_cstr, sizeof how_cstr);
    assert_string_equal(how_cstr, "signal 9 (Killed)");
}

static unsigned capabilities(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    must(syscall(SYS_capget, &header, data) == 0);
    return data[0].permitted | data[0].effective | data[0].inheritable;
}

/* As a service manager starts us: some user, with ports below 1024 lent. */
static void be_lent_ports(void)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    data[0].permitted = data[0].effective = data[0].inheritable = 1U << CAP_NET_BIND_SERVICE;
    must(prctl(PR_SET_KEEPCAPS, 1) == 0 && setresuid(65534, 65534, 65534) == 0);
    must(syscall(SYS_capset, &header, data) == 0);
    must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0) == 0);
    must(capabilities() != 0);
}

static void test_drop_capabilities(void **state)
{
    struct err err = {0};
    pid_t pid;
    int status;

    (void)state;
    if (geteuid() != 0)
        skip();
    assert_true(process_drop_capabilities(&err));
    assert_int_not_equal(capabilities(), 0); /* root keeps them */
    pid = fork();
    if (pid == 0) {
        be_lent_ports();
        must(process_drop_capabilities(&err));
        _exit(capabilities() == 0 && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET,
                                           CAP_NET_BIND_SERVICE, 0, 0) == 0
                  ? 0
                  : 1);
    }
    must(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
}

static void expect_datagram(int fd, const char *start_cstr)
{
    char text_cstr[200];
    ssize_t got = recv(fd, text_cstr, sizeof text_cstr - 1, MSG_DONTWAIT);

    assert_true(got > 0);
    text_cstr[got] = 0;
    assert_int_equal(strncmp(text_cstr, start_cstr, strlen(start_cstr)), 0);
}

/* [sd_notify(3)]: a path, an abstract name, and nobody at all. */
static void test_notify(void **state)
{
    char folder[] = "/tmp/postern-notify-XXXXXX", path_cstr[64];
    const char *const names[] = {path_cstr, "@postern-os-test"};
    struct sockaddr_un address;

    (void)state;
    must(mkdtemp(folder) != NULL);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/socket", folder);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = strlen(names[i]);
        int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

        address = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(address.sun_path, names[i], len);
        if (names[i][0] == '@')
            address.sun_path[0] = 0;
        must(fd >= 0 && bind(fd, (const struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) == 0);
        must(setenv("NOTIFY_SOCKET", names[i], 1) == 0);
        process_notify("READY=1");
        expect_datagram(fd, "READY=1");
        process_notify_reloading();
        expect_datagram(fd, "RELOADING=1\nMONOTONIC_USEC=");
        close(fd);
        process_notify("READY=1"); /* nobody listens: nothing happens */
    }
    must(unsetenv("NOTIFY_SOCKET") == 0 && unlink(path_cstr) == 0 && rmdir(folder) == 0);
    process_notify("READY=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_drop_capabilities),
        cmocka_unit_test(test_notify),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
