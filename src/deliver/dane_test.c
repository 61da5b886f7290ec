/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts under signed names, served by nsd: what DANE proves, refuses and leaves open, with real handshakes. */
#include "deliver/test_scene.h"

#include "kit/run.h"

#include <signal.h>

/* $1 the folder, $2 address@port of the name server, $3 the hosts' address, $4 their port. */
static const char script_text[] =
    "set -e; cd \"$1\"; unset LD_PRELOAD\n"
    "h() { openssl x509 -in $1.pem -outform der | sha256sum | cut -d' ' -f1; }\n"
    "d() { openssl x509 -in $1.pem -outform der | od -An -v -tx1 | tr -d ' \\n'; }\n"
    "start() { printf '$ORIGIN %s.\\n$TTL 60\\n@ SOA ns host 1 60 60 60 60\\n@ NS ns\\n"
    "ns A 192.0.2.53\\n' $1; }\n"
    "host() { echo \"$1 A $address\"; [ $# = 1 ] || echo \"_$port._tcp.$1 TLSA $2\"; }\n"
    "address=$3; port=$4\n"
    "{ start signed.test\n"
    "host ee \"3 0 1 $(h good)\"\n"
    "host bad \"3 0 1 $(h authority)\"\n"
    "host ta \"2 0 0 $(d authority)\"\n"
    "host unusable \"1 0 1 $(h good)\"\n"
    "host none\n"
    "host broken\n"
    "host forged \"3 0 1 $(h good)\"\n"
    "cat <<END\n"
    "_tcp.broken NS ns\n"
    "alias CNAME ee\n"
    "dom MX 10 ta\n"
    "other MX 10 ta\n"
    "two MX 10 bad\n"
    "two MX 20 ee\n"
    "END\n"
    "} >signed.test.zone\n"
    "key=$(ldns-keygen -a ECDSAP256SHA256 -k signed.test)\n"
    "ldns-signzone -f signed.test.signed signed.test.zone $key; cp $key.key anchor\n"
    "sed -i \"/^_$port._tcp.forged.*TLSA.3/s/$(h good)/$(h authority)/\" signed.test.signed\n"
    "{ start plain.test; echo '@ MX 10 ee.signed.test.'; host own; } >plain.test.signed\n"
    "{ printf 'server:\\n ip-address: %s\\n username: \"\"\\n chroot: \"\"\\n zonesdir: "
    "\"%s\"\\n database: \"\"\\n pidfile: \"\"\\n zonelistfile: \"%s/list\"\\n xfrdfile: "
    "\"%s/xfrd\"\\n xfrdir: \"%s\"\\n server-count: 1\\n rrl-ratelimit: 0\\nremote-control:\\n "
    "control-enable: no\\n' \"$2\" \"$1\" \"$1\" \"$1\" \"$1\"\n"
    "for zone in signed.test _tcp.broken.signed.test plain.test; do\n"
    "  printf 'zone:\\n name: %s\\n zonefile: %s.signed\\n' $zone $zone; done; } >nsd.conf\n";

struct bench {
    struct scene *scene;
    struct peer peer;
    struct certificate_pair for_domain; /* its only name is dom.signed.test */
    char folder_cstr[64], server_cstr[40], anchor[1024];
    pid_t server;
};

static void write_pem(const struct bench *bench, const char *name_cstr,
                      const struct certificate_pair *pair)
{
    kit_write_file(bench->folder_cstr, name_cstr, buffer_view(&pair->certificate_pem));
}

