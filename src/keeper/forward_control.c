/* SPDX-License-Identifier: Apache-2.0 */
/* Forwards as the operator sees and changes them: `postern forward`. */
#include "keeper/control.h"
#include "keeper/forward_expand.h"
#include "keeper/internal.h"
#include "keeper/plan.h"

#include <stdlib.h>
#include <string.h>

static void write_forward(struct control_output *output, const struct forward *forward)
{
    struct keeper *keeper = output->keeper;
    const char *why_cstr;
    enum forward_state state = forward_judge(keeper, forward, &why_cstr);
    struct domain *domain = domain_find(keeper, address_domain(forward->target));
    json_t *object = json_pack(
        "{s:o,s:o,s:s,s:s,s:s,s:I}", "from", control_text(forward->source->address), "to",
        control_text(forward->target), "state", forward_state_name(state), "origin",
        (forward->row.flags & FORWARD_FROM_SETTINGS) != 0 ? "settings" : "command", "tls",
        domain_tls_name(forward_target_tls(keeper, forward->target)), "made_ms",
        (json_int_t)forward->row.made_ms);

    control_set_text(object, "why", slice_from_cstr(why_cstr));
    if (domain != NULL)
        control_set_number(object, "checked_ms", domain->row.checked_ms);
    control_line(output, object);
}

/* Does the request mean this one? An absent member means any. */
static bool is_meant(const json_t *request, const struct forward *forward)
{
    struct slice from = control_member(request, "from"), to = control_member(request, "to");

    return (from.len == 0 || slice_equal_nocase(from, forward->source->address)) &&
           (to.len == 0 || slice_equal_nocase(to, forward->target));
}

void forward_answer(struct control_output *output, const json_t *request)
{
    const struct forwards *forwards = &output->keeper->forwards;

    for (size_t i = 0; i < forwards->count && !control_is_lost(output); i++)
        if (is_meant(request, forwards->all[i]))
            write_forward(output, forwards->all[i]);
}

/* ---- add ---- */

static bool is_address(struct slice text, bool may_be_all)
{
    struct slice domain = address_domain(text);
    size_t local = text.len - domain.len - (domain.len > 0 ? 1 : 0);

    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] <= ' ' || text.at[i] == 0x7f || text.at[i] == '<' || text.at[i] == '>' ||
            text.at[i] == '"' || (text.at[i] == '@' && i != local))
            return false;
    return domain.len > 0 && domain.len < STORE_DOMAIN_SIZE && local <= 64 &&
           text.len <= ADDRESS_MAX_BYTES && (may_be_all || local > 0);
}

/* Why it cannot be made; NULL: it can. */
static const char *why_not(struct keeper *keeper, struct slice from, struct slice to)
{
    const struct settings_domain *own =
        settings_domain_find(keeper->settings, address_domain(from));
    const struct forward_source *source = forward_source_find(keeper, from);
    struct forward_expansion *expansion;
    const char *why_cstr = NULL;

    if (!is_address(from, true))
        return "FROM is no address; write sales@x.test, or @x.test for all other addresses";
    if (!is_address(to, false))
        return "TO is no address";
    if (own == NULL)
        return "FROM is at no domain of ours";
    if (slice_starts_with(from, S("@")) && own->next_hop_cstr[0] != '\0')
        return "the domain has a next hop: that catches all";
    for (struct forward *f = source == NULL ? NULL : source->first; f != NULL; f = f->next)
        if (slice_equal_nocase(f->target, to))
            return "it is there already";
    if (slice_equal_nocase(from, to))
        return NULL;
    expansion = malloc(sizeof *expansion);
    must(expansion != NULL);
    /* Whoever gets mail to TO: is FROM among those who were there before? */
    (void)forward_expand(keeper, to, false, from, expansion);
    for (size_t i = 0; i < expansion->count; i++)
        expansion->has_circle =
            expansion->has_circle || slice_equal_nocase(expansion->ends[i].address, from);
    if (expansion->has_circle)
        why_cstr = "mail would go in a circle";
    forward_expansion_deinit(expansion);
    free(expansion);
    return why_cstr;
}

