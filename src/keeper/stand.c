/* SPDX-License-Identifier: Apache-2.0 */
#include "keeper/stand.h"

#include "crypto/digest.h"
#include "kit/run.h"
#include "store/message.h"
#include "store/recipient.h"

#include <fcntl.h>
#include <sys/socket.h>

static const char settings_cstr[] =
    "hostname = \"mail.clinic.test\"\n"
    "state = \"%s/state\"\nmaster_key = \"%s/master.key\"\n"
    "account \"clinic\" {\n  organisation = \"The Clinic\" opt_out_allowed = yes\n"
    "  notice_from = \"Clinic <secure@clinic.test>\"\n"
    "  recipient \"asked@portal.test\" { question = \"Pet?\" answer = \"Rex\" proof = answer "
    "}\n"
    "}\n"
    "domain \"clinic.test\" { account = \"clinic\" next_hop = \"inside.clinic.test\" }\n"
    "user \"clerk@clinic.test\" { account = clinic password = \"$argon2id$v=19$m=65536,t=2,p=1$"
    "c29tZXNhbHRzb21lc2Fs$YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY\" }\n"
    "portal { url = \"https://portal.clinic.test\" address = \"127.0.0.1:8443\"\n"
    "  certificate = \"/pc.pem\" key = \"/pk.pem\" }\n";

/* ---- the played roles ---- */

static const struct stand_outcome *outcome_of(const struct stand *stand, struct slice domain)
{
    static const struct stand_outcome good = {.outcome = OUTCOME_DELIVERED,
                                              .level = PROOF_VERIFIED};

    for (size_t i = 0; i < stand->outcome_count; i++)
        if (slice_equal(domain, slice_from_cstr(stand->outcomes[i].domain_cstr)))
            return &stand->outcomes[i];
    return &good;
}

static void note_job(struct stand *stand, const struct ipc_deliver *deliver)
{
    must(buffer_append_format(&stand->jobs, "%s %s %u ", stand->last_from_cstr,
                              stand->last_to_cstr, (unsigned)deliver->requirement.least));
    for (size_t i = 0; i < deliver->prefix.len; i++)
        must(buffer_append_byte(&stand->jobs,
                                deliver->prefix.at[i] < ' ' ? ' ' : deliver->prefix.at[i]));
    must(buffer_append(&stand->jobs, S("|")));
}

static void on_deliver(struct stand *stand, const struct ipc_deliver *deliver)
{
    const struct stand_outcome *outcome = outcome_of(stand, deliver->domain);
    struct ipc_delivered answer = {.job = deliver->job,
                                   .mx = S("mx.example.test"),
                                   .mx_address = S("192.0.2.1"),
                                   .tls = outcome->held_by == 0 ? S("TLSv1.3") : S(""),
                                   .row = outcome->held_by,
                                   .small_hello = outcome->has_small_hello,
                                   .cipher = S("TLS_AES_256_GCM_SHA384"),
                                   .certificate = S("ab12"),
                                   .level = outcome->level,
                                   .unreached = outcome->is_unreached};
    struct slice rest = deliver->recipients;
    struct ipc_recipient item;
    struct buffer list;

    stand->last_job = *deliver;
    must(slice_to_cstr(deliver->mail_from, stand->last_from_cstr, 256));
    must(slice_to_cstr(deliver->domain, stand->last_domain_cstr, 64));
    must(slice_to_cstr(deliver->sts_id, stand->last_sts_id_cstr, STORE_STS_ID_SIZE));
    must(slice_to_cstr(deliver->sts_mx, stand->last_sts_mx_cstr, 256));
    if (outcome->is_silent)
        return;
    buffer_init(&list, 1 << 20);
    while (ipc_list_next(&rest, IPC_RECIPIENT, &item) == PROGRESS_DONE) {
        struct ipc_result result = {.recipient = item.recipient,
                                    .outcome = outcome->outcome,
                                    .code = outcome->is_unreached || outcome->held_by != 0 ? 0
                                            : outcome->outcome == OUTCOME_DELIVERED        ? 250
                                            : outcome->outcome == OUTCOME_PERMANENT        ? 550
                                                                                    : 451,
                                    .enhanced =
                                        outcome->held_by != 0 ? S("4.7.10") : S("2.0.0"),
                                    .reply = S("as the stand says")};

        must(slice_to_cstr(item.address, stand->last_to_cstr, 256));
        note_job(stand, deliver);
        must(ipc_list_append(&list, IPC_RESULT, &result));
        stand->delivered++;
    }
    answer.results = buffer_view(&list);
    if (stand->tells_tls)
        answer.tls_results = buffer_view(&stand->tls_results);
    must(ipc_send(stand->courier, IPC_DELIVERED, &answer));
    buffer_deinit(&list);
}

