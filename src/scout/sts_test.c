/* SPDX-License-Identifier: Apache-2.0 */
#include "scout/sts.h"

#include "kit/kit.h"

#include <string.h>
#include <unistd.h>

/* What the scout says by the records alone: local data, and no authorities, so that nothing can be fetched. */
static const char settings_cstr[] =
    "hostname = \"mail.a.test\" state = \"/x\" master_key = \"/k\"\n"
    "resolver { local_data = {\n"
    "\"_mta-sts.one.test. 600 TXT \\\"v=STSv1; id=1;\\\"\",\n"
    "\"_mta-sts.split.test. 600 TXT \\\"v=STSv1\\\" \\\"; id=1;\\\"\",\n"
    "\"_mta-sts.two.test. 600 TXT \\\"v=STSv1; id=1;\\\"\",\n"
    "\"_mta-sts.two.test. 600 TXT \\\"v=STSv1; id=2;\\\"\",\n"
    "\"_mta-sts.bad.test. 600 TXT \\\"v=STSv1; id=;\\\"\",\n"
    "\"_mta-sts.other.test. 600 TXT \\\"v=spf1 -all\\\"\",\n"
    "\"_mta-sts.alias.test. 600 CNAME _mta-sts.one.test.\"\n"
    "} }\n";

struct bed {
    struct loop *loop;
    struct settings *settings;
    struct scout *scout;
    unsigned answers;
    uint64_t outcome, ttl_s, ask;
    char id_cstr[64];
};

static bool on_send(void *context, enum ipc_type type, const void *message)
{
    struct bed *bed = context;
    const struct ipc_sts_found *found = message;

    assert_int_equal(type, IPC_STS_FOUND);
    bed->answers++;
    bed->outcome = found->outcome;
    bed->ttl_s = found->ttl_s;
    bed->ask = found->ask;
    assert_true(slice_to_cstr(found->id, bed->id_cstr, sizeof bed->id_cstr));
    return true;
}

static void open_bed(struct bed *bed)
{
    static const struct scout_kind *const kinds[] = {&scout_sts, NULL};
    struct err err = {0};

    *bed = (struct bed){.loop = loop_new()};
    assert_true(
        settings_parse(slice_from_cstr(settings_cstr), "/t.conf", &bed->settings, &err));
    bed->scout = scout_new(&(struct scout_options){
        .loop = bed->loop, .kinds = kinds, .send = on_send, .context = bed});
    assert_true(scout_configure(bed->scout, bed->settings, &err));
}

static void close_bed(struct bed *bed)
{
    scout_free(&bed->scout);
    settings_unref(&bed->settings);
    loop_free(&bed->loop);
}

static void find(struct bed *bed, struct slice domain, const char *known_cstr, uint64_t number)
{
    union ipc_any question;

    memset(&question, 0, sizeof question);
    question.sts_find = (struct ipc_sts_find){
        .ask = number, .domain = domain, .known_id = slice_from_cstr(known_cstr)};
    assert_true(scout_take(bed->scout, IPC_STS_FIND, &question));
}

static void wait_for(struct bed *bed, unsigned answers)
{
    for (int64_t end = loop_now_ms() + 5000; bed->answers < answers && loop_now_ms() < end;) {
        loop_run_once(bed->loop);
        usleep(200);
    }
    assert_int_equal(bed->answers, answers);
}

static void test_by_the_record(void **state)
{
    static const struct {
        struct slice domain;
        const char *known_cstr, *id_cstr;
        enum sts_outcome outcome;
    } cases[] = {
        {SLICE_INIT("one.test"), "1", "1", STS_OUTCOME_SAME},
        {SLICE_INIT("split.test"), "1", "1", STS_OUTCOME_SAME},
        {SLICE_INIT("alias.test"), "1", "1", STS_OUTCOME_SAME},
        {SLICE_INIT("one.test"), "", "1", STS_OUTCOME_UNFETCHED},
        {SLICE_INIT("one.test"), "2", "1", STS_OUTCOME_UNFETCHED},
        {SLICE_INIT("two.test"), "1", "", STS_OUTCOME_NONE},
        {SLICE_INIT("bad.test"), "1", "", STS_OUTCOME_NONE},
        {SLICE_INIT("other.test"), "", "", STS_OUTCOME_NONE},
        {SLICE_INIT("absent.test"), "1", "", STS_OUTCOME_NONE},
        {SLICE_INIT("not a name"), "", "", STS_OUTCOME_NONE},
        {SLICE_INIT(""), "", "", STS_OUTCOME_NONE},
        {SLICE_INIT("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.test"),
         "", "", STS_OUTCOME_NONE},
    };
    struct bed bed;

    (void)state;
    open_bed(&bed);
    for (unsigned i = 0; i < COUNT_OF(cases); i++) {
        find(&bed, cases[i].domain, cases[i].known_cstr, 100 + i);
        wait_for(&bed, i + 1);
        assert_int_equal(bed.ask, 100 + i);
        if (bed.outcome != cases[i].outcome)
            fail_msg("case %u: outcome %u", i, (unsigned)bed.outcome);
        assert_string_equal(bed.id_cstr, cases[i].id_cstr);
        if (cases[i].id_cstr[0] != '\0')
            assert_int_equal(bed.ttl_s, 600);
    }
    close_bed(&bed);
}

static void test_many_at_once_and_an_end_amid_them(void **state)
{
    struct bed bed;

    (void)state;
    open_bed(&bed);
    for (unsigned i = 0; i < 2000; i++)
        find(&bed, S("one.test"), "1", i + 1);
    wait_for(&bed, 2000);
    for (unsigned i = 0; i < 700; i++)
        find(&bed, S("one.test"), "", i + 1);
    close_bed(&bed);
    assert_int_equal(bed.answers, 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_the_record),
        cmocka_unit_test(test_many_at_once_and_an_end_amid_them),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
