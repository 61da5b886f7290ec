/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/mx_set.h"

#include <stdio.h>
#include <string.h>

enum { DIGEST_CHARS = 18 };

static size_t put_in_order(const struct dns_mx *hosts, size_t count,
                           const char *names_out[DNS_MX_MAX])
{
    size_t kept = 0;

    for (size_t i = 0; i < count && i < DNS_MX_MAX; i++) {
        const char *name_cstr = hosts[i].host_cstr;
        size_t at = kept;

        while (at > 0 && strcmp(names_out[at - 1], name_cstr) > 0)
            at--;
        if (at > 0 && strcmp(names_out[at - 1], name_cstr) == 0)
            continue;
        memmove(&names_out[at + 1], &names_out[at], (kept - at) * sizeof *names_out);
        names_out[at] = name_cstr;
        kept++;
    }
    return kept;
}

static uint64_t digest_of(const char *const *names_cstr, size_t count)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j <= strlen(names_cstr[i]); j++)
            hash = (hash ^ (uint8_t)names_cstr[i][j]) * UINT64_C(0x100000001b3);
    return hash;
}

void mx_set_write(const struct dns_mx *hosts, size_t count, char text_out[MX_SET_SIZE])
{
    const char *names_cstr[DNS_MX_MAX + 1];
    size_t kept = put_in_order(hosts, count, names_cstr), len = 0;

    text_out[0] = '\0';
    for (size_t i = 0; i < kept; i++) {
        size_t name_len = strlen(names_cstr[i]);

        if (len + name_len + 1 + DIGEST_CHARS >= MX_SET_SIZE) {
            snprintf(text_out + len, MX_SET_SIZE - len, " #%016llx",
                     (unsigned long long)digest_of(names_cstr, kept));
            return;
        }
        if (i > 0)
            text_out[len++] = ' ';
        memcpy(text_out + len, names_cstr[i], name_len + 1);
        len += name_len;
    }
}
