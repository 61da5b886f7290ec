/* SPDX-License-Identifier: Apache-2.0 */
/* SMTP load source: N concurrent sessions in one epoll loop, M messages of S bytes (or a
 * fixed time), R recipients each, K messages a connection, optional STARTTLS. Prints JSON.
 *
 * Sessions are opened first and start together, so that the rate is that of N sessions. Without --rate each
 * sends its next message as soon as the last one is answered (closed loop). With --rate messages have a
 * time of departure whatever the server does (open loop), and from_schedule_ms counts from that time: a
 * server that stalls is charged with what had to wait. --idle opens the sessions, says "ready" on standard
 * error and holds them, silent. --meter FILE reads a counter (a control group's) when sending starts and says "started". */
#include "common.h"
#include <getopt.h>

static const char *opt_to = "127.0.0.1:2500", *opt_from = "sender@bench.test", *opt_dom = "sink.bench.test", *opt_acked;
static int opt_sess = 20, opt_rcpts = 1, opt_per = 0, opt_tls, opt_resume, opt_pipe = 1, opt_nullfrom, opt_quickack;
static long opt_msgs = 1000000000L, opt_first_id = 1, opt_max_err = 1000;
static size_t opt_size = 4096;
static double opt_dur, opt_timeout = 300, opt_rate, opt_idle;
static long opt_domains;
static const char *opt_meter;
#define MAX_WAITING 8
#define GATHER_S 20.0
static SSL_CTX *ctx;
static SSL_SESSION *saved;

static long n_acked, n_started, n_err, n_conn, n_tls, n_resumed, n_rej, n_drop;
static int n_open, n_ready, started, n_gathered;
static long long meter_start = -1;
static double t0, t_first_mail, t_last_ack, deadline;
static float *lat, *latd, *lats;
static long lat_n, lat_cap;
static char *body;
static size_t body_len;
static uint64_t body_sum;
static FILE *acked;
static long *retry;
static long retry_n, retry_cap;
static int ep;
static char first_err[300];

enum { ST_CONNECT, ST_BANNER, ST_EHLO, ST_STARTTLS, ST_HS, ST_EHLO2, ST_READY, ST_ENV, ST_BODY, ST_QUIT, ST_DEAD };
struct conn {
    struct stream s;
    int state, pipelining, want, got_bad, sent;
    long id;
    double t_mail, t_body, t_retry, t_due;
    struct obuf out;
    char in[8192];
    size_t inlen;
};

