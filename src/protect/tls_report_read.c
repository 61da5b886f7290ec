/* SPDX-License-Identifier: Apache-2.0 */
/* The JSON of a stranger's report. Bounded before it is parsed: a value in memory is many times its text. */
#include "format/mime/utf8.h"
#include "policy/tls_report.h"
#include "protect/tls_report.h"

#include <jansson.h>
#include <string.h>
#include <time.h>

/* A byte that is no UTF-8 becomes three. */
enum {
    CLEAN_MAX = 3 * TLS_REPORT_TEXT_MAX,
    LONG_TEXT_MAX = 3 * TLS_REPORT_POLICY_TEXT_MAX + 64
};

void tls_report_read_init(struct tls_report_read *read)
{
    *read = (struct tls_report_read){.begin_s = 0};
    buffer_init(&read->organisation, CLEAN_MAX);
    buffer_init(&read->contact, CLEAN_MAX);
    buffer_init(&read->report_id, CLEAN_MAX);
    buffer_init(&read->domain, CLEAN_MAX);
    buffer_init(&read->signer, CLEAN_MAX);
    buffer_init(&read->lines, TLS_REPORT_LINES_BYTES);
}

void tls_report_read_deinit(struct tls_report_read *read)
{
    buffer_deinit(&read->organisation);
    buffer_deinit(&read->contact);
    buffer_deinit(&read->report_id);
    buffer_deinit(&read->domain);
    buffer_deinit(&read->signer);
    buffer_deinit(&read->lines);
}

/* ---- before it is parsed ---- */

static bool is_bounded(struct slice json)
{
    size_t values = 0, depth = 0;
    bool is_string = false;

    for (size_t i = 0; i < json.len; i++) {
        uint8_t byte = json.at[i];

        if (is_string) {
            i += byte == '\\' ? 1 : 0;
            is_string = byte != '"';
            continue;
        }
        is_string = byte == '"';
        if (byte == '[' || byte == '{')
            depth++;
        else if ((byte == ']' || byte == '}') && depth > 0)
            depth--;
        values += byte == ',' || byte == ':' || byte == '[' || byte == '{' ? 1 : 0;
        if (values > TLS_REPORT_VALUES_MAX || depth > TLS_REPORT_DEPTH_MAX)
            return false;
    }
    return true;
}

/* ---- values ---- */

static struct slice string_at(const json_t *object, const char *key_cstr)
{
    const json_t *value = json_object_get(object, key_cstr);

    if (!json_is_string(value))
        return S("");
    return slice_of(json_string_value(value), json_string_length(value));
}

/* Clean and cut; never fails: what does not fit is left away. */
static struct slice clean(struct slice text, size_t max, bool one_line, struct buffer *out)
{
    size_t before = buffer_len(out);

    if (!utf8_append_clean(out, utf8_head(text, max), one_line))
        buffer_truncate(out, before);
    return slice_from(buffer_view(out), before);
}

static void keep(const json_t *object, const char *key_cstr, struct buffer *out)
{
    buffer_clear(out);
    (void)clean(slice_trim(string_at(object, key_cstr)), TLS_REPORT_TEXT_MAX, true, out);
}

/* A text, or an array of texts: one a line. Drafts of the RFC had the first where the RFC has the second. */
static void keep_lines(const json_t *value, size_t max, struct buffer *out)
{
    const json_t *item;
    size_t index;

    buffer_clear(out);
    if (json_is_string(value))
        (void)clean(slice_of(json_string_value(value), json_string_length(value)), max, true,
                    out);
    json_array_foreach(value, index, item)
    {
        if (!json_is_string(item) || buffer_len(out) >= max)
            continue;
        (void)clean(slice_of(json_string_value(item), json_string_length(item)),
                    (max - buffer_len(out)) / 3, true, out);
        if (!buffer_append_byte(out, '\n'))
            return;
    }
}

/* Missing counts as 0. */
static bool count_at(const json_t *object, const char *key_cstr, uint64_t *count_out)
{
    const json_t *value = json_object_get(object, key_cstr);

    *count_out = 0;
    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > INT64_C(1) << 50)
        return false;
    *count_out = (uint64_t)json_integer_value(value);
    return true;
}

