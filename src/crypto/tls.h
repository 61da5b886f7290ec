/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS as a door. A context holds what many connections share (certificate, trust, rules): making
 * one that trusts the system's authorities costs 40 ms, so there is one per policy class, never one
 * per connection. A session is one connection over a non-blocking socket that the caller owns and
 * closes after tls_session_free. Every call returns at once with a tls_step; on WANT_READ or
 * WANT_WRITE the caller waits for the socket and makes the same call again.
 *
 * Always: TLS 1.2 or 1.3, no compression, no renegotiation, no 0-RTT; forward secrecy and AEAD, but
 * for TLS_TRUST_NOBODY, which takes older ciphers rather than clear text. No call raises SIGPIPE. A name is verified as [RFC 6125 §6.4] says: subjectAltName only, and a
 * wildcard stands for one whole leftmost label.
 *
 * What was proved is read from tls_session_evidence after the handshake: it describes this very
 * connection. [RFC 3207] [RFC 8446] [RFC 5246] [RFC 9325]
 */
#ifndef CRYPTO_TLS_H
#define CRYPTO_TLS_H

#include "base/err.h"
#include "crypto/digest.h"
#include "crypto/tls_tickets.h"
#include "crypto/tlsa.h"

enum tls_version { TLS_VERSION_NONE, TLS_VERSION_1_2, TLS_VERSION_1_3 };
/* "TLSv1.2", "TLSv1.3" or "none". */
const char *tls_version_name(enum tls_version version);

/* Shared and counted: each session holds a reference. */
struct tls_context;
void tls_context_ref(struct tls_context *context);
/* Drops the caller's reference and clears the pointer; NULL inside is fine. */
void tls_context_unref(struct tls_context **context);

/* A further certificate of a server, shown to clients that ask for one of its names (SNI) [RFC 6066 §3]. */
struct tls_certificate {
    struct slice chain_pem; /* its own first, then its issuers */
    struct slice private_key_pem;
};

struct tls_server_options {
    struct slice certificate_chain_pem; /* the server's certificate first, then its issuers */
    struct slice private_key_pem;
    /*
     * More of them: the first whose subjectAltName holds the name that the client asks for; else, and for clients that ask for
     * none, the one above. Copied.
     */
    const struct tls_certificate *more;
    size_t more_count;
    /*
     * Ask clients for a certificate. The handshake goes on without one, and with one that nobody trusts: the evidence
     * tells. A certificate for servers is as good as one for clients: mail servers have no others.
     */
    bool ask_certificate;
    /* Who may vouch for clients (PEM): their names are told to the client. Empty = nobody, so that none is verified. */
    struct slice client_authorities_pem;
    enum tls_version least; /* NONE = 1.2 */
    /*
     * Processes that share a port give the same here, so that a ticket made by one is taken by the other. Copied; the
     * context goes on to each new day's by itself. NULL or period 0 = a random secret of the context's own.
     */
    const struct tls_tickets *tickets;
};
/* ERR_PERM: certificate or key not readable, or they do not belong together (the text says which). */
MUST_CHECK bool tls_context_new_server(const struct tls_server_options *options,
                                       struct tls_context **context_out, struct err *err);

enum tls_trust {
    TLS_TRUST_NOBODY, /* encrypt without proof: the certificate is recorded, never required */
    TLS_TRUST_WEBPKI, /* the handshake fails unless chain and name are verified */
    /*
     * The handshake fails unless a usable TLSA record of the peer matches [RFC 7672 §3.1]. DANE-EE (3): the certificate is the
     * one, whatever its names and dates. DANE-TA (2): an authority of its chain (or in the record) is the one, and dates and
     * names hold. Of several digests of the same kind only the strongest counts [RFC 7671 §9]. No other authority is asked.
     */
    TLS_TRUST_DANE,
};
struct tls_client_options {
    enum tls_trust trust;
    /*
     * A ClientHello that fits into one packet: no post-quantum key share, no ticket of an earlier session, the shortest lists.
     * For hosts that choke on more; less future-proof, otherwise as safe. Never resumes.
     */
    bool small_hello;
    /*
     * Trusted authorities: a PEM file, PEM bytes, or both. WEBPKI needs at least one. With NOBODY
     * they are used only so that the evidence tells whether verification would have worked.
     */
    const char *authorities_path_cstr;
    struct slice authorities_pem;
    enum tls_version least; /* NONE = 1.2 */
};
/* ERR_PERM: the authorities are missing or not readable. */
MUST_CHECK bool tls_context_new_client(const struct tls_client_options *options,
                                       struct tls_context **context_out, struct err *err);

/*
 * What a client may keep of a connection to shorten the next one to the same peer. Counted. It
 * belongs to one context, one set of names and one set of TLSA records: with any other it is silently not used, so a weaker
 * connection can never lend its proof to a stronger one.
 */
struct tls_resumption;
void tls_resumption_ref(struct tls_resumption *resumption);
void tls_resumption_unref(struct tls_resumption **resumption);

enum { TLS_MAX_NAMES = 4 };
struct tls_peer {
    const char *server_name_cstr; /* sent as SNI; NULL = none (an address literal) */
    /* Reference identifiers: host names of which one must match, or a single address literal.
     * WEBPKI needs one. DANE: the first is the TLSA base domain, and is sent as SNI too [RFC 7672 §8.1]. */
    const char *names_cstr[TLS_MAX_NAMES]; /* unused ones NULL */
    const struct tlsa_set
        *tlsa;              /* DANE: at least one usable record; else not looked at. Copied */
    enum tls_version least; /* more than the context's, for this peer; NONE = same */
    struct tls_resumption *resumption; /* NULL, or tried; the caller keeps its reference */
};

