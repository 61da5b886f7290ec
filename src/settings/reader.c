/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/reader.h"

#include "base/map.h"

#include <confuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libconfuse takes a text that ends inside a section: this one, put behind the text, must come out at the top. */
#define END_MARK "end_of_settings"

enum { NAME_MAX_BYTES = 64, SIMILAR_MAX_EDITS = 2 };

/*
 * libconfuse gives its callbacks no context, and its lexer is one global anyway: this one says whom a
 * callback speaks to while settings_tree_new runs.
 */
static struct reading {
    struct settings_mistake *mistake;
    struct map seen; /* options that already have a value: writing one twice is a mistake */
    char *numbered;  /* "LINE:value", copied by libconfuse when the callback returns */
    size_t numbered_size;
} reading;

bool settings_wrong(struct settings_mistake *mistake, unsigned line, const char *format_cstr,
                    ...)
{
    va_list args;

    if (mistake->line != 0 && mistake->line <= line)
        return false;
    mistake->line = line == 0 ? 1 : line;
    va_start(args, format_cstr);
    (void)vsnprintf(mistake->words_cstr, sizeof mistake->words_cstr, format_cstr, args);
    va_end(args);
    return false;
}

/* Levenshtein distance, NAME_MAX_BYTES at most. */
static size_t edits_between(struct slice a, struct slice b)
{
    size_t row[NAME_MAX_BYTES + 1];

    if (a.len > NAME_MAX_BYTES || b.len > NAME_MAX_BYTES)
        return NAME_MAX_BYTES;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t change =
                diagonal + (byte_lower(a.at[i - 1]) == byte_lower(b.at[j - 1]) ? 0 : 1);
            size_t least = row[j - 1] < row[j] ? row[j - 1] + 1 : row[j] + 1;

            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[b.len];
}

struct slice settings_similar(struct slice name, const char *(*name_at)(const void *, size_t),
                              const void *names, size_t count)
{
    struct slice best = {NULL, 0};
    size_t least = SIMILAR_MAX_EDITS + 1;

    for (size_t i = 0; i < count; i++) {
        struct slice other = slice_from_cstr(name_at(names, i));
        size_t edits = edits_between(name, other);

        if (edits < least && edits < other.len) {
            least = edits;
            best = other;
        }
    }
    return best;
}

static const char *option_name_at(const void *names, size_t index)
{
    return ((const cfg_opt_t *)names)[index].name;
}

static void on_unknown(cfg_t *cfg, struct slice name)
{
    bool is_top = strcmp(cfg->name, "root") == 0;
    size_t count = 0;
    struct slice best;

    if (slice_equal(name, S(END_MARK))) {
        settings_wrong(reading.mistake, (unsigned)cfg->line - 1,
                       "the text ends inside %s; a closing brace is missing", cfg->name);
        return;
    }
    while (cfg->opts[count].name != NULL)
        count++;
    best = settings_similar(name, option_name_at, cfg->opts, count);
    if (best.len > 0)
        settings_wrong(reading.mistake, (unsigned)cfg->line,
                       "unknown setting '%.*s'; did you mean '%.*s'?", SLICE_ARGS(name),
                       SLICE_ARGS(best));
    else
        settings_wrong(reading.mistake, (unsigned)cfg->line,
                       "unknown setting '%.*s' %s%s; conf/postern.conf lists all of them",
                       SLICE_ARGS(name), is_top ? "at the top" : "in ",
                       is_top ? "" : cfg->name);
}

/* libconfuse speaks; say it in our way, with what to do. */
static void FORMAT_LIKE(2, 0) on_error(cfg_t *cfg, const char *format_cstr, va_list args)
{
    static const struct {
        struct slice begin;
        const char *advice_cstr;
    } advices[] = {
        {SLICE_INIT("missing equal sign"), "write: name = VALUE"},
        {SLICE_INIT("missing opening brace"),
         "write: section { … } or section \"title\" { … }"},
        {SLICE_INIT("missing title"), "write: section \"title\" { … }"},
        {SLICE_INIT("found duplicate title"), "give each section of a kind its own title"},
        {SLICE_INIT("premature end"), "a closing brace or quote is missing"},
        {SLICE_INIT("unexpected closing brace"),
         "remove it, or look for a missing opening one"},
        {SLICE_INIT("syntax error"), "a quote or brace may be missing above"},
    };
    static const struct slice unknown = SLICE_INIT("no such option '");
    char words_cstr[160];
    const char *advice_cstr = "see the sample conf/postern.conf";
    struct slice words;

    (void)vsnprintf(words_cstr, sizeof words_cstr, format_cstr, args);
    words = slice_from_cstr(words_cstr);
    if (slice_starts_with(words, unknown)) {
        struct slice rest = slice_from(words, unknown.len);

        on_unknown(cfg, slice_cut(&rest, '\''));
        return;
    }
    for (size_t i = 0; i < COUNT_OF(advices); i++) {
        if (slice_starts_with(words, advices[i].begin))
            advice_cstr = advices[i].advice_cstr;
    }
    settings_wrong(reading.mistake, (unsigned)cfg->line, "%s; %s", words_cstr, advice_cstr);
}

/* Called for every value: put its line before it. */
static int on_value(cfg_t *cfg, cfg_opt_t *option, const char *value_cstr, void *result)
{
    size_t size = strlen(value_cstr) + 16;
    uint64_t key = (uint64_t)(uintptr_t)option;

    if ((option->flags & CFGF_LIST) == 0) {
        if (map_get(&reading.seen, key) != NULL) {
            settings_wrong(reading.mistake, (unsigned)cfg->line,
                           "'%s' is written twice; keep one of them", option->name);
            return -1;
        }
        map_put(&reading.seen, key, option);
    }
    if (reading.numbered_size < size) {
        free(reading.numbered);
        reading.numbered = malloc(size);
        must(reading.numbered != NULL);
        reading.numbered_size = size;
    }
    (void)snprintf(reading.numbered, size, "%u:%s", (unsigned)cfg->line, value_cstr);
    *(const char **)result = reading.numbered;
    return 0;
}

