/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "settings/sts_text.h"
#include "settings/table.h"
#include "settings/values.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HASH                                                                                   \
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2Fs$"                                     \
    "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY"
#define BASE                                                                                   \
    "hostname = \"mail.clinic.test\"\n"                                                        \
    "state = \"/var/lib/postern\"\n"                                                           \
    "master_key = \"master.key\"\n"
#define ACCOUNT "account \"clinic\" { organisation = \"Clinic\" }\n"

static struct settings *parse(const char *text_cstr)
{
    struct settings *settings = NULL;
    struct err err = {0};

    if (!settings_parse(slice_from_cstr(text_cstr), "/etc/postern/p.conf", &settings, &err))
        fail_msg("%s", err.text_cstr);
    return settings;
}

static void test_defaults(void **state)
{
    struct settings *s = parse(BASE ACCOUNT);

    (void)state;
    assert_string_equal(s->master_key.path_cstr, "/etc/postern/master.key");
    assert_string_equal(s->control_path_cstr, "/var/lib/postern/control.sock");
    assert_string_equal(s->delivery.helo_cstr, "mail.clinic.test");
    assert_int_equal(s->limits.message_bytes, 50 << 20);
    assert_int_equal(s->delivery.expire_ms, INT64_C(5) * 86400000);
    assert_int_equal(s->log_level, LOG_INFO);
    assert_false(s->portal.enabled);
    assert_true(s->smtpd_processes >= 1 && s->scribe_processes >= 1);
    assert_int_equal(s->account_count, 1);
    assert_int_equal(s->accounts[0].mode, MODE_TRY);
    assert_int_equal(s->accounts[0].order_count, 4);
    assert_int_equal(s->accounts[0].order[3], METHOD_PORTAL);
    assert_int_equal(s->accounts[0].proof_needed, PROOF_VERIFIED);
    assert_true(s->accounts[0].encrypt_by_default);
    assert_true(s->accounts[0].receipts);
    settings_unref(&s);
    assert_null(s);
}

static const char whole_cstr[] = BASE
    "tls_certificate = \"/c.pem\" tls_key = \"/k.pem\"\n"
    "listener \"sub\" { kind = \"submission\" address = \"127.0.0.1:2587\" }\n"
    "listener \"mx\" { kind = mx address = \"[::1]:2525\" }\n"
    "account \"clinic\" {\n"
    "  organisation = \"The Clinic\" notice_from = \"C <secure@clinic.test>\"\n"
    "  methods = {\"portal\", tls}\n"
    "  relay_networks = {\"192.0.2.0/25\", \"2001:db8::/33\"}\n"
    "  recipient \"x.test\" { bar_tls = yes proof = link }\n"
    "  recipient \"bob@x.test\" { mode = forced question = \"Who?\" answer = \"Me\" }\n"
    "}\n"
    "domain \"Clinic.Test\" {\n"
    "  account = clinic next_hop = \"imap.clinic.test:2526\"\n"
    "  dkim \"s1\" { key = \"/dkim1.pem\" }\n"
    "  dkim \"s2\" { key = \"dkim2.pem\" }\n"
    "}\n"
    "user \"clerk@clinic.test\" { account = clinic password = \"" HASH "\" }\n"
    "user \"app\" { account = clinic password = \"" HASH "\" senders = {\"@clinic.test\"} }\n"
    "route \"*\" { host = \"relay.test\" }\n"
    "route \"lab.test\" { host = \"[127.0.0.1]\" port = 2626 }\n"
    "portal { url = \"https://portal.clinic.test:8443\" address = \"127.0.0.1:8443\"\n"
    "  certificate = \"/pc.pem\" key = \"/pk.pem\" code = 90s }\n"
    "limits { message = 1M }\n"
    "resolver { local_data = {\"good.test. MX 10 mx.good.test.\", \"mx.good.test. A "
    "127.0.0.2\"} }\n";

