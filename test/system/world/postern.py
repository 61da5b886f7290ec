# SPDX-License-Identifier: Apache-2.0
"""One Postern server under test: its settings, its processes, its log, its commands."""
import ctypes
import ctypes.util
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

from . import free_port, wait_until
from .machine import PATIENCE, USER, give

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILD = os.path.abspath(os.environ.get('POSTERN_BUILD') or os.path.join(TOP, 'build'))
PROGRAM = os.path.join(BUILD, 'postern')
SANITIZED = 'asan' in os.path.basename(BUILD)
PASSWORD = 'correct horse battery'
ROLES = ('keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout')


class Raw(str):
    """A value that is written without quotes."""


def settings_text(tree, depth=0):
    """Nested dictionaries as settings. A key of two parts ('account', 'clinic') is a titled section."""
    lines, pad = [], '    ' * depth
    for key, value in tree.items():
        if value is None:
            continue
        if isinstance(value, dict):
            head = key if isinstance(key, str) else f'{key[0]} {_quoted(key[1])}'
            lines += [f'{pad}{head} {{', settings_text(value, depth + 1), pad + '}']
        else:
            lines.append(f'{pad}{key} = {_value(value)}')
    return '\n'.join(lines)


def _quoted(text):
    return '"' + str(text).replace('\\', '\\\\').replace('"', '\\"') + '"'


def _value(value):
    if isinstance(value, (list, tuple)):
        return '{' + ', '.join(_value(item) for item in value) + '}'
    if isinstance(value, bool):
        return 'yes' if value else 'no'
    return str(value) if isinstance(value, (int, Raw)) else _quoted(value)


def merge(base, changes):
    """base with changes laid over it, section by section; None removes."""
    result = dict(base)
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merge(result[key], value)
        else:
            result[key] = value
    return result


def cheap_password_hash(password):
    """argon2id with the least memory that is worth the name, so that tests do not wait for it."""
    sodium = ctypes.CDLL(ctypes.util.find_library('sodium'))
    sodium.sodium_init()
    out = ctypes.create_string_buffer(128)
    text = password.encode()
    if sodium.crypto_pwhash_str(out, text, ctypes.c_ulonglong(len(text)), ctypes.c_ulonglong(2),
                                ctypes.c_size_t(8 << 20)) != 0:
        raise MemoryError('argon2id')
    return out.value.decode()


