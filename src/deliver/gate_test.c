/* SPDX-License-Identifier: Apache-2.0 */
/* The gate by all its inputs and against the decision table, and the command lines. */
#include "deliver/commands.h"
#include "deliver/gate.h"

#include "kit/kit.h"

#include <string.h>

/* ---- the gate against all that can be known ---- */

static void check(const struct tls_requirement *requirement, const struct tls_host_facts *host,
                  unsigned bits)
{
    struct connection_proof proof = {.is_enforced = bits & 1,
                                     .level = (enum proof_level)(bits >> 1 & 3),
                                     .version = (enum tls_version)((bits >> 3 & 3) % 3),
                                     .offers_requiretls = bits >> 5 & 1};
    struct send_need need = {.requirement = requirement,
                             .mx = host->mx,
                             .published = deliver_published(requirement, host)};
    struct tls_demand demand = tls_table_demand(requirement, host);
    struct tls_connection_facts seen = {.offer = STARTTLS_OFFERED,
                                        .handshake = HANDSHAKE_NOT_TRIED,
                                        .is_enforced = proof.is_enforced,
                                        .level = proof.level,
                                        .is_tls_1_3 = proof.version == TLS_VERSION_1_3,
                                        .offers_requiretls = proof.offers_requiretls,
                                        .age_ms = 1000,
                                        .is_last_resort = true};
    enum tls_action action;
    bool may;

    proof.is_tls = proof.level > PROOF_NONE;
    if (proof.is_tls)
        seen.handshake = HANDSHAKE_DONE;
    else
        seen.offer = STARTTLS_ABSENT;
    action = tls_table_decide(&demand, &seen).action;
    may = deliver_may_send(&proof, &need);
    if (may && requirement->least > PROOF_NONE) {
        assert_true(proof.is_tls && proof.level >= requirement->least);
        assert_true(requirement->least < PROOF_VERIFIED || proof.is_enforced);
    }
    if (may && proof.is_tls && requirement->tls_1_3_only)
        assert_int_equal(proof.version, TLS_VERSION_1_3);
    if (may && !proof.is_tls)
        assert_true(requirement->cleartext_allowed && !requirement->requiretls);
    if (may && requirement->requiretls)
        assert_true(proof.is_enforced && proof.level >= PROOF_VERIFIED &&
                    host->mx != MX_PROOF_NONE);
    if (may && (host->sts == STS_ENFORCE || host->sts == STS_KEPT) && !host->is_listed &&
        (host->dane != DANE_USABLE || !host->is_mx_signed))
        assert_true(requirement->tls_not_required && requirement->least == PROOF_NONE);
    /* What the table lets go passes the gate. */
    if (action == TLS_ACT_ENCRYPTED || action == TLS_ACT_CLEAR)
        assert_true(may);
}

static void test_all_inputs(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1 << 8; bits++) {
        struct tls_requirement requirement = {.least = (enum proof_level)(bits & 3),
                                              .tls_1_3_only = bits >> 2 & 1,
                                              .cleartext_allowed = bits >> 3 & 1,
                                              .cleartext_after_ms = 10,
                                              .requiretls = bits >> 4 & 1,
                                              .requiretls_relaxed = bits >> 5 & 1,
                                              .mx_proved = bits >> 6 & 1,
                                              .tls_not_required = bits >> 7 & 1};

        for (unsigned at = 0; at < DANE_COUNT * STS_COUNT * MX_PROOF_COUNT * 2; at++) {
            struct tls_host_facts host = {
                .dane = (enum dane_state)(at % DANE_COUNT),
                .sts = (enum sts_state)(at / DANE_COUNT % STS_COUNT),
                .mx = (enum mx_proof)(at / DANE_COUNT / STS_COUNT % MX_PROOF_COUNT),
                .is_listed = at / DANE_COUNT / STS_COUNT / MX_PROOF_COUNT != 0};

            host.is_mx_signed = host.mx == MX_PROOF_DNSSEC || host.mx == MX_PROOF_ROUTE;
            for (unsigned seen = 0; seen < 1 << 6; seen++)
                check(&requirement, &host, seen);
        }
    }
}

