/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The portal on a stand: the real pages, HTTPS and sealed copies, with a keeper that is a few lines
 * and knows some sample messages. For tests of the pages and for looking at them.
 *
 *     portal-stand FOLDER      makes FOLDER/ca.pem, serves https://localhost:PORT, prints links
 *
 * Standard output has one line per fact: "url …", "link NAME https://…", then as things happen
 * "asked …", "code NAME", "revealed NAME", "taken NAME N", "reply NAME FILE". Ends at end of input.
 */
#include "base/encode.h"
#include "crypto/certificate.h"
#include "crypto/random.h"
#include "ipc/channel.h"
#include "portal/portal.h"
#include "protect/portal_container.h"
#include "protect/portal_key.h"
#include "spool/keyring.h"
#include "spool/reader.h"
#include "spool/writer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SAMPLES_MAX = 8, TRIES = 3, PATH_SIZE = 4096 };

struct sample {
    const char *name_cstr;
    enum reader_proof proof;
    const char *question_cstr, *answer_cstr;
    bool is_gone;
    unsigned tries_left;
    int64_t locked_until_ms;
    struct secret token, share, session;
    struct portal_answer answer;
    uint8_t salt[PASSWORD_SALT_BYTES], lookup[PORTAL_LOOKUP_BYTES], wrapped[KEYWRAP_BYTES];
    struct content_ref copy;
};

struct stand {
    struct loop *loop;
    const char *folder_cstr;
    struct settings *settings;
    struct recipient_key *key;
    struct portal *portal;
    struct ipc_channel *portal_side, *keeper_side;
    int copies_fd, queue_fd, listen_fd;
    struct sample samples[SAMPLES_MAX];
    size_t sample_count;
    unsigned replies;
};

static void give_up(const char *what_cstr, const struct err *err)
{
    fprintf(stderr, "portal-stand: %s: %s\n", what_cstr, err->text_cstr);
    exit(1);
}

/* ---- sample messages ---- */

static const char plain_cstr[] =
    "Dear Ms Example,\n\nthank you for coming in on Tuesday. Your results are back, and they "
    "are "
    "good: everything is within its normal range.\n\nPlease keep taking the tablets as before. "
    "We "
    "would like to see you again in six months; a letter with the date will follow.\n\nIf you "
    "have "
    "questions, just reply to this message. Nobody but me reads it.\n\nKind regards\n\nDr Ada "
    "Sample\nDepartment of Internal Medicine\n";
static const char html_cstr[] =
    "<p>Dear Ms Example,</p><p>thank you for coming in on Tuesday. <b>Your results are back, "
    "and "
    "they are good:</b></p><table style=\"border-collapse:collapse\"><tr><th "
    "style=\"padding:4px "
    "12px;border:1px solid #999999\">Value</th><th style=\"padding:4px 12px;border:1px solid "
    "#999999\">Result</th></tr><tr><td style=\"padding:4px 12px;border:1px solid #999999\">"
    "Haemoglobin</td><td style=\"padding:4px 12px;border:1px solid #999999\">13.9 "
    "g/dl</td></tr>"
    "</table><p>More about it on <a href=\"https://example.org/\">our pages</a>.</p>"
    "<p>Kind regards<br>Dr Ada Sample</p>";

static void add_part(struct portal_manifest *manifest, enum portal_part_kind kind, size_t size,
                     struct slice type, struct slice name)
{
    manifest->parts[manifest->part_count++] =
        (struct portal_part){.kind = kind, .size = size, .type = type, .name = name};
}

/* Bytes of an attachment that a test can make again: byte i is i * 7 + i / 256. */
static void write_pattern(struct spool_message *message, size_t len, struct err *err)
{
    uint8_t piece[4096];

    for (size_t at = 0; at < len; at += sizeof piece) {
        size_t count = len - at < sizeof piece ? len - at : sizeof piece;

        for (size_t i = 0; i < count; i++)
            piece[i] = (uint8_t)((at + i) * 7 + (at + i) / 256);
        if (!spool_message_write(message, slice_of(piece, count), err))
            give_up("write", err);
    }
}

