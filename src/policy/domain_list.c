/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/domain_list.h"

#include <stdlib.h>

enum { DOMAIN_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > LABEL_MAX_BYTES)
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!byte_is_alpha(label.at[i]) && !byte_is_digit(label.at[i]) &&
            (label.at[i] != '-' || i == 0 || i == label.len - 1))
            return false;
    return true;
}

static bool is_entry(struct slice text)
{
    bool more = true;

    if (slice_starts_with(text, S("*.")))
        text = slice_from(text, 2);
    if (text.len == 0 || text.len > DOMAIN_MAX_BYTES)
        return false;
    while (more) {
        more = slice_find_byte(text, '.') < text.len;
        if (!is_label(slice_cut(&text, '.')))
            return false;
    }
    return true;
}

bool domain_list_add(struct domain_list *list, struct slice entry)
{
    if (!is_entry(entry) || list->count == DOMAIN_LIST_MAX)
        return false;
    if (list->count == list->cap) {
        list->cap = list->cap == 0 ? 16 : list->cap * 2;
        list->entries = realloc(list->entries, list->cap * sizeof *list->entries);
        must(list->entries != NULL);
    }
    list->entries[list->count++] = entry;
    list->is_sorted = false;
    return true;
}

static struct slice trim(struct slice line)
{
    line = slice_head(line, slice_find_byte(line, '#'));
    while (line.len > 0 && (line.at[0] == ' ' || line.at[0] == '\t'))
        line = slice_from(line, 1);
    while (line.len > 0 && (line.at[line.len - 1] == ' ' || line.at[line.len - 1] == '\t' ||
                            line.at[line.len - 1] == '\r'))
        line = slice_head(line, line.len - 1);
    return line;
}

bool domain_list_add_lines(struct domain_list *list, struct slice text, unsigned *line_out)
{
    *line_out = 0;
    while (text.len > 0) {
        struct slice line = trim(slice_cut(&text, '\n'));

        ++*line_out;
        if (line.len > 0 && !domain_list_add(list, line))
            return false;
    }
    return true;
}

static int compare(struct slice a, struct slice b)
{
    for (size_t i = 0; i < a.len && i < b.len; i++) {
        int difference = (int)byte_lower(a.at[i]) - (int)byte_lower(b.at[i]);

        if (difference != 0)
            return difference;
    }
    return (a.len > b.len) - (a.len < b.len);
}

static int compare_entries(const void *a, const void *b)
{
    return compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Sets: is there an entry made of "*." (when is_wild) and this name? */
static bool has(const struct domain_list *list, struct slice name, bool is_wild)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct slice entry = list->entries[middle];
        int order;

        if (is_wild)
            order =
                entry.len > 1 && entry.at[0] == '*' ? compare(slice_from(entry, 2), name) : 1;
        else
            order = compare(entry, name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

bool domain_list_holds(struct domain_list *list, struct slice domain)
{
    struct slice rest = domain;

    if (list->count == 0 || domain.len == 0)
        return false;
    if (!list->is_sorted)
        qsort(list->entries, list->count, sizeof *list->entries, compare_entries);
    list->is_sorted = true;
    if (has(list, domain, false))
        return true;
    while (slice_find_byte(rest, '.') < rest.len) {
        (void)slice_cut(&rest, '.');
        if (has(list, rest, true))
            return true;
    }
    return false;
}

void domain_list_deinit(struct domain_list *list)
{
    free(list->entries);
    *list = (struct domain_list){0};
}
