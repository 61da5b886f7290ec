/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What mail wants to know of the DNS, read from answer packets [RFC 1035 §4], and the order in which
 * mail exchangers are tried [RFC 5321 §5.1]. Pure: bytes in, values out. Packets come from strangers
 * through the resolver: compression pointers only go back, counts and lengths have ceilings, and a name
 * with a byte that no host name has never becomes a host.
 */
#ifndef NET_DNS_H
#define NET_DNS_H

#include "base/err.h"
#include "crypto/tlsa.h"

enum {
    DNS_TYPE_A = 1,
    DNS_TYPE_CNAME = 5,
    DNS_TYPE_MX = 15,
    DNS_TYPE_TXT = 16,
    DNS_TYPE_AAAA = 28,
    DNS_TYPE_TLSA = 52,
};

enum {
    DNS_NAME_SIZE = 256, /* a name as text, without the last dot, with NUL */
    DNS_MX_MAX = 20,
    DNS_ADDRESSES_MAX = 16,
    DNS_CHAIN_MAX = 8,     /* CNAME after CNAME */
    DNS_RECORDS_MAX = 512, /* looked at in one packet */
    DNS_TTL_MAX_S = 86400,
    DNS_TTL_NEGATIVE_S = 60,
    DNS_TEXTS_MAX = 64,        /* TXT records kept of one name */
    DNS_TEXT_MAX_BYTES = 4096, /* of one of them */
    DNS_TEXTS_BYTES = 16384,   /* of all */
};

enum { DNS_RCODE_OK = 0, DNS_RCODE_SERVFAIL = 2, DNS_RCODE_NO_DOMAIN = 3 };

struct dns_mx {
    uint16_t preference;
    char host_cstr[DNS_NAME_SIZE]; /* lower case, no dot at the end */
};

struct dns_address {
    bool is_ipv6;
    uint8_t bytes[16]; /* network order; IPv4 in the first four */
};

/* TXT records, the strings of each joined without anything between [RFC 7208 §3.3]. Holds its own bytes. */
struct dns_texts {
    size_t count, used_bytes;
    size_t left_out; /* longer, or more, than there is room for */
    struct {
        uint16_t at, len;
    } texts[DNS_TEXTS_MAX];
    uint8_t bytes[DNS_TEXTS_BYTES];
};
/* A view into it. Any bytes: made by strangers. */
struct slice dns_text(const struct dns_texts *texts, size_t index);

/* The answer to one question. Which list is filled depends on the type that was asked. */
struct dns_answer {
    unsigned rcode;
    uint32_t ttl_s; /* least of what was used, at most DNS_TTL_MAX_S */
    char
        canonical_cstr[DNS_NAME_SIZE]; /* the end of the CNAME chain; the name asked, if none */
    bool is_null_mx;                   /* the only MX is "." [RFC 7505 §3] */
    size_t unusable; /* MX records that name no host: ".", an address, odd bytes */
    size_t mx_count;
    struct dns_mx mx[DNS_MX_MAX]; /* the best ones, best first, when there were more */
    size_t address_count;
    struct dns_address addresses[DNS_ADDRESSES_MAX];
    size_t
        record_count; /* TLSA and TXT: how many there are at canonical_cstr; see below. CNAME: how long the chain is */
};

/*
 * Read a packet. name_cstr: what was asked, lower case, no dot at the end; type: A, AAAA, MX, CNAME, TLSA or TXT.
 * ERR_PEER: not a well-formed answer. Other types and other names in the answer are passed over.
 */
MUST_CHECK bool dns_answer_parse(struct slice packet, const char *name_cstr, unsigned type,
                                 struct dns_answer *answer_out, struct err *err);
/*
 * The records themselves, of a packet that was read as `answer`. ERR_PEER: more TLSA records, or longer ones, than a set
 * holds (a part of the set must not be taken for the whole); a TXT record whose strings do not fill it.
 */
MUST_CHECK bool dns_tlsa_parse(struct slice packet, const struct dns_answer *answer,
                               struct tlsa_set *set_out, struct err *err);
MUST_CHECK bool dns_texts_parse(struct slice packet, const struct dns_answer *answer,
                                struct dns_texts *texts_out, struct err *err);

/* Letters, digits, - and _ in labels of 1..63, 1..253 in all, not all digits in the last label. */
bool dns_is_host_name(struct slice name);

/*
 * Put exchangers in the order in which they are tried: by preference, equals in an order that
 * `chance` decides. When own_host_cstr is among them it goes, with everything that is not better:
 * sending there could only bring the mail back. Returns how many are left.
 */
size_t dns_mx_arrange(struct dns_mx *mx, size_t count, const char *own_host_cstr,
                      uint64_t chance);

#endif
