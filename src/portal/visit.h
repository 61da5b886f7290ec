/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the rooms of the portal: one visit = one request to a link, and what it waits for. */
#ifndef PORTAL_VISIT_H
#define PORTAL_VISIT_H

#include "httpd/server.h"
#include "portal/compose.h"
#include "portal/link.h"
#include "portal/pages.h"
#include "portal/portal.h"
#include "protect/portal_container.h"

enum {
    VISIT_TYPED_MAX = 1024,
    VISIT_TEXT_MAX = 400 * 1024,
    VISIT_FILES_MAX = 10,
    VISIT_PAGE_MAX = 16 << 20,
    VISIT_COOKIE_SIZE = 300,
};

struct portal {
    struct portal_options options;
    struct settings *settings;
    struct httpd *httpd;
    struct pages *pages;
    struct id_maker ids;
    struct recipient_certificate *certificate;
    struct spool_writer *writer;
    struct loop_timer *tick;
    unsigned replies; /* being written: the writer must stay */
};

struct visit;
typedef void visit_fn(struct visit *visit, struct httpd_request *request);
typedef void visit_then_fn(struct visit *visit, struct httpd_request *request,
                           const union ipc_any *answer);

/* A row of the route table. */
struct route {
    enum link_page page;
    bool is_post;
    visit_fn *before; /* NULL, or called before the body is read */
    visit_fn *run;
};

struct visit {
    struct portal *portal;
    uint64_t request; /* its id, and the number of what we ask the keeper */
    const struct route *route;
    struct link link;
    enum ipc_type expects; /* the type of the answer that is waited for */
    visit_then_fn *then;
    struct buffer nonce, typed, text; /* the form's fields */
    uint64_t tries_left;
    /* From portal_opened: */
    struct buffer session, organisation, sender, recipient, account, original_id;
    int64_t expires_ms;
    visit_fn *opened;     /* what to do once the session is resumed */
    visit_fn *not_opened; /* or not; NULL = back to the start */
    struct portal_container *copy;
    /* A reply being written: */
    bool may_reply;
    bool is_too_large;
    struct compose *compose;
    struct err err;
    uint64_t reply_id;
};

/* ---- visit.c ---- */

struct visit *visit_new(struct portal *portal, struct httpd_request *request,
                        const struct route *route, const struct link *link);
void visit_free(struct visit *visit);
/* Ask the keeper; `then` gets the answer. When it cannot be asked the visit is answered "busy". */
void visit_ask(struct visit *visit, struct httpd_request *request, enum ipc_type type,
               const void *message, enum ipc_type expects, visit_then_fn *then);
struct slice visit_lookup(const struct visit *visit);

/* Answers. fields may be NULL. */
void visit_page(struct portal *portal, struct httpd_request *request, unsigned status,
                enum page page, const struct template_value *values, size_t count,
                const struct httpd_field *fields);
void visit_gone(struct portal *portal, struct httpd_request *request);
void visit_busy(struct portal *portal, struct httpd_request *request);
void visit_locked(struct visit *visit, struct httpd_request *request, int64_t locked_ms);
/* A heading, words and the way back to the link's first page. */
void visit_notice(struct visit *visit, struct httpd_request *request, unsigned status,
                  const char *heading_cstr, const char *words_cstr);
/* 303 to the link's page with this tail ("" = its first, "message" …). fields may be NULL. */
void visit_redirect(struct visit *visit, struct httpd_request *request, const char *tail_cstr,
                    const struct httpd_field *fields);
/* What portal_done or portal_opened says when it is neither OK nor OPEN. */
void visit_refused(struct visit *visit, struct httpd_request *request,
                   enum portal_status status, int64_t locked_ms);

/*
 * The form came from a page of ours not longer than an hour ago, by the same browser's own doing.
 * Else the visit is answered and false returned.
 */
MUST_CHECK bool visit_form_is_ours(struct visit *visit, struct httpd_request *request,
                                   struct slice purpose);
/* Keep what portal_opened says, unwrap the key, open the copy. False: the visit is answered. */
MUST_CHECK bool visit_open_copy(struct visit *visit, struct httpd_request *request,
                                const struct ipc_portal_opened *opened);
/* Resume the session of the cookie and open the copy, then go on; without one: back to the start. */
void visit_resume(struct visit *visit, struct httpd_request *request, visit_fn *opened);

/* ---- handlers of the route table ---- */

visit_fn visit_start, visit_code, visit_send_code, visit_back, visit_prove; /* prove.c */
visit_fn visit_message, visit_html, visit_part;                             /* read.c */
visit_fn visit_reply_form, visit_reply, visit_sent;                         /* reply.c */
/* Before the body of a reply is read: may this reader reply at all? */
visit_fn visit_reply_before;

#endif
