/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/backup_folder.h"

#include "base/map.h"
#include "keeper/retractions.h"
#include "postern/files.h"
#include "store/key.h"
#include "store/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_SIZE = 900, NAME_SIZE = 300 };

bool backup_folder_read(int dir_fd, struct manifest *manifest_out, struct err *err)
{
    struct buffer text;
    char path_cstr[64];
    bool is_read;

    manifest_init(manifest_out);
    *err = (struct err){0};
    if (faccessat(dir_fd, MANIFEST_NAME, F_OK, 0) != 0 && errno == ENOENT)
        return false;
    (void)snprintf(path_cstr, sizeof path_cstr, "/proc/self/fd/%d/" MANIFEST_NAME, dir_fd);
    buffer_init(&text, MANIFEST_MAX_BYTES);
    is_read = files_read(path_cstr, MANIFEST_MAX_BYTES, &text, err) &&
              manifest_parse(buffer_view(&text), manifest_out, err);
    buffer_deinit(&text);
    return is_read;
}

/* ---- needs ---- */

struct needs {
    struct map by_segment; /* struct backup_need */
};

static void need(struct needs *needs, enum spool_kind kind, const struct content_ref *ref)
{
    struct backup_need *at = map_get(&needs->by_segment, ref->segment == 0 ? 1 : ref->segment);
    uint64_t end = ref->offset + ref->sealed_bytes;

    if (ref->segment == 0)
        return;
    if (at == NULL) {
        at = calloc(1, sizeof *at);
        must(at != NULL);
        *at = (struct backup_need){.kind = kind, .segment = ref->segment};
        map_put(&needs->by_segment, ref->segment, at);
    }
    if (end > at->end)
        at->end = end;
}

static int compare_needs(const void *a, const void *b)
{
    const struct backup_need *left = a, *right = b;

    if (left->kind != right->kind)
        return left->kind < right->kind ? -1 : 1;
    return left->segment < right->segment ? -1 : left->segment > right->segment;
}

static void list_needs(struct needs *needs, struct backup_need **needs_out, size_t *count_out)
{
    struct backup_need *at;
    size_t position = 0;
    uint64_t id;

    *count_out = 0;
    *needs_out = calloc(needs->by_segment.count + 1, sizeof **needs_out);
    must(*needs_out != NULL);
    while ((at = map_next(&needs->by_segment, &position, &id)) != NULL) {
        (*needs_out)[(*count_out)++] = *at;
        free(at);
    }
    qsort(*needs_out, *count_out, sizeof **needs_out, compare_needs);
    map_deinit(&needs->by_segment);
}

bool backup_folder_needs(const char *dir_cstr, const char *database_cstr,
                         struct backup_need **needs_out, size_t *count_out,
                         uint8_t identity_out[SHA256_BYTES], struct err *err)
{
    struct walked_message message;
    struct walked_copy copy;
    struct store_walk *walk;
    struct store *store = NULL;
    struct needs needs;
    bool is_good;

    if (!store_open_to_read(dir_cstr, database_cstr, &store, err))
        return false;
    if (store_is_blank(store) || !store_identity(store, identity_out)) {
        store_close(&store);
        return FAIL(err, ERR_PERM, "the server was never started: there is nothing to keep");
    }
    map_init(&needs.by_segment);
    walk = store_walk_new(store);
    while (store_walk_message(walk, &message))
        if (message.key_bytes > 0)
            need(&needs, SPOOL_QUEUE, &message.content);
    while (store_walk_copy(walk, &copy))
        if (copy.has_keys)
            need(&needs, SPOOL_PORTAL, &copy.copy);
    is_good = !store_is_troubled(store, err);
    list_needs(&needs, needs_out, count_out);
    store_walk_free(&walk);
    store_close(&store);
    return is_good;
}

/* ---- check ---- */

struct check {
    int dir_fd;
    bool is_quick;
    uint64_t wrong;
    void (*on_wrong)(void *context, const char *words_cstr);
    void *context;
};

static void tell(struct check *check, const char *name_cstr, const char *why_cstr)
{
    char words_cstr[WORDS_SIZE];

    (void)snprintf(words_cstr, sizeof words_cstr, "%s: %s", name_cstr, why_cstr);
    check->on_wrong(check->context, words_cstr);
    check->wrong++;
}

static bool check_range(const struct check *check, int fd, uint64_t from, uint64_t to,
                        const uint8_t digest[SHA256_BYTES], struct err *err)
{
    const struct files_copy copy = {.from_fd = fd, .to_fd = -1, .from = from, .to = to};
    uint8_t got[SHA256_BYTES];

    if (check->is_quick)
        return true;
    return files_copy(&copy, got, err) &&
           (memcmp(got, digest, sizeof got) == 0 ||
            FAIL(err, ERR_PERM, "bytes %llu to %llu were changed", (unsigned long long)from,
                 (unsigned long long)to));
}

