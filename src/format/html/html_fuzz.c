/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sanitised HTML must be clean by a check that does not share the sanitiser's code, and sanitising
 * it again must change nothing that matters: the second result must equal the third.
 */
#include "format/html/sanitise.h"
#include "format/html/text.h"
#include "format/mime/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool give_image(void *context, struct slice content_id, struct buffer *uri_out)
{
    (void)context;
    return content_id.len == 1 && buffer_append(uri_out, S("data:image/gif;base64,AA=="));
}

static const struct slice forbidden[] = {
    SLICE_INIT("script"), SLICE_INIT("style"), SLICE_INIT("svg"),    SLICE_INIT("iframe"),
    SLICE_INIT("form"),   SLICE_INIT("input"), SLICE_INIT("object"), SLICE_INIT("meta"),
    SLICE_INIT("link"),   SLICE_INIT("base"),  SLICE_INIT("math"),   SLICE_INIT("embed"),
};

/* One ` name="value"` of a tag that is written anew: always quoted, always escaped. */
static void check_attribute(struct slice name, struct slice value)
{
    must(!slice_starts_with_nocase(name, S("on")));
    must(slice_find_byte(value, '<') == value.len && slice_find_byte(value, '>') == value.len);
    if (slice_equal(name, S("src")))
        must(slice_starts_with(value, S("data:image/")));
    if (slice_equal(name, S("href")))
        must(slice_starts_with_nocase(value, S("http")) ||
             slice_starts_with_nocase(value, S("mailto:")));
    if (slice_equal(name, S("style")))
        must(slice_find_nocase(value, S("url(")) == value.len &&
             slice_find_byte(value, '\\') == value.len);
}

static void check_tag(struct slice tag)
{
    struct slice name = slice_cut(&tag, ' ');

    must(name.len > 0 && (name.at[0] == '/' || byte_is_alpha(name.at[0])));
    for (size_t i = 0; i < COUNT_OF(forbidden); i++)
        must(!slice_starts_with_nocase(slice_from(name, name.at[0] == '/'), forbidden[i]));
    while (tag.len > 0) {
        struct slice attribute = slice_cut(&tag, '=');
        struct slice value;

        must(tag.len > 0 && tag.at[0] == '"');
        tag = slice_from(tag, 1);
        value = slice_cut(&tag, '"');
        check_attribute(attribute, value);
        must(tag.len == 0 || tag.at[0] == ' ');
        tag = slice_from(tag, 1);
    }
}

static void check(struct slice html)
{
    must(utf8_is_valid(html));
    (void)slice_cut(&html, '<');
    while (html.len > 0) {
        struct slice text = slice_cut(&html, '<');
        struct slice tag = slice_cut(&text, '>');

        check_tag(tag);
        must(slice_find_byte(text, '>') == text.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer once, twice, thrice;
    size_t most = 8 * size + 100000;

    buffer_init(&once, most);
    buffer_init(&twice, 2 * most);
    buffer_init(&thrice, 4 * most);
    if (html_sanitise(slice_of(data, size), give_image, NULL, &once)) {
        check(buffer_view(&once));
        must(html_sanitise(buffer_view(&once), give_image, NULL, &twice));
        must(html_sanitise(buffer_view(&twice), give_image, NULL, &thrice));
        must(slice_equal(buffer_view(&twice), buffer_view(&thrice)));
    }
    buffer_clear(&once);
    (void)!html_to_text(slice_of(data, size), &once);
    buffer_deinit(&once);
    buffer_deinit(&twice);
    buffer_deinit(&thrice);
    return 0;
}