/* "+01:30" behind the time: seconds to take away. */
static bool zone_parse(struct slice text, int64_t *seconds_out)
{
    int64_t sign = text.len > 0 && text.at[0] == '-' ? -1 : 1;

    *seconds_out = 0;
    if (text.len == 0 || slice_equal_nocase(text, S("Z")))
        return true;
    if (text.len != 6 || (text.at[0] != '+' && text.at[0] != '-') || text.at[3] != ':')
        return false;
    for (size_t i = 1; i < 6; i++)
        if (i != 3 && !byte_is_digit(text.at[i]))
            return false;
    *seconds_out = sign * ((text.at[1] - '0') * 36000 + (text.at[2] - '0') * 3600 +
                           (text.at[4] - '0') * 600 + (text.at[5] - '0') * 60);
    return true;
}

/* [RFC 3339 §5.6], a fraction of the second allowed. */
static bool time_at(const json_t *object, const char *key_cstr, int64_t *seconds_out)
{
    struct slice text = string_at(object, key_cstr), rest;
    char text_cstr[64];
    struct tm parts = {0};
    const char *end_cstr;
    int64_t zone_s;

    if (!slice_to_cstr(text, text_cstr, sizeof text_cstr))
        return false;
    end_cstr = strptime(text_cstr, "%Y-%m-%dT%H:%M:%S", &parts);
    if (end_cstr == NULL || parts.tm_year < 100 || parts.tm_year > 300)
        return false;
    rest = slice_from_cstr(end_cstr);
    if (rest.len > 0 && rest.at[0] == '.')
        do
            rest = slice_from(rest, 1);
        while (rest.len > 0 && byte_is_digit(rest.at[0]));
    if (!zone_parse(rest, &zone_s))
        return false;
    *seconds_out = (int64_t)timegm(&parts) - zone_s;
    return true;
}

/* ---- the report ---- */

struct parsing {
    struct tls_report_read *read;
    struct buffer domain, text, mx, scratch; /* of the policy; of the line */
    struct ipc_tls_line line;                /* views into them */
    size_t count;
    struct err *err;
};

static bool put_line(struct parsing *parsing)
{
    if (++parsing->count > TLS_REPORT_LINES_MAX ||
        !ipc_list_append(&parsing->read->lines, IPC_TLS_LINE, &parsing->line))
        return FAIL(parsing->err, ERR_PEER, "the report has more than %d details",
                    TLS_REPORT_LINES_MAX);
    return true;
}

static struct slice detail(struct parsing *parsing, const json_t *failure, const char *key_cstr)
{
    return clean(slice_trim(string_at(failure, key_cstr)), TLS_REPORT_TEXT_MAX, true,
                 &parsing->scratch);
}

static bool take_failure(struct parsing *parsing, const json_t *failure, uint64_t *sum)
{
    struct ipc_tls_line *line = &parsing->line;

    if (!json_is_object(failure) ||
        !count_at(failure, "failed-session-count", &line->sessions) ||
        slice_trim(string_at(failure, "result-type")).len == 0)
        return FAIL(parsing->err, ERR_PEER, "a failure in the report is malformed");
    buffer_clear(&parsing->scratch);
    must(buffer_reserve(&parsing->scratch, LONG_TEXT_MAX) !=
         NULL); /* views stay where they are */
    line->result = detail(parsing, failure, "result-type");
    line->mx = detail(parsing, failure, "receiving-mx-hostname");
    line->address = detail(parsing, failure, "receiving-ip");
    line->source = detail(parsing, failure, "sending-mta-ip");
    line->reason = detail(parsing, failure, "failure-reason-code");
    *sum += line->sessions;
    if (line->result.len == 0)
        return FAIL(parsing->err, ERR_PEER, "a failure in the report has no type");
    return line->sessions == 0 || put_line(parsing);
}

/* Failures that are only summed up, not told in detail. */
static bool take_rest(struct parsing *parsing, uint64_t failures, uint64_t told)
{
    if (failures <= told)
        return true;
    parsing->line.result = S("unspecified");
    parsing->line.mx = parsing->line.address = parsing->line.source = parsing->line.reason =
        S("");
    parsing->line.sessions = failures - told;
    return put_line(parsing);
}

