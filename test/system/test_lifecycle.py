# SPDX-License-Identifier: Apache-2.0
"""Start, settings, reload, stop."""
import os
import pty
import re
import resource
import smtplib
import socket
import ssl
import subprocess
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import client, make_mail, send, submit
from world.postern import PROGRAM


def check(server, text):
    path = server.settings_path + '.try'
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)
    got = subprocess.run([PROGRAM, 'check', '-c', path], capture_output=True, text=True, timeout=20 * PATIENCE, check=False)
    return got.returncode, got.stdout + got.stderr, path


WRONG = [
    # what to put in the place of what, a word that the message must hold
    ('log_level = "debug"', 'log_level = "loud"', 'log_level'),
    ('hostname = "mail.clinic.test"', 'hostnam = "mail.clinic.test"', 'hostnam'),
    ('prefer_ipv4 = yes', 'prefer_ipv4 = perhaps', 'prefer_ipv4'),
    ('retry_first = "500ms"', 'retry_first = "5 parsecs"', 'retry_first'),
    ('disk_reserve = "1M"', 'disk_reserve = "-3"', 'disk_reserve'),
    ('kind = "mx"', 'kind = "pop3"', 'kind'),
    ('account = "clinic"', 'account = "clinik"', 'clinik'),
    ('organisation = "Test Clinic"', 'organisation = "Test Clinic', ''),
    ('organisation = "Test Clinic"', '', 'organisation'),
    ('key = "', 'key = "/nowhere', '/nowhere'),
    ('url = "https://', 'url = "http://', 'url'),
]


def test_wrong_settings_are_refused_with_place_and_advice(world, house):
    server = house(world, start=False)
    with open(server.settings_path, encoding='utf-8') as file:
        good = file.read()
    code, text, _ = check(server, good)
    assert code == 0, text
    for old, new, word in WRONG:
        assert old in good, old
        bad = good.replace(old, new, 1)
        code, text, path = check(server, bad)
        assert code != 0, (new, text)
        assert word in text, (new, text)
        match = re.search(re.escape(path) + r':(\d+): (.+)', text)
        assert match, (new, text)
        assert len(match.group(2)) > 15
        line = good[:good.index(old)].count('\n') + 1
        assert abs(int(match.group(1)) - line) <= 40
    got = subprocess.run([PROGRAM, 'serve', '-c', path], capture_output=True, text=True, timeout=20 * PATIENCE, check=False)
    assert got.returncode != 0


