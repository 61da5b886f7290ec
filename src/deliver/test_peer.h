/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mail server for tests, on the loop of the test, that follows a script: it says what the rules tell it to, hangs up
 * where they want it, shows another certificate to each connection, and remembers everything it was told.
 */
#ifndef DELIVER_TEST_PEER_H
#define DELIVER_TEST_PEER_H

#include "base/list.h"
#include "crypto/certificate.h"
#include "net/connection.h"
#include "net/listener.h"

enum peer_act {
    PEER_SAY,       /* say `reply`, go on */
    PEER_SAY_CLOSE, /* say it, then hang up */
    PEER_SAY_DEAF,  /* say it, then never react again */
    PEER_CLOSE,     /* hang up without a word */
    PEER_SILENT,    /* never answer */
    PEER_GARBLE,    /* to STARTTLS: 220, then nonsense instead of a handshake */
    PEER_INJECT,    /* to STARTTLS: 220 and another reply in the same packet */
};

struct peer_rule {
    const char *verb_cstr; /* GREETING EHLO STARTTLS MAIL RCPT DATA END RSET */
    unsigned nth;          /* which time in the peer's life, from 1; 0 = each time */
    enum peer_act act;
    const char *reply_cstr; /* with CR LF */
};

enum { PEER_VERBS = 9, PEER_RULES = 8, PEER_CERTIFICATES = 4 };

struct peer {
    struct loop *loop;
    struct listener *listener;
    struct list talks;
    int fd;
    uint16_t port;
    struct peer_rule rules[PEER_RULES];
    const char *ehlo_cstr; /* lines, "250-PIPELINING\r\n"… without the last */
    struct tls_context
        *tls[PEER_CERTIFICATES]; /* of the 1st, 2nd… connection; the last one stays */
    size_t tls_count;
    unsigned seen[PEER_VERBS]; /* per verb */
    unsigned connections;
    unsigned mails_clear, mails_tls, taken, resumed;
    struct buffer log;     /* every command, one a line */
    struct buffer clear;   /* every byte that came without TLS */
    struct buffer content; /* the last message taken, dots and all, without the final one */
    struct buffer
        taken_for;  /* of every message taken: a line of its Number field and its recipients */
    unsigned ahead; /* times that an envelope came together with the end before it */
};

/* Listen on address_cstr; port 0 = any. */
void peer_open(struct peer *peer, struct loop *loop, const char *address_cstr, uint16_t port);
void peer_add_certificate(struct peer *peer, const struct certificate_pair *pair);
void peer_add_rule(struct peer *peer, const char *verb_cstr, unsigned nth, enum peer_act act,
                   const char *reply_cstr);
void peer_close(struct peer *peer);
/* Is this in the log of commands? */
bool peer_heard(const struct peer *peer, const char *text_cstr);

#endif
