/* SPDX-License-Identifier: Apache-2.0 */
/* Headers from strangers and from our own: no wish and no Bcc survives, and one pass is enough.
 */
#include "smtpd/header_pass.h"

#include "format/mime/header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_ours(const void *context, struct slice domain)
{
    (void)context;
    return domain.len > 1;
}

/* Lines that are whole addresses, so that nobody can smuggle one in by another. */
static void check_delivered_to(struct slice lines)
{
    struct smtp_path path;

    must(lines.len == 0 || lines.at[lines.len - 1] == '\n');
    while (lines.len > 0)
        must(smtp_address_parse(slice_cut(&lines, '\n'), &path, NULL) && path.has_domain);
}

static void check(struct slice bytes, enum header_source source)
{
    struct header_rules rules = {
        .source = source,
        .message = 1,
        .hostname_cstr = "h.test",
        .now_ms = 1000,
        .triggers = {SLICE_INIT("+encrypt+"), SLICE_INIT("+noencrypt+")},
        .is_own_domain = is_ours};
    struct header_facts facts;
    struct buffer out;
    struct mime_field field;
    struct slice rest;
    size_t body_at, end = header_find_end(bytes, 0);

    header_facts_init(&facts);
    buffer_init(&out, 1 << 22);
    bytes = end == 0 ? bytes : slice_head(bytes, end);
    if (header_pass(bytes, &rules, &out, &facts, &body_at, NULL)) {
        must(body_at <= bytes.len);
        rest = buffer_view(&out);
        while (mime_field_next(&rest, &field)) {
            must(field.name.len > 0);
            must(!header_is_control(field.name));
            must(source == HEADER_STRANGER || !slice_equal_nocase(field.name, S("Bcc")));
        }
        must(rest.len == 0);
        check_delivered_to(buffer_view(&facts.delivered_to));
    }
    buffer_deinit(&out);
    header_facts_deinit(&facts);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(slice_of(data, size), HEADER_SUBMITTED);
    check(slice_of(data, size), HEADER_STRANGER);
    return 0;
}
