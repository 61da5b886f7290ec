/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/header_control.h"

#include "format/mime/words.h"

enum {
    SUBJECT_MAX = 4 << 20, /* more than any header: a trigger is never overlooked */
    FOLD_AT = 76,          /* start a new line at the first space behind this column */
    LARGEST_COUNT = 100000,
};

static const struct slice prefix = SLICE_INIT("X-Postern-");

void header_wishes_init(struct header_wishes *wishes)
{
    *wishes = (struct header_wishes){0};
    buffer_init(&wishes->question, HEADER_QUESTION_MAX);
    buffer_init(&wishes->answer, HEADER_ANSWER_MAX);
}

void header_wishes_deinit(struct header_wishes *wishes)
{
    buffer_wipe(&wishes->question);
    buffer_wipe(&wishes->answer);
    *wishes = (struct header_wishes){0};
}

enum header_encrypt header_wishes_encrypt(const struct header_wishes *wishes)
{
    if (wishes->wants_encrypt)
        return HEADER_ENCRYPT_ESCALATE;
    return wishes->wants_opt_out ? HEADER_ENCRYPT_OPT_OUT : HEADER_ENCRYPT_UNSET;
}

bool header_is_control(struct slice name)
{
    return slice_starts_with_nocase(name, prefix);
}

static bool take_text(struct buffer *to, struct slice value)
{
    return buffer_len(to) == 0 && words_decode(slice_trim(value), to) && buffer_len(to) > 0;
}

static bool take_question(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    (void)now_ms;
    return take_text(&wishes->question, value);
}

static bool take_answer(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    (void)now_ms;
    return take_text(&wishes->answer, value);
}

static bool take_expires(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    static const struct {
        uint8_t letter;
        int64_t ms;
    } units[] = {{'m', 60000}, {'h', 3600000}, {'d', 86400000}};
    uint64_t count;

    if (wishes->expires_ms != 0 || value.len < 2 ||
        !slice_parse_u64(slice_head(value, value.len - 1), &count) || count == 0 ||
        count > LARGEST_COUNT)
        return false;
    for (size_t i = 0; i < COUNT_OF(units); i++)
        if (byte_lower(value.at[value.len - 1]) == units[i].letter)
            wishes->expires_ms = now_ms + (int64_t)count * units[i].ms;
    return wishes->expires_ms != 0;
}

static bool take_proof(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    static const struct slice words[] = {SLICE_INIT("code"), SLICE_INIT("answer"),
                                         SLICE_INIT("link")};

    (void)now_ms;
    if (wishes->proof != 0)
        return false;
    for (unsigned i = 0; i < COUNT_OF(words); i++)
        if (slice_equal_nocase(value, words[i]))
            wishes->proof = i + 1;
    return wishes->proof != 0;
}

static bool take_receipt(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    (void)now_ms;
    if (wishes->receipt != 0)
        return false;
    if (slice_equal_nocase(value, S("yes")))
        wishes->receipt = 1;
    if (slice_equal_nocase(value, S("no")))
        wishes->receipt = 2;
    return wishes->receipt != 0;
}

static bool take_encrypt(struct header_wishes *wishes, struct slice value, int64_t now_ms)
{
    (void)now_ms;
    if (slice_equal_nocase(value, S("yes")))
        wishes->wants_encrypt = true;
    else if (slice_equal_nocase(value, S("no")))
        wishes->wants_opt_out = true;
    else
        return false;
    return true;
}

static const struct {
    struct slice name; /* behind the prefix */
    bool (*take)(struct header_wishes *wishes, struct slice value, int64_t now_ms);
} controls[] = {
    {SLICE_INIT("Question"), take_question}, {SLICE_INIT("Answer"), take_answer},
    {SLICE_INIT("Expires"), take_expires},   {SLICE_INIT("Proof"), take_proof},
    {SLICE_INIT("Receipt"), take_receipt},   {SLICE_INIT("Encrypt"), take_encrypt},
};

bool header_control_take(struct header_wishes *wishes, struct slice name, struct slice value,
                         int64_t now_ms, struct err *err)
{
    struct slice word = slice_from(name, prefix.len);

    for (size_t i = 0; i < COUNT_OF(controls); i++) {
        if (!slice_equal_nocase(word, controls[i].name))
            continue;
        if (controls[i].take(wishes, slice_trim(value), now_ms))
            return true;
        return FAIL_SMTP(err, ERR_PEER, 550, "5.6.0",
                         "the X-Postern-%.*s field is not understood, or is there twice",
                         SLICE_ARGS(controls[i].name));
    }
    return FAIL_SMTP(err, ERR_PEER, 550, "5.6.0", "there is an unknown X-Postern- field");
}

/* Remove every `trigger` from `text`, with one space beside it. */
static bool remove_trigger(struct buffer *text, struct slice trigger)
{
    struct slice rest = buffer_view(text);
    struct buffer kept;
    bool found = false;
    size_t at;

    if (trigger.len == 0 || slice_find_nocase(rest, trigger) == rest.len)
        return false;
    buffer_init(&kept, rest.len);
    while ((at = slice_find_nocase(rest, trigger)) < rest.len) {
        bool fits = buffer_append(&kept, slice_head(rest, at));
        struct slice before = buffer_view(&kept);

        must(fits);
        rest = slice_from(rest, at + trigger.len);
        /* "a +encrypt+ b" leaves one space, not two. */
        if (rest.len > 0 && rest.at[0] == ' ' &&
            (before.len == 0 || before.at[before.len - 1] == ' '))
            rest = slice_from(rest, 1);
        found = true;
    }
    if (!buffer_append(&kept, rest))
        found = false;
    buffer_wipe(text);
    *text = kept;
    return found;
}

/* Append `line` with a line break before some of its spaces, so that no line gets long. */
static bool append_folded(struct buffer *out, struct slice line)
{
    size_t column = 9; /* "Subject: " */

    for (size_t i = 0; i < line.len; i++) {
        bool folds_already = line.at[i] == '\r';

        if (line.at[i] == ' ' && column > FOLD_AT && i + 1 < line.len && line.at[i + 1] > 32) {
            if (!buffer_append(out, S("\r\n")))
                return false;
            column = 0;
        }
        column = folds_already ? 0 : column + 1;
        if (!buffer_append_byte(out, line.at[i]))
            return false;
    }
    return true;
}

bool header_triggers_take(const struct header_triggers *triggers, struct slice value,
                          struct header_wishes *wishes, struct buffer *subject_out)
{
    struct buffer text, encoded;
    bool changed = false;

    buffer_init(&text, SUBJECT_MAX);
    buffer_init(&encoded, 8 * (size_t)SUBJECT_MAX);
    if (words_decode(slice_trim(value), &text)) {
        /* The longer name may hold the shorter one: "+noencrypt+" never counts as "+encrypt+".
         */
        bool opt_out = remove_trigger(&text, triggers->opt_out);
        bool encrypt = remove_trigger(&text, triggers->encrypt);

        wishes->wants_opt_out |= opt_out;
        wishes->wants_encrypt |= encrypt;
        changed = (opt_out || encrypt) &&
                  words_encode(slice_trim(buffer_view(&text)), &encoded) &&
                  append_folded(subject_out, buffer_view(&encoded));
    }
    buffer_wipe(&text);
    buffer_wipe(&encoded);
    return changed;
}
