/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One SMTP session, as the rooms of this wing share it. The session is a table (commands.c) and
 * a generic loop (session.c): a line comes in, its row says in which states it is legal, its
 * act answers.
 *
 *     START ──EHLO──▶ HELLO ──MAIL──▶ MAIL ──RCPT──▶ RCPT ──DATA, BDAT LAST──▶ (accept) ──▶
 * HELLO ▲                              └──BDAT──▶ CHUNKS ──BDAT LAST──▶ (accept) └────────
 * RSET, EHLO, STARTTLS (then START) ────────┘
 *
 * Besides its state a session has a mode: what the next bytes are. While it waits for the
 * keeper (MODE_ASKED) no input is looked at; the answer finds the session by the number of the
 * question. An idle session owns no buffer, and no transaction.
 */
#ifndef SMTPD_SESSION_H
#define SMTPD_SESSION_H

#include "base/list.h"
#include "base/map.h"
#include "format/smtp/command.h"
#include "format/smtp/dots.h"
#include "format/smtp/params.h"
#include "format/smtp/path.h"
#include "net/connection.h"
#include "smtpd/bounce_watch.h"
#include "smtpd/header_pass.h"
#include "smtpd/server.h"

enum session_state {
    AT_START = 1,
    AT_HELLO = 2,
    AT_MAIL = 4,
    AT_RCPT = 8,
    AT_CHUNKS = 16,
    AT_ANY = AT_START | AT_HELLO | AT_MAIL | AT_RCPT | AT_CHUNKS,
};

enum session_mode {
    MODE_COMMAND,
    MODE_AUTH,      /* the next line is an AUTH response */
    MODE_DATA,      /* content up to CR LF . CR LF */
    MODE_CHUNK,     /* chunk_left bytes of content */
    MODE_ASKED,     /* the keeper was asked */
    MODE_PAUSED,    /* a login failed: the answer is held back a moment */
    MODE_HANDSHAKE, /* TLS */
    MODE_CLOSING,   /* the last reply is queued */
};

enum {
    SESSION_ERRORS_MAX = 20,          /* refused commands of one session; then 421 */
    SESSION_IDLE_COMMANDS_MAX = 1000, /* commands that lead nowhere, between two messages */
    SESSION_AUTH_FAILURES_MAX = 5,
    SESSION_LINE_MAX = 16384,      /* bytes of a line of content, CR LF not counted */
    SESSION_SKIP_MAX = 256 * 1024, /* bytes of a command line without end */
};

/* The content of one message on its way in. */
struct content {
    struct smtp_dots dots;
    struct buffer header; /* the header so far, while it is not whole */
    size_t searched;      /* bytes of it already searched for its end */
    int64_t ended_us;     /* stats_now_us clock */
    bool header_is_done;
    bool has_failed; /* read on to the end, then answer failure */
    struct err failure;
    uint64_t bytes;
    struct spool_message *spool; /* NULL before the header is done and after a failure */
    struct header_facts facts;
    struct bounce_watch bounce; /* KIND_BOUNCE */
};

/* A recipient that the keeper was asked about. */
struct asked_recipient {
    struct smtp_path path;
    struct smtp_rcpt_params params;
};

/* From MAIL to the answer at the end of the content. */
struct transaction {
    enum message_kind kind;
    bool has_kind;      /* strangers: the first recipient decides */
    struct buffer from; /* address; empty = null sender */
    struct smtp_mail_params params;
    struct buffer recipients; /* items: ipc_recipient */
    struct map seen;          /* hash of an address -> its item's offset + 1 */
    uint32_t count;
    struct asked_recipient *asked; /* NULL: none was */
    uint64_t message;              /* id, from the first byte of content on */
    int64_t began_ms;              /* by loop_now_ms */
    size_t held_bytes;             /* counted against the server's ceiling */
    struct content content;
};

struct auth_exchange {
    enum { AUTH_PLAIN, AUTH_LOGIN_NAME, AUTH_LOGIN_PASSWORD } expects;
    struct buffer name; /* LOGIN's first answer */
};

struct session {
    struct list_link link; /* in the server's list */
    uint64_t id;           /* for the log */
    struct smtpd *server;
    struct settings *settings; /* the snapshot it began with */
    struct connection *connection;
    const struct settings_account *account; /* who sends; NULL = a stranger */
    const struct settings_user *user;       /* NULL unless logged in */
    struct transaction *transaction;        /* NULL outside of one */
    struct auth_exchange *auth;             /* NULL outside of one */
    char *helo_cstr;                        /* on LISTENER_MX, for the trace; else NULL */
    uint64_t ask;                           /* MODE_ASKED: number of the question */
    uint64_t client;                        /* key of the client's network, see client_key() */
    uint64_t chunk_left;                    /* MODE_CHUNK */
    struct smtp_line_reader lines;
    enum session_state state;
    enum session_mode mode;
    enum listener_kind kind;
    uint16_t idle_commands;
    uint8_t errors, auth_failures;
    bool asks;          /* clients are asked for a certificate */
    bool is_extended;   /* EHLO, not HELO */
    bool is_last_chunk; /* MODE_CHUNK: the chunk ends the message */
    bool is_gone;       /* the peer has closed: nothing can be answered */
    bool has_input;     /* bytes stand behind the command that is being acted on */
};

