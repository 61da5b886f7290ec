# SPDX-License-Identifier: Apache-2.0
"""
What operators see: metrics, health, readiness, logs, status and top; and that a role which stands still is
replaced. Figures are checked against what was really sent and received.
"""
import fcntl
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
import urllib.error
import urllib.request

import pytest

from world import free_port, wait_until
from world.mails import client, header_id, make_mail, send
from world.machine import PATIENCE
from world.postern import PROGRAM, TOP


@pytest.fixture
def watched(world, house):
    """watched(changes) starts a server that answers on a monitoring address: (server, get)."""
    def start(changes=None, **options):
        port = free_port()
        changes = {**(changes or {}), 'metrics': {'address': f'127.0.0.2:{port}'}}
        server = house(world, changes, **options)

        def get(path, seconds=10):
            request = urllib.request.Request(f'http://127.0.0.2:{port}{path}')
            try:
                with urllib.request.urlopen(request, timeout=seconds * PATIENCE) as answer:
                    return answer.status, answer.headers['Content-Type'], answer.read().decode()
            except urllib.error.HTTPError as error:
                return error.code, error.headers['Content-Type'], error.read().decode()
        return server, get
    return start


def figures(text):
    """'name{labels}' -> value of an exposition text."""
    return {line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines() if line and not line.startswith('#')}


# ---- metrics ----

def test_metrics_are_what_was_sent(world, watched):
    good = world.host('mx.good.test', 'good.test')
    bad = world.host('mx.bad.test', 'bad.test', rule=lambda verb, argument, session:
                     '451 4.3.0 not now' if verb == 'RCPT' else None)
    server, get = watched({'delivery': {'retry_first': '1h', 'retry_max': '1h'}})
    with client(server) as smtp:
        for number in range(40):
            smtp.send_message(make_mail(['a@good.test', 'b@good.test'], body='x\n' * 1500))
        smtp.send_message(make_mail(['c@bad.test']))
    with pytest.raises(Exception):
        client(server, password='wrong')
    good.wait(40)

    def seen():
        now = figures(get('/metrics')[2])
        return now if now['postern_deliveries_total{outcome="delivered"}'] == 80 and \
            now['postern_deliveries_total{outcome="deferred"}'] == 1 and \
            now['postern_smtp_messages_accepted_total'] == 41 else None
    now = wait_until(seen, 20, every=0.3, what='the figures')
    assert now['postern_smtp_recipients_accepted_total'] == 81
    assert now['postern_smtp_accepted_bytes_total'] > 40 * 3000
    assert now['postern_smtp_auth_total{result="ok"}'] == 1
    assert now['postern_smtp_auth_total{result="refused"}'] >= 1
    assert now['postern_smtp_tls_sessions_total{version="1.3"}'] == 2
    assert now['postern_smtp_answer_seconds_count'] == 41
    assert 0 < now['postern_smtp_answer_seconds_sum'] < 41 * 5
    assert now['postern_delivered_total{proof="verified"}'] == 80
    assert now['postern_verdicts_total{method="tls"}'] == 81
    assert now['postern_queue_messages'] == 1
    assert now['postern_queue_recipients{state="deferred"}'] == 1
    assert now['postern_queue_recipients{state="planned"}'] == 0
    assert now['postern_courier_jobs_total'] == 41
    assert now['postern_courier_delivery_seconds_count'] == 41
    assert now['postern_scribe_signatures_total'] >= 41
    assert now['postern_courier_tls_handshakes_total{version="1.3",resumed="no"}'] >= 1
    assert now['postern_keeper_batch_tasks_count'] > 0
    assert now['postern_ready'] == 1
    for role in ('supervisor', 'keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout'):
        where = f'{{role="{role}",index="0"}}'
        assert now['postern_process_resident_memory_bytes' + where] > 1e6, role
        assert now['postern_process_open_fds' + where] > 3, role
        assert now['postern_role_restarts_total' + where] == 0, role
    ends = now['postern_certificate_expiry_timestamp_seconds{use="smtp"}']
    assert ends > time.time()


