/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe/scribe.h"

#include "crypto/sign.h"
#include "protect/portal_container.h"
#include "protect/portal_key.h"
#include "spool/keyring.h"
#include "spool/reader.h"
#include "spool/writer.h"

#include "kit/kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char settings_cstr[] =
    "hostname = \"gate.clinic.test\"\nstate = \"/var/lib/postern\"\nmaster_key = \"m\"\n"
    "tls_certificate = \"/c.pem\" tls_key = \"/k.pem\"\n"
    "account \"clinic\" { organisation = \"The Clinic\" notice_from = \"Clinic "
    "<secure@clinic.test>\"\n"
    "  notice_subject = \"News from the clinic\" }\n"
    "domain \"clinic.test\" { account = clinic dkim \"s1\" { key = \"/d.pem\" } }\n"
    "domain \"plain.test\" { account = clinic }\n"
    "tls_reports { from = \"tls@clinic.test\" }\n"
    "portal { url = \"https://portal.clinic.test\" address = \"127.0.0.1:8443\"\n"
    "  certificate = \"/pc.pem\" key = \"/pk.pem\" }\n";

/* Words that may be nowhere but in the sealed copy. */
#define MESSAGE                                                                                \
    "From: Ann CANARYSENDERNAME <ann@clinic.test>\r\nTo: Bob CANARYNAME <bob@x.test>\r\n"      \
    "Subject: CANARYSUBJECT\r\nMIME-Version: 1.0\r\n"                                          \
    "Content-Type: multipart/mixed; boundary=CANARYBOUNDARY\r\n\r\n--CANARYBOUNDARY\r\n\r\n"   \
    "CANARYBODY\r\n--CANARYBOUNDARY\r\nContent-Type: application/pdf; name=CANARYFILE.pdf\r\n" \
    "\r\nCANARYPDF\r\n--CANARYBOUNDARY--\r\n"

/* A keeper, its folders, and a scribe in one process. */
struct bed {
    char queue_cstr[40], portal_cstr[40];
    int queue_fd, portal_fd;
    struct recipient_key *key;
    struct spool_keyring *ring;
    struct id_maker ids;
    struct scribe *scribe;
    struct spool_writer *writer;
    /* The last answer, packed. */
    struct buffer answer;
    size_t answers;
    union ipc_any message;
};

static void keep_answer(void *context, enum ipc_type type, const void *message)
{
    struct bed *bed = context;

    buffer_clear(&bed->answer);
    assert_true(ipc_pack(type, message, &bed->answer));
    bed->answers++;
}

/* The last answer, which must be of that type. */
static const union ipc_any *answered(struct bed *bed, enum ipc_type want)
{
    enum ipc_type type;
    struct err err;
    size_t len;

    assert_int_equal(ipc_unpack(buffer_view(&bed->answer), &type, &bed->message, &len, &err),
                     PROGRESS_DONE);
    assert_int_equal(type, want);
    return &bed->message;
}

static struct settings *make_settings(bool good_key)
{
    struct settings *settings;
    struct sign_key *key;
    struct buffer pem;
    struct err err = {0};

    if (!settings_parse(slice_from_cstr(settings_cstr), "/p.conf", &settings, &err))
        fail_msg("%s", err.text_cstr);
    buffer_init(&pem, 10000);
    assert_true(sign_key_generate(SIGN_ED25519_SHA256, 0, &key, &err));
    assert_true(sign_key_write_pem(key, &pem));
    settings_file_put(settings, S("/d.pem"), good_key ? buffer_view(&pem) : S("no key"));
    sign_key_free(&key);
    buffer_wipe(&pem);
    return settings;
}

static int make_folder(char path_cstr[40], const char *pattern_cstr)
{
    int fd;

    snprintf(path_cstr, 40, "%s", pattern_cstr);
    assert_non_null(mkdtemp(path_cstr));
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY);
    assert_true(fd >= 0);
    return fd;
}