/* The domain in lower case, as everywhere; the rest as written. */
static struct slice fold(struct slice address, char text_out[ADDRESS_MAX_BYTES])
{
    size_t local = address.len - address_domain(address).len;

    for (size_t i = 0; i < address.len; i++)
        text_out[i] = (char)(i < local ? address.at[i] : byte_lower(address.at[i]));
    return slice_of(text_out, address.len);
}

static void add(struct control_output *output, struct slice from, struct slice to)
{
    struct keeper *keeper = output->keeper;
    const char *why_cstr = why_not(keeper, from, to);
    struct store_forward row = {.made_ms = clock_unix_ms()};
    struct forward_source source = {0};
    struct forward fresh;
    enum forward_state state;
    char from_text[ADDRESS_MAX_BYTES], to_text[ADDRESS_MAX_BYTES];

    if (why_cstr != NULL) {
        control_error(output, why_cstr);
        return;
    }
    from = fold(from, from_text);
    to = fold(to, to_text);
    row.source = store_address_put(keeper->store, from);
    row.target = store_address_put(keeper->store, to);
    store_forward_put(keeper->store, &row);
    (void)domain_put(keeper, address_domain(to));
    forward_want_test(keeper, to);
    forwards_changed(keeper);
    fresh = (struct forward){.row = row, .source = &source, .target = to};
    source.address = from;
    state = forward_judge(keeper, &fresh, &why_cstr);
    control_line(output, json_pack("{s:i,s:s,s:s}", "changed", 1, "state",
                                   forward_state_name(state), "why", why_cstr));
}

/* ---- remove, enable, disable ---- */

enum verb { VERB_REMOVE, VERB_ENABLE, VERB_DISABLE };

/* False: it cannot be done to this one. */
static bool change(struct keeper *keeper, enum verb verb, const struct forward *forward)
{
    struct store_forward row = forward->row;

    if (verb == VERB_REMOVE) {
        if ((row.flags & FORWARD_FROM_SETTINGS) != 0)
            return false;
        store_forward_remove(keeper->store, row.id);
        return true;
    }
    row.flags =
        verb == VERB_DISABLE ? row.flags | FORWARD_OFF : row.flags & ~(unsigned)FORWARD_OFF;
    store_forward_put(keeper->store, &row);
    return true;
}

void forward_change(struct control_output *output, const json_t *request)
{
    static const char *const verbs[] = {"remove", "enable", "disable"};
    struct slice what = control_member(request, "what");
    const struct forwards *forwards = &output->keeper->forwards;
    size_t verb = 0, changed = 0, meant = 0;

    if (control_member(request, "from").len == 0) {
        control_error(output, "name the address that it leads on from");
        return;
    }
    if (slice_equal(what, S("add"))) {
        add(output, control_member(request, "from"), control_member(request, "to"));
        return;
    }
    while (verb < COUNT_OF(verbs) && !slice_equal(what, slice_from_cstr(verbs[verb])))
        verb++;
    if (verb == COUNT_OF(verbs)) {
        control_error(output, "list, add, remove, enable or disable");
        return;
    }
    for (size_t i = 0; i < forwards->count; i++)
        if (is_meant(request, forwards->all[i])) {
            meant++;
            changed += change(output->keeper, (enum verb)verb, forwards->all[i]) ? 1 : 0;
        }
    if (meant == 0)
        control_error(output, "there is no such forward");
    else if (changed < meant)
        control_error(output, "it is written in the settings: remove it there, or disable it");
    else
        control_line(output, json_pack("{s:I}", "changed", (json_int_t)changed));
    if (changed > 0)
        forwards_changed(output->keeper);
}
