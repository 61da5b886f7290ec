/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stand for tests and the bench: a keeper in a new folder below /tmp, with every other role played
 * over socket pairs in the same process. The played scribe makes true sealed contents; the played
 * courier answers by the recipient's domain. Not part of the program.
 */
#ifndef KEEPER_STAND_H
#define KEEPER_STAND_H

#include "keeper/internal.h"
#include "spool/writer.h"

enum { STAND_KEPT = 64 };

struct stand {
    struct loop *loop;
    struct settings *settings;
    struct keeper *keeper;
    char folder_cstr[64];
    struct ipc_channel *smtpd, *courier, *scribe, *portal, *office, *scout;
    struct recipient_certificate *certificate;
    struct id_maker ids;
    int queue_fd, portal_fd;
    struct spool_writer *queue_writer, *portal_writer;
    /* What the courier says for a domain: set by stand_outcome; default delivered at VERIFIED. */
    struct stand_outcome {
        char domain_cstr[64];
        enum delivery_outcome outcome;
        enum proof_level level;
        bool is_silent;    /* never answers */
        bool is_unreached; /* says that nobody was reached */
        unsigned held_by;  /* a row of the decision table: says that TLS holds it; 0 = not */
        bool has_small_hello;
    } outcomes[16];
    size_t outcome_count;
    /* What the scout says about every domain: at first that there is no policy. */
    struct ipc_sts_found sts;
    bool scout_is_silent;
    uint64_t sts_asks;
    char sts_known_cstr[STORE_STS_ID_SIZE]; /* in the last question */
    uint64_t sts_last_ask;
    /* What was seen. */
    uint64_t accepted, refused, delivered, code_mails;
    unsigned last_code;          /* of accept_result */
    struct ipc_deliver last_job; /* numbers only; texts below */
    char last_sts_id_cstr[STORE_STS_ID_SIZE], last_sts_mx_cstr[256];
    char last_from_cstr[256], last_to_cstr[256], last_domain_cstr[64], last_mail_cstr[64];
    char mail_to_cstr[256], mail_detail_cstr[1100];
    unsigned last_mail_kind;
    unsigned kinds_made[KIND_COUNT];
    struct ipc_host_known host; /* the last answer to a host_ask */
    uint64_t hosts_known;
    uint8_t lookup[32]; /* of the last portal copy */
    struct secret share;
    uint8_t verifier[32];
    unsigned proof; /* asked for the last portal copy */
    unsigned copies;
    struct ipc_portal_view view;
    struct ipc_portal_opened opened;
    char opened_recipient_cstr[256], opened_sender_cstr[256];
    uint8_t session[32];
    struct ipc_portal_done done;
    struct ipc_auth_result auth;
    unsigned views, openings, dones, auths, verifications;
    bool scribe_is_dead;
    bool holds_copies; /* the scribe is asked for copies and makes none */
    /* What the courier says of TLS when tells_tls: items ipc_tls_result. */
    bool tells_tls;
    struct buffer tls_results;
    /* What the scout says about reports: where they are wanted; what becomes of a POST. */
    struct ipc_rua_found rua;
    struct ipc_report_posted posted;
    uint64_t rua_asked, posts;
    char posted_cstr[600];
    /* Reports that the scribe was asked to write, the last one's; and what it says of one that came. */
    uint64_t reports_made, reports_read;
    char report_to_cstr[256], report_id_cstr[400];
    struct buffer report_lines;
    struct ipc_tls_report_read reported;
    unsigned rcpt_code; /* of the last rcpt_result */
    struct buffer
        jobs; /* "FROM TO LEAST PREFIX|" for each recipient that was carried, line ends as spaces */
    struct buffer json;
    bool json_is_whole;
};

/* Settings for tests; `more_cstr` is put behind them ("" = nothing). */
void stand_open(struct stand *stand, const char *more_cstr);
/* The keeper ends (as after a crash when `hard`: nothing is flushed) and starts again. */
void stand_restart(struct stand *stand, bool hard);
/* Start on a given folder. */
void stand_start(struct stand *stand);
void stand_close(struct stand *stand);
/* Run the loop until `*counter` reaches `wanted` or half a minute has passed. */
void stand_wait(struct stand *stand, const uint64_t *counter, uint64_t wanted);
/* Run the loop for a while, and for so many turns as it has in that time on an idle machine. */
void stand_run(struct stand *stand, int64_t ms);
void stand_outcome(struct stand *stand, const char *domain_cstr, enum delivery_outcome outcome,
                   enum proof_level level);

/* Seal content; the kind's segment. */
struct content_ref stand_content(struct stand *stand, enum spool_kind kind, struct slice plain);
/* The same, small enough to travel in `accept`: a view until the stand writes again. */
void stand_parcel(struct stand *stand, struct slice plain, struct ipc_accept *accept);
/* Submit a message from clerk@clinic.test: recipients separated by spaces; returns its id. */
struct stand_mail {
    const char *to_cstr, *answer_cstr, *envid_cstr;
    unsigned kind, encrypt, notify, receipt, proof;
    const char *from_cstr; /* NULL: clerk@clinic.test */
    const char *delivered_to_cstr;
    bool requiretls, tls_required_no;
};
uint64_t stand_submit(struct stand *stand, const struct stand_mail *mail);
/* May a stranger write to this address? The code that smtpd is told. */
unsigned stand_check(struct stand *stand, const char *address_cstr);
/* Other settings from now on: `more_cstr` as in stand_open. */
void stand_configure(struct stand *stand, const char *more_cstr);
/* The state of a recipient on disk. */
unsigned stand_state(struct stand *stand, uint64_t message, uint64_t number);
/* The scout goes, and another one comes. */
void stand_play_scout(struct stand *stand);
/* Another courier comes after the first has gone. */
void stand_play_courier(struct stand *stand, int fds[2]);
/* A control request; the answer is in stand->json. */
const char *stand_control(struct stand *stand, const char *request_cstr);

#endif
