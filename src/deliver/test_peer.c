/* SPDX-License-Identifier: Apache-2.0 */
#include "deliver/test_peer.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct talk {
    struct list_link link;
    struct peer *peer;
    struct connection *connection;
    unsigned number; /* of the connection, from 0 */
    bool in_data, is_closing;
    struct buffer recipients; /* of the present message, those that were taken */
};

static void on_input(void *context);
static void on_drained(void *context);
static void on_tls(void *context);
static void on_closed(void *context, const struct err *why);

static const struct connection_handlers talk_handlers = {
    .on_input = on_input,
    .on_drained = on_drained,
    .on_tls = on_tls,
    .on_closed = on_closed,
};

static const struct {
    const char *verb_cstr;
    const char *reply_cstr;
} defaults[PEER_VERBS] = {
    {"GREETING", "220 peer.test ESMTP\r\n"},
    {"EHLO", NULL},
    {"STARTTLS", "220 2.0.0 go ahead\r\n"},
    {"MAIL", "250 2.1.0 ok\r\n"},
    {"RCPT", "250 2.1.5 ok\r\n"},
    {"DATA", "354 go\r\n"},
    {"END", "250 2.0.0 taken as 42\r\n"},
    {"RSET", "250 2.0.0 ok\r\n"},
    {"QUIT", "221 2.0.0 bye\r\n"},
};

static void talk_free(struct talk *talk)
{
    list_remove(&talk->link);
    connection_free(&talk->connection);
    buffer_deinit(&talk->recipients);
    free(talk);
}

static void say(struct talk *talk, const char *text_cstr)
{
    assert_true(connection_write(talk->connection, slice_from_cstr(text_cstr)));
}

static void say_default(struct talk *talk, size_t verb)
{
    char text_cstr[1024];

    if (strcmp(defaults[verb].verb_cstr, "EHLO") != 0) {
        say(talk, defaults[verb].reply_cstr);
        return;
    }
    snprintf(text_cstr, sizeof text_cstr, "250-peer.test\r\n%s%s250 HELP\r\n",
             talk->peer->tls_count > 0 && !connection_is_tls(talk->connection)
                 ? "250-STARTTLS\r\n"
                 : "",
             talk->peer->ehlo_cstr);
    say(talk, text_cstr);
}

static const struct peer_rule *find_rule(struct peer *peer, size_t verb)
{
    for (size_t i = 0; i < PEER_RULES; i++) {
        const struct peer_rule *rule = &peer->rules[i];

        if (rule->verb_cstr != NULL && strcmp(rule->verb_cstr, defaults[verb].verb_cstr) == 0 &&
            (rule->nth == 0 || rule->nth == peer->seen[verb]))
            return rule;
    }
    return NULL;
}

static void start_tls(struct talk *talk)
{
    struct peer *peer = talk->peer;
    size_t which = talk->number < peer->tls_count ? talk->number : peer->tls_count - 1;

    if (peer->tls_count > 0 && connection_input(talk->connection).len == 0)
        connection_start_tls_server(talk->connection, peer->tls[which]);
}

/* False: hang up. */
static bool act(struct talk *talk, size_t verb)
{
    const struct peer_rule *rule = find_rule(talk->peer, verb);

    if (rule == NULL) {
        say_default(talk, verb);
        if (strcmp(defaults[verb].verb_cstr, "STARTTLS") == 0)
            start_tls(talk);
        return true;
    }
    switch (rule->act) {
    case PEER_SAY:
        say(talk, rule->reply_cstr);
        break;
    case PEER_SAY_CLOSE:
        say(talk, rule->reply_cstr);
        talk->is_closing = true;
        connection_want_drained(talk->connection);
        break;
    case PEER_SAY_DEAF:
        say(talk, rule->reply_cstr);
        talk->is_closing = true;
        break;
    case PEER_CLOSE:
        return false;
    case PEER_SILENT:
        break;
    case PEER_GARBLE:
        say(talk, "220 go ahead\r\n\x16\x03\x01\x00\x05nonsense instead of TLS\r\n");
        break;
    case PEER_INJECT:
        say(talk, "220 go ahead\r\n250 2.1.0 injected\r\n");
        break;
    }
    return true;
}

static bool take_command(struct talk *talk, struct slice line)
{
    struct peer *peer = talk->peer;

    assert_true(buffer_append(&peer->log, line));
    assert_true(buffer_append(&peer->log, S("\n")));
    for (size_t verb = 0; verb < PEER_VERBS; verb++) {
        if (!slice_starts_with_nocase(line, slice_from_cstr(defaults[verb].verb_cstr)))
            continue;
        peer->seen[verb]++;
        if (strcmp(defaults[verb].verb_cstr, "MAIL") == 0) {
            peer->mails_tls += connection_is_tls(talk->connection);
            peer->mails_clear += !connection_is_tls(talk->connection);
            buffer_clear(&talk->recipients);
        }
        if (strcmp(defaults[verb].verb_cstr, "RCPT") == 0 && find_rule(peer, verb) == NULL)
            assert_true(buffer_append(&talk->recipients, slice_from(line, 8)));
        if (!act(talk, verb))
            return false;
        if (strcmp(defaults[verb].verb_cstr, "DATA") == 0 && find_rule(peer, verb) == NULL) {
            talk->in_data = true;
            buffer_clear(&peer->content);
        }
        return true;
    }
    say(talk, "500 what\r\n");
    return true;
}