def test_metrics_are_well_formed(world, watched, tmp_path):
    world.host('mx.good.test', 'good.test')
    server, get = watched()
    send(server, ['somebody@good.test'])
    status, kind, text = get('/metrics')
    assert status == 200 and kind.startswith('text/plain; version=0.0.4')
    assert '@' not in text and 'good.test' not in text
    # By hand: every value has a type before it, every histogram is whole and grows.
    types = dict(re.findall(r'^# TYPE (\S+) (\S+)$', text, re.M))
    for name in figures(text):
        bare = re.sub(r'\{.*', '', name)
        base = re.sub(r'_(bucket|sum|count)$', '', bare)
        assert types.get(bare) or types.get(base) == 'histogram', name
    for name in (name for name, kind in types.items() if kind == 'histogram'):
        counts = [float(value) for value in
                  re.findall(rf'^{name}_bucket{{le="[^"]+"}} (\S+)$', text, re.M)]
        assert len(counts) > 10 and counts == sorted(counts), name
        assert counts[-1] == figures(text)[f'{name}_count'], name
    parser = pytest.importorskip('prometheus_client.parser')
    families = {family.name: family for family in parser.text_string_to_metric_families(text)}
    assert families['postern_smtp_messages_accepted'].type == 'counter'
    assert families['postern_smtp_answer_seconds'].type == 'histogram'


@pytest.mark.needs('promtool')
def test_promtool_finds_nothing(watched):
    _, get = watched()
    program = os.environ.get('PROMTOOL') or 'promtool'
    got = subprocess.run([program, 'check', 'metrics'], input=get('/metrics')[2], text=True,
                         capture_output=True, check=False, timeout=60)
    assert got.returncode == 0, got.stdout + got.stderr


def test_counters_outlive_a_process(world, watched):
    world.host('mx.good.test', 'good.test')
    server, get = watched()
    send(server, ['a@good.test'])
    count = lambda: figures(get('/metrics')[2])['postern_smtp_messages_accepted_total']
    wait_until(lambda: count() == 1, 10, every=0.3, what='the first')
    before = server.pids('smtpd')
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: server.pids('smtpd') not in ([], before), 10, what='a successor')
    server.wait_ready()
    send(server, ['a@good.test'])
    wait_until(lambda: count() == 2, 10, every=0.3, what='the second')
    restarts = figures(get('/metrics')[2])['postern_role_restarts_total{role="smtpd",index="0"}']
    assert restarts == 1


# ---- health ----

def test_health_tells_when_the_keeper_stands_still(world, watched):
    server, get = watched()
    assert get('/health')[0] == 200 and json.loads(get('/health')[2])['status'] == 'ok'
    assert get('/ready')[0] == 200 and json.loads(get('/ready')[2]) == {'ready': True}
    assert get('/nothing')[0] == 404
    keeper = server.pids('keeper')[0]
    os.kill(keeper, signal.SIGSTOP)
    try:
        for path in ('/health', '/ready', '/metrics'):
            status, kind, text = get(path)
            assert status == 503 and kind == 'application/json' and json.loads(text), path
    finally:
        os.kill(keeper, signal.SIGCONT)
    wait_until(lambda: get('/health')[0] == 200, 10, every=0.3, what='health again')
    assert server.pids('keeper') == [keeper]


def test_not_ready_without_room(world, watched):
    server, get = watched({'limits': {'disk_reserve': '1000G'}})
    status, _, text = get('/ready')
    assert status == 503 and json.loads(text) == {'ready': False, 'why': "the disk's reserve is reached"}
    assert get('/health')[0] == 200
    assert figures(get('/metrics')[2])['postern_ready'] == 0


# ---- the watchdog ----

def names(server, event):
    return [one['name'] for one in server.find_events(event)]


def test_a_stopped_courier_is_replaced(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'watchdog': '3s'})
    send(server, ['a@good.test'])
    good.wait(1)
    before = server.pids('courier')
    os.kill(before[0], signal.SIGSTOP)
    mail = send(server, ['a@good.test'])
    wait_until(lambda: server.pids('courier') not in ([], before), 20, what='another courier')
    good.wait(2)
    server.wait_state(header_id(mail), 'a@good.test', 'delivered')
    assert names(server, 'keeper.role_silent') == ['courier']
    # Nobody else was taken for dead.
    assert names(server, 'supervisor.role_silent') == ['courier']


def test_a_stopped_keeper_is_replaced(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'watchdog': '3s'})
    before = server.pids('keeper')
    os.kill(before[0], signal.SIGSTOP)
    wait_until(lambda: server.pids('keeper') not in ([], before), 20, what='another keeper')
    server.wait_ready()
    send(server, ['a@good.test'])
    good.wait(1)
    assert names(server, 'supervisor.role_silent') == ['keeper']


# ---- status and top ----

