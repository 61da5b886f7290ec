/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/bounce.h"

#include "base/encode.h"
#include "crypto/digest.h"
#include "keeper/internal.h"
#include "keeper/plan.h"
#include "keeper/portal_copy.h"
#include "store/message.h"

#include <string.h>

enum { MAC_BYTES = 10, MAC_DIGITS = 2 * MAC_BYTES };

static void mac_of(struct keeper *keeper, uint64_t message, char text_out[MAC_DIGITS + 1])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t id[8], mac[SHA256_BYTES];

    for (int i = 0; i < 8; i++)
        id[i] = (uint8_t)(message >> (8 * i));
    hmac_sha256(slice_of(store_key_bounce(keeper->store)->bytes, SECRET_BYTES),
                slice_of(id, sizeof id), mac);
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
    mac_of(keeper, message, mac_text);
    if (!buffer_append_format(out, "bounce+%s-%s@%.*s", id_text, mac_text, SLICE_ARGS(domain)))
        buffer_clear(out);
}

/* The mail's id, or 0 when the address is not one that we made. */
static uint64_t parse(struct keeper *keeper, struct slice address)
{
    char mac_text[MAC_DIGITS + 1];
    uint8_t lower[MAC_DIGITS];
    struct slice id_part;
    uint64_t message;

    if (!slice_starts_with_nocase(address, S("bounce+")))
        return 0;
    address = slice_from(address, strlen("bounce+"));
    id_part = slice_cut(&address, '-');
    address = slice_cut(&address, '@');
    if (!id_parse(id_part, &message) || address.len != MAC_DIGITS)
        return 0;
    mac_of(keeper, message, mac_text);
    for (size_t i = 0; i < MAC_DIGITS; i++)
        lower[i] = byte_lower(address.at[i]);
    return bytes_equal_constant_time(lower, (const uint8_t *)mac_text, MAC_DIGITS) ? message
                                                                                   : 0;
}

bool bounce_check(struct keeper *keeper, const struct ipc_accept *accept, struct err *err)
{
    struct slice rest = accept->recipients;
    struct ipc_recipient item;

    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE)
        if (parse(keeper, item.address) == 0)
            return FAIL_SMTP(err, ERR_PERM, 550, "5.1.1", "no such address here");
    return true;
}

void bounce_write(struct keeper *keeper, const struct ipc_accept *accept)
{
    struct slice rest = accept->recipients;
    struct ipc_recipient item;
    struct store_message message;

    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE) {
        uint64_t id = parse(keeper, item.address);

        if (id == 0 || !store_message_get(keeper->store, id, &message))
            continue;
        if (message.kind == KIND_NOTICE)
            portal_notice_bounced(keeper, message.parent, message.parent_number, id);
        else
            story_tell(keeper, id, 0, EVENT_BOUNCED, NULL, 0);
    }
}