static void seal(struct stand *stand, struct spool_writer *writer, struct sample *sample,
                 bool has_html)
{
    static struct portal_manifest manifest;
    struct spool_message *message = spool_message_begin(writer);
    struct secret content_key;
    struct buffer head;
    struct err err = {0};

    (void)stand;
    manifest = (struct portal_manifest){
        .from = SLICE_INIT("Dr Ada Sample <ada@clinic.test>"),
        .to = SLICE_INIT("Grete Example <grete@mail.test>"),
        .subject = SLICE_INIT("Your results from Tuesday \xE2\x80\x93 all well"),
        .date = SLICE_INIT("22 November 2026, 06:52 UTC"),
    };
    add_part(&manifest, PORTAL_PART_TEXT, sizeof plain_cstr - 1, S("text/plain"), S(""));
    if (has_html)
        add_part(&manifest, PORTAL_PART_HTML, sizeof html_cstr - 1, S("text/html"), S(""));
    add_part(&manifest, PORTAL_PART_ATTACHMENT, 300000, S("application/pdf"),
             S("Laborbefund Gr\xC3\xBC\xC3\x9F"
               "e.pdf"));
    add_part(&manifest, PORTAL_PART_ATTACHMENT, 1234, S("text/html"), S("page <1>.html"));
    random_secret(&content_key);
    spool_message_set_key(message, &content_key);
    buffer_init(&head, PORTAL_MANIFEST_MAX);
    if (!portal_manifest_write(&manifest, &head) ||
        !spool_message_write(message, buffer_view(&head), &err) ||
        !spool_message_write(message, slice_from_cstr(plain_cstr), &err) ||
        (has_html && !spool_message_write(message, slice_from_cstr(html_cstr), &err)))
        give_up("seal", &err);
    write_pattern(message, 300000, &err);
    write_pattern(message, 1234, &err);
    if (!spool_message_finish(&message, &sample->copy, &err))
        give_up("seal", &err);
    portal_key_wrap(&sample->token, &sample->share, &sample->answer.key, &content_key,
                    sample->wrapped);
    buffer_deinit(&head);
}

static void add_sample(struct stand *stand, struct spool_writer *writer, const char *name_cstr,
                       enum reader_proof proof, bool has_html)
{
    struct sample *sample = &stand->samples[stand->sample_count++];
    struct buffer link;
    struct err err = {0};

    must(stand->sample_count <= SAMPLES_MAX);
    sample->name_cstr = name_cstr;
    sample->proof = proof;
    sample->tries_left = TRIES;
    sample->question_cstr =
        proof == READER_PROOF_ANSWER ? "What was the name of our first dog?" : "";
    sample->answer_cstr = "Rex the Great";
    random_secret(&sample->token);
    random_secret(&sample->share);
    random_secret(&sample->session);
    random_bytes(sample->salt, sizeof sample->salt);
    if (proof == READER_PROOF_ANSWER &&
        !portal_answer_derive(slice_from_cstr(sample->answer_cstr), sample->salt,
                              PASSWORD_COST_CHEAP, &sample->answer, &err))
        give_up("answer", &err);
    portal_token_lookup(&sample->token, sample->lookup);
    seal(stand, writer, sample, has_html);
    buffer_init(&link, 100);
    must(portal_token_write(&sample->token, &link));
    printf("link %s %s/m/%.*s\n", name_cstr, stand->settings->portal.url_cstr,
           SLICE_ARGS(buffer_view(&link)));
    buffer_deinit(&link);
}

static void add_samples(struct stand *stand)
{
    static struct id_maker ids = {.maker = 60};
    struct spool_writer *writer = spool_writer_open(
        stand->copies_fd, SPOOL_PORTAL, &ids, recipient_key_certificate(stand->key), NULL);

    add_sample(stand, writer, "code", READER_PROOF_CODE, true);
    add_sample(stand, writer, "answer", READER_PROOF_ANSWER, false);
    add_sample(stand, writer, "link", READER_PROOF_LINK, true);
    add_sample(stand, writer, "gone", READER_PROOF_CODE, true);
    stand->samples[3].is_gone = true;
    spool_writer_close(&writer);
}

/* ---- the keeper ---- */

static struct sample *find(struct stand *stand, struct slice lookup)
{
    for (size_t i = 0; i < stand->sample_count; i++)
        if (!stand->samples[i].is_gone &&
            slice_equal(lookup, slice_of(stand->samples[i].lookup, PORTAL_LOOKUP_BYTES)))
            return &stand->samples[i];
    return NULL;
}

static int64_t locked_ms(const struct sample *sample)
{
    int64_t left_ms = sample->locked_until_ms - loop_now_ms();

    return left_ms > 0 ? left_ms : 0;
}

static void answer(struct stand *stand, enum ipc_type type, const void *message)
{
    must(ipc_send(stand->keeper_side, type, message));
}

