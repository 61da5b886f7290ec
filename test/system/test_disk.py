# SPDX-License-Identifier: Apache-2.0
"""Whoever has the disk has nothing: no secret word and no e-mail address lies in the state folder, ever."""
import os
import subprocess

import pytest

from world.machine import USER
from world.mails import CANARIES, FILE_BODY_CANARY, canary_mail, make_mail, submit
from world.reader import Reader, link_in
from world.sniffer import disguises

ADDRESSES = ['alice@clinic.test', 'patient@plain.test', 'friend@good.test', 'nobody-here@good.test',
             'wrong-one@wrong.test', 'secure@clinic.test', 'slow@slow.test']


def grep(folder, word):
    """Names of files under folder in which `grep -a` finds the word."""
    got = subprocess.run(['grep', '-r', '-a', '-l', '-i', '-F', '-e', word, folder], capture_output=True, text=True,
                         check=False)
    assert got.returncode in (0, 1), got.stderr
    return got.stdout.split()


def search(folder, words):
    found = []
    for word in words:
        found += [(word, path) for path in grep(folder, word)]
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            if not os.path.isfile(path):
                continue
            with open(path, 'rb') as file:
                data = file.read()
            for word in words:
                found += [(word, path, form) for form, pattern in disguises(word) if pattern.search(data)]
    return found


@pytest.mark.asan
def test_nothing_readable_at_rest(world, house):
    good = world.host('mx.good.test', 'good.test',
                      rule=lambda verb, argument, session: '550 5.1.1 no such user nobody-here@good.test'
                      if verb == 'RCPT' and 'nobody-here' in argument else None)
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    world.host('mx.wrong.test', 'wrong.test', tls='wrong')
    world.host('mx.slow.test', 'slow.test', rule=lambda verb, argument, session: '451 4.3.0 later, slow@slow.test'
               if verb == 'RCPT' else None)
    server = house(world)
    everyone = ['patient@plain.test', 'friend@good.test', 'nobody-here@good.test', 'wrong-one@wrong.test',
                'slow@slow.test']
    mail = canary_mail(everyone)
    assert submit(server, mail, everyone)[0] == 250
    question = canary_mail(['patient@plain.test'], X_Postern_Question='What is the tangerine question?',
                           X_Postern_Answer='tangerine-answer')
    assert submit(server, question, ['patient@plain.test'])[0] == 250
    words = list(CANARIES) + ADDRESSES + ['tangerine', mail['Message-ID'].strip('<>'), 'nobody-here', 'wrong-one']
    notices = plain.wait(2)
    good.wait(1)
    world.clinic.wait(1)  # the failure report for nobody-here
    assert search(server.state, words) == [], 'after sending and bouncing'
    links = [link_in(m) for m in notices]
    for link in links:
        page = Reader(server).get(link)
        if any(form['action'].endswith('/code') for form in page.forms):
            reader = Reader(server, plain)
            page = reader.open_by_code(link)
            assert CANARIES[0] in page.text
            reader.reply(page, f'My own {FILE_BODY_CANARY} reply')
    world.clinic.wait(3)
    tokens = [link.rsplit('/', 1)[1] for link in links]
    assert search(server.state, words + tokens) == [], 'after reading and replying'
    # There is something to search in: the journal of the database is there while the server runs.
    names = [name for _, _, files in os.walk(server.state) for name in files]
    assert any(name.endswith('-wal') for name in names), names
    assert any(name.endswith('.seg') for name in names), names
    server.kill_all()
    assert search(server.state, words + tokens) == [], 'after a crash'
    server.start()
    server.stop()
    assert search(server.state, words + tokens) == [], 'after a clean end'
    assert search(server.folder, list(CANARIES)) == []
    server.start()


def test_modes_of_files(world, house):
    server = house(world)
    world.host('mx.good.test', 'good.test')
    assert submit(server, make_mail(['a@nowhere.test']), ['a@nowhere.test'])[0] == 250
    for parent, folders, names in os.walk(server.state):
        for name in folders + names:
            status = os.lstat(os.path.join(parent, name))
            assert status.st_mode & 0o007 == 0, (name, oct(status.st_mode))
            if name.endswith(('.seg', '.db', '-wal', '-shm')):
                assert status.st_mode & 0o077 == 0, (name, oct(status.st_mode))
    # No role runs as root.
    for pid in server.pids():
        with open(f'/proc/{pid}/status', encoding='ascii') as file:
            lines = dict(line.rstrip('\n').split(':\t', 1) for line in file if ':\t' in line)
        assert lines['Uid'].split() == [str(USER.pw_uid)] * 4, pid
        assert int(lines['CapEff'], 16) == 0
        assert lines['NoNewPrivs'].strip() == '1'
        assert lines['Seccomp'].strip() == '2'


def test_disaster_recovery_opens_a_segment_with_openssl(world, house):
    """Listed in ARCHITECTURE.md: the sealed epoch key is CMS, so common tools can open it."""
    server = house(world)
    assert submit(server, make_mail(['a@nowhere.test']), ['a@nowhere.test'])[0] == 250
    path = [os.path.join(server.state, 'queue', name) for name in os.listdir(os.path.join(server.state, 'queue'))][0]
    with open(path, 'rb') as file:
        data = file.read(65536)
    at = data.find(b'\x30\x82')
    assert at > 0
    got = subprocess.run(['openssl', 'cms', '-cmsout', '-print', '-inform', 'DER'], input=data[at:],
                         capture_output=True, check=False)
    assert got.returncode == 0, got.stderr
    assert b'envelopedData' in got.stdout
