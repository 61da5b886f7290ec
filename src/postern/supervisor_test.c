/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The supervisor with roles that do nothing: this program is its own role program. Roles write their
 * process id into STATE/NAME, so that the test can kill them and see who follows.
 */
#include "kit/kit.h"

#include "os/loop.h"
#include "postern/commands.h"
#include "postern/supervisor.h"
#include "role/role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder_cstr[] = "/tmp/postern-supervisor-XXXXXX";

/* ---- the role ---- */

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    char path_cstr[256];
    FILE *file;

    if (role->settings->hold_all && role->kind == ROLE_COURIER)
        return FAIL(err, ERR_PERM, "no");
    if (role->kind == ROLE_KEEPER && is_first)
        role_set_certificate(role, S("certificate"));
    else if (!slice_equal(role->certificate, S("certificate")))
        return FAIL(err, ERR_PERM, "no certificate");
    if (!is_first)
        return true;
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s.pid", role->settings->state_dir_cstr,
                   role_name(role->kind));
    file = fopen(path_cstr, "w");
    must(file != NULL && fprintf(file, "%d\n", (int)getpid()) > 0 && fclose(file) == 0);
    return true;
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    (void)context;
    (void)channel;
    (void)type;
    (void)message;
}

/* The keeper holds the channels: closing them is losing the keeper. */
static void on_attach(struct role *role, enum ipc_role kind, unsigned index, int fd)
{
    (void)role;
    (void)kind;
    (void)index;
    (void)fd;
}

static const struct role_hooks hooks = {.on_configure = on_configure,
                                        .on_keeper_message = on_keeper_message,
                                        .on_drain = role_finished,
                                        .on_attach = on_attach};

/* ---- the test ---- */

static pid_t supervisor;

static void write_settings(const char *more_cstr)
{
    FILE *file = fopen("p.conf", "w");

    must(file != NULL &&
         fprintf(file,
                 "hostname = \"a.test\"\nstate = \"state\"\nmaster_key = \"m\"\n"
                 "trusted_roots = \"\"\nrun_as = \"root\"\nlog_level = error\n"
                 "smtpd_processes = 1\ncourier_processes = 1\nscribe_processes = 1\n%s\n",
                 more_cstr) > 0 &&
         fclose(file) == 0);
}

static void begin(const char *more_cstr)
{
    write_settings(more_cstr);
    supervisor = fork();
    must(supervisor >= 0);
    if (supervisor == 0) {
        int code = supervisor_run("p.conf", "/proc/self/exe");

        _exit(code);
    }
}

