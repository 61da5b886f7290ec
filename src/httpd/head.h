/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Judgement on the head of an HTTP request: a pure function over what the library parsed. It refuses
 * what the library lets through and what two programs could read in two ways: a second Host or
 * Content-Length, any Transfer-Encoding, a name with a blank before its colon, control bytes, bytes
 * that vanished while parsing. Only one host is served. [RFC 9112 §3] [RFC 9110 §7.2]
 */
#ifndef HTTPD_HEAD_H
#define HTTPD_HEAD_H

#include "base/slice.h"

enum {
    HTTPD_URI_MAX = 2048,
    HTTPD_HEADERS_MAX = 64,
    HTTPD_HEAD_BYTES_MAX = 16 * 1024,
};

enum httpd_method { HTTPD_GET, HTTPD_HEAD, HTTPD_POST, HTTPD_OPTIONS };

struct httpd_header {
    struct slice name, value;
};

struct httpd_head {
    struct slice method, uri, version; /* uri: as it came, nothing decoded, query included */
    const struct httpd_header *headers;
    size_t header_count;
    /* From the first byte of the method to the end of the empty line; 0 = not known. */
    size_t wire_bytes;
};

struct httpd_facts {
    enum httpd_method method;
    struct slice path; /* of uri, without the query; starts with '/' (or is "*" for OPTIONS) */
    uint64_t content_length;
    bool has_content_length;
};

/*
 * 0 when the request may be served (facts_out filled), else the status to answer: 400, 405, 411,
 * 414, 417, 421, 431, 505. host: the one that is served, "portal.test" or "portal.test:8443"; "" = any.
 */
MUST_CHECK unsigned httpd_head_check(const struct httpd_head *head, struct slice host,
                                     struct httpd_facts *facts_out);

/* The value of the only header with this name (any case); false when there is none. */
MUST_CHECK bool httpd_header_find(const struct httpd_header *headers, size_t count,
                                  struct slice name, struct slice *value_out);
/* The value of one cookie in a Cookie header; false when it is not there or there twice. */
MUST_CHECK bool httpd_cookie_find(struct slice cookies, struct slice name,
                                  struct slice *value_out);

#endif