static void test_whole(void **state)
{
    struct settings *s = parse(whole_cstr);

    (void)state;
    assert_int_equal(s->listener_count, 2);
    assert_int_equal(s->listeners[1].kind, LISTENER_MX);
    assert_int_equal(s->listeners[1].address.ss_family, AF_INET6);
    assert_string_equal(s->domains[0].name_cstr, "clinic.test");
    assert_int_equal(s->domains[0].dkim_key_count, 2);
    assert_string_equal(s->domains[0].dkim_keys[1].private_key.path_cstr,
                        "/etc/postern/dkim2.pem");
    assert_string_equal(s->users[0].senders[0], "clerk@clinic.test");
    assert_string_equal(s->users[1].senders[0], "@clinic.test");
    assert_int_equal(s->accounts[0].order_count, 2);
    assert_int_equal(s->accounts[0].order[0], METHOD_PORTAL);
    assert_true(s->portal.enabled);
    assert_int_equal(s->portal.code_ms, 90000);
    assert_int_equal(s->resolver.local_data_count, 2);
    assert_int_equal(s->limits.message_bytes, 1 << 20);
    settings_unref(&s);
}

static const struct settings_account *relay(const struct settings *s, const char *ip_cstr)
{
    struct sockaddr_storage address = {0};
    bool is_v6 = strchr(ip_cstr, ':') != NULL;

    address.ss_family = is_v6 ? AF_INET6 : AF_INET;
    must(inet_pton(address.ss_family, ip_cstr,
                   is_v6 ? (void *)&((struct sockaddr_in6 *)&address)->sin6_addr
                         : (void *)&((struct sockaddr_in *)&address)->sin_addr) == 1);
    return settings_relay_account(s, (const struct sockaddr *)&address);
}

static void test_lookups(void **state)
{
    struct settings *s = parse(whole_cstr);
    const struct settings_account *account = settings_account_find(s, S("CLINIC"));

    (void)state;
    assert_non_null(account);
    assert_null(settings_account_find(s, S("clini")));
    assert_non_null(settings_domain_find(s, S("CLINIC.test")));
    assert_non_null(settings_user_find(s, S("Clerk@clinic.test")));
    assert_null(settings_user_find(s, S("")));
    assert_int_equal(settings_route_find(s, S("lab.test"))->port, 2626);
    assert_string_equal(settings_route_find(s, S("other.test"))->host_cstr, "relay.test");
    assert_int_equal(settings_recipient_find(account, S("bob@x.test"))->mode, MODE_FORCED);
    assert_false(settings_recipient_find(account, S("bob@x.test"))->has_proof);
    assert_true(settings_recipient_find(account, S("eve@X.test"))->bar_tls);
    assert_int_equal(settings_recipient_find(account, S("eve@x.test"))->proof,
                     READER_PROOF_LINK);
    assert_true(settings_recipient_find(account, S("eve@x.test"))->has_proof);
    assert_null(settings_recipient_find(account, S("eve@y.test")));
    assert_non_null(relay(s, "192.0.2.127"));
    assert_null(relay(s, "192.0.2.128"));
    assert_non_null(relay(s, "::ffff:192.0.2.1"));
    assert_non_null(relay(s, "2001:db8:7fff::1"));
    assert_null(relay(s, "2001:db8:8000::1"));
    settings_unref(&s);
}

static void test_files(void **state)
{
    struct settings *s = parse(whole_cstr), *other = settings_ref(s);
    enum settings_file_kind kind;
    size_t position = 0, count = 0, dkim = 0;

    (void)state;
    while (settings_file_next(s, &position, &kind) != NULL) {
        count++;
        dkim += kind == SETTINGS_FILE_DKIM_KEY ? 1 : 0;
    }
    assert_int_equal(count, 8); /* master, 2 TLS, roots, 2 portal, 2 DKIM */
    assert_int_equal(dkim, 2);
    settings_file_put(s, S("/dkim1.pem"), S("PEM"));
    settings_file_put(s, S("/dkim1.pem"), S("PEM again"));
    settings_file_put(s, S("/unknown"), S("x"));
    settings_unref(&other);
    assert_int_equal(s->domains[0].dkim_keys[0].private_key.bytes.len, 9);
    settings_unref(&s);
}

#define FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF"
#define OWN_DOMAIN ACCOUNT "domain \"x.test\" { account = clinic }\n"

