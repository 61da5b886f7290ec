/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTPS server on our loop: libmicrohttpd speaks TLS (by GnuTLS) and HTTP, this wing judges every
 * request before anybody sees it (httpd/head.h), limits what a stranger can hold (connections per
 * network, bytes, time per byte), and gives every answer the same strict headers.
 *
 * One request's life: on_head (the head is there, the body is not), then the body (into the form
 * that on_head asked for, else thrown away), then on_request, then on_gone. An answer may be given in
 * on_request or any time later; across a wait keep httpd_request_id and look the request up again.
 * Whoever answers in on_head refuses the body: the connection then ends.
 */
#ifndef HTTPD_SERVER_H
#define HTTPD_SERVER_H

#include "httpd/form.h"
#include "httpd/head.h"
#include "os/loop.h"

struct httpd;
struct httpd_request;

struct httpd_handler {
    void *context;
    void (*on_head)(void *context, struct httpd_request *request); /* NULL = nothing to do */
    void (*on_request)(void *context, struct httpd_request *request);
    /* Answered in full, or the client went away. The request dies when this returns. */
    void (*on_gone)(void *context, struct httpd_request *request); /* NULL = nothing to do */
};

struct httpd_options {
    struct loop *loop;
    int listen_fd; /* a listening socket, borrowed (duplicated) */
    struct slice certificate_pem, private_key_pem;
    struct slice
        host; /* the only one served, see httpd_head_check; copied; empty = any, or those of serves_host */
    /* Is this host (its Host field without a port) served beside `host`? NULL = no other one is. */
    bool (*serves_host)(void *context, struct slice host);
    void *host_context;               /* of serves_host */
    uint64_t body_max_bytes;          /* a longer body is refused unread */
    unsigned connections;             /* 0 = 2000 */
    unsigned connections_per_network; /* one /24 or /64 holds at most this many; 0 = 200 */
    bool is_plain;                    /* no TLS: for monitoring */
    struct httpd_handler handler;
};

/* ERR_PERM: certificate or key not usable. ERR_TEMP: no descriptors or no memory. */
MUST_CHECK bool httpd_open(const struct httpd_options *options, struct httpd **httpd_out,
                           struct err *err);
/* New connections get this certificate; those that are open go on. Errors as httpd_open. */
MUST_CHECK bool httpd_change_certificate(struct httpd *httpd, struct slice certificate_pem,
                                         struct slice private_key_pem, struct err *err);
/* Accept nothing more; on_idle once no connection is left (perhaps at once, in a later turn). */
void httpd_drain(struct httpd *httpd, void (*on_idle)(void *context), void *context);
/* Waiting requests are answered 503, everything is closed. */
void httpd_close(struct httpd **httpd);
size_t httpd_connection_count(const struct httpd *httpd);

/* ---- a request ---- */

/* Never 0, never used again in this process. */
uint64_t httpd_request_id(const struct httpd_request *request);
/* NULL: it is gone. */
struct httpd_request *httpd_find(const struct httpd *httpd, uint64_t id);
void httpd_set_user(struct httpd_request *request, void *user);
void *httpd_user(const struct httpd_request *request);

/* Its head, as judged. */
enum httpd_method httpd_method(const struct httpd_request *request);
/* The host that serves_host took; empty: `host`. */
struct slice httpd_other_host(const struct httpd_request *request);
/* As it came, nothing decoded, without the query. */
struct slice httpd_path(const struct httpd_request *request);
uint64_t httpd_content_length(const struct httpd_request *request);
MUST_CHECK bool httpd_header(const struct httpd_request *request, struct slice name,
                             struct slice *value_out);
MUST_CHECK bool httpd_cookie(const struct httpd_request *request, struct slice name,
                             struct slice *value_out);
/* The client's network, "192.0.2.0/24" or "2001:db8:1:2::/64": for limits, never the address. */
struct slice httpd_client(const struct httpd_request *request);

/* In on_head: the body shall be read as a form. Limits and handler are copied. */
void httpd_expect_form(struct httpd_request *request, const struct form_limits *limits,
                       const struct form_handler *handler);
/* In on_request: class ERR_NONE when the form was read to its end (or none was expected). */
const struct err *httpd_form_err(const struct httpd_request *request);
/* In on_head: do not read the body before httpd_release. */
void httpd_hold(struct httpd_request *request);
void httpd_release(struct httpd_request *request);

/* ---- its answer ---- */

enum httpd_policy {
    HTTPD_PAGE,  /* our own page: our style sheet, our frames, no script */
    HTTPD_FRAME, /* a stranger's HTML, inside our page: inline styles and data images only */
    HTTPD_FILE,  /* a stranger's file: may do nothing at all */
    HTTPD_ASSET, /* our own file that never changes under its name: may be cached */
};

struct httpd_field {
    const char *name_cstr;
    const char *value_cstr; /* visible ASCII and blanks; NULL = field left out */
};
enum { HTTPD_FIELDS_MAX = 6 };

struct httpd_answer {
    unsigned status;
    enum httpd_policy policy;
    const char *content_type_cstr;
    struct httpd_field fields[HTTPD_FIELDS_MAX]; /* the first without a name ends them */
};

/* The body is taken over and wiped once sent; *body is empty after. */
void httpd_answer_bytes(struct httpd_request *request, const struct httpd_answer *answer,
                        struct buffer *body);
/*
 * The body comes piece by piece: read fills 1..max bytes and returns how many, 0 = it cannot (the
 * connection is cut, the client notices). close is called once, also when nothing was read.
 */
struct httpd_source {
    uint64_t len;
    size_t (*read)(void *context, uint8_t *at, size_t max);
    void (*close)(void *context);
    void *context;
};
void httpd_answer_source(struct httpd_request *request, const struct httpd_answer *answer,
                         const struct httpd_source *source);
/* A short page of our own for refusals: nothing of the request is in it. */
void httpd_answer_plain(struct httpd_request *request, unsigned status);

#endif
