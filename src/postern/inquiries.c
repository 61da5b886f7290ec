/* SPDX-License-Identifier: Apache-2.0 */
/* The commands that ask the running server: arguments to a request, its answer to text or JSON. */
#include "postern/ask.h"
#include "postern/commands.h"
#include "postern/render.h"
#include "settings/values.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COMMON_HELP                                                                            \
    "  --json        answer as JSON\n"                                                         \
    "  -c FILE       settings, to find the server; default " DEFAULT_SETTINGS_PATH "\n"        \
    "  -s SOCKET     the server's control socket itself\n"

typedef void render_fn(const json_t *answers, FILE *to);

/* What was on the command line. The texts are argv's. */
struct arguments {
    const char *path_cstr, *socket_cstr, *to_cstr, *since_cstr, *from_cstr, *subject_cstr;
    json_t *recipients; /* each --to, for explain */
    bool is_json;
    char **rest;
    int rest_count;
};

enum { OPTION_JSON = 1000, OPTION_TO, OPTION_SINCE, OPTION_FROM, OPTION_SUBJECT };

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, const char *help_cstr,
                           struct arguments *arguments, int *code_out)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"help", no_argument, NULL, 'h'},
        {"json", no_argument, NULL, OPTION_JSON},
        {"to", required_argument, NULL, OPTION_TO},
        {"since", required_argument, NULL, OPTION_SINCE},
        {"from", required_argument, NULL, OPTION_FROM},
        {"subject", required_argument, NULL, OPTION_SUBJECT},
        {0}};
    int option;

    *arguments =
        (struct arguments){.path_cstr = DEFAULT_SETTINGS_PATH, .recipients = json_array()};
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
        if (option == 'c') {
            arguments->path_cstr = optarg;
        } else if (option == 's') {
            arguments->socket_cstr = optarg;
        } else if (option == OPTION_JSON) {
            arguments->is_json = true;
        } else if (option == OPTION_TO) {
            arguments->to_cstr = optarg;
            (void)json_array_append_new(arguments->recipients, json_string(optarg));
        } else if (option == OPTION_SINCE) {
            arguments->since_cstr = optarg;
        } else if (option == OPTION_FROM) {
            arguments->from_cstr = optarg;
        } else if (option == OPTION_SUBJECT) {
            arguments->subject_cstr = optarg;
        } else {
            json_decref(arguments->recipients);
            if (option == 'h')
                (void)fputs(help_cstr, stdout);
            *code_out = option == 'h' ? EXIT_SUCCESS : usage_error(argv[0], "unknown option");
            return false;
        }
    }
    arguments->rest = argv + optind;
    arguments->rest_count = argc - optind;
    return true;
}

static void print_json(const json_t *answers, bool is_single)
{
    const json_t *answer;
    size_t index;

    if (is_single) {
        (void)json_dumpf(json_array_get(answers, 0), stdout, JSON_INDENT(2));
        (void)putchar('\n');
        return;
    }
    (void)putchar('[');
    json_array_foreach(answers, index, answer)
    {
        (void)fputs(index == 0 ? "\n" : ",\n", stdout);
        (void)json_dumpf(answer, stdout, JSON_COMPACT);
    }
    (void)fputs(index == 0 ? "]\n" : "\n]\n", stdout);
}

/* Ask and print; takes the request and the arguments' list. none_cstr: what to say when nothing came (NULL: fine). */
static int ask_and_print(struct arguments *arguments, json_t *request, render_fn *render,
                         bool is_single, const char *none_cstr)
{
    int code;
    json_t *answers = ask_server(arguments->path_cstr, arguments->socket_cstr, request, &code);

    json_decref(arguments->recipients);
    if (answers == NULL)
        return code;
    if (json_array_size(answers) == 0 && none_cstr != NULL) {
        (void)fprintf(stderr, "%s\n", none_cstr);
        code = EXIT_FAILURE;
        if (arguments->is_json)
            print_json(answers, false);
    } else if (arguments->is_json) {
        print_json(answers, is_single);
    } else {
        render(answers, stdout);
    }
    json_decref(answers);
    return code;
}

static int wrong_usage(struct arguments *arguments, const char *command_cstr,
                       const char *what_cstr)
{
    json_decref(arguments->recipients);
    return usage_error(command_cstr, "%s", what_cstr);
}

/* "2h" (ago), "2026-11-22" or "2026-11-22T07:30", UTC. */
static bool parse_since(const char *text_cstr, json_int_t *ms_out)
{
    static const char *const forms[] = {"%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M",
                                        "%Y-%m-%dT%H:%M:%S"};
    int64_t ago_ms;

    if (value_duration_parse(slice_from_cstr(text_cstr), &ago_ms)) {
        *ms_out = (json_int_t)time(NULL) * 1000 - ago_ms;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        struct tm parts = {0};
        const char *end_cstr = strptime(text_cstr, forms[i], &parts);

        if (end_cstr != NULL && *end_cstr == 0) {
            *ms_out = (json_int_t)timegm(&parts) * 1000;
            return true;
        }
    }
    return false;
}