def test_status(world, house):
    good = world.host('mx.good.test', 'good.test')
    world.host('mx.bad.test', 'bad.test', rule=lambda verb, argument, session:
               '451 4.3.0 not now' if verb == 'RCPT' else None)
    server = house(world, {'delivery': {'retry_first': '1h', 'retry_max': '1h'}})
    send(server, ['a@good.test', 'b@bad.test'])
    good.wait(1)
    status = wait_until(lambda: (now := server.control_json('status')[0])['states']['deferred'] == 1
                        and now, 20, every=0.2, what='the deferral')
    assert status['messages'] == 1 and status['queue'] == 1 and status['held'] == 0
    assert status['serves'] and 'why' not in status
    roles = {role['role']: role for role in status['roles']}
    for role in ('keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout'):
        assert roles[role]['pid'] in server.pids(role) and roles[role]['restarts'] == 0
    assert roles['supervisor']['pid'] == server.process.pid
    server.control('queue', 'hold', 'bad.test')
    status = server.control_json('status')[0]
    assert status['held'] == 1 and status['queue'] == 0 and status['states']['deferred'] == 1
    os.kill(server.pids('scribe')[0], signal.SIGKILL)
    wait_until(lambda: [role['restarts'] for role in server.control_json('status')[0]['roles']
                        if role['role'] == 'scribe'] == [1], 10, every=0.3, what='the restart')
    text = server.control('status').stdout
    assert 'takes mail and carries it' in text and '@' not in text
    assert re.search(r'recipients not finished +1$', text, re.M)
    assert re.search(r'certificate \(smtp *\) +until \d{4}-\d\d-\d\d, \d+ days', text)


class Terminal:
    """A program under a pseudo terminal of a given size, and the screen that it has drawn."""

    def __init__(self, arguments, rows, columns):
        self.master, slave = os.openpty()
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.slave, self.seen = slave, b''
        self.process = subprocess.Popen(arguments, stdin=slave, stdout=slave, stderr=subprocess.PIPE,
                                        start_new_session=True)

    def resize(self, rows, columns):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    def read(self, seconds=0.5):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if select.select([self.master], [], [], left)[0]:
                self.seen += os.read(self.master, 65536)
        return self.seen.decode(errors='replace')

    def wait_for(self, words, seconds=10):
        wait_until(lambda: words in self.read(0.2), seconds, what=repr(words))

    def lines(self):
        """Of the last whole screen, without sequences."""
        screen = self.read(0.1).split('\x1b[H')[-1]
        return [re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', line) for line in re.split(r'\r+\n', screen)]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        self.process.stderr.close()
        os.close(self.slave)
        os.close(self.master)


@pytest.fixture
def terminal():
    made = []

    def start(server, *arguments, rows=24, columns=80):
        made.append(Terminal([PROGRAM, 'top', '-c', server.settings_path, *arguments], rows, columns))
        return made[-1]
    yield start
    for one in made:
        one.close()


def test_top_shows_figures_and_gives_the_terminal_back(world, house, terminal):
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {})
    for _ in range(5):
        send(server, ['a@good.test'])
    good.wait(5)
    screen = terminal(server)
    screen.wait_for('busiest domains')
    assert screen.seen.startswith(b'\x1b[?1049h')
    during = termios.tcgetattr(screen.slave)
    assert not during[3] & termios.ICANON and not during[3] & termios.ECHO
    screen.wait_for('good.test')
    # Figures come with the roles' next reports.
    wait_until(lambda: any(re.match(r' accepted +[0-9.]+ .* answer +[0-9.]+(us|ms|s) ', line)
                           for line in screen.lines()), 10, every=0.5, what='latencies')
    lines = screen.lines()
    print('\n'.join(lines))
    assert len(lines) <= 24 and all(len(line) <= 80 for line in lines)
    assert re.search(r'Postern \S+  up ', lines[0]) and 'ready' in lines[0]
    assert any(re.match(r' keeper +1/1 ', line) for line in lines)
    screen.resize(10, 60)
    time.sleep(0.3)
    screen.seen = b''
    screen.wait_for('Postern', 5)
    time.sleep(1.2)
    lines = screen.lines()
    assert len(lines) <= 10 and all(len(line) <= 60 for line in lines)
    os.write(screen.master, b'q')
    screen.read(0.5)
    assert screen.process.wait(10) == 0
    assert screen.seen.endswith(b'\x1b[0m\x1b[?25h\x1b[?1049l')
    assert termios.tcgetattr(screen.slave) == screen.before


