/* SPDX-License-Identifier: Apache-2.0 */
#include "spool/writer.h"

#include "base/log.h"
#include "crypto/random.h"
#include "spool/internal.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DEFAULT_SEGMENT_BYTES = 64 << 20,
    DEFAULT_SEGMENT_AGE_MS = 10 * 60 * 1000,
    DEFAULT_SOLO_BYTES = 256 << 10,
    MOST_SOLO_BYTES = 16 << 20,
    DEFAULT_MEMORY_BYTES = 64 << 20,
    FIRST_PLAIN_BYTES = 8 << 10,
    TROUBLE_MS = 1000,
    PUSH_BYTES =
        8
        << 20, /* so much of a large message is on its way to the disk, and as much again waits */
};

struct epoch {
    struct secret key;
    int64_t created_ms; /* 0 = there is none */
    struct buffer sealed;
};

struct spool_writer {
    int dir_fd;
    enum spool_kind kind;
    struct id_maker *ids;
    const struct recipient_certificate *certificate;
    struct spool_limits limits;
    struct epoch epoch;       /* for the next segment */
    struct spool_file file;   /* the segment shared by small messages */
    struct secret file_epoch; /* its epoch key */
    struct aead *aead;
    uint8_t *sealed; /* room for the largest shared message */
    uint64_t memory_bytes;
    size_t open_messages;
    bool has_lost; /* finished messages were lost with their segment, and nobody was told yet */
    int64_t trouble_ms; /* when a sync failed; unix milliseconds */
};

struct spool_message {
    struct spool_writer *writer;
    uint8_t *plain;
    size_t len, cap;
    uint64_t total;
    bool has_key, is_solo, has_failed;
    struct secret data_key; /* when has_key */
    /* When is_solo: */
    struct spool_file file;
    uint32_t chunks;
    uint8_t wrapped_key[KEYWRAP_BYTES];
};

struct spool_writer *spool_writer_open(int dir_fd, enum spool_kind kind, struct id_maker *ids,
                                       const struct recipient_certificate *certificate,
                                       const struct spool_limits *limits)
{
    static const struct secret no_key;
    struct spool_writer *writer = calloc(1, sizeof *writer);
    struct spool_limits *own;

    must(writer != NULL);
    writer->dir_fd = spool__dup(dir_fd);
    writer->kind = kind;
    writer->ids = ids;
    writer->certificate = certificate;
    writer->file.fd = -1;
    writer->aead = aead_new(&no_key);
    buffer_init(&writer->epoch.sealed, RECIPIENT_SEALED_MAX_BYTES);
    own = &writer->limits;
    if (limits != NULL)
        *own = *limits;
    if (own->segment_bytes == 0)
        own->segment_bytes = DEFAULT_SEGMENT_BYTES;
    if (own->segment_age_ms == 0)
        own->segment_age_ms = DEFAULT_SEGMENT_AGE_MS;
    if (own->solo_bytes == 0)
        own->solo_bytes = DEFAULT_SOLO_BYTES;
    if (own->memory_bytes == 0)
        own->memory_bytes = DEFAULT_MEMORY_BYTES;
    must(own->solo_bytes >= SPOOL_CHUNK_BYTES && own->solo_bytes <= MOST_SOLO_BYTES);
    return writer;
}

static void epoch_forget(struct epoch *epoch)
{
    secret_wipe(&epoch->key);
    epoch->created_ms = 0;
    buffer_clear(&epoch->sealed);
}

/* Make the shared segment durable; what cannot be is given up, its place too if nothing in it counts. */
static bool shared_sync(struct spool_writer *writer, struct err *err)
{
    struct spool_file *file = &writer->file;

    if (file->fd < 0 || spool__file_sync(writer->dir_fd, file, err))
        return true;
    writer->trouble_ms = spool__now_ms();
    if (file->synced == 0)
        spool__file_discard(writer->dir_fd, file);
    spool__file_close(file);
    secret_wipe(&writer->file_epoch);
    return false;
}

/* End the shared segment. One without a message is not worth a file. */
static void shared_close(struct spool_writer *writer)
{
    struct spool_file *file = &writer->file;
    struct err err = {0};

    if (file->fd >= 0 && file->end == SPOOL_HEADER_BYTES)
        spool__file_discard(writer->dir_fd, file);
    else if (!shared_sync(writer, &err)) {
        LOG(LOG_ERROR, "spool.segment_lost", log_cstr("why", err.text_cstr));
        writer->has_lost = true;
    }
    spool__file_close(file);
    secret_wipe(&writer->file_epoch);
}

