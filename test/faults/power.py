#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""
Power cuts: `power.py --cuts 10000`. Each recording is the life of a real server under load (life.py); each cut is a
disk that this life may have left when the power went (disk.py). On every such disk `postern verify` must find all in
order and everything there that was answered 250 before the cut. Some of the disks are given to a server, which must
deliver all that was owed, and nothing twice but what was in flight; its own life is a recording, too, and is cut again.

What fails is kept with a file `recording` and a line that says how to do that one cut again.
"""
import argparse
import bisect
import os
import pickle
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

from control import CREATE, NEVER, SYNC, TRUNCATE, UNLINK, Shim  # noqa: E402
from disk import Disk, Tree  # noqa: E402
from life import (LIBRARY, PROGRAM, History, Load, Stage, make_server, settled, take_back, wait_until)  # noqa: E402
from world.machine import IS_ROOT, USER, give  # noqa: E402

OWNER = (USER.pw_uid, USER.pw_gid) if IS_ROOT else None
LONGEST_FLIGHT_S = 10  # from a host's receipt to the result on disk, at worst, with roles killed in between
MAILS = 500            # that a recording holds at most, or little more
RESULTS = 600          # in flight at a time: on a courier's connections, waiting for company (256), in a commit


class Failure(AssertionError):
    """A promise that was not kept."""


class Recording:
    """One life, ready to be cut."""

    def __init__(self, name, base, ops, history, depth):
        self.name, self.history, self.depth = name, history, depth
        self.disk = Disk(base, ops)
        history.acks += [(stamp, one) for stamp, one in self.disk.acks]
        self.times = [(op.start, op.at) for op in ops]
        self.kinds = {name: sum(op.kind == kind and op.result >= 0 for op in ops) for name, kind in
                      (('syncs', SYNC), ('truncations', TRUNCATE), ('files made', CREATE), ('files removed', UNLINK))}

    def time_at(self, place):
        at = bisect.bisect_left(self.times, (place, 0))
        return self.times[min(at, len(self.times) - 1)][1]

    def draw_place(self, dice):
        disk = self.disk
        if disk.edges and dice.random() < 0.5:
            return max(1, min(disk.last, dice.choice(disk.edges) + dice.randint(-2, 3)))
        return dice.randint(1, disk.last)

    # Threads and locks do not go into files.
    def __getstate__(self):
        return dict(self.__dict__, history=dict(self.history.__dict__, lock=None))

    def __setstate__(self, values):
        history = History()
        history.__dict__.update(values['history'], lock=history.lock)
        self.__dict__.update(values, history=history)


class Power:
    def __init__(self, root, seed, keep, say=print):
        self.root, self.seed, self.keep, self.say = root, seed, keep, say
        self.stage = Stage(os.path.join(root, 'stage'))
        self.checker = make_server(self.stage, os.path.join(root, 'checker'), self.path('cut'))
        self.count = dict(cuts=0, recordings=0, acknowledged=0, lost=0, restarts=0, owed=0, delivered=0, in_flight=0,
                          duplicates=0, recovery_cuts=0, failures=0)
        self.flight_s = 0
        self.failures = []
        self.numbers = iter(range(1 << 30))

    def path(self, *parts):
        return os.path.join(self.root, *parts)

    def fresh(self, name):
        """An empty folder that the server's user owns."""
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)
        os.mkdir(path, 0o700)
        give(path)
        return path

    # ---- a recording ----

    def record(self, dice, seconds, is_huge=False):
        """A server's first life: load, commands, killed roles, failing disks; a proper end, or none."""
        number = next(self.numbers)
        state = self.fresh('state')
        folder = self.path('life')
        shutil.rmtree(folder, ignore_errors=True)
        shim = Shim(self.path(f'shim{number}'), state, LIBRARY)
        history = History()
        self.stage.is_patient = False
        self.stage.hands = random.Random(dice.random())
        self.stage.watch(history, shim.stamp)
        base = Tree.read(state)
        shim.record(True, dice.choice((0, 300, 1000, 4000)), dice.choice((40, 100, 400)))
        server = make_server(self.stage, folder, state, shim)
        server.start()
        if is_huge:
            load = Load(server, history, dice.random(), sessions=2, pause=0.05, kinds=('huge', 'huge', 'good'))
        else:
            load = Load(server, history, dice.random(), sessions=dice.choice((2, 4, 8)),
                        pause=dice.choice((0.005, 0.02)))
        end = time.monotonic() + (2 * seconds if is_huge else seconds)
        while time.monotonic() < end and len(history.mails) < MAILS and load.huge > 0:
            if is_huge:
                shim.rule(3, 'smtpd', 'push', error='EIO', first=dice.randint(1, 4), times=1)
            self._trouble(server, shim, history, dice)
        shim.clear()
        load.stop()
        is_proper = dice.random() < 0.7
        if is_proper:
            try:
                server.wait_ready()
            finally:
                server.stop()
        else:
            server.kill_all()
        self.stage.watch(None, None)
        shim.record(False)
        recording = self._finish(f'{self.seed}/{number}', base, shim, state, history, 0)
        self.count['acknowledged'] += len(recording.disk.acks)
        self.say(f'recording {recording.name}: {len(recording.times)} calls, {len(recording.disk.acks)} acknowledged, '
                 f'{len(history.arrivals)} arrivals, {recording.kinds}')
        return recording

    @staticmethod
    def _trouble(server, shim, history, dice):
        """A moment of an operator, of a kill -9 at a certain call, or of a failing disk."""
        time.sleep(dice.uniform(0.1, 0.5))
        what = dice.choice(('command', 'command', 'kill', 'sync', 'write', 'nothing', 'nothing'))
        if what == 'command':
            take_back(server, history, shim.stamp, dice)
        elif what == 'kill':
            role = dice.choice(('keeper', 'smtpd', 'courier', 'scribe'))
            calls = {'keeper': ['write', 'sync'], 'smtpd': ['write', 'send'], 'scribe': ['write', 'send'],
                     'courier': ['send', 'recv']}[role]
            shim.rule(0, role, calls, action=dice.choice(('die_before', 'die_after')),
                      first=dice.randint(1, 120), times=1)
        elif what == 'sync':
            role = dice.choice(('keeper', 'keeper', 'smtpd', 'scribe'))
            shim.rule(1, role, ('sync', 'push'), error='EIO', first=dice.randint(1, 40 if role == 'keeper' else 8),
                      times=dice.choice((1, 1, 3)))
        elif what == 'write':
            shim.rule(2, ('keeper', 'smtpd', 'scribe'), 'write', error=dice.choice(('EIO', 'ENOSPC')),
                      action=dice.choice(('fail', 'fail', 'short')), first=dice.randint(1, 200),
                      times=dice.choice((1, 2, 5)))

    def _finish(self, name, base, shim, state, history, depth):
        ops = shim.read()
        shutil.rmtree(shim.folder)
        recording = Recording(name, base, ops, history, depth)
        if all(op.end < NEVER for op in ops):
            mine = recording.disk.cut(recording.disk.last, random.Random(0), 'all', 'all').listing()
            real = Tree.read(state).listing()
            different = [path for path in mine.keys() | real.keys() if mine.get(path) != real.get(path)]
            assert not different, 'the recording is not what happened: ' + ', '.join(
                f'{path} {len(mine.get(path, ""))} for {len(real.get(path, ""))} bytes' for path in different)
        self.count['recordings'] += 1
        return recording

    # ---- a cut ----

    def cut(self, recording, number, restart):
        """Make the disk of cut `number`, check it, perhaps live on it."""
        dice = random.Random(f'{recording.name}/{number}')
        place = recording.draw_place(dice)
        state = self.fresh('cut')
        recording.disk.cut(place, dice).write(state, OWNER)
        known = recording.history.at(place)
        self.count['cuts'] += 1
        self.count['recovery_cuts'] += recording.depth > 0
        try:
            if restart:
                least = self.fresh('least')
                recording.disk.cut(place).write(least)
                return self._live_on(recording, number, place, known, settled(least, known.mails))
            if not self.verify(known.acked):
                # Nothing was begun here yet, or not all of it: a server must be able to begin.
                return self._live_on(recording, number, place, known, set())
        except Failure as problem:
            self._keep(recording, number, place, problem)
        return None

    def verify(self, acked):
        """False: there is nothing to check yet, and nothing need be there."""
        accepted = self.path('accepted')
        with open(accepted, 'w', encoding='ascii') as file:
            file.write(''.join(one + '\n' for one in sorted(acked)))
        got = subprocess.run([PROGRAM, 'verify', '-c', self.checker.settings_path, '--accepted', accepted],
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False, cwd='/')
        if got.returncode == 2 and not acked:
            return False
        if got.returncode != 0:
            self.count['lost'] += 'accepted' in got.stdout
            raise Failure(f'verify ended with {got.returncode}:\n{got.stdout[-3000:]}{got.stderr[-3000:]}')
        return True

    def _live_on(self, recording, number, place, known, done):
        """A server on the cut disk: everything owed arrives, nothing twice that was settled."""
        state = self.path('cut')
        shim = Shim(self.path(f'shim-{next(self.numbers)}'), state, LIBRARY)
        history = History(known)
        base = Tree.read(state)
        owed = known.owed()
        in_flight = known.arrived.keys() - done
        self.stage.is_patient = True
        self.stage.watch(history, shim.stamp)
        shim.record(True, 500, 100)
        shutil.rmtree(self.path('life'), ignore_errors=True)
        server = make_server(self.stage, self.path('life'), state, shim)
        new = lambda: [key for stamp, _, key in list(history.arrivals) if stamp > 0]
        try:
            try:
                server.start()
                wait_until(lambda: not owed - set(new()), 15, every=0.05, what='the arrival of what is owed')
                wait_until(lambda: 'Nothing waits' in server.control('queue', 'list').stdout, 15, every=0.1,
                           what='an empty queue')
            except AssertionError as problem:
                raise Failure(f'{problem}; missing: {sorted(owed - set(new()))[:10]} of {len(owed)}\n'
                              + server.log_tail(60)) from None
            finally:
                if server.process and server.process.poll() is None:
                    try:
                        server.stop()
                    except AssertionError as problem:
                        raise Failure(str(problem)) from None
            self.verify(known.acked)
            self._judge(recording, place, known, done, in_flight, new())
        finally:
            self.stage.watch(None, None)
            shim.record(False)
        self.count['restarts'] += 1
        self.count['owed'] += len(owed)
        self.count['in_flight'] += len(in_flight)
        return self._finish(f'{recording.name}/{number}', base, shim, state, history, recording.depth + 1)

    def _judge(self, recording, place, known, done, in_flight, arrived):
        twice = {key for key in arrived if arrived.count(key) > 1}
        if twice:
            raise Failure(f'sent twice in one life: {sorted(twice)[:10]}')
        again = set(arrived) & known.arrived.keys()
        if again & done:
            raise Failure(f'sent again although its arrival was on disk: {sorted(again & done)[:10]}')
        back = set(arrived) & known.taken_back
        if back:
            raise Failure(f'sent although it was taken back: {sorted(back)[:10]}')
        for key in again:
            if known.arrived[key] > 0:  # in the life that was cut, not before it
                flight_s = (recording.time_at(place) - known.arrived[key]) / 1e9
                self.flight_s = max(self.flight_s, flight_s)
                if flight_s > LONGEST_FLIGHT_S:
                    raise Failure(f'{key} was {flight_s:.1f} s in flight')
        if len(again) > RESULTS:
            raise Failure(f'{len(again)} duplicates')
        self.count['delivered'] += len(arrived)
        self.count['duplicates'] += len(again)

    def _keep(self, recording, number, place, problem):
        self.count['failures'] += 1
        kept = tempfile.mkdtemp(prefix='cut-', dir=self.keep)
        shutil.copytree(self.path('cut'), os.path.join(kept, 'state'))
        shutil.copytree(self.path('checker'), os.path.join(kept, 'server'), ignore=lambda *_: ['control.sock'])
        with open(os.path.join(kept, 'recording'), 'wb') as file:
            pickle.dump(recording, file)
        with open(os.path.join(kept, 'problem'), 'w', encoding='utf-8') as file:
            file.write(f'{problem}\n')
        words = (f'cut {number} of recording {recording.name} at {place}: {str(problem)[:1500]}\n'
                 f'again: {os.path.join(HERE, "power.py")} --recording {kept}/recording --cut {number}')
        self.failures.append(words)
        self.say('FAILED ' + words)

    # ---- all of it ----

    def run(self, cuts, each, restart_every, seconds):
        """So many cuts, `each` of a recording."""
        dice = random.Random(self.seed)
        while self.count['cuts'] < cuts and len(self.failures) < 20:
            is_huge = self.count['recordings'] > 0 and dice.random() < 0.15
            recording = self.record(dice, seconds, is_huge)
            for number in range(min(each // 8 if is_huge else each, cuts - self.count['cuts'])):
                life = self.cut(recording, number, restart_every and self.count['cuts'] % restart_every == 1)
                # The life after the cut is cut again, and sometimes lived on, while it recovers and later.
                for again in range(10 if life else 0):
                    self.cut(life, again, again == 0 and life.depth < 2 and dice.random() < 0.2)
                if self.count['cuts'] >= cuts or len(self.failures) >= 20:
                    break

    def close(self):
        self.stage.close()

    def summary(self):
        one = self.count
        return (f'{one["cuts"]} power cuts ({one["recovery_cuts"]} of them in a recovery) of {one["recordings"]} '
                f'recordings with {one["acknowledged"]} acknowledged messages: {one["failures"]} failed, {one["lost"]} '
                f'lost messages; {one["restarts"]} restarts, {one["delivered"]} deliveries after them ({one["owed"]} '
                f'owed), {one["in_flight"]} in flight at the cut, {one["duplicates"]} of these sent again '
                f'(at most {self.flight_s:.2f} s after the first)')


def main():
    parser = argparse.ArgumentParser(description='Cut the power of a mail server, many times.')
    parser.add_argument('--cuts', type=int, default=200)
    parser.add_argument('--each', type=int, default=400, help='cuts of one recording')
    parser.add_argument('--restart-every', type=int, default=50, help='of so many cuts one is lived on; 0: none')
    parser.add_argument('--seconds', type=float, default=4, help='length of a recording')
    parser.add_argument('--seed', type=int, default=int(time.time()))
    parser.add_argument('--keep', default=tempfile.gettempdir(), help='where failures are kept')
    parser.add_argument('--recording', help='a kept recording …')
    parser.add_argument('--cut', type=int, help='… of which this cut is made again')
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    root = tempfile.mkdtemp(prefix='postern-power-', dir='/dev/shm' if os.path.isdir('/dev/shm') else None)
    os.chmod(root, 0o755)
    os.mkdir(os.path.join(root, 'stage'), 0o755)
    os.makedirs(arguments.keep, exist_ok=True)
    power = Power(root, arguments.seed, arguments.keep)
    begun = time.monotonic()
    try:
        if arguments.recording:
            with open(arguments.recording, 'rb') as file:
                recording = pickle.load(file)
            shutil.copytree(os.path.join(os.path.dirname(arguments.recording), 'server'), power.path('checker'),
                            dirs_exist_ok=True)
            power.checker.write_settings()
            power.cut(recording, arguments.cut, False)
        else:
            power.run(arguments.cuts, arguments.each, arguments.restart_every, arguments.seconds)
        print(f'{power.summary()}; seed {arguments.seed}, {time.monotonic() - begun:.0f} s', flush=True)
    finally:
        power.close()
        shutil.rmtree(root, ignore_errors=True)
    return 1 if power.failures else 0


if __name__ == '__main__':
    sys.exit(main())
