/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/convert.h"

#include "settings/values.h"

#include <inttypes.h>
#include <string.h>

enum { TEXT_MAX_BYTES = 4096 };

struct conversion {
    struct cfg_t *tree;
    const struct settings_row *row;
    struct slice folder;
    struct arena *memory;
    struct settings_mistake *mistake;
    unsigned line;
    bool is_full; /* the arena's ceiling was crossed */
};

static void *at_offset(void *base, size_t offset)
{
    return (char *)base + offset;
}

static bool wrong(struct conversion *c, struct slice text, const char *advice_cstr)
{
    return settings_wrong(c->mistake, c->line, "%s = \"%.*s\" is not %s", c->row->name_cstr,
                          (int)(text.len < 60 ? text.len : 60), (const char *)text.at,
                          advice_cstr);
}

static const char *copy_cstr(struct conversion *c, struct slice text, bool lower)
{
    struct slice copy = arena_copy(c->memory, text);

    if (copy.at == NULL) {
        c->is_full = true;
        return "";
    }
    for (size_t i = 0; lower && i < copy.len; i++)
        ((uint8_t *)(uintptr_t)copy.at)[i] = byte_lower(copy.at[i]);
    return (const char *)copy.at;
}

/* Control characters would reach headers, logs and terminals. */
static bool is_plain_text(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    }
    return text.len <= TEXT_MAX_BYTES;
}

static const char *copy_path(struct conversion *c, struct slice text)
{
    char *to;

    if (text.len == 0 || text.at[0] == '/' || c->folder.len == 0)
        return copy_cstr(c, text, false);
    to = arena_alloc(c->memory, c->folder.len + text.len + 1);
    if (to == NULL) {
        c->is_full = true;
        return "";
    }
    memcpy(to, c->folder.at, c->folder.len);
    memcpy(to + c->folder.len, text.at, text.len);
    return to;
}

static bool in_range(struct conversion *c, struct slice text, uint64_t value)
{
    const struct settings_row *row = c->row;

    if (row->max == 0 || (value >= row->min && value <= row->max))
        return true;
    if (row->kind == VALUE_DURATION)
        return settings_wrong(c->mistake, c->line,
                              "%s = %.*s is out of range; write %" PRIu64 "ms to %" PRIu64 "s",
                              row->name_cstr, SLICE_ARGS(text), row->min, row->max / 1000);
    return settings_wrong(c->mistake, c->line,
                          "%s = %.*s is out of range; write %" PRIu64 " to %" PRIu64,
                          row->name_cstr, SLICE_ARGS(text), row->min, row->max);
}

static bool convert_duration(struct conversion *c, struct slice text, int64_t *to)
{
    int64_t ms = 0;

    if (!value_duration_parse(text, &ms))
        return wrong(c, text, "a time; write a number with ms, s, m, h, d or w, like 15m");
    if (!in_range(c, text, (uint64_t)ms))
        return false;
    *to = ms;
    return true;
}

static bool convert_number(struct conversion *c, struct slice text, void *to)
{
    enum value_kind kind = c->row->kind;
    bool is_size = kind == VALUE_SIZE || kind == VALUE_SMALL_SIZE;
    uint64_t value = 0;

    if (is_size && !value_size_parse(text, &value))
        return wrong(c, text, "a size; write a number, or one with K, M or G, like 50M");
    if (!is_size && !slice_parse_u64(text, &value))
        return wrong(c, text, "a whole number");
    if (kind == VALUE_PORT && (value == 0 || value > UINT16_MAX))
        return wrong(c, text, "a port; write a number from 1 to 65535");
    if (!in_range(c, text, value))
        return false;
    if (kind == VALUE_SIZE)
        *(uint64_t *)to = value;
    else if (kind == VALUE_PORT)
        *(uint16_t *)to = (uint16_t)value;
    else
        *(uint32_t *)to = (uint32_t)value;
    return true;
}

static bool convert_word(struct conversion *c, struct slice text, void *to)
{
    char all_cstr[120] = "one of:";
    size_t used = strlen(all_cstr);

    for (int i = 0; c->row->words[i] != NULL; i++) {
        struct slice word = slice_from_cstr(c->row->words[i]);

        if (slice_equal_nocase(text, word)) {
            *(int *)to = i;
            return true;
        }
        if (used + word.len + 2 < sizeof all_cstr) {
            all_cstr[used] = ' ';
            memcpy(all_cstr + used + 1, word.at, word.len + 1);
            used += 1 + word.len;
        }
    }
    return wrong(c, text, all_cstr);
}

static bool is_host_port(struct slice text)
{
    struct slice host;
    uint16_t port;

    return value_host_port_parse(text, &host, &port);
}

