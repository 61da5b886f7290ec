/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/mask.h"

/* Walks the text as libconfuse reads it: comments, words, quoted strings, single marks. */
struct walk {
    struct slice text;
    size_t at;
};

static bool is_word(uint8_t byte)
{
    return byte_is_alpha(byte) || byte_is_digit(byte) || byte >= 0x80 ||
           slice_find_byte(S("_-.$+/\\@:*"), byte) < S("_-.$+/\\@:*").len;
}

static size_t end_of_comment(const struct walk *walk)
{
    struct slice rest = slice_from(walk->text, walk->at);
    size_t end;

    if (slice_starts_with(rest, S("/*"))) {
        end = slice_find_nocase(slice_from(rest, 2), S("*/")) + 4;
        return end < rest.len ? walk->at + end : walk->text.len;
    }
    if (slice_starts_with(rest, S("#")) || slice_starts_with(rest, S("//")))
        return walk->at + slice_find_byte(rest, '\n');
    return walk->at;
}

/* One past the end of the quoted string or word that begins here; at least one byte on. */
static size_t end_of_token(const struct walk *walk)
{
    const uint8_t *bytes = walk->text.at;
    size_t at = walk->at;
    uint8_t quote = bytes[at];

    if (quote == '"' || quote == '\'') {
        for (at++; at < walk->text.len && bytes[at] != quote; at++)
            if (bytes[at] == '\\')
                at++;
        return at < walk->text.len ? at + 1 : walk->text.len;
    }
    while (at < walk->text.len && is_word(bytes[at]))
        at++;
    return at > walk->at ? at : at + 1;
}

/* "$argon2id$v=19$m=65536,t=2,p=1$" is what the parser judges; the salt and the hash behind it go. */
static size_t public_part(struct slice token, struct slice name)
{
    size_t dollars = 0;

    if (!slice_equal(name, S("password")))
        return 0;
    for (size_t i = 0; i < token.len; i++)
        if (token.at[i] == '$' && ++dollars == 4)
            return i + 1;
    return 0;
}

/* "user" is our login at a smart host. */
static bool is_secret(struct slice name, bool has_logins)
{
    return slice_equal(name, S("password")) || slice_equal(name, S("answer")) ||
           (!has_logins && slice_equal(name, S("user")));
}

static bool append_masked(struct buffer *out, struct slice token, struct slice name)
{
    size_t keep = public_part(token, name);

    for (size_t i = 0; i < token.len; i++) {
        uint8_t byte = token.at[i];
        bool is_mark = byte == '"' || byte == '\'' || byte == '\n' || byte == '$';

        /* An escaped mark inside would end the string: blank both bytes. */
        if (i > 0 && i + 1 < token.len)
            is_mark = byte == '\n' || byte == '$';
        if (!buffer_append_byte(out, i < keep || is_mark ? byte : 'A'))
            return false;
    }
    return true;
}

bool settings_mask(struct slice text, bool has_logins, struct buffer *out)
{
    struct walk walk = {text, 0};
    struct slice name = {NULL, 0}; /* the word before the last "=" */
    bool is_value = false;

    while (walk.at < text.len) {
        size_t end = end_of_comment(&walk);
        bool is_comment = end > walk.at;
        struct slice token;

        if (!is_comment)
            end = end_of_token(&walk);
        token = slice_head(slice_from(text, walk.at), end - walk.at);
        walk.at = end;
        if (is_comment || slice_trim(token).len == 0) {
            if (!buffer_append(out, token))
                return false;
            continue;
        }
        if (is_value && is_secret(name, has_logins)) {
            if (!append_masked(out, token, name))
                return false;
        } else if (!buffer_append(out, token))
            return false;
        is_value = slice_equal(token, S("=")) || slice_equal(token, S("+="));
        if (!is_value)
            name = token;
    }
    return true;
}
