# SPDX-License-Identifier: Apache-2.0
"""
`postern verify` on states that a real server left: clean as it left them, also by kill -9; and each
kind of planted damage is found and named, with nothing changed by the look.
"""
import hashlib
import json
import os
import shutil
import sqlite3
import time

import pytest

from world import wait_until
from world.mails import CANARIES, canary_mail, header_id, make_mail, submit
from world.reader import link_in


def verify(server, *arguments, folder=None):
    """(exit code, report as a dictionary, what was printed)."""
    got = server.command('verify', '-c', server.settings_path, '--json', *([folder] if folder else []),
                         *arguments, check=False)
    return got.returncode, json.loads(got.stdout) if got.stdout else None, got.stdout + got.stderr


def message_id(text):
    """The id in a 250 reply."""
    return text.split()[-1].strip('.')


def fill(world, house):
    """A state with something of everything: delivered, waiting, in the portal, failed. (server, accepted ids)."""
    good = world.host('mx.good.test', 'good.test')
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    world.host('mx.slow.test', 'slow.test',
               rule=lambda verb, argument, session: '451 4.3.0 later' if verb == 'RCPT' else None)
    server = house(world, {'delivery': {'retry_first': '1h', 'retry_max': '1h'}})
    accepted = []

    def put(recipients, mail=None):
        mail = mail or make_mail(recipients)
        code, text = submit(server, mail, recipients)
        assert code == 250, text
        accepted.append(text)
        return mail
    first = put(['a@good.test', 'b@good.test'])
    put(['patient@plain.test'], canary_mail(['patient@plain.test']))
    late = put(['x@slow.test', 'y@slow.test'], canary_mail(['x@slow.test', 'y@slow.test']))
    put(['x@slow.test'], make_mail(['x@slow.test'], attachment=('big.bin', os.urandom(400_000), 'application/octet-stream')))
    good.wait(1)
    plain.wait(1)
    server.wait_state(header_id(first), 'b@good.test', 'delivered')
    server.wait_state(header_id(late), 'y@slow.test', 'deferred')
    ids = [one['message'] for one in server.control_json('trace', '--since', '1h')]
    return server, plain, accepted, ids


def listing(folder):
    """Every file with its digest: nothing may change."""
    found = {}
    for top, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(top, name)
            if os.path.isfile(path):
                with open(path, 'rb') as file:
                    found[os.path.relpath(path, folder)] = hashlib.sha256(file.read()).hexdigest()
    return found


@pytest.mark.asan
def test_clean_states_are_clean(world, house):
    server, plain, _, ids = fill(world, house)
    # A running server is left alone.
    code, _, text = verify(server)
    assert code == 2 and 'stop it first' in text
    # As after a power cut: the log is still beside the database.
    killed = os.path.join(world.folder, 'killed')
    server.kill_all()
    shutil.copytree(server.state, killed, ignore=shutil.ignore_patterns('*.sock'))
    before = listing(killed)
    assert before['postern.db-wal'] != hashlib.sha256(b'').hexdigest()
    path = world.path('accepted')
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(ids) + '\n')
    code, report, text = verify(server, '--accepted', path, folder=killed)
    assert code == 0 and report['clean'], text
    assert report['accepted'] == len(ids) and report['messages'] == len(ids) >= 5
    assert report['open_copies'] == 1 and report['contents'] >= 2 and report['content_bytes'] > 400_000
    assert listing(killed) == before
    for word in CANARIES + ('@',):
        assert word not in text
    # The server goes on from there, and ends in order: no log is left.
    server.start()
    server.stop()
    code, report, text = verify(server, '--accepted', path)
    assert code == 0 and report['missing'] == 0, text
    before = listing(server.state)
    started = time.monotonic()
    code, report, text = verify(server, '--quick')
    assert code == 0 and report['contents'] == 0, text
    assert time.monotonic() - started < 5
    code, _, text = verify(server, '--without-key')
    assert code == 0, text
    assert listing(server.state) == before
    # For people.
    got = server.command('verify', '-c', server.settings_path)
    assert 'all is well' in got.stdout and 'read to the end' in got.stdout


def test_a_state_that_was_never_begun(world, house, folder):
    server = house(world, start=False)
    empty = os.path.join(folder, 'empty')
    os.makedirs(empty)
    code, _, text = verify(server, folder=empty)
    assert code == 2 and 'state folder' in text
    os.makedirs(os.path.join(empty, 'queue'))
    code, report, _ = verify(server, folder=empty)
    assert code == 0 and report['blank']
    path = world.path('accepted')
    with open(path, 'w', encoding='ascii') as file:
        file.write('0000000000001\n')
    code, report, _ = verify(server, '--accepted', path, folder=empty)
    assert code == 1 and report['missing'] == 1
    with open(path, 'w', encoding='ascii') as file:
        file.write('not an id\n')
    code, _, text = verify(server, '--accepted', path, folder=empty)
    assert code == 2 and ':1:' in text


