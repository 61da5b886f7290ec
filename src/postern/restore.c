/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `postern restore`: a backup into an empty state folder. Every byte is compared with the manifest
 * on its way, then everything is verified with the master key; only then does the database get its
 * name. A file beside it makes the keeper take back again, before anything else, what was taken back
 * since (keeper/restored.h).
 */
#include "postern/backup_folder.h"
#include "postern/commands.h"
#include "postern/files.h"
#include "postern/options.h"

#include "base/id.h"
#include "keeper/restored.h"
#include "keeper/retractions.h"
#include "keeper/verify.h"
#include "os/bind.h"
#include "settings/settings.h"
#include "store/master.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PROBLEMS_PRINTED = 20 };

#define UNDER_WAY "postern.db.restoring"

static const char help_cstr[] =
    "usage: postern restore FOLDER [--hold] [--retractions FILE] [-c FILE]\n\n"
    "Puts a backup into the settings' state folder, which must be empty, and checks all of "
    "it.\n"
    "The master key file that the settings name must be there: a backup holds none (unless it "
    "was\n"
    "made so). What was taken back since the backup stays taken back, as far as the newest "
    "list in\n"
    "FOLDER (postern backup --retractions) or FILE knows.\n\n"
    "  --hold              deliver nothing of it until: postern queue release everything\n"
    "  --retractions FILE  a newer list: STATE/retractions of the machine that was lost\n"
    "  --despite-damage    restore what can be read, whatever is missing or changed\n"
    "  -c FILE             settings, default " DEFAULT_SETTINGS_PATH "\n";

struct arguments {
    const char *settings_cstr, *folder_cstr, *retractions_cstr;
    bool is_held, is_damaged;
};

struct job {
    const struct arguments *arguments;
    struct settings *settings;
    struct owner owner;
    struct buffer master;
    int from_fd, state_fd, lock_fd;
    struct manifest manifest;
    uint64_t retractions, printed;
};

/* ---- before anything is written ---- */

/* What a package or a first, broken start leaves may be there. */
static bool may_be_there(int dir_fd, const char *name_cstr)
{
    static const char *const names[] = {".", "..", "lost+found", "lock", "keeper.lock"};

    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strcmp(name_cstr, names[i]) == 0)
            return true;
    /* An empty folder can be removed; one that holds anything cannot. */
    return (strcmp(name_cstr, "queue") == 0 || strcmp(name_cstr, "portal") == 0) &&
           unlinkat(dir_fd, name_cstr, AT_REMOVEDIR) == 0;
}

