/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/table.h"

#define SECOND_MS UINT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)
#define DAY_MS (24 * HOUR_MS)
#define KIB (UINT64_C(1) << 10)
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

/* One row a line: aligned by hand, so that the table can be read as a table. */
/* clang-format off */
static const char *const log_words[] = {"debug", "info", "warn", "error", NULL};
static const char *const format_words[] = {"json", "text", NULL};
static const char *const ask_words[] = {"no", "ask", NULL};
static const char *const listener_words[] = {"submission", "submissions", "mx", NULL};
static const char *const mode_words[] = {"inherit", "none", "opportunistic", "forced", "exclusive", "try", NULL};
static const char *const level_words[] = {"none", "encrypted", "verified", "dane", NULL};
static const char *const tls_words[] = {"1.2", "1.3", NULL};
static const char *const requiretls_words[] = {"strict", "relaxed", NULL};
static const char *const unmet_words[] = {"hold", "portal", "clear", NULL};
static const char *const outbound_words[] = {"starttls", "tls", NULL};
static const char *const sts_words[] = {"off", "none", "testing", "enforce", NULL};
static const char *const proof_words[] = {"code", "answer", "link", NULL};

#define AT(field) offsetof(struct STRUCT, field)
#define ROWS(rows) (rows), COUNT_OF(rows)

#define STRUCT settings_listener
static const struct settings_row listener_rows[] = {
    {"kind",    VALUE_WORD,    AT(kind),    0,               NULL, 0, 0, listener_words},
    {"address", VALUE_ADDRESS, AT(address), AT(address_len), NULL, 0, 0, NULL},
    {"client_certificates", VALUE_WORD, AT(client_certificates), 0, "no", 0, 0, ask_words},
};
#undef STRUCT