/* "7 <r7@one.test>": what the content says it is, and for whom it came. */
static void note_taken(struct talk *talk)
{
    struct peer *peer = talk->peer;
    struct slice number = buffer_view(&peer->content);

    number = slice_from(number, slice_find_nocase(number, S("Number: ")));
    number = slice_from(slice_head(number, slice_find_byte(number, '\r')), 8);
    assert_true(buffer_append(&peer->taken_for, number) &&
                buffer_append(&peer->taken_for, S(" ")) &&
                buffer_append(&peer->taken_for, buffer_view(&talk->recipients)) &&
                buffer_append(&peer->taken_for, S("\n")));
}

static bool take_content(struct talk *talk, struct slice line)
{
    struct peer *peer = talk->peer;

    if (!slice_equal(line, S("."))) {
        assert_true(buffer_append(&peer->content, line));
        assert_true(buffer_append(&peer->content, S("\r\n")));
        return true;
    }
    talk->in_data = false;
    peer->seen[6]++;
    peer->ahead += connection_input(talk->connection).len > 0;
    if (find_rule(peer, 6) == NULL && buffer_len(&peer->content) > 0)
        note_taken(talk);
    peer->taken += find_rule(peer, 6) == NULL && buffer_len(&peer->content) > 0;
    return act(talk, 6);
}

static void on_input(void *context)
{
    struct talk *talk = context;

    while (!talk->is_closing) {
        struct slice input = connection_input(talk->connection);
        size_t end = slice_find_byte(input, '\n');
        struct slice line = slice_head(input, end > 0 ? end - 1 : 0);
        uint8_t copy[4096];
        bool goes_on;

        if (end == input.len)
            return;
        assert_true(line.len < sizeof copy);
        memcpy(copy, line.at, line.len);
        if (!connection_is_tls(talk->connection))
            assert_true(buffer_append(&talk->peer->clear, slice_head(input, end + 1)));
        connection_consume(talk->connection, end + 1);
        line = slice_of(copy, line.len);
        goes_on = talk->in_data ? take_content(talk, line) : take_command(talk, line);
        if (!goes_on) {
            talk_free(talk);
            return;
        }
    }
}

static void on_drained(void *context)
{
    struct talk *talk = context;

    connection_finish(&talk->connection, 1000);
    talk_free(talk);
}

static void on_tls(void *context)
{
    struct talk *talk = context;
    struct tls_evidence evidence;

    connection_evidence(talk->connection, &evidence);
    talk->peer->resumed += evidence.is_resumed;
}

static void on_closed(void *context, const struct err *why)
{
    (void)why;
    talk_free(context);
}

static void on_accept(void *context, int fd, const struct sockaddr *from)
{
    static const struct connection_limits limits = {1 << 16, 1 << 16};
    struct peer *peer = context;
    struct talk *talk = calloc(1, sizeof *talk);

    (void)from;
    must(talk != NULL);
    talk->peer = peer;
    list_push_back(&peer->talks, &talk->link);
    talk->number = peer->connections++;
    buffer_init(&talk->recipients, 1 << 20);
    talk->connection = connection_accept(peer->loop, fd, limits, &talk_handlers, talk);
    peer->seen[0]++;
    if (!act(talk, 0))
        talk_free(talk);
}

void peer_open(struct peer *peer, struct loop *loop, const char *address_cstr, uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    socklen_t len = sizeof address;
    int on = 1;

    memset(peer, 0, sizeof *peer);
    peer->loop = loop;
    list_init(&peer->talks);
    peer->ehlo_cstr = "250-PIPELINING\r\n250-8BITMIME\r\n";
    buffer_init(&peer->log, 1 << 24);
    buffer_init(&peer->clear, 1 << 28);
    buffer_init(&peer->content, 1 << 28);
    buffer_init(&peer->taken_for, 1 << 24);
    peer->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(peer->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    assert_int_equal(inet_pton(AF_INET, address_cstr, &address.sin_addr), 1);
    assert_int_equal(bind(peer->fd, (void *)&address, len), 0);
    assert_int_equal(listen(peer->fd, 64), 0);
    assert_int_equal(getsockname(peer->fd, (void *)&address, &len), 0);
    peer->port = ntohs(address.sin_port);
    peer->listener = listener_new(loop, peer->fd, on_accept, peer);
}

void peer_add_certificate(struct peer *peer, const struct certificate_pair *pair)
{
    struct tls_server_options options = {.certificate_chain_pem =
                                             buffer_view(&pair->certificate_pem),
                                         .private_key_pem = buffer_view(&pair->key_pem)};
    struct err err;

    assert_true(tls_context_new_server(&options, &peer->tls[peer->tls_count++], &err));
}

void peer_add_rule(struct peer *peer, const char *verb_cstr, unsigned nth,
                   enum peer_act act_how, const char *reply_cstr)
{
    for (size_t i = 0; i < PEER_RULES; i++)
        if (peer->rules[i].verb_cstr == NULL) {
            peer->rules[i] = (struct peer_rule){verb_cstr, nth, act_how, reply_cstr};
            return;
        }
    fail();
}

void peer_close(struct peer *peer)
{
    while (!list_is_empty(&peer->talks))
        talk_free(LIST_ELEMENT(list_first(&peer->talks), struct talk, link));
    listener_free(&peer->listener);
    close(peer->fd);
    for (size_t i = 0; i < peer->tls_count; i++)
        tls_context_unref(&peer->tls[i]);
    buffer_deinit(&peer->log);
    buffer_deinit(&peer->clear);
    buffer_deinit(&peer->content);
    buffer_deinit(&peer->taken_for);
}

bool peer_heard(const struct peer *peer, const char *text_cstr)
{
    struct slice log = buffer_view(&peer->log);

    return slice_find_nocase(log, slice_from_cstr(text_cstr)) < log.len;
}
