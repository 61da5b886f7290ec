/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/bounce.h"

#include "base/encode.h"
#include "crypto/digest.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/portal_copy.h"
#include "keeper/results.h"
#include "store/message.h"

#include <string.h>

enum { MAC_BYTES = 10, MAC_DIGITS = 2 * MAC_BYTES };

/* Whose bounces an address takes: those of a mail of ours, or of one recipient of a message that went on. */
struct bounced {
    uint64_t message; /* 0: no address that we made */
    uint64_t number;
    bool has_number;
};

static void mac_of(struct keeper *keeper, const struct bounced *bounced,
                   char text_out[MAC_DIGITS + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[16], mac[SHA256_BYTES];

    for (int i = 0; i < 8; i++) {
        text[i] = (uint8_t)(bounced->message >> (8 * i));
        text[8 + i] = (uint8_t)(bounced->number >> (8 * i));
    }
    hmac_sha256(slice_of(store_key_bounce(keeper->store)->bytes, SECRET_BYTES),
                slice_of(text, bounced->has_number ? 16 : 8), mac);
    for (size_t i = 0; i < MAC_BYTES; i++) {
        text_out[2 * i] = digits[mac[i] >> 4];
        text_out[2 * i + 1] = digits[mac[i] & 15];
    }
    text_out[MAC_DIGITS] = '\0';
}

void bounce_address(struct keeper *keeper, uint64_t message, struct slice domain,
                    struct buffer *out)
{
    char id_text[ID_TEXT_SIZE], mac_text[MAC_DIGITS + 1];

    id_write(message, id_text);
    mac_of(keeper, &(struct bounced){.message = message}, mac_text);
    if (!buffer_append_format(out, "bounce+%s-%s@%.*s", id_text, mac_text, SLICE_ARGS(domain)))
        buffer_clear(out);
}

void bounce_address_of(struct keeper *keeper, uint64_t message, uint64_t number,
                       struct slice domain, struct buffer *out)
{
    char id_text[ID_TEXT_SIZE], mac_text[MAC_DIGITS + 1];

    id_write(message, id_text);
    mac_of(keeper, &(struct bounced){message, number, true}, mac_text);
    if (!buffer_append_format(out, "bounce+%s+%llu-%s@%.*s", id_text,
                              (unsigned long long)number, mac_text, SLICE_ARGS(domain)))
        buffer_clear(out);
}

static struct bounced parse(struct keeper *keeper, struct slice address)
{
    static const struct bounced nobody = {0};
    char mac_text[MAC_DIGITS + 1];
    uint8_t lower[MAC_DIGITS];
    struct slice numbers, id_part;
    struct bounced bounced = {0};

    if (!slice_starts_with_nocase(address, S("bounce+")))
        return nobody;
    address = slice_from(address, strlen("bounce+"));
    numbers = slice_cut(&address, '-');
    address = slice_cut(&address, '@');
    bounced.has_number = slice_find_byte(numbers, '+') < numbers.len;
    id_part = slice_cut(&numbers, '+');
    if (!id_parse(id_part, &bounced.message) || address.len != MAC_DIGITS ||
        (bounced.has_number && !slice_parse_u64(numbers, &bounced.number)))
        return nobody;
    mac_of(keeper, &bounced, mac_text);
    for (size_t i = 0; i < MAC_DIGITS; i++)
        lower[i] = byte_lower(address.at[i]);
    return bytes_equal_constant_time(lower, (const uint8_t *)mac_text, MAC_DIGITS) ? bounced
                                                                                   : nobody;
}

/* What went on was taken out there and came back: now its sender must hear of it. */
static void forward_bounced(struct keeper *keeper, const struct store_message *message,
                            uint64_t number)
{
    struct store_recipient row;

    if (!store_recipient_get(keeper->store, message->id, number, &row) ||
        row.state != STATE_DELIVERED || (row.flags & RECIPIENT_BOUNCED) != 0)
        return;
    story_tell(keeper, message->id, (int64_t)number, EVENT_BOUNCED, NULL, 0);
    row.flags |= RECIPIENT_BOUNCED;
    if (results_reports(&row, message->sender != 0, OWES_FAILURE)) {
        row.owes |= OWES_FAILURE;
        row.due_ms = schedule_stamp(keeper, clock_unix_ms());
    }
    store_recipient_update(keeper->store, &row);
    results_settle(keeper, &row);
}

bool bounce_check(struct keeper *keeper, const struct ipc_accept *accept, struct err *err)
{
    struct slice rest = accept->recipients;
    struct ipc_recipient item;

    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE)
        if (parse(keeper, item.address).message == 0)
            return FAIL_SMTP(err, ERR_PERM, 550, "5.1.1", "no such address here");
    return true;
}

void bounce_write(struct keeper *keeper, const struct ipc_accept *accept)
{
    struct slice rest = accept->recipients;
    struct ipc_recipient item;
    struct store_message message;

    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE) {
        struct bounced bounced = parse(keeper, item.address);

        if (bounced.message == 0 ||
            !store_message_get(keeper->store, bounced.message, &message))
            continue;
        if (bounced.has_number)
            forward_bounced(keeper, &message, bounced.number);
        else if (message.kind == KIND_NOTICE)
            portal_notice_bounced(keeper, message.parent, message.parent_number, message.id);
        else
            story_tell(keeper, message.id, 0, EVENT_BOUNCED, NULL, 0);
    }
}
