/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by smtp_source.c and smtp_sink.c: a non-blocking stream with optional TLS. */
#ifndef BENCH_COMMON_H
#define BENCH_COMMON_H
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static inline double now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}
static inline double cpu_s(void) {
    struct rusage r;
    getrusage(RUSAGE_SELF, &r);
    return r.ru_utime.tv_sec + r.ru_stime.tv_sec + (r.ru_utime.tv_usec + r.ru_stime.tv_usec) * 1e-6;
}
static inline void die(const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(2);
}
static inline uint64_t fnv1a(uint64_t h, const unsigned char *p, size_t n) {
    while (n--) { h ^= *p++; h *= 1099511628211ULL; }
    return h;
}
#define FNV_INIT 14695981039346656037ULL

enum { IO_EOF = 0, IO_AGAIN = -1, IO_ERR = -2 };
struct stream { int fd; SSL *ssl; };

static inline ssize_t st_ssl_rc(SSL *s, int r) {
    int e = SSL_get_error(s, r);
    if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE) return IO_AGAIN;
    if (e == SSL_ERROR_ZERO_RETURN) return IO_EOF;
    ERR_clear_error();
    return IO_ERR;
}
static inline ssize_t st_read(struct stream *s, void *b, size_t n) {
    if (s->ssl) {
        int r = SSL_read(s->ssl, b, (int)n);
        return r > 0 ? r : st_ssl_rc(s->ssl, r);
    }
    ssize_t r = recv(s->fd, b, n, 0);
    if (r >= 0) return r;
    return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERR;
}
static inline ssize_t st_write(struct stream *s, const void *b, size_t n) {
    if (s->ssl) {
        int r = SSL_write(s->ssl, b, (int)(n > (1 << 20) ? 1 << 20 : n));
        return r > 0 ? r : st_ssl_rc(s->ssl, r);
    }
    ssize_t r = send(s->fd, b, n, MSG_NOSIGNAL);
    if (r >= 0) return r;
    return errno == EAGAIN || errno == EINTR ? IO_AGAIN : IO_ERR;
}

struct obuf { char *p; size_t len, off, cap; };
static inline void ob_add(struct obuf *o, const void *d, size_t n) {
    if (o->off == o->len) o->off = o->len = 0;
    if (o->len + n > o->cap) {
        o->cap = (o->len + n) * 2;
        o->p = realloc(o->p, o->cap);
        if (!o->p) die("out of memory");
    }
    memcpy(o->p + o->len, d, n);
    o->len += n;
}
/* 1: all written; 0: would block; -1: error */
static inline int ob_flush(struct obuf *o, struct stream *s) {
    while (o->off < o->len) {
        ssize_t r = st_write(s, o->p + o->off, o->len - o->off);
        if (r == IO_AGAIN) return 0;
        if (r <= 0) return -1;
        o->off += (size_t)r;
    }
    o->off = o->len = 0;
    return 1;
}
static inline struct sockaddr_in parse_addr(const char *s) {
    struct sockaddr_in a = {.sin_family = AF_INET};
    char host[64];
    const char *c = strrchr(s, ':');
    if (!c || (size_t)(c - s) >= sizeof host) die("address must be IPv4:port: %s", s);
    memcpy(host, s, (size_t)(c - s));
    host[c - s] = 0;
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1) die("bad address %s", s);
    a.sin_port = htons((uint16_t)atoi(c + 1));
    return a;
}
static inline void raise_nofile(void) {
    struct rlimit r;
    if (!getrlimit(RLIMIT_NOFILE, &r)) { r.rlim_cur = r.rlim_max; setrlimit(RLIMIT_NOFILE, &r); }
}
#endif
