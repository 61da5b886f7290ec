/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For the session tests: a whole server on a loop of its own, a keeper that is played here, and
 * clients over loopback TCP. 127.0.0.1 is a relay host of the account, 127.0.0.2 is a stranger.
 */
#ifndef SMTPD_TEST_BED_H
#define SMTPD_TEST_BED_H

#include "crypto/certificate.h"
#include "smtpd/session.h"
#include "spool/keyring.h"
#include "spool/reader.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BED_TURNS_MAX = 40000 };

struct bed {
    struct loop *loop;
    struct ipc_channel *keeper, *server_end;
    struct settings *settings;
    struct id_maker ids;
    struct recipient_key *key;
    struct spool_writer *spool, *placer;
    struct smtpd *server;
    struct tls_context *client_tls;
    char folder_cstr[64];
    int folder_fd;
    /* What the played keeper does: */
    bool holds;            /* answers nothing */
    unsigned verdict_code; /* 0 = takes the message */
    /* And what it saw last: */
    unsigned auths, accepts, parcels, checks;
    struct ipc_accept seen; /* its BYTES are views into the next two */
    struct buffer texts; /* "account|user|from|header_id|question|answer|envid|received_by" */
    struct buffer rcpts; /* "address notify orcpt\n" each */
    struct buffer content;
};

struct client {
    struct bed *bed;
    struct connection *connection;
    struct buffer input;
    char reply_cstr[2048]; /* the last whole reply, without its last CR LF */
    bool is_tls, is_closed;
};

static const char bed_settings_cstr[] =
    "hostname = \"mail.clinic.test\"\nstate = \"/nowhere\"\nmaster_key = \"m\"\n"
    "account \"clinic\" { organisation = \"Clinic\" relay_networks = {\"127.0.0.1/32\"} }\n"
    "domain \"clinic.test\" { account = clinic next_hop = \"inner.clinic.test\" }\n"
    "domain \"sub.clinic.test\" { account = clinic }\n"
    "tls_reports { receive = \"tlsrpt@sub.clinic.test\" }\n"
    "user \"ann@clinic.test\" { account = clinic password = \"$argon2id$v=19$m=65536,t=2,p=1$"
    "c29tZXNhbHRzb21lc2Fs$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY\" }\n";

static inline void bed_read_content(struct bed *bed, const struct content_ref *ref)
{
    struct spool_keyring *ring = spool_keyring_new(bed->folder_fd);
    struct spool_reader *reader = NULL;
    struct secret key;
    struct slice plain;
    struct err err = {0};

    spool_keyring_add(ring, bed->key);
    must(spool_keyring_open(ring, ref, &key, &err));
    must(spool_reader_open(bed->folder_fd, ref, &key, &reader, &err));
    buffer_clear(&bed->content);
    do {
        must(spool_reader_next(reader, &plain, &err));
        must(buffer_append(&bed->content, plain));
    } while (plain.len > 0);
    spool_reader_close(&reader);
    spool_keyring_free(&ring);
}

static inline void bed_on_accept(struct bed *bed, const struct ipc_accept *accept)
{
    struct ipc_accept_result result = {accept->ask, bed->verdict_code == 0, bed->verdict_code,
                                       S("4.3.1"), S("no room")};
    struct slice rest = accept->recipients;
    struct ipc_recipient item;

    bed->accepts++;
    bed->seen = *accept;
    buffer_clear(&bed->texts);
    must(buffer_append_format(&bed->texts, "%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s|%.*s",
                              SLICE_ARGS(accept->account), SLICE_ARGS(accept->user),
                              SLICE_ARGS(accept->mail_from), SLICE_ARGS(accept->header_id),
                              SLICE_ARGS(accept->question), SLICE_ARGS(accept->answer),
                              SLICE_ARGS(accept->envid), SLICE_ARGS(accept->received_by)));
    buffer_clear(&bed->rcpts);
    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE) {
        must(item.recipient != 0);
        must(buffer_append_format(&bed->rcpts, "%.*s %u %.*s\n", SLICE_ARGS(item.address),
                                  (unsigned)item.notify, SLICE_ARGS(item.orcpt)));
    }
    if (accept->content.segment == 0) {
        struct spool_parcel parcel = {accept->sealed, accept->content.plain_bytes,
                                      accept->data_key};
        struct content_ref ref;
        struct err err;

        bed->parcels++;
        must(spool_writer_place(bed->placer, &parcel, &ref, &err));
        bed_read_content(bed, &ref);
    } else {
        bed_read_content(bed, &accept->content);
    }
    if (!bed->holds)
        must(ipc_send(bed->keeper, IPC_ACCEPT_RESULT, &result));
}

