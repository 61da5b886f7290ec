# SPDX-License-Identifier: Apache-2.0
"""Mail that comes in: who is held to TLS, or to a certificate, and what the header says of how it came."""
import smtplib
import subprocess

import pytest

from world import free_port, wait_until
from world.machine import PATIENCE
from world.postfix import Postfix

STRANGER = '127.0.5.7'
LOCKDOWN = {
    ('lockdown', 'bank'): {'senders': ['bank.test', '*.bank.test']},
    ('lockdown', 'modern'): {'senders': ['modern.test'], 'least_tls': '1.3'},
    ('lockdown', 'branch'): {'networks': ['127.0.6.0/24'], 'hosts': ['gw.branch.test']},
}


def swaks(server, sender, *more, source=STRANGER, to='nurse@clinic.test'):
    """What real client says and hears on the mx port."""
    got = subprocess.run(
        ['swaks', '--server', server.address, '--port', str(server.ports['mx']), '--local-interface', source,
         '--helo', 'mx.far.test', '--from', sender, '--to', to, '--header', f'From: {sender or "x@far.test"}',
         '--timeout', str(int(20 * PATIENCE)), *more],
        capture_output=True, text=True, check=False, timeout=60 * PATIENCE)
    return got.returncode, got.stdout + got.stderr


@pytest.mark.asan
@pytest.mark.needs('swaks')
def test_lockdown(world, house):
    server = house(world, LOCKDOWN)
    said = lambda *arguments, **options: swaks(server, *arguments, **options)

    code, text = said('teller@bank.test')
    assert code != 0 and '<** 530 5.7.0 mail from you is taken over TLS only' in text, text
    assert 'RCPT TO' not in text  # at MAIL FROM, before anything else was said
    assert '530 5.7.0' in said('a@deep.in.BANK.test')[1]
    assert said('teller@bank.test', '--tls')[0] == 0
    assert said('teller@notbank.test')[0] == 0  # unlisted: in the clear, as ever
    # By network and by name, whatever the sender; the null sender too.
    assert '530 5.7.0' in said('x@far.test', source='127.0.6.9')[1]
    assert '530 5.7.0' in said('', source='127.0.6.9')[1]
    assert '530 5.7.0' in said('', '--helo', 'gw.branch.test')[1]
    assert said('', '--tls', source='127.0.6.9')[0] == 0
    assert said('', '--tls', '--helo', 'gw.branch.test')[0] == 0
    # The version.
    code, text = said('x@modern.test', '--tls', '--tls-protocol', 'tlsv1_2')
    assert code != 0 and '550 5.7.1 mail from you is taken over TLS 1.3 only, this is TLSv1.2' in text, text
    assert said('x@modern.test', '--tls', '--tls-protocol', 'tlsv1_3')[0] == 0
    world.clinic.wait(5)
    assert {one['list'] for one in server.find_events('smtpd.locked_down')} == {'bank', 'modern', 'branch'}


def postfix_sends(world, server, level, name, more=''):
    """A Postfix of the outside that hands everything to our mx port."""
    return Postfix(f'{world.folder}/{name}', '127.0.0.1', free_port(), f'{name}.far.test',
                   *world.ca.issue(f'{name}.far.test'),
                   more=f'virtual_mailbox_maps =\ndefault_transport = smtp\nrelay_transport = smtp\nsmtp_bind_address = {STRANGER}\n'
                        f'relayhost = [{server.address}]:{server.ports["mx"]}\n'
                        f'smtp_tls_security_level = {level}\nsmtp_tls_loglevel = 1\n{more}')


def hand_over(postfix, sender, to='nurse@clinic.test', subject='hello'):
    with smtplib.SMTP(postfix.address, postfix.port, timeout=20 * PATIENCE) as client:
        client.sendmail(sender, [to], f'From: {sender}\r\nTo: {to}\r\nSubject: {subject}\r\n\r\ntext\r\n')


@pytest.mark.needs('root', 'postfix')
def test_lockdown_and_postfix(world, house):
    server = house(world, LOCKDOWN)
    for level, sender, word in (('none', 'x@bank.test', 'status=bounced'), ('none', 'x@far.test', 'status=sent'),
                                ('encrypt', 'x@bank.test', 'status=sent')):
        postfix = postfix_sends(world, server, level, f'{level}-{sender[2:5]}')
        try:
            hand_over(postfix, sender)
            wait_until(lambda: 'status=' in postfix.log_text(), 30)
            assert word in postfix.log_text(), postfix.log_text()
            assert ('530 5.7.0' in postfix.log_text()) == (word == 'status=bounced')
        finally:
            postfix.stop()