/* What a text must be; the unset one always passes. */
static const struct text_rule {
    enum value_kind kind;
    bool (*is_right)(struct slice text);
    const char *advice_cstr;
} text_rules[] = {
    {VALUE_DOMAIN, value_is_domain,
     "a domain name; write letters, digits, hyphens and dots (international names as xn--…)"},
    {VALUE_HOST_PORT, is_host_port, "a host; write NAME, NAME:PORT or [ADDRESS]:PORT"},
    {VALUE_ORIGIN, value_is_origin,
     "an https address; write https://NAME or https://NAME:PORT, nothing behind it"},
};

/* The kinds that stay text. */
static bool convert_text(struct conversion *c, struct slice text, const char **to)
{
    enum value_kind kind = c->row->kind;

    if (!is_plain_text(text))
        return settings_wrong(c->mistake, c->line,
                              "%s holds control characters or more than %d bytes; remove them",
                              c->row->name_cstr, TEXT_MAX_BYTES);
    if (kind == VALUE_PASSWORD && !value_is_argon2id(text)) /* not shown: perhaps in clear */
        return settings_wrong(c->mistake, c->line,
                              "%s is not an argon2id hash; make one with: postern password",
                              c->row->name_cstr);
    for (size_t i = 0; i < COUNT_OF(text_rules); i++) {
        if (kind == text_rules[i].kind && text.len > 0 && !text_rules[i].is_right(text))
            return wrong(c, text, text_rules[i].advice_cstr);
    }
    if (kind == VALUE_PATH)
        *to = copy_path(c, text);
    else
        *to = copy_cstr(c, text, kind == VALUE_DOMAIN || kind == VALUE_HOST_PORT);
    return true;
}

static bool convert_single(struct conversion *c, struct slice text, void *base)
{
    void *to = at_offset(base, c->row->offset);

    switch (c->row->kind) {
    case VALUE_TEXT:
    case VALUE_DOMAIN:
    case VALUE_HOST_PORT:
    case VALUE_PATH:
    case VALUE_ORIGIN:
    case VALUE_PASSWORD:
        return convert_text(c, text, to);
    case VALUE_FILE:
        ((struct settings_file *)to)->path_cstr = copy_path(c, text);
        ((struct settings_file *)to)->line = c->line;
        return true;
    case VALUE_FLAG:
        return value_flag_parse(text, to) || wrong(c, text, "yes or no");
    case VALUE_COUNT:
    case VALUE_PORT:
    case VALUE_SIZE:
    case VALUE_SMALL_SIZE:
        return convert_number(c, text, to);
    case VALUE_DURATION:
        return convert_duration(c, text, to);
    case VALUE_ADDRESS:
        return text.len == 0 ||
               value_address_parse(text, to, at_offset(base, c->row->second)) ||
               wrong(c, text, "an address with port; write 192.0.2.1:587 or [2001:db8::1]:587");
    case VALUE_WORD:
        if (text.len == 0 && c->row->default_cstr != NULL)
            return true; /* unset; `second` says so */
        if (c->row->second != 0)
            *(bool *)at_offset(base, c->row->second) = true;
        return convert_word(c, text, to);
    case VALUE_TEXTS:
    case VALUE_NETWORKS:
    case VALUE_METHODS:
        break;
    }
    return false;
}

static bool convert_method(struct conversion *c, struct slice text, enum method *order,
                           size_t *count)
{
    enum method method;

    if (!method_parse(text, &method) || (method != METHOD_TLS && method != METHOD_OPENPGP &&
                                         method != METHOD_SMIME && method != METHOD_PORTAL))
        return wrong(c, text, "a method; write tls, openpgp, smime or portal");
    for (size_t i = 0; i < *count; i++) {
        if (order[i] == method)
            return wrong(c, text, "new: each method may stand in the list once");
    }
    order[(*count)++] = method;
    return true;
}

static bool convert_list_item(struct conversion *c, struct slice text, void *base, void *items)
{
    size_t *count = at_offset(base, c->row->second);

    if (c->row->kind == VALUE_METHODS)
        return convert_method(c, text, at_offset(base, c->row->offset), count);
    if (c->row->kind == VALUE_NETWORKS) {
        if (!value_network_parse(text, &((struct settings_network *)items)[*count]))
            return wrong(c, text,
                         "a network; write 192.0.2.0/24, 2001:db8::/32 or one address "
                         "(no bits behind the prefix)");
    } else if (!convert_text(c, text, &((const char **)items)[*count])) {
        return false;
    }
    (*count)++;
    return true;
}