/* Every mistake: what is written after BASE (which has three lines), and what must be answered. */
static const struct refusal {
    const char *text_cstr, *answer_cstr;
} refusals[] = {
    {"hostnam = \"x\"", ":4: unknown setting 'hostnam'; did you mean 'hostname'?"},
    {"colour = red", ":4: unknown setting 'colour' at the top; conf/postern.conf lists all"},
    {"limits {\n mesage = 5M\n}", ":5: unknown setting 'mesage'; did you mean 'message'?"},
    {"limits {\n colour = 5M\n}", ":5: unknown setting 'colour' in limits"},
    {"hostname = \"again.test\"", ":4: 'hostname' is written twice; keep one"},
    {"run_as = postern\n\nlimits {", ":7: the text ends inside limits; a closing brace"},
    {"/* open", "inside a comment"},
    {"run_as = \"open", ":"},
    {"}", ":4: "},
    {"user \"x\"", "missing opening brace"},
    {"domain { account = x }", "write: section \"title\""},
    {"hold_all = maybe", ":4: hold_all = \"maybe\" is not yes or no"},
    {"story_keep = 90", ":4: story_keep = \"90\" is not a time; write a number with ms"},
    {"story_keep = 90x", "is not a time"},
    {"story_keep = -1d", "is not a time"},
    {"story_keep = 1.5d", "is not a time"},
    {"story_keep = 99999999999999999999d", "is not a time"},
    {"story_keep = 1s", ":4: story_keep = 1s is out of range; write 60000ms to"},
    {"limits { message = 50X }", "is not a size; write a number, or one with K, M or G"},
    {"limits { message = 1K }", "is out of range"},
    {"limits { message = 99999999999G }", "is not a size"},
    {"limits { recipients = many }", "is not a whole number"},
    {"limits { recipients = 0 }", "out of range; write 1 to 20000"},
    {"smtpd_processes = 25", "out of range; write 0 to 24"},
    {"log_level = loud", "is not one of: debug info warn error"},
    {"delivery { port = 0 }", "is not a port"},
    {"delivery { port = 65536 }", "is not a port"},
    {"delivery { helo = \"not a name\" }", "is not a domain name"},
    {"delivery {\n retry_first = 2h\n retry_max = 1h }", ":5: retry_first is longer"},
    {"sts { port = 0 }", "is not a port"},
    {"sts { enabled = often }", "is not yes or no"},
    {"account a { organisation = x }\ndomain \"a.test\" { account = a\nsts {\nmode = loud } }",
     "is not one of: off none testing enforce"},
    {"account a { organisation = x }\ndomain \"a.test\" { account = a\nsts {\nmode = enforce } "
     "}",
     ":7: nobody would serve the policy of \"a.test\"; write portal"},
    {"account a { organisation = x }\ndomain \"a.test\" { account = a\nsts {\nmx = {\"*\"} } }",
     ":7: mx holds \"*\", which is no host"},
    {"account a { organisation = x }\ndomain \"a.test\" { account = a\nsts {\nmax_age = 1m } }",
     "max_age = 1m is out of range"},
    {"portal { address = \"127.0.0.1:443\" certificate = \"/c\" key = \"/k\" }",
     "'url' is missing"},
    {"listener \"a\" { kind = mx address = \"25\" }", "is not an address with port"},
    {"listener \"a\" { kind = mx address = \"localhost:25\" }", "is not an address with port"},
    {"listener \"a\" { kind = mx address = \"::1:25\" }", "is not an address with port"},
    {"listener \"a\" { kind = pop3 address = \"[::]:25\" }",
     "one of: submission submissions mx"},
    {"\nlistener \"a\" {\n kind = mx\n}", ":5: 'address' is missing in section a"},
    {"listener \"a\" { kind = mx address = \"[::]:25\" }", "tls_certificate is missing"},
    {"tls_certificate = \"/c\"\nlistener \"a\" { kind = mx address = \"[::]:25\" }",
     "tls_key is missing"},
    {"tls_certificate = \"/c\"\ntls_key = \"/k\"\n"
     "listener \"a\" { kind = mx address = \"[::]:25\" }\n"
     "listener \"b\" { kind = mx address = \"[::]:25\" }",
     ":7: listener \"b\" has the address of \"a\""},
    {"listener \"a\" { kind = mx address = \"[::]:25\" }\n"
     "listener \"a\" { kind = mx address = \"[::]:26\" }",
     "found duplicate title"},
    {"account \"\" { organisation = x }", "has no name"},
    {"account \"a\" { }", "'organisation' is missing in section a"},
    {"account \"a\" { organisation = \"a\nb\" }", "control characters"},
    {"account \"a\" { organisation = A mode = inherit }", "nothing to inherit from"},
    {"account \"a\" { organisation = A mode = secret }", "one of: inherit none opportunistic"},
    {"account \"a\" { organisation = A\n proof_needed = none }",
     ":5: proof_needed = none would"},
    {"account \"a\" { organisation = A methods = {tls, fax} }", "\"fax\" is not a method"},
    {"account \"a\" { organisation = A methods = {tls, tls} }", "once"},
    {"account \"a\" { organisation = A methods = {drop} }", "is not a method"},
    {"account \"a\" { organisation = A opt_out_trigger = \"+ENCRYPT+\" }", "are the same"},
    {"account \"a\" { organisation = A portal_expire = 1h }", "must lie between"},
    {"account \"a\" { organisation = A relay_networks = {\"192.0.2.1/24\"} }", "not a network"},
    {"account \"a\" { organisation = A relay_networks = {\"192.0.2.0/33\"} }", "not a network"},
    {"account \"a\" { organisation = A relay_networks = {\"10.0.0\"} }", "not a network"},
    {"account \"a\" { organisation = A recipient \"a b\" { } }", "neither address nor domain"},
    {"account \"a\" { organisation = A recipient \"x.test\" { question = q } }",
     "question and answer belong together"},
    {ACCOUNT "account \"Clinic\" { organisation = A }",
     ":5: account \"Clinic\" is there already"},
    {ACCOUNT "domain \"x.test\" {\n account = clinc }",
     ":6: unknown account \"clinc\"; did you mean \"clinic\"?"},
    {ACCOUNT "domain \"x.test\" { account = hospital }", "write: account \"hospital\" { … }"},
    {ACCOUNT "domain \"x test\" { account = clinic }", "is not a domain name"},
    {ACCOUNT "domain \"b\303\274ro.test\" { account = clinic }", "xn--"},
    {ACCOUNT "domain \"x.test\" { account = clinic }\ndomain \"X.TEST\" { account = clinic }",
     ":6: domain \"X.TEST\" is there already"},
    {ACCOUNT "domain \"x.test\" { account = clinic next_hop = \"a:b\" }", "is not a host"},
    {ACCOUNT "domain \"x.test\" { account = clinic dkim \"s1\" { } }", "'key' is missing"},
    {ACCOUNT "user \"x\" { account = clinic\n password = secret1234 senders = {\"@x.test\"} }",
     ":6: password is not an argon2id hash; make one with: postern password"},
    {ACCOUNT "user \"x\" { account = clinic password = \"$argon2i$v=19$m=8,t=1,p=1$a$b\" }",
     "is not an argon2id hash"},
    {ACCOUNT "user \"x\" { account = clinic password = \"" HASH "\" }",
     "sender \"x\" is no address"},
    {ACCOUNT "user \"x\" { account = clinic senders = {\"@x.test\"} }",
     "'password' is missing"},
    {ACCOUNT "user \"a@x.test\" { account = clini password = \"" HASH "\" }",
     "did you mean \"clinic\"?"},
    {"route \"**\" { host = a }", "names no domain"},
    {"route \"*\" { host = \"a:25\" }", "the port apart"},
    {"route \"*\" { host = \"[1.2.3]\" }", "is not a host"},
    {"route \"*\" { port = 25 }", "'host' is missing"},
    {"portal { url = \"http://p.test\" address = \"[::]:1\" certificate = a key = b }",
     "is not an https address"},
    {"portal { url = \"https://p.test/\" address = \"[::]:1\" certificate = a key = b }",
     "is not an https address"},
    {"portal {\n url = \"https://p.test\" }", ":4: portal: 'address' is missing"},
    {"portal { certificate = a }", "portal: 'url' is missing"},
    {"portal { attempts = 0 }", "out of range"},
    {"alias \"sales\" { to = {\"a@y.test\"} }", ":4: alias \"sales\" is no address"},
    {"alias \"a@x.test\" { to = {\"a@y.test\"} }",
     "at no domain of ours; write: domain \"x.test\""},
    {OWN_DOMAIN "alias \"a@x.test\" { }", ":6: alias \"a@x.test\" leads nowhere"},
    {OWN_DOMAIN "alias \"a@x.test\" {\n to = {\"b\"} }",
     ":7: to holds \"b\", which is not an address"},
    {OWN_DOMAIN "alias \"a@x.test\" { to = {\"@y.test\"} }", "which is not an address"},
    {OWN_DOMAIN "alias \"a@x.test\" { to = {\"b@x.test\"} }\n"
                "alias \"b@x.test\" { to = {\"c@y.test\", \"A@X.test\"} }",
     "alias \"a@x.test\" leads in a circle"},
    {OWN_DOMAIN "alias \"a@x.test\" { to = {\"b@y.test\"} }\n"
                "alias \"A@x.test\" { to = {\"b@y.test\"} }",
     ":7: alias \"A@x.test\" is there already"},
    {ACCOUNT "domain \"x.test\" { account = clinic next_hop = h }\nalias \"@x.test\" { to = "
             "{\"b@y.test\"} }",
     "would catch what next_hop"},
    {"forced_domains = {\"x.test\", \"*\"}",
     "forced_domains holds \"*\", which is not a domain"},
    {"exception \"x.test\" { }", "'until' is missing"},
    {"exception \"x.test\" { until = \"2026-02-29\" }", "until = \"2026-02-29\" is not a day"},
    {"exception \"x.test\" { until = \"31.12.2026\" }", "is not a day"},
    {"exception \"a@x.test\" { until = \"2026-12-31\" }", "is not a domain name"},
    {"account \"a\" { organisation = A policy_unmet = clear }",
     "would ignore what others publish"},
    {"account \"a\" { organisation = A least_tls = 1.1 }", "is not one of: 1.2 1.3"},
    {"account \"a\" { organisation = A sender \"x.test\" { mode = forced } }",
     "sender \"x.test\" is no address, and no user or domain of account"},
    {ACCOUNT "account \"a\" { organisation = A sender \"x.test\" { mode = forced } }\n"
             "domain \"x.test\" { account = clinic }",
     "no user or domain of account \"a\""},
    {"account \"a\" { organisation = A sender \"a@x.test\" { } }", "'mode' is missing"},
    {"delivery { ratchet = 16 }", "out of range"},
    {"tls_reports { from = \"tls@x.test\" }", "is no address of a domain of ours"},
    {ACCOUNT "domain \"x.test\" { account = clinic }\ntls_reports { from = \"x.test\" }",
     "is no address of a domain of ours"},
    {ACCOUNT "domain \"x.test\" { account = clinic }\ntls_reports { from = \"tls@x.test\" }",
     "reports must be signed"},
    {"tls_reports { receive = \"tlsrpt@x.test\" }", "is no address of a domain of ours"},
    {"tls_reports { spread = 2d }", "out of range"},
    {"lockdown \"l\" { senders = {\"x.test\"} client_certificate = yes }",
     ":4: no mx listener asks for certificates"},
    {"account \"a\" { organisation = A\n relay_certificates = {\"00\"} }",
     ":5: relay_certificates holds \"00\", which is not a SHA-256"},
    {"account \"a\" { organisation = A relay_certificates = {\"" FINGERPRINT "\"} }",
     "no mx listener asks for certificates"},
    {"listener \"a\" { kind = mx address = \"[::]:25\" client_certificates = yes }",
     "is not one of: no ask"},
    {"certificate \"more\" { certificate = c }", "'key' is missing in section more"},
    {"lockdown \"l\" { }", ":4: lockdown \"l\" names nobody"},
    {"lockdown \"l\" { senders = {\"a@x.test\"} }",
     "senders holds \"a@x.test\", which is not a domain"},
    {"lockdown \"l\" { senders = {\"x.*.test\"} }", "is not a domain"},
    {"lockdown \"l\" { hosts = {\"192.0.2.1/8\"} }", "hosts holds"},
    {"lockdown \"l\" { networks = {\"x.test\"} }", "is not a network"},
    {"lockdown \"l\" { senders = {\"x.test\"} least_tls = 1.1 }", "is not one of: 1.2 1.3"},
    {"lockdown \"l\" { senders = {\"x.test\"} fingerprints = {\"00\"} }", "is not a SHA-256"},
    {"lockdown \"l\" { senders = {\"x.test\"} certificate_names = {\"x.test\"} }",
     "lists certificates but asks for none"},
    {"portal { url = \"https://p.test\" address = \"[::]:1\" certificate = a key = b "
     "}\n" ACCOUNT,
     ":5: account \"clinic\": notice_from is missing"},
};

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refusals); i++) {
        char text_cstr[2048];
        struct settings *settings = NULL;
        struct err err = {0};

        (void)snprintf(text_cstr, sizeof text_cstr, BASE "%s\n", refusals[i].text_cstr);
        if (settings_parse(slice_from_cstr(text_cstr), "p.conf", &settings, &err))
            fail_msg("accepted: %s", refusals[i].text_cstr);
        if (err.class != ERR_PERM || strncmp(err.text_cstr, "p.conf:", 7) != 0 ||
            strstr(err.text_cstr, refusals[i].answer_cstr) == NULL)
            fail_msg("for: %s\nwanted: %s\ngot: %s", refusals[i].text_cstr,
                     refusals[i].answer_cstr, err.text_cstr);
        assert_null(strstr(err.text_cstr, "secret1234"));
    }
}