static void push_lat(double a, double b, double due) {
    if (lat_n == lat_cap) {
        lat_cap = lat_cap ? lat_cap * 2 : 1 << 16;
        lat = realloc(lat, (size_t)lat_cap * sizeof *lat);
        latd = realloc(latd, (size_t)lat_cap * sizeof *latd);
        lats = realloc(lats, (size_t)lat_cap * sizeof *lats);
        if (!lat || !latd || !lats) die("out of memory");
    }
    lats[lat_n] = (float)due;
    lat[lat_n] = (float)a;
    latd[lat_n++] = (float)b;
}
static void put(struct conn *c, const char *f, ...) {
    char b[1024];
    va_list ap;
    va_start(ap, f);
    int n = vsnprintf(b, sizeof b, f, ap);
    va_end(ap);
    ob_add(&c->out, b, (size_t)n);
}
static int more_work(void) {
    if (retry_n) return 1;
    if (opt_idle > 0 && started) return now_s() < t0 + opt_idle;
    if (opt_rate > 0) return n_started < opt_msgs && (opt_dur <= 0 || (double)n_started < opt_rate * opt_dur);
    if (opt_dur > 0 && started && now_s() >= t0 + opt_dur) return 0;
    return n_started < opt_msgs;
}
static void give_back(struct conn *c) {
    if (!c->id) return;
    if (retry_n == retry_cap) { retry_cap = retry_cap ? retry_cap * 2 : 256; retry = realloc(retry, (size_t)retry_cap * sizeof *retry); }
    retry[retry_n++] = c->id;
    c->id = 0;
}
static void conn_close(struct conn *c, int bad) {
    if (bad) { n_err++; n_drop++; c->t_retry = now_s() + 0.05; if (!first_err[0]) snprintf(first_err, sizeof first_err, "connection lost in state %d", c->state); }
    give_back(c);
    if (c->s.ssl) {
        if (!bad) SSL_shutdown(c->s.ssl);
        SSL_free(c->s.ssl);
    }
    c->s.ssl = NULL;
    if (c->s.fd >= 0) close(c->s.fd);
    c->s.fd = -1;
    if (c->state == ST_READY) n_ready--;
    c->state = ST_DEAD;
    n_open--;
}
static void conn_open(struct conn *c) {
    static struct sockaddr_in a;
    if (!a.sin_family) a = parse_addr(opt_to);
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    c->s.fd = fd;
    c->s.ssl = NULL;
    c->state = ST_BANNER;
    n_open++;
    c->inlen = c->out.len = c->out.off = 0;
    c->id = 0;
    c->sent = 0;
    n_conn++;
    if (connect(fd, (struct sockaddr *)&a, sizeof a) && errno != EINPROGRESS) {
        conn_close(c, 1);
        return;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = c};
    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
}
static const char *domain_of(long id) {
    static char b[64];
    if (!opt_domains) return opt_dom;
    snprintf(b, sizeof b, "d%ld.%s", id % opt_domains, opt_dom);
    return b;
}
static void send_body(struct conn *c) {
    put(c, "From: <%s>\r\nTo: <r@%s>\r\nSubject: bench %ld\r\nMessage-ID: <%ld.%llx@bench.test>\r\nDate: Mon, 01 Jan 2024 00:00:00 +0000\r\n"
           "X-Bench-Id: %ld\r\nX-Bench-Sum: %016llx\r\n\r\n",
        opt_from, domain_of(c->id), c->id, c->id, (unsigned long long)body_sum, c->id, (unsigned long long)body_sum);
    ob_add(&c->out, body, body_len);
    ob_add(&c->out, ".\r\n", 3);
    c->state = ST_BODY;
    c->t_body = now_s();
}
static void quit(struct conn *c) {
    if (c->state == ST_READY) n_ready--;
    put(c, "QUIT\r\n");
    c->state = ST_QUIT;
}
static double due_at(long n) { return t0 + (double)n / opt_rate; }
static void next_message(struct conn *c) {
    if (!more_work() || (opt_per && c->sent >= opt_per)) {
        quit(c);
        return;
    }
    double t = now_s();
    if (!started || opt_idle > 0 || (opt_rate > 0 && !retry_n && due_at(n_started) > t)) { /* the main loop wakes it */
        if (c->state != ST_READY) n_ready++;
        c->state = ST_READY;
        return;
    }
    if (c->state == ST_READY) n_ready--;
    c->t_due = opt_rate > 0 && !retry_n ? due_at(n_started) : t;
    c->id = retry_n ? retry[--retry_n] : opt_first_id + n_started++;
    c->sent++;
    c->t_mail = t;
    if (!t_first_mail) t_first_mail = t;
    c->got_bad = 0;
    put(c, "MAIL FROM:<%s>\r\n", opt_nullfrom ? "" : opt_from);
    if (c->pipelining && opt_pipe) {
        for (int i = 0; i < opt_rcpts; i++) put(c, "RCPT TO:<r%d@%s>\r\n", i, domain_of(c->id));
        put(c, "DATA\r\n");
    }
    c->want = 2 + opt_rcpts;
    c->state = ST_ENV;
}
static void note(const char *l) {
    if (!first_err[0]) {
        size_t i = 0;
        for (; l[i] && l[i] != '\r' && l[i] != '\n' && i < sizeof first_err - 1; i++) first_err[i] = (l[i] == '"' || l[i] == '\\') ? '\'' : l[i];
        first_err[i] = 0;
    }
}
/* one complete reply (last line); -1 closes */
static int on_reply(struct conn *c, const char *l, const char *all) {
    int code = atoi(l);
    switch (c->state) {
    case ST_BANNER:
        if (code != 220) { note(l); return -1; }
        put(c, "EHLO source.bench.test\r\n");
        c->state = ST_EHLO;
        return 0;
    case ST_EHLO: case ST_EHLO2:
        if (code != 250) { note(l); return -1; }
        c->pipelining = strcasestr(all, "PIPELINING") != NULL;
        if (opt_tls && c->state == ST_EHLO) {
            if (!strcasestr(all, "STARTTLS")) { note("no STARTTLS offered"); return -1; }
            put(c, "STARTTLS\r\n");
            c->state = ST_STARTTLS;
            return 0;
        }
        next_message(c);
        return 0;
    case ST_STARTTLS:
        if (code != 220) { note(l); return -1; }
        c->s.ssl = SSL_new(ctx);
        SSL_set_fd(c->s.ssl, c->s.fd);
        SSL_set_connect_state(c->s.ssl);
        if (opt_resume && saved) SSL_set_session(c->s.ssl, saved);
        c->state = ST_HS;
        return 0;
    case ST_ENV:
        c->want--;
        if (code >= 400) { c->got_bad = 1; n_rej++; note(l); }
        if (!(c->pipelining && opt_pipe) && c->want > 0 && !c->got_bad) {
            if (c->want == 1) put(c, "DATA\r\n");
            else put(c, "RCPT TO:<r%d@%s>\r\n", opt_rcpts + 1 - c->want, domain_of(c->id));
            return 0;
        }
        if (c->got_bad) {
            if (c->want > 0 && c->pipelining && opt_pipe) return 0;
            return -1;
        }
        if (c->want > 0) return 0;
        if (code != 354) { note(l); return -1; }
        send_body(c);
        return 0;
    case ST_BODY:
        if (code == 250) {
            double t = now_s();
            t_last_ack = t;
            n_acked++;
            push_lat(t - c->t_mail, t - c->t_body, t - c->t_due);
            if (acked) fprintf(acked, "%ld\n", c->id);
            c->id = 0;
            next_message(c);
            return 0;
        }
        n_rej++;
        note(l);
        return -1;
    case ST_QUIT:
        return -2;
    }
    return -1;
}
static int pump(struct conn *c) {
    for (;;) {
        if (c->state == ST_HS) {
            int r = SSL_do_handshake(c->s.ssl);
            if (r != 1) { if (st_ssl_rc(c->s.ssl, r) == IO_AGAIN) return 0; note("TLS handshake failed"); return -1; }
            n_tls++;
            if (SSL_session_reused(c->s.ssl)) n_resumed++;
            put(c, "EHLO source.bench.test\r\n");
            c->state = ST_EHLO2;
        }
        int f = ob_flush(&c->out, &c->s);
        if (f < 0) return -1;
        ssize_t r = st_read(&c->s, c->in + c->inlen, sizeof c->in - 1 - c->inlen);
        if (r > 0 && opt_quickack) setsockopt(c->s.fd, IPPROTO_TCP, TCP_QUICKACK, &opt_quickack, sizeof opt_quickack);
        if (r == IO_AGAIN) return 0;
        if (r <= 0) return c->state == ST_QUIT ? -2 : -1;
        c->inlen += (size_t)r;
        c->in[c->inlen] = 0;
        char *start = c->in, *l = c->in, *e;
        while ((e = memchr(l, '\n', c->inlen - (size_t)(l - c->in)))) {
            char *nl = e + 1;
            if (e - l >= 4 && l[3] == '-') { l = nl; continue; }
            char sv = *nl;
            *nl = 0;
            int k = on_reply(c, l, start);
            *nl = sv;
            if (k < 0) return k;
            l = start = nl;
        }
        c->inlen -= (size_t)(start - c->in);
        memmove(c->in, start, c->inlen);
        if (c->inlen >= sizeof c->in - 1) return -1;
    }
}
static int on_sess(SSL *s, SSL_SESSION *n) { (void)s; if (saved) SSL_SESSION_free(saved); saved = n; return 1; }
static int cmpf(const void *a, const void *b) { float x = *(const float *)a, y = *(const float *)b; return x < y ? -1 : x > y; }
static long long meter(void) {
    char b[256] = "", *p = b;
    FILE *f = opt_meter ? fopen(opt_meter, "r") : NULL;
    if (!f) return -1;
    size_t n = fread(b, 1, sizeof b - 1, f);
    fclose(f);
    b[n] = 0;
    p += strcspn(p, "0123456789");
    return strtoll(p, NULL, 10);
}
static void begin(struct conn *cs) {
    n_gathered = n_ready;
    started = 1;
    meter_start = meter();
    t0 = now_s();
    deadline = t0 + opt_timeout + opt_dur + opt_idle;
    if (opt_idle > 0 || opt_meter) fputs(opt_idle > 0 ? "ready\n" : "started\n", stderr);
    for (int i = 0; i < opt_sess && opt_idle <= 0; i++) {
        if (opt_rate > 0 && due_at(n_started) > now_s()) break;
        if (cs[i].state == ST_READY) {
            next_message(&cs[i]);
            if (ob_flush(&cs[i].out, &cs[i].s) < 0) conn_close(&cs[i], 1);
        }
    }
}
/* open loop: give what is due to sessions that are free, in turns */
static void depart(struct conn *cs) {
    static int turn;
    double t = now_s();
    for (int k = 0; k < opt_sess && n_ready && more_work() && (retry_n || due_at(n_started) <= t); k++) {
        struct conn *c = &cs[turn++ % opt_sess];
        if (c->state != ST_READY) continue;
        next_message(c);
        if (ob_flush(&c->out, &c->s) < 0) conn_close(c, 1);
    }
}
static double pct(float *v, double p) { return lat_n ? v[(long)((double)(lat_n - 1) * p)] * 1e3 : 0; }
static void print_pct(float *v) {
    printf("\"p50\":%.3f,\"p90\":%.3f,\"p99\":%.3f,\"p999\":%.3f,\"max\":%.3f}", pct(v, .5), pct(v, .9), pct(v, .99), pct(v, .999), pct(v, 1));
}