#define STRUCT settings_certificate
static const struct settings_row certificate_rows[] = {
    {"certificate", VALUE_FILE, AT(certificate), 0, NULL, 0, 0, NULL},
    {"key",         VALUE_FILE, AT(key),         0, NULL, 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_dkim_key
static const struct settings_row dkim_rows[] = {
    {"key", VALUE_FILE, AT(private_key), 0, NULL, 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_own_sts
static const struct settings_row own_sts_rows[] = {
    {"mode",    VALUE_WORD,     AT(mode),       0,            "off", 0, 0, sts_words},
    {"mx",      VALUE_TEXTS,    AT(mx),         AT(mx_count), "",    0, 0, NULL},
    {"max_age", VALUE_DURATION, AT(max_age_ms), 0,            "7d",  HOUR_MS, 365 * DAY_MS, NULL},
};
#undef STRUCT

#define STRUCT settings_domain
static const struct settings_row domain_rows[] = {
    {"account",  VALUE_TEXT,      AT(account_cstr),  0, NULL, 0, 0, NULL},
    {"next_hop", VALUE_HOST_PORT, AT(next_hop_cstr), 0, "",   0, 0, NULL},
    {"forward_tls_only", VALUE_FLAG, AT(forward_tls_only), 0, "no", 0, 0, NULL},
};
static const struct settings_section domain_inner[] = {
    {"dkim", true, AT(dkim_keys), AT(dkim_key_count), sizeof(struct settings_dkim_key),
     offsetof(struct settings_dkim_key, selector_cstr), VALUE_DOMAIN, ROWS(dkim_rows), NULL, 0},
    {"sts", false, AT(sts), 0, sizeof(struct settings_own_sts), 0, VALUE_TEXT, ROWS(own_sts_rows), NULL, 0},
};
#undef STRUCT

#define STRUCT settings_recipient
static const struct settings_row recipient_rows[] = {
    {"mode",     VALUE_WORD, AT(mode),          0,             "inherit", 0, 0, mode_words},
    {"bar_tls",  VALUE_FLAG, AT(bar_tls),       0,             "no",      0, 0, NULL},
    {"least_tls", VALUE_WORD, AT(least_tls),    AT(has_least_tls), "",    0, 0, tls_words},
    {"proof",    VALUE_WORD, AT(proof),         AT(has_proof), "",        0, 0, proof_words},
    {"question", VALUE_TEXT, AT(question_cstr), 0,             "",        0, 0, NULL},
    {"answer",   VALUE_TEXT, AT(answer_cstr),   0,             "",        0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_sender
static const struct settings_row sender_rows[] = {
    {"mode", VALUE_WORD, AT(mode), 0, NULL, 0, 0, mode_words},
};
#undef STRUCT

#define STRUCT settings_account
static const struct settings_row account_rows[] = {
    {"organisation",       VALUE_TEXT,     AT(organisation_cstr),    0,  NULL,    0, 0, NULL},
    {"encrypt_by_default", VALUE_FLAG,     AT(encrypt_by_default),   0,  "yes",   0, 0, NULL},
    {"opt_out_allowed",    VALUE_FLAG,     AT(opt_out_allowed),      0,  "no",    0, 0, NULL},
    {"encrypt_trigger",    VALUE_TEXT,     AT(encrypt_trigger_cstr), 0,  "+encrypt+",   0, 0, NULL},
    {"opt_out_trigger",    VALUE_TEXT,     AT(opt_out_trigger_cstr), 0,  "+noencrypt+", 0, 0, NULL},
    {"mode",               VALUE_WORD,     AT(mode),                 0,  "try",   0, 0, mode_words},
    {"methods",            VALUE_METHODS,  AT(order), AT(order_count),   "tls openpgp smime portal", 0, 0, NULL},
    {"proof_needed",       VALUE_WORD,     AT(proof_needed),         0,  "verified", 0, 0, level_words},
    {"mx_proved",          VALUE_FLAG,     AT(mx_proved),            0,  "no",    0, 0, NULL},
    {"requiretls",         VALUE_WORD,     AT(requiretls),           0,  "strict", 0, 0, requiretls_words},
    {"least_tls",          VALUE_WORD,     AT(least_tls),            0,  "1.2",   0, 0, tls_words},
    {"policy_unmet",       VALUE_WORD,     AT(policy_unmet),         0,  "hold",  0, 0, unmet_words},
    {"ratchet_after",      VALUE_WORD,     AT(ratchet_after),        0,  "hold",  0, 0, unmet_words},
    {"cleartext_allowed",  VALUE_FLAG,     AT(cleartext_allowed),    0,  "yes",   0, 0, NULL},
    {"cleartext_after",    VALUE_DURATION, AT(cleartext_after_ms),   0,  "15m",   0, 7 * DAY_MS, NULL},
    {"tls_retry",          VALUE_DURATION, AT(tls_retry_ms),         0,  "4h",    0, 5 * DAY_MS, NULL},
    {"reader_proof",       VALUE_WORD,     AT(reader_proof),         0,  "code",  0, 0, proof_words},
    {"portal_expire",      VALUE_DURATION, AT(portal_expire_ms),     0,  "30d",   SECOND_MS, 3650 * DAY_MS, NULL},
    {"portal_expire_min",  VALUE_DURATION, AT(portal_expire_min_ms), 0,  "1d",    0, 3650 * DAY_MS, NULL},
    {"portal_expire_max",  VALUE_DURATION, AT(portal_expire_max_ms), 0,  "365d",  SECOND_MS, 3650 * DAY_MS, NULL},
    {"notice_from",        VALUE_TEXT,     AT(notice_from_cstr),     0,  "",      0, 0, NULL},
    {"notice_subject",     VALUE_TEXT,     AT(notice_subject_cstr),  0,  "You have a secure message", 0, 0, NULL},
    {"receipts",           VALUE_FLAG,     AT(receipts),             0,  "yes",   0, 0, NULL},
    {"relay_networks",     VALUE_NETWORKS, AT(relay_networks), AT(relay_network_count), "", 0, 0, NULL},
    {"relay_certificates", VALUE_TEXTS,    AT(relay_certificates), AT(relay_certificate_count), "", 0, 0, NULL},
    {"outbound",           VALUE_TEXTS,    AT(outbound), AT(outbound_count), "", 0, 0, NULL},
};
static const struct settings_section account_inner[] = {
    {"recipient", true, AT(recipients), AT(recipient_count), sizeof(struct settings_recipient),
     offsetof(struct settings_recipient, match_cstr), VALUE_TEXT, ROWS(recipient_rows), NULL, 0},
    {"sender", true, AT(senders), AT(sender_count), sizeof(struct settings_sender),
     offsetof(struct settings_sender, match_cstr), VALUE_TEXT, ROWS(sender_rows), NULL, 0},
};
#undef STRUCT

#define STRUCT settings_user
static const struct settings_row user_rows[] = {
    {"account",  VALUE_TEXT,     AT(account_cstr),       0, NULL, 0, 0, NULL},
    {"password", VALUE_PASSWORD, AT(password_hash_cstr), 0, NULL, 0, 0, NULL},
    {"senders",  VALUE_TEXTS,    AT(senders), AT(sender_count), "", 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_route
static const struct settings_row route_rows[] = {
    {"host", VALUE_TEXT, AT(host_cstr), 0, NULL, 0, 0, NULL},
    {"port", VALUE_PORT, AT(port),      0, "25", 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_alias
static const struct settings_row alias_rows[] = {
    {"to", VALUE_TEXTS, AT(to), AT(to_count), "", 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_lockdown
static const struct settings_row lockdown_rows[] = {
    {"senders",            VALUE_TEXTS,    AT(senders),            AT(sender_count),           "",    0, 0, NULL},
    {"networks",           VALUE_NETWORKS, AT(networks),           AT(network_count),          "",    0, 0, NULL},
    {"hosts",              VALUE_TEXTS,    AT(hosts),              AT(host_count),             "",    0, 0, NULL},
    {"least_tls",          VALUE_WORD,     AT(least_tls),          0,                          "1.2", 0, 0, tls_words},
    {"client_certificate", VALUE_FLAG,     AT(client_certificate), 0,                          "no",  0, 0, NULL},
    {"certificate_names",  VALUE_TEXTS,    AT(certificate_names),  AT(certificate_name_count), "",    0, 0, NULL},
    {"fingerprints",       VALUE_TEXTS,    AT(fingerprints),       AT(fingerprint_count),      "",    0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_outbound
static const struct settings_row outbound_rows[] = {
    {"weight",        VALUE_COUNT,     AT(weight),          0, "1",        0, 1000, NULL},
    {"source",        VALUE_TEXTS,     AT(source), AT(source_count), "",   0, 0, NULL},
    {"helo",          VALUE_DOMAIN,    AT(helo_cstr),       0, "",         0, 0, NULL},
    {"smart_host",    VALUE_HOST_PORT, AT(smart_host_cstr), 0, "",         0, 0, NULL},
    {"mode",          VALUE_WORD,      AT(mode),            0, "starttls", 0, 0, outbound_words},
    {"user",          VALUE_TEXT,      AT(user_cstr),       0, "",         0, 0, NULL},
    {"password_file", VALUE_FILE,      AT(password),        0, "",         0, 0, NULL},
    {"secure_mail",   VALUE_FLAG,      AT(secure_mail),     0, "no",       0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_limits
static const struct settings_row limits_rows[] = {
    {"message",             VALUE_SIZE,       AT(message_bytes),       0, "50M",   64 * KIB, 2 * GIB,  NULL},
    {"header",              VALUE_SMALL_SIZE, AT(header_bytes),        0, "256K",  16 * KIB, 4 * MIB,  NULL},
    {"recipients",          VALUE_COUNT,      AT(recipients),          0, "1000",  1, 20000,           NULL},
    {"sessions",            VALUE_COUNT,      AT(sessions),            0, "20000", 1, 1000000,         NULL},
    {"sessions_per_client", VALUE_COUNT,      AT(sessions_per_client), 0, "1000",  1, 1000000,         NULL},
    {"command_timeout",     VALUE_DURATION,   AT(command_timeout_ms),  0, "5m",    SECOND_MS, HOUR_MS, NULL},
    {"data_timeout",        VALUE_DURATION,   AT(data_timeout_ms),     0, "10m",   SECOND_MS, HOUR_MS, NULL},
    {"message_timeout",     VALUE_DURATION,   AT(message_timeout_ms),  0, "1h",    SECOND_MS, 24 * HOUR_MS, NULL},
    {"disk_reserve",        VALUE_SIZE,       AT(disk_reserve_bytes),  0, "256M",  0, 1024 * GIB,      NULL},
};
#undef STRUCT

#define STRUCT settings_delivery
static const struct settings_row delivery_rows[] = {
    {"port",                    VALUE_PORT,     AT(port),                    0, "25",   0, 0,                NULL},
    {"helo",                    VALUE_DOMAIN,   AT(helo_cstr),               0, "",     0, 0,                NULL},
    {"connect_timeout",         VALUE_DURATION, AT(connect_timeout_ms),      0, "30s",  100, 10 * MINUTE_MS, NULL},
    {"command_timeout",         VALUE_DURATION, AT(command_timeout_ms),      0, "5m",   100, HOUR_MS,        NULL},
    {"retry_first",             VALUE_DURATION, AT(retry_first_ms),          0, "5m",   100, DAY_MS,         NULL},
    {"retry_max",               VALUE_DURATION, AT(retry_max_ms),            0, "4h",   100, 5 * DAY_MS,     NULL},
    {"expire",                  VALUE_DURATION, AT(expire_ms),               0, "5d",   SECOND_MS, 30 * DAY_MS, NULL},
    {"delay_notice",            VALUE_DURATION, AT(delay_notice_ms),         0, "4h",   SECOND_MS, 30 * DAY_MS, NULL},
    {"connections_per_host",    VALUE_COUNT,    AT(connections_per_host),    0, "20",   1, 1000,             NULL},
    {"messages_per_connection", VALUE_COUNT,    AT(messages_per_connection), 0, "1000", 1, 1000000,          NULL},
    {"idle",                    VALUE_DURATION, AT(idle_ms),                 0, "10s",  0, 10 * MINUTE_MS,   NULL},
    {"prefer_ipv4",             VALUE_FLAG,     AT(prefer_ipv4),             0, "no",   0, 0,                NULL},
    {"ratchet",                 VALUE_COUNT,    AT(ratchet),                 0, "3",    0, 15,               NULL},
    {"ratchet_hold",            VALUE_DURATION, AT(ratchet_hold_ms),         0, "4h",   SECOND_MS, 5 * DAY_MS,  NULL},
    {"policy_notice",           VALUE_DURATION, AT(policy_notice_ms),        0, "1h",   SECOND_MS, 30 * DAY_MS, NULL},
};
#undef STRUCT

#define STRUCT settings_board
static const struct settings_row board_rows[] = {
    {"every",       VALUE_DURATION, AT(every_ms),       0, "1d",  0, 30 * DAY_MS,          NULL},
    {"first_after", VALUE_DURATION, AT(first_after_ms), 0, "1m",  0, DAY_MS,               NULL},
    {"again_after", VALUE_DURATION, AT(again_after_ms), 0, "15m", 100, DAY_MS,             NULL},
    {"used_within", VALUE_DURATION, AT(used_within_ms), 0, "30d", MINUTE_MS, 3650 * DAY_MS, NULL},
    {"at_once",     VALUE_COUNT,    AT(at_once),        0, "4",   1, 100,                  NULL},
};
#undef STRUCT

#define STRUCT settings_exception
static const struct settings_row exception_rows[] = {
    {"until",  VALUE_TEXT, AT(until_cstr),  0, NULL, 0, 0, NULL},
    {"reason", VALUE_TEXT, AT(reason_cstr), 0, "",   0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_resolver
static const struct settings_row resolver_rows[] = {
    {"forward",      VALUE_TEXTS, AT(forward),    AT(forward_count),    "", 0, 0, NULL},
    {"local_data",   VALUE_TEXTS, AT(local_data), AT(local_data_count), "", 0, 0, NULL},
    {"trust_anchor", VALUE_FILE,  AT(trust_anchor), 0,                  "", 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_portal
static const struct settings_row portal_rows[] = {
    {"address",     VALUE_ADDRESS,  AT(address), AT(address_len), "",    0, 0,                    NULL},
    {"url",         VALUE_ORIGIN,   AT(url_cstr),                 0, "", 0, 0,                    NULL},
    {"certificate", VALUE_FILE,     AT(certificate),              0, "", 0, 0,                    NULL},
    {"key",         VALUE_FILE,     AT(key),                      0, "", 0, 0,                    NULL},
    {"reply",       VALUE_SIZE,     AT(reply_bytes),           0, "25M", 64 * KIB, 512 * MIB,     NULL},
    {"attempts",    VALUE_COUNT,    AT(attempts),              0, "5",   1, 100,                  NULL},
    {"lock",        VALUE_DURATION, AT(lock_ms),               0, "15m", SECOND_MS, 30 * DAY_MS,  NULL},
    {"code",        VALUE_DURATION, AT(code_ms),               0, "15m", SECOND_MS, DAY_MS,  NULL},
    {"session",     VALUE_DURATION, AT(session_ms),            0, "30m", SECOND_MS, DAY_MS,  NULL},
};
#undef STRUCT

#define STRUCT settings_sts
static const struct settings_row sts_rows[] = {
    {"enabled",       VALUE_FLAG,     AT(enabled),       0, "yes", 0, 0, NULL},
    {"pause",         VALUE_DURATION, AT(pause_ms),      0, "5m",  SECOND_MS, HOUR_MS, NULL},
    {"port",          VALUE_PORT,     AT(port),          0, "443", 0, 0, NULL},
    {"allow_private", VALUE_FLAG,     AT(allow_private), 0, "no",  0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings_tls_reports
static const struct settings_row tls_reports_rows[] = {
    {"send",         VALUE_FLAG,     AT(send),              0, "yes", 0, 0,      NULL},
    {"from",         VALUE_TEXT,     AT(from_cstr),         0, "",    0, 0,      NULL},
    {"contact",      VALUE_TEXT,     AT(contact_cstr),      0, "",    0, 0,      NULL},
    {"organisation", VALUE_TEXT,     AT(organisation_cstr), 0, "",    0, 0,      NULL},
    {"receive",      VALUE_TEXT,     AT(receive_cstr),      0, "",    0, 0,      NULL},
    {"spread",       VALUE_DURATION, AT(spread_ms),         0, "4h",  0, DAY_MS, NULL},
};
#undef STRUCT

#define STRUCT settings_metrics
static const struct settings_row metrics_rows[] = {
    {"address", VALUE_ADDRESS, AT(address), AT(address_len), "", 0, 0, NULL},
};
#undef STRUCT

#define STRUCT settings
static const struct settings_row root_rows[] = {
    {"hostname",          VALUE_DOMAIN,   AT(hostname_cstr),     0, "",        0, 0,   NULL},
    {"state",             VALUE_PATH,     AT(state_dir_cstr),    0, NULL,      0, 0,   NULL},
    {"run_as",            VALUE_TEXT,     AT(user_cstr),         0, "postern", 0, 0,   NULL},
    {"control",           VALUE_PATH,     AT(control_path_cstr), 0, "",        0, 0,   NULL},
    {"master_key",        VALUE_FILE,     AT(master_key),        0, NULL,      0, 0,   NULL},
    {"forced_domains",      VALUE_TEXTS, AT(forced_domains), AT(forced_domain_count), "", 0, 0, NULL},
    {"forced_domains_file", VALUE_FILE,  AT(forced_domains_file), 0, "",     0, 0,     NULL},
    {"tls_certificate",   VALUE_FILE,     AT(tls_certificate),   0, "",        0, 0,   NULL},
    {"tls_key",           VALUE_FILE,     AT(tls_key),           0, "",        0, 0,   NULL},
    {"client_authorities", VALUE_FILE,    AT(client_authorities), 0, "",       0, 0,   NULL},
    {"transport_header",  VALUE_FLAG,     AT(transport_header),  0, "no",      0, 0,   NULL},
    {"trusted_roots",     VALUE_FILE,     AT(trusted_roots),     0, "/etc/ssl/certs/ca-certificates.crt", 0, 0, NULL},
    {"log_level",         VALUE_WORD,     AT(log_level),         0, "info",    0, 0,   log_words},
    {"log_format",        VALUE_WORD,     AT(log_format),        0, "json",    0, 0,   format_words},
    {"log_slow",          VALUE_DURATION, AT(log_slow_ms),       0, "500ms",   1, HOUR_MS, NULL},
    {"watchdog",          VALUE_DURATION, AT(watchdog_ms),       0, "1m",      2 * SECOND_MS, HOUR_MS, NULL},
    {"smtpd_processes",   VALUE_COUNT,    AT(smtpd_processes),   0, "0",       0, 24,  NULL},
    {"courier_processes", VALUE_COUNT,    AT(courier_processes), 0, "0",       0, 14,  NULL},
    {"scribe_processes",  VALUE_COUNT,    AT(scribe_processes),  0, "0",       0, 16,  NULL},
    {"portal_processes",  VALUE_COUNT,    AT(portal_processes),  0, "0",       0, 8,   NULL},
    {"forward_tls_only",  VALUE_FLAG,     AT(forward_tls_only),  0, "no",      0, 0,   NULL},
    {"hold_all",          VALUE_FLAG,     AT(hold_all),          0, "no",      0, 0,   NULL},
    {"providers",         VALUE_FILE,     AT(providers_file),    0, "",        0, 0,   NULL},
    {"default_outbound",  VALUE_TEXTS,    AT(default_outbound), AT(default_outbound_count), "", 0, 0, NULL},
    {"story_keep",        VALUE_DURATION, AT(story_keep_ms),     0, "90d",     MINUTE_MS, 36500 * DAY_MS, NULL},
};
static const struct settings_section root_inner[] = {
    {"listener", true, AT(listeners), AT(listener_count), sizeof(struct settings_listener),
     offsetof(struct settings_listener, name_cstr), VALUE_TEXT, ROWS(listener_rows), NULL, 0},
    {"certificate", true, AT(certificates), AT(certificate_count), sizeof(struct settings_certificate),
     offsetof(struct settings_certificate, name_cstr), VALUE_TEXT, ROWS(certificate_rows), NULL, 0},
    {"account", true, AT(accounts), AT(account_count), sizeof(struct settings_account),
     offsetof(struct settings_account, name_cstr), VALUE_TEXT, ROWS(account_rows), ROWS(account_inner)},
    {"domain", true, AT(domains), AT(domain_count), sizeof(struct settings_domain),
     offsetof(struct settings_domain, name_cstr), VALUE_DOMAIN, ROWS(domain_rows), ROWS(domain_inner)},
    {"user", true, AT(users), AT(user_count), sizeof(struct settings_user),
     offsetof(struct settings_user, name_cstr), VALUE_TEXT, ROWS(user_rows), NULL, 0},
    {"route", true, AT(routes), AT(route_count), sizeof(struct settings_route),
     offsetof(struct settings_route, domain_cstr), VALUE_TEXT, ROWS(route_rows), NULL, 0},
    {"alias", true, AT(aliases), AT(alias_count), sizeof(struct settings_alias),
     offsetof(struct settings_alias, address_cstr), VALUE_TEXT, ROWS(alias_rows), NULL, 0},
    {"exception", true, AT(exceptions), AT(exception_count), sizeof(struct settings_exception),
     offsetof(struct settings_exception, domain_cstr), VALUE_DOMAIN, ROWS(exception_rows), NULL, 0},
    {"lockdown", true, AT(lockdowns), AT(lockdown_count), sizeof(struct settings_lockdown),
     offsetof(struct settings_lockdown, name_cstr), VALUE_TEXT, ROWS(lockdown_rows), NULL, 0},
    {"outbound", true, AT(outbounds), AT(outbound_count), sizeof(struct settings_outbound),
     offsetof(struct settings_outbound, name_cstr), VALUE_TEXT, ROWS(outbound_rows), NULL, 0},
    {"limits", false, AT(limits), 0, sizeof(struct settings_limits), 0, VALUE_TEXT, ROWS(limits_rows), NULL, 0},
    {"delivery", false, AT(delivery), 0, sizeof(struct settings_delivery), 0, VALUE_TEXT, ROWS(delivery_rows), NULL, 0},
    {"board", false, AT(board), 0, sizeof(struct settings_board), 0, VALUE_TEXT, ROWS(board_rows), NULL, 0},
    {"resolver", false, AT(resolver), 0, sizeof(struct settings_resolver), 0, VALUE_TEXT, ROWS(resolver_rows), NULL, 0},
    {"portal", false, AT(portal), 0, sizeof(struct settings_portal), 0, VALUE_TEXT, ROWS(portal_rows), NULL, 0},
    {"sts", false, AT(sts), 0, sizeof(struct settings_sts), 0, VALUE_TEXT, ROWS(sts_rows), NULL, 0},
    {"tls_reports", false, AT(tls_reports), 0, sizeof(struct settings_tls_reports), 0, VALUE_TEXT, ROWS(tls_reports_rows), NULL, 0},
    {"metrics", false, AT(metrics), 0, sizeof(struct settings_metrics), 0, VALUE_TEXT, ROWS(metrics_rows), NULL, 0},
};

const struct settings_section settings_root = {
    NULL, false, 0, 0, sizeof(struct settings), 0, VALUE_TEXT, ROWS(root_rows), ROWS(root_inner),
};
/* clang-format on */
