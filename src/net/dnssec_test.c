/* SPDX-License-Identifier: Apache-2.0 */
/* Signed, forged and unsigned zones, served by nsd: what is secure, what is not, and what is never believed. */
#include "net/resolver.h"

#include "kit/kit.h"
#include "kit/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

static const char script_text[] =
    "set -e; cd \"$1\"; unset LD_PRELOAD\n"
    "for zone in signed forged; do\n"
    "  printf '$ORIGIN %s.test.\\n$TTL 60\\n@ SOA ns host 1 60 60 60 60\\n@ NS ns\\n"
    "ns A 192.0.2.53\\n@ MX 10 mx\\nmx A 192.0.2.1\\n' $zone >$zone.zone\n"
    "  key=$(ldns-keygen -a ECDSAP256SHA256 -k $zone.test)\n"
    "  ldns-signzone -f $zone.signed $zone.zone $key\n"
    "  cat $key.key >>anchor\n"
    "done\n"
    "sed -i 's/192[.]0[.]2[.]1$/192.0.2.66/; s/^\\(forged.test.*MX\\)\\t10 /\\1\\t20 /' "
    "forged.signed\n"
    "printf '$ORIGIN plain.test.\\n$TTL 60\\n@ SOA ns host 1 60 60 60 60\\n@ NS ns\\n"
    "ns A 192.0.2.53\\n@ MX 10 mx\\nmx A 192.0.2.1\\n' >plain.signed\n"
    "{ printf 'server:\\n ip-address: %s\\n username: \"\"\\n chroot: \"\"\\n zonesdir: "
    "\"%s\"\\n database: \"\"\\n"
    " pidfile: \"\"\\n zonelistfile: \"%s/list\"\\n xfrdfile: \"%s/xfrd\"\\n xfrdir: \"%s\"\\n "
    "server-count: 1\\n"
    " rrl-ratelimit: 0\\nremote-control:\\n control-enable: no\\n' \"$2\" \"$1\" \"$1\" \"$1\" "
    "\"$1\"\n"
    "for zone in signed forged plain; do\n"
    "  printf 'zone:\\n name: %s.test\\n zonefile: %s.signed\\n' $zone $zone; done; } "
    ">nsd.conf\n";

struct server {
    char folder_cstr[64];
    char address_cstr[40]; /* 127.x.y.53@port */
    pid_t pid;
};

static bool server_open(struct server *server)
{
    unsigned own = (unsigned)getpid();
    char path_cstr[96];

    kit_make_folder(server->folder_cstr);
    snprintf(server->address_cstr, sizeof server->address_cstr, "127.%u.%u.53@%u",
             1 + own % 250, own / 250 % 250, 20000 + own % 10000);
    kit_write_file(server->folder_cstr, "make.sh", slice_from_cstr(script_text));
    snprintf(path_cstr, sizeof path_cstr, "%s/make.sh", server->folder_cstr);
    if (!KIT_RUN("sh", path_cstr, server->folder_cstr, server->address_cstr))
        return false;
    snprintf(path_cstr, sizeof path_cstr, "%s/nsd.conf", server->folder_cstr);
    server->pid = fork();
    if (server->pid == 0) {
        int null_fd = open("/dev/null", O_RDWR);

        dup2(null_fd, 1);
        dup2(null_fd, 2);
        execl("/usr/sbin/nsd", "nsd", "-d", "-c", path_cstr, (char *)NULL);
        _exit(127);
    }
    return true;
}

static void server_close(struct server *server)
{
    if (server->pid > 0) {
        kill(server->pid, SIGTERM);
        waitpid(server->pid, NULL, 0);
    }
    kit_remove_folder(server->folder_cstr);
}

struct got {
    unsigned calls;
    struct resolver_mx_answer mx;
    struct resolver_address_answer address;
};

static void on_mx(void *context, uint64_t ask, const struct resolver_mx_answer *answer)
{
    struct got *got = context;

    (void)ask;
    got->calls++;
    got->mx = *answer;
}