static void test_what_the_gate_refuses(void **state)
{
    static const struct {
        const char *name_cstr;
        bool may;
        struct tls_requirement requirement;
        enum mx_proof mx;
        enum proof_level published;
        struct connection_proof proof;
    } cases[] = {
#define OVER(at_level, at_enforced)                                                            \
    .is_tls = true, .level = (at_level), .version = TLS_VERSION_1_3,                           \
    .is_enforced = (at_enforced)
        {"ordinary, in the clear", true, {.cleartext_allowed = true}, 0, 0, {.level = 0}},
        {"ordinary, clear forbidden", false, {.least = 0}, 0, 0, {.level = 0}},
        {"ordinary, anybody", true, {.least = 0}, 0, 0, {OVER(PROOF_ENCRYPTED, false)}},
        {"clear where DANE is published",
         false,
         {.cleartext_allowed = true},
         0,
         PROOF_DANE,
         {.level = 0}},
        {"WebPKI where DANE is published",
         false,
         {.cleartext_allowed = true},
         0,
         PROOF_DANE,
         {OVER(PROOF_VERIFIED, true)}},
        {"DANE where DANE is published",
         true,
         {.cleartext_allowed = true},
         0,
         PROOF_DANE,
         {OVER(PROOF_DANE, true)}},
        {"anybody where MTA-STS is in force",
         false,
         {.cleartext_allowed = true},
         0,
         PROOF_VERIFIED,
         {OVER(PROOF_ENCRYPTED, false)}},
        {"verified, as it happens",
         false,
         {.least = PROOF_VERIFIED},
         0,
         0,
         {OVER(PROOF_VERIFIED, false)}},
        {"verified", true, {.least = PROOF_VERIFIED}, 0, 0, {OVER(PROOF_VERIFIED, true)}},
        {"the host's name must be proved",
         false,
         {.least = PROOF_VERIFIED, .mx_proved = true},
         MX_PROOF_NONE,
         0,
         {OVER(PROOF_VERIFIED, true)}},
        {"the host's name is proved",
         true,
         {.least = PROOF_VERIFIED, .mx_proved = true},
         MX_PROOF_DNSSEC,
         0,
         {OVER(PROOF_VERIFIED, true)}},
        {"REQUIRETLS without the promise",
         false,
         {.requiretls = true},
         MX_PROOF_STS,
         0,
         {OVER(PROOF_VERIFIED, true)}},
        {"REQUIRETLS without the promise, relaxed",
         true,
         {.requiretls = true, .requiretls_relaxed = true},
         MX_PROOF_STS,
         0,
         {OVER(PROOF_VERIFIED, true)}},
        {"REQUIRETLS to whom the DNS said",
         false,
         {.requiretls = true},
         MX_PROOF_NONE,
         0,
         {OVER(PROOF_VERIFIED, true), .offers_requiretls = true}},
        {"REQUIRETLS over unproved TLS",
         false,
         {.requiretls = true},
         MX_PROOF_DNSSEC,
         0,
         {OVER(PROOF_ENCRYPTED, false), .offers_requiretls = true}},
        {"REQUIRETLS",
         true,
         {.requiretls = true},
         MX_PROOF_DNSSEC,
         0,
         {OVER(PROOF_VERIFIED, true), .offers_requiretls = true}},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct send_need need = {&cases[i].requirement, cases[i].mx, cases[i].published};

        if (deliver_may_send(&cases[i].proof, &need) != cases[i].may)
            fail_msg("%s", cases[i].name_cstr);
    }
}

