/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages and mails with holes: a small part of mustache. Parsed once at start (our own files, but
 * an administrator may replace them, so every mistake has a line number), written many times.
 *
 *     {{name}}              the value, escaped for HTML text and quoted attributes
 *     {{{name}}}            the value as it is; refused unless the program gave it as VALUE_HTML
 *     {{#name}}...{{/name}} once if true or not empty; once per item for a list
 *     {{^name}}...{{/name}} if false, empty, or a list of nothing
 *     {{>name}}             another template of the same set, put in while parsing
 *     {{! words }}          nothing
 *
 * A name is letters, digits, '_', '-' and '.'. A tag of the last four kinds that stands alone on
 * its line takes the line with it. Names are looked up in the innermost list item first, then
 * outwards; a name that nobody gave is an error, never an empty hole.
 *
 *     const struct template_value values[] = {
 *         template_text("sender", sender), template_bool("has_answer", true),
 *         template_list("parts", scopes, count),
 *     };
 *     template_write(page, TEMPLATE_HTML, &(struct template_scope){values, COUNT_OF(values)}, &out, &err);
 */
#ifndef FORMAT_HTML_TEMPLATE_H
#define FORMAT_HTML_TEMPLATE_H

#include "base/buffer.h"
#include "base/err.h"

enum {
    TEMPLATE_DEPTH_MAX = 16,         /* sections inside sections, includes inside includes */
    TEMPLATE_TEXT_MAX = 1024 * 1024, /* bytes of one template, includes put in */
};

/* One file of a set; tools/embed-templates makes arrays of these out of a folder. */
struct template_source {
    const char *name_cstr; /* e.g. "reveal.html" */
    struct slice text;
};

enum template_kind { VALUE_TEXT, VALUE_HTML, VALUE_BOOL, VALUE_LIST };

struct template_scope;
struct template_value {
    const char *name_cstr;
    enum template_kind kind;
    struct slice text;                  /* VALUE_TEXT, VALUE_HTML */
    bool truth;                         /* VALUE_BOOL */
    const struct template_scope *items; /* VALUE_LIST */
    size_t item_count;
};
struct template_scope {
    const struct template_value *values;
    size_t count;
};

static inline struct template_value template_text(const char *name_cstr, struct slice text)
{
    return (struct template_value){name_cstr, VALUE_TEXT, text, false, NULL, 0};
}
/* Only for HTML that this program made or sanitised. */
static inline struct template_value template_html(const char *name_cstr, struct slice html)
{
    return (struct template_value){name_cstr, VALUE_HTML, html, false, NULL, 0};
}
static inline struct template_value template_bool(const char *name_cstr, bool truth)
{
    return (struct template_value){name_cstr, VALUE_BOOL, {NULL, 0}, truth, NULL, 0};
}
static inline struct template_value
template_list(const char *name_cstr, const struct template_scope *items, size_t count)
{
    return (struct template_value){name_cstr, VALUE_LIST, {NULL, 0}, false, items, count};
}

struct template;

/*
 * Parse the template `name_cstr` of the set, includes put in.
 *
 * Errors  ERR_PERM: no such template, a tag that does not end, a section closed by another name or
 *         left open, a bad name, depth or size over the limit; the text names template and line.
 * Owner   the caller: template_free. The set may go away afterwards.
 */
MUST_CHECK struct template *template_parse(const struct template_source *set, size_t count,
                                           const char *name_cstr, struct err *err);
void template_free(struct template **template);

/* HTML escapes; TEXT puts values on one line and drops control characters. */
enum template_escape { TEMPLATE_HTML, TEMPLATE_TEXT };

/*
 * Append the filled template to `out`.
 *
 * Errors  ERR_PERM: a name that no scope holds, a {{{hole}}} whose value is not VALUE_HTML, a hole
 *         for a bool or a list, or the ceiling of `out`; `out` is then cut back to what it held.
 */
MUST_CHECK bool template_write(const struct template *template, enum template_escape escape,
                               const struct template_scope *scope, struct buffer *out,
                               struct err *err);

#endif