static void on_look(struct stand *stand, const struct ipc_portal_look *look)
{
    const struct sample *sample = find(stand, look->lookup);
    struct ipc_portal_view view = {.ask = look->ask, .found = sample != NULL};

    if (sample != NULL) {
        view.proof = sample->proof;
        view.question = slice_from_cstr(sample->question_cstr);
        view.organisation = S("St. Hedwig Clinic");
        view.sender = S("Dr Ada Sample");
        view.expires_ms = clock_unix_ms() + INT64_C(30) * 86400000;
        view.locked_ms = locked_ms(sample);
        view.masked_recipient = S("g\xE2\x80\xA2\xE2\x80\xA2\xE2\x80\xA2@mail.test");
    }
    printf("asked look %s\n", sample == NULL ? "nothing" : sample->name_cstr);
    answer(stand, IPC_PORTAL_VIEW, &view);
}

static void done(struct stand *stand, uint64_t ask, const struct sample *sample)
{
    struct ipc_portal_done message = {.ask = ask,
                                      .status = sample == NULL ? PORTAL_ABSENT : PORTAL_OK};

    if (sample != NULL && locked_ms(sample) > 0) {
        message.status = PORTAL_LOCKED;
        message.locked_ms = locked_ms(sample);
    }
    answer(stand, IPC_PORTAL_DONE, &message);
}

static void open_up(struct stand *stand, uint64_t ask, const struct sample *sample,
                    enum portal_status status)
{
    struct ipc_portal_opened opened = {.ask = ask, .status = status};

    if (sample != NULL) {
        opened.tries_left = sample->tries_left;
        opened.locked_ms = locked_ms(sample);
    }
    if (status == PORTAL_OPEN) {
        opened.session = slice_of(sample->session.bytes, SECRET_BYTES);
        opened.message = 1;
        opened.account = S("clinic");
        opened.organisation = S("St. Hedwig Clinic");
        opened.sender = S("ada@clinic.test");
        opened.recipient = S("grete@mail.test");
        opened.expires_ms = clock_unix_ms() + INT64_C(30) * 86400000;
        opened.share = sample->share;
        opened.answer_key = sample->answer.key;
        opened.wrapped = slice_of(sample->wrapped, KEYWRAP_BYTES);
        opened.copy = sample->copy;
        opened.header_id = S("original-1@clinic.test");
    }
    answer(stand, IPC_PORTAL_OPENED, &opened);
}

static bool is_right(const struct sample *sample, struct slice typed)
{
    struct portal_answer got;
    struct err err = {0};

    if (sample->proof == READER_PROOF_LINK)
        return true;
    if (sample->proof == READER_PROOF_CODE)
        return slice_equal(typed, S("123456"));
    return portal_answer_derive(typed, sample->salt, PASSWORD_COST_CHEAP, &got, &err) &&
           bytes_equal_constant_time(got.verifier, sample->answer.verifier,
                                     PORTAL_VERIFIER_BYTES);
}

static void on_prove(struct stand *stand, const struct ipc_portal_prove *prove)
{
    struct sample *sample = find(stand, prove->lookup);

    if (sample == NULL) {
        open_up(stand, prove->ask, NULL, PORTAL_ABSENT);
        return;
    }
    if (locked_ms(sample) > 0) {
        open_up(stand, prove->ask, sample, PORTAL_LOCKED);
        return;
    }
    if (is_right(sample, prove->typed)) {
        sample->tries_left = TRIES;
        open_up(stand, prove->ask, sample, PORTAL_OPEN);
        return;
    }
    printf("wrong %s\n", sample->name_cstr);
    if (--sample->tries_left == 0) {
        sample->tries_left = TRIES;
        sample->locked_until_ms = loop_now_ms() + 900000;
        open_up(stand, prove->ask, sample, PORTAL_LOCKED);
    } else
        open_up(stand, prove->ask, sample, PORTAL_WRONG);
}

static struct sample *in_session(struct stand *stand, struct slice lookup, struct slice session)
{
    struct sample *sample = find(stand, lookup);

    return sample != NULL && session.len == SECRET_BYTES &&
                   bytes_equal_constant_time(session.at, sample->session.bytes, SECRET_BYTES)
               ? sample
               : NULL;
}