static void test_refuses_odd_texts(void **state)
{
    struct settings *settings = NULL;
    struct err err = {0};

    (void)state;
    assert_false(settings_parse(S("a\0b"), "p", &settings, &err));
    assert_false(settings_parse(S(""), "p", &settings, &err));
    assert_non_null(strstr(err.text_cstr, "'state' is missing"));
    assert_false(settings_parse(S("state = \"/x\""), "p", &settings, &err));
    assert_non_null(strstr(err.text_cstr, "'master_key' is missing"));
}

static void write_file(const char *path_cstr, const char *text_cstr, mode_t mode)
{
    FILE *file = fopen(path_cstr, "w");

    must(file != NULL && fputs(text_cstr, file) >= 0 && fclose(file) == 0);
    must(chmod(path_cstr, mode) == 0);
}

static void load_refused(const char *path_cstr, const char *answer_cstr)
{
    struct settings *settings = NULL;
    struct slice text = {NULL, 0};
    struct err err = {0};

    assert_false(settings_load(path_cstr, &settings, &text, &err));
    if (strstr(err.text_cstr, answer_cstr) == NULL)
        fail_msg("wanted: %s\ngot: %s", answer_cstr, err.text_cstr);
}

static void test_load(void **state)
{
    char folder_cstr[] = "/tmp/postern-settings-XXXXXX";
    struct settings *settings = NULL;
    struct slice text = {NULL, 0};
    struct err err = {0};

    (void)state;
    must(mkdtemp(folder_cstr) != NULL && chdir(folder_cstr) == 0);
    load_refused("p.conf", "p.conf: cannot be read: No such file or directory");
    write_file("p.conf",
               "state = \"s\"\nmaster_key = \"m.key\"\nhostname = \"a.test\"\n"
               "trusted_roots = \"r.pem\"\n",
               0644);
    load_refused("p.conf", "p.conf:2: cannot read m.key: No such file or directory; make one");
    write_file("m.key", "0123456789abcdef0123456789abcdef", 0644);
    load_refused("p.conf", "p.conf:2: anybody may read the key m.key; do: chmod o=");
    must(chmod("m.key", 0600) == 0);
    load_refused("p.conf", "p.conf:4: cannot read r.pem");
    write_file("r.pem", "not PEM", 0644);
    load_refused("p.conf", "p.conf:4: r.pem is no PEM file");
    write_file("r.pem", "-----BEGIN CERTIFICATE-----\n", 0644);
    assert_true(settings_load("p.conf", &settings, &text, &err));
    assert_int_equal(settings->master_key.bytes.len, 32);
    assert_true(text.len > 40);
    free((void *)(uintptr_t)text.at);
    settings_unref(&settings);
    must(unlink("p.conf") == 0 && unlink("m.key") == 0 && unlink("r.pem") == 0 &&
         chdir("/") == 0 && rmdir(folder_cstr) == 0);
}