struct content_ref stand_content(struct stand *stand, enum spool_kind kind, struct slice plain)
{
    struct spool_message *message =
        spool_message_begin(kind == SPOOL_QUEUE ? stand->queue_writer : stand->portal_writer);
    struct content_ref ref;
    struct err err = {0};

    must(spool_message_write(message, plain, &err));
    must(spool_message_finish(&message, &ref, &err));
    must(spool_writer_sync(kind == SPOOL_QUEUE ? stand->queue_writer : stand->portal_writer,
                           &err));
    return ref;
}

void stand_parcel(struct stand *stand, struct slice plain, struct ipc_accept *accept)
{
    struct spool_message *message = spool_message_begin(stand->queue_writer);
    struct spool_parcel parcel;
    struct err err = {0};

    must(spool_message_write(message, plain, &err));
    spool_message_seal(&message, &parcel);
    accept->content = (struct content_ref){.plain_bytes = parcel.plain_bytes,
                                           .sealed_bytes = parcel.sealed.len};
    accept->sealed = parcel.sealed;
    accept->data_key = parcel.data_key;
}

static void on_make_copy(struct stand *stand, const struct ipc_make_portal_copy *wish)
{
    struct ipc_portal_copy_made made = {.ask = wish->ask, .ok = true};
    uint8_t wrapped[KEYWRAP_BYTES] = {7}, salt[16] = {9};

    stand->copies++;
    if (stand->holds_copies)
        return;
    stand->proof = (unsigned)wish->proof;
    sha256(slice_of(&wish->ask, sizeof wish->ask), stand->lookup);
    sha256(wish->answer, stand->verifier);
    made.lookup = slice_of(stand->lookup, 32);
    memset(made.share.bytes, 5, sizeof made.share.bytes);
    made.wrapped = slice_of(wrapped, sizeof wrapped);
    if (wish->proof == READER_PROOF_ANSWER) {
        made.salt = slice_of(salt, sizeof salt);
        made.verifier = slice_of(stand->verifier, 32);
    }
    made.copy = stand_content(stand, SPOOL_PORTAL, S("sealed copy"));
    made.notice = stand_content(stand, SPOOL_QUEUE, S("you have a message"));
    must(ipc_send(stand->scribe, IPC_PORTAL_COPY_MADE, &made));
}

static void on_make_mail(struct stand *stand, const struct ipc_make_mail *wish)
{
    struct ipc_mail_made made = {.ask = wish->ask, .ok = true, .header_id = S("x@clinic.test")};

    stand->last_mail_kind = (unsigned)wish->kind;
    stand->kinds_made[wish->kind]++;
    must(slice_to_cstr(wish->to, stand->mail_to_cstr, sizeof stand->mail_to_cstr));
    must(slice_to_cstr(wish->detail, stand->mail_detail_cstr, sizeof stand->mail_detail_cstr));
    made.content = stand_content(stand, SPOOL_QUEUE, S("a mail of ours"));
    must(ipc_send(stand->scribe, IPC_MAIL_MADE, &made));
}