static void save_reply(struct stand *stand, const struct ipc_portal_reply *reply)
{
    struct spool_keyring *ring = spool_keyring_new(stand->queue_fd);
    struct spool_reader *reader = NULL;
    struct secret key;
    struct slice piece;
    struct err err = {0};
    char path_cstr[PATH_SIZE];
    FILE *file;

    snprintf(path_cstr, sizeof path_cstr, "%s/reply-%u.eml", stand->folder_cstr,
             ++stand->replies);
    file = fopen(path_cstr, "wb");
    must(file != NULL);
    spool_keyring_add(ring, stand->key);
    if (!spool_keyring_open(ring, &reply->content, &key, &err) ||
        !spool_reader_open(stand->queue_fd, &reply->content, &key, &reader, &err))
        give_up("reply", &err);
    for (;;) {
        if (!spool_reader_next(reader, &piece, &err))
            give_up("reply", &err);
        if (piece.len == 0)
            break;
        must(fwrite(piece.at, 1, piece.len, file) == piece.len);
    }
    fclose(file);
    spool_reader_close(&reader);
    spool_keyring_free(&ring);
    printf("reply %.*s %s\n", SLICE_ARGS(reply->header_id), path_cstr);
}

static void on_question(void *context, struct ipc_channel *channel, enum ipc_type type,
                        const union ipc_any *message)
{
    struct stand *stand = context;
    const struct sample *sample;

    (void)channel;
    if (type == IPC_PORTAL_LOOK)
        on_look(stand, &message->portal_look);
    else if (type == IPC_PORTAL_SEND_CODE) {
        sample = find(stand, message->portal_send_code.lookup);
        printf("code %s\n", sample == NULL ? "nothing" : sample->name_cstr);
        done(stand, message->portal_send_code.ask, sample);
    } else if (type == IPC_PORTAL_PROVE)
        on_prove(stand, &message->portal_prove);
    else if (type == IPC_PORTAL_RESUME) {
        sample =
            in_session(stand, message->portal_resume.lookup, message->portal_resume.session);
        open_up(stand, message->portal_resume.ask, sample,
                sample == NULL ? PORTAL_ABSENT : PORTAL_OPEN);
    } else if (type == IPC_PORTAL_EVENT) {
        sample = in_session(stand, message->portal_event.lookup, message->portal_event.session);
        if (sample != NULL && message->portal_event.event == PORTAL_REVEALED)
            printf("revealed %s\n", sample->name_cstr);
        else if (sample != NULL)
            printf("taken %s %" PRIu64 "\n", sample->name_cstr, message->portal_event.part);
        done(stand, message->portal_event.ask, sample);
    } else if (type == IPC_PORTAL_REPLY) {
        sample = in_session(stand, message->portal_reply.lookup, message->portal_reply.session);
        if (sample != NULL)
            save_reply(stand, &message->portal_reply);
        done(stand, message->portal_reply.ask, sample);
    }
    fflush(stdout);
}

static void on_answer(void *context, struct ipc_channel *channel, enum ipc_type type,
                      const union ipc_any *message)
{
    (void)channel;
    portal_on_answer(((struct stand *)context)->portal, type, message);
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)channel;
    (void)why;
    loop_stop(((struct stand *)context)->loop);
}

static bool ask(void *context, enum ipc_type type, const void *message)
{
    return ipc_send(((struct stand *)context)->portal_side, type, message);
}

/* ---- setting up ---- */

static int open_folder(const char *folder_cstr, const char *name_cstr)
{
    char path_cstr[PATH_SIZE];
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s/%s", folder_cstr, name_cstr);
    must(mkdir(path_cstr, 0700) == 0 || errno == EEXIST);
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0);
    return fd;
}

