/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/internal.h"

#include "base/stats.h"

#include <stdlib.h>
#include <string.h>

uint64_t httpd_request_id(const struct httpd_request *request)
{
    return request->id;
}

struct httpd_request *httpd_find(const struct httpd *httpd, uint64_t id)
{
    return map_get(&httpd->requests, id);
}

void httpd_set_user(struct httpd_request *request, void *user)
{
    request->user = user;
}

void *httpd_user(const struct httpd_request *request)
{
    return request->user;
}

enum httpd_method httpd_method(const struct httpd_request *request)
{
    return request->facts.method;
}

struct slice httpd_path(const struct httpd_request *request)
{
    return request->facts.path;
}

uint64_t httpd_content_length(const struct httpd_request *request)
{
    return request->facts.content_length;
}

bool httpd_header(const struct httpd_request *request, struct slice name,
                  struct slice *value_out)
{
    return httpd_header_find(request->headers, request->header_count, name, value_out);
}

bool httpd_cookie(const struct httpd_request *request, struct slice name,
                  struct slice *value_out)
{
    struct slice cookies;

    return httpd_header(request, S("Cookie"), &cookies) &&
           httpd_cookie_find(cookies, name, value_out);
}

struct slice httpd_client(const struct httpd_request *request)
{
    return slice_from_cstr(request->connection->network_cstr);
}

const struct err *httpd_form_err(const struct httpd_request *request)
{
    return &request->form_err;
}

void httpd_expect_form(struct httpd_request *request, const struct form_limits *limits,
                       const struct form_handler *handler)
{
    struct slice type;

    must(request->form == NULL);
    if (!httpd_header(request, S("Content-Type"), &type))
        type = S("");
    if (!form_open(type, limits, handler, &request->form, &request->form_err))
        must(request->form == NULL);
}

void httpd_hold(struct httpd_request *request)
{
    must(request->phase == PHASE_NEW && request->is_calling);
    request->is_held = true;
}

void httpd__resume(struct httpd_request *request)
{
    if (!request->is_suspended)
        return;
    request->is_suspended = false;
    MHD_resume_connection(request->mhd);
    httpd__wake(request->daemon);
}

void httpd_release(struct httpd_request *request)
{
    request->is_held = false;
    if (request->phase == PHASE_HELD)
        httpd__resume(request);
}

/* ---- from the library ---- */

void *httpd__on_uri(void *context, const char *uri_cstr, struct MHD_Connection *mhd)
{
    struct httpd_daemon *daemon = context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct httpd_request *request = calloc(1, sizeof *request);

    must(request != NULL && info != NULL && info->socket_context != NULL);
    request->httpd = daemon->httpd;
    request->daemon = daemon;
    request->connection = info->socket_context;
    request->connection->request = request;
    request->mhd = mhd;
    request->id = ++daemon->httpd->last_id;
    request->asked_us = stats_now_us();
    request->uri_cstr = strdup(uri_cstr == NULL ? "" : uri_cstr);
    must(request->uri_cstr != NULL);
    map_put(&daemon->httpd->requests, request->id, request);
    return request;
}

void httpd__on_completed(void *context, struct MHD_Connection *mhd, void **request_at,
                         enum MHD_RequestTerminationCode why)
{
    struct httpd_request *request = *request_at;
    struct httpd *httpd;

    (void)context;
    (void)mhd;
    (void)why;
    *request_at = NULL;
    if (request == NULL)
        return;
    httpd = request->httpd;
    request->phase = PHASE_SENT;
    if (httpd->options.handler.on_gone != NULL)
        httpd->options.handler.on_gone(httpd->options.handler.context, request);
    request->connection->request = NULL;
    httpd__set_deadline(request->connection, IDLE_LIMIT_MS + HEAD_LIMIT_MS, 0);
    map_take(&httpd->requests, request->id);
    form_close(&request->form);
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    explicit_bzero(request->uri_cstr, strlen(request->uri_cstr));
    free(request->uri_cstr);
    explicit_bzero(request, sizeof *request);
    free(request);
}

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    struct httpd_request *request = context;

    (void)kind;
    if (request->header_count > HTTPD_HEADERS_MAX)
        return MHD_NO;
    request->headers[request->header_count++] = (struct httpd_header){
        slice_of(name, name_len), value == NULL ? S("") : slice_of(value, value_len)};
    return MHD_YES;
}

/* The one host, or, as it is written in the head, one of the others. */
static struct slice choose_host(struct httpd_request *request)
{
    const struct httpd_options *options = &request->httpd->options;
    struct slice ours = buffer_view(&request->httpd->host), got, rest, name;