int main(int argc, char **argv) {
    static struct option lo[] = {{"to", 1, 0, 't'}, {"sessions", 1, 0, 's'}, {"messages", 1, 0, 'm'}, {"size", 1, 0, 'l'}, {"rcpts", 1, 0, 'r'},
                                 {"per-conn", 1, 0, 'n'}, {"starttls", 0, 0, 'S'}, {"resume", 0, 0, 'R'}, {"no-pipelining", 0, 0, 'P'},
                                 {"duration", 1, 0, 'd'}, {"first-id", 1, 0, 'i'}, {"acked", 1, 0, 'a'}, {"from", 1, 0, 'f'}, {"domain", 1, 0, 'D'},
                                 {"max-errors", 1, 0, 'e'}, {"timeout", 1, 0, 'T'}, {"null-sender", 0, 0, 'N'}, {"quickack", 0, 0, 'q'},
                                 {"rate", 1, 0, 'p'}, {"idle", 1, 0, 'I'}, {"domains", 1, 0, 'x'}, {"meter", 1, 0, 'M'}, {0}};
    int o;
    while ((o = getopt_long(argc, argv, "t:s:m:l:r:n:SRPd:i:a:f:D:e:T:Nqp:I:x:M:", lo, NULL)) != -1) switch (o) {
        case 't': opt_to = optarg; break;
        case 's': opt_sess = atoi(optarg); break;
        case 'm': opt_msgs = atol(optarg); break;
        case 'l': opt_size = strtoul(optarg, NULL, 10); break;
        case 'r': opt_rcpts = atoi(optarg); break;
        case 'n': opt_per = atoi(optarg); break;
        case 'S': opt_tls = 1; break;
        case 'R': opt_resume = 1; break;
        case 'P': opt_pipe = 0; break;
        case 'd': opt_dur = atof(optarg); break;
        case 'i': opt_first_id = atol(optarg); break;
        case 'a': opt_acked = optarg; break;
        case 'f': opt_from = optarg; break;
        case 'D': opt_dom = optarg; break;
        case 'e': opt_max_err = atol(optarg); break;
        case 'T': opt_timeout = atof(optarg); break;
        case 'q': opt_quickack = 1; break;
        case 'N': opt_nullfrom = 1; break;
        case 'p': opt_rate = atof(optarg); break;
        case 'I': opt_idle = atof(optarg); break;
        case 'x': opt_domains = atol(optarg); break;
        case 'M': opt_meter = optarg; break;
        default: die("usage: smtp_source --to A:P --sessions N (--messages M | --duration S) [--size B] [--rcpts R] [--per-conn K] [--starttls [--resume]] "
                     "[--no-pipelining] [--first-id I] [--acked FILE] [--from A] [--null-sender] [--quickack] [--domain D [--domains N]] [--max-errors E] [--timeout S] [--rate R] [--idle S] [--meter FILE]");
    }
    raise_nofile();
    signal(SIGPIPE, SIG_IGN);
    if (opt_acked && !(acked = fopen(opt_acked, "w"))) die("%s: %s", opt_acked, strerror(errno));
    /* lines of 76 characters; the header takes about 290 bytes of the size */
    size_t want = opt_size > 400 ? opt_size - 290 : 100;
    body = malloc(want + 200);
    uint64_t x = 88172645463325252ULL;
    while (body_len < want) {
        size_t n = want - body_len > 78 ? 76 : (want - body_len > 2 ? want - body_len - 2 : 1);
        for (size_t i = 0; i < n; i++) { x ^= x << 13; x ^= x >> 7; x ^= x << 17; body[body_len++] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[x & 63]; }
        body[body_len++] = '\r';
        body[body_len++] = '\n';
    }
    body_sum = fnv1a(FNV_INIT, (unsigned char *)body, body_len);
    if (opt_tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
        if (opt_resume) { SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL); SSL_CTX_sess_set_new_cb(ctx, on_sess); }
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    t0 = now_s();
    deadline = t0 + opt_timeout + opt_dur;
    struct conn *cs = calloc((size_t)opt_sess, sizeof *cs);
    /* no more than a few connections wait for a banner at once: servers with a short listen queue
     * (OpenSMTPD: 10) would drop the rest of a burst and answer them many seconds later */
    for (int i = 0; i < opt_sess; i++) { cs[i].s.fd = -1; cs[i].state = ST_DEAD; }
    struct epoll_event evs[256];
    int gave_up = 0;
    if (opt_per) begin(cs); /* connections come and go all the time: there is nothing to gather */
    for (;;) {
        double t = now_s(), pause = 0.005;
        int work = more_work();
        if (!started && (n_ready == opt_sess || (n_ready && t > t0 + (opt_idle > 0 ? 10 : 1) * GATHER_S) || n_err > opt_max_err)) { begin(cs); t = now_s(); }
        if (started && opt_rate > 0 && work) {
            depart(cs);
            if (n_ready) { pause = due_at(n_started) - now_s(); if (pause < 0) pause = 0; if (pause > 0.005) pause = 0.005; }
        }
        if (started && !work && n_ready) {
            for (int i = 0; i < opt_sess; i++) {
                if (cs[i].state != ST_READY) continue;
                quit(&cs[i]);
                if (ob_flush(&cs[i].out, &cs[i].s) < 0) conn_close(&cs[i], 0);
            }
        }
        if (work && n_open < opt_sess) {
            int waiting = 0;
            for (int i = 0; i < opt_sess; i++) if (cs[i].state == ST_BANNER) waiting++;
            for (int i = 0; i < opt_sess && waiting < MAX_WAITING; i++) {
                struct conn *c = &cs[i];
                if (c->state == ST_DEAD && t >= c->t_retry) { conn_open(c); waiting++; }
            }
        }
        if (!work) { /* who has not even been greeted will not be */
            for (int i = 0; i < opt_sess; i++) if (cs[i].state < ST_READY && cs[i].s.fd >= 0) conn_close(&cs[i], 0);
            if (!n_open) break;
        }
        if (n_err > opt_max_err || t > deadline) { gave_up = 1; break; }
        struct timespec ts = {.tv_nsec = (long)(pause * 1e9)};
        int n = epoll_pwait2(ep, evs, 256, &ts, NULL);
        for (int i = 0; i < n; i++) {
            struct conn *c = evs[i].data.ptr;
            if (c->s.fd < 0) continue;
            int k = pump(c);
            if (k < 0) {
                conn_close(c, k == -1);
                if (k == -2) c->t_retry = 0;
            }
        }
    }
    double el = t_last_ack - t_first_mail;
    if (acked) fclose(acked);
    double sum = 0;
    for (long i = 0; i < lat_n; i++) sum += lat[i];
    qsort(lat, (size_t)lat_n, sizeof *lat, cmpf);
    qsort(latd, (size_t)lat_n, sizeof *latd, cmpf);
    qsort(lats, (size_t)lat_n, sizeof *lats, cmpf);
    printf("{\"acked\":%ld,\"seconds\":%.6f,\"msgs_per_s\":%.2f,\"t_first_mail\":%.6f,\"t_last_ack\":%.6f,\"sessions\":%d,\"ready\":%d,\"size\":%zu,\"rcpts\":%d,"
           "\"per_conn\":%d,\"starttls\":%d,\"connections\":%ld,\"tls_handshakes\":%ld,\"tls_resumed\":%ld,\"rejects\":%ld,\"dropped\":%ld,\"gave_up\":%d,"
           "\"first_error\":\"%s\",\"offered_rate\":%.2f,\"unsent\":%ld,\"meter_start\":%lld,\"meter_end\":%lld,",
           n_acked, el, el > 0 ? (double)n_acked / el : 0, t_first_mail, t_last_ack, opt_sess, n_gathered, opt_size, opt_rcpts, opt_per, opt_tls, n_conn, n_tls, n_resumed,
           n_rej, n_drop, gave_up, first_err, opt_rate, n_started - n_acked, meter_start, meter());
    printf("\"latency_ms\":{\"mean\":%.3f,", lat_n ? sum / (double)lat_n * 1e3 : 0);
    print_pct(lat);
    printf(",\"dot_to_250_ms\":{");
    print_pct(latd);
    printf(",\"from_schedule_ms\":{");
    print_pct(lats);
    printf(",\"cpu_s\":%.4f}\n", cpu_s());
    return gave_up ? 1 : 0;
}
