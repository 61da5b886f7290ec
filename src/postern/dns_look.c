/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/dns_look.h"

#include "base/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMTP_PORT = 25 };

struct looking;

/* One record, and where its answer goes. */
struct place {
    struct looking *looking;
    const struct wanted *wanted;
    struct look *look;
};

struct looking {
    struct loop *loop;
    size_t waiting;
    struct place places[WANTED_MAX];
};

const char *look_state_name(enum look_state state)
{
    static const char *const names[LOOK_COUNT] = {
        [LOOK_RIGHT] = "right",       [LOOK_OTHER] = "other",     [LOOK_MISSING] = "missing",
        [LOOK_UNSIGNED] = "unsigned", [LOOK_UNKNOWN] = "unknown",
    };

    return names[state];
}

/* ---- what was found ---- */

/* Add to what was found; strangers' bytes that are not printable become question marks. */
static void note(struct look *look, struct slice text)
{
    size_t len = strlen(look->found_cstr);

    if (len > 0 && len + 3 < sizeof look->found_cstr) {
        (void)snprintf(look->found_cstr + len, sizeof look->found_cstr - len, ", ");
        len += 2;
    }
    for (size_t i = 0; i < text.len && len + 1 < sizeof look->found_cstr; i++)
        look->found_cstr[len++] =
            text.at[i] >= ' ' && text.at[i] <= '~' ? (char)text.at[i] : '?';
    look->found_cstr[len] = '\0';
}

static void finish(struct place *place, enum look_state state)
{
    place->look->state = state;
    if (--place->looking->waiting == 0)
        loop_stop(place->looking->loop);
}

/* True when there was no answer to compare: the place is finished. */
static bool ends_without(struct place *place, enum resolver_outcome outcome,
                         enum dnssec_state dnssec, const char *text_cstr)
{
    place->look->is_signed = dnssec == DNSSEC_SECURE;
    switch (outcome) {
    case RESOLVER_FOUND:
        return false;
    case RESOLVER_NULL_MX:
        note(place->look, S("a null MX: the domain says that it takes no mail"));
        finish(place, LOOK_OTHER);
        return true;
    case RESOLVER_NO_DOMAIN:
    case RESOLVER_NO_DATA:
        finish(place, LOOK_MISSING);
        return true;
    case RESOLVER_TRY_LATER:
        break;
    }
    note(place->look, slice_from_cstr(text_cstr));
    finish(place, LOOK_UNKNOWN);
    return true;
}

static void on_mx(void *context, uint64_t ask, const struct resolver_mx_answer *answer)
{
    struct place *place = context;
    struct slice wanted = slice_from_cstr(place->wanted->data_cstr);
    bool is_there = false;

    (void)ask;
    if (ends_without(place, answer->outcome, answer->dnssec, answer->text_cstr))
        return;
    if (answer->is_implicit) {
        finish(place, LOOK_MISSING);
        return;
    }
    for (size_t i = 0; i < answer->count; i++) {
        note(place->look, slice_from_cstr(answer->mx[i].host_cstr));
        is_there =
            is_there || slice_equal_nocase(slice_from_cstr(answer->mx[i].host_cstr), wanted);
    }
    finish(place, is_there ? LOOK_RIGHT : LOOK_OTHER);
}

static void on_addresses(void *context, uint64_t ask,
                         const struct resolver_address_answer *answer)
{
    struct place *place = context;
    char text_cstr[64];

    (void)ask;
    if (ends_without(place, answer->outcome, answer->dnssec, answer->text_cstr))
        return;
    (void)snprintf(text_cstr, sizeof text_cstr, "%zu address%s", answer->count,
                   answer->count == 1 ? "" : "es");
    note(place->look, slice_from_cstr(text_cstr));
    finish(place, LOOK_RIGHT);
}

/* The rdata of a record as it is written in zones. */
static bool is_tlsa(const struct tlsa_set *set, const struct tlsa_record *record,
                    const char *wanted_cstr)
{
    struct buffer text;
    bool is_same;

    buffer_init(&text, TLSA_BYTES_MAX * 2 + 16);
    must(buffer_append_format(&text, "%u %u %u ", record->usage, record->selector,
                              record->matching) &&
         hex_append(&text, tlsa_data(set, record)));
    is_same = slice_equal(buffer_view(&text), slice_from_cstr(wanted_cstr));
    buffer_deinit(&text);
    return is_same;
}

static void on_tlsa(void *context, uint64_t ask, const struct resolver_tlsa_answer *answer)
{
    struct place *place = context;
    bool is_there = false;

    (void)ask;
    if (answer->outcome == RESOLVER_NO_DATA && answer->dnssec != DNSSEC_SECURE) {
        note(place->look, slice_from_cstr(answer->text_cstr));
        finish(place, LOOK_UNSIGNED);
        return;
    }
    if (ends_without(place, answer->outcome, answer->dnssec, answer->text_cstr))
        return;
    for (size_t i = 0; i < answer->set->count; i++) {
        char text_cstr[TLSA_TEXT_SIZE];

        tlsa_write_text(answer->set, &answer->set->records[i], text_cstr);
        note(place->look, slice_from_cstr(text_cstr));
        is_there = is_there ||
                   is_tlsa(answer->set, &answer->set->records[i], place->wanted->data_cstr);
    }
    finish(place, is_there ? LOOK_RIGHT : LOOK_OTHER);
}

