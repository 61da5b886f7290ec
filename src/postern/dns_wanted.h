/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every record that an own domain should have in the DNS, made from the settings and the files they name: where its mail
 * goes, how it is signed, and what it promises about TLS.
 */
#ifndef POSTERN_DNS_WANTED_H
#define POSTERN_DNS_WANTED_H

#include "base/buffer.h"
#include "settings/settings.h"

enum {
    WANTED_MAX = 32,
    WANTED_NAME_SIZE = 320,
    WANTED_DATA_SIZE = 2048,
    WANTED_WHY_SIZE = 200
};

enum wanted_kind {
    WANTED_MX,
    WANTED_HOST,     /* an address of ours, which we cannot know: any is right */
    WANTED_TLSA,     /* 3 1 1 of the SMTP certificate */
    WANTED_STS,      /* _mta-sts */
    WANTED_STS_HOST, /* mta-sts.DOMAIN leads to the portal's listener: any address is right */
    WANTED_TLSRPT,   /* _smtp._tls */
    WANTED_DKIM,
    WANTED_SPF,
    WANTED_DMARC,
    WANTED_COUNT
};

struct wanted {
    enum wanted_kind kind;
    char name_cstr[WANTED_NAME_SIZE]; /* without the last dot */
    char data_cstr
        [WANTED_DATA_SIZE]; /* as it is compared: a host, hexadecimal, or the text without quotes */
    unsigned preference;            /* of an MX */
    char why_cstr[WANTED_WHY_SIZE]; /* for people */
};

struct wanted_list {
    size_t count;
    struct wanted all[WANTED_MAX];
};

/* "MX", "A", "TLSA", "CNAME", "TXT". */
const char *wanted_type(enum wanted_kind kind);
/* What stands in the zone must be exactly this; else something of its kind will do. */
bool wanted_is_exact(enum wanted_kind kind);
/* ERR_PERM: a file (key, certificate) cannot be used. */
MUST_CHECK bool wanted_make(const struct settings *settings,
                            const struct settings_domain *domain, struct wanted_list *list_out,
                            struct err *err);
/* Append one line of a zone file, with LF. What only its owner knows (an address) becomes a comment. False: out is full. */
MUST_CHECK bool wanted_write(const struct wanted *wanted, struct buffer *out);

#endif
