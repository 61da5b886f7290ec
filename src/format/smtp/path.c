/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/path.h"

#include "format/mime/utf8.h"

#include <arpa/inet.h>
#include <string.h>

static bool bad_path(struct err *err, const char *why_cstr)
{
    return FAIL_SMTP(err, ERR_PEER, 501, "5.1.3", "malformed address: %s", why_cstr);
}

/* [RFC 5322 §3.2.3]; bytes over 127 are checked as UTF-8 at the end. */
static bool is_atext(uint8_t byte)
{
    static const struct slice specials = SLICE_INIT("!#$%&'*+-/=?^_`{|}~");

    return byte_is_alpha(byte) || byte_is_digit(byte) || byte >= 128 ||
           slice_find_byte(specials, byte) < specials.len;
}

static bool local_add(struct smtp_path *path, uint8_t byte)
{
    if (path->local_len == SMTP_LOCAL_MAX)
        return false;
    path->local[path->local_len++] = byte;
    return true;
}

/* "..." with backslashes. Leaves *rest behind the closing quote. */
static bool take_quoted(struct slice *rest, struct smtp_path *path, struct err *err)
{
    size_t at = 1;

    for (; at < rest->len && rest->at[at] != '"'; at++) {
        if (rest->at[at] == '\\' && ++at == rest->len)
            break;
        /* 13, 10 and 0 in a quoted local part are how commands are injected. */
        if (rest->at[at] < 32 || rest->at[at] == 127)
            return bad_path(err, "control character");
        if (!local_add(path, rest->at[at]))
            return bad_path(err, "local part too long");
    }
    if (at >= rest->len)
        return bad_path(err, "quote not closed");
    *rest = slice_from(*rest, at + 1);
    return true;
}

static bool take_atoms(struct slice *rest, struct smtp_path *path, struct err *err)
{
    size_t at = 0;
    bool after_dot = true;

    for (; at < rest->len && (is_atext(rest->at[at]) || rest->at[at] == '.'); at++) {
        if (rest->at[at] == '.' && after_dot)
            return bad_path(err, "misplaced dot in the local part");
        after_dot = rest->at[at] == '.';
        if (!local_add(path, rest->at[at]))
            return bad_path(err, "local part too long");
    }
    if (at == 0)
        return bad_path(err, "no local part");
    if (after_dot)
        return bad_path(err, "misplaced dot in the local part");
    *rest = slice_from(*rest, at);
    return true;
}

/* [192.0.2.1] or [IPv6:...]; `text` includes the brackets. */
static bool literal_is_valid(struct slice text)
{
    char inner_cstr[64];
    struct slice inner = {text.at + 1, text.len - 2};
    uint8_t address[16];

    if (slice_starts_with_nocase(inner, S("IPv6:")))
        return slice_to_cstr(slice_from(inner, 5), inner_cstr, sizeof inner_cstr) &&
               inet_pton(AF_INET6, inner_cstr, address) == 1;
    return slice_to_cstr(inner, inner_cstr, sizeof inner_cstr) &&
           inet_pton(AF_INET, inner_cstr, address) == 1;
}

static bool label_is_valid(struct slice label)
{
    if (label.len == 0 || label.len > 63 || label.at[0] == '-' ||
        label.at[label.len - 1] == '-')
        return false;
    for (size_t i = 0; i < label.len; i++)
        if (!byte_is_alpha(label.at[i]) && !byte_is_digit(label.at[i]) && label.at[i] != '-' &&
            label.at[i] < 128)
            return false;
    return true;
}

/* Letters, digits, hyphens; the last label is not a number, so that 1.2.3.4 is no domain. */
static bool domain_is_valid(struct slice domain)
{
    struct slice rest = domain, label = {NULL, 0};
    bool all_digits = true;

    if (domain.len == 0 || domain.at[domain.len - 1] == '.')
        return false;
    while (rest.len > 0) {
        label = slice_cut(&rest, '.');
        if (!label_is_valid(label))
            return false;
    }
    for (size_t i = 0; i < label.len; i++)
        all_digits = all_digits && byte_is_digit(label.at[i]);
    return !all_digits;
}

/* The domain at the front of *rest, up to `>`, `,`, `:` or a space outside of a literal. */
static bool take_domain(struct slice *rest, struct slice *domain_out, struct err *err)
{
    size_t len = 0;

    if (rest->len > 0 && rest->at[0] == '[') {
        len = slice_find_byte(*rest, ']') + 1;
        if (len > rest->len || !literal_is_valid(slice_head(*rest, len)))
            return bad_path(err, "not an address literal");
    } else {
        while (len < rest->len && rest->at[len] != '>' && rest->at[len] != ',' &&
               rest->at[len] != ':' && rest->at[len] != ' ')
            len++;
        if (!domain_is_valid(slice_head(*rest, len)))
            return bad_path(err, "not a domain");
    }
    if (len > SMTP_DOMAIN_MAX)
        return bad_path(err, "domain too long");
    *domain_out = slice_head(*rest, len);
    *rest = slice_from(*rest, len);
    return true;
}

