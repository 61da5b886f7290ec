/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logging in at a smart host [RFC 4954], PLAIN [RFC 4616] or LOGIN. Only on a connection whose TLS context itself
 * refuses what does not verify, looked at live: whoever takes STARTTLS away, or answers in its place, learns nothing.
 */
#include "base/encode.h"
#include "deliver/client_internal.h"

enum { LINE_MAX_BYTES = 4096 };

static void fail_login(struct deliver_client *client, const char *why_cstr)
{
    struct err err;

    (void)FAIL_SMTP(&err, ERR_TEMP, 0, "4.7.0", "%s", why_cstr);
    client_fail(client, CLIENT_NO_LOGIN, &err);
}

/* The buffer is wiped: it holds the password. */
static void say_line(struct deliver_client *client, struct buffer *line, bool fits)
{
    if (fits && buffer_append(line, S("\r\n")))
        client_say(client, buffer_view(line));
    else
        fail_login(client, "the login is too long");
    buffer_wipe(line);
}

static void say_plain(struct deliver_client *client)
{
    struct buffer words, line;
    bool fits;

    buffer_init(&words, LINE_MAX_BYTES / 2);
    buffer_init(&line, LINE_MAX_BYTES);
    fits = buffer_append_byte(&words, 0) && buffer_append(&words, client->options.user) &&
           buffer_append_byte(&words, 0) && buffer_append(&words, client->options.password) &&
           buffer_append(&line, S("AUTH PLAIN ")) && base64_append(&line, buffer_view(&words));
    buffer_wipe(&words);
    say_line(client, &line, fits);
}

static void say_word(struct deliver_client *client, struct slice word)
{
    struct buffer line;
    bool fits;

    buffer_init(&line, LINE_MAX_BYTES);
    fits = base64_append(&line, word);
    say_line(client, &line, fits);
}

void client_log_in(struct deliver_client *client)
{
    struct connection_proof proof = deliver_client_proof(client);

    if (!proof.is_tls || !proof.is_enforced || proof.level < PROOF_VERIFIED) {
        fail_login(client, "no login without verified TLS");
        return;
    }
    client->at = &client_login;
    client->login_step = 0;
    if ((client->ehlo.mechanisms & SMTP_AUTH_PLAIN) != 0)
        say_plain(client);
    else if ((client->ehlo.mechanisms & SMTP_AUTH_LOGIN) != 0)
        client_say(client, S("AUTH LOGIN\r\n"));
    else
        fail_login(client, "the host offers neither AUTH PLAIN nor AUTH LOGIN");
}

static void on_login(struct deliver_client *client, const struct smtp_reply *reply)
{
    bool is_login = (client->ehlo.mechanisms & SMTP_AUTH_PLAIN) == 0;
    struct err err;

    if (reply->code == 235) {
        client_become_ready(client);
    } else if (reply->code == 334 && is_login && client->login_step < 2) {
        say_word(client,
                 client->login_step++ == 0 ? client->options.user : client->options.password);
    } else {
        client_blame_reply(&err, ERR_TEMP, "AUTH", reply);
        client_fail(client, CLIENT_NO_LOGIN, &err);
    }
}

const struct client_state client_login = {"AUTH", on_login};
