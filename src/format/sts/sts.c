/* SPDX-License-Identifier: Apache-2.0 */
#include "format/sts/sts.h"

#include <string.h>

static const struct slice version = SLICE_INIT("STSv1");

static bool is_wsp(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static struct slice skip_wsp(struct slice text)
{
    while (text.len > 0 && is_wsp(text.at[0]))
        text = slice_from(text, 1);
    return text;
}

static struct slice drop_wsp(struct slice text)
{
    while (text.len > 0 && is_wsp(text.at[text.len - 1]))
        text.len--;
    return text;
}

static bool is_alnum(uint8_t byte)
{
    return byte_is_alpha(byte) || byte_is_digit(byte);
}

/* 1*32 of letters, digits, "_", "-", "."; the first one a letter or digit. */
static bool is_extension_name(struct slice name)
{
    if (name.len == 0 || name.len > 32 || !is_alnum(name.at[0]))
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_alnum(name.at[i]) && slice_find_byte(S("_-."), name.at[i]) == 3)
            return false;
    return true;
}

/* ---- the record ---- */

static bool is_record_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < 0x21 || value.at[i] > 0x7e || value.at[i] == '=' ||
            value.at[i] == ';')
            return false;
    return value.len > 0;
}

static bool is_id(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (!is_alnum(value.at[i]))
            return false;
    return value.len > 0 && value.len < STS_ID_SIZE;
}

static bool read_field(struct slice field, char id_out_cstr[STS_ID_SIZE], struct err *err)
{
    size_t at = slice_find_byte(field, '=');
    struct slice name = slice_head(field, at), value = slice_from(field, at + 1);

    if (at == field.len)
        return FAIL(err, ERR_PEER, "the record has a field without a value");
    if (slice_equal(name, S("id"))) {
        if (!is_id(value))
            return FAIL(err, ERR_PEER, "the record's id is not 1 to 32 letters and digits");
        if (id_out_cstr[0] == '\0')
            (void)!slice_to_cstr(value, id_out_cstr, STS_ID_SIZE);
        return true;
    }
    if (!is_extension_name(name) || !is_record_value(value))
        return FAIL(err, ERR_PEER, "the record has a malformed field");
    return true;
}

bool sts_record_parse(struct slice record, char id_out_cstr[STS_ID_SIZE], struct err *err)
{
    id_out_cstr[0] = '\0';
    if (!slice_starts_with(record, S("v=STSv1;")))
        return FAIL(err, ERR_PEER, "the record does not begin with v=STSv1;");
    for (record = skip_wsp(slice_from(record, 8)); record.len > 0; record = skip_wsp(record))
        if (!read_field(drop_wsp(slice_cut(&record, ';')), id_out_cstr, err))
            return false;
    return id_out_cstr[0] != '\0' || FAIL(err, ERR_PEER, "the record has no id");
}

enum progress sts_records_find(const struct slice *records, size_t count,
                               char id_out_cstr[STS_ID_SIZE], struct err *err)
{
    const struct slice *found = NULL;

    for (size_t i = 0; i < count; i++) {
        if (!slice_starts_with(records[i], S("v=STSv1;")))
            continue;
        if (found != NULL) {
            FAIL(err, ERR_PEER, "there is more than one record");
            return PROGRESS_FAIL;
        }
        found = &records[i];
    }
    if (found == NULL)
        return PROGRESS_WAIT;
    return sts_record_parse(*found, id_out_cstr, err) ? PROGRESS_DONE : PROGRESS_FAIL;
}

/* ---- the policy ---- */

const char *sts_mode_name(enum sts_mode mode)
{
    static const char *const names[STS_MODE_COUNT] = {
        [STS_MODE_NONE] = "none",
        [STS_MODE_TESTING] = "testing",
        [STS_MODE_ENFORCE] = "enforce",
    };

    return names[mode];
}

static bool is_label(struct slice label)
{
    if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
        label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!is_alnum(label.at[i]) && label.at[i] != '-' && label.at[i] != '_')
            return false;
    return true;
}

bool sts_is_pattern(struct slice pattern)
{
    struct slice rest = pattern;
    size_t labels = 0;

    if (pattern.len > STS_PATTERN_MAX_BYTES || pattern.len == 0 ||
        pattern.at[pattern.len - 1] == '.')
        return false;
    if (slice_starts_with(rest, S("*.")))
        rest = slice_from(rest, 2);
    for (; rest.len > 0; labels++)
        if (!is_label(slice_cut(&rest, '.')))
            return false;
    return labels >= 2;
}

/* What was read so far: which keys were there. */
struct reading {
    struct sts_policy *policy;
    unsigned line;
    bool has_version, has_mode, has_max_age;
};

static bool read_version(struct reading *reading, struct slice value, struct err *err)
{
    if (!reading->has_version && !slice_equal(value, version))
        return FAIL(err, ERR_PEER, "line %u: the version is not STSv1", reading->line);
    reading->has_version = true;
    return true;
}

