/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `postern backup`: a snapshot of the database first, made by the running server or from the stopped one's
 * file, then the segments that its rows refer to, up to the last byte they need; the manifest last, by
 * a rename. Whatever is broken off before leaves the former backup whole: its database is still
 * there, and segments have only grown.
 */
#include "postern/ask.h"
#include "postern/backup_folder.h"
#include "postern/commands.h"
#include "postern/files.h"
#include "postern/options.h"

#include "base/id.h"
#include "keeper/backup.h"
#include "keeper/retractions.h"
#include "settings/settings.h"
#include "store/master.h"
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4352, LOOK_EVERY_MS = 100, RENEW_EVERY_S = 5, STEP_PAGES = 4096 };

static const char help_cstr[] =
    "usage: postern backup FOLDER [--with-master-key] [-c FILE]\n"
    "       postern backup --retractions FOLDER    renew only the list of what was taken back\n"
    "       postern backup --verify FOLDER         the same as: postern verify FOLDER\n\n"
    "Copies the state of the server, running or stopped, into FOLDER: a new backup, or what "
    "has\n"
    "changed since the one that is there. Content and addresses stay sealed. The master key "
    "is\n"
    "NOT in it, and without it nothing in it can be read: keep it elsewhere (postern key "
    "backup).\n\n"
    "  --with-master-key  put it in all the same: then whoever has FOLDER can read everything\n"
    "  -c FILE            settings, default " DEFAULT_SETTINGS_PATH "\n\n"
    "Settings, TLS keys and DKIM keys are files of yours and not in it.\n";

struct arguments {
    const char *settings_cstr, *folder_cstr;
    bool has_master, is_retractions, is_verify;
};

struct job {
    const struct arguments *arguments;
    struct settings *settings;
    const char *state_cstr;
    int dir_fd, lock_fd; /* lock_fd: of a stopped server */
    bool is_running;
    char lease_cstr[ID_TEXT_SIZE]; /* of a running one */
    time_t renewed_s;
    struct manifest before, fresh;
    uint64_t files, copied_bytes, kept_bytes;
};

/* ---- the running server ---- */

static json_t *ask(const struct job *job, const char *what_cstr)
{
    json_t *request = json_pack("{ss,ss}", "do", "backup", "what", what_cstr);
    int code;

    if (job->lease_cstr[0] != '\0')
        (void)json_object_set_new(request, "backup", json_string(job->lease_cstr));
    return ask_server(job->arguments->settings_cstr, job->settings->control_path_cstr, request,
                      &code);
}

static bool begin(struct job *job)
{
    json_t *answer = ask(job, "begin");
    const char *id_cstr =
        json_string_value(json_object_get(json_array_get(answer, 0), "backup"));
    bool is_good = id_cstr != NULL && slice_to_cstr(slice_from_cstr(id_cstr), job->lease_cstr,
                                                    sizeof job->lease_cstr);

    json_decref(answer);
    return is_good;
}

/* Also says that we are still here. */
static bool look(struct job *job, bool *is_done_out)
{
    json_t *answer = ask(job, "look");

    job->renewed_s = time(NULL);
    *is_done_out = json_is_true(json_object_get(json_array_get(answer, 0), "done"));
    json_decref(answer);
    return answer != NULL;
}

static void renew(void *context)
{
    struct job *job = context;
    bool is_done;

    /* When it fails, so does the end of the lease, which is asked about. */
    if (job->is_running && time(NULL) - job->renewed_s >= RENEW_EVERY_S)
        (void)look(job, &is_done);
}

static bool end(struct job *job)
{
    json_t *answer = job->is_running && job->lease_cstr[0] != '\0' ? ask(job, "end") : NULL;
    bool has_ended = answer != NULL || !job->is_running;

    job->lease_cstr[0] = '\0';
    json_decref(answer);
    return has_ended;
}

/* ---- the database ---- */

static int create(struct job *job, const char *name_cstr)
{
    int fd = openat(job->dir_fd, name_cstr, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
                    0600);

    if (fd < 0)
        complain("cannot write to the folder: %s", strerror(errno));
    return fd;
}

/* Digest of a database that lies in the folder already, or copy it there. */
static bool take_database(struct job *job, int from_fd, int to_fd)
{
    struct files_copy copy = {
        .from_fd = from_fd, .to_fd = to_fd, .tick = renew, .context = job};
    int kept_fd = to_fd < 0 ? from_fd : to_fd;
    struct stat status;
    struct err err = {0};

    if (fstat(from_fd, &status) != 0)
        return complain("cannot look at the database: %s", strerror(errno));
    copy.to = (uint64_t)status.st_size;
    if (!files_copy(&copy, job->fresh.database_digest, &err))
        return complain_err("the database", &err);
    if (fsync(kept_fd) != 0)
        return complain("the database: %s", strerror(errno));
    job->fresh.database_bytes = copy.to;
    job->copied_bytes += copy.to;
    return true;
}

