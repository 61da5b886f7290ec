/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every message that roles send each other: the one table. A row names the message and lists its
 * fields; from it come the struct (`struct ipc_accept`), the number (IPC_ACCEPT), packing and
 * unpacking (ipc/pack.h), and the fuzz target. To add a message: write its FIELDS macro and its row.
 *
 * Field kinds: NUMBER uint64_t (also enums), SIGNED int64_t, FLAG bool, BYTES struct slice (a view
 * that dies when the handler returns), SECRET struct secret, CONTENT struct content_ref,
 * REQUIREMENT struct tls_requirement. A list travels as BYTES made of packed items (ipc_list_*).
 *
 * An `ask` is chosen by the asker, unique on its channel, and comes back in the answer. Times are
 * unix milliseconds. Addresses are "local@domain" with the domain in lower-case A-labels; "" is the
 * null sender. Text is UTF-8. Directions: S supervisor, M smtpd, K keeper, C courier, B scribe,
 * P portal, O office, T scout.
 */
#ifndef IPC_MESSAGES_H
#define IPC_MESSAGES_H

#include "base/secret.h"
#include "policy/tls_table.h"
#include "spool/content.h"

/* One field after the other, aligned by hand. */
/* clang-format off */

/* ---- supervisor and everybody ---- */

/* S→all, at start and on reload: the settings text and the named files this role may know
 * (items: ipc_file). `certificate` = DER of the keeper's certificate for sealing new content
 * (empty for the keeper, which answers with its own in `ready`). */
#define IPC_CONFIGURE_FIELDS(F, M) \
    F(M, BYTES, path) F(M, BYTES, text) F(M, BYTES, files) F(M, BYTES, certificate) \
    F(M, SECRET, tickets) F(M, NUMBER, tickets_period)
/* all→S: configured and serving, or why not (ok false: an old configuration stays in force). */
#define IPC_READY_FIELDS(F, M) \
    F(M, FLAG, ok) F(M, BYTES, problem) F(M, BYTES, certificate)
/* S→K with a descriptor: a new channel to a role (role: enum ipc_role, index 0..). */
#define IPC_ATTACH_FIELDS(F, M) \
    F(M, NUMBER, role) F(M, NUMBER, index)
/* S→all: stop taking new work, finish what runs (at most limit_ms), then exit 0. */
#define IPC_DRAIN_FIELDS(F, M) \
    F(M, NUMBER, limit_ms)

/* ---- signs of life ---- */

/* All→K, every second: counters that have changed (items: ipc_stat), what the process uses (0 = not
 * known), its last warning or error as it stands in the log, once. */
#define IPC_STATS_FIELDS(F, M) \
    F(M, NUMBER, pid) F(M, SIGNED, started_ms) F(M, NUMBER, cpu_us) F(M, NUMBER, rss_bytes) \
    F(M, NUMBER, pss_bytes) F(M, NUMBER, descriptors) F(M, BYTES, changes) F(M, BYTES, trouble)
/* Item. A slot of struct stats as an array (base/stats.h), and what is in it now. */
#define IPC_STAT_FIELDS(F, M) \
    F(M, NUMBER, slot) F(M, NUMBER, value)
/* S→K, on every change and now and then: who runs (items: ipc_member). */
#define IPC_CENSUS_FIELDS(F, M) \
    F(M, BYTES, members)
/* Item. role: enum ipc_role, the supervisor (always the first) and the keeper included. pid 0: does not run. The
 * last four fields are known of the supervisor only. */
#define IPC_MEMBER_FIELDS(F, M) \
    F(M, NUMBER, role) F(M, NUMBER, index) F(M, NUMBER, pid) F(M, NUMBER, restarts) \
    F(M, SIGNED, started_ms) F(M, NUMBER, cpu_us) F(M, NUMBER, rss_bytes) \
    F(M, NUMBER, pss_bytes) F(M, NUMBER, descriptors)
/* K→S, every second: the keeper lives. */
#define IPC_PULSE_FIELDS(F, M) \
    F(M, NUMBER, pid)
