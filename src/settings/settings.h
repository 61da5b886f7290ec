/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the operator wrote, as values. One commented file (conf/postern.conf) is read by the
 * supervisor; every role gets the same text in its `configure` message, with only those named
 * files (keys, certificates) that the role may know, and parses it again with the same code. A
 * settings snapshot is immutable and counted: sessions keep the one they began with, so a reload
 * never drops them.
 *
 * Everything here is owned by the snapshot. Strings are NUL-terminated and never NULL ("" = unset)
 * unless said otherwise; domains are lower-case A-labels. Times are milliseconds, sizes bytes.
 */
#ifndef SETTINGS_SETTINGS_H
#define SETTINGS_SETTINGS_H

#include "base/err.h"
#include "base/log.h"
#include "base/slice.h"
#include "policy/verdict.h"

#include <netinet/in.h>

enum listener_kind {
    LISTENER_SUBMISSION,  /* 587: STARTTLS, then AUTH */
    LISTENER_SUBMISSIONS, /* 465: implicit TLS, AUTH */
    LISTENER_MX,          /* 25: the organisation's relay hosts, and mail to own domains */
};

/* Are clients asked for a certificate? None need have one: see lockdown and relay_certificates. */
enum settings_ask { SETTINGS_ASK_NO, SETTINGS_ASK };

struct settings_listener {
    const char *name_cstr;
    enum listener_kind kind;
    enum settings_ask client_certificates;
    struct sockaddr_storage address; /* IPv4 or IPv6, port set */
    socklen_t address_len;
};

/* A PEM file named in the settings; `bytes` is empty in roles that may not know it. */
struct settings_file {
    const char *path_cstr; /* absolute, or relative to the working folder */
    struct slice bytes;
    unsigned line; /* where it is named in the settings, for messages */
};

/* Who may know a named file. */
enum settings_file_kind {
    SETTINGS_FILE_MASTER_KEY,
    SETTINGS_FILE_SMTP_TLS,
    SETTINGS_FILE_CLIENT_ROOTS, /* who may vouch for clients */
    SETTINGS_FILE_PORTAL_TLS,
    SETTINGS_FILE_DKIM_KEY,
    SETTINGS_FILE_ROOTS,        /* trusted roots */
    SETTINGS_FILE_TRUST_ANCHOR, /* DNSSEC */
    SETTINGS_FILE_DOMAINS,      /* names of domains: the forced list */
    SETTINGS_FILE_PASSWORD,     /* for a smart host */
    SETTINGS_FILE_PROVIDERS,    /* what large providers put up with */
};

/* A further certificate for SMTP, for clients that ask for one of its names (SNI). */
struct settings_certificate {
    const char *name_cstr;
    struct settings_file certificate, key;
};

struct settings_network {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    uint8_t prefix_bits; /* 0..128 */
};

struct settings_dkim_key {
    const char *selector_cstr;
    struct settings_file private_key; /* RSA or Ed25519, PEM */
};

/* What we publish for an own domain by MTA-STS [RFC 8461 §3.2]; settings/sts_text.h makes the policy of it. */
enum settings_sts_mode {
    SETTINGS_STS_OFF,
    SETTINGS_STS_NONE,
    SETTINGS_STS_TESTING,
    SETTINGS_STS_ENFORCE
};
struct settings_own_sts {
    enum settings_sts_mode mode; /* default off: no policy is served */
    const char *const *mx;       /* patterns; none = hostname */
    size_t mx_count;
    int64_t max_age_ms; /* default a week */
};

/* A domain that is ours. */
struct settings_domain {
    const char *name_cstr;
    const char *account_cstr;
    struct settings_dkim_key *dkim_keys;
    size_t dkim_key_count;
    /* Inbound mail for this domain goes to this host over proved TLS ("" = only bounces are taken). */
    const char *next_hop_cstr; /* host or host:port */
    struct settings_own_sts sts;
    bool forward_tls_only; /* for its addresses, beside the switch for all */
};

/* Mail to an address of ours goes on to others; "@domain": whatever else of the domain is written to. */
struct settings_alias {
    const char *address_cstr;
    const char *const *to;
    size_t to_count;
};

