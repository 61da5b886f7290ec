/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/show.h"

#include "settings/table.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

static const void *at_offset(const void *base, size_t offset)
{
    return (const char *)base + offset;
}

static size_t number_at(const void *base, size_t offset)
{
    size_t number;

    memcpy(&number, at_offset(base, offset), sizeof number);
    return number;
}

static bool show_text(const char *text_cstr, struct buffer *out)
{
    bool fits = buffer_append_byte(out, '"');

    for (; *text_cstr != 0 && fits; text_cstr++) {
        if (*text_cstr == '"' || *text_cstr == '\\')
            fits = buffer_append_byte(out, '\\');
        fits = fits && buffer_append_byte(out, (uint8_t)*text_cstr);
    }
    return fits && buffer_append_byte(out, '"');
}

static bool show_duration(int64_t ms, struct buffer *out)
{
    static const struct {
        int64_t ms;
        const char *name_cstr;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;

    if (ms == 0)
        return buffer_append(out, S("0"));
    while (ms % units[i].ms != 0)
        i++;
    return buffer_append_format(out, "%" PRId64 "%s", ms / units[i].ms, units[i].name_cstr);
}

static bool show_size(uint64_t bytes, struct buffer *out)
{
    static const char *const units[] = {"", "K", "M", "G"};
    size_t i = 0;

    while (bytes > 0 && bytes % 1024 == 0 && i + 1 < COUNT_OF(units)) {
        bytes /= 1024;
        i++;
    }
    return buffer_append_format(out, "%" PRIu64 "%s", bytes, units[i]);
}

static bool show_address(const struct sockaddr_storage *address, struct buffer *out)
{
    char host_cstr[INET6_ADDRSTRLEN] = "";
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;

    if (address->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4->sin_addr, host_cstr, sizeof host_cstr);
        return buffer_append_format(out, "\"%s:%u\"", host_cstr, ntohs(v4->sin_port));
    }
    if (address->ss_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, host_cstr, sizeof host_cstr);
        return buffer_append_format(out, "\"[%s]:%u\"", host_cstr, ntohs(v6->sin6_port));
    }
    return buffer_append(out, S("\"\""));
}

static bool show_network(const struct settings_network *network, struct buffer *out)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    bool is_v4 = network->prefix_bits >= 96 && memcmp(network->address, mapped, 12) == 0;
    char host_cstr[INET6_ADDRSTRLEN] = "";

    (void)inet_ntop(is_v4 ? AF_INET : AF_INET6, network->address + (is_v4 ? 12 : 0), host_cstr,
                    sizeof host_cstr);
    return buffer_append_format(out, "\"%s/%d\"", host_cstr,
                                network->prefix_bits - (is_v4 ? 96 : 0));
}

static bool show_item(const struct settings_row *row, const void *base, size_t index,
                      struct buffer *out)
{
    const void *items;

    if (row->kind == VALUE_METHODS)
        return show_text(
            method_name(((const enum method *)at_offset(base, row->offset))[index]), out);
    memcpy(&items, at_offset(base, row->offset), sizeof items);
    if (row->kind == VALUE_NETWORKS)
        return show_network(&((const struct settings_network *)items)[index], out);
    return show_text(((const char *const *)items)[index], out);
}

static bool show_list(const struct settings_row *row, const void *base, struct buffer *out)
{
    size_t count = number_at(base, row->second);
    bool fits = buffer_append_byte(out, '{');

    for (size_t i = 0; i < count && fits; i++)
        fits = (i == 0 || buffer_append(out, S(", "))) && show_item(row, base, i, out);
    return fits && buffer_append_byte(out, '}');
}

static bool show_value(const struct settings_row *row, const void *base, struct buffer *out)
{
    const void *at = at_offset(base, row->offset);

    switch (row->kind) {
    case VALUE_TEXT:
    case VALUE_DOMAIN:
    case VALUE_HOST_PORT:
    case VALUE_PATH:
    case VALUE_ORIGIN:
        return show_text(*(const char *const *)at, out);
    case VALUE_PASSWORD:
        return buffer_append(out, S("\"…\""));
    case VALUE_FILE:
        return show_text(((const struct settings_file *)at)->path_cstr, out);
    case VALUE_FLAG:
        return buffer_append(out, *(const bool *)at ? S("yes") : S("no"));
    case VALUE_COUNT:
        return buffer_append_format(out, "%" PRIu32, *(const uint32_t *)at);
    case VALUE_PORT:
        return buffer_append_format(out, "%u", *(const uint16_t *)at);
    case VALUE_SIZE:
        return show_size(*(const uint64_t *)at, out);
    case VALUE_SMALL_SIZE:
        return show_size(*(const uint32_t *)at, out);
    case VALUE_DURATION:
        return show_duration(*(const int64_t *)at, out);
    case VALUE_ADDRESS:
        return show_address(at, out);
    case VALUE_WORD:
        if (row->second != 0 && !*(const bool *)at_offset(base, row->second))
            return buffer_append(out, S("\"\""));
        return show_text(row->words[*(const int *)at], out);
    case VALUE_TEXTS:
    case VALUE_NETWORKS:
    case VALUE_METHODS:
        return show_list(row, base, out);
    }
    return false;
}

static bool is_secret(const struct settings_row *row)
{
    return row->kind == VALUE_PASSWORD || strcmp(row->name_cstr, "answer") == 0;
}

static bool show_section(const struct settings_section *section, const void *base, int depth,
                         struct buffer *out);

/* One section of a kind, with its braces. */
static bool show_inner(const struct settings_section *inner, const void *base, int depth,
                       struct buffer *out)
{
    if (!buffer_append_format(out, "%*s%s ", depth * 4, "", inner->name_cstr))
        return false;
    if (inner->is_many &&
        !(show_text(*(const char *const *)at_offset(base, inner->title_offset), out) &&
          buffer_append_byte(out, ' ')))
        return false;
    return buffer_append(out, S("{\n")) && show_section(inner, base, depth + 1, out) &&
           buffer_append_format(out, "%*s}\n", depth * 4, "");
}

static bool show_section(const struct settings_section *section, const void *base, int depth,
                         struct buffer *out)
{
    bool fits = true;

    for (size_t i = 0; i < section->row_count && fits; i++) {
        const struct settings_row *row = &section->rows[i];

        fits = buffer_append_format(out, "%*s%s = ", depth * 4, "", row->name_cstr) &&
               (is_secret(row) ? buffer_append(out, S("\"…\"")) : show_value(row, base, out)) &&
               buffer_append_byte(out, '\n');
    }
    for (size_t i = 0; i < section->inner_count && fits; i++) {
        const struct settings_section *inner = &section->inner[i];
        size_t count = inner->is_many ? number_at(base, inner->count_offset) : 1;
        const char *structs = at_offset(base, inner->offset);

        if (inner->is_many)
            memcpy(&structs, at_offset(base, inner->offset), sizeof structs);
        for (size_t j = 0; j < count && fits; j++)
            fits = show_inner(inner, structs + j * inner->struct_bytes, depth, out);
    }
    return fits;
}

bool settings_show(const struct settings *settings, struct buffer *out)
{
    return show_section(&settings_root, settings, 0, out);
}