/* The sample names every row, with its default where there is one. */
static void check_sample_has(const char *sample_cstr, const struct settings_section *section)
{
    for (size_t i = 0; i < section->row_count; i++) {
        const struct settings_row *row = &section->rows[i];
        bool is_quoted = row->kind != VALUE_FLAG && row->kind != VALUE_COUNT &&
                         row->kind != VALUE_PORT && row->kind != VALUE_SIZE &&
                         row->kind != VALUE_SMALL_SIZE && row->kind != VALUE_DURATION;
        bool is_list = row->kind == VALUE_TEXTS || row->kind == VALUE_NETWORKS ||
                       row->kind == VALUE_METHODS;
        char wanted_cstr[160];

        if (row->default_cstr == NULL || is_list || strcmp(row->name_cstr, "notice_from") == 0)
            (void)snprintf(wanted_cstr, sizeof wanted_cstr, "%s = ", row->name_cstr);
        else
            (void)snprintf(wanted_cstr, sizeof wanted_cstr, "%s = %s%s%s\n", row->name_cstr,
                           is_quoted ? "\"" : "", row->default_cstr, is_quoted ? "\"" : "");
        if (strstr(sample_cstr, wanted_cstr) == NULL)
            fail_msg("conf/postern.conf lacks: %s", wanted_cstr);
    }
    for (size_t i = 0; i < section->inner_count; i++)
        check_sample_has(sample_cstr, &section->inner[i]);
}

