/* SPDX-License-Identifier: Apache-2.0 */
#include "net/https.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/map.h"
#include "net/address.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_TIMEOUT_MS = 60000,
    CONNECT_TIMEOUT_MS = 20000,
    URL_MAX_BYTES = 2048,
    HEADER_MAX_BYTES = 65536,
    RESOLVE_SIZE = DNS_NAME_SIZE + 17 + DNS_ADDRESSES_MAX * (INET6_ADDRSTRLEN + 3),
    DEFAULT_PORT = 443,
    STATUS_OK = 200,
};

struct https {
    struct loop *loop;
    struct resolver *resolver;
    struct map asks;
    uint64_t last_id;
    CURLM *multi;
    struct loop_timer *timer; /* libcurl's */
    struct buffer authorities;
    bool allow_private;
    uint16_t port;
};

struct ask {
    struct https *https;
    uint64_t id, look_up; /* look_up: at the resolver; 0 = none is open */
    https_fn *fn;
    void *context;
    struct loop_timer *timer; /* the time-out; then the turn in which the answer is given */
    int64_t deadline_ms;
    bool is_done, is_post, is_joined; /* is_joined: libcurl has it */
    char host_cstr[DNS_NAME_SIZE];
    uint16_t port;
    CURL *easy;
    struct curl_slist *resolve, *connect_to, *headers;
    size_t header_bytes;
    bool is_too_large;
    struct buffer post, body;
    struct https_answer answer;
    char error_cstr[CURL_ERROR_SIZE];
};

const char *https_failure_name(enum https_failure failure)
{
    static const char *const names[] = {"ok",      "url",       "dns",      "address",
                                        "connect", "tls",       "protocol", "redirect",
                                        "status",  "too-large", "too-slow"};

    must((unsigned)failure < COUNT_OF(names));
    return names[failure];
}

/* Words of strangers and libraries, as one line of printable ASCII. */
static void copy_text(char *out_cstr, size_t size, const char *text_cstr)
{
    snprintf(out_cstr, size, "%s", text_cstr == NULL ? "" : text_cstr);
    for (char *at = out_cstr; *at != '\0'; at++)
        if (*at < ' ' || *at > '~')
            *at = '?';
}

/* ---- the end of an ask ---- */

static void leave_curl(struct ask *ask)
{
    if (ask->is_joined)
        curl_multi_remove_handle(ask->https->multi, ask->easy);
    ask->is_joined = false;
    if (ask->easy != NULL)
        curl_easy_cleanup(ask->easy);
    ask->easy = NULL;
}

static void ask_free(struct ask *ask)
{
    leave_curl(ask);
    if (ask->look_up != 0)
        resolver_cancel(ask->https->resolver, ask->look_up);
    map_take(&ask->https->asks, ask->id);
    loop_timer_free(&ask->timer);
    curl_slist_free_all(ask->resolve);
    curl_slist_free_all(ask->connect_to);
    curl_slist_free_all(ask->headers);
    buffer_deinit(&ask->post);
    buffer_deinit(&ask->body);
    free(ask);
}

/* It is over; the answer is given in the next turn. */
static void finish(struct ask *ask, enum https_failure failure, const char *why_cstr)
{
    must(!ask->is_done);
    ask->is_done = true;
    ask->answer.failure = failure;
    copy_text(ask->answer.text_cstr, sizeof ask->answer.text_cstr, why_cstr);
    if (failure == HTTPS_OK)
        ask->answer.body = buffer_view(&ask->body);
    loop_timer_set(ask->timer, 0);
}

static void on_ask_timer(void *context)
{
    struct ask *ask = context;

    if (!ask->is_done) {
        ask->is_done = true;
        ask->answer.failure = HTTPS_TOO_SLOW;
        snprintf(ask->answer.text_cstr, sizeof ask->answer.text_cstr, "%s",
                 ask->look_up != 0 ? "the DNS did not answer in time"
                                   : "the server was too slow");
    }
    leave_curl(ask);
    /* From here on it is not open: the answer may well take it back. */
    map_take(&ask->https->asks, ask->id);
    ask->fn(ask->context, ask->id, &ask->answer);
    ask_free(ask);
}