static int set_up(void **state)
{
    struct bed *bed = calloc(1, sizeof *bed);
    struct settings *settings = make_settings(true);
    struct err err = {0};

    assert_non_null(bed);
    bed->queue_fd = make_folder(bed->queue_cstr, "/tmp/postern-queue-XXXXXX");
    bed->portal_fd = make_folder(bed->portal_cstr, "/tmp/postern-portal-XXXXXX");
    assert_true(recipient_key_generate("test", &bed->key, &err));
    bed->ring = spool_keyring_new(bed->queue_fd);
    spool_keyring_add(bed->ring, bed->key);
    bed->writer = spool_writer_open(bed->queue_fd, SPOOL_QUEUE, &bed->ids,
                                    recipient_key_certificate(bed->key), NULL);
    buffer_init(&bed->answer, 1000000);
    struct scribe_options options = {.queue_fd = bed->queue_fd,
                                     .portal_fd = bed->portal_fd,
                                     .ids = &bed->ids,
                                     .certificate = recipient_key_certificate(bed->key),
                                     .cost = PASSWORD_COST_CHEAP,
                                     .answer = keep_answer,
                                     .context = bed};

    assert_true(scribe_new(&options, &bed->scribe, &err));
    assert_true(scribe_configure(bed->scribe, settings, &err));
    settings_unref(&settings);
    *state = bed;
    return 0;
}

static void remove_folder(const char *path_cstr, int fd)
{
    DIR *folder = opendir(path_cstr);
    struct dirent *entry;

    while ((entry = readdir(folder)) != NULL)
        (void)unlinkat(fd, entry->d_name, 0);
    closedir(folder);
    close(fd);
    rmdir(path_cstr);
}

static int tear_down(void **state)
{
    struct bed *bed = *state;

    scribe_free(&bed->scribe);
    spool_writer_close(&bed->writer);
    spool_keyring_free(&bed->ring);
    recipient_key_free(&bed->key);
    remove_folder(bed->queue_cstr, bed->queue_fd);
    remove_folder(bed->portal_cstr, bed->portal_fd);
    buffer_deinit(&bed->answer);
    free(bed);
    return 0;
}

/* A message in the queue, as smtpd leaves it, and its key, as the keeper hands it out. */
static void store(struct bed *bed, struct slice text, struct content_ref *ref,
                  struct secret *key)
{
    struct spool_message *message = spool_message_begin(bed->writer);
    struct err err;

    assert_true(spool_message_write(message, text, &err));
    assert_true(spool_message_finish(&message, ref, &err));
    assert_true(spool_keyring_open(bed->ring, ref, key, &err));
}

static void load(struct bed *bed, const struct content_ref *ref, struct buffer *out)
{
    struct spool_reader *reader;
    struct secret key;
    struct slice piece;
    struct err err;

    buffer_clear(out);
    assert_true(spool_keyring_open(bed->ring, ref, &key, &err));
    assert_true(spool_reader_open(bed->queue_fd, ref, &key, &reader, &err));
    do {
        assert_true(spool_reader_next(reader, &piece, &err));
        assert_true(buffer_append(out, piece));
    } while (piece.len > 0);
    spool_reader_close(&reader);
}

static bool holds(const struct buffer *mail, struct slice words)
{
    return slice_find_nocase(buffer_view(mail), words) < buffer_len(mail);
}

static void ask(struct bed *bed, enum ipc_type type, const union ipc_any *message)
{
    size_t before = bed->answers;

    scribe_on_message(bed->scribe, type, message);
    while (scribe_has_work(bed->scribe))
        scribe_work(bed->scribe);
    assert_int_equal(bed->answers, before + 1);
}

static void test_signing(void **state)
{
    struct bed *bed = *state;
    union ipc_any question = {.sign = {.ask = 5, .domain = S("clinic.test")}};
    const union ipc_any *answer;

    store(bed, S(MESSAGE), &question.sign.content, &question.sign.data_key);
    ask(bed, IPC_SIGN, &question);
    answer = answered(bed, IPC_SIGNATURE);
    assert_int_equal(answer->signature.ask, 5);
    assert_true(answer->signature.ok);
    assert_true(
        slice_starts_with(answer->signature.prefix,
                          S("DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed;\r\n"
                            " d=clinic.test; s=s1; t=")));
    assert_true(slice_ends_with_nocase(answer->signature.prefix, S("==\r\n")));

    question.sign.domain = S("plain.test");
    ask(bed, IPC_SIGN, &question);
    answer = answered(bed, IPC_SIGNATURE);
    assert_true(answer->signature.ok);
    assert_int_equal(answer->signature.prefix.len, 0);
    question.sign.domain = S("stranger.test");
    ask(bed, IPC_SIGN, &question);
    assert_true(answered(bed, IPC_SIGNATURE)->signature.ok);

    question.sign.domain = S("clinic.test");
    question.sign.data_key.bytes[0] ^= 1;
    ask(bed, IPC_SIGN, &question);
    answer = answered(bed, IPC_SIGNATURE);
    assert_false(answer->signature.ok);
    assert_true(answer->signature.text.len > 0);
    assert_int_equal(answer->signature.prefix.len, 0);
}

