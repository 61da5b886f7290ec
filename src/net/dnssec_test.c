/* SPDX-License-Identifier: Apache-2.0 */
/* Signed, forged and unsigned zones, served by nsd: what is secure, what is not, and what is never believed. */
#include "net/resolver.h"

#include "kit/kit.h"
#include "kit/run.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

/* Zones: $1 the folder, $2 the address to listen at. */
static const char script_text[] =
    "set -e; cd \"$1\"; unset LD_PRELOAD\n"
    "h=$(printf '%064d' 7); f=$(printf '%064d' 8)\n"
    "start() { printf '$ORIGIN %s.\\n$TTL 60\\n@ SOA ns host 1 60 60 60 60\\n@ NS ns\\n"
    "ns A 192.0.2.53\\n@ MX 10 mx\\nmx A 192.0.2.1\\n' $1; }\n"
    "sign() { zone=$1; shift; key=$(ldns-keygen -a ECDSAP256SHA256 -k $zone)\n"
    "  ldns-signzone \"$@\" -f $zone.signed $zone.zone $key; cat $key.key >>anchor; }\n"
    /* signed.test: everything that can be right, and what leaves the signed world. */
    "{ start signed.test; cat <<END\n"
    "_25._tcp.mx TLSA 3 1 1 $h\n"
    "_25._tcp.mx TLSA 2 0 1 $h\n"
    "bare A 192.0.2.2\n"
    "alias CNAME alias1\n"
    "alias1 CNAME mx\n"
    "own CNAME bare\n"
    "_25._tcp.own TLSA 3 1 1 $h\n"
    "tlsaalias A 192.0.2.9\n"
    "_25._tcp.tlsaalias CNAME _25._tcp.mx\n"
    "out CNAME mx.plain.test.\n"
    "_25._tcp.out TLSA 3 1 1 $h\n"
    "outbare CNAME mx.plain.test.\n"
    "servfail A 192.0.2.3\n"
    "_tcp.servfail NS ns\n"
    "child NS ns\n"
    "half A 192.0.2.4\n"
    "_tcp.half NS ns\n"
    "weird A 192.0.2.5\n"
    "_25._tcp.weird TLSA 0 0 1 $h\n"
    "_mta-sts TXT \"v=STSv1; \" \"id=1;\"\n"
    "END\n"
    "} >signed.test.zone; sign signed.test\n"
    "{ start child.signed.test; echo _25._tcp.mx TLSA 3 1 1 $h; } >child.signed.test.signed\n"
    "{ start _tcp.half.signed.test; echo _25 TLSA 3 1 1 $h; } >_tcp.half.signed.test.signed\n"
    /* forged.test: changed, or robbed, after it was signed. */
    "{ start forged.test; cat <<END\n"
    "fine A 192.0.2.7\n"
    "_25._tcp.fine TLSA 3 1 1 $h\n"
    "robbed A 192.0.2.8\n"
    "_25._tcp.robbed TLSA 3 1 1 $h\n"
    "END\n"
    "} >forged.test.zone; sign forged.test\n"
    "sed -i -e 's/192[.]0[.]2[.]1$/192.0.2.66/; s/^\\(forged.test.*MX\\)\\t10 /\\1\\t20 /' "
    "-e \"/^_25._tcp.fine/s/$h/$f/\" -e '/^_25._tcp.robbed.*\\tTLSA\\t/d' forged.test.signed\n"
    "{ start optout.test; echo _25._tcp.mx TLSA 3 1 1 $h; echo bare A 192.0.2.2; } "
    ">optout.test.zone; sign optout.test -n -p\n"
    "{ start plain.test; cat <<END\n"
    "_25._tcp.mx TLSA 3 1 1 $h\n"
    "in CNAME mx.signed.test.\n"
    "END\n"
    "} >plain.test.signed\n"
    /* A zone without its file: the server fails. */
    "{ printf 'server:\\n ip-address: %s\\n username: \"\"\\n chroot: \"\"\\n zonesdir: "
    "\"%s\"\\n database: \"\"\\n"
    " pidfile: \"\"\\n zonelistfile: \"%s/list\"\\n xfrdfile: \"%s/xfrd\"\\n xfrdir: \"%s\"\\n "
    "server-count: 1\\n"
    " rrl-ratelimit: 0\\nremote-control:\\n control-enable: no\\n' \"$2\" \"$1\" \"$1\" \"$1\" "
    "\"$1\"\n"
    "for zone in signed.test child.signed.test _tcp.half.signed.test _tcp.servfail.signed.test "
    "forged.test optout.test plain.test; do\n"
    "  printf 'zone:\\n name: %s\\n zonefile: %s.signed\\n' $zone $zone; done; } "
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
    struct resolver_tlsa_answer tlsa;
    struct tlsa_set set;
    struct resolver_txt_answer txt;
    struct dns_texts texts;
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

