/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/template.h"

#include "format/html/escape.h"
#include "format/mime/utf8.h"

#include <stdlib.h>

enum { PIECES_MAX = 10000 };

enum piece_kind {
    PIECE_TEXT,
    PIECE_VALUE,
    PIECE_RAW,
    PIECE_SECTION,
    PIECE_INVERTED,
    PIECE_END
};

/* Offsets instead of slices: the text may move while includes are put in. */
struct piece {
    enum piece_kind kind;
    size_t from, len; /* text, or name */
    size_t end;       /* section: index of its PIECE_END */
};

struct template
{
    struct buffer text; /* all text and names, back to back */
    struct piece *pieces;
    size_t count, cap;
};

/* ---- parsing ---- */

struct parser {
    struct template *template;
    const struct template_source *set;
    size_t set_count;
    size_t open[TEMPLATE_DEPTH_MAX]; /* indices of sections not yet closed */
    size_t open_count;
    size_t include_depth;
    struct err *err;
};

/* One template being read: its name for error texts, its text and where the reader stands. */
struct source {
    const char *name_cstr;
    struct slice text;
    size_t at;
};

static size_t line_of(const struct source *source)
{
    size_t line = 1;

    for (size_t i = 0; i < source->at; i++)
        line += source->text.at[i] == '\n';
    return line;
}

#define FAIL_AT(parser, source, ...) fail_at((parser), (source), __VA_ARGS__)
static bool fail_at(struct parser *parser, const struct source *source, const char *why_cstr)
{
    return FAIL(parser->err, ERR_PERM, "template %s, line %zu: %s", source->name_cstr,
                line_of(source), why_cstr);
}

static bool piece_add(struct parser *parser, enum piece_kind kind, struct slice bytes)
{
    struct template *template = parser->template;

    if (template->count == PIECES_MAX)
        return false;
    if (template->count == template->cap) {
        template->cap = template->cap == 0 ? 32 : template->cap * 2;
        template->pieces = reallocarray(template->pieces, template->cap, sizeof(struct piece));
        must(template->pieces != NULL);
    }
    template->pieces[template->count++] =
        (struct piece){kind, buffer_len(&template->text), bytes.len, 0};
    return buffer_append(&template->text, bytes);
}

static struct slice piece_bytes(const struct template *template, const struct piece *piece)
{
    return slice_head(slice_from(buffer_view(&template->text), piece->from), piece->len);
}

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!byte_is_alpha(name.at[i]) && !byte_is_digit(name.at[i]) && name.at[i] != '_' &&
            name.at[i] != '-' && name.at[i] != '.')
            return false;
    return name.len > 0 && name.len <= 100;
}

static bool section_open(struct parser *parser, const struct source *source,
                         enum piece_kind kind, struct slice name)
{
    if (parser->open_count == TEMPLATE_DEPTH_MAX)
        return FAIL_AT(parser, source, "too many sections inside each other");
    parser->open[parser->open_count++] = parser->template->count;
    return piece_add(parser, kind, name) ||
           FAIL_AT(parser, source, "the template is too large");
}

static bool section_close(struct parser *parser, const struct source *source, struct slice name,
                          size_t open_at_start)
{
    struct template *template = parser->template;
    struct piece *opened;

    if (parser->open_count == open_at_start)
        return FAIL_AT(parser, source, "a section is closed that was not opened");
    opened = &template->pieces[parser->open[--parser->open_count]];
    if (!slice_equal(piece_bytes(template, opened), name))
        return FAIL_AT(parser, source, "a section is closed by another name");
    opened->end = template->count;
    return piece_add(parser, PIECE_END, S("")) ||
           FAIL_AT(parser, source, "the template is too large");
}

static bool include(struct parser *parser, const struct source *from, struct slice name);

/* Act on one tag: `sign` is its first byte when that is one of # ^ / > ! & {, else 0. */
static bool tag(struct parser *parser, const struct source *source, uint8_t sign,
                struct slice name, size_t open_at_start)
{
    if (sign == '!')
        return true;
    if (!is_name(name))
        return FAIL_AT(parser, source, "a tag holds no proper name");
    switch (sign) {
    case '#':
        return section_open(parser, source, PIECE_SECTION, name);
    case '^':
        return section_open(parser, source, PIECE_INVERTED, name);
    case '/':
        return section_close(parser, source, name, open_at_start);
    case '>':
        return include(parser, source, name);
    default:
        return piece_add(parser, sign == '{' ? PIECE_RAW : PIECE_VALUE, name) ||
               FAIL_AT(parser, source, "the template is too large");
    }
}

