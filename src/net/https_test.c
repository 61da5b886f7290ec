/* SPDX-License-Identifier: Apache-2.0 */
/* Against a real HTTPS server (test/kit/https_server.py) that is good, or bad in one of many ways. */
#include "net/https.h"

#include "crypto/certificate.h"
#include "kit/kit.h"
#include "kit/run.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>

enum { DAY_S = 86400, SERVERS = 5 };
static const char *const servers[SERVERS] = {"good", "expired", "wrong", "stranger", "plain"};

struct world {
    char folder_cstr[64];
    pid_t pid;
    int stdin_fd;
    uint16_t ports[SERVERS];
    struct certificate_pair authority, other_authority;
    struct loop *loop;
    struct resolver *resolver;
};

static void write_certificate(const struct world *world, const char *server_cstr,
                              const struct certificate_pair *authority, const char *name_cstr,
                              int64_t to_days)
{
    const char *names[] = {name_cstr, "both.test", NULL};
    struct certificate_wish wish = {.common_name_cstr = "server",
                                    .dns_names_cstr = names,
                                    .not_before_s = (int64_t)time(NULL) - 9 * DAY_S,
                                    .not_after_s = (int64_t)time(NULL) + to_days * DAY_S};
    struct certificate_pair pair = {0};
    char file_cstr[64];

    must(certificate_issue(authority, &wish, &pair, NULL));
    snprintf(file_cstr, sizeof file_cstr, "%s.cert", server_cstr);
    kit_write_file(world->folder_cstr, file_cstr, buffer_view(&pair.certificate_pem));
    snprintf(file_cstr, sizeof file_cstr, "%s.key", server_cstr);
    kit_write_file(world->folder_cstr, file_cstr, buffer_view(&pair.key_pem));
    certificate_pair_deinit(&pair);
}

static void start_server(struct world *world)
{
    char script_cstr[512], path_cstr[128];
    const char *source_cstr = getenv("POSTERN_SOURCE");
    int pipe_fds[2];

    snprintf(script_cstr, sizeof script_cstr, "%s/test/kit/https_server.py",
             source_cstr == NULL ? "." : source_cstr);
    must(pipe(pipe_fds) == 0);
    world->pid = fork();
    must(world->pid >= 0);
    if (world->pid == 0) {
        unsetenv("LD_PRELOAD");
        dup2(pipe_fds[0], 0);
        close(pipe_fds[1]);
        execl("/usr/bin/python3", "python3", script_cstr, world->folder_cstr, servers[0],
              servers[1], servers[2], servers[3], servers[4], (char *)NULL);
        _exit(127);
    }
    close(pipe_fds[0]);
    world->stdin_fd = pipe_fds[1];
    snprintf(path_cstr, sizeof path_cstr, "%s/ports", world->folder_cstr);
    for (int i = 0; i < 500 && access(path_cstr, R_OK) != 0; i++)
        usleep(20000);
}

static void read_ports(struct world *world)
{
    char text[512] = "";
    struct slice rest;

    rest = slice_of(
        text, kit_read_file(world->folder_cstr, "ports", (uint8_t *)text, sizeof text - 1));
    for (size_t i = 0; i < SERVERS; i++) {
        struct slice line = slice_cut(&rest, '\n');

        slice_cut(&line, ' ');
        for (size_t at = 0; at < line.len; at++)
            world->ports[i] = (uint16_t)(world->ports[i] * 10 + line.at[at] - '0');
    }
}

