/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/charset.h"

#include "format/mime/utf8.h"

#include <errno.h>
#include <iconv.h>

enum set_kind { SET_UTF8, SET_ASCII, SET_WINDOWS_1252, SET_ICONV };

/*
 * A fixed list: iconv_open(3) with a stranger's name would load whatever module the machine has,
 * and some of those have a history (ISO-2022-CN-EXT).
 */
static const struct set {
    struct slice name;
    enum set_kind kind;
    const char *iconv_cstr;
} sets[] = {
    {SLICE_INIT("utf-8"), SET_UTF8, NULL},
    {SLICE_INIT("utf8"), SET_UTF8, NULL},
    {SLICE_INIT("us-ascii"), SET_ASCII, NULL},
    {SLICE_INIT("ascii"), SET_ASCII, NULL},
    {SLICE_INIT("iso-8859-1"), SET_WINDOWS_1252, NULL},
    {SLICE_INIT("latin1"), SET_WINDOWS_1252, NULL},
    {SLICE_INIT("windows-1252"), SET_WINDOWS_1252, NULL},
    {SLICE_INIT("cp1252"), SET_WINDOWS_1252, NULL},
    {SLICE_INIT("iso-8859-2"), SET_ICONV, "ISO-8859-2"},
    {SLICE_INIT("iso-8859-3"), SET_ICONV, "ISO-8859-3"},
    {SLICE_INIT("iso-8859-4"), SET_ICONV, "ISO-8859-4"},
    {SLICE_INIT("iso-8859-5"), SET_ICONV, "ISO-8859-5"},
    {SLICE_INIT("iso-8859-6"), SET_ICONV, "ISO-8859-6"},
    {SLICE_INIT("iso-8859-7"), SET_ICONV, "ISO-8859-7"},
    {SLICE_INIT("iso-8859-8"), SET_ICONV, "ISO-8859-8"},
    {SLICE_INIT("iso-8859-8-i"), SET_ICONV, "ISO-8859-8"},
    {SLICE_INIT("iso-8859-9"), SET_ICONV, "WINDOWS-1254"},
    {SLICE_INIT("iso-8859-10"), SET_ICONV, "ISO-8859-10"},
    {SLICE_INIT("iso-8859-13"), SET_ICONV, "ISO-8859-13"},
    {SLICE_INIT("iso-8859-14"), SET_ICONV, "ISO-8859-14"},
    {SLICE_INIT("iso-8859-15"), SET_ICONV, "ISO-8859-15"},
    {SLICE_INIT("iso-8859-16"), SET_ICONV, "ISO-8859-16"},
    {SLICE_INIT("windows-1250"), SET_ICONV, "WINDOWS-1250"},
    {SLICE_INIT("windows-1251"), SET_ICONV, "WINDOWS-1251"},
    {SLICE_INIT("windows-1253"), SET_ICONV, "WINDOWS-1253"},
    {SLICE_INIT("windows-1254"), SET_ICONV, "WINDOWS-1254"},
    {SLICE_INIT("windows-1255"), SET_ICONV, "WINDOWS-1255"},
    {SLICE_INIT("windows-1256"), SET_ICONV, "WINDOWS-1256"},
    {SLICE_INIT("windows-1257"), SET_ICONV, "WINDOWS-1257"},
    {SLICE_INIT("windows-1258"), SET_ICONV, "WINDOWS-1258"},
    {SLICE_INIT("koi8-r"), SET_ICONV, "KOI8-R"},
    {SLICE_INIT("koi8-u"), SET_ICONV, "KOI8-U"},
    {SLICE_INIT("macintosh"), SET_ICONV, "MACINTOSH"},
    {SLICE_INIT("tis-620"), SET_ICONV, "TIS-620"},
    {SLICE_INIT("gb2312"), SET_ICONV, "GBK"},
    {SLICE_INIT("gbk"), SET_ICONV, "GBK"},
    {SLICE_INIT("gb18030"), SET_ICONV, "GB18030"},
    {SLICE_INIT("big5"), SET_ICONV, "BIG5"},
    {SLICE_INIT("shift_jis"), SET_ICONV, "SHIFT_JIS"},
    {SLICE_INIT("euc-jp"), SET_ICONV, "EUC-JP"},
    {SLICE_INIT("iso-2022-jp"), SET_ICONV, "ISO-2022-JP"},
    {SLICE_INIT("euc-kr"), SET_ICONV, "EUC-KR"},
    {SLICE_INIT("ks_c_5601-1987"), SET_ICONV, "EUC-KR"},
    {SLICE_INIT("utf-16"), SET_ICONV, "UTF-16"},
    {SLICE_INIT("utf-16le"), SET_ICONV, "UTF-16LE"},
    {SLICE_INIT("utf-16be"), SET_ICONV, "UTF-16BE"},
};

/* What 0x80..0x9F mean in Windows-1252; 0 = nothing. */
static const uint16_t windows_1252[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178,
};

static const struct set *find_set(struct slice name)
{
    for (size_t i = 0; i < COUNT_OF(sets); i++)
        if (slice_equal_nocase(name, sets[i].name))
            return &sets[i];
    return NULL;
}

bool charset_is_known(struct slice name)
{
    return find_set(name) != NULL;
}

static bool append_windows_1252(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint32_t character = text.at[i];

        if (character >= 0x80 && character < 0xA0)
            character = windows_1252[character - 0x80];
        if (!utf8_append(out, character == 0 && text.at[i] != 0 ? UTF8_REPLACEMENT : character))
            return false;
    }
    return true;
}

static bool append_utf8(struct slice text, struct buffer *out)
{
    if (utf8_is_valid(text))
        return buffer_append(out, text);
    while (text.len > 0)
        if (!utf8_append(out, utf8_take(&text)))
            return false;
    return true;
}

static bool append_guessed(struct slice text, struct buffer *out)
{
    return utf8_is_valid(text) ? buffer_append(out, text) : append_windows_1252(text, out);
}

/* False when the ceiling is crossed. A broken byte becomes U+FFFD and the reader goes on behind it. */
static bool append_by_iconv(iconv_t door, struct slice text, struct buffer *out)
{
    char *from = (char *)(uintptr_t)text.at;
    size_t from_left = text.len;

    while (from_left > 0) {
        char block[1024], *to = block;
        size_t to_left = sizeof block;
        size_t got = iconv(door, &from, &from_left, &to, &to_left);
        int why = errno;

        if (!append_utf8(slice_of(block, sizeof block - to_left), out))
            return false;
        if (got != (size_t)-1 || why == E2BIG)
            continue;
        if (!utf8_append(out, UTF8_REPLACEMENT))
            return false;
        /* EINVAL: the text ends inside a character. */
        if (why != EILSEQ)
            return true;
        from++;
        from_left--;
    }
    return true;
}

bool charset_append_utf8(struct slice name, struct slice text, struct buffer *out)
{
    const struct set *set = find_set(slice_trim(name));
    iconv_t door;
    bool fits;

    if (set == NULL)
        return append_guessed(text, out);
    switch (set->kind) {
    case SET_UTF8:
        return append_utf8(text, out);
    case SET_ASCII:
        /* Much mail says so and holds something else. */
        return append_guessed(text, out);
    case SET_WINDOWS_1252:
        return append_windows_1252(text, out);
    case SET_ICONV:
        break;
    }
    door = iconv_open("UTF-8", set->iconv_cstr);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): iconv_open(3) says failure this way. */
    if (door == (iconv_t)-1)
        return append_guessed(text, out);
    fits = append_by_iconv(door, text, out);
    iconv_close(door);
    return fits;
}
