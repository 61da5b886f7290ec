/* SPDX-License-Identifier: Apache-2.0 */
#include "net/dns.h"

#include <stdlib.h>
#include <string.h>

enum { HEADER_BYTES = 12, RECORD_BYTES = 10, JUMPS_MAX = 64, LABEL_MAX = 63, CLASS_IN = 1 };

struct reader {
    struct slice packet;
    size_t at;
};

struct record {
    char owner_cstr[DNS_NAME_SIZE];
    unsigned type, class;
    uint32_t ttl_s;
    size_t data_at, data_len;
};

static bool read_u16(struct reader *reader, unsigned *value_out)
{
    const uint8_t *from;

    if (reader->packet.len - reader->at < 2)
        return false;
    from = reader->packet.at + reader->at;
    *value_out = (unsigned)from[0] << 8 | from[1];
    reader->at += 2;
    return true;
}

/* A byte of a label as it may stand in a host name; '?' for any other. */
static char label_byte(uint8_t byte)
{
    byte = byte_lower(byte);
    if (byte_is_alpha(byte) || byte_is_digit(byte) || byte == '-' || byte == '_')
        return (char)byte;
    return '?';
}

static bool put_label(struct slice label, char *text, size_t *len)
{
    if (*len + (*len > 0) + label.len >= DNS_NAME_SIZE)
        return false;
    if (*len > 0)
        text[(*len)++] = '.';
    for (size_t i = 0; i < label.len; i++)
        text[(*len)++] = label_byte(label.at[i]);
    return true;
}

/*
 * One name at reader->at, which moves behind it. A pointer must point before the place where the
 * present run of labels began, so a loop cannot be built.
 */
static bool read_name(struct reader *reader, char text_out[DNS_NAME_SIZE])
{
    size_t at = reader->at, floor = reader->at, len = 0;
    bool jumped = false;

    for (unsigned steps = 0; steps < JUMPS_MAX + DNS_NAME_SIZE; steps++) {
        uint8_t head;

        if (at >= reader->packet.len)
            return false;
        head = reader->packet.at[at];
        if (head >= 0xC0) {
            size_t target;

            if (reader->packet.len - at < 2)
                return false;
            target = (size_t)(head & 0x3F) << 8 | reader->packet.at[at + 1];
            if (target >= floor)
                return false;
            if (!jumped)
                reader->at = at + 2;
            jumped = true;
            at = floor = target;
            continue;
        }
        if (head > LABEL_MAX || reader->packet.len - at - 1 < head)
            return false;
        at += 1 + (size_t)head;
        if (head == 0) {
            if (!jumped)
                reader->at = at;
            text_out[len] = '\0';
            return true;
        }
        if (!put_label(slice_of(reader->packet.at + at - head, head), text_out, &len))
            return false;
    }
    return false;
}

static bool read_record(struct reader *reader, struct record *record)
{
    unsigned high, low, len;

    if (!read_name(reader, record->owner_cstr) || !read_u16(reader, &record->type) ||
        !read_u16(reader, &record->class) || !read_u16(reader, &high) ||
        !read_u16(reader, &low) || !read_u16(reader, &len))
        return false;
    record->ttl_s = (uint32_t)high << 16 | low;
    record->data_at = reader->at;
    record->data_len = len;
    if (reader->packet.len - reader->at < len)
        return false;
    reader->at += len;
    return true;
}

bool dns_is_host_name(struct slice name)
{
    bool last_is_digits = true;

    if (name.len == 0 || name.len > 253)
        return false;
    while (name.len > 0) {
        bool more = slice_find_byte(name, '.') < name.len;
        struct slice label = slice_cut(&name, '.');

        if (label.len == 0 || label.len > LABEL_MAX || (more && name.len == 0))
            return false;
        last_is_digits = true;
        for (size_t i = 0; i < label.len; i++) {
            if (label.at[i] == '?' || label_byte(label.at[i]) == '?')
                return false;
            last_is_digits = last_is_digits && byte_is_digit(label.at[i]);
        }
    }
    return !last_is_digits;
}

static void lower_ttl(struct dns_answer *answer, uint32_t ttl_s)
{
    if (ttl_s < answer->ttl_s)
        answer->ttl_s = ttl_s;
}

/* Keep the best DNS_MX_MAX, sorted by preference. */
static void keep_mx(struct dns_answer *answer, unsigned preference, const char *host_cstr)
{
    size_t at = answer->mx_count;

    while (at > 0 && answer->mx[at - 1].preference > preference)
        at--;
    if (at == DNS_MX_MAX)
        return;
    if (answer->mx_count < DNS_MX_MAX)
        answer->mx_count++;
    memmove(&answer->mx[at + 1], &answer->mx[at],
            (answer->mx_count - at - 1) * sizeof answer->mx[0]);
    answer->mx[at].preference = (uint16_t)preference;
    memcpy(answer->mx[at].host_cstr, host_cstr, strlen(host_cstr) + 1);
}

