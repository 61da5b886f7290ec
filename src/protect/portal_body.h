/* SPDX-License-Identifier: Apache-2.0 */
/* The readable text of a scanned message, in its two forms. */
#ifndef PROTECT_PORTAL_BODY_H
#define PROTECT_PORTAL_BODY_H

#include "protect/message_scan.h"

struct portal_body {
    struct buffer text; /* clean UTF-8, LF; empty when there is nothing to read */
    struct buffer html; /* sanitised fragment; empty when the message has no HTML */
};

/*
 * Compose both. Marks the pictures that are shown; HTML that is too large to be shown becomes a
 * file (role LEAF_FILE). Never fails. Owned by the caller: portal_body_deinit.
 */
void portal_body_compose(struct message_scan *scan, struct portal_body *body_out);
/* Wipes. */
void portal_body_deinit(struct portal_body *body);

#endif
