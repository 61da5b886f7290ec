#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Failing calls: `inject.py --rounds 200`. Each round runs a server under a small load, makes calls of one kind fail in one
role (the n-th, a few, or all for a while), or fills the disk, and then lets it recover. Meanwhile nobody may be refused
for good; afterwards the server must take and deliver mail without help, all that was answered 250 must arrive, it must
stop by itself, and `postern verify` must find all in order.
"""
import argparse
import os
import random
import shutil
import signal
import smtplib
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from control import Shim  # noqa: E402
from life import LIBRARY, PROGRAM, History, Load, Stage, make_server, wait_until  # noqa: E402
from world.machine import give  # noqa: E402

DISK = ('EIO', 'ENOSPC', 'EDQUOT')
TABLE = ('EMFILE', 'ENFILE', 'ENOMEM')

# role, calls, errors, how: everything here must leave the promises standing.
CASES = [
    *[('keeper', call, error, 'fail') for call in ('write', 'sync') for error in DISK],
    *[('keeper', 'open', error, 'fail') for error in DISK + TABLE + ('EROFS',)],
    *[('keeper', call, 'EIO', 'fail') for call in ('read', 'truncate', 'unlink')],
    ('keeper', 'write', 'EIO', 'short'),
    ('keeper', 'alloc', 'ENOMEM', 'fail'),
    *[('keeper', ('write', 'sync'), 'EIO', how) for how in ('die_before', 'die_after')],
    *[('smtpd', 'write', error, 'fail') for error in DISK],
    *[('smtpd', 'open', error, 'fail') for error in DISK + TABLE + ('EROFS',)],
    ('smtpd', 'write', 'EIO', 'short'),
    *[(role, call, error, 'fail') for role in ('smtpd', 'scribe') for call, error in (
        ('sync', 'EIO'), ('sync', 'ENOSPC'), ('push', 'EIO'))],
    ('smtpd', 'truncate', 'EIO', 'fail'),
    ('smtpd', 'alloc', 'ENOMEM', 'fail'),
    *[('smtpd', 'accept', error, 'fail') for error in TABLE + ('ECONNABORTED', 'EAGAIN', 'EINTR')],
    *[('smtpd', 'send', error, 'fail') for error in ('ECONNRESET', 'EAGAIN', 'EINTR', 'ENOBUFS', 'EPIPE')],
    *[('smtpd', 'recv', error, 'fail') for error in ('ECONNRESET', 'EAGAIN', 'EINTR')],
    ('smtpd', 'send', 'EIO', 'short'),
    *[('smtpd', ('write', 'send'), 'EIO', how) for how in ('die_before', 'die_after')],
    *[('courier', 'open', error, 'fail') for error in ('EIO', 'EMFILE', 'ENFILE', 'ENOMEM')],
    ('courier', 'read', 'EIO', 'fail'),
    *[('courier', 'socket', error, 'fail') for error in TABLE],
    *[('courier', 'connect', error, 'fail') for error in ('ENETUNREACH', 'EADDRNOTAVAIL', 'ETIMEDOUT', 'EAGAIN')],
    *[('courier', 'send', error, 'fail') for error in ('ECONNRESET', 'EAGAIN', 'EINTR', 'EPIPE')],
    *[('courier', 'recv', error, 'fail') for error in ('ECONNRESET', 'EAGAIN', 'EINTR', 'ETIMEDOUT')],
    ('courier', 'send', 'EIO', 'short'),
    ('courier', 'alloc', 'ENOMEM', 'fail'),
    *[('courier', ('send', 'recv'), 'EIO', how) for how in ('die_before', 'die_after')],
    *[('scribe', 'write', error, 'fail') for error in DISK],
    *[('scribe', 'open', error, 'fail') for error in DISK + TABLE],
    ('scribe', 'write', 'EIO', 'short'),
    ('scribe', 'read', 'EIO', 'fail'),
    ('scribe', 'alloc', 'ENOMEM', 'fail'),
    *[('scribe', ('write', 'send'), 'EIO', how) for how in ('die_before', 'die_after')],
    *[(role, 'accept', 'EMFILE', 'fail') for role in ('portal', 'office')],
    *[(role, 'alloc', 'ENOMEM', 'fail') for role in ('portal', 'office')],
    ('supervisor', 'fork', 'EAGAIN', 'fail'),
    ('supervisor', 'alloc', 'ENOMEM', 'fail'),
    *[('every role', 'send', error, 'fail') for error in ('EAGAIN', 'EINTR')],
    *[('every role', 'recv', error, 'fail') for error in ('EAGAIN', 'EINTR')],
    ('disk', 'full', 'ENOSPC', 'fail'),
    ('disk', 'inodes', 'ENOSPC', 'fail'),
]
ROLES = ('keeper', 'smtpd', 'courier', 'scribe', 'portal', 'office', 'scout')
RARE = ('sync', 'push', 'open', 'truncate', 'unlink', 'fork', 'accept', 'connect', 'socket')  # calls of which there are few
MAY_DIE = ('alloc', 'fork')  # without memory a role may end; its successor goes on


class Failure(AssertionError):
    """A promise that was not kept."""


class Injector:
    def __init__(self, root, seed, say=print):
        self.root, self.seed, self.say = root, seed, say
        self.stage = Stage(os.path.join(root, 'stage'))
        self.stage.is_patient = True
        self.checker = make_server(self.stage, os.path.join(root, 'checker'), os.path.join(root, 'unused'))
        self.count = dict(rounds=0, fired=0, unreached=0, acknowledged=0, refused=0, duplicates=0)
        self.failures = []

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def round(self, number, case, how_many=None, first=None):
        """One case; how_many (one, few, all, chance) and the number of the first call are drawn unless given."""
        dice = random.Random(f'{self.seed}/{number}')
        role, calls, error, how = case
        how_many = how_many or dice.choice(('one', 'one', 'few', 'all', 'chance'))
        many = (1, 2, dice.randint(1, 20), dice.randint(1, 100))
        first = first or dice.choice((1, 1, 2) if calls in RARE else many)
        words = f'round {number}: {role} {calls} {error} {how}, {how_many} from {first}'
        state, life = self.path(f'state{number}'), self.path(f'life{number}')
        os.mkdir(state)
        try:
            if role == 'disk':
                self._small_disk(state, calls)
            give(state)
            self._live(state, life, case, how_many, first, dice, words)
        except (Failure, AssertionError) as problem:
            self.failures.append(f'{words}: {problem}')
            self.say(f'FAILED {words}: {str(problem)[:3000]}')
            kept = os.path.join(tempfile.gettempdir(), f'postern-fault-{self.seed}-{number}')
            shutil.copytree(state, kept, dirs_exist_ok=True)
        finally:
            if role == 'disk':
                subprocess.run(['umount', '-l', state], check=False)
            shutil.rmtree(state, ignore_errors=True)
            shutil.rmtree(life, ignore_errors=True)
        self.count['rounds'] += 1

    @staticmethod
    def _small_disk(state, what):
        options = 'size=10m' if what == 'full' else 'size=64m,nr_inodes=24'
        got = subprocess.run(['mount', '-t', 'tmpfs', '-o', options, 'tmpfs', state], capture_output=True, text=True,
                             check=False)
        if got.returncode != 0:
            raise Failure('may not mount here: ' + got.stderr)

    def _live(self, state, life, case, how_many, first, dice, words):
        role, calls, error, how = case
        shim = Shim(self.path(f'shim-{os.path.basename(state)}'), state, LIBRARY)
        history = History()
        self.stage.watch(history, shim.stamp)
        server = make_server(self.stage, life, state, shim)
        load = None
        try:
            server.start()
            kinds = ('good', 'portal', 'refuse', 'big') if role != 'disk' else ('big', 'big', 'good')
            load = Load(server, history, dice.random(), sessions=3, kinds=kinds)
            wait_until(lambda: len(history.mails) >= 5, 20, what='the first acknowledgements')
            if role == 'disk':
                self._fill(load, history)
                got = subprocess.run(['mount', '-o', 'remount,size=128m,nr_inodes=4000', state], capture_output=True,
                                     text=True, check=False)
                assert got.returncode == 0, got.stderr
            else:
                self._arm(shim, case, how_many, first)
                time.sleep(dice.uniform(0.5, 1.2))
                if role == 'office' or role == 'every role':
                    self._ask(server)
                if role in ('supervisor', 'portal'):
                    for pid in server.pids(dice.choice(('smtpd', 'scribe'))):
                        os.kill(pid, signal.SIGKILL)
                    time.sleep(0.5)
                fired = shim.counts(0)[1]
                self.count['fired'] += fired > 0
                self.count['unreached'] += fired == 0
                shim.clear()
            load.stop()
            self._judge_refusals(load)
            self._recover(server, history, case)
            self._settle(server, history)
        finally:
            if load and not load.is_ended.is_set():
                load.stop()
            try:
                if server.process and server.process.poll() is None:
                    server.stop()
            finally:
                self.stage.watch(None, None)
                shutil.rmtree(shim.folder, ignore_errors=True)
        self._check_log(server, case)
        self._verify(state, history)
        twice = len(history.arrivals) - len({key for _, _, key in history.arrivals})
        self.count['acknowledged'] += len(history.mails)
        self.count['refused'] += len(load.refusals)
        self.count['duplicates'] += twice

    @staticmethod
    def _ask(server):
        """Somebody who gives up soon: the office cannot answer as long as its calls fail."""
        try:
            subprocess.run([PROGRAM, 'status', '-c', server.settings_path], stdin=subprocess.DEVNULL,
                           capture_output=True, timeout=2, check=False)
        except subprocess.TimeoutExpired:
            pass

    @staticmethod
    def _arm(shim, case, how_many, first):
        role, calls, error, how = case
        times = {'one': 1, 'few': 4, 'all': 0, 'chance': 0}[how_many]
        if how.startswith('die'):
            times = 1
        shim.rule(0, ROLES if role == 'every role' else role, calls, error=error, action=how, first=first, times=times,
                  permille=(5 if calls == 'alloc' else 100) if how_many == 'chance' and times == 0 else 0)

    @staticmethod
    def _fill(load, history):
        def is_full():
            return len(load.refusals) > 5
        try:
            wait_until(is_full, 10, what='the full disk')
        except AssertionError as problem:
            raise Failure(f'{problem}: {len(history.mails)} taken') from None

    @staticmethod
    def _judge_refusals(load):
        bad = [(code, text) for code, text in load.refusals if code >= 500]
        if bad:
            raise Failure(f'refused for good: {bad[:3]}')

    def _recover(self, server, history, case):
        """It takes mail again without help."""
        def takes():
            if server.process.poll() is not None and case[:2] == ('supervisor', 'alloc'):
                server.start()  # as the service manager does
            if server.process.poll() is not None:
                raise Failure('the server ended:\n' + server.log_tail(40))
            before = len(history.mails)
            probe = Load(server, history, time.time(), sessions=1, pause=0.2, kinds=('good',))
            end = time.monotonic() + 3
            while len(history.mails) == before and time.monotonic() < end:
                time.sleep(0.02)
            probe.stop()
            return len(history.mails) > before
        try:
            wait_until(takes, 10, what='recovery')
        except AssertionError as problem:
            raise Failure(f'{problem}:\n' + server.log_tail(40)) from None

    @staticmethod
    def _settle(server, history):
        """All that was answered 250 arrives."""
        def owed():
            arrived = {key for _, _, key in list(history.arrivals)}
            return {key for mail in list(history.mails.values()) for key in mail.keys()} - arrived
        try:
            wait_until(lambda: not owed(), 15, every=0.1, what='the arrival of all')
        except AssertionError:
            missing = owed()
            raise Failure(f'{len(missing)} of {len(history.mails)} did not arrive: {sorted(missing)[:5]}\n' +
                          server.control('queue', 'list', check=False).stdout[:1500] + server.log_tail(40)) from None

    @staticmethod
    def _check_log(server, case):
        calls = case[1]
        if calls in MAY_DIE:
            return
        for line in server.lines:
            if 'must failed' in line or '"signal ' in line and 'signal 9' not in line:
                raise Failure('a role ended badly: ' + line)

    def _verify(self, state, history):
        accepted = self.path('accepted')
        with open(accepted, 'w', encoding='ascii') as file:
            file.write(''.join(one + '\n' for one in sorted(history.mails)))
        got = subprocess.run([PROGRAM, 'verify', state, '-c', self.checker.settings_path, '--accepted', accepted],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd='/')
        if got.returncode != 0:
            raise Failure(f'verify ended with {got.returncode}:\n{got.stdout[-3000:]}{got.stderr[-2000:]}')

    def run(self, rounds, only=''):
        """All cases in turn, in an order by chance."""
        cases = [case for case in CASES if only in f'{case[0]} {case[1]} {case[2]} {case[3]}']
        dice = random.Random(self.seed)
        order = []
        while len(order) < rounds:
            order += dice.sample(cases, len(cases))
        for number, case in enumerate(order[:rounds]):
            self.round(number, case)

    def summary(self):
        one = self.count
        return (f'{one["rounds"]} rounds of failing calls ({one["fired"]} hit, {one["unreached"]} were not reached): '
                f'{len(self.failures)} failed; {one["acknowledged"]} acknowledged, all arrived, {one["duplicates"]} '
                f'twice; {one["refused"]} refused for the moment')

    def close(self):
        self.stage.close()


def main():
    parser = argparse.ArgumentParser(description='Let calls of a mail server fail.')
    parser.add_argument('--rounds', type=int, default=len(CASES))
    parser.add_argument('--only', default='', help='cases with these words, like "keeper sync"')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    root = tempfile.mkdtemp(prefix='postern-inject-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    os.chmod(root, 0o755)
    os.mkdir(os.path.join(root, 'stage'), 0o755)
    injector = Injector(root, arguments.seed)
    begun = time.monotonic()
    try:
        injector.run(arguments.rounds, arguments.only)
        print(f'{injector.summary()}; seed {arguments.seed}, {time.monotonic() - begun:.0f} s', flush=True)
    finally:
        injector.close()
        shutil.rmtree(root, ignore_errors=True)
    return 1 if injector.failures else 0


if __name__ == '__main__':
    sys.exit(main())
