/* SPDX-License-Identifier: Apache-2.0 */
#include "format/mime/words.h"

#include "format/mime/charset.h"
#include "format/mime/header.h"
#include "format/mime/transfer.h"
#include "format/mime/utf8.h"

#include "base/encode.h"

enum {
    VALUE_MAX = MIME_HEADER_MAX,
    WORD_BYTES_MAX =
        30, /* of UTF-8 in one encoded word: 52 characters, so that a name fits before it */
    LINE_BYTES_MAX = 900,
};

/* ---- decoding ---- */

struct word {
    struct slice charset, text;
    enum mime_encoding encoding; /* for Q: MIME_QUOTED_PRINTABLE */
    size_t len;                  /* bytes of the word with its frame */
};

/* An encoded word at the very start of `text`? */
static bool word_parse(struct slice text, struct word *word_out)
{
    struct slice rest = slice_from(text, 2);
    size_t end;
    struct slice charset, encoding;

    if (!slice_starts_with(text, S("=?")))
        return false;
    charset = slice_cut(&rest, '?');
    encoding = slice_cut(&rest, '?');
    /* The language that RFC 2231 allows behind the set says nothing to us. [RFC 2231 §5] */
    charset = slice_cut(&charset, '*');
    for (end = 0; end + 1 < rest.len; end++)
        if (rest.at[end] == '?' || rest.at[end] == ' ')
            break;
    if (charset.len == 0 || charset.len > 40 || encoding.len != 1 || end + 1 >= rest.len ||
        rest.at[end] != '?' || rest.at[end + 1] != '=')
        return false;
    if (byte_lower(encoding.at[0]) == 'b')
        word_out->encoding = MIME_BASE64;
    else if (byte_lower(encoding.at[0]) == 'q')
        word_out->encoding = MIME_QUOTED_PRINTABLE;
    else
        return false;
    word_out->charset = charset;
    word_out->text = slice_head(rest, end);
    word_out->len = (size_t)(rest.at + end + 2 - text.at);
    return true;
}

static bool word_bytes(const struct word *word, struct buffer *out)
{
    struct mime_decoder decoder;
    struct slice text = word->text;

    mime_decoder_init(&decoder, word->encoding);
    if (word->encoding == MIME_BASE64)
        return mime_decode(&decoder, text, out) && mime_decode_end(&decoder, out);
    for (size_t i = 0; i < text.len; i++) {
        bool space = text.at[i] == '_';

        /* Straight after the code of a space nothing may be held back as a trailing blank. */
        if (!mime_decode(&decoder, space ? S("=20") : slice_of(text.at + i, 1), out))
            return false;
    }
    return mime_decode_end(&decoder, out);
}

static struct slice skip_blanks(struct slice text)
{
    while (text.len > 0 && (text.at[0] == ' ' || text.at[0] == '\t'))
        text = slice_from(text, 1);
    return text;
}

/* Words one behind the other, in the same set, are decoded together. Returns what follows them. */
static bool words_run(struct slice *rest, struct buffer *bytes, struct buffer *out)
{
    struct word word;
    struct slice charset, next = *rest;

    buffer_clear(bytes);
    if (!word_parse(next, &word))
        return false;
    charset = word.charset;
    do {
        if (!word_bytes(&word, bytes))
            return false;
        *rest = slice_from(next, word.len);
        next = skip_blanks(*rest);
    } while (word_parse(next, &word) && slice_equal_nocase(word.charset, charset));
    /* Another set follows: the blanks between are dropped all the same. */
    if (word_parse(next, &word))
        *rest = next;
    return charset_append_utf8(charset, buffer_view(bytes), out);
}

static bool decode_line(struct slice line, struct buffer *bytes, struct buffer *out)
{
    while (line.len > 0) {
        struct word word;
        size_t plain = 0;

        while (plain < line.len &&
               !(line.at[plain] == '=' && plain + 1 < line.len && line.at[plain + 1] == '?' &&
                 word_parse(slice_from(line, plain), &word)))
            plain++;
        if (!charset_append_utf8(S("us-ascii"), slice_head(line, plain), out))
            return false;
        line = slice_from(line, plain);
        if (line.len > 0 && !words_run(&line, bytes, out))
            return false;
    }
    return true;
}

bool words_decode(struct slice value, struct buffer *out)
{
    struct buffer line, bytes, text;
    bool fits;

    buffer_init(&line, VALUE_MAX);
    buffer_init(&bytes, VALUE_MAX);
    buffer_init(&text, 3 * VALUE_MAX);
    fits = mime_value_unfold(value, &line) && decode_line(buffer_view(&line), &bytes, &text) &&
           utf8_append_clean(out, buffer_view(&text), true);
    /* Subjects and names: plaintext that does not stay behind. */
    buffer_wipe(&line);
    buffer_wipe(&bytes);
    buffer_wipe(&text);
    return fits;
}

/* ---- encoding ---- */

static bool is_plain(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] > '~')
            return false;
    return text.len <= LINE_BYTES_MAX && slice_find_nocase(text, S("=?")) == text.len;
}

bool words_encode(struct slice text, struct buffer *out)
{
    bool first = true;

    if (is_plain(text))
        return buffer_append(out, text);
    while (text.len > 0) {
        struct slice part = utf8_head(text, WORD_BYTES_MAX);

        if (part.len == 0)
            part = slice_head(text, WORD_BYTES_MAX); /* no UTF-8 */
        if ((!first && !buffer_append(out, S("\r\n "))) ||
            !buffer_append(out, S("=?utf-8?B?")) || !base64_append(out, part) ||
            !buffer_append(out, S("?=")))
            return false;
        text = slice_from(text, part.len);
        first = false;
    }
    return true;
}