enum reader_proof {
    READER_PROOF_CODE,   /* one-time code by mail (default) */
    READER_PROOF_ANSWER, /* question and answer set by the sender */
    READER_PROOF_LINK,   /* link only: a named, audited policy */
};

enum settings_tls { SETTINGS_TLS_1_2, SETTINGS_TLS_1_3 };

/* Overrides for one recipient address ("bob@x.test") or domain ("x.test"). */
struct settings_recipient {
    const char *match_cstr;
    enum delivery_mode mode; /* MODE_UNSET = the account's */
    bool bar_tls;            /* TLS alone is not allowed for it */
    bool has_least_tls;
    enum settings_tls least_tls;
    bool has_proof;
    enum reader_proof proof;
    const char *question_cstr; /* used with READER_PROOF_ANSWER when the message brings none */
    const char *answer_cstr;
};

/* Mode for what one sender address, one user or one domain ("clinic.test") of ours sends. */
struct settings_sender {
    const char *match_cstr;
    enum delivery_mode mode; /* MODE_UNSET = says nothing */
};

/* What becomes of ordinary mail whose way stays barred for too long. */
enum settings_unmet { UNMET_HOLD, UNMET_PORTAL, UNMET_CLEAR };

enum settings_requiretls { REQUIRETLS_STRICT, REQUIRETLS_RELAXED };

struct settings_account {
    const char *name_cstr;
    const char *organisation_cstr; /* shown to readers */
    bool encrypt_by_default;       /* true: opt-out account; false: opt-in (trigger needed) */
    bool opt_out_allowed;          /* senders may use the opt-out trigger */
    const char *encrypt_trigger_cstr; /* default "+encrypt+" */
    const char *opt_out_trigger_cstr; /* default "+noencrypt+" */
    enum delivery_mode mode;          /* default MODE_TRY */
    enum method order[METHOD_COUNT];  /* default tls, openpgp, smime, portal */
    size_t order_count;
    enum proof_level proof_needed; /* default PROOF_VERIFIED */
    bool mx_proved; /* secure mail only to hosts whose name is proved; default no */
    enum settings_requiretls requiretls;
    enum settings_tls least_tls;       /* for secure mail; default 1.2 */
    enum settings_unmet policy_unmet;  /* default UNMET_HOLD; never CLEAR */
    enum settings_unmet ratchet_after; /* default UNMET_HOLD */
    bool cleartext_allowed;            /* for ordinary mail; default true */
    int64_t cleartext_after_ms;        /* default 15 min */
    int64_t tls_retry_ms;              /* proved domain lost its proof: default 4 h */
    enum reader_proof reader_proof;    /* default READER_PROOF_CODE */
    int64_t portal_expire_ms, portal_expire_min_ms, portal_expire_max_ms; /* default 30 days */
    const char *notice_from_cstr;    /* e.g. "Clinic secure mail <secure@clinic.test>" */
    const char *notice_subject_cstr; /* neutral */
    bool receipts;                   /* default true */
    const char *const *outbound;     /* outbound routes it uses, "name" or "name=weight" */
    size_t outbound_count;           /* 0 = default_outbound */
    struct settings_network
        *relay_networks; /* hosts that may send as this account on port 25 */
    size_t relay_network_count;
    const char *const
        *relay_certificates; /* the same by client certificate: SHA-256, hexadecimal */
    size_t relay_certificate_count;
    struct settings_recipient *recipients;
    size_t recipient_count;
    struct settings_sender *senders;
    size_t sender_count;
};

struct settings_user {
    const char *name_cstr; /* login name, usually the address */
    const char *account_cstr;
    const char *
        password_hash_cstr; /* argon2id, from `postern password`; only the keeper and scribe use it */
    const char *const
        *senders; /* addresses or @domains allowed in MAIL FROM and From; default: own name */
    size_t sender_count;
};

/* Where mail for a domain goes instead of its MX ("*" = every domain). */
struct settings_route {
    const char *domain_cstr;
    const char *
        host_cstr; /* name: also the reference identifier; "[127.0.0.1]" = address literal, no MX look-up */
    uint16_t port;
};

