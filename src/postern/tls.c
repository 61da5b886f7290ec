/* SPDX-License-Identifier: Apache-2.0 */
/* `postern tls`: the board of domains' TLS. A test is begun, then asked after until it is done. */
#include "postern/ask.h"
#include "postern/commands.h"
#include "postern/render.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASK_AGAIN_MS = 200, GIVE_UP_S = 400 };

static const char help_cstr[] =
    "usage: postern tls list\n"
    "       postern tls show DOMAIN\n"
    "       postern tls test DOMAIN\n"
    "       postern tls report\n"
    "       postern tls reports [DOMAIN]\n\n"
    "Shows what is known of other domains' TLS from tests without mail: the verdict and since\n"
    "when, every host with its certificate. `test` looks now, at every host, and may take "
    "some\n"
    "minutes; without it domains are tested at their first mail and daily. `report` counts "
    "how\n"
    "many domains support what. What decides about a message is its own connection.\n\n"
    "`reports` shows what others report about TLS with our domains (RFC 8460), summed up by "
    "day,\n"
    "reporting organisation and policy: sessions that went well, failures by kind and MX "
    "host.\n"
    "What could not be read stands at the end, with the reason. Anybody can write such a\n"
    "report: signatures are asked for, but not verified.\n\n"
    "  --json        answer as JSON\n"
    "  -c FILE       settings, to find the server; default " DEFAULT_SETTINGS_PATH "\n"
    "  -s SOCKET     the server's control socket itself\n";

static const struct verb {
    const char *name_cstr;
    int least, most; /* operands behind it */
    bool is_list;
    void (*render)(const json_t *answers, FILE *to);
    const char *none_cstr; /* when a list is empty */
} verbs[] = {
    {"list", 0, 0, true, render_tls_list, "No domain has been tested yet."},
    {"show", 1, 1, false, render_tls_domain, NULL},
    {"test", 1, 1, false, render_tls_domain, NULL},
    {"report", 0, 0, false, render_tls_report, NULL},
    {"reports", 0, 1, true, render_tls_reports, "No report has come."},
};

struct tls_arguments {
    const char *path_cstr, *socket_cstr, *domain_cstr;
    const struct verb *verb;
    bool is_json;
};

static const struct verb *find_verb(const char *name_cstr)
{
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        if (strcmp(verbs[i].name_cstr, name_cstr) == 0)
            return &verbs[i];
    return NULL;
}

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, struct tls_arguments *arguments,
                           int *code_out)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"socket", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    int option, operands;

    *arguments = (struct tls_arguments){.path_cstr = DEFAULT_SETTINGS_PATH};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
        if (option == 'c') {
            arguments->path_cstr = optarg;
        } else if (option == 's') {
            arguments->socket_cstr = optarg;
        } else if (option == 'j') {
            arguments->is_json = true;
        } else {
            if (option == 'h')
                (void)fputs(help_cstr, stdout);
            *code_out = option == 'h' ? EXIT_SUCCESS : usage_error("tls", "unknown option");
            return false;
        }
    }
    operands = argc - optind - 1;
    arguments->verb = operands >= 0 ? find_verb(argv[optind]) : NULL;
    arguments->domain_cstr = operands > 0 ? argv[optind + 1] : NULL;
    if (arguments->verb == NULL || operands < arguments->verb->least ||
        operands > arguments->verb->most) {
        *code_out = usage_error("tls", "list, report, reports, show DOMAIN or test DOMAIN");
        return false;
    }
    return true;
}

/* NULL: it was said why, and *code_out is the exit code. */
static json_t *ask(const struct tls_arguments *arguments, const char *what_cstr, int *code_out)
{
    json_t *request = json_pack("{ss,ss}", "do", "tls", "what", what_cstr);

    if (arguments->domain_cstr != NULL)
        (void)json_object_set_new(request, "domain", json_string(arguments->domain_cstr));
    return ask_server(arguments->path_cstr, arguments->socket_cstr, request, code_out);
}

/* The answer of `show` once the test is done. */
static json_t *wait_for_test(const struct tls_arguments *arguments, int *code_out)
{
    static const struct timespec pause = {0, ASK_AGAIN_MS * 1000000};
    json_t *begun = ask(arguments, "test", code_out), *answers = NULL;
    json_int_t since_ms;

    if (begun == NULL)
        return NULL;
    since_ms = json_integer_value(json_object_get(json_array_get(begun, 0), "now_ms"));
    json_decref(begun);
    for (int i = 0; i < GIVE_UP_S * 1000 / ASK_AGAIN_MS; i++) {
        const json_t *domain;

        (void)nanosleep(&pause, NULL);
        answers = ask(arguments, "show", code_out);
        if (answers == NULL)
            return NULL;
        domain = json_array_get(answers, 0);
        if (json_integer_value(json_object_get(domain, "tested_ms")) >= since_ms)
            return answers;
        if (!json_is_true(json_object_get(domain, "testing")) && i > 5)
            break;
        json_decref(answers);
        answers = NULL;
    }
    json_decref(answers);
    (void)fputs("postern: the test did not come to an end\n", stderr);
    *code_out = EXIT_FAILURE;
    return NULL;
}

static void print_json(const json_t *answers, bool is_list)
{
    (void)json_dumpf(is_list ? answers : json_array_get(answers, 0), stdout, JSON_INDENT(2));
    (void)putchar('\n');
}

int command_tls(int argc, char **argv)
{
    struct tls_arguments arguments;
    const char *verb_cstr;
    json_t *answers;
    int code;

    if (!take_arguments(argc, argv, &arguments, &code))
        return code;
    verb_cstr = arguments.verb->name_cstr;
    answers = strcmp(verb_cstr, "test") == 0 ? wait_for_test(&arguments, &code)
                                             : ask(&arguments, verb_cstr, &code);
    if (answers == NULL)
        return code;
    if (arguments.is_json)
        print_json(answers, arguments.verb->is_list);
    else if (arguments.verb->is_list && json_array_size(answers) == 0)
        (void)puts(arguments.verb->none_cstr);
    else
        arguments.verb->render(answers, stdout);
    json_decref(answers);
    return EXIT_SUCCESS;
}