/* Position of the next "{{" or "}}" at or after `from`, or the end of the text. */
static size_t find_pair(struct slice text, size_t from, uint8_t brace)
{
    while (from + 1 < text.len && !(text.at[from] == brace && text.at[from + 1] == brace))
        from++;
    return from + 1 < text.len ? from : text.len;
}

/*
 * A tag from `begin` to `end` that stands alone on its line takes the line with it: move both ends
 * outwards over blanks and over the line end behind. Otherwise leave them.
 */
static void take_whole_line(struct slice text, size_t *begin, size_t *end)
{
    size_t first = *begin, last = *end;

    while (first > 0 && (text.at[first - 1] == ' ' || text.at[first - 1] == '\t'))
        first--;
    while (last < text.len &&
           (text.at[last] == ' ' || text.at[last] == '\t' || text.at[last] == '\r'))
        last++;
    if ((first > 0 && text.at[first - 1] != '\n') || (last < text.len && text.at[last] != '\n'))
        return;
    *begin = first;
    *end = last < text.len ? last + 1 : last;
}

/* Read one stretch of text and the tag behind it. */
static bool step(struct parser *parser, struct source *source, size_t open_at_start)
{
    size_t begin = find_pair(source->text, source->at, '{');
    size_t close, end = begin, text_end = begin;
    struct slice inside;
    uint8_t sign = 0;
    bool text_fits;

    if (begin < source->text.len) {
        close = find_pair(source->text, begin + 2, '}');
        if (close == source->text.len) {
            source->at = begin;
            return FAIL_AT(parser, source, "a tag does not end");
        }
        end = close + 2;
        inside = slice_head(slice_from(source->text, begin + 2), close - begin - 2);
        if (inside.len > 0 && slice_find_byte(S("#^/>!{"), inside.at[0]) < 6) {
            sign = inside.at[0];
            inside = slice_from(inside, 1);
        }
        if (sign == '{') {
            if (end == source->text.len || source->text.at[end] != '}')
                return FAIL_AT(parser, source, "a {{{ tag does not end in }}}");
            end++;
        } else if (sign != 0) {
            take_whole_line(source->text, &text_end, &end);
            if (text_end < source->at)
                text_end = source->at;
        }
    }
    text_fits =
        text_end == source->at ||
        piece_add(parser, PIECE_TEXT,
                  slice_head(slice_from(source->text, source->at), text_end - source->at));
    source->at = begin;
    if (!text_fits)
        return FAIL_AT(parser, source, "the template is too large");
    if (begin < source->text.len &&
        !tag(parser, source, sign, slice_trim(inside), open_at_start))
        return false;
    source->at = end;
    return true;
}

static bool parse_source(struct parser *parser, const char *name_cstr, struct slice text)
{
    struct source source = {name_cstr, text, 0};
    size_t open_at_start = parser->open_count;

    if (text.len > TEMPLATE_TEXT_MAX)
        return FAIL_AT(parser, &source, "the template is too large");
    while (source.at < text.len)
        if (!step(parser, &source, open_at_start))
            return false;
    return parser->open_count == open_at_start ||
           FAIL_AT(parser, &source, "a section is left open");
}

static const struct template_source *find_source(const struct parser *parser, struct slice name)
{
    for (size_t i = 0; i < parser->set_count; i++)
        if (slice_equal(slice_from_cstr(parser->set[i].name_cstr), name))
            return &parser->set[i];
    return NULL;
}

static bool include(struct parser *parser, const struct source *from, struct slice name)
{
    const struct template_source *found = find_source(parser, name);
    bool parsed;

    if (found == NULL)
        return FAIL_AT(parser, from, "includes a template that does not exist");
    if (parser->include_depth == TEMPLATE_DEPTH_MAX)
        return FAIL_AT(parser, from, "includes go in circles");
    parser->include_depth++;
    parsed = parse_source(parser, found->name_cstr, found->text);
    parser->include_depth--;
    return parsed;
}

