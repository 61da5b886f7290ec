# SPDX-License-Identifier: Apache-2.0
"""Mail to our addresses that goes on to others; with forward_tls_only over proved TLS alone, whatever was known before."""
import re
import smtplib
import socket
from email.policy import SMTP

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import BODY_CANARY, client, header_id, make_mail

STRANGER = '127.0.5.7'
SHOP = {('domain', 'shop.test'): {'account': 'clinic'}}
SALES = {**SHOP, ('alias', 'sales@shop.test'): {'to': ['nurse@clinic.test', 'bob@far.test']}}


class Refused(Exception):
    """The server said no."""


def stranger(server, to, sender='x@sender.test', mail=None, **headers):
    """Somebody from outside writes; the Message-ID. Refused holds the code and the words."""
    mail = mail or make_mail([to], sender=sender or 'x@sender.test', body=f'{BODY_CANARY}\n', **headers)
    try:
        with smtplib.SMTP(server.address, server.ports['mx'], local_hostname='mx.sender.test',
                          timeout=20 * PATIENCE, source_address=(STRANGER, 0)) as connection:
            connection.sendmail(sender, [to], mail.as_bytes(policy=SMTP))
    except smtplib.SMTPRecipientsRefused as problem:
        code, text = list(problem.recipients.values())[0]
        raise Refused(f'{code} {text.decode()}') from None
    return header_id(mail)


def forwards(server):
    return {(one['from'], one['to']): one['state'] for one in server.control_json('forward', 'list')}


@pytest.mark.asan
def test_mail_goes_on(world, house):
    far = world.host('mx.far.test', 'far.test', tls='none')
    server = house(world, SALES)
    name = stranger(server, 'sales@shop.test')
    inner, = world.clinic.wait(1)
    outer, = far.wait(1)
    # At home the sender stays; outside it is an address of ours, so that SPF passes and bounces find us.
    assert inner.mail_from == 'x@sender.test' and inner.recipients == ['nurse@clinic.test']
    assert re.fullmatch(r'bounce\+\w{13}\+\d-[0-9a-f]{20}@shop\.test', outer.mail_from)
    assert outer.mail.get_all('Delivered-To') == ['sales@shop.test']
    one = server.recipient(name, 'bob@far.test')
    assert one['via'] == ['sales@shop.test'] and one['method'] == 'regular'
    assert 'written to    sales@shop.test' in server.control('trace', name).stdout
    # Also under the address that was written to.
    assert [message['header_id'] for message in server.control_json('trace', '--to', 'sales@shop.test')] == [name]
    with pytest.raises(Refused, match='550 5.1.1'):
        stranger(server, 'nobody@shop.test')
    explained = server.control_json('explain', '--from', 'alice@clinic.test', '--to', 'sales@shop.test')
    assert [message['address'] for message in explained] == ['nurse@clinic.test', 'bob@far.test']


@pytest.mark.asan
def test_commands_and_a_restart(world, house):
    far = world.host('mx.far.test', 'far.test')
    server = house(world, SHOP)
    server.control('forward', 'add', '@shop.test', 'rest@far.test')
    server.control('forward', 'add', 'a@shop.test', 'b@shop.test')
    server.control('forward', 'add', 'b@shop.test', 'cy@far.test')
    circle = server.control('forward', 'add', 'b@shop.test', 'a@shop.test', check=False)
    assert circle.returncode != 0 and 'circle' in circle.stdout + circle.stderr
    foreign = server.control('forward', 'add', 'x@far.test', 'y@far.test', check=False)
    assert foreign.returncode != 0 and 'no domain of ours' in foreign.stdout + foreign.stderr
    stranger(server, 'a@shop.test')
    stranger(server, 'whoever@shop.test')
    assert {one.recipients[0] for one in far.wait(2)} == {'cy@far.test', 'rest@far.test'}
    server.control('forward', 'disable', '@shop.test')
    with pytest.raises(Refused, match='550 5.7.1'):
        stranger(server, 'whoever@shop.test')
    server.stop()
    server.start()
    assert forwards(server) == {('@shop.test', 'rest@far.test'): 'disabled', ('a@shop.test', 'b@shop.test'): 'active',
                                ('b@shop.test', 'cy@far.test'): 'active'}
    server.control('forward', 'enable', '@shop.test')
    server.control('forward', 'remove', 'b@shop.test')
    stranger(server, 'a@shop.test')  # b is an address like any other now: nobody's but the catch-all's
    stranger(server, 'whoever@shop.test')
    assert 'rest@far.test' in server.control('forward').stdout