/* ---- what libcurl tells ---- */

static size_t on_header(char *at, size_t size, size_t count, void *context)
{
    struct ask *ask = context;

    (void)at;
    ask->header_bytes += size * count;
    ask->is_too_large = ask->header_bytes > HEADER_MAX_BYTES;
    return ask->is_too_large ? 0 : size * count;
}

static size_t on_body(char *at, size_t size, size_t count, void *context)
{
    struct ask *ask = context;

    ask->is_too_large = !buffer_append(&ask->body, slice_of(at, size * count));
    return ask->is_too_large ? 0 : size * count;
}

static bool was_connected(const struct ask *ask)
{
    curl_off_t took_us = 0;

    return curl_easy_getinfo(ask->easy, CURLINFO_CONNECT_TIME_T, &took_us) == CURLE_OK &&
           took_us > 0;
}

static enum https_failure failure_of(const struct ask *ask, CURLcode code)
{
    switch ((int)code) {
    case CURLE_OK:
        return HTTPS_OK;
    case CURLE_COULDNT_CONNECT:
        return HTTPS_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return was_connected(ask) ? HTTPS_TOO_SLOW : HTTPS_CONNECT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return HTTPS_TLS;
    case CURLE_FILESIZE_EXCEEDED:
        return HTTPS_TOO_LARGE;
    default:
        return ask->is_too_large ? HTTPS_TOO_LARGE : HTTPS_PROTOCOL;
    }
}

static bool is_wished(const struct ask *ask)
{
    return ask->answer.status == STATUS_OK ||
           (ask->is_post && ask->answer.status > STATUS_OK && ask->answer.status < 300);
}

static void finish_status(struct ask *ask)
{
    bool is_redirect = ask->answer.status >= 300 && ask->answer.status < 400;
    char why_cstr[80];

    snprintf(why_cstr, sizeof why_cstr, "the server answered with status %u%s",
             ask->answer.status, is_redirect ? ", a redirect, which is not followed" : "");
    finish(ask, is_redirect ? HTTPS_REDIRECT : HTTPS_STATUS, why_cstr);
}

static void take_result(struct ask *ask, CURLcode code)
{
    enum https_failure failure = failure_of(ask, code);
    const char *type_cstr = NULL;
    long status = 0;

    curl_easy_getinfo(ask->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(ask->easy, CURLINFO_CONTENT_TYPE, &type_cstr);
    ask->answer.status = status > 0 && status < 1000 ? (unsigned)status : 0;
    copy_text(ask->answer.content_type_cstr, sizeof ask->answer.content_type_cstr, type_cstr);
    /* However long the page is that says "not found": not found. */
    if ((failure == HTTPS_OK || failure == HTTPS_TOO_LARGE) && ask->answer.status != 0 &&
        !is_wished(ask))
        finish_status(ask);
    else if (failure == HTTPS_TOO_LARGE)
        finish(ask, failure, "the answer is longer than allowed");
    else if (failure == HTTPS_OK)
        finish(ask, failure, "");
    else
        finish(ask, failure,
               ask->error_cstr[0] != '\0' ? ask->error_cstr : curl_easy_strerror(code));
}

static void take_results(struct https *https)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(https->multi, &left)) != NULL) {
        struct ask *ask = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        must(curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&ask) ==
             CURLE_OK);
        if (!ask->is_done)
            take_result(ask, message->data.result);
    }
}

static void act(struct https *https, curl_socket_t fd, int events)
{
    int running;

    (void)curl_multi_socket_action(https->multi, fd, events, &running);
    take_results(https);
}

/* ---- libcurl's sockets and timer on our loop ---- */

struct socket_watch {
    struct https *https;
    curl_socket_t fd;
    struct loop_watch *watch;
};

