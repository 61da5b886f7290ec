/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/providers_text.h"

#include "format/html/template.h"

extern const struct template_source providers_built_in[];

struct slice providers_text(void)
{
    return providers_built_in[0].text;
}
