/* SPDX-License-Identifier: Apache-2.0 */
/* What one attempt for one recipient has shown, as the texts of its event, and what holds it if TLS does. */
#ifndef KEEPER_EVIDENCE_H
#define KEEPER_EVIDENCE_H

#include "keeper/deliver.h"

/* As in the table of story.c: the connection, when it is tried again, what the decision table said. */
enum {
    EVIDENCE_AGAIN = 13,
    EVIDENCE_TEXTS = 21,
    EVIDENCE_NUMBER_SIZE = 24,
    EVIDENCE_HELD_SIZE = 900
};

struct evidence {
    struct slice texts[EVIDENCE_TEXTS]; /* views into the answer, and into this struct */
    char code_cstr[EVIDENCE_NUMBER_SIZE], again_cstr[EVIDENCE_NUMBER_SIZE],
        row_cstr[EVIDENCE_NUMBER_SIZE];
    enum hold hold; /* TLS is why it does not leave; then the reply says what in words */
    char held_cstr[EVIDENCE_HELD_SIZE];
};

/* Nothing holds it yet. */
void evidence_fill(const struct ipc_delivered *delivered, const struct ipc_result *result,
                   struct evidence *evidence_out);
/* Inside of a batch: what holds it, in the evidence and the figures; the alarm when TLS has vanished. */
void evidence_find_hold(struct keeper *keeper, const struct job *job,
                        const struct store_recipient *row,
                        const struct ipc_delivered *delivered, const struct ipc_result *result,
                        struct evidence *evidence);
/* Inside of a batch: the event. again_ms: when it is tried again; 0 = not. */
void evidence_tell(struct keeper *keeper, const struct store_recipient *row,
                   enum event_kind kind, struct evidence *evidence, int64_t again_ms);

#endif
