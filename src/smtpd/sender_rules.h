/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may send as whom, and what a stranger may send to: the two questions that keep us from
 * being an open relay. Pure.
 */
#ifndef SMTPD_SENDER_RULES_H
#define SMTPD_SENDER_RULES_H

#include "format/smtp/path.h"
#include "settings/settings.h"

/*
 * May this account send as `path` (never <>)? user: who logged in, NULL for a relay host, which
 * may use every domain of its account. A user may use what the settings list for them, else the
 * own name.
 */
bool sender_is_allowed(const struct settings *settings, const struct settings_account *account,
                       const struct settings_user *user, const struct smtp_path *path);

enum stranger_rcpt {
    STRANGER_RCPT_INBOUND, /* own domain with a next hop */
    STRANGER_RCPT_BOUNCE,  /* bounce+...@own domain: eaten by the keeper */
    STRANGER_RCPT_REPORT,  /* where reports about TLS are read: tls_reports.receive */
    STRANGER_RCPT_ASK, /* own domain without one: the keeper knows whether mail goes on from there */
    STRANGER_RCPT_UNKNOWN, /* nobody there: 550 5.1.1 */
    STRANGER_RCPT_RELAY,   /* not ours: 550 5.7.1 */
};
/* <postmaster> without a domain counts as the first domain that has a next hop; see
 * *domain_out. */
enum stranger_rcpt stranger_rcpt_judge(const struct settings *settings,
                                       const struct smtp_path *path,
                                       const struct settings_domain **domain_out);

#endif
