/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is counted, in all roles: the one table. Each process has one struct stats and adds to it with plain
 * additions (no threads, no locks, no system calls); role/report.c sends what has changed to the
 * keeper, which adds the roles up. From the table come the metrics endpoint, `postern top` and
 * `postern status --json`. Nothing in it names a person, a host or a domain.
 *
 * A row: its name in the code, the metric's name without "postern_", labels in the text format of
 * Prometheus ("" = none), and its meaning. Rows of one metric stand together; the first one's meaning counts.
 */
#ifndef BASE_STATS_H
#define BASE_STATS_H

#include "base/buffer.h"
#include "base/histogram.h"

enum stat_kind {
    STAT_COUNTER, /* only grows; of all processes together, those that have gone included */
    STAT_GAUGE,   /* as of now; the living processes' added up */
    STAT_LEAST,   /* as of now; the least that a living process says, but for 0 = knows none */
};

/* clang-format off */
#define STATS_NUMBERS(ROW) \
    /* smtpd */ \
    ROW(COUNTER, SMTP_CONNECTIONS, "smtp_connections_total", "", "SMTP connections taken") \
    ROW(COUNTER, SMTP_TURNED_AWAY, "smtp_connections_refused_total", "", "SMTP connections turned away: too many") \
    ROW(GAUGE, SMTP_SESSIONS, "smtp_sessions", "", "SMTP sessions now") \
    ROW(COUNTER, SMTP_TLS_1_2, "smtp_tls_sessions_total", "version=\"1.2\"", "TLS handshakes with SMTP clients, by version") \
    ROW(COUNTER, SMTP_TLS_1_3, "smtp_tls_sessions_total", "version=\"1.3\"", "") \
    ROW(COUNTER, SMTP_TLS_RESUMED, "smtp_tls_resumed_total", "", "Those that resumed an earlier session") \
    ROW(COUNTER, SMTP_TLS_FAILED, "smtp_tls_failed_total", "", "TLS handshakes with SMTP clients that failed") \
    ROW(COUNTER, SMTP_ACCEPTED, "smtp_messages_accepted_total", "", "Messages answered with 250: they are on disk") \
    ROW(COUNTER, SMTP_REFUSED_LATER, "smtp_messages_refused_total", "class=\"4xx\"", "Messages refused after their content, by class of the answer") \
    ROW(COUNTER, SMTP_REFUSED_NEVER, "smtp_messages_refused_total", "class=\"5xx\"", "") \
    ROW(COUNTER, SMTP_RECIPIENTS, "smtp_recipients_accepted_total", "", "Recipients of accepted messages") \
    ROW(COUNTER, SMTP_BYTES, "smtp_accepted_bytes_total", "", "Bytes of accepted messages") \
    ROW(COUNTER, SMTP_REPLIES_2XX, "smtp_replies_total", "class=\"2xx\"", "Replies to SMTP clients, by class") \
    ROW(COUNTER, SMTP_REPLIES_3XX, "smtp_replies_total", "class=\"3xx\"", "") \
    ROW(COUNTER, SMTP_REPLIES_4XX, "smtp_replies_total", "class=\"4xx\"", "") \
    ROW(COUNTER, SMTP_REPLIES_5XX, "smtp_replies_total", "class=\"5xx\"", "") \
    ROW(COUNTER, SMTP_AUTH_OK, "smtp_auth_total", "result=\"ok\"", "Logins, by result") \
    ROW(COUNTER, SMTP_AUTH_REFUSED, "smtp_auth_total", "result=\"refused\"", "") \
    ROW(COUNTER, SMTP_AUTH_PROBLEM, "smtp_auth_total", "result=\"unavailable\"", "") \
    /* keeper */ \
    ROW(COUNTER, KEEPER_COMMITS_FAILED, "keeper_commits_failed_total", "", "Batches that could not be written") \
    ROW(COUNTER, VERDICT_REGULAR, "verdicts_total", "method=\"regular\"", "Plans made for recipients, by method") \
    ROW(COUNTER, VERDICT_TLS, "verdicts_total", "method=\"tls\"", "") \
    ROW(COUNTER, VERDICT_OPENPGP, "verdicts_total", "method=\"openpgp\"", "") \
    ROW(COUNTER, VERDICT_SMIME, "verdicts_total", "method=\"smime\"", "") \
    ROW(COUNTER, VERDICT_PORTAL, "verdicts_total", "method=\"portal\"", "") \
    ROW(COUNTER, VERDICT_DROP, "verdicts_total", "method=\"drop\"", "") \
    ROW(COUNTER, VERDICT_FAIL, "verdicts_total", "method=\"fail\"", "") \
    ROW(COUNTER, OUTCOME_DELIVERED, "deliveries_total", "outcome=\"delivered\"", "Attempts for one recipient each, by outcome") \
    ROW(COUNTER, OUTCOME_TEMPORARY, "deliveries_total", "outcome=\"deferred\"", "") \
    ROW(COUNTER, OUTCOME_PERMANENT, "deliveries_total", "outcome=\"failed\"", "") \
    ROW(COUNTER, OUTCOME_NOT_PROVED, "deliveries_total", "outcome=\"not_proved\"", "") \
    ROW(COUNTER, PROOF_NONE, "delivered_total", "proof=\"none\"", "Recipients delivered, by what the connection proved") \
    ROW(COUNTER, PROOF_ENCRYPTED, "delivered_total", "proof=\"encrypted\"", "") \
    ROW(COUNTER, PROOF_VERIFIED, "delivered_total", "proof=\"verified\"", "") \
    ROW(COUNTER, PROOF_DANE, "delivered_total", "proof=\"dane\"", "") \
    ROW(COUNTER, RETRIES, "retries_total", "", "Recipients put off to a later attempt") \
    ROW(COUNTER, EXPIRED, "expired_total", "", "Recipients given up because it took too long") \
    ROW(COUNTER, PORTAL_COPIES, "portal_copies_total", "", "Portal copies with a notice accepted") \
    ROW(COUNTER, PORTAL_NOTIFIED, "portal_notices_delivered_total", "", "Portal notices delivered") \
    ROW(COUNTER, PORTAL_REVEALED, "portal_first_reveals_total", "", "Portal messages read for the first time") \
    ROW(COUNTER, PORTAL_WRONG, "portal_wrong_proofs_total", "", "Wrong codes and answers of readers") \
    ROW(GAUGE, QUEUE_MESSAGES, "queue_messages", "", "Messages with recipients not at their end") \
    ROW(GAUGE, QUEUE_ACCEPTED, "queue_recipients", "state=\"accepted\"", "Recipients not at their end, by state") \
    ROW(GAUGE, QUEUE_PLANNED, "queue_recipients", "state=\"planned\"", "") \
    ROW(GAUGE, QUEUE_DEFERRED, "queue_recipients", "state=\"deferred\"", "") \
    ROW(GAUGE, QUEUE_NOTIFYING, "queue_recipients", "state=\"notifying\"", "") \
    ROW(GAUGE, QUEUE_NOTIFIED, "queue_recipients", "state=\"notified\"", "") \
    ROW(GAUGE, QUEUE_REVEALED, "queue_recipients", "state=\"revealed\"", "") \
    ROW(GAUGE, QUEUE_REPORTING, "queue_recipients", "state=\"reporting\"", "") \
    ROW(GAUGE, QUEUE_HELD, "queue_held_recipients", "", "Recipients put aside by the operator") \
    ROW(GAUGE, QUEUE_READY, "queue_ready_recipients", "", "Recipients in the window of what is worked on now") \
    ROW(GAUGE, QUEUE_JOBS, "queue_jobs_in_flight", "", "Jobs that couriers have in hand") \
    ROW(GAUGE, QUEUE_LATE, "queue_oldest_due_seconds", "", "How long the oldest recipient that is due has been due") \
    ROW(GAUGE, PAUSED, "paused", "", "1 when hold_all is set: nothing is delivered") \
    ROW(GAUGE, FAILING, "keeper_failing", "", "1 when the last batch could not be written") \
    ROW(GAUGE, DISK_FREE, "disk_free_bytes", "", "Free space where the state folder lies") \
    ROW(GAUGE, DISK_RESERVE, "disk_reserve_bytes", "", "With less than this new mail is put off") \
    ROW(COUNTER, TLS_REPORTS_SENT, "tls_reports_sent_total", "", "Reports about TLS sent to other domains") \
    ROW(COUNTER, TLS_REPORTS_DROPPED, "tls_reports_dropped_total", "", "… refused, or given up after a day") \
    ROW(COUNTER, TLS_REPORTS_READ, "tls_reports_received_total", "", "Reports about TLS with our domains that came and were read") \
    ROW(COUNTER, TLS_REPORTS_UNREAD, "tls_reports_unreadable_total", "", "… that could not be read, or do not count") \
    /* courier */ \
    ROW(COUNTER, COURIER_JOBS, "courier_jobs_total", "", "Messages taken to hosts: one for the recipients of a domain") \
    ROW(COUNTER, COURIER_CONNECTIONS, "courier_connections_total", "", "Connections opened to hosts") \
    ROW(GAUGE, COURIER_WAITING, "courier_jobs", "", "Jobs that couriers have in hand now") \
    ROW(COUNTER, COURIER_TLS_1_2, "courier_tls_handshakes_total", "version=\"1.2\",resumed=\"no\"", "TLS handshakes with hosts, by version and resumption") \
    ROW(COUNTER, COURIER_TLS_1_2_RESUMED, "courier_tls_handshakes_total", "version=\"1.2\",resumed=\"yes\"", "") \
    ROW(COUNTER, COURIER_TLS_1_3, "courier_tls_handshakes_total", "version=\"1.3\",resumed=\"no\"", "") \
    ROW(COUNTER, COURIER_TLS_1_3_RESUMED, "courier_tls_handshakes_total", "version=\"1.3\",resumed=\"yes\"", "") \
    ROW(COUNTER, COURIER_REPLIES_2XX, "courier_replies_total", "class=\"2xx\"", "Hosts' replies, by class") \
    ROW(COUNTER, COURIER_REPLIES_3XX, "courier_replies_total", "class=\"3xx\"", "") \
    ROW(COUNTER, COURIER_REPLIES_4XX, "courier_replies_total", "class=\"4xx\"", "") \
    ROW(COUNTER, COURIER_REPLIES_5XX, "courier_replies_total", "class=\"5xx\"", "") \
    ROW(COUNTER, DNS_FAILED, "dns_lookups_failed_total", "", "DNS look-ups that got no answer") \
    ROW(GAUGE, STS_POLICIES, "sts_policies", "", "MTA-STS policies of other domains in force") \
    ROW(GAUGE, STS_NOT_FETCHED, "sts_policies_not_fetched", "", "Those of them whose successor is announced and cannot be had, or which could not be had anew for a day") \
    /* scout */ \
    ROW(GAUGE, TLS_LOST, "domains_tls_lost", "", "Domains that were seen with TLS again and again and now have none: their mail waits") \
    ROW(COUNTER, TLS_HELD_POLICY, "held_by_tls_total", "why=\"policy\"", "Recipients whose attempt ended because of TLS, by why") \
    ROW(COUNTER, TLS_HELD_RATCHET, "held_by_tls_total", "why=\"ratchet\"", "") \
    ROW(COUNTER, TLS_HELD_PROOF, "held_by_tls_total", "why=\"proof\"", "") \
    ROW(COUNTER, BOARD_TESTS, "domain_tests_total", "", "Tests of domains' TLS without mail that were answered") \
    ROW(GAUGE, SCOUT_WAITING, "scout_questions", "", "Questions about other domains that the scout has in hand now") \
    /* scribe */ \
    ROW(COUNTER, SCRIBE_SIGNATURES, "scribe_signatures_total", "", "Messages signed (DKIM)") \
    ROW(COUNTER, SCRIBE_COPIES, "scribe_portal_copies_total", "", "Portal copies sealed") \
    ROW(COUNTER, SCRIBE_MAILS, "scribe_mails_total", "", "Our own mails written: reports, receipts, codes") \
    ROW(COUNTER, SCRIBE_PROOFS, "scribe_passwords_total", "", "Passwords and answers hashed") \
    ROW(COUNTER, SCRIBE_FAILED, "scribe_failed_total", "", "Work that a scribe could not do") \
    /* portal */ \
    ROW(COUNTER, PORTAL_REQUESTS_2XX, "portal_requests_total", "class=\"2xx\"", "Readers' requests, by class of the answer") \
    ROW(COUNTER, PORTAL_REQUESTS_3XX, "portal_requests_total", "class=\"3xx\"", "") \
    ROW(COUNTER, PORTAL_REQUESTS_4XX, "portal_requests_total", "class=\"4xx\"", "") \
    ROW(COUNTER, PORTAL_REQUESTS_5XX, "portal_requests_total", "class=\"5xx\"", "") \
    ROW(GAUGE, PORTAL_CONNECTIONS, "portal_connections", "", "Readers' connections now") \
    /* everybody */ \
    ROW(LEAST, SMTP_CERTIFICATE_ENDS, "certificate_expiry_timestamp_seconds", "use=\"smtp\"", "When a certificate of ours expires, unix time") \
    ROW(LEAST, PORTAL_CERTIFICATE_ENDS, "certificate_expiry_timestamp_seconds", "use=\"portal\"", "") \
    ROW(COUNTER, LOG_WARNINGS, "log_lines_total", "level=\"warn\"", "Warnings and errors in the log") \
    ROW(COUNTER, LOG_ERRORS, "log_lines_total", "level=\"error\"", "") \
    ROW(COUNTER, SLOW, "slow_operations_total", "", "Operations that took longer than log_slow") \
    ROW(COUNTER, ROLES_SILENT, "roles_silent_total", "", "Roles ended because they gave no sign of life")

