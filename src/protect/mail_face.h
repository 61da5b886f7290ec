/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all mails that Postern writes itself have in common: the templates they are filled from, the
 * organisation's name and address in whose name they go, their header. None of them says anything of
 * the message it is about but who, when, and which.
 */
#ifndef PROTECT_MAIL_FACE_H
#define PROTECT_MAIL_FACE_H

#include "base/id.h"
#include "format/html/template.h"
#include "format/mime/writer.h"

enum { MAIL_BYTES_MAX = 256 * 1024, MAIL_TEXT_MAX = 64 * 1024 };

enum mail_template {
    MAIL_NOTICE_TEXT,
    MAIL_NOTICE_HTML,
    MAIL_CODE_TEXT,
    MAIL_RECEIPT_TEXT,
    MAIL_DSN_TEXT,
    MAIL_TEMPLATE_COUNT
};

/* All templates, parsed: once per process. */
struct mail_templates {
    struct template *templates[MAIL_TEMPLATE_COUNT];
};
/* ERR_PERM: a template of ours is malformed (a fault of the build). */
MUST_CHECK bool mail_templates_init(struct mail_templates *templates, struct err *err);
void mail_templates_deinit(struct mail_templates *templates);

/* In whose name a mail goes, and which one it is. Views; the caller's. */
struct mail_face {
    struct slice organisation; /* shown to people, UTF-8 */
    struct slice from;         /* "Clinic secure mail <secure@clinic.test>" */
    struct slice hostname;     /* of this server: where `from` holds no address */
    struct slice to;           /* address only, never a display name */
    uint64_t id;               /* of the new mail: makes its Message-ID */
    int64_t now_s;             /* unix seconds */
};

/*
 * Write From, To, Subject, Date, Message-ID and Auto-Submitted. is_dsn: From becomes
 * "Mail delivery <postmaster@domain>". header_id_out gets "ID@domain", without <>.
 */
void mail_write_header(struct mime_writer *writer, const struct mail_face *face,
                       struct slice subject, bool is_dsn, struct buffer *header_id_out);

/* Fill a template; the text is wiped and set anew. */
MUST_CHECK bool mail_fill(const struct mail_templates *templates, enum mail_template which,
                          const struct template_scope *scope, struct buffer *text_out,
                          struct err *err);

/* "22 November 2026, 06:52 UTC" for people; "" for a time that is none. */
enum { MAIL_TIME_SIZE = 48 };
void mail_time_write(int64_t unix_ms, char text_out[MAIL_TIME_SIZE]);

#endif