static int open_checked(struct check *check, const char *name_cstr, uint64_t least_bytes,
                        bool is_exact)
{
    int fd = openat(check->dir_fd, name_cstr, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat status;

    if (fd < 0 || fstat(fd, &status) != 0) {
        tell(check, name_cstr, strerror(errno));
    } else if ((uint64_t)status.st_size < least_bytes ||
               (is_exact && (uint64_t)status.st_size != least_bytes)) {
        tell(check, name_cstr, "its size differs from the manifest");
    } else {
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

static void check_file(struct check *check, const char *name_cstr, uint64_t bytes,
                       const uint8_t digest[SHA256_BYTES])
{
    int fd = open_checked(check, name_cstr, bytes, true);
    struct err err = {0};

    if (fd < 0)
        return;
    if (!check_range(check, fd, 0, bytes, digest, &err))
        tell(check, name_cstr, err.text_cstr);
    close(fd);
}

static void segment_path(const struct manifest_piece *piece, char path_out_cstr[NAME_SIZE])
{
    char name_cstr[SPOOL_NAME_SIZE];

    spool_segment_name(piece->segment, name_cstr);
    (void)snprintf(path_out_cstr, NAME_SIZE, "%s/%s",
                   piece->kind == SPOOL_QUEUE ? "queue" : "portal", name_cstr);
}

/* All pieces of the segment that starts at `first`; where the next one starts. */
static size_t check_segment(struct check *check, const struct manifest *manifest, size_t first)
{
    const struct manifest_piece *pieces = manifest->pieces;
    size_t end = first;
    char path_cstr[NAME_SIZE];
    struct err err = {0};
    bool is_good = true;
    int fd;

    while (end < manifest->piece_count && pieces[end].segment == pieces[first].segment &&
           pieces[end].kind == pieces[first].kind)
        end++;
    segment_path(&pieces[first], path_cstr);
    fd = open_checked(check, path_cstr, pieces[end - 1].to, false);
    if (fd < 0)
        return end;
    for (size_t i = first; i < end && is_good; i++)
        is_good = check_range(check, fd, pieces[i].from, pieces[i].to, pieces[i].digest, &err);
    if (!is_good)
        tell(check, path_cstr, err.text_cstr);
    close(fd);
    return end;
}

uint64_t backup_folder_check(int dir_fd, const struct manifest *manifest, bool is_quick,
                             void (*on_wrong)(void *context, const char *words_cstr),
                             void *context)
{
    struct check check = {
        .dir_fd = dir_fd, .is_quick = is_quick, .on_wrong = on_wrong, .context = context};

    check_file(&check, manifest->database_cstr, manifest->database_bytes,
               manifest->database_digest);
    if (manifest->has_master)
        check_file(&check, MANIFEST_MASTER_NAME, manifest->master_bytes,
                   manifest->master_digest);
    for (size_t at = 0; at < manifest->piece_count;)
        at = check_segment(&check, manifest, at);
    return check.wrong;
}

/* ---- sweep ---- */

/* Call `fn` for every name in the folder but . and .. */
static void each_name(int dir_fd, void (*fn)(int dir_fd, const char *name_cstr, void *context),
                      void *context)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (folder == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while ((entry = readdir(folder)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fn(dir_fd, entry->d_name, context);
    closedir(folder);
}

static bool is_part(const char *name_cstr)
{
    return slice_ends_with_nocase(slice_from_cstr(name_cstr), S(".part"));
}

static void sweep_name(int dir_fd, const char *name_cstr, void *context)
{
    const struct manifest *manifest = context;

    if (is_part(name_cstr) || (manifest_is_database_name(slice_from_cstr(name_cstr)) &&
                               strcmp(name_cstr, manifest->database_cstr) != 0))
        (void)unlinkat(dir_fd, name_cstr, 0);
    if (strcmp(name_cstr, MANIFEST_MASTER_NAME) == 0 && !manifest->has_master)
        (void)unlinkat(dir_fd, name_cstr, 0);
}

struct sweep {
    const struct manifest *manifest;
    enum spool_kind kind;
};

static void sweep_segment(int dir_fd, const char *name_cstr, void *context)
{
    const struct sweep *sweep = context;
    uint64_t segment;
    size_t first;

    if (spool_segment_name_parse(name_cstr, &segment) &&
        manifest_find(sweep->manifest, sweep->kind, segment, &first) == 0)
        (void)unlinkat(dir_fd, name_cstr, 0);
}

void backup_folder_sweep(int dir_fd, const struct manifest *manifest)
{
    static const char *const names[] = {"queue", "portal"};
    static const enum spool_kind kinds[] = {SPOOL_QUEUE, SPOOL_PORTAL};

    each_name(dir_fd, sweep_name, (void *)(uintptr_t)manifest);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct sweep sweep = {manifest, kinds[i]};
        int fd = openat(dir_fd, names[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

        if (fd < 0)
            continue;
        each_name(fd, sweep_segment, &sweep);
        close(fd);
    }
}

static void look_at_name(int dir_fd, const char *name_cstr, void *context)
{
    static const char *const ours[] = {
        "queue", "portal", MANIFEST_NAME, MANIFEST_MASTER_NAME, RETRACTIONS_NAME, "lost+found"};
    bool *is_ours = context;
    bool is_known = is_part(name_cstr) || manifest_is_database_name(slice_from_cstr(name_cstr));

    (void)dir_fd;
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        is_known = is_known || strcmp(name_cstr, ours[i]) == 0;
    *is_ours = *is_ours && is_known;
}

bool backup_folder_is_ours(int dir_fd)
{
    bool is_ours = true;

    each_name(dir_fd, look_at_name, &is_ours);
    return is_ours;
}
