/* SPDX-License-Identifier: Apache-2.0 */
/* The open message: its page, its HTML for the frame, its attachments as downloads. */
#include "portal/visit.h"

#include "base/log.h"
#include "portal/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXT_SHOWN_MAX = 1 << 20,
    HTML_SHOWN_MAX = VISIT_PAGE_MAX - 4096,
    FILE_TEXT_SIZE = 256, /* what one attachment's row needs: name, size, number */
};

static void on_damaged(struct visit *visit, struct httpd_request *request,
                       const struct err *err)
{
    LOG(LOG_ERROR, "portal.copy_damaged", log_cstr("detail", err->text_cstr));
    visit_busy(visit->portal, request);
}

/* The first part of this kind, or -1. */
static int find_part(const struct portal_manifest *manifest, enum portal_part_kind kind)
{
    for (size_t i = 0; i < manifest->part_count; i++)
        if (manifest->parts[i].kind == kind)
            return (int)i;
    return -1;
}

/* Append the beginning of a part, as much as fits into `out`. */
static bool read_part(struct visit *visit, int index, struct buffer *out, struct err *err)
{
    struct slice piece = {NULL, 0};
    bool is_read = index < 0 || portal_container_part(visit->copy, (size_t)index, err);

    while (index >= 0 && is_read && buffer_room(out) > 0) {
        is_read = portal_container_next(visit->copy, &piece, err);
        if (piece.len == 0)
            break;
        is_read = is_read && buffer_append(out, slice_head(piece, buffer_room(out)));
    }
    return is_read;
}

/* ---- the page ---- */

struct file_row {
    struct template_value values[4];
    struct buffer text; /* name, size and number behind each other */
};

/* The attachments as a list for the template. Freed by free_rows. */
static struct file_row *make_rows(const struct visit *visit, struct template_scope **scopes_out,
                                  size_t *count_out)
{
    const struct portal_manifest *manifest = portal_container_manifest(visit->copy);
    struct file_row *rows = calloc(manifest->part_count + 1, sizeof *rows);
    struct template_scope *scopes = calloc(manifest->part_count + 1, sizeof *scopes);
    size_t count = 0;

    must(rows != NULL && scopes != NULL);
    for (size_t i = 0; i < manifest->part_count; i++) {
        struct file_row *row = &rows[count];
        size_t name_end, size_end;
        struct slice text;

        if (manifest->parts[i].kind != PORTAL_PART_ATTACHMENT)
            continue;
        count++;
        buffer_init(&row->text, FILE_TEXT_SIZE);
        must(words_filename(&row->text, manifest->parts[i].name, count));
        name_end = buffer_len(&row->text);
        must(words_size(&row->text, manifest->parts[i].size));
        size_end = buffer_len(&row->text);
        must(buffer_append_format(&row->text, "%zu", count));
        text = buffer_view(&row->text);
        row->values[0] = template_text("name", slice_head(text, name_end));
        row->values[1] =
            template_text("size", slice_from(slice_head(text, size_end), name_end));
        row->values[2] = template_text("number", slice_from(text, size_end));
        scopes[count - 1] = (struct template_scope){row->values, 3};
    }
    *scopes_out = scopes;
    *count_out = count;
    return rows;
}

static void free_rows(struct file_row *rows, struct template_scope *scopes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        buffer_deinit(&rows[i].text);
    free(rows);
    free(scopes);
}

/* How tall the frame shall be: without scripts nobody can measure what is inside. */
static struct slice frame_height(const struct portal_part *html, struct slice text)
{
    size_t lines = text.len / 80;

    for (struct slice rest = text; rest.len > 0; lines++)
        (void)slice_cut(&rest, '\n');
    /* Much more HTML than text: pictures and tables. */
    if (text.len == 0 || html->size > 20 * (text.len + 1000))
        return S("long");
    return lines <= 10 ? S("short") : lines <= 22 ? S("middle") : S("long");
}

static void show_message(struct visit *visit, struct httpd_request *request,
                         const struct buffer *text)
{
    const struct portal_manifest *manifest = portal_container_manifest(visit->copy);
    int text_part = find_part(manifest, PORTAL_PART_TEXT);
    int html_part = find_part(manifest, PORTAL_PART_HTML);
    struct template_scope *scopes;
    size_t count;
    struct file_row *rows = make_rows(visit, &scopes, &count);
    char minutes_cstr[24];
    struct buffer expires;

    buffer_init(&expires, 100);
    must(words_day(&expires, visit->expires_ms));
    snprintf(minutes_cstr, sizeof minutes_cstr, "%" PRIu64,
             words_minutes(visit->portal->settings->portal.session_ms));
    const struct template_value values[] = {
        template_text("title", S("Your secure message")),
        template_text("organisation", buffer_view(&visit->organisation)),
        template_text("base", slice_from_cstr(visit->link.base_cstr)),
        template_text("subject", manifest->subject),
        template_text("from",
                      manifest->from.len > 0 ? manifest->from : buffer_view(&visit->sender)),
        template_text("to", manifest->to),
        template_text("cc", manifest->cc),
        template_text("date", manifest->date),
        template_bool("has_html",
                      html_part >= 0 && manifest->parts[html_part].size <= HTML_SHOWN_MAX),
        template_text("frame", html_part < 0 ? S("")
                                             : frame_height(&manifest->parts[html_part],
                                                            buffer_view(text))),
        template_text("text", buffer_view(text)),
        template_bool("is_cut",
                      text_part >= 0 && manifest->parts[text_part].size > TEXT_SHOWN_MAX),
        template_bool("has_parts", count > 0),
        template_list("parts", scopes, count),
        template_text("expires", buffer_view(&expires)),
        template_text("session_minutes", slice_from_cstr(minutes_cstr)),
    };

    visit_page(visit->portal, request, 200, PAGE_MESSAGE, values, COUNT_OF(values), NULL);
    free_rows(rows, scopes, count);
    buffer_deinit(&expires);
}

