/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/entity.h"
#include "format/html/escape.h"
#include "format/html/sanitise.h"
#include "format/html/style.h"
#include "format/html/text.h"

#include "kit/kit.h"

#include <time.h>

static bool give_image(void *context, struct slice content_id, struct buffer *uri_out)
{
    (void)context;
    return slice_equal(content_id, S("logo@x")) &&
           buffer_append(uri_out, S("data:image/png;base64,AAAA"));
}

struct html_case {
    struct slice in, want;
};

#define LINK(url) "<a href=\"" url "\" target=\"_blank\" rel=\"noreferrer noopener nofollow\">"

static void test_harmless_html_stays(void **state)
{
    static const struct html_case cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("<html><body><p>Hi <b>you</b></body></html>"),
         SLICE_INIT("<p>Hi <b>you</b></p>")},
        {SLICE_INIT("a &amp; b &eacute; &#233; &bogus &x; 1 < 2 > 0 \"'"),
         SLICE_INIT(
             "a &amp; b &eacute; &#233; &amp;bogus &amp;x; 1 &lt; 2 &gt; 0 &quot;&#39;")},
        {SLICE_INIT("<P ALIGN=center>x<BR/>y</br>"),
         SLICE_INIT("<p align=\"center\">x<br>y<br></p>")},
        {SLICE_INIT("<a href='https://x.org/?a=1&amp;b=2'>l</a>"),
         SLICE_INIT(LINK("https://x.org/?a=1&amp;b=2") "l</a>")},
        {SLICE_INIT("<a href=mailto:a@b.org>l<a href=http://y>m"),
         SLICE_INIT(LINK("mailto:a@b.org") "l</a>" LINK("http://y") "m</a>")},
        {SLICE_INIT("<img src=cid:logo@x alt=L width=10>"),
         SLICE_INIT("<img src=\"data:image/png;base64,AAAA\" alt=\"L\" width=\"10\">")},
        {SLICE_INIT("<table><tr><td>1<td>2<tr><td bgcolor=#fff>3</table>"),
         SLICE_INIT("<table><tr><td>1</td><td>2</td></tr><tr><td "
                    "bgcolor=\"#fff\">3</td></tr></table>")},
        {SLICE_INIT("<ul><li>a<li>b</ul>c"), SLICE_INIT("<ul><li>a</li><li>b</li></ul>c")},
        {SLICE_INIT("<p>a<p>b<div>c"), SLICE_INIT("<p>a</p><p>b</p><div>c</div>")},
        {SLICE_INIT("<b><i>x</b>y</i>"), SLICE_INIT("<b><i>x</i></b>y")},
        {SLICE_INIT("<div><table><tr><td></div>x</table>"),
         SLICE_INIT("<div><table><tr><td>x</td></tr></table></div>")},
        {SLICE_INIT("<span style=\"color: red; position:fixed; FONT-size:12px\">x"),
         SLICE_INIT("<span style=\"color:red;FONT-size:12px;\">x</span>")},
        {SLICE_INIT("<font color=red face='A &quot;b'>x</font>"),
         SLICE_INIT("<font color=\"red\" face=\"A &quot;b\">x</font>")},
        {SLICE_INIT("<form action=x><label>N</label><input name=a><button>Go</button></form>"),
         SLICE_INIT("NGo")},
        {SLICE_INIT("<o:p>word</o:p>"), SLICE_INIT("word")},
        {SLICE_INIT("\xff\x01ok"), SLICE_INIT("\xEF\xBF\xBDok")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(html_sanitise(cases[i].in, give_image, NULL, &out));
        if (!slice_equal(buffer_view(&out), cases[i].want))
            fail_msg("case %zu: %.*s", i, SLICE_ARGS(buffer_view(&out)));
    }
    buffer_deinit(&out);
}

