/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader's reply. Its files go from the browser into a sealed segment as they come, so the
 * session is checked before the first byte is read, and the nonce before the first file.
 */
#include "portal/visit.h"

#include "base/log.h"
#include "portal/words.h"

#include <inttypes.h>
#include <stdio.h>

enum { FORM_FIELDS_MAX = 4, FORM_SLACK_BYTES = 1 << 20 };

/* ---- pages ---- */

static void show_form(struct visit *visit, struct httpd_request *request, unsigned status,
                      const char *problem_cstr)
{
    char nonce_cstr[LINK_NONCE_SIZE], files_cstr[24];
    struct buffer size;

    buffer_init(&size, 100);
    must(words_size(&size, visit->portal->settings->portal.reply_bytes));
    link_nonce_make(&visit->link.token, S("reply"), clock_unix_ms(), nonce_cstr);
    snprintf(files_cstr, sizeof files_cstr, "%d", VISIT_FILES_MAX);
    const struct template_value values[] = {
        template_text("title", S("Your reply")),
        template_text("organisation", buffer_view(&visit->organisation)),
        template_text("sender", buffer_view(&visit->sender)),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
        template_text("nonce", slice_from_cstr(nonce_cstr)),
        template_text("text", buffer_view(&visit->text)),
        template_text("files_max", slice_from_cstr(files_cstr)),
        template_text("bytes_max", buffer_view(&size)),
        template_text("problem", slice_from_cstr(problem_cstr)),
        template_text("problem_hint",
                      buffer_len(&visit->text) > 0
                          ? S("Your text is still here; files must be chosen again.")
                          : S("")),
    };

    visit_page(visit->portal, request, status, PAGE_REPLY, values, COUNT_OF(values), NULL);
    buffer_deinit(&size);
}

static void on_form(struct visit *visit, struct httpd_request *request)
{
    show_form(visit, request, 200, "");
}

void visit_reply_form(struct visit *visit, struct httpd_request *request)
{
    visit_resume(visit, request, on_form);
}

static void on_sent(struct visit *visit, struct httpd_request *request)
{
    const struct template_value values[] = {
        template_text("title", S("Your reply was sent")),
        template_text("organisation", buffer_view(&visit->organisation)),
        template_text("sender", buffer_view(&visit->sender)),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
    };

    visit_page(visit->portal, request, 200, PAGE_SENT, values, COUNT_OF(values), NULL);
}

void visit_sent(struct visit *visit, struct httpd_request *request)
{
    visit_resume(visit, request, on_sent);
}

/* The session ended while the reader wrote: their words must not be lost with it. */
static void show_kept(struct visit *visit, struct httpd_request *request)
{
    const struct template_value values[] = {
        template_text("title", S("Your reply was not sent")),
        template_text("organisation", S("")),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
        template_text("text", buffer_view(&visit->text)),
    };

    visit_page(visit->portal, request, 403, PAGE_KEPT, values, COUNT_OF(values), NULL);
}

/* ---- the form, as it comes ---- */

static bool begin_message(struct visit *visit, bool has_files, struct err *err)
{
    struct portal *portal = visit->portal;
    const struct settings_account *account =
        settings_account_find(portal->settings, buffer_view(&visit->account));
    const struct portal_manifest *manifest = portal_container_manifest(visit->copy);
    int64_t now_ms = clock_unix_ms();
    char id_text[ID_TEXT_SIZE];
    struct compose_head head = {.reader = buffer_view(&visit->recipient),
                                .sender = buffer_view(&visit->sender),
                                .subject = manifest->subject,
                                .original_id = buffer_view(&visit->original_id),
                                .hostname = slice_from_cstr(portal->settings->hostname_cstr),
                                .unix_ms = now_ms};

    if (account == NULL)
        return FAIL(err, ERR_TEMP, "the account of this message is gone");
    visit->reply_id = id_next(&portal->ids, now_ms);
    id_write(visit->reply_id, id_text);
    head.message_id = slice_from_cstr(id_text);
    head.notice_from = slice_from_cstr(account->notice_from_cstr);
    if (!compose_begin(portal->writer, &head, buffer_view(&visit->text), has_files,
                       &visit->compose, err))
        return false;
    portal->replies++;
    return true;
}

static bool on_field(void *context, struct slice name, struct slice value, struct err *err)
{
    struct visit *visit = context;
    struct buffer *field = slice_equal(name, S("nonce"))  ? &visit->nonce
                           : slice_equal(name, S("text")) ? &visit->text
                                                          : NULL;

    if (field == NULL || buffer_len(field) > 0 || visit->compose != NULL)
        return FAIL(err, ERR_PEER, "the form is malformed: a field in the wrong place");
    return buffer_append(field, value) ||
           FAIL(err, ERR_REFUSED, "the form has too long a field");
}

static bool on_file(void *context, struct slice name, struct slice filename, struct slice type,
                    struct err *err)
{
    struct visit *visit = context;
    struct buffer clean;
    bool is_begun;

