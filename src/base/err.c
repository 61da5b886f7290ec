/* SPDX-License-Identifier: Apache-2.0 */
#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

bool err_set(struct err *err, enum err_class class, uint16_t smtp_code,
             const char *enhanced_cstr, const char *format_cstr, ...)
{
    va_list args;

    if (err == NULL)
        return false;
    err->class = class;
    err->smtp_code = smtp_code;
    snprintf(err->enhanced_cstr, sizeof err->enhanced_cstr, "%s", enhanced_cstr);
    va_start(args, format_cstr);
    vsnprintf(err->text_cstr, sizeof err->text_cstr, format_cstr, args);
    va_end(args);
    return false;
}

void err_clear(struct err *err)
{
    *err = (struct err){0};
}

const char *err_class_name(enum err_class class)
{
    static const char *const names[] = {
        [ERR_NONE] = "none",       [ERR_TEMP] = "temporary", [ERR_PERM] = "permanent",
        [ERR_REFUSED] = "refused", [ERR_PEER] = "peer",
    };

    must((unsigned)class < COUNT_OF(names));
    return names[class];
}
