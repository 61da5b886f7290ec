#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
A soak: a mixed load at a steady rate for as long as wished, while every few seconds the memory, descriptors and CPU of each
role, the disk, the length of the queue and the time that one message takes are written down. Fails when something is lost, or
when memory, descriptors or disk drift upwards after the warm-up.

    make soak MINUTES=60 RATE=400        (test/run soak ARGUMENTS; --help)

The load, as parts of RATE: 95.5 % secure mail of 4 KiB over verified TLS (10 % of it put off once by the host), 2 % of 100 KiB,
0.1 % of 1 MiB; and beside it each second one message whose recipient has no TLS (sealed copy and notice), one that is
refused (failure report), one for a dead host, one submitted over TLS with a password. Sealed copies expire after two minutes
and what has ended is forgotten after two more, so that the database comes to a steady size as well.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(TOP, 'test', 'system'))

from world import free_port, wait_until  # noqa: E402
from world.ca import Authority, dkim_key  # noqa: E402
from world.mails import make_mail, submit  # noqa: E402
from world.postern import ROLES, Postern  # noqa: E402
from world.scene import World  # noqa: E402

HZ = os.sysconf('SC_CLK_TCK')
SECOND_IDS, THIRD_IDS, IDS = 6_000_000, 7_000_000, 8_000_000


def options():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=60)
    parser.add_argument('--rate', type=float, default=400, help='messages a second')
    parser.add_argument('--every', type=float, default=5, help='seconds between samples')
    parser.add_argument('--out', default='', help='write samples and result here (JSON)')
    return parser.parse_args()


# ---- what is seen of the server ----

def first_number(path, pattern):
    with open(path, encoding='ascii', errors='replace') as file:
        return int(re.search(pattern, file.read(), re.M).group(1))


