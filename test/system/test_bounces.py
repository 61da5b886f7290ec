# SPDX-License-Identifier: Apache-2.0
"""What cannot be delivered comes back, says enough, and leaks nothing."""
import smtplib
import subprocess
import time

import pytest

from world import wait_until
from world.machine import PATIENCE
from world.mails import CANARIES, canary_mail, header_id, make_mail, send, submit
from world.reader import Reader, link_in


def report(message):
    """Fields of the delivery-status part: (per message, per recipient)."""
    assert message.mail.get_content_type() == 'multipart/report'
    assert message.mail.get_param('report-type') == 'delivery-status'
    status = [part for part in message.mail.walk() if part.get_content_type() == 'message/delivery-status'][0]
    blocks = status.get_payload()
    return dict(blocks[0].items()), dict(blocks[1].items())


def refuse(code):
    return lambda verb, argument, session: code if verb == 'RCPT' else None


@pytest.mark.asan
def test_refused_recipient(world, house):
    world.host('mx.no.test', 'no.test', rule=refuse('550 5.1.1 no such user here'))
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    mail = canary_mail(['gone@no.test', 'here@good.test'])
    assert submit(server, mail, ['gone@no.test', 'here@good.test'])[0] == 250
    good.wait(1)
    bounce = world.clinic.wait(1)[0]
    assert bounce.mail_from == '' and bounce.recipients == ['alice@clinic.test'] and bounce.tls
    message, recipient = report(bounce)
    assert recipient['Action'] == 'failed' and recipient['Status'] == '5.1.1'
    assert recipient['Final-Recipient'].lower().replace(' ', '') == 'rfc822;gone@no.test'
    assert recipient['Diagnostic-Code'].startswith('smtp;') and 'no such user here' in recipient['Diagnostic-Code']
    assert recipient['Remote-MTA'].lower().replace(' ', '') == 'dns;mx.no.test'
    assert message['Reporting-MTA'].lower().replace(' ', '') == 'dns;mail.clinic.test'
    assert header_id(mail) in bounce.data.decode()  # the sender can tell which message it was
    for word in CANARIES:
        assert word.encode() not in bounce.data
    assert str(bounce.mail['Auto-Submitted']).startswith('auto-replied')


@pytest.mark.needs('sisimai')
def test_sisimai_understands(world, house):
    """Perl's reader of bounces, which we did not write."""
    world.host('mx.no.test', 'no.test', rule=refuse('550 5.1.1 no such user here'))
    server = house(world)
    send(server, ['gone@no.test'])
    path = world.path('bounce.eml')
    with open(path, 'wb') as file:
        file.write(world.clinic.wait(1)[0].data)
    got = subprocess.run(['perl', '-MSisimai', '-e', 'my $r = Sisimai->make($ARGV[0]); print $$r[0]->recipient->address,'
                          ' " ", $$r[0]->deliverystatus', path], capture_output=True, text=True, check=False)
    assert got.stdout.split()[:1] == ['gone@no.test'], got.stdout + got.stderr


def test_temporary_refusal_is_tried_again(world, house):
    tries = []

    def rule(verb, argument, session):
        if verb == 'RCPT':
            tries.append(time.time())
            return '451 4.7.1 greylisted, come back' if len(tries) < 3 else None
        return None
    host = world.host('mx.grey.test', 'grey.test', rule=rule)
    server = house(world)
    mail = send(server, ['a@grey.test'])
    host.wait(1)
    assert len(tries) == 3
    server.wait_state(header_id(mail), 'a@grey.test', 'delivered')
    assert world.clinic.messages == []


def test_delay_then_failure(world, house):
    world.host('mx.slow.test', 'slow.test', rule=refuse('451 4.3.2 not now'))
    server = house(world, {'delivery': {'delay_notice': '2s', 'expire': '6s'}})
    mail = send(server, ['a@slow.test'])
    first, second = world.clinic.wait(2, seconds=40)
    assert report(first)[1]['Action'] == 'delayed'
    assert report(first)[1]['Status'].startswith('4.')
    assert 'Will-Retry-Until' in report(first)[1]
    assert report(second)[1]['Action'] == 'failed'
    server.wait_state(header_id(mail), 'a@slow.test', 'failed')
    time.sleep(1)
    assert len(world.clinic.messages) == 2


