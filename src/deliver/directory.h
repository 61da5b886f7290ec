/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which hosts take mail for a domain, and where they are: the resolver's answers, kept for as long as they are good and
 * shared by all deliveries that need them. What has to be asked first makes its asker wait in the entry.
 */
#ifndef DELIVER_DIRECTORY_H
#define DELIVER_DIRECTORY_H

#include "base/list.h"
#include "net/resolver.h"

struct directory;

/* An answer: it does not change any more. Counted: directory_entry_ref, directory_entry_unref. */
struct directory_entry {
    enum resolver_outcome outcome;
    bool is_secure;
    bool is_implicit; /* hosts: there is no MX, the domain is its own host */
    bool is_loop;     /* hosts: we are the best one: count is 0 */
    char text_cstr[RESOLVER_TEXT_SIZE];
    size_t count;
    struct dns_mx *hosts;          /* of a domain, in the order in which they are tried */
    struct dns_address *addresses; /* of a host */
};

/* The answer for which `waiter` waited. The handler takes its own reference if it keeps the entry. */
typedef void directory_known_fn(void *context, struct list_link *waiter,
                                struct directory_entry *entry);

/* own_host_cstr: our name, for loops. resolver is borrowed and must outlive the directory. */
struct directory *directory_new(struct resolver *resolver, const char *own_host_cstr,
                                directory_known_fn *on_known, void *context);
/* Waiters are only unlinked. Clears *directory. */
void directory_free(struct directory **directory);

/*
 * DONE: *entry_out is a new reference. WAIT: `waiter` is linked into a list until on_known; list_remove(waiter) ends
 * the wait early. Never FAIL.
 */
MUST_CHECK enum progress directory_hosts(struct directory *directory, const char *domain_cstr,
                                         struct list_link *waiter,
                                         struct directory_entry **entry_out);
MUST_CHECK enum progress directory_addresses(struct directory *directory, const char *host_cstr,
                                             struct list_link *waiter,
                                             struct directory_entry **entry_out);

struct directory_entry *directory_entry_ref(struct directory_entry *entry);
/* NULL inside is fine. Clears *entry. */
void directory_entry_unref(struct directory_entry **entry);

#endif
