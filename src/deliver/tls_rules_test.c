/* SPDX-License-Identifier: Apache-2.0 */
/* The decision table row by row, the gate by all its inputs, and the command lines. */
#include "deliver/commands.h"
#include "deliver/tls_rules.h"

#include "kit/kit.h"

#include <string.h>

static void test_each_row(void **state)
{
    static const struct {
        const char *name_cstr;
        unsigned row;
        enum tls_action action;
        enum proof_level least;
        bool needs_1_3, clear_allowed;
        enum starttls_offer offer;
        enum tls_handshake handshake;
        enum proof_level level;
        enum tls_version version;
        bool is_enforced, is_last_resort;
        int64_t age_ms;
    } cases[] = {
#define IN_TLS(level, version, enforced)                                                       \
    STARTTLS_OFFERED, HANDSHAKE_DONE, level, version, enforced
#define OFFERED STARTTLS_OFFERED, HANDSHAKE_NOT_TRIED, PROOF_NONE, TLS_VERSION_NONE, false
#define ABSENT STARTTLS_ABSENT, HANDSHAKE_NOT_TRIED, PROOF_NONE, TLS_VERSION_NONE, false
#define FAILED STARTTLS_OFFERED, HANDSHAKE_FAILED, PROOF_NONE, TLS_VERSION_NONE, false
        {"secure: offered", 2, TLS_ACT_START, PROOF_VERIFIED, false, false, OFFERED, false, 0},
        {"secure: absent", 2, TLS_ACT_NOT_PROVED, PROOF_VERIFIED, false, false, ABSENT, false,
         0},
        {"secure: absent, and clear allowed by mistake", 2, TLS_ACT_NOT_PROVED, PROOF_ENCRYPTED,
         false, true, ABSENT, true, 1 << 30},
        {"secure: failed", 2, TLS_ACT_NOT_PROVED, PROOF_ENCRYPTED, false, true, FAILED, true,
         1 << 30},
        {"verified: verified", 2, TLS_ACT_ENCRYPTED, PROOF_VERIFIED, false, false,
         IN_TLS(PROOF_VERIFIED, TLS_VERSION_1_2, true), false, 0},
        {"verified: only encrypted", 2, TLS_ACT_NOT_PROVED, PROOF_VERIFIED, false, false,
         IN_TLS(PROOF_ENCRYPTED, TLS_VERSION_1_3, true), false, 0},
        {"verified: on a context that insists on nothing", 2, TLS_ACT_NOT_PROVED,
         PROOF_VERIFIED, false, false, IN_TLS(PROOF_VERIFIED, TLS_VERSION_1_3, false), false,
         0},
        {"verified: 1.3 required, 1.2 there", 2, TLS_ACT_NOT_PROVED, PROOF_VERIFIED, true,
         false, IN_TLS(PROOF_VERIFIED, TLS_VERSION_1_2, true), false, 0},
        {"encrypted: encrypted", 2, TLS_ACT_ENCRYPTED, PROOF_ENCRYPTED, false, false,
         IN_TLS(PROOF_ENCRYPTED, TLS_VERSION_1_2, false), false, 0},
        {"DANE is required: WebPKI is less", 2, TLS_ACT_NOT_PROVED, PROOF_DANE, false, false,
         IN_TLS(PROOF_VERIFIED, TLS_VERSION_1_3, true), false, 0},
        {"ordinary: offered", 10, TLS_ACT_START, PROOF_NONE, false, true, OFFERED, false, 0},
        {"ordinary: unverified", 10, TLS_ACT_ENCRYPTED, PROOF_NONE, false, true,
         IN_TLS(PROOF_ENCRYPTED, TLS_VERSION_1_2, false), false, 0},
        {"ordinary: 1.3 required, 1.2 there", 10, TLS_ACT_LATER, PROOF_NONE, true, true,
         IN_TLS(PROOF_ENCRYPTED, TLS_VERSION_1_2, false), false, 0},
        {"ordinary: failed, young", 10, TLS_ACT_LATER, PROOF_NONE, false, true, FAILED, true,
         899999},
        {"ordinary: failed, old, others not tried", 10, TLS_ACT_LATER, PROOF_NONE, false, true,
         FAILED, false, 900000},
        {"ordinary: failed, old, others tried", 10, TLS_ACT_CLEAR, PROOF_NONE, false, true,
         FAILED, true, 900000},
        {"ordinary: failed, clear forbidden", 10, TLS_ACT_LATER, PROOF_NONE, false, false,
         FAILED, true, 900000},
        {"ordinary: absent", 11, TLS_ACT_CLEAR, PROOF_NONE, false, true, ABSENT, false, 0},
        {"ordinary: absent, clear forbidden", 11, TLS_ACT_LATER, PROOF_NONE, false, false,
         ABSENT, true, 1 << 30},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct tls_requirement requirement = {.least = cases[i].least,
                                              .tls_1_3_only = cases[i].needs_1_3,
                                              .cleartext_allowed = cases[i].clear_allowed,
                                              .cleartext_after_ms = 900000};
        struct tls_facts facts = {.requirement = &requirement,
                                  .offer = cases[i].offer,
                                  .handshake = cases[i].handshake,
                                  .proof = {.is_tls = cases[i].level > PROOF_NONE,
                                            .is_enforced = cases[i].is_enforced,
                                            .level = cases[i].level,
                                            .version = cases[i].version},
                                  .age_ms = cases[i].age_ms,
                                  .is_last_resort = cases[i].is_last_resort};
        struct tls_decision got = deliver_tls_decide(&facts);

        if (got.row != cases[i].row || got.action != cases[i].action)
            fail_msg("%s: row %u, action %d", cases[i].name_cstr, got.row, got.action);
        assert_int_equal(strlen(got.why_cstr) > 0,
                         got.action == TLS_ACT_NOT_PROVED || got.action == TLS_ACT_LATER);
    }
}

