/* SPDX-License-Identifier: Apache-2.0 */
/* `postern verify`: options in, keeper/verify.h asked, its findings as text or JSON. */
#include "postern/commands.h"

#include "base/id.h"
#include "keeper/verify.h"
#include "postern/backup_folder.h"
#include "postern/files.h"
#include "postern/options.h"
#include "settings/settings.h"
#include "store/master.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PROBLEMS_KEPT = 1000,
    EXIT_PROBLEMS = 1,
    EXIT_NOT_CHECKED = 2,
    ACCEPTED_MAX = 100000000
};

static const char help_cstr[] =
    "usage: postern verify [FOLDER] [--quick] [--accepted FILE] [--json] [-c FILE]\n\n"
    "Checks the state of a stopped server: database, keys, every row against the others, "
    "every\n"
    "segment, and every byte of content. Changes nothing. Prints no address, subject or "
    "content.\n\n"
    "  FOLDER             a state folder or a backup; default: the settings' own state\n"
    "  --quick            leave out the content itself\n"
    "  --accepted FILE    message ids, one a line, that must be there: as in the 250 reply\n"
    "  --master-key FILE  another key file than the settings name\n"
    "  --without-key      look at what can be seen without the master key\n"
    "  --json             answer as JSON\n"
    "  -c FILE            settings, default " DEFAULT_SETTINGS_PATH "\n\n"
    "Exit code: 0 all is well, 1 problems were found, 2 it could not be checked.\n";

struct arguments {
    const char *settings_cstr, *folder_cstr, *accepted_cstr, *master_cstr;
    bool is_json, is_quick, is_keyless;
};

struct findings {
    struct verify_problem problems[PROBLEMS_KEPT];
    size_t kept;
};

/* False: *code_out is the exit code. */
static bool take_arguments(int argc, char **argv, struct arguments *arguments, int *code_out)
{
    const struct option_row rows[] = {
        {"json", &arguments->is_json, NULL},
        {"quick", &arguments->is_quick, NULL},
        {"accepted", NULL, &arguments->accepted_cstr},
        {"master-key", NULL, &arguments->master_cstr},
        {"without-key", &arguments->is_keyless, NULL},
    };

    *arguments = (struct arguments){0};
    if (!options_take(argc, argv, help_cstr, &arguments->settings_cstr, rows, COUNT_OF(rows),
                      code_out))
        return false;
    if (argc - optind > 1) {
        *code_out = usage_error(argv[0], "'%s' is too much", argv[optind + 1]);
        return false;
    }
    arguments->folder_cstr = optind < argc ? argv[optind] : NULL;
    return true;
}

/* ---- ids that must be there ---- */

static bool read_ids(FILE *file, const char *path_cstr, uint64_t **ids_out, size_t *count_out,
                     struct err *err)
{
    char *line_cstr = NULL;
    size_t size = 0, room = 0, number = 0;
    ssize_t got;
    bool is_good = true;

    while (is_good && (got = getline(&line_cstr, &size, file)) > 0) {
        struct slice line = slice_trim(slice_of(line_cstr, (size_t)got));

        number++;
        if (line.len == 0)
            continue;
        if (*count_out == room) {
            room = room == 0 ? 1024 : room * 2;
            *ids_out = reallocarray(*ids_out, room, sizeof **ids_out);
            must(*ids_out != NULL);
        }
        is_good = *count_out < ACCEPTED_MAX && id_parse(line, &(*ids_out)[*count_out]);
        *count_out += 1;
    }
    free(line_cstr);
    return is_good || FAIL(err, ERR_PERM, "%s:%zu: this is no message id", path_cstr, number);
}

static bool load_ids(const char *path_cstr, uint64_t **ids_out, size_t *count_out,
                     struct err *err)
{
    FILE *file;
    bool is_good;

    if (path_cstr == NULL)
        return true;
    file = fopen(path_cstr, "re");
    if (file == NULL)
        return FAIL(err, ERR_TEMP, "%s cannot be read", path_cstr);
    is_good = read_ids(file, path_cstr, ids_out, count_out, err);
    (void)fclose(file);
    return is_good;
}

/* ---- for people ---- */

static void print_problem(const struct verify_problem *problem)
{
    char id_text[ID_TEXT_SIZE];

    (void)fputs("    ", stdout);
    if (problem->message != 0) {
        id_write(problem->message, id_text);
        (void)printf("message %s, ", id_text);
    }
    if (problem->number >= 0)
        (void)printf("recipient %lld, ", (long long)problem->number);
    if (problem->segment != 0)
        (void)printf("segment %016llx.seg, ", (unsigned long long)problem->segment);
    (void)printf("%s\n", problem->detail_cstr);
}

