/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The readers' side of the pickup portal, apart from how its process is started: pages over HTTPS,
 * every decision asked from the keeper by messages. It holds no long-term key but its own TLS key:
 * what opens a message arrives with portal_opened and is forgotten with the answer.
 *
 * Safe methods change nothing that matters to anybody; revealing is a POST with a nonce from the
 * page before and the reader's proof, and the reveal is on disk before a byte of the message leaves.
 * Missing, expired, retracted and wrong links get the same bytes.
 */
#ifndef PORTAL_PORTAL_H
#define PORTAL_PORTAL_H

#include "ipc/pack.h"
#include "os/loop.h"
#include "settings/settings.h"

struct portal;

struct portal_options {
    struct loop *loop;
    struct settings *settings;       /* a reference is taken */
    struct slice keeper_certificate; /* DER, for sealing replies */
    uint8_t id_maker;
    int listen_fd; /* borrowed */
    int copies_fd; /* the folder STATE/portal, borrowed, outlives the portal */
    int queue_fd;  /* the folder STATE/queue, borrowed, outlives the portal */
    /* Send a message to the keeper; false: not now. */
    bool (*ask)(void *context, enum ipc_type type, const void *message);
    void *context;
};

/* ERR_PERM: certificate, key or url cannot be used. ERR_TEMP: no descriptors. */
MUST_CHECK bool portal_new(const struct portal_options *options, struct portal **portal_out,
                           struct err *err);
/* New settings: a changed TLS certificate is used from the next connection on. Errors as above. */
MUST_CHECK bool portal_reload(struct portal *portal, struct settings *settings,
                              struct slice keeper_certificate, struct err *err);
/* An answer of the keeper. Other types are ignored. */
void portal_on_answer(struct portal *portal, enum ipc_type type, const union ipc_any *message);
/* Accept nothing more; on_idle when the last connection has ended. */
void portal_drain(struct portal *portal, void (*on_idle)(void *context), void *context);
/* Whoever waits is told to come back. */
void portal_free(struct portal **portal);

/* Readers' connections now. NULL: none. */
size_t portal_connection_count(const struct portal *portal);

#endif
