# SPDX-License-Identifier: Apache-2.0
"""
A backup of the running server, a machine that is lost, a restore into an empty state folder: what was
acknowledged before the backup arrives, links can be read, what was taken back stays so, and
damage is refused.
"""
import json
import os
import re
import shutil
import subprocess
import threading
import time

import pytest

from world import wait_until
from world.mails import CANARIES, canary_mail, header_id, make_mail, send, submit
from world.postern import TOP
from world.reader import Reader, link_in


def backup(server, folder, *arguments, check=True):
    return server.command('backup', '-c', server.settings_path, folder, *arguments, check=check)


def restore(server, folder, *arguments, check=True):
    return server.command('restore', '-c', server.settings_path, folder, *arguments, check=check)


def lose(server):
    """Power off, and the disk is gone."""
    server.kill_all()
    shutil.rmtree(server.state)


def verify(server, folder):
    got = server.command('verify', '-c', server.settings_path, '--json', folder, check=False)
    return got.returncode, json.loads(got.stdout) if got.stdout else got.stderr


def sizes(folder):
    return {os.path.relpath(os.path.join(top, name), folder): os.path.getsize(os.path.join(top, name))
            for top, _, names in os.walk(folder) for name in names}


def later(verb, argument, session):
    return '451 4.3.0 later' if verb == 'RCPT' else None


SLOW = {'delivery': {'retry_first': '1h', 'retry_max': '1h', 'expire': '30d'}}
FAST = {'delivery': {'retry_first': '500ms', 'retry_max': '1s'}}


@pytest.mark.asan
def test_everything_comes_back(world, house, folder):
    """Undelivered mail, portal copies, proofs, keys; a large message over several chunks."""
    good = world.host('mx.good.test', 'good.test')
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    slow = world.host('mx.slow.test', 'slow.test', rule=later)
    server = house(world, SLOW)
    send(server, ['a@good.test'])
    portal = canary_mail(['patient@plain.test'])
    submit(server, portal, ['patient@plain.test'])
    waiting = canary_mail(['x@slow.test', 'y@slow.test'])
    submit(server, waiting, ['x@slow.test', 'y@slow.test'])
    large = make_mail(['z@slow.test'], attachment=('big.bin', os.urandom(700_000), 'application/octet-stream'))
    submit(server, large, ['z@slow.test'])
    good.wait(1)
    notice = plain.wait(1)[0]
    for mail, address in ((waiting, 'y@slow.test'), (large, 'z@slow.test')):
        server.wait_state(header_id(mail), address, 'deferred')
    server.wait_state(header_id(portal), 'patient@plain.test', 'notified')
    kept = os.path.join(folder, 'backup')
    got = backup(server, kept)
    assert 'NOT in it' in got.stdout
    # Nothing readable is in it, and not the master key.
    with open(server.master_key, 'rb') as file:
        secret = file.read().split()[2]
    for name in sizes(kept):
        with open(os.path.join(kept, name), 'rb') as file:
            data = file.read()
        for word in CANARIES + ('patient@plain.test',):
            assert word.encode() not in data, name
        assert secret not in data
    assert not os.path.exists(os.path.join(server.state, 'snapshot.db'))
    code, report = verify(server, kept)
    assert code == 0 and report['contents'] == 2 and report['open_copies'] == 1, report
    # The server went on meanwhile; then it is lost.
    lose(server)
    assert restore(server, os.path.join(folder, 'nothing'), check=False).returncode == 1
    got = restore(server, kept)
    assert '1 copies can be read' in got.stdout
    slow.rule = None
    server.write_settings(FAST)
    server.start()
    server.control('queue', 'retry', 'everything')
    wait_until(lambda: {address for message in slow.messages for address in message.recipients} ==
               {'x@slow.test', 'y@slow.test', 'z@slow.test'}, 30, what='all that waited')
    assert all(message.tls for message in slow.messages)
    # The link works, and the proof of the domain is known.
    page = Reader(server, plain).open_by_code(link_in(notice))
    assert CANARIES[0] in page.text
    domains = {one['domain']: one for one in server.control_json('domains')}
    assert domains['good.test']['tls'] == 'proved' and domains['plain.test']['tls'] == 'lacking'
    # It was delivered before the backup: not again.
    assert len(good.messages) == 1
    server.stop()
    code, report = verify(server, server.state)
    assert code == 0, report


