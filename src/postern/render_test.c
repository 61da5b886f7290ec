/* SPDX-License-Identifier: Apache-2.0 */
#include "kit/kit.h"

#include "postern/render.h"

#include "base/must.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef void render_fn(const json_t *answers, FILE *to);

/* What render writes for this JSON; freed by the caller. */
static char *rendered(render_fn *render, const char *json_cstr)
{
    json_t *answers = json_loads(json_cstr, 0, NULL);
    char *text_cstr = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text_cstr, &size);

    must(answers != NULL && to != NULL);
    render(answers, to);
    (void)fclose(to);
    json_decref(answers);
    return text_cstr;
}

static void expect(render_fn *render, const char *json_cstr, const char *const *words,
                   size_t count)
{
    char *text_cstr = rendered(render, json_cstr);

    for (size_t i = 0; i < count; i++) {
        if (strstr(text_cstr, words[i]) == NULL)
            fail_msg("lacks \"%s\":\n%s", words[i], text_cstr);
    }
    free(text_cstr);
}

static void test_trace(void **state)
{
    static const char *const words[] = {
        "Message 0000000000001   <a@b.test>\n",
        "2020-09-13 12:26:40, submitted, 40 KiB, belongs to message 0000000000000\n",
        "from c@d.test (account clinic), received by ESMTPSA\n",
        "\n  p@q.test   delivered, tls (secure)\n",
        "why           first reason\n",
        "              second reason\n",
        "      2020-09-13 12:26:41  delivered\n",
        "          host          mx.q.test\n",
        "          proof         verified\n",
        "          reply         250 ok ?[31m\n",
        "          again         2020-09-13 12:26:42\n",
        "          extra         word\n",
    };

    (void)state;
    expect(
        render_trace,
        "[{\"message\":\"0000000000001\",\"header_id\":\"a@b.test\",\"kind\":\"submitted\","
        "\"account\":\"clinic\",\"about\":\"0000000000000\",\"from\":\"c@d.test\",\"bytes\":"
        "40960,"
        "\"accepted_ms\":1600000000000,\"received_by\":\"ESMTPSA\",\"recipients\":[{"
        "\"address\":\"p@q.test\",\"state\":\"delivered\",\"method\":\"tls\",\"secure\":true,"
        "\"reasons\":\"first reason\\nsecond reason\",\"events\":[{\"at_ms\":1600000001000,"
        "\"event\":\"delivered\",\"extra\":\"word\",\"reply\":\"250 ok \\u001b[31m\","
        "\"again_ms\":1600000002000,"
        "\"level\":\"verified\",\"mx\":\"mx.q.test\"}]}]}]",
        words, COUNT_OF(words));
}

static void test_queue(void **state)
{
    static const char *const words[] = {
        "message  recipient         state",
        "ABC      somebody@q.test   deferred",
        "451 later",
        "\n2 recipients wait.\n",
    };
    static const char *const empty[] = {"Nothing waits.\n"};

    (void)state;
    expect(render_queue,
           "[{\"message\":\"ABC\",\"address\":\"somebody@q.test\",\"state\":\"deferred\","
           "\"attempts\":3,\"held\":false,\"last\":\"451 later\"},"
           "{\"message\":\"DEF\",\"address\":\"somebodyelse@q.t\",\"state\":\"planned\","
           "\"held\":true}]",
           words, 2);
    expect(render_queue,
           "[{\"message\":\"ABC\",\"address\":\"somebody@q.test\",\"state\":\"deferred\","
           "\"attempts\":3,\"held\":false,\"last\":\"451 later\"},{\"message\":\"D\"}]",
           words + 2, 2);
    expect(render_queue, "[]", empty, 1);
}

static void test_retraction(void **state)
{
    static const char *const words[] = {
        "a@x.test   stopped before reading\n",
        "b@x.test   access ended; it was read at 2020-09-13 12:26:40 UTC\n",
        "c@x.test   cannot be recalled: it left by TLS\n",
        "d@x.test   had ended before\n",
    };

    (void)state;
    expect(render_retraction,
           "[{\"address\":\"a@x.test\",\"outcome\":\"stopped\"},"
           "{\"address\":\"b@x.test\",\"outcome\":\"ended\",\"read_ms\":1600000000000},"
           "{\"address\":\"c@x.test\",\"outcome\":\"cannot\",\"text\":\"it left by TLS\"},"
           "{\"address\":\"d@x.test\",\"outcome\":\"over\"}]",
           words, COUNT_OF(words));
}

