/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door to libconfuse: settings text in, a tree of sections out, with the line of every value. The
 * grammar comes from the table (settings/table.h). The first mistake, in the order of lines, is kept in
 * a struct settings_mistake; later ones are dropped.
 */
#ifndef SETTINGS_READER_H
#define SETTINGS_READER_H

#include "base/arena.h"
#include "settings/table.h"

enum { SETTINGS_TEXT_MAX_BYTES = 4 << 20 };

struct settings_mistake {
    struct slice text; /* the whole settings, to find where a section begins */
    unsigned line;     /* 0 = no mistake yet */
    char words_cstr[200];
};

/* Always false, so that `return settings_wrong(...)` reads well. Keeps the mistake on the lowest line. */
bool settings_wrong(struct settings_mistake *mistake, unsigned line, const char *format_cstr,
                    ...) FORMAT_LIKE(3, 4);
/* The most similar of `count` names, at most two edits away; empty when there is none. */
struct slice settings_similar(struct slice name, const char *(*name_at)(const void *, size_t),
                              const void *names, size_t count);

struct cfg_t;
/* By the grammar of `root`. NULL when the text is not even readable as settings; the mistake says why. */
struct cfg_t *settings_tree_new(const struct settings_section *root, struct slice text,
                                struct arena *memory, struct settings_mistake *mistake);
void settings_tree_free(struct cfg_t **tree);

/* How many values or sections of that name, and each of them. */
size_t settings_tree_count(struct cfg_t *tree, const char *name_cstr);
struct slice settings_tree_value(struct cfg_t *tree, const char *name_cstr, size_t index,
                                 unsigned *line_out);
struct cfg_t *settings_tree_section(struct cfg_t *tree, const char *name_cstr, size_t index);
/* "" for a section without title. */
struct slice settings_tree_title(struct cfg_t *tree);
/* Where a value is written; the section's first line when it is not. */
unsigned settings_tree_line(struct cfg_t *tree, const char *name_cstr,
                            const struct settings_mistake *mistake);

#endif