    (void)name;
    /* Somebody who may not reply is told so at the end; until then the bytes go nowhere. */
    if (!visit->may_reply || !link_nonce_check(&visit->link.token, S("reply"),
                                               buffer_view(&visit->nonce), clock_unix_ms()))
        return true;
    if (visit->compose == NULL && !begin_message(visit, true, err))
        return false;
    buffer_init(&clean, 2 * WORDS_FILENAME_MAX);
    is_begun = words_filename(&clean, filename, 1) &&
               compose_file_begin(visit->compose, type, buffer_view(&clean), err);
    buffer_deinit(&clean);
    return is_begun;
}

static bool on_file_bytes(void *context, struct slice bytes, struct err *err)
{
    struct visit *visit = context;

    return visit->compose == NULL || compose_file_bytes(visit->compose, bytes, err);
}

static bool on_file_end(void *context, struct err *err)
{
    struct visit *visit = context;

    return visit->compose == NULL || compose_file_end(visit->compose, err);
}

static void on_may_reply(struct visit *visit, struct httpd_request *request)
{
    visit->may_reply = true;
    httpd_release(request);
}

static void on_may_not_reply(struct visit *visit, struct httpd_request *request)
{
    (void)visit;
    httpd_release(request);
}

void visit_reply_before(struct visit *visit, struct httpd_request *request)
{
    uint64_t reply_bytes = visit->portal->settings->portal.reply_bytes;
    const struct form_limits limits = {FORM_FIELDS_MAX, VISIT_TEXT_MAX, VISIT_FILES_MAX,
                                       reply_bytes};
    const struct form_handler handler = {visit, on_field, on_file, on_file_bytes, on_file_end};

    visit->is_too_large = httpd_content_length(request) > reply_bytes + FORM_SLACK_BYTES;
    if (visit->is_too_large)
        return;
    httpd_expect_form(request, &limits, &handler);
    httpd_hold(request);
    visit->not_opened = on_may_not_reply;
    visit_resume(visit, request, on_may_reply);
}

/* ---- the whole reply ---- */

static void on_kept(struct visit *visit, struct httpd_request *request,
                    const union ipc_any *answer)
{
    enum portal_status status = (enum portal_status)answer->portal_done.status;

    if (status == PORTAL_OK || status == PORTAL_OPEN)
        visit_redirect(visit, request, "sent", NULL);
    else if (status == PORTAL_BUSY)
        show_form(visit, request, 503, "We could not take your reply. Please try again.");
    else
        show_kept(visit, request);
}

static void hand_over(struct visit *visit, struct httpd_request *request)
{
    const struct settings *settings = visit->portal->settings;
    struct ipc_portal_reply reply = {.ask = visit->request,
                                     .lookup = visit_lookup(visit),
                                     .session = buffer_view(&visit->session),
                                     .message = visit->reply_id,
                                     .client = httpd_client(request)};
    char id_text[ID_TEXT_SIZE], header_cstr[ID_TEXT_SIZE + 256];
    struct err err = {0};

    id_write(visit->reply_id, id_text);
    snprintf(header_cstr, sizeof header_cstr, "%s@%.255s", id_text, settings->hostname_cstr);
    reply.header_id = slice_from_cstr(header_cstr);
    visit->portal->replies--;
    if (compose_finish(&visit->compose, &reply.content, &err)) {
        visit_ask(visit, request, IPC_PORTAL_REPLY, &reply, IPC_PORTAL_DONE, on_kept);
        return;
    }
    LOG(LOG_WARN, "portal.reply_failed", log_cstr("detail", err.text_cstr));
    show_form(visit, request, 503, "We could not take your reply. Please try again.");
}

static const char *problem_of(const struct visit *visit, const struct err *err)
{
    if (err->class == ERR_REFUSED)
        return "That was too much for one reply: fewer or smaller files, please.";
    if (err->class != ERR_NONE)
        return "We could not take your reply. Please try again.";
    return visit->compose == NULL && slice_trim(buffer_view(&visit->text)).len == 0
               ? "Please write something, or choose a file."
               : NULL;
}

void visit_reply(struct visit *visit, struct httpd_request *request)
{
    const struct err *form_err = httpd_form_err(request);
    struct err err = {0};
    const char *problem_cstr;

    if (visit->is_too_large) {
        visit_notice(visit, request, 413, "This is too large",
                     "Your files are larger than a reply may be. Go back in your browser and "
                     "choose fewer or smaller files.");
        return;
    }
    if (form_err->class == ERR_PEER || form_err->class == ERR_NONE) {
        if (!visit_form_is_ours(visit, request, S("reply")))
            return;
    }
    if (!visit->may_reply) {
        show_kept(visit, request);
        return;
    }
    problem_cstr = problem_of(visit, form_err);
    if (problem_cstr == NULL && visit->compose == NULL && !begin_message(visit, false, &err)) {
        LOG(LOG_WARN, "portal.reply_failed", log_cstr("detail", err.text_cstr));
        problem_cstr = problem_of(visit, &err);
    }
    if (problem_cstr != NULL)
        show_form(visit, request, form_err->class == ERR_REFUSED ? 413 : 400, problem_cstr);
    else
        hand_over(visit, request);
}
