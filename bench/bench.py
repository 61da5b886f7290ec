#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Runs mail servers side by side against one load source and one sink. See README.md."""
import argparse, fcntl, json, os, re, shutil, signal, socket, statistics, subprocess, sys, tempfile, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TMP = os.environ.get("BENCH_TMP") or os.path.join(tempfile.gettempdir(), "bench")
BIN = os.path.join(TMP, "bin")
CERTS = os.path.join(TMP, "certs")
PEERS = os.environ.get("PEERS", "/opt/peers")
OUT = os.environ.get("BENCH_OUT") or os.path.join(TMP, "results.jsonl")
LOCK = os.environ.get("BENCH_LOCK") or os.path.join(tempfile.gettempdir(), "bench.lock")
PORT = int(os.environ.get("PEER_PORT", "2500"))
SINK = int(os.environ.get("SINK_PORT", "2600"))
# more peer scripts, outside this folder: directories with peer.sh in them, by name
EXTRA = dict(x.split("=", 1) for x in os.environ.get("BENCH_EXTRA_PEERS", "").split() if "=" in x)
HZ = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class lock:
    """flock(1) on the same file keeps other timings out; held for a whole command, so that
    peers are compared with nothing of ours between them"""
    def __enter__(self):
        self.f = open(LOCK, "a")
        fcntl.flock(self.f, fcntl.LOCK_EX)
    def __exit__(self, *a):
        fcntl.flock(self.f, fcntl.LOCK_UN)
        self.f.close()


def record(r):
    r["time"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    with open(OUT, "a") as f:
        f.write(json.dumps(r) + "\n")
    keys = ("test", "peer", "run", "sessions", "size", "tls", "rate", "accept_rate", "cpu_ms_per_msg", "peak_rss_mib", "peak_pss_mib", "complete", "error")
    print(" ".join(f"{k}={r[k]:.5g}" if isinstance(r.get(k), float) else f"{k}={r[k]}" for k in keys if r.get(k) is not None), flush=True)


# ---- a control group whose only use is to account for every process of the peer ----
class Group:
    def __init__(self, name):
        v1 = "/sys/fs/cgroup/cpuacct"
        self.v1 = os.path.isdir(v1)
        self.dir = os.path.join(v1 if self.v1 else "/sys/fs/cgroup", name)
        os.makedirs(self.dir, exist_ok=True)
    def enter(self):
        with open(os.path.join(self.dir, "cgroup.procs"), "w") as f:
            f.write("0")
    def pids(self):
        with open(os.path.join(self.dir, "cgroup.procs")) as f:
            return [int(x) for x in f.read().split()]
    def cpu(self):
        if self.v1:
            return int(open(os.path.join(self.dir, "cpuacct.usage")).read()) / 1e9
        return int(re.search(r"usage_usec (\d+)", open(os.path.join(self.dir, "cpu.stat")).read()).group(1)) / 1e6
    def userspace(self):
        try:
            s = open(os.path.join(self.dir, "cpuacct.stat")).read()
            return {k: int(v) / HZ for k, v in (l.split() for l in s.splitlines())}
        except OSError:
            return {}
    def rss(self):
        t = 0
        for p in self.pids():
            try:
                t += int(open(f"/proc/{p}/statm").read().split()[1])
            except (OSError, IndexError):
                pass
        return t * PAGE
    def pss(self):
        t = 0
        for p in self.pids():
            try:
                t += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{p}/smaps_rollup").read(), re.M).group(1))
            except (OSError, AttributeError):
                pass
        return t * 1024
    def alive(self):
        r = []
        for p in self.pids():
            try:
                if open(f"/proc/{p}/stat").read().rsplit(")", 1)[1].split()[0] not in "ZX":
                    r.append(p)
            except OSError:
                pass
        return r
    def end(self):
        for sig, wait in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 3.0)):
            t = time.time() + wait
            sent = set()
            while time.time() < t:
                ps = self.alive()
                if not ps:
                    return
                for p in ps:
                    if p not in sent or sig == signal.SIGKILL:
                        sent.add(p)
                        try:
                            os.kill(p, sig)
                        except OSError:
                            pass
                time.sleep(0.05)