static int open_world(void **state)
{
    static const char *const local_data[] = {"good.test. A 127.0.0.1", "both.test. AAAA ::1",
                                             "both.test. A 127.0.0.1"};
    static struct world world;
    struct resolver_options options = {
        .local_data = local_data, .local_data_count = COUNT_OF(local_data), .timeout_ms = 3000};
    struct certificate_wish wish = {.common_name_cstr = "Test authority",
                                    .not_before_s = (int64_t)time(NULL) - DAY_S,
                                    .not_after_s = (int64_t)time(NULL) + 100 * DAY_S};

    kit_make_folder(world.folder_cstr);
    must(certificate_make_authority(&wish, &world.authority, NULL));
    must(certificate_make_authority(&wish, &world.other_authority, NULL));
    write_certificate(&world, "good", &world.authority, "good.test", 30);
    write_certificate(&world, "expired", &world.authority, "good.test", -1);
    write_certificate(&world, "wrong", &world.authority, "other.test", 30);
    write_certificate(&world, "stranger", &world.other_authority, "good.test", 30);
    start_server(&world);
    read_ports(&world);
    world.loop = loop_new();
    must(resolver_new(world.loop, &options, &world.resolver, NULL));
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    resolver_free(&world->resolver);
    loop_free(&world->loop);
    close(world->stdin_fd);
    kill(world->pid, SIGTERM);
    waitpid(world->pid, NULL, 0);
    kit_remove_folder(world->folder_cstr);
    certificate_pair_deinit(&world->authority);
    certificate_pair_deinit(&world->other_authority);
    return 0;
}

static struct https *client_of(struct world *world, size_t server, bool allow_private)
{
    struct https_options options = {.authorities_pem =
                                        buffer_view(&world->authority.certificate_pem),
                                    .allow_private = allow_private,
                                    .port = world->ports[server]};
    struct https *https = NULL;

    assert_true(https_new(world->loop, world->resolver, &options, &https, NULL));
    return https;
}

struct got {
    unsigned calls;
    struct https_answer answer;
    char body_cstr[8192];
};

static void on_answer(void *context, uint64_t ask, const struct https_answer *answer)
{
    struct got *got = context;
    size_t len = answer->body.len;

    (void)ask;
    got->calls++;
    got->answer = *answer;
    if (len > sizeof got->body_cstr - 1)
        len = sizeof got->body_cstr - 1;
    if (len > 0)
        memcpy(got->body_cstr, answer->body.at, len);
    got->body_cstr[len] = '\0';
}

static void run_until(struct loop *loop, const unsigned *calls, unsigned wanted)
{
    for (int64_t end = loop_now_ms() + 10000; *calls < wanted && loop_now_ms() < end;) {
        loop_run_once(loop);
        usleep(200);
    }
    assert_int_equal(*calls, wanted);
}

static struct got *ask(struct world *world, struct https *https,
                       const struct https_request *request)
{
    static struct got got;

    memset(&got, 0, sizeof got);
    https_ask(https, request, on_answer, &got);
    assert_int_equal(got.calls, 0);
    run_until(world->loop, &got.calls, 1);
    return &got;
}

enum { GOOD, EXPIRED, WRONG, STRANGER, PLAIN };