@pytest.mark.asan
def test_reload_keeps_sessions(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    before = server.pids()
    with client(server) as smtp:  # signed in before the reload
        smtp.mail('alice@clinic.test')
        server.write_settings({'limits': {'recipients': 100, 'message': '70K'},
                               ('user', 'carol@clinic.test'): {'account': 'clinic', 'password': server.HASH}})
        server.reload()

        def carol_knows():
            try:
                client(server, 'carol@clinic.test').quit()
                return True
            except smtplib.SMTPAuthenticationError:
                return False
        wait_until(carol_knows, 10, every=0.3, what='the new settings')
        # The old session goes on, with the limits that it began with.
        assert smtp.rcpt('a@good.test')[0] == 250
        mail = make_mail(['a@good.test'], body=('z' * 70 + '\n') * 3000)
        code, text = smtp.data(mail.as_bytes(policy=mail.policy.clone(linesep='\r\n')))
        assert code == 250, text
    good.wait(1)
    assert sorted(server.pids()) == sorted(before)  # nobody was restarted
    # New sessions have the new limits.
    with client(server) as smtp:
        assert smtp.esmtp_features['size'] == str(70 * 1024)


def test_bad_reload_changes_nothing(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    with open(server.settings_path, encoding='utf-8') as file:
        text = file.read()
    with open(server.settings_path, 'w', encoding='utf-8') as file:
        file.write(text.replace('kind = "mx"', 'kind = "nonsense"'))
    server.reload()
    wait_until(lambda: [line for line in server.lines if 'nonsense' in line or 'kind' in line and 'reload' in line], 10,
               what='a complaint in the log')
    send(server, ['a@good.test'])
    good.wait(1)


def test_second_server_on_the_same_state_is_refused(world, house):
    server = house(world)
    got = subprocess.run([PROGRAM, 'serve', '-c', server.settings_path], capture_output=True, text=True, timeout=20 * PATIENCE,
                         check=False)
    assert got.returncode != 0
    assert server.process.poll() is None


def test_stop_finishes_what_runs(world, house):
    """SIGTERM during a session: no acknowledged message is lost, and it ends soon."""
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {'hold_all': True})
    for _ in range(20):
        send(server, ['a@good.test'])
    server.stop()
    server.write_settings({'hold_all': False})
    server.start()
    good.wait(20)
    assert len(good.messages) == 20


def test_master_key(world, house):
    """Made, backed up, rotated; the wrong one opens nothing."""
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    from world.mails import BODY_CANARY, canary_mail
    from world.reader import Reader, link_in
    assert submit(server, canary_mail(['a@plain.test']), ['a@plain.test'])[0] == 250
    link = link_in(plain.wait(1)[0])
    server.stop()
    assert os.stat(server.master_key).st_mode & 0o077 == 0
    right = open(server.master_key, 'rb').read()
    os.rename(server.master_key, server.master_key + '.away')
    server.command('key', 'new', server.master_key)
    server.start(wait=False)
    assert server.process.wait(20 * PATIENCE) != 0  # another key: it refuses to start
    server.process = None
    os.rename(server.master_key + '.away', server.master_key)
    server.lines.clear()
    server.start()
    assert BODY_CANARY in Reader(server, plain).open_by_code(link).text
    assert open(server.master_key, 'rb').read() == right


def test_session_tickets_are_shared(world, house):
    """A client that comes back need not shake hands in full, whichever process it meets, also after a reload."""
    server = house(world, {'smtpd_processes': 4})
    context = ssl.create_default_context(cafile=world.ca.roots)

    def connect(session):
        raw = socket.create_connection((server.address, server.ports['submissions']), 20)
        with context.wrap_socket(raw, server_hostname='mail.clinic.test', session=session) as sock:
            assert sock.recv(100).startswith(b'220')
            sock.sendall(b'QUIT\r\n')
            sock.recv(100)
            return sock.session_reused, sock.session
    for least in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = least
        reused, session = connect(None)
        assert not reused
        assert all(connect(session)[0] for _ in range(20))
        server.reload()
        wait_until(lambda: server.find_events('supervisor.reloaded'), 10, what='the reload')
        assert all(connect(session)[0] for _ in range(20))


@pytest.mark.long
@pytest.mark.needs('inspect')
def test_ten_thousand_idle_sessions(world, house):
    """They cost little memory, and mail still flows."""
    good = world.host('mx.good.test', 'good.test')
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 10500:
        pytest.skip(f'only {hard} open files are allowed here')
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    server = house(world, {'limits': {'sessions_per_client': 20000, 'sessions': 20000}})

    def memory():
        total = 0
        for pid in server.pids('smtpd'):
            with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as file:
                total += int(re.search(r'Pss:\s+(\d+)', file.read()).group(1))
        return total
    before = memory()
    idle = []
    for number in range(10000):
        sock = socket.create_connection((server.address, server.ports['submission']), 20 * PATIENCE)
        idle.append(sock)
    for sock in idle:
        sock.settimeout(20 * PATIENCE)
        assert sock.recv(100).startswith(b'220')
        sock.sendall(b'EHLO idle.test\r\n')
    for sock in idle:
        assert sock.recv(1000).startswith(b'250')
    grown = (memory() - before) / 10000
    print(f'{grown:.1f} KiB a session')
    assert grown < 20
    start = time.monotonic()
    send(server, ['a@good.test'])
    good.wait(1)
    assert time.monotonic() - start < 3 * PATIENCE
    for sock in idle:
        sock.close()


def typed(*words, lines):
    """Run a command on a terminal of its own, typing these lines: its exit code and all that the terminal showed."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(words[0], words)
    shown = b''
    for number, line in enumerate(lines, 1):
        while shown.count(b': ') < number:  # its n-th question
            shown += os.read(terminal, 4096)
        os.write(terminal, line.encode() + b'\n')
    try:
        while True:
            shown += os.read(terminal, 4096)
    except OSError:
        pass
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), shown.decode()


def test_passphrases_are_typed_twice_and_not_shown(folder):
    key, copy, again = folder + '/key', folder + '/copy', folder + '/again'
    subprocess.run([PROGRAM, 'key', 'new', key], check=True, capture_output=True)
    assert typed(PROGRAM, 'key', 'backup', key, copy, lines=['ivory gate', 'ivory gat'])[0] == 1
    assert not os.path.exists(copy)
    for command, lines in ((('backup', key, copy), 2), (('restore', copy, again), 1)):
        code, shown = typed(PROGRAM, 'key', *command, lines=['ivory gate'] * lines)
        assert code == 0 and 'ivory' not in shown, shown
    with open(key, 'rb') as one, open(again, 'rb') as other:
        assert one.read() == other.read()