class Sampler(threading.Thread):
    def __init__(self, g):
        super().__init__(daemon=True)
        self.g, self.rss, self.pss, self.procs, self.on = g, 0, 0, 0, True
        self.start()
    def run(self):
        n = 0
        while self.on:
            try:
                self.rss = max(self.rss, self.g.rss())
                self.procs = max(self.procs, len(self.g.pids()))
                if n % 5 == 2:
                    self.pss = max(self.pss, self.g.pss())
            except OSError:
                pass
            n += 1
            time.sleep(0.5)
    def done(self):
        self.on = False
        self.join()


class Peer:
    def __init__(self, name):
        self.name = name
        d = EXTRA.get(name) or os.path.join(HERE, "peers", name)
        self.script = os.path.join(d, "peer.sh")
        if not os.path.exists(self.script):
            sys.exit(f"no such peer: {self.script}")
        self.g = None
    def call(self, action, *args, tls=0, hold=0, check=True, inside=False):
        env = dict(os.environ, PEERS=PEERS, PEER_PORT=str(PORT), SINK_PORT=str(SINK), SINK_TLS=str(tls), HOLD=str(hold), BENCH_CERTS=CERTS)
        r = subprocess.run([self.script, action, *args], env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT if not inside else None, text=True,
                           preexec_fn=self.g.enter if inside else None, timeout=900) if not inside else \
            subprocess.run([self.script, action, *args], env=env, stdout=subprocess.DEVNULL, stderr=open(os.path.join(TMP, "start.log"), "w"),
                           stdin=subprocess.DEVNULL, preexec_fn=self.g.enter, timeout=120)
        if check and r.returncode:
            sys.exit(f"{self.name}: {action} failed: {r.stdout}")
        return r.stdout
    def up(self, tls=0, hold=0):
        self.g = Group("bench-peer")
        self.g.end()
        self.call("prepare", tls=tls, hold=hold)
        subprocess.run(["sync"])
        self.call("start", tls=tls, hold=hold, inside=True)
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", PORT), 1) as s:
                    s.settimeout(10)
                    if s.recv(3) == b"220":
                        s.sendall(b"QUIT\r\n")
                        s.recv(200)
                        break
            except OSError:
                pass
            time.sleep(0.1)
        else:
            raise RuntimeError(f"{self.name} does not answer on port {PORT}")
        time.sleep(0.7)
    def down(self):
        self.call("stop", check=False)
        self.g.end()


class Sink:
    def __init__(self, tls=0, verify=False, rcpts=1):
        a = [os.path.join(BIN, "smtp_sink"), "-l", f"127.0.0.1:{SINK}", "-r", str(rcpts)] + (["-q"] if os.environ.get("BENCH_QUICKACK", "1") == "1" else [])
        if tls:
            a += ["-R", "-c", os.path.join(CERTS, "sink.crt"), "-k", os.path.join(CERTS, "sink.key")]
        if verify:
            a += ["-v"]
        self.p = subprocess.Popen(a, stdout=subprocess.PIPE, text=True)
        for _ in range(100):
            try:
                self.s = socket.create_connection(("127.0.0.1", SINK), 5)
                break
            except OSError:
                time.sleep(0.05)
        self.f = self.s.makefile("rb")
        self.f.readline()
    def cmd(self, c):
        self.s.sendall(c.encode() + b"\r\n")
        return self.f.readline().decode()[4:]
    def stat(self):
        return json.loads(self.cmd("XSTAT"))
    def reset(self):
        self.cmd("XRESET")
    def close(self):
        self.s.close()
        self.p.terminate()
        self.p.communicate()


def source(port=None, **kw):
    a = [os.path.join(BIN, "smtp_source"), "--to", f"127.0.0.1:{port or PORT}"] + (["-q"] if os.environ.get("BENCH_QUICKACK", "1") == "1" else [])
    for k, v in kw.items():
        a += ["--" + k.replace("_", "-")] + ([] if v is True else [str(v)])
    r = subprocess.run(a, stdout=subprocess.PIPE, text=True)
    return json.loads(r.stdout) if r.stdout else {"acked": 0, "msgs_per_s": 0.0, "first_error": "source failed"}


