# SPDX-License-Identifier: Apache-2.0
"""
Roles that die again and again, and a resolver that is silent or fails: mail waits, none is lost, bounced or sent with less
protection, and all of it arrives once things are well. `make storms SECONDS=60` is the long form.
"""
import os
import random
import re
import signal
import smtplib
import socket
import threading
import time

import pytest

from world import free_port, wait_until
from world.machine import PATIENCE
from world.mails import header_id, send
from world.nsd import Nsd
from world.postern import ROLES, SANITIZED

SECONDS = float(os.environ.get('STORM_SECONDS') or 8)


class Source:
    """Sends numbered messages, again and again whatever breaks; remembers which were answered 250."""

    def __init__(self, server, number):
        self.server, self.next, self.acked, self.is_over = server, number * 1_000_000, set(), False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over:
            try:
                with smtplib.SMTP(self.server.address, self.server.ports['mx'], local_hostname='pc.clinic.test', timeout=5) as smtp:
                    while not self.is_over:
                        self.next += 1
                        smtp.sendmail('alice@clinic.test', ['a@sink.bench.test'],
                                      f'From: alice@clinic.test\r\nSubject: x\r\nX-Bench-Id: {self.next}\r\n\r\n{"x" * 1000}\r\n')
                        self.acked.add(self.next)
                        time.sleep(0.02)
            except (OSError, smtplib.SMTPException):
                time.sleep(0.05)

    def stop(self):
        self.is_over = True
        self.thread.join(20)
        return self.acked


def descriptors(pid):
    return len(os.listdir(f'/proc/{pid}/fd'))


def cpu_s(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as file:
        fields = file.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@pytest.mark.limit(100 + 3 * SECONDS)
@pytest.mark.skipif(SANITIZED, reason='a role takes longer to start than it lives')
@pytest.mark.needs('inspect')
def test_a_storm_of_crashes(world, house, capsys):
    """A role is killed every 0.2 to 1 s under load."""
    seen, lock = {}, threading.Lock()

    def count(message):
        number = int(re.search(rb'(?im)^X-Bench-Id: *(\d+)', message.data[:4000]).group(1))
        with lock:
            seen[number] = seen.get(number, 0) + 1
    world.host('mx.sink.test', 'sink.bench.test', on_message=count)
    good = world.host('mx.good.test', 'good.test')
    server = house(world, {
        ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False}, 'log_level': 'info',
        'delivery': {'retry_first': '500ms', 'retry_max': '1s', 'expire': '1h'}})
    send(server, ['a@good.test'])
    good.wait(1)
    before, cpu_before = descriptors(server.process.pid), cpu_s(server.process.pid)
    sources = [Source(server, number) for number in range(4)]
    dice, killed, end = random.Random(int(os.environ.get('STORM_SEED') or 7)), 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        victims = server.pids(dice.choice(ROLES))
        if victims:
            os.kill(victims[0], signal.SIGKILL)
            killed += 1
        time.sleep(dice.uniform(0.2, 1))
    began = time.monotonic()
    server.wait_ready(40 * PATIENCE)
    send(server, ['b@good.test'])
    good.wait(2, 30 * PATIENCE)
    recovered = time.monotonic() - began
    acknowledged = set().union(*(source.stop() for source in sources))
    wait_until(lambda: acknowledged <= seen.keys(), 20 * PATIENCE + SECONDS, every=0.2, what='the arrival of all that was acknowledged')
    duplicates = sum(times - 1 for times in seen.values())
    with capsys.disabled():
        print(f'\n  {killed} kills in {SECONDS:.0f} s: {len(acknowledged)} acknowledged, all arrived, {duplicates} duplicates; '
              f'well again after {recovered:.1f} s')
    assert len(acknowledged) > SECONDS
    assert duplicates <= killed * 60
    wait_until(lambda: descriptors(server.process.pid) <= before, 10 * PATIENCE, what='that the supervisor closed what it opened')
    assert cpu_s(server.process.pid) - cpu_before < 0.2 * SECONDS + 1, 'the supervisor spins'


