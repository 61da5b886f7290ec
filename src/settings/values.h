/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One written value to one typed value: times like "15m", sizes like "50M", addresses, networks, names.
 * Pure: no allocation, no look-up, no error text (the caller knows which setting it was and says what to
 * write instead). Every function returns false and leaves its result alone when the text is not one.
 */
#ifndef SETTINGS_VALUES_H
#define SETTINGS_VALUES_H

#include "settings/settings.h"

/* "250ms" "30s" "15m" "4h" "30d" "2w", and "0": milliseconds. Whole numbers only, below 100 years. */
MUST_CHECK bool value_duration_parse(struct slice text, int64_t *ms_out);
/* "2026-12-31": the end of that day in UTC, unix milliseconds. Years 1970 to 9999. */
MUST_CHECK bool value_date_parse(struct slice text, int64_t *end_ms_out);
/* "4096" "256K" "50M" "2G": bytes (powers of 1024), below 2^60. */
MUST_CHECK bool value_size_parse(struct slice text, uint64_t *bytes_out);
/* yes true on; no false off. */
MUST_CHECK bool value_flag_parse(struct slice text, bool *flag_out);
/* "127.0.0.1:2525" or "[::1]:2525"; the port is 1..65535. */
MUST_CHECK bool value_address_parse(struct slice text, struct sockaddr_storage *address_out,
                                    socklen_t *len_out);
/* "192.0.2.0/24", "2001:db8::/32" or one address; bits behind the prefix must be zero. */
MUST_CHECK bool value_network_parse(struct slice text, struct settings_network *network_out);
/* Is this a domain name of A-labels: letters, digits, hyphens, dots; any case [RFC 1123 §2.1]? */
bool value_is_domain(struct slice text);
/* Is this local@domain with plain characters? */
bool value_is_address(struct slice text);
/* "host", "host:port", "[192.0.2.1]", "[192.0.2.1]:port". port_out = 0 when none is written. */
MUST_CHECK bool value_host_port_parse(struct slice text, struct slice *host_out,
                                      uint16_t *port_out);
/* Has this the form that libargon2 writes, with a cost that the server is willing to pay? */
bool value_is_argon2id(struct slice text);
/* A SHA-256 in hexadecimal, colons between the bytes or none; any case. */
bool value_is_fingerprint(struct slice text);
/* A domain name, or "*." and one: every name below it. */
bool value_is_domain_pattern(struct slice text);
/* https://host[:port], nothing behind it. */
bool value_is_origin(struct slice text);

#endif