static bool take_mx(struct slice packet, const struct record *record, struct dns_answer *answer)
{
    /* The record's own length ends the name; pointers still reach back into the whole packet. */
    struct reader reader = {slice_head(packet, record->data_at + record->data_len),
                            record->data_at};
    char host_cstr[DNS_NAME_SIZE];
    unsigned preference;

    if (!read_u16(&reader, &preference) || !read_name(&reader, host_cstr))
        return false;
    if (host_cstr[0] == '\0')
        answer->is_null_mx = true;
    if (dns_is_host_name(slice_from_cstr(host_cstr)))
        keep_mx(answer, preference, host_cstr);
    else
        answer->unusable++;
    return true;
}

static bool take_address(struct slice packet, const struct record *record,
                         struct dns_answer *answer)
{
    size_t len = record->type == DNS_TYPE_A ? 4 : 16;
    struct dns_address *address;

    if (record->data_len != len)
        return false;
    if (answer->address_count == DNS_ADDRESSES_MAX)
        return true;
    address = &answer->addresses[answer->address_count++];
    *address = (struct dns_address){.is_ipv6 = record->type == DNS_TYPE_AAAA};
    memcpy(address->bytes, packet.at + record->data_at, len);
    return true;
}

/* The next record of this type and owner. DONE: here it is. WAIT: there are no more. */
static enum progress next_record(struct reader *reader, unsigned *left, unsigned type,
                                 const char *owner_cstr, struct record *record)
{
    while (*left > 0) {
        (*left)--;
        if (!read_record(reader, record))
            return PROGRESS_FAIL;
        if (record->type == type && record->class == CLASS_IN &&
            strcmp(record->owner_cstr, owner_cstr) == 0)
            return PROGRESS_DONE;
    }
    return PROGRESS_WAIT;
}

/* Follow one CNAME from answer->canonical_cstr. DONE: followed. WAIT: there is none. */
static enum progress follow_alias(struct reader reader, unsigned count,
                                  struct dns_answer *answer)
{
    struct record record;
    struct reader data;
    enum progress got =
        next_record(&reader, &count, DNS_TYPE_CNAME, answer->canonical_cstr, &record);

    if (got != PROGRESS_DONE)
        return got;
    data = (struct reader){slice_head(reader.packet, record.data_at + record.data_len),
                           record.data_at};
    if (!read_name(&data, answer->canonical_cstr))
        return PROGRESS_FAIL;
    lower_ttl(answer, record.ttl_s);
    return PROGRESS_DONE;
}

static bool take_record(struct slice packet, const struct record *record,
                        struct dns_answer *answer)
{
    switch (record->type) {
    case DNS_TYPE_MX:
        return take_mx(packet, record, answer);
    case DNS_TYPE_A:
    case DNS_TYPE_AAAA:
        return take_address(packet, record, answer);
    default: /* TLSA, TXT: dns_tlsa_parse, dns_texts_parse */
        answer->record_count++;
        return true;
    }
}

static bool take_records(struct reader reader, unsigned count, unsigned type,
                         struct dns_answer *answer)
{
    struct record record;
    enum progress got;

    while ((got = next_record(&reader, &count, type, answer->canonical_cstr, &record)) ==
           PROGRESS_DONE) {
        lower_ttl(answer, record.ttl_s);
        if (!take_record(reader.packet, &record, answer))
            return false;
    }
    return got == PROGRESS_WAIT;
}

/* Header and question. On true the reader stands at the first answer record. */
static bool read_head(struct reader *reader, unsigned *rcode_out, unsigned *answers_out)
{
    unsigned id, flags, questions, answers, ignored, type, class;
    char name_cstr[DNS_NAME_SIZE];

    if (!read_u16(reader, &id) || !read_u16(reader, &flags) || !read_u16(reader, &questions) ||
        !read_u16(reader, &answers) || !read_u16(reader, &ignored) ||
        !read_u16(reader, &ignored))
        return false;
    if (questions > 1 || (flags & 0x8000) == 0)
        return false;
    if (questions == 1 && (!read_name(reader, name_cstr) || !read_u16(reader, &type) ||
                           !read_u16(reader, &class)))
        return false;
    *rcode_out = flags & 15;
    *answers_out = answers;
    return true;
}

bool dns_answer_parse(struct slice packet, const char *name_cstr, unsigned type,
                      struct dns_answer *answer_out, struct err *err)
{
    struct reader reader = {packet, 0};
    enum progress got = PROGRESS_DONE;
    unsigned count, aliases = 0;

