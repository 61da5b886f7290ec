# SPDX-License-Identifier: Apache-2.0
"""A server under test: its script, the control group that accounts for all its processes, and what they use."""
import os
import re
import signal
import socket
import subprocess
import threading
import time

from kit import ground

TICKS = os.sysconf('SC_CLK_TCK')
EXTRA = dict(x.split('=', 1) for x in os.environ.get('BENCH_EXTRA_PEERS', '').split() if '=' in x)


def name_of(pid):
    """the part a process plays: Postern's role, OpenSMTPD's process title, else the program's name"""
    words = open(f'/proc/{pid}/cmdline', 'rb').read().replace(b'\0', b' ').decode(errors='replace').split()
    if len(words) > 2 and words[1] == 'role':
        return words[2]
    if len(words) > 1 and words[0] == 'smtpd:':
        return 'smtpd ' + words[1]
    name = open(f'/proc/{pid}/comm').read().strip()
    return 'supervisor' if name == 'postern' else name


class Group:
    """a control group whose only use is to count the CPU time of every process in it, short-lived ones too"""
    def __init__(self, name='bench-peer'):
        first = '/sys/fs/cgroup/cpuacct'
        self.v1 = os.path.isdir(first)
        self.folder = os.path.join(first if self.v1 else '/sys/fs/cgroup', name)
        os.makedirs(self.folder, exist_ok=True)
        self.meter = os.path.join(self.folder, 'cpuacct.usage' if self.v1 else 'cpu.stat')

    def enter(self):
        with open(os.path.join(self.folder, 'cgroup.procs'), 'w') as file:
            file.write('0')

    def pids(self):
        with open(os.path.join(self.folder, 'cgroup.procs')) as file:
            return [int(x) for x in file.read().split()]

    def seconds(self, count):
        """of what the source read from the meter"""
        return count / (1e9 if self.v1 else 1e6)

    def cpu(self):
        return self.seconds(int(re.search(r'\d+', open(self.meter).read()).group()))

    def alive(self):
        found = []
        for pid in self.pids():
            try:
                if open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()[0] not in 'ZX':
                    found.append(pid)
            except OSError:
                pass
        return found

    def end(self):
        """ends every process in it, by its id"""
        for number, wait in ((signal.SIGTERM, 3.0), (signal.SIGKILL, 3.0)):
            end, sent = time.time() + wait, set()
            while time.time() < end:
                pids = self.alive()
                if not pids:
                    return
                for pid in pids:
                    if pid not in sent or number == signal.SIGKILL:
                        sent.add(pid)
                        try:
                            os.kill(pid, number)
                        except OSError:
                            pass
                time.sleep(0.05)


class Watch(threading.Thread):
    """samples a group: peak memory, and CPU by the name of the process"""
    def __init__(self, group):
        super().__init__(daemon=True)
        self.group, self.pss, self.rss, self.processes, self.on = group, 0, 0, 0, True
        self.pss_by_name = {}
        self.seen, self.base, self.names = {}, {}, {}
        self.mark()
        self.start()

    def mark(self):
        """CPU counts from here"""
        self.look()
        self.base = dict(self.seen)

    def look(self):
        resident = 0
        pids = self.group.pids()
        for pid in pids:
            try:
                field = open(f'/proc/{pid}/stat').read().rsplit(')', 1)[1].split()
                key = (pid, field[19])
                if key not in self.names:
                    self.names[key] = name_of(pid)
                self.seen[key] = int(field[11]) + int(field[12])
                resident += int(field[21])
            except (OSError, IndexError):
                pass
        self.rss = max(self.rss, resident * os.sysconf('SC_PAGE_SIZE'))
        self.processes = max(self.processes, len(pids))

    def weigh(self):
        """memory in bytes, shared pages counted once, by the name of the process"""
        found = {}
        for pid in self.group.pids():
            try:
                kib = int(re.search(r'^Pss:\s+(\d+)', open(f'/proc/{pid}/smaps_rollup').read(), re.M).group(1))
                name = name_of(pid)
                found[name] = found.get(name, 0) + kib * 1024
            except (OSError, AttributeError):
                pass
        if sum(found.values()) > self.pss:
            self.pss, self.pss_by_name = sum(found.values()), found

    def run(self):
        turn = 0
        while self.on:
            try:
                self.look()
                if turn % 5 == 2:
                    self.weigh()
            except OSError:
                pass
            turn += 1
            time.sleep(0.5)

    def done(self):
        self.on = False
        self.join()
        self.look()
        self.weigh()

    def cpu_by_name(self, total):
        """seconds by name; what ended between two samples is the rest up to the total"""
        found = {}
        for key, ticks in self.seen.items():
            spent = (ticks - self.base.get(key, 0)) / TICKS
            if spent > 0:
                found[self.names[key]] = found.get(self.names[key], 0.0) + spent
        rest = total - sum(found.values())
        if rest > 0.02 * total:
            found['(ended meanwhile)'] = rest
        return found


class Peer:
    """knobs are settings of one run: they reach peer.sh as variables (see README.md)"""
    def __init__(self, name, **knobs):
        self.name, self.group, self.tracer = name, None, []
        self.folder = EXTRA.get(name) or os.path.join(ground.BENCH, 'peers', name)
        self.script = os.path.join(self.folder, 'peer.sh')
        if not os.path.exists(self.script):
            raise RuntimeError(f'no such peer: {self.script}')
        self.knobs = {key: str(value) for key, value in knobs.items()}

    def call(self, action, check=True, inside=False):
        env = dict(os.environ, PEERS=ground.PEERS, PEER_PORT=str(ground.PORT), SINK_PORT=str(ground.SINK), BENCH_CERTS=ground.CERTS,
                   POSTERN=ground.POSTERN, **self.knobs)
        command = [self.script, action]
        if inside:
            with open(os.path.join(ground.TMP, 'start.log'), 'w') as log:
                how = dict(env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, preexec_fn=self.group.enter)
                if self.tracer:  # ends when everything it traces has ended
                    self.traced = subprocess.Popen(self.tracer + command, **how)
                    return ''
                done = subprocess.run(command, timeout=120, **how)
        else:
            done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900)
        if check and done.returncode:
            raise RuntimeError(f'{self.name}: {action} failed: {done.stdout}')
        return done.stdout or ''

    def up(self):
        """starts it afresh with an empty spool; returns seconds until it greeted"""
        self.group = Group()
        self.group.end()
        self.call('prepare')
        os.sync()
        return self.start()

    def start(self, patience=60.0, rest=0.7):
        begin = time.time()
        self.call('start', inside=True)
        while time.time() < begin + patience:
            try:
                with socket.create_connection(('127.0.0.1', ground.PORT), 1) as s:
                    s.settimeout(10)
                    if s.recv(3) == b'220':
                        took = time.time() - begin
                        s.sendall(b'QUIT\r\n')
                        s.recv(200)
                        time.sleep(rest + (4.0 if self.tracer else 0.0))  # the script itself is slow under a tracer
                        return took
            except OSError:
                pass
            time.sleep(0.02)
        raise RuntimeError(f'{self.name} does not answer on port {ground.PORT}; last lines of its log:\n{self.call("log", check=False)}')

    def down(self):
        if self.group:
            try:
                self.call('stop', check=False)
            finally:
                self.group.end()