static void on_make_report(struct stand *stand, const struct ipc_make_tls_report *wish)
{
    struct ipc_tls_report_made made = {.ask = wish->ask, .ok = true};

    stand->reports_made++;
    must(slice_to_cstr(wish->to, stand->report_to_cstr, sizeof stand->report_to_cstr));
    must(slice_to_cstr(wish->report_id, stand->report_id_cstr, sizeof stand->report_id_cstr));
    buffer_clear(&stand->report_lines);
    must(buffer_append(&stand->report_lines, wish->lines));
    if (wish->to.len > 0) {
        made.header_id = S("report@rep.test");
        made.content = stand_content(stand, SPOOL_QUEUE, S("a report"));
    } else {
        made.gzip = S("a compressed report");
    }
    must(ipc_send(stand->scribe, IPC_TLS_REPORT_MADE, &made));
}

static void on_scribe(void *context, struct ipc_channel *channel, enum ipc_type type,
                      const union ipc_any *message)
{
    struct stand *stand = context;

    (void)channel;
    if (stand->scribe_is_dead)
        return;
    if (type == IPC_MAKE_PORTAL_COPY)
        on_make_copy(stand, &message->make_portal_copy);
    if (type == IPC_MAKE_MAIL)
        on_make_mail(stand, &message->make_mail);
    if (type == IPC_MAKE_TLS_REPORT)
        on_make_report(stand, &message->make_tls_report);
    if (type == IPC_READ_TLS_REPORT) {
        struct ipc_tls_report_read read = stand->reported;

        read.ask = message->read_tls_report.ask;
        stand->reports_read++;
        must(ipc_send(stand->scribe, IPC_TLS_REPORT_READ, &read));
    }
    if (type == IPC_SIGN) {
        struct ipc_signature signature = {
            .ask = message->sign.ask, .ok = true, .prefix = S("DKIM-Signature: x\r\n")};

        must(ipc_send(stand->scribe, IPC_SIGNATURE, &signature));
    }
    if (type == IPC_PASSWORD_VERIFY) {
        struct ipc_password_verified verified = {
            .ask = message->password_verify.ask,
            .ok = slice_equal(message->password_verify.password, S("right"))};

        stand->verifications++;
        must(ipc_send(stand->scribe, IPC_PASSWORD_VERIFIED, &verified));
    }
    if (type == IPC_HASH_ANSWER) {
        struct ipc_answer_hashed hashed = {.ask = message->hash_answer.ask, .ok = true};
        uint8_t verifier[32];

        sha256(message->hash_answer.answer, verifier);
        hashed.verifier = slice_of(verifier, 32);
        must(ipc_send(stand->scribe, IPC_ANSWER_HASHED, &hashed));
    }
}

static void on_courier(void *context, struct ipc_channel *channel, enum ipc_type type,
                       const union ipc_any *message)
{
    (void)channel;
    struct stand *stand = context;

    if (type == IPC_HOST_KNOWN) {
        stand->host = message->host_known;
        stand->hosts_known++;
    }
    if (type == IPC_DELIVER)
        on_deliver(stand, &message->deliver);
}

static void on_smtpd(void *context, struct ipc_channel *channel, enum ipc_type type,
                     const union ipc_any *message)
{
    struct stand *stand = context;

    (void)channel;
    if (type == IPC_ACCEPT_RESULT) {
        stand->last_code = (unsigned)message->accept_result.code;
        stand->accepted += message->accept_result.ok ? 1 : 0;
        stand->refused += message->accept_result.ok ? 0 : 1;
    }
    if (type == IPC_RCPT_RESULT)
        stand->rcpt_code = (unsigned)message->rcpt_result.code;
    if (type == IPC_AUTH_RESULT) {
        stand->auth = message->auth_result;
        stand->auths++;
    }
}

