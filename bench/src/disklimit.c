/* SPDX-License-Identifier: Apache-2.0 */
/* What this disk allows, whatever the program: durable appends per second.
 *   append   one writer, 4 KiB appended and fdatasync'ed each time (growing file)
 *   over     the same into blocks already written (no size change: no journal commit needed)
 *   group    W writers hand S-byte messages to one committer, which writes all that wait and
 *            calls fdatasync once; a writer goes on when its message is durable
 *   groupover  the same into segments already written and zeroed
 *   files    W threads, each: create a file, write S bytes, fsync it (the file-per-message way)
 *   filesd   as files, and fsync of the directory after the rename to the final name */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#define SEG (512L << 20)
static const char *dir = ".", *mode = "append";
static int W = 200;
static size_t S = 4096;
static double T = 5;
static volatile int stop;
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec + t.tv_nsec * 1e-9; }
static void die(const char *w) { perror(w); exit(2); }
static char path[4096];
static int seg_open(int over) {
    snprintf(path, sizeof path, "%s/disklimit.%d", dir, (int)getpid());
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (fd < 0) die(path);
    if (over) {
        char *z = calloc(1, 1 << 20);
        for (long o = 0; o < SEG; o += 1 << 20) if (pwrite(fd, z, 1 << 20, o) != 1 << 20) die("fill");
        free(z);
        fsync(fd);
    }
    return fd;
}
static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cv_work = PTHREAD_COND_INITIALIZER;
static pthread_cond_t cv_done[2] = {PTHREAD_COND_INITIALIZER, PTHREAD_COND_INITIALIZER};
static struct iovec pend[1024];
static int npend;
static long gen, done_gen, msgs, syncs;
static void *writer(void *a) {
    char *m = malloc(S);
    memset(m, 'a' + (int)((long)a % 26), S);
    pthread_mutex_lock(&mu);
    while (!stop) {
        pend[npend++] = (struct iovec){m, S};
        long g = gen;
        if (npend == 1) pthread_cond_signal(&cv_work);
        while (done_gen <= g && !stop) pthread_cond_wait(&cv_done[g & 1], &mu);
    }
    pthread_mutex_unlock(&mu);
    return NULL;
}
static void group(int over) {
    int fd = seg_open(over);
    pthread_t th[1024];
    double t0 = now(), t;
    off_t off = 0;
    for (long i = 0; i < W; i++) pthread_create(&th[i], NULL, writer, (void *)i);
    pthread_mutex_lock(&mu);
    static struct iovec v[1024];
    while ((t = now()) < t0 + T) {
        while (!npend) pthread_cond_wait(&cv_work, &mu);
        int n = npend;
        memcpy(v, pend, sizeof *v * (size_t)n);
        npend = 0;
        long g = gen++;
        pthread_mutex_unlock(&mu);
        if (off + (off_t)(n * S) > SEG) { off = 0; if (!over && ftruncate(fd, 0)) die("ftruncate"); }
        ssize_t k = pwritev(fd, v, n, off);
        if (k != (ssize_t)(n * S)) die("pwritev");
        off += k;
        if (fdatasync(fd)) die("fdatasync");
        pthread_mutex_lock(&mu);
        done_gen = g + 1;
        msgs += n;
        syncs++;
        pthread_cond_broadcast(&cv_done[g & 1]);
    }
    stop = 1;
    pthread_cond_broadcast(&cv_done[0]);
    pthread_cond_broadcast(&cv_done[1]);
    pthread_mutex_unlock(&mu);
    for (int i = 0; i < W; i++) pthread_join(th[i], NULL);
    printf("{\"mode\":\"%s\",\"writers\":%d,\"size\":%zu,\"seconds\":%.3f,\"messages_per_s\":%.1f,\"syncs_per_s\":%.1f,\"batch\":%.1f}\n", mode, W, S, t - t0,
           msgs / (t - t0), syncs / (t - t0), (double)msgs / (double)(syncs ? syncs : 1));
    unlink(path);
}
static double tstart;
static int dirsync;
static void *filer(void *a) {
    char tmp[4096], fin[4096], *m = malloc(S);
    memset(m, 'x', S);
    snprintf(tmp, sizeof tmp, "%s/f%ld", dir, (long)a);
    mkdir(tmp, 0700);
    int dfd = open(tmp, O_RDONLY | O_DIRECTORY);
    long n = 0;
    for (; now() < tstart + T; n++) {
        snprintf(tmp, sizeof tmp, "t%ld", n);
        snprintf(fin, sizeof fin, "m%ld", n);
        int fd = openat(dfd, tmp, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0 || write(fd, m, S) != (ssize_t)S || fsync(fd)) die("file");
        close(fd);
        if (dirsync) { if (renameat(dfd, tmp, dfd, fin) || fsync(dfd)) die("dir"); }
    }
    __atomic_fetch_add(&msgs, n, __ATOMIC_RELAXED);
    for (long i = 0; i < n; i++) { snprintf(fin, sizeof fin, "%c%ld", dirsync ? 'm' : 't', i); unlinkat(dfd, fin, 0); }
    close(dfd);
    snprintf(tmp, sizeof tmp, "%s/f%ld", dir, (long)a);
    rmdir(tmp);
    free(m);
    return NULL;
}
int main(int c, char **v) {
    int o;
    while ((o = getopt(c, v, "d:m:w:s:t:")) != -1) switch (o) {
        case 'd': dir = optarg; break;
        case 'm': mode = optarg; break;
        case 'w': W = atoi(optarg); break;
        case 's': S = strtoul(optarg, NULL, 10); break;
        case 't': T = atof(optarg); break;
        default: fprintf(stderr, "usage: disklimit -d DIR -m append|over|group|groupover|files|filesd [-w writers] [-s size] [-t seconds]\n"); return 2;
    }
    if (W > 1000) W = 1000;
    int over = strstr(mode, "over") != NULL;
    if (!strncmp(mode, "group", 5)) { group(over); return 0; }
    if (!strncmp(mode, "files", 5)) {
        dirsync = mode[5] == 'd';
        pthread_t th[1024];
        tstart = now();
        for (long i = 0; i < W; i++) pthread_create(&th[i], NULL, filer, (void *)i);
        for (int i = 0; i < W; i++) pthread_join(th[i], NULL);
        printf("{\"mode\":\"%s\",\"writers\":%d,\"size\":%zu,\"messages_per_s\":%.1f}\n", mode, W, S, msgs / T);
        return 0;
    }
    int fd = seg_open(over);
    char *b = malloc(S);
    memset(b, 'q', S);
    long n = 0;
    off_t off = 0;
    double t0 = now(), t;
    while ((t = now()) < t0 + T) {
        if (off + (off_t)S > SEG) off = 0;
        if (pwrite(fd, b, S, off) != (ssize_t)S || fdatasync(fd)) die("write");
        off += (off_t)S;
        n++;
    }
    printf("{\"mode\":\"%s\",\"size\":%zu,\"seconds\":%.3f,\"syncs_per_s\":%.1f}\n", mode, S, t - t0, n / (t - t0));
    unlink(path);
    return 0;
}