def test_taken_back_stays_taken_back(world, house, folder):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    world.host('mx.slow.test', 'slow.test', rule=later)
    server = house(world, SLOW)
    mails = {name: canary_mail([f'{name}@plain.test']) for name in ('early', 'listed', 'found', 'kept')}
    for name, mail in mails.items():
        submit(server, mail, [f'{name}@plain.test'])
        server.wait_state(header_id(mail), f'{name}@plain.test', 'notified')
    waiting = send(server, ['w@slow.test'])
    server.wait_state(header_id(waiting), 'w@slow.test', 'deferred')
    links = {message.recipients[0].split('@')[0]: link_in(message) for message in plain.wait(4)}
    kept = os.path.join(folder, 'backup')
    server.control('retract', header_id(mails['early']))
    backup(server, kept)
    server.control('retract', header_id(mails['listed']))
    server.control('queue', 'purge', 'slow.test')
    backup(server, kept, '--retractions')
    listed = os.path.getsize(os.path.join(kept, 'retractions'))
    server.control('retract', header_id(mails['found']))
    # What could be saved from the lost machine.
    saved = os.path.join(folder, 'saved')
    wait_until(lambda: os.path.getsize(os.path.join(server.state, 'retractions')) > listed, 5, what='the line')
    shutil.copy(os.path.join(server.state, 'retractions'), saved)
    with open(saved, encoding='ascii') as file:
        lines = file.read()
    assert '@' not in lines and len(lines.splitlines()) == 4
    # Somebody adds a line of his own: it is not made with our key.
    with open(saved, 'a', encoding='ascii') as file:
        number = server.story(header_id(mails['kept']))['message']
        file.write(f'retracted {number} 0 AAAAAAAAAAAAAAAAAAAAAA\nnonsense\n')
    lose(server)
    restore(server, kept, '--retractions', saved)
    server.start()
    assert server.find_events('keeper.restored')[0]['lines_not_ours'] == 2
    states = {name: server.state_of(header_id(mail), f'{name}@plain.test') for name, mail in mails.items()}
    assert states == {'early': 'retracted', 'listed': 'retracted', 'found': 'retracted', 'kept': 'notified'}
    assert server.state_of(header_id(waiting), 'w@slow.test') == 'deleted'
    reader = Reader(server, plain)
    for name in ('early', 'listed', 'found'):
        assert not reader.get(links[name]).forms, name
    assert CANARIES[0] in reader.open_by_code(links['kept'], 'kept@plain.test').text
    assert not os.path.exists(os.path.join(server.state, 'restored'))
    server.stop()
    code, report = verify(server, server.state)
    assert code == 0, report


def test_hold_keeps_everything_until_it_is_let_go(world, house, folder):
    slow = world.host('mx.slow.test', 'slow.test', rule=later)
    server = house(world, SLOW)
    mails = [send(server, [f'a{number}@slow.test']) for number in range(3)]
    for number, mail in enumerate(mails):
        server.wait_state(header_id(mail), f'a{number}@slow.test', 'deferred')
    kept = os.path.join(folder, 'backup')
    server.stop()
    backup(server, kept)  # of a server that does not run
    shutil.rmtree(server.state)
    restore(server, kept, '--hold')
    slow.rule = None
    server.write_settings(FAST)
    server.start()
    assert all(one['held'] for one in server.control_json('queue'))
    fresh = send(server, ['b@slow.test'])  # new mail passes
    slow.wait(1)
    server.wait_state(header_id(fresh), 'b@slow.test', 'delivered')
    time.sleep(1.5)
    assert len(slow.messages) == 1
    assert '3 recipients' in server.control('queue', 'release', 'everything').stdout
    slow.wait(4)


def test_the_second_backup_copies_what_is_new(world, house, folder):
    slow = world.host('mx.slow.test', 'slow.test', rule=later)
    server = house(world, SLOW)
    blob = lambda: ('big.bin', os.urandom(600_000), 'application/octet-stream')
    first = make_mail(['a@slow.test'], attachment=blob())
    submit(server, first, ['a@slow.test'])
    send(server, ['b@slow.test'])
    server.wait_state(header_id(first), 'a@slow.test', 'deferred')
    kept = os.path.join(folder, 'backup')
    backup(server, kept)
    before = sizes(kept)
    numbers = lambda got: [int(word) for word in re.findall(r'(\d+) bytes', got.stdout)]
    copied, _ = numbers(backup(server, kept))[:2]
    assert copied < 300_000  # the database alone
    send(server, ['c@slow.test'])
    second = make_mail(['d@slow.test'], attachment=blob())
    submit(server, second, ['d@slow.test'])
    server.wait_state(header_id(second), 'd@slow.test', 'deferred')
    got = backup(server, kept)
    copied, kept_bytes = numbers(got)[:2]
    assert 800_000 < copied < 1_300_000 and kept_bytes > 800_000, got.stdout
    after = sizes(kept)
    assert sum(name.startswith('postern-') for name in after) == 1
    assert len([name for name in after if name.startswith('queue/')]) > len([name for name in before if name.startswith('queue/')])
    assert verify(server, kept)[0] == 0
    # What is delivered leaves the backup with its segment.
    slow.rule = None
    server.control('queue', 'retry', 'everything')
    slow.wait(4)
    wait_until(lambda: server.queue_length() == 0, 20, what='an empty queue')
    backup(server, kept)
    assert sum(sizes(kept).values()) < sum(after.values()) - 1_200_000
    assert verify(server, kept)[0] == 0