/* The grammar of one section, as libconfuse wants it. */
static cfg_opt_t *grammar_new(const struct settings_section *section, struct arena *memory)
{
    size_t count = section->row_count + section->inner_count + 2, at = 0;
    cfg_opt_t *options = arena_alloc(memory, count * sizeof *options);

    must(options != NULL);
    for (size_t i = 0; i < section->row_count; i++) {
        const struct settings_row *row = &section->rows[i];
        bool is_list = row->kind == VALUE_TEXTS || row->kind == VALUE_NETWORKS ||
                       row->kind == VALUE_METHODS;
        cfg_opt_t single = CFG_STR_CB(row->name_cstr, NULL, CFGF_NODEFAULT, on_value);
        cfg_opt_t list = CFG_STR_LIST_CB(row->name_cstr, NULL, CFGF_NODEFAULT, on_value);

        options[at++] = is_list ? list : single;
    }
    for (size_t i = 0; i < section->inner_count; i++) {
        const struct settings_section *inner = &section->inner[i];
        cfg_flag_t flags =
            inner->is_many ? CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES : CFGF_NONE;
        cfg_opt_t option = CFG_SEC(inner->name_cstr, grammar_new(inner, memory), flags);

        options[at++] = option;
    }
    if (section->name_cstr == NULL)
        options[at++] = (cfg_opt_t)CFG_STR_CB(END_MARK, NULL, CFGF_NODEFAULT, on_value);
    options[at] = (cfg_opt_t)CFG_END();
    return options;
}

struct cfg_t *settings_tree_new(const struct settings_section *root, struct slice text,
                                struct arena *memory, struct settings_mistake *mistake)
{
    static const char end[] = "\n" END_MARK " = 1\n";
    cfg_t *tree;
    char *text_cstr;

    *mistake = (struct settings_mistake){.text = text};
    if (text.len > SETTINGS_TEXT_MAX_BYTES || slice_find_byte(text, 0) < text.len) {
        settings_wrong(mistake, 1, "not a settings file: NUL bytes, or more than 4 MiB");
        return NULL;
    }
    text_cstr = malloc(text.len + sizeof end);
    tree = cfg_init(grammar_new(root, memory), CFGF_NONE);
    must(text_cstr != NULL && tree != NULL);
    if (text.len > 0)
        memcpy(text_cstr, text.at, text.len);
    memcpy(text_cstr + text.len, end, sizeof end);
    reading.mistake = mistake;
    map_init(&reading.seen);
    cfg_set_error_function(tree, on_error);
    if (cfg_parse_buf(tree, text_cstr) != CFG_SUCCESS) {
        if (mistake->line == 0)
            settings_wrong(mistake, (unsigned)tree->line,
                           "cannot be read; see conf/postern.conf");
        settings_tree_free(&tree);
    } else if (cfg_size(tree, END_MARK) == 0) {
        settings_wrong(mistake, (unsigned)tree->line,
                       "the text ends inside a comment; close it");
        settings_tree_free(&tree);
    }
    map_deinit(&reading.seen);
    free(reading.numbered);
    reading = (struct reading){0};
    explicit_bzero(text_cstr, text.len);
    free(text_cstr);
    return tree;
}

void settings_tree_free(struct cfg_t **tree)
{
    if (*tree != NULL)
        cfg_free(*tree);
    *tree = NULL;
}

size_t settings_tree_count(struct cfg_t *tree, const char *name_cstr)
{
    return cfg_size(tree, name_cstr);
}

struct slice settings_tree_value(struct cfg_t *tree, const char *name_cstr, size_t index,
                                 unsigned *line_out)
{
    struct slice value = slice_from_cstr(cfg_getnstr(tree, name_cstr, (unsigned)index));
    uint64_t line = 1;

    must(slice_parse_u64(slice_cut(&value, ':'), &line));
    *line_out = (unsigned)line;
    return value;
}

struct cfg_t *settings_tree_section(struct cfg_t *tree, const char *name_cstr, size_t index)
{
    return cfg_getnsec(tree, name_cstr, (unsigned)index);
}

struct slice settings_tree_title(struct cfg_t *tree)
{
    return slice_from_cstr(cfg_title(tree));
}

/* libconfuse knows where a section ended: go back to the line that begins with its name. */
static unsigned section_line(struct cfg_t *tree, const struct settings_mistake *mistake)
{
    struct slice name = slice_from_cstr(tree->name), rest = mistake->text;
    unsigned line = 1, found = 1;

    while (rest.len > 0 && line <= (unsigned)tree->line) {
        struct slice text = slice_trim(slice_cut(&rest, '\n'));

        if (slice_starts_with(text, name) && text.len > name.len &&
            !byte_is_alpha(text.at[name.len]) && text.at[name.len] != '_')
            found = line;
        line++;
    }
    return found;
}

unsigned settings_tree_line(struct cfg_t *tree, const char *name_cstr,
                            const struct settings_mistake *mistake)
{
    unsigned line;

    if (name_cstr != NULL && cfg_size(tree, name_cstr) > 0) {
        (void)settings_tree_value(tree, name_cstr, 0, &line);
        return line;
    }
    return section_line(tree, mistake);
}