/* ---- texts ---- */

static struct slice start_of(enum wanted_kind kind)
{
    switch (kind) {
    case WANTED_STS:
        return S("v=STSv1");
    case WANTED_TLSRPT:
        return S("v=TLSRPTv1");
    case WANTED_SPF:
        return S("v=spf1");
    case WANTED_DMARC:
        return S("v=DMARC1");
    case WANTED_DKIM: /* whatever stands at a selector is meant as a key */
    case WANTED_MX:
    case WANTED_HOST:
    case WANTED_TLSA:
    case WANTED_STS_HOST:
    case WANTED_COUNT:
        break;
    }
    return S("");
}

/* A tag of "a=b; c=d", without blanks inside of its value. False: it is not there. */
static bool read_tag(struct slice text, struct slice name, struct buffer *value_out)
{
    while (text.len > 0) {
        struct slice value = slice_cut(&text, ';');

        if (!slice_equal(slice_trim(slice_cut(&value, '=')), name))
            continue;
        for (size_t i = 0; i < value.len; i++)
            if (value.at[i] > ' ' && !buffer_append_byte(value_out, value.at[i]))
                return false;
        return true;
    }
    return false;
}

/* Of a key only p= counts, of an announcement id=: order, blanks and other tags are their owner's business. */
static bool is_same_text(enum wanted_kind kind, struct slice found, struct slice wanted)
{
    struct slice tag = kind == WANTED_DKIM ? S("p") : S("id");
    struct buffer left, right;
    bool is_same;

    if (!wanted_is_exact(kind))
        return true;
    buffer_init(&left, WANTED_DATA_SIZE);
    buffer_init(&right, WANTED_DATA_SIZE);
    is_same = read_tag(found, tag, &left) && read_tag(wanted, tag, &right) &&
              slice_equal(buffer_view(&left), buffer_view(&right));
    buffer_deinit(&left);
    buffer_deinit(&right);
    return is_same;
}

static void on_texts(void *context, uint64_t ask, const struct resolver_txt_answer *answer)
{
    struct place *place = context;
    enum wanted_kind kind = place->wanted->kind;
    size_t count = 0;
    bool is_there = false;

    (void)ask;
    if (ends_without(place, answer->outcome, answer->dnssec, answer->text_cstr))
        return;
    for (size_t i = 0; i < answer->texts->count; i++) {
        struct slice text = dns_text(answer->texts, i);

        if (!slice_starts_with_nocase(text, start_of(kind)))
            continue;
        count++;
        note(place->look, text);
        is_there =
            is_there || is_same_text(kind, text, slice_from_cstr(place->wanted->data_cstr));
    }
    /* Two of one kind count as none for whoever reads them [RFC 7208 §4.5, RFC 8461 §3.1, RFC 8460 §3]. */
    finish(place, count == 0 ? LOOK_MISSING : is_there && count == 1 ? LOOK_RIGHT : LOOK_OTHER);
}

/* ---- all of them ---- */

static void ask_for(struct resolver *resolver, struct place *place)
{
    const struct wanted *wanted = place->wanted;
    const char *host_cstr = strstr(wanted->name_cstr, "_tcp.");

    switch (wanted->kind) {
    case WANTED_MX:
        (void)resolver_ask_mx(resolver, wanted->name_cstr, on_mx, place);
        break;
    case WANTED_HOST:
    case WANTED_STS_HOST:
        (void)resolver_ask_addresses(resolver, wanted->name_cstr, on_addresses, place);
        break;
    case WANTED_TLSA:
        must(host_cstr != NULL);
        (void)resolver_ask_tlsa(resolver, host_cstr + strlen("_tcp."), SMTP_PORT, on_tlsa,
                                place);
        break;
    case WANTED_STS:
    case WANTED_TLSRPT:
    case WANTED_DKIM:
    case WANTED_SPF:
    case WANTED_DMARC:
    case WANTED_COUNT:
        (void)resolver_ask_txt(resolver, wanted->name_cstr, on_texts, place);
        break;
    }
}

void look_at(struct loop *loop, struct resolver *resolver, const struct wanted_list *list,
             struct look *looks_out)
{
    struct looking looking = {.loop = loop, .waiting = list->count};

    for (size_t i = 0; i < list->count; i++) {
        looks_out[i] = (struct look){.state = LOOK_UNKNOWN};
        looking.places[i] = (struct place){&looking, &list->all[i], &looks_out[i]};
        ask_for(resolver, &looking.places[i]);
    }
    if (looking.waiting > 0)
        loop_run(loop);
}
