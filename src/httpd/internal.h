/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the rooms of httpd: what a connection and a request hold. */
#ifndef HTTPD_INTERNAL_H
#define HTTPD_INTERNAL_H

#include "httpd/server.h"

#include "base/list.h"
#include "base/map.h"

#include <microhttpd.h>
#include <netinet/in.h>

enum {
    HEAD_LIMIT_MS = 20 * 1000,   /* handshake and head */
    IDLE_LIMIT_MS = 30 * 1000,   /* between requests, and without any byte */
    SLOW_BYTES_PER_S = 4 * 1024, /* who is slower than this is cut */
    ANSWER_LIMIT_MS = 60 * 1000, /* for us to find an answer */
    NETWORK_SIZE = INET6_ADDRSTRLEN + 4,
};

/* One TLS identity: a daemon with its own certificate. After a change the old ones fade out. */
struct httpd_daemon {
    struct list_link link;
    struct httpd *httpd;
    struct MHD_Daemon *daemon;
    struct loop_watch *watch;
    struct loop_timer *timer;
    bool is_quiet; /* accepts no more */
};

struct httpd_connection {
    struct list_link link;
    int fd;
    int64_t deadline_ms;
    struct httpd_request *request; /* NULL between requests */
    char network_cstr[NETWORK_SIZE];
};

struct httpd {
    struct httpd_options options;
    struct buffer host;
    struct list daemons; /* the first is the one that accepts */
    struct list connections;
    size_t connection_count;
    struct map requests;
    uint64_t last_id;
    struct loop_timer *sweep;
    bool is_draining;
    void (*on_idle)(void *context);
    void *idle_context;
};

enum httpd_phase {
    PHASE_NEW,   /* the head is not judged yet */
    PHASE_HELD,  /* suspended before the body */
    PHASE_BODY,  /* body bytes come */
    PHASE_ASKED, /* on_request was called; suspended when there is no answer yet */
    PHASE_SENT,  /* the answer is with the library */
};

struct httpd_request {
    struct httpd *httpd;
    struct httpd_daemon *daemon;
    struct httpd_connection *connection;
    struct MHD_Connection *mhd;
    uint64_t id;
    enum httpd_phase phase;
    bool is_calling; /* inside a handler: no need to suspend or resume */
    bool is_suspended;
    bool is_held;
    void *user;
    char *uri_cstr;
    struct httpd_header headers[HTTPD_HEADERS_MAX + 1];
    size_t header_count;
    struct httpd_facts facts;
    struct slice other_host; /* see httpd_other_host */
    struct form *form;
    struct err form_err;
    struct MHD_Response *response;
    unsigned status;
    uint64_t answer_bytes;
    int64_t asked_us; /* stats_now_us clock: when on_request was called, or the head came */
};

/* request.c: what the library calls. */
void *httpd__on_uri(void *context, const char *uri_cstr, struct MHD_Connection *mhd);
enum MHD_Result httpd__on_access(void *context, struct MHD_Connection *mhd,
                                 const char *url_cstr, const char *method_cstr,
                                 const char *version_cstr, const char *body, size_t *body_len,
                                 void **request);
void httpd__on_completed(void *context, struct MHD_Connection *mhd, void **request,
                         enum MHD_RequestTerminationCode why);
/* The request waited too long, or the server ends. */
void httpd__give_up(struct httpd_request *request);
/* An answer is there, or the body may come: let the library go on when it sleeps. */
void httpd__resume(struct httpd_request *request);

/* server.c */
void httpd__network_write(const struct sockaddr *address, char text_out[NETWORK_SIZE]);
void httpd__set_deadline(struct httpd_connection *connection, int64_t least_ms, uint64_t bytes);
/* Let the daemon look at what changed, in the next turn. */
void httpd__wake(struct httpd_daemon *daemon);

#endif
