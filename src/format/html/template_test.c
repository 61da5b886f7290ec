/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/template.h"

#include "kit/kit.h"

#include <string.h>

static const struct template_value first_part[] = {
    {"name", VALUE_TEXT, SLICE_INIT("scan <1>.pdf"), false, NULL, 0},
    {"big", VALUE_BOOL, {NULL, 0}, true, NULL, 0},
};
static const struct template_value second_part[] = {
    {"name", VALUE_TEXT, SLICE_INIT("b.txt"), false, NULL, 0},
    {"big", VALUE_BOOL, {NULL, 0}, false, NULL, 0},
};
static const struct template_scope parts[] = {{first_part, 2}, {second_part, 2}};
static const struct template_value values[] = {
    {"who", VALUE_TEXT, SLICE_INIT("O'Neil & \"<b>\"\r\n\x01\xff"), false, NULL, 0},
    {"body", VALUE_HTML, SLICE_INIT("<p>&amp;</p>"), false, NULL, 0},
    {"empty", VALUE_TEXT, SLICE_INIT(""), false, NULL, 0},
    {"yes", VALUE_BOOL, {NULL, 0}, true, NULL, 0},
    {"no", VALUE_BOOL, {NULL, 0}, false, NULL, 0},
    {"parts", VALUE_LIST, {NULL, 0}, false, parts, 2},
    {"none", VALUE_LIST, {NULL, 0}, false, NULL, 0},
};
static const struct template_scope scope = {values, COUNT_OF(values)};

static bool render(struct slice text, enum template_escape escape, struct buffer *out,
                   struct err *err)
{
    const struct template_source set[] = {
        {"page", text},
        {"foot", SLICE_INIT("[{{who}}]")},
        {"loop", SLICE_INIT("{{>loop}}")},
        {"halfopen", SLICE_INIT("{{#yes}}")},
    };
    struct template *template = template_parse(set, COUNT_OF(set), "page", err);
    bool written = template != NULL && template_write(template, escape, &scope, out, err);

    template_free(&template);
    return written;
}

static void test_templates_fill_their_holes(void **state)
{
    static const struct {
        enum template_escape escape;
        struct slice text, want;
    } cases[] = {
        {TEMPLATE_HTML, SLICE_INIT(""), SLICE_INIT("")},
        {TEMPLATE_HTML, SLICE_INIT("a{b}c{ {d"), SLICE_INIT("a{b}c{ {d")},
        {TEMPLATE_HTML, SLICE_INIT("<i title=\"{{ who }}\">"),
         SLICE_INIT("<i title=\"O&#39;Neil &amp; &quot;&lt;b&gt;&quot;\n\xEF\xBF\xBD\">")},
        {TEMPLATE_TEXT, SLICE_INIT("{{who}}"), SLICE_INIT("O'Neil & \"<b>\" \xEF\xBF\xBD")},
        {TEMPLATE_HTML, SLICE_INIT("{{{body}}}|{{body}}"),
         SLICE_INIT("<p>&amp;</p>|&lt;p&gt;&amp;amp;&lt;/p&gt;")},
        {TEMPLATE_HTML, SLICE_INIT("{{#yes}}Y{{/yes}}{{#no}}N{{/no}}{{^no}}n{{/no}}"),
         SLICE_INIT("Yn")},
        {TEMPLATE_HTML, SLICE_INIT("{{#empty}}E{{/empty}}{{^empty}}e{{/empty}}"),
         SLICE_INIT("e")},
        {TEMPLATE_HTML, SLICE_INIT("{{^none}}nothing{{/none}}{{#none}}x{{/none}}"),
         SLICE_INIT("nothing")},
        {TEMPLATE_HTML,
         SLICE_INIT(
             "<ul>\n  {{#parts}}\n  <li>{{name}}{{#big}}!{{/big}}\n  {{/parts}}\n</ul>\n"),
         SLICE_INIT("<ul>\n  <li>scan &lt;1&gt;.pdf!\n  <li>b.txt\n</ul>\n")},
        {TEMPLATE_HTML, SLICE_INIT("{{#parts}}{{#yes}}{{name}} {{/yes}}{{/parts}}"),
         SLICE_INIT("scan &lt;1&gt;.pdf b.txt ")},
        {TEMPLATE_TEXT, SLICE_INIT("a\n{{! gone }}\n{{>foot}}\nb"),
         SLICE_INIT("a\n[O'Neil & \"<b>\" \xEF\xBF\xBD]b")},
    };
    struct buffer out;
    struct err err;

    (void)state;
    buffer_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        err_clear(&err);
        buffer_clear(&out);
        assert_true(render(cases[i].text, cases[i].escape, &out, &err));
        assert_int_equal(buffer_len(&out), cases[i].want.len);
        assert_true(slice_equal(buffer_view(&out), cases[i].want));
    }
    buffer_deinit(&out);
}

static void test_mistakes_are_refused(void **state)
{
    static const struct {
        struct slice text;
        const char *why_cstr;
    } cases[] = {
        {SLICE_INIT("a\n{{who"), "line 2: a tag does not end"},
        {SLICE_INIT("{{}}"), "proper name"},
        {SLICE_INIT("{{a b}}"), "proper name"},
        {SLICE_INIT("{{{body}}"), "}}}"},
        {SLICE_INIT("{{#yes}}"), "left open"},
        {SLICE_INIT("{{/yes}}"), "not opened"},
        {SLICE_INIT("{{#yes}}{{#no}}{{/yes}}{{/no}}"), "another name"},
        {SLICE_INIT("{{>missing}}"), "does not exist"},
        {SLICE_INIT("{{>loop}}"), "circles"},
        {SLICE_INIT("{{>halfopen}}{{/yes}}"), "left open"},
        {SLICE_INIT("{{nobody}}"), "'nobody', which is not given"},
        {SLICE_INIT("{{name}}"), "not given"},
        {SLICE_INIT("{{#nobody}}{{/nobody}}"), "not given"},
        {SLICE_INIT("{{{who}}}"), "cannot write 'who' as HTML"},
        {SLICE_INIT("{{yes}}"), "cannot write 'yes' as text"},
        {SLICE_INIT("{{parts}}"), "cannot write 'parts'"},
        {SLICE_INIT("0123456789012345678901234567890123456789x"), "too large"},
    };
    struct buffer out;
    struct err err;

    (void)state;
    buffer_init(&out, 40);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        err_clear(&err);
        assert_false(render(cases[i].text, TEMPLATE_HTML, &out, &err));
        assert_int_equal(err.class, ERR_PERM);
        assert_non_null(strstr(err.text_cstr, cases[i].why_cstr));
        assert_int_equal(buffer_len(&out), 0);
    }
    buffer_deinit(&out);
}

static void test_depth_has_a_limit(void **state)
{
    struct buffer text, out;
    struct err err = {0};

    (void)state;
    buffer_init(&text, 10000);
    buffer_init(&out, 100);
    for (int i = 0; i < TEMPLATE_DEPTH_MAX + 1; i++)
        assert_true(buffer_append(&text, S("{{#yes}}")));
    assert_false(render(buffer_view(&text), TEMPLATE_HTML, &out, &err));
    assert_non_null(strstr(err.text_cstr, "inside each other"));
    buffer_deinit(&text);
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_templates_fill_their_holes),
        cmocka_unit_test(test_mistakes_are_refused),
        cmocka_unit_test(test_depth_has_a_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