/*
 * Who may send to an mx listener over TLS only. Senders and hosts are domains; "*.x.test" is every name below
 * x.test. A host is known by the name it gives in EHLO: whoever lies about it is held to more, never to less.
 */
struct settings_lockdown {
    const char *name_cstr;
    const char *const *senders; /* domains in MAIL FROM */
    size_t sender_count;
    struct settings_network *networks;
    size_t network_count;
    const char *const *hosts;
    size_t host_count;
    enum settings_tls least_tls;
    bool client_certificate; /* only with one that is verified or listed here */
    const char *const
        *certificate_names; /* of which a verified one must have one; none = any */
    size_t certificate_name_count;
    const char *const *fingerprints; /* SHA-256, hexadecimal: these need no authority */
    size_t fingerprint_count;
};

enum { OUTBOUND_PASSWORD_MAX = 512 };
enum outbound_mode { OUTBOUND_STARTTLS, OUTBOUND_TLS };

/* A way out: from which address, under which name, through which smart host. */
struct settings_outbound {
    const char *name_cstr;
    uint32_t weight;           /* default 1; 0 = only for accounts that name it */
    const char *const *source; /* at most one IPv4 and one IPv6 address to connect from */
    size_t source_count;
    const char *helo_cstr;       /* "" = delivery.helo */
    const char *smart_host_cstr; /* "host" or "host:port"; "" = by MX */
    enum outbound_mode mode;     /* how TLS begins with the smart host */
    const char *user_cstr;       /* login there; "" = none */
    struct settings_file password;
    bool secure_mail; /* the smart host may carry mail that needs proved TLS; default false */
};

struct settings_limits {
    uint64_t message_bytes;       /* default 50 MiB */
    uint32_t header_bytes;        /* default 256 KiB */
    uint32_t recipients;          /* per message, default 1000 */
    uint32_t sessions;            /* per smtpd process, default 20000 */
    uint32_t sessions_per_client; /* per client address, default 1000 */
    int64_t command_timeout_ms;   /* default 5 min */
    int64_t data_timeout_ms;      /* default 10 min between data blocks */
    int64_t message_timeout_ms;   /* default 1 h from MAIL to the last byte of content */
    uint64_t disk_reserve_bytes;  /* below this much free space: 452; default 256 MiB */
};

struct settings_delivery {
    uint16_t port;                        /* default 25 */
    const char *helo_cstr;                /* default hostname */
    int64_t connect_timeout_ms;           /* default 30 s */
    int64_t command_timeout_ms;           /* default 5 min */
    int64_t retry_first_ms, retry_max_ms; /* default 5 min, 4 h; doubles with jitter */
    int64_t expire_ms;                    /* default 5 days */
    int64_t delay_notice_ms;              /* default 4 h */
    uint32_t connections_per_host;        /* default 20 */
    uint32_t messages_per_connection;     /* default 1000 */
    int64_t idle_ms;                      /* idle connection kept, default 10 s */
    bool prefer_ipv4;
    uint32_t ratchet;         /* seen with TLS so often within 30 days; 0 = off; default 3 */
    int64_t ratchet_hold_ms;  /* then no clear text for so long; default 4 h */
    int64_t policy_notice_ms; /* the sender of mail that a policy holds is told; default 1 h */
};

/* Testing other domains' TLS without mail. */
struct settings_board {
    int64_t every_ms;       /* default 1 day; 0 = only when asked */
    int64_t first_after_ms; /* after a domain's first mail; default 1 min */
    int64_t again_after_ms; /* a worse verdict is believed at the next test; default 15 min */
    int64_t used_within_ms; /* domains used within this time are tested; default 30 days */
    uint32_t at_once;       /* default 4 */
};

/* Until this day, inclusive, ordinary mail to the domain does not heed what it publishes. */
struct settings_exception {
    const char *domain_cstr;
    const char *until_cstr;  /* "2026-12-31", UTC */
    const char *reason_cstr; /* for whoever reads the settings later */
};