static void on_portal(void *context, struct ipc_channel *channel, enum ipc_type type,
                      const union ipc_any *message)
{
    struct stand *stand = context;

    (void)channel;
    if (type == IPC_PORTAL_VIEW) {
        stand->view = message->portal_view;
        stand->views++;
    }
    if (type == IPC_PORTAL_OPENED) {
        stand->opened = message->portal_opened;
        must(
            slice_to_cstr(message->portal_opened.recipient, stand->opened_recipient_cstr, 256));
        must(slice_to_cstr(message->portal_opened.sender, stand->opened_sender_cstr, 256));
        if (message->portal_opened.session.len == 32)
            memcpy(stand->session, message->portal_opened.session.at, 32);
        stand->openings++;
    }
    if (type == IPC_PORTAL_DONE) {
        stand->done = message->portal_done;
        stand->dones++;
    }
}

static void on_office(void *context, struct ipc_channel *channel, enum ipc_type type,
                      const union ipc_any *message)
{
    struct stand *stand = context;

    (void)channel;
    if (type != IPC_CONTROL_RESULT)
        return;
    must(buffer_append(&stand->json, message->control_result.answer));
    stand->json_is_whole = !message->control_result.more;
}

static void on_scout(void *context, struct ipc_channel *channel, enum ipc_type type,
                     const union ipc_any *message)
{
    struct stand *stand = context;
    struct ipc_sts_found found = stand->sts;

    (void)channel;
    if (type == IPC_RUA_FIND) {
        struct ipc_rua_found rua = stand->rua;

        rua.ask = message->rua_find.ask;
        stand->rua_asked++;
        must(ipc_send(stand->scout, IPC_RUA_FOUND, &rua));
    }
    if (type == IPC_REPORT_POST) {
        struct ipc_report_posted posted = stand->posted;

        posted.ask = message->report_post.ask;
        stand->posts++;
        must(slice_to_cstr(message->report_post.url, stand->posted_cstr,
                           sizeof stand->posted_cstr));
        must(ipc_send(stand->scout, IPC_REPORT_POSTED, &posted));
    }
    if (type != IPC_STS_FIND)
        return;
    stand->sts_asks++;
    must(slice_to_cstr(message->sts_find.known_id, stand->sts_known_cstr,
                       sizeof stand->sts_known_cstr));
    found.ask = stand->sts_last_ask = message->sts_find.ask;
    if (found.outcome == STS_OUTCOME_POLICY &&
        slice_equal(found.id, message->sts_find.known_id))
        found.outcome = STS_OUTCOME_SAME;
    if (!stand->scout_is_silent)
        must(ipc_send(stand->scout, IPC_STS_FOUND, &found));
}

static void on_closed(void *context, struct ipc_channel *channel, const struct err *why)
{
    (void)context;
    (void)channel;
    (void)why;
}

/* ---- the stand itself ---- */

static struct ipc_channel *play(struct stand *stand, enum ipc_role role, ipc_message_fn *fn)
{
    int fds[2];

    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    keeper_attach(stand->keeper, role, 0, fds[0]);
    return ipc_channel_new(stand->loop, fds[1], fn, on_closed, stand);
}

void stand_play_courier(struct stand *stand, int fds[2])
{
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    keeper_attach(stand->keeper, ROLE_COURIER, 0, fds[0]);
    stand->courier = ipc_channel_new(stand->loop, fds[1], on_courier, on_closed, stand);
}

void stand_play_scout(struct stand *stand)
{
    ipc_channel_free(&stand->scout);
    stand->scout = play(stand, ROLE_SCOUT, on_scout);
}

static int open_folder(struct stand *stand, const char *name_cstr)
{
    char path_cstr[160];
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s/state/%s", stand->folder_cstr, name_cstr);
    fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(fd >= 0);
    return fd;
}

