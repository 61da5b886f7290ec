/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/visit.h"

#include "base/encode.h"
#include "base/log.h"
#include "portal/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct visit *visit_new(struct portal *portal, struct httpd_request *request,
                        const struct route *route, const struct link *link)
{
    struct visit *visit = calloc(1, sizeof *visit);

    must(visit != NULL);
    visit->portal = portal;
    visit->request = httpd_request_id(request);
    visit->route = route;
    visit->link = *link;
    buffer_init(&visit->nonce, 2 * LINK_NONCE_SIZE);
    buffer_init(&visit->typed, VISIT_TYPED_MAX);
    buffer_init(&visit->text, VISIT_TEXT_MAX);
    buffer_init(&visit->session, SECRET_BYTES);
    buffer_init(&visit->organisation, 1000);
    buffer_init(&visit->sender, 1000);
    buffer_init(&visit->recipient, 1000);
    buffer_init(&visit->account, 1000);
    buffer_init(&visit->original_id, 1000);
    return visit;
}

void visit_free(struct visit *visit)
{
    if (visit->compose != NULL)
        visit->portal->replies--;
    compose_abort(&visit->compose);
    portal_container_close(&visit->copy);
    buffer_deinit(&visit->nonce);
    buffer_wipe(&visit->typed);
    buffer_wipe(&visit->text);
    buffer_wipe(&visit->session);
    buffer_deinit(&visit->organisation);
    buffer_deinit(&visit->sender);
    buffer_deinit(&visit->recipient);
    buffer_deinit(&visit->account);
    buffer_deinit(&visit->original_id);
    explicit_bzero(visit, sizeof *visit);
    free(visit);
}

struct slice visit_lookup(const struct visit *visit)
{
    return slice_of(visit->link.lookup, sizeof visit->link.lookup);
}

void visit_ask(struct visit *visit, struct httpd_request *request, enum ipc_type type,
               const void *message, enum ipc_type expects, visit_then_fn *then)
{
    const struct portal_options *options = &visit->portal->options;

    visit->expects = expects;
    visit->then = then;
    if (options->ask(options->context, type, message))
        return;
    visit->expects = IPC_NONE;
    visit_busy(visit->portal, request);
}

/* ---- answers ---- */

void visit_page(struct portal *portal, struct httpd_request *request, unsigned status,
                enum page page, const struct template_value *values, size_t count,
                const struct httpd_field *fields)
{
    struct httpd_answer answer = {.status = status,
                                  .policy = page == PAGE_FRAME ? HTTPD_FRAME : HTTPD_PAGE,
                                  .content_type_cstr = "text/html; charset=utf-8"};
    struct err err = {0};
    struct buffer body;

    for (size_t i = 0; fields != NULL && fields[i].name_cstr != NULL; i++) {
        must(i + 1 < HTTPD_FIELDS_MAX);
        answer.fields[i] = fields[i];
    }
    buffer_init(&body, VISIT_PAGE_MAX);
    if (pages_write(portal->pages, page, values, count, &body, &err)) {
        httpd_answer_bytes(request, &answer, &body);
        return;
    }
    LOG(LOG_ERROR, "portal.page_failed", log_cstr("detail", err.text_cstr));
    buffer_wipe(&body);
    httpd_answer_plain(request, 503);
}

void visit_gone(struct portal *portal, struct httpd_request *request)
{
    const struct template_value values[] = {
        template_text("title", S("No message here")),
        template_text("organisation", S("")),
    };

    visit_page(portal, request, 404, PAGE_GONE, values, COUNT_OF(values), NULL);
}

void visit_busy(struct portal *portal, struct httpd_request *request)
{
    static const struct httpd_field fields[] = {{"Retry-After", "60"}, {NULL, NULL}};
    const struct template_value values[] = {
        template_text("title", S("Please try again")),
        template_text("organisation", S("")),
        template_text("heading", S("Please try again in a minute")),
        template_text("words", S("We cannot answer right now. Your message is safe.")),
        template_text("back", S("")),
        template_text("back_words", S("")),
    };

    visit_page(portal, request, 503, PAGE_NOTICE, values, COUNT_OF(values), fields);
}

void visit_locked(struct visit *visit, struct httpd_request *request, int64_t locked_ms)
{
    uint64_t minutes = words_minutes(locked_ms);
    char minutes_cstr[24], seconds_cstr[24];
    const struct httpd_field fields[] = {{"Retry-After", seconds_cstr}, {NULL, NULL}};
    struct template_value values[] = {
        template_text("title", S("Too many tries")),
        template_text("organisation", buffer_view(&visit->organisation)),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
        template_bool("minutes_one", minutes == 1),
        template_text("minutes", S("")),
    };

    snprintf(minutes_cstr, sizeof minutes_cstr, "%" PRIu64, minutes);
    snprintf(seconds_cstr, sizeof seconds_cstr, "%" PRIu64, minutes * 60);
    values[4].text = slice_from_cstr(minutes_cstr);
    visit_page(visit->portal, request, 429, PAGE_LOCKED, values, COUNT_OF(values), fields);
}

void visit_notice(struct visit *visit, struct httpd_request *request, unsigned status,
                  const char *heading_cstr, const char *words_cstr)
{
    const struct template_value values[] = {
        template_text("title", slice_from_cstr(heading_cstr)),
        template_text("organisation", S("")),
        template_text("heading", slice_from_cstr(heading_cstr)),
        template_text("words", slice_from_cstr(words_cstr)),
        template_text("back", S("./")), /* relative, as in visit_redirect */
        template_text("back_words", S("Back to the message")),
    };

    visit_page(visit->portal, request, status, PAGE_NOTICE, values, COUNT_OF(values), NULL);
}