def test_a_backup_that_breaks_off_leaves_the_former_one(world, house, folder):
    slow = world.host('mx.slow.test', 'slow.test', rule=later)
    server = house(world, SLOW)
    first = send(server, ['a@slow.test'])
    server.wait_state(header_id(first), 'a@slow.test', 'deferred')
    kept = os.path.join(folder, 'backup')
    backup(server, kept)
    manifest = os.path.join(kept, 'MANIFEST')
    with open(manifest, 'rb') as file:
        before = file.read()
    second = make_mail(['b@slow.test'], attachment=('big.bin', os.urandom(900_000), 'application/octet-stream'))
    submit(server, second, ['b@slow.test'])
    server.wait_state(header_id(second), 'b@slow.test', 'deferred')
    # A segment that cannot be read: the backup says so, and the manifest stays.
    segments = os.path.join(server.state, 'queue')
    largest = max(os.listdir(segments), key=lambda name: os.path.getsize(os.path.join(segments, name)))
    os.rename(os.path.join(segments, largest), os.path.join(folder, largest))
    got = backup(server, kept, check=False)
    assert got.returncode == 1 and 'still good' in got.stderr
    os.rename(os.path.join(folder, largest), os.path.join(segments, largest))
    with open(manifest, 'rb') as file:
        assert file.read() == before
    assert verify(server, kept)[0] == 0
    # The lease was given back: the next one begins at once, and sweeps.
    backup(server, kept)
    assert sum(name.startswith('postern-') for name in sizes(kept)) == 1
    # Two at the same time: one of them is told so.
    answer = subprocess.run(['python3', '-c', (
        'import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); '
        's.sendall(b\'{"do":"backup","what":"begin"}\\n\'); print(s.makefile().read())'),
        os.path.join(server.state, 'control.sock')], capture_output=True, text=True, check=True)
    assert 'backup' in json.loads(answer.stdout)
    got = backup(server, os.path.join(folder, 'other'), check=False)
    assert got.returncode == 1 and 'under way' in got.stderr
    # The keeper dies with it: everything goes on, and a new one can begin.
    os.kill(server.pids('keeper')[0], 9)
    server.wait_ready()
    backup(server, os.path.join(folder, 'other'))
    assert len(slow.messages) == 0


def damaged(kept, folder, change):
    copy = os.path.join(folder, 'damaged')
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(kept, copy)
    change(copy)
    return copy


def flip(path, at):
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1]))


def test_damage_is_refused(world, house, folder):
    world.host('mx.slow.test', 'slow.test', rule=later)
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world, SLOW)
    first = send(server, ['a@slow.test'])
    portal = canary_mail(['p@plain.test'])
    submit(server, portal, ['p@plain.test'])
    plain.wait(1)
    server.wait_state(header_id(first), 'a@slow.test', 'deferred')
    server.wait_state(header_id(portal), 'p@plain.test', 'notified')
    kept = os.path.join(folder, 'backup')
    backup(server, kept)
    # The folder of another server, or of something else, is not written to.
    other = os.path.join(folder, 'photos')
    os.makedirs(other)
    with open(os.path.join(other, 'cat.jpg'), 'wb') as file:
        file.write(b'meow')
    assert 'other things' in backup(server, other, check=False).stderr
    stranger = house(world, start=False, address='127.0.0.3')
    stranger.start()
    assert 'another server' in backup(stranger, kept, check=False).stderr
    stranger.stop()
    assert verify(server, kept)[0] == 0
    # A state folder with something in it is left alone; so is one with a server.
    assert restore(server, kept, check=False).returncode == 1
    server.stop()
    assert 'not empty' in restore(server, kept, check=False).stderr
    shutil.rmtree(server.state)
    os.makedirs(server.state)
    name = lambda start, copy: [one for one in sorted(sizes(copy)) if one.startswith(start)][0]
    changes = {
        'manifest': lambda copy: flip(os.path.join(copy, 'MANIFEST'), 60),
        'manifest cut off': lambda copy: os.truncate(os.path.join(copy, 'MANIFEST'), 200),
        'no manifest': lambda copy: os.remove(os.path.join(copy, 'MANIFEST')),
        'queue segment': lambda copy: flip(os.path.join(copy, name('queue/', copy)), 4110),
        'portal segment': lambda copy: flip(os.path.join(copy, name('portal/', copy)), 4110),
        'segment cut off': lambda copy: os.truncate(os.path.join(copy, name('queue/', copy)), 4110),
        'segment gone': lambda copy: os.remove(os.path.join(copy, name('queue/', copy))),
        'database': lambda copy: flip(os.path.join(copy, name('postern-', copy)), 9000),
        'database gone': lambda copy: os.remove(os.path.join(copy, name('postern-', copy))),
    }
    for what, change in changes.items():
        copy = damaged(kept, folder, change)
        code, report = verify(server, copy)
        assert code != 0, what
        got = restore(server, copy, check=False)
        assert got.returncode == 1 and got.stderr, what
        assert not [one for one in sizes(server.state)], f'{what}: {sizes(server.state)}'
    # Another server's key.
    own = server.master_key + '.own'
    os.rename(server.master_key, own)
    got = restore(server, kept, check=False)
    assert got.returncode == 1 and 'postern key restore' in got.stderr
    server.command('key', 'new', server.master_key)
    got = restore(server, kept, check=False)
    assert got.returncode == 1 and 'another server' in got.stderr
    os.rename(own, server.master_key)
    # What is left can be had when that is asked for.
    copy = damaged(kept, folder, changes['queue segment'])
    got = restore(server, copy, '--despite-damage')
    assert 'is restored' in got.stdout and 'were changed' in got.stderr


