/* SPDX-License-Identifier: Apache-2.0 */
/* SMTP sink: accepts everything, keeps nothing, counts what it was given.
 * One epoll loop per thread; optional STARTTLS. --delay waits before the answer to each message; --defer puts
 * that share of the messages off, once each. The extra command XSTAT answers one
 * line of JSON with the counters; XRESET zeroes them. SIGTERM prints them and exits. */
#include "common.h"
#include <getopt.h>
#include <pthread.h>

static int opt_tls, opt_require, opt_verify, opt_quickack, opt_threads = 1, opt_expect = 1, opt_no_tickets, opt_delay_ms, opt_defer;
static const char *opt_listen = "127.0.0.1:2600", *opt_cert, *opt_key;
static size_t opt_maxid = 4000000;
static SSL_CTX *ctx;

static _Atomic long n_conn, n_cur, n_peak, n_tls, n_resumed, n_tls13, n_msg, n_rcpt, n_bytes, n_bad, n_noid, n_distinct, n_over, n_err, n_refused, n_deferred;
static _Atomic uint16_t *seen;
static _Atomic uint8_t *put_off;
static _Atomic long long t_first, t_last; /* ns */
static double cpu0;
static volatile sig_atomic_t stop;

static long long now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}
static void stats(char *b, size_t n) {
    snprintf(b, n,
             "{\"messages\":%ld,\"rcpts\":%ld,\"bytes\":%ld,\"distinct_ids\":%ld,\"extra_copies\":%ld,\"no_id\":%ld,"
             "\"bad_sum\":%ld,\"connections\":%ld,\"peak_connections\":%ld,\"tls_sessions\":%ld,\"tls13\":%ld,\"tls_resumed\":%ld,"
             "\"refused_plain\":%ld,\"deferred\":%ld,\"io_errors\":%ld,\"t_first\":%.6f,\"t_last\":%.6f,\"t_now\":%.6f,\"cpu_s\":%.4f}",
             n_msg, n_rcpt, n_bytes, n_distinct, n_over, n_noid, n_bad, n_conn, n_peak, n_tls, n_tls13, n_resumed, n_refused, n_deferred, n_err,
             t_first * 1e-9, t_last * 1e-9, now_s(), cpu_s() - cpu0);
}

enum { CMD, DATA };
#define HEADMAX 8192
#define RB 65536
struct conn {
    struct stream s;
    int hs;      /* 1: TLS handshake running */
    int state, quit, nrcpt, start_tls;
    size_t carry; /* bytes of the pattern "\r\n.\r\n" matched at the end of what was seen */
    char line[2048];
    size_t linelen;
    struct obuf out, body, rest;   /* rest: what came after a message whose answer is delayed */
    struct conn *next;             /* in the line of delayed answers */
    double t_answer;
    int waits, gone;
    const char *answer;
    size_t headlen;
    char head[HEADMAX + 1];
};

static void reply(struct conn *c, const char *s) { ob_add(&c->out, s, strlen(s)); }

/* every thread's line of delayed answers; the delay is the same for all, so the first in line is due first */
static _Thread_local struct conn *line_first, *line_last;
static void answer(struct conn *c, const char *text) {
    if (!opt_delay_ms) { reply(c, text); return; }
    c->answer = text;
    c->t_answer = now_s() + opt_delay_ms * 1e-3;
    c->waits = 1;
    c->next = NULL;
    if (line_last) line_last->next = c;
    else line_first = c;
    line_last = c;
}
/* One message in a hundred per point of --defer is put off, once; chosen by its number, so the same ones in every run. */
static int to_be_put_off(size_t id) { return opt_defer && (id * 2654435761u >> 7) % 100 < (unsigned)opt_defer && !atomic_exchange(&put_off[id], 1); }