static bool read_mode(struct reading *reading, struct slice value, struct err *err)
{
    enum sts_mode mode = STS_MODE_NONE;

    if (reading->has_mode)
        return true;
    while (mode < STS_MODE_COUNT && !slice_equal(value, slice_from_cstr(sts_mode_name(mode))))
        mode++;
    if (mode == STS_MODE_COUNT)
        return FAIL(err, ERR_PEER, "line %u: the mode is not enforce, testing or none",
                    reading->line);
    reading->policy->mode = mode;
    reading->has_mode = true;
    return true;
}

static bool read_max_age(struct reading *reading, struct slice value, struct err *err)
{
    uint64_t seconds;

    if (reading->has_max_age)
        return true;
    if (value.len > 10 || !slice_parse_u64(value, &seconds))
        return FAIL(err, ERR_PEER, "line %u: max_age is not a number of 1 to 10 digits",
                    reading->line);
    reading->policy->max_age_s =
        seconds > STS_MAX_AGE_MAX_S ? (uint32_t)STS_MAX_AGE_MAX_S : (uint32_t)seconds;
    reading->has_max_age = true;
    return true;
}

static bool read_mx(struct reading *reading, struct slice value, struct err *err)
{
    struct sts_policy *policy = reading->policy;

    if (!sts_is_pattern(value))
        return FAIL(err, ERR_PEER, "line %u: mx is neither a host name nor *.domain",
                    reading->line);
    if (policy->mx_count == STS_MX_MAX)
        return FAIL(err, ERR_PEER, "line %u: more than %d lines of mx", reading->line,
                    STS_MX_MAX);
    policy->mx[policy->mx_count++] = value;
    return true;
}

static bool is_policy_value(struct slice value)
{
    for (size_t i = 0; i < value.len; i++)
        if (value.at[i] < 0x20 || value.at[i] == 0x7f)
            return false;
    return value.len > 0;
}

static bool read_line(struct reading *reading, struct slice line, struct err *err)
{
    static const struct {
        struct slice key;
        bool (*read)(struct reading *reading, struct slice value, struct err *err);
    } keys[] = {
        {SLICE_INIT("version"), read_version},
        {SLICE_INIT("mode"), read_mode},
        {SLICE_INIT("max_age"), read_max_age},
        {SLICE_INIT("mx"), read_mx},
    };
    size_t colon = slice_find_byte(line, ':');
    struct slice key = slice_head(line, colon);
    struct slice value = drop_wsp(skip_wsp(slice_from(line, colon + 1)));

    if (colon == line.len)
        return FAIL(err, ERR_PEER, "line %u is not \"key: value\"", reading->line);
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        if (slice_equal(key, keys[i].key))
            return keys[i].read(reading, value, err);
    if (!is_extension_name(key) || !is_policy_value(value))
        return FAIL(err, ERR_PEER, "line %u is malformed", reading->line);
    return true;
}

bool sts_policy_parse(struct slice text, struct sts_policy *policy_out, struct err *err)
{
    struct reading reading = {.policy = policy_out};

    *policy_out = (struct sts_policy){0};
    if (text.len > STS_POLICY_MAX_BYTES)
        return FAIL(err, ERR_PEER, "the policy is longer than %d bytes", STS_POLICY_MAX_BYTES);
    while (text.len > 0) {
        struct slice line = slice_cut(&text, '\n');

        reading.line++;
        if (line.len > 0 && line.at[line.len - 1] == '\r')
            line.len--;
        /* An empty line more at the end is what editors leave. */
        if (line.len > 0 && !read_line(&reading, line, err))
            return false;
    }
    if (!reading.has_version || !reading.has_mode || !reading.has_max_age)
        return FAIL(err, ERR_PEER, "the policy has no %s",
                    !reading.has_version ? "version"
                    : !reading.has_mode  ? "mode"
                                         : "max_age");
    return policy_out->mode == STS_MODE_NONE || policy_out->mx_count > 0 ||
           FAIL(err, ERR_PEER, "the policy has no mx");
}

static bool append_lower(struct buffer *out, struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!buffer_append_byte(out, byte_lower(text.at[i])))
            return false;
    return true;
}

bool sts_policy_patterns(const struct sts_policy *policy, struct buffer *out)
{
    for (size_t i = 0; i < policy->mx_count; i++)
        if ((i > 0 && !buffer_append_byte(out, '\n')) || !append_lower(out, policy->mx[i]))
            return false;
    return true;
}

bool sts_policy_write(const struct sts_policy *policy, struct buffer *out)
{
    if (!buffer_append_format(out, "version: STSv1\r\nmode: %s\r\n",
                              sts_mode_name(policy->mode)))
        return false;
    for (size_t i = 0; i < policy->mx_count; i++)
        if (!buffer_append_format(out, "mx: %.*s\r\n", SLICE_ARGS(policy->mx[i])))
            return false;
    return buffer_append_format(out, "max_age: %u\r\n", policy->max_age_s);
}