static union ipc_any copy_question(struct bed *bed, enum reader_proof proof)
{
    union ipc_any question = {.make_portal_copy = {.ask = 9,
                                                   .message = 1000,
                                                   .notice_message = 1001,
                                                   .account = S("clinic"),
                                                   .sender = S("ann@clinic.test"),
                                                   .recipient = S("bob@x.test"),
                                                   .proof = proof,
                                                   .question = S("CANARYQUESTION"),
                                                   .answer = S("Blue bird"),
                                                   .expires_ms = 1798008759000}};

    store(bed, S(MESSAGE), &question.make_portal_copy.content,
          &question.make_portal_copy.data_key);
    return question;
}

/* The token in the notice's link. */
static void find_token(const struct buffer *notice, struct secret *token)
{
    struct slice link = S("https://portal.clinic.test/m/");
    size_t at = slice_find_nocase(buffer_view(notice), link);

    assert_true(at < buffer_len(notice));
    assert_true(portal_token_parse(
        slice_head(slice_from(buffer_view(notice), at + link.len), PORTAL_TOKEN_TEXT), token));
}

/* Open what was made the way the portal does: token of the link, share of the row, answer. */
static void open_copy(struct bed *bed, const struct ipc_portal_copy_made *made,
                      const struct secret *token, const struct secret *answer_key)
{
    struct portal_container *container = NULL;
    const struct portal_manifest *manifest;
    struct secret content_key;
    struct slice piece;
    struct err err = {0};

    assert_int_equal(made->wrapped.len, KEYWRAP_BYTES);
    assert_true(
        portal_key_unwrap(token, &made->share, answer_key, made->wrapped.at, &content_key));
    assert_true(
        portal_container_open(bed->portal_fd, &made->copy, &content_key, &container, &err));
    manifest = portal_container_manifest(container);
    assert_true(slice_equal(manifest->subject, S("CANARYSUBJECT")));
    assert_int_equal(manifest->part_count, 2);
    assert_true(slice_equal(manifest->parts[1].name, S("CANARYFILE.pdf")));
    assert_true(portal_container_part(container, 0, &err));
    assert_true(portal_container_next(container, &piece, &err));
    assert_true(slice_equal(piece, S("CANARYBODY")));
    portal_container_close(&container);
}

static void test_copies_and_their_notices(void **state)
{
    static const enum reader_proof proofs[] = {READER_PROOF_CODE, READER_PROOF_ANSWER,
                                               READER_PROOF_LINK};
    struct bed *bed = *state;
    struct buffer notice;

    buffer_init(&notice, 100000);
    for (size_t i = 0; i < COUNT_OF(proofs); i++) {
        union ipc_any question = copy_question(bed, proofs[i]);
        const struct ipc_portal_copy_made *made;
        uint8_t lookup[PORTAL_LOOKUP_BYTES];
        struct portal_answer answer = {0};
        struct secret token;
        struct err err;

        ask(bed, IPC_MAKE_PORTAL_COPY, &question);
        made = &answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made;
        if (!made->ok)
            fail_msg("%.*s", SLICE_ARGS(made->text));
        assert_int_equal(made->ask, 9);
        load(bed, &made->notice, &notice);
        assert_false(holds(&notice, S("CANARY")));
        assert_true(holds(&notice, S("Subject: News from the clinic\r\n")));
        assert_true(holds(&notice, S("To: <bob@x.test>\r\n")));
        assert_true(holds(&notice, S("ann@clinic.test")));
        find_token(&notice, &token);
        portal_token_lookup(&token, lookup);
        assert_true(slice_equal(made->lookup, slice_of(lookup, sizeof lookup)));
        assert_int_equal(made->salt.len,
                         proofs[i] == READER_PROOF_ANSWER ? PASSWORD_SALT_BYTES : 0);
        assert_int_equal(made->verifier.len,
                         proofs[i] == READER_PROOF_ANSWER ? PORTAL_VERIFIER_BYTES : 0);
        if (proofs[i] == READER_PROOF_ANSWER) {
            assert_true(portal_answer_derive(S("BLUE  bird"), made->salt.at,
                                             PASSWORD_COST_CHEAP, &answer, &err));
            assert_memory_equal(made->verifier.at, answer.verifier, PORTAL_VERIFIER_BYTES);
        }
        open_copy(bed, made, &token, &answer.key);
        /* The keeper's ring is of no use here. */
        assert_false(spool_keyring_open(bed->ring, &made->copy, &token, &err));
    }
    buffer_deinit(&notice);
}