static bool database_of_running(struct job *job)
{
    static const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};
    char path_cstr[PATH_SIZE];
    bool is_done = false, is_taken = false;
    int from_fd, to_fd;

    if (!begin(job))
        return false;
    while (look(job, &is_done) && !is_done)
        (void)nanosleep(&pause, NULL);
    if (!is_done)
        return false;
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/" BACKUP_SNAPSHOT_NAME, job->state_cstr);
    from_fd = open(path_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from_fd < 0)
        return complain("cannot read the server's copy of the database: %s", strerror(errno));
    to_fd = create(job, job->fresh.database_cstr);
    if (to_fd >= 0) {
        is_taken = take_database(job, from_fd, to_fd);
        close(to_fd);
    }
    close(from_fd);
    return is_taken;
}

static bool copy_stopped(struct job *job, const char *path_cstr)
{
    struct store_snapshot *snapshot = NULL;
    enum progress got = PROGRESS_FAIL;
    struct store *store = NULL;
    struct err err = {0};

    if (!store_open_to_read(job->state_cstr, "postern.db", &store, &err))
        return complain_err("", &err);
    if (store_snapshot_begin(store, path_cstr, &snapshot, &err))
        do
            got = store_snapshot_step(snapshot, STEP_PAGES, &err);
        while (got == PROGRESS_WAIT);
    store_snapshot_free(&snapshot);
    store_close(&store);
    return got == PROGRESS_DONE || complain_err("", &err);
}

