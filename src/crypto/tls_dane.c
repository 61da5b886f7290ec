/* SPDX-License-Identifier: Apache-2.0 */
/* DANE by OpenSSL's own matching: we give it the usable records only, and read back which one matched. */
#include "crypto/tls_internal.h"

#include <openssl/err.h>

/* OpenSSL refuses a record that tlsa.c holds for usable only if it can do nothing with its key. */
static size_t add_records(SSL *ssl, const struct tlsa_set *set)
{
    size_t added = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct tlsa_record *record = &set->records[i];
        struct slice data = tlsa_data(set, record);

        if (record->is_usable && SSL_dane_tlsa_add(ssl, record->usage, record->selector,
                                                   record->matching, data.at, data.len) == 1)
            added++;
    }
    ERR_clear_error();
    return added;
}

bool tls__dane_expect(struct tls_session *session, const struct tls_peer *peer)
{
    if (peer->tlsa == NULL || peer->names_cstr[0] == NULL ||
        SSL_dane_enable(session->ssl, peer->names_cstr[0]) != 1)
        return false;
    /* The record names the certificate itself: its names are no part of the proof [RFC 7672 §3.1.1]. */
    SSL_dane_set_flags(session->ssl, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
    return add_records(session->ssl, peer->tlsa) > 0;
}

void tls__dane_note(struct tls_session *session)
{
    uint8_t usage = 0, selector = 0, matching = 0;
    const unsigned char *data = NULL;
    size_t len = 0;
    X509 *certificate = NULL;
    EVP_PKEY *key = NULL;
    int depth;

    session->tlsa_cstr[0] = '\0';
    session->tlsa_depth = 0;
    if (session->context->trust != TLS_TRUST_DANE)
        return;
    depth = SSL_get0_dane_tlsa(session->ssl, &usage, &selector, &matching, &data, &len);
    if (depth < 0)
        return;
    /* An authority that is in the record only as a key is counted at what it signed: one below. */
    if (SSL_get0_dane_authority(session->ssl, &certificate, &key) >= 0 && certificate == NULL &&
        key != NULL)
        depth++;
    session->tlsa_depth = depth;
    tls__tlsa_text(usage, selector, matching, slice_of(data, len), session->tlsa_cstr);
}