/* False: there is no nsd here. */
static bool start_names(struct bench *bench)
{
    unsigned own = (unsigned)getpid();
    char path_cstr[96], port_cstr[8];

    snprintf(bench->server_cstr, sizeof bench->server_cstr, "127.%u.%u.53@%u", 1 + own % 250,
             own / 250 % 250, 20000 + own % 10000);
    write_pem(bench, "good.pem", &bench->scene->good);
    write_pem(bench, "authority.pem", &bench->scene->authority);
    kit_write_file(bench->folder_cstr, "make.sh", slice_from_cstr(script_text));
    snprintf(path_cstr, sizeof path_cstr, "%s/make.sh", bench->folder_cstr);
    snprintf(port_cstr, sizeof port_cstr, "%u", bench->peer.port);
    if (!KIT_RUN("sh", path_cstr, bench->folder_cstr, bench->server_cstr, scene_address(1),
                 port_cstr))
        return false;
    snprintf(path_cstr, sizeof path_cstr, "%s/nsd.conf", bench->folder_cstr);
    bench->server = fork();
    if (bench->server == 0) {
        int null_fd = open("/dev/null", O_RDWR);

        dup2(null_fd, 1);
        dup2(null_fd, 2);
        execl("/usr/sbin/nsd", "nsd", "-d", "-c", path_cstr, (char *)NULL);
        _exit(127);
    }
    usleep(300000);
    return true;
}

static size_t read_anchor(struct bench *bench)
{
    char path_cstr[96];
    ssize_t len;
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s/anchor", bench->folder_cstr);
    fd = open(path_cstr, O_RDONLY);
    assert_true(fd >= 0);
    len = read(fd, bench->anchor, sizeof bench->anchor);
    close(fd);
    assert_true(len > 0);
    return (size_t)len;
}

static int bench_open(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    void *scene;

    must(bench != NULL);
    scene_open(&scene);
    bench->scene = scene;
    kit_make_folder(bench->folder_cstr);
    scene_issue(bench->scene, &bench->scene->authority, "dom.signed.test", NULL, 90000,
                &bench->for_domain);
    peer_open(&bench->peer, bench->scene->loop, scene_address(1), 0);
    *state = bench;
    return 0;
}

static int bench_close(void **state)
{
    struct bench *bench = *state;
    void *scene = bench->scene;

    peer_close(&bench->peer);
    scene_close(&scene);
    certificate_pair_deinit(&bench->for_domain);
    if (bench->server > 0) {
        kill(bench->server, SIGTERM);
        waitpid(bench->server, NULL, 0);
    }
    kit_remove_folder(bench->folder_cstr);
    free(bench);
    return 0;
}

static void start(struct bench *bench)
{
    static const char *forward[1];
    struct settings *settings = bench->scene->settings;

    if (access("/usr/sbin/nsd", X_OK) != 0 || !start_names(bench))
        skip();
    forward[0] = bench->server_cstr;
    settings->resolver.local_data_count = 0;
    settings->resolver.forward = forward;
    settings->resolver.forward_count = 1;
    settings->resolver.trust_anchor.bytes = slice_of(bench->anchor, read_anchor(bench));
    scene_start(bench->scene, bench->peer.port);
}