def test_unreachable_hosts(world, house):
    """No such domain and a null MX fail at once; nobody listening is temporary."""
    world.zone += ['null.test. 60 IN MX 0 .', 'mx.dead.test. 60 IN A 127.0.1.250', 'dead.test. 60 IN MX 10 mx.dead.test.']
    server = house(world)
    for address, status in (('a@null.test', '5.1.10'), ('a@nonexistent.test', '5.1.2')):
        count = len(world.clinic.messages)
        send(server, [address])
        fields = report(world.clinic.wait(count + 1)[count])[1]
        assert fields['Action'] == 'failed' and fields['Status'] in (status, '5.4.4', '5.1.2', '5.1.10'), fields
    mail = send(server, ['a@dead.test'])
    server.wait_state(header_id(mail), 'a@dead.test', 'deferred')


def test_notify_never_and_success(world, house):
    good = world.host('mx.good.test', 'good.test')
    world.host('mx.no.test', 'no.test', rule=refuse('550 5.1.1 no'))
    world.host('mx.knows.test', 'knows.test', keywords=['DSN'])
    server = house(world)
    mail = make_mail(['a@no.test'])
    assert submit(server, mail, ['a@no.test'], rcpt_options=['NOTIFY=NEVER'])[0] == 250
    server.wait_state(header_id(mail), 'a@no.test', 'failed')
    mail = make_mail(['a@good.test'])
    assert submit(server, mail, ['a@good.test'], options=['ENVID=abc+2B1', 'RET=HDRS'],
                  rcpt_options=['NOTIFY=SUCCESS,FAILURE', 'ORCPT=rfc822;orig@good.test'])[0] == 250
    good.wait(1)
    success = world.clinic.wait(1)[0]
    message, recipient = report(success)
    assert recipient['Action'] == 'relayed'
    assert message['Original-Envelope-Id'] == 'abc+1' or message['Original-Envelope-Id'] == 'abc+2B1' or \
        message['Original-Envelope-Id'] == 'abc+1'.replace('+1', '+1')
    assert recipient['Original-Recipient'].replace(' ', '') == 'rfc822;orig@good.test'
    assert len(world.clinic.messages) == 1
    # A host that offers DSN takes the duty over: it reports success, and nobody else [RFC 3461 5.2.1].
    knows = world.hosts['mx.knows.test']
    mail = make_mail(['a@knows.test'])
    assert submit(server, mail, ['a@knows.test'], rcpt_options=['NOTIFY=SUCCESS'])[0] == 250
    knows.wait(1)
    server.wait_state(header_id(mail), 'a@knows.test', 'delivered')
    time.sleep(0.5)
    assert len(world.clinic.messages) == 1
    assert any('NOTIFY=SUCCESS' in line for line in knows.said())


def test_null_sender_never_bounces(world, house):
    """Mail with an empty MAIL FROM that fails ends; no bounce of a bounce, no mail to <>."""
    world.clinic.rule = refuse('550 5.2.1 mailbox closed')
    world.host('mx.no.test', 'no.test', rule=refuse('550 5.1.1 no'))
    server = house(world)
    mail = send(server, ['a@no.test'])
    server.wait_state(header_id(mail), 'a@no.test', 'failed')
    wait_until(lambda: server.queue_length() == 0, 20)
    tried = [line for line in world.clinic.said() if line.upper().startswith('MAIL FROM')]
    assert tried and all(line.upper().startswith('MAIL FROM:<>') for line in tried)
    assert len(tried) <= 2


