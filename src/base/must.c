/* SPDX-License-Identifier: Apache-2.0 */
#include "base/must.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void must_fail(const char *expression_cstr, const char *file_cstr, int line)
{
    fprintf(stderr, "{\"level\":\"bug\",\"event\":\"must.failed\",\"what\":\"%s:%d: %s\"}\n",
            file_cstr, line, expression_cstr);
    abort();
}