bool spool_writer_sync(struct spool_writer *writer, struct err *err)
{
    bool has_lost = writer->has_lost;

    writer->has_lost = false;
    if (!shared_sync(writer, err))
        return false;
    return !has_lost || FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1",
                                  "a segment could not be made durable when it was full");
}

void spool_writer_close(struct spool_writer **writer)
{
    struct spool_writer *it = *writer;

    if (it == NULL)
        return;
    must(it->open_messages == 0);
    shared_close(it);
    epoch_forget(&it->epoch);
    buffer_deinit(&it->epoch.sealed);
    aead_free(&it->aead);
    free(it->sealed);
    close(it->dir_fd);
    free(it);
    *writer = NULL;
}

static bool is_old(const struct spool_writer *writer, int64_t created_ms, int64_t now_ms)
{
    return now_ms - created_ms >= writer->limits.segment_age_ms;
}

void spool_writer_tick(struct spool_writer *writer, int64_t now_ms)
{
    if (writer->file.fd >= 0 && is_old(writer, writer->file.created_ms, now_ms))
        shared_close(writer);
    if (writer->epoch.created_ms != 0 && is_old(writer, writer->epoch.created_ms, now_ms))
        epoch_forget(&writer->epoch);
}

static bool epoch_need(struct spool_writer *writer, int64_t now_ms, struct err *err)
{
    struct epoch *epoch = &writer->epoch;

    if (epoch->created_ms != 0 && !is_old(writer, epoch->created_ms, now_ms))
        return true;
    epoch_forget(epoch);
    random_secret(&epoch->key);
    if (!recipient_seal(writer->certificate, &epoch->key, &epoch->sealed, err))
        return false;
    epoch->created_ms = now_ms;
    return true;
}

/* A new segment file in the present epoch. */
static bool segment_create(struct spool_writer *writer, struct spool_file *file_out,
                           struct err *err)
{
    struct spool_header header = {.kind = writer->kind, .created_ms = spool__now_ms()};
    struct slice sealed;

    if (header.created_ms - writer->trouble_ms < TROUBLE_MS &&
        header.created_ms >= writer->trouble_ms)
        return FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1", "the disk has just failed");
    if (!epoch_need(writer, header.created_ms, err))
        return false;
    header.id = id_next(writer->ids, header.created_ms);
    sealed = buffer_view(&writer->epoch.sealed);
    header.sealed_epoch_key_bytes = (uint32_t)sealed.len;
    memcpy(header.sealed_epoch_key, sealed.at, sealed.len);
    return spool__file_create(writer->dir_fd, &header, file_out, err);
}

/* Make sure that there is a shared segment with room for `len` more bytes. */
static bool shared_need(struct spool_writer *writer, uint64_t len, struct err *err)
{
    struct spool_file *file = &writer->file;

    if (file->fd >= 0 &&
        ((file->end > SPOOL_HEADER_BYTES && file->end + len > writer->limits.segment_bytes) ||
         is_old(writer, file->created_ms, spool__now_ms())))
        shared_close(writer);
    if (file->fd >= 0)
        return true;
    if (!segment_create(writer, file, err))
        return false;
    writer->file_epoch = writer->epoch.key;
    return true;
}

struct spool_message *spool_message_begin(struct spool_writer *writer)
{
    struct spool_message *message = calloc(1, sizeof *message);

    must(message != NULL);
    message->writer = writer;
    message->file.fd = -1;
    writer->open_messages++;
    return message;
}

void spool_message_set_key(struct spool_message *message, const struct secret *data_key)
{
    must(message->total == 0);
    message->data_key = *data_key;
    message->has_key = true;
}

uint64_t spool_message_bytes(const struct spool_message *message)
{
    return message->total;
}

/* Move the collected bytes from `from` on into storage of another size (0 = none). */
static void plain_resize(struct spool_message *message, size_t from, size_t cap)
{
    uint8_t *plain = cap == 0 ? NULL : malloc(cap);

    must((cap == 0 || plain != NULL) && message->len - from <= cap);
    if (message->len > from)
        memcpy(plain, message->plain + from, message->len - from);
    if (message->plain != NULL)
        explicit_bzero(message->plain, message->len);
    free(message->plain);
    message->writer->memory_bytes += cap;
    message->writer->memory_bytes -= message->cap;
    message->plain = plain;
    message->len -= from;
    message->cap = cap;
}