static void test_answers_and_refusals(void **state)
{
    static const struct {
        size_t server;
        const char *url_cstr;
        enum https_failure failure;
        unsigned status;
        const char *text_cstr; /* a part of the words, or the begin of the body */
    } cases[] = {
        {GOOD, "https://good.test/ok", HTTPS_OK, 200, "version: STSv1\n"},
        {GOOD, "HTTPS://Good.Test:4433/ok", HTTPS_OK, 200, "version: STSv1\n"},
        {GOOD, "https://both.test/ok", HTTPS_OK, 200, "version: STSv1\n"},
        {GOOD, "https://good.test/empty", HTTPS_OK, 200, ""},
        {GOOD, "https://good.test/redirect", HTTPS_REDIRECT, 302, "not followed"},
        {GOOD, "https://good.test/missing", HTTPS_STATUS, 404, "status 404"},
        {GOOD, "https://good.test/broken", HTTPS_STATUS, 500, "status 500"},
        {GOOD, "https://good.test/nocontent", HTTPS_STATUS, 204, "status 204"},
        {GOOD, "https://good.test/large", HTTPS_TOO_LARGE, 200, "longer than allowed"},
        {GOOD, "https://good.test/chunked", HTTPS_TOO_LARGE, 200, "longer than allowed"},
        {GOOD, "https://good.test/headers", HTTPS_TOO_LARGE, 200, "longer than allowed"},
        {GOOD, "https://good.test/trickle", HTTPS_TOO_SLOW, 0, "too slow"},
        {GOOD, "https://good.test/silent", HTTPS_TOO_SLOW, 0, "too slow"},
        {GOOD, "https://good.test/cut", HTTPS_PROTOCOL, 200, ""},
        {GOOD, "https://good.test/garbage", HTTPS_PROTOCOL, 0, ""},
        /* Nobody asked for it compressed: the bytes stay as they are. */
        {GOOD, "https://good.test/gzip", HTTPS_OK, 200, "\x1f\x8b\x08junk"},
        {EXPIRED, "https://good.test/ok", HTTPS_TLS, 0, "expired"},
        {WRONG, "https://good.test/ok", HTTPS_TLS, 0,
         "no alternative certificate subject name"},
        {STRANGER, "https://good.test/ok", HTTPS_TLS, 0, "certificate"},
        {PLAIN, "https://good.test/ok", HTTPS_TLS, 0, ""},
        {GOOD, "https://absent.test/ok", HTTPS_DNS, 0, "does not exist"},
        {GOOD, "http://good.test/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "ftp://good.test/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "file:///etc/passwd", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "good.test/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://127.0.0.1/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://[::1]/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://2130706433/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://user:secret@good.test/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://good.test@evil.test/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://good.test:0/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://good.test:99999/ok", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://good.test/o k", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "https://good.test/ok\r\nX: y", HTTPS_URL, 0, "not an https URL"},
        {GOOD, "", HTTPS_URL, 0, "not an https URL"},
    };
    struct world *world = *state;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct https *https = client_of(world, cases[i].server, true);
        struct https_request request = {
            .url_cstr = cases[i].url_cstr, .max_bytes = 65536, .timeout_ms = 1000};
        struct got *got = ask(world, https, &request);
        bool told = got->answer.failure == HTTPS_OK
                        ? strcmp(got->body_cstr, cases[i].text_cstr) == 0
                        : strstr(got->answer.text_cstr, cases[i].text_cstr) != NULL &&
                              got->answer.text_cstr[0] != '\0';

        if (got->answer.failure != cases[i].failure || got->answer.status != cases[i].status ||
            !told)
            fail_msg("%zu %s: %s, status %u, \"%s\", \"%.80s\"", cases[i].server,
                     cases[i].url_cstr, https_failure_name(got->answer.failure),
                     got->answer.status, got->answer.text_cstr, got->body_cstr);
        https_free(&https);
    }
}