    must(type == DNS_TYPE_A || type == DNS_TYPE_AAAA || type == DNS_TYPE_MX ||
         type == DNS_TYPE_CNAME || type == DNS_TYPE_TLSA || type == DNS_TYPE_TXT);
    memset(answer_out, 0, sizeof *answer_out);
    answer_out->ttl_s = DNS_TTL_MAX_S;
    if (!slice_to_cstr(slice_from_cstr(name_cstr), answer_out->canonical_cstr, DNS_NAME_SIZE))
        return FAIL(err, ERR_PEER, "the name asked for is too long");
    if (!read_head(&reader, &answer_out->rcode, &count) || count > DNS_RECORDS_MAX)
        return FAIL(err, ERR_PEER, "malformed DNS answer");
    for (unsigned i = 0; got == PROGRESS_DONE; i++) {
        if (i > DNS_CHAIN_MAX)
            return FAIL(err, ERR_PEER, "more than %d aliases in a row", DNS_CHAIN_MAX);
        got = follow_alias(reader, count, answer_out);
        aliases += got == PROGRESS_DONE;
    }
    /* Asked for an alias itself: the records are the chain. */
    if (got != PROGRESS_FAIL && type == DNS_TYPE_CNAME)
        answer_out->record_count = aliases;
    else if (got == PROGRESS_FAIL || !take_records(reader, count, type, answer_out))
        return FAIL(err, ERR_PEER, "malformed record in a DNS answer");
    answer_out->is_null_mx =
        answer_out->is_null_mx && answer_out->mx_count == 0 && answer_out->unusable == 1;
    if (answer_out->mx_count + answer_out->address_count + answer_out->record_count == 0)
        lower_ttl(answer_out, DNS_TTL_NEGATIVE_S);
    return true;
}

/* ---- TLSA and TXT: a second walk over a packet that was read before ---- */

bool dns_tlsa_parse(struct slice packet, const struct dns_answer *answer,
                    struct tlsa_set *set_out, struct err *err)
{
    struct reader reader = {packet, 0};
    struct record record;
    unsigned rcode, left;
    enum progress got;

    memset(set_out, 0, sizeof *set_out);
    if (!read_head(&reader, &rcode, &left))
        return FAIL(err, ERR_PEER, "malformed DNS answer");
    while ((got = next_record(&reader, &left, DNS_TYPE_TLSA, answer->canonical_cstr,
                              &record)) == PROGRESS_DONE)
        if (!tlsa_set_add(set_out, slice_of(packet.at + record.data_at, record.data_len)))
            return FAIL(err, ERR_PEER, "the TLSA records are too many or too long");
    return got == PROGRESS_WAIT || FAIL(err, ERR_PEER, "malformed record in a DNS answer");
}

struct slice dns_text(const struct dns_texts *texts, size_t index)
{
    must(index < texts->count);
    return slice_of(texts->bytes + texts->texts[index].at, texts->texts[index].len);
}

/* The strings of one record behind each other. False: they do not fill the record. */
static bool take_text(struct slice data, struct dns_texts *texts)
{
    size_t room = DNS_TEXTS_BYTES - texts->used_bytes, len = 0;
    uint8_t *to = texts->bytes + texts->used_bytes;
    bool fits = texts->count < DNS_TEXTS_MAX;

    if (room > DNS_TEXT_MAX_BYTES)
        room = DNS_TEXT_MAX_BYTES;
    for (size_t at = 0; at < data.len; at += 1 + (size_t)data.at[at]) {
        size_t part = data.at[at];

        if (part > data.len - at - 1)
            return false;
        fits = fits && part <= room - len;
        if (!fits)
            continue;
        memcpy(to + len, data.at + at + 1, part);
        len += part;
    }
    if (!fits) {
        texts->left_out++;
        return true;
    }
    texts->texts[texts->count].at = (uint16_t)texts->used_bytes;
    texts->texts[texts->count++].len = (uint16_t)len;
    texts->used_bytes += len;
    return true;
}

bool dns_texts_parse(struct slice packet, const struct dns_answer *answer,
                     struct dns_texts *texts_out, struct err *err)
{
    struct reader reader = {packet, 0};
    struct record record;
    unsigned rcode, left;
    enum progress got;

    memset(texts_out, 0, sizeof *texts_out);
    if (!read_head(&reader, &rcode, &left))
        return FAIL(err, ERR_PEER, "malformed DNS answer");
    while ((got = next_record(&reader, &left, DNS_TYPE_TXT, answer->canonical_cstr, &record)) ==
           PROGRESS_DONE)
        if (!take_text(slice_of(packet.at + record.data_at, record.data_len), texts_out))
            return FAIL(err, ERR_PEER, "a TXT record is malformed");
    return got == PROGRESS_WAIT || FAIL(err, ERR_PEER, "malformed record in a DNS answer");
}

size_t dns_mx_arrange(struct dns_mx *mx, size_t count, const char *own_host_cstr,
                      uint64_t chance)
{
    struct slice own = slice_from_cstr(own_host_cstr);
    unsigned limit = UINT16_MAX + 1U;
    size_t left = 0;

    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(slice_from_cstr(mx[i].host_cstr), own) &&
            mx[i].preference < limit)
            limit = mx[i].preference;
    for (size_t i = 0; i < count; i++)
        if (mx[i].preference < limit) {
            struct dns_mx next = mx[i];
            size_t low = left, at;

            /* Insert behind all better ones, at a random place among the equals. */
            while (low > 0 && mx[low - 1].preference >= next.preference)
                low--;
            at = left;
            while (at > low && mx[at - 1].preference > next.preference)
                at--;
            chance = chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            at = low + (size_t)((chance >> 33) % (at - low + 1));
            memmove(&mx[at + 1], &mx[at], (left - at) * sizeof mx[0]);
            mx[at] = next;
            left++;
        }
    return left;
}
