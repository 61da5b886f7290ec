/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking the DNS, validated, without ever blocking: the only user of libunbound. An ask gets an id;
 * its answer comes later from the loop, never inside the ask itself, exactly once unless it is cancelled.
 * A failure to find out (server failure, time-out, forged signatures) is TRY_LATER and never looks like "there
 * is none": whoever can break the DNS must not be able to turn a domain into one without MX or without
 * signatures. One resolver per process, made after the last fork.
 */
#ifndef NET_RESOLVER_H
#define NET_RESOLVER_H

#include "net/dns.h"
#include "os/loop.h"

enum resolver_outcome {
    RESOLVER_FOUND,
    RESOLVER_NO_DOMAIN, /* the name does not exist */
    RESOLVER_NO_DATA,   /* it exists, without records of this kind */
    RESOLVER_NULL_MX,   /* it says that it takes no mail [RFC 7505] */
    RESOLVER_TRY_LATER, /* could not be found out; `text_cstr` says why */
};

enum { RESOLVER_TEXT_SIZE = 240 };

/*
 * What validation says of an answer, or of its absence [RFC 4035 §4.3]: of the whole chain of aliases that led to it. "No such
 * records" under an NSEC3 opt-out is INSECURE.
 */
enum dnssec_state {
    DNSSEC_INSECURE, /* not signed, or no trust anchor for it */
    DNSSEC_SECURE,   /* signed, and the signatures hold */
    DNSSEC_BOGUS,    /* signed, and they do not: always with TRY_LATER */
    DNSSEC_UNKNOWN, /* no answer to judge (time-out, SERVFAIL, malformed): always with TRY_LATER */
};
/* "unsigned", "signed", "bogus", "unknown". */
const char *dnssec_state_name(enum dnssec_state state);

struct resolver_options {
    const char *const *forward; /* "127.0.0.1@5353"; none = full recursion from the root */
    size_t forward_count;
    const char *const *local_data; /* records, "good.test. MX 10 mx.good.test." */
    size_t local_data_count;
    struct slice trust_anchor; /* lines of DS or DNSKEY records; empty = nothing is validated */
    bool prefer_ipv4;
    int64_t timeout_ms; /* for one ask; 0 = 30 s */
};

struct resolver;

/*
 * ERR_PERM: an option is not understood; the text says which. Local data for a name under test., example.
 * or invalid. makes that whole zone local (other names in it do not exist), unless there are forwarders; any
 * other local record only answers for its own name.
 */
MUST_CHECK bool resolver_new(struct loop *loop, const struct resolver_options *options,
                             struct resolver **resolver_out, struct err *err);
/* Asks that are still open are forgotten. Clears *resolver. */
void resolver_free(struct resolver **resolver);

struct resolver_mx_answer {
    enum resolver_outcome outcome;
    bool is_secure; /* dnssec is SECURE */
    enum dnssec_state dnssec;
    bool is_implicit; /* no MX: the domain itself is the host [RFC 5321 §5.1] */
    uint32_t ttl_s;
    size_t count;                 /* > 0 when FOUND */
    struct dns_mx mx[DNS_MX_MAX]; /* by preference; see dns_mx_arrange */
    char text_cstr[RESOLVER_TEXT_SIZE];
};
typedef void resolver_mx_fn(void *context, uint64_t ask,
                            const struct resolver_mx_answer *answer);
/* The hosts that take mail for a domain. Never NO_DATA: then the domain itself is the host. */
uint64_t resolver_ask_mx(struct resolver *resolver, const char *domain_cstr, resolver_mx_fn *fn,
                         void *context);

struct resolver_address_answer {
    enum resolver_outcome outcome; /* never NULL_MX */
    bool is_secure;                /* both kinds are: dnssec is SECURE */
    bool
        has_secure_kind; /* at least one kind was found and is SECURE, with all aliases before it */
    enum dnssec_state dnssec; /* of the two kinds, what promises less */
    char canonical_cstr
        [DNS_NAME_SIZE]; /* the end of the chain of aliases; the host itself, if none */
    uint32_t ttl_s;
    size_t count;
    struct dns_address addresses[DNS_ADDRESSES_MAX]; /* in the order in which to try them */
    char text_cstr[RESOLVER_TEXT_SIZE];
};
typedef void resolver_address_fn(void *context, uint64_t ask,
                                 const struct resolver_address_answer *answer);
/* The A and AAAA addresses of a host. FOUND when one kind is known, even if the other failed. */
uint64_t resolver_ask_addresses(struct resolver *resolver, const char *host_cstr,
                                resolver_address_fn *fn, void *context);

struct resolver_txt_answer {
    enum resolver_outcome outcome; /* never NULL_MX */
    enum dnssec_state dnssec;
    uint32_t ttl_s;
    char canonical_cstr[DNS_NAME_SIZE];
    const struct dns_texts
        *texts; /* when FOUND: at least one, or some were left out. Dies with the call */
    char text_cstr[RESOLVER_TEXT_SIZE];
};
typedef void resolver_txt_fn(void *context, uint64_t ask,
                             const struct resolver_txt_answer *answer);
/* The TXT records of a name, such as _mta-sts.example.org. */
uint64_t resolver_ask_txt(struct resolver *resolver, const char *name_cstr, resolver_txt_fn *fn,
                          void *context);

struct resolver_tlsa_answer {
    /*
     * FOUND: signed TLSA records, usable or not: DANE applies at this host. NO_DATA: it does not; the text says
     * why. TRY_LATER: not known; the host must not be used now. Nothing else.
     */
    enum resolver_outcome outcome;
    enum dnssec_state dnssec; /* of the look-up that decided */
    bool was_asked; /* false: not asked for TLSA, because the addresses are not signed */
    char base_cstr
        [DNS_NAME_SIZE]; /* FOUND: the TLSA base domain: SNI, and the first name to expect in a certificate */
    uint32_t ttl_s;
    const struct tlsa_set *set; /* FOUND: at least one record. Dies with the call */
    char text_cstr[RESOLVER_TEXT_SIZE];
};
typedef void resolver_tlsa_fn(void *context, uint64_t ask,
                              const struct resolver_tlsa_answer *answer);
/*
 * The TLSA records of a mail host (an MX, or the domain itself where there is no MX) and TCP port. Follows
 * [RFC 7672 §2.2.2]: under signed addresses it asks at the end of the chain of aliases, then at the host; under unsigned
 * addresses only at the host, and only if that is a signed alias; else it does not ask. Unsigned TLSA records count as none. A
 * look-up that fails on the way, or is bogus, is TRY_LATER, never "none". Takes up to three look-ups' time-outs.
 */
uint64_t resolver_ask_tlsa(struct resolver *resolver, const char *host_cstr, uint16_t port,
                           resolver_tlsa_fn *fn, void *context);

/* The answer will not come. An id that is not open any more is fine. */
void resolver_cancel(struct resolver *resolver, uint64_t ask);

#endif