static void test_harm_goes(void **state)
{
    static const struct html_case cases[] = {
        {SLICE_INIT("<script>alert(1)</script>x"), SLICE_INIT("x")},
        {SLICE_INIT("<SCRIPT>a</scriptx></SCRIPT >x"), SLICE_INIT("x")},
        {SLICE_INIT("<script>never ends <b>"), SLICE_INIT("")},
        {SLICE_INIT("<scr<script>ipt>alert(1)</script>"), SLICE_INIT("ipt&gt;alert(1)")},
        {SLICE_INIT("<style>@import url(x)</style><title>t</title>x"), SLICE_INIT("x")},
        {SLICE_INIT("<b onclick=x onmouseover='y' id=a class=b data-x=1>x</b>"),
         SLICE_INIT("<b>x</b>")},
        {SLICE_INIT("<a href=\"javascript:alert(1)\">x</a>"), SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href=\" java\tscript&colon;alert(1)\">x</a>"), SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href=\"&#106;avascript:alert(1)\">x</a>"), SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href=\"data:text/html,x\">x</a>"), SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href=\"//x.org\">x</a><a href=\"/m/x\">y</a>"),
         SLICE_INIT("<a>x</a><a>y</a>")},
        {SLICE_INIT("<a href=\"https://x.org/\n\">x</a>"),
         SLICE_INIT(LINK("https://x.org/") "x</a>")},
        {SLICE_INIT("<a href=\"https://x\ty\">x</a>"), SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href=\"https://x&quot; onclick=&quot;y\">x</a>"),
         SLICE_INIT("<a>x</a>")},
        {SLICE_INIT("<a href='https://x\"onclick=y'>x</a>"),
         SLICE_INIT(LINK("https://x&quot;onclick=y") "x</a>")},
        {SLICE_INIT("<img src=https://t.org/p.gif alt='a<b'>x"), SLICE_INIT("a&lt;bx")},
        {SLICE_INIT("<img src=cid:other><img src=data:image/png;base64,AA srcset=x>"),
         SLICE_INIT("")},
        {SLICE_INIT("<td background=x><body background=y>z"), SLICE_INIT("<td>z</td>")},
        {SLICE_INIT("<p style=\"background:url(//x)\">x"), SLICE_INIT("<p>x</p>")},
        {SLICE_INIT("<p style=\"background:u\\72l(//x);color:expression(1)\">x"),
         SLICE_INIT("<p>x</p>")},
        {SLICE_INIT("<p style=\"font:1px 'a;x:url(y)'\">x"), SLICE_INIT("<p>x</p>")},
        {SLICE_INIT(
             "<!-- <b> --!>x<!--[if mso]><b><![endif]-->y<![if x]>z<!doctype a><?php ?>"),
         SLICE_INIT("xyz")},
        {SLICE_INIT("a<!-- never ends <b>x</b>"), SLICE_INIT("a")},
        {SLICE_INIT("<svg><style><img src=x onerror=y></style><svg></svg><p></svg>x"),
         SLICE_INIT("x")},
        {SLICE_INIT("<math><mtext><table><mglyph><style><!--</style>"), SLICE_INIT("")},
        {SLICE_INIT("<object data=x><p>y</object>x<embed src=y><iframe src=z>w</iframe>"),
         SLICE_INIT("x")},
        {SLICE_INIT("<select><option>a</select>x<textarea><b></textarea>y"), SLICE_INIT("xy")},
        {SLICE_INIT("<meta http-equiv=refresh content=0><link href=x><base href=y>x"),
         SLICE_INIT("x")},
        {SLICE_INIT("<p title=\"<b>&quot;\">x"),
         SLICE_INIT("<p title=\"&lt;b&gt;&quot;\">x</p>")},
        {SLICE_INIT("<noscript><img src=x onerror=y></noscript>x"), SLICE_INIT("x")},
        {SLICE_INIT("<b x='>'>y"), SLICE_INIT("<b>y</b>")},
        {SLICE_INIT("<b x='never ends"), SLICE_INIT("")},
        {SLICE_INIT("<xmp><b>x</xmp>y<plaintext><b>z"), SLICE_INIT("y")},
        {SLICE_INIT("</ b>x</>y"), SLICE_INIT("xy")},
        {SLICE_INIT("<td width=100000000><td colspan=x align='a b' dir=\"a'b\">"),
         SLICE_INIT("<td></td><td></td>")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(html_sanitise(cases[i].in, give_image, NULL, &out));
        if (!slice_equal(buffer_view(&out), cases[i].want))
            fail_msg("case %zu: %.*s", i, SLICE_ARGS(buffer_view(&out)));
    }
    buffer_deinit(&out);
}

static void test_no_image_without_a_giver_and_no_growth_over_the_ceiling(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 10);
    assert_true(buffer_append(&out, S("ab")));
    assert_true(html_sanitise(S("<img src=cid:logo@x>"), NULL, NULL, &out));
    assert_false(html_sanitise(S("<b>0123456789</b>"), NULL, NULL, &out));
    assert_true(slice_equal(buffer_view(&out), S("ab")));
    buffer_deinit(&out);
}

/* What hung or burst the libraries that were measured; also each one cut short everywhere. */
static void test_hostile_input_is_linear(void **state)
{
    static const struct {
        const char *head_cstr, *again_cstr;
        int times;
    } cases[] = {
        {"", "<div>", 300000},
        {"<p ", "a=b ", 100000},
        {"<p ", "style=color:red ", 100000},
        {"", "<b>", 60000},
        {"", "<a><b><i>", 100000},
        {"", "</b>", 300000},
        {"<table><tr><td><b><i><u><s>", "</p>", 300000},
        {"", "<!--", 300000},
        {"", "<!-", 300000},
        {"", "<a href='", 100000},
        {"", "<", 1000000},
        {"", "&", 1000000},
        {"", "&#", 500000},
        {"", "<script></scrip", 100000},
        {"", "<svg>", 300000},
        {"", "<li><p>", 100000},
        {"", "<td><table>", 100000},
        {"<!--", "-", 1000000},
        {"<script>", "</", 500000},
    };
    struct buffer in, out;
    clock_t before = clock();

    (void)state;
    buffer_init(&in, 10000000);
    buffer_init(&out, 20000000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&in);
        assert_true(buffer_append(&in, slice_from_cstr(cases[i].head_cstr)));
        for (int j = 0; j < cases[i].times; j++)
            assert_true(buffer_append(&in, slice_from_cstr(cases[i].again_cstr)));
        buffer_clear(&out);
        assert_true(html_sanitise(buffer_view(&in), NULL, NULL, &out));
        buffer_clear(&out);
        assert_true(html_to_text(buffer_view(&in), &out));
    }
    /* About half a second; quadratic would be minutes. Sanitizers are slower. */
    assert_true((clock() - before) / CLOCKS_PER_SEC < 20);
    buffer_deinit(&in);
    buffer_deinit(&out);
}