static void test_copies_that_cannot_be_made(void **state)
{
    struct bed *bed = *state;
    union ipc_any question = copy_question(bed, READER_PROOF_CODE);

    question.make_portal_copy.account = S("nobody");
    ask(bed, IPC_MAKE_PORTAL_COPY, &question);
    assert_false(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);

    question.make_portal_copy.account = S("clinic");
    question.make_portal_copy.recipient = S("bob@x.test\r\nBcc: eve@y.test");
    ask(bed, IPC_MAKE_PORTAL_COPY, &question);
    assert_false(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);

    question.make_portal_copy.recipient = S("bob@x.test");
    question.make_portal_copy.proof = 7;
    ask(bed, IPC_MAKE_PORTAL_COPY, &question);
    assert_false(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);

    question.make_portal_copy.proof = READER_PROOF_ANSWER;
    question.make_portal_copy.answer = S("  ");
    ask(bed, IPC_MAKE_PORTAL_COPY, &question);
    assert_false(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);

    question.make_portal_copy.proof = READER_PROOF_CODE;
    question.make_portal_copy.content.segment++;
    ask(bed, IPC_MAKE_PORTAL_COPY, &question);
    assert_false(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);
    assert_true(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.text.len > 0);
}

static void test_mails_are_made(void **state)
{
    static const enum message_kind kinds[] = {KIND_CODE, KIND_RECEIPT, KIND_DSN_FAILURE,
                                              KIND_DSN_DELAY, KIND_DSN_SUCCESS};
    struct bed *bed = *state;
    struct buffer mail;
    union ipc_any question = {.make_mail = {.ask = 3,
                                            .message = 2000,
                                            .original = 1000,
                                            .account = S("clinic"),
                                            .to = S("ann@clinic.test"),
                                            .about = S("bob@x.test"),
                                            .detail = S("123456"),
                                            .header_id = S("1@clinic.test"),
                                            .at_ms = 1795416759000,
                                            .original_ms = 1795416759000,
                                            .until_ms = 1795416759000}};

    buffer_init(&mail, 100000);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        const struct ipc_mail_made *made;

        question.make_mail.kind = kinds[i];
        ask(bed, IPC_MAKE_MAIL, &question);
        made = &answered(bed, IPC_MAIL_MADE)->mail_made;
        assert_true(made->ok);
        assert_true(slice_ends_with_nocase(made->header_id, S("@clinic.test")));
        load(bed, &made->content, &mail);
        assert_true(holds(&mail, S("To: <ann@clinic.test>\r\n")));
        assert_true(holds(&mail, made->header_id));
        assert_true(holds(&mail, S("Auto-Submitted: auto-")));
    }
    /* No account: in the server's own name. */
    question.make_mail.account = S("");
    question.make_mail.kind = KIND_DSN_FAILURE;
    ask(bed, IPC_MAKE_MAIL, &question);
    load(bed, &answered(bed, IPC_MAIL_MADE)->mail_made.content, &mail);
    assert_true(holds(&mail, S("From: \"Mail delivery\" <postmaster@gate.clinic.test>\r\n")));

    question.make_mail.kind = KIND_SUBMITTED;
    ask(bed, IPC_MAKE_MAIL, &question);
    assert_false(answered(bed, IPC_MAIL_MADE)->mail_made.ok);
    question.make_mail.kind = KIND_CODE;
    question.make_mail.to = S("nobody");
    ask(bed, IPC_MAKE_MAIL, &question);
    assert_false(answered(bed, IPC_MAIL_MADE)->mail_made.ok);
    buffer_deinit(&mail);
}

