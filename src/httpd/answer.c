/* SPDX-License-Identifier: Apache-2.0 */
#include "httpd/internal.h"

#include "base/log.h"
#include "base/stats.h"

#include <stdlib.h>

static const struct {
    unsigned status;
    const char *words_cstr;
} plain_words[] = {
    {400, "This request could not be understood."},
    {405, "This is not possible here."},
    {411, "This request could not be understood."},
    {413, "This is too large."},
    {414, "This address is too long."},
    {417, "This request could not be understood."},
    {421, "This server does not serve that name."},
    {431, "This request is too large."},
    {503, "We cannot answer right now. Please try again in a minute."},
    {505, "This request could not be understood."},
};

#define CSP_PAGE                                                                               \
    "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "         \
    "frame-src 'self'; frame-ancestors 'none'; base-uri 'none'"
#define CSP_FRAME                                                                              \
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "       \
    "frame-ancestors 'self'; base-uri 'none'; "                                                \
    "sandbox allow-popups allow-popups-to-escape-sandbox"
#define CSP_FILE "default-src 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"

static const char *const policies[] = {
    [HTTPD_PAGE] = CSP_PAGE,
    [HTTPD_FRAME] = CSP_FRAME,
    [HTTPD_FILE] = CSP_FILE,
    [HTTPD_ASSET] = CSP_FILE,
};

static void add(struct MHD_Response *response, const char *name_cstr, const char *value_cstr)
{
    must(MHD_add_response_header(response, name_cstr, value_cstr) == MHD_YES);
}

static void add_fields(struct MHD_Response *response, const struct httpd_answer *answer)
{
    enum httpd_policy policy = answer->policy;

    add(response, "Content-Security-Policy", policies[policy]);
    add(response, "X-Content-Type-Options", "nosniff");
    add(response, "X-Frame-Options", policy == HTTPD_FRAME ? "SAMEORIGIN" : "DENY");
    add(response, "Referrer-Policy", "no-referrer");
    add(response, "Cache-Control",
        policy == HTTPD_ASSET ? "public, max-age=31536000, immutable" : "no-store");
    add(response, "Strict-Transport-Security", "max-age=31536000");
    add(response, "Permissions-Policy",
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()");
    add(response, "Cross-Origin-Opener-Policy", "same-origin");
    add(response, "Cross-Origin-Resource-Policy", "same-origin");
    add(response, "X-Robots-Tag", "noindex, nofollow");
    if (answer->content_type_cstr != NULL)
        add(response, "Content-Type", answer->content_type_cstr);
    for (size_t i = 0; i < HTTPD_FIELDS_MAX && answer->fields[i].name_cstr != NULL; i++)
        if (answer->fields[i].value_cstr != NULL)
            add(response, answer->fields[i].name_cstr, answer->fields[i].value_cstr);
}

static void give(struct httpd_request *request, const struct httpd_answer *answer,
                 struct MHD_Response *response, uint64_t len)
{
    must(response != NULL && request->response == NULL && request->phase != PHASE_SENT);
    add_fields(response, answer);
    if (request->httpd->is_draining)
        add(response, "Connection", "close");
    /* Monitoring speaks plain HTTP; what is counted are readers. */
    if (!request->httpd->options.is_plain) {
        int64_t took_us = stats_now_us() - request->asked_us;

        stats_add_class(STAT_PORTAL_REQUESTS_2XX, answer->status);
        STAT_MEASURE(PORTAL_REQUEST, took_us);
        log_slow("portal request", took_us);
    }
    request->response = response;
    request->status = answer->status;
    request->answer_bytes = len;
    if (!request->is_calling)
        httpd__resume(request);
}

static void free_body(void *context)
{
    struct buffer *body = context;

    buffer_wipe(body);
    free(body);
}

void httpd_answer_bytes(struct httpd_request *request, const struct httpd_answer *answer,
                        struct buffer *body)
{
    struct buffer *kept = malloc(sizeof *kept);
    struct slice view;

    must(kept != NULL);
    *kept = *body;
    *body = (struct buffer){0};
    view = buffer_view(kept);
    give(request, answer,
         MHD_create_response_from_buffer_with_free_callback_cls(
             view.len, (void *)(uintptr_t)view.at, free_body, kept),
         view.len);
}

static ssize_t read_source(void *context, uint64_t position, char *at, size_t max)
{
    const struct httpd_source *source = context;
    size_t got = source->read(source->context, (uint8_t *)at, max);

    (void)position;
    must(got <= max);
    return got == 0 ? MHD_CONTENT_READER_END_WITH_ERROR : (ssize_t)got;
}

static void free_source(void *context)
{
    struct httpd_source *source = context;

    source->close(source->context);
    free(source);
}

void httpd_answer_source(struct httpd_request *request, const struct httpd_answer *answer,
                         const struct httpd_source *source)
{
    struct httpd_source *kept = malloc(sizeof *kept);

    must(kept != NULL);
    *kept = *source;
    give(
        request, answer,
        MHD_create_response_from_callback(kept->len, 64 * 1024, read_source, kept, free_source),
        kept->len);
}

void httpd_answer_plain(struct httpd_request *request, unsigned status)
{
    struct httpd_answer answer = {.status = status,
                                  .policy = HTTPD_PAGE,
                                  .content_type_cstr = "text/html; charset=utf-8"};
    const char *words_cstr = "Something went wrong.";
    struct buffer body;

    for (size_t i = 0; i < COUNT_OF(plain_words); i++)
        if (plain_words[i].status == status)
            words_cstr = plain_words[i].words_cstr;
    if (status == 405)
        answer.fields[0] = (struct httpd_field){"Allow", "GET, HEAD, POST, OPTIONS"};
    if (status == 503)
        answer.fields[0] = (struct httpd_field){"Retry-After", "60"};
    buffer_init(&body, 1000);
    must(buffer_append_format(&body,
                              "<!DOCTYPE html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                              "<meta name=\"viewport\" content=\"width=device-width\">"
                              "<title>%s</title>\n<h1>%s</h1>\n",
                              words_cstr, words_cstr));
    httpd_answer_bytes(request, &answer, &body);
}