/* K→S: this process has given no sign of life for so long: end it. */
#define IPC_SILENT_FIELDS(F, M) \
    F(M, NUMBER, role) F(M, NUMBER, index) F(M, NUMBER, pid) F(M, SIGNED, silent_ms)

/* ---- smtpd and keeper ---- */

/* M→K: is this name and password good? Answered by auth_result. */
#define IPC_AUTH_CHECK_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, name) F(M, BYTES, password) F(M, BYTES, client)
/* K→M: account empty = refused; problem true = could not be checked now (454). */
#define IPC_AUTH_RESULT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, FLAG, problem) F(M, BYTES, account) \
    F(M, BYTES, user)
/*
 * M→K, P→K, B→K(in mail_made): take this message. The keeper commits, then answers accept_result.
 * content      where it lies, durable already; or, with segment 0, how long it is, and then
 * sealed       it comes along, sealed under data_key, and the keeper places it
 * message      id from base/id, printed in the 250 reply and the Received header
 * kind         enum message_kind
 * account      "" only for inbound mail (kind BOUNCE or INBOUND)
 * ret          0 unset, 1 FULL, 2 HDRS
 * received_by  words for the story: "ESMTPSA TLSv1.3 TLS_AES_256_GCM_SHA384 from 192.0.2.1"
 * header_id    the message's own Message-ID without <>
 * question, answer, expires_ms, proof (0 = account's, else enum reader_proof + 1),
 * encrypt (0 unset, 1 encrypt = escalate, 2 opt out), receipt (0 unset 1 yes 2 no): what the sender asked
 * tls_required_no  the header says TLS-Required: No, and REQUIRETLS was not asked for [RFC 8689 §3]
 * delivered_to addresses at domains of ours that it says it was delivered to before, a line each
 * recipients   items: ipc_recipient
 */
#define IPC_ACCEPT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, message) F(M, NUMBER, kind) F(M, BYTES, account) \
    F(M, BYTES, user) F(M, BYTES, mail_from) F(M, BYTES, envid) F(M, NUMBER, ret) \
    F(M, FLAG, body_8bit) F(M, FLAG, smtputf8) F(M, FLAG, requiretls) \
    F(M, FLAG, tls_required_no) F(M, NUMBER, hops) \
    F(M, BYTES, received_by) F(M, BYTES, header_id) F(M, NUMBER, encrypt) \
    F(M, NUMBER, proof) F(M, BYTES, question) F(M, BYTES, answer) F(M, SIGNED, expires_ms) \
    F(M, NUMBER, receipt) F(M, CONTENT, content) F(M, SECRET, data_key) F(M, BYTES, sealed) \
    F(M, BYTES, delivered_to) F(M, BYTES, recipients)
/* K→M, K→P. On failure code and enhanced are what to answer (452 4.3.1, 550 …), text the words. */
#define IPC_ACCEPT_RESULT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, NUMBER, code) F(M, BYTES, enhanced) \
    F(M, BYTES, text)
/*
 * M→K: does anybody have this address, of an own domain without a next hop? Answered by rcpt_result: code 250, or
 * what to refuse it with.
 */
#define IPC_RCPT_CHECK_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, address)
#define IPC_RCPT_RESULT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, code) F(M, BYTES, enhanced) F(M, BYTES, text)
/* Item. notify: bits 1 NEVER, 2 SUCCESS, 4 FAILURE, 8 DELAY, 0 unset. orcpt as received, decoded. */
#define IPC_RECIPIENT_FIELDS(F, M) \
    F(M, NUMBER, recipient) F(M, BYTES, address) F(M, NUMBER, notify) F(M, BYTES, orcpt)

/* ---- keeper and courier ---- */