/* "@one,@two:" before the address: read, checked, dropped. */
static bool skip_route(struct slice *rest, struct err *err)
{
    struct slice domain;

    while (rest->len > 0 && rest->at[0] == '@') {
        *rest = slice_from(*rest, 1);
        if (!take_domain(rest, &domain, err))
            return false;
        if (rest->len == 0 || (rest->at[0] != ',' && rest->at[0] != ':'))
            return bad_path(err, "source route");
        if (rest->at[0] == ':') {
            *rest = slice_from(*rest, 1);
            return rest->len > 0 && rest->at[0] != '@' ? true : bad_path(err, "source route");
        }
        *rest = slice_from(*rest, 1);
        if (rest->len == 0 || rest->at[0] != '@')
            return bad_path(err, "source route");
    }
    return true;
}

/* Well-formed UTF-8 without characters that some reader takes for a line end or a control. */
static bool text_is_clean(struct slice text, bool *is_utf8)
{
    while (text.len > 0) {
        uint32_t character = utf8_take(&text);

        if (character >= 128)
            *is_utf8 = true;
        if (character < 32 || (character >= 127 && character < 160) || character == 0x2028 ||
            character == 0x2029 || character == UTF8_REPLACEMENT)
            return false;
    }
    return true;
}

/* "local@domain" at the front of *rest. Without a domain only when `may_lack_domain`. */
static bool take_mailbox(struct slice *rest, bool may_lack_domain, struct smtp_path *path,
                         struct err *err)
{
    struct slice before = *rest, domain = {NULL, 0};
    bool is_quoted = rest->len > 0 && rest->at[0] == '"';

    if (!(is_quoted ? take_quoted(rest, path, err) : take_atoms(rest, path, err)))
        return false;
    if (rest->len == 0 || rest->at[0] != '@') {
        if (may_lack_domain && slice_equal_nocase(smtp_path_local(path), S("postmaster")))
            return true;
        return bad_path(err, "no domain");
    }
    *rest = slice_from(*rest, 1);
    path->is_literal = rest->len > 0 && rest->at[0] == '[';
    if (!take_domain(rest, &domain, err))
        return false;
    if (before.len - rest->len > SMTP_ADDRESS_MAX)
        return bad_path(err, "too long");
    path->has_domain = true;
    path->domain_len = (uint16_t)domain.len;
    for (size_t i = 0; i < domain.len; i++)
        path->domain[i] = byte_lower(domain.at[i]);
    if (!text_is_clean(smtp_path_local(path), &path->is_utf8) ||
        !text_is_clean(smtp_path_domain(path), &path->is_utf8))
        return bad_path(err, "not clean UTF-8");
    return true;
}

static void path_reset(struct smtp_path *path)
{
    path->is_null = path->has_domain = path->is_literal = path->is_utf8 = false;
    path->local_len = path->domain_len = 0;
}

bool smtp_path_take(struct slice *rest, enum smtp_path_kind kind, struct smtp_path *path_out,
                    struct err *err)
{
    bool fine = false;

    path_reset(path_out);
    while (rest->len > 0 && rest->at[0] == ' ')
        *rest = slice_from(*rest, 1);
    if (rest->len == 0 || rest->at[0] != '<') {
        bad_path(err, "no angle bracket");
        goto done;
    }
    *rest = slice_from(*rest, 1);
    if (kind == SMTP_PATH_SENDER && rest->len > 0 && rest->at[0] == '>') {
        path_out->is_null = true;
        *rest = slice_from(*rest, 1);
        return true;
    }
    if (!skip_route(rest, err) ||
        !take_mailbox(rest, kind == SMTP_PATH_RECIPIENT, path_out, err))
        goto done;
    if (rest->len == 0 || rest->at[0] != '>') {
        bad_path(err, "no closing angle bracket");
        goto done;
    }
    *rest = slice_from(*rest, 1);
    fine = rest->len == 0 || rest->at[0] == ' ' ? true : bad_path(err, "text behind it");
done:
    if (!fine && kind == SMTP_PATH_SENDER && err != NULL)
        err->enhanced_cstr[4] = '7'; /* 5.1.7: the sender's address */
    return fine;
}

bool smtp_address_parse(struct slice text, struct smtp_path *path_out, struct err *err)
{
    path_reset(path_out);
    if (!take_mailbox(&text, false, path_out, err))
        return false;
    return text.len == 0 ? true : bad_path(err, "text behind it");
}

static bool local_needs_quotes(struct slice local)
{
    bool after_dot = true;

    for (size_t i = 0; i < local.len; i++) {
        if (!is_atext(local.at[i]) && (local.at[i] != '.' || after_dot))
            return true;
        after_dot = local.at[i] == '.';
    }
    return after_dot;
}

bool smtp_path_write(const struct smtp_path *path, struct buffer *out)
{
    struct slice local = smtp_path_local(path);

    if (path->is_null)
        return true;
    if (!local_needs_quotes(local)) {
        if (!buffer_append(out, local))
            return false;
    } else {
        if (!buffer_append_byte(out, '"'))
            return false;
        for (size_t i = 0; i < local.len; i++) {
            bool needs_backslash = local.at[i] == '"' || local.at[i] == '\\';

            if ((needs_backslash && !buffer_append_byte(out, '\\')) ||
                !buffer_append_byte(out, local.at[i]))
                return false;
        }
        if (!buffer_append_byte(out, '"'))
            return false;
    }
    if (!path->has_domain)
        return true;
    return buffer_append_byte(out, '@') && buffer_append(out, smtp_path_domain(path));
}

bool smtp_keyword_take(struct slice *args, struct slice keyword)
{
    if (!slice_starts_with_nocase(*args, keyword))
        return false;
    *args = slice_from(*args, keyword.len);
    return true;
}