static void message_done(struct conn *c) {
    long long t = now_ns(), z = 0;
    c->head[c->headlen] = 0;
    char *p = memmem(c->head, c->headlen, "X-Bench-Id: ", 12);
    if (p && opt_defer) {
        size_t id = strtoul(p + 12, NULL, 10);
        if (id < opt_maxid && to_be_put_off(id)) {
            n_deferred++;
            c->nrcpt = 0;
            answer(c, "451 4.7.1 later\r\n");
            return;
        }
    }
    atomic_compare_exchange_strong(&t_first, &z, t);
    t_last = t;
    n_msg++;
    n_rcpt += c->nrcpt;
    if (!p) n_noid++;
    else {
        size_t id = strtoul(p + 12, NULL, 10);
        if (id >= opt_maxid) n_noid++;
        else {
            unsigned old = atomic_fetch_add(&seen[id], (uint16_t)c->nrcpt);
            if (!old) n_distinct++;
            if ((int)old + c->nrcpt > opt_expect) n_over++;
        }
    }
    if (opt_verify) {
        uint64_t want = 0, got = FNV_INIT;
        char *q = memmem(c->head, c->headlen, "X-Bench-Sum: ", 13), *b = NULL;
        if (q) want = strtoull(q + 13, NULL, 16);
        if (c->body.len) b = memmem(c->body.p, c->body.len, "\r\n\r\n", 4);
        if (b) { /* undo dot stuffing; the body ends with the CRLF before the dot */
            char *e = c->body.p + c->body.len;
            int bol = 1;
            for (b += 4; b < e; b++) {
                if (bol && *b == '.') { bol = 0; continue; }
                unsigned char ch = (unsigned char)*b;
                got = fnv1a(got, &ch, 1);
                bol = ch == '\n';
            }
        }
        if (!q || got != want) n_bad++;
        c->body.len = c->body.off = 0;
    }
    c->nrcpt = 0;
    answer(c, "250 2.0.0 sunk\r\n");
}

/* Feed body bytes; returns how many were consumed, sets *done at the end of the message. */
static size_t feed_data(struct conn *c, const char *b, size_t n, int *done) {
    static const char pat[] = "\r\n.\r\n";
    size_t i = 0;
    *done = 0;
    while (i < n) {
        if (c->carry == 0) {
            const char *p = memmem(b + i, n - i, pat, 5);
            if (p) { i = (size_t)(p - b) + 5; *done = 1; break; }
            /* keep the longest suffix that is a prefix of the pattern */
            size_t k = n - i < 4 ? n - i : 4;
            for (; k; k--) if (!memcmp(b + n - k, pat, k)) break;
            c->carry = k;
            i = n;
            break;
        }
        if (b[i] == pat[c->carry]) {
            i++;
            if (++c->carry == 5) { *done = 1; break; }
        } else if (b[i] == '\r') { c->carry = 1; i++; }
        else { c->carry = 0; i++; }
    }
    if (c->headlen < HEADMAX) {
        size_t k = HEADMAX - c->headlen < i ? HEADMAX - c->headlen : i;
        memcpy(c->head + c->headlen, b, k);
        c->headlen += k;
    }
    if (opt_verify) {
        ob_add(&c->body, b, i);
        if (*done) c->body.len -= 3;
    }
    n_bytes += (long)i;
    if (*done) c->carry = 0;
    return i;
}

static void command(struct conn *c) {
    char *l = c->line;
    if (!strncasecmp(l, "EHLO", 4)) {
        reply(c, "250-sink.bench.test\r\n250-PIPELINING\r\n250-SIZE 104857600\r\n250-8BITMIME\r\n");
        if (opt_tls && !c->s.ssl) reply(c, "250-STARTTLS\r\n");
        reply(c, "250 ENHANCEDSTATUSCODES\r\n");
    } else if (!strncasecmp(l, "HELO", 4)) reply(c, "250 sink.bench.test\r\n");
    else if (!strncasecmp(l, "MAIL", 4)) {
        if (opt_require && !c->s.ssl) { n_refused++; reply(c, "530 5.7.0 STARTTLS first\r\n"); }
        else { c->nrcpt = 0; reply(c, "250 2.1.0 ok\r\n"); }
    } else if (!strncasecmp(l, "RCPT", 4)) {
        if (opt_require && !c->s.ssl) reply(c, "530 5.7.0 STARTTLS first\r\n");
        else { c->nrcpt++; reply(c, "250 2.1.5 ok\r\n"); }
    } else if (!strncasecmp(l, "DATA", 4)) {
        if (!c->nrcpt) reply(c, "503 5.5.1 no recipients\r\n");
        else {
            c->state = DATA;
            c->headlen = 0;
            c->carry = 2; /* a dot alone on the first line also ends it */
            c->body.len = c->body.off = 0;
            reply(c, "354 go\r\n");
        }
    } else if (!strncasecmp(l, "RSET", 4)) { c->nrcpt = 0; reply(c, "250 2.0.0 ok\r\n"); }
    else if (!strncasecmp(l, "NOOP", 4)) reply(c, "250 2.0.0 ok\r\n");
    else if (!strncasecmp(l, "QUIT", 4)) { reply(c, "221 2.0.0 bye\r\n"); c->quit = 1; }
    else if (!strncasecmp(l, "STARTTLS", 8) && opt_tls && !c->s.ssl) { reply(c, "220 2.0.0 go\r\n"); c->start_tls = 1; }
    else if (!strncasecmp(l, "XSTAT", 5)) {
        char b[1200];
        stats(b, sizeof b);
        reply(c, "250 "); reply(c, b); reply(c, "\r\n");
    } else if (!strncasecmp(l, "XRESET", 6)) {
        n_conn = n_peak = n_tls = n_tls13 = n_resumed = n_msg = n_rcpt = n_bytes = n_bad = n_noid = n_distinct = n_over = n_err = n_refused = n_deferred = 0;
        t_first = t_last = 0;
        for (size_t i = 0; i < opt_maxid; i++) if (seen[i]) seen[i] = 0;
        if (opt_defer) memset((void *)put_off, 0, opt_maxid);
        cpu0 = cpu_s();
        reply(c, "250 ok\r\n");
    } else reply(c, "500 5.5.2 what\r\n");
}