@pytest.mark.asan
def test_tls_only_through_loss_and_return(world, house):
    """Barred until proved, used, held when TLS is lost on the live connection, let go on its return."""
    server = house(world, {**SHOP, 'forward_tls_only': True, ('alias', 'sales@shop.test'): {'to': ['bob@far.test']},
                           'delivery': {'delay_notice': '1s'}})
    assert forwards(server) == {('sales@shop.test', 'bob@far.test'): 'barred'}
    assert 'never proved' in server.control('forward').stdout
    with pytest.raises(Refused, match='550 5.7.1 mail to this address does not go on'):
        stranger(server, 'sales@shop.test')
    # A delivery of our own proves it (or a test of the board's).
    far = world.host('mx.far.test', 'far.test')
    server.write_settings({'resolver': {'local_data': world.records()}})
    server.reload()
    wait_until(lambda: server.find_events('supervisor.reloaded'), 20, what='the reload')
    mail = make_mail(['cy@far.test'])
    with client(server) as connection:
        connection.send_message(mail)
    far.wait(1)
    server.wait_state(header_id(mail), 'cy@far.test', 'delivered')
    assert forwards(server) == {('sales@shop.test', 'bob@far.test'): 'active'}
    name = stranger(server, 'sales@shop.test')
    assert far.wait(2)[1].tls
    assert server.delivery_evidence(name, 'bob@far.test')['level'] == 'verified'
    # Its host comes back without TLS: what is known says "proved", the connection says otherwise.
    address = far.address
    far.stop()
    sender = world.host('mx.sender.test', 'sender.test')
    server.write_settings({'resolver': {'local_data': world.records()}})
    server.reload()
    plain = plain_host(world, address)
    try:
        name = stranger(server, 'sales@shop.test', sender='x@sender.test')
        wait_until(lambda: forwards(server)[('sales@shop.test', 'bob@far.test')] == 'held', 30, what='held')
        assert server.find_events('keeper.forward_held', domain='far.test')
        other = stranger(server, 'sales@shop.test')  # it is taken in, and waits
        assert server.state_of(other, 'bob@far.test') in ('planned', 'deferred', 'sending')
        assert not plain.messages and not any(
            line.upper().startswith('MAIL') for session in plain.sessions for line in session.clear)
        # The sender hears that it waits, and not where.
        notice = sender.wait(1)[0]
        assert 'sales@shop.test' in notice.data.decode() and 'far.test' not in notice.data.decode()
    finally:
        plain.stop()
    back = good_host(world, address)
    try:
        assert len(back.wait(2, 60)) == 2 and all(one.tls for one in back.messages)
        for one in (name, other):
            server.wait_state(one, 'bob@far.test', 'delivered')
        assert forwards(server) == {('sales@shop.test', 'bob@far.test'): 'active'}
    finally:
        back.stop()


def plain_host(world, address):
    from world.sink import Sink
    return Sink(address, world.mx_port, 'mx.far.test', [])


def good_host(world, address):
    from world.sink import Sink
    return Sink(address, world.mx_port, 'mx.far.test', [world.ca.issue('mx.far.test')])


@pytest.mark.asan
def test_what_comes_back_is_reported(world, house):
    """A host that took it sends a bounce to the address that we gave; its own words stay with us."""
    far = world.host('mx.far.test', 'far.test')
    sender = world.host('mx.sender.test', 'sender.test')
    server = house(world, {**SHOP, ('alias', 'sales@shop.test'): {'to': ['bob@far.test']}})
    name = stranger(server, 'sales@shop.test')
    taken, = far.wait(1)
    server.wait_state(name, 'bob@far.test', 'delivered')
    with smtplib.SMTP(server.address, server.ports['mx'], local_hostname='mx.far.test', timeout=20 * PATIENCE,
                      source_address=(STRANGER, 0)) as connection:
        connection.sendmail('', [taken.mail_from], (
            'From: <>\r\nTo: x\r\nSubject: failed\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report;'
            ' report-type=delivery-status; boundary=b\r\n\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n'
            'Reporting-MTA: dns; mx.far.test\r\n\r\nFinal-Recipient: rfc822;bob@far.test\r\nAction: failed\r\n'
            'Status: 5.1.1\r\n\r\n--b--\r\n'))
    report, = sender.wait(1)
    text = report.data.decode()
    assert report.mail_from == '' and report.recipients == ['x@sender.test']
    assert 'Final-Recipient: rfc822; sales@shop.test' in text and 'Action: failed' in text
    assert 'far.test' not in text and BODY_CANARY not in text


@pytest.mark.asan
def test_circles_end(world, house):
    """A host out there that sends everything back, as strangers' forwards do."""
    server_of = []

    def back(message):
        with smtplib.SMTP(server_of[0].address, server_of[0].ports['mx'], local_hostname='mx.far.test',
                          timeout=20 * PATIENCE, source_address=(STRANGER, 0)) as connection:
            connection.sendmail(message.mail_from, ['sales@shop.test'], message.data)

    world.host('mx.far.test', 'far.test', on_message=back)
    sender = world.host('mx.sender.test', 'sender.test')
    server = house(world, {**SHOP, ('alias', 'sales@shop.test'): {'to': ['bob@far.test']}})
    server_of.append(server)
    stranger(server, 'sales@shop.test')
    wait_until(lambda: len(server.control_json('trace', '--since', '1h')) >= 3, 30, what='the way back')
    wait_until(lambda: server.queue_length() == 0, 30, what='an end')
    # Out, back once, and no further; the bounce of that goes to the address that we had given.
    assert len([one for one in server.control_json('trace', '--since', '1h') if one['kind'] == 'inbound']) == 2
    assert len(sender.messages) <= 1


def test_the_socket_may_ask_too(world, house):
    """RCPT by RCPT in one push: answers in order, also those for which the keeper is asked."""
    server = house(world, SALES)
    with socket.create_connection((server.address, server.ports['mx']), 20 * PATIENCE,
                                  source_address=(STRANGER, 0)) as sock:
        sock.settimeout(20 * PATIENCE)
        stream = sock.makefile('rb')
        assert stream.readline().startswith(b'220')
        sock.sendall(b'EHLO x\r\n')
        while stream.readline()[3:4] == b'-':
            pass
        sock.sendall(b'MAIL FROM:<x@sender.test>\r\nRCPT TO:<nobody@shop.test>\r\nRCPT TO:<SALES@shop.test>\r\n'
                     b'RCPT TO:<x@clinic.test>\r\nRSET\r\n')
        assert [stream.readline()[:3] for _ in range(5)] == [b'250', b'550', b'250', b'250', b'250']
