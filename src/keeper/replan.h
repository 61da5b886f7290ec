/* SPDX-License-Identifier: Apache-2.0 */
/* Planning a recipient anew: the required proof was not to be had, or its method is none any more. */
#ifndef KEEPER_REPLAN_H
#define KEEPER_REPLAN_H

#include "store/recipient.h"

struct keeper;

/*
 * Inside of a batch: plan the recipient's row anew, write row and events, and bring `row` up to
 * date (its due_ms is set for results_settle). Its texts need not be set.
 */
void replan_write(struct keeper *keeper, struct store_recipient *row);

/* Would a new plan after lost proof be no other one? Then nothing is left but to wait for the proof. */
bool replan_is_vain(struct keeper *keeper, uint64_t message, uint64_t number);

#endif