def inbound(server, sender, recipient, data, source='127.0.7.7'):
    """A stranger's host speaks to port 25."""
    with smtplib.SMTP(server.address, server.ports['mx'], 'mx.stranger.test', timeout=20 * PATIENCE,
                      source_address=(source, 0)) as smtp:
        smtp.ehlo()
        code, text = smtp.mail(sender)
        if code == 250:
            code, text = smtp.rcpt(recipient)
        if code == 250:
            code, text = smtp.data(data)
        return code, text.decode()


def test_bounced_notice_ends_the_recipient(world, house):
    """The notice was taken, and bounced later to bounce+ID-MAC@our domain: the sender hears of it."""
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    server = house(world)
    mail = canary_mail(['a@plain.test'])
    assert submit(server, mail, ['a@plain.test'])[0] == 250
    notice = plain.wait(1)[0]
    server.wait_state(header_id(mail), 'a@plain.test', 'notified')
    dsn = (b'From: mailer-daemon@plain.test\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n'
           b'Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\r\nsorry\r\n--b\r\n'
           b'Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns;mx.plain.test\r\n\r\n'
           b'Final-Recipient: rfc822;a@plain.test\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n')
    # A forged bounce address is refused.
    local, _, domain = notice.mail_from.partition('@')
    forged = local[:-1] + ('a' if local[-1] != 'a' else 'b') + '@' + domain
    code, text = inbound(server, '', forged, dsn)
    assert code >= 500 or code == 250, (code, text)
    time.sleep(0.5)
    assert server.state_of(header_id(mail), 'a@plain.test') == 'notified'
    # Nothing has failed when it is late, or when the reader is away.
    away = b'From: a@plain.test\r\nSubject: Away\r\nAuto-Submitted: auto-replied\r\n\r\nBack in May.\r\n'
    for harmless in (dsn.replace(b'Action: failed', b'Action: delayed'), away):
        code, text = inbound(server, '', notice.mail_from, harmless)
        assert code == 250, text
    time.sleep(0.5)
    assert server.state_of(header_id(mail), 'a@plain.test') == 'notified'
    code, text = inbound(server, '', notice.mail_from, dsn)
    assert code == 250, text
    server.wait_state(header_id(mail), 'a@plain.test', 'failed')
    assert report(world.clinic.wait(1)[0])[1]['Action'] == 'failed'
    # The link is dead now.
    assert Reader(server).get(link_in(notice)).forms == []


def test_port_25_relays_for_nobody_else(world, house):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    data = b'From: x@stranger.test\r\nSubject: hi\r\n\r\nhello\r\n'
    code, text = inbound(server, 'x@stranger.test', 'a@good.test', data)
    assert code in (550, 551, 554), (code, text)
    # Mail to our own people goes on to their mailbox host.
    code, text = inbound(server, 'x@stranger.test', 'alice@clinic.test', data)
    assert code == 250, text
    assert world.clinic.wait(1)[0].recipients == ['alice@clinic.test']
    # A relay host of the organisation may send.
    code, text = inbound(server, 'alice@clinic.test', 'a@good.test',
                         b'From: alice@clinic.test\r\nTo: a@good.test\r\nSubject: relayed\r\n\r\nhello\r\n', source='127.0.9.9')
    assert code == 250, text
    good.wait(1)


def test_loops_end(world, house):
    server = house(world)
    hops = b''.join(b'Received: from a by b; Sun, 22 Nov 2026 07:00:00 +0000\r\n' for _ in range(110))
    code, text = inbound(server, 'x@stranger.test', 'alice@clinic.test', hops + b'From: x@stranger.test\r\n\r\nhi\r\n')
    assert code >= 500 and '5.4.6' in text, (code, text)
    # A domain whose MX is ourselves is not sent to ourselves for ever.
    world.zone.append('loop.test. 60 IN MX 10 mail.clinic.test.')
    server.write_settings({'delivery': {'port': server.ports['mx']}})
    server.stop()
    server.start()
    mail = send(server, ['a@loop.test'])
    server.wait_state(header_id(mail), 'a@loop.test', 'failed')
