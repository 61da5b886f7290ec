/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/options.h"

#include "base/must.h"
#include "postern/commands.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROW = 1000 }; /* above every letter */

bool options_take(int argc, char **argv, const char *help_cstr, const char **settings_cstr_out,
                  const struct option_row *rows, size_t count, int *code_out)
{
    struct option options[OPTIONS_MAX + 3] = {{"config", required_argument, NULL, 'c'},
                                              {"help", no_argument, NULL, 'h'}};
    int option;

    must(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++)
        options[2 + i] = (struct option){
            rows[i].name_cstr, rows[i].is_set != NULL ? no_argument : required_argument, NULL,
            FIRST_ROW + (int)i};
    *settings_cstr_out = DEFAULT_SETTINGS_PATH;
    opterr = 0;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        if (option == 'c') {
            *settings_cstr_out = optarg;
        } else if (option >= FIRST_ROW && rows[option - FIRST_ROW].is_set != NULL) {
            *rows[option - FIRST_ROW].is_set = true;
        } else if (option >= FIRST_ROW) {
            *rows[option - FIRST_ROW].value_cstr = optarg;
        } else {
            if (option == 'h')
                (void)fputs(help_cstr, stdout);
            *code_out = option == 'h' ? EXIT_SUCCESS : usage_error(argv[0], "unknown option");
            return false;
        }
    }
    return true;
}
