/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/server.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A small application: says what it got, sometimes later, sometimes piece by piece. */
struct app {
    struct loop *loop;
    struct httpd *httpd;
    struct loop_timer *later;
    uint64_t waiting;
    struct buffer got;
    unsigned heads, gone;
    uint64_t streamed;
};

static bool on_field(void *context, struct slice name, struct slice value, struct err *err)
{
    struct app *app = context;

    (void)err;
    return buffer_append_format(&app->got, "%.*s=%.*s;", SLICE_ARGS(name), SLICE_ARGS(value));
}

static void on_head(void *context, struct httpd_request *request)
{
    static const struct form_limits limits = {3, 100, 0, 0};
    struct app *app = context;
    const struct form_handler handler = {app, on_field, NULL, NULL, NULL};

    app->heads++;
    buffer_clear(&app->got);
    if (httpd_method(request) == HTTPD_POST)
        httpd_expect_form(request, &limits, &handler);
    if (slice_equal(httpd_path(request), S("/held"))) {
        httpd_hold(request);
        app->waiting = httpd_request_id(request);
        loop_timer_set(app->later, 20);
    }
}

static size_t read_source(void *context, uint8_t *at, size_t max)
{
    struct app *app = context;

    if (app->streamed == 0)
        return 0;
    if (max > 1000)
        max = 1000;
    if (max > app->streamed)
        max = app->streamed;
    memset(at, 's', max);
    app->streamed -= max;
    return max;
}

static void close_source(void *context)
{
    ((struct app *)context)->streamed = 0;
}

static void answer(struct app *app, struct httpd_request *request)
{
    struct httpd_answer head = {200, HTTPD_PAGE, "text/plain", {{"X-App", "yes"}}};
    struct buffer body;

    buffer_init(&body, 1000);
    assert_true(buffer_append(&body, S("[")));
    assert_true(buffer_append(&body, httpd_path(request)));
    assert_true(buffer_append(&body, S("]")));
    if (slice_equal(httpd_path(request), S("/other")))
        assert_true(buffer_append(
            &body, httpd_other_host(request).len > 0 ? httpd_other_host(request) : S("none")));
    assert_true(buffer_append(&body, buffer_view(&app->got)));
    if (httpd_form_err(request)->class != ERR_NONE)
        head.status = 422;
    httpd_answer_bytes(request, &head, &body);
}

static void on_request(void *context, struct httpd_request *request)
{
    struct app *app = context;
    static const struct httpd_answer head = {200, HTTPD_FILE, "text/plain", {{NULL, NULL}}};

    if (slice_equal(httpd_path(request), S("/later"))) {
        app->waiting = httpd_request_id(request);
        loop_timer_set(app->later, 20);
    } else if (slice_equal(httpd_path(request), S("/stream"))) {
        const struct httpd_source source = {100000, read_source, close_source, app};

        app->streamed = 100000;
        httpd_answer_source(request, &head, &source);
    } else
        answer(app, request);
}

static void on_later(void *context)
{
    struct app *app = context;
    struct httpd_request *request = httpd_find(app->httpd, app->waiting);

    if (request == NULL)
        return;
    if (slice_equal(httpd_path(request), S("/held")))
        httpd_release(request);
    else
        answer(app, request);
}

static void on_gone(void *context, struct httpd_request *request)
{
    (void)request;
    ((struct app *)context)->gone++;
}

static int listen_somewhere(struct sockaddr_in *address_out)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address_out, &len), 0);
    return fd;
}

/* Send `text`, collect what comes until the server closes or `enough` bytes are there. */
static void talk(struct app *app, const struct sockaddr_in *address, struct slice text,
                 size_t enough, struct buffer *out)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int64_t until_ms = loop_now_ms() + 5000;

    assert_int_equal(connect(fd, (const struct sockaddr *)address, sizeof *address), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(send(fd, text.at, text.len, 0), (ssize_t)text.len);
    buffer_clear(out);
    while (loop_now_ms() < until_ms && buffer_len(out) < enough) {
        uint8_t *at = buffer_reserve(out, 4096);
        ssize_t len;

        loop_run_once(app->loop);
        assert_non_null(at);
        len = recv(fd, at, 4096, 0);
        if (len == 0)
            break;
        if (len > 0)
            buffer_commit(out, (size_t)len);
        else
            usleep(500);
    }
    close(fd);
    for (int i = 0; i < 5; i++)
        loop_run_once(app->loop);
}

