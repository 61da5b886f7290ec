/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/date.h"

#include <time.h>

/* Own names: strftime(3) speaks the language of the locale. */
static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
static const char *const months[] = {"January",   "February", "March",    "April",
                                     "May",       "June",     "July",     "August",
                                     "September", "October",  "November", "December"};

static bool broken_down(int64_t unix_seconds, struct tm *out)
{
    time_t when = (time_t)unix_seconds;

    return unix_seconds >= 0 && unix_seconds <= 253402300799 && gmtime_r(&when, out) != NULL;
}

bool mime_date_append(struct buffer *out, int64_t unix_seconds)
{
    struct tm when;

    return broken_down(unix_seconds, &when) &&
           buffer_append_format(out, "%s, %02d %.3s %04d %02d:%02d:%02d +0000",
                                days[when.tm_wday], when.tm_mday, months[when.tm_mon],
                                when.tm_year + 1900, when.tm_hour, when.tm_min, when.tm_sec);
}

bool mime_day_append(struct buffer *out, int64_t unix_seconds)
{
    struct tm when;

    return broken_down(unix_seconds, &when) &&
           buffer_append_format(out, "%d %s %04d", when.tm_mday, months[when.tm_mon],
                                when.tm_year + 1900);
}
