# SPDX-License-Identifier: Apache-2.0
"""The operator's commands: trace, queue, explain, retract, status, domains."""
import re
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import CANARIES, canary_mail, header_id, make_mail, send, submit
from world.reader import Reader, link_in


@pytest.mark.asan
def test_trace_tells_the_whole_story(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    mail = canary_mail(['a@good.test', 'b@plain.test'])
    code, reply = submit(server, mail, ['a@good.test', 'b@plain.test'])
    link = link_in(plain.wait(1)[0])
    good.wait(1)
    Reader(server, plain).open_by_code(link)
    world.clinic.wait(1)
    text = server.control('trace', header_id(mail)).stdout
    for word in ('a@good.test', 'b@plain.test', 'mx.good.test', 'TLSv1.3', 'verified', 'portal', 'TLS_'):
        assert word in text, (word, text)
    assert re.search(r'\b[0-9a-f]{16,64}\b', text), text  # the certificate's digest
    for word in CANARIES:
        assert word not in text
    assert link.rsplit('/', 1)[1] not in text  # the token is known to nobody
    # The same by address, by time, by the id in the 250 reply, and as JSON.
    assert 'mx.good.test' in server.control('trace', '--to', 'a@good.test').stdout
    assert 'mx.good.test' in server.control('trace', '--since', '1h').stdout
    own = re.search(r'\b([0-9A-Za-z]{8,})\b\s*$', reply.strip().rstrip('.'))
    assert own and 'mx.good.test' in server.control('trace', own.group(1)).stdout, reply
    story = server.story(header_id(mail))
    assert story['from'] == 'alice@clinic.test' and 'TLSv1.3' in story['received_by']
    events = {one['address']: [event['event'] for event in one['events']] for one in story['recipients']}
    assert 'delivered' in events['a@good.test']
    for name in ('not_proved', 'sealed', 'notified', 'code_sent', 'proved', 'revealed'):
        assert name in events['b@plain.test'], events
    times = [event['at_ms'] for one in story['recipients'] for event in one['events']]
    assert all(abs(at / 1000 - time.time()) < 120 for at in times)
    unknown = server.control('trace', 'no-such-id@clinic.test', check=False)
    assert unknown.returncode != 0 or 'no ' in unknown.stdout.lower()


def explained(server, *arguments):
    """Method that explain names for the one recipient."""
    return server.control_json('explain', *arguments)[0]['method']


CASES = [
    # subject, recipient, what happens
    ('Hello', 'a@good.test', 'tls'),
    ('Hello', 'a@plain.test', 'portal'),
    ('Hello +encrypt+', 'a@good.test', 'portal'),
    ('Hello +noencrypt+', 'a@good.test', 'regular'),
    ('Hello +noencrypt+', 'a@plain.test', 'regular'),
    ('Hello +noencrypt+ +encrypt+', 'a@good.test', 'portal'),
    ('Hello', 'boss@good.test', 'portal'),
]


def test_explain_says_what_live_does(world, house):
    world.host('mx.good.test', 'good.test')
    world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world, {('account', 'clinic'): {('recipient', 'boss@good.test'): {'bar_tls': True}}})
    # Both domains become known first.
    for domain in ('good.test', 'plain.test'):
        mail = send(server, [f'first@{domain}'])
        wait_until(lambda: server.state_of(header_id(mail), f'first@{domain}') in ('delivered', 'notified'), 20)
    for subject, address, method in CASES:
        told = explained(server, '--from', 'alice@clinic.test', '--to', address, '--subject', subject)
        mail = make_mail([address], subject=subject)
        assert submit(server, mail, [address])[0] == 250
        wait_until(lambda: server.state_of(header_id(mail), address) in ('delivered', 'notified'), 20)
        live = server.methods(header_id(mail))[address]
        assert (told, live) == (method, method), (subject, address, told, live)
    text = server.control('explain', '--from', 'alice@clinic.test', '--to', 'a@plain.test').stdout
    assert 'portal' in text and len(text.split()) > 8  # reasons in words


