/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/visit.h"

#include "base/log.h"
#include "crypto/random.h"
#include "portal/policy.h"

#include <stdlib.h>
#include <string.h>

enum { SMALL_FORM_FIELDS = 4, TICK_MS = 30 * 1000 };

/* Every page that belongs to a link. Anything else is "no message here". */
static const struct route routes[] = {
    {LINK_START, false, NULL, visit_start},
    {LINK_CODE, false, NULL, visit_code},
    {LINK_CODE, true, NULL, visit_send_code},
    {LINK_OPEN, false, NULL, visit_back},
    {LINK_OPEN, true, NULL, visit_prove},
    {LINK_MESSAGE, false, NULL, visit_message},
    {LINK_HTML, false, NULL, visit_html},
    {LINK_PART, false, NULL, visit_part},
    {LINK_REPLY, false, NULL, visit_reply_form},
    {LINK_REPLY, true, visit_reply_before, visit_reply},
    {LINK_SENT, false, NULL, visit_sent},
};

static const struct route *route_find(enum link_page page, bool is_post)
{
    for (size_t i = 0; i < COUNT_OF(routes); i++)
        if (routes[i].page == page && routes[i].is_post == is_post)
            return &routes[i];
    return NULL;
}

/* ---- pages that belong to no link ---- */

static void give_text(struct httpd_request *request, enum httpd_policy policy,
                      const char *type_cstr, struct slice text)
{
    const struct httpd_answer answer = {
        .status = 200, .policy = policy, .content_type_cstr = type_cstr};
    struct buffer body;

    buffer_init(&body, text.len + 1);
    must(buffer_append(&body, text));
    httpd_answer_bytes(request, &answer, &body);
}

static void give_options(struct httpd_request *request)
{
    const struct httpd_answer answer = {
        .status = 204, .policy = HTTPD_PAGE, .fields = {{"Allow", "GET, HEAD, POST, OPTIONS"}}};
    struct buffer body = {0};

    httpd_answer_bytes(request, &answer, &body);
}

static void give_home(struct portal *portal, struct httpd_request *request)
{
    const struct template_value values[] = {
        template_text("title", S("Secure messages")),
        template_text("organisation", S("")),
    };

    visit_page(portal, request, 200, PAGE_HOME, values, COUNT_OF(values), NULL);
}

static void give_other(struct portal *portal, struct httpd_request *request)
{
    struct slice path = httpd_path(request);
    bool is_read = httpd_method(request) != HTTPD_POST;

    if (is_read && slice_equal(path, S("/")))
        give_home(portal, request);
    else if (is_read && slice_equal(path, pages_css_path(portal->pages)))
        give_text(request, HTTPD_ASSET, "text/css; charset=utf-8", pages_css(portal->pages));
    else if (is_read && slice_equal(path, S("/robots.txt")))
        give_text(request, HTTPD_FILE, "text/plain; charset=utf-8",
                  S("User-agent: *\nDisallow: /\n"));
    else if (is_read && slice_equal(path, S("/health")))
        give_text(request, HTTPD_FILE, "text/plain; charset=utf-8", S("ok\n"));
    else
        visit_gone(portal, request);
}

/* ---- from httpd ---- */

static bool on_small_field(void *context, struct slice name, struct slice value,
                           struct err *err)
{
    struct visit *visit = context;
    struct buffer *field = slice_equal(name, S("nonce"))   ? &visit->nonce
                           : slice_equal(name, S("typed")) ? &visit->typed
                                                           : NULL;

    if (field == NULL || buffer_len(field) > 0 || !buffer_append(field, value))
        return FAIL(err, ERR_PEER, "the form is malformed: a field that is not asked for");
    return true;
}

static void on_head(void *context, struct httpd_request *request)
{
    static const struct form_limits limits = {SMALL_FORM_FIELDS, VISIT_TYPED_MAX, 0, 0};
    struct portal *portal = context;
    const struct route *route;
    struct visit *visit;
    struct link link;

    if (httpd_other_host(request).len > 0 || httpd_method(request) == HTTPD_OPTIONS ||
        !link_parse(httpd_path(request), &link))
        return;
    route = route_find(link.page, httpd_method(request) == HTTPD_POST);
    if (route != NULL) {
        visit = visit_new(portal, request, route, &link);
        httpd_set_user(request, visit);
        if (route->before != NULL)
            route->before(visit, request);
        else if (route->is_post) {
            const struct form_handler handler = {visit, on_small_field, NULL, NULL, NULL};

            httpd_expect_form(request, &limits, &handler);
        }
    }
    explicit_bzero(&link, sizeof link);
}

static void on_request(void *context, struct httpd_request *request)
{
    struct visit *visit = httpd_user(request);
    struct portal *portal = context;

    if (httpd_other_host(request).len > 0)
        policy_answer(portal->settings, request);
    else if (httpd_method(request) == HTTPD_OPTIONS)
        give_options(request);
    else if (visit == NULL)
        give_other(context, request);
    else
        visit->route->run(visit, request);
}

static void on_gone(void *context, struct httpd_request *request)
{
    struct visit *visit = httpd_user(request);

    (void)context;
    if (visit != NULL)
        visit_free(visit);
    httpd_set_user(request, NULL);
}

/* ---- from the keeper ---- */

