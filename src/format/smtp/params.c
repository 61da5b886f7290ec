/* SPDX-License-Identifier: Apache-2.0 */
#include "format/smtp/params.h"

#include "format/mime/utf8.h"

#include <string.h>

static bool bad_value(struct err *err, const char *name_cstr)
{
    return FAIL_SMTP(err, ERR_PEER, 501, "5.5.4", "malformed or doubled %s", name_cstr);
}

static int hex_value(uint8_t byte)
{
    if (byte_is_digit(byte))
        return byte - '0';
    /* Upper case only, as the grammar says. */
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Decode into at most `max` bytes; SIZE_MAX when malformed. */
static size_t xtext_decode(struct slice text, uint8_t *out, size_t max)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];

        if (byte == '+') {
            int high = i + 2 < text.len ? hex_value(text.at[i + 1]) : -1;
            int low = i + 2 < text.len ? hex_value(text.at[i + 2]) : -1;

            if (high < 0 || low < 0)
                return SIZE_MAX;
            byte = (uint8_t)(high * 16 + low);
            i += 2;
        } else if (byte <= 32 || byte == '=') {
            return SIZE_MAX;
        }
        if (byte < 32 || byte == 127 || len == max)
            return SIZE_MAX;
        out[len++] = byte;
    }
    return len;
}

bool smtp_xtext_decode(struct slice text, struct buffer *out)
{
    uint8_t *to = buffer_reserve(out, text.len);
    size_t len;

    if (to == NULL)
        return false;
    len = xtext_decode(text, to, text.len);
    if (len == SIZE_MAX)
        return false;
    buffer_commit(out, len);
    return true;
}

bool smtp_xtext_append(struct buffer *out, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t byte = bytes.at[i];

        if (byte <= 32 || byte >= 127 || byte == '+' || byte == '=') {
            if (!buffer_append_format(out, "+%02X", byte))
                return false;
        } else if (!buffer_append_byte(out, byte)) {
            return false;
        }
    }
    return true;
}

static bool take_size(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    /* At most 20 digits [RFC 1870 §3]; larger than any limit is a size too, not an error. */
    if (value.len == 0 || value.len > 20)
        return bad_value(err, "SIZE");
    for (size_t i = 0; i < value.len; i++)
        if (!byte_is_digit(value.at[i]))
            return bad_value(err, "SIZE");
    if (!slice_parse_u64(value, &params->size))
        params->size = UINT64_MAX;
    params->has_size = true;
    return true;
}

static bool take_body(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    if (slice_equal_nocase(value, S("8BITMIME")))
        params->body = SMTP_BODY_8BITMIME;
    else if (slice_equal_nocase(value, S("7BIT")))
        params->body = SMTP_BODY_7BIT;
    else
        return FAIL_SMTP(err, ERR_PEER, 501, "5.5.4", "BODY is 7BIT or 8BITMIME");
    return true;
}

static bool take_smtputf8(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    params->smtputf8 = true;
    return value.len == 0 ? true : bad_value(err, "SMTPUTF8");
}

static bool take_requiretls(struct smtp_mail_params *params, struct slice value,
                            struct err *err)
{
    params->requiretls = true;
    return value.len == 0 ? true : bad_value(err, "REQUIRETLS");
}

static bool take_ret(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    if (slice_equal_nocase(value, S("FULL")))
        params->ret = SMTP_RET_FULL;
    else if (slice_equal_nocase(value, S("HDRS")))
        params->ret = SMTP_RET_HDRS;
    else
        return bad_value(err, "RET");
    return true;
}

static bool take_envid(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    size_t len = SIZE_MAX;

    if (value.len > 0 && value.len <= SMTP_ENVID_MAX)
        len = xtext_decode(value, params->envid, sizeof params->envid);
    if (len == SIZE_MAX)
        return bad_value(err, "ENVID");
    for (size_t i = 0; i < len; i++)
        if (params->envid[i] >= 127)
            return bad_value(err, "ENVID");
    params->envid_len = (uint8_t)len;
    return true;
}

static bool take_auth(struct smtp_mail_params *params, struct slice value, struct err *err)
{
    uint8_t decoded[SMTP_ORCPT_MAX];

    if (value.len == 0 || xtext_decode(value, decoded, sizeof decoded) == SIZE_MAX)
        return bad_value(err, "AUTH");
    params->has_auth = true;
    return true;
}

static const struct {
    struct slice name;
    bool (*take)(struct smtp_mail_params *params, struct slice value, struct err *err);
} mail_params[] = {
    {SLICE_INIT("SIZE"), take_size},         {SLICE_INIT("BODY"), take_body},
    {SLICE_INIT("SMTPUTF8"), take_smtputf8}, {SLICE_INIT("REQUIRETLS"), take_requiretls},
    {SLICE_INIT("RET"), take_ret},           {SLICE_INIT("ENVID"), take_envid},
    {SLICE_INIT("AUTH"), take_auth},
};