/* Kinds: SECONDS counts microseconds; PIECES counts things. */
#define STATS_HISTOGRAMS(ROW) \
    ROW(SECONDS, SMTP_ANSWER, "smtp_answer_seconds", "From the end of a message's content to the answer") \
    ROW(PIECES, KEEPER_BATCH, "keeper_batch_tasks", "Tasks in one batch") \
    ROW(SECONDS, KEEPER_COMMIT, "keeper_commit_seconds", "Transactions, with their sync") \
    ROW(SECONDS, CONTENT_SYNC, "content_sync_seconds", "Syncs of segments, by who wrote them") \
    ROW(SECONDS, KEEPER_CHECKPOINT, "keeper_checkpoint_seconds", "Foldings of the database's log") \
    ROW(SECONDS, COURIER_DELIVERY, "courier_delivery_seconds", "Jobs of couriers, from order to result") \
    ROW(SECONDS, DNS, "dns_lookup_seconds", "DNS look-ups") \
    ROW(SECONDS, SCRIBE_JOB, "scribe_job_seconds", "Work of scribes; large messages in pieces") \
    ROW(SECONDS, PORTAL_REQUEST, "portal_request_seconds", "Readers' requests, from the whole request to the answer") \
    ROW(SECONDS, LOOP_TURN, "loop_turn_seconds", "Turns of all event loops: how long others wait")

