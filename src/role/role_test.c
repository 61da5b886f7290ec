/* SPDX-License-Identifier: Apache-2.0 */
/* A role in a process of its own; the test plays supervisor and keeper. */
#include "kit/kit.h"

#include "os/process.h"
#include "os/sanitized.h"
#include "role/role.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char settings_cstr[] = "state = \"/tmp/postern-role-test\"\nmaster_key = \"/m\"\n"
                                    "hostname = \"a.test\"\ntls_key = \"/k.pem\"\n";

/* ---- the role: answers each `sign` of the keeper with what it finds it can do ---- */

static bool on_configure(struct role *role, bool is_first, struct err *err)
{
    if (is_first && role->certificate.len != 3)
        return FAIL(err, ERR_PERM, "no certificate came");
    if (role->settings->hold_all)
        return FAIL(err, ERR_PERM, "this role does not like hold_all");
    return role->settings->tls_key.bytes.len == 3 || FAIL(err, ERR_PERM, "no key file came");
}

static bool can_make_internet_socket(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static bool can_read(const char *path_cstr)
{
    int fd = open(path_cstr, O_RDONLY);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

static void on_keeper_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                              const union ipc_any *message)
{
    struct role *role = context;
    struct ipc_signature answer = {.ask = message->sign.ask};

    must(type == IPC_SIGN && channel == role->keeper);
    answer.ok = !can_make_internet_socket();
    answer.text = can_read("/etc/passwd") ? S("reads") : S("reads not");
    must(ipc_send(role->keeper, IPC_SIGNATURE, &answer));
}

static void on_drain(struct role *role)
{
    role_finished(role);
}

static void on_keeper_lost(struct role *role)
{
    (void)role;
}

static const struct role_hooks hooks = {.on_configure = on_configure,
                                        .on_keeper_message = on_keeper_message,
                                        .on_drain = on_drain,
                                        .on_keeper_lost = on_keeper_lost};

/* ---- the test's side ---- */

struct heard {
    bool is_ready, ready_ok, is_closed, has_answer, answer_ok;
    char problem_cstr[256], text_cstr[32];
};

struct stage {
    struct loop *loop;
    struct ipc_channel *role, *keeper; /* our ends */
    pid_t pid;
    struct heard heard;
};

static void on_message(void *context, struct ipc_channel *channel, enum ipc_type type,
                       const union ipc_any *message)
{
    struct stage *stage = context;

    (void)channel;
    if (type == IPC_READY) {
        stage->heard.is_ready = true;
        stage->heard.ready_ok = message->ready.ok;
        must(slice_to_cstr(message->ready.problem, stage->heard.problem_cstr,
                           sizeof stage->heard.problem_cstr));
    } else if (type == IPC_SIGNATURE) {
        stage->heard.has_answer = true;
        stage->heard.answer_ok = message->signature.ok;
        must(slice_to_cstr(message->signature.text, stage->heard.text_cstr,
                           sizeof stage->heard.text_cstr));
    }
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    struct stage *stage = context;

    (void)why;
    if (channel == stage->role)
        stage->heard.is_closed = true;
}

static void run_until(struct stage *stage, const bool *condition)
{
    int64_t limit_ms = loop_now_ms() + 10000;

    while (!*condition && loop_now_ms() < limit_ms) {
        loop_run_once(stage->loop);
        (void)usleep(1000);
    }
    must(*condition);
}

static void set_up(struct stage *stage, enum ipc_role kind)
{
    int supervisor[2], keeper[2];
    struct err err;

    *stage = (struct stage){0};
    must(process_socket_pair(supervisor, &err) && process_socket_pair(keeper, &err));
    stage->pid = fork();
    must(stage->pid >= 0);
    if (stage->pid == 0) {
        int high[2] = {fcntl(supervisor[1], F_DUPFD, 50), fcntl(keeper[1], F_DUPFD, 50)};

        must(dup2(high[0], ROLE_FD_SUPERVISOR) >= 0 && dup2(high[1], ROLE_FD_KEEPER) >= 0);
        (void)close_range(5, ~0U, 0);
        _exit(role_run(kind, 0, &hooks, NULL));
    }
    close(supervisor[1]);
    close(keeper[1]);
    stage->loop = loop_new();
    stage->role = ipc_channel_new(stage->loop, supervisor[0], on_message, on_closed, stage);
    stage->keeper = ipc_channel_new(stage->loop, keeper[0], on_message, on_closed, stage);
}

static int tear_down(struct stage *stage)
{
    int status = 0;

    must(waitpid(stage->pid, &status, 0) == stage->pid);
    ipc_channel_free(&stage->role);
    ipc_channel_free(&stage->keeper);
    loop_free(&stage->loop);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static void configure(struct stage *stage, const char *more_cstr, bool with_file)
{
    struct ipc_configure message = {.path = S("/p.conf"), .certificate = S("DER")};
    struct ipc_file file = {S("/k.pem"), S("PEM")};
    struct buffer text, files;

    buffer_init(&text, 4096);
    buffer_init(&files, 4096);
    must(buffer_append_format(&text, "%s%s", settings_cstr, more_cstr));
    must(!with_file || ipc_list_append(&files, IPC_FILE, &file));
    message.text = buffer_view(&text);
    message.files = buffer_view(&files);
    stage->heard.is_ready = false;
    must(ipc_send(stage->role, IPC_CONFIGURE, &message));
    buffer_deinit(&text);
    buffer_deinit(&files);
    run_until(stage, &stage->heard.is_ready);
}

static void test_serves_and_drains(void **state)
{
    struct ipc_drain drain = {.limit_ms = 5000};
    struct stage stage;

    (void)state;
    set_up(&stage, ROLE_SCRIBE);
    configure(&stage, "", true);
    assert_true(stage.heard.ready_ok);
    /* A reload that the role refuses, one that cannot be parsed, and a good one. */
    configure(&stage, "hold_all = yes\n", true);
    assert_false(stage.heard.ready_ok);
    assert_non_null(strstr(stage.heard.problem_cstr, "does not like"));
    configure(&stage, "nonsense = yes\n", true);
    assert_false(stage.heard.ready_ok);
    assert_non_null(strstr(stage.heard.problem_cstr, "/p.conf:5: unknown setting"));
    configure(&stage, "story_keep = 4d\n", true);
    assert_true(stage.heard.ready_ok);
    must(ipc_send(stage.role, IPC_DRAIN, &drain));
    run_until(&stage, &stage.heard.is_closed);
    assert_int_equal(tear_down(&stage), 0);
}

static void test_is_confined(void **state)
{
    struct ipc_sign sign = {.ask = 1};
    struct stage stage;

    (void)state;
    set_up(&stage, ROLE_SCRIBE);
    configure(&stage, "", true);
    must(ipc_send(stage.keeper, IPC_SIGN, &sign));
    run_until(&stage, &stage.heard.has_answer);
    assert_true(stage.heard.answer_ok); /* no internet socket */
    if (!IS_SANITIZED && syscall(SYS_landlock_create_ruleset, NULL, 0, 1) >= 1)
        assert_string_equal(stage.heard.text_cstr, "reads not");
    ipc_channel_free(&stage.role);
    assert_int_equal(tear_down(&stage), 1);
}

static void test_ends_without_keeper(void **state)
{
    struct stage stage;

    (void)state;
    set_up(&stage, ROLE_OFFICE);
    configure(&stage, "", true);
    ipc_channel_free(&stage.keeper);
    run_until(&stage, &stage.heard.is_closed);
    assert_int_equal(tear_down(&stage), 3);
}

static void test_ends_when_first_configure_fails(void **state)
{
    struct stage stage;

    (void)state;
    set_up(&stage, ROLE_SCRIBE);
    configure(&stage, "", false);
    assert_false(stage.heard.ready_ok);
    assert_string_equal(stage.heard.problem_cstr, "no key file came");
    run_until(&stage, &stage.heard.is_closed);
    assert_int_equal(tear_down(&stage), 1);
}

static void test_names_and_makers(void **state)
{
    bool used[64] = {false};
    static const unsigned most[ROLE_COUNT] = {
        [ROLE_KEEPER] = 1,  [ROLE_SMTPD] = 24, [ROLE_COURIER] = 14,
        [ROLE_SCRIBE] = 16, [ROLE_PORTAL] = 8, [ROLE_OFFICE] = 1};

    (void)state;
    assert_int_equal(role_parse(S("portal")), ROLE_PORTAL);
    assert_int_equal(role_parse(S("supervisor")), ROLE_COUNT);
    assert_int_equal(role_parse(S("nobody")), ROLE_COUNT);
    for (enum ipc_role kind = ROLE_KEEPER; kind < ROLE_COUNT; kind++) {
        for (unsigned i = 0; i < most[kind]; i++) {
            struct role role = {.kind = kind, .index = i};

            assert_false(used[role_id_maker(&role)]);
            used[role_id_maker(&role)] = true;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_serves_and_drains),
        cmocka_unit_test(test_is_confined),
        cmocka_unit_test(test_ends_without_keeper),
        cmocka_unit_test(test_ends_when_first_configure_fails),
        cmocka_unit_test(test_names_and_makers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
