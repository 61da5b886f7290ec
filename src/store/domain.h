/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Table `domain`: recipient domains in clear, with what earlier connections proved of their TLS and
 * whether the operator holds their mail.
 */
#ifndef STORE_DOMAIN_H
#define STORE_DOMAIN_H

#include "policy/tls_table.h"
#include "store/store.h"

enum { STORE_DOMAIN_SIZE = 256, STORE_DOMAIN_TEXT_SIZE = 400 };

struct store_domain {
    uint64_t id;
    char name_cstr[STORE_DOMAIN_SIZE];
    bool is_held;
    enum proof_level level; /* best level of the last connection that counted */
    int64_t checked_ms;     /* when that was; 0 = never */
    enum mx_proof mx_proof; /* what proved the name of that host */
    int64_t lacking_ms;     /* when proof was missed last; 0 = not since the last proof */
};

/* Make the row when it is new; name: lower-case A-labels, at most 255 bytes. False: troubled. */
bool store_domain_put(struct store *store, struct slice name, struct store_domain *domain_out);
/* False: no such row. */
bool store_domain_get(struct store *store, uint64_t id, struct store_domain *domain_out);
bool store_domain_find(struct store *store, struct slice name, struct store_domain *domain_out);
/* What a connection taught; mx and detail (why not proved) are kept for the operator's table. */
void store_domain_learn(struct store *store, const struct store_domain *domain, struct slice mx,
                        struct slice detail);
void store_domain_hold(struct store *store, uint64_t id, bool is_held);

/* Walk by name: start with after_cstr "", then the last name; false at the end. */
bool store_domain_next(struct store *store, const char *after_cstr,
                       struct store_domain *domain_out, char mx_out_cstr[STORE_DOMAIN_SIZE],
                       char detail_out_cstr[STORE_DOMAIN_TEXT_SIZE]);

#endif
