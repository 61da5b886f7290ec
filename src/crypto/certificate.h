/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long a certificate lasts; and a small certificate authority for the development instance and for tests: EC P-256, made on the
 * spot, thrown away after. It can make certificates that are wrong in a chosen way (name, time), so
 * that tests see them refused. Nothing in production issues certificates.
 */
#ifndef CRYPTO_CERTIFICATE_H
#define CRYPTO_CERTIFICATE_H

#include "base/buffer.h"
#include "base/err.h"
#include "crypto/digest.h"

/* Both in PEM. */
struct certificate_pair {
    struct buffer certificate_pem; /* the certificate alone, without its issuer's */
    struct buffer key_pem;
};
/* Safe on a zeroed struct. Wipes the key. */
void certificate_pair_deinit(struct certificate_pair *pair);

struct certificate_wish {
    const char *common_name_cstr; /* 1..64 bytes */
    const char *const
        *dns_names_cstr; /* subjectAltName entries, NULL-terminated list or NULL */
    const char *const
        *addresses_cstr;  /* IPv4 and IPv6 literals, NULL-terminated list or NULL */
    int64_t not_before_s; /* unix seconds */
    int64_t not_after_s;
};

/*
 * When the first certificate of these PEM bytes ends, unix seconds; 0: there is none that can be read.
 */
int64_t certificate_end(struct slice pem);
/* SHA-256 of its public key (SubjectPublicKeyInfo): what a TLSA record 3 1 1 holds [RFC 6698 §2.1]. False likewise. */
MUST_CHECK bool certificate_key_digest(struct slice pem, uint8_t digest_out[SHA256_BYTES]);

/* A self-signed authority. The wish's names and addresses are ignored. */
MUST_CHECK bool certificate_make_authority(const struct certificate_wish *wish,
                                           struct certificate_pair *pair_out, struct err *err);
/* A server certificate signed by `authority`; NULL = signed by itself. ERR_PERM: unusable wish. */
MUST_CHECK bool certificate_issue(const struct certificate_pair *authority,
                                  const struct certificate_wish *wish,
                                  struct certificate_pair *pair_out, struct err *err);

#endif
