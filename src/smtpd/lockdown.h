/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lock-down: listed senders and peers are heard over TLS only, if wanted only with a certificate of their own. Judged
 * at MAIL FROM, by what is true of this very connection. Pure.
 */
#ifndef SMTPD_LOCKDOWN_H
#define SMTPD_LOCKDOWN_H

#include "crypto/tls.h"
#include "settings/settings.h"

struct lockdown_facts {
    struct slice sender_domain; /* of MAIL FROM; empty for the null sender */
    struct slice helo;          /* as the client named itself; empty = not at all */
    const struct sockaddr *peer;
    const struct tls_evidence *tls; /* NULL = in the clear */
};

/*
 * False, and err says what to answer: 530 5.7.0 without TLS, as servers that insist on it do [RFC 3207 §4]; 550 5.7.1
 * when the version or the certificate is not good enough. *list_out: the list that refused, NULL when none did.
 */
MUST_CHECK bool lockdown_check(const struct settings *settings,
                               const struct lockdown_facts *facts,
                               const struct settings_lockdown **list_out, struct err *err);

/* Has the certificate one of these names (patterns as in the settings)? */
bool lockdown_name_listed(const struct tls_evidence *tls, const char *const *patterns,
                          size_t count);

#endif