enum tls_step {
    TLS_DONE,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_CLOSED, /* the peer ended the session in order (close_notify) */
    TLS_FAILED, /* err says why; only tls_session_free is left to do */
};

struct tls_session;
/* fd: a connected non-blocking stream socket, borrowed. The session starts as the server's side. */
struct tls_session *tls_session_new_server(struct tls_context *context, int fd);
/*
 * The client's side. ERR_PERM: WEBPKI or DANE without a name, or a name that cannot be one; DANE without a usable record
 * (such a host must get TLS without proof, or an MTA-STS policy's: the caller's decision).
 */
MUST_CHECK bool tls_session_new_client(struct tls_context *context, int fd,
                                       const struct tls_peer *peer,
                                       struct tls_session **session_out, struct err *err);
/* Wipes its keys. Sends nothing: call tls_session_shutdown before, where good manners matter. */
void tls_session_free(struct tls_session **session);

/*
 * DONE: the connection is encrypted (and verified, when the context demands it). FAILED: ERR_TEMP
 * (with 454 4.7.5 and "not proved" when the certificate does not verify), or ERR_PEER when the
 * peer does not speak TLS or broke it.
 */
MUST_CHECK enum tls_step tls_session_handshake(struct tls_session *session, struct err *err);
/*
 * Up to `max` bytes into `at`; *len_out > 0 on DONE only. Read until it says WANT_READ: bytes can be
 * inside the session while the socket has none. A peer that vanishes without close_notify is FAILED
 * with ERR_PEER (truncation), which protocols with their own ending may treat as closed. WANT_READ behind bytes that
 * came is said without asking the socket: wait for it, level-triggered.
 */
MUST_CHECK enum tls_step tls_session_read(struct tls_session *session, uint8_t *at, size_t max,
                                          size_t *len_out, struct err *err);
/*
 * DONE: *len_out bytes (at least one, perhaps not all) are on their way. After WANT_* the next write
 * must begin with the same bytes and be no shorter; they may stand elsewhere in memory.
 */
MUST_CHECK enum tls_step tls_session_write(struct tls_session *session, struct slice bytes,
                                           size_t *len_out, struct err *err);
/* Say close_notify. DONE when it is sent; the peer's own is not waited for. */
MUST_CHECK enum tls_step tls_session_shutdown(struct tls_session *session, struct err *err);
/* Bytes that a read would give at once, without the socket. */
size_t tls_session_pending(const struct tls_session *session);

/* A new reference to what would resume this session, or NULL when the peer offers nothing. TLS 1.3
 * peers offer it after the handshake: ask at the end of the connection. */
struct tls_resumption *tls_session_resumption(struct tls_session *session);

/* Why a handshake failed, or a certificate is not verified: the distinctions of TLS reports [RFC 8460 §4.3]. */
enum tls_failure {
    TLS_FAILURE_NONE,
    TLS_FAILURE_HANDSHAKE,     /* no TLS came about: version, cipher, garbage, broken off */
    TLS_FAILURE_HOST_MISMATCH, /* the certificate is for other names */
    TLS_FAILURE_EXPIRED,       /* or not valid yet */
    TLS_FAILURE_NOT_TRUSTED,   /* no trusted authority vouches for it */
    TLS_FAILURE_TLSA_MISMATCH, /* no TLSA record matches */
    TLS_FAILURE_VALIDATION,    /* anything else that is wrong with the certificate */
};
/* The result type in a report: "certificate-host-mismatch", "validation-failure" ...; "" for NONE. */
const char *tls_failure_report_name(enum tls_failure failure);

enum { TLS_TEXT_SIZE = 64, TLS_NAMES_SIZE = 512, TLS_REASON_SIZE = 160 };
/* What is known of a finished handshake. A plain value: it is stored and shown as evidence. */
struct tls_evidence {
    enum tls_version version;
    char cipher_cstr[TLS_TEXT_SIZE]; /* IANA name, e.g. TLS_AES_256_GCM_SHA384 */
    uint16_t cipher_bits;
    char group_cstr[TLS_TEXT_SIZE]; /* key agreement, e.g. x25519; "" when not known */
    bool is_resumed;
    bool has_certificate;
    uint8_t certificate_sha256[SHA256_BYTES]; /* of the peer's own certificate */
    /* Its subjectAltNames, space between, odd bytes as "?"; whole names only, "..." at the end when there are more. */
    char names_cstr[TLS_NAMES_SIZE];
    char issuer_cstr[TLS_NAMES_SIZE];  /* its issuer, one line, printable ASCII */
    int64_t not_after_s;               /* unix seconds */
    bool is_verified;                  /* chain and name both hold; DANE: a record matches */
    char reason_cstr[TLS_REASON_SIZE]; /* why it is not verified; "" when it is */
    enum tls_failure failure;          /* the same, as a kind; NONE when it is verified */
    char tlsa_cstr
        [TLSA_TEXT_SIZE]; /* DANE: the record that matched, as tlsa_write_text; else "" */
    int tlsa_depth; /* and what it matched: 0 = the host's own certificate, 1 = its issuer, ... */
};
/*
 * After a finished handshake, or a failed one: then it tells the certificate that was refused and why
 * (version NONE). On the server's side, when the client was asked for a certificate, is_verified says that a
 * trusted authority vouches for it, whatever its names; when it was not asked those fields stay empty.
 */
void tls_session_evidence(const struct tls_session *session, struct tls_evidence *evidence_out);

#endif
