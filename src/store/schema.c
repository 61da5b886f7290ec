/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

#include <stdio.h>

/*
 * Each row brings the schema one version further and is never changed once released. Version 0 is the
 * empty file; the version reached is in user_version.
 */
static const char *const steps[] = {
    /* 1 */
    "CREATE TABLE key(id INTEGER PRIMARY KEY, name TEXT NOT NULL, generation INTEGER NOT NULL,"
    " wrapped BLOB NOT NULL, certificate BLOB) STRICT;"
    "CREATE TABLE seal_epoch(id INTEGER PRIMARY KEY, key INTEGER NOT NULL, salt BLOB NOT NULL)"
    " STRICT;"
    /* A recipient domain, in clear, and what is known of its TLS. hold: the operator's. */
    "CREATE TABLE domain(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
    " hold INTEGER NOT NULL DEFAULT 0, level INTEGER NOT NULL DEFAULT 0,"
    " checked_ms INTEGER NOT NULL DEFAULT 0, lacking_ms INTEGER NOT NULL DEFAULT 0,"
    " sealed BLOB) STRICT;"
    /* blind: keyed hash of the lower-cased address. */
    "CREATE TABLE address(id INTEGER PRIMARY KEY, blind BLOB NOT NULL UNIQUE,"
    " sealed BLOB NOT NULL) STRICT;"
    /* open: recipients not at their end; live: recipients that still need the content. */
    "CREATE TABLE message(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
    " sender INTEGER NOT NULL, flags INTEGER NOT NULL, hops INTEGER NOT NULL,"
    " accepted_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL,"
    " parent INTEGER NOT NULL, parent_number INTEGER NOT NULL,"
    " recipients INTEGER NOT NULL, open INTEGER NOT NULL, live INTEGER NOT NULL,"
    " segment INTEGER NOT NULL, offset INTEGER NOT NULL, sealed_bytes INTEGER NOT NULL,"
    " plain_bytes INTEGER NOT NULL, wrapped_key BLOB, sealed BLOB NOT NULL) STRICT;"
    /* due_ms: when to look at it again; NULL: nothing to do. held: the operator's. */
    "CREATE TABLE recipient(message INTEGER NOT NULL, number INTEGER NOT NULL,"
    " address INTEGER NOT NULL, domain INTEGER NOT NULL, state INTEGER NOT NULL,"
    " method INTEGER NOT NULL, requirement INTEGER NOT NULL, notify INTEGER NOT NULL,"
    " attempts INTEGER NOT NULL, owes INTEGER NOT NULL, flags INTEGER NOT NULL,"
    " unproved_ms INTEGER NOT NULL, due_ms INTEGER, held INTEGER NOT NULL,"
    " sealed BLOB NOT NULL, PRIMARY KEY(message, number)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX recipient_due ON recipient(due_ms) WHERE due_ms IS NOT NULL;"
    "CREATE INDEX recipient_held ON recipient(domain) WHERE held <> 0;"
    "CREATE INDEX recipient_address ON recipient(address);"
    /* id is from base/id: it holds the time. number -1: about the whole message. */
    "CREATE TABLE event(message INTEGER NOT NULL, id INTEGER NOT NULL, number INTEGER NOT NULL,"
    " kind INTEGER NOT NULL, sealed BLOB, PRIMARY KEY(message, id)) STRICT, WITHOUT ROWID;"
    /* lookup is derived from the link's token, which only the reader has. sealed: share, wrapped
     * key, salt, verifier; NULL once expired or retracted. */
    "CREATE TABLE portal_copy(id INTEGER PRIMARY KEY, lookup BLOB NOT NULL UNIQUE,"
    " message INTEGER NOT NULL, number INTEGER NOT NULL, proof INTEGER NOT NULL,"
    " expires_ms INTEGER NOT NULL, revealed_ms INTEGER NOT NULL, tries INTEGER NOT NULL,"
    " locked_ms INTEGER NOT NULL, code BLOB, code_ms INTEGER NOT NULL, codes INTEGER NOT NULL,"
    " codes_ms INTEGER NOT NULL, segment INTEGER NOT NULL, offset INTEGER NOT NULL,"
    " sealed_bytes INTEGER NOT NULL, plain_bytes INTEGER NOT NULL, sealed BLOB) STRICT;"
    "CREATE UNIQUE INDEX portal_copy_message ON portal_copy(message, number);"
    "CREATE TABLE segment(id INTEGER PRIMARY KEY, kind INTEGER NOT NULL,"
    " live INTEGER NOT NULL) STRICT;",
    /* 2: see ledger.h */
    "CREATE TABLE batch(id INTEGER PRIMARY KEY, counts BLOB NOT NULL, headers BLOB NOT NULL)"
    " STRICT;",
    /* 3: see memory.h and board.h; what proved the name of the host that `level` was seen at. */
    "CREATE TABLE tls_memory(kind INTEGER NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL,"
    " low INTEGER NOT NULL, high INTEGER NOT NULL, first_ms INTEGER NOT NULL,"
    " last_ms INTEGER NOT NULL, small_until_ms INTEGER NOT NULL, lost_ms INTEGER NOT NULL,"
    " PRIMARY KEY(kind, name)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX tls_memory_lost ON tls_memory(kind, name) WHERE lost_ms <> 0;"
    "CREATE TABLE tls_board(name TEXT PRIMARY KEY, used_ms INTEGER NOT NULL,"
    " tested_ms INTEGER NOT NULL, due_ms INTEGER, verdict INTEGER NOT NULL,"
    " since_ms INTEGER NOT NULL, worse_ms INTEGER NOT NULL, features INTEGER NOT NULL,"
    " mx_proof INTEGER NOT NULL, found BLOB) STRICT;"
    "CREATE INDEX tls_board_due ON tls_board(due_ms) WHERE due_ms IS NOT NULL;"
    "CREATE TABLE tls_change(name TEXT NOT NULL, at_ms INTEGER NOT NULL,"
    " before INTEGER NOT NULL, after INTEGER NOT NULL, why TEXT NOT NULL,"
    " PRIMARY KEY(name, at_ms)) STRICT, WITHOUT ROWID;"
    "ALTER TABLE domain ADD COLUMN mx_proof INTEGER NOT NULL DEFAULT 0;",
    /* 4: see sts.h. Published by the domains, so in clear. */
    "CREATE TABLE sts(domain INTEGER PRIMARY KEY, id TEXT NOT NULL, mode INTEGER NOT NULL,"
    " mx TEXT NOT NULL, policy TEXT NOT NULL, max_age_s INTEGER NOT NULL,"
    " fetched_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, checked_ms INTEGER NOT NULL,"
    " refresh_ms INTEGER NOT NULL, used_ms INTEGER NOT NULL, gone_ms INTEGER NOT NULL,"
    " failing_ms INTEGER NOT NULL, announced TEXT NOT NULL, why TEXT NOT NULL) STRICT;"
    "CREATE INDEX sts_refresh ON sts(refresh_ms);"
    "CREATE INDEX sts_expires ON sts(expires_ms, failing_ms, announced);",
    /* 5: see tls_report.h. key: of the policy, then of the failure under it, zeros for the policy itself. */
    "CREATE TABLE tls_count(day INTEGER NOT NULL, domain TEXT NOT NULL, key BLOB NOT NULL,"
    " policy INTEGER NOT NULL, result INTEGER NOT NULL, sessions INTEGER NOT NULL,"
    " a TEXT NOT NULL, b TEXT NOT NULL, c TEXT NOT NULL, d TEXT NOT NULL,"
    " PRIMARY KEY(day, domain, key)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE tls_report(day INTEGER NOT NULL, domain TEXT NOT NULL,"
    " due_ms INTEGER NOT NULL, since_ms INTEGER NOT NULL, attempts INTEGER NOT NULL,"
    " asked INTEGER NOT NULL, places TEXT NOT NULL, PRIMARY KEY(day, domain))"
    " STRICT, WITHOUT ROWID;"
    "CREATE INDEX tls_report_due ON tls_report(due_ms);"
    "CREATE TABLE tls_reported(id INTEGER PRIMARY KEY, received_ms INTEGER NOT NULL,"
    " begin_s INTEGER NOT NULL, end_s INTEGER NOT NULL, is_read INTEGER NOT NULL,"
    " domain TEXT NOT NULL, organisation TEXT NOT NULL, report_id TEXT NOT NULL,"
    " signer TEXT NOT NULL, why TEXT NOT NULL) STRICT;"
    "CREATE INDEX tls_reported_who ON tls_reported(organisation, report_id);"
    "CREATE TABLE tls_reported_sum(day INTEGER NOT NULL, domain TEXT NOT NULL,"
    " organisation TEXT NOT NULL, policy INTEGER NOT NULL, result TEXT NOT NULL,"
    " mx TEXT NOT NULL, sessions INTEGER NOT NULL,"
    " PRIMARY KEY(day, domain, organisation, policy, result, mx)) STRICT, WITHOUT ROWID;",
    /* 6: forwards; of a recipient that came by one, which of our addresses was written (0: none) */
    "CREATE TABLE forward(id INTEGER PRIMARY KEY, source INTEGER NOT NULL, target INTEGER NOT "
    "NULL,"
    " flags INTEGER NOT NULL, made_ms INTEGER NOT NULL, UNIQUE(source, target)) STRICT;"
    "ALTER TABLE recipient ADD COLUMN written INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX recipient_written ON recipient(written) WHERE written <> 0;",
};

const int64_t store__schema_present = (int64_t)COUNT_OF(steps);

int64_t store__schema_version(struct store *store)
{
    static const char sql_version[] = "PRAGMA user_version";
    int64_t version = 0;

    return store__number(store, sql_version, NULL, 0, &version) ? version : -1;
}

bool store__migrate(struct store *store, struct err *err)
{
    int64_t version = store__schema_version(store);
    char sql_cstr[64];

    if (version < 0)
        return FAIL(err, ERR_PERM, "%s/postern.db is not a database of ours", store->dir_cstr);
    if ((size_t)version > COUNT_OF(steps))
        return FAIL(err, ERR_PERM,
                    "%s/postern.db was made by a later version of Postern (schema %lld)",
                    store->dir_cstr, (long long)version);
    for (size_t at = (size_t)version; at < COUNT_OF(steps); at++) {
        store_begin(store);
        store__execute(store, steps[at]);
        snprintf(sql_cstr, sizeof sql_cstr, "PRAGMA user_version=%zu", at + 1);
        store__execute(store, sql_cstr);
        if (!store_commit(store, err))
            return false;
    }
    return true;
}
