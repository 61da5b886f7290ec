/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/mode.h"

static const char *const words[MODE_SOURCE_COUNT] = {
    [MODE_FROM_RECIPIENT] = "the recipient's address",
    [MODE_FROM_RECIPIENT_DOMAIN] = "the recipient's domain",
    [MODE_FROM_SENDER] = "the sender's address",
    [MODE_FROM_USER] = "the user who sent it",
    [MODE_FROM_SENDER_DOMAIN] = "the sender's domain",
    [MODE_FROM_ACCOUNT] = "the account",
    [MODE_FROM_FORCED_LIST] = "the system-wide forced list",
};

const char *mode_source_words(enum mode_source source)
{
    return (unsigned)source < MODE_SOURCE_COUNT ? words[source] : "?";
}

static bool is_floor(enum delivery_mode mode)
{
    return mode == MODE_FORCED || mode == MODE_EXCLUSIVE;
}

enum delivery_mode policy_mode(const struct mode_facts *facts, enum mode_source *source_out)
{
    enum delivery_mode mode = MODE_TRY;

    *source_out = MODE_FROM_ACCOUNT;
    for (unsigned i = 0; i < COUNT_OF(facts->named); i++)
        if (facts->named[i] != MODE_UNSET) {
            mode = facts->named[i];
            *source_out = (enum mode_source)i;
            break;
        }
    if (facts->is_listed && !is_floor(mode)) {
        *source_out = MODE_FROM_FORCED_LIST;
        return MODE_FORCED;
    }
    return mode;
}