static void test_what_is_sent(void **state)
{
    struct world *world = *state;
    struct https *https = client_of(world, GOOD, true);
    struct https_request request = {.url_cstr = "https://good.test/head", .max_bytes = 65536};
    struct got *got;

    setenv("https_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    got = ask(world, https, &request);
    assert_int_equal(got->answer.failure, HTTPS_OK);
    assert_memory_equal(got->body_cstr, "GET /head HTTP/1.1\r\n", 20);
    assert_non_null(strstr(got->body_cstr, "Host: good.test\r\n"));
    assert_null(strstr(got->body_cstr, "Accept-Encoding"));
    request.url_cstr = "https://good.test/cookie";
    ask(world, https, &request);
    got = ask(world, https, &request);
    assert_null(strstr(got->body_cstr, "Cookie"));
    request.url_cstr = "https://good.test/ok";
    got = ask(world, https, &request);
    assert_string_equal(got->answer.content_type_cstr, "text/plain; charset=us-ascii");
    request = (struct https_request){.url_cstr = "https://good.test/post",
                                     .max_bytes = 65536,
                                     .content_type_cstr = "application/tlsrpt+gzip",
                                     .post = S("a\0b\r\nc")};
    got = ask(world, https, &request);
    assert_int_equal(got->answer.failure, HTTPS_OK);
    assert_int_equal(got->answer.status, 201);
    assert_memory_equal(got->body_cstr, "POST /post HTTP/1.1\r\n", 21);
    assert_non_null(strstr(got->body_cstr, "Content-Type: application/tlsrpt+gzip\r\n"));
    assert_null(strstr(got->body_cstr, "Expect"));
    assert_memory_equal(strstr(got->body_cstr, "\n--\n") + 4, "a\0b\r\nc", 6);
    request.post = S("");
    got = ask(world, https, &request);
    assert_int_equal(got->answer.failure, HTTPS_OK);
    unsetenv("https_proxy");
    unsetenv("ALL_PROXY");
    https_free(&https);
}

static void test_own_network_is_out_of_reach(void **state)
{
    struct world *world = *state;
    struct https *https = client_of(world, GOOD, false);
    struct https_request request = {.url_cstr = "https://good.test/ok", .max_bytes = 65536};
    struct got *got = ask(world, https, &request);

    assert_int_equal(got->answer.failure, HTTPS_ADDRESS);
    https_free(&https);
}

static void test_nobody_there(void **state)
{
    struct world *world = *state;
    uint16_t port = world->ports[GOOD];
    struct https_request request = {.url_cstr = "https://good.test/ok", .max_bytes = 65536};
    struct https *https;
    struct got *got;

    world->ports[GOOD] = 1;
    https = client_of(world, GOOD, true);
    world->ports[GOOD] = port;
    got = ask(world, https, &request);
    assert_int_equal(got->answer.failure, HTTPS_CONNECT);
    https_free(&https);
}

static size_t count_tasks(void)
{
    DIR *folder = opendir("/proc/self/task");
    size_t count = 0;

    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* Many at once, some taken back in every state, some left open at the end; and never a thread. */
static void test_many_cancelled_and_left(void **state)
{
    enum { MANY = 24 };
    struct world *world = *state;
    struct https *https = client_of(world, GOOD, true);
    struct https_request request = {.url_cstr = "https://good.test/ok", .max_bytes = 65536};
    static struct got got, taken_back[MANY];
    uint64_t asks[MANY];
    unsigned calls[MANY] = {0};
    size_t tasks = count_tasks();

    memset(&got, 0, sizeof got);
    for (size_t i = 0; i < MANY; i++)
        asks[i] = https_ask(https, &request, on_answer, i % 2 == 0 ? &got : &taken_back[i]);
    for (size_t i = 1; i < MANY; i += 2) {
        for (size_t turns = 0; turns < i; turns++)
            loop_run_once(world->loop);
        https_cancel(https, asks[i]);
        https_cancel(https, asks[i]);
        calls[i] = taken_back[i].calls;
        assert_int_equal(count_tasks(), tasks);
    }
    run_until(world->loop, &got.calls, MANY / 2);
    assert_int_equal(got.answer.failure, HTTPS_OK);
    for (size_t i = 1; i < MANY; i += 2)
        assert_int_equal(taken_back[i].calls, calls[i]);
    request.url_cstr = "https://good.test/silent";
    https_ask(https, &request, on_answer, &got);
    for (int i = 0; i < 20; i++)
        loop_run_once(world->loop);
    https_ask(https, &request, on_answer, &got);
    assert_int_equal(count_tasks(), tasks);
    https_free(&https);
    assert_null(https);
}

static void test_authorities_are_needed(void **state)
{
    struct world *world = *state;
    struct https_options options = {.allow_private = true};
    struct https *https = NULL;
    struct err err;

    assert_false(https_new(world->loop, world->resolver, &options, &https, &err));
    assert_int_equal(err.class, ERR_PERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers_and_refusals),
        cmocka_unit_test(test_what_is_sent),
        cmocka_unit_test(test_own_network_is_out_of_reach),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_many_cancelled_and_left),
        cmocka_unit_test(test_authorities_are_needed),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
