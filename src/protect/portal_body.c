/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/portal_body.h"

#include "base/encode.h"
#include "format/html/escape.h"
#include "format/html/sanitise.h"
#include "format/html/text.h"
#include "format/mime/charset.h"
#include "format/mime/utf8.h"

enum {
    TEXT_MAX = 16 * 1024 * 1024,
    HTML_MAX = 24 * 1024 * 1024,
    UTF8_MAX = 3 * SCAN_BODY_MAX + 1024,
};

/* A picture of the message as a data: URI. */
static bool give_image(void *context, struct slice content_id, struct buffer *uri_out)
{
    struct message_scan *scan = context;

    for (size_t i = 0; i < scan->count; i++) {
        struct leaf *leaf = &scan->leaves[i];

        if (leaf->role != LEAF_IMAGE ||
            !slice_equal(content_id, slice_of(leaf->content_id, leaf->content_id_len)))
            continue;
        if (!buffer_append(uri_out, S("data:")) ||
            !buffer_append(uri_out, slice_of(leaf->type, leaf->type_len)) ||
            !buffer_append(uri_out, S(";base64,")) ||
            !base64_append(uri_out, buffer_view(&leaf->bytes)))
            return false;
        leaf->is_shown = true;
        return true;
    }
    return false;
}

/* The leaf's text as UTF-8; false when it does not fit. */
static bool leaf_text(const struct leaf *leaf, struct buffer *out)
{
    buffer_clear(out);
    return charset_append_utf8(slice_of(leaf->charset, leaf->charset_len),
                               buffer_view(&leaf->bytes), out);
}

static bool separate(struct buffer *out)
{
    size_t len = buffer_len(out);

    return len == 0 ||
           buffer_append(out, buffer_view(out).at[len - 1] == '\n' ? S("\n") : S("\n\n"));
}

/* Texts in order; HTML that has no plain alternative is read out. */
static bool compose_text(struct message_scan *scan, bool read_all_html, struct buffer *utf8,
                         struct buffer *out)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct leaf *leaf = &scan->leaves[i];
        bool is_read_out = leaf->role == LEAF_HTML && (read_all_html || !leaf->in_alternative);
        bool fits;

        if ((leaf->role != LEAF_TEXT && !is_read_out) || leaf->size == 0)
            continue;
        if (!leaf_text(leaf, utf8) || !separate(out))
            return false;
        if (leaf->role == LEAF_TEXT) {
            fits = utf8_append_clean(out, buffer_view(utf8), false);
        } else {
            struct buffer plain;

            buffer_init(&plain, TEXT_MAX);
            fits = html_to_text(buffer_view(utf8), &plain) &&
                   utf8_append_clean(out, buffer_view(&plain), false);
            buffer_wipe(&plain);
        }
        if (!fits)
            return false;
    }
    return true;
}

/* HTML in order, and plain text that has no HTML alternative between it. */
static bool compose_html(struct message_scan *scan, struct buffer *utf8, struct buffer *out)
{
    for (size_t i = 0; i < scan->count; i++) {
        const struct leaf *leaf = &scan->leaves[i];
        bool is_text = leaf->role == LEAF_TEXT && !leaf->in_alternative && leaf->size > 0;

        if (leaf->role != LEAF_HTML && !is_text)
            continue;
        if (!leaf_text(leaf, utf8))
            return false;
        if (is_text ? !buffer_append(out, S("<pre style=\"white-space:pre-wrap\">")) ||
                          !html_escape_append(out, buffer_view(utf8)) ||
                          !buffer_append(out, S("</pre>"))
                    : !html_sanitise(buffer_view(utf8), give_image, scan, out))
            return false;
    }
    return true;
}

static bool has_role(const struct message_scan *scan, enum leaf_role role)
{
    for (size_t i = 0; i < scan->count; i++)
        if (scan->leaves[i].role == role)
            return true;
    return false;
}

/* What cannot be shown is given as a file instead. */
static void make_files(struct message_scan *scan, enum leaf_role role)
{
    for (size_t i = 0; i < scan->count; i++) {
        scan->leaves[i].is_shown = false;
        if (scan->leaves[i].role == role)
            scan->leaves[i].role = LEAF_FILE;
    }
}

void portal_body_compose(struct message_scan *scan, struct portal_body *body_out)
{
    struct buffer utf8;

    buffer_init(&utf8, UTF8_MAX);
    buffer_init(&body_out->text, TEXT_MAX);
    buffer_init(&body_out->html, HTML_MAX);
    if (has_role(scan, LEAF_HTML) && !compose_html(scan, &utf8, &body_out->html)) {
        buffer_clear(&body_out->html);
        make_files(scan, LEAF_HTML);
    }
    if (!compose_text(scan, false, &utf8, &body_out->text)) {
        buffer_clear(&body_out->text);
        make_files(scan, LEAF_TEXT);
    }
    if (buffer_len(&body_out->text) == 0 && !compose_text(scan, true, &utf8, &body_out->text))
        buffer_clear(&body_out->text);
    buffer_wipe(&utf8);
}

void portal_body_deinit(struct portal_body *body)
{
    buffer_wipe(&body->text);
    buffer_wipe(&body->html);
}
