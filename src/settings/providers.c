/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/providers.h"

#include "settings/convert.h"
#include "settings/providers_text.h"
#include "settings/values.h"

#include <stdlib.h>
#include <string.h>

enum { MEMORY_MAX_BYTES = 16 << 20, NAME_MAX_BYTES = 40, SECOND_MS = 1000 };

/* clang-format off */
#define AT(field) offsetof(struct STRUCT, field)
#define STRUCT settings_backoff
static const struct settings_row backoff_rows[] = {
    {"pause", VALUE_DURATION, AT(pause_ms), 0, NULL, SECOND_MS, UINT64_C(7) * 24 * 3600 * 1000, NULL},
};
#undef STRUCT
#define STRUCT settings_provider
static const struct settings_row provider_rows[] = {
    {"mx",                      VALUE_TEXTS, AT(mx), AT(mx_count),          "",  0, 0,       NULL},
    {"connections",             VALUE_COUNT, AT(connections), 0,             "0", 0, 1000,    NULL},
    {"messages_per_connection", VALUE_COUNT, AT(messages_per_connection), 0, "0", 0, 1000000, NULL},
    {"connections_per_minute",  VALUE_COUNT, AT(connections_per_minute), 0,  "0", 0, 1000000, NULL},
    {"messages_per_minute",     VALUE_COUNT, AT(messages_per_minute), 0,     "0", 0, 6000000, NULL},
};
static const struct settings_section provider_inner[] = {
    {"backoff", true, AT(backoffs), AT(backoff_count), sizeof(struct settings_backoff),
     offsetof(struct settings_backoff, words_cstr), VALUE_TEXT, backoff_rows, COUNT_OF(backoff_rows), NULL, 0},
};
#undef STRUCT
#define STRUCT settings_providers
static const struct settings_section root_inner[] = {
    {"provider", true, AT(all), AT(count), sizeof(struct settings_provider),
     offsetof(struct settings_provider, name_cstr), VALUE_TEXT, provider_rows, COUNT_OF(provider_rows),
     provider_inner, COUNT_OF(provider_inner)},
};
#undef STRUCT
static const struct settings_section root = {
    NULL, false, 0, 0, sizeof(struct settings_providers), 0, VALUE_TEXT, NULL, 0, root_inner, COUNT_OF(root_inner),
};
/* clang-format on */

static bool is_pattern(struct slice pattern)
{
    if (slice_starts_with(pattern, S("*.")))
        pattern = slice_from(pattern, 2);
    return value_is_domain(pattern);
}

static void check(const struct settings_provider *provider, struct cfg_t *section,
                  struct settings_mistake *mistake)
{
    unsigned line = settings_tree_line(section, "mx", mistake);
    size_t name_len = strlen(provider->name_cstr);

    if (name_len > NAME_MAX_BYTES)
        settings_wrong(mistake, line, "provider \"%s\": a name has at most %d bytes",
                       provider->name_cstr, NAME_MAX_BYTES);
    if (provider->mx_count == 0)
        settings_wrong(mistake, line, "provider \"%s\" has no hosts; write mx = {\"*.x.test\"}",
                       provider->name_cstr);
    for (size_t i = 0; i < provider->mx_count; i++)
        if (!is_pattern(slice_from_cstr(provider->mx[i])))
            settings_wrong(mistake, line,
                           "\"%s\" is no host; write mx.x.test, or *.x.test for all below",
                           provider->mx[i]);
}

bool settings_providers_parse(struct slice text, const char *path_cstr,
                              struct settings_providers **providers_out, struct err *err)
{
    struct arena *memory = arena_new(MEMORY_MAX_BYTES);
    struct settings_providers *providers = arena_alloc(memory, sizeof *providers);
    struct settings_mistake mistake;
    struct cfg_t *tree = settings_tree_new(&root, text, memory, &mistake);

    must(providers != NULL);
    providers->memory = memory;
    if (tree != NULL && mistake.line == 0 &&
        !settings_convert(&root, tree, slice_of("", 0), memory, &mistake, providers))
        settings_wrong(&mistake, 1, "the file takes too much memory; make it smaller");
    for (size_t i = 0; tree != NULL && mistake.line == 0 && i < providers->count; i++)
        check(&providers->all[i], settings_tree_section(tree, "provider", i), &mistake);
    settings_tree_free(&tree);
    if (mistake.line != 0) {
        arena_free(&memory);
        return FAIL(err, ERR_PERM, "%s:%u: %s", path_cstr, mistake.line, mistake.words_cstr);
    }
    *providers_out = providers;
    return true;
}

struct settings_providers *settings_providers_new(const struct settings *settings)
{
    struct settings_providers *providers = NULL;
    struct err err;

    if (settings->providers_file.bytes.len > 0 &&
        settings_providers_parse(settings->providers_file.bytes,
                                 settings->providers_file.path_cstr, &providers, &err))
        return providers;
    must(settings_providers_parse(providers_text(), "providers.conf", &providers, &err));
    return providers;
}

void settings_providers_free(struct settings_providers **providers)
{
    struct arena *memory;

    if (*providers == NULL)
        return;
    memory = (*providers)->memory;
    arena_free(&memory);
    *providers = NULL;
}

static bool fits(struct slice pattern, struct slice host)
{
    if (!slice_starts_with(pattern, S("*.")))
        return slice_equal_nocase(pattern, host);
    return host.len >= pattern.len && slice_ends_with_nocase(host, slice_from(pattern, 1));
}

const struct settings_provider *settings_provider_of(const struct settings_providers *providers,
                                                     const char *host_cstr)
{
    for (size_t i = 0; i < providers->count; i++)
        for (size_t j = 0; j < providers->all[i].mx_count; j++)
            if (fits(slice_from_cstr(providers->all[i].mx[j]), slice_from_cstr(host_cstr)))
                return &providers->all[i];
    return NULL;
}

const struct settings_provider *
settings_provider_find(const struct settings_providers *providers, struct slice name)
{
    for (size_t i = 0; i < providers->count; i++)
        if (slice_equal(slice_from_cstr(providers->all[i].name_cstr), name))
            return &providers->all[i];
    return NULL;
}

int64_t settings_provider_pause_ms(const struct settings_provider *provider, struct slice reply,
                                   const char **words_out)
{
    for (size_t i = 0; i < provider->backoff_count; i++) {
        *words_out = provider->backoffs[i].words_cstr;
        if (slice_find_nocase(reply, slice_from_cstr(*words_out)) < reply.len)
            return provider->backoffs[i].pause_ms;
    }
    *words_out = NULL;
    return 0;
}
