/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a message back, with the honest answer for each recipient. */
#ifndef KEEPER_RETRACT_H
#define KEEPER_RETRACT_H

#include "keeper/state.h"
#include "policy/verdict.h"

enum retraction {
    RETRACT_STOPPED, /* nobody read it, nobody will */
    RETRACT_ENDED,   /* it was read; access has ended */
    RETRACT_CANNOT,  /* it left the house */
    RETRACT_SENDING, /* it is leaving right now */
    RETRACT_OVER,    /* it had ended before */
};

/* Pure. is_working: a job for it is under way. */
enum retraction retraction_for(enum recipient_state state, enum method method, bool is_working);

#endif
