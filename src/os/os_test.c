/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "os/bind.h"
#include "os/process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_listen),
        cmocka_unit_test(test_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
