/* SPDX-License-Identifier: Apache-2.0 */
/* `postern tls reports`: what others say about TLS with our domains. */
#include "postern/ask.h"
#include "postern/commands.h"
#include "postern/render.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

static const char help_cstr[] =
    "usage: postern tls reports [DOMAIN]\n\n"
    "Shows what others report about TLS with our domains (RFC 8460), summed up by day, "
    "reporting\n"
    "organisation and policy: sessions that went well, and failures by kind and MX host. What\n"
    "could not be read stands at the end, with the reason. Anybody can write such a report:\n"
    "signatures are asked for, but not verified.\n\n"
    "  --json        answer as JSON\n"
    "  -c FILE       settings, to find the server; default " DEFAULT_SETTINGS_PATH "\n"
    "  -s SOCKET     the server's control socket itself\n";

static void print_json(const json_t *answers)
{
    (void)json_dumpf(answers, stdout, JSON_INDENT(2));
    (void)putchar('\n');
}

int command_tls_reports(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"socket", required_argument, NULL, 's'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"json", no_argument, NULL, 'j'},
                                            {0}};
    const char *path_cstr = DEFAULT_SETTINGS_PATH, *socket_cstr = NULL;
    bool is_json = false;
    json_t *request, *answers;
    int option, code = EXIT_SUCCESS;

    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:s:h", options, NULL)) != -1) {
        if (option == 'c') {
            path_cstr = optarg;
        } else if (option == 's') {
            socket_cstr = optarg;
        } else if (option == 'j') {
            is_json = true;
        } else {
            if (option == 'h')
                (void)fputs(help_cstr, stdout);
            return option == 'h' ? EXIT_SUCCESS : usage_error("tls reports", "unknown option");
        }
    }
    if (argc - optind > 1)
        return usage_error("tls reports", "one DOMAIN or none");
    request =
        json_pack("{ss,ss}", "do", "tls_reports", "domain", optind < argc ? argv[optind] : "");
    answers = ask_server(path_cstr, socket_cstr, request, &code);
    if (answers == NULL)
        return code;
    if (is_json)
        print_json(answers);
    else
        render_tls_reports(answers, stdout);
    json_decref(answers);
    return code;
}