static void test_sample(void **state)
{
    const char *source_cstr = getenv("POSTERN_SOURCE");
    static char sample_cstr[64 << 10], text_cstr[65 << 10];
    char path_cstr[512];
    struct settings *s;
    FILE *file;

    (void)state;
    if (source_cstr == NULL)
        skip();
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/conf/postern.conf", source_cstr);
    file = fopen(path_cstr, "r");
    must(file != NULL && fread(sample_cstr, 1, sizeof sample_cstr - 1, file) > 0);
    (void)fclose(file);
    check_sample_has(sample_cstr, &settings_root);
    (void)snprintf(text_cstr, sizeof text_cstr, "hostname = \"a.test\"\n%s", sample_cstr);
    s = parse(text_cstr);
    assert_int_equal(s->account_count, 1);
    settings_unref(&s);
}

static void test_published_policy(void **state)
{
    static const char text_cstr[] =
        "hostname = \"mail.a.test\" state = \"/s\" master_key = \"/k\"\n"
        "portal { address = \"127.0.0.1:8443\" certificate = \"/c\" key = \"/k\" }\n"
        "account a { organisation = x }\n"
        "domain \"a.test\" { account = a sts { mode = enforce mx = {\"mx.a.test\", "
        "\"*.b.test\"} } }\n"
        "domain \"b.test\" { account = a sts { mode = testing max_age = 1d } }\n"
        "domain \"c.test\" { account = a }\n";
    struct settings *s = parse(text_cstr);
    struct buffer text;
    char id_cstr[SETTINGS_STS_ID_SIZE], other_cstr[SETTINGS_STS_ID_SIZE];

    (void)state;
    assert_true(s->portal.listens && !s->portal.enabled);
    buffer_init(&text, 4096);
    assert_ptr_equal(settings_sts_host_find(s, S("MTA-STS.a.test")), &s->domains[0]);
    assert_null(settings_sts_host_find(s, S("mta-sts.c.test")));
    assert_null(settings_sts_host_find(s, S("mta-sts.x.test")));
    assert_null(settings_sts_host_find(s, S("a.test")));
    assert_true(settings_sts_text(s, &s->domains[0], &text));
    assert_true(
        slice_equal(buffer_view(&text), S("version: STSv1\r\nmode: enforce\r\nmx: mx.a.test\r\n"
                                          "mx: *.b.test\r\nmax_age: 604800\r\n")));
    settings_sts_id(buffer_view(&text), id_cstr);
    assert_int_equal(strlen(id_cstr), 24);
    buffer_clear(&text);
    assert_true(settings_sts_text(s, &s->domains[1], &text));
    assert_true(slice_equal(
        buffer_view(&text),
        S("version: STSv1\r\nmode: testing\r\nmx: mail.a.test\r\nmax_age: 86400\r\n")));
    settings_sts_id(buffer_view(&text), other_cstr);
    assert_string_not_equal(id_cstr, other_cstr);
    assert_false(settings_sts_text(s, &s->domains[2], &text));
    buffer_deinit(&text);
    settings_unref(&s);
}