/* Lines of a report: sessions of one policy, well and not. */
static void report_lines(struct buffer *lines)
{
    struct ipc_tls_line line = {
        .policy = 2, .policy_domain = S("x.test"), .policy_text = S("v\n"), .sessions = 7};

    assert_true(ipc_list_append(lines, IPC_TLS_LINE, &line));
    line.result = S("certificate-expired");
    line.mx = S("mx.x.test");
    line.sessions = 2;
    assert_true(ipc_list_append(lines, IPC_TLS_LINE, &line));
}

static union ipc_any report_question(const struct buffer *lines, struct slice to)
{
    return (union ipc_any){.make_tls_report = {.ask = 21,
                                               .message = 2100,
                                               .domain = S("x.test"),
                                               .to = to,
                                               .report_id = S("ab12@clinic.test"),
                                               .begin_s = 1795305600,
                                               .end_s = 1795392000,
                                               .lines = buffer_view(lines)}};
}

/* What was written is read again, by the way that strangers' reports come. */
static void test_reports_about_tls(void **state)
{
    struct bed *bed = *state;
    struct buffer lines, mail;
    union ipc_any question;
    const union ipc_any *answer;

    buffer_init(&lines, 10000);
    buffer_init(&mail, 100000);
    report_lines(&lines);
    question = report_question(&lines, S("rua@x.test"));
    ask(bed, IPC_MAKE_TLS_REPORT, &question);
    answer = answered(bed, IPC_TLS_REPORT_MADE);
    assert_true(answer->tls_report_made.ok);
    assert_int_equal(answer->tls_report_made.ask, 21);
    assert_int_equal(answer->tls_report_made.gzip.len, 0);
    load(bed, &answer->tls_report_made.content, &mail);
    assert_true(holds(&mail, S("From: \"TLS reports\" <tls@clinic.test>\r\n")));
    assert_true(holds(&mail, S("To: <rua@x.test>\r\n")));
    assert_true(holds(&mail, S("TLS-Report-Submitter: clinic.test\r\n")));

    question = (union ipc_any){.read_tls_report = {.ask = 22}};
    store(bed, buffer_view(&mail), &question.read_tls_report.content,
          &question.read_tls_report.data_key);
    ask(bed, IPC_READ_TLS_REPORT, &question);
    answer = answered(bed, IPC_TLS_REPORT_READ);
    assert_true(answer->tls_report_read.ok && answer->tls_report_read.is_report);
    assert_true(slice_equal(answer->tls_report_read.organisation, S("The Clinic")));
    assert_true(slice_equal(answer->tls_report_read.contact, S("tls@clinic.test")));
    assert_true(slice_equal(answer->tls_report_read.report_id, S("ab12@clinic.test")));
    assert_true(slice_equal(answer->tls_report_read.domain, S("x.test")));
    assert_int_equal(answer->tls_report_read.signer.len, 0);
    assert_int_equal(answer->tls_report_read.begin_s, 1795305600);

    question = report_question(&lines, S(""));
    ask(bed, IPC_MAKE_TLS_REPORT, &question);
    answer = answered(bed, IPC_TLS_REPORT_MADE);
    assert_true(answer->tls_report_made.ok && answer->tls_report_made.gzip.len > 100);
    assert_true(slice_starts_with(answer->tls_report_made.gzip, S("\x1f\x8b")));

    question = report_question(&lines, S("no address"));
    ask(bed, IPC_MAKE_TLS_REPORT, &question);
    assert_false(answered(bed, IPC_TLS_REPORT_MADE)->tls_report_made.ok);
    question = (union ipc_any){.read_tls_report = {.ask = 23}};
    store(bed, S("Subject: x\r\n\r\nno report\r\n"), &question.read_tls_report.content,
          &question.read_tls_report.data_key);
    ask(bed, IPC_READ_TLS_REPORT, &question);
    answer = answered(bed, IPC_TLS_REPORT_READ);
    assert_true(answer->tls_report_read.ok && !answer->tls_report_read.is_report);
    assert_true(answer->tls_report_read.why.len > 0);
    /* Damaged for good: it will not be read tomorrow either. */
    question.read_tls_report.data_key.bytes[0] ^= 1;
    ask(bed, IPC_READ_TLS_REPORT, &question);
    answer = answered(bed, IPC_TLS_REPORT_READ);
    assert_true(answer->tls_report_read.ok && !answer->tls_report_read.is_report);
    buffer_deinit(&lines);
    buffer_deinit(&mail);
}