static void on_message(struct visit *visit, struct httpd_request *request)
{
    const struct portal_manifest *manifest = portal_container_manifest(visit->copy);
    struct err err = {0};
    struct buffer text;

    buffer_init(&text, TEXT_SHOWN_MAX);
    if (read_part(visit, find_part(manifest, PORTAL_PART_TEXT), &text, &err))
        show_message(visit, request, &text);
    else
        on_damaged(visit, request, &err);
    buffer_wipe(&text);
}

void visit_message(struct visit *visit, struct httpd_request *request)
{
    visit_resume(visit, request, on_message);
}

/* ---- the frame ---- */

static void on_html(struct visit *visit, struct httpd_request *request)
{
    int index = find_part(portal_container_manifest(visit->copy), PORTAL_PART_HTML);
    struct err err = {0};
    struct buffer html;

    buffer_init(&html, HTML_SHOWN_MAX);
    if (index < 0)
        visit_gone(visit->portal, request);
    else if (!read_part(visit, index, &html, &err))
        on_damaged(visit, request, &err);
    else {
        /* html_sanitise wrote it, and the seal says that nobody changed it since. */
        const struct template_value values[] = {template_html("html", buffer_view(&html))};

        visit_page(visit->portal, request, 200, PAGE_FRAME, values, COUNT_OF(values), NULL);
    }
    buffer_wipe(&html);
}

void visit_html(struct visit *visit, struct httpd_request *request)
{
    visit_resume(visit, request, on_html);
}

/* ---- attachments ---- */

/* One download: owns the copy until the answer is sent. */
struct download {
    struct portal_container *copy;
    struct slice piece; /* of the present chunk, not yet sent */
};

static size_t read_download(void *context, uint8_t *at, size_t max)
{
    struct download *download = context;
    struct err err = {0};
    size_t len;

    if (download->piece.len == 0 &&
        !portal_container_next(download->copy, &download->piece, &err)) {
        LOG(LOG_ERROR, "portal.copy_damaged", log_cstr("detail", err.text_cstr));
        return 0;
    }
    len = download->piece.len < max ? download->piece.len : max;
    memcpy(at, download->piece.at, len);
    download->piece = slice_from(download->piece, len);
    return len;
}

static void close_download(void *context)
{
    struct download *download = context;

    portal_container_close(&download->copy);
    free(download);
}

/* The nth attachment's place in the manifest, or -1. */
static int nth_attachment(const struct portal_manifest *manifest, uint64_t number)
{
    for (size_t i = 0; i < manifest->part_count; i++)
        if (manifest->parts[i].kind == PORTAL_PART_ATTACHMENT && --number == 0)
            return (int)i;
    return -1;
}

static void give_part(struct visit *visit, struct httpd_request *request)
{
    const struct portal_manifest *manifest = portal_container_manifest(visit->copy);
    int index = nth_attachment(manifest, visit->link.part);
    const struct portal_part *part = &manifest->parts[index < 0 ? 0 : index];
    struct httpd_answer answer = {.status = 200, .policy = HTTPD_FILE};
    struct httpd_source source = {part->size, read_download, close_download, NULL};
    struct download *download;
    struct buffer name, disposition;
    char disposition_cstr[1000];
    struct err err = {0};

    must(index >= 0);
    if (!portal_container_part(visit->copy, (size_t)index, &err)) {
        on_damaged(visit, request, &err);
        return;
    }
    buffer_init(&name, 256);
    buffer_init(&disposition, sizeof disposition_cstr);
    must(words_filename(&name, part->name, visit->link.part) &&
         words_disposition(&disposition, buffer_view(&name)) &&
         slice_to_cstr(buffer_view(&disposition), disposition_cstr, sizeof disposition_cstr));
    answer.content_type_cstr = words_file_type(part->type);
    answer.fields[0] = (struct httpd_field){"Content-Disposition", disposition_cstr};
    download = calloc(1, sizeof *download);
    must(download != NULL);
    download->copy = visit->copy;
    visit->copy = NULL;
    source.context = download;
    httpd_answer_source(request, &answer, &source);
    buffer_deinit(&name);
    buffer_deinit(&disposition);
}

static void on_taken(struct visit *visit, struct httpd_request *request,
                     const union ipc_any *answer)
{
    enum portal_status status = (enum portal_status)answer->portal_done.status;

    if (status == PORTAL_OK || status == PORTAL_OPEN)
        give_part(visit, request);
    else
        visit_refused(visit, request, status, answer->portal_done.locked_ms);
}

static void on_part(struct visit *visit, struct httpd_request *request)
{
    const struct ipc_portal_event event = {.ask = visit->request,
                                           .lookup = visit_lookup(visit),
                                           .session = buffer_view(&visit->session),
                                           .event = PORTAL_ATTACHMENT_TAKEN,
                                           .part = visit->link.part,
                                           .client = httpd_client(request)};

    if (nth_attachment(portal_container_manifest(visit->copy), visit->link.part) < 0)
        visit_gone(visit->portal, request);
    else if (httpd_method(request) == HTTPD_HEAD)
        give_part(visit, request);
    else
        visit_ask(visit, request, IPC_PORTAL_EVENT, &event, IPC_PORTAL_DONE, on_taken);
}

void visit_part(struct visit *visit, struct httpd_request *request)
{
    visit_resume(visit, request, on_part);
}
