/* SPDX-License-Identifier: Apache-2.0 */
#include "postern/commands.h"

#include "crypto/password.h"
#include "crypto/random.h"
#include "store/master.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help_cstr[] =
    "usage: postern key new FILE           make a master key in a new file, closed to others\n"
    "       postern key rotate FILE        put a new key beside the old ones; then: reload\n"
    "       postern key backup FILE COPY   write the file, sealed under a passphrase, to COPY\n"
    "       postern key restore COPY FILE  the way back\n\n"
    "The passphrase is asked for, or is the first line of standard input. Without the master\n"
    "key nothing in the state folder can be read: keep a copy on paper or in a safe, apart\n"
    "from the machine.\n";

static int fail(const char *path_cstr, const char *why_cstr)
{
    (void)fprintf(stderr, "postern: %s: %s\n", path_cstr, why_cstr);
    return EXIT_FAILURE;
}

/*
 * Who may read a key: its owner; and the group, when the folder hands its own group down (a setgid folder such as
 * the package's /etc/postern, whose group is the server's) or the file that it follows was so.
 */
static bool set_readers(int fd, const struct stat *like)
{
    struct stat status;
    mode_t mode;

    if (fstat(fd, &status) != 0)
        return false;
    if (like == NULL)
        mode = status.st_gid == getegid() ? 0600 : 0640;
    else
        mode = 0600 | (like->st_mode & 0040);
    if (like != NULL && (like->st_uid != status.st_uid || like->st_gid != status.st_gid) &&
        fchown(fd, like->st_uid, like->st_gid) != 0)
        return false;
    return fchmod(fd, mode) == 0;
}

/* All of it and on the disk, or false with errno. like: the file whose place it will take; NULL = it must be new. */
static bool write_file(const char *path_cstr, struct slice bytes, const struct stat *like)
{
    int fd = open(path_cstr, O_WRONLY | O_CREAT | O_CLOEXEC | (like == NULL ? O_EXCL : O_TRUNC),
                  0600);
    bool written;

    if (fd < 0)
        return false;
    written = set_readers(fd, like) && write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len &&
              fsync(fd) == 0;
    return close(fd) == 0 && written;
}

static bool read_file(const char *path_cstr, struct buffer *bytes_out)
{
    int fd = open(path_cstr, O_RDONLY | O_CLOEXEC);
    uint8_t *to = buffer_reserve(bytes_out, MASTER_FILE_MAX_BYTES);
    ssize_t got;

    if (fd < 0 || to == NULL)
        return false;
    got = read(fd, to, MASTER_FILE_MAX_BYTES);
    close(fd);
    if (got < 0)
        return false;
    buffer_commit(bytes_out, (size_t)got);
    return true;
}

static bool append_new_key(struct buffer *text, uint64_t generation)
{
    struct master_key key = {.generation = generation};
    bool written;

    random_bytes(key.key.bytes, sizeof key.key.bytes);
    written = master_write(&key, text);
    secret_wipe(&key.key);
    return written;
}

static int key_new(const char *path_cstr, struct buffer *text)
{
    if (!append_new_key(text, 1))
        return fail(path_cstr, "no room");
    if (!write_file(path_cstr, buffer_view(text), NULL))
        return fail(path_cstr, strerror(errno));
    (void)printf(
        "%s is made. Name it in the settings (master_key), and keep a copy elsewhere.\n",
        path_cstr);
    return EXIT_SUCCESS;
}

/* The new file takes the old one's place in one step: a crash leaves one of the two. */
static int key_rotate(const char *path_cstr, struct buffer *text)
{
    char fresh_cstr[4096];
    struct master master;
    struct err err = {0};
    struct stat old;
    uint64_t newest;

    if (!read_file(path_cstr, text))
        return fail(path_cstr, strerror(errno));
    if (!master_parse(buffer_view(text), &master, &err))
        return fail(path_cstr, err.text_cstr);
    newest = master.keys[0].generation;
    master_wipe(&master);
    if (!append_new_key(text, newest + 1) || !master_parse(buffer_view(text), &master, &err))
        return fail(path_cstr, "it holds too many keys; take old ones out");
    master_wipe(&master);
    (void)snprintf(fresh_cstr, sizeof fresh_cstr, "%s.new", path_cstr);
    if (stat(path_cstr, &old) != 0 || !write_file(fresh_cstr, buffer_view(text), &old) ||
        rename(fresh_cstr, path_cstr) != 0)
        return fail(path_cstr, strerror(errno));
    (void)printf(
        "%s has a new key, generation %llu. Reload the server; when `postern status` shows\n"
        "it in use, older lines may be taken out. Renew the copy that you keep elsewhere.\n",
        path_cstr, (unsigned long long)newest + 1);
    return EXIT_SUCCESS;
}

/* Who seals types it twice: a slip would make the copy worthless. */
static bool read_passphrase(bool is_new, char *line_out, size_t size)
{
    if (is_new)
        return read_secret_twice("Passphrase: ", line_out, size);
    if (read_secret_line("Passphrase: ", line_out, size) && line_out[0] != 0)
        return true;
    (void)fputs("postern: no passphrase\n", stderr);
    return false;
}

static int key_copy(const char *from_cstr, const char *to_cstr, bool is_backup,
                    struct buffer *text)
{
    char passphrase[PASSWORD_MAX_BYTES + 2] = "";
    struct master master;
    struct buffer out;
    struct err err = {0};
    bool made;
    int code = EXIT_FAILURE;

    buffer_init(&out, 2 * MASTER_FILE_MAX_BYTES);
    if (!read_file(from_cstr, text)) {
        code = fail(from_cstr, strerror(errno));
    } else if (read_passphrase(is_backup, passphrase, sizeof passphrase)) {
        struct slice words = slice_from_cstr(passphrase);

        made = is_backup ? password_box_seal(words, buffer_view(text), PASSWORD_COST_DEFAULT,
                                             &out, &err)
                         : password_box_open(words, buffer_view(text), &out, &err);
        made = made && master_parse(buffer_view(is_backup ? text : &out), &master, &err);
        if (made)
            master_wipe(&master);
        if (!made)
            code = fail(from_cstr, err.text_cstr);
        else if (!write_file(to_cstr, buffer_view(&out), NULL))
            code = fail(to_cstr, strerror(errno));
        else
            code = EXIT_SUCCESS;
    }
    explicit_bzero(passphrase, sizeof passphrase);
    buffer_wipe(&out);
    return code;
}

int command_key(int argc, char **argv)
{
    struct buffer text;
    int code;

    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        (void)fputs(help_cstr, stdout);
        return EXIT_SUCCESS;
    }
    (void)umask(0077);
    buffer_init(&text, 2 * MASTER_FILE_MAX_BYTES);
    if (argc == 3 && strcmp(argv[1], "new") == 0)
        code = key_new(argv[2], &text);
    else if (argc == 3 && strcmp(argv[1], "rotate") == 0)
        code = key_rotate(argv[2], &text);
    else if (argc == 4 && strcmp(argv[1], "backup") == 0)
        code = key_copy(argv[2], argv[3], true, &text);
    else if (argc == 4 && strcmp(argv[1], "restore") == 0)
        code = key_copy(argv[2], argv[3], false, &text);
    else
        code = usage_error("key", "new, rotate, backup or restore, and files");
    buffer_wipe(&text);
    return code;
}
