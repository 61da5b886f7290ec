/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/forward_expand.h"

#include "keeper/internal.h"

enum { VIA_MAX_BYTES = 4 << 20 };

struct walk {
    struct keeper *keeper;
    struct forward_expansion *out;
    struct slice delivered_to;
    struct slice
        path[FORWARD_DEPTH_MAX]; /* addresses from the one written to the present one */
    size_t depth;
    struct forward_source *seen[FORWARD_ENDS_MAX];
    size_t seen_count;
    bool is_live;
};

static bool is_line_of(struct slice lines, struct slice address)
{
    while (lines.len > 0)
        if (slice_equal_nocase(slice_cut(&lines, '\n'), address))
            return true;
    return false;
}

static bool is_on_path(const struct walk *walk, struct slice address)
{
    for (size_t i = 0; i < walk->depth; i++)
        if (slice_equal_nocase(walk->path[i], address))
            return true;
    return false;
}

/* Mail ends at `address`, having come by the first `depth` addresses of the path. */
static void add_end(struct walk *walk, struct slice address, size_t depth)
{
    struct forward_expansion *out = walk->out;
    size_t via_at = buffer_len(&out->via);

    for (size_t i = 0; i < out->count; i++)
        if (slice_equal_nocase(out->ends[i].address, address))
            return;
    if (out->count == FORWARD_ENDS_MAX)
        return;
    for (size_t i = 0; i < depth; i++)
        if ((i > 0 && !buffer_append_byte(&out->via, '\n')) ||
            !buffer_append(&out->via, walk->path[i]))
            return;
    out->ends[out->count++] =
        (struct forward_end){address, via_at, buffer_len(&out->via) - via_at};
}

static void walk_source(struct walk *walk, struct forward_source *source, struct slice address);

static void walk_forward(struct walk *walk, struct forward *forward, struct slice address)
{
    enum forward_state state = forward_judge(walk->keeper, forward, NULL);
    struct forward_source *next;

    if (state != FORWARD_ACTIVE && state != FORWARD_HELD)
        return;
    if (walk->is_live && state == FORWARD_ACTIVE)
        forward_allow(walk->keeper, forward);
    /* An alias that names itself keeps a copy with its own mailbox. */
    if (slice_equal_nocase(forward->target, address)) {
        add_end(walk, walk->depth == 1 ? address : forward->target, walk->depth - 1);
        return;
    }
    next = forward_source_find(walk->keeper, forward->target);
    if (next == NULL)
        add_end(walk, forward->target, walk->depth);
    else
        walk_source(walk, next, forward->target);
}

static void walk_source(struct walk *walk, struct forward_source *source, struct slice address)
{
    if (is_on_path(walk, address) || walk->depth == FORWARD_DEPTH_MAX ||
        is_line_of(walk->delivered_to, address)) {
        walk->out->has_circle = true;
        return;
    }
    for (size_t i = 0; i < walk->seen_count; i++)
        if (walk->seen[i] == source)
            return;
    if (walk->seen_count == FORWARD_ENDS_MAX)
        return;
    walk->seen[walk->seen_count++] = source;
    walk->path[walk->depth++] = address;
    for (struct forward *f = source->first; f != NULL; f = f->next)
        walk_forward(walk, f, address);
    walk->depth--;
}

enum forward_answer forward_expand(struct keeper *keeper, struct slice address, bool is_live,
                                   struct slice delivered_to,
                                   struct forward_expansion *expansion_out)
{
    struct forward_source *source = forward_source_for(keeper, address);
    struct walk walk = {.keeper = keeper,
                        .out = expansion_out,
                        .is_live = is_live,
                        .delivered_to = delivered_to};

    expansion_out->count = 0;
    expansion_out->has_circle = false;
    buffer_init(&expansion_out->via, VIA_MAX_BYTES);
    if (source == NULL)
        return FORWARD_STAYS;
    walk_source(&walk, source, address);
    if (expansion_out->count > 0)
        return FORWARD_ENDS;
    return expansion_out->has_circle ? FORWARD_CIRCLE : FORWARD_CLOSED;
}

void forward_expansion_deinit(struct forward_expansion *expansion)
{
    buffer_deinit(&expansion->via);
}

struct slice forward_end_via(const struct forward_expansion *expansion,
                             const struct forward_end *end)
{
    return slice_head(slice_from(buffer_view(&expansion->via), end->via_at), end->via_len);
}