/*
 * K→C: carry this to these recipients of one domain. The courier reads the content with data_key
 * and sends prefix (signature header lines, complete with CRLF) before it.
 * host, port   "" and 0 = the domain's MX; else a fixed next hop (settings route or own domain)
 * next_hop_internal  true: an own domain's next hop or a route (loop rules differ)
 * route        name of the outbound route (settings outbound), "" = the usual way
 * group, stay  the provider with limits that the courier was chosen by, "" = none; stay true: carry it if that is wrong, too
 * urgent       true: the only one of its account there; it goes before others that wait
 * probe        true: carry nothing, no recipients; only try whether the route works
 * exclusive to secure mail: requirement.least >= PROOF_ENCRYPTED means never a byte of the message, its
 * MAIL FROM or RCPT TO included, before that level is proved on this connection.
 * sts: enum sts_state, with the policy's id and its MX patterns, one a line (empty without a policy).
 * ratcheted: the domain's hosts were seen with TLS again and again: its absence is no reason for clear text.
 * ratchet_lifted: it has been waited for long enough: neither that nor what is remembered of a host counts.
 */
#define IPC_DELIVER_FIELDS(F, M) \
    F(M, NUMBER, job) F(M, NUMBER, message) F(M, BYTES, domain) F(M, BYTES, host) \
    F(M, NUMBER, port) F(M, BYTES, mail_from) F(M, BYTES, envid) F(M, NUMBER, ret) \
    F(M, FLAG, body_8bit) F(M, FLAG, smtputf8) F(M, SIGNED, accepted_ms) \
    F(M, REQUIREMENT, requirement) F(M, NUMBER, sts) F(M, BYTES, sts_id) F(M, BYTES, sts_mx) \
    F(M, FLAG, ratcheted) F(M, FLAG, ratchet_lifted) F(M, BYTES, prefix) F(M, CONTENT, content) \
    F(M, SECRET, data_key) F(M, BYTES, recipients) F(M, BYTES, route) F(M, FLAG, probe) \
    F(M, FLAG, urgent) F(M, BYTES, group) F(M, FLAG, stay)
/*
 * C→K, exactly one per job: what happened. Evidence describes the connection that carried (or was
 * refused) the message: mx name, address, tls ("TLSv1.3" or ""), cipher, certificate SHA-256 hex,
 * names in it, level reached, why it was not verified, `trail` = one line per host tried in words.
 * dsn: the host took over the duty of reports on success. [RFC 3461 §5.2.1]
 * unreached: no host of the domain could be reached at all, for a reason that may pass.
 * row: of the decision table (doc/tls.md), 0 = nothing was decided; rule: the name of its line. mx_proof: enum. policy: what proved the
 * connection or was not met, in words ("TLSA 3 1 1 0a1b…", "MTA-STS 20260101: *.mail.example").
 * lookups: what was asked of the DNS and how it was answered, a line each: "mx1.example TLSA: secure, 2".
 * small_hello: only a small ClientHello got through. requiretls: it was demanded of the next hop and promised.
 * tls_results: items ipc_tls_result, one for each host that TLS was tried with, for reports [RFC 8460].
 * route_failure: enum route_failure; not 0: no host was told anything, what has no code goes by another route.
 * mx_set: the name of the set of hosts (deliver/mx_set.h), "" when that is not known. parked: it was not tried now, too many
 * wait for the first connection. crowded: too many wait for a connection behind it.
 * results: items ipc_result, one per recipient of the job.
 */
#define IPC_DELIVERED_FIELDS(F, M) \
    F(M, NUMBER, job) F(M, BYTES, mx) F(M, BYTES, mx_address) F(M, BYTES, tls) \
    F(M, BYTES, cipher) F(M, BYTES, certificate) F(M, BYTES, names) F(M, NUMBER, level) \
    F(M, BYTES, unverified_why) F(M, FLAG, reused) F(M, FLAG, dsn) F(M, FLAG, unreached) \
    F(M, NUMBER, row) F(M, BYTES, rule) F(M, NUMBER, mx_proof) F(M, BYTES, policy) F(M, BYTES, lookups) \
    F(M, FLAG, small_hello) F(M, FLAG, requiretls) F(M, BYTES, tls_results) \
    F(M, BYTES, trail) F(M, BYTES, results) F(M, NUMBER, route_failure) \
    F(M, BYTES, mx_set) F(M, FLAG, parked) F(M, FLAG, crowded)
