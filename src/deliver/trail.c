/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/trail.h"

#include "net/connection.h"

#include <stdio.h>
#include <string.h>

void trail_say(struct delivery *delivery, const char *text_cstr)
{
    const struct delivery_evidence *evidence = &delivery->evidence;

    delivery_trail(delivery, evidence->mx_cstr, evidence->address_cstr, text_cstr);
    snprintf(delivery->walk.last_why_cstr, sizeof delivery->walk.last_why_cstr, "%s: %s",
             evidence->mx_cstr, text_cstr);
}

void trail_say_replies(struct delivery *delivery)
{
    const struct delivery_recipient *told = NULL;
    char text_cstr[160];

    for (size_t i = 0; i < delivery->recipient_count; i++) {
        const struct delivery_recipient *recipient = &delivery->recipients[i];

        if (recipient->state == RECIPIENT_DONE && recipient->outcome == OUTCOME_DELIVERED) {
            trail_say(delivery, "delivered");
            return;
        }
        if (recipient->code != 0)
            told = recipient;
    }
    if (told == NULL) {
        trail_say(delivery, "nobody was accepted");
        return;
    }
    snprintf(text_cstr, sizeof text_cstr, "%u %.*s", (unsigned)told->code,
             SLICE_ARGS(slice_head(told->reply, 120)));
    trail_say(delivery, text_cstr);
}

void trail_begin(struct delivery *delivery, const char *host_cstr,
                 const struct sockaddr_storage *to)
{
    struct delivery_evidence *evidence = &delivery->evidence;

    memset(evidence, 0, sizeof *evidence);
    snprintf(evidence->mx_cstr, sizeof evidence->mx_cstr, "%s", host_cstr);
    address_write((const struct sockaddr *)to, evidence->address_cstr,
                  sizeof evidence->address_cstr);
}