static int begin_tls(struct conn *c) {
    c->s.ssl = SSL_new(ctx);
    SSL_set_fd(c->s.ssl, c->s.fd);
    SSL_set_accept_state(c->s.ssl);
    c->hs = 1;
    c->linelen = 0;
    return 0;
}

/* takes what was read, up to a message whose answer is delayed; -1: close */
static int take(struct conn *c, const char *buf, size_t n) {
    size_t i = 0;
    while (i < n && !c->quit && !c->start_tls && !c->waits) {
        if (c->state == DATA) {
            int done;
            i += feed_data(c, buf + i, n - i, &done);
            if (done) { c->state = CMD; message_done(c); }
        } else {
            const char *e = memchr(buf + i, '\n', n - i);
            size_t k = e ? (size_t)(e - buf) - i + 1 : n - i;
            if (c->linelen + k >= sizeof c->line) return -1;
            memcpy(c->line + c->linelen, buf + i, k);
            c->linelen += k;
            i += k;
            if (e) { c->line[c->linelen] = 0; c->linelen = 0; command(c); }
        }
    }
    if (c->waits && i < n) ob_add(&c->rest, buf + i, n - i);
    return 0;
}

/* -1: close the connection */
static int pump(struct conn *c, char *buf) {
    for (;;) {
        if (c->hs) {
            int r = SSL_do_handshake(c->s.ssl);
            if (r != 1) return st_ssl_rc(c->s.ssl, r) == IO_AGAIN ? 0 : -1;
            c->hs = 0;
            n_tls++;
            if (SSL_version(c->s.ssl) == TLS1_3_VERSION) n_tls13++;
            if (SSL_session_reused(c->s.ssl)) n_resumed++;
        }
        int f = ob_flush(&c->out, &c->s);
        if (f < 0) return -1;
        if (c->quit) return f ? -1 : 0;
        if (!f || c->waits) return 0;
        if (c->start_tls) { c->start_tls = 0; begin_tls(c); continue; }
        ssize_t r = st_read(&c->s, buf, RB);
        /* acknowledge at once: a sender that leaves Nagle's algorithm on is not to wait for us */
        if (r > 0 && opt_quickack) setsockopt(c->s.fd, IPPROTO_TCP, TCP_QUICKACK, &opt_quickack, sizeof opt_quickack);
        if (r == IO_AGAIN) return 0;
        if (r == IO_EOF) return -1;
        if (r < 0) { n_err++; return -1; }
        if (take(c, buf, (size_t)r) < 0) return -1;
    }
}

static void hang_up(struct conn *c) {
    if (c->s.ssl) { SSL_set_quiet_shutdown(c->s.ssl, c->quit ? 0 : 1); if (!c->hs) SSL_shutdown(c->s.ssl); SSL_free(c->s.ssl); }
    close(c->s.fd);
    n_cur--;
    free(c->out.p);
    free(c->body.p);
    free(c->rest.p);
    c->gone = 1;
    if (!c->waits) free(c); /* else answer_due does */
}
static void answer_due(char *buf) {
    double t = line_first ? now_s() : 0;
    while (line_first && line_first->t_answer <= t) {
        struct conn *c = line_first;
        line_first = c->next;
        if (!line_first) line_last = NULL;
        c->waits = 0;
        if (c->gone) { free(c); continue; }
        reply(c, c->answer);
        struct obuf rest = c->rest;
        c->rest = (struct obuf){0};
        if (take(c, rest.p + rest.off, rest.len - rest.off) < 0 || pump(c, buf) < 0) hang_up(c);
        free(rest.p);
    }
}

