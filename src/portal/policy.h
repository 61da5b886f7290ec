/* SPDX-License-Identifier: Apache-2.0 */
/*
 * https://mta-sts.DOMAIN/.well-known/mta-sts.txt of our own domains [RFC 8461 §3.3]: other hosts than the readers', and
 * nothing of the readers' side is there.
 */
#ifndef PORTAL_POLICY_H
#define PORTAL_POLICY_H

#include "httpd/server.h"
#include "settings/settings.h"

/* For httpd: a host whose policy is served. context: a struct settings ** that always points to those in force. */
bool policy_serves_host(void *context, struct slice host);
/* Answer a request to such a host. */
void policy_answer(const struct settings *settings, struct httpd_request *request);

#endif