/*
 * Item. policy: enum tls_report_policy; result: enum tls_report_result; address: the host's; source: ours; detail: why
 * it failed, a few words of our own. policy_text: with REPORT_TLSA the records, "3 1 1 0a1b…", one a line.
 */
#define IPC_TLS_RESULT_FIELDS(F, M) \
    F(M, NUMBER, policy) F(M, NUMBER, result) F(M, BYTES, mx) F(M, BYTES, address) \
    F(M, BYTES, source) F(M, BYTES, detail) F(M, BYTES, policy_text)
/* C→K: what is remembered of this host? Asked once before it is first connected to. */
#define IPC_HOST_ASK_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, host)
/* K→C. ratcheted as in deliver, for the host; small_hello: begin with a small ClientHello. */
#define IPC_HOST_KNOWN_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ratcheted) F(M, FLAG, small_hello)

/* ---- keeper and scout ---- */

/* K→T: has the domain an MTA-STS policy [RFC 8461 §3]? known_id: of the one we have, "" = none. */
#define IPC_STS_FIND_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, domain) F(M, BYTES, known_id)
/*
 * T→K. outcome: enum sts_outcome; id: as announced; ttl_s: of the record. With STS_OUTCOME_POLICY: mode (enum
 * sts_state: NONE, TESTING or ENFORCE), max_age_s, mx patterns one a line, the policy's text. why: words otherwise.
 */
#define IPC_STS_FOUND_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, outcome) F(M, BYTES, id) F(M, NUMBER, ttl_s) \
    F(M, NUMBER, mode) F(M, NUMBER, max_age_s) F(M, BYTES, mx) F(M, BYTES, text) \
    F(M, BYTES, why)
/* K→T: walk over every host of the domain as mail would, without mail. host, port: a fixed next hop, or "" and 0. */
#define IPC_TLS_TEST_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, domain) F(M, BYTES, host) F(M, NUMBER, port) \
    F(M, NUMBER, sts) F(M, BYTES, sts_id) F(M, BYTES, sts_mx)
/* T→K. ok false: there is nothing to say about hosts, why says why. mx_secure: the MX records are signed.
 * sts, sts_id: as they were asked with. */
#define IPC_TLS_TESTED_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, FLAG, temporary) F(M, BYTES, why) \
    F(M, FLAG, mx_secure) F(M, NUMBER, sts) F(M, BYTES, sts_id) F(M, BYTES, lookups) \
    F(M, BYTES, hosts)
/* Item: one address of one host. level: enum proof_level reached; dane: enum dane_state; mx_proof: enum. */
#define IPC_TESTED_HOST_FIELDS(F, M) \
    F(M, NUMBER, preference) F(M, BYTES, mx) F(M, BYTES, address) F(M, FLAG, reached) \
    F(M, FLAG, starttls) F(M, BYTES, tls) F(M, BYTES, cipher) F(M, BYTES, group) \
    F(M, BYTES, certificate) F(M, BYTES, names) F(M, BYTES, issuer) F(M, SIGNED, not_after_s) \
    F(M, FLAG, webpki) F(M, NUMBER, dane) F(M, BYTES, tlsa) F(M, NUMBER, mx_proof) \
    F(M, NUMBER, level) F(M, FLAG, requiretls) F(M, FLAG, small_hello) F(M, NUMBER, row) \
    F(M, BYTES, why)
/* K→T: where does the domain want its TLS reports [RFC 8460 §3]? */
#define IPC_RUA_FIND_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, domain)
/* T→K. ok false: the DNS could not be asked; uris: one a line, none = it wants none. */
#define IPC_RUA_FOUND_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, BYTES, uris) F(M, BYTES, why)
/* K→T: HTTPS POST of these bytes. */
#define IPC_REPORT_POST_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, url) F(M, BYTES, type) F(M, BYTES, content)
/* T→K. temporary: worth another try. */
#define IPC_REPORT_POSTED_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, FLAG, temporary) F(M, BYTES, why)
/* Item. outcome: enum delivery_outcome; code 0 when no reply was had; reply = remote text, one line. */
#define IPC_RESULT_FIELDS(F, M) \
    F(M, NUMBER, recipient) F(M, NUMBER, outcome) F(M, NUMBER, code) F(M, BYTES, enhanced) \
    F(M, BYTES, reply)