int command_trace(int argc, char **argv)
{
    struct arguments arguments;
    json_t *request;
    json_int_t since_ms = 0;
    int code;

    if (!take_arguments(argc, argv,
                        "usage: postern trace MESSAGE\n"
                        "       postern trace --to ADDRESS\n"
                        "       postern trace --since TIME\n\n"
                        "Tells what happened to messages: the decision and its reasons, every "
                        "attempt with the\n"
                        "evidence of its connection, every step of the reader. MESSAGE is the "
                        "id in the server's\n"
                        "\"250\" reply, or a Message-ID. TIME is 2h, 3d, … ago, or "
                        "2026-11-22[T07:30] UTC.\n\n" COMMON_HELP,
                        &arguments, &code))
        return code;
    if (arguments.rest_count + (arguments.to_cstr != NULL) + (arguments.since_cstr != NULL) !=
        1)
        return wrong_usage(&arguments, "trace", "one of MESSAGE, --to and --since");
    if (arguments.since_cstr != NULL && !parse_since(arguments.since_cstr, &since_ms))
        return wrong_usage(&arguments, "trace", "TIME is 2h, 3d … or 2026-11-22[T07:30]");
    if (arguments.rest_count == 1)
        request = json_pack("{ss,ss}", "do", "trace", "message", arguments.rest[0]);
    else if (arguments.to_cstr != NULL)
        request = json_pack("{ss,ss}", "do", "trace", "to", arguments.to_cstr);
    else
        request = json_pack("{ss,sI}", "do", "trace", "since_ms", since_ms);
    return ask_and_print(&arguments, request, render_trace, false, "There is no such message.");
}

static void render_changed(const json_t *answers, FILE *to)
{
    json_int_t changed =
        json_integer_value(json_object_get(json_array_get(answers, 0), "changed"));

    (void)fprintf(to, "%" JSON_INTEGER_FORMAT " recipient%s.\n", changed,
                  changed == 1 ? "" : "s");
}

int command_queue(int argc, char **argv)
{
    static const char *const verbs[] = {"list", "hold", "release", "retry", "purge"};
    struct arguments arguments;
    const char *verb_cstr = "list", *about_cstr = NULL;
    bool is_verb = false, is_list;
    json_t *request;
    int code;

    if (!take_arguments(
            argc, argv,
            "usage: postern queue [list] [DOMAIN|MESSAGE]\n"
            "       postern queue hold|release|retry|purge DOMAIN|MESSAGE\n"
            "       postern queue release|retry everything\n\n"
            "Shows what waits, or changes it: hold keeps it here, release undoes that, retry "
            "tries at\n"
            "once, purge removes it (the story keeps that it was so).\n\n" COMMON_HELP,
            &arguments, &code))
        return code;
    if (arguments.rest_count > 0)
        verb_cstr = arguments.rest[0];
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        is_verb = is_verb || strcmp(verb_cstr, verbs[i]) == 0;
    if (!is_verb && arguments.rest_count == 1) { /* "postern queue x.test" */
        about_cstr = verb_cstr;
        verb_cstr = "list";
    } else if (arguments.rest_count == 2) {
        about_cstr = arguments.rest[1];
    }
    is_list = strcmp(verb_cstr, "list") == 0;
    if (arguments.rest_count > 2 || (!is_list && about_cstr == NULL) ||
        (!is_verb && arguments.rest_count == 2))
        return wrong_usage(&arguments, "queue",
                           "list, hold, release, retry or purge, and what");
    request = json_pack("{ss,ss}", "do", "queue", "what", verb_cstr);
    if (about_cstr != NULL && strcmp(about_cstr, "everything") == 0)
        (void)json_object_set_new(request, "all", json_true());
    else if (about_cstr != NULL) /* a domain has a dot and no @; ids have neither */
        (void)json_object_set_new(
            request,
            strchr(about_cstr, '.') != NULL && strchr(about_cstr, '@') == NULL ? "domain"
                                                                               : "message",
            json_string(about_cstr));
    return ask_and_print(&arguments, request, is_list ? render_queue : render_changed, !is_list,
                         NULL);
}

int command_retract(int argc, char **argv)
{
    struct arguments arguments;
    json_t *request;
    int code;

    if (!take_arguments(
            argc, argv,
            "usage: postern retract MESSAGE [RECIPIENT]\n\n"
            "Takes a message back: what is still here is destroyed at once. Says for each "
            "recipient\n"
            "whether that was before reading, after it, or too late.\n\n" COMMON_HELP,
            &arguments, &code))
        return code;
    if (arguments.rest_count < 1 || arguments.rest_count > 2)
        return wrong_usage(&arguments, "retract", "MESSAGE, and a RECIPIENT or none");
    request = json_pack("{ss,ss}", "do", "retract", "message", arguments.rest[0]);
    if (arguments.rest_count == 2)
        (void)json_object_set_new(request, "recipient", json_string(arguments.rest[1]));
    return ask_and_print(&arguments, request, render_retraction, false,
                         "There is no such message or recipient.");
}