static void test_values(void **state)
{
    static const struct {
        struct slice text;
        int64_t ms;
    } times[] = {{SLICE_INIT("0"), 0},         {SLICE_INIT("250ms"), 250},
                 {SLICE_INIT("30s"), 30000},   {SLICE_INIT("15m"), 900000},
                 {SLICE_INIT("4h"), 14400000}, {SLICE_INIT("2w"), 1209600000}};
    static const struct slice bad_times[] = {SLICE_INIT(""), SLICE_INIT("m"), SLICE_INIT("5"),
                                             SLICE_INIT("5 m"), SLICE_INIT("101000w")};
    struct settings_network network;
    struct slice host;
    uint16_t port;
    int64_t ms;

    (void)state;
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        assert_true(value_duration_parse(times[i].text, &ms));
        assert_int_equal(ms, times[i].ms);
    }
    for (size_t i = 0; i < COUNT_OF(bad_times); i++)
        assert_false(value_duration_parse(bad_times[i], &ms));
    assert_true(value_network_parse(S("10.0.0.0/8"), &network));
    assert_int_equal(network.prefix_bits, 104);
    assert_true(value_network_parse(S("::/0"), &network));
    assert_false(value_network_parse(S("10.0.0.0/"), &network));
    assert_true(value_is_domain(S("a-b.test")));
    assert_false(value_is_domain(S("a..test")));
    assert_false(value_is_domain(S("test.")));
    assert_false(value_is_domain(S("-a.test")));
    assert_true(value_is_address(S("o'neil+x@a.test")));
    assert_false(value_is_address(S("@a.test")));
    assert_true(value_host_port_parse(S("[::1]:25"), &host, &port));
    assert_int_equal(port, 25);
    assert_false(value_host_port_parse(S("[::1"), &host, &port));
    assert_false(value_host_port_parse(S("a:"), &host, &port));
    assert_true(value_is_argon2id(S(HASH)));
    assert_false(value_is_argon2id(S("$argon2id$v=19$m=9999999,t=2,p=1$c29tZXNhbHQ$x")));
    assert_true(value_is_origin(S("https://a.test:8443")));
    assert_false(value_is_origin(S("https://[::1]")));
    assert_false(value_is_origin(S("https://")));
}