static void read_policy(struct parsing *parsing, const json_t *policy)
{
    enum tls_report_policy type;

    if (!tls_report_policy_parse(string_at(policy, "policy-type"), &type))
        type = REPORT_NO_POLICY;
    keep(policy, "policy-domain", &parsing->domain);
    keep_lines(json_object_get(policy, "policy-string"), TLS_REPORT_POLICY_TEXT_MAX,
               &parsing->text);
    keep_lines(json_object_get(policy, "mx-host"), TLS_REPORT_POLICY_TEXT_MAX, &parsing->mx);
    parsing->line = (struct ipc_tls_line){.policy = type,
                                          .policy_domain = buffer_view(&parsing->domain),
                                          .policy_text = buffer_view(&parsing->text),
                                          .policy_mx = buffer_view(&parsing->mx)};
}

static bool take_policy(struct parsing *parsing, const json_t *entry)
{
    const json_t *policy = json_object_get(entry, "policy"), *failure;
    const json_t *summary = json_object_get(entry, "summary");
    uint64_t failures = 0, told = 0;
    size_t index;

    if (!json_is_object(policy) || !json_is_object(summary))
        return FAIL(parsing->err, ERR_PEER, "a policy in the report is malformed");
    read_policy(parsing, policy);
    if (!count_at(summary, "total-successful-session-count", &parsing->line.sessions) ||
        !count_at(summary, "total-failure-session-count", &failures))
        return FAIL(parsing->err, ERR_PEER, "a summary in the report is malformed");
    if (!put_line(parsing))
        return false;
    json_array_foreach(json_object_get(entry, "failure-details"), index, failure)
    {
        if (!take_failure(parsing, failure, &told))
            return false;
    }
    return take_rest(parsing, failures, told);
}

static bool take_report(struct parsing *parsing, const json_t *root)
{
    const json_t *range = json_object_get(root, "date-range"), *entry;
    const json_t *policies = json_object_get(root, "policies");
    struct tls_report_read *read = parsing->read;
    size_t index;

    keep(root, "organization-name", &read->organisation);
    keep(root, "contact-info", &read->contact);
    keep(root, "report-id", &read->report_id);
    if (!json_is_object(root) || buffer_len(&read->organisation) == 0 ||
        buffer_len(&read->report_id) == 0)
        return FAIL(parsing->err, ERR_PEER, "the report names no organization or has no id");
    if (!time_at(range, "start-datetime", &read->begin_s) ||
        !time_at(range, "end-datetime", &read->end_s) || read->end_s < read->begin_s)
        return FAIL(parsing->err, ERR_PEER, "the report says no time that it is about");
    if (!json_is_array(policies) || json_array_size(policies) == 0)
        return FAIL(parsing->err, ERR_PEER, "the report holds no policies");
    json_array_foreach(policies, index, entry)
    {
        if (!take_policy(parsing, entry))
            return false;
    }
    return true;
}

bool tls_report_parse(struct slice json, struct tls_report_read *read, struct err *err)
{
    struct parsing parsing = {.read = read, .err = err};
    json_t *root;
    bool is_read;

    buffer_clear(&read->lines);
    if (json.len > TLS_REPORT_JSON_MAX || !is_bounded(json))
        return FAIL(err, ERR_PEER, "the report holds too much");
    root = json_loadb((const char *)json.at, json.len, 0, NULL);
    if (root == NULL)
        return FAIL(err, ERR_PEER, "the report is no JSON");
    buffer_init(&parsing.domain, CLEAN_MAX);
    buffer_init(&parsing.text, LONG_TEXT_MAX);
    buffer_init(&parsing.mx, LONG_TEXT_MAX);
    buffer_init(&parsing.scratch, LONG_TEXT_MAX);
    is_read = take_report(&parsing, root);
    buffer_deinit(&parsing.domain);
    buffer_deinit(&parsing.text);
    buffer_deinit(&parsing.mx);
    buffer_deinit(&parsing.scratch);
    json_decref(root);
    return is_read;
}