def setup():
    subprocess.run(["make", "-s", "-C", HERE, "BIN=" + BIN], check=True)
    os.makedirs(CERTS, exist_ok=True)
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    if not os.path.exists(os.path.join(CERTS, "sink.crt")):
        sh = """set -e; cd "$1"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3650 -subj '/CN=Bench CA'
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout sink.key -out sink.csr -subj /CN=sink.bench.test
        printf 'subjectAltName=DNS:sink.bench.test,DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in sink.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ext -out sink.crt"""
        subprocess.run(["sh", "-c", sh, "sh", CERTS], check=True, stderr=subprocess.DEVNULL)


def accept(peer, run, sessions, size, seconds, **tags):
    """(a) messages answered 250 per second, kept and not delivered"""
    p = Peer(peer)
    try:
        p.up(hold=1)
        source(sessions=sessions, messages=sessions * 2, size=size, timeout=60)
        time.sleep(0.3)
        c0, u0, sm = p.g.cpu(), p.g.userspace(), Sampler(p.g)
        s = source(sessions=sessions, duration=seconds, size=size, timeout=60)
        cpu = p.g.cpu() - c0
        sm.done()
        n = max(1, s["acked"])
        record(dict(test="accept", peer=peer, run=run, sessions=sessions, size=size, rate=s["msgs_per_s"], acked=s["acked"],
                    cpu_ms_per_msg=cpu / n * 1e3, peer_cpu_s=cpu, source_cpu_s=s.get("cpu_s"), peak_rss_mib=sm.rss / 2**20, peak_pss_mib=sm.pss / 2**20,
                    peak_procs=sm.procs, latency=s.get("latency_ms"), dot=s.get("dot_to_250_ms"), queued=int(p.call("queue", hold=1).strip() or 0),
                    rejects=s.get("rejects"), dropped=s.get("dropped"), error=s.get("first_error") or None, **tags))
    finally:
        p.down()


def e2e(peer, run, tls, messages, sessions=20, size=4096, limit=90, rcpts=1, **tags):
    """(b) from the first MAIL to the last message in the sink"""
    p, k = Peer(peer), None
    try:
        k = Sink(tls, rcpts=rcpts)
        p.up(tls=tls)
        source(sessions=sessions, messages=sessions * 5, size=size, first_id=3000001, timeout=30)
        t = time.time()
        while k.stat()["distinct_ids"] < sessions * 5 and time.time() < t + 15:
            time.sleep(0.2)
        warm = k.stat()["distinct_ids"]
        k.reset()
        c0, u0, sm = p.g.cpu(), p.g.userspace(), Sampler(p.g)
        t0 = time.time()
        s = source(sessions=sessions, messages=messages, size=size, rcpts=rcpts, timeout=limit)
        st = k.stat()
        while st["distinct_ids"] < s["acked"] and time.time() < t0 + limit:
            time.sleep(0.1)
            st = k.stat()
        cpu, u1 = p.g.cpu() - c0, p.g.userspace()
        sm.done()
        el = st["t_last"] - s["t_first_mail"]
        n = max(1, st["distinct_ids"])
        record(dict(test="e2e", peer=peer, run=run, tls=tls, sessions=sessions, size=size, messages=messages, seconds=el, rate=n / el if el > 0 else 0.0,
                    accept_rate=s["msgs_per_s"], delivered=st["distinct_ids"], acked=s["acked"], complete=st["distinct_ids"] == messages,
                    extra_copies=st["extra_copies"], sink_connections=st["connections"], peak_sink_connections=st["peak_connections"],
                    tls_sessions=st["tls_sessions"], tls13=st["tls13"], tls_resumed=st["tls_resumed"], refused_plain=st["refused_plain"],
                    cpu_ms_per_msg=cpu / n * 1e3, peer_cpu_s=cpu, user_s=u1.get("user", 0) - u0.get("user", 0), system_s=u1.get("system", 0) - u0.get("system", 0),
                    source_cpu_s=s.get("cpu_s"), sink_cpu_s=st["cpu_s"], peak_rss_mib=sm.rss / 2**20, peak_pss_mib=sm.pss / 2**20, peak_procs=sm.procs,
                    latency=s.get("latency_ms"), warm=warm, rejects=s.get("rejects"), dropped=s.get("dropped"), error=s.get("first_error") or None, **tags))
    finally:
        if k:
            k.close()
        p.down()