void stand_start(struct stand *stand)
{
    struct err err = {0};

    if (!keeper_open(stand->loop, stand->settings, 0, &stand->keeper, &err)) {
        fprintf(stderr, "keeper_open: %s\n", err.text_cstr);
        abort();
    }
    must(recipient_certificate_parse(keeper_certificate(stand->keeper), &stand->certificate,
                                     &err));
    stand->ids.maker = 5;
    stand->queue_fd = open_folder(stand, "queue");
    stand->portal_fd = open_folder(stand, "portal");
    stand->queue_writer =
        spool_writer_open(stand->queue_fd, SPOOL_QUEUE, &stand->ids, stand->certificate, NULL);
    stand->portal_writer = spool_writer_open(stand->portal_fd, SPOOL_PORTAL, &stand->ids,
                                             stand->certificate, NULL);
    stand->smtpd = play(stand, ROLE_SMTPD, on_smtpd);
    stand->courier = play(stand, ROLE_COURIER, on_courier);
    stand->scribe = play(stand, ROLE_SCRIBE, on_scribe);
    stand->portal = play(stand, ROLE_PORTAL, on_portal);
    stand->office = play(stand, ROLE_OFFICE, on_office);
    stand->scout = play(stand, ROLE_SCOUT, on_scout);
}

static struct settings *read_settings(const struct stand *stand, const char *more_cstr)
{
    char text_cstr[8192], key_cstr[256] = "postern-master-key-1 1 "
                                          "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n";
    struct settings *settings = NULL;
    struct err err = {0};
    size_t len;

    len = (size_t)snprintf(text_cstr, sizeof text_cstr, settings_cstr, stand->folder_cstr,
                           stand->folder_cstr);
    snprintf(text_cstr + len, sizeof text_cstr - len, "%s", more_cstr);
    if (!settings_parse(slice_from_cstr(text_cstr), "/test.conf", &settings, &err)) {
        fprintf(stderr, "settings: %s\n", err.text_cstr);
        abort();
    }
    settings_file_put(settings, slice_from_cstr(settings->master_key.path_cstr),
                      slice_from_cstr(key_cstr));
    return settings;
}

void stand_open(struct stand *stand, const char *more_cstr)
{
    memset(stand, 0, sizeof *stand);
    buffer_init(&stand->json, 64 << 20);
    buffer_init(&stand->jobs, 64 << 20);
    buffer_init(&stand->tls_results, 1 << 20);
    buffer_init(&stand->report_lines, 1 << 20);
    kit_make_folder(stand->folder_cstr);
    stand->settings = read_settings(stand, more_cstr);
    stand->sts = (struct ipc_sts_found){.outcome = STS_OUTCOME_NONE, .ttl_s = 3600};
    stand->loop = loop_new();
    stand_start(stand);
}

void stand_configure(struct stand *stand, const char *more_cstr)
{
    struct settings *settings = read_settings(stand, more_cstr);
    struct err err = {0};

    must(keeper_configure(stand->keeper, settings, &err));
    settings_unref(&stand->settings);
    stand->settings = settings;
}

static void stop(struct stand *stand)
{
    ipc_channel_free(&stand->smtpd);
    ipc_channel_free(&stand->courier);
    ipc_channel_free(&stand->scribe);
    ipc_channel_free(&stand->portal);
    ipc_channel_free(&stand->office);
    ipc_channel_free(&stand->scout);
    spool_writer_close(&stand->queue_writer);
    spool_writer_close(&stand->portal_writer);
    close(stand->queue_fd);
    close(stand->portal_fd);
    recipient_certificate_free(&stand->certificate);
}

void stand_restart(struct stand *stand, bool hard)
{
    /* Hard: results that wait for company are lost, as in a crash. */
    if (hard) {
        inbox_deinit(&stand->keeper->inbox);
        inbox_init(&stand->keeper->inbox, stand->keeper);
    }
    keeper_close(&stand->keeper);
    stop(stand);
    stand_start(stand);
}

void stand_close(struct stand *stand)
{
    keeper_close(&stand->keeper);
    stop(stand);
    settings_unref(&stand->settings);
    loop_free(&stand->loop);
    buffer_deinit(&stand->json);
    buffer_deinit(&stand->tls_results);
    buffer_deinit(&stand->report_lines);
    buffer_deinit(&stand->jobs);
    kit_remove_folder(stand->folder_cstr);
}

static void pass_time(struct stand *stand)
{
    loop_run_once(stand->loop);
    usleep(200);
}