static void test_passwords(void **state)
{
    struct bed *bed = *state;
    char hash_cstr[PASSWORD_HASH_SIZE];
    union ipc_any question = {.password_verify = {.ask = 1, .password = S("secret")}};
    struct err err;

    assert_true(password_hash(S("secret"), PASSWORD_COST_CHEAP, hash_cstr, &err));
    question.password_verify.hash = slice_from_cstr(hash_cstr);
    ask(bed, IPC_PASSWORD_VERIFY, &question);
    assert_true(answered(bed, IPC_PASSWORD_VERIFIED)->password_verified.ok);
    question.password_verify.password = S("Secret");
    ask(bed, IPC_PASSWORD_VERIFY, &question);
    assert_false(answered(bed, IPC_PASSWORD_VERIFIED)->password_verified.ok);
    question.password_verify.hash = S("");
    ask(bed, IPC_PASSWORD_VERIFY, &question);
    assert_false(answered(bed, IPC_PASSWORD_VERIFIED)->password_verified.ok);
    assert_false(answered(bed, IPC_PASSWORD_VERIFIED)->password_verified.overloaded);
}

static void test_answers(void **state)
{
    static const uint8_t salt[PASSWORD_SALT_BYTES] = "sixteen bytes...";
    struct bed *bed = *state;
    struct portal_answer want;
    union ipc_any question = {.hash_answer = {.ask = 1,
                                              .salt = slice_of(salt, sizeof salt),
                                              .answer = S(" Blue BIRD")}};
    const struct ipc_answer_hashed *got;
    struct err err;

    assert_true(portal_answer_derive(S("blue bird"), salt, PASSWORD_COST_CHEAP, &want, &err));
    ask(bed, IPC_HASH_ANSWER, &question);
    got = &answered(bed, IPC_ANSWER_HASHED)->answer_hashed;
    assert_true(got->ok && secret_equal(&got->key, &want.key));
    assert_true(slice_equal(got->verifier, slice_of(want.verifier, sizeof want.verifier)));
    /* Nothing typed is a wrong answer, not a failure. */
    question.hash_answer.answer = S("");
    ask(bed, IPC_HASH_ANSWER, &question);
    got = &answered(bed, IPC_ANSWER_HASHED)->answer_hashed;
    assert_true(got->ok && got->verifier.len == PORTAL_VERIFIER_BYTES);
    assert_false(slice_equal(got->verifier, slice_of(want.verifier, sizeof want.verifier)));
    question.hash_answer.salt = S("short");
    ask(bed, IPC_HASH_ANSWER, &question);
    assert_false(answered(bed, IPC_ANSWER_HASHED)->answer_hashed.ok);
}

static void test_slow_work_waits_and_is_bounded(void **state)
{
    struct bed *bed = *state;
    union ipc_any password = {.password_verify = {.hash = S("x"), .password = S("p")}};
    union ipc_any copy = copy_question(bed, READER_PROOF_ANSWER);
    union ipc_any sign = {.sign = {.domain = S("plain.test")}};

    for (int i = 0; i < SCRIBE_PEOPLE_MAX; i++)
        scribe_on_message(bed->scribe, IPC_PASSWORD_VERIFY, &password);
    scribe_on_message(bed->scribe, IPC_MAKE_PORTAL_COPY, &copy);
    assert_int_equal(bed->answers, 0);
    /* Signing does not wait. */
    scribe_on_message(bed->scribe, IPC_SIGN, &sign);
    assert_int_equal(bed->answers, 1);
    answered(bed, IPC_SIGNATURE);
    /* One too many. */
    scribe_on_message(bed->scribe, IPC_PASSWORD_VERIFY, &password);
    assert_true(answered(bed, IPC_PASSWORD_VERIFIED)->password_verified.overloaded);
    /* A copy has its turn soon although people wait. */
    scribe_work(bed->scribe);
    answered(bed, IPC_PASSWORD_VERIFIED);
    scribe_work(bed->scribe);
    assert_true(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ok);
    assert_true(scribe_has_work(bed->scribe));
    assert_int_equal(bed->answers, 4);
}

