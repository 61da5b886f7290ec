/* SPDX-License-Identifier: Apache-2.0 */
/* Records divided by NUL, or a policy: whatever is taken is written again the same. */
#include "format/sts/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_policy(struct slice text)
{
    struct sts_policy policy, again;
    struct buffer written, patterns;
    struct err err;

    if (!sts_policy_parse(text, &policy, &err)) {
        must(err.text_cstr[0] != '\0');
        return;
    }
    buffer_init(&written, 1 << 20);
    buffer_init(&patterns, 1 << 20);
    must(policy.max_age_s <= STS_MAX_AGE_MAX_S && policy.mx_count <= STS_MX_MAX);
    must(sts_policy_patterns(&policy, &patterns) && sts_policy_write(&policy, &written));
    must(sts_policy_parse(buffer_view(&written), &again, &err));
    must(again.mode == policy.mode && again.mx_count == policy.mx_count &&
         again.max_age_s == policy.max_age_s);
    buffer_deinit(&written);
    buffer_deinit(&patterns);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest = slice_of(data, size), records[8];
    char id_cstr[STS_ID_SIZE];
    size_t count = 0;
    struct err err;

    read_policy(rest);
    while (rest.len > 0 && count < COUNT_OF(records))
        records[count++] = slice_cut(&rest, '\0');
    if (sts_records_find(records, count, id_cstr, &err) == PROGRESS_DONE)
        must(id_cstr[0] != '\0' && slice_from_cstr(id_cstr).len < STS_ID_SIZE);
    return 0;
}
