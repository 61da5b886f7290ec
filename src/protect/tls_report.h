/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports about TLS: the JSON that senders of mail exchange once a day, and the mail that carries it. Ours are
 * written here; those of strangers are read here, within bounds: their bytes become lines (struct ipc_tls_line) of
 * clean text, or a reason why not. [RFC 8460 §4] [RFC 8460 §5]
 */
#ifndef PROTECT_TLS_REPORT_H
#define PROTECT_TLS_REPORT_H

#include "ipc/pack.h"
#include "protect/mail_face.h"

enum {
    TLS_REPORT_JSON_MAX = 10 << 20,  /* bytes of one report */
    TLS_REPORT_PACKED_MAX = 2 << 20, /* … compressed */
    TLS_REPORT_MAIL_MAX = 16 << 20,  /* … of the mail that carries it */
    TLS_REPORT_VALUES_MAX = 200000,  /* things in the JSON: bounds the memory that it takes */
    TLS_REPORT_DEPTH_MAX = 16,
    TLS_REPORT_LINES_MAX = 2000,
    TLS_REPORT_LINES_BYTES = 4 << 20,
    TLS_REPORT_TEXT_MAX =
        256, /* bytes of one name or text in a stranger's report; longer ones are cut */
    TLS_REPORT_POLICY_TEXT_MAX = 4096,
};

/* ---- ours ---- */

/* Views; the caller's. */
struct tls_report {
    struct slice organisation, contact, report_id; /* UTF-8 */
    int64_t begin_s, end_s; /* the first second, and the one after the last */
    struct slice lines;     /* items: ipc_tls_line, those of one policy one after another */
};

/* Append the JSON. ERR_PERM: the lines are malformed, or it does not fit. [RFC 8460 §4.4] */
MUST_CHECK bool tls_report_write(const struct tls_report *report, struct buffer *json_out,
                                 struct err *err);

/*
 * Append the mail. face.from: "Name <address>", whose domain is the submitter; domain: whom the report is about;
 * packed: the compressed JSON. It asks for no TLS, so that it arrives where TLS is broken.
 * [RFC 8460 §5.3] [RFC 8689 §3]
 * ERR_PERM: `to` is no address, or a value is too long.
 */
struct tls_report_mail {
    struct mail_face face;
    struct slice domain, submitter, report_id;
    int64_t begin_s, end_s;
    struct slice packed;
};
MUST_CHECK bool tls_report_mail_write(const struct tls_report_mail *mail, struct buffer *out,
                                      struct buffer *header_id_out, struct err *err);

/* ---- those of strangers ---- */

/* Clean UTF-8 on one line each; init, deinit. */
struct tls_report_read {
    struct buffer organisation, contact, report_id;
    struct buffer
        domain; /* of the mail: whom it says that it is about, lower case; may be empty */
    struct buffer
        signer; /* of the mail: d= of its first DKIM signature, not verified; may be empty */
    struct buffer lines;
    int64_t begin_s, end_s;
};
void tls_report_read_init(struct tls_report_read *read);
void tls_report_read_deinit(struct tls_report_read *read);

/* Read the JSON. ERR_PEER: it is no report, with the reason. */
MUST_CHECK bool tls_report_parse(struct slice json, struct tls_report_read *read,
                                 struct err *err);

/*
 * Read a whole mail, pushed in pieces: the first part that is a report by its type, else by its file name.
 * finish: ERR_PEER with the reason when there is none that can be read. After a push failed, finish fails alike.
 */
struct tls_report_reader;
struct tls_report_reader *tls_report_reader_new(struct tls_report_read *read);
void tls_report_reader_push(struct tls_report_reader *reader, struct slice bytes);
MUST_CHECK bool tls_report_reader_finish(struct tls_report_reader *reader, struct err *err);
void tls_report_reader_free(struct tls_report_reader **reader);

#endif