static void print_findings(const struct verify_report *report, const struct findings *findings)
{
    for (int kind = 0; kind < VERIFY_FINDING_COUNT; kind++) {
        uint64_t printed = 0;

        if (report->problems_of[kind] == 0)
            continue;
        (void)printf("\n%s: %s (%llu)\n", verify_finding_name((enum verify_finding)kind),
                     verify_finding_words((enum verify_finding)kind),
                     (unsigned long long)report->problems_of[kind]);
        for (size_t i = 0; i < findings->kept; i++)
            if (findings->problems[i].finding == (enum verify_finding)kind) {
                print_problem(&findings->problems[i]);
                printed++;
            }
        if (printed < report->problems_of[kind])
            (void)printf("    … and %llu more\n",
                         (unsigned long long)(report->problems_of[kind] - printed));
        (void)printf("  what to do: %s\n", verify_finding_advice((enum verify_finding)kind));
    }
}

#define N(field) (unsigned long long)report->field

static void print_report(const char *folder_cstr, const struct arguments *arguments,
                         const struct verify_report *report, const struct findings *findings)
{
    (void)printf("%s%s\n", folder_cstr, report->is_blank ? ": nothing was begun here yet" : "");
    (void)printf("  messages    %llu, %llu of them open\n", N(messages), N(open_messages));
    (void)printf("  recipients  %llu, %llu of them open, %llu held\n", N(recipients),
                 N(open_recipients), N(held_recipients));
    (void)printf("  portal      %llu copies, %llu of them readable\n", N(copies),
                 N(open_copies));
    (void)printf("  stories     %llu events\n", N(events));
    (void)printf("  segments    %llu in queue, %llu in portal, %llu bytes\n", N(queue_segments),
                 N(portal_segments), N(segment_bytes));
    if (report->garbage_segments > 0)
        (void)printf("  unneeded    %llu segments, %llu bytes: they go by themselves\n",
                     N(garbage_segments), N(garbage_bytes));
    if (arguments->is_keyless)
        (void)puts("  content     not opened: without the master key");
    else if (arguments->is_quick)
        (void)puts("  content     not read: --quick");
    else
        (void)printf("  content     %llu read to the end, %llu bytes\n", N(contents),
                     N(content_bytes));
    if (arguments->accepted_cstr != NULL)
        (void)printf("  accepted    %llu found, %llu missing\n", N(accepted),
                     N(problems_of[VERIFY_ACCEPTED]));
    print_findings(report, findings);
    (void)printf("\n%s\n", report->problems == 0 ? "all is well" : "PROBLEMS WERE FOUND");
}

/* ---- as JSON ---- */

static json_t *problem_json(const struct verify_problem *problem)
{
    json_t *object =
        json_pack("{s:s,s:s,s:s,s:s}", "what", verify_finding_name(problem->finding), "words",
                  verify_finding_words(problem->finding), "detail", problem->detail_cstr,
                  "advice", verify_finding_advice(problem->finding));
    char text[32];

    if (problem->message != 0) {
        id_write(problem->message, text);
        (void)json_object_set_new(object, "message", json_string(text));
    }
    if (problem->number >= 0)
        (void)json_object_set_new(object, "number", json_integer(problem->number));
    if (problem->segment != 0) {
        (void)snprintf(text, sizeof text, "%016llx", (unsigned long long)problem->segment);
        (void)json_object_set_new(object, "segment", json_string(text));
    }
    return object;
}

static void print_json(const struct verify_report *report, const struct findings *findings)
{
#define I(field)                                                                               \
    {                                                                                          \
#field, report->field                                                                  \
    }
    const struct {
        const char *name_cstr;
        uint64_t value;
    } numbers[] = {I(messages),
                   I(open_messages),
                   I(recipients),
                   I(open_recipients),
                   I(held_recipients),
                   I(events),
                   I(copies),
                   I(open_copies),
                   I(addresses),
                   I(domains),
                   I(queue_segments),
                   I(portal_segments),
                   I(segment_bytes),
                   I(garbage_segments),
                   I(garbage_bytes),
                   I(contents),
                   I(content_bytes),
                   I(accepted),
                   {"missing", report->problems_of[VERIFY_ACCEPTED]},
                   {"problem_count", report->problems}};
#undef I
    json_t *problems = json_array(), *of = json_object(), *object;

    for (size_t i = 0; i < findings->kept; i++)
        (void)json_array_append_new(problems, problem_json(&findings->problems[i]));
    for (int kind = 0; kind < VERIFY_FINDING_COUNT; kind++)
        if (report->problems_of[kind] > 0)
            (void)json_object_set_new(of, verify_finding_name((enum verify_finding)kind),
                                      json_integer((json_int_t)report->problems_of[kind]));
    object =
        json_pack("{s:b,s:b}", "clean", report->problems == 0, "blank", (int)report->is_blank);
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        (void)json_object_set_new(object, numbers[i].name_cstr,
                                  json_integer((json_int_t)numbers[i].value));
    (void)json_object_set_new(object, "problems_of", of);
    (void)json_object_set_new(object, "problems", problems);
    (void)json_dumpf(object, stdout, JSON_INDENT(2));
    (void)putchar('\n');
    json_decref(object);
}

