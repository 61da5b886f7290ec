/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"

#include "format/mime/date.h"

#include <stdio.h>

enum { STRANGER_WORDS_MAX = 200 };

const char *trace_protocol(const struct session *session)
{
    /* [utf8][tls][login] */
    static const char *const names[2][2][2] = {
        {{"ESMTP", "ESMTPA"}, {"ESMTPS", "ESMTPSA"}},
        {{"UTF8SMTP", "UTF8SMTPA"}, {"UTF8SMTPS", "UTF8SMTPSA"}},
    };
    bool is_utf8 = session->transaction != NULL && session->transaction->params.smtputf8;

    if (!session->is_extended)
        return "SMTP";
    return names[is_utf8][connection_is_tls(session->connection)][session->user != NULL];
}

/* Words of a stranger inside of a comment: nothing that could end it. */
static bool append_quiet(struct buffer *out, const char *text_cstr)
{
    struct slice text = slice_head(slice_from_cstr(text_cstr), STRANGER_WORDS_MAX);

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.at[i];
        bool is_odd = byte < ' ' || byte > '~' || byte == '(' || byte == ')' || byte == '\\' ||
                      byte == ';' || byte == '"';

        if (!buffer_append_byte(out, is_odd ? '?' : byte))
            return false;
    }
    return true;
}

/* "client certificate verified: NAMES", "… not verified: WHY", "no client certificate"; nothing if none was asked for. */
static bool write_certificate(const struct session *session,
                              const struct tls_evidence *evidence, const char *before_cstr,
                              struct buffer *out)
{
    if (!session->asks)
        return true;
    if (!evidence->has_certificate)
        return buffer_append_format(out, "%sno client certificate", before_cstr);
    return buffer_append_format(out, "%sclient certificate %s: ", before_cstr,
                                evidence->is_verified ? "verified" : "not verified") &&
           append_quiet(out,
                        evidence->is_verified ? evidence->names_cstr : evidence->reason_cstr);
}

/* "tls CIPHER group GROUP" as [RFC 8314 §4.3] has it, and in words what has no place there. */
static bool write_tls_clause(const struct session *session, struct buffer *out)
{
    struct tls_evidence evidence;

    if (!connection_is_tls(session->connection))
        return true;
    connection_evidence(session->connection, &evidence);
    return buffer_append_format(out, "\r\n\ttls %s%s%s\r\n\t(%s, %u bits", evidence.cipher_cstr,
                                evidence.group_cstr[0] == '\0' ? "" : " group ",
                                evidence.group_cstr, tls_version_name(evidence.version),
                                (unsigned)evidence.cipher_bits) &&
           write_certificate(session, &evidence, ",\r\n\t", out) &&
           buffer_append_byte(out, ')');
}

bool trace_transport(const struct session *session, struct buffer *out)
{
    struct tls_evidence evidence;
    char digits_cstr[2 * SHA256_BYTES + 1] = "";

    if (!buffer_append_format(out, "X-Postern-Transport: %s; ",
                              session->settings->hostname_cstr))
        return false;
    if (!connection_is_tls(session->connection))
        return buffer_append(out, S("tls=none\r\n"));
    connection_evidence(session->connection, &evidence);
    for (size_t i = 0; i < SHA256_BYTES; i++)
        snprintf(digits_cstr + 2 * i, 3, "%02x", evidence.certificate_sha256[i]);
    if (!buffer_append_format(out, "tls=%s cipher=%s\r\n\tbits=%u group=%s",
                              tls_version_name(evidence.version), evidence.cipher_cstr,
                              (unsigned)evidence.cipher_bits,
                              evidence.group_cstr[0] == '\0' ? "unknown" : evidence.group_cstr))
        return false;
    if (!session->asks)
        return buffer_append(out, S(" client=unasked\r\n"));
    if (!evidence.has_certificate)
        return buffer_append(out, S(" client=none\r\n"));
    return buffer_append_format(out, " client=%s\r\n\tsha256=%s (",
                                evidence.is_verified ? "verified" : "unverified",
                                digits_cstr) &&
           append_quiet(out,
                        evidence.is_verified ? evidence.names_cstr : evidence.reason_cstr) &&
           buffer_append(out, S(")\r\n"));
}

bool trace_write(const struct session *session, int64_t now_ms, struct buffer *out)
{
    char id_cstr[ID_TEXT_SIZE], client_cstr[64];

    id_write(session->transaction->message, id_cstr);
    /* Where our own people sit is nobody's business: only relays and strangers are named. */
    if (session->user != NULL) {
        if (!buffer_append(out, S("Received: from submission\r\n")))
            return false;
    } else {
        address_write(connection_peer(session->connection), client_cstr, sizeof client_cstr);
        if (!buffer_append_format(out, "Received: from %s ([%s])\r\n",
                                  session->helo_cstr == NULL ? "unknown" : session->helo_cstr,
                                  client_cstr))
            return false;
    }
    return buffer_append_format(out, "\tby %s (Postern) with %s id %s",
                                session->settings->hostname_cstr, trace_protocol(session),
                                id_cstr) &&
           write_tls_clause(session, out) && buffer_append(out, S(";\r\n\t")) &&
           mime_date_append(out, now_ms / 1000) && buffer_append(out, S("\r\n"));
}

bool trace_story(const struct session *session, struct buffer *out)
{
    struct tls_evidence evidence;
    char client_cstr[64];

    address_write(connection_peer(session->connection), client_cstr, sizeof client_cstr);
    if (!buffer_append_format(out, "%s", trace_protocol(session)))
        return false;
    if (connection_is_tls(session->connection)) {
        connection_evidence(session->connection, &evidence);
        if (!buffer_append_format(out, " %s %s %u bits%s%s", tls_version_name(evidence.version),
                                  evidence.cipher_cstr, (unsigned)evidence.cipher_bits,
                                  evidence.group_cstr[0] == '\0' ? "" : " group ",
                                  evidence.group_cstr) ||
            !write_certificate(session, &evidence, ", ", out))
            return false;
    }
    return buffer_append_format(
        out, "%sfrom %s", connection_is_tls(session->connection) && session->asks ? ", " : " ",
        client_cstr);
}
