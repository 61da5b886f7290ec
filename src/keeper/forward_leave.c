/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/forward_leave.h"

#include "keeper/bounce.h"
#include "keeper/internal.h"
#include "keeper/plan.h"

enum { PREFIX_MAX_BYTES = 1 << 20 };

void forward_envelope(struct keeper *keeper, struct job *job, const struct store_recipient *row)
{
    struct slice via = row->via, written = slice_cut(&via, '\n');
    struct buffer address;

    if (row->via.len == 0)
        return;
    job->via = arena_copy(job->texts, row->via);
    if (job->kind != KIND_INBOUND || job->sender.len == 0 ||
        forward_is_at_home(keeper, slice_from_cstr(job->domain->row.name_cstr)))
        return;
    buffer_init(&address, ADDRESS_MAX_BYTES);
    bounce_address_of(keeper, job->message.id, row->number, address_domain(written), &address);
    job->deliver.mail_from = arena_copy(job->texts, buffer_view(&address));
    job->is_alone = true;
    buffer_deinit(&address);
}

struct slice forward_prefix(struct slice via, struct slice prefix, struct buffer *lines)
{
    bool goes_on = via.len > 0;

    buffer_init(lines, PREFIX_MAX_BYTES);
    while (via.len > 0) {
        struct slice address = slice_cut(&via, '\n');

        must(buffer_append_format(lines, "Delivered-To: %.*s\r\n", SLICE_ARGS(address)));
    }
    if (goes_on)
        must(buffer_append(lines, prefix));
    return goes_on ? buffer_view(lines) : prefix;
}
