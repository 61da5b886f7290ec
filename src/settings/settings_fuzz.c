/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct settings *settings = NULL;
    struct err err;

    if (settings_parse(slice_of(data, size), "/fuzz/postern.conf", &settings, &err)) {
        (void)settings_domain_find(settings, S("clinic.test"));
        (void)settings_route_find(settings, S("good.test"));
        for (size_t i = 0; i < settings->account_count; i++)
            (void)settings_recipient_find(&settings->accounts[i], S("bob@x.test"));
    } else {
        must(slice_starts_with(slice_from_cstr(err.text_cstr), S("/fuzz/postern.conf:")));
    }
    settings_unref(&settings);
    return 0;
}