static void plain_append(struct spool_message *message, struct slice bytes)
{
    size_t cap = message->cap == 0 ? FIRST_PLAIN_BYTES : message->cap;

    while (cap < message->len + bytes.len)
        cap *= 2;
    if (cap != message->cap)
        plain_resize(message, 0, cap);
    memcpy(message->plain + message->len, bytes.at, bytes.len);
    message->len += bytes.len;
}

/* Seal one chunk to where `out` points; the writer's aead has the message's key. */
static void seal_chunk(struct spool_writer *writer, uint32_t chunk, bool is_last,
                       struct slice plain, uint8_t *out)
{
    uint8_t nonce[AEAD_NONCE_BYTES];

    spool_chunk_nonce(chunk, is_last, nonce);
    aead_seal(writer->aead, nonce, slice_of(spool_chunk_aad, SPOOL_AAD_BYTES), plain, out);
}

static uint8_t *sealed_room(struct spool_writer *writer)
{
    if (writer->sealed == NULL) {
        writer->sealed = malloc(spool_sealed_bytes(writer->limits.solo_bytes));
        must(writer->sealed != NULL);
    }
    return writer->sealed;
}

static bool solo_put(struct spool_message *message, struct slice plain, bool is_last,
                     struct err *err)
{
    struct spool_writer *writer = message->writer;
    uint8_t *sealed = sealed_room(writer);

    must(message->chunks < UINT32_MAX);
    aead_set_key(writer->aead, &message->data_key);
    seal_chunk(writer, message->chunks++, is_last, plain, sealed);
    aead_forget(writer->aead);
    if (!spool__file_append(&message->file, slice_of(sealed, plain.len + AEAD_TAG_BYTES), err))
        return false;
    /* Else the sync at the end would hold up everybody else of this process for seconds. */
    return message->file.end - message->file.begun < PUSH_BYTES ||
           spool__file_push(&message->file, err);
}

/* Draw the data key unless the caller gave one, and wrap it. */
static void wrap_key(struct spool_message *message, const struct secret *epoch_key,
                     uint8_t wrapped_out[KEYWRAP_BYTES])
{
    if (message->has_key) {
        memset(wrapped_out, 0, KEYWRAP_BYTES);
        return;
    }
    random_secret(&message->data_key);
    keywrap_wrap(epoch_key, &message->data_key, wrapped_out);
}

/* From now on this message has a segment of its own: what was collected goes there. */
static bool solo_begin(struct spool_message *message, struct err *err)
{
    size_t at = 0;

    if (!segment_create(message->writer, &message->file, err))
        return false;
    message->is_solo = true;
    wrap_key(message, &message->writer->epoch.key, message->wrapped_key);
    for (; message->len - at > SPOOL_CHUNK_BYTES; at += SPOOL_CHUNK_BYTES)
        if (!solo_put(message, slice_of(message->plain + at, SPOOL_CHUNK_BYTES), false, err))
            return false;
    plain_resize(message, at, SPOOL_CHUNK_BYTES);
    return true;
}

static bool solo_write(struct spool_message *message, struct slice bytes, struct err *err)
{
    while (bytes.len > 0) {
        struct slice take;

        if (message->len == SPOOL_CHUNK_BYTES) {
            if (!solo_put(message, slice_of(message->plain, message->len), false, err))
                return false;
            message->len = 0;
        }
        take = slice_head(bytes, SPOOL_CHUNK_BYTES - message->len);
        plain_append(message, take);
        bytes = slice_from(bytes, take.len);
    }
    return true;
}

static bool message_write(struct spool_message *message, struct slice bytes, struct err *err)
{
    const struct spool_writer *writer = message->writer;
    bool is_large = message->len + bytes.len > writer->limits.solo_bytes;
    bool is_crowded = writer->memory_bytes > writer->limits.memory_bytes &&
                      message->len + bytes.len > SPOOL_CHUNK_BYTES;

    if (!message->is_solo && (is_large || is_crowded) && !solo_begin(message, err))
        return false;
    if (message->is_solo)
        return solo_write(message, bytes, err);
    if (writer->memory_bytes > writer->limits.memory_bytes * 2)
        return FAIL_SMTP(err, ERR_TEMP, 452, "4.3.1",
                         "too many messages are coming in at once");
    plain_append(message, bytes);
    return true;
}

bool spool_message_write(struct spool_message *message, struct slice bytes, struct err *err)
{
    must(!message->has_failed);
    if (bytes.len == 0)
        return true;
    if (!message_write(message, bytes, err)) {
        message->has_failed = true;
        return false;
    }
    message->total += bytes.len;
    return true;
}