static void test_days(void **state)
{
    static const struct {
        struct slice text;
        int64_t end_s; /* as `date -d DAY+1day +%s` says; 0 = refused */
    } rows[] = {
        {SLICE_INIT("1970-01-01"), 86400},
        {SLICE_INIT("2026-12-31"), 1798761600},
        {SLICE_INIT("2024-02-29"), 1709251200},
        {SLICE_INIT("2000-02-29"), 951868800},
        {SLICE_INIT("2100-03-01"), 4107628800},
        {SLICE_INIT("2023-02-29"), 0},
        {SLICE_INIT("2100-02-29"), 0},
        {SLICE_INIT("1969-12-31"), 0},
        {SLICE_INIT("2026-13-01"), 0},
        {SLICE_INIT("2026-00-01"), 0},
        {SLICE_INIT("2026-1-1"), 0},
        {SLICE_INIT("2026/12/31"), 0},
        {SLICE_INIT(""), 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        int64_t end_ms = 0;
        bool is_day = value_date_parse(rows[i].text, &end_ms);

        if (is_day != (rows[i].end_s != 0) || (is_day && end_ms != rows[i].end_s * 1000))
            fail_msg("%.*s: %lld", SLICE_ARGS(rows[i].text), (long long)end_ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_whole),
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_refuses_odd_texts),
        cmocka_unit_test(test_load),
        cmocka_unit_test(test_sample),
        cmocka_unit_test(test_published_policy),
        cmocka_unit_test(test_values),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
