/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of the server as text for people: aligned, one fact a line, times in UTC. What came from
 * strangers (replies, names) is printed without control characters, which could move a terminal.
 */
#ifndef POSTERN_RENDER_H
#define POSTERN_RENDER_H

#include <jansson.h>
#include <stdio.h>

/* Each takes the array of answers, see office/README.md. */
void render_trace(const json_t *messages, FILE *to);
void render_queue(const json_t *recipients, FILE *to);
void render_retraction(const json_t *recipients, FILE *to);
void render_explanation(const json_t *recipients, FILE *to);
void render_domains(const json_t *domains, FILE *to);
void render_tls_domain(const json_t *domain, FILE *to);
void render_tls_list(const json_t *domains, FILE *to);
void render_tls_report(const json_t *report, FILE *to);
void render_sts(const json_t *policies, FILE *to);
void render_routes(const json_t *routes, FILE *to);
void render_tls_reports(const json_t *answers, FILE *to);
void render_forwards(const json_t *forwards, FILE *to);
void render_forward_change(const json_t *answers, FILE *to);
void render_status(const json_t *status, FILE *to);

#endif
