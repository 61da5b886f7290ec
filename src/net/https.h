/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTPS client for what strangers publish (MTA-STS policies) and take (reports about TLS): the only user of
 * libcurl. An ask is one GET or POST over one connection of its own; its answer comes later from the loop, never
 * inside the ask, exactly once unless it is cancelled.
 *
 * Always: https only, TLS 1.2 or newer, the certificate verified for the name in the URL by the authorities given here and no
 * others; HTTP/1.1; no redirects, proxies, cookies, credentials, compression or caches. Names are asked of our own resolver, and
 * addresses that are not of the public Internet are refused, so that nobody's DNS sends us into our own network.
 * Every answer has a ceiling in bytes and every ask one in time, from the look-up to the last byte.
 *
 * For the sandbox: no threads, no files, no UNIX sockets but a pair at https_new.
 */
#ifndef NET_HTTPS_H
#define NET_HTTPS_H

#include "net/resolver.h"

struct https_options {
    struct slice authorities_pem; /* trusted authorities; copied */
    bool allow_private;           /* connect to addresses of our own network, too */
    uint16_t port; /* for tests: connect here, whatever port the URL says; 0 = as it says */
};

struct https;
/* resolver: must live longer. ERR_TEMP: libcurl cannot be set up; ERR_PERM: there are no authorities. */
MUST_CHECK bool https_new(struct loop *loop, struct resolver *resolver,
                          const struct https_options *options, struct https **https_out,
                          struct err *err);
/* Asks that are still open are forgotten. Not from inside an answer. Clears *https. */
void https_free(struct https **https);

enum https_failure {
    HTTPS_OK,        /* the whole answer is here: 200 for a GET, any 2xx for a POST */
    HTTPS_URL,       /* not an https URL with a host name, or with a password in it */
    HTTPS_DNS,       /* the name is not known, or was not found out */
    HTTPS_ADDRESS,   /* it leads to no public address */
    HTTPS_CONNECT,   /* nobody answers there */
    HTTPS_TLS,       /* no TLS, or the certificate does not verify */
    HTTPS_PROTOCOL,  /* what answers does not speak HTTP, or broke off */
    HTTPS_REDIRECT,  /* it points elsewhere, which is not followed */
    HTTPS_STATUS,    /* any other answer than wished */
    HTTPS_TOO_LARGE, /* more bytes than allowed */
    HTTPS_TOO_SLOW,  /* not done in time */
};
/* One word for logs and stories: "ok", "dns", "tls", "too-large" ... */
const char *https_failure_name(enum https_failure failure);

enum { HTTPS_TEXT_SIZE = 320, HTTPS_TYPE_SIZE = 128 };
struct https_answer {
    enum https_failure failure;
    unsigned status;                         /* of HTTP; 0 when it did not come to that */
    char content_type_cstr[HTTPS_TYPE_SIZE]; /* as sent, printable ASCII; "" when none */
    struct slice body;                       /* when OK; dies with the call */
    enum dnssec_state dnssec;                /* of the address look-up */
    char text_cstr[HTTPS_TEXT_SIZE];         /* when not OK: what happened, in words */
};
typedef void https_fn(void *context, uint64_t ask, const struct https_answer *answer);

struct https_request {
    const char *url_cstr;
    size_t max_bytes;   /* of the answer's body */
    int64_t timeout_ms; /* for all of it; 0 = one minute [RFC 8461 §3.3] */
    /* A POST of these bytes (copied), when there is a content type; else a GET. */
    const char *content_type_cstr;
    struct slice post;
};
uint64_t https_ask(struct https *https, const struct https_request *request, https_fn *fn,
                   void *context);
/* The answer will not come. An id that is not open any more is fine. */
void https_cancel(struct https *https, uint64_t ask);

#endif