def test_retract(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    three = ['read@plain.test', 'unread@plain.test', 'gone@good.test']
    mail = canary_mail(three)
    assert submit(server, mail, three)[0] == 250
    good.wait(1)
    links = {m.recipients[0]: link_in(m) for m in plain.wait(2)}
    Reader(server, plain).open_by_code(links[three[0]], three[0])
    answer = server.control('retract', header_id(mail)).stdout
    lines = {address: [line for line in answer.splitlines() if address in line] for address in three}
    assert all(lines.values()), answer
    assert 'read' in lines[three[0]][0], answer                       # access ended, read at T
    assert re.search('before|stopped', lines[three[1]][0]), answer    # stopped before reading
    assert re.search('cannot', lines[three[2]][0]), answer            # left by TLS
    for address in three[:2]:
        assert Reader(server).get(links[address]).forms == []
        assert server.state_of(header_id(mail), address) == 'retracted'


def test_retract_one_recipient(world, house):
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    both = ['a@plain.test', 'b@plain.test']
    mail = canary_mail(both)
    assert submit(server, mail, both)[0] == 250
    links = {m.recipients[0]: link_in(m) for m in plain.wait(2)}
    server.control('retract', header_id(mail), 'a@plain.test')
    assert Reader(server).get(links['a@plain.test']).forms == []
    assert CANARIES[0] in Reader(server, plain).open_by_code(links['b@plain.test'], 'b@plain.test').text


def test_queue(world, house):
    """list, hold, release, retry, purge by domain."""
    state = {'up': False}
    rule = lambda verb, argument, session: None if state['up'] or verb != 'RCPT' else '451 4.3.0 later'
    host = world.host('mx.later.test', 'later.test', rule=rule)
    other = world.host('mx.good.test', 'good.test')
    server = house(world, {'delivery': {'retry_first': '1h', 'retry_max': '1h'}})
    mail = send(server, ['a@later.test'])
    server.wait_state(header_id(mail), 'a@later.test', 'deferred')
    listing = server.control('queue', 'list').stdout
    assert 'later.test' in listing and 'a@later.test' in server.control('queue', 'list', 'later.test').stdout + listing
    # retry: at once, although the next try is an hour away
    tries = len([line for line in host.said() if line.startswith('RCPT')])
    server.control('queue', 'retry', 'later.test')
    wait_until(lambda: len([line for line in host.said() if line.startswith('RCPT')]) > tries, 10)
    # hold: not even retry sends
    server.control('queue', 'hold', 'later.test')
    state['up'] = True
    server.control('queue', 'retry', 'later.test', check=False)
    time.sleep(1)
    assert host.messages == []
    send(server, ['b@good.test'])
    other.wait(1)  # others are not held
    server.control('queue', 'release', 'later.test')
    server.control('queue', 'retry', 'later.test')
    host.wait(1)
    server.wait_state(header_id(mail), 'a@later.test', 'delivered')
    # purge: gone, with a word to the sender or without, but never silently in the story
    state['up'] = False
    mail = send(server, ['c@later.test'])
    server.wait_state(header_id(mail), 'c@later.test', 'deferred')
    server.control('queue', 'purge', 'later.test')
    wait_until(lambda: server.queue_length() == 0, 10)
    assert server.state_of(header_id(mail), 'c@later.test') in ('failed', 'dropped', 'deleted')


def test_status_and_domains(world, house):
    world.host('mx.good.test', 'good.test')
    server = house(world)
    mail = send(server, ['a@good.test'])
    server.wait_state(header_id(mail), 'a@good.test', 'delivered')
    status = server.control('status').stdout
    for role in ('smtpd', 'courier', 'scribe', 'portal'):
        assert role in status, status
    domains = server.control('domains').stdout
    line = [line for line in domains.splitlines() if 'good.test' in line]
    assert line and 'proved' in ' '.join(line), domains


def test_control_socket_is_not_for_everybody(world, house):
    import os
    import socket
    server = house(world)
    path = os.path.join(server.state, 'control.sock')
    assert os.stat(path).st_mode & 0o007 == 0
    # Junk does not stop it.
    for junk in (b'', b'\0' * 100, b'{' * 100000, b'\xff' * 5000, b'{"command":"trace"', b'[]\n', b'null\n'):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(5 * PATIENCE)
            sock.connect(path)
            try:
                sock.sendall(junk)
                sock.shutdown(socket.SHUT_WR)
                sock.recv(100)
            except OSError:
                pass
    holders = []
    for _ in range(60):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(2 * PATIENCE)
        try:
            sock.connect(path)
        except OSError:
            pass
        holders.append(sock)
    for sock in holders:
        sock.close()
    assert server.control('status').returncode == 0
