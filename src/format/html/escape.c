/* SPDX-License-Identifier: Apache-2.0 */
#include "format/html/escape.h"

#include "format/mime/utf8.h"

/* What stands for one byte, or an empty slice when it may stand for itself. */
static struct slice reference_for(uint8_t byte)
{
    switch (byte) {
    case '&':
        return S("&amp;");
    case '<':
        return S("&lt;");
    case '>':
        return S("&gt;");
    case '"':
        return S("&quot;");
    case '\'':
        return S("&#39;");
    default:
        return (struct slice){NULL, 0};
    }
}

bool html_escape_append(struct buffer *out, struct slice text)
{
    while (text.len > 0) {
        size_t plain = 0;

        while (plain < text.len && reference_for(text.at[plain]).len == 0)
            plain++;
        if (!utf8_append_clean(out, slice_head(text, plain), false))
            return false;
        if (plain < text.len && !buffer_append(out, reference_for(text.at[plain])))
            return false;
        text = slice_from(text, plain + 1);
    }
    return true;
}