static void on_socket_ready(void *context, int ready)
{
    struct socket_watch *socket = context;

    /* May free the watch. */
    act(socket->https, socket->fd,
        ((ready & LOOP_READ) != 0 ? CURL_CSELECT_IN : 0) |
            ((ready & LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0));
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *context, void *assigned)
{
    struct https *https = context;
    struct socket_watch *socket = assigned;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            loop_watch_free(&socket->watch);
        free(socket);
        curl_multi_assign(https->multi, fd, NULL);
        return 0;
    }
    if (socket == NULL) {
        socket = calloc(1, sizeof *socket);
        must(socket != NULL);
        socket->https = https;
        socket->fd = fd;
        socket->watch = loop_watch_new(https->loop, fd, on_socket_ready, socket);
        curl_multi_assign(https->multi, fd, socket);
    }
    loop_watch_set(socket->watch, ((what & CURL_POLL_IN) != 0 ? LOOP_READ : 0) |
                                      ((what & CURL_POLL_OUT) != 0 ? LOOP_WRITE : 0));
    return 0;
}

static int on_curl_timer(CURLM *multi, long delay_ms, void *context)
{
    struct https *https = context;

    (void)multi;
    if (delay_ms < 0)
        loop_timer_clear(https->timer);
    else
        loop_timer_set(https->timer, delay_ms);
    return 0;
}

static void on_timer(void *context)
{
    act(context, CURL_SOCKET_TIMEOUT, 0);
}

/* ---- the request ---- */

#define SET(ask, option, value) must(curl_easy_setopt((ask)->easy, option, value) == CURLE_OK)