static inline void bed_on_keeper(void *context, struct ipc_channel *channel, enum ipc_type type,
                                 const union ipc_any *message)
{
    struct bed *bed = context;

    (void)channel;
    if (type == IPC_ACCEPT)
        bed_on_accept(bed, &message->accept);
    if (type == IPC_RCPT_CHECK && !bed->holds) {
        struct slice address = message->rcpt_check.address;
        struct ipc_rcpt_result result = {message->rcpt_check.ask, 550, S("5.1.1"),
                                         S("no such mailbox here")};

        bed->checks++;
        if (slice_equal(address, S("sales@sub.clinic.test")))
            result.code = 250;
        if (slice_equal(address, S("odd@sub.clinic.test")))
            result.code = 99;
        must(ipc_send(bed->keeper, IPC_RCPT_RESULT, &result));
    }
    if (type == IPC_AUTH_CHECK && !bed->holds) {
        const struct ipc_auth_check *check = &message->auth_check;
        struct ipc_auth_result result = {check->ask, false, false, S(""), S("")};

        bed->auths++;
        must(slice_starts_with(check->client, S("127.0.0.")));
        result.problem = slice_equal(check->name, S("broken"));
        result.ok = slice_equal(check->name, S("ann@clinic.test")) &&
                    slice_equal(check->password, S("secret"));
        if (result.ok) {
            result.account = S("clinic");
            result.user = S("ann@clinic.test");
        }
        must(ipc_send(bed->keeper, IPC_AUTH_RESULT, &result));
    }
}

static inline void bed_on_answer(void *context, struct ipc_channel *channel, enum ipc_type type,
                                 const union ipc_any *message)
{
    struct bed *bed = context;

    (void)channel;
    if (bed->server != NULL)
        smtpd_on_message(bed->server, type, message);
}

static inline void bed_on_end(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)context;
    (void)channel;
    (void)why;
}

static inline void bed_certificate(struct bed *bed)
{
    const char *names_cstr[] = {"mail.clinic.test", NULL};
    struct certificate_wish wish = {"mail", names_cstr, NULL, (int64_t)time(NULL) - 86400,
                                    (int64_t)time(NULL) + 86400};
    struct tls_client_options options = {.trust = TLS_TRUST_NOBODY};
    struct certificate_pair pair;
    struct err err = {0};

    memset(&pair, 0, sizeof pair);
    assert_true(certificate_issue(NULL, &wish, &pair, &err));
    settings_file_put(bed->settings, slice_from_cstr(bed->settings->tls_certificate.path_cstr),
                      buffer_view(&pair.certificate_pem));
    settings_file_put(bed->settings, slice_from_cstr(bed->settings->tls_key.path_cstr),
                      buffer_view(&pair.key_pem));
    certificate_pair_deinit(&pair);
    assert_true(tls_context_new_client(&options, &bed->client_tls, &err));
}