def mmm(v, f="{:.0f}"):
    return " / ".join(f.format(x) for x in (min(v), statistics.median(v), max(v))) if v else "-"


def report(path):
    rows = [json.loads(l) for l in open(path)]
    g = {}
    for r in rows:
        g.setdefault((r["test"], r["peer"], r.get("sessions"), r.get("size"), r.get("tls"), r.get("rcpts"), r.get("tag")), []).append(r)
    print("All figures min / median / max.\n")
    for test, head in (("accept", "| peer | sessions | in use | size | runs | messages/s | p99 from MAIL to 250, ms | CPU s per 1,000 | peak RSS sum MiB | peak PSS MiB |"),
                       ("e2e", "| peer | TLS | messages | runs | end to end messages/s | accepted/s meanwhile | CPU s per 1,000 | peak RSS sum MiB | peak PSS MiB | sink connections | complete |")):
        ks = [k for k in g if k[0] == test]
        if not ks:
            continue
        print(f"\n### {test}\n\n{head}\n|{'---|' * (head.count('|') - 1)}")
        for k in ks:
            v = g[k]
            f = lambda n, s=1.0: [r[n] * s for r in v if r.get(n) is not None]
            if test == "accept":
                use = [r["rate"] * r["latency"]["mean"] / 1e3 for r in v if r.get("latency")]  # Little's law
                print(f"| {k[1]} | {k[2]} | {mmm(use)} | {k[3]} | {len(v)} | {mmm(f('rate'))} | {mmm([r['latency']['p99'] for r in v if r.get('latency')])} | {mmm(f('cpu_ms_per_msg'), '{:.2f}')} | {mmm(f('peak_rss_mib'))} | {mmm(f('peak_pss_mib'))} |")
            elif test == "e2e":
                print(f"| {k[1]}{' ' + k[6] if k[6] else ''} | {'yes' if k[4] else 'no'} | {v[0]['messages']} | {len(v)} | {mmm(f('rate'))} | {mmm(f('accept_rate'))} | {mmm(f('cpu_ms_per_msg'), '{:.2f}')} | {mmm(f('peak_rss_mib'))} | {mmm(f('peak_pss_mib'))} | {mmm(f('sink_connections'))} | {sum(r['complete'] for r in v)}/{len(v)} |")



def main():
    ap = argparse.ArgumentParser(description=__doc__)
    sub = ap.add_subparsers(dest="cmd", required=True)
    for n in ("install", "accept", "e2e", "run", "quick"):
        s = sub.add_parser(n)
        s.add_argument("peers", nargs="+")
        s.add_argument("--runs", type=int, default=3)
        s.add_argument("--first-run", type=int, default=1, help="number of the first run, to go on after an interrupted command")
        s.add_argument("--seconds", type=float, default=5)
        s.add_argument("--messages", type=int, default=20000)
        s.add_argument("--slow-messages", type=int, default=0, help="messages for exim in e2e, when 20,000 take too long")
        s.add_argument("--limit", type=float, default=90)
        s.add_argument("--sessions", type=int, nargs="+", default=[20, 200])
        s.add_argument("--sizes", type=int, nargs="+", default=[4096, 65536])
        s.add_argument("--tls", type=int, nargs="+", default=[0, 1])
        s.add_argument("--e2e-sessions", type=int, default=20)
        s.add_argument("--tag")
    sub.add_parser("setup")
    s = sub.add_parser("report")
    s.add_argument("file", nargs="?", default=OUT)
    a = ap.parse_args()
    if a.cmd == "report":
        return report(a.file)
    setup()
    if a.cmd == "install":
        for p in a.peers:
            print(Peer(p).call("install"), Peer(p).name, Peer(p).call("version").strip())
    if a.cmd == "quick":
        return quick(a)
    if a.cmd in ("accept", "e2e", "run"):
        with lock():
            measure(a)
        shutil.rmtree(os.path.join(PEERS, ".trash"), ignore_errors=True)  # see discard in peers/lib.sh


