/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/header_pass.h"

#include "kit/kit.h"

#include <string.h>

/* 2026-11-22 06:52:39 UTC */
#define NOW_MS INT64_C(1795330359000)

static bool is_clinic(const void *context, struct slice domain)
{
    (void)context;
    return slice_equal_nocase(domain, S("clinic.test"));
}

static struct header_rules rules_of(enum header_source source)
{
    return (struct header_rules){
        .source = source,
        .message = 1,
        .hostname_cstr = "mail.clinic.test",
        .now_ms = NOW_MS,
        .triggers = {SLICE_INIT("+encrypt+"), SLICE_INIT("+noencrypt+")},
        .is_own_domain = is_clinic};
}

struct run {
    struct buffer out;
    struct header_facts facts;
    struct err err;
    size_t body_at;
    bool worked;
};

static void run_pass(struct run *run, enum header_source source, struct slice header)
{
    struct header_rules rules = rules_of(source);

    memset(run, 0, sizeof *run);
    buffer_init(&run->out, 300 * 1024);
    header_facts_init(&run->facts);
    run->worked = header_pass(header, &rules, &run->out, &run->facts, &run->body_at, &run->err);
}

static void run_end(struct run *run)
{
    buffer_deinit(&run->out);
    header_facts_deinit(&run->facts);
}

#define DATE_AND_ID "Date: x\r\nMessage-ID: <id@x>\r\n"

