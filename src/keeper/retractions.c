/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/retractions.h"

#include "base/encode.h"
#include "base/id.h"
#include "base/log.h"
#include "crypto/digest.h"
#include "keeper/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MAC_BYTES = 16, PATH_BYTES = 4352, FLUSH_BYTES = 1 << 20 };

void retraction_key(const struct secret *index_key, struct secret *key_out)
{
    hkdf_secret(index_key, S("postern retraction"), key_out);
}

static void write_mac(const struct secret *key, struct slice words,
                      uint8_t mac_out[SHA256_BYTES])
{
    hmac_sha256(slice_of(key->bytes, SECRET_BYTES), words, mac_out);
}

bool retraction_write(const struct secret *key, const struct retraction_line *line,
                      struct buffer *out)
{
    size_t before = buffer_len(out);
    uint8_t mac[SHA256_BYTES];
    char id_text[ID_TEXT_SIZE];

    id_write(line->message, id_text);
    if (buffer_append_format(out, "%s %s %llu", state_name(line->state), id_text,
                             (unsigned long long)line->number)) {
        write_mac(key, slice_from(buffer_view(out), before), mac);
        if (buffer_append_byte(out, ' ') && base64url_append(out, slice_of(mac, MAC_BYTES)) &&
            buffer_append_byte(out, '\n'))
            return true;
    }
    buffer_truncate(out, before);
    return false;
}

static bool mac_fits(const struct secret *key, struct slice words, struct slice text)
{
    uint8_t mac[SHA256_BYTES], difference = 0;
    struct buffer given;
    bool fits;

    buffer_init(&given, MAC_BYTES);
    fits = base64url_decode(text, &given) && buffer_len(&given) == MAC_BYTES;
    if (fits && key != NULL) {
        write_mac(key, words, mac);
        for (size_t i = 0; i < MAC_BYTES; i++)
            difference |= (uint8_t)(mac[i] ^ buffer_view(&given).at[i]);
        fits = difference == 0;
    }
    buffer_deinit(&given);
    return fits;
}

bool retraction_parse(const struct secret *key, struct slice line,
                      struct retraction_line *line_out)
{
    struct slice whole = line, word = slice_cut(&line, ' '), id = slice_cut(&line, ' '),
                 number = slice_cut(&line, ' ');

    if (whole.len > RETRACTION_LINE_MAX_BYTES || line.len == 0)
        return false;
    if (slice_equal(word, S("retracted")))
        line_out->state = STATE_RETRACTED;
    else if (slice_equal(word, S("deleted")))
        line_out->state = STATE_DELETED;
    else
        return false;
    return id_parse(id, &line_out->message) && slice_parse_u64(number, &line_out->number) &&
           mac_fits(key, slice_head(whole, whole.len - line.len - 1), line);
}

/* ---- the file ---- */

static bool append(const char *path_cstr, struct slice bytes)
{
    int fd = open(path_cstr, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool written;

    if (fd < 0)
        return false;
    written = write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len && fdatasync(fd) == 0;
    return close(fd) == 0 && written;
}

static void flush(struct keeper *keeper)
{
    struct buffer *lines = &keeper->retractions.lines;
    char path_cstr[PATH_BYTES];

    if (buffer_len(lines) == 0)
        return;
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/" RETRACTIONS_NAME,
                   keeper->settings->state_dir_cstr);
    if (!append(path_cstr, buffer_view(lines)))
        LOG(LOG_ERROR, "keeper.retractions_not_noted", log_cstr("why", strerror(errno)),
            log_cstr("detail", "a backup that is older would bring them back when restored"));
    buffer_clear(lines);
}

static void on_timer(void *context)
{
    flush(context);
}

void retractions_init(struct keeper *keeper)
{
    buffer_init(&keeper->retractions.lines, 2 * FLUSH_BYTES);
    keeper->retractions.timer = loop_timer_new(keeper->loop, on_timer, keeper);
}

void retractions_deinit(struct keeper *keeper)
{
    flush(keeper);
    buffer_deinit(&keeper->retractions.lines);
    loop_timer_free(&keeper->retractions.timer);
}

/* A purge may name a million: one write and one sync for all of a batch. */
static void after_commit(struct keeper *keeper, uint64_t message, uint64_t number,
                         uint64_t state)
{
    const struct retraction_line line = {
        .state = (enum recipient_state)state, .message = message, .number = number};
    struct secret key;

    retraction_key(store_key_index(keeper->store), &key);
    must(retraction_write(&key, &line, &keeper->retractions.lines));
    secret_wipe(&key);
    if (buffer_len(&keeper->retractions.lines) >= FLUSH_BYTES)
        flush(keeper);
    else
        loop_timer_set(keeper->retractions.timer, 0);
}

void retractions_note(struct keeper *keeper, uint64_t message, uint64_t number,
                      enum recipient_state state)
{
    inbox_after(keeper, after_commit, message, number, (uint64_t)state);
}