static bool check_empty(const char *state_cstr, int state_fd)
{
    int fd = openat(state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool is_empty = folder != NULL;

    if (folder == NULL)
        return complain("cannot read %s", state_cstr);
    while (is_empty && (entry = readdir(folder)) != NULL)
        is_empty = may_be_there(state_fd, entry->d_name);
    closedir(folder);
    return is_empty ||
           complain(
               "%s is not empty: a backup is restored into an empty state folder only. If what "
               "lies there is of no use any more, move it away",
               state_cstr);
}

static bool read_master(struct job *job)
{
    const char *path_cstr = job->settings->master_key.path_cstr;
    struct err err = {0};

    if (files_read(path_cstr, MASTER_FILE_MAX_BYTES, &job->master, &err))
        return true;
    complain_err("", &err);
    if (job->manifest.has_master)
        return complain("the master key is needed first; this backup holds a copy: %s/%s",
                        job->arguments->folder_cstr, MANIFEST_MASTER_NAME);
    return complain("the master key is needed first: put it back from where you keep it, or: "
                    "postern key restore COPY %s",
                    path_cstr);
}

static bool open_backup(struct job *job)
{
    struct err err = {0};

    job->from_fd = open(job->arguments->folder_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->from_fd < 0)
        return complain("cannot open the backup: %s", strerror(errno));
    if (backup_folder_read(job->from_fd, &job->manifest, &err))
        return true;
    if (err.class == ERR_NONE)
        return complain("%s holds no backup that was ever complete: there is no manifest",
                        job->arguments->folder_cstr);
    return complain_err(job->arguments->folder_cstr, &err);
}

static bool open_state(struct job *job)
{
    const char *state_cstr = job->settings->state_dir_cstr;
    struct err err = {0};

    if (geteuid() == 0 && !owner_find(job->settings->user_cstr, &job->owner))
        (void)fprintf(stderr, "postern: there is no user %s: the files will be root's\n",
                      job->settings->user_cstr);
    if (!folder_make(state_cstr, job->owner, &err) ||
        !files_lock_stopped(state_cstr, &job->lock_fd, &err))
        return complain_err("", &err);
    job->state_fd = open(state_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (job->state_fd < 0)
        return complain("cannot open %s", state_cstr);
    return check_empty(state_cstr, job->state_fd);
}

/* ---- copying ---- */

static bool give_away(const struct job *job, int fd)
{
    return geteuid() != 0 || job->owner.user == (uid_t)-1 ||
           fchown(fd, job->owner.user, job->owner.group) == 0;
}

static int make_file(const struct job *job, int dir_fd, const char *name_cstr)
{
    int fd =
        openat(dir_fd, name_cstr, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd >= 0 && give_away(job, fd))
        return fd;
    complain("cannot write to the state folder: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

/* True when the piece is whole, or damage is accepted. */
static bool copy_piece(const struct job *job, const char *name_cstr, int from_fd, int to_fd,
                       uint64_t from, uint64_t to, const uint8_t digest[SHA256_BYTES])
{
    const struct files_copy copy = {.from_fd = from_fd, .to_fd = to_fd, .from = from, .to = to};
    uint8_t got[SHA256_BYTES];
    struct err err = {0};

    if (files_copy(&copy, got, &err)) {
        if (memcmp(got, digest, sizeof got) == 0)
            return true;
        FAIL(&err, ERR_PERM, "bytes %llu to %llu were changed since the backup was made",
             (unsigned long long)from, (unsigned long long)to);
    }
    complain_err(name_cstr, &err);
    return job->arguments->is_damaged && err.class == ERR_PERM;
}

static bool copy_database(struct job *job)
{
    const struct manifest *manifest = &job->manifest;
    int from_fd =
        openat(job->from_fd, manifest->database_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int to_fd = from_fd < 0 ? -1 : make_file(job, job->state_fd, UNDER_WAY);
    bool is_good = to_fd >= 0 &&
                   copy_piece(job, manifest->database_cstr, from_fd, to_fd, 0,
                              manifest->database_bytes, manifest->database_digest) &&
                   (fsync(to_fd) == 0 || complain("cannot write: %s", strerror(errno)));

    if (from_fd < 0)
        complain("the backup's database %s is not there", manifest->database_cstr);
    else
        close(from_fd);
    if (to_fd >= 0)
        close(to_fd);
    return is_good;
}

/* Pieces first.. of one segment; *end_out: where the next segment's begin. */
static bool copy_segment(struct job *job, size_t first, int from_dir_fd, int to_dir_fd,
                         size_t *end_out)
{
    const struct manifest_piece *pieces = job->manifest.pieces;
    char name_cstr[SPOOL_NAME_SIZE];
    int from_fd, to_fd;
    bool is_good;
    size_t at = first;

    spool_segment_name(pieces[first].segment, name_cstr);
    while (at < job->manifest.piece_count && pieces[at].segment == pieces[first].segment)
        at++;
    *end_out = at;
    from_fd = openat(from_dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from_fd < 0)
        return complain("the backup's segment %s is not there", name_cstr) ||
               job->arguments->is_damaged;
    to_fd = make_file(job, to_dir_fd, name_cstr);
    is_good = to_fd >= 0;
    for (size_t i = first; is_good && i < at; i++)
        is_good = copy_piece(job, name_cstr, from_fd, to_fd, pieces[i].from, pieces[i].to,
                             pieces[i].digest);
    is_good = is_good && (fsync(to_fd) == 0 || complain("cannot write: %s", strerror(errno)));
    close(from_fd);
    if (to_fd >= 0)
        close(to_fd);
    return is_good;
}

static bool copy_kind(struct job *job, enum spool_kind kind, size_t *at)
{
    const char *name_cstr = kind == SPOOL_QUEUE ? "queue" : "portal";
    struct err err = {0};
    int to_fd = files_folder(job->state_fd, name_cstr, &err), from_fd;
    bool is_good;

    if (to_fd < 0)
        return complain_err("", &err);
    from_fd = openat(job->from_fd, name_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_good = give_away(job, to_fd);
    while (is_good && *at < job->manifest.piece_count && job->manifest.pieces[*at].kind == kind)
        is_good = copy_segment(job, *at, from_fd, to_fd, at);
    is_good = is_good && (fsync(to_fd) == 0 || complain("cannot write: %s", strerror(errno)));
    if (from_fd >= 0)
        close(from_fd);
    close(to_fd);
    return is_good;
}

/* ---- what was taken back since ---- */

static bool add_retractions(struct job *job, const char *path_cstr, bool must_be_there,
                            struct buffer *out)
{
    size_t before = buffer_len(out);
    struct err err = {0};
    struct slice text;

    if (!must_be_there && access(path_cstr, F_OK) != 0)
        return true;
    if (!files_read(path_cstr, RETRACTIONS_MAX_BYTES, out, &err))
        return complain_err("", &err);
    for (text = slice_from(buffer_view(out), before); text.len > 0;) {
        struct slice line = slice_cut(&text, '\n');
        struct retraction_line ignored;

        if (retraction_parse(NULL, line, &ignored))
            job->retractions++;
    }
    return buffer_len(out) == before || buffer_view(out).at[buffer_len(out) - 1] == '\n' ||
           buffer_append_byte(out, '\n');
}

static bool put_file(struct job *job, const char *name_cstr, struct slice bytes)
{
    struct err err = {0};
    int fd;
    bool is_good;

    if (!files_replace(job->state_fd, name_cstr, bytes, &err))
        return complain_err("", &err);
    fd = openat(job->state_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    is_good = fd >= 0 && give_away(job, fd);
    if (fd >= 0)
        close(fd);
    return is_good || complain("cannot give %s to the server's user", name_cstr);
}

static bool put_orders(struct job *job)
{
    char path_cstr[4352];
    struct buffer lines;
    bool is_good;

    buffer_init(&lines, RETRACTIONS_MAX_BYTES);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/" RETRACTIONS_NAME,
                   job->arguments->folder_cstr);
    is_good =
        add_retractions(job, path_cstr, false, &lines) &&
        (job->arguments->retractions_cstr == NULL ||
         add_retractions(job, job->arguments->retractions_cstr, true, &lines)) &&
        (buffer_len(&lines) == 0 || put_file(job, RETRACTIONS_NAME, buffer_view(&lines))) &&
        put_file(job, RESTORED_NAME, restored_text(job->arguments->is_held));
    buffer_deinit(&lines);
    return is_good;
}

/* ---- the check, the end ---- */

static void on_problem(void *context, const struct verify_problem *problem)
{
    struct job *job = context;
    char id_text[ID_TEXT_SIZE] = "";

    if (job->printed++ >= PROBLEMS_PRINTED)
        return;
    if (problem->message != 0)
        id_write(problem->message, id_text);
    (void)fprintf(stderr, "  %s: %s%s%s\n", verify_finding_words(problem->finding), id_text,
                  id_text[0] == '\0' ? "" : ": ", problem->detail_cstr);
}

static bool check(struct job *job, struct verify_report *report)
{
    const struct verify_options options = {.state_cstr = job->settings->state_dir_cstr,
                                           .database_cstr = UNDER_WAY,
                                           .master_text = buffer_view(&job->master),
                                           .on_problem = on_problem,
                                           .context = job};
    struct err err = {0};

    if (!verify_run(&options, report, &err))
        return complain_err("", &err);
    if (report->problems == 0)
        return true;
    if (report->problems_of[VERIFY_KEYS] > 0)
        return complain("%s does not open this backup: it belongs to another server",
                        job->settings->master_key.path_cstr);
    return job->arguments->is_damaged ||
           complain("%s",
                    "the backup has problems; --despite-damage restores what can be read");
}

/* Leave the folder as empty as it was, so that the next try is not refused. */
static void undo(const struct job *job)
{
    static const char *const names[] = {UNDER_WAY, RETRACTIONS_NAME, RESTORED_NAME};
    char path_cstr[64], name_cstr[SPOOL_NAME_SIZE];

    for (size_t i = 0; i < COUNT_OF(names); i++)
        (void)unlinkat(job->state_fd, names[i], 0);
    for (size_t i = 0; i < job->manifest.piece_count; i++) {
        spool_segment_name(job->manifest.pieces[i].segment, name_cstr);
        (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s",
                       job->manifest.pieces[i].kind == SPOOL_QUEUE ? "queue" : "portal",
                       name_cstr);
        (void)unlinkat(job->state_fd, path_cstr, 0);
    }
}

static void print_summary(const struct job *job, const struct verify_report *report)
{
    time_t made = (time_t)(job->manifest.made_ms / 1000);
    char made_cstr[32] = "";
    struct tm parts;

    if (gmtime_r(&made, &parts) != NULL)
        (void)strftime(made_cstr, sizeof made_cstr, "%Y-%m-%d %H:%M:%S UTC", &parts);
    (void)printf("%s is restored as it was on %s:\n"
                 "  messages    %llu, %llu of them open\n"
                 "  recipients  %llu on their way or unread\n"
                 "  portal      %llu copies can be read by their links\n"
                 "  taken back  %llu lines are known: what they name stays taken back\n\n",
                 job->settings->state_dir_cstr, made_cstr, (unsigned long long)report->messages,
                 (unsigned long long)report->open_messages,
                 (unsigned long long)report->open_recipients,
                 (unsigned long long)report->open_copies, (unsigned long long)job->retractions);
    if (job->arguments->is_held)
        (void)puts("Nothing of it is delivered before: postern queue release everything");
    else
        (void)puts(
            "When the server starts it delivers what was waiting then. Mail that was\n"
            "delivered after that time is sent a second time; --hold would have kept it.");
    (void)puts("Mail accepted after that time is not in the backup.");
}

static bool fill(struct job *job)
{
    struct verify_report report;
    size_t at = 0;

    if (!copy_database(job) || !copy_kind(job, SPOOL_QUEUE, &at) ||
        !copy_kind(job, SPOOL_PORTAL, &at) || !check(job, &report) || !put_orders(job) ||
        renameat(job->state_fd, UNDER_WAY, job->state_fd, "postern.db") != 0 ||
        fsync(job->state_fd) != 0) {
        undo(job);
        return complain("%s", "nothing was restored");
    }
    print_summary(job, &report);
    return true;
}

static int run_job(const struct arguments *arguments)
{
    struct job job = {.arguments = arguments,
                      .owner = NO_OWNER,
                      .from_fd = -1,
                      .state_fd = -1,
                      .lock_fd = -1};
    struct err err = {0};
    bool is_good;

    if (!settings_read(arguments->settings_cstr, &job.settings, &err)) {
        complain_err("", &err);
        return EXIT_FAILURE;
    }
    (void)umask(077);
    manifest_init(&job.manifest);
    buffer_init(&job.master, MASTER_FILE_MAX_BYTES);
    is_good = open_backup(&job) && read_master(&job) && open_state(&job) && fill(&job);
    manifest_deinit(&job.manifest);
    buffer_wipe(&job.master);
    if (job.from_fd >= 0)
        close(job.from_fd);
    if (job.state_fd >= 0)
        close(job.state_fd);
    if (job.lock_fd >= 0)
        close(job.lock_fd);
    settings_unref(&job.settings);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, struct arguments *arguments, int *code_out)
{
    const struct option_row rows[] = {
        {"hold", &arguments->is_held, NULL},
        {"retractions", NULL, &arguments->retractions_cstr},
        {"despite-damage", &arguments->is_damaged, NULL},
    };

    *arguments = (struct arguments){0};
    if (!options_take(argc, argv, help_cstr, &arguments->settings_cstr, rows, COUNT_OF(rows),
                      code_out))
        return false;
    if (argc - optind != 1) {
        *code_out = usage_error(argv[0], "name one folder");
        return false;
    }
    arguments->folder_cstr = argv[optind];
    return true;
}

int command_restore(int argc, char **argv)
{
    struct arguments arguments;
    int code;

    return take_arguments(argc, argv, &arguments, &code) ? run_job(&arguments) : code;
}
