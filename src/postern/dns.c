/* SPDX-License-Identifier: Apache-2.0 */
/* The command `dns`: what an own domain should publish, and whether it does. Needs no running server. */
#include "base/log.h"
#include "postern/commands.h"
#include "postern/dns_look.h"
#include "postern/options.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_MAX_BYTES = 8192, TIMEOUT_MS = 10000 };

/* Every one that counts is right. */
static bool is_good(const struct wanted *wanted, const struct look *look)
{
    switch (look->state) {
    case LOOK_RIGHT:
    case LOOK_UNSIGNED:
        return true;
    case LOOK_OTHER: /* mail may go elsewhere first; everything else is a mistake */
        return wanted->kind == WANTED_MX;
    case LOOK_MISSING:
    case LOOK_UNKNOWN:
    case LOOK_COUNT:
        break;
    }
    return false;
}

static void print_zone(const struct settings_domain *domain, const struct wanted_list *list,
                       const struct look *looks)
{
    struct buffer line;

    buffer_init(&line, LINE_MAX_BYTES);
    (void)printf(
        "; What %s should publish. Lines without ; can go into its zone as they are.\n",
        domain->name_cstr);
    for (size_t i = 0; i < list->count; i++) {
        const struct look *look = &looks[i];

        buffer_clear(&line);
        must(wanted_write(&list->all[i], &line));
        (void)printf("\n; %s\n", list->all[i].why_cstr);
        if (look->state == LOOK_RIGHT)
            (void)printf("; right, %s: %s\n", look->is_signed ? "signed" : "not signed",
                         look->found_cstr);
        else if (look->state == LOOK_UNSIGNED)
            (void)printf("; not signed, so nobody would believe it: %s\n", look->found_cstr);
        else if (look->state == LOOK_OTHER)
            (void)printf("; %s: there is %s\n",
                         is_good(&list->all[i], look) ? "another one" : "WRONG",
                         look->found_cstr);
        else if (look->state == LOOK_MISSING)
            (void)puts("; MISSING");
        else
            (void)printf("; NOT KNOWN: %s\n", look->found_cstr);
        (void)printf("%.*s", SLICE_ARGS(buffer_view(&line)));
    }
    if (domain->sts.mode == SETTINGS_STS_OFF)
        (void)printf("\n; No MTA-STS policy is served for it: domain \"%s\" { sts { mode = "
                     "\"testing\" } } would begin one.\n",
                     domain->name_cstr);
    buffer_deinit(&line);
}

static void print_json(const struct wanted_list *list, const struct look *looks)
{
    json_t *all = json_array();
    struct buffer line;

    buffer_init(&line, LINE_MAX_BYTES);
    for (size_t i = 0; i < list->count; i++) {
        const struct wanted *wanted = &list->all[i];
        json_t *object;

        buffer_clear(&line);
        must(wanted_write(wanted, &line));
        object = json_pack("{s:s,s:s,s:s,s:s,s:s,s:b,s:b,s:s}", "name", wanted->name_cstr,
                           "type", wanted_type(wanted->kind), "data", wanted->data_cstr, "why",
                           wanted->why_cstr, "state", look_state_name(looks[i].state), "good",
                           (int)is_good(wanted, &looks[i]), "signed", (int)looks[i].is_signed,
                           "found", looks[i].found_cstr);
        must(object != NULL);
        (void)json_object_set_new(
            object, "line",
            json_stringn((const char *)buffer_view(&line).at, buffer_len(&line) - 1));
        (void)json_array_append_new(all, object);
    }
    (void)json_dumpf(all, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(all);
    buffer_deinit(&line);
}

/* Ask the DNS as the settings say; false: the resolver cannot be set up. */
static bool look(const struct settings *settings, const struct wanted_list *list,
                 struct look *looks, struct err *err)
{
    const struct resolver_options options = {
        .forward = settings->resolver.forward,
        .forward_count = settings->resolver.forward_count,
        .local_data = settings->resolver.local_data,
        .local_data_count = settings->resolver.local_data_count,
        .trust_anchor = settings->resolver.trust_anchor.bytes,
        .timeout_ms = TIMEOUT_MS,
    };
    struct loop *loop = loop_new();
    struct resolver *resolver = NULL;
    bool is_made = resolver_new(loop, &options, &resolver, err);

    if (is_made)
        look_at(loop, resolver, list, looks);
    resolver_free(&resolver);
    loop_free(&loop);
    return is_made;
}

static int run(const struct settings *settings, const struct settings_domain *domain,
               bool is_json)
{
    static struct wanted_list list; /* large */
    struct look looks[WANTED_MAX];
    struct err err = {0};
    int code = EXIT_SUCCESS;

    if (!wanted_make(settings, domain, &list, &err) || !look(settings, &list, looks, &err)) {
        (void)fprintf(stderr, "%s\n", err.text_cstr);
        return EXIT_FAILURE;
    }
    if (is_json)
        print_json(&list, looks);
    else
        print_zone(domain, &list, looks);
    for (size_t i = 0; i < list.count; i++)
        if (!is_good(&list.all[i], &looks[i]))
            code = EXIT_FAILURE;
    return code;
}

int command_dns(int argc, char **argv)
{
    bool is_json = false;
    const struct option_row rows[] = {{"json", &is_json, NULL}};
    const struct settings_domain *domain;
    struct settings *settings = NULL;
    struct slice text = {NULL, 0};
    const char *path_cstr;
    struct err err = {0};
    int code;

    if (!options_take(
            argc, argv,
            "usage: postern dns [-c FILE] [--json] DOMAIN\n\n"
            "Prints every record that an own DOMAIN should publish, as lines of a zone "
            "file, made from\n"
            "the settings and the keys they name, and says of each whether it is there. "
            "Ends with 1\n"
            "when one is missing or wrong. Needs no running server.\n\n"
            "  --json    answer as JSON\n"
            "  -c FILE   settings, default " DEFAULT_SETTINGS_PATH "\n",
            &path_cstr, rows, COUNT_OF(rows), &code))
        return code;
    if (optind + 1 != argc)
        return usage_error("dns", "one DOMAIN");
    log_open("dns", LOG_ERROR);
    if (!settings_load(path_cstr, &settings, &text, &err)) {
        (void)fprintf(stderr, "%s\n", err.text_cstr);
        return EXIT_FAILURE;
    }
    explicit_bzero((void *)(uintptr_t)text.at, text.len);
    free((void *)(uintptr_t)text.at);
    domain = settings_domain_find(settings, slice_from_cstr(argv[optind]));
    if (domain == NULL) {
        (void)fprintf(stderr, "%s is no domain of ours; write: domain \"%s\" { … }\n",
                      argv[optind], argv[optind]);
        code = EXIT_FAILURE;
    } else {
        code = run(settings, domain, is_json);
    }
    settings_unref(&settings);
    return code;
}
