/* SPDX-License-Identifier: Apache-2.0 */
#include "office/monitor.h"

#include "base/map.h"
#include "httpd/server.h"

#include <jansson.h>
#include <stdlib.h>

enum {
    ANSWER_MS = 2000, /* the keeper answers in milliseconds, or stands still */
    ANSWER_MAX_BYTES = 4 << 20,
    CONNECTIONS = 64,
};

/* One request that waits for the keeper. */
struct inquiry {
    struct monitor *monitor;
    uint64_t ask, request; /* its key in the map; the HTTP request's id */
    const struct page *page;
    struct buffer answer;
    struct loop_timer *limit;
};

struct monitor {
    struct monitor_options options;
    struct httpd *httpd;
    struct map inquiries; /* by ask */
};

/* ---- answers ---- */

static void give(struct httpd_request *request, unsigned status, const char *type_cstr,
                 struct slice text)
{
    const struct httpd_answer answer = {
        .status = status, .policy = HTTPD_FILE, .content_type_cstr = type_cstr};
    struct buffer body;

    buffer_init(&body, ANSWER_MAX_BYTES);
    must(buffer_append(&body, text));
    httpd_answer_bytes(request, &answer, &body);
}

static void give_json(struct httpd_request *request, unsigned status, struct slice text)
{
    give(request, status, "application/json", text);
}

/* has_come: the keeper has answered. */
static void give_metrics(struct httpd_request *request, struct slice answer, bool has_come)
{
    if (has_come)
        give(request, 200, "text/plain; version=0.0.4; charset=utf-8", answer);
    else
        give_json(request, 503, S("{\"error\": \"the keeper does not answer\"}\n"));
}

static void give_health(struct httpd_request *request, struct slice answer, bool has_come)
{
    (void)answer;
    if (has_come)
        give_json(request, 200, S("{\"status\": \"ok\", \"keeper\": \"answers\"}\n"));
    else
        give_json(request, 503,
                  S("{\"status\": \"failing\", \"keeper\": \"does not answer\"}\n"));
}

static void give_ready(struct httpd_request *request, struct slice answer, bool has_come)
{
    json_t *object = has_come ? json_loadb((const char *)answer.at, answer.len, 0, NULL) : NULL;
    bool is_ready = json_is_true(json_object_get(object, "ready"));

    if (object == NULL)
        give_json(request, 503,
                  S("{\"ready\": false, \"why\": \"the keeper does not answer\"}\n"));
    else
        give_json(request, is_ready ? 200 : 503, answer);
    json_decref(object);
}

static const struct page {
    const char *path_cstr, *request_cstr;
    void (*give)(struct httpd_request *request, struct slice answer, bool has_come);
} pages[] = {
    {"/metrics", "{\"do\":\"metrics\"}", give_metrics},
    {"/health", "{\"do\":\"ready\"}", give_health},
    {"/ready", "{\"do\":\"ready\"}", give_ready},
};

/* ---- inquiries ---- */

static void finish(struct inquiry *inquiry, bool has_come)
{
    struct httpd_request *request = httpd_find(inquiry->monitor->httpd, inquiry->request);

    map_take(&inquiry->monitor->inquiries, inquiry->ask);
    if (request != NULL)
        inquiry->page->give(request, buffer_view(&inquiry->answer), has_come);
    loop_timer_free(&inquiry->limit);
    buffer_deinit(&inquiry->answer);
    free(inquiry);
}

static void on_limit(void *context)
{
    finish(context, false);
}

void monitor_on_answer(struct monitor *monitor, uint64_t ask, struct slice piece, bool more)
{
    struct inquiry *inquiry = monitor == NULL ? NULL : map_get(&monitor->inquiries, ask);

    if (inquiry == NULL)
        return;
    if (!buffer_append(&inquiry->answer, piece))
        finish(inquiry, false);
    else if (!more)
        finish(inquiry, true);
}

static void begin(struct monitor *monitor, struct httpd_request *request,
                  const struct page *page)
{
    uint64_t ask =
        monitor->options.ask(monitor->options.context, slice_from_cstr(page->request_cstr));
    struct inquiry *inquiry;

    if (ask == 0) {
        page->give(request, S(""), false);
        return;
    }
    inquiry = calloc(1, sizeof *inquiry);
    must(inquiry != NULL);
    *inquiry = (struct inquiry){
        .monitor = monitor, .ask = ask, .request = httpd_request_id(request), .page = page};
    buffer_init(&inquiry->answer, ANSWER_MAX_BYTES);
    inquiry->limit = loop_timer_new(monitor->options.loop, on_limit, inquiry);
    loop_timer_set(inquiry->limit, ANSWER_MS);
    map_put(&monitor->inquiries, ask, inquiry);
}

static void on_request(void *context, struct httpd_request *request)
{
    enum httpd_method method = httpd_method(request);

    if (method != HTTPD_GET && method != HTTPD_HEAD) {
        httpd_answer_plain(request, 405);
        return;
    }
    for (size_t i = 0; i < COUNT_OF(pages); i++)
        if (slice_equal(httpd_path(request), slice_from_cstr(pages[i].path_cstr))) {
            begin(context, request, &pages[i]);
            return;
        }
    httpd_answer_plain(request, 404);
}

/* ---- life ---- */

bool monitor_open(const struct monitor_options *options, struct monitor **monitor_out,
                  struct err *err)
{
    struct monitor *monitor = calloc(1, sizeof *monitor);
    const struct httpd_options httpd = {
        .loop = options->loop,
        .listen_fd = options->listen_fd,
        .host = S(""), /* whatever name the watcher knows us by */
        .connections = CONNECTIONS,
        .connections_per_network = CONNECTIONS,
        .is_plain = true,
        .handler = {monitor, NULL, on_request, NULL},
    };

    must(monitor != NULL);
    monitor->options = *options;
    map_init(&monitor->inquiries);
    if (!httpd_open(&httpd, &monitor->httpd, err)) {
        free(monitor);
        return false;
    }
    *monitor_out = monitor;
    return true;
}

void monitor_close(struct monitor **monitor_at)
{
    struct monitor *monitor = *monitor_at;
    struct inquiry *inquiry;
    size_t position = 0;
    uint64_t ask;

    if (monitor == NULL)
        return;
    while ((inquiry = map_next(&monitor->inquiries, &position, &ask)) != NULL) {
        finish(inquiry, false);
        position = 0; /* taking one out changes the order */
    }
    httpd_close(&monitor->httpd);
    map_deinit(&monitor->inquiries);
    free(monitor);
    *monitor_at = NULL;
}
