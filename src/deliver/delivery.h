/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One delivery: a message for recipients of one domain, on its way, and what has become of it. Made from a
 * `deliver` message, owned by exactly one place at a time: a directory entry (waits for the DNS), a site (waits for a
 * connection), a client (being sent), or the deliverer between them. Every text in it lives in its arena; the data
 * key is wiped with it.
 */
#ifndef DELIVER_DELIVERY_H
#define DELIVER_DELIVERY_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/list.h"
#include "crypto/tls.h"
#include "deliver/host_policy.h"
#include "ipc/messages.h"

/* Where one recipient stands. */
enum recipient_state {
    RECIPIENT_OPEN,     /* nothing said about it yet, or only at hosts that are behind us */
    RECIPIENT_ACCEPTED, /* RCPT was taken; the message's end is not answered yet */
    RECIPIENT_TRY_NEXT, /* refused for now by a host; the next host may take it */
    RECIPIENT_DONE,     /* outcome stands */
};

struct delivery_recipient {
    uint64_t id;
    struct slice address;
    struct slice orcpt;
    unsigned notify;
    bool is_asked; /* RCPT was written on the present connection */
    enum recipient_state state;
    enum delivery_outcome outcome;
    uint16_t code; /* of the last reply about it; 0 = none */
    char enhanced_cstr[12];
    struct slice reply; /* one line, in the arena */
};

enum { DELIVERY_ADDRESS_SIZE = 64, DELIVERY_HOST_SIZE = 256, DELIVERY_ROUTE_SIZE = 64 };

/* The connection that carried the message, or was refused last. */
struct delivery_evidence {
    char mx_cstr[DELIVERY_HOST_SIZE];
    char address_cstr[DELIVERY_ADDRESS_SIZE];
    bool is_tls;
    struct tls_evidence tls; /* when is_tls, and of a handshake that failed */
    bool is_small_hello;     /* it came about with a small ClientHello */
    bool has_requiretls;     /* REQUIRETLS was demanded of the host, and promised by it */
    char source_cstr[DELIVERY_ADDRESS_SIZE]; /* our own address */
    enum proof_level level;
    bool is_reused;
    bool reports;       /* the host offered DSN: it was told who wants which reports */
    char why_cstr[240]; /* why it is not verified */
};

/* What the decision table said last, about the host that the evidence is of. */
struct delivery_ruling {
    unsigned row;          /* of doc/tls.md; 0 = nothing was decided */
    const char *name_cstr; /* of the row; static */
    enum mx_proof mx;
    char policy_cstr[240]; /* what was published and counted */
};

/* The deliverer's place in its walk over the hosts; nobody else looks at it. */
struct delivery_walk {
    struct directory_entry *hosts;     /* counted reference */
    struct directory_entry *addresses; /* of the present host; counted reference */
    size_t host, address;              /* positions in them */
    unsigned candidate;                /* number of the address in the whole walk */
    unsigned small_hello_at;           /* that number + 1 where a small ClientHello was due */
    uint64_t failed_handshakes;        /* bit per candidate */
    bool is_last_resort;               /* second round: those, in the clear */
    unsigned sessions;                 /* hosts that were told about the message */
    unsigned route_failure; /* enum route_failure: how it failed last at a smart host */
    bool had_no_source;     /* an address of a kind that the route cannot connect to */
    unsigned stale;         /* times that a kept connection turned out dead */
    bool was_held;          /* a host was not told about it as the table says: later */
    bool was_not_proved;    /* a host answered and the proof was not had there */
    bool was_proved;        /* a host was good enough to be told about the message */
    bool had_address, dns_failed;
    bool was_reached;          /* somebody talked to us */
    bool is_unreached;         /* the end of it: nobody did, now */
    struct host_policy policy; /* of the present host; views into the entries above */
    char last_why_cstr[512];
};

struct delivery {
    struct list_link link; /* in whichever list it waits */
    struct list_link all;  /* in the deliverer's list of everything it has */
    uint64_t job, message;
    char domain_cstr[DELIVERY_HOST_SIZE];
    char host_cstr[DELIVERY_HOST_SIZE]; /* fixed next hop; "" = by MX */
    uint16_t port;                      /* 0 = default */
    char route_cstr[DELIVERY_ROUTE_SIZE];
    const struct deliver_route *route;    /* found by the deliverer; lives as long as it */
    bool is_parked;                       /* not tried: too many wait for a first connection */
    char group_cstr[DELIVERY_ROUTE_SIZE]; /* the provider that this courier was chosen by */
    bool stays;                           /* carry it in any case */
    bool is_urgent;                       /* goes before others that wait */
    bool is_crowded;                      /* when it ended too many waited behind it */
    int64_t told_us;                      /* stats_now_us: a host is being told about it */
    bool is_probe;                        /* nothing is carried: does the route work? */
    enum route_failure route_failure;     /* at the end: the route does not work */
    struct slice mail_from, envid, prefix;
    unsigned ret;
    bool body_8bit, smtputf8;
    enum sts_state sts;          /* of the domain */
    struct slice sts_id, sts_mx; /* its policy; empty without one */
    bool is_ratcheted, is_ratchet_lifted;
    int64_t accepted_ms; /* unix milliseconds */
    struct tls_requirement requirement;
    struct content_ref content;
    struct secret data_key;
    size_t recipient_count;
    struct delivery_recipient *recipients;
    int64_t began_us; /* stats_now_us clock: when it came */
    bool is_unsure;   /* lost after the end of the content: it may have been taken */
    struct delivery_evidence evidence;
    struct delivery_ruling ruling;
    struct buffer lookups;     /* one line per question to the DNS */
    struct buffer tls_results; /* items ipc_tls_result: what TLS came to at each host */
    struct buffer trail;       /* one line per host tried */
    struct delivery_walk walk;
    struct arena *arena;
};

/* Copies everything. ERR_PEER: the recipients cannot be read, there are none, or a name is too long. */
MUST_CHECK bool delivery_new(const struct ipc_deliver *message, struct delivery **delivery_out,
                             struct err *err);
/* Wipes the key. Clears *delivery. NULL inside is fine. */
void delivery_free(struct delivery **delivery);

/* Every recipient is DONE. */
bool delivery_is_settled(const struct delivery *delivery);
/* All that are not DONE get this outcome and words; a reply had before stays, if it is of the same kind. */
void delivery_settle(struct delivery *delivery, enum delivery_outcome outcome, unsigned code,
                     const char *enhanced_cstr, const char *text_cstr);
/* Note a reply (or our own words, code 0) about one recipient: one line, control bytes gone, cut to 480 bytes. */
void recipient_note(struct delivery *delivery, struct delivery_recipient *recipient,
                    unsigned code, const char *enhanced_cstr, struct slice text);
/* Add a line to the trail: "mx.good.test [192.0.2.1]: STARTTLS is not offered". Cut when there are too many. */
void delivery_trail(struct delivery *delivery, const char *host_cstr, const char *address_cstr,
                    const char *text_cstr);
/* Add what was asked for this entry, as it says itself. Cut when there are too many. */
void delivery_lookups(struct delivery *delivery, const struct directory_entry *entry);
/* Content and prefix together, as announced by SIZE. */
uint64_t delivery_bytes(const struct delivery *delivery);

/*
 * Fill the `delivered` message: results and digest are views into `results` (which must be empty before), the rest
 * into the delivery. False when the ceiling of `results` is crossed.
 */
MUST_CHECK bool delivery_report(const struct delivery *delivery, struct buffer *results,
                                struct ipc_delivered *report_out);

#endif