void stand_run(struct stand *stand, int64_t ms)
{
    int64_t until_ms = loop_now_ms() + ms, turns = 2 * ms;

    do
        pass_time(stand);
    while (--turns > 0 || loop_now_ms() < until_ms);
}

void stand_wait(struct stand *stand, const uint64_t *counter, uint64_t wanted)
{
    int64_t until_ms = loop_now_ms() + 30000;

    while (*counter < wanted && loop_now_ms() < until_ms)
        pass_time(stand);
}

void stand_outcome(struct stand *stand, const char *domain_cstr, enum delivery_outcome outcome,
                   enum proof_level level)
{
    struct stand_outcome *row = &stand->outcomes[stand->outcome_count++];

    must(stand->outcome_count <= COUNT_OF(stand->outcomes));
    snprintf(row->domain_cstr, sizeof row->domain_cstr, "%s", domain_cstr);
    row->outcome = outcome;
    row->level = level;
}

uint64_t stand_submit(struct stand *stand, const struct stand_mail *mail)
{
    struct slice rest = slice_from_cstr(mail->to_cstr);
    struct ipc_accept accept = {
        .ask = 1,
        .message = id_next(&stand->ids, clock_unix_ms()),
        .kind = mail->kind,
        .account = mail->kind == KIND_INBOUND ? S("") : S("clinic"),
        .user = mail->kind == KIND_INBOUND ? S("") : S("clerk@clinic.test"),
        .requiretls = mail->requiretls,
        .tls_required_no = mail->tls_required_no,
        .delivered_to = slice_from_cstr(mail->delivered_to_cstr),
        .mail_from =
            slice_from_cstr(mail->from_cstr == NULL ? "clerk@clinic.test" : mail->from_cstr),
        .envid = slice_from_cstr(mail->envid_cstr),
        .received_by = S("ESMTPSA TLSv1.3 from 192.0.2.9"),
        .header_id = S("original@clinic.test"),
        .encrypt = mail->encrypt,
        .receipt = mail->receipt,
        .proof = mail->proof,
        .answer = slice_from_cstr(mail->answer_cstr),
    };
    struct buffer list;

    buffer_init(&list, 1 << 20);
    while (rest.len > 0) {
        struct ipc_recipient item = {.address = slice_cut(&rest, ' '), .notify = mail->notify};

        must(ipc_list_append(&list, IPC_RECIPIENT, &item));
    }
    accept.recipients = buffer_view(&list);
    stand_parcel(stand, S("Subject: canary-subject\r\n\r\nx\r\n"), &accept);
    must(ipc_send(stand->smtpd, IPC_ACCEPT, &accept));
    buffer_deinit(&list);
    return accept.message;
}

unsigned stand_check(struct stand *stand, const char *address_cstr)
{
    struct ipc_rcpt_check check = {.ask = 3, .address = slice_from_cstr(address_cstr)};
    int64_t until_ms = loop_now_ms() + 2000;

    stand->rcpt_code = 0;
    must(ipc_send(stand->smtpd, IPC_RCPT_CHECK, &check));
    while (stand->rcpt_code == 0 && loop_now_ms() < until_ms)
        pass_time(stand);
    return stand->rcpt_code;
}

unsigned stand_state(struct stand *stand, uint64_t message, uint64_t number)
{
    struct store_recipient row;

    return store_recipient_get(stand->keeper->store, message, number, &row) ? row.state : 0;
}

const char *stand_control(struct stand *stand, const char *request_cstr)
{
    struct ipc_control control = {.ask = 9, .request = slice_from_cstr(request_cstr)};
    int64_t until_ms = loop_now_ms() + 2000;

    buffer_clear(&stand->json);
    stand->json_is_whole = false;
    must(ipc_send(stand->office, IPC_CONTROL, &control));
    while (!stand->json_is_whole && loop_now_ms() < until_ms)
        pass_time(stand);
    must(buffer_append_byte(&stand->json, '\0'));
    return (const char *)buffer_view(&stand->json).at;
}