/* A message of some MiB, of which nothing can be done in one turn. */
static union ipc_any large_sign_question(struct bed *bed, uint64_t ask_id)
{
    union ipc_any question = {.sign = {.ask = ask_id, .domain = S("clinic.test")}};
    size_t head = sizeof MESSAGE - 1, len = 5 << 20;
    uint8_t *text = malloc(len);

    assert_non_null(text);
    memset(text, 'x', len);
    memcpy(text, MESSAGE, head);
    for (size_t at = head + 70; at + 1 < len; at += 70) {
        text[at] = '\r';
        text[at + 1] = '\n';
    }
    store(bed, slice_of(text, len), &question.sign.content, &question.sign.data_key);
    free(text);
    return question;
}

static void test_large_messages_hold_up_nobody(void **state)
{
    struct bed *bed = *state;
    union ipc_any copy = copy_question(bed, READER_PROOF_LINK), small = {0}, large = {0};
    union ipc_any password = {.password_verify = {.hash = S("x"), .password = S("p")}};
    bool is_answered[20] = {false};
    size_t turns = 0;

    small.sign = (struct ipc_sign){.ask = 2, .domain = S("plain.test")};
    for (uint64_t i = 10; i < 16; i++) { /* more than are worked on at a time */
        large = large_sign_question(bed, i);
        scribe_on_message(bed->scribe, IPC_SIGN, &large);
    }
    copy.make_portal_copy.content = large.sign.content;
    copy.make_portal_copy.data_key = large.sign.data_key;
    copy.make_portal_copy.ask = 16;
    scribe_on_message(bed->scribe, IPC_MAKE_PORTAL_COPY, &copy);
    assert_int_equal(bed->answers, 0);
    scribe_on_message(bed->scribe, IPC_SIGN, &small);
    assert_int_equal(bed->answers, 1);
    scribe_on_message(bed->scribe, IPC_PASSWORD_VERIFY, &password);
    scribe_work(bed->scribe);
    answered(bed, IPC_PASSWORD_VERIFIED);
    assert_int_equal(bed->answers, 2);
    for (; scribe_has_work(bed->scribe); turns++) {
        size_t before = bed->answers;

        scribe_work(bed->scribe);
        assert_true(bed->answers - before <= 1);
        if (bed->answers == before)
            continue;
        if (bed->answers < 9) {
            const struct ipc_signature *got = &answered(bed, IPC_SIGNATURE)->signature;

            assert_true(got->ok && got->ask < COUNT_OF(is_answered) && !is_answered[got->ask]);
            is_answered[got->ask] = true;
        } else {
            assert_int_equal(answered(bed, IPC_PORTAL_COPY_MADE)->portal_copy_made.ask, 16);
        }
    }
    assert_int_equal(bed->answers, 9);
    assert_true(turns >= 7 * 4);
    /* What is not finished ends with the scribe: see tear_down. */
    for (uint64_t i = 1; i < 6; i++)
        scribe_on_message(bed->scribe, IPC_SIGN, &large);
    scribe_on_message(bed->scribe, IPC_MAKE_PORTAL_COPY, &copy);
    assert_true(scribe_has_work(bed->scribe));
}

static void test_bad_keys_leave_the_old_ones_in_force(void **state)
{
    struct bed *bed = *state;
    struct settings *settings = make_settings(false);
    union ipc_any question = {.sign = {.domain = S("clinic.test")}};
    struct err err = {0};

    assert_false(scribe_configure(bed->scribe, settings, &err));
    assert_int_equal(err.class, ERR_PERM);
    assert_non_null(strstr(err.text_cstr, "clinic.test"));
    settings_unref(&settings);
    store(bed, S(MESSAGE), &question.sign.content, &question.sign.data_key);
    ask(bed, IPC_SIGN, &question);
    assert_true(answered(bed, IPC_SIGNATURE)->signature.prefix.len > 0);
    settings = make_settings(true);
    assert_true(scribe_configure(bed->scribe, settings, &err));
    settings_unref(&settings);
    scribe_tick(bed->scribe, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_signing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copies_and_their_notices, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_copies_that_cannot_be_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_mails_are_made, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reports_about_tls, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_passwords, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_slow_work_waits_and_is_bounded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_messages_hold_up_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_keys_leave_the_old_ones_in_force, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