void portal_on_answer(struct portal *portal, enum ipc_type type, const union ipc_any *message)
{
    /* The three answers begin with the number of the question. */
    uint64_t ask = type == IPC_PORTAL_VIEW     ? message->portal_view.ask
                   : type == IPC_PORTAL_OPENED ? message->portal_opened.ask
                   : type == IPC_PORTAL_DONE   ? message->portal_done.ask
                                               : 0;
    struct httpd_request *request = ask == 0 ? NULL : httpd_find(portal->httpd, ask);
    struct visit *visit = request == NULL ? NULL : httpd_user(request);

    /* The reader went away, or was told to come back later. */
    if (visit == NULL || visit->expects != type)
        return;
    visit->expects = IPC_NONE;
    visit->then(visit, request, message);
}

/* ---- life ---- */

/* What stands behind "https://" in the url. */
static struct slice host_of(const struct settings *settings)
{
    struct slice url = slice_from_cstr(settings->portal.url_cstr);

    return slice_starts_with_nocase(url, S("https://")) ? slice_from(url, 8) : url;
}

static void on_tick(void *context)
{
    struct portal *portal = context;

    spool_writer_tick(portal->writer, clock_unix_ms());
    loop_timer_set(portal->tick, TICK_MS);
}

static bool open_writer(struct portal *portal, struct slice certificate, struct err *err)
{
    if (!recipient_certificate_parse(certificate, &portal->certificate, err))
        return false;
    portal->writer = spool_writer_open(portal->options.queue_fd, SPOOL_QUEUE, &portal->ids,
                                       portal->certificate, NULL);
    return true;
}

static bool open_httpd(struct portal *portal, struct err *err)
{
    const struct settings_portal *settings = &portal->settings->portal;
    const struct httpd_options options = {
        .loop = portal->options.loop,
        .listen_fd = portal->options.listen_fd,
        .certificate_pem = settings->certificate.bytes,
        .private_key_pem = settings->key.bytes,
        .host = host_of(portal->settings),
        .serves_host = policy_serves_host,
        .host_context = &portal->settings,
        /* What is too much is read and answered with a page, unless it is far too much. */
        .body_max_bytes = 2 * settings->reply_bytes + (UINT64_C(64) << 20),
        .handler = {portal, on_head, on_request, on_gone},
    };

    return httpd_open(&options, &portal->httpd, err);
}

bool portal_new(const struct portal_options *options, struct portal **portal_out,
                struct err *err)
{
    struct portal *portal = calloc(1, sizeof *portal);

    must(portal != NULL);
    *portal_out = NULL;
    portal->options = *options;
    portal->settings = settings_ref(options->settings);
    id_maker_init(&portal->ids, options->id_maker, random_u64());
    /* Without an url nobody but the hosts of policies is served: there are no pages. */
    if ((portal->settings->portal.enabled &&
         !pages_new(slice_from_cstr(portal->settings->portal.url_cstr), &portal->pages, err)) ||
        !open_writer(portal, options->keeper_certificate, err) || !open_httpd(portal, err)) {
        portal_free(&portal);
        return false;
    }
    portal->tick = loop_timer_new(options->loop, on_tick, portal);
    loop_timer_set(portal->tick, TICK_MS);
    *portal_out = portal;
    return true;
}

/* Replies that are being written keep the writer they began with: then the change waits. */
static bool change_writer(struct portal *portal, struct slice certificate, struct err *err)
{
    struct recipient_certificate *was = portal->certificate;
    struct spool_writer *old = portal->writer;

    if (portal->replies > 0)
        return FAIL(err, ERR_TEMP, "replies are being written: reload once more");
    if (!open_writer(portal, certificate, err)) {
        portal->certificate = was;
        return false;
    }
    spool_writer_close(&old);
    recipient_certificate_free(&was);
    return true;
}

static bool is_same_certificate(const struct portal *portal, struct slice certificate)
{
    struct buffer der;
    bool is_same;

    buffer_init(&der, 16 * 1024);
    is_same = recipient_certificate_write_der(portal->certificate, &der) &&
              slice_equal(buffer_view(&der), certificate);
    buffer_deinit(&der);
    return is_same;
}

bool portal_reload(struct portal *portal, struct settings *settings,
                   struct slice keeper_certificate, struct err *err)
{
    const struct settings_portal *was = &portal->settings->portal, *now = &settings->portal;

    if (strcmp(was->url_cstr, now->url_cstr) != 0)
        return FAIL(err, ERR_PERM, "a new portal url needs a restart");
    if (!is_same_certificate(portal, keeper_certificate) &&
        !change_writer(portal, keeper_certificate, err))
        return false;
    if ((!slice_equal(was->certificate.bytes, now->certificate.bytes) ||
         !slice_equal(was->key.bytes, now->key.bytes)) &&
        !httpd_change_certificate(portal->httpd, now->certificate.bytes, now->key.bytes, err))
        return false;
    settings_unref(&portal->settings);
    portal->settings = settings_ref(settings);
    return true;
}

void portal_drain(struct portal *portal, void (*on_idle)(void *context), void *context)
{
    httpd_drain(portal->httpd, on_idle, context);
}

void portal_free(struct portal **portal_at)
{
    struct portal *portal = *portal_at;

    if (portal == NULL)
        return;
    httpd_close(&portal->httpd);
    loop_timer_free(&portal->tick);
    if (portal->writer != NULL)
        spool_writer_close(&portal->writer);
    recipient_certificate_free(&portal->certificate);
    pages_free(&portal->pages);
    settings_unref(&portal->settings);
    free(portal);
    *portal_at = NULL;
}

size_t portal_connection_count(const struct portal *portal)
{
    return portal == NULL ? 0 : httpd_connection_count(portal->httpd);
}
