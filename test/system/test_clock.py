# SPDX-License-Identifier: Apache-2.0
"""
The wall clock jumps under a running server, and between two runs: nothing is lost, nothing is sent again and again,
nothing stays behind.

The clock is test/long/clock_shim.c, which every process of the server is started with.
"""
import os
import struct
import subprocess
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import header_id, make_mail, send, submit
from world.postern import SANITIZED, TOP

pytestmark = pytest.mark.skipif(SANITIZED, reason='the sanitizers want to be the first library')
HOUR, DAY, YEAR = 3600, 86400, 365 * 86400


class Clock:
    """The server's wall clock: set(seconds) puts it so far from ours."""

    def __init__(self, folder, monkeypatch):
        self.path, shim = os.path.join(folder, 'clock'), os.path.join(folder, 'clock_shim.so')
        subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', shim, os.path.join(TOP, 'test', 'long', 'clock_shim.c')], check=True)
        self.set(0)
        os.chmod(self.path, 0o644)
        monkeypatch.setenv('LD_PRELOAD', shim)
        monkeypatch.setenv('CLOCK_SHIM', self.path)

    def set(self, seconds):
        with open(self.path, 'r+b' if os.path.exists(self.path) else 'wb') as file:
            file.write(struct.pack('q', int(seconds * 1e9)))


@pytest.fixture
def clock(folder, monkeypatch):
    return Clock(folder, monkeypatch)


class Deferring:
    """A host that puts everything off until it is told to stop; counts attempts by recipient."""

    def __init__(self, world, name, domain):
        self.is_open, self.asked = False, {}
        self.host = world.host(name, domain, rule=self.rule)

    def rule(self, verb, argument, _session):
        if verb == 'RCPT':
            self.asked[argument] = self.asked.get(argument, 0) + 1
        return None if self.is_open or verb != 'RCPT' else '450 4.2.1 later'


SETTINGS = {('account', 'clinic'): {'encrypt_by_default': False},
            'delivery': {'retry_first': '1s', 'retry_max': '2s', 'expire': '5d', 'delay_notice': '4d'}}


def test_jumps_while_mail_is_retried(world, house, clock):
    """A day forward, an hour back, a year back, ahead again: each message arrives once, retries keep their pace."""
    slow = Deferring(world, 'mx.slow.test', 'slow.test')
    good = world.host('mx.good.test', 'good.test')
    server = house(world, SETTINGS)
    for number, offset in enumerate((0, DAY, DAY - HOUR, DAY - HOUR - YEAR, -HOUR)):
        clock.set(offset)
        for one in range(5):
            send(server, [f'r{number}-{one}@slow.test'])
        send(server, [f'g{number}@good.test'])
        good.wait(number + 1)
        before, began = dict(slow.asked), time.monotonic()
        time.sleep(2)
        took = time.monotonic() - began
        # A few tries in the time of two seconds: each at least every 2 s x 1.25 and the wake after a jump, none in a storm.
        most = max(slow.asked[who] - before.get(who, 0) for who in slow.asked)
        assert most <= took / 0.7 + 3, (number, most, slow.asked)
    slow.is_open = True
    wait_until(lambda: len(slow.host.messages) >= 25, 30 * PATIENCE, what='the arrival of all that was put off')
    time.sleep(1)
    assert sorted(message.recipients[0] for message in slow.host.messages) == \
        sorted(f'r{number}-{one}@slow.test' for number in range(5) for one in range(5))
    wait_until(lambda: server.queue_length() == 0, 10 * PATIENCE, what='an empty queue')
    assert not world.clinic.messages, 'somebody was told that mail failed or is late'


def test_a_clock_that_was_ahead_before_a_restart(world, house, clock):
    """Accepted and put off by a clock that was a year ahead, then restarted with the right one: delivered now."""
    slow = Deferring(world, 'mx.slow.test', 'slow.test')
    server = house(world, SETTINGS, start=False)
    clock.set(YEAR)
    server.start()
    mails = [send(server, [f'r{one}@slow.test']) for one in range(5)]
    wait_until(lambda: len(slow.asked) == 5, 20, what='a first try of each')
    server.kill_all()
    clock.set(0)
    slow.is_open = True
    server.start()
    wait_until(lambda: len(slow.host.messages) >= 5, 20 * PATIENCE, what='the arrival of what waits')
    for mail, one in zip(mails, range(5)):
        server.wait_state(header_id(mail), f'r{one}@slow.test', 'delivered')
    assert len(slow.host.messages) == 5


def test_ids_do_not_come_again(world, house, clock):
    """The same second of the wall clock, three times over, with a restart between: every message is accepted."""
    good = world.host('mx.good.test', 'good.test')
    server = house(world, SETTINGS)
    ids = []
    for turn in range(3):
        clock.set(-HOUR * 24)
        for one in range(20):
            mail = make_mail([f'r{turn}-{one}@good.test'])
            assert submit(server, mail, [f'r{turn}-{one}@good.test'])[0] == 250
            ids.append(server.story(header_id(mail))['message'])
        server.kill_all()
        clock.set(-HOUR * 24 - 5 * (turn + 1))
        server.start()
    assert len(set(ids)) == len(ids) == 60
    good.wait(60)


def test_old_age_waits_for_the_clock_to_be_put_right(world, house, clock):
    """Ten days forward by mistake: nothing is given up before somebody had the time to set it back."""
    slow = Deferring(world, 'mx.slow.test', 'slow.test')
    server = house(world, SETTINGS)
    mail = send(server, ['r@slow.test'])
    wait_until(lambda: slow.asked, 20, what='a first try')
    clock.set(10 * DAY)
    wait_until(lambda: server.find_events('keeper.clock_set_forward'), 20, what='that it is noticed')
    time.sleep(3)
    assert server.state_of(header_id(mail), 'r@slow.test') == 'deferred'
    clock.set(0)
    slow.is_open = True
    slow.host.wait(1)
    server.wait_state(header_id(mail), 'r@slow.test', 'delivered')


def test_mail_grows_old_by_the_right_clock(world, house, clock):
    """The clock that a new process finds is believed: past its time mail that nobody takes is given up and its sender is told."""
    Deferring(world, 'mx.slow.test', 'slow.test')
    server = house(world, SETTINGS)
    mail = send(server, ['r@slow.test'])
    server.wait_state(header_id(mail), 'r@slow.test', 'deferred')
    server.stop()
    clock.set(6 * DAY)
    server.start()
    server.wait_state(header_id(mail), 'r@slow.test', 'failed')
    assert 'delivery' in world.clinic.wait(1)[0].mail['Subject'].lower() or world.clinic.messages
