/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/tls_report.h"

/* ---- names ---- */

static const char *const results[REPORT_RESULT_COUNT] = {
    [REPORT_SUCCESS] = "",
    [REPORT_STARTTLS_NOT_SUPPORTED] = "starttls-not-supported",
    [REPORT_CERTIFICATE_HOST_MISMATCH] = "certificate-host-mismatch",
    [REPORT_CERTIFICATE_EXPIRED] = "certificate-expired",
    [REPORT_CERTIFICATE_NOT_TRUSTED] = "certificate-not-trusted",
    [REPORT_VALIDATION_FAILURE] = "validation-failure",
    [REPORT_TLSA_INVALID] = "tlsa-invalid",
    [REPORT_DNSSEC_INVALID] = "dnssec-invalid",
    [REPORT_DANE_REQUIRED] = "dane-required",
    [REPORT_STS_POLICY_FETCH_ERROR] = "sts-policy-fetch-error",
    [REPORT_STS_POLICY_INVALID] = "sts-policy-invalid",
    [REPORT_STS_WEBPKI_INVALID] = "sts-webpki-invalid",
};

static const char *const policies[REPORT_POLICY_COUNT] = {
    [REPORT_NO_POLICY] = "no-policy-found",
    [REPORT_TLSA] = "tlsa",
    [REPORT_STS] = "sts",
};

const char *tls_report_result_name(enum tls_report_result result)
{
    return (unsigned)result < REPORT_RESULT_COUNT ? results[result] : "";
}

const char *tls_report_policy_name(enum tls_report_policy policy)
{
    return (unsigned)policy < REPORT_POLICY_COUNT ? policies[policy] : "no-policy-found";
}

bool tls_report_policy_parse(struct slice name, enum tls_report_policy *policy_out)
{
    for (unsigned i = 0; i < REPORT_POLICY_COUNT; i++)
        if (slice_equal(name, slice_from_cstr(policies[i]))) {
            *policy_out = (enum tls_report_policy)i;
            return true;
        }
    return false;
}

/* ---- the record ---- */

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    byte = byte_lower(byte);
    return byte >= 'a' && byte <= 'f' ? byte - 'a' + 10 : -1;
}

/* %2C and its like to what they mean; what is no code stays. False: too long. */
static bool decode(struct slice text, struct buffer *out)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        if (byte == '%' && i + 2 < text.len && hex_value(text.at[i + 1]) >= 0 &&
            hex_value(text.at[i + 2]) >= 0) {
            byte = (uint8_t)(hex_value(text.at[i + 1]) * 16 + hex_value(text.at[i + 2]));
            i += 2;
        }
        if (!buffer_append_byte(out, byte))
            return false;
    }
    return true;
}

/* One local part, one domain of letters, digits, dots and hyphens, nothing that a line or a header could break at. */
static bool is_address(struct slice text)
{
    size_t at = slice_find_byte(text, '@');
    struct slice domain = slice_from(text, at + 1);

    for (size_t i = 0; i < at; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7F ||
            slice_find_byte(S("()<>[]:;,\\\""), text.at[i]) < 11)
            return false;
    for (size_t i = 0; i < domain.len; i++)
        if (!byte_is_alpha(domain.at[i]) && !byte_is_digit(domain.at[i]) &&
            domain.at[i] != '.' && domain.at[i] != '-')
            return false;
    return at > 0 && at <= 64 && domain.len > 0 && domain.len <= 253 && domain.at[0] != '.' &&
           domain.at[domain.len - 1] != '.';
}

/* Visible ASCII, a host behind the scheme, no user in front of it. */
static bool is_url(struct slice text)
{
    struct slice host = slice_from(text, sizeof "https://" - 1);

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] >= 0x7F ||
            slice_find_byte(S("\"<>\\^`{|}"), text.at[i]) < 9)
            return false;
    host = slice_head(host, slice_find_byte(host, '/'));
    return host.len > 0 && host.len <= 260 && slice_find_byte(host, '@') == host.len &&
           host.at[0] != ':';
}

/* True: it was taken. */
static bool take_uri(struct slice uri, struct buffer *out)
{
    size_t before = buffer_len(out);
    struct buffer address;
    bool taken = false;

    if (uri.len > RUA_URI_MAX_BYTES)
        return false;
    if (slice_starts_with_nocase(uri, S("https://"))) {
        taken = is_url(uri) && buffer_append(out, S("https://")) &&
                buffer_append(out, slice_from(uri, 8));
    } else if (slice_starts_with_nocase(uri, S("mailto:"))) {
        uri = slice_from(uri, 7);
        uri = slice_head(uri, slice_find_byte(uri, '?'));
        buffer_init(&address, RUA_URI_MAX_BYTES);
        taken = decode(uri, &address) && is_address(buffer_view(&address)) &&
                buffer_append(out, S("mailto:")) && buffer_append(out, buffer_view(&address));
        buffer_deinit(&address);
    }
    if (taken && buffer_append_byte(out, '\n'))
        return true;
    buffer_truncate(out, before);
    return false;
}

static const struct slice version = SLICE_INIT("v=TLSRPTv1");

bool rua_is_record(struct slice text)
{
    struct slice rest = slice_from(text, version.len);

    return slice_starts_with(text, version) && slice_trim(rest).len > 0 &&
           slice_trim(rest).at[0] == ';';
}

bool rua_record_parse(struct slice text, struct buffer *uris_out, struct err *err)
{
    size_t count = 0, before = buffer_len(uris_out);
    bool has_rua = false;

    if (text.len > RUA_RECORD_MAX_BYTES || !rua_is_record(text))
        return FAIL(err, ERR_PEER, "it is no TLSRPT record");
    (void)slice_cut(&text, ';');
    while (text.len > 0) {
        struct slice field = slice_trim(slice_cut(&text, ';'));

        if (!slice_starts_with(field, S("rua=")))
            continue; /* an extension */
        if (has_rua) {
            buffer_truncate(uris_out, before);
            return FAIL(err, ERR_PEER, "the TLSRPT record has rua= twice");
        }
        has_rua = true;
        field = slice_from(field, 4);
        while (field.len > 0 && count < RUA_URIS_MAX)
            count += take_uri(slice_trim(slice_cut(&field, ',')), uris_out) ? 1 : 0;
    }
    return count > 0 || FAIL(err, ERR_PEER, "the TLSRPT record names no place for reports");
}
