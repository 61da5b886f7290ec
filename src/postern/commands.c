/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/commands.h"

#include "base/buffer.h"
#include "crypto/password.h"
#include "postern/inspect.h"
#include "postern/options.h"
#include "postern/supervisor.h"
#include "settings/show.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

int usage_error(const char *command_cstr, const char *format_cstr, ...)
{
    va_list args;

    va_start(args, format_cstr);
    (void)fputs("postern: ", stderr);
    (void)vfprintf(stderr, format_cstr, args);
    (void)fprintf(stderr, "\nsee: postern %s%s--help\n",
                  command_cstr == NULL ? "" : command_cstr, command_cstr == NULL ? "" : " ");
    va_end(args);
    return EXIT_USAGE;
}

/* -c FILE and --help, nothing else. False: *code_out is the exit code. */
static bool take_path(int argc, char **argv, const char *help_cstr, const char **path_out,
                      int *code_out)
{
    if (!options_take(argc, argv, help_cstr, path_out, NULL, 0, code_out))
        return false;
    if (optind < argc) {
        *code_out = usage_error(argv[0], "'%s' is too much", argv[optind]);
        return false;
    }
    return true;
}

int command_serve(int argc, char **argv)
{
    const char *path_cstr;
    int code;

    if (!take_path(
            argc, argv,
            "usage: postern serve [-c FILE]\n\n"
            "Runs the server in the foreground; the log goes to standard error, one JSON\n"
            "object a line. SIGHUP reads the settings again; SIGTERM ends it in order.\n\n"
            "  -c FILE   settings, default " DEFAULT_SETTINGS_PATH "\n",
            &path_cstr, &code))
        return code;
    return supervisor_run(path_cstr, "/proc/self/exe");
}

static bool load(const char *path_cstr, struct settings **settings_out)
{
    struct slice text = {NULL, 0};
    struct err err = {0};

    if (!settings_load(path_cstr, settings_out, &text, &err)) {
        (void)fprintf(stderr, "%s\n", err.text_cstr);
        return false;
    }
    explicit_bzero((void *)(uintptr_t)text.at, text.len);
    free((void *)(uintptr_t)text.at);
    return true;
}

int command_check(int argc, char **argv)
{
    struct settings *settings = NULL;
    const char *path_cstr;
    struct err err = {0};
    int code;

    if (!take_path(
            argc, argv,
            "usage: postern check [-c FILE]\n\n"
            "Reads the settings and every file they name, as the server would. Prints the\n"
            "first mistake with file and line, or a summary when all is right.\n\n"
            "  -c FILE   settings, default " DEFAULT_SETTINGS_PATH "\n",
            &path_cstr, &code))
        return code;
    if (!load(path_cstr, &settings))
        return EXIT_FAILURE;
    if (!inspect_files(settings, path_cstr, &err)) {
        (void)fprintf(stderr, "%s\n", err.text_cstr);
        settings_unref(&settings);
        return EXIT_FAILURE;
    }
    (void)printf(
        "%s is right: %zu listeners, %zu accounts, %zu domains, %zu users, portal %s\n",
        path_cstr, settings->listener_count, settings->account_count, settings->domain_count,
        settings->user_count, settings->portal.enabled ? settings->portal.url_cstr : "off");
    settings_unref(&settings);
    return EXIT_SUCCESS;
}

int command_show_settings(int argc, char **argv)
{
    struct settings *settings = NULL;
    const char *path_cstr;
    struct buffer out;
    int code;

    if (!take_path(
            argc, argv,
            "usage: postern show-settings [-c FILE]\n\n"
            "Prints every setting in force, defaults included, as a settings file. Password\n"
            "hashes and answers are left out.\n\n"
            "  -c FILE   settings, default " DEFAULT_SETTINGS_PATH "\n",
            &path_cstr, &code))
        return code;
    if (!load(path_cstr, &settings))
        return EXIT_FAILURE;
    buffer_init(&out, 64 << 20);
    code = settings_show(settings, &out) ? EXIT_SUCCESS : EXIT_FAILURE;
    (void)fwrite(buffer_view(&out).at, 1, buffer_len(&out), stdout);
    buffer_deinit(&out);
    settings_unref(&settings);
    return code;
}

int command_version(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)puts("postern " POSTERN_VERSION);
    return EXIT_SUCCESS;
}

bool read_secret_line(const char *prompt_cstr, char *line_out, size_t size)
{
    struct termios old, silent;
    bool is_terminal = tcgetattr(STDIN_FILENO, &old) == 0;
    bool got;

    if (is_terminal) {
        silent = old;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        (void)fputs(prompt_cstr, stderr);
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent);
    }
    got = fgets(line_out, (int)size, stdin) != NULL;
    if (is_terminal) {
        (void)tcsetattr(STDIN_FILENO, TCSAFLUSH, &old);
        (void)fputc('\n', stderr);
    }
    if (got)
        line_out[strcspn(line_out, "\r\n")] = 0;
    return got;
}

bool read_secret_twice(const char *prompt_cstr, char *line_out, size_t size)
{
    char again[PASSWORD_MAX_BYTES + 2];
    bool same = true;

    must(size <= sizeof again);
    if (!read_secret_line(prompt_cstr, line_out, size) || line_out[0] == 0) {
        (void)fputs("postern: nothing was typed\n", stderr);
        return false;
    }
    if (isatty(STDIN_FILENO)) {
        same = read_secret_line("Again: ", again, sizeof again) && strcmp(line_out, again) == 0;
        explicit_bzero(again, sizeof again);
    }
    if (!same)
        (void)fputs("postern: the two differ\n", stderr);
    return same;
}

int command_password(int argc, char **argv)
{
    char line[PASSWORD_MAX_BYTES + 2];
    char hash_cstr[PASSWORD_HASH_SIZE];
    struct err err = {0};
    bool made = false;

    if (argc > 1) {
        (void)fputs("usage: postern password\n\n"
                    "Reads a password (asked twice on a terminal, else one line of standard "
                    "input) and\n"
                    "prints the argon2id hash for `password = \"…\"` in the settings.\n",
                    stdout);
        return strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : EXIT_USAGE;
    }
    if (read_secret_twice("Password: ", line, sizeof line))
        made = password_hash(slice_from_cstr(line), PASSWORD_COST_DEFAULT, hash_cstr, &err);
    explicit_bzero(line, sizeof line);
    if (made)
        (void)puts(hash_cstr);
    else if (err.class != ERR_NONE)
        (void)fprintf(stderr, "postern: %s\n", err.text_cstr);
    return made ? EXIT_SUCCESS : EXIT_FAILURE;
}
