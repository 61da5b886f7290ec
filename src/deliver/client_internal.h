/* SPDX-License-Identifier: Apache-2.0 */
/* What the rooms of the SMTP client share: client.c (the connection's life), states.c (what a reply means), content.c. */
#ifndef DELIVER_CLIENT_INTERNAL_H
#define DELIVER_CLIENT_INTERNAL_H

#include "deliver/client.h"
#include "format/smtp/dots.h"
#include "format/smtp/reply.h"

enum {
    CLIENT_LINE_MAX = 4096, /* one command line of ours */
    CLIENT_IN_MAX = 64 << 10,
    CLIENT_OUT_MAX = 4 * SPOOL_CHUNK_BYTES,
    CLIENT_QUIT_MS = 2000,
};

/* Where the client stands: a name for the log, and what the next reply means there. */
struct client_state {
    const char *name_cstr;
    void (*on_reply)(struct deliver_client *client, const struct smtp_reply *reply);
};

enum command { COMMAND_RSET, COMMAND_MAIL, COMMAND_RCPT, COMMAND_DATA, COMMAND_NONE };

/* One message on this connection. Commands and their replies are both in order, so counters are enough. */
struct transaction {
    struct delivery *delivery; /* NULL = no transaction */
    const struct client_state *at;
    enum command next;    /* to be written */
    unsigned unanswered;  /* commands written, their replies not read */
    size_t rcpt_written;  /* recipients walked over when writing */
    size_t rcpt_answered; /* and when reading */
    size_t asked, answered, accepted;
    bool is_mail_taken, is_mail_refused;
    bool is_fresh;     /* first message of its connection */
    bool was_answered; /* something was heard since it began */
    struct spool_reader *reader;
    struct slice prefix; /* not yet written */
    struct slice chunk;  /* opened, not yet written */
    struct smtp_dots_writer dots;
};

struct deliver_client {
    struct deliver_client_options options;
    const struct deliver_client_handlers *handlers;
    void *context;
    char host_cstr[DELIVERY_HOST_SIZE];
    char helo_cstr[DELIVERY_HOST_SIZE];
    struct connection *connection;
    struct smtp_reply_reader replies;
    const struct client_state *at; /* when no transaction awaits the reply */
    struct smtp_ehlo ehlo;
    bool saw_starttls;
    bool may_be_the_hello; /* TLS failed, and a smaller ClientHello may help */
    bool needs_rset;
    unsigned login_step; /* of AUTH LOGIN: what the next 334 asks for */
    bool is_over;        /* on_failed was or is being called */
    bool is_leaving;     /* the server said 421: over after this reply */
    bool is_freed;
    unsigned depth; /* of our own calls, so that a handler may free us */
    unsigned messages;
    struct delivery_evidence evidence;
    struct transaction ending;  /* its end of data is written, the reply awaited */
    struct transaction sending; /* being written */
};

extern const struct client_state client_connect, client_greeting, client_hello, client_starttls,
    client_handshake, client_login, client_ready;
extern const struct client_state client_rset, client_mail, client_rcpt, client_data,
    client_content, client_end, client_void;

/* client.c */
void client_enter(struct deliver_client *client);
void client_leave(struct deliver_client *client);
void client_fail(struct deliver_client *client, enum client_failure failure,
                 const struct err *why);
/* Write a line of our own; it is short, and the buffer has room. */
void client_say(struct deliver_client *client, struct slice line);
void client_say_hello(struct deliver_client *client);
/* Setting up is done. */
void client_become_ready(struct deliver_client *client);
void client_start_tls(struct deliver_client *client);
/* Set the time-out for what is awaited now. */
void client_watch_clock(struct deliver_client *client);
/* Fill err from a reply that means failure: its code, enhanced status and first words. */
void client_blame_reply(struct err *err, enum err_class class, const char *stage_cstr,
                        const struct smtp_reply *reply);

/* login.c */
/* The host has answered EHLO under TLS, and we have a login for it: client_become_ready or client_fail follow. */
void client_log_in(struct deliver_client *client);

/* transaction.c */
void client_write_commands(struct deliver_client *client, struct transaction *transaction);
void client_write_content(struct deliver_client *client, struct transaction *transaction);
/* Give the delivery back. */
void client_give_back(struct deliver_client *client, struct transaction *transaction,
                      enum client_step step, const struct err *why);
/* A reply was read: write what may be written now; end the transaction when nothing is left to do. */
void client_go_on(struct deliver_client *client, struct transaction *transaction);

#endif
