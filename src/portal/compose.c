/* SPDX-License-Identifier: Apache-2.0 */
#include "portal/compose.h"

#include "crypto/random.h"
#include "format/mime/address.h"
#include "format/mime/utf8.h"
#include "format/mime/writer.h"

#include <stdlib.h>
#include <string.h>

enum { OUT_MAX_BYTES = 4 << 20, PIECE_BYTES = 32 * 1024, SUBJECT_MAX = 900 };

struct compose {
    struct spool_writer *spool;
    struct spool_message *message;
    struct mime_writer writer;
    struct buffer out;
    struct mime_boundary boundary;
    bool has_files;
};

/* What was written so far goes into the spool. */
static bool flush(struct compose *compose, struct err *err)
{
    bool is_written;

    if (compose->writer.failed)
        return FAIL(err, ERR_PERM, "the reply cannot be written as a message");
    is_written = spool_message_write(compose->message, buffer_view(&compose->out), err);
    buffer_clear(&compose->out);
    return is_written;
}

static void write_from(struct compose *compose, const struct compose_head *head)
{
    struct address_reader mailbox;
    struct buffer display;

    buffer_init(&display, 1000);
    address_reader_init(&mailbox, head->notice_from);
    if (address_next(&mailbox) && buffer_append(&display, head->reader) &&
        buffer_append(&display, S(" via secure portal")))
        mime_write_mailbox(&compose->writer, S("From"), buffer_view(&display),
                           buffer_view(&mailbox.address));
    else
        compose->writer.failed = true;
    address_reader_deinit(&mailbox);
    buffer_deinit(&display);
}

static void write_subject(struct compose *compose, struct slice subject)
{
    struct buffer text;

    buffer_init(&text, SUBJECT_MAX + 4);
    if ((!slice_starts_with_nocase(subject, S("Re:")) && !buffer_append(&text, S("Re: "))) ||
        !buffer_append(&text, utf8_head(subject, SUBJECT_MAX)))
        compose->writer.failed = true;
    mime_write_text_field(&compose->writer, S("Subject"), buffer_view(&text));
    buffer_wipe(&text);
}

/* A stranger's Message-ID: only if it cannot be anything else. */
static void write_original(struct compose *compose, struct slice original_id)
{
    struct buffer value;

    for (size_t i = 0; i < original_id.len; i++)
        if (original_id.at[i] <= ' ' || original_id.at[i] >= 0x7f || original_id.at[i] == '<' ||
            original_id.at[i] == '>')
            return;
    if (original_id.len == 0 || original_id.len > 250)
        return;
    buffer_init(&value, 260);
    must(buffer_append_byte(&value, '<') && buffer_append(&value, original_id) &&
         buffer_append_byte(&value, '>'));
    mime_write_field(&compose->writer, S("In-Reply-To"), buffer_view(&value));
    mime_write_field(&compose->writer, S("References"), buffer_view(&value));
    buffer_deinit(&value);
}

static void write_head(struct compose *compose, const struct compose_head *head)
{
    struct mime_writer *writer = &compose->writer;

    mime_write_date(writer, head->unix_ms / 1000);
    write_from(compose, head);
    mime_write_mailbox(writer, S("Reply-To"), S(""), head->reader);
    mime_write_mailbox(writer, S("To"), S(""), head->sender);
    write_subject(compose, head->subject);
    mime_write_message_id(writer, S("Message-ID"), head->message_id, head->hostname);
    write_original(compose, head->original_id);
    /* A multipart's field says so itself. */
    if (!compose->has_files)
        mime_write_field(writer, S("MIME-Version"), S("1.0"));
}

bool compose_begin(struct spool_writer *writer, const struct compose_head *head,
                   struct slice text, bool has_files, struct compose **compose_out,
                   struct err *err)
{
    struct compose *compose = calloc(1, sizeof *compose);
    uint8_t random[MIME_BOUNDARY_RANDOM];

    must(compose != NULL);
    *compose_out = NULL;
    compose->spool = writer;
    compose->message = spool_message_begin(writer);
    compose->has_files = has_files;
    buffer_init(&compose->out, OUT_MAX_BYTES);
    mime_writer_init(&compose->writer, &compose->out);
    random_bytes(random, sizeof random);
    mime_boundary_init(&compose->boundary, random);
    write_head(compose, head);
    if (has_files) {
        mime_write_multipart(&compose->writer, S("mixed"), &compose->boundary, S(""));
        mime_write_boundary(&compose->writer, &compose->boundary);
    }
    mime_write_text_part(&compose->writer, S("plain"), text);
    if (!flush(compose, err)) {
        compose_abort(&compose);
        return false;
    }
    *compose_out = compose;
    return true;
}

bool compose_file_begin(struct compose *compose, struct slice type, struct slice name,
                        struct err *err)
{
    must(compose->has_files);
    mime_write_boundary(&compose->writer, &compose->boundary);
    mime_write_attachment_header(&compose->writer, type, name);
    return flush(compose, err);
}

bool compose_file_bytes(struct compose *compose, struct slice bytes, struct err *err)
{
    while (bytes.len > 0) {
        mime_write_base64(&compose->writer, slice_head(bytes, PIECE_BYTES));
        bytes = slice_from(bytes, PIECE_BYTES);
        if (!flush(compose, err))
            return false;
    }
    return true;
}

bool compose_file_end(struct compose *compose, struct err *err)
{
    mime_write_base64_end(&compose->writer);
    return flush(compose, err);
}

bool compose_finish(struct compose **compose, struct content_ref *content_out, struct err *err)
{
    bool is_finished;

    if ((*compose)->has_files)
        mime_write_boundary_end(&(*compose)->writer, &(*compose)->boundary);
    is_finished = flush(*compose, err) &&
                  spool_message_finish(&(*compose)->message, content_out, err) &&
                  spool_writer_sync((*compose)->spool, err);
    compose_abort(compose);
    return is_finished;
}

void compose_abort(struct compose **compose)
{
    if (*compose == NULL)
        return;
    spool_message_abort(&(*compose)->message);
    buffer_wipe(&(*compose)->out);
    explicit_bzero(*compose, sizeof **compose);
    free(*compose);
    *compose = NULL;
}
