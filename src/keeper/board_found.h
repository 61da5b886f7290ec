/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what a test found: the verdict over its hosts, its story as JSON for the store, words for the history. */
#ifndef KEEPER_BOARD_FOUND_H
#define KEEPER_BOARD_FOUND_H

#include "base/buffer.h"
#include "ipc/pack.h"
#include "policy/board.h"

/* BOARD_UNKNOWN when nothing can be said now. */
enum board_verdict board_found_judge(const struct ipc_tls_tested *tested,
                                     struct board_sum *sum_out);
/* The host that reached the highest level, the first of them; zeroed when there is none. */
void board_found_best(const struct ipc_tls_tested *tested, struct ipc_tested_host *best_out);
/* Why it is no better: of the first host that says so, else of the domain. */
void board_found_why(const struct ipc_tls_tested *tested, char *why_out_cstr, size_t size);
/* The whole test as one JSON object; hosts that do not fit are left out. */
void board_found_write(const struct ipc_tls_tested *tested, enum board_verdict verdict,
                       int64_t at_ms, struct buffer *out);

#endif