#define HOST "Host: p.test\r\n"
#define CLOSE "Connection: close\r\n\r\n"
#define FORM "Content-Type: application/x-www-form-urlencoded\r\n"

static const struct {
    struct slice text;
    const char *status_cstr; /* "" = closed without an answer */
    const char *has_cstr;    /* NULL = whatever */
} talks[] = {
    {SLICE_INIT("GET /a%2Fb?q=1 HTTP/1.1\r\n" HOST CLOSE), "200", "\r\n\r\n[/a%2Fb]"},
    {SLICE_INIT("GET /x HTTP/1.1\r\n" HOST CLOSE), "200", "X-App: yes"},
    {SLICE_INIT("GET /x HTTP/1.1\r\n" HOST CLOSE), "200", "X-Frame-Options: DENY"},
    {SLICE_INIT("GET /later HTTP/1.1\r\n" HOST CLOSE), "200", "[/later]"},
    {SLICE_INIT("HEAD /x HTTP/1.1\r\n" HOST CLOSE), "200", "Content-Length: 4\r\n"},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM "Content-Length: 7\r\n" CLOSE "a=1&b=2"),
     "200", "[/f]a=1;b=2;"},
    {SLICE_INIT("POST /held HTTP/1.1\r\n" HOST FORM "Content-Length: 7\r\n" CLOSE "a=1&b=2"),
     "200", "[/held]a=1;b=2;"},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST "Content-Length: 7\r\n" CLOSE "a=1&b=2"), "422",
     NULL},
    {SLICE_INIT("GET /stream HTTP/1.1\r\n" HOST CLOSE), "200", "Content-Length: 100000\r\n"},
    {SLICE_INIT("GET /x HTTP/1.0\r\n" HOST "\r\n"), "200", NULL},
    /* refused by this wing */
    {SLICE_INIT("GET / HTTP/1.1\r\nHost: evil.test\r\n" CLOSE), "421", "nosniff"},
    {SLICE_INIT("GET / HTTP/1.1\r\n" HOST HOST CLOSE), "400", NULL},
    {SLICE_INIT("GET / HTTP/1.0\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET / HTTP/1.1\r\nHost : p.test\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET /other HTTP/1.1\r\nHost: other.test:8443\r\n" CLOSE), "200", "other.test"},
    {SLICE_INIT("GET /other HTTP/1.1\r\nHost: other.test.p.test\r\n" CLOSE), "421", NULL},
    {SLICE_INIT("GET /other HTTP/1.1\r\nHost: \r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET /other HTTP/1.1\r\n" HOST CLOSE), "200", "none"},
    {SLICE_INIT("GET / HTTP/1.1\r\n" HOST "X: a\x01\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET / HTTP/1.1\r\n" HOST "X: a\r\n  folded\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("GET /\x01 HTTP/1.1\r\n" HOST CLOSE), "400", NULL},
    {SLICE_INIT("PUT / HTTP/1.1\r\n" HOST "Content-Length: 1\r\n" CLOSE "a"), "405",
     "Allow: GET"},
    {SLICE_INIT("TRACE / HTTP/1.1\r\n" HOST CLOSE), "405", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM
                "Content-Length: 7\r\nContent-Length: 6\r\n" CLOSE "a=1&b=2"),
     "400", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM
                "Content-Length: 7\r\nTransfer-Encoding: chunked\r\n" CLOSE
                "2\r\na=\r\n0\r\n\r\n"),
     "400", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM "Transfer-Encoding: chunked\r\n" CLOSE
                "2\r\na=\r\n0\r\n\r\n"),
     "411", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM CLOSE), "411", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM "Content-Length: 1001\r\n" CLOSE), "413",
     NULL},
    /* refused by the library */
    {SLICE_INIT("GET / HTTP/1.1\r\n" CLOSE), "400", NULL},
    {SLICE_INIT("POST /f HTTP/1.1\r\n" HOST FORM "Content-Length: +7\r\n" CLOSE "a=1&b=2"),
     "400", NULL},
    {SLICE_INIT("GET / HTTP/2.0\r\n" HOST CLOSE), "505", NULL},
    {SLICE_INIT("GET / HTTP/1.9\r\n" HOST CLOSE), "505", NULL},
    {SLICE_INIT("GET /a b HTTP/1.1\r\n" HOST CLOSE), "", NULL},
};