static void test_others(void **state)
{
    static const char *const explained[] = {
        "a@x.test   would go by portal (secure)\n", "why           no TLS there\n",
        "MTA-STS       enforce, id 2026\n",
        "hosts         mx1.x.test: row 3, dane: demands dane, "
        "TLSA 3 1 1 00\n",
        "mx2.x.test: row 5, tlsa-unknown: skipped, the TLSA "
        "look-up failed\n"};
    static const char *const domains[] = {"good.test  proved  verified", "3d ago"};
    static const char *const forwards[] = {
        "sales@x.test  b@y.test  held   lacking    settings  forward_tls_only: its domain"};
    static const char *const changed[] = {"1 forward, barred: never proved.\n"};
    static const char *const status[] = {
        "Postern 0.1.0, up 2h 0m: NOT READY, no smtpd runs\n",
        "recipients not finished  9\n",
        "  deferred               4\n",
        "held by the operator     2\n",
        "oldest that is due       1m 30s\n",
        "accepted           1.5      2000         0\n",
        "certificate (smtp  )     until 1970-01-11, 9 days !\n",
        "smtpd 0             0        0s         3        0s         0       0  does not run\n",
        "master key 2             31 rows under it\n",
        "  T warn smtpd-0 slow  what=commit took_ms=700\n",
        "  in words?\n"};

    (void)state;
    expect(render_explanation,
           "[{\"address\":\"a@x.test\",\"method\":\"portal\",\"secure\":true,"
           "\"reasons\":\"no TLS there\",\"sts\":\"enforce\",\"sts_id\":\"2026\","
           "\"hosts\":[{\"mx\":\"mx1.x.test\",\"row\":3,\"rule\":\"dane\",\"demands\":\"dane\","
           "\"tlsa\":\"3 1 1 00\"},{\"mx\":\"mx2.x.test\",\"row\":5,\"rule\":\"tlsa-unknown\","
           "\"why\":\"the TLSA look-up failed\"}]}]",
           explained, COUNT_OF(explained));
    {
        char json_cstr[256];

        (void)snprintf(json_cstr, sizeof json_cstr,
                       "[{\"domain\":\"good.test\",\"tls\":\"proved\",\"level\":\"verified\","
                       "\"checked_ms\":%lld000}]",
                       (long long)time(NULL) - 3 * 86400 - 5);
        expect(render_domains, json_cstr, domains, COUNT_OF(domains));
    }
    expect(
        render_forwards,
        "[{\"from\":\"sales@x.test\",\"to\":\"b@y.test\",\"state\":\"held\",\"tls\":"
        "\"lacking\","
        "\"origin\":\"settings\",\"why\":\"forward_tls_only: its domain has lost its TLS\"}]",
        forwards, COUNT_OF(forwards));
    expect(render_forward_change,
           "[{\"changed\":1,\"state\":\"barred\",\"why\":\"never proved\"}]", changed,
           COUNT_OF(changed));
    expect(
        render_status,
        "[{\"version\":\"0.1.0\",\"started_ms\":0,\"now_ms\":7200000,\"queue\":7,\"held\":2,"
        "\"why\":\"no smtpd runs\",\"late_ms\":90000,\"states\":{\"planned\":0,\"deferred\":4},"
        "\"rates\":{\"accepted\":[1.5,2000,0]},\"certificates_end_ms\":{\"smtp\":864000000},"
        "\"roles\":[{\"role\":\"keeper\",\"index\":0,\"runs\":true},{\"role\":\"smtpd\","
        "\"index\":0,\"runs\":false,\"restarts\":3,\"started_ms\":7200000}],"
        "\"keys\":[{\"generation\":2,\"rows\":31}],\"troubles\":[{\"time\":\"T\","
        "\"level\":\"warn\",\"role\":\"smtpd-0\",\"pid\":5,\"event\":\"slow\","
        "\"what\":\"commit\",\"took_ms\":700},\"in words\\u001b\"]}]",
        status, COUNT_OF(status));
}

