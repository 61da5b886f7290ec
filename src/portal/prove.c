/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the link to the open message: the first page (look), the code by mail, the proof, the
 * reveal. Only the POST in visit_prove reveals; it is on disk before the browser is sent to the message.
 */
#include "portal/visit.h"

#include "base/encode.h"
#include "portal/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void on_view(struct visit *visit, struct httpd_request *request,
                    const union ipc_any *answer);

static void look(struct visit *visit, struct httpd_request *request)
{
    const struct ipc_portal_look ask = {
        .ask = visit->request, .lookup = visit_lookup(visit), .client = httpd_client(request)};

    visit_ask(visit, request, IPC_PORTAL_LOOK, &ask, IPC_PORTAL_VIEW, on_view);
}

void visit_start(struct visit *visit, struct httpd_request *request)
{
    look(visit, request);
}

void visit_code(struct visit *visit, struct httpd_request *request)
{
    look(visit, request);
}

/* Somebody opened the address that a form was sent to. */
void visit_back(struct visit *visit, struct httpd_request *request)
{
    visit_redirect(visit, request, "", NULL);
}

/* What was typed was wrong (tries_left counts from there), or a page is shown for the first time. */
static struct slice problem_hint(const struct visit *visit, char hint_cstr[64])
{
    if (visit->tries_left == 1)
        return S("You can try one more time.");
    snprintf(hint_cstr, 64, "You can try %" PRIu64 " more times.", visit->tries_left);
    return slice_from_cstr(hint_cstr);
}

static void write_title(struct buffer *title, struct slice organisation)
{
    if (!buffer_append(title, S("Secure message from ")) ||
        !buffer_append(title, slice_head(organisation, 500)))
        buffer_clear(title);
}

static void show_link(struct visit *visit, struct httpd_request *request,
                      const struct ipc_portal_view *view, bool was_wrong)
{
    bool asks_code = view->proof == READER_PROOF_CODE, wants_code_page;
    char nonce_cstr[LINK_NONCE_SIZE], code_nonce_cstr[LINK_NONCE_SIZE], hint_cstr[64];
    char minutes_cstr[24];
    int64_t now_ms = clock_unix_ms();
    struct buffer title, expires;

    wants_code_page = asks_code && (visit->route->page != LINK_START);
    buffer_init(&title, 1000);
    buffer_init(&expires, 100);
    write_title(&title, view->organisation);
    must(words_day(&expires, view->expires_ms));
    link_nonce_make(&visit->link.token, S("code"), now_ms, code_nonce_cstr);
    link_nonce_make(&visit->link.token, S("open"), now_ms, nonce_cstr);
    snprintf(minutes_cstr, sizeof minutes_cstr, "%" PRIu64,
             words_minutes(visit->portal->settings->portal.code_ms));
    const struct template_value values[] = {
        template_text("title", buffer_view(&title)),
        template_text("organisation", view->organisation),
        template_text("sender", view->sender),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
        template_text("nonce", slice_from_cstr(asks_code && !wants_code_page ? code_nonce_cstr
                                                                             : nonce_cstr)),
        template_text("code_nonce", slice_from_cstr(code_nonce_cstr)),
        template_text("code_minutes", slice_from_cstr(minutes_cstr)),
        template_text("masked", view->masked_recipient),
        template_text("question", view->question),
        template_text("expires", buffer_view(&expires)),
        template_bool("is_code", asks_code),
        template_bool("is_answer", view->proof == READER_PROOF_ANSWER),
        template_bool("is_link", view->proof == READER_PROOF_LINK),
        template_text("problem", !was_wrong  ? S("")
                                 : asks_code ? S("This is not the code")
                                             : S("This is not the right answer")),
        template_text("problem_hint", was_wrong ? problem_hint(visit, hint_cstr) : S("")),
    };

    visit_page(visit->portal, request, was_wrong ? 403 : 200,
               wants_code_page ? PAGE_CODE : PAGE_LINK, values, COUNT_OF(values), NULL);
    buffer_deinit(&title);
    buffer_deinit(&expires);
}