#define STATS_NUMBER_ROW(KIND, NAME, name, labels, help) STAT_##NAME,
#define STATS_HISTOGRAM_ROW(KIND, NAME, name, help) HISTOGRAM_##NAME,
enum stat_number { STATS_NUMBERS(STATS_NUMBER_ROW) STAT_COUNT };
enum stat_histogram { STATS_HISTOGRAMS(STATS_HISTOGRAM_ROW) HISTOGRAM_COUNT };
/* clang-format on */

/* Only uint64_t inside: also an array of STATS_SLOTS numbers. */
struct stats {
    uint64_t numbers[STAT_COUNT];
    struct histogram histograms[HISTOGRAM_COUNT];
};
enum { STATS_SLOTS = sizeof(struct stats) / sizeof(uint64_t) };

/* This process's. */
extern struct stats stats;

#define STAT_ADD(NAME, count) (stats.numbers[STAT_##NAME] += (uint64_t)(count))
#define STAT_SET(NAME, value) (stats.numbers[STAT_##NAME] = (uint64_t)(value))
#define STAT_MEASURE(NAME, value)                                                              \
    histogram_add(&stats.histograms[HISTOGRAM_##NAME], (uint64_t)(value))
/* Add one to the row of a reply's class: first is the row for 2xx, those for 3xx to 5xx follow. */
static inline void stats_add_class(enum stat_number first, unsigned code)
{
    if (code >= 200 && code < 600)
        stats.numbers[(unsigned)first + code / 100 - 2]++;
}

/* Microseconds on a clock that never jumps; no system call. */
int64_t stats_now_us(void);

/*
 * Bring a process's report into a total: counters and histograms add what is new since `last`, gauges
 * are added (call with last NULL and a zeroed total of gauges for each living process).
 */
void stats_add_new(struct stats *total, const struct stats *report, const struct stats *last);
void stats_add_now(struct stats *total, const struct stats *report);

/* One row. */
struct stat_row {
    enum stat_kind kind;
    const char *name_cstr, *labels_cstr, *help_cstr;
};
const struct stat_row *stats_row(enum stat_number number);
struct histogram_row {
    bool is_time;
    const char *name_cstr, *help_cstr;
};
const struct histogram_row *histogram_row(enum stat_histogram number);

/*
 * Append all of it in Prometheus' text format. False when out is full.
 * [https://prometheus.io/docs/instrumenting/exposition_formats/]
 */
MUST_CHECK bool stats_expose(const struct stats *stats, struct buffer *out);
/* The two lines before the values of a metric; kind_cstr "counter", "gauge" or "histogram". */
MUST_CHECK bool stats_expose_head(struct buffer *out, const char *name_cstr,
                                  const char *kind_cstr, const char *help_cstr);

#endif