struct bench {
    struct app app;
    struct sockaddr_in address;
    struct buffer out;
};

static bool serves_other(void *context, struct slice host)
{
    assert_non_null(context);
    return slice_equal(host, S("other.test"));
}

static int set_up(void **state)
{
    static struct bench bench;
    struct httpd_options options = {.host = SLICE_INIT("p.test"),
                                    .serves_host = serves_other,
                                    .host_context = &bench,
                                    .body_max_bytes = 1000,
                                    .connections_per_network = 3,
                                    .is_plain = true,
                                    .handler = {&bench.app, on_head, on_request, on_gone}};
    struct err err = {0};

    bench = (struct bench){.app = {.loop = loop_new()}};
    buffer_init(&bench.app.got, 1000);
    buffer_init(&bench.out, 1 << 20);
    bench.app.later = loop_timer_new(bench.app.loop, on_later, &bench.app);
    options.loop = bench.app.loop;
    options.listen_fd = listen_somewhere(&bench.address);
    assert_true(httpd_open(&options, &bench.app.httpd, &err));
    close(options.listen_fd);
    *state = &bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;

    httpd_close(&bench->app.httpd);
    loop_timer_free(&bench->app.later);
    loop_free(&bench->app.loop);
    buffer_deinit(&bench->app.got);
    buffer_deinit(&bench->out);
    return 0;
}

static void test_conversations(void **state)
{
    struct bench *bench = *state;

    for (size_t i = 0; i < COUNT_OF(talks); i++) {
        struct slice out;
        struct slice status;

        talk(&bench->app, &bench->address, talks[i].text, SIZE_MAX, &bench->out);
        out = buffer_view(&bench->out);
        status = slice_head(slice_from(out, 9), 3);
        if (!slice_equal(status, slice_from_cstr(talks[i].status_cstr)))
            fail_msg("talk %zu: %.*s", i, SLICE_ARGS(out));
        if (talks[i].has_cstr != NULL &&
            slice_find_nocase(out, slice_from_cstr(talks[i].has_cstr)) == out.len)
            fail_msg("talk %zu lacks %s: %.*s", i, talks[i].has_cstr, SLICE_ARGS(out));
        assert_true(out.len == 0 || slice_find_nocase(out, S("\r\nServer:")) == out.len);
    }
    assert_int_equal(httpd_connection_count(bench->app.httpd), 0);
    assert_true(bench->app.heads > 0 && bench->app.gone >= bench->app.heads);
}

static void test_a_stream_is_whole(void **state)
{
    struct bench *bench = *state;
    struct slice out;

    talk(&bench->app, &bench->address, S("GET /stream HTTP/1.1\r\n" HOST CLOSE), SIZE_MAX,
         &bench->out);
    out = buffer_view(&bench->out);
    out = slice_from(out, slice_find_nocase(out, S("\r\n\r\n")) + 4);
    assert_int_equal(out.len, 100000);
    assert_int_equal(slice_find_byte(out, 'x'), out.len);
}