static void convert_list(struct conversion *c, void *base)
{
    size_t written = settings_tree_count(c->tree, c->row->name_cstr);
    size_t item_bytes =
        c->row->kind == VALUE_NETWORKS ? sizeof(struct settings_network) : sizeof(const char *);
    struct slice rest = slice_from_cstr(c->row->default_cstr);
    void *items = NULL;

    if (c->row->kind != VALUE_METHODS && written > 0) {
        items = arena_alloc(c->memory, written * item_bytes);
        if (items == NULL) {
            c->is_full = true;
            return;
        }
        memcpy(at_offset(base, c->row->offset), &items, sizeof items);
    }
    for (size_t i = 0; i < written; i++) {
        struct slice text = settings_tree_value(c->tree, c->row->name_cstr, i, &c->line);

        if (!convert_list_item(c, text, base, items))
            return;
    }
    while (written == 0 && rest.len > 0) {
        if (!convert_list_item(c, slice_cut(&rest, ' '), base, items))
            return;
    }
}

static void convert_row(struct conversion *c, void *base)
{
    const char *name_cstr = c->row->name_cstr;
    bool is_written = settings_tree_count(c->tree, name_cstr) > 0;
    struct slice text = slice_from_cstr(c->row->default_cstr);

    c->line = 0;
    if (c->row->kind == VALUE_TEXTS || c->row->kind == VALUE_NETWORKS ||
        c->row->kind == VALUE_METHODS) {
        convert_list(c, base);
        return;
    }
    if (is_written)
        text = settings_tree_value(c->tree, name_cstr, 0, &c->line);
    if (c->row->default_cstr == NULL && text.len == 0) {
        settings_wrong(c->mistake, settings_tree_line(c->tree, name_cstr, c->mistake),
                       "'%s' is missing%s%.*s; write: %s = …", name_cstr,
                       settings_tree_title(c->tree).len > 0 ? " in section " : "",
                       SLICE_ARGS(settings_tree_title(c->tree)), name_cstr);
        return;
    }
    (void)convert_single(c, text, base);
}

static bool convert_title(const struct settings_section *section, struct conversion *c,
                          void *base)
{
    const struct settings_row row = {.name_cstr = section->name_cstr,
                                     .kind = section->title_kind,
                                     .offset = section->title_offset};
    struct slice title = settings_tree_title(c->tree);
    bool done;

    c->line = 0;
    if (title.len == 0 || !is_plain_text(title)) {
        c->line = settings_tree_line(c->tree, NULL, c->mistake);
        return settings_wrong(c->mistake, c->line, "%s has no name; write: %s \"NAME\" { … }",
                              section->name_cstr, section->name_cstr);
    }
    if (section->title_kind == VALUE_DOMAIN && !value_is_domain(title))
        c->line = settings_tree_line(c->tree, NULL, c->mistake);
    c->row = &row;
    done = convert_single(c, title, base);
    c->row = NULL;
    return done;
}

/* The sections of one kind inside `base`: one struct, or an array of them. */
static bool convert_inner(const struct settings_section *inner, struct conversion *parent,
                          void *base)
{
    size_t count = settings_tree_count(parent->tree, inner->name_cstr);
    char *structs = at_offset(base, inner->offset);

    if (inner->is_many) {
        structs = arena_alloc(parent->memory, (count + 1) * inner->struct_bytes);
        if (structs == NULL)
            return false;
        memcpy(at_offset(base, inner->offset), &structs, sizeof structs);
        memcpy(at_offset(base, inner->count_offset), &count, sizeof count);
    }
    for (size_t i = 0; i < count; i++) {
        struct cfg_t *tree = settings_tree_section(parent->tree, inner->name_cstr, i);
        struct conversion c = *parent;

        c.tree = tree;
        if (inner->is_many)
            (void)convert_title(inner, &c, structs + i * inner->struct_bytes);
        if (c.is_full || !settings_convert(inner, tree, parent->folder, parent->memory,
                                           parent->mistake, structs + i * inner->struct_bytes))
            return false;
    }
    return true;
}

bool settings_convert(const struct settings_section *section, struct cfg_t *tree,
                      struct slice folder, struct arena *memory,
                      struct settings_mistake *mistake, void *section_out)
{
    struct conversion c = {
        .tree = tree, .folder = folder, .memory = memory, .mistake = mistake};

    for (size_t i = 0; i < section->row_count && !c.is_full; i++) {
        c.row = &section->rows[i];
        convert_row(&c, section_out);
    }
    for (size_t i = 0; i < section->inner_count && !c.is_full; i++) {
        if (!convert_inner(&section->inner[i], &c, section_out))
            return false;
    }
    return !c.is_full;
}
