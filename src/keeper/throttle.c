/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/throttle.h"

int64_t throttle_wait_ms(const struct throttle *throttle, uint64_t hash, uint32_t limit,
                         int64_t window_ms, int64_t now_ms)
{
    const struct throttle_slot *slot = &throttle->slots[hash % THROTTLE_SLOTS];

    if (slot->hash != hash || slot->count < limit || now_ms - slot->since_ms >= window_ms)
        return 0;
    return slot->since_ms + window_ms - now_ms;
}

void throttle_count(struct throttle *throttle, uint64_t hash, int64_t window_ms, int64_t now_ms)
{
    struct throttle_slot *slot = &throttle->slots[hash % THROTTLE_SLOTS];

    if (slot->hash != hash || now_ms - slot->since_ms >= window_ms)
        *slot = (struct throttle_slot){.hash = hash, .since_ms = now_ms};
    slot->count++;
}

void throttle_forget(struct throttle *throttle, uint64_t hash)
{
    struct throttle_slot *slot = &throttle->slots[hash % THROTTLE_SLOTS];

    if (slot->hash == hash)
        *slot = (struct throttle_slot){0};
}
