/* SPDX-License-Identifier: Apache-2.0 */
#include "smtpd/bounce_watch.h"

#include "kit/kit.h"

#define REPORT "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n"

static const struct {
    const char *what_cstr;
    struct slice header, body;
    bool is_failure;
} cases[] = {
    {"a failure", SLICE_INIT(REPORT "Auto-Submitted: auto-replied\r\n\r\n"),
     SLICE_INIT("--b\r\n\r\nFinal-Recipient: rfc822;a@b.test\r\nAction: failed\r\n"), true},
    {"its type on the next line",
     SLICE_INIT("content-type: Multipart/Report;\r\n\treport-type=\"delivery-status\"\r\n\r\n"),
     SLICE_INIT("ACTION:FAILED (no mailbox)\r\n"), true},
    {"one failed, one did not", SLICE_INIT(REPORT "\r\n"),
     SLICE_INIT("Action: delivered\r\n\r\nAction: failed\r\n"), true},
    {"a delay", SLICE_INIT(REPORT "\r\n"), SLICE_INIT("Action: delayed\r\n"), false},
    {"a success", SLICE_INIT(REPORT "\r\n"), SLICE_INIT("Action: delivered\r\n"), false},
    {"passed on", SLICE_INIT(REPORT "\r\n"), SLICE_INIT("Action: relayed\r\n"), false},
    {"a report that says nothing", SLICE_INIT(REPORT "\r\n"), SLICE_INIT("sorry\r\n"), true},
    {"out of office", SLICE_INIT("Auto-Submitted: auto-replied\r\nSubject: Away\r\n\r\n"),
     SLICE_INIT("I am back in May.\r\n"), false},
    {"old software's bounce", SLICE_INIT("Subject: failure notice\r\n\r\n"),
     SLICE_INIT("Sorry, no mailbox here by that name.\r\n"), true},
    {"not automatic, it says", SLICE_INIT("Auto-Submitted: no\r\n\r\n"), SLICE_INIT("x\r\n"),
     true},
    {"Exim's bounce",
     SLICE_INIT("X-Failed-Recipients: a@b.test\r\nAuto-Submitted: auto-replied\r\n\r\n"),
     SLICE_INIT("Unrouteable address\r\n"), true},
    {"it was displayed",
     SLICE_INIT("Content-Type: multipart/report; report-type=disposition-notification\r\n\r\n"),
     SLICE_INIT("Disposition: automatic-action/MDN-sent-automatically; displayed\r\n"), false},
    {"nothing at all", SLICE_INIT(""), SLICE_INIT(""), true},
};

static void test_what_failed_and_what_did_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        for (size_t step = 1; step < 80; step += 13) {
            struct bounce_watch watch = {0};

            bounce_watch_header(&watch, cases[i].header);
            for (struct slice rest = cases[i].body; rest.len > 0; rest = slice_from(rest, step))
                bounce_watch_body(&watch, slice_head(rest, step));
            if (bounce_watch_is_failure(&watch) != cases[i].is_failure)
                fail_msg("%s, in pieces of %zu", cases[i].what_cstr, step);
        }
}

static void test_long_lines(void **state)
{
    struct bounce_watch watch = {.is_report = true};

    (void)state;
    for (int i = 0; i < 5000; i++)
        bounce_watch_body(&watch, S("Action: failed"));
    bounce_watch_body(&watch, S("\r\n"));
    assert_true(watch.has_failed);
    bounce_watch_body(&watch, S("xAction: delayed\r\n"));
    assert_false(watch.has_other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_failed_and_what_did_not),
        cmocka_unit_test(test_long_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