def flip(path, at):
    with open(path, 'r+b') as file:
        file.seek(at)
        byte = file.read(1)
        file.seek(at)
        file.write(bytes([byte[0] ^ 1]))


def segments(state, kind):
    folder = os.path.join(state, kind)
    return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith('.seg')]


def used(state, kind):
    """(path of the segment, offset, sealed bytes) of something that is still needed."""
    table, where = ('message', 'live > 0') if kind == 'queue' else ('portal_copy', 'sealed IS NOT NULL')
    with sqlite3.connect(os.path.join(state, 'postern.db')) as db:
        row = db.execute(f'SELECT segment, offset, sealed_bytes FROM {table} WHERE {where}').fetchone()
    return os.path.join(state, kind, f'{row[0]:016x}.seg'), row[1], row[2]


def sql(*statements):
    def change(state):
        db = sqlite3.connect(os.path.join(state, 'postern.db'))
        for statement in statements:
            assert db.execute(statement).rowcount != 0, statement
        db.commit()
        db.close()
    return change


def content_byte(state):
    path, offset, _ = used(state, 'queue')
    flip(path, offset + 5)


def header_byte(state):
    flip(used(state, 'queue')[0], 100)


def cut_off(state):
    path, offset, length = used(state, 'queue')
    os.truncate(path, offset + length - 1)


def remove(kind):
    return lambda state: os.remove(used(state, kind)[0])


def database_page(state):
    path = os.path.join(state, 'postern.db')
    db = sqlite3.connect(path)
    root = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'recipient'").fetchone()[0]
    size = db.execute('PRAGMA page_size').fetchone()[0]
    db.close()
    with open(path, 'r+b') as file:
        file.seek((root - 1) * size)
        file.write(os.urandom(200))


def other_header(state):
    """A segment's file under another's name."""
    path = used(state, 'queue')[0]
    fresh = os.path.join(os.path.dirname(path), '0123456789abcdef.seg')
    os.rename(path, fresh)
    sql(f"UPDATE message SET segment = {0x0123456789abcdef} WHERE segment = {int(os.path.basename(path)[:16], 16)}",
        f"UPDATE segment SET id = {0x0123456789abcdef} WHERE id = {int(os.path.basename(path)[:16], 16)}")(state)