static bool take_notify(struct smtp_rcpt_params *params, struct slice value, struct err *err)
{
    static const struct {
        struct slice word;
        unsigned bit;
    } words[] = {
        {SLICE_INIT("NEVER"), SMTP_NOTIFY_NEVER},
        {SLICE_INIT("SUCCESS"), SMTP_NOTIFY_SUCCESS},
        {SLICE_INIT("FAILURE"), SMTP_NOTIFY_FAILURE},
        {SLICE_INIT("DELAY"), SMTP_NOTIFY_DELAY},
    };

    if (value.len == 0 || value.at[value.len - 1] == ',')
        return bad_value(err, "NOTIFY");
    while (value.len > 0) {
        struct slice word = slice_cut(&value, ',');
        unsigned bit = 0;

        for (size_t i = 0; i < COUNT_OF(words); i++)
            if (slice_equal_nocase(word, words[i].word))
                bit = words[i].bit;
        if (bit == 0)
            return bad_value(err, "NOTIFY");
        params->notify |= bit;
    }
    /* NEVER stands alone [RFC 3461 §4.1]. */
    if ((params->notify & SMTP_NOTIFY_NEVER) && params->notify != SMTP_NOTIFY_NEVER)
        return bad_value(err, "NOTIFY");
    return true;
}

static bool take_orcpt(struct smtp_rcpt_params *params, struct slice value, struct err *err)
{
    size_t type = slice_find_byte(value, ';');
    size_t len = SIZE_MAX;

    if (value.len > SMTP_ORCPT_MAX || type == 0 || type + 1 >= value.len)
        return bad_value(err, "ORCPT");
    for (size_t i = 0; i < type; i++)
        if (!byte_is_alpha(value.at[i]) && !byte_is_digit(value.at[i]) && value.at[i] != '-')
            return bad_value(err, "ORCPT");
    memcpy(params->orcpt, value.at, type + 1);
    len = xtext_decode(slice_from(value, type + 1), params->orcpt + type + 1,
                       sizeof params->orcpt - type - 1);
    if (len == SIZE_MAX || !utf8_is_valid(slice_of(params->orcpt, type + 1 + len)))
        return bad_value(err, "ORCPT");
    params->orcpt_len = (uint16_t)(type + 1 + len);
    return true;
}

static const struct {
    struct slice name;
    bool (*take)(struct smtp_rcpt_params *params, struct slice value, struct err *err);
} rcpt_params[] = {
    {SLICE_INIT("NOTIFY"), take_notify},
    {SLICE_INIT("ORCPT"), take_orcpt},
};

/* The next "NAME" or "NAME=value"; false at the end. */
static bool next_param(struct slice *text, struct slice *name_out, struct slice *value_out)
{
    do {
        if (text->len == 0)
            return false;
        *value_out = slice_cut(text, ' ');
    } while (value_out->len == 0);
    *name_out = slice_cut(value_out, '=');
    return true;
}

static bool unknown_param(struct err *err)
{
    return FAIL_SMTP(err, ERR_PEER, 555, "5.5.4", "unknown parameter");
}

bool smtp_mail_params_parse(struct slice text, struct smtp_mail_params *params_out,
                            struct err *err)
{
    struct slice name, value;
    unsigned seen = 0;

    *params_out = (struct smtp_mail_params){0};
    while (next_param(&text, &name, &value)) {
        size_t i = 0;

        while (i < COUNT_OF(mail_params) && !slice_equal_nocase(name, mail_params[i].name))
            i++;
        if (i == COUNT_OF(mail_params))
            return unknown_param(err);
        if (seen & 1u << i)
            return bad_value(err, "parameter");
        seen |= 1u << i;
        if (!mail_params[i].take(params_out, value, err))
            return false;
    }
    return true;
}

bool smtp_rcpt_params_parse(struct slice text, struct smtp_rcpt_params *params_out,
                            struct err *err)
{
    struct slice name, value;
    unsigned seen = 0;

    params_out->notify = 0;
    params_out->orcpt_len = 0;
    while (next_param(&text, &name, &value)) {
        size_t i = 0;

        while (i < COUNT_OF(rcpt_params) && !slice_equal_nocase(name, rcpt_params[i].name))
            i++;
        if (i == COUNT_OF(rcpt_params))
            return unknown_param(err);
        if (seen & 1u << i)
            return bad_value(err, "parameter");
        seen |= 1u << i;
        if (!rcpt_params[i].take(params_out, value, err))
            return false;
    }
    return true;
}