class Resolver:
    """Between the server and nsd: passes on, fails, says nothing, or refuses, as `mode` says."""

    def __init__(self, address, port, behind):
        self.mode, self.behind, self.asked = 'pass', behind, 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((address, port))
        self.socket.settimeout(0.2)
        self.is_over = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.is_over:
            try:
                packet, who = self.socket.recvfrom(4096)
            except OSError:
                continue
            self.asked += 1
            if self.mode == 'silent':
                continue
            if self.mode in ('fail', 'refuse'):
                code = 2 if self.mode == 'fail' else 5
                self.socket.sendto(packet[:2] + bytes([packet[2] | 0x80, 0x80 | code]) + packet[4:], who)
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as on:
                on.settimeout(2)
                on.sendto(packet, self.behind)
                try:
                    self.socket.sendto(on.recv(4096), who)
                except OSError:
                    pass

    def stop(self):
        self.is_over = True
        self.thread.join(5)
        self.socket.close()


@pytest.fixture
def names(world, folder):
    """A resolver in front of a real name server that knows *.good.test, *.weak.test and clinic.test."""
    head = '$TTL 5\n@ SOA ns host 1 60 60 60 5\n@ NS ns\nns A 127.0.0.53\n'
    good, weak = world.host('mx.good.test', None), world.host('mx.weak.test', None, tls='none')
    zones = {'good.test': f'$ORIGIN good.test.\n{head}@ MX 10 mx\n* MX 10 mx\nmx A {good.address}\n',
             'weak.test': f'$ORIGIN weak.test.\n{head}* MX 10 mx\nmx A {weak.address}\n',
             'clinic.test': f'$ORIGIN clinic.test.\n{head}in A {world.clinic.address}\n'}
    port, behind = free_port(), free_port()
    nsd = Nsd(os.path.join(folder, 'nsd'), '127.0.0.53', behind, zones)
    made = Resolver('127.0.0.54', port, ('127.0.0.53', behind))
    made.settings = {'resolver': {'local_data': None, 'forward': [f'127.0.0.54@{port}']},
                     ('account', 'clinic'): {'cleartext_after': '0s', 'tls_retry': '0s'},
                     'delivery': {'retry_first': '500ms', 'retry_max': '1s', 'expire': '1h', 'delay_notice': '50m'}}
    made.good, made.weak = good, weak
    yield made
    made.stop()
    nsd.stop()


@pytest.mark.limit(100 + 4 * SECONDS)
@pytest.mark.parametrize('mode', ['fail', 'silent'] + (['refuse'] if SECONDS >= 30 else []))
def test_an_outage_of_the_resolver(world, house, names, mode):
    """Secure mail waits, is not bounced, not put into the portal, never in clear; all arrives when names are found again."""
    server = house(world, names.settings)
    mails = [(send(server, ['a@before.good.test']), 'a@before.good.test')]
    names.good.wait(1)
    names.mode = mode
    end, number = time.monotonic() + SECONDS / 2, 0
    while time.monotonic() < end:
        number += 1
        to = f'a@d{number}.good.test'
        mails.append((send(server, [to]), to))
        time.sleep(0.25)
    assert len(names.good.messages) == 1
    for mail, to in mails[1:]:
        assert server.state_of(header_id(mail), to) in ('planned', 'sending', 'deferred')
    # Asked again, but not without end: an outage is no reason to storm the resolver.
    assert names.asked < 400 + 200 * SECONDS
    names.mode = 'pass'
    back = time.monotonic()
    to = 'a@after.good.test'
    mails.append((send(server, [to]), to))
    names.good.wait(len(mails), 90 * PATIENCE)
    print(f'all there {time.monotonic() - back:.1f} s after the end of the outage')
    assert all(message.tls == 'TLSv1.3' for message in names.good.messages)
    for mail, to in mails:
        server.wait_state(header_id(mail), to, 'delivered')
        assert server.recipient(header_id(mail), to)['method'] == 'tls'
    assert not names.weak.messages and not world.clinic.messages
