/* SPDX-License-Identifier: Apache-2.0 */
/* LD_PRELOAD for a mail server that makes nothing durable itself: after it moves a
 * directory, rename() flushes the files in it. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
static void flush(const char *p) {
    int fd = open(p, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) { fsync(fd); close(fd); }
}
int rename(const char *a, const char *b) {
    static int (*real)(const char *, const char *);
    if (!real) real = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    int r = real(a, b);
    struct stat st;
    char p[4096];
    /* the last step of a commit is the rename of the message's directory; on ext4 the fsync of a
     * file inside, made since, also commits the names that lead to it */
    if (!r && !stat(b, &st) && S_ISDIR(st.st_mode)) {
        DIR *d = opendir(b);
        struct dirent *e;
        while (d && (e = readdir(d))) {
            if (e->d_name[0] == '.') continue;
            snprintf(p, sizeof p, "%s/%s", b, e->d_name);
            flush(p);
        }
        if (d) closedir(d);
    }
    return r;
}
