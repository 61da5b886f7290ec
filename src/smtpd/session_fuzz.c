/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole session against a stranger's bytes: commands, content, chunks, logins. The first byte
 * says how: bit 0 a relay host, bit 1 logged-in rules, the rest how the bytes are cut. The
 * keeper takes every message and refuses every second one. Whatever was said, nothing may be
 * left behind.
 */
#include "base/log.h"
#include "smtpd/session.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct loop *loop;
static struct ipc_channel *keeper_end, *server_end;
static struct settings *settings;
static struct id_maker ids;
static struct smtpd *server;
static unsigned taken;

static const char settings_cstr[] =
    "hostname = \"mail.clinic.test\"\nstate = \"/nowhere\"\nmaster_key = \"m\"\n"
    "account \"clinic\" { organisation = \"Clinic\" }\n"
    "domain \"clinic.test\" { account = clinic next_hop = \"inner.clinic.test\" }\n"
    "user \"ann@clinic.test\" { account = clinic password = \"$argon2id$v=19$m=65536,t=2,p=1$"
    "c29tZXNhbHRzb21lc2Fs$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY\" }\n";

static void on_question(void *context, struct ipc_channel *channel, enum ipc_type type,
                        const union ipc_any *message)
{
    (void)context;
    if (type == IPC_ACCEPT) {
        struct ipc_accept_result result = {message->accept.ask, taken % 2 == 0, 452, S("4.3.1"),
                                           S("no room")};

        must(message->accept.recipients.len > 0);
        taken++;
        must(ipc_send(channel, IPC_ACCEPT_RESULT, &result));
    }
    if (type == IPC_RCPT_CHECK) {
        struct ipc_rcpt_result result = {message->rcpt_check.ask, taken % 2 == 0 ? 250 : 550,
                                         S("5.1.1"), S("nobody")};

        must(message->rcpt_check.address.len > 0);
        taken++;
        must(ipc_send(channel, IPC_RCPT_RESULT, &result));
    }
    if (type == IPC_AUTH_CHECK) {
        struct ipc_auth_result result = {message->auth_check.ask, true, false, S("clinic"),
                                         S("ann@clinic.test")};

        must(ipc_send(channel, IPC_AUTH_RESULT, &result));
    }
}

static void on_answer(void *context, struct ipc_channel *channel, enum ipc_type type,
                      const union ipc_any *message)
{
    (void)context;
    (void)channel;
    smtpd_on_message(server, type, message);
}

static void on_end(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)context;
    (void)channel;
    must(why->class == ERR_NONE);
}

static char folder_cstr[] = "/tmp/postern-fuzz-XXXXXX";

static void remove_folder(void)
{
    char name_cstr[SPOOL_NAME_SIZE];
    struct spool_segment_info *list = NULL;
    int folder_fd = open(folder_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    size_t count = 0;

    if (folder_fd < 0 || !spool_segment_list(folder_fd, &list, &count, NULL))
        return;
    for (size_t i = 0; i < count; i++) {
        spool_segment_name(list[i].segment, name_cstr);
        unlinkat(folder_fd, name_cstr, 0);
    }
    free(list);
    close(folder_fd);
    rmdir(folder_cstr);
}

static void make_server(void)
{
    struct recipient_key *key;
    struct spool_writer *spool;
    struct err err = {0};
    int fds[2], folder_fd;

    log_open("fuzz", LOG_ERROR);
    must(mkdtemp(folder_cstr) != NULL);
    atexit(remove_folder);
    folder_fd = open(folder_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(folder_fd >= 0);
    must(settings_parse(slice_from_cstr(settings_cstr), "t", &settings, &err));
    /* Smaller than the settings allow, so that small inputs reach them. */
    settings->limits.header_bytes = 400;
    settings->limits.message_bytes = 1000;
    settings->limits.recipients = 5;
    loop = loop_new();
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    keeper_end = ipc_channel_new(loop, fds[0], on_question, on_end, NULL);
    server_end = ipc_channel_new(loop, fds[1], on_answer, on_end, NULL);
    must(recipient_key_generate("fuzz", &key, &err));
    spool =
        spool_writer_open(folder_fd, SPOOL_QUEUE, &ids, recipient_key_certificate(key), NULL);
    server = smtpd_new(&(struct smtpd_options){loop, server_end, &ids, spool, folder_fd, NULL});
    must(smtpd_configure(server, settings, &err));
    server->auth_pause_ms = 1;
}

static struct session *the_session(void)
{
    struct list_link *link = list_first(&server->sessions);

    return link == NULL ? NULL : LIST_ELEMENT(link, struct session, link);
}

static void turn(int times)
{
    for (int i = 0; i < times; i++)
        loop_run_once(loop);
}

static void drain(int fd)
{
    uint8_t bytes[4096];

    while (recv(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
}

static void begin(uint8_t how, int fd)
{
    struct settings_listener row = {.kind = (how & 2) != 0 ? LISTENER_SUBMISSION : LISTENER_MX};
    struct session *session;

    smtpd_accept(server, fd, &row);
    session = the_session();
    must(session != NULL);
    if ((how & 3) != 0)
        session->account = &settings->accounts[0];
    if ((how & 2) != 0) {
        /* As if TLS and AUTH had been: the table's flags then let everything through. */
        session->kind = LISTENER_MX;
        session->user = &settings->users[0];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest;
    uint8_t how;
    size_t step;
    int fds[2];

    if (server == NULL)
        make_server();
    if (size == 0)
        return 0;
    how = data[0];
    step = (how >> 2) == 0 ? size : how >> 2;
    rest = slice_of(data + 1, size - 1);
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) == 0);
    begin(how, fds[0]);
    for (int i = 0; rest.len > 0 && i < 400; i++) {
        ssize_t sent = send(fds[1], rest.at, rest.len < step ? rest.len : step, MSG_NOSIGNAL);

        if (sent < 0 && the_session() == NULL)
            break;
        rest = slice_from(rest, sent > 0 ? (size_t)sent : 0);
        turn(2);
        drain(fds[1]);
    }
    turn(4);
    drain(fds[1]);
    close(fds[1]);
    for (int i = 0; i < 1000 && the_session() != NULL; i++)
        turn(1);
    must(the_session() == NULL);
    must(server->held_bytes == 0 && server->asks.count == 0);
    return 0;
}