/* One case a line or two, aligned by hand. */
/* clang-format off */
#define ORDINARY {.cleartext_allowed = true}
#define SECURE {.least = PROOF_VERIFIED}
#define NOT_REQUIRED {.cleartext_allowed = true, .tls_not_required = true}
static const struct dane_case {
    const char *domain_cstr;
    struct tls_requirement requirement;
    enum delivery_outcome outcome;
    const char *rule_cstr;
    unsigned row;
    enum proof_level level;
    enum mx_proof mx;
    int result;
    const char *lookup_cstr;
} dane_cases[] = {
    {"ee.signed.test", ORDINARY, OUTCOME_DELIVERED, "dane", 3, PROOF_DANE, MX_PROOF_DNSSEC, REPORT_SUCCESS,
     "ee.signed.test MX: secure, none\nee.signed.test addresses: secure, 1\nee.signed.test TLSA: secure, 1, 1 usable, 3 0 1 "},
    {"ee.signed.test", SECURE, OUTCOME_DELIVERED, "secure-dane", 2, PROOF_DANE, MX_PROOF_DNSSEC, REPORT_SUCCESS, ""},
    {"alias.signed.test", ORDINARY, OUTCOME_DELIVERED, "dane", 3, PROOF_DANE, MX_PROOF_DNSSEC, REPORT_SUCCESS, ""},
    {"bad.signed.test", ORDINARY, OUTCOME_TEMPORARY, "dane", 3, PROOF_NONE, MX_PROOF_DNSSEC, REPORT_VALIDATION_FAILURE, ""},
    {"bad.signed.test", SECURE, OUTCOME_NOT_PROVED, "secure-dane", 2, PROOF_NONE, MX_PROOF_DNSSEC,
     REPORT_VALIDATION_FAILURE, ""},
    {"bad.signed.test", NOT_REQUIRED, OUTCOME_DELIVERED, "tls-not-required", 12, PROOF_ENCRYPTED, MX_PROOF_DNSSEC,
     REPORT_SUCCESS, ""},
    {"two.signed.test", ORDINARY, OUTCOME_DELIVERED, "dane", 3, PROOF_DANE, MX_PROOF_DNSSEC,
     REPORT_VALIDATION_FAILURE, ""},
    {"unusable.signed.test", ORDINARY, OUTCOME_DELIVERED, "tlsa-unusable", 4, PROOF_ENCRYPTED, MX_PROOF_DNSSEC,
     REPORT_TLSA_INVALID, "unusable.signed.test TLSA: secure, 1, 0 usable, 1 0 1 "},
    {"none.signed.test", ORDINARY, OUTCOME_DELIVERED, "no-policy", 10, PROOF_ENCRYPTED, MX_PROOF_DNSSEC,
     REPORT_SUCCESS, "none.signed.test TLSA: secure, there are no TLSA records"},
    {"broken.signed.test", ORDINARY, OUTCOME_TEMPORARY, "tlsa-unknown", 5, PROOF_NONE, MX_PROOF_DNSSEC,
     REPORT_DNSSEC_INVALID, ""},
    {"broken.signed.test", SECURE, OUTCOME_TEMPORARY, "secure-tlsa-unknown", 2, PROOF_NONE, MX_PROOF_DNSSEC,
     REPORT_DNSSEC_INVALID, ""},
    {"forged.signed.test", ORDINARY, OUTCOME_TEMPORARY, "tlsa-unknown", 5, PROOF_NONE, MX_PROOF_DNSSEC,
     REPORT_DNSSEC_INVALID, "forged.signed.test TLSA: bogus, "},
    {"plain.test", ORDINARY, OUTCOME_DELIVERED, "dane-unsigned-mx", 6, PROOF_DANE, MX_PROOF_NONE, REPORT_SUCCESS,
     "plain.test MX: insecure, 1\n"},
    {"plain.test", {.requiretls = true}, OUTCOME_NOT_PROVED, "requiretls-mx", 1, PROOF_NONE, MX_PROOF_NONE, -1, ""},
    {"ee.signed.test", {.requiretls = true}, OUTCOME_DELIVERED, "requiretls-dane", 1, PROOF_DANE, MX_PROOF_DNSSEC,
     REPORT_SUCCESS, ""},
    {"own.plain.test", ORDINARY, OUTCOME_DELIVERED, "no-policy", 10, PROOF_ENCRYPTED, MX_PROOF_NONE, REPORT_SUCCESS,
     "own.plain.test MX: insecure, none\nown.plain.test addresses: insecure, 1"},
};
/* clang-format on */

static int first_result(const struct delivery *delivery)
{
    struct slice rest = buffer_view(&delivery->tls_results);
    struct ipc_tls_result item;

    return ipc_list_next(&rest, IPC_TLS_RESULT, &item) == PROGRESS_DONE ? (int)item.result : -1;
}

