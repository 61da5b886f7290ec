/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/commands.h"

#include "format/smtp/params.h"

enum { ADDRESS_MAX = 1000, LINE_MAX_BYTES = 4000, NOTIFY_NEVER = 1, NOTIFY_ANY = 15 };

/* No byte that ends a line or the path: those would let an address speak SMTP. */
static bool is_safe_path(struct slice path)
{
    bool in_quotes = false;

    if (path.len > ADDRESS_MAX)
        return false;
    for (size_t i = 0; i < path.len; i++) {
        uint8_t byte = path.at[i];

        if (byte < ' ' || byte == 127)
            return false;
        if (byte == '"')
            in_quotes = !in_quotes;
        else if (byte == '\\' && in_quotes && i + 1 < path.len && path.at[i + 1] >= ' ')
            i++;
        else if (!in_quotes && (byte == ' ' || byte == '<' || byte == '>'))
            return false;
    }
    return !in_quotes;
}

static bool append_all(struct buffer *out, const struct slice *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!buffer_append(out, pieces[i]))
            return false;
    return true;
}

static bool write_path(struct buffer *out, struct slice verb, struct slice path)
{
    return append_all(out, (const struct slice[]){verb, path, S(">")}, 3);
}

/* What the message cannot do without at this server. */
static bool check_mail(const struct mail_command *mail, const struct smtp_ehlo *ehlo,
                       struct err *err)
{
    if (!is_safe_path(mail->from))
        return FAIL_SMTP(err, ERR_PERM, 553, "5.1.7", "the sender's address cannot be sent");
    if (mail->smtputf8 && (ehlo->extensions & SMTP_SMTPUTF8) == 0)
        return FAIL_SMTP(err, ERR_PERM, 553, "5.6.7",
                         "the message needs SMTPUTF8, which the server does not offer");
    if ((ehlo->extensions & SMTP_SIZE) != 0 && ehlo->size_max > 0 &&
        mail->bytes > ehlo->size_max)
        return FAIL_SMTP(err, ERR_PERM, 552, "5.3.4",
                         "the message has %llu bytes, the server takes at most %llu",
                         (unsigned long long)mail->bytes, (unsigned long long)ehlo->size_max);
    return true;
}

static bool write_dsn_mail(const struct mail_command *mail, struct buffer *out)
{
    static const struct slice rets[] = {SLICE_INIT(""), SLICE_INIT(" RET=FULL"),
                                        SLICE_INIT(" RET=HDRS")};

    if (mail->ret < COUNT_OF(rets) && !buffer_append(out, rets[mail->ret]))
        return false;
    return mail->envid.len == 0 ||
           (buffer_append(out, S(" ENVID=")) && smtp_xtext_append(out, mail->envid));
}

static bool write_mail(const struct mail_command *mail, unsigned offered, struct buffer *out)
{
    if (!write_path(out, S("MAIL FROM:<"), mail->from))
        return false;
    if ((offered & SMTP_SIZE) != 0 &&
        !buffer_append_format(out, " SIZE=%llu", (unsigned long long)mail->bytes))
        return false;
    if (mail->body_8bit && (offered & SMTP_8BITMIME) != 0 &&
        !buffer_append(out, S(" BODY=8BITMIME")))
        return false;
    if (mail->smtputf8 && !buffer_append(out, S(" SMTPUTF8")))
        return false;
    if (mail->requiretls && mail->is_tls && (offered & SMTP_REQUIRETLS) != 0 &&
        !buffer_append(out, S(" REQUIRETLS")))
        return false;
    if ((offered & SMTP_DSN) != 0 && !write_dsn_mail(mail, out))
        return false;
    return buffer_append(out, S("\r\n"));
}

bool mail_command_write(const struct mail_command *mail, const struct smtp_ehlo *ehlo,
                        struct buffer *out, struct err *err)
{
    size_t before = buffer_len(out);

    if (!check_mail(mail, ehlo, err))
        return false;
    if (!write_mail(mail, ehlo->extensions, out) || buffer_len(out) - before > LINE_MAX_BYTES)
        return FAIL_SMTP(err, ERR_PERM, 553, "5.1.7", "the sender's address is too long");
    return true;
}

static bool write_notify(unsigned notify, struct buffer *out)
{
    static const struct slice names[] = {SLICE_INIT("SUCCESS"), SLICE_INIT("FAILURE"),
                                         SLICE_INIT("DELAY")};
    bool is_first = true;

    if ((notify & NOTIFY_ANY) == 0)
        return true;
    if (!buffer_append(out, S(" NOTIFY=")))
        return false;
    if ((notify & NOTIFY_NEVER) != 0)
        return buffer_append(out, S("NEVER"));
    for (unsigned i = 0; i < COUNT_OF(names); i++) {
        if ((notify & (2U << i)) == 0)
            continue;
        if ((!is_first && !buffer_append_byte(out, ',')) || !buffer_append(out, names[i]))
            return false;
        is_first = false;
    }
    return true;
}

/* "type;address": only the address is xtext. */
static bool write_orcpt(struct slice orcpt, struct buffer *out)
{
    struct slice type = slice_cut(&orcpt, ';');

    if (type.len == 0 || orcpt.len == 0 || !is_safe_path(type))
        return true;
    return append_all(out, (const struct slice[]){S(" ORCPT="), type, S(";")}, 3) &&
           smtp_xtext_append(out, orcpt);
}

bool rcpt_command_write(const struct rcpt_command *rcpt, const struct smtp_ehlo *ehlo,
                        struct buffer *out, struct err *err)
{
    size_t before = buffer_len(out);
    bool fits;

    if (rcpt->to.len == 0 || !is_safe_path(rcpt->to))
        return FAIL_SMTP(err, ERR_PERM, 553, "5.1.3", "the address cannot be sent");
    fits = write_path(out, S("RCPT TO:<"), rcpt->to);
    if (fits && (ehlo->extensions & SMTP_DSN) != 0)
        fits = write_notify(rcpt->notify, out) && write_orcpt(rcpt->orcpt, out);
    fits = fits && buffer_append(out, S("\r\n"));
    if (!fits || buffer_len(out) - before > LINE_MAX_BYTES)
        return FAIL_SMTP(err, ERR_PERM, 553, "5.1.3", "the address is too long");
    return true;
}
