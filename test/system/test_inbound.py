# SPDX-License-Identifier: Apache-2.0
"""Mail that comes in: who is held to TLS, or to a certificate, and what the header says of how it came."""
import re
import smtplib
import subprocess

import pytest

from world import free_port, wait_until
from world.ca import openssl
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


# ---- certificates of clients ----

def asking(world, **more):
    """Settings of a server whose mx listener asks for certificates."""
    return {('listener', 'mx'): {'client_certificates': 'ask'}, 'client_authorities': world.ca.roots,
            'transport_header': True, **more}


def fingerprint(certificate):
    return openssl('x509', '-in', certificate, '-noout', '-fingerprint', '-sha256').decode().split('=')[1].strip()


def self_signed(world, name):
    base = world.path(name)
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', base + '.key',
            '-out', base + '.pem', '-days', '3', '-subj', f'/CN={name}', '-addext', f'subjectAltName=DNS:{name}')
    return base + '.pem', base + '.key'


@pytest.mark.asan
@pytest.mark.needs('swaks')
def test_client_certificates(world, house):
    good, other = world.ca.issue('mx.named.test'), world.ca.issue('mx.other.test')
    own, pinned = self_signed(world, 'self.test'), self_signed(world, 'pinned.test')
    server = house(world, asking(world) | {
        ('lockdown', 'named'): {'senders': ['named.test'], 'client_certificate': True,
                                'certificate_names': ['mx.named.test']},
        ('lockdown', 'pinned'): {'senders': ['pinned.test'], 'client_certificate': True,
                                 'fingerprints': [fingerprint(pinned[0])]}})

    def said(sender, pair=None):
        shown = ['--tls-cert', pair[0], '--tls-key', pair[1]] if pair else []
        return swaks(server, sender, '--tls', *shown)

    code, text = said('x@named.test')
    assert code != 0 and '550 5.7.1 mail from you is taken with your certificate only: you showed none' in text, text
    assert '550 5.7.1' in said('x@named.test', own)[1]
    assert 'not one of those agreed upon' in said('x@named.test', other)[1]
    assert said('x@named.test', good)[0] == 0
    assert said('x@pinned.test', pinned)[0] == 0
    assert '550 5.7.1' in said('x@pinned.test', good)[1]
    # Whoever is not listed needs none, and is heard with any.
    assert said('x@far.test')[0] == 0 and said('x@far.test', own)[0] == 0
    mails = {one.mail_from: one for one in world.clinic.wait(4)}
    received = ' '.join(mails['x@named.test'].mail.get_all('Received')[0].split())
    assert re.search(r'with ESMTPS id \w{13} tls TLS_AES_\w+ group \w+ \(TLSv1.3, \d+ bits, '
                     r'client certificate verified: mx.named.test\);', received), received
    transport = [' '.join(str(one.mail['X-Postern-Transport']).split()) for one in world.clinic.messages]
    assert transport[0].startswith('mail.clinic.test; tls=TLSv1.3 cipher=TLS_AES_')
    assert f'client=verified sha256={fingerprint(good[0]).replace(":", "").lower()} (mx.named.test)' in transport[0]
    assert 'client=unverified' in transport[1] and 'client=none' in transport[2] and 'client=unverified' in transport[3]
    story = [one for one in server.control_json('trace', '--since', '1h') if one['from'] == 'x@named.test'][0]
    assert 'client certificate verified: mx.named.test, from 127.0.5.7' in story['received_by']


@pytest.mark.needs('root', 'postfix')
def test_a_relay_host_known_by_its_certificate(world, house):
    """Postfix shows its certificate and may send for the account, to anybody; without it it is a stranger."""
    far = world.host('mx.far.test', 'far.test')
    pair = self_signed(world, 'relay.clinic.test')
    server = house(world, asking(world) | {
        ('account', 'clinic'): {'relay_certificates': [fingerprint(pair[0])]}})
    for name, more, word in (('plain', '', 'we do not relay for you'),
                             ('shown', f'smtp_tls_cert_file = {pair[0]}\nsmtp_tls_key_file = {pair[1]}\n', 'status=sent')):
        postfix = postfix_sends(world, server, 'encrypt', name, more)
        try:
            hand_over(postfix, 'nurse@clinic.test', 'patient@far.test')
            wait_until(lambda: 'status=' in postfix.log_text(), 30)
            assert word in postfix.log_text(), postfix.log_text()
        finally:
            postfix.stop()
    assert far.wait(1)[0].recipients == ['patient@far.test'] and len(far.messages) == 1
    assert far.messages[0].tls


@pytest.mark.needs('msmtp')
def test_msmtp_shows_its_certificate(world, house):
    pair = world.ca.issue('mx.named.test')
    server = house(world, asking(world) | {
        ('lockdown', 'named'): {'senders': ['named.test'], 'client_certificate': True}})
    for more, works in (([], False), ([f'--tls-cert-file={pair[0]}', f'--tls-key-file={pair[1]}'], True)):
        got = subprocess.run(
            ['msmtp', f'--host={server.address}', f'--port={server.ports["mx"]}', '--from=x@named.test', '--tls=on',
             '--tls-starttls=on', '--tls-certcheck=off', '--auth=off', f'--source-ip={STRANGER}', *more,
             'nurse@clinic.test'],
            input='From: x@named.test\nSubject: x\n\ntext\n', capture_output=True, text=True, check=False,
            timeout=60 * PATIENCE)
        assert (got.returncode == 0) == works, got.stderr
        assert works or '550 5.7.1' in got.stderr, got.stderr
    assert len(world.clinic.wait(1)) == 1


@pytest.mark.asan
def test_certificates_by_name(world, house):
    """SNI: each name its certificate; unknown names and none get the usual one."""
    pair = world.ca.issue('mx2.clinic.test')
    server = house(world, {('certificate', 'mx2'): {'certificate': pair[0], 'key': pair[1]}})

    def names(*more):
        got = subprocess.run(['openssl', 's_client', '-connect', f'{server.address}:{server.ports["mx"]}', '-starttls',
                              'smtp', '-showcerts', *more], input='QUIT\n', capture_output=True, text=True,
                             check=False, timeout=60 * PATIENCE)
        text = subprocess.run(['openssl', 'x509', '-noout', '-ext', 'subjectAltName'], input=got.stdout,
                              capture_output=True, text=True, check=True).stdout
        return text.split('DNS:')[1].strip()

    assert names('-servername', 'mx2.clinic.test') == 'mx2.clinic.test'
    assert names('-servername', 'mail.clinic.test') == 'mail.clinic.test'
    assert names('-servername', 'other.test') == 'mail.clinic.test'
    assert names('-noservername') == 'mail.clinic.test'


@pytest.mark.asan
@pytest.mark.needs('swaks')
def test_requiretls_is_offered_inside_tls_alone(world, house):
    server = house(world)
    assert 'REQUIRETLS' not in swaks(server, 'x@far.test')[1]
    code, text = swaks(server, 'x@far.test', '--tls')
    assert code == 0 and '250 REQUIRETLS' in text.split('=== TLS started')[1]
    assert 'REQUIRETLS' not in text.split('=== TLS started')[0]