/* Whatever the facts: table and gate together never let secure mail out in the clear or unproved. */
static void test_all_inputs(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1 << 14; bits++) {
        struct tls_requirement requirement = {.least = (enum proof_level)(bits & 3),
                                              .tls_1_3_only = bits >> 2 & 1,
                                              .cleartext_allowed = bits >> 3 & 1,
                                              .cleartext_after_ms = 10};
        struct tls_facts facts = {
            .requirement = &requirement,
            .offer = (enum starttls_offer)(bits >> 4 & 1),
            .handshake = (enum tls_handshake)((bits >> 5 & 3) % 3),
            .proof = {.is_enforced = bits >> 7 & 1,
                      .level = (enum proof_level)(bits >> 8 & 3),
                      .version = (enum tls_version)((bits >> 10 & 3) % 3)},
            .age_ms = bits >> 12 & 1 ? 1000 : 0,
            .is_last_resort = bits >> 13 & 1,
        };
        enum tls_action action;
        bool may;

        facts.proof.is_tls = facts.proof.level > PROOF_NONE;
        action = deliver_tls_decide(&facts).action;
        may = deliver_may_send(&facts.proof, &requirement);
        if (may && requirement.least > PROOF_NONE) {
            assert_true(facts.proof.is_tls && facts.proof.level >= requirement.least);
            assert_true(requirement.least < PROOF_VERIFIED || facts.proof.is_enforced);
        }
        if (may && facts.proof.is_tls && requirement.tls_1_3_only)
            assert_int_equal(facts.proof.version, TLS_VERSION_1_3);
        if (may && !facts.proof.is_tls)
            assert_true(requirement.cleartext_allowed);
        if (requirement.least > PROOF_NONE)
            assert_true(action != TLS_ACT_CLEAR && action != TLS_ACT_LATER);
        /* What the table lets go over TLS passes the gate. */
        if (action == TLS_ACT_ENCRYPTED && facts.proof.is_tls)
            assert_true(may);
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
        cmocka_unit_test(test_each_row),
        cmocka_unit_test(test_all_inputs),
        cmocka_unit_test(test_mail_commands),
        cmocka_unit_test(test_rcpt_commands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