/* ---- keeper and scribe ---- */

/* K→B: DKIM header lines for this message, with the keys of `domain`. */
#define IPC_SIGN_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, domain) F(M, CONTENT, content) F(M, SECRET, data_key)
/* B→K: prefix may be empty (no keys for the domain). ok false: text says why; try later. */
#define IPC_SIGNATURE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, BYTES, prefix) F(M, BYTES, text)
/*
 * K→B: make the sealed portal copy for one recipient, and the notice. proof: enum reader_proof.
 * notice_message: id that the notice shall have. Answered by portal_copy_made.
 */
#define IPC_MAKE_PORTAL_COPY_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, message) F(M, NUMBER, notice_message) \
    F(M, BYTES, account) F(M, BYTES, sender) F(M, BYTES, recipient) F(M, NUMBER, proof) \
    F(M, BYTES, question) F(M, BYTES, answer) F(M, SIGNED, expires_ms) \
    F(M, CONTENT, content) F(M, SECRET, data_key)
/*
 * B→K. lookup: 32 bytes derived from the link token, the row's key. share: the server's half of
 * the key. wrapped: content key wrapped under token+share(+answer), 40 bytes. verifier: 32 bytes, what
 * hash_answer's key must hash to; salt 16 bytes (both empty unless READER_PROOF_ANSWER).
 * copy: the sealed copy's place in a portal segment (its wrapped_key is zero: the key is in `wrapped`).
 * notice: the notice's content in a queue segment.
 */
#define IPC_PORTAL_COPY_MADE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, BYTES, text) F(M, BYTES, lookup) \
    F(M, SECRET, share) F(M, BYTES, wrapped) F(M, BYTES, salt) F(M, BYTES, verifier) \
    F(M, CONTENT, copy) F(M, CONTENT, notice)
/*
 * K→B: write one of our own mails (kind: enum message_kind, one of CODE RECEIPT DSN_FAILURE
 * DSN_DELAY DSN_SUCCESS). to: whom it goes to; about: the reader or failed recipient; detail: the
 * code for CODE, remote reply for a DSN; header_id: the original's Message-ID; at_ms when it happened;
 * original_ms when it was accepted.
 */
#define IPC_MAKE_MAIL_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, kind) F(M, NUMBER, message) F(M, NUMBER, original) \
    F(M, BYTES, account) F(M, BYTES, to) F(M, BYTES, about) F(M, BYTES, detail) \
    F(M, BYTES, enhanced) F(M, BYTES, mx) F(M, BYTES, header_id) F(M, BYTES, envid) \
    F(M, BYTES, orcpt) F(M, SIGNED, at_ms) F(M, SIGNED, original_ms) F(M, SIGNED, until_ms)
#define IPC_MAIL_MADE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, BYTES, text) F(M, BYTES, header_id) \
    F(M, CONTENT, content)
/*
 * K→B: write the report about our sessions of one day with a domain [RFC 8460]. to: an address, for a mail; or "", for
 * HTTPS. message: the mail's id. lines: items ipc_tls_line, those of one policy one after another. Answered by
 * tls_report_made.
 */
#define IPC_MAKE_TLS_REPORT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, message) F(M, BYTES, domain) F(M, BYTES, to) \
    F(M, BYTES, report_id) F(M, SIGNED, begin_s) F(M, SIGNED, end_s) F(M, BYTES, lines)
/* B→K: the mail's content and Message-ID, or the compressed report. */
#define IPC_TLS_REPORT_MADE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, BYTES, text) F(M, BYTES, header_id) \
    F(M, CONTENT, content) F(M, BYTES, gzip)