def test_the_master_key_goes_with_it_only_when_asked(world, house, folder):
    server = house(world)
    kept = os.path.join(folder, 'backup')
    got = backup(server, kept, '--with-master-key')
    assert 'whoever has this folder can read everything' in got.stdout
    with open(server.master_key, 'rb') as one, open(os.path.join(kept, 'master.key'), 'rb') as two:
        assert one.read() == two.read()
    assert os.stat(os.path.join(kept, 'master.key')).st_mode & 0o77 == 0
    assert verify(server, kept)[0] == 0
    backup(server, kept)
    assert not os.path.exists(os.path.join(kept, 'master.key'))
    assert verify(server, kept)[0] == 0
    assert os.stat(kept).st_mode & 0o77 == 0


@pytest.mark.needs('cc')
def test_backup_under_load(world, house, folder, capsys):
    """Whoever was answered before the backup began is served after the restore, whatever went on meanwhile."""
    binary = os.path.join(folder, 'bin')
    os.makedirs(binary)
    subprocess.run(['make', '-s', '-C', os.path.join(TOP, 'bench'), f'BIN={binary}', f'{binary}/smtp_source'],
                   check=True, capture_output=True)
    seen, lock = set(), threading.Lock()

    def take(message):
        with lock:
            seen.add(int(re.search(rb'(?im)^X-Bench-Id: *(\d+)', message.data[:4000]).group(1)))
    state = {'up': False}
    world.host('mx.sink.test', 'sink.bench.test', on_message=take,
               rule=lambda verb, argument, session: None if state['up'] or verb != 'RCPT' else '451 4.3.0 later')
    server = house(world, {
        ('account', 'clinic'): {'relay_networks': ['127.0.0.0/8'], 'encrypt_by_default': False},
        ('domain', 'bench.test'): {'account': 'clinic'}, 'log_level': 'info',
        'delivery': {'retry_first': '2s', 'retry_max': '2s', 'expire': '1h'}})

    def load(path, first, seconds):
        return subprocess.Popen(
            [os.path.join(binary, 'smtp_source'), '--to', f'{server.address}:{server.ports["mx"]}', '--sessions', '12',
             '--duration', str(seconds), '--size', '2048', '--first-id', str(first), '--acked', path,
             '--timeout', '6', '--max-errors', '100000'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    before, during = os.path.join(folder, 'before'), os.path.join(folder, 'during')
    load(before, 1, 1.0).wait(30)
    with open(before, encoding='ascii') as file:
        acked = {int(word) for word in file.read().split()}
    assert len(acked) > 100
    kept = os.path.join(folder, 'backup')
    running = load(during, 1_000_000, 4.0)
    time.sleep(0.3)
    started = time.monotonic()
    backup(server, kept)
    backup(server, kept)
    seconds = time.monotonic() - started
    assert running.poll() is None, 'the load ended before the backup did'
    running.wait(30)
    code, report = verify(server, kept)
    assert code == 0 and report['messages'] >= len(acked), report
    lose(server)
    restore(server, kept)
    state['up'] = True
    seen.clear()
    server.start()
    wait_until(lambda: acked <= seen, 60, every=0.5, what='all that was acknowledged before the backup')
    wait_until(lambda: server.queue_length() == 0, 60, every=0.5, what='an empty queue')
    with capsys.disabled():
        print(f'\n{len(acked)} acknowledged before, {report["messages"]} in the backup, {len(seen)} arrived; '
              f'two backups under load took {seconds:.1f} s')
    server.stop()
    code, report = verify(server, server.state)
    assert code == 0, report