    if (options->serves_host == NULL)
        return ours;
    if (!httpd_header_find(request->headers, request->header_count, S("Host"), &got))
        return ours.len > 0 ? ours : S("-");
    rest = got;
    name = slice_cut(&rest, ':');
    if (options->serves_host(options->host_context, name)) {
        request->other_host = name;
        return got;
    }
    return ours.len > 0 ? ours : S("-"); /* which no host is */
}

struct slice httpd_other_host(const struct httpd_request *request)
{
    return request->other_host;
}

static unsigned judge(struct httpd_request *request, const char *method_cstr,
                      const char *version_cstr)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    struct httpd_head head = {.method = slice_from_cstr(method_cstr),
                              .uri = slice_from_cstr(request->uri_cstr),
                              .version = slice_from_cstr(version_cstr),
                              .wire_bytes = info == NULL ? 0 : info->header_size};
    unsigned status;

    MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, collect_header, request);
    head.headers = request->headers;
    head.header_count = request->header_count;
    status = httpd_head_check(&head, choose_host(request), &request->facts);
    if (status == 0 && request->facts.content_length > request->httpd->options.body_max_bytes)
        status = 413;
    return status;
}

/* Hand the answer over, or sleep until there is one. */
static enum MHD_Result answer_or_wait(struct httpd_request *request)
{
    enum MHD_Result queued;

    if (request->response == NULL) {
        request->is_suspended = true;
        httpd__set_deadline(request->connection, ANSWER_LIMIT_MS, 0);
        MHD_suspend_connection(request->mhd);
        return MHD_YES;
    }
    request->phase = PHASE_SENT;
    httpd__set_deadline(request->connection, IDLE_LIMIT_MS, request->answer_bytes);
    queued = MHD_queue_response(request->mhd, request->status, request->response);
    MHD_destroy_response(request->response);
    request->response = NULL;
    return queued;
}

static enum MHD_Result begin(struct httpd_request *request, const char *method_cstr,
                             const char *version_cstr)
{
    const struct httpd_handler *handler = &request->httpd->options.handler;
    unsigned status = judge(request, method_cstr, version_cstr);

    request->is_calling = true;
    if (status != 0)
        httpd_answer_plain(request, status);
    else if (handler->on_head != NULL)
        handler->on_head(handler->context, request);
    request->is_calling = false;
    if (request->response != NULL)
        return answer_or_wait(request);
    if (request->is_held) {
        request->phase = PHASE_HELD;
        return answer_or_wait(request);
    }
    request->phase = PHASE_BODY;
    httpd__set_deadline(request->connection, IDLE_LIMIT_MS, request->facts.content_length);
    return MHD_YES;
}

static void finish(struct httpd_request *request)
{
    const struct httpd_handler *handler = &request->httpd->options.handler;

    if (request->form != NULL && request->form_err.class == ERR_NONE &&
        !form_end(request->form, &request->form_err))
        must(request->form_err.class != ERR_NONE);
    request->phase = PHASE_ASKED;
    if (request->response != NULL)
        return;
    request->asked_us = stats_now_us();
    request->is_calling = true;
    handler->on_request(handler->context, request);
    request->is_calling = false;
}

enum MHD_Result httpd__on_access(void *context, struct MHD_Connection *mhd,
                                 const char *url_cstr, const char *method_cstr,
                                 const char *version_cstr, const char *body, size_t *body_len,
                                 void **request_at)
{
    struct httpd_request *request = *request_at;

    (void)context;
    (void)mhd;
    (void)url_cstr;
    if (request == NULL)
        return MHD_NO;
    switch (request->phase) {
    case PHASE_NEW:
        return begin(request, method_cstr, version_cstr);
    case PHASE_HELD:
        if (request->is_held || request->response != NULL)
            return answer_or_wait(request);
        request->phase = PHASE_BODY;
        httpd__set_deadline(request->connection, IDLE_LIMIT_MS, request->facts.content_length);
        return MHD_YES;
    case PHASE_BODY:
        if (*body_len > 0) {
            if (request->form != NULL && request->form_err.class == ERR_NONE &&
                !form_push(request->form, slice_of(body, *body_len), &request->form_err))
                must(request->form_err.class != ERR_NONE);
            *body_len = 0;
            return MHD_YES;
        }
        finish(request);
        return answer_or_wait(request);
    case PHASE_ASKED:
        return answer_or_wait(request);
    case PHASE_SENT:
        break;
    }
    return MHD_NO;
}

void httpd__give_up(struct httpd_request *request)
{
    if (request->is_suspended && request->response == NULL)
        httpd_answer_plain(request, 503);
}