static void set_rules(struct ask *ask)
{
    SET(ask, CURLOPT_NOSIGNAL, 1L);
    SET(ask, CURLOPT_PROTOCOLS_STR, "https");
    SET(ask, CURLOPT_REDIR_PROTOCOLS_STR, "https");
    SET(ask, CURLOPT_FOLLOWLOCATION, 0L);
    /* "" and "*": no proxy, whatever the environment says. */
    SET(ask, CURLOPT_PROXY, "");
    SET(ask, CURLOPT_NOPROXY, "*");
    SET(ask, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(ask, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(ask, CURLOPT_HTTP09_ALLOWED, 0L);
    SET(ask, CURLOPT_FRESH_CONNECT, 1L);
    SET(ask, CURLOPT_FORBID_REUSE, 1L);
    SET(ask, CURLOPT_SSL_SESSIONID_CACHE, 0L);
    SET(ask, CURLOPT_USERAGENT, "Postern");
    SET(ask, CURLOPT_ERRORBUFFER, ask->error_cstr);
    SET(ask, CURLOPT_PRIVATE, ask);
    SET(ask, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
}

static void set_tls(struct ask *ask)
{
    struct slice authorities = buffer_view(&ask->https->authorities);
    struct curl_blob blob = {(void *)(uintptr_t)authorities.at, authorities.len,
                             CURL_BLOB_NOCOPY};

    SET(ask, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(ask, CURLOPT_SSL_VERIFYPEER, 1L);
    SET(ask, CURLOPT_SSL_VERIFYHOST, 2L);
    /* Ours and no others: neither a file nor a folder that libcurl was built with. */
    SET(ask, CURLOPT_CAINFO, NULL);
    SET(ask, CURLOPT_CAPATH, NULL);
    SET(ask, CURLOPT_CAINFO_BLOB, &blob);
}

static void add_header(struct ask *ask, const char *line_cstr)
{
    ask->headers = curl_slist_append(ask->headers, line_cstr);
    must(ask->headers != NULL);
}

static void set_exchange(struct ask *ask, const struct https_request *request)
{
    char type_cstr[HTTPS_TYPE_SIZE + sizeof "Content-Type: "];

    SET(ask, CURLOPT_URL, request->url_cstr);
    SET(ask, CURLOPT_HEADERFUNCTION, on_header);
    SET(ask, CURLOPT_HEADERDATA, ask);
    SET(ask, CURLOPT_WRITEFUNCTION, on_body);
    SET(ask, CURLOPT_WRITEDATA, ask);
    SET(ask, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)request->max_bytes);
    if (!ask->is_post)
        return;
    must(snprintf(type_cstr, sizeof type_cstr, "Content-Type: %s", request->content_type_cstr) <
         (int)sizeof type_cstr);
    add_header(ask, type_cstr);
    add_header(ask, "Expect:"); /* nobody waits for a 100 */
    SET(ask, CURLOPT_HTTPHEADER, ask->headers);
    SET(ask, CURLOPT_POST, 1L);
    SET(ask, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)buffer_len(&ask->post));
    /* NULL would be "ask for them". */
    SET(ask, CURLOPT_POSTFIELDS,
        buffer_len(&ask->post) > 0 ? (const char *)buffer_view(&ask->post).at : "");
}

/* Scheme, host and port of the URL, and nothing in it that we do not want. */
static bool read_url(struct ask *ask, const char *url_cstr)
{
    CURLU *url = curl_url();
    char *scheme = NULL, *host = NULL, *user = NULL, *port = NULL;
    bool ok = url != NULL && strlen(url_cstr) <= URL_MAX_BYTES &&
              curl_url_set(url, CURLUPART_URL, url_cstr, CURLU_DISALLOW_USER) == CURLUE_OK &&
              curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              strcmp(scheme, "https") == 0 &&
              curl_url_get(url, CURLUPART_USER, &user, 0) == CURLUE_NO_USER &&
              curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
              dns_is_host_name(slice_from_cstr(host)) &&
              curl_url_get(url, CURLUPART_PORT, &port, CURLU_DEFAULT_PORT) == CURLUE_OK;

    if (ok) {
        uint64_t number = 0;

        for (const char *at = port; *at != '\0' && number < 65536; at++)
            number = number * 10 + (uint64_t)(*at - '0');
        ok = number > 0 && number < 65536;
        ask->port = (uint16_t)number;
        snprintf(ask->host_cstr, sizeof ask->host_cstr, "%s", host);
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(port);
    curl_url_cleanup(url);
    return ok;
}

/*
 * "+host:port:address,[address]" for libcurl, so that it never asks anybody. "+": it forgets them after a while; else all names
 * that strangers ever led us to would stay in memory. False: none may be used.
 */
static bool add_addresses(struct ask *ask, const struct resolver_address_answer *answer)
{
    uint16_t port = ask->https->port != 0 ? ask->https->port : ask->port;
    char line_cstr[RESOLVE_SIZE], aside_cstr[2 * DNS_NAME_SIZE + 32];
    size_t len, start;

    start = len =
        (size_t)snprintf(line_cstr, sizeof line_cstr, "+%s:%u:", ask->host_cstr, port);
    for (size_t i = 0; i < answer->count; i++) {
        const struct dns_address *address = &answer->addresses[i];
        char text_cstr[INET6_ADDRSTRLEN];

        if (!ask->https->allow_private && !address_is_public(address))
            continue;
        inet_ntop(address->is_ipv6 ? AF_INET6 : AF_INET, address->bytes, text_cstr,
                  sizeof text_cstr);
        len += (size_t)snprintf(line_cstr + len, sizeof line_cstr - len,
                                address->is_ipv6 ? "%s[%s]" : "%s%s", len > start ? "," : "",
                                text_cstr);
        must(len < sizeof line_cstr);
    }
    ask->resolve = curl_slist_append(NULL, line_cstr);
    must(ask->resolve != NULL);
    SET(ask, CURLOPT_RESOLVE, ask->resolve);
    if (port != ask->port) {
        snprintf(aside_cstr, sizeof aside_cstr, "%s:%u:%s:%u", ask->host_cstr, ask->port,
                 ask->host_cstr, port);
        ask->connect_to = curl_slist_append(NULL, aside_cstr);
        must(ask->connect_to != NULL);
        SET(ask, CURLOPT_CONNECT_TO, ask->connect_to);
    }
    return len > start;
}

static void on_addresses(void *context, uint64_t look_up,
                         const struct resolver_address_answer *answer)
{
    struct ask *ask = context;

    (void)look_up;
    ask->look_up = 0;
    ask->answer.dnssec = answer->dnssec;
    if (answer->outcome != RESOLVER_FOUND) {
        finish(ask, HTTPS_DNS,
               answer->outcome == RESOLVER_TRY_LATER   ? answer->text_cstr
               : answer->outcome == RESOLVER_NO_DOMAIN ? "the name of the server does not exist"
                                                       : "the server has no address");
    } else if (!add_addresses(ask, answer)) {
        finish(ask, HTTPS_ADDRESS, "the server's name leads to no public address");
    } else {
        must(curl_multi_add_handle(ask->https->multi, ask->easy) == CURLM_OK);
        ask->is_joined = true;
    }
}

uint64_t https_ask(struct https *https, const struct https_request *request, https_fn *fn,
                   void *context)
{
    struct ask *ask = calloc(1, sizeof *ask);
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;

    must(ask != NULL);
    ask->https = https;
    ask->id = ++https->last_id;
    ask->fn = fn;
    ask->context = context;
    ask->is_post = request->content_type_cstr != NULL;
    ask->answer.dnssec = DNSSEC_UNKNOWN;
    ask->timer = loop_timer_new(https->loop, on_ask_timer, ask);
    loop_timer_set(ask->timer, timeout_ms);
    buffer_init(&ask->body, request->max_bytes);
    buffer_init(&ask->post, request->post.len);
    must(buffer_append(&ask->post, request->post));
    map_put(&https->asks, ask->id, ask);
    if (!read_url(ask, request->url_cstr)) {
        finish(ask, HTTPS_URL, "not an https URL with the name of a server");
        return ask->id;
    }
    ask->easy = curl_easy_init();
    must(ask->easy != NULL);
    set_rules(ask);
    set_tls(ask);
    set_exchange(ask, request);
    ask->look_up = resolver_ask_addresses(https->resolver, ask->host_cstr, on_addresses, ask);
    return ask->id;
}

void https_cancel(struct https *https, uint64_t id)
{
    struct ask *ask = map_get(&https->asks, id);

    if (ask != NULL)
        ask_free(ask);
}

bool https_new(struct loop *loop, struct resolver *resolver,
               const struct https_options *options, struct https **https_out, struct err *err)
{
    struct https *https;

    if (options->authorities_pem.len == 0)
        return FAIL(err, ERR_PERM, "verifying names needs trusted authorities");
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return FAIL(err, ERR_TEMP, "libcurl cannot be set up");
    https = calloc(1, sizeof *https);
    must(https != NULL);
    https->loop = loop;
    https->resolver = resolver;
    https->allow_private = options->allow_private;
    https->port = options->port;
    buffer_init(&https->authorities, options->authorities_pem.len);
    must(buffer_append(&https->authorities, options->authorities_pem));
    map_init(&https->asks);
    https->timer = loop_timer_new(loop, on_timer, https);
    https->multi = curl_multi_init();
    must(https->multi != NULL);
    must(curl_multi_setopt(https->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket) == CURLM_OK &&
         curl_multi_setopt(https->multi, CURLMOPT_SOCKETDATA, https) == CURLM_OK &&
         curl_multi_setopt(https->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer) == CURLM_OK &&
         curl_multi_setopt(https->multi, CURLMOPT_TIMERDATA, https) == CURLM_OK);
    *https_out = https;
    return true;
}

void https_free(struct https **https)
{
    struct https *it = *https;
    struct ask *ask;
    uint64_t id;

    *https = NULL;
    if (it == NULL)
        return;
    for (size_t position = 0; (ask = map_next(&it->asks, &position, &id)) != NULL; position = 0)
        ask_free(ask);
    curl_multi_cleanup(it->multi);
    loop_timer_free(&it->timer);
    buffer_deinit(&it->authorities);
    map_deinit(&it->asks);
    free(it);
    curl_global_cleanup();
}