DAMAGES = {
    'content-byte': (content_byte, {'content'}),
    'content-cut-off': (cut_off, {'content'}),
    'segment-header': (header_byte, {'segment-damaged', 'content'}),
    'segment-of-another-name': (other_header, {'segment-damaged', 'content'}),
    'queue-segment-gone': (remove('queue'), {'segment-missing'}),
    'portal-segment-gone': (remove('portal'), {'segment-missing'}),
    'database-page': (database_page, {'database'}),
    'open': (sql('UPDATE message SET open = open + 1 WHERE live > 0'), {'counts'}),
    'live': (sql('UPDATE message SET live = 0 WHERE live > 0'), {'counts'}),
    'recipients': (sql('UPDATE message SET recipients = 7'), {'counts'}),
    'key-destroyed': (sql('UPDATE message SET wrapped_key = NULL WHERE live > 0'), {'key'}),
    'key-kept': (sql("UPDATE message SET wrapped_key = zeroblob(40) WHERE live = 0"), {'key'}),
    'key-changed': (sql("UPDATE message SET wrapped_key = zeroblob(40) WHERE live > 0"), {'content'}),
    'state': (sql('UPDATE recipient SET state = 99 WHERE state = 3'), {'state', 'counts', 'key', 'segment-count'}),
    'state-ahead': (sql('UPDATE recipient SET state = 7, due_ms = NULL WHERE state = 3'),
                    {'story', 'counts', 'key', 'segment-count'}),
    'method': (sql('UPDATE recipient SET method = 4 WHERE state = 3'), {'state'}),
    'requirement': (sql('UPDATE recipient SET requirement = 9 WHERE state = 3'), {'state'}),
    'address': (sql('UPDATE recipient SET address = 999 WHERE state = 3'), {'state'}),
    'domain': (sql('UPDATE recipient SET domain = 999 WHERE state = 3'), {'state'}),
    'stranded': (sql('UPDATE recipient SET due_ms = NULL WHERE state = 3'), {'stranded', 'counts'}),
    'no-end-to-waiting': (sql('UPDATE recipient SET due_ms = NULL WHERE state = 5'), {'stranded', 'counts'}),
    'owed-report': (sql('UPDATE recipient SET owes = 1 WHERE state = 7'), {'stranded'}),
    'forward-of-nobody': (sql('INSERT INTO forward(source, target, flags, made_ms) VALUES(998, 999, 0, 1)'), {'state'}),
    'stray-recipient': (sql('INSERT INTO recipient(message, number, address, domain, state, method, requirement, notify,'
                            ' attempts, owes, flags, unproved_ms, due_ms, held, sealed) SELECT 77, number, address, domain, state, method,'
                            ' requirement, notify, attempts, owes, flags, unproved_ms, due_ms, held, sealed'
                            ' FROM recipient LIMIT 1'), {'stray'}),
    'stray-event': (sql('INSERT INTO event(message, id, number, kind) VALUES(9223372036854775807, 1, 0, 2)'),
                    {'stray'}),
    'event-of-nobody': (sql('UPDATE event SET number = 50 WHERE kind = 2'), {'state', 'story'}),
    'event-gone': (sql('DELETE FROM event WHERE kind = 2'), {'story'}),
    'sealed-message': (sql('UPDATE message SET sealed = zeroblob(60)'), {'sealed'}),
    'sealed-recipient': (sql('UPDATE recipient SET sealed = zeroblob(60)'), {'sealed'}),
    'sealed-moved': (sql('UPDATE address SET sealed = (SELECT sealed FROM address WHERE id = 1) WHERE id = 2'),
                     {'sealed'}),
    'copy-gone': (sql('DELETE FROM portal_copy'), {'portal-copy', 'segment-count'}),
    'copy-shredded': (sql('UPDATE portal_copy SET sealed = NULL'), {'portal-copy', 'segment-count'}),
    'copy-beyond': (sql('UPDATE portal_copy SET offset = offset + 100000000'), {'portal-copy'}),
    'copy-outlives': (sql('UPDATE recipient SET state = 11, due_ms = NULL WHERE state = 5'),
                      {'portal-copy', 'story', 'counts'}),
    'segment-count-high': (sql('UPDATE segment SET live = live + 1 WHERE live > 0'), {'segment-count'}),
    'segment-row-gone': (sql('DELETE FROM segment WHERE live > 0'), {'segment-count'}),
    'key-row-gone': (sql("DELETE FROM key WHERE name = 'column'"), {'keys'}),
    'key-row-changed': (sql("UPDATE key SET wrapped = zeroblob(60) WHERE name = 'pair'"), {'keys'}),
    'message-gone': (sql('DELETE FROM message WHERE live > 0'), {'stray', 'counts', 'accepted', 'segment-count'}),
    'waiting-count': (sql('UPDATE batch SET counts = zeroblob(160)'), {'counts'}),
}


def test_every_planted_damage_is_found(world, house, folder):
    server, _, _, ids = fill(world, house)
    server.stop()
    path = world.path('accepted')
    with open(path, 'w', encoding='ascii') as file:
        file.write('\n'.join(ids) + '\n')
    assert verify(server, '--accepted', path)[0] == 0
    wrong = []
    for name, (damage, expected) in DAMAGES.items():
        state = os.path.join(folder, 'damaged')
        shutil.copytree(server.state, state)
        damage(state)
        # sqlite3's own log, if it left one, is folded in by a look at the file.
        before = listing(state)
        code, report, text = verify(server, '--accepted', path, folder=state)
        assert code == 1, f'{name}: {text}'
        if set(report['problems_of']) != expected:
            wrong.append((name, report['problems_of'], [one['detail'] for one in report['problems']][:6]))
        assert listing(state) == before, name
        for word in CANARIES + ('@',):
            assert word not in text, name
        shutil.rmtree(state)
    assert not wrong, '\n'.join(map(str, wrong))


def test_wrong_master_key(world, house, folder):
    server, _, _, _ = fill(world, house)
    server.stop()
    other = os.path.join(folder, 'other.key')
    server.command('key', 'new', other)
    code, report, text = verify(server, '--master-key', other)
    assert code == 1 and set(report['problems_of']) == {'keys'}, text
    code, _, text = verify(server, '--master-key', os.path.join(folder, 'none.key'))
    assert code == 2 and 'none.key' in text


def test_garbage_is_no_problem(world, house):
    server, _, _, _ = fill(world, house)
    server.stop()
    path = segments(server.state, 'queue')[0]
    shutil.copy(path, os.path.join(server.state, 'queue', '00000000000000aa.seg'))
    code, report, text = verify(server)
    assert code == 0, text
    assert report['garbage_segments'] >= 1 and report['garbage_bytes'] >= os.path.getsize(path)