static void on_tlsa(void *context, uint64_t ask, const struct resolver_tlsa_answer *answer)
{
    struct got *got = context;

    (void)ask;
    got->calls++;
    got->tlsa = *answer;
    assert_int_equal(answer->set != NULL, answer->outcome == RESOLVER_FOUND);
    if (answer->set != NULL)
        got->set = *answer->set;
}

static void on_txt(void *context, uint64_t ask, const struct resolver_txt_answer *answer)
{
    struct got *got = context;

    (void)ask;
    got->calls++;
    got->txt = *answer;
    if (answer->texts != NULL)
        got->texts = *answer->texts;
}

struct world {
    struct loop *loop;
    struct server server;
    struct resolver *resolver;
};

static int open_world(void **state)
{
    static struct world world;
    char path_cstr[96], anchor_text[4096];
    FILE *file;

    if (access("/usr/sbin/nsd", X_OK) != 0)
        return 0;
    world.loop = loop_new();
    world.server.pid = -1;
    must(server_open(&world.server));
    snprintf(path_cstr, sizeof path_cstr, "%s/anchor", world.server.folder_cstr);
    file = fopen(path_cstr, "r");
    must(file != NULL);
    world.resolver =
        open_resolver(world.loop, &world.server,
                      slice_of(anchor_text, fread(anchor_text, 1, sizeof anchor_text, file)));
    fclose(file);
    *state = &world;
    return 0;
}

static int close_world(void **state)
{
    struct world *world = *state;

    if (world == NULL)
        return 0;
    resolver_free(&world->resolver);
    server_close(&world->server);
    loop_free(&world->loop);
    return 0;
}

static struct world *world_of(void **state)
{
    if (*state == NULL)
        skip();
    return *state;
}

static void test_signed_forged_and_plain(void **state)
{
    struct world *world = world_of(state);

    check_mx(world->loop, world->resolver, "signed.test", RESOLVER_FOUND, true);
    check_address(world->loop, world->resolver, "mx.signed.test", RESOLVER_FOUND, true);
    check_mx(world->loop, world->resolver, "absent.signed.test", RESOLVER_NO_DOMAIN, true);
    check_mx(world->loop, world->resolver, "plain.test", RESOLVER_FOUND, false);
    check_address(world->loop, world->resolver, "mx.child.signed.test", RESOLVER_FOUND, false);
    /* Forged: neither its content nor its absence is believed. */
    check_mx(world->loop, world->resolver, "forged.test", RESOLVER_TRY_LATER, false);
    check_address(world->loop, world->resolver, "mx.forged.test", RESOLVER_TRY_LATER, false);
}

static void test_the_chain_of_aliases_is_told(void **state)
{
    static const struct {
        const char *host_cstr, *canonical_cstr;
        bool is_secure;
    } cases[] = {
        {"mx.signed.test", "mx.signed.test", true},
        {"alias.signed.test", "mx.signed.test", true},
        {"out.signed.test", "mx.plain.test", false}, /* a signed alias of an unsigned host */
        {"in.plain.test", "mx.signed.test", false},  /* and the other way round */
    };
    struct world *world = world_of(state);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct got got = {0};

        resolver_ask_addresses(world->resolver, cases[i].host_cstr, on_addresses, &got);
        wait_for(world->loop, &got);
        assert_int_equal(got.address.outcome, RESOLVER_FOUND);
        assert_string_equal(got.address.canonical_cstr, cases[i].canonical_cstr);
        assert_int_equal(got.address.is_secure, cases[i].is_secure);
        assert_int_equal(got.address.has_secure_kind, cases[i].is_secure);
    }
}

