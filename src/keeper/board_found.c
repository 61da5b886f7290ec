/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/board_found.h"

#include "keeper/control.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HOSTS_MAX = 200 };

static enum proof_level level_of(uint64_t number)
{
    return number < PROOF_COUNT ? (enum proof_level)number : PROOF_NONE;
}

static enum dane_state dane_of(uint64_t number)
{
    return number < DANE_COUNT ? (enum dane_state)number : DANE_NOT_ASKED;
}

static enum mx_proof mx_proof_of(uint64_t number)
{
    return number < MX_PROOF_COUNT ? (enum mx_proof)number : MX_PROOF_NONE;
}

static enum sts_state sts_of(const struct ipc_tls_tested *tested)
{
    return tested->sts < STS_COUNT ? (enum sts_state)tested->sts : STS_NONE;
}

enum board_verdict board_found_judge(const struct ipc_tls_tested *tested,
                                     struct board_sum *sum_out)
{
    struct slice rest = tested->hosts;
    struct ipc_tested_host host;

    *sum_out = (struct board_sum){0};
    if (!tested->ok)
        return tested->temporary ? BOARD_UNKNOWN : BOARD_NO_MAIL;
    while (ipc_list_next(&rest, IPC_TESTED_HOST, &host) == PROGRESS_DONE) {
        struct board_host one = {.was_reached = host.reached,
                                 .has_starttls = host.starttls,
                                 .is_tls_1_3 = slice_equal(host.tls, S("TLSv1.3")),
                                 .is_webpki = host.webpki,
                                 .has_requiretls = host.requiretls,
                                 .level = level_of(host.level),
                                 .dane = dane_of(host.dane),
                                 .mx_proof = mx_proof_of(host.mx_proof)};

        board_add(sum_out, &one);
    }
    return board_judge(sum_out, tested->mx_secure, sts_of(tested));
}

void board_found_best(const struct ipc_tls_tested *tested, struct ipc_tested_host *best_out)
{
    struct slice rest = tested->hosts;
    struct ipc_tested_host host;
    bool has_best = false;

    *best_out = (struct ipc_tested_host){.mx = S(""), .why = S("")};
    while (ipc_list_next(&rest, IPC_TESTED_HOST, &host) == PROGRESS_DONE)
        if (host.reached && (!has_best || host.level > best_out->level)) {
            *best_out = host;
            has_best = true;
        }
}

void board_found_why(const struct ipc_tls_tested *tested, char *why_out_cstr, size_t size)
{
    struct slice rest = tested->hosts;
    struct ipc_tested_host host;

    snprintf(why_out_cstr, size, "%.*s", SLICE_ARGS(slice_head(tested->why, 150)));
    while (tested->ok && ipc_list_next(&rest, IPC_TESTED_HOST, &host) == PROGRESS_DONE)
        if (host.why.len > 0) {
            snprintf(why_out_cstr, size, "%.*s: %.*s", SLICE_ARGS(slice_head(host.mx, 80)),
                     SLICE_ARGS(slice_head(host.why, 110)));
            return;
        }
}

static void set_flag(json_t *object, const char *key_cstr, bool flag)
{
    json_object_set_new(object, key_cstr, json_boolean(flag));
}

static json_t *host_object(const struct ipc_tested_host *host)
{
    json_t *object = json_object();

    json_object_set_new(object, "preference", json_integer((json_int_t)host->preference));
    control_set_text(object, "mx", host->mx);
    control_set_text(object, "address", host->address);
    set_flag(object, "reached", host->reached);
    set_flag(object, "starttls", host->starttls);
    control_set_text(object, "tls", host->tls);
    control_set_text(object, "cipher", host->cipher);
    control_set_text(object, "group", host->group);
    control_set_text(object, "certificate", host->certificate);
    control_set_text(object, "names", host->names);
    control_set_text(object, "issuer", host->issuer);
    control_set_number(object, "not_after_ms", host->not_after_s * 1000);
    set_flag(object, "webpki", host->webpki);
    json_object_set_new(object, "dane", json_string(dane_state_name(dane_of(host->dane))));
    control_set_text(object, "tlsa", host->tlsa);
    json_object_set_new(object, "mx_proof",
                        json_string(mx_proof_name(mx_proof_of(host->mx_proof))));
    json_object_set_new(object, "level", json_string(proof_level_name(level_of(host->level))));
    set_flag(object, "requiretls", host->requiretls);
    set_flag(object, "small_hello", host->small_hello);
    control_set_number(object, "row", (int64_t)host->row);
    control_set_text(object, "why", host->why);
    return object;
}

static json_t *found_object(const struct ipc_tls_tested *tested, enum board_verdict verdict,
                            int64_t at_ms, size_t hosts_max)
{
    struct slice rest = tested->hosts;
    struct ipc_tested_host host;
    json_t *object = json_object(), *hosts = json_array();

    json_object_set_new(object, "at_ms", json_integer(at_ms));
    json_object_set_new(object, "found", json_string(board_verdict_name(verdict)));
    set_flag(object, "mx_secure", tested->mx_secure);
    json_object_set_new(object, "sts", json_string(sts_state_name(sts_of(tested))));
    control_set_text(object, "sts_id", tested->sts_id);
    control_set_text(object, "lookups", slice_head(tested->lookups, 4000));
    control_set_text(object, "why", tested->why);
    while (json_array_size(hosts) < hosts_max &&
           ipc_list_next(&rest, IPC_TESTED_HOST, &host) == PROGRESS_DONE)
        json_array_append_new(hosts, host_object(&host));
    json_object_set_new(object, "hosts", hosts);
    return object;
}

void board_found_write(const struct ipc_tls_tested *tested, enum board_verdict verdict,
                       int64_t at_ms, struct buffer *out)
{
    for (size_t max = HOSTS_MAX;; max /= 2) {
        json_t *object = found_object(tested, verdict, at_ms, max);
        char *text_cstr = json_dumps(object, JSON_COMPACT);
        bool fits;

        must(text_cstr != NULL);
        fits = buffer_append(out, slice_from_cstr(text_cstr));
        free(text_cstr);
        json_decref(object);
        if (fits || max == 0)
            return;
    }
}
