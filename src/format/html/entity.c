/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/entity.h"

#include "format/mime/utf8.h"

enum { NAME_MAX = 8, LATIN1_FIRST = 160 };

static const struct {
    char name[NAME_MAX + 1];
    uint16_t character;
} names[] = {
    {"amp", '&'},       {"lt", '<'},        {"gt", '>'},        {"quot", '"'},
    {"apos", '\''},     {"Tab", '\t'},      {"NewLine", '\n'},  {"colon", ':'},
    {"sol", '/'},       {"period", '.'},    {"num", '#'},       {"commat", '@'},
    {"lpar", '('},      {"rpar", ')'},      {"semi", ';'},      {"comma", ','},
    {"ndash", 0x2013},  {"mdash", 0x2014},  {"lsquo", 0x2018},  {"rsquo", 0x2019},
    {"sbquo", 0x201A},  {"ldquo", 0x201C},  {"rdquo", 0x201D},  {"bdquo", 0x201E},
    {"dagger", 0x2020}, {"bull", 0x2022},   {"hellip", 0x2026}, {"permil", 0x2030},
    {"lsaquo", 0x2039}, {"rsaquo", 0x203A}, {"euro", 0x20AC},   {"trade", 0x2122},
    {"larr", 0x2190},   {"uarr", 0x2191},   {"rarr", 0x2192},   {"darr", 0x2193},
    {"minus", 0x2212},  {"le", 0x2264},     {"ge", 0x2265},     {"ne", 0x2260},
    {"ensp", 0x2002},   {"emsp", 0x2003},   {"thinsp", 0x2009}, {"zwnj", 0x200C},
    {"zwj", 0x200D},    {"OElig", 0x152},   {"oelig", 0x153},   {"Scaron", 0x160},
    {"scaron", 0x161},  {"Yuml", 0x178},    {"fnof", 0x192},    {"circ", 0x2C6},
    {"tilde", 0x2DC},   {"hearts", 0x2665}, {"check", 0x2713},  {"infin", 0x221E},
};

/* Characters 160 to 255, in order. */
static const char latin1[][NAME_MAX + 1] = {
    "nbsp",   "iexcl",  "cent",   "pound",  "curren", "yen",    "brvbar", "sect",   "uml",
    "copy",   "ordf",   "laquo",  "not",    "shy",    "reg",    "macr",   "deg",    "plusmn",
    "sup2",   "sup3",   "acute",  "micro",  "para",   "middot", "cedil",  "sup1",   "ordm",
    "raquo",  "frac14", "frac12", "frac34", "iquest", "Agrave", "Aacute", "Acirc",  "Atilde",
    "Auml",   "Aring",  "AElig",  "Ccedil", "Egrave", "Eacute", "Ecirc",  "Euml",   "Igrave",
    "Iacute", "Icirc",  "Iuml",   "ETH",    "Ntilde", "Ograve", "Oacute", "Ocirc",  "Otilde",
    "Ouml",   "times",  "Oslash", "Ugrave", "Uacute", "Ucirc",  "Uuml",   "Yacute", "THORN",
    "szlig",  "agrave", "aacute", "acirc",  "atilde", "auml",   "aring",  "aelig",  "ccedil",
    "egrave", "eacute", "ecirc",  "euml",   "igrave", "iacute", "icirc",  "iuml",   "eth",
    "ntilde", "ograve", "oacute", "ocirc",  "otilde", "ouml",   "divide", "oslash", "ugrave",
    "uacute", "ucirc",  "uuml",   "yacute", "thorn",  "yuml",
};

static bool find_name(struct slice name, uint32_t *character_out)
{
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_equal(name, slice_from_cstr(names[i].name))) {
            *character_out = names[i].character;
            return true;
        }
    for (size_t i = 0; i < COUNT_OF(latin1); i++)
        if (slice_equal(name, slice_from_cstr(latin1[i]))) {
            *character_out = LATIN1_FIRST + (uint32_t)i;
            return true;
        }
    return false;
}

/* Behind "&#": digits, or x and hex digits. Leading zeros may be many; the value stops growing. */
static size_t parse_number(struct slice text, uint32_t *character_out)
{
    bool hex = text.len > 0 && byte_lower(text.at[0]) == 'x';
    size_t first = hex ? 1 : 0, at = first;
    uint32_t value = 0;

    for (; at < text.len; at++) {
        uint8_t byte = byte_lower(text.at[at]);
        uint32_t digit;

        if (byte_is_digit(byte))
            digit = (uint32_t)(byte - '0');
        else if (hex && byte >= 'a' && byte <= 'f')
            digit = (uint32_t)(byte - 'a' + 10);
        else
            break;
        if (value <= 0x10FFFF)
            value = value * (hex ? 16 : 10) + digit;
    }
    *character_out = value;
    return at > first ? at : 0;
}

bool html_reference_parse(struct slice text, uint32_t *character_out, size_t *len_out)
{
    size_t len = 0;

    if (!slice_starts_with(text, S("&")))
        return false;
    if (slice_starts_with(text, S("&#"))) {
        len = parse_number(slice_from(text, 2), character_out);
        if (len == 0)
            return false;
        len += 2;
        *len_out = len + (len < text.len && text.at[len] == ';');
        return true;
    }
    while (len < NAME_MAX && len + 1 < text.len &&
           (byte_is_alpha(text.at[len + 1]) || byte_is_digit(text.at[len + 1])))
        len++;
    *len_out = len + 2;
    return len > 0 && len + 1 < text.len && text.at[len + 1] == ';' &&
           find_name(slice_head(slice_from(text, 1), len), character_out);
}

bool html_unescape_append(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        size_t len = slice_find_byte(text, '&');
        uint32_t character;

        if (!buffer_append(out, slice_head(text, len)))
            return false;
        text = slice_from(text, len);
        if (text.len == 0)
            break;
        if (html_reference_parse(text, &character, &len)) {
            if (!utf8_append(out, character == 0 ? UTF8_REPLACEMENT : character))
                return false;
        } else {
            len = 1;
            if (!buffer_append(out, S("&")))
                return false;
        }
        text = slice_from(text, len);
    }
    return true;
}