@pytest.mark.parametrize('end', [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, b'\x03'])
def test_top_gives_the_terminal_back_whatever_happens(world, house, terminal, end):
    server = house(world, {})
    screen = terminal(server)
    screen.wait_for('busiest domains')
    if isinstance(end, bytes):
        os.write(screen.master, end)
    else:
        screen.process.send_signal(end)
    screen.read(0.5)
    assert screen.process.wait(10) == 0
    assert screen.seen.endswith(b'\x1b[?1049l')
    assert termios.tcgetattr(screen.slave) == screen.before


def test_top_outlives_the_server(world, house, terminal):
    server = house(world, {})
    screen = terminal(server)
    screen.wait_for('busiest domains')
    server.stop()
    screen.wait_for('cannot reach the server')
    assert screen.process.poll() is None
    os.write(screen.master, b'q')
    screen.read(0.5)
    assert screen.process.wait(10) == 0


def test_top_once(world, house):
    server = house(world, {})
    everything = json.loads(server.control('top', '--once', '--json').stdout)
    assert everything['numbers']['smtp_messages_accepted_total'] == 0
    assert len(everything['histograms']['smtp_answer_seconds']['buckets']) == 28
    assert everything['serves'] is True
    plain = server.control('top', '--once').stdout
    assert 'busiest domains' in plain and '\x1b' not in plain
    assert server.control('top', '--json', check=False).returncode == 64
    server.stop()
    assert server.control('top', '--once', check=False).returncode == 69


# ---- the log ----

SLOW_SYNC = '''
#include <time.h>
#include <unistd.h>
int fdatasync(int fd)
{
    struct timespec pause = {0, 120000000};

    nanosleep(&pause, 0);
    return fsync(fd);
}
'''


@pytest.mark.needs('cc')
def test_slow_operations_are_logged(world, house, monkeypatch):
    source, shim = world.path('slow.c'), world.path('slow.so')
    with open(source, 'w', encoding='ascii') as file:
        file.write(SLOW_SYNC)
    subprocess.run(['cc', '-shared', '-fPIC', '-o', shim, source], check=True)
    monkeypatch.setenv('LD_PRELOAD', shim)
    world.host('mx.good.test', 'good.test')
    server = house(world, {'log_slow': '100ms'})
    monkeypatch.delenv('LD_PRELOAD')
    send(server, ['a@good.test'])
    slow = wait_until(lambda: [event for event in server.find_events('slow') if event['what'] == 'segment sync'],
                      10, what='the line')
    assert slow[0]['took_ms'] >= 120 and slow[0]['limit_ms'] == 100 and slow[0]['level'] == 'warn'
    assert [event for event in server.find_events('slow', role='keeper') if event['what'] == 'commit']
    assert server.control_json('status')[0]['troubles']


def test_every_line_is_json(world, house):
    """A session's worth of hostile bytes: each line is one object, with the same first fields."""
    server = house(world, {'log_level': 'debug'})
    with socket.create_connection((server.address, server.ports['mx']), 10) as sock:
        sock.recv(500)
        for text in (b'EHLO \xff\xfe"\\\x01x\r\n', b'HELO "}{"event":"forged"\r\n', b'GET / HTTP/1.1\r\n',
                     b'MAIL FROM:<"a\\"b"@x.test>\r\n', bytes(range(1, 10)) + b'\r\n'):
            sock.sendall(text)
        sock.settimeout(1)
        try:
            while sock.recv(5000):
                pass
        except OSError:
            pass
    server.stop()
    assert len(server.lines) > 10
    for line in server.lines:
        fields = json.loads(line)
        assert list(fields)[:5] == ['time', 'level', 'role', 'pid', 'event'], line
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', fields['time'])
        assert len(re.findall(r'"([^"\\]+)":', line)) >= len(fields)  # no name twice
        assert len(fields) == len(json.loads(line, object_pairs_hook=list)), line


def test_text_log(world, house):
    world.host('mx.good.test', 'good.test')
    server = house(world, {'log_format': 'text'})
    send(server, ['a@good.test'])
    wait_until(lambda: any('keeper.delivered' in line for line in server.lines), 10, what='the line')
    line = [line for line in server.lines if 'keeper.delivered' in line][0]
    assert re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info  keeper\[\d+\] keeper\.delivered message=', line)
    assert ' domain=good.test ' in line and ' proof=verified ' in line


def test_every_metric_is_explained(watched):
    _, get = watched()
    names = set(re.findall(r'^# TYPE (\S+) ', get('/metrics')[2], re.M))
    with open(os.path.join(TOP, 'doc', 'operation.md'), encoding='utf-8') as file:
        text = file.read()
    told = set(re.findall(r'`(postern_\w+)`', text))
    assert names - told == set() and told - names == set()
