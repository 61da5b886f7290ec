/* SPDX-License-Identifier: Apache-2.0 */
/* The subcommands of `postern`: each takes its own arguments (argv[0] = its name), returns the exit code. */
#ifndef POSTERN_COMMANDS_H
#define POSTERN_COMMANDS_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes that scripts can rely on. */
enum { EXIT_USAGE = 64, EXIT_NO_SERVER = 69, EXIT_SETTINGS = 78 };

#define DEFAULT_SETTINGS_PATH "/etc/postern/postern.conf"

typedef int command_fn(int argc, char **argv);

command_fn command_serve, command_check, command_show_settings, command_password, command_key,
    command_verify, command_backup, command_restore, command_dns, command_version;
/* Those that ask the running server. */
command_fn command_trace, command_queue, command_retract, command_explain, command_status,
    command_domains, command_forward, command_sts, command_tls, command_routes, command_top;

/* Print a usage error with the way to help; returns EXIT_USAGE. */
int usage_error(const char *command_cstr, const char *format_cstr, ...)
    __attribute__((format(printf, 2, 3)));
/* One line from standard input, without echo on a terminal. False at its end. */
bool read_secret_line(const char *prompt_cstr, char *line_out, size_t size);
/*
 * A secret that nobody can read back later: asked for again on a terminal. size: at most PASSWORD_MAX_BYTES + 2.
 * False, said on standard error: nothing came, or the two differ.
 */
bool read_secret_twice(const char *prompt_cstr, char *line_out, size_t size);

#endif
