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
    "       postern tls report\n\n"
    "Shows what is known of other domains' TLS from tests without mail: the verdict and since\n"
    "when, every host with its certificate. `test` looks now, at every host, and may take "
    "some\n"
    "minutes; without it domains are tested at their first mail and daily. `report` counts "
    "how\n"
    "many domains support what. What decides about a message is its own connection.\n\n"
    "  --json        answer as JSON\n"
    "  -c FILE       settings, to find the server; default " DEFAULT_SETTINGS_PATH "\n"
    "  -s SOCKET     the server's control socket itself\n";

struct tls_arguments {
    const char *path_cstr, *socket_cstr, *verb_cstr, *domain_cstr;
    bool is_json;
};

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, struct tls_arguments *arguments,
                           int *code_out)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"socket", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    bool has_domain;
    int option;

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
    arguments->verb_cstr = optind < argc ? argv[optind] : "";
    arguments->domain_cstr = optind + 1 < argc ? argv[optind + 1] : NULL;
    has_domain =
        strcmp(arguments->verb_cstr, "show") == 0 || strcmp(arguments->verb_cstr, "test") == 0;
    if ((!has_domain && strcmp(arguments->verb_cstr, "list") != 0 &&
         strcmp(arguments->verb_cstr, "report") != 0) ||
        argc - optind != (has_domain ? 2 : 1)) {
        *code_out = usage_error("tls", "list, report, show DOMAIN or test DOMAIN");
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
    json_t *answers;
    int code;
    bool is_list;

    if (!take_arguments(argc, argv, &arguments, &code))
        return code;
    is_list = strcmp(arguments.verb_cstr, "list") == 0;
    answers = strcmp(arguments.verb_cstr, "test") == 0
                  ? wait_for_test(&arguments, &code)
                  : ask(&arguments, arguments.verb_cstr, &code);
    if (answers == NULL)
        return code;
    if (arguments.is_json)
        print_json(answers, is_list);
    else if (is_list && json_array_size(answers) == 0)
        (void)puts("No domain has been tested yet.");
    else if (is_list)
        render_tls_list(answers, stdout);
    else if (strcmp(arguments.verb_cstr, "report") == 0)
        render_tls_report(answers, stdout);
    else
        render_tls_domain(answers, stdout);
    json_decref(answers);
    return EXIT_SUCCESS;
}