struct smtpd {
    struct loop *loop;
    struct ipc_channel *keeper;
    struct id_maker *ids;
    struct spool_writer *spool;
    int spool_dir_fd;
    const struct tls_tickets *tickets; /* borrowed; may be NULL */
    struct settings *settings;         /* for new sessions */
    struct tls_context *tls;           /* NULL = no certificate in the settings */
    struct tls_context *tls_asking;    /* the same, asking clients for theirs; NULL = nowhere */
    struct loop_timer *tick;
    struct list sessions;
    size_t session_count;
    struct map asks;    /* ask -> struct session */
    struct map clients; /* client key -> struct client */
    uint64_t last_ask;
    uint64_t hash_seed;
    size_t held_bytes;            /* headers and recipient lists of all sessions */
    struct buffer scratch, items; /* for building one header, one list item */
    int64_t auth_pause_ms;        /* times failures; 1 s but in tests */
    bool is_disk_full, is_draining, is_keeper_lost;
    smtpd_done_fn *done;
    void *done_context;
};

/* ---- session.c ---- */

/* Queue a reply. Codes from 500 on count as errors of the client. */
void session_reply(struct session *session, unsigned code, const char *enhanced_cstr,
                   const char *format_cstr, ...) FORMAT_LIKE(4, 5);
/* Queue the reply that fits `err`. */
void session_reply_err(struct session *session, const struct err *err);
/* Queue the last reply; the session ends when the present step is over. */
void session_close(struct session *session, unsigned code, const char *enhanced_cstr,
                   const char *text_cstr);
/* A number for a question to the keeper; the session waits for its answer. */
uint64_t session_ask(struct session *session);
/* The question could not be sent. */
void session_unask(struct session *session);
/* The answer has come or a pause is over: go on with what has been received meanwhile. */
void session_resume(struct session *session);
/* What a handshake of this session is made with. */
struct tls_context *session_context(const struct session *session);
/* Begin; the greeting is sent. */
void session_start(struct smtpd *server, int fd, const struct settings_listener *listener,
                   uint64_t client);
/* Say 421 and let go. The session is gone on return. */
void session_dismiss(struct session *session, const char *enhanced_cstr, const char *text_cstr);
/* The same at once, without the loop: the process ends. */
void session_last_words(struct session *session, const char *enhanced_cstr,
                        const char *text_cstr);
/* In no transaction and waiting for a command? */
bool session_is_idle(const struct session *session);
/* Free without a word. */
void session_free(struct session *session);

/* ---- commands.c ---- */

enum command_flag {
    NEEDS_TLS = 1,    /* on submission listeners */
    NEEDS_SENDER = 2, /* on submission listeners: logged in */
    TAKES_NO_ARGS = 4,
    ENDS_GROUP = 8,     /* nothing may stand behind it in the same push */
    LEADS_NOWHERE = 16, /* counted: a session of nothing but these is sent away */
};

struct command_row {
    enum smtp_verb verb;
    unsigned when;  /* states, or-ed */
    unsigned flags; /* enum command_flag, or-ed */
    void (*act)(struct session *session, struct slice args);
};
/* NULL for UNKNOWN and FOREIGN. */
const struct command_row *command_find(enum smtp_verb verb);
/* Judge and act on one command line; has_more: bytes stand behind it. */
void command_run(struct session *session, struct slice line);

/* ---- envelope.c ---- */

/* The acts of MAIL and RCPT. */
void on_mail(struct session *session, struct slice args);
/* As above. */
void on_rcpt(struct session *session, struct slice args);
void rcpt_result(struct session *session, const struct ipc_rcpt_result *result);
/* Forget the transaction, give back what it held. */
void transaction_end(struct session *session);
/* Count memory against the server's ceiling; false: too much. */
MUST_CHECK bool transaction_hold(struct session *session, size_t bytes);

/* ---- auth.c ---- */

/* The act of AUTH. */
void on_auth(struct session *session, struct slice args);
/* A line in MODE_AUTH. */
void auth_line(struct session *session, struct slice line, enum smtp_line_fault fault);
void auth_result(struct session *session, const struct ipc_auth_result *result);
/* The pause after a failed login is over. */
void auth_pause_over(struct session *session);
void auth_end(struct session *session);

/* ---- content.c ---- */

/* The acts of DATA and BDAT. */
void on_data(struct session *session, struct slice args);
/* As above. */
void on_bdat(struct session *session, struct slice args);
/* Content in MODE_DATA and MODE_CHUNK; takes from the front of *input. */
void content_input(struct session *session, struct slice *input);
void accept_result(struct session *session, const struct ipc_accept_result *result);
void content_init(struct content *content);
void content_deinit(struct content *content);

/* ---- trace.c ---- */

/* "ESMTPSA", "UTF8SMTPS", ...: how the message came [RFC 3848] [RFC 6531 §4.3]. */
const char *trace_protocol(const struct session *session);
/* Append our Received field, with the tls clause of [RFC 8314 §4.3]. False when `out` is full. */
MUST_CHECK bool trace_write(const struct session *session, int64_t now_ms, struct buffer *out);
/* Append X-Postern-Transport: how it came, for filters and people behind us. */
MUST_CHECK bool trace_transport(const struct session *session, struct buffer *out);
/* Append the words for the message's story: "ESMTPSA TLSv1.3 ... from 192.0.2.1". */
MUST_CHECK bool trace_story(const struct session *session, struct buffer *out);

/* ---- server.c ---- */

/* A login from this client failed; true: this network has failed too often lately. */
bool client_failed(struct smtpd *server, uint64_t client);
bool client_is_locked(const struct smtpd *server, uint64_t client);
void client_release(struct smtpd *server, uint64_t client);

#endif
