/* SPDX-License-Identifier: Apache-2.0 */
/* For tests that ask a program we did not write: temporary folders, small files, run and wait. */
#ifndef KIT_RUN_H
#define KIT_RUN_H

#include "base/slice.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A new folder below /tmp; the caller removes it with kit_remove_folder. */
static inline void kit_make_folder(char path_out_cstr[64])
{
    snprintf(path_out_cstr, 64, "/tmp/postern-test-XXXXXX");
    must(mkdtemp(path_out_cstr) != NULL);
}

/* Run a program (NULL-terminated words) with its output thrown away; true when it exits with 0. */
static inline bool kit_run(const char *const *words_cstr)
{
    pid_t child = fork();
    int status = -1;

    must(child >= 0);
    if (child == 0) {
        int null_fd = open("/dev/null", O_RDWR);

        dup2(null_fd, 0);
        dup2(null_fd, 1);
        dup2(null_fd, 2);
        execvp(words_cstr[0], (char *const *)(uintptr_t)words_cstr);
        _exit(127);
    }
    must(waitpid(child, &status, 0) == child);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
#define KIT_RUN(...) kit_run((const char *const[]){__VA_ARGS__, NULL})

static inline void kit_remove_folder(const char *path_cstr)
{
    must(strncmp(path_cstr, "/tmp/postern-test-", 18) == 0);
    must(KIT_RUN("rm", "-rf", path_cstr));
}

static inline void kit_write_file(const char *folder_cstr, const char *name_cstr,
                                  struct slice bytes)
{
    char path_cstr[256];
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s/%s", folder_cstr, name_cstr);
    fd = open(path_cstr, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(fd >= 0 && write(fd, bytes.at, bytes.len) == (ssize_t)bytes.len);
    close(fd);
}

/* The number of bytes read, at most `max`. */
static inline size_t kit_read_file(const char *folder_cstr, const char *name_cstr, uint8_t *at,
                                   size_t max)
{
    char path_cstr[256];
    ssize_t len;
    int fd;

    snprintf(path_cstr, sizeof path_cstr, "%s/%s", folder_cstr, name_cstr);
    fd = open(path_cstr, O_RDONLY | O_CLOEXEC);
    must(fd >= 0);
    len = read(fd, at, max);
    must(len >= 0);
    close(fd);
    return (size_t)len;
}

#endif