static int finish(int number)
{
    int status = 0;

    if (number != 0)
        must(kill(supervisor, number) == 0);
    must(waitpid(supervisor, &status, 0) == supervisor);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

/* The role's process id, once it is another one than `not_this`. */
static pid_t wait_for(const char *name_cstr, pid_t not_this)
{
    int64_t limit_ms = loop_now_ms() + 20000;
    char path_cstr[64], text_cstr[16];
    uint64_t pid;

    (void)snprintf(path_cstr, sizeof path_cstr, "state/%s.pid", name_cstr);
    while (loop_now_ms() < limit_ms) {
        FILE *file = fopen(path_cstr, "r");
        bool got = file != NULL && fgets(text_cstr, sizeof text_cstr, file) != NULL;

        if (file != NULL)
            (void)fclose(file);
        if (got && slice_parse_u64(slice_trim(slice_from_cstr(text_cstr)), &pid) &&
            (pid_t)pid != not_this)
            return (pid_t)pid;
        (void)usleep(5000);
    }
    fail_msg("%s did not come", name_cstr);
    return 0;
}

static const char *const names[] = {"keeper", "scribe", "courier", "smtpd", "office", "scout"};

static void test_restarts_the_dead(void **state)
{
    pid_t keeper, pids[COUNT_OF(names)];

    (void)state;
    begin("");
    for (size_t i = 0; i < COUNT_OF(names); i++)
        pids[i] = wait_for(names[i], 0);
    for (size_t i = 1; i < COUNT_OF(names); i++) {
        must(kill(pids[i], SIGKILL) == 0);
        pids[i] = wait_for(names[i], pids[i]);
    }
    keeper = wait_for("keeper", 0);
    assert_int_equal(keeper, pids[0]);
    /* Without the keeper everybody starts anew. */
    must(kill(keeper, SIGKILL) == 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        pids[i] = wait_for(names[i], pids[i]);
    assert_int_equal(finish(SIGTERM), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_int_equal(kill(pids[i], 0), -1);
    assert_int_equal(access("state/control.sock", F_OK), -1);
}

static void test_reloads(void **state)
{
    pid_t courier;

    (void)state;
    begin("");
    courier = wait_for("courier", 0);
    (void)wait_for("office", 0);
    write_settings("nonsense = 1");
    must(kill(supervisor, SIGHUP) == 0);
    (void)usleep(100000);
    write_settings("story_keep = 5d");
    must(kill(supervisor, SIGHUP) == 0);
    (void)usleep(100000);
    assert_int_equal(wait_for("courier", 0), courier); /* nobody was restarted */
    assert_int_equal(finish(SIGINT), 0);
}

static void expect_word(int fd, const char *start_cstr, const char *inside_cstr)
{
    char text_cstr[300];
    ssize_t got = recv(fd, text_cstr, sizeof text_cstr - 1, 0);

    assert_true(got > 0);
    text_cstr[got] = 0;
    assert_ptr_equal(strstr(text_cstr, start_cstr), text_cstr);
    assert_non_null(strstr(text_cstr, inside_cstr));
}

/* What a service manager is told [sd_notify(3)]. */
static void test_tells_the_service_manager(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "notify"};
    struct timeval limit = {.tv_sec = 20};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    (void)state;
    must(fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0);
    must(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    must(setenv("NOTIFY_SOCKET", address.sun_path, 1) == 0);
    begin("");
    must(unsetenv("NOTIFY_SOCKET") == 0);
    expect_word(fd, "READY=1\n", "STATUS=Serving");
    write_settings("nonsense = 1");
    must(kill(supervisor, SIGHUP) == 0);
    expect_word(fd, "RELOADING=1\n", "MONOTONIC_USEC=");
    expect_word(fd, "READY=1\n", "refused");
    write_settings("");
    must(kill(supervisor, SIGHUP) == 0);
    expect_word(fd, "RELOADING=1\n", "MONOTONIC_USEC=");
    expect_word(fd, "READY=1\n", "STATUS=Serving");
    assert_int_equal(finish(SIGTERM), 0);
    expect_word(fd, "STOPPING=1", "");
    close(fd);
    must(unlink(address.sun_path) == 0);
}

static void test_says_when_it_cannot_start(void **state)
{
    (void)state;
    begin("hold_all = yes"); /* the courier refuses */
    assert_int_equal(finish(0), 1);
    begin("nonsense = 1");
    assert_int_equal(finish(0), EXIT_SETTINGS);
    begin(
        "tls_certificate = \"p.conf\" tls_key = \"p.conf\" # -----BEGIN "); /* no certificate */
    assert_int_equal(finish(0), EXIT_SETTINGS);
}

static int set_up(void **state)
{
    FILE *file;

    (void)state;
    must(mkdtemp(folder_cstr) != NULL && chdir(folder_cstr) == 0);
    file = fopen("m", "w");
    must(file != NULL &&
         fputs("postern-master-key-1 1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", file) >=
             0 &&
         fchmod(fileno(file), 0600) == 0 && fclose(file) == 0);
    return 0;
}

static int forget(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path_cstr[64];

        (void)snprintf(path_cstr, sizeof path_cstr, "state/%s.pid", names[i]);
        (void)unlink(path_cstr);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)forget(state);
    must(unlink("m") == 0 && unlink("p.conf") == 0 && unlink("state/lock") == 0 &&
         rmdir("state/queue") == 0 && rmdir("state/portal") == 0 && rmdir("state") == 0 &&
         chdir("/") == 0 && rmdir(folder_cstr) == 0);
    return 0;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_restarts_the_dead, forget),
        cmocka_unit_test_teardown(test_reloads, forget),
        cmocka_unit_test_teardown(test_tells_the_service_manager, forget),
        cmocka_unit_test_teardown(test_says_when_it_cannot_start, forget),
    };

    if (argc == 4 && strcmp(argv[1], "role") == 0)
        return role_run(role_parse(slice_from_cstr(argv[2])), 0, &hooks, NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