static bool database_of_stopped(struct job *job)
{
    char path_cstr[PATH_SIZE];
    bool is_taken;
    int fd;

    (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s", job->arguments->folder_cstr,
                   job->fresh.database_cstr);
    if (!copy_stopped(job, path_cstr))
        return false;
    fd = open(path_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return complain("cannot read the copy of the database: %s", strerror(errno));
    is_taken = take_database(job, fd, -1);
    close(fd);
    return is_taken;
}

/* ---- segments ---- */

/* Pieces that are there already; the byte where the next one begins. */
static uint64_t keep_pieces(struct job *job, const struct backup_need *need,
                            uint64_t size_bytes)
{
    size_t first, count = manifest_find(&job->before, need->kind, need->segment, &first);
    uint64_t to = count == 0 ? 0 : job->before.pieces[first + count - 1].to;

    if (to > size_bytes)
        return 0; /* it was cut: all of it again */
    for (size_t i = 0; i < count; i++)
        manifest_add(&job->fresh, &job->before.pieces[first + i]);
    job->kept_bytes += to;
    return to;
}

static bool copy_piece(struct job *job, const struct backup_need *need, int from_fd, int to_fd)
{
    struct files_copy copy = {
        .from_fd = from_fd, .to_fd = to_fd, .to = need->end, .tick = renew, .context = job};
    struct manifest_piece piece = {
        .kind = need->kind, .segment = need->segment, .to = need->end};
    struct stat status;
    struct err err = {0};
    char name_cstr[SPOOL_NAME_SIZE];

    spool_segment_name(need->segment, name_cstr);
    if (fstat(to_fd, &status) != 0)
        return complain("cannot look at a segment: %s", strerror(errno));
    copy.from = piece.from = keep_pieces(job, need, (uint64_t)status.st_size);
    if (copy.from >= copy.to)
        return true;
    if (!files_copy(&copy, piece.digest, &err))
        return complain_err(name_cstr, &err);
    if (fsync(to_fd) != 0)
        return complain("cannot write a segment: %s", strerror(errno));
    manifest_add(&job->fresh, &piece);
    job->copied_bytes += copy.to - copy.from;
    job->files++;
    return true;
}

static bool copy_segment(struct job *job, const struct backup_need *need, int from_dir_fd,
                         int to_dir_fd)
{
    char name_cstr[SPOOL_NAME_SIZE];
    bool is_copied = false;
    int from_fd, to_fd;

    spool_segment_name(need->segment, name_cstr);
    from_fd = openat(from_dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from_fd < 0)
        return complain("a segment with content cannot be read: run postern verify (%s)",
                        name_cstr);
    to_fd = openat(to_dir_fd, name_cstr, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to_fd >= 0) {
        is_copied = copy_piece(job, need, from_fd, to_fd);
        close(to_fd);
    } else {
        complain("cannot write to the folder: %s", strerror(errno));
    }
    close(from_fd);
    return is_copied;
}

/* Needs of one kind; *at: where they begin, afterwards where the next kind does. */
static bool copy_kind(struct job *job, enum spool_kind kind, const struct backup_need *needs,
                      size_t count, size_t *at)
{
    const char *name_cstr = kind == SPOOL_QUEUE ? "queue" : "portal";
    char path_cstr[PATH_SIZE];
    struct err err = {0};
    int from_fd, to_fd = files_folder(job->dir_fd, name_cstr, &err);
    bool is_good;

    if (to_fd < 0)
        return complain_err("", &err);
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/%s", job->state_cstr, name_cstr);
    from_fd = open(path_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    is_good = from_fd >= 0 || complain("cannot open %s", path_cstr);
    for (; is_good && *at < count && needs[*at].kind == kind; ++*at)
        is_good = copy_segment(job, &needs[*at], from_fd, to_fd);
    if (is_good && fsync(to_fd) != 0)
        is_good = complain("cannot write to the folder: %s", strerror(errno));
    if (from_fd >= 0)
        close(from_fd);
    close(to_fd);
    return is_good;
}

static bool copy_segments(struct job *job)
{
    struct backup_need *needs = NULL;
    size_t count = 0, at = 0;
    struct err err = {0};
    bool is_good;

    if (!backup_folder_needs(job->arguments->folder_cstr, job->fresh.database_cstr, &needs,
                             &count, job->fresh.server, &err)) {
        free(needs);
        return complain_err("", &err);
    }
    job->fresh.has_server = true;
    if (job->before.has_server &&
        memcmp(job->before.server, job->fresh.server, SHA256_BYTES) != 0) {
        free(needs);
        return complain("%s holds the backup of another server", job->arguments->folder_cstr);
    }
    is_good = copy_kind(job, SPOOL_QUEUE, needs, count, &at) &&
              copy_kind(job, SPOOL_PORTAL, needs, count, &at);
    free(needs);
    return is_good;
}

/* ---- the rest ---- */

static bool copy_small(struct job *job, const char *from_cstr, const char *name_cstr,
                       size_t max_bytes, uint64_t *bytes_out, uint8_t digest_out[SHA256_BYTES])
{
    struct buffer bytes;
    struct err err = {0};
    bool is_good;

    buffer_init(&bytes, max_bytes);
    is_good = files_read(from_cstr, max_bytes, &bytes, &err) &&
              files_replace(job->dir_fd, name_cstr, buffer_view(&bytes), &err);
    *bytes_out = buffer_len(&bytes);
    if (is_good && digest_out != NULL)
        sha256(buffer_view(&bytes), digest_out);
    buffer_wipe(&bytes);
    return is_good || complain_err("", &err);
}

static bool copy_retractions(struct job *job, uint64_t *bytes_out)
{
    char path_cstr[PATH_SIZE];

    *bytes_out = 0;
    (void)snprintf(path_cstr, sizeof path_cstr, "%s/" RETRACTIONS_NAME, job->state_cstr);
    if (access(path_cstr, F_OK) != 0 && errno == ENOENT)
        return true;
    return copy_small(job, path_cstr, RETRACTIONS_NAME, RETRACTIONS_MAX_BYTES, bytes_out, NULL);
}

static bool copy_master(struct job *job)
{
    job->fresh.has_master = job->arguments->has_master;
    return !job->fresh.has_master ||
           copy_small(job, job->settings->master_key.path_cstr, MANIFEST_MASTER_NAME,
                      MASTER_FILE_MAX_BYTES, &job->fresh.master_bytes,
                      job->fresh.master_digest);
}

static bool write_manifest(struct job *job)
{
    struct buffer text;
    struct err err = {0};
    bool is_good;

    buffer_init(&text, MANIFEST_MAX_BYTES);
    is_good = manifest_write(&job->fresh, &text);
    if (!is_good)
        complain("the manifest is too long");
    else
        is_good = files_replace(job->dir_fd, MANIFEST_NAME, buffer_view(&text), &err) ||
                  complain_err("", &err);
    buffer_deinit(&text);
    return is_good;
}

static void print_summary(const struct job *job)
{
    (void)printf(
        "%s: backup of %s\n  copied   %llu bytes, %llu of them the database\n"
        "  kept     %llu bytes of segments that were here already\n",
        job->arguments->folder_cstr, job->state_cstr, (unsigned long long)job->copied_bytes,
        (unsigned long long)job->fresh.database_bytes, (unsigned long long)job->kept_bytes);
    if (job->fresh.has_master)
        (void)puts("\nTHE MASTER KEY IS IN IT: whoever has this folder can read everything.");
    else
        (void)puts(
            "\nThe master key is NOT in it: without that file this backup cannot be read.\n"
            "Keep a copy of it elsewhere: postern key backup.");
}

static bool make(struct job *job)
{
    static const char broken_cstr[] =
        "the backup was broken off; what was in the folder before is still good";
    struct id_maker ids = {0};
    uint64_t bytes;
    struct timespec now;
    bool is_good;

    must(clock_gettime(CLOCK_REALTIME, &now) == 0);
    job->fresh.made_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    manifest_database_name(id_next(&ids, job->fresh.made_ms), job->fresh.database_cstr);
    is_good = (job->is_running ? database_of_running(job) : database_of_stopped(job)) &&
              copy_segments(job) && copy_master(job) && copy_retractions(job, &bytes);
    /* Only while the lease held until here was nothing removed under our hands. */
    is_good = end(job) && is_good;
    if (!is_good || fsync(job->dir_fd) != 0 || !write_manifest(job))
        return complain("%s", broken_cstr);
    backup_folder_sweep(job->dir_fd, &job->fresh);
    print_summary(job);
    return true;
}

/* ---- what there is to begin with ---- */

static bool open_folder(struct job *job)
{
    struct err err = {0};

    job->dir_fd = files_folder(AT_FDCWD, job->arguments->folder_cstr, &err);
    if (job->dir_fd < 0)
        return complain_err("", &err);
    if (flock(job->dir_fd, LOCK_EX | LOCK_NB) != 0)
        return complain("another backup is being written to %s", job->arguments->folder_cstr);
    if (!backup_folder_is_ours(job->dir_fd))
        return complain("%s holds other things than a backup: name a folder of its own",
                        job->arguments->folder_cstr);
    if (!backup_folder_read(job->dir_fd, &job->before, &err) && err.class != ERR_NONE)
        return complain_err(job->arguments->folder_cstr, &err);
    return true;
}

/* A server that runs is asked; one that does not is kept from starting meanwhile. */
static bool find_server(struct job *job)
{
    struct err err = {0};

    if (files_lock_stopped(job->state_cstr, &job->lock_fd, &err))
        return true;
    job->is_running = err.class == ERR_REFUSED;
    return job->is_running || complain_err("", &err);
}

static bool run(struct job *job)
{
    uint64_t bytes;

    if (!open_folder(job))
        return false;
    if (job->arguments->is_retractions) {
        if (!copy_retractions(job, &bytes))
            return false;
        (void)printf("%s: %llu bytes of what was taken back\n", job->arguments->folder_cstr,
                     (unsigned long long)bytes);
        return true;
    }
    return find_server(job) && make(job);
}

static int run_job(const struct arguments *arguments)
{
    struct job job = {.arguments = arguments, .dir_fd = -1, .lock_fd = -1};
    struct err err = {0};
    bool is_good;

    if (!settings_read(arguments->settings_cstr, &job.settings, &err)) {
        complain_err("", &err);
        return EXIT_FAILURE;
    }
    (void)umask(077);
    job.state_cstr = job.settings->state_dir_cstr;
    manifest_init(&job.before);
    manifest_init(&job.fresh);
    is_good = run(&job);
    manifest_deinit(&job.before);
    manifest_deinit(&job.fresh);
    if (job.dir_fd >= 0)
        close(job.dir_fd);
    if (job.lock_fd >= 0)
        close(job.lock_fd);
    settings_unref(&job.settings);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- the command ---- */

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, struct arguments *arguments, int *code_out)
{
    const struct option_row rows[] = {
        {"with-master-key", &arguments->has_master, NULL},
        {"retractions", &arguments->is_retractions, NULL},
        {"verify", &arguments->is_verify, NULL},
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

int command_backup(int argc, char **argv)
{
    struct arguments arguments;
    int code;

    if (!take_arguments(argc, argv, &arguments, &code))
        return code;
    if (arguments.is_verify) {
        char *words[] = {argv[0], (char *)(uintptr_t) "-c",
                         (char *)(uintptr_t)arguments.settings_cstr,
                         (char *)(uintptr_t)arguments.folder_cstr, NULL};

        optind = 1;
        return command_verify(4, words);
    }
    return run_job(&arguments);
}