static void on_addresses(void *context, uint64_t ask,
                         const struct resolver_address_answer *answer)
{
    struct got *got = context;

    (void)ask;
    got->calls++;
    got->address = *answer;
}

static void wait_for(struct loop *loop, struct got *got)
{
    for (int64_t end = loop_now_ms() + 8000; got->calls == 0 && loop_now_ms() < end;) {
        loop_run_once(loop);
        usleep(200);
    }
    assert_int_equal(got->calls, 1);
    got->calls = 0;
}

/* The server needs a moment: until it has answered for the unsigned zone. */
static struct resolver *open_resolver(struct loop *loop, const struct server *server,
                                      struct slice anchor)
{
    const char *forward[] = {server->address_cstr};
    struct resolver_options options = {
        .forward = forward, .forward_count = 1, .trust_anchor = anchor, .timeout_ms = 5000};
    struct resolver *resolver = NULL;
    struct got got = {0};
    struct err err;

    for (int i = 0; i < 40; i++) {
        if (!resolver_new(loop, &options, &resolver, &err))
            fail_msg("%s", err.text_cstr);
        resolver_ask_mx(resolver, "plain.test", on_mx, &got);
        wait_for(loop, &got);
        if (got.mx.outcome == RESOLVER_FOUND)
            return resolver;
        resolver_free(&resolver);
        usleep(100000);
    }
    fail_msg("the name server does not answer");
    return NULL;
}

static void check_mx(struct loop *loop, struct resolver *resolver, const char *domain_cstr,
                     enum resolver_outcome outcome, bool is_secure)
{
    struct got got = {0};

    resolver_ask_mx(resolver, domain_cstr, on_mx, &got);
    wait_for(loop, &got);
    if (got.mx.outcome != outcome || got.mx.is_secure != is_secure)
        fail_msg("%s: outcome %d, secure %d, %s", domain_cstr, got.mx.outcome, got.mx.is_secure,
                 got.mx.text_cstr);
}

static void check_address(struct loop *loop, struct resolver *resolver, const char *host_cstr,
                          enum resolver_outcome outcome, bool is_secure)
{
    struct got got = {0};

    resolver_ask_addresses(resolver, host_cstr, on_addresses, &got);
    wait_for(loop, &got);
    if (got.address.outcome != outcome || got.address.is_secure != is_secure)
        fail_msg("%s: outcome %d, secure %d, %s", host_cstr, got.address.outcome,
                 got.address.is_secure, got.address.text_cstr);
}

static void test_signed_forged_and_plain(void **state)
{
    struct loop *loop = loop_new();
    struct server server = {.pid = -1};
    char path_cstr[96], anchor_text[4096];
    struct resolver *resolver;
    FILE *file;

    (void)state;
    if (access("/usr/sbin/nsd", X_OK) != 0 || !server_open(&server)) {
        server_close(&server);
        loop_free(&loop);
        skip();
    }
    snprintf(path_cstr, sizeof path_cstr, "%s/anchor", server.folder_cstr);
    file = fopen(path_cstr, "r");
    assert_non_null(file);
    resolver = open_resolver(
        loop, &server, slice_of(anchor_text, fread(anchor_text, 1, sizeof anchor_text, file)));
    fclose(file);
    check_mx(loop, resolver, "signed.test", RESOLVER_FOUND, true);
    check_address(loop, resolver, "mx.signed.test", RESOLVER_FOUND, true);
    check_mx(loop, resolver, "absent.signed.test", RESOLVER_NO_DOMAIN, true);
    check_mx(loop, resolver, "plain.test", RESOLVER_FOUND, false);
    /* Forged: neither its content nor its absence is believed. */
    check_mx(loop, resolver, "forged.test", RESOLVER_TRY_LATER, false);
    check_address(loop, resolver, "mx.forged.test", RESOLVER_TRY_LATER, false);
    resolver_free(&resolver);
    server_close(&server);
    loop_free(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_forged_and_plain),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