struct template *template_parse(const struct template_source *set, size_t count,
                                const char *name_cstr, struct err *err)
{
    struct template *template = calloc(1, sizeof *template);
    struct parser parser = {.template = template, .set = set, .set_count = count, .err = err};
    const struct template_source *found = find_source(&parser, slice_from_cstr(name_cstr));

    must(template != NULL);
    buffer_init(&template->text, TEMPLATE_TEXT_MAX);
    if (found == NULL)
        FAIL(err, ERR_PERM, "there is no template %s", name_cstr);
    else if (parse_source(&parser, found->name_cstr, found->text))
        return template;
    template_free(&template);
    return NULL;
}

void template_free(struct template **template)
{
    if (*template == NULL)
        return;
    buffer_deinit(&(*template)->text);
    free((*template)->pieces);
    free(*template);
    *template = NULL;
}

/* ---- writing ---- */

struct writer {
    const struct template *template;
    enum template_escape escape;
    const struct template_scope *scopes[TEMPLATE_DEPTH_MAX + 1]; /* outermost first */
    size_t depth;
    struct buffer *out;
    struct err *err;
};

static const struct template_value *look_up(const struct writer *writer, struct slice name)
{
    for (size_t i = writer->depth; i-- > 0;)
        for (size_t j = 0; j < writer->scopes[i]->count; j++)
            if (slice_equal(slice_from_cstr(writer->scopes[i]->values[j].name_cstr), name))
                return &writer->scopes[i]->values[j];
    FAIL(writer->err, ERR_PERM, "the template wants '%.*s', which is not given",
         SLICE_ARGS(name));
    return NULL;
}

static bool value_is_true(const struct template_value *value)
{
    switch (value->kind) {
    case VALUE_TEXT:
    case VALUE_HTML:
        return value->text.len > 0;
    case VALUE_BOOL:
        return value->truth;
    case VALUE_LIST:
        return value->item_count > 0;
    }
    return false;
}

static bool write_value(struct writer *writer, const struct template_value *value, bool raw)
{
    bool fits;

    if (value->kind != VALUE_HTML && (raw || value->kind != VALUE_TEXT))
        return FAIL(writer->err, ERR_PERM, "the template cannot write '%s' as %s",
                    value->name_cstr, raw ? "HTML" : "text");
    if (raw)
        fits = buffer_append(writer->out, value->text);
    else if (writer->escape == TEMPLATE_HTML)
        fits = html_escape_append(writer->out, value->text);
    else
        fits = utf8_append_clean(writer->out, value->text, true);
    return fits || FAIL(writer->err, ERR_PERM, "the filled template is too large");
}

static bool write_range(struct writer *writer, size_t from, size_t to);

/* The section at `index`: its inside as often as its value says. */
static bool write_section(struct writer *writer, size_t index,
                          const struct template_value *value)
{
    const struct piece *piece = &writer->template->pieces[index];
    bool written = true;

    if (piece->kind == PIECE_INVERTED)
        return value_is_true(value) || write_range(writer, index + 1, piece->end);
    if (value->kind != VALUE_LIST)
        return !value_is_true(value) || write_range(writer, index + 1, piece->end);
    for (size_t i = 0; i < value->item_count && written; i++) {
        writer->scopes[writer->depth++] = &value->items[i];
        written = write_range(writer, index + 1, piece->end);
        writer->depth--;
    }
    return written;
}

static bool write_range(struct writer *writer, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        const struct piece *piece = &writer->template->pieces[i];
        struct slice bytes = piece_bytes(writer->template, piece);
        const struct template_value *value;

        if (piece->kind == PIECE_TEXT) {
            if (!buffer_append(writer->out, bytes))
                return FAIL(writer->err, ERR_PERM, "the filled template is too large");
            continue;
        }
        value = look_up(writer, bytes);
        if (value == NULL)
            return false;
        if (piece->kind == PIECE_SECTION || piece->kind == PIECE_INVERTED) {
            if (!write_section(writer, i, value))
                return false;
            i = piece->end;
        } else if (!write_value(writer, value, piece->kind == PIECE_RAW)) {
            return false;
        }
    }
    return true;
}

bool template_write(const struct template *template, enum template_escape escape,
                    const struct template_scope *scope, struct buffer *out, struct err *err)
{
    struct writer writer = {template, escape, {scope}, 1, out, err};
    size_t before = buffer_len(out);

    if (write_range(&writer, 0, template->count))
        return true;
    buffer_truncate(out, before);
    return false;
}
