/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/session.h"

#include "format/mime/date.h"

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

/* " TLSv1.3 TLS_AES_256_GCM_SHA384" with `open` before and `close` behind; nothing without TLS.
 */
static bool write_tls(const struct session *session, const char *open_cstr,
                      const char *close_cstr, struct buffer *out)
{
    struct tls_evidence evidence;

    if (!connection_is_tls(session->connection))
        return true;
    connection_evidence(session->connection, &evidence);
    return buffer_append_format(out, "%s%s %s%s", open_cstr, tls_version_name(evidence.version),
                                evidence.cipher_cstr, close_cstr);
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
           write_tls(session, "\r\n\t(", ")", out) && buffer_append(out, S(";\r\n\t")) &&
           mime_date_append(out, now_ms / 1000) && buffer_append(out, S("\r\n"));
}

bool trace_story(const struct session *session, struct buffer *out)
{
    char client_cstr[64];

    address_write(connection_peer(session->connection), client_cstr, sizeof client_cstr);
    return buffer_append_format(out, "%s", trace_protocol(session)) &&
           write_tls(session, " ", "", out) &&
           buffer_append_format(out, " from %s", client_cstr);
}