/* `more_cstr` is put before the settings above: limits and the like. */
static inline void bed_start(struct bed *bed, const char *more_cstr)
{
    char text_cstr[4096];
    struct err err = {0};
    int fds[2];

    memset(bed, 0, sizeof *bed);
    snprintf(bed->folder_cstr, sizeof bed->folder_cstr, "/tmp/smtpd-test-XXXXXX");
    assert_non_null(mkdtemp(bed->folder_cstr));
    bed->folder_fd = open(bed->folder_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    snprintf(text_cstr, sizeof text_cstr,
             "tls_certificate = \"/c\" tls_key = \"/k\"\n%s\n%s"
             "listener \"sub\" { kind = submission address = \"127.0.0.1:2587\" }\n",
             more_cstr, bed_settings_cstr);
    if (!settings_parse(slice_from_cstr(text_cstr), "t", &bed->settings, &err))
        fail_msg("%s", err.text_cstr);
    bed_certificate(bed);
    buffer_init(&bed->texts, 1 << 20);
    buffer_init(&bed->rcpts, 16 << 20);
    buffer_init(&bed->content, 64 << 20);
    bed->loop = loop_new();
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    bed->keeper = ipc_channel_new(bed->loop, fds[0], bed_on_keeper, bed_on_end, bed);
    bed->server_end = ipc_channel_new(bed->loop, fds[1], bed_on_answer, bed_on_end, bed);
    assert_true(recipient_key_generate("test", &bed->key, &err));
    bed->placer = spool_writer_open(bed->folder_fd, SPOOL_QUEUE, &bed->ids,
                                    recipient_key_certificate(bed->key), NULL);
    bed->spool = spool_writer_open(bed->folder_fd, SPOOL_QUEUE, &bed->ids,
                                   recipient_key_certificate(bed->key), NULL);
    bed->server = smtpd_new(&(struct smtpd_options){bed->loop, bed->server_end, &bed->ids,
                                                    bed->spool, bed->folder_fd, NULL});
    bed->server->auth_pause_ms = 1;
    assert_true(smtpd_configure(bed->server, bed->settings, &err));
}

static inline void bed_end(struct bed *bed)
{
    struct spool_segment_info *list = NULL;
    char name_cstr[SPOOL_NAME_SIZE];
    struct err err = {0};
    size_t count;

    smtpd_free(&bed->server);
    spool_writer_close(&bed->spool);
    spool_writer_close(&bed->placer);
    recipient_key_free(&bed->key);
    ipc_channel_free(&bed->keeper);
    ipc_channel_free(&bed->server_end);
    settings_unref(&bed->settings);
    tls_context_unref(&bed->client_tls);
    /* Clients that were let go may still say goodbye. */
    for (int i = 0; i < 50; i++)
        loop_run_once(bed->loop);
    loop_free(&bed->loop);
    assert_true(spool_segment_list(bed->folder_fd, &list, &count, &err));
    for (size_t i = 0; i < count; i++) {
        spool_segment_name(list[i].segment, name_cstr);
        assert_int_equal(unlinkat(bed->folder_fd, name_cstr, 0), 0);
    }
    free(list);
    close(bed->folder_fd);
    assert_int_equal(rmdir(bed->folder_cstr), 0);
    buffer_deinit(&bed->texts);
    buffer_deinit(&bed->rcpts);
    buffer_deinit(&bed->content);
}

/* ---- clients ---- */

static inline void client_on_input(void *context)
{
    struct client *client = context;
    struct slice input = connection_input(client->connection);

    must(buffer_append(&client->input, input));
    connection_consume(client->connection, input.len);
}

static inline void client_on_tls(void *context)
{
    ((struct client *)context)->is_tls = true;
}

static inline void client_on_closed(void *context, const struct err *why)
{
    (void)why;
    ((struct client *)context)->is_closed = true;
}

static const struct connection_handlers client_handlers = {
    .on_input = client_on_input, .on_tls = client_on_tls, .on_closed = client_on_closed};

/* Connect from `from_cstr`; nothing has been read yet. */
static inline void client_connect(struct client *client, struct bed *bed,
                                  enum listener_kind kind, const char *from_cstr)
{
    struct settings_listener row = {.kind = kind};
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t len = sizeof address;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(client, 0, sizeof *client);
    client->bed = bed;
    buffer_init(&client->input, 16 << 20);
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    assert_int_equal(bind(door, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(door, 1), 0);
    assert_int_equal(getsockname(door, (struct sockaddr *)&address, &len), 0);
    struct sockaddr_in source = {.sin_family = AF_INET};
    inet_pton(AF_INET, from_cstr, &source.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&source, sizeof source), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    smtpd_accept(bed->server, accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), &row);
    close(door);
    client->connection = connection_accept(
        bed->loop, fd, (struct connection_limits){1 << 20, 64 << 20}, &client_handlers, client);
}

static inline void client_end(struct client *client)
{
    connection_free(&client->connection);
    buffer_deinit(&client->input);
    for (int i = 0; i < 5; i++)
        loop_run_once(client->bed->loop);
}

static inline void client_send(struct client *client, struct slice bytes)
{
    assert_true(connection_write(client->connection, bytes));
}

/* Length of a whole reply at the front of `text`, 0 when it is not whole. */
static inline size_t reply_len(struct slice text)
{
    size_t at = 0;

    for (;;) {
        size_t end = at + slice_find_byte(slice_from(text, at), '\n');

        if (end >= text.len)
            return 0;
        if (end - at < 4 || text.at[at + 3] != '-')
            return end + 1;
        at = end + 1;
    }
}

/* Run the loop until a reply has come; it is then in reply_cstr. False when the server hung up.
 */
static inline bool client_wait(struct client *client)
{
    for (int turn = 0; turn < BED_TURNS_MAX; turn++) {
        size_t len = reply_len(buffer_view(&client->input));

        if (len > 0) {
            assert_true(len < sizeof client->reply_cstr + 2);
            memcpy(client->reply_cstr, buffer_view(&client->input).at, len - 2);
            client->reply_cstr[len - 2] = '\0';
            buffer_consume(&client->input, len);
            return true;
        }
        if (client->is_closed)
            return false;
        loop_run_once(client->bed->loop);
        if (turn > 100)
            usleep(100);
    }
    fail_msg("no reply; have \"%.*s\"", SLICE_ARGS(buffer_view(&client->input)));
    return false;
}

static inline void client_expect(struct client *client, const char *start_cstr)
{
    if (!client_wait(client))
        fail_msg("hung up instead of %s", start_cstr);
    if (strncmp(client->reply_cstr, start_cstr, strlen(start_cstr)) != 0)
        fail_msg("got \"%s\" instead of %s", client->reply_cstr, start_cstr);
}

static inline void client_ask(struct client *client, const char *line_cstr,
                              const char *start_cstr)
{
    client_send(client, slice_from_cstr(line_cstr));
    client_expect(client, start_cstr);
}

static inline void client_expect_end(struct client *client)
{
    if (client_wait(client))
        fail_msg("got \"%s\" instead of the end", client->reply_cstr);
}

static inline void client_handshake(struct client *client)
{
    struct tls_peer peer = {.server_name_cstr = "mail.clinic.test"};
    struct err err = {0};

    assert_true(
        connection_start_tls_client(client->connection, client->bed->client_tls, &peer, &err));
    for (int turn = 0; turn < BED_TURNS_MAX && !client->is_tls && !client->is_closed; turn++)
        loop_run_once(client->bed->loop);
    assert_true(client->is_tls);
}

/* A relay host that has said EHLO, in the clear. */
static inline void client_relay(struct client *client, struct bed *bed)
{
    client_connect(client, bed, LISTENER_MX, "127.0.0.1");
    client_expect(client, "220 ");
    client_ask(client, "EHLO relay.clinic.test\r\n", "250-");
}

/* Somebody of ours, over TLS, logged in. */
static inline void client_submitter(struct client *client, struct bed *bed)
{
    client_connect(client, bed, LISTENER_SUBMISSIONS, "127.0.0.1");
    client_handshake(client);
    client_expect(client, "220 ");
    client_ask(client, "EHLO pc\r\n", "250-");
    client_ask(client, "AUTH PLAIN AGFubkBjbGluaWMudGVzdABzZWNyZXQ=\r\n", "235 ");
}

/* Up to RCPT, accepted. */
static inline void client_envelope(struct client *client)
{
    client_ask(client, "MAIL FROM:<ann@clinic.test>\r\n", "250 2.1.0");
    client_ask(client, "RCPT TO:<bob@far.test>\r\n", "250 2.1.5");
}

#define BED_HEADER "From: ann@clinic.test\r\nDate: x\r\nMessage-ID: <m@x>\r\n"

#endif
