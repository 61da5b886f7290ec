/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/policy.h"

#include "format/sts/sts.h"
#include "settings/sts_text.h"

bool policy_serves_host(void *context, struct slice host)
{
    struct settings *const *settings = context;

    return settings_sts_host_find(*settings, host) != NULL;
}

void policy_answer(const struct settings *settings, struct httpd_request *request)
{
    static const struct httpd_answer answer = {
        .status = 200, .policy = HTTPD_FILE, .content_type_cstr = "text/plain; charset=utf-8"};
    const struct settings_domain *domain =
        settings_sts_host_find(settings, httpd_other_host(request));
    struct buffer text;

    buffer_init(&text, STS_POLICY_MAX_BYTES);
    if (httpd_method(request) != HTTPD_GET && httpd_method(request) != HTTPD_HEAD)
        httpd_answer_plain(request, 405);
    else if (domain == NULL ||
             !slice_equal(httpd_path(request), S("/.well-known/mta-sts.txt")) ||
             !settings_sts_text(settings, domain, &text))
        httpd_answer_plain(request, 404);
    else
        httpd_answer_bytes(request, &answer, &text);
    buffer_deinit(&text);
}
