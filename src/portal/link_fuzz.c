/* SPDX-License-Identifier: Apache-2.0 */
/* A stranger's path, then a file name and a nonce for a second line. */
#include "portal/link.h"
#include "portal/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size);
    struct slice path = slice_cut(&rest, '\n');
    struct buffer name, disposition;
    struct link link;

    if (link_parse(path, &link)) {
        must(slice_starts_with(path, slice_from_cstr(link.base_cstr)));
        must((link.page == LINK_PART) == (link.part > 0));
        must(!link_nonce_check(&link.token, S("open"), rest, 0));
    }
    buffer_init(&name, 2 * WORDS_FILENAME_MAX);
    buffer_init(&disposition, 1000);
    must(words_filename(&name, rest, 7));
    must(buffer_len(&name) > 0 && buffer_len(&name) <= WORDS_FILENAME_MAX);
    must(words_disposition(&disposition, buffer_view(&name)));
    for (size_t i = 0; i < buffer_len(&disposition); i++)
        must(buffer_view(&disposition).at[i] >= 0x20 && buffer_view(&disposition).at[i] < 0x7f);
    buffer_deinit(&name);
    buffer_deinit(&disposition);
    return 0;
}