static void try_case(struct scene *scene, const struct dane_case *it)
{
    struct delivery *delivery =
        scene_delivery(scene, it->domain_cstr, "bob@x.test", PROOF_NONE);
    struct slice lookups;

    delivery->requirement = it->requirement;
    delivery = scene_carry(scene, delivery);
    lookups = buffer_view(&delivery->lookups);
    if (delivery->recipients[0].outcome != it->outcome || delivery->ruling.row != it->row ||
        strcmp(delivery->ruling.name_cstr, it->rule_cstr) != 0 ||
        delivery->evidence.level != it->level || delivery->ruling.mx != it->mx ||
        first_result(delivery) != it->result)
        fail_msg("%s %s: outcome %d, row %u %s, level %s, host proved by %s, result %d; %.*s",
                 it->domain_cstr, it->rule_cstr, delivery->recipients[0].outcome,
                 delivery->ruling.row, delivery->ruling.name_cstr,
                 proof_level_name(delivery->evidence.level), mx_proof_name(delivery->ruling.mx),
                 first_result(delivery), SLICE_ARGS(buffer_view(&delivery->trail)));
    if (it->lookup_cstr[0] != '\0' &&
        slice_find_nocase(lookups, slice_from_cstr(it->lookup_cstr)) == lookups.len)
        fail_msg("%s: %.*s", it->domain_cstr, SLICE_ARGS(lookups));
    if (it->level == PROOF_DANE)
        assert_memory_equal(delivery->ruling.policy_cstr, "TLSA 3 0 1 ", 11);
    scene_clear(scene);
}

static void test_what_dane_proves(void **state)
{
    struct bench *bench = *state;
    unsigned taken = 0;

    peer_add_certificate(&bench->peer, &bench->scene->good);
    bench->peer.ehlo_cstr = "250-PIPELINING\r\n250-REQUIRETLS\r\n";
    start(bench);
    for (size_t i = 0; i < COUNT_OF(dane_cases); i++) {
        /* A new one each time: what is kept of the DNS and of connections belongs to the case before. */
        deliverer_free(&bench->scene->deliverer);
        scene_start(bench->scene, bench->peer.port);
        try_case(bench->scene, &dane_cases[i]);
        taken += dane_cases[i].outcome == OUTCOME_DELIVERED;
        assert_int_equal(bench->peer.taken, taken);
    }
    assert_false(scene_leaked(&bench->peer));
}

/*
 * A private authority in the DNS, and a certificate that only one of the two domains finds its name in, at one host at
 * the same time: neither rides on a connection, or a session, of the other.
 */
static void test_two_domains_at_one_host(void **state)
{
    struct bench *bench = *state;
    struct scene *scene = bench->scene;
    unsigned sent = 0, held = 0;

    peer_add_certificate(&bench->peer, &bench->for_domain);
    start(bench);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < 6; i++)
            deliverer_submit(
                scene->deliverer,
                scene_delivery(scene, i % 2 == 0 ? "dom.signed.test" : "other.signed.test",
                               "bob@x.test", PROOF_NONE));
        scene_run(scene, 6);
        for (unsigned i = 0; i < 6; i++) {
            const struct delivery *got = scene->results[i];
            bool is_dom = strcmp(got->domain_cstr, "dom.signed.test") == 0;

            assert_int_equal(got->recipients[0].outcome,
                             is_dom ? OUTCOME_DELIVERED : OUTCOME_TEMPORARY);
            assert_int_equal(got->ruling.row, 3);
            assert_int_equal(got->evidence.level, is_dom ? PROOF_DANE : PROOF_NONE);
            sent += is_dom;
            held += !is_dom;
        }
        scene_clear(scene);
    }
    assert_int_equal(sent, 6);
    assert_int_equal(held, 6);
    assert_int_equal(bench->peer.taken, 6);
    assert_false(scene_leaked(&bench->peer));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_open, bench_close)
        BENCH_TEST(test_what_dane_proves),
        BENCH_TEST(test_two_domains_at_one_host),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