static void *worker(void *arg) {
    (void)arg;
    struct sockaddr_in a = parse_addr(opt_listen);
    int one = 1, ls = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ep = epoll_create1(EPOLL_CLOEXEC);
    setsockopt(ls, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (opt_threads > 1) setsockopt(ls, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (bind(ls, (struct sockaddr *)&a, sizeof a) || listen(ls, 4096)) die("bind %s: %s", opt_listen, strerror(errno));
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = NULL}, evs[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, ls, &ev);
    char *buf = malloc(RB);
    while (!stop) {
        int n = epoll_wait(ep, evs, 256, line_first ? 1 : 200);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (!c) {
                for (int k = 0; k < 64; k++) {
                    int fd = accept4(ls, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                    if (fd < 0) break;
                    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
                    struct conn *x = calloc(1, sizeof *x);
                    x->s.fd = fd;
                    n_conn++;
                    long cur = ++n_cur;
                    if (cur > n_peak) n_peak = cur;
                    reply(x, "220 sink.bench.test ESMTP\r\n");
                    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = x};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            if (!c->gone && pump(c, buf) < 0) hang_up(c);
        }
        answer_due(buf);
    }
    return NULL;
}
static void on_term(int s) { (void)s; stop = 1; }

int main(int argc, char **argv) {
    static struct option lo[] = {{"listen", 1, 0, 'l'}, {"threads", 1, 0, 't'}, {"cert", 1, 0, 'c'}, {"key", 1, 0, 'k'},
                                 {"starttls", 0, 0, 'S'}, {"require-tls", 0, 0, 'R'}, {"verify", 0, 0, 'v'}, {"rcpts", 1, 0, 'r'},
                                 {"max-id", 1, 0, 'm'}, {"quickack", 0, 0, 'q'},
                                 {"no-tickets", 0, 0, 'N'}, {"delay", 1, 0, 'D'}, {"defer", 1, 0, 'F'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "l:t:c:k:SRvr:m:qND:F:", lo, NULL)) != -1) switch (o) {
        case 'l': opt_listen = optarg; break;
        case 't': opt_threads = atoi(optarg); break;
        case 'c': opt_cert = optarg; break;
        case 'k': opt_key = optarg; break;
        case 'S': opt_tls = 1; break;
        case 'R': opt_tls = opt_require = 1; break;
        case 'v': opt_verify = 1; break;
        case 'r': opt_expect = atoi(optarg); break;
        case 'q': opt_quickack = 1; break;
        case 'N': opt_no_tickets = 1; break;
        case 'D': opt_delay_ms = atoi(optarg); break;
        case 'F': opt_defer = atoi(optarg); break;
        case 'm': opt_maxid = strtoul(optarg, NULL, 10); break;
        default: die("usage: smtp_sink [--listen A:P] [--threads N] [--starttls|--require-tls --cert F --key F] [--verify] [--no-tickets] [--quickack] [--rcpts R] [--max-id N] "
                     "[--delay MS] [--defer PERCENT]");
    }
    raise_nofile();
    signal(SIGPIPE, SIG_IGN);
    struct sigaction sa = {.sa_handler = on_term};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    seen = calloc(opt_maxid, sizeof *seen);
    put_off = calloc(opt_maxid, sizeof *put_off);
    if (!seen || !put_off) die("out of memory");
    if (opt_tls) {
        ctx = SSL_CTX_new(TLS_server_method());
        SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
        if (!opt_cert || SSL_CTX_use_certificate_chain_file(ctx, opt_cert) != 1 ||
            SSL_CTX_use_PrivateKey_file(ctx, opt_key ? opt_key : opt_cert, SSL_FILETYPE_PEM) != 1) die("certificate or key not usable");
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
        if (opt_no_tickets) SSL_CTX_set_num_tickets(ctx, 0); /* every handshake is a full one */
        SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"sink", 4);
    }
    pthread_t th[64];
    if (opt_threads > 64) opt_threads = 64;
    for (int i = 0; i < opt_threads; i++) pthread_create(&th[i], NULL, worker, NULL);
    for (int i = 0; i < opt_threads; i++) pthread_join(th[i], NULL);
    char b[1200];
    stats(b, sizeof b);
    puts(b);
    return 0;
}