int command_explain(int argc, char **argv)
{
    struct arguments arguments;
    json_t *request;
    int code;

    if (!take_arguments(
            argc, argv,
            "usage: postern explain --from ADDRESS --to ADDRESS [--to …] [--subject TEXT]\n\n"
            "Says, by the same code that decides on live mail, how each recipient's copy would "
            "travel\n"
            "now, and why. Sends nothing.\n\n" COMMON_HELP,
            &arguments, &code))
        return code;
    if (arguments.from_cstr == NULL || arguments.to_cstr == NULL || arguments.rest_count > 0)
        return wrong_usage(&arguments, "explain", "--from and --to");
    request = json_pack("{ss,ss,sO,ss}", "do", "explain", "from", arguments.from_cstr, "to",
                        arguments.recipients, "subject",
                        arguments.subject_cstr == NULL ? "" : arguments.subject_cstr);
    return ask_and_print(&arguments, request, render_explanation, false, "Nothing to explain.");
}

static int ask_simply(int argc, char **argv, const char *help_cstr, const char *do_cstr,
                      render_fn *render, bool is_single)
{
    struct arguments arguments;
    int code;

    if (!take_arguments(argc, argv, help_cstr, &arguments, &code))
        return code;
    if (arguments.rest_count > 0)
        return wrong_usage(&arguments, do_cstr, "it takes no arguments");
    return ask_and_print(&arguments, json_pack("{ss}", "do", do_cstr), render, is_single, NULL);
}

int command_status(int argc, char **argv)
{
    return ask_simply(
        argc, argv,
        "usage: postern status\n\nShows the server's parts and what waits.\n\n" COMMON_HELP,
        "status", render_status, true);
}

int command_sts(int argc, char **argv)
{
    struct arguments arguments;
    json_t *request;
    int code;

    if (!take_arguments(
            argc, argv,
            "usage: postern sts [DOMAIN]\n\n"
            "Shows the MTA-STS policies of other domains that are kept here, and until when; "
            "of one "
            "DOMAIN\n"
            "with its text. What says \"kept\" stays in force although it is announced no "
            "more.\n\n" COMMON_HELP,
            &arguments, &code))
        return code;
    if (arguments.rest_count > 1)
        return wrong_usage(&arguments, "sts", "one DOMAIN or none");
    request = json_pack("{ss}", "do", "sts");
    if (arguments.rest_count == 1)
        (void)json_object_set_new(request, "domain", json_string(arguments.rest[0]));
    return ask_and_print(&arguments, request, render_sts, false,
                         arguments.rest_count == 1 ? "No policy of this domain is kept."
                                                   : NULL);
}

int command_domains(int argc, char **argv)
{
    return ask_simply(
        argc, argv,
        "usage: postern domains\n\n"
        "Shows what is known of other domains' TLS, from real connections.\n\n" COMMON_HELP,
        "domains", render_domains, false);
}

int command_routes(int argc, char **argv)
{
    return ask_simply(
        argc, argv,
        "usage: postern routes\n\n"
        "Shows which outbound routes work, and what went by them.\n\n" COMMON_HELP,
        "routes", render_routes, false);
}

int command_forward(int argc, char **argv)
{
    static const char *const verbs[] = {"list", "add", "remove", "enable", "disable"};
    struct arguments arguments;
    const char *verb_cstr = "list";
    bool is_verb = false, is_list;
    json_t *request;
    int code;

    if (!take_arguments(
            argc, argv,
            "usage: postern forward [list] [FROM]\n"
            "       postern forward add FROM TO\n"
            "       postern forward remove|enable|disable FROM [TO]\n\n"
            "Mail to FROM, an address of an own domain (or @DOMAIN: whatever else is written "
            "to "
            "there),\n"
            "goes on to TO. The list says of each whether it is used, and why not: disabled, "
            "barred (TLS\n"
            "was never proved there) or held (TLS is lost, mail waits), see "
            "forward_tls_only.\n\n" COMMON_HELP,
            &arguments, &code))
        return code;
    if (arguments.rest_count > 0)
        verb_cstr = arguments.rest[0];
    for (size_t i = 0; i < COUNT_OF(verbs); i++)
        is_verb = is_verb || strcmp(verb_cstr, verbs[i]) == 0;
    is_list = strcmp(verb_cstr, "list") == 0;
    if (!is_verb || arguments.rest_count > 3 || (!is_list && arguments.rest_count < 2) ||
        (strcmp(verb_cstr, "add") == 0 && arguments.rest_count < 3))
        return wrong_usage(&arguments, "forward",
                           "list, add, remove, enable or disable, and FROM and TO");
    request = json_pack("{ss,ss}", "do", "forward", "what", verb_cstr);
    if (arguments.rest_count > 1)
        (void)json_object_set_new(request, "from", json_string(arguments.rest[1]));
    if (arguments.rest_count > 2)
        (void)json_object_set_new(request, "to", json_string(arguments.rest[2]));
    return ask_and_print(&arguments, request, is_list ? render_forwards : render_forward_change,
                         !is_list, NULL);
}