/* Data for the resolver itself, e.g. "good.test. MX 10 mx.good.test." (development and tests). */
struct settings_resolver {
    const char *const *forward; /* "127.0.0.1@5353"; none = full recursion from the root */
    size_t forward_count;
    const char *const *local_data;
    size_t local_data_count;
    struct settings_file trust_anchor;
};

struct settings_portal {
    bool enabled; /* there is a url: pages for readers */
    bool listens; /* there is an address: for readers, or for policies of own domains only */
    struct sockaddr_storage address;
    socklen_t address_len;
    const char *
        url_cstr; /* https://portal.clinic.test[:port], no slash at the end; links are made from this only */
    struct settings_file certificate, key;
    uint64_t reply_bytes; /* default 25 MiB */
    uint32_t attempts;    /* wrong codes or answers per message before it locks, default 5 */
    int64_t lock_ms;      /* default 15 min */
    int64_t code_ms;      /* one-time code lives, default 15 min */
    int64_t session_ms;   /* reading session, default 30 min */
};

/* Policies that other domains publish about TLS for their mail [RFC 8461]. */
struct settings_sts {
    bool enabled; /* look for them; default true */
    int64_t
        pause_ms; /* between two looks at a domain's record, and after a fetch that failed; default 5 min */
    uint16_t
        port; /* of the web servers that have them, default 443; another one only for tests */
    bool allow_private; /* fetch from loopback and private addresses, too; only for tests */
};

/* Reports about TLS with others, daily, both ways [RFC 8460]. */
struct settings_tls_reports {
    bool send;                /* default true, but nothing is sent before `from` is set */
    const char *from_cstr;    /* address of an own domain with DKIM keys; "" = none are sent */
    const char *contact_cstr; /* default: from */
    const char *organisation_cstr; /* default: that of the account of from's domain */
    const char
        *receive_cstr; /* address of an own domain that takes others' reports; "" = none */
    int64_t
        spread_ms; /* they leave spread over so long a time after midnight UTC; default 4 h */
};

/* For monitoring, plain HTTP: /metrics, /health, /ready. */
struct settings_metrics {
    bool enabled;
    struct sockaddr_storage address;
    socklen_t address_len; /* 0 = off */
};

struct arena;

struct settings {
    unsigned references;  /* see settings_ref */
    struct arena *memory; /* everything below lies in it, but for the bytes of files */
    const char *hostname_cstr;
    const char *state_dir_cstr;
    const char
        *user_cstr; /* run_as: drop to this user when started as root, default "postern" */
    const char *const *forced_domains; /* at least mode forced for mail to these */
    size_t forced_domain_count;
    struct settings_file forced_domains_file;      /* more of them, one a line; keeper only */
    const char *control_path_cstr;                 /* default STATE/control.sock */
    struct settings_file master_key;               /* keeper only */
    struct settings_file tls_certificate, tls_key; /* smtpd only */
    struct settings_file client_authorities; /* smtpd only; PEM, "" = nobody is verified */
    bool transport_header; /* say in inbound mail how it came (default false) */
    struct settings_certificate *certificates; /* beside tls_certificate; smtpd only */
    size_t certificate_count;
    struct settings_file trusted_roots; /* courier; default the system's bundle */
    enum log_level log_level;
    enum log_format log_format;
    int64_t log_slow_ms; /* operations that take longer are logged; default 500 ms */
    int64_t watchdog_ms; /* roles silent for longer are ended and started anew; default 1 min */
    unsigned smtpd_processes, courier_processes, scribe_processes,
        portal_processes;  /* default: cores, but scribe/portal 1 per 2 */
    bool forward_tls_only; /* nothing goes on to domains without proved TLS (default false) */
    bool hold_all;         /* accept and keep, deliver nothing (default false) */
    int64_t story_keep_ms; /* rows of finished messages, default 90 days */
    struct settings_limits limits;
    struct settings_delivery delivery;
    struct settings_board board;
    struct settings_resolver resolver;
    struct settings_portal portal;
    struct settings_tls_reports tls_reports;
    struct settings_metrics metrics;
    struct settings_sts sts;
    struct settings_listener *listeners;
    size_t listener_count;
    struct settings_account *accounts;
    size_t account_count;
    struct settings_domain *domains;
    size_t domain_count;
    struct settings_user *users;
    size_t user_count;
    struct settings_route *routes;
    size_t route_count;
    struct settings_alias *aliases;
    size_t alias_count;
    struct settings_exception *exceptions;
    size_t exception_count;
    struct settings_lockdown *lockdowns;
    size_t lockdown_count;
    const char *const *default_outbound; /* as account.outbound; none = all outbounds */
    size_t default_outbound_count;
    struct settings_file providers_file; /* none = those built in */
    struct settings_outbound *outbounds;
    size_t outbound_count;
};

