/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of commands that work on files themselves: -c FILE, --help, and a table of long options, each a
 * switch or a value. Commands that ask the running server have theirs in inquiries.c.
 */
#ifndef POSTERN_OPTIONS_H
#define POSTERN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

enum { OPTIONS_MAX = 8 };

struct option_row {
    const char *name_cstr;
    bool *is_set;            /* a switch; or */
    const char **value_cstr; /* an option with a value, which stays where argv has it */
};

/*
 * Take all options; what is not named keeps its value. settings_cstr_out: the value of -c, else the usual
 * place. On return optind stands at the first operand. False: help was asked for, or an option is unknown
 * (said on standard error); *code_out is the exit code.
 */
bool options_take(int argc, char **argv, const char *help_cstr, const char **settings_cstr_out,
                  const struct option_row *rows, size_t count, int *code_out);

#endif