static void test_tlsa(void **state)
{
    static const struct {
        const char *host_cstr;
        enum resolver_outcome outcome;
        enum dnssec_state dnssec;
        bool was_asked;
        const char *base_cstr; /* or, when not found, a part of the text */
        size_t count, usable_count;
    } cases[] = {
        {"mx.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "mx.signed.test", 2, 2},
        {"MX.Signed.Test", RESOLVER_FOUND, DNSSEC_SECURE, true, "mx.signed.test", 2, 2},
        /* A signed chain of aliases: at its end first, then at the host itself. */
        {"alias.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "mx.signed.test", 2, 2},
        {"own.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "own.signed.test", 1, 1},
        /* The TLSA name is an alias: the base domain stays. */
        {"tlsaalias.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "tlsaalias.signed.test",
         2, 2},
        /* A signed alias of an unsigned host: only at the alias. */
        {"out.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "out.signed.test", 1, 1},
        {"outbare.signed.test", RESOLVER_NO_DATA, DNSSEC_SECURE, true, "no TLSA records", 0, 0},
        /* An unsigned alias of a signed host: nothing of it can be believed. */
        {"in.plain.test", RESOLVER_NO_DATA, DNSSEC_INSECURE, false, "alias", 0, 0},
        {"bare.signed.test", RESOLVER_NO_DATA, DNSSEC_SECURE, true, "no TLSA records", 0, 0},
        {"mx.plain.test", RESOLVER_NO_DATA, DNSSEC_INSECURE, false, "not signed", 0, 0},
        {"mx.child.signed.test", RESOLVER_NO_DATA, DNSSEC_INSECURE, false, "not signed", 0, 0},
        {"half.signed.test", RESOLVER_NO_DATA, DNSSEC_INSECURE, true, "TLSA records are not", 0,
         0},
        {"absent.signed.test", RESOLVER_NO_DATA, DNSSEC_SECURE, false, "no address", 0, 0},
        {"not a name", RESOLVER_NO_DATA, DNSSEC_INSECURE, false, "no address", 0, 0},
        /* Published, and means nothing to SMTP: not the same as nothing. */
        {"weird.signed.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "weird.signed.test", 1, 0},
        /* What cannot be found out is never "none". */
        {"servfail.signed.test", RESOLVER_TRY_LATER, DNSSEC_UNKNOWN, true, "SERVFAIL", 0, 0},
        {"fine.forged.test", RESOLVER_TRY_LATER, DNSSEC_BOGUS, true, "bogus", 0, 0},
        {"robbed.forged.test", RESOLVER_TRY_LATER, DNSSEC_BOGUS, true, "bogus", 0, 0},
        {"mx.forged.test", RESOLVER_TRY_LATER, DNSSEC_BOGUS, false, "bogus", 0, 0},
        /* Under opt-out, absence is not signed; what is there is. */
        {"mx.optout.test", RESOLVER_FOUND, DNSSEC_SECURE, true, "mx.optout.test", 1, 1},
        {"bare.optout.test", RESOLVER_NO_DATA, DNSSEC_INSECURE, true, "no TLSA records", 0, 0},
    };
    struct world *world = world_of(state);

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        static struct got got;
        bool told;

        memset(&got, 0, sizeof got);
        resolver_ask_tlsa(world->resolver, cases[i].host_cstr, 25, on_tlsa, &got);
        wait_for(world->loop, &got);
        told = cases[i].outcome == RESOLVER_FOUND
                   ? strcmp(got.tlsa.base_cstr, cases[i].base_cstr) == 0
                   : strstr(got.tlsa.text_cstr, cases[i].base_cstr) != NULL;
        if (got.tlsa.outcome != cases[i].outcome || got.tlsa.dnssec != cases[i].dnssec ||
            got.tlsa.was_asked != cases[i].was_asked || !told ||
            got.set.count != cases[i].count || got.set.usable_count != cases[i].usable_count)
            fail_msg("%s: outcome %d, %s, asked %d, base %s, %zu records, %s",
                     cases[i].host_cstr, got.tlsa.outcome, dnssec_state_name(got.tlsa.dnssec),
                     got.tlsa.was_asked, got.tlsa.base_cstr, got.set.count, got.tlsa.text_cstr);
    }
}

static void test_another_port_and_cancelling(void **state)
{
    struct world *world = world_of(state);
    static struct got got, never;
    uint64_t ask = resolver_ask_tlsa(world->resolver, "mx.signed.test", 26, on_tlsa, &never);

    resolver_cancel(world->resolver, ask);
    resolver_cancel(world->resolver, ask);
    resolver_ask_tlsa(world->resolver, "mx.signed.test", 465, on_tlsa, &got);
    wait_for(world->loop, &got);
    assert_int_equal(got.tlsa.outcome, RESOLVER_NO_DATA);
    assert_int_equal(never.calls, 0);
    /* One that is open when the resolver goes (the sanitizer looks for what it leaves). */
    resolver_ask_tlsa(world->resolver, "alias.signed.test", 27, on_tlsa, &never);
}

static void test_txt(void **state)
{
    struct world *world = world_of(state);
    static struct got got;

    resolver_ask_txt(world->resolver, "_mta-sts.signed.test", on_txt, &got);
    wait_for(world->loop, &got);
    assert_int_equal(got.txt.outcome, RESOLVER_FOUND);
    assert_int_equal(got.txt.dnssec, DNSSEC_SECURE);
    assert_int_equal(got.texts.count, 1);
    assert_true(slice_equal(dns_text(&got.texts, 0), S("v=STSv1; id=1;")));
    resolver_ask_txt(world->resolver, "_mta-sts.plain.test", on_txt, &got);
    wait_for(world->loop, &got);
    assert_int_equal(got.txt.outcome, RESOLVER_NO_DOMAIN);
    resolver_ask_txt(world->resolver, "signed.test", on_txt, &got);
    wait_for(world->loop, &got);
    assert_int_equal(got.txt.outcome, RESOLVER_NO_DATA);
    assert_null(got.txt.texts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_signed_forged_and_plain),
        cmocka_unit_test(test_the_chain_of_aliases_is_told),
        cmocka_unit_test(test_tlsa),
        cmocka_unit_test(test_txt),
        cmocka_unit_test(test_another_port_and_cancelling),
    };

    return cmocka_run_group_tests(tests, open_world, close_world);
}
