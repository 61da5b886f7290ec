/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/lockdown.h"

#include "kit/kit.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#define OWN "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const char settings_cstr[] =
    "hostname = \"mail.clinic.test\"\nstate = \"/nowhere\"\nmaster_key = \"m\"\n"
    "tls_certificate = \"/c\" tls_key = \"/k\"\n"
    "listener \"mx\" { kind = mx address = \"127.0.0.1:25\" client_certificates = ask }\n"
    "lockdown \"tls\" { senders = {\"bank.test\", \"*.bank.test\"} networks = "
    "{\"192.0.2.0/24\"}\n"
    "  hosts = {\"*.partner.test\"} }\n"
    "lockdown \"new\" { senders = {\"modern.test\"} least_tls = \"1.3\" }\n"
    "lockdown \"any\" { senders = {\"any.test\"} client_certificate = yes }\n"
    "lockdown \"named\" { senders = {\"named.test\"} client_certificate = yes\n"
    "  certificate_names = {\"mx.named.test\", \"*.out.named.test\"} }\n"
    "lockdown \"pinned\" { senders = {\"pinned.test\"} client_certificate = yes\n"
    "  fingerprints = "
    "{\"00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33:44:55:66:77:"
    "88:99:AA:BB:CC:DD:EE:FF\"} }\n"
    "lockdown \"both\" { senders = {\"both.test\"} client_certificate = yes\n"
    "  certificate_names = {\"mx.both.test\"} fingerprints = {\"" OWN "\"} }\n";

enum tls { CLEAR, TLS_12, TLS_13, SHOWN, VERIFIED, PINNED };

static const struct attempt {
    const char *domain_cstr, *helo_cstr, *peer_cstr;
    enum tls tls;
    const char *names_cstr;
    const char *answer_cstr; /* NULL: heard */
} attempts[] = {
    /* Nobody is listed: everything is heard. */
    {"far.test", "mx.far.test", "198.51.100.1", CLEAR, "", NULL},
    {"far.test", "mx.far.test", "198.51.100.1", TLS_12, "", NULL},
    {"notbank.test", "partner.test", "192.0.3.1", CLEAR, "", NULL},
    {"", "", "198.51.100.1", CLEAR, "", NULL},
    /* By sender: the domain, what is below it, any case. */
    {"bank.test", "mx.far.test", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"BANK.Test", "mx.far.test", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"a.b.bank.test", "mx.far.test", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"bank.test", "mx.far.test", "198.51.100.1", TLS_12, "", NULL},
    /* By network and by name, with any sender, the null sender too. */
    {"far.test", "mx.far.test", "192.0.2.77", CLEAR, "", "530 5.7.0"},
    {"", "mx.far.test", "192.0.2.77", CLEAR, "", "530 5.7.0"},
    {"", "mx.far.test", "192.0.2.77", TLS_12, "", NULL},
    {"", "MX.partner.test", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"far.test", "mx.partner.test", "198.51.100.1", TLS_13, "", NULL},
    /* The version. */
    {"modern.test", "x", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"modern.test", "x", "198.51.100.1", TLS_12, "", "550 5.7.1"},
    {"modern.test", "x", "198.51.100.1", TLS_13, "", NULL},
    /* Certificates. */
    {"any.test", "x", "198.51.100.1", CLEAR, "", "530 5.7.0"},
    {"any.test", "x", "198.51.100.1", TLS_13, "", "550 5.7.1"},
    {"any.test", "x", "198.51.100.1", SHOWN, "mx.any.test", "550 5.7.1"},
    {"any.test", "x", "198.51.100.1", VERIFIED, "mx.any.test", NULL},
    {"named.test", "x", "198.51.100.1", VERIFIED, "mx.any.test", "550 5.7.1"},
    {"named.test", "x", "198.51.100.1", VERIFIED, "", "550 5.7.1"},
    {"named.test", "x", "198.51.100.1", SHOWN, "mx.named.test", "550 5.7.1"},
    {"named.test", "x", "198.51.100.1", VERIFIED, "a.test mx.named.test", NULL},
    {"named.test", "x", "198.51.100.1", VERIFIED, "1.out.named.test", NULL},
    /* One that is pinned needs no authority; another does not help, verified or not. */
    {"pinned.test", "x", "198.51.100.1", PINNED, "", NULL},
    {"pinned.test", "x", "198.51.100.1", VERIFIED, "mx.pinned.test", "550 5.7.1"},
    {"pinned.test", "x", "198.51.100.1", SHOWN, "", "550 5.7.1"},
    /* With both, one of them. */
    {"both.test", "x", "198.51.100.1", PINNED, "", NULL},
    {"both.test", "x", "198.51.100.1", VERIFIED, "mx.both.test", NULL},
    {"both.test", "x", "198.51.100.1", VERIFIED, "mx.far.test", "550 5.7.1"},
};

static void fill_evidence(const struct attempt *attempt, struct tls_evidence *tls)
{
    *tls = (struct tls_evidence){
        .version = attempt->tls == TLS_12 ? TLS_VERSION_1_2 : TLS_VERSION_1_3,
        .has_certificate = attempt->tls >= SHOWN,
        .is_verified = attempt->tls == VERIFIED,
    };
    snprintf(tls->names_cstr, sizeof tls->names_cstr, "%s", attempt->names_cstr);
    snprintf(tls->reason_cstr, sizeof tls->reason_cstr, "%s",
             attempt->tls == SHOWN ? "self-signed certificate" : "");
    for (size_t i = 0; i < SHA256_BYTES; i++)
        tls->certificate_sha256[i] =
            (uint8_t)(attempt->tls == PINNED ? i % 16 * 0x11 : 0x5a + i);
}

static void check_attempt(const struct settings *settings, const struct attempt *attempt)
{
    const struct settings_lockdown *list;
    struct sockaddr_in peer = {.sin_family = AF_INET};
    struct tls_evidence tls;
    struct lockdown_facts facts = {
        .sender_domain = slice_from_cstr(attempt->domain_cstr),
        .helo = slice_from_cstr(attempt->helo_cstr),
        .peer = (const struct sockaddr *)&peer,
    };
    struct err err = {0};
    char answer_cstr[20];

    fill_evidence(attempt, &tls);
    assert_int_equal(inet_pton(AF_INET, attempt->peer_cstr, &peer.sin_addr), 1);
    if (attempt->tls != CLEAR)
        facts.tls = &tls;
    if (lockdown_check(settings, &facts, &list, &err)) {
        assert_null(list);
        if (attempt->answer_cstr != NULL)
            fail_msg("%s from %s was heard", attempt->domain_cstr, attempt->peer_cstr);
        return;
    }
    snprintf(answer_cstr, sizeof answer_cstr, "%u %s", err.smtp_code, err.enhanced_cstr);
    assert_non_null(list);
    if (attempt->answer_cstr == NULL || strcmp(answer_cstr, attempt->answer_cstr) != 0)
        fail_msg("%s from %s heard %s %s", attempt->domain_cstr, attempt->peer_cstr,
                 answer_cstr, err.text_cstr);
}

static void test_who_is_heard(void **state)
{
    struct settings *settings;
    struct err err = {0};

    (void)state;
    if (!settings_parse(slice_from_cstr(settings_cstr), "t", &settings, &err))
        fail_msg("%s", err.text_cstr);
    for (size_t i = 0; i < COUNT_OF(attempts); i++)
        check_attempt(settings, &attempts[i]);
    settings_unref(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_who_is_heard)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