class Postern:
    """
    folder     where settings, keys and state lie (made by the caller, readable by others)
    world      the World that it lives in: certificates, zone, next hops
    changes    settings laid over the usual ones
    """

    HASH = None
    environment = {}  # of the server's processes, beside our own

    def __init__(self, folder, world, changes=None, state=None, address='127.0.0.2'):
        self.folder, self.world, self.address = folder, world, address
        self.state = state or os.path.join(folder, 'state')
        self.settings_path = os.path.join(folder, 'postern.conf')
        self.ports = {name: free_port() for name in ('submission', 'submissions', 'mx', 'portal')}
        self.url = f'https://portal.clinic.test:{self.ports["portal"]}'
        self.process = None
        self.lines, self.events = [], []
        self.expected_exits = 0
        self.tls = world.ca.issue('mail.clinic.test')
        self.portal_tls = world.ca.issue('portal.clinic.test')
        self.master_key = os.path.join(folder, 'master.key')
        if not os.path.exists(self.master_key):
            self.command('key', 'new', self.master_key)
        if Postern.HASH is None:
            Postern.HASH = cheap_password_hash(PASSWORD)
        self.changes = changes or {}
        self.write_settings()
        if not os.path.isdir(self.state):
            os.makedirs(self.state)
        give(self.state)

    # ---- settings ----

    def usual_settings(self):
        listen = lambda kind: {'kind': kind, 'address': f'{self.address}:{self.ports[kind]}'}
        dkim = {('dkim', selector): {'key': path} for selector, path in self.world.dkim.items()}
        return {
            'hostname': 'mail.clinic.test', 'state': self.state, 'run_as': USER.pw_name,
            'master_key': self.master_key, 'tls_certificate': self.tls[0], 'tls_key': self.tls[1],
            'trusted_roots': self.world.ca.roots, 'log_level': 'debug',
            'smtpd_processes': 1, 'courier_processes': 1, 'scribe_processes': 1, 'portal_processes': 1,
            ('listener', 'submission'): listen('submission'),
            ('listener', 'submissions'): listen('submissions'),
            ('listener', 'mx'): listen('mx'),
            ('account', 'clinic'): {
                'organisation': 'Test Clinic', 'opt_out_allowed': True, 'cleartext_after': '0s',
                'notice_from': 'Clinic secure mail <secure@clinic.test>',
                'tls_retry': '2s', 'relay_networks': ['127.0.9.0/24'],
            },
            ('domain', 'clinic.test'): {
                'account': 'clinic', 'next_hop': f'in.clinic.test:{self.world.mx_port}', **dkim},
            ('user', 'alice@clinic.test'): {
                'account': 'clinic', 'password': self.HASH,
                'senders': ['alice@clinic.test', 'nurse@clinic.test']},
            ('user', 'bob@clinic.test'): {'account': 'clinic', 'password': self.HASH},
            'limits': {'disk_reserve': '1M'},
            'board': {'every': '0s'},  # a test that counts connections wants none of ours
            'delivery': {'port': self.world.mx_port, 'retry_first': '500ms', 'retry_max': '1s',
                         'connect_timeout': '3s', 'command_timeout': '20s', 'prefer_ipv4': True},
            'resolver': {'local_data': self.world.records()},
            'portal': {'address': f'{self.address}:{self.ports["portal"]}', 'url': self.url,
                       'certificate': self.portal_tls[0], 'key': self.portal_tls[1]},
        }

    def write_settings(self, changes=None):
        if changes is not None:
            self.changes = merge(self.changes, changes)
        with open(self.settings_path, 'w', encoding='utf-8') as file:
            file.write(settings_text(merge(self.usual_settings(), self.changes)) + '\n')

    # ---- life ----

    def start(self, seconds=30, wait=True):
        environment = dict(os.environ, **self.environment)
        leaks = os.environ.get('POSTERN_LEAKS') or '1'  # 0 where ptrace is forbidden: test/run
        environment['ASAN_OPTIONS'] = f'detect_leaks={leaks}:abort_on_error=0:exitcode=99'
        environment['UBSAN_OPTIONS'] = 'print_stacktrace=1:halt_on_error=1'
        self.process = subprocess.Popen(
            [PROGRAM, 'serve', '-c', self.settings_path], stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, cwd='/',
            start_new_session=True)
        threading.Thread(target=self._collect, args=(self.process.stdout,), daemon=True).start()
        if wait:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=30):
        """Until every listener greets and every role lives."""
        def ready():
            if self.process.poll() is not None:
                raise AssertionError('postern ended:\n' + self.log_tail())
            for kind in ('submission', 'mx'):
                with socket.create_connection((self.address, self.ports[kind]), 5) as sock:
                    sock.settimeout(5)
                    if not sock.recv(100).startswith(b'220'):
                        return False
                    sock.sendall(b'QUIT\r\n')
                    sock.recv(100)
            socket.create_connection((self.address, self.ports['portal']), 5).close()
            return all(self.pids(role) for role in ROLES)

        def try_ready():
            try:
                return ready()
            except OSError:
                return False
        wait_until(try_ready, seconds, what='readiness; log:\n' + self.log_tail())

    def _collect(self, stream):
        for line in stream:
            text = line.decode('utf-8', 'replace').rstrip('\n')
            self.lines.append(text)
            try:
                event = json.loads(text)
            except ValueError:
                continue
            if isinstance(event, dict):
                self.events.append(event)

    def log_tail(self, count=40):
        return '\n'.join(self.lines[-count:])

    def pids(self, role=None):
        """Ids of the living role processes, of one kind or of all."""
        found = []
        if not self.process:
            return found
        for name in os.listdir('/proc'):
            if not name.isdigit():
                continue
            try:
                with open(f'/proc/{name}/stat', encoding='ascii', errors='replace') as file:
                    fields = file.read().rsplit(')', 1)[1].split()
                if int(fields[1]) != self.process.pid or fields[0] == 'Z':
                    continue
                with open(f'/proc/{name}/cmdline', 'rb') as file:
                    words = file.read().decode(errors='replace').split('\0')
            except OSError:
                continue
            kind = next((word for word in ' '.join(words[0:1] + words[1:]).replace(':', ' ').split()
                         if word in ROLES), None)
            if role is None or kind == role:
                found.append(int(name))
        return found

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds=30):
        """SIGTERM; everything must end by itself with status 0."""
        if not self.process:
            return
        roles = self.pids()
        if self.process.poll() is None:
            self.process.terminate()
        try:
            code = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.kill_all(roles)
            raise AssertionError('postern did not end on SIGTERM:\n' + self.log_tail()) from None
        self.process = None
        end = time.monotonic() + PATIENCE
        while (left := [pid for pid in roles if _alive(pid)]) and time.monotonic() < end:
            time.sleep(0.05)
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        assert not left, 'roles outlived the supervisor\n' + self.log_tail()
        assert code == 0, f'postern ended with {code}:\n' + self.log_tail()

    def kill_all(self, roles=None):
        """kill -9 of the supervisor and every role at once."""
        victims = [self.process.pid] + (roles if roles is not None else self.pids())
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait(10 * PATIENCE)
        self.process = None
        wait_until(lambda: not any(_alive(pid) for pid in victims), 10, what='the end of the killed')

    def check_log(self):
        """No sanitizer report, no failed must(), and no address or content in any log line."""
        for number, line in enumerate(self.lines):
            for word in ('AddressSanitizer', 'LeakSanitizer', 'runtime error:', 'must failed',
                         'MemorySanitizer'):
                assert word not in line, 'a bug was reported:\n' + '\n'.join(self.lines[number:number + 60])
            for word in self.world.canaries:
                assert word.lower() not in line.lower(), f'{word} in a log line: {line}'
            address = re.search(r'[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.test\b', line)
            assert not address, f'an address in a log line: {line}'
        for event in self.find_events('supervisor.role_ended') + self.find_events('supervisor.role_died'):
            died = re.search(r'signal (\d+)', str(event))
            assert not died or died.group(1) == '9', f'a role died: {event}'

    # ---- use ----

    def command(self, *arguments, check=True, text=None):
        """Run `postern ARGUMENTS`."""
        got = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True,
                             input=text, timeout=20 * PATIENCE, check=False, cwd='/')
        if check and got.returncode != 0:
            raise AssertionError(f'postern {" ".join(map(str, arguments))} ended with {got.returncode}:\n'
                                 f'{got.stdout}{got.stderr}')
        return got

    def control(self, *arguments, check=True):
        """Run a command that talks to this server."""
        return self.command(arguments[0], '-c', self.settings_path, *arguments[1:], check=check)

    def control_json(self, *arguments):
        """The answer as JSON, always as a list."""
        answer = json.loads(self.control(arguments[0], '--json', *arguments[1:]).stdout)
        return answer if isinstance(answer, list) else [answer]

    def find_events(self, name, **fields):
        return [event for event in list(self.events) if event.get('event') == name and
                all(event.get(key) == value for key, value in fields.items())]

    # ---- the story, as `postern trace --json` tells it ----

    def story(self, header_id):
        """The one message with this Message-ID: a dictionary with `recipients` and their `events`."""
        found = self.control_json('trace', header_id)
        messages = found if isinstance(found, list) else found.get('messages', [found])
        assert len(messages) == 1, found
        return messages[0]

    def recipient(self, header_id, address):
        return [one for one in self.story(header_id)['recipients'] if one['address'] == address][0]

    def state_of(self, header_id, address):
        return self.recipient(header_id, address)['state']

    def wait_state(self, header_id, address, state, seconds=30):
        wait_until(lambda: self.state_of(header_id, address) == state, seconds, every=0.2,
                   what=f'{state} of {address}')

    def methods(self, header_id):
        return {one['address']: one['method'] for one in self.story(header_id)['recipients']}

    def event_names(self, header_id, address=None):
        return [event['event'] for one in self.story(header_id)['recipients']
                if address in (None, one['address']) for event in one['events']]

    def story_state(self, header_id):
        """What a robot must not change: states, methods and events, but for fetches of the link."""
        return [(one['address'], one['state'], one['method'],
                 [event['event'] for event in one['events'] if event['event'] != 'link_fetched'])
                for one in self.story(header_id)['recipients']]

    def delivery_evidence(self, header_id, address):
        """The fields of the `delivered` event, once it is there."""
        return wait_until(lambda: [event for event in self.recipient(header_id, address)['events']
                                   if event['event'] == 'delivered'], 20, every=0.2, what='delivery')[0]

    def queue_length(self):
        """Recipients that wait for something."""
        return self.control_json('status')[0]['queue']


def _alive(pid):
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as file:
            return file.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False