static void test_mail_commands(void **state)
{
    static const struct {
        struct mail_command mail;
        struct smtp_ehlo ehlo;
        const char *line_cstr; /* NULL = refused */
        const char *enhanced_cstr;
    } cases[] = {
        {{.from = SLICE_INIT("a@b.test")}, {0, 0, 0}, "MAIL FROM:<a@b.test>\r\n", ""},
        {{.from = SLICE_INIT("")}, {0, 0, 0}, "MAIL FROM:<>\r\n", ""},
        {{.from = SLICE_INIT("\"a b\"@b.test")},
         {0, 0, 0},
         "MAIL FROM:<\"a b\"@b.test>\r\n",
         ""},
        {{.from = SLICE_INIT("a@b.test"), .bytes = 5, .body_8bit = true, .requiretls = true},
         {SMTP_SIZE | SMTP_8BITMIME | SMTP_REQUIRETLS, 0, 0},
         "MAIL FROM:<a@b.test> SIZE=5 BODY=8BITMIME\r\n",
         ""},
        {{.from = SLICE_INIT("a@b.test"), .smtputf8 = true},
         {SMTP_SMTPUTF8, 0, 0},
         "MAIL FROM:<a@b.test> SMTPUTF8\r\n",
         ""},
        {{.from = SLICE_INIT("a@b.test"), .smtputf8 = true}, {0, 0, 0}, NULL, "5.6.7"},
        {{.from = SLICE_INIT("a@b.test"), .bytes = 6}, {SMTP_SIZE, 0, 5}, NULL, "5.3.4"},
        {{.from = SLICE_INIT("a@b.test\r\nRCPT TO:<x@y.test")}, {0, 0, 0}, NULL, "5.1.7"},
        {{.from = SLICE_INIT("a@b.test> X=Y")}, {0, 0, 0}, NULL, "5.1.7"},
        {{.from = SLICE_INIT("a b@b.test")}, {0, 0, 0}, NULL, "5.1.7"},
        {{.from = SLICE_INIT("\"a@b.test")}, {0, 0, 0}, NULL, "5.1.7"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer out;
        struct err err;
        bool ok;

        buffer_init(&out, 8192);
        ok = mail_command_write(&cases[i].mail, &cases[i].ehlo, &out, &err);
        assert_int_equal(ok, cases[i].line_cstr != NULL);
        if (ok)
            assert_true(slice_equal(buffer_view(&out), slice_from_cstr(cases[i].line_cstr)));
        else
            assert_string_equal(err.enhanced_cstr, cases[i].enhanced_cstr);
        buffer_deinit(&out);
    }
}

static void test_rcpt_commands(void **state)
{
    static const struct {
        struct rcpt_command rcpt;
        unsigned extensions;
        const char *line_cstr;
    } cases[] = {
        {{.to = SLICE_INIT("b@b.test"), .notify = 1}, 0, "RCPT TO:<b@b.test>\r\n"},
        {{.to = SLICE_INIT("b@b.test"), .notify = 1},
         SMTP_DSN,
         "RCPT TO:<b@b.test> NOTIFY=NEVER\r\n"},
        {{.to = SLICE_INIT("b@b.test"), .notify = 14},
         SMTP_DSN,
         "RCPT TO:<b@b.test> NOTIFY=SUCCESS,FAILURE,DELAY\r\n"},
        {{.to = SLICE_INIT("b@b.test"), .orcpt = SLICE_INIT("rfc822;a b@x.test")},
         SMTP_DSN,
         "RCPT TO:<b@b.test> ORCPT=rfc822;a+20b@x.test\r\n"},
        {{.to = SLICE_INIT("b@b.test"), .orcpt = SLICE_INIT("no type")},
         SMTP_DSN,
         "RCPT TO:<b@b.test>\r\n"},
        {{.to = SLICE_INIT("")}, 0, NULL},
        {{.to = SLICE_INIT("b@b.test\n")}, 0, NULL},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct smtp_ehlo ehlo = {.extensions = cases[i].extensions};
        struct buffer out;
        struct err err;
        bool ok;

        buffer_init(&out, 8192);
        ok = rcpt_command_write(&cases[i].rcpt, &ehlo, &out, &err);
        assert_int_equal(ok, cases[i].line_cstr != NULL);
        if (ok)
            assert_true(slice_equal(buffer_view(&out), slice_from_cstr(cases[i].line_cstr)));
        buffer_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_inputs),
        cmocka_unit_test(test_what_the_gate_refuses),
        cmocka_unit_test(test_mail_commands),
        cmocka_unit_test(test_rcpt_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