static unsigned listen_here(struct stand *stand)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    const char *port_cstr = getenv("PORT");
    uint64_t port = 0;
    int on = 1;

    if (port_cstr != NULL && slice_parse_u64(slice_from_cstr(port_cstr), &port))
        address.sin_port = htons((uint16_t)port);
    stand->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    must(setsockopt(stand->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
    must(bind(stand->listen_fd, (struct sockaddr *)&address, len) == 0);
    must(listen(stand->listen_fd, 64) == 0);
    must(getsockname(stand->listen_fd, (struct sockaddr *)&address, &len) == 0);
    return ntohs(address.sin_port);
}

static void write_file(const struct stand *stand, const char *name_cstr, struct slice bytes)
{
    char path_cstr[PATH_SIZE];
    FILE *file;

    snprintf(path_cstr, sizeof path_cstr, "%s/%s", stand->folder_cstr, name_cstr);
    file = fopen(path_cstr, "wb");
    must(file != NULL && fwrite(bytes.at, 1, bytes.len, file) == bytes.len);
    fclose(file);
}

static void make_settings(struct stand *stand, unsigned port)
{
    static const char *const names[] = {"localhost", NULL};
    static const char *const addresses[] = {"127.0.0.1", NULL};
    const int64_t now_s = clock_unix_ms() / 1000;
    const struct certificate_wish authority_wish = {"Stand CA", NULL, NULL, now_s - 3600,
                                                    now_s + 86400 * 30};
    const struct certificate_wish wish = {"localhost", names, addresses, now_s - 3600,
                                          now_s + 86400 * 30};
    struct certificate_pair authority = {0}, server = {0};
    struct buffer text;
    struct err err = {0};

    if (!certificate_make_authority(&authority_wish, &authority, &err) ||
        !certificate_issue(&authority, &wish, &server, &err))
        give_up("certificate", &err);
    write_file(stand, "ca.pem", buffer_view(&authority.certificate_pem));
    buffer_init(&text, 10000);
    must(buffer_append_format(
        &text,
        "hostname = \"mail.clinic.test\"\nstate = \"%s\"\nmaster_key = \"master.key\"\n"
        "account \"clinic\" { organisation = \"St. Hedwig Clinic\"\n"
        "notice_from = \"Clinic secure mail <secure@clinic.test>\" }\n"
        "domain \"clinic.test\" { account = \"clinic\" }\n"
        "portal { address = \"127.0.0.1:%u\" url = \"https://localhost:%u\"\n"
        "certificate = \"portal.pem\" key = \"portal.key\" reply = 1M }\n",
        stand->folder_cstr, port, port));
    if (!settings_parse(buffer_view(&text), "/stand/postern.conf", &stand->settings, &err))
        give_up("settings", &err);
    settings_file_put(stand->settings,
                      slice_from_cstr(stand->settings->portal.certificate.path_cstr),
                      buffer_view(&server.certificate_pem));
    settings_file_put(stand->settings, slice_from_cstr(stand->settings->portal.key.path_cstr),
                      buffer_view(&server.key_pem));
    printf("url %s\n", stand->settings->portal.url_cstr);
    buffer_deinit(&text);
    certificate_pair_deinit(&authority);
    certificate_pair_deinit(&server);
}

static void start_portal(struct stand *stand)
{
    struct portal_options options = {.loop = stand->loop,
                                     .settings = stand->settings,
                                     .id_maker = 61,
                                     .listen_fd = stand->listen_fd,
                                     .copies_fd = stand->copies_fd,
                                     .queue_fd = stand->queue_fd,
                                     .ask = ask,
                                     .context = stand};
    struct buffer der;
    struct err err = {0};
    int pair[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    stand->portal_side = ipc_channel_new(stand->loop, pair[0], on_answer, on_closed, stand);
    stand->keeper_side = ipc_channel_new(stand->loop, pair[1], on_question, on_closed, stand);
    buffer_init(&der, 10000);
    must(recipient_certificate_write_der(recipient_key_certificate(stand->key), &der));
    options.keeper_certificate = buffer_view(&der);
    if (!portal_new(&options, &stand->portal, &err))
        give_up("portal", &err);
    buffer_deinit(&der);
}

static void on_input(void *context, int ready)
{
    char bytes[100];

    (void)ready;
    if (read(0, bytes, sizeof bytes) <= 0)
        loop_stop(((struct stand *)context)->loop);
}

int main(int argc, char **argv)
{
    static struct stand stand;
    struct loop_watch *input;
    struct err err = {0};

    if (argc != 2) {
        fprintf(stderr, "usage: portal-stand FOLDER\n");
        return 2;
    }
    log_open("portal", LOG_INFO);
    stand.folder_cstr = argv[1];
    stand.loop = loop_new();
    stand.copies_fd = open_folder(argv[1], "portal");
    stand.queue_fd = open_folder(argv[1], "queue");
    if (!recipient_key_generate("stand", &stand.key, &err))
        give_up("key", &err);
    make_settings(&stand, listen_here(&stand));
    add_samples(&stand);
    start_portal(&stand);
    printf("ready\n");
    fflush(stdout);
    input = loop_watch_new(stand.loop, 0, on_input, &stand);
    loop_watch_set(input, LOOP_READ);
    loop_run(stand.loop);
    loop_watch_free(&input);
    portal_free(&stand.portal);
    ipc_channel_free(&stand.portal_side);
    ipc_channel_free(&stand.keeper_side);
    settings_unref(&stand.settings);
    recipient_key_free(&stand.key);
    close(stand.copies_fd);
    close(stand.queue_fd);
    close(stand.listen_fd);
    loop_free(&stand.loop);
    return 0;
}