/*
 * Parse the settings text. `path_cstr` is only for messages, which read
 * "FILE:LINE: what is wrong; what to do". Named files are not read here (see settings_load).
 * Errors: ERR_PERM with the first mistake.
 */
MUST_CHECK bool settings_parse(struct slice text, const char *path_cstr,
                               struct settings **settings_out, struct err *err);
/* Read and parse the file at path, then read every named file into it. Used by the supervisor. */
MUST_CHECK bool settings_load(const char *path_cstr, struct settings **settings_out,
                              struct slice *text_out, struct err *err);
/* Read and parse the file at path, but none of the named files: for tools. */
MUST_CHECK bool settings_read(const char *path_cstr, struct settings **settings_out,
                              struct err *err);
/* Give a named file its bytes (copied); used by a role with its configure message. */
void settings_file_put(struct settings *settings, struct slice path, struct slice bytes);

/*
 * Walk the named files (those with a path): start with *position = 0, NULL at the end. kind_out may
 * not be NULL.
 */
struct settings_file *settings_file_next(struct settings *settings, size_t *position,
                                         enum settings_file_kind *kind_out);

struct settings *settings_ref(struct settings *settings);
/* Forget one reference; the last one frees and wipes. Clears *settings. */
void settings_unref(struct settings **settings);

/* NULL when there is none. Names are compared without case. */
const struct settings_account *settings_account_find(const struct settings *settings,
                                                     struct slice name);
const struct settings_domain *settings_domain_find(const struct settings *settings,
                                                   struct slice domain);
const struct settings_user *settings_user_find(const struct settings *settings,
                                               struct slice name);
/* The route for a domain: exact name, then "*"; NULL = by MX. */
const struct settings_route *settings_route_find(const struct settings *settings,
                                                 struct slice domain);
/* The outbound route of this name; NULL = none. */
const struct settings_outbound *settings_outbound_find(const struct settings *settings,
                                                       struct slice name);
/* The override for an address: full address first, then its domain; NULL = none. */
const struct settings_recipient *settings_recipient_find(const struct settings_account *account,
                                                         struct slice address);
/* Is `name` this domain, or below it when the pattern begins with "*."? */
bool settings_pattern_matches(const char *pattern_cstr, struct slice name);
/* Is this SHA-256 one of the fingerprints? */
bool settings_fingerprint_listed(const char *const *fingerprints, size_t count,
                                 const uint8_t sha256[32]);
/* Is the client's address inside one of the networks? */
bool settings_network_holds(const struct settings_network *networks, size_t count,
                            const struct sockaddr *client);
/* The override for an address alone, or for its domain alone; NULL = none. */
const struct settings_recipient *
settings_recipient_named(const struct settings_account *account, struct slice name);
/* The mode that the account names for a sender: an address, a user or a domain; MODE_UNSET = none. */
enum delivery_mode settings_sender_mode(const struct settings_account *account,
                                        struct slice name);
/* Does an exception hold for this domain now? */
bool settings_is_excepted(const struct settings *settings, struct slice domain, int64_t now_ms);
/* The account whose relay_certificates hold this SHA-256; NULL = none. */
const struct settings_account *settings_relay_certificate(const struct settings *settings,
                                                          const uint8_t sha256[32]);
/* The account whose relay networks hold this client address (IPv4 or IPv6); NULL = none. */
const struct settings_account *settings_relay_account(const struct settings *settings,
                                                      const struct sockaddr *client);

#endif