static void test_one_connection_serves_many(void **state)
{
    struct bench *bench = *state;
    unsigned count = 0;

    talk(&bench->app, &bench->address,
         S("GET /1 HTTP/1.1\r\n" HOST "\r\nPOST /2 HTTP/1.1\r\n" HOST FORM
           "Content-Length: 3\r\n\r\na=1GET /3 HTTP/1.1\r\n" HOST CLOSE),
         SIZE_MAX, &bench->out);
    for (struct slice rest = buffer_view(&bench->out); rest.len > 0; count++) {
        size_t at = slice_find_nocase(rest, S("HTTP/1.1 200"));

        if (at == rest.len)
            break;
        rest = slice_from(rest, at + 1);
    }
    assert_int_equal(count, 3);
}

static void test_waiting_requests_survive_nobody(void **state)
{
    struct bench *bench = *state;

    /* The client goes away while its answer is waited for. */
    talk(&bench->app, &bench->address, S("GET /later HTTP/1.1\r\n" HOST CLOSE), 0, &bench->out);
    for (int i = 0; i < 100; i++) {
        loop_run_once(bench->app.loop);
        usleep(500);
    }
    /* And one is still waiting when the server ends: tear_down answers it. */
    talk(&bench->app, &bench->address, S("GET /later HTTP/1.1\r\n" HOST CLOSE), 0, &bench->out);
}

static void test_one_network_cannot_take_all(void **state)
{
    struct bench *bench = *state;
    int fds[4];

    for (size_t i = 0; i < COUNT_OF(fds); i++) {
        fds[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(
            connect(fds[i], (struct sockaddr *)&bench->address, sizeof bench->address), 0);
        for (int j = 0; j < 5; j++)
            loop_run_once(bench->app.loop);
    }
    assert_int_equal(httpd_connection_count(bench->app.httpd), 3);
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        close(fds[i]);
}

/* Send on an open connection and collect the answer. */
static bool is_served(struct bench *bench, int fd, struct slice text)
{
    char bytes[4096];
    ssize_t len = 0;

    assert_int_equal(send(fd, text.at, text.len, 0), (ssize_t)text.len);
    for (int i = 0; i < 400 && len <= 0; i++) {
        loop_run_once(bench->app.loop);
        len = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (len <= 0)
            usleep(500);
    }
    return len > 12 && slice_equal(slice_of(bytes + 9, 3), S("200"));
}

static void test_a_new_certificate_drops_nobody(void **state)
{
    struct bench *bench = *state;
    const struct slice request = S("GET /x HTTP/1.1\r\n" HOST "\r\n");
    int before = socket(AF_INET, SOCK_STREAM, 0), after = socket(AF_INET, SOCK_STREAM, 0);
    struct err err = {0};

    assert_int_equal(connect(before, (struct sockaddr *)&bench->address, sizeof bench->address),
                     0);
    assert_true(is_served(bench, before, request));
    assert_true(httpd_change_certificate(bench->app.httpd, S(""), S(""), &err));
    assert_int_equal(connect(after, (struct sockaddr *)&bench->address, sizeof bench->address),
                     0);
    assert_true(is_served(bench, after, request));
    assert_true(is_served(bench, before, request));
    assert_int_equal(httpd_connection_count(bench->app.httpd), 2);
    close(before);
    for (int i = 0; i < 20; i++) {
        loop_run_once(bench->app.loop);
        usleep(500);
    }
    assert_int_equal(httpd_connection_count(bench->app.httpd), 1);
    assert_true(is_served(bench, after, request));
    close(after);
}

static void on_idle(void *context)
{
    *(bool *)context = true;
}

static void test_draining_ends(void **state)
{
    struct bench *bench = *state;
    bool is_idle = false;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&bench->address, sizeof bench->address), 0);
    for (int i = 0; i < 5; i++)
        loop_run_once(bench->app.loop);
    assert_int_equal(httpd_connection_count(bench->app.httpd), 1);
    httpd_drain(bench->app.httpd, on_idle, &is_idle);
    for (int i = 0; i < 20 && !is_idle; i++) {
        loop_run_once(bench->app.loop);
        usleep(500);
    }
    assert_true(is_idle);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conversations, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_stream_is_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_one_connection_serves_many, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_waiting_requests_survive_nobody, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_one_network_cannot_take_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_new_certificate_drops_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_draining_ends, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