void visit_redirect(struct visit *visit, struct httpd_request *request, const char *tail_cstr,
                    const struct httpd_field *fields)
{
    /* Relative: the answer says nothing of the link, so all wrong ones look the same. */
    const char *up_cstr = visit->link.page == LINK_PART ? "../" : "./";
    char to_cstr[24];
    struct httpd_answer answer = {.status = 303, .policy = HTTPD_PAGE};
    struct buffer body = {0};
    size_t count = 0;

    snprintf(to_cstr, sizeof to_cstr, "%s%s", up_cstr, tail_cstr);
    answer.fields[count++] = (struct httpd_field){"Location", to_cstr};
    for (size_t i = 0; fields != NULL && fields[i].name_cstr != NULL; i++) {
        must(count + 1 < HTTPD_FIELDS_MAX);
        answer.fields[count++] = fields[i];
    }
    httpd_answer_bytes(request, &answer, &body);
}

void visit_refused(struct visit *visit, struct httpd_request *request,
                   enum portal_status status, int64_t locked_ms)
{
    switch (status) {
    case PORTAL_LOCKED:
        visit_locked(visit, request, locked_ms);
        return;
    case PORTAL_WRONG:
    case PORTAL_ABSENT:
        visit_gone(visit->portal, request);
        return;
    case PORTAL_OPEN:
    case PORTAL_OK:
    case PORTAL_BUSY:
        break;
    }
    visit_busy(visit->portal, request);
}

/* ---- checks ---- */

/* "null" comes from pages without a referrer, as ours are: it says nothing. */
static bool is_from_ourselves(const struct visit *visit, const struct httpd_request *request)
{
    struct slice url = slice_from_cstr(visit->portal->settings->portal.url_cstr);
    struct slice value;

    if (httpd_header(request, S("Sec-Fetch-Site"), &value) &&
        !slice_equal(value, S("same-origin")))
        return false;
    return !httpd_header(request, S("Origin"), &value) || slice_equal(value, S("null")) ||
           slice_equal_nocase(value, url);
}

bool visit_form_is_ours(struct visit *visit, struct httpd_request *request,
                        struct slice purpose)
{
    if (httpd_form_err(request)->class == ERR_NONE && is_from_ourselves(visit, request) &&
        link_nonce_check(&visit->link.token, purpose, buffer_view(&visit->nonce),
                         clock_unix_ms()))
        return true;
    visit_notice(visit, request, 400, "Please go back once more",
                 "This page was open for too long, or did not come from here. Start again from "
                 "the message's first page: nothing was lost.");
    return false;
}

static bool keep(struct buffer *buffer, struct slice bytes)
{
    buffer_clear(buffer);
    return buffer_append(buffer, bytes);
}

bool visit_open_copy(struct visit *visit, struct httpd_request *request,
                     const struct ipc_portal_opened *opened)
{
    struct secret key;
    struct err err = {0};
    bool is_open = false;

    if (!keep(&visit->organisation, opened->organisation) ||
        !keep(&visit->sender, opened->sender) || !keep(&visit->recipient, opened->recipient) ||
        !keep(&visit->account, opened->account) ||
        !keep(&visit->original_id, slice_head(opened->header_id, 999)) ||
        !keep(&visit->session, opened->session) ||
        buffer_len(&visit->session) != SECRET_BYTES || opened->wrapped.len != KEYWRAP_BYTES)
        (void)FAIL(&err, ERR_PERM, "the keeper's answer does not fit");
    else if (!portal_key_unwrap(&visit->link.token, &opened->share, &opened->answer_key,
                                opened->wrapped.at, &key))
        (void)FAIL(&err, ERR_PERM, "the key of the copy cannot be unwrapped");
    else {
        portal_container_close(&visit->copy);
        is_open = portal_container_open(visit->portal->options.copies_fd, &opened->copy, &key,
                                        &visit->copy, &err);
    }
    secret_wipe(&key);
    visit->expires_ms = opened->expires_ms;
    if (is_open)
        return true;
    LOG(LOG_ERROR, "portal.copy_failed", log_id("message", opened->message),
        log_cstr("detail", err.text_cstr));
    visit_busy(visit->portal, request);
    return false;
}

static void on_resumed(struct visit *visit, struct httpd_request *request,
                       const union ipc_any *answer)
{
    const struct ipc_portal_opened *opened = &answer->portal_opened;
    enum portal_status status = (enum portal_status)opened->status;

    if (status == PORTAL_OPEN && visit_open_copy(visit, request, opened))
        visit->opened(visit, request);
    else if (status == PORTAL_OPEN)
        return;
    else if (visit->not_opened != NULL)
        visit->not_opened(visit, request);
    else if (status == PORTAL_WRONG || status == PORTAL_ABSENT)
        visit_redirect(visit, request, "", NULL); /* the first page knows which of the two */
    else
        visit_refused(visit, request, status, opened->locked_ms);
}

void visit_resume(struct visit *visit, struct httpd_request *request, visit_fn *opened)
{
    struct ipc_portal_resume resume = {
        .ask = visit->request, .lookup = visit_lookup(visit), .client = httpd_client(request)};
    struct slice cookie;

    visit->opened = opened;
    buffer_clear(&visit->session);
    if (!httpd_cookie(request, slice_from_cstr(visit->link.cookie_cstr), &cookie) ||
        !base64url_decode(cookie, &visit->session) ||
        buffer_len(&visit->session) != SECRET_BYTES) {
        if (visit->not_opened != NULL)
            visit->not_opened(visit, request);
        else
            visit_redirect(visit, request, "", NULL);
        return;
    }
    resume.session = buffer_view(&visit->session);
    visit_ask(visit, request, IPC_PORTAL_RESUME, &resume, IPC_PORTAL_OPENED, on_resumed);
}