static void on_view(struct visit *visit, struct httpd_request *request,
                    const union ipc_any *answer)
{
    const struct ipc_portal_view *view = &answer->portal_view;

    if (!view->found)
        visit_gone(visit->portal, request);
    else if (!buffer_append(&visit->organisation, view->organisation))
        visit_busy(visit->portal, request);
    else if (view->locked_ms > 0)
        visit_locked(visit, request, view->locked_ms);
    else
        show_link(visit, request, view, visit->route->is_post);
}

/* ---- the code ---- */

static void on_code_sent(struct visit *visit, struct httpd_request *request,
                         const union ipc_any *answer)
{
    enum portal_status status = (enum portal_status)answer->portal_done.status;

    if (status == PORTAL_OK || status == PORTAL_OPEN)
        visit_redirect(visit, request, "code", NULL);
    else
        visit_refused(visit, request, status, answer->portal_done.locked_ms);
}

void visit_send_code(struct visit *visit, struct httpd_request *request)
{
    const struct ipc_portal_send_code ask = {
        .ask = visit->request, .lookup = visit_lookup(visit), .client = httpd_client(request)};

    if (visit_form_is_ours(visit, request, S("code")))
        visit_ask(visit, request, IPC_PORTAL_SEND_CODE, &ask, IPC_PORTAL_DONE, on_code_sent);
}

/* ---- the proof ---- */

static void on_revealed(struct visit *visit, struct httpd_request *request,
                        const union ipc_any *answer)
{
    enum portal_status status = (enum portal_status)answer->portal_done.status;
    char cookie_cstr[VISIT_COOKIE_SIZE];
    const struct httpd_field fields[] = {{"Set-Cookie", cookie_cstr}, {NULL, NULL}};
    struct buffer session;

    if (status != PORTAL_OK && status != PORTAL_OPEN) {
        visit_refused(visit, request, status, answer->portal_done.locked_ms);
        return;
    }
    buffer_init(&session, 64);
    must(base64url_append(&session, buffer_view(&visit->session)));
    snprintf(cookie_cstr, sizeof cookie_cstr,
             "%s=%.*s; Path=%s; Max-Age=%" PRId64 "; Secure; HttpOnly; SameSite=Strict",
             visit->link.cookie_cstr, SLICE_ARGS(buffer_view(&session)), visit->link.base_cstr,
             visit->portal->settings->portal.session_ms / 1000);
    visit_redirect(visit, request, "message", fields);
    buffer_wipe(&session);
    explicit_bzero(cookie_cstr, sizeof cookie_cstr);
}

static void on_proved(struct visit *visit, struct httpd_request *request,
                      const union ipc_any *answer)
{
    const struct ipc_portal_opened *opened = &answer->portal_opened;
    struct ipc_portal_event event = {.ask = visit->request,
                                     .lookup = visit_lookup(visit),
                                     .event = PORTAL_REVEALED,
                                     .client = httpd_client(request)};

    if (opened->status == PORTAL_WRONG) {
        visit->tries_left = opened->tries_left;
        if (opened->locked_ms > 0 || opened->tries_left == 0)
            visit_locked(visit, request, opened->locked_ms);
        else
            look(visit, request);
        return;
    }
    if (opened->status != PORTAL_OPEN) {
        visit_refused(visit, request, (enum portal_status)opened->status, opened->locked_ms);
        return;
    }
    /* It must open before it counts as revealed. */
    if (!visit_open_copy(visit, request, opened))
        return;
    event.session = buffer_view(&visit->session);
    visit_ask(visit, request, IPC_PORTAL_EVENT, &event, IPC_PORTAL_DONE, on_revealed);
}

void visit_prove(struct visit *visit, struct httpd_request *request)
{
    const struct ipc_portal_prove ask = {.ask = visit->request,
                                         .lookup = visit_lookup(visit),
                                         .client = httpd_client(request),
                                         .typed = slice_trim(buffer_view(&visit->typed))};

    if (visit_form_is_ours(visit, request, S("open")))
        visit_ask(visit, request, IPC_PORTAL_PROVE, &ask, IPC_PORTAL_OPENED, on_proved);
}