static void test_tls_board(void **state)
{
    static const char *const domain[] = {
        "x.test: verified\n\n",
        "  since         2020-09-13 12:26:40 UTC (",
        "  MX records    signed (DNSSEC)\n",
        "  MTA-STS       enforce, id 2026\n",
        "  from mail     proved, last seen: verified\n",
        "  ratchet       yes, nothing goes to it in the clear; seen with TLS 1 time in 30 "
        "days\n",
        "  forced        on the system-wide list\n",
        "pref  host        address    reached  STARTTLS  TLS      WebPKI  DANE       "
        "REQUIRETLS  "
        "proof\n",
        "10    mx1.x.test  192.0.2.1  yes      yes       TLSv1.3  valid   none       yes       "
        "  "
        "verified\n",
        "20    mx2.x.test  192.0.2.2  no       ?         -        -       not asked  -         "
        "  -\n",
        "\nmx1.x.test [192.0.2.1]\n",
        "  TLS           TLSv1.3, TLS_AES_256_GCM_SHA384, key x25519\n",
        "  certificate   mx1.x.test x.test\n",
        "  name proved by mta-sts\n",
        "\nmx2.x.test [192.0.2.2]\n  but           refused ?[31m\n",
        "2020-09-13 12:26:40  no TLS  verified  mended\n",
    };
    static const char *const list[] = {
        "domain  verdict   since   tested  next  every host has\n",
        "x.test  verified  3d ago  -       -     1.3 webpki sts\n",
        "y.test  unknown   -       -       -     -\n",
    };
    static const char *const report[] = {
        "10 domains known, 8 tested.\n",
        "  dane                                       2   20.0 %\n",
        "  TLS 1.3                                    4   50.0 %\n",
    };
    char json_cstr[512];

    (void)state;
    expect(
        render_tls_domain,
        "[{\"domain\":\"x.test\",\"verdict\":\"verified\",\"since_ms\":1600000000000,"
        "\"tested_ms\":1600000000000,\"tls\":\"proved\",\"level\":\"verified\","
        "\"times_seen\":1,\"ratcheted\":true,\"forced\":true,\"last_test\":{\"found\":"
        "\"verified\",\"mx_secure\":true,\"sts\":\"enforce\",\"sts_id\":\"2026\",\"hosts\":["
        "{\"preference\":10,\"mx\":\"mx1.x.test\",\"address\":\"192.0.2.1\",\"reached\":true,"
        "\"starttls\":true,\"tls\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256_GCM_SHA384\","
        "\"group\":\"x25519\",\"names\":\"mx1.x.test x.test\",\"webpki\":true,\"dane\":"
        "\"none\",\"mx_proof\":\"mta-sts\",\"requiretls\":true,\"level\":\"verified\"},"
        "{\"preference\":20,\"mx\":\"mx2.x.test\",\"address\":\"192.0.2.2\",\"reached\":"
        "false,\"dane\":\"not asked\",\"mx_proof\":\"none\",\"level\":\"none\",\"why\":"
        "\"refused \\u001b[31m\"}]},\"changes\":[{\"at_ms\":1600000000000,\"before\":"
        "\"no TLS\",\"after\":\"verified\",\"why\":\"mended\"}]}]",
        domain, COUNT_OF(domain));
    (void)snprintf(json_cstr, sizeof json_cstr,
                   "[{\"domain\":\"x.test\",\"verdict\":\"verified\",\"since_ms\":%lld000,"
                   "\"features\":[\"starttls\",\"tls_1_3\",\"webpki\",\"sts_enforce\"]},"
                   "{\"domain\":\"y.test\",\"verdict\":\"unknown\",\"features\":[]}]",
                   (long long)time(NULL) - 3 * 86400 - 5);
    expect(render_tls_list, json_cstr, list, COUNT_OF(list));
    expect(render_tls_report,
           "[{\"domains\":10,\"tested\":8,\"verdicts\":{\"dane\":2},\"features\":{"
           "\"tls_1_3\":4}}]",
           report, COUNT_OF(report));
}

static void test_tls_reports(void **state)
{
    static const char *const words[] = {
        "2026-11-21  clinic.test  by Company-X?[31m  policy sts: 5326 good, 203 failed\n",
        "         100  certificate-expired  at mx1.clinic.test\n",
        "           3  validation-failure\n",
        "2020-09-13 12:26:40  not counted: the report is no JSON  (message 00A)\n",
    };

    (void)state;
    expect(render_tls_reports,
           "[{\"day\":\"2026-11-21\",\"domain\":\"clinic.test\",\"organisation\":\"Company-X"
           "\\u001b[31m\",\"policy\":\"sts\",\"successful\":5326,\"failed\":203,\"failures\":"
           "[{\"result\":\"certificate-expired\",\"mx\":\"mx1.clinic.test\",\"sessions\":100},"
           "{\"result\":\"validation-failure\",\"sessions\":3}]},{\"unreadable\":\"the report "
           "is no JSON\",\"received_ms\":1600000000000,\"message\":\"00A\"}]",
           words, COUNT_OF(words));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace),      cmocka_unit_test(test_tls_reports),
        cmocka_unit_test(test_tls_board),  cmocka_unit_test(test_queue),
        cmocka_unit_test(test_retraction), cmocka_unit_test(test_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
