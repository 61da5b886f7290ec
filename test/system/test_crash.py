# SPDX-License-Identifier: Apache-2.0
"""
kill -9 of any role, or of everything, under load: whoever was answered 250 is served.

The load is bench/'s source, which writes down each message number that was acknowledged. After the
rounds, each of those must have arrived. Duplicates are allowed only for what was in flight when
something died, and are counted.
"""
import os
import random
import re
import signal
import subprocess
import threading
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.postern import ROLES, TOP, _alive

IN_FLIGHT = 100  # two couriers with 20 connections each, and results on their way to the keeper


@pytest.fixture(scope='module')
def source(module_folder):
    """The load source, compiled."""
    subprocess.run(['make', '-s', '-C', os.path.join(TOP, 'bench'), f'BIN={module_folder}', f'{module_folder}/smtp_source'],
                   check=True, capture_output=True)
    return os.path.join(module_folder, 'smtp_source')


class Count:
    """How often each message number arrived, and how many came damaged."""

    def __init__(self):
        self.seen, self.damaged, self.lock = {}, 0, threading.Lock()

    def take(self, message):
        match = re.search(rb'(?im)^X-Bench-Id: *(\d+)', message.data[:4000])
        with self.lock:
            if not match or len(message.data) < 2000:
                self.damaged += 1
            else:
                number = int(match.group(1))
                self.seen[number] = self.seen.get(number, 0) + 1


@pytest.mark.needs('cc')
@pytest.mark.limit(lambda config: 90 + 20 * config.getoption('--rounds'))
def test_kill_under_load(world, house, source, pytestconfig, capsys):
    rounds = pytestconfig.getoption('--rounds')
    count = Count()
    sink = world.host('mx.sink.test', 'sink.bench.test', on_message=count.take)
    server = house(world, {
        ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False},
        ('domain', 'bench.test'): {'account': 'clinic'}, 'log_level': 'info',
        'delivery': {'retry_first': '500ms', 'retry_max': '1s', 'expire': '1h'},
        'smtpd_processes': 2, 'courier_processes': 2})
    seed = int(os.environ.get('CRASH_SEED') or time.time())
    dice = random.Random(seed)
    print('CRASH_SEED', seed)
    acked, first = set(), 1
    for number in range(rounds):
        path = world.path(f'acked-{number}')
        open(path, 'w', encoding='ascii').close()
        load = subprocess.Popen([source, '--to', f'{server.address}:{server.ports["mx"]}', '--sessions', '12',
                                 '--duration', '1.0', '--size', '2048', '--first-id', str(first), '--acked', path,
                                 '--timeout', '6', '--max-errors', '100000'],
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.15, 1.0))
        victim = dice.choice(ROLES + ('all', 'all', 'keeper'))
        if victim == 'all':
            server.kill_all()
        else:
            for pid in server.pids(victim)[:1]:
                os.kill(pid, signal.SIGKILL)
        try:
            load.wait(15 * PATIENCE)
        except subprocess.TimeoutExpired:
            load.kill()
            load.wait()
        with open(path, encoding='ascii') as file:
            now = {int(word) for word in file.read().split()}
        acked |= now
        first += 1_000_000
        if victim == 'all':
            server.start()
        else:
            server.wait_ready()
    assert len(acked) > rounds * 20, f'only {len(acked)} messages were acknowledged'
    # Everything acknowledged arrives.
    missing = lambda: acked - count.seen.keys()
    try:
        wait_until(lambda: not missing(), 60 + rounds, every=0.5)
    except AssertionError:
        raise AssertionError(f'{len(missing())} of {len(acked)} acknowledged messages did not arrive (seed {seed}): '
                             f'{sorted(missing())[:5]}') from None
    wait_until(lambda: server.queue_length() == 0, 60, every=0.5, what='an empty queue')
    duplicates = sum(times - 1 for times in count.seen.values())
    with capsys.disabled():
        print(f'\n{rounds} rounds (CRASH_SEED={seed}): {len(acked)} acknowledged, {len(count.seen)} arrived, '
              f'{duplicates} duplicates')
    assert duplicates <= rounds * IN_FLIGHT
    assert count.damaged == 0
    assert all(session.tls for session in sink.sessions if session.secret)


@pytest.mark.parametrize('role', ROLES)
def test_each_role_comes_back(world, house, role):
    """Killed, restarted, and mail flows again; nothing else dies but what hangs on the keeper."""
    host = world.host('mx.good.test', 'good.test')
    server = house(world)
    from world.mails import make_mail, send, submit
    send(server, ['a@good.test'], subject='before')
    host.wait(1)
    before = {name: server.pids(name) for name in ROLES}
    os.kill(before[role][0], signal.SIGKILL)
    wait_until(lambda: server.pids(role) and server.pids(role) != before[role], 15, what=f'a new {role}')
    server.wait_ready()
    if role != 'keeper':
        for name in ROLES:
            if name != role:
                assert server.pids(name) == before[name], f'{name} was restarted as well'

    def works():
        try:
            return submit(server, make_mail(['a@good.test'], subject='after'), ['a@good.test'])[0] == 250
        except (OSError, AssertionError) as problem:
            import smtplib
            assert isinstance(problem, (OSError, AssertionError, smtplib.SMTPException))
            return False
    wait_until(works, 15, every=0.3, what='an acknowledgement')
    host.wait(2)
    server.control('status')


def test_killed_roles_while_a_message_waits_in_the_portal(world, house):
    """Sealed copies and open sessions survive the death of everything."""
    from world.mails import BODY_CANARY, canary_mail, submit
    from world.reader import Reader, link_in
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    assert submit(server, canary_mail(['a@plain.test']), ['a@plain.test'])[0] == 250
    link = link_in(plain.wait(1)[0])
    server.kill_all()
    server.start()
    reader = Reader(server, plain)
    page = reader.open_by_code(link)
    assert BODY_CANARY in page.text
    for pid in server.pids('scribe') + server.pids('portal'):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.pids('portal') and server.pids('scribe'), 15)
    server.wait_ready()
    assert 'reply' in reader.reply(page, 'still here').text
    world.clinic.wait(2)
    assert _alive(server.process.pid)
