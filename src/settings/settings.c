/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include "base/buffer.h"
#include "settings/check.h"
#include "settings/convert.h"
#include "settings/providers.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MEMORY_MAX_BYTES = 256 << 20, FILE_MAX_BYTES = 4 << 20 };

/* "/etc/postern/" of "/etc/postern/postern.conf". */
static struct slice folder_of(struct slice path)
{
    while (path.len > 0 && path.at[path.len - 1] != '/')
        path.len--;
    return path;
}

static bool fail_with(const struct settings_mistake *mistake, const char *path_cstr,
                      struct err *err)
{
    return FAIL(err, ERR_PERM, "%s:%u: %s", path_cstr, mistake->line, mistake->words_cstr);
}

bool settings_parse(struct slice text, const char *path_cstr, struct settings **settings_out,
                    struct err *err)
{
    struct arena *memory = arena_new(MEMORY_MAX_BYTES);
    struct settings *settings = arena_alloc(memory, sizeof *settings);
    struct settings_mistake mistake;
    struct cfg_t *tree = settings_tree_new(&settings_root, text, memory, &mistake);
    bool has_room = true;

    must(settings != NULL);
    settings->memory = memory;
    settings->references = 1;
    if (tree != NULL && mistake.line == 0) {
        has_room = settings_convert(&settings_root, tree, folder_of(slice_from_cstr(path_cstr)),
                                    memory, &mistake, settings);
        /* The checks rely on values that could be converted. */
        if (has_room && mistake.line == 0)
            has_room = settings_complete(settings, memory);
        if (has_room && mistake.line == 0)
            settings_check(settings, tree, &mistake);
    }
    settings_tree_free(&tree);
    if (!has_room)
        settings_wrong(&mistake, 1, "the settings take too much memory; make them smaller");
    if (mistake.line != 0) {
        arena_free(&memory);
        return fail_with(&mistake, path_cstr, err);
    }
    *settings_out = settings;
    return true;
}

struct settings *settings_ref(struct settings *settings)
{
    settings->references++;
    return settings;
}

static void file_wipe(struct settings_file *file)
{
    if (file->bytes.at == NULL)
        return;
    explicit_bzero((void *)(uintptr_t)file->bytes.at, file->bytes.len);
    free((void *)(uintptr_t)file->bytes.at);
    file->bytes = (struct slice){NULL, 0};
}

void settings_unref(struct settings **settings)
{
    struct settings_file *file;
    enum settings_file_kind kind;
    struct arena *memory;
    size_t position = 0;

    if (*settings != NULL && --(*settings)->references == 0) {
        while ((file = settings_file_next(*settings, &position, &kind)) != NULL)
            file_wipe(file);
        memory = (*settings)->memory;
        arena_free(&memory);
    }
    *settings = NULL;
}

/* ---- named files ---- */

static struct settings_file *file_at(struct settings *settings, size_t index,
                                     enum settings_file_kind *kind_out)
{
    const struct {
        struct settings_file *file;
        enum settings_file_kind kind;
    } fixed[] = {
        {&settings->master_key, SETTINGS_FILE_MASTER_KEY},
        {&settings->tls_certificate, SETTINGS_FILE_SMTP_TLS},
        {&settings->tls_key, SETTINGS_FILE_SMTP_TLS},
        {&settings->client_authorities, SETTINGS_FILE_CLIENT_ROOTS},
        {&settings->trusted_roots, SETTINGS_FILE_ROOTS},
        {&settings->resolver.trust_anchor, SETTINGS_FILE_TRUST_ANCHOR},
        {&settings->forced_domains_file, SETTINGS_FILE_DOMAINS},
        {&settings->providers_file, SETTINGS_FILE_PROVIDERS},
        {&settings->portal.certificate, SETTINGS_FILE_PORTAL_TLS},
        {&settings->portal.key, SETTINGS_FILE_PORTAL_TLS},
    };

    if (index < COUNT_OF(fixed)) {
        *kind_out = fixed[index].kind;
        return fixed[index].file;
    }
    index -= COUNT_OF(fixed);
    *kind_out = SETTINGS_FILE_DKIM_KEY;
    for (size_t i = 0; i < settings->domain_count; i++) {
        struct settings_domain *domain = &settings->domains[i];

        if (index < domain->dkim_key_count)
            return &domain->dkim_keys[index].private_key;
        index -= domain->dkim_key_count;
    }
    *kind_out = SETTINGS_FILE_SMTP_TLS;
    if (index < 2 * settings->certificate_count)
        return index % 2 == 0 ? &settings->certificates[index / 2].certificate
                              : &settings->certificates[index / 2].key;
    index -= 2 * settings->certificate_count;
    *kind_out = SETTINGS_FILE_PASSWORD;
    return index < settings->outbound_count ? &settings->outbounds[index].password : NULL;
}

struct settings_file *settings_file_next(struct settings *settings, size_t *position,
                                         enum settings_file_kind *kind_out)
{
    struct settings_file *file;

    do {
        file = file_at(settings, (*position)++, kind_out);
    } while (file != NULL && file->path_cstr[0] == 0);
    return file;
}

static void file_set(struct settings_file *file, struct slice bytes)
{
    uint8_t *copy = malloc(bytes.len + 1);

    must(copy != NULL);
    if (bytes.len > 0)
        memcpy(copy, bytes.at, bytes.len);
    copy[bytes.len] = 0;
    file_wipe(file);
    file->bytes = (struct slice){copy, bytes.len};
}

void settings_file_put(struct settings *settings, struct slice path, struct slice bytes)
{
    struct settings_file *file;
    enum settings_file_kind kind;
    size_t position = 0;

    while ((file = settings_file_next(settings, &position, &kind)) != NULL) {
        if (slice_equal(slice_from_cstr(file->path_cstr), path))
            file_set(file, bytes);
    }
}