static void test_html_becomes_text(void **state)
{
    static const struct html_case cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT(" Hi \n there&nbsp;<b>you</b> "), SLICE_INIT("Hi there\xC2\xA0you")},
        {SLICE_INIT("<p>one<p>two<br>three<div>four</div>five"),
         SLICE_INIT("one\n\ntwo\nthree\nfour\nfive")},
        {SLICE_INIT("<ul><li>a<li>b</ul>"), SLICE_INIT("- a\n- b\n")},
        {SLICE_INIT("<table><tr><td>a<td>b<tr><td>c</table>"), SLICE_INIT("a b\nc\n")},
        {SLICE_INIT("<a href=https://x.org>here</a> <a href=https://x.org>https://x.org</a>"),
         SLICE_INIT("here <https://x.org> https://x.org")},
        {SLICE_INIT("<a href=javascript:x>here</a>"), SLICE_INIT("here")},
        {SLICE_INIT("<pre>a\n  b</pre>c"), SLICE_INIT("a\n  b\nc")},
        {SLICE_INIT("<style>x</style><script>y</script><svg>z</svg><!-- c -->ok"),
         SLICE_INIT("ok")},
        {SLICE_INIT("&lt;b&gt; &#x41;&#0; &nothing; &amp"),
         SLICE_INIT("<b> A\xEF\xBF\xBD &nothing; &amp")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 10000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(html_to_text(cases[i].in, &out));
        if (!slice_equal(buffer_view(&out), cases[i].want))
            fail_msg("case %zu: [%.*s]", i, SLICE_ARGS(buffer_view(&out)));
    }
    buffer_deinit(&out);
    buffer_init(&out, 3);
    assert_false(html_to_text(S("four"), &out));
    buffer_deinit(&out);
}

static void test_styles_are_filtered(void **state)
{
    static const struct html_case cases[] = {
        {SLICE_INIT("color:#FFF;margin-left:-3px"), SLICE_INIT("color:#FFF;margin-left:-3px;")},
        {SLICE_INIT("color:rgb(1, 2, 3) !important"),
         SLICE_INIT("color:rgb(1, 2, 3) !important;")},
        {SLICE_INIT("font-family:\"Segoe UI\",Arial"),
         SLICE_INIT("font-family:\"Segoe UI\",Arial;")},
        {SLICE_INIT("border-image:url(x)"), SLICE_INIT("")},
        {SLICE_INIT("border-image-source:a"), SLICE_INIT("")},
        {SLICE_INIT("color:rgb(1;2)"), SLICE_INIT("")},
        {SLICE_INIT("color:rgb(rgb(1))"), SLICE_INIT("")},
        {SLICE_INIT("color:'(' "), SLICE_INIT("")},
        {SLICE_INIT("color:a/**/b"), SLICE_INIT("")},
        {SLICE_INIT("color"), SLICE_INIT("")},
        {SLICE_INIT("z-index:9;-moz-binding:x;behavior:y;color:<"), SLICE_INIT("")},
    };
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        buffer_clear(&out);
        assert_true(style_filter(cases[i].in, &out));
        assert_true(slice_equal(buffer_view(&out), cases[i].want));
    }
    buffer_deinit(&out);
    assert_true(style_is_colour(S("red")));
    assert_false(style_is_colour(S("url(x)")));
    assert_false(style_is_colour(S("")));
}

static void test_escape(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 60);
    assert_true(html_escape_append(&out, S("<a b='\"&\x02\xC3\xA9\xE9")));
    assert_true(
        slice_equal(buffer_view(&out), S("&lt;a b=&#39;&quot;&amp;\xC3\xA9\xEF\xBF\xBD")));
    buffer_deinit(&out);
    buffer_init(&out, 3);
    assert_false(html_escape_append(&out, S("<")));
    buffer_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_harmless_html_stays),
        cmocka_unit_test(test_harm_goes),
        cmocka_unit_test(test_no_image_without_a_giver_and_no_growth_over_the_ceiling),
        cmocka_unit_test(test_hostile_input_is_linear),
        cmocka_unit_test(test_html_becomes_text),
        cmocka_unit_test(test_styles_are_filtered),
        cmocka_unit_test(test_escape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