/* K→B: read the report that somebody sent us in this mail. Answered by tls_report_read. */
#define IPC_READ_TLS_REPORT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, message) F(M, CONTENT, content) F(M, SECRET, data_key)
/*
 * B→K. ok false: the mail could not be read, try later. is_report false: it holds none that counts; why says why.
 * domain: whom the mail says that it is about; signer: the domain of its DKIM signature, which nobody has verified.
 * lines: items ipc_tls_line.
 */
#define IPC_TLS_REPORT_READ_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, FLAG, is_report) F(M, BYTES, why) \
    F(M, BYTES, organisation) F(M, BYTES, contact) F(M, BYTES, report_id) F(M, BYTES, domain) \
    F(M, BYTES, signer) F(M, SIGNED, begin_s) F(M, SIGNED, end_s) F(M, BYTES, lines)
/*
 * Item: so many sessions under one policy ended in this way. policy: enum tls_report_policy, with its domain, its
 * text and its MX patterns, one a line; result: as the RFC names it, "" = they went well.
 */
#define IPC_TLS_LINE_FIELDS(F, M) \
    F(M, NUMBER, policy) F(M, BYTES, policy_domain) F(M, BYTES, policy_text) \
    F(M, BYTES, policy_mx) F(M, BYTES, result) F(M, NUMBER, sessions) F(M, BYTES, mx) \
    F(M, BYTES, address) F(M, BYTES, source) F(M, BYTES, reason)
/* K→B: does the password fit the argon2id hash? */
#define IPC_PASSWORD_VERIFY_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, hash) F(M, BYTES, password)
#define IPC_PASSWORD_VERIFIED_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, FLAG, overloaded)
/* K→B: the key that an answer (as typed) gives with this salt. */
#define IPC_HASH_ANSWER_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, salt) F(M, BYTES, answer)
#define IPC_ANSWER_HASHED_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, ok) F(M, SECRET, key) F(M, BYTES, verifier)

/* ---- portal and keeper ---- */

/* P→K: what stands behind this link? `client` = network of the reader, for limits only. */
#define IPC_PORTAL_LOOK_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, client)
/* K→P: found false for missing, expired, retracted and wrong alike. locked_ms: how long to wait. */
#define IPC_PORTAL_VIEW_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, FLAG, found) F(M, NUMBER, proof) F(M, BYTES, question) \
    F(M, BYTES, organisation) F(M, BYTES, sender) F(M, SIGNED, expires_ms) \
    F(M, SIGNED, locked_ms) F(M, BYTES, masked_recipient)
/* P→K: mail a fresh one-time code to the recipient. Answered by portal_done. */
#define IPC_PORTAL_SEND_CODE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, client)
/* P→K: the reader's proof: the code, the answer, or nothing (link only). Answered by portal_opened. */
#define IPC_PORTAL_PROVE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, client) F(M, BYTES, typed)
/* P→K: again, with the session that portal_opened gave. Answered by portal_opened. */
#define IPC_PORTAL_RESUME_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, session) F(M, BYTES, client)
/*
 * K→P. status: enum portal_status. On PORTAL_OPEN: everything needed to open the copy together with
 * the token that only the portal has seen; answer_key is zero unless READER_PROOF_ANSWER;
 * header_id: the original's Message-ID, for In-Reply-To (may be empty).
 */
#define IPC_PORTAL_OPENED_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, status) F(M, SIGNED, locked_ms) F(M, NUMBER, tries_left) \
    F(M, BYTES, session) F(M, NUMBER, message) F(M, BYTES, account) \
    F(M, BYTES, organisation) F(M, BYTES, sender) F(M, BYTES, recipient) \
    F(M, SIGNED, expires_ms) F(M, SECRET, share) F(M, SECRET, answer_key) \
    F(M, BYTES, wrapped) F(M, CONTENT, copy) F(M, BYTES, header_id)
/* P→K, before the page is sent; answered by portal_done when it is on disk. event: enum portal_event. */
#define IPC_PORTAL_EVENT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, session) F(M, NUMBER, event) \
    F(M, NUMBER, part) F(M, BYTES, client)
