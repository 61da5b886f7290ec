/* SPDX-License-Identifier: Apache-2.0 */
#include "net/idn.h"

#include <idn2.h>

bool domain_to_ascii(struct slice domain, char *text_out_cstr, size_t size)
{
    char utf8_cstr[512];
    char *ascii_cstr = NULL;
    bool fits = false;

    if (domain.len == 0 || !slice_to_cstr(domain, utf8_cstr, sizeof utf8_cstr))
        return false;
    if (idn2_to_ascii_8z(utf8_cstr, &ascii_cstr, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) ==
        IDN2_OK)
        fits = slice_to_cstr(slice_from_cstr(ascii_cstr), text_out_cstr, size);
    idn2_free(ascii_cstr);
    return fits;
}