def look_at(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return {'pss_kib': first_number(f'/proc/{pid}/smaps_rollup', r'^Pss:\s+(\d+)'),
            'rss_kib': int(fields[21]) * os.sysconf('SC_PAGE_SIZE') // 1024,
            'descriptors': len(os.listdir(f'/proc/{pid}/fd')),
            'cpu_s': (int(fields[11]) + int(fields[12])) / HZ}


def size_below(path):
    total = 0
    for folder, _, files in os.walk(path):
        for name in files:
            try:
                total += os.lstat(os.path.join(folder, name)).st_size
            except OSError:
                pass
    return total


class Sampler:
    def __init__(self, server, probe_host):
        self.server, self.host, self.number, self.samples = server, probe_host, 0, []

    def probe(self):
        """Seconds until one submitted message is answered, and until it has arrived."""
        self.number += 1
        subject, began = f'probe {self.number}', time.time()
        try:
            submit(self.server, make_mail(['p@probe.test'], subject=subject), ['p@probe.test'])
        except (OSError, AssertionError) as problem:
            return {'probe_problem': str(problem)}
        answered = time.time()
        end = answered + 90
        while time.time() < end:
            with self.host.lock:
                found = [message.at for message in self.host.messages if str(message.mail['Subject']) == subject]
                if found:
                    self.host.messages.clear()
                    return {'submit_ms': round((answered - began) * 1000, 1), 'arrive_ms': round((found[0] - answered) * 1000, 1)}
            time.sleep(0.005)
        return {'probe_problem': 'not there after 90 s'}

    def take(self, began):
        state = self.server.state
        sample = {'at_s': round(time.time() - began, 1), 'roles': {}}
        for role in ROLES:
            for pid in self.server.pids(role):
                try:
                    sample['roles'][f'{role} {pid}'] = look_at(pid)
                except (OSError, AttributeError):
                    pass
        sample['queue_mib'] = round(size_below(os.path.join(state, 'queue')) / 2**20, 1)
        sample['database_mib'] = round(os.path.getsize(os.path.join(state, 'postern.db')) / 2**20, 1)
        sample['wal_mib'] = round(os.path.getsize(os.path.join(state, 'postern.db-wal')) / 2**20, 1)
        try:
            status = self.server.control_json('status')[0]
            # Sealed copies wait for their readers: those are no backlog.
            sample['waiting'] = status['queue'] - sum(status['states'].get(name, 0) for name in ('notified', 'revealed'))
        except (AssertionError, ValueError, subprocess.TimeoutExpired) as problem:
            sample['status_problem'] = str(problem)
        sample.update(self.probe())
        self.samples.append(sample)
        return sample


# ---- drift ----

def slope(points):
    """Least squares: by how much the second rises for one of the first."""
    count = len(points)
    mean_x, mean_y = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    below = sum((x - mean_x) ** 2 for x, _ in points)
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / below if below else 0


def drift_of(points, least):
    """What it rose by over the time seen, by the line through all points, if that is more than a tenth of it and than `least`."""
    if len(points) < 10:
        return 0
    rise = slope(points) * (points[-1][0] - points[0][0])
    mean = sum(y for _, y in points) / len(points)
    return rise if rise > max(least, mean / 10) else 0


def judge(samples, warm_up_s):
    """Everything that drifts, in words, and the table of what was seen."""
    problems, seen = [], {}
    samples = [sample for sample in samples if sample['at_s'] >= warm_up_s]
    series = {}
    for sample in samples:
        for who, facts in sample['roles'].items():
            # The keeper's page cache follows the database up to 64 MiB, and it keeps 32 segments of each kind open.
            is_keeper = who.startswith('keeper')
            for name, least in (('pss_kib', 8192 if is_keeper else 4096), ('descriptors', 64 if is_keeper else 8)):
                series.setdefault((who, name, least), []).append((sample['at_s'], facts[name]))
        for name, least in (('queue_mib', 150), ('database_mib', 40), ('wal_mib', 40), ('waiting', 2000)):
            if name in sample:
                series.setdefault(('all', name, least), []).append((sample['at_s'], sample[name]))
    for (who, name, least), points in series.items():
        values = sorted(y for _, y in points)
        rise = slope(points) * (points[-1][0] - points[0][0])
        seen[f'{who}: {name}'] = {'first': points[0][1], 'median': values[len(values) // 2], 'largest': values[-1],
                                  'last': points[-1][1], 'line_rose_by': round(rise, 1)}
        drift = drift_of(points, least)
        if drift:
            problems.append(f'{who}: {name} rose by {drift:.0f} in {points[-1][0] - points[0][0]:.0f} s')
    for sample in samples:
        for name in ('probe_problem', 'status_problem'):
            if name in sample:
                problems.append(f'at {sample["at_s"]} s: {sample[name]}')
    return problems, seen


def percentiles(samples, name):
    values = sorted(sample[name] for sample in samples if name in sample)
    return {f'p{p}': values[min(len(values) - 1, len(values) * p // 100)] for p in (50, 99)} | {'largest': values[-1]} if values else {}


# ---- the run ----

class Loads:
    """The sources, each with a file of what was acknowledged."""

    def __init__(self, folder, server):
        self.folder, self.server, self.running = folder, server, []
        subprocess.run(['make', '-s', '-C', os.path.join(TOP, 'bench'), f'BIN={folder}', f'{folder}/smtp_source',
                        f'{folder}/smtp_sink'], check=True, capture_output=True)

    def start(self, name, seconds, rate, size, first, domain, sessions=8, sender='sender@clinic.test', more=()):
        acked = os.path.join(self.folder, 'acked-' + name)
        out = open(os.path.join(self.folder, 'load-' + name), 'w', encoding='utf-8')
        process = subprocess.Popen(
            [f'{self.folder}/smtp_source', '--to', f'{self.server.address}:{self.server.ports["mx"]}', '--sessions', str(sessions),
             '--duration', str(seconds), '--size', str(size), '--first-id', str(first), '--acked', acked, '--rate', str(rate),
             '--domain', domain, '--from', sender, '--per-conn', '500', '--timeout', '60', '--max-errors', '1000', *more],
            stdout=out, stderr=subprocess.STDOUT)
        self.running.append((name, process, acked, out))

    def finish(self):
        """Wait; how many each was acknowledged, and what it says of itself."""
        acked, said = {}, {}
        for name, process, path, out in self.running:
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.terminate()
                process.wait()
            out.close()
            with open(path, encoding='ascii') as file:
                acked[name] = len(set(file.read().split()))
            with open(os.path.join(self.folder, 'load-' + name), encoding='utf-8') as file:
                said[name] = file.read().strip()[-1500:]
        return acked, said


def settings_of(world, sink_port):
    return {
        'story_keep': '2m', 'log_level': 'warn',
        ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'receipts': False, 'portal_expire': '2m',
                                'portal_expire_min': '1m'},
        ('route', 'sink.bench.test'): {'host': 'sink.bench.test', 'port': sink_port},
        'delivery': {'retry_first': '2s', 'retry_max': '20s', 'expire': '2m', 'delay_notice': '90s', 'connect_timeout': '5s'},
        'smtpd_processes': 2, 'courier_processes': 2, 'scribe_processes': 2,
    }


def start_sink(folder, ca, port, address):
    certificate, key = ca.issue('sink.bench.test')
    process = subprocess.Popen([f'{folder}/smtp_sink', '--listen', f'{address}:{port}', '--cert', certificate, '--key', key,
                                '--require-tls', '--verify', '--defer', '10', '--max-id', str(IDS)],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return process


def sink_facts(address, port):
    import socket
    with socket.create_connection((address, port), 10) as sock:
        file = sock.makefile('rwb')
        file.readline()
        file.write(b'XSTAT\r\n')
        file.flush()
        line = file.readline().decode()
        file.write(b'QUIT\r\n')
        file.flush()
    return json.loads(line[4:])


def run(arguments, folder):
    seconds = arguments.minutes * 60
    ca_folder = os.path.join(folder, 'ca')
    os.makedirs(ca_folder, mode=0o755)
    ca = Authority(ca_folder)
    key = os.path.join(ca_folder, 'e1.dkim')
    dkim_key(key, 'ed25519')
    world = World(folder, ca, {'e1': key})
    counts, lock = {'notices': 0, 'refused': 0, 'reports': 0}, threading.Lock()

    def count(name):
        def on_message(_):
            with lock:
                counts[name] += 1
        return on_message

    def refuse(verb, argument, _session):
        if verb == 'RCPT':
            counts['refused'] += 1
            return '550 5.1.1 nobody of that name'
        return None
    world.clinic.on_message = count('reports')
    world.host('mx.plain.test', 'plain.test', tls='none', on_message=count('notices'))
    world.host('mx.refuse.test', 'refuse.test', rule=refuse)
    probe_host = world.host('mx.probe.test', 'probe.test')
    world.name('mx.dead.test', '127.9.9.9', 'dead.test')
    sink_port, sink_address = free_port(), '127.0.1.250'
    world.name('sink.bench.test', sink_address)
    where = os.path.join(folder, 'server')
    os.makedirs(where, mode=0o755)
    server = Postern(where, world, settings_of(world, sink_port))
    loads = Loads(folder, server)
    sink = start_sink(folder, ca, sink_port, sink_address)
    sampler = Sampler(server, probe_host)
    result = {'minutes': arguments.minutes, 'rate': arguments.rate}
    try:
        server.start()
        began = time.time()
        loads.start('4k', seconds, arguments.rate * 0.979, 4096, 1, 'sink.bench.test', sessions=20)
        loads.start('100k', seconds, arguments.rate * 0.02, 102400, SECOND_IDS, 'sink.bench.test', sessions=4)
        loads.start('1m', seconds, max(0.05, arguments.rate * 0.001), 1 << 20, THIRD_IDS, 'sink.bench.test', sessions=2)
        loads.start('plain', seconds, 1, 4096, 1, 'plain.test', sessions=1)
        loads.start('refuse', seconds, 1, 4096, 1, 'refuse.test', sessions=1)
        loads.start('dead', max(1, seconds - 150), 1, 4096, 1, 'dead.test', sessions=1)
        while time.time() - began < seconds:
            due = time.time() + arguments.every
            sample = sampler.take(began)
            if len(sampler.samples) % 12 == 1:
                print(summary_line(sample), flush=True)
            time.sleep(max(0, due - time.time()))
        acked, result['loads'] = loads.finish()
        result['acknowledged'] = acked
        wanted = acked['4k'] + acked['100k'] + acked['1m']
        try:
            wait_until(lambda: sink_facts(sink_address, sink_port)['distinct_ids'] >= wanted, 120, every=1, what='the arrival of all')
            wait_until(lambda: counts['notices'] >= acked['plain'], 60, every=1, what='a notice for each sealed copy')
            # Each refused and each dead one is reported (twice when it was late as well); then nothing waits any more.
            wait_until(lambda: counts['reports'] >= acked['refuse'] + acked['dead'], 240, every=1, what='a report for each failure')
        except AssertionError as problem:
            result.setdefault('problems', []).append(str(problem))
        result['sink'] = sink_facts(sink_address, sink_port)
        result['counts'] = counts
        warm_up_s = max(180, seconds / 5) if seconds > 400 else seconds / 3
        problems, result['seen'] = judge(sampler.samples, warm_up_s)
        result['problems'] = result.get('problems', []) + problems
        result['submit_ms'] = percentiles(sampler.samples, 'submit_ms')
        result['arrive_ms'] = percentiles(sampler.samples, 'arrive_ms')
        if result['sink'].get('distinct_ids', 0) < wanted:
            result['problems'].append(f'{wanted - result["sink"]["distinct_ids"]} acknowledged messages did not arrive')
        server.stop()
        server.check_log()
    finally:
        for name, process, _, _ in loads.running:
            if process.poll() is None:
                process.terminate()
        if server.process:
            print(server.log_tail(), file=sys.stderr)
            server.kill_all()
        sink.terminate()
        world.close()
    result['samples'] = sampler.samples
    return result


def summary_line(sample):
    memory = {}
    for who, facts in sample['roles'].items():
        role = who.split()[0]
        memory[role] = memory.get(role, 0) + facts['pss_kib'] / 1024
    return (f'{sample["at_s"]:7.0f} s  ' + ' '.join(f'{role} {mib:.0f}' for role, mib in memory.items()) +
            f' MiB; queue {sample["queue_mib"]} database {sample["database_mib"]} log {sample["wal_mib"]} MiB; '
            f'{sample.get("waiting", "?")} wait; arrives after {sample.get("arrive_ms", "?")} ms')


def main():
    arguments = options()
    folder = tempfile.mkdtemp(prefix='postern-soak-')
    os.chmod(folder, 0o755)
    try:
        result = run(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if arguments.out:
        with open(arguments.out, 'w', encoding='utf-8') as file:
            json.dump(result, file, indent=1)
    for name in ('acknowledged', 'counts', 'submit_ms', 'arrive_ms'):
        print(f'{name}: {result.get(name)}')
    print('sink:', {key: result['sink'].get(key) for key in ('distinct_ids', 'extra_copies', 'bad_sum', 'deferred', 'tls_sessions', 'tls13')})
    for name, facts in result['seen'].items():
        print(f'  {name}: {facts}')
    for problem in result['problems']:
        print('PROBLEM:', problem)
    return 1 if result['problems'] else 0


if __name__ == '__main__':
    sys.exit(main())