/* Seal all that was collected, under the message's data key: a view of the writer's room. */
static struct slice seal_collected(struct spool_message *message)
{
    struct spool_writer *writer = message->writer;
    uint8_t *out = sealed_room(writer);
    size_t at = 0;
    uint32_t chunk = 0;

    aead_set_key(writer->aead, &message->data_key);
    do {
        struct slice plain = slice_from(slice_of(message->plain, message->len), at);
        bool is_last = plain.len <= SPOOL_CHUNK_BYTES;

        plain = slice_head(plain, SPOOL_CHUNK_BYTES);
        seal_chunk(writer, chunk++, is_last, plain, out);
        out += plain.len + AEAD_TAG_BYTES;
        at += plain.len;
    } while (at < message->len);
    aead_forget(writer->aead);
    return slice_of(writer->sealed, (size_t)(out - writer->sealed));
}

/* Append what was collected, sealed, with one write. */
static bool shared_finish(struct spool_message *message, struct content_ref *ref_out,
                          struct err *err)
{
    struct spool_writer *writer = message->writer;
    uint64_t sealed_bytes = spool_sealed_bytes(message->len);

    if (!shared_need(writer, sealed_bytes, err))
        return false;
    *ref_out = (struct content_ref){
        writer->file.id, writer->file.end, sealed_bytes, message->len, {0}};
    wrap_key(message, &writer->file_epoch, ref_out->wrapped_key);
    if (spool__file_append(&writer->file, seal_collected(message), err))
        return true;
    shared_close(writer);
    return false;
}

bool spool_message_is_small(const struct spool_message *message)
{
    return !message->is_solo && !message->has_key;
}

void spool_message_seal(struct spool_message **message, struct spool_parcel *parcel_out)
{
    struct spool_message *it = *message;

    must(spool_message_is_small(it) && !it->has_failed);
    random_secret(&it->data_key);
    *parcel_out = (struct spool_parcel){seal_collected(it), it->len, it->data_key};
    spool_message_abort(message);
}

bool spool_writer_place(struct spool_writer *writer, const struct spool_parcel *parcel,
                        struct content_ref *ref_out, struct err *err)
{
    if (parcel->plain_bytes > MOST_SOLO_BYTES ||
        parcel->sealed.len != spool_sealed_bytes(parcel->plain_bytes))
        return FAIL(err, ERR_PEER, "not a parcel: the lengths do not fit");
    if (!shared_need(writer, parcel->sealed.len, err))
        return false;
    *ref_out = (struct content_ref){
        writer->file.id, writer->file.end, parcel->sealed.len, parcel->plain_bytes, {0}};
    keywrap_wrap(&writer->file_epoch, &parcel->data_key, ref_out->wrapped_key);
    if (spool__file_append(&writer->file, parcel->sealed, err))
        return true;
    shared_close(writer);
    return false;
}

static bool solo_finish(struct spool_message *message, struct content_ref *ref_out,
                        struct err *err)
{
    struct spool_writer *writer = message->writer;

    if (!solo_put(message, slice_of(message->plain, message->len), true, err))
        return false;
    if (!spool__file_sync(writer->dir_fd, &message->file, err)) {
        writer->trouble_ms = spool__now_ms();
        return false;
    }
    *ref_out = (struct content_ref){message->file.id,
                                    SPOOL_HEADER_BYTES,
                                    message->file.end - SPOOL_HEADER_BYTES,
                                    message->total,
                                    {0}};
    memcpy(ref_out->wrapped_key, message->wrapped_key, KEYWRAP_BYTES);
    spool__file_close(&message->file);
    return true;
}

bool spool_message_finish(struct spool_message **message, struct content_ref *ref_out,
                          struct err *err)
{
    struct spool_message *it = *message;
    bool finished;

    must(!it->has_failed);
    finished = it->is_solo ? solo_finish(it, ref_out, err) : shared_finish(it, ref_out, err);
    spool_message_abort(message); /* frees; what was finished is closed and stays */
    return finished;
}

void spool_message_abort(struct spool_message **message)
{
    struct spool_message *it = *message;

    if (it == NULL)
        return;
    spool__file_discard(it->writer->dir_fd, &it->file);
    it->len = it->cap; /* wipe all of it */
    plain_resize(it, it->len, 0);
    it->writer->open_messages--;
    explicit_bzero(it, sizeof *it);
    free(it);
    *message = NULL;
}