/* bytes_out is appended to; errno tells why not. is_open_out: others than owner and group may read it. */
static bool read_file(const char *path_cstr, struct buffer *bytes_out, bool *is_open_out)
{
    int fd = open(path_cstr, O_RDONLY | O_CLOEXEC);
    struct stat status;
    ssize_t got = -1;

    if (fd < 0)
        return false;
    if (fstat(fd, &status) == 0) {
        *is_open_out = (status.st_mode & S_IRWXO) != 0;
        do {
            uint8_t *to = buffer_reserve(bytes_out, 1 << 16);

            if (to == NULL)
                errno = EFBIG;
            got = to == NULL ? -1 : read(fd, to, 1 << 16);
            if (got > 0)
                buffer_commit(bytes_out, (size_t)got);
        } while (got > 0);
    }
    close(fd);
    return got == 0;
}

/* Something, and no control bytes but at the end. */
static bool is_one_line(struct slice text)
{
    while (text.len > 0 && (text.at[text.len - 1] == '\n' || text.at[text.len - 1] == '\r'))
        text.len--;
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < ' ' || text.at[i] == 0x7f)
            return false;
    return text.len > 0 && text.len <= OUTBOUND_PASSWORD_MAX;
}

static bool check_providers(const struct settings_file *file, struct slice text,
                            struct err *err)
{
    struct settings_providers *providers = NULL;
    bool is_right = settings_providers_parse(text, file->path_cstr, &providers, err);

    settings_providers_free(&providers);
    return is_right;
}

static bool load_named(struct settings_file *file, enum settings_file_kind kind,
                       const char *path_cstr, struct err *err)
{
    bool is_secret = kind == SETTINGS_FILE_MASTER_KEY || kind == SETTINGS_FILE_DKIM_KEY ||
                     kind == SETTINGS_FILE_PASSWORD;
    bool is_pem = kind != SETTINGS_FILE_MASTER_KEY && kind != SETTINGS_FILE_TRUST_ANCHOR &&
                  kind != SETTINGS_FILE_DOMAINS && kind != SETTINGS_FILE_PASSWORD &&
                  kind != SETTINGS_FILE_PROVIDERS;
    struct buffer bytes;
    bool loaded = false, is_open = false;

    buffer_init(&bytes, FILE_MAX_BYTES);
    if (!read_file(file->path_cstr, &bytes, &is_open))
        FAIL(err, ERR_PERM, "%s:%u: cannot read %s: %s; %s", path_cstr, file->line,
             file->path_cstr, strerror(errno),
             errno == EACCES                    ? "the server's user must be able to read it"
             : kind == SETTINGS_FILE_MASTER_KEY ? "make one with: postern key new FILE"
                                                : "correct the path or make the file");
    else if (is_secret && is_open)
        FAIL(err, ERR_PERM, "%s:%u: anybody may read the %s %s; do: chmod o= %s", path_cstr,
             file->line, kind == SETTINGS_FILE_PASSWORD ? "password" : "key", file->path_cstr,
             file->path_cstr);
    else if (is_pem &&
             slice_find_nocase(buffer_view(&bytes), S("-----BEGIN ")) == buffer_len(&bytes))
        FAIL(err, ERR_PERM, "%s:%u: %s is no PEM file; name one that has -----BEGIN lines",
             path_cstr, file->line, file->path_cstr);
    else if (kind == SETTINGS_FILE_PASSWORD && !is_one_line(buffer_view(&bytes)))
        FAIL(err, ERR_PERM, "%s:%u: %s must hold one line, the password", path_cstr, file->line,
             file->path_cstr);
    else
        loaded =
            kind != SETTINGS_FILE_PROVIDERS || check_providers(file, buffer_view(&bytes), err);
    if (loaded)
        file_set(file, buffer_view(&bytes));
    buffer_wipe(&bytes);
    return loaded;
}

static bool read_text(const char *path_cstr, struct buffer *text, struct err *err)
{
    bool is_open;

    return read_file(path_cstr, text, &is_open) ||
           FAIL(err, ERR_PERM, "%s: cannot be read: %s; name a settings file with -c",
                path_cstr, strerror(errno));
}

bool settings_read(const char *path_cstr, struct settings **settings_out, struct err *err)
{
    struct buffer text;
    bool done;

    buffer_init(&text, SETTINGS_TEXT_MAX_BYTES + (1 << 17));
    done = read_text(path_cstr, &text, err) &&
           settings_parse(buffer_view(&text), path_cstr, settings_out, err);
    buffer_wipe(&text);
    return done;
}

bool settings_load(const char *path_cstr, struct settings **settings_out,
                   struct slice *text_out, struct err *err)
{
    struct settings *settings = NULL;
    struct settings_file *file;
    enum settings_file_kind kind;
    struct buffer text;
    size_t position = 0;
    bool loaded;

    buffer_init(&text, SETTINGS_TEXT_MAX_BYTES + (1 << 17));
    loaded = read_text(path_cstr, &text, err) &&
             settings_parse(buffer_view(&text), path_cstr, &settings, err);
    while (loaded && (file = settings_file_next(settings, &position, &kind)) != NULL)
        loaded = load_named(file, kind, path_cstr, err);
    if (loaded) {
        uint8_t *copy = malloc(buffer_len(&text) + 1);

        must(copy != NULL);
        if (buffer_len(&text) > 0)
            memcpy(copy, buffer_view(&text).at, buffer_len(&text));
        *text_out = slice_of(copy, buffer_len(&text));
        *settings_out = settings;
    } else {
        settings_unref(&settings);
    }
    buffer_wipe(&text);
    return loaded;
}
