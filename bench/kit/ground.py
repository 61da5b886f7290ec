# SPDX-License-Identifier: Apache-2.0
"""Where things lie, what machine this is, and the file of results."""
import datetime
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TOP = os.path.dirname(BENCH)
TMP = os.environ.get('BENCH_TMP') or os.path.join(tempfile.gettempdir(), 'bench')
BIN = os.path.join(TMP, 'bin')
CERTS = os.path.join(TMP, 'certs')
PEERS = os.environ.get('PEERS', '/opt/peers')
LOCK = os.environ.get('BENCH_LOCK') or os.path.join(tempfile.gettempdir(), 'bench.lock')
PORT = int(os.environ.get('PEER_PORT', '2500'))
SINK = int(os.environ.get('SINK_PORT', '2600'))
POSTERN = os.environ.get('POSTERN') or os.path.join(TOP, 'build', 'postern')
QUICKACK = ['-q'] if os.environ.get('BENCH_QUICKACK', '1') == '1' else []


class Lock:
    """keeps other measurements out for a whole command, so that servers are compared with nothing of ours between"""
    def __enter__(self):
        self.file = open(LOCK, 'a')
        fcntl.flock(self.file, fcntl.LOCK_EX)

    def __exit__(self, *what):
        self.file.close()


def in_own_network():
    """starts this command again in a network namespace of its own, where the ports are free; without the right to, goes on"""
    if os.environ.get('BENCH_OWN_NETWORK') or not shutil.which('unshare') or not shutil.which('ip'):
        return
    if subprocess.run(['unshare', '-n', 'ip', 'link', 'set', 'lo', 'up'], stderr=subprocess.DEVNULL).returncode:
        return
    os.environ['BENCH_OWN_NETWORK'] = '1'
    sys.stdout.flush()
    os.execvp('unshare', ['unshare', '-n', 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', sys.executable, *sys.argv])


def setup():
    """compiles source and sink, makes a local CA and the sink's certificate, and DKIM keys"""
    subprocess.run(['make', '-s', '-C', BENCH, 'BIN=' + BIN], check=True)
    os.makedirs(CERTS, exist_ok=True)
    if os.path.exists(os.path.join(CERTS, 'dkim-ed25519.pem')):
        return
    script = '''set -e; cd "$1"
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 3650 -subj '/CN=Bench CA'
        openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout sink.key -out sink.csr -subj /CN=sink.bench.test
        printf 'subjectAltName=DNS:sink.bench.test,DNS:localhost,IP:127.0.0.1\n' >ext
        openssl x509 -req -in sink.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile ext -out sink.crt
        openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out dkim-rsa.pem
        openssl genpkey -algorithm ED25519 -out dkim-ed25519.pem'''
    subprocess.run(['sh', '-c', script, 'sh', CERTS], check=True, stderr=subprocess.DEVNULL)


def now():
    return datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ')


def program_id(path=None):
    with open(path or POSTERN, 'rb') as program:
        return hashlib.sha256(program.read()).hexdigest()[:16]


def disk_of(path):
    """name of the block device that holds path, as in /proc/diskstats, or None"""
    number = os.stat(path).st_dev
    for line in open('/proc/diskstats'):
        field = line.split()
        if (int(field[0]), int(field[1])) == (os.major(number), os.minor(number)):
            return field[2]
    return None


def flushes():
    """cache flushes that the disk under PEERS has completed, or None where the kernel does not count them"""
    name = disk_of(PEERS)
    for line in open('/proc/diskstats'):
        field = line.split()
        if field[2] == name and len(field) > 18:
            return int(field[18])
    return None


def machine():
    """what a reader must know about this machine to judge the figures"""
    def first(path, pattern):
        try:
            found = re.search(pattern, open(path).read(), re.M)
            return found.group(1).strip() if found else None
        except OSError:
            return None
    kib = int(first('/proc/meminfo', r'^MemTotal:\s+(\d+)') or 0)
    mount = subprocess.run(['findmnt', '-no', 'FSTYPE,OPTIONS', '-T', PEERS], stdout=subprocess.PIPE, text=True).stdout.strip()
    return {'cores': os.cpu_count(), 'processor': first('/proc/cpuinfo', r'^model name\s*:\s*(.*)$'), 'memory_gib': round(kib / 2**20, 1),
            'kernel': platform.release(), 'system': first('/etc/os-release', r'^PRETTY_NAME="?([^"\n]*)'),
            'disk': disk_of(PEERS), 'file_system': mount, 'openssl': subprocess.run(['openssl', 'version'], stdout=subprocess.PIPE, text=True).stdout.strip()}


def failed(row):
    return bool(row.get('error')) and not any(row.get(key) for key in ('rate', 'pss_mib', 'syncs_per_msg'))


class Results:
    """a file of JSON lines: the first says what was measured where, each other is one finished run. A command that
    was interrupted goes on where it stopped, unless the program under test is another one since."""
    def __init__(self, name, fresh=False, about=None):
        self.path = os.path.join(TMP, name + '.jsonl')
        self.rows = []
        identity = program_id()
        if os.path.exists(self.path):
            lines = [json.loads(line) for line in open(self.path) if line.endswith('\n')]
            same = lines and lines[0].get('program') == identity and lines[0].get('about') == about
            if same and not fresh:
                self.head, self.rows = lines[0], lines[1:]
                return
            os.replace(self.path, self.path + '.previous')
            if not fresh:
                print(f'the program or the form is another one now: earlier results are in {self.path}.previous', flush=True)
        self.head = {'program': identity, 'about': about, 'date': now(), 'machine': machine()}
        with open(self.path, 'w') as file:
            file.write(json.dumps(self.head) + '\n')

    def forget_failed(self):
        """runs that failed are made again"""
        self.rows = [row for row in self.rows if not failed(row)]
        with open(self.path, 'w') as file:
            for row in [self.head, *self.rows]:
                file.write(json.dumps(row) + '\n')

    def done(self, step):
        return any(row['step'] == step for row in self.rows)

    def add(self, row):
        row['time'] = now()
        self.rows.append(row)
        with open(self.path, 'a') as file:
            file.write(json.dumps(row) + '\n')


class Clock:
    """how much of a budget of seconds is left"""
    def __init__(self, budget):
        self.end = time.time() + budget if budget else None

    def allows(self, seconds):
        return self.end is None or time.time() + seconds <= self.end