/* P→K: the reader's reply is in the queue segment as a whole MIME message (message = its id).
 * The keeper knows from whom and to whom. Answered by portal_done. */
#define IPC_PORTAL_REPLY_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, lookup) F(M, BYTES, session) F(M, NUMBER, message) \
    F(M, BYTES, header_id) F(M, CONTENT, content) F(M, BYTES, client)
/* K→P. status: enum portal_status. */
#define IPC_PORTAL_DONE_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, NUMBER, status) F(M, SIGNED, locked_ms)

/* ---- office and keeper ---- */

/* O→K: one control request as JSON text (see office/README.md). */
#define IPC_CONTROL_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, request)
/* K→O: a piece of the JSON answer; more true = another piece follows. */
#define IPC_CONTROL_RESULT_FIELDS(F, M) \
    F(M, NUMBER, ask) F(M, BYTES, answer) F(M, FLAG, more)

/* Item of configure.files. */
#define IPC_FILE_FIELDS(F, M) \
    F(M, BYTES, path) F(M, BYTES, bytes)

#define IPC_TABLE(ROW) \
    ROW(CONFIGURE, configure) \
    ROW(READY, ready) \
    ROW(ATTACH, attach) \
    ROW(DRAIN, drain) \
    ROW(STATS, stats) \
    ROW(CENSUS, census) \
    ROW(PULSE, pulse) \
    ROW(SILENT, silent) \
    ROW(AUTH_CHECK, auth_check) \
    ROW(AUTH_RESULT, auth_result) \
    ROW(ACCEPT, accept) \
    ROW(ACCEPT_RESULT, accept_result) \
    ROW(RCPT_CHECK, rcpt_check) \
    ROW(RCPT_RESULT, rcpt_result) \
    ROW(DELIVER, deliver) \
    ROW(DELIVERED, delivered) \
    ROW(HOST_ASK, host_ask) \
    ROW(HOST_KNOWN, host_known) \
    ROW(STS_FIND, sts_find) \
    ROW(STS_FOUND, sts_found) \
    ROW(TLS_TEST, tls_test) \
    ROW(TLS_TESTED, tls_tested) \
    ROW(RUA_FIND, rua_find) \
    ROW(RUA_FOUND, rua_found) \
    ROW(REPORT_POST, report_post) \
    ROW(REPORT_POSTED, report_posted) \
    ROW(SIGN, sign) \
    ROW(SIGNATURE, signature) \
    ROW(MAKE_PORTAL_COPY, make_portal_copy) \
    ROW(PORTAL_COPY_MADE, portal_copy_made) \
    ROW(MAKE_MAIL, make_mail) \
    ROW(MAIL_MADE, mail_made) \
    ROW(MAKE_TLS_REPORT, make_tls_report) \
    ROW(TLS_REPORT_MADE, tls_report_made) \
    ROW(READ_TLS_REPORT, read_tls_report) \
    ROW(TLS_REPORT_READ, tls_report_read) \
    ROW(PASSWORD_VERIFY, password_verify) \
    ROW(PASSWORD_VERIFIED, password_verified) \
    ROW(HASH_ANSWER, hash_answer) \
    ROW(ANSWER_HASHED, answer_hashed) \
    ROW(PORTAL_LOOK, portal_look) \
    ROW(PORTAL_VIEW, portal_view) \
    ROW(PORTAL_SEND_CODE, portal_send_code) \
    ROW(PORTAL_PROVE, portal_prove) \
    ROW(PORTAL_RESUME, portal_resume) \
    ROW(PORTAL_OPENED, portal_opened) \
    ROW(PORTAL_EVENT, portal_event) \
    ROW(PORTAL_REPLY, portal_reply) \
    ROW(PORTAL_DONE, portal_done) \
    ROW(CONTROL, control) \
    ROW(CONTROL_RESULT, control_result) \
    /* items of lists */ \
    ROW(RECIPIENT, recipient) \
    ROW(RESULT, result) \
    ROW(TLS_RESULT, tls_result) \
    ROW(TLS_LINE, tls_line) \
    ROW(TESTED_HOST, tested_host) \
    ROW(FILE, file) \
    ROW(STAT, stat) \
    ROW(MEMBER, member)
