/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What large providers put up with, from a file of its own (conf/providers.conf is built in): connections, rates, words
 * in a refusal after which to leave them alone for a while. The same grammar and reader as the settings.
 */
#ifndef SETTINGS_PROVIDERS_H
#define SETTINGS_PROVIDERS_H

#include "base/err.h"
#include "settings/settings.h"

struct settings_backoff {
    const char *words_cstr; /* in "CODE TEXT" of a reply, any case */
    int64_t pause_ms;
};

struct settings_provider {
    const char *name_cstr;
    const char *const *mx; /* "mx.x.test", or "*.x.test" for every name below it */
    size_t mx_count;
    /* 0 = no limit of its own. */
    uint32_t connections, messages_per_connection, connections_per_minute, messages_per_minute;
    struct settings_backoff *backoffs;
    size_t backoff_count;
};

struct settings_providers {
    struct arena *memory;
    struct settings_provider *all;
    size_t count;
};

/* ERR_PERM: "PATH:LINE: what is wrong". */
MUST_CHECK bool settings_providers_parse(struct slice text, const char *path_cstr,
                                         struct settings_providers **providers_out,
                                         struct err *err);
/* Those of the settings' file, or the built-in ones. A file that was checked when it was loaded cannot fail. */
struct settings_providers *settings_providers_new(const struct settings *settings);
void settings_providers_free(struct settings_providers **providers);
/* By an MX host's name, by its own name; NULL = none. */
const struct settings_provider *settings_provider_of(const struct settings_providers *providers,
                                                     const char *host_cstr);
const struct settings_provider *
settings_provider_find(const struct settings_providers *providers, struct slice name);
/* How long to leave the provider alone after this reply; 0 = not. words_out: what was found, or NULL. */
int64_t settings_provider_pause_ms(const struct settings_provider *provider, struct slice reply,
                                   const char **words_out);

#endif
