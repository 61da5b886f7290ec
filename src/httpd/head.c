/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/head.h"

/* Fields of which a second one makes the request ambiguous. */
static const struct slice single_fields[] = {
    SLICE_INIT("Host"),           SLICE_INIT("Content-Length"), SLICE_INIT("Transfer-Encoding"),
    SLICE_INIT("Content-Type"),   SLICE_INIT("Cookie"),         SLICE_INIT("Origin"),
    SLICE_INIT("Sec-Fetch-Site"),
};

/* [RFC 9110 §5.6.2] */
static bool is_token(struct slice text)
{
    static const struct slice marks = SLICE_INIT("!#$%&'*+-.^_`|~");

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        if (!byte_is_alpha(byte) && !byte_is_digit(byte) &&
            slice_find_byte(marks, byte) == marks.len)
            return false;
    }
    return text.len > 0;
}

static bool is_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if ((text.at[i] < 0x20 && text.at[i] != '\t') || text.at[i] == 0x7f)
            return false;
    return true;
}

static bool is_visible(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= 0x20 || text.at[i] >= 0x7f)
            return false;
    return text.len > 0;
}

bool httpd_header_find(const struct httpd_header *headers, size_t count, struct slice name,
                       struct slice *value_out)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(headers[i].name, name)) {
            *value_out = slice_trim(headers[i].value);
            return true;
        }
    return false;
}

bool httpd_cookie_find(struct slice cookies, struct slice name, struct slice *value_out)
{
    bool is_found = false;

    while (cookies.len > 0) {
        struct slice pair = slice_trim(slice_cut(&cookies, ';'));
        struct slice key = slice_cut(&pair, '=');

        if (!slice_equal(key, name))
            continue;
        if (is_found)
            return false;
        *value_out = pair;
        is_found = true;
    }
    return is_found;
}

static unsigned check_fields(const struct httpd_head *head)
{
    size_t bytes = head->method.len + 1 + head->uri.len + 1 + head->version.len + 2 + 2;

    if (head->header_count > HTTPD_HEADERS_MAX)
        return 431;
    for (size_t i = 0; i < head->header_count; i++) {
        const struct httpd_header *field = &head->headers[i];

        if (!is_token(field->name) || !is_value(field->value))
            return 400;
        bytes += field->name.len + 1 + field->value.len + 2;
    }
    if (bytes > HTTPD_HEAD_BYTES_MAX)
        return 431;
    /*
     * The library hands out NUL-terminated strings, glues folded lines and takes bare LF. What it
     * swallowed shows in the sum: clients write at most one blank behind each colon.
     */
    if (head->wire_bytes != 0 &&
        (head->wire_bytes < bytes || head->wire_bytes > bytes + head->header_count))
        return 400;
    for (size_t i = 0; i < COUNT_OF(single_fields); i++) {
        unsigned seen = 0;

        for (size_t j = 0; j < head->header_count; j++)
            seen += slice_equal_nocase(head->headers[j].name, single_fields[i]);
        if (seen > 1)
            return 400;
    }
    return 0;
}

static unsigned check_host(const struct httpd_head *head, struct slice host)
{
    struct slice got;

    if (!httpd_header_find(head->headers, head->header_count, S("Host"), &got) || got.len == 0)
        return 400;
    if (host.len == 0 || slice_equal_nocase(got, host))
        return 0;
    /* The default port may be written. */
    if (slice_find_byte(host, ':') == host.len && got.len == host.len + 4 &&
        slice_equal_nocase(slice_head(got, host.len), host) &&
        slice_equal(slice_from(got, host.len), S(":443")))
        return 0;
    return 421;
}

static unsigned check_length(const struct httpd_head *head, struct httpd_facts *facts)
{
    struct slice value;

    if (httpd_header_find(head->headers, head->header_count, S("Content-Length"), &value)) {
        if (!slice_parse_u64(value, &facts->content_length))
            return 400;
        facts->has_content_length = true;
    }
    /* No form comes in chunks, so nobody needs them: one way of framing, one reading of it. */
    if (httpd_header_find(head->headers, head->header_count, S("Transfer-Encoding"), &value))
        return facts->has_content_length ? 400 : 411;
    if (facts->method == HTTPD_POST && !facts->has_content_length)
        return 411;
    if (facts->method != HTTPD_POST && facts->content_length > 0)
        return 400;
    if (httpd_header_find(head->headers, head->header_count, S("Expect"), &value) &&
        !slice_equal_nocase(value, S("100-continue")))
        return 417;
    return 0;
}

static bool read_method(struct slice text, enum httpd_method *method_out)
{
    static const struct slice names[] = {SLICE_INIT("GET"), SLICE_INIT("HEAD"),
                                         SLICE_INIT("POST"), SLICE_INIT("OPTIONS")};

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (slice_equal(text, names[i])) {
            *method_out = (enum httpd_method)i;
            return true;
        }
    return false;
}

unsigned httpd_head_check(const struct httpd_head *head, struct slice host,
                          struct httpd_facts *facts_out)
{
    struct slice rest = head->uri;
    unsigned status;

    *facts_out = (struct httpd_facts){0};
    if (head->uri.len > HTTPD_URI_MAX)
        return 414;
    if (!is_token(head->method) || !is_visible(head->uri))
        return 400;
    if (!slice_equal(head->version, S("HTTP/1.1")) &&
        !slice_equal(head->version, S("HTTP/1.0")))
        return 505;
    status = check_fields(head);
    if (status == 0)
        status = check_host(head, host);
    if (status != 0)
        return status;
    if (!read_method(head->method, &facts_out->method))
        return 405;
    facts_out->path = slice_cut(&rest, '?');
    if (facts_out->path.len == 0 ||
        (facts_out->path.at[0] != '/' &&
         !(facts_out->method == HTTPD_OPTIONS && slice_equal(facts_out->path, S("*")))))
        return 400;
    return check_length(head, facts_out);
}