/* clang-format on */

enum ipc_role {
    ROLE_SUPERVISOR,
    ROLE_KEEPER,
    ROLE_SMTPD,
    ROLE_COURIER,
    ROLE_SCRIBE,
    ROLE_PORTAL,
    ROLE_OFFICE,
    ROLE_SCOUT,
    ROLE_COUNT
};

enum message_kind {
    KIND_SUBMITTED,   /* from our own people: planned per recipient */
    KIND_INBOUND,     /* from strangers to an own domain with a next hop */
    KIND_BOUNCE,      /* null sender to bounce+…@own domain: eaten by the keeper */
    KIND_NOTICE,      /* portal notice: regular mail */
    KIND_CODE,        /* one-time code: regular mail */
    KIND_RECEIPT,     /* read receipt to the sender: protected */
    KIND_REPLY,       /* reader's reply to the sender: protected */
    KIND_DSN_FAILURE, /* to the sender: protected like the original was */
    KIND_DSN_DELAY,
    KIND_DSN_SUCCESS,
    KIND_TLS_REPORT,   /* ours, about our sessions with its recipient's domain: regular mail */
    KIND_TLS_REPORTED, /* from strangers, about theirs with us: read and eaten here */
    KIND_COUNT
};

enum sts_outcome {
    STS_OUTCOME_NONE,      /* no record, or none that counts */
    STS_OUTCOME_SAME,      /* announced under the id that is known */
    STS_OUTCOME_POLICY,    /* fetched */
    STS_OUTCOME_UNFETCHED, /* announced, and cannot be had */
    STS_OUTCOME_INVALID,   /* announced, had, and no policy */
    STS_OUTCOME_UNKNOWN,   /* the DNS could not be asked */
    STS_OUTCOME_COUNT
};

enum delivery_outcome {
    OUTCOME_DELIVERED, /* 2xx after end of data */
    OUTCOME_TEMPORARY, /* 4xx, time-out, no route now: try later */
    OUTCOME_PERMANENT, /* 5xx, no such domain, null MX */
    OUTCOME_NOT_PROVED, /* hosts answered, none proved the TLS that was required; nothing was sent */
    OUTCOME_COUNT
};

/* Why an outbound route does not work. */
enum route_failure {
    ROUTE_WORKS,
    ROUTE_NO_SOURCE, /* its address is not there */
    ROUTE_NOT_REACHED,
    ROUTE_NO_TLS, /* the smart host's TLS does not verify */
    ROUTE_NO_LOGIN,
    ROUTE_FAILURE_COUNT
};

enum portal_status {
    PORTAL_OPEN,
    PORTAL_WRONG,
    PORTAL_LOCKED,
    PORTAL_ABSENT,
    PORTAL_BUSY,
    PORTAL_OK
};

enum portal_event { PORTAL_REVEALED, PORTAL_ATTACHMENT_TAKEN };

#define IPC_NUMBER_ROW(NAME, name) IPC_##NAME,
enum ipc_type { IPC_NONE, IPC_TABLE(IPC_NUMBER_ROW) IPC_COUNT };
#undef IPC_NUMBER_ROW

#define IPC_C_NUMBER uint64_t
#define IPC_C_SIGNED int64_t
#define IPC_C_FLAG bool
#define IPC_C_BYTES struct slice
#define IPC_C_SECRET struct secret
#define IPC_C_CONTENT struct content_ref
#define IPC_C_REQUIREMENT struct tls_requirement
#define IPC_STRUCT_FIELD(M, KIND, field) IPC_C_##KIND field;
#define IPC_STRUCT_ROW(NAME, name)                                                             \
    struct ipc_##name {                                                                        \
        IPC_##NAME##_FIELDS(IPC_STRUCT_FIELD, name)                                            \
    };
IPC_TABLE(IPC_STRUCT_ROW)
#undef IPC_STRUCT_ROW
#undef IPC_STRUCT_FIELD

#endif
