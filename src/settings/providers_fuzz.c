/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/providers.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct settings_providers *providers;
    const char *words_cstr;
    struct err err;

    if (!settings_providers_parse(slice_of(bytes, len), "fuzz.conf", &providers, &err))
        return 0;
    (void)settings_provider_of(providers, "mx.x.test");
    for (size_t i = 0; i < providers->count; i++)
        (void)settings_provider_pause_ms(&providers->all[i], slice_of(bytes, len), &words_cstr);
    settings_providers_free(&providers);
    return 0;
}
