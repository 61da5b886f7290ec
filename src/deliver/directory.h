/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts take mail for a domain, where they are and what they have signed about their certificates: the resolver's
 * answers, kept for as long as they are good and shared by all deliveries that need them. What has to be asked first
 * makes its asker wait in the entry. A host's TLSA records are asked for only under signed addresses or behind an alias: in a world
 * without signatures nothing is asked that was not asked before.
 */
#ifndef DELIVER_DIRECTORY_H
#define DELIVER_DIRECTORY_H

#include "base/list.h"
#include "deliver/mx_set.h"
#include "net/resolver.h"
#include "policy/tls_table.h"
#include "settings/providers.h"

struct directory;

/* An answer: it does not change any more. Counted: directory_entry_ref, directory_entry_unref. */
struct directory_entry {
    enum resolver_outcome outcome;
    bool is_secure;
    enum dnssec_state dnssec;
    bool is_implicit; /* hosts: there is no MX, the domain is its own host */
    bool is_loop;     /* hosts: we are the best one: count is 0 */
    char text_cstr[RESOLVER_TEXT_SIZE];
    size_t count;
    struct dns_mx *hosts;          /* of a domain, in the order in which they are tried */
    struct dns_address *addresses; /* of a host */
    /* Of a host: its TLSA records, for the port that was asked about. */
    enum dane_state dane;
    struct tlsa_set *tlsa;         /* NULL without records */
    char base_cstr[DNS_NAME_SIZE]; /* the TLSA base domain; "" without records */
    uint8_t tlsa_digest[SHA256_BYTES];
    bool has_authorities; /* some of its usable records are DANE-TA: names matter */
    /* Of a host: what is remembered of it. */
    bool is_ratcheted, wants_small_hello;
    const struct settings_provider
        *rule;                  /* hosts: whose they are; NULL = of no large provider */
    char set_cstr[MX_SET_SIZE]; /* hosts: see mx_set.h; "" = of nobody but this domain */
    char *
        lookups_cstr; /* what was asked, and how it was answered, a line each; never NULL once known */
};

/* The answer for which `waiter` waited. The handler takes its own reference if it keeps the entry. */
typedef void directory_known_fn(void *context, struct list_link *waiter,
                                struct directory_entry *entry);

/* What is remembered of this host? Answered by directory_host_known with the same ask, not before this returns. */
typedef void directory_host_ask_fn(void *context, uint64_t ask, const char *host_cstr);

struct directory_options {
    struct resolver *resolver; /* borrowed, must outlive the directory */
    const char *own_host_cstr; /* our name, for loops */
    directory_known_fn *on_known;
    const struct settings_providers *providers; /* borrowed; NULL = none */
    directory_host_ask_fn *ask_host;            /* NULL = nothing is remembered */
    void *context;
};
/* Copies what the options say. */
struct directory *directory_new(const struct directory_options *options);
/* The answer to ask_host; one that nobody waits for is fine. */
void directory_host_known(struct directory *directory, uint64_t ask, bool is_ratcheted,
                          bool wants_small_hello);
/* Waiters are only unlinked. Clears *directory. */
void directory_free(struct directory **directory);

/*
 * DONE: *entry_out is a new reference. WAIT: `waiter` is linked into a list until on_known; list_remove(waiter) ends
 * the wait early. Never FAIL.
 */
MUST_CHECK enum progress directory_hosts(struct directory *directory, const char *domain_cstr,
                                         struct list_link *waiter,
                                         struct directory_entry **entry_out);
/* The same for a host: addresses, TLSA records of this port, what is remembered. */
MUST_CHECK enum progress directory_addresses(struct directory *directory, const char *host_cstr,
                                             uint16_t port, struct list_link *waiter,
                                             struct directory_entry **entry_out);

struct directory_entry *directory_entry_ref(struct directory_entry *entry);
/* NULL inside is fine. Clears *entry. */
void directory_entry_unref(struct directory_entry **entry);

#endif