static void test_headers_come_out_as_they_should(void **state)
{
    static const struct {
        enum header_source source;
        struct slice header, out;
    } cases[] = {
        {HEADER_SUBMITTED, SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "\r\n")},
        {HEADER_SUBMITTED, SLICE_INIT("From: a@b.test\r\n\r\n"),
         SLICE_INIT("From: a@b.test\r\nDate: Sun, 22 Nov 2026 06:52:39 +0000\r\n"
                    "Message-ID: <0000000000001@mail.clinic.test>\r\n\r\n")},
        {HEADER_SUBMITTED,
         SLICE_INIT("BCC: secret@x.test,\r\n other@x.test\r\nFrom: a@b.test\r\n" DATE_AND_ID
                    "Resent-Bcc: c@d.test\r\nTo: e@f.test\r\nReturn-Path: <x>\r\n\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "To: e@f.test\r\n\r\n")},
        {HEADER_SUBMITTED,
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "Subject: Re: +ENCRYPT+ hello\r\n\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "Subject: Re: hello\r\n\r\n")},
        {HEADER_SUBMITTED,
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID
                    "Subject: =?utf-8?Q?+encrypt+_gr=C3=BCn?=\r\n\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "Subject: =?utf-8?B?Z3LDvG4=?=\r\n\r\n")},
        {HEADER_SUBMITTED, SLICE_INIT("From x\r\nFrom: a@b.test\r\n" DATE_AND_ID "\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "\r\n")},
        {HEADER_STRANGER,
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "not a field\r\nBcc: x\r\n"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "\r\n")},
        {HEADER_SUBMITTED, SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "X: last"),
         SLICE_INIT("From: a@b.test\r\n" DATE_AND_ID "X: last\r\n\r\n")},
        /* From strangers everything stays but forged wishes. */
        {HEADER_STRANGER,
         SLICE_INIT("X-Postern-Encrypt: no\r\nBcc: x@y.test\r\nSubject: +noencrypt+ x\r\n"
                    "x-postern-whatever: 1\r\n folded\r\n\r\n"),
         SLICE_INIT("Bcc: x@y.test\r\nSubject: +noencrypt+ x\r\n\r\n")},
        {HEADER_STRANGER, SLICE_INIT("\r\n"), SLICE_INIT("\r\n")},
        {HEADER_STRANGER, SLICE_INIT(""), SLICE_INIT("\r\n")},
        {HEADER_STRANGER, SLICE_INIT("__proto__: x\r\nconstructor: \r\n\r\n"),
         SLICE_INIT("__proto__: x\r\nconstructor: \r\n\r\n")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run;

        run_pass(&run, cases[i].source, cases[i].header);
        if (!run.worked || !slice_equal(buffer_view(&run.out), cases[i].out))
            print_error("case %zu: %s\n%.*s\n", i, run.err.text_cstr,
                        SLICE_ARGS(buffer_view(&run.out)));
        assert_true(run.worked);
        assert_true(slice_equal(buffer_view(&run.out), cases[i].out));
        run_end(&run);
    }
}

static void test_a_line_that_is_no_field_starts_the_body(void **state)
{
    struct slice header = S("From: a@b.test\r\n" DATE_AND_ID "odd\r\nBcc: x\r\n\r\n");
    struct run run;

    (void)state;
    run_pass(&run, HEADER_STRANGER, header);
    assert_true(run.worked);
    assert_true(slice_equal(slice_from(header, run.body_at), S("odd\r\nBcc: x\r\n\r\n")));
    run_end(&run);
}

static void test_refusals(void **state)
{
    static const struct {
        struct slice header;
        unsigned code;
    } cases[] = {
        {SLICE_INIT("\r\n"), 550},
        {SLICE_INIT("To: a@b.test\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nFrom: a@b.test\r\n\r\n"), 550},
        /* What stands behind such a line would be body: the wish unheard, the Bcc seen by all. */
        {SLICE_INIT("From: a@b.test\r\nodd\r\nSubject: +encrypt+ x\r\nBcc: c@d.test\r\n\r\n"),
         550},
        {SLICE_INIT("From: a@b.test\r\n: nameless\r\nX-Postern-Encrypt: yes\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nSubject: x\r\nbody without an empty line\r\n"), 550},
        {SLICE_INIT("From: a@b.test, c@d.test\r\n\r\n"), 550},
        {SLICE_INIT("From: nobody\r\n\r\n"), 550},
        {SLICE_INIT("From: \r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Proof: maybe\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Proof: code\r\nX-Postern-Proof: link\r\n\r\n"),
         550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Expires: 0d\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Expires: 7\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Expires: 99999999999999d\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Receipt: perhaps\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Encypt: yes\r\n\r\n"), 550},
        {SLICE_INIT("From: a@b.test\r\nX-Postern-Answer: \r\n\r\n"), 550},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct run run;

        run_pass(&run, HEADER_SUBMITTED, cases[i].header);
        if (run.worked)
            print_error("case %zu was not refused\n", i);
        assert_false(run.worked);
        assert_int_equal(run.err.smtp_code, cases[i].code);
        run_end(&run);
    }
}

static bool passes_many(const char *field_cstr, unsigned count, struct run *run)
{
    struct buffer header;

    buffer_init(&header, 1 << 20);
    for (unsigned i = 0; i < count; i++)
        assert_true(buffer_append(&header, slice_from_cstr(field_cstr)));
    run_pass(run, HEADER_STRANGER, buffer_view(&header));
    buffer_deinit(&header);
    return run->worked;
}

static void test_loops_and_floods_are_refused(void **state)
{
    struct run run;

    (void)state;
    assert_true(passes_many("Received: x\r\n", 49, &run));
    assert_int_equal(run.facts.hops, 49);
    run_end(&run);
    assert_false(passes_many("received: x\r\n", 50, &run));
    assert_string_equal(run.err.enhanced_cstr, "5.4.6");
    assert_int_equal(run.err.smtp_code, 554);
    run_end(&run);
    assert_true(passes_many("X: x\r\n", 2000, &run));
    run_end(&run);
    assert_false(passes_many("X: x\r\n", 2001, &run));
    assert_int_equal(run.err.smtp_code, 552);
    run_end(&run);
}

static void test_facts(void **state)
{
    struct run run;

    (void)state;
    run_pass(
        &run, HEADER_SUBMITTED,
        S("Received: a\r\nReceived: b\r\nFrom: \"Dr. A, MD\" <Ann@CLINIC.test>\r\n"
          "Message-Id:\r\n <abc@clinic.test>\r\nX-Postern-Question: =?utf-8?q?Wo=3F?=\r\n"
          "X-Postern-Answer: hier\r\nX-Postern-Expires: 7D\r\nX-Postern-Proof: Answer\r\n"
          "X-Postern-Receipt: NO\r\nX-Postern-Encrypt: no\r\nSubject: a+encrypt+\r\n\r\n"));
    assert_true(run.worked);
    assert_int_equal(run.facts.hops, 2);
    assert_true(slice_equal(smtp_path_local(&run.facts.from), S("Ann")));
    assert_true(slice_equal(smtp_path_domain(&run.facts.from), S("clinic.test")));
    assert_true(slice_equal(buffer_view(&run.facts.message_id), S("abc@clinic.test")));
    assert_true(slice_equal(buffer_view(&run.facts.wishes.question), S("Wo?")));
    assert_true(slice_equal(buffer_view(&run.facts.wishes.answer), S("hier")));
    assert_true(run.facts.wishes.expires_ms == NOW_MS + INT64_C(7) * 86400000);
    assert_int_equal(run.facts.wishes.proof, 2);
    assert_int_equal(run.facts.wishes.receipt, 2);
    /* Both asked for: encryption wins. */
    assert_int_equal(header_wishes_encrypt(&run.facts.wishes), HEADER_ENCRYPT_ESCALATE);
    assert_true(slice_find_nocase(buffer_view(&run.out), S("postern")) == buffer_len(&run.out));
    assert_true(slice_find_nocase(buffer_view(&run.out), S("encrypt")) == buffer_len(&run.out));
    run_end(&run);
}

static void test_where_it_was_delivered_before(void **state)
{
    struct run run;
    struct buffer flood;

    (void)state;
    run_pass(&run, HEADER_STRANGER,
             S("Delivered-To: Sales@Clinic.test\r\nDelivered-To: x@far.test\r\n"
               "delivered-to:\r\n <b@clinic.test>\r\nDelivered-To: b@clinic.test\r\n"
               "Delivered-To: \r\nDelivered-To: a b@clinic.test\r\n\r\n"));
    assert_true(run.worked);
    if (!slice_equal(buffer_view(&run.facts.delivered_to),
                     S("Sales@clinic.test\nb@clinic.test\n")))
        fail_msg("%.*s", SLICE_ARGS(buffer_view(&run.facts.delivered_to)));
    run_end(&run);
    /* However many there are: what is kept ends with a whole one. */
    buffer_init(&flood, 1 << 20);
    for (int i = 0; i < 1000; i++)
        assert_true(buffer_append_format(&flood, "Delivered-To: a%d@clinic.test\r\n", i));
    assert_true(buffer_append(&flood, S("\r\n")));
    run_pass(&run, HEADER_STRANGER, buffer_view(&flood));
    assert_true(run.worked && buffer_len(&run.facts.delivered_to) > HEADER_DELIVERED_MAX - 30);
    assert_true(
        slice_ends_with_nocase(buffer_view(&run.facts.delivered_to), S("@clinic.test\n")));
    run_end(&run);
    buffer_deinit(&flood);
}

static void test_tls_required_no_stands_alone(void **state)
{
    static const struct {
        struct slice fields;
        bool is_no;
    } cases[] = {
        {SLICE_INIT("TLS-Required: No\r\n"), true},
        {SLICE_INIT("tls-required:\r\n\tnO \r\n"), true},
        {SLICE_INIT(""), false},
        {SLICE_INIT("TLS-Required: Yes\r\n"), false},
        {SLICE_INIT("TLS-Required: No.\r\n"), false},
        {SLICE_INIT("TLS-Required: No, No\r\n"), false},
        {SLICE_INIT("TLS-Required:\r\n"), false},
        {SLICE_INIT("TLS-Required: No\r\nTLS-Required: No\r\n"), false},
        {SLICE_INIT("TLS-Required: Yes\r\nTLS-Required: No\r\n"), false},
        {SLICE_INIT("TLS-Required-Not: No\r\n"), false},
        {SLICE_INIT("X: TLS-Required: No\r\n"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (int source = HEADER_SUBMITTED; source <= HEADER_STRANGER; source++) {
            struct buffer header;
            struct run run;

            buffer_init(&header, 1000);
            assert_true(buffer_append(&header, S("From: a@b.test\r\n")) &&
                        buffer_append(&header, cases[i].fields) &&
                        buffer_append(&header, S(DATE_AND_ID "\r\n")));
            run_pass(&run, (enum header_source)source, buffer_view(&header));
            assert_true(run.worked);
            if (header_tls_required_no(&run.facts) != cases[i].is_no)
                fail_msg("%.*s", SLICE_ARGS(cases[i].fields));
            /* It goes on to the next host, who may honour it as well. */
            assert_true(slice_equal(buffer_view(&run.out), buffer_view(&header)));
            run_end(&run);
            buffer_deinit(&header);
        }
}

static void test_the_opt_out_trigger_is_not_the_other_one(void **state)
{
    struct run run;

    (void)state;
    run_pass(&run, HEADER_SUBMITTED, S("From: a@b.test\r\nSubject: x +NoEncrypt+\r\n\r\n"));
    assert_int_equal(header_wishes_encrypt(&run.facts.wishes), HEADER_ENCRYPT_OPT_OUT);
    run_end(&run);
    /* Split by folding inside an encoded word pair, and twice. */
    run_pass(&run, HEADER_SUBMITTED,
             S("From: a@b.test\r\nSubject: =?utf-8?q?+enc?=\r\n =?utf-8?q?rypt+?= "
               "+encrypt+\r\n\r\n"));
    assert_int_equal(header_wishes_encrypt(&run.facts.wishes), HEADER_ENCRYPT_ESCALATE);
    assert_true(slice_find_nocase(buffer_view(&run.out), S("crypt")) == buffer_len(&run.out));
    run_end(&run);
}

static void test_long_subjects_stay_in_short_lines(void **state)
{
    struct buffer header;
    struct slice rest;
    struct run run;

    (void)state;
    buffer_init(&header, 10000);
    assert_true(buffer_append(&header, S("From: a@b.test\r\nSubject: +encrypt+")));
    for (int i = 0; i < 300; i++)
        assert_true(buffer_append(&header, S(" word\r\n and")));
    assert_true(buffer_append(&header, S("\r\n\r\n")));
    run_pass(&run, HEADER_SUBMITTED, buffer_view(&header));
    assert_true(run.worked);
    rest = buffer_view(&run.out);
    while (rest.len > 0)
        assert_true(slice_cut(&rest, '\n').len < 100);
    run_end(&run);
    buffer_deinit(&header);
}

static void test_the_end_is_found_however_it_comes(void **state)
{
    struct slice content = S("A: b\r\n\r\nbody\r\n\r\n");

    (void)state;
    assert_int_equal(header_find_end(content, 0), 8);
    for (size_t cut = 0; cut < 8; cut++) {
        assert_int_equal(header_find_end(slice_head(content, cut), 0), 0);
        assert_int_equal(header_find_end(content, cut), 8);
    }
    assert_int_equal(header_find_end(S("\r\nbody"), 0), 2);
    assert_int_equal(header_find_end(S(""), 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_come_out_as_they_should),
        cmocka_unit_test(test_a_line_that_is_no_field_starts_the_body),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_loops_and_floods_are_refused),
        cmocka_unit_test(test_facts),
        cmocka_unit_test(test_where_it_was_delivered_before),
        cmocka_unit_test(test_tls_required_no_stands_alone),
        cmocka_unit_test(test_the_opt_out_trigger_is_not_the_other_one),
        cmocka_unit_test(test_long_subjects_stay_in_short_lines),
        cmocka_unit_test(test_the_end_is_found_however_it_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