/* ---- the command ---- */

static void on_problem(void *context, const struct verify_problem *problem)
{
    struct findings *findings = context;

    if (findings->kept < PROBLEMS_KEPT)
        findings->problems[findings->kept++] = *problem;
}

static int cannot(const struct err *err)
{
    (void)fprintf(stderr, "postern: %s\n", err->text_cstr);
    return EXIT_NOT_CHECKED;
}

static void on_wrong_file(void *context, const char *words_cstr)
{
    struct verify_problem problem = {.finding = VERIFY_BACKUP, .number = -1};

    (void)snprintf(problem.detail_cstr, sizeof problem.detail_cstr, "%s", words_cstr);
    on_problem(context, &problem);
}

/* A folder with a manifest is a backup: its files first. False: err. */
static bool check_backup(struct verify_options *options, struct manifest *manifest,
                         uint64_t *wrong_out, struct err *err)
{
    int fd = open(options->state_cstr, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    *wrong_out = 0;
    if (fd < 0)
        return FAIL(err, ERR_TEMP, "cannot open %s: %s", options->state_cstr, strerror(errno));
    if (backup_folder_read(fd, manifest, err)) {
        options->database_cstr = manifest->database_cstr;
        *wrong_out = backup_folder_check(fd, manifest, options->is_quick, on_wrong_file,
                                         options->context);
    }
    close(fd);
    return err->class == ERR_NONE;
}

static int run(const struct arguments *arguments, struct verify_options *options)
{
    struct findings *findings = calloc(1, sizeof *findings);
    struct verify_report report;
    struct manifest manifest;
    struct err err = {0};
    int code, lock_fd = -1;
    uint64_t wrong;

    must(findings != NULL);
    options->is_quick = arguments->is_quick;
    options->on_problem = on_problem;
    options->context = findings;
    manifest_init(&manifest);
    if (!files_lock_stopped(options->state_cstr, &lock_fd, &err) ||
        !check_backup(options, &manifest, &wrong, &err) ||
        !verify_run(options, &report, &err)) {
        code = cannot(&err);
    } else {
        report.problems += wrong;
        report.problems_of[VERIFY_BACKUP] += wrong;
        if (arguments->is_json)
            print_json(&report, findings);
        else
            print_report(options->state_cstr, arguments, &report, findings);
        code = report.problems == 0 ? EXIT_SUCCESS : EXIT_PROBLEMS;
    }
    if (lock_fd >= 0)
        close(lock_fd);
    options->database_cstr = ""; /* it may be the manifest's */
    manifest_deinit(&manifest);
    free(findings);
    return code;
}

/* The settings are needed for what the arguments leave open. */
static bool fill(const struct arguments *arguments, struct settings **settings,
                 struct verify_options *options, struct buffer *master, struct err *err)
{
    const char *master_cstr = arguments->master_cstr;

    options->state_cstr = arguments->folder_cstr;
    options->database_cstr = "postern.db";
    if (options->state_cstr == NULL || (master_cstr == NULL && !arguments->is_keyless)) {
        if (!settings_read(arguments->settings_cstr, settings, err))
            return false;
        if (options->state_cstr == NULL)
            options->state_cstr = (*settings)->state_dir_cstr;
        if (master_cstr == NULL)
            master_cstr = (*settings)->master_key.path_cstr;
    }
    if (arguments->is_keyless)
        return true;
    if (!files_read(master_cstr, MASTER_FILE_MAX_BYTES, master, err))
        return false;
    options->master_text = buffer_view(master);
    return true;
}

int command_verify(int argc, char **argv)
{
    struct verify_options options = {0};
    struct settings *settings = NULL;
    struct arguments arguments;
    struct buffer master;
    struct err err = {0};
    int code;

    if (!take_arguments(argc, argv, &arguments, &code))
        return code;
    buffer_init(&master, MASTER_FILE_MAX_BYTES);
    if (fill(&arguments, &settings, &options, &master, &err) &&
        load_ids(arguments.accepted_cstr, &options.accepted, &options.accepted_count, &err))
        code = run(&arguments, &options);
    else
        code = cannot(&err);
    free(options.accepted);
    buffer_wipe(&master);
    settings_unref(&settings);
    return code;
}
