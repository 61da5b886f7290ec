/* SPDX-License-Identifier: Apache-2.0 */
#include "protect/message_scan.h"

#include "format/mime/utf8.h"

static const struct {
    struct slice type, ending;
} endings[] = {
    {SLICE_INIT("text/plain"), SLICE_INIT(".txt")},
    {SLICE_INIT("text/html"), SLICE_INIT(".html")},
    {SLICE_INIT("text/calendar"), SLICE_INIT(".ics")},
    {SLICE_INIT("text/csv"), SLICE_INIT(".csv")},
    {SLICE_INIT("text/vcard"), SLICE_INIT(".vcf")},
    {SLICE_INIT("text/xml"), SLICE_INIT(".xml")},
    {SLICE_INIT("message/rfc822"), SLICE_INIT(".eml")},
    {SLICE_INIT("image/png"), SLICE_INIT(".png")},
    {SLICE_INIT("image/jpeg"), SLICE_INIT(".jpg")},
    {SLICE_INIT("image/gif"), SLICE_INIT(".gif")},
    {SLICE_INIT("image/webp"), SLICE_INIT(".webp")},
    {SLICE_INIT("image/tiff"), SLICE_INIT(".tif")},
    {SLICE_INIT("application/pdf"), SLICE_INIT(".pdf")},
    {SLICE_INIT("application/zip"), SLICE_INIT(".zip")},
    {SLICE_INIT("application/json"), SLICE_INIT(".json")},
    {SLICE_INIT("application/msword"), SLICE_INIT(".doc")},
    {SLICE_INIT("application/pkcs7-signature"), SLICE_INIT(".p7s")},
    {SLICE_INIT("application/pgp-signature"), SLICE_INIT(".asc")},
};

static struct slice ending_of(struct slice type)
{
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (slice_equal_nocase(type, endings[i].type))
            return endings[i].ending;
    return S(".bin");
}

/* What stands behind the last "/" or "\": a path is where the sender had the file. */
static struct slice base_name(struct slice name)
{
    size_t at = name.len;

    while (at > 0 && name.at[at - 1] != '/' && name.at[at - 1] != '\\')
        at--;
    return slice_from(name, at);
}

static struct slice without_outer(struct slice name)
{
    while (name.len > 0 && (name.at[0] == '.' || name.at[0] == ' '))
        name = slice_from(name, 1);
    while (name.len > 0 && (name.at[name.len - 1] == '.' || name.at[name.len - 1] == ' '))
        name.len--;
    return name;
}

/* Cut in the middle, so that ".pdf" stays ".pdf". */
static bool append_cut(struct slice name, struct buffer *out)
{
    size_t dot = name.len;
    struct slice ending = {NULL, 0};

    while (dot > 0 && name.len - dot < 16 && name.at[dot - 1] != '.')
        dot--;
    if (dot > 1 && name.at[dot - 1] == '.' && name.len - dot < 16 && dot < name.len)
        ending = slice_from(name, dot - 1);
    if (name.len <= PORTAL_NAME_MAX)
        return buffer_append(out, name);
    return buffer_append(out, utf8_head(name, PORTAL_NAME_MAX - ending.len)) &&
           buffer_append(out, ending);
}

void message_file_name(struct slice name, struct slice type, int number, struct buffer *out)
{
    struct buffer clean;
    struct slice view;
    uint8_t *bytes;

    buffer_init(&clean, 64 * 1024);
    if (!utf8_append_clean(&clean, utf8_head(name, 8192), true))
        buffer_clear(&clean);
    view = without_outer(base_name(buffer_view(&clean)));
    bytes = clean.at;
    for (size_t i = 0; i < buffer_len(&clean); i++)
        if (slice_find_byte(S("<>:\"|?*"), bytes[clean.begin + i]) < 7)
            bytes[clean.begin + i] = '_';
    if (view.len > 0)
        must(append_cut(view, out));
    else
        must(buffer_append_format(out, "part-%d%.*s", number, SLICE_ARGS(ending_of(type))));
    buffer_wipe(&clean);
}