# What Postern has to reach against a peer in the same run: (test, sessions, peer) -> least ratio of rates, most of CPU.
FLOORS = {
    ("accept", 20, "postfix"): (2.0, 0.5), ("accept", 200, "postfix"): (2.0, 0.5), ("e2e", 20, "postfix"): (3.0, 0.5),
    ("accept", 20, "exim"): (1.0, None), ("accept", 200, "exim"): (1.0, None), ("e2e", 20, "exim"): (1.0, None),
}


def quick(a):
    """the figures that matter, in a few minutes: Postern (the first peer named) against the others; exit status 1 below a floor"""
    global OUT
    OUT = os.path.join(TMP, "quick.jsonl")
    open(OUT, "w").close()
    a.cmd, a.sizes, a.tls = "run", [4096], [1]
    a.runs, a.seconds, a.messages, a.slow_messages = min(a.runs, 2), min(a.seconds, 4), min(a.messages, 5000), a.slow_messages or 1500
    with lock():
        measure(a)
    shutil.rmtree(os.path.join(PEERS, ".trash"), ignore_errors=True)
    rows = [json.loads(l) for l in open(OUT)]
    report(OUT)
    print(f"\n### {a.peers[0]} against the others (medians)\n\n| test | sessions | against | rate | ratio | floor | CPU ms a message | ratio | ceiling | |\n|{'---|' * 10}")
    bad = False
    mid = lambda test, ss, peer, field: (lambda v: statistics.median(v) if v else 0.0)([r[field] for r in rows if (r["test"], r["sessions"], r["peer"]) == (test, ss, peer)])
    for test, ss in [("accept", n) for n in a.sessions] + [("e2e", a.e2e_sessions)]:
        ours = mid(test, ss, a.peers[0], "rate"), mid(test, ss, a.peers[0], "cpu_ms_per_msg")
        for peer in a.peers[1:]:
            theirs = mid(test, ss, peer, "rate"), mid(test, ss, peer, "cpu_ms_per_msg")
            floor, ceiling = FLOORS.get((test, ss, peer), (None, None))
            r, c = ours[0] / max(theirs[0], 1e-9), ours[1] / max(theirs[1], 1e-9)
            ok = ours[0] > 0 and (floor is None or r >= floor) and (ceiling is None or c <= ceiling)
            bad = bad or not ok
            print(f"| {test} | {ss} | {peer} | {ours[0]:.0f} : {theirs[0]:.0f} | {r:.2f} | {floor or '-'} | {ours[1]:.3f} : {theirs[1]:.3f} | {c:.2f} | {ceiling or '-'} | {'ok' if ok else 'BELOW'} |")
    incomplete = [r for r in rows if r["test"] == "e2e" and r["peer"] == a.peers[0] and not r["complete"]]
    if incomplete:
        print(f"{a.peers[0]} lost or delayed messages: {len(incomplete)} end-to-end run(s) incomplete")
    return 1 if bad or incomplete else 0


def measure(a):
    tag = {"tag": a.tag} if a.tag else {}
    for i in range(a.first_run - 1, a.first_run - 1 + a.runs):  # peers take turns, so that their figures lie close together
        if a.cmd in ("accept", "run"):
            for ss in a.sessions:
                for sz in a.sizes:
                    for p in a.peers:
                        attempt(accept, p, i + 1, ss, sz, a.seconds, **tag)
        if a.cmd in ("e2e", "run"):
            for t in a.tls:
                for p in a.peers:
                    attempt(e2e, p, i + 1, t, a.slow_messages if a.slow_messages and p == "exim" else a.messages, sessions=a.e2e_sessions, limit=a.limit, **tag)


def attempt(f, peer, *a, **k):
    try:
        f(peer, *a, **k)
    except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as e:
        print(f"{f.__name__} {peer} {a}: {e}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
