# SPDX-License-Identifier: Apache-2.0
"""Three programs that we did not write submit; a fourth, Postfix, receives over proved TLS 1.3."""
import os
import subprocess

import pytest

from world.machine import PATIENCE
from world.mails import header_id, make_mail
from world.postern import PASSWORD

pytestmark = pytest.mark.needs('root', 'postfix')


def run(*arguments, text=None):
    return subprocess.run([str(word) for word in arguments], input=text, capture_output=True, text=True,
                          timeout=60 * PATIENCE, check=False)


@pytest.fixture(scope='module')
def scene(module_world, module_house, ca, module_folder):
    """A server and a Postfix as good.test."""
    from world.postfix import Postfix
    where = os.path.join(module_folder, 'mx.good.test')
    os.makedirs(where)
    certificate, key = ca.issue('mx.good.test')
    mx = Postfix(where, module_world.new_address(), module_world.mx_port, 'mx.good.test', certificate, key)
    module_world.name('mx.good.test', mx.address, 'good.test')
    server = module_house(module_world)
    yield server, mx
    server.stop()
    server.check_log()
    mx.stop()
    module_house.made.clear()


def swaks(server, *more, port='submission', user='alice@clinic.test', password=PASSWORD):
    return run('swaks', '--server', server.address, '--port', server.ports[port], '--from',
               'alice@clinic.test', '--helo', 'pc.clinic.test', '--auth-user', user, '--auth-password',
               password, '--to', 'patient@good.test', *more)


def arrived(mx, word):
    """The one message at Postfix with this word in its subject."""
    found = mx.wait(lambda data, mail: word in (mail['Subject'] or ''))
    assert len(found) == 1
    return found[0]


@pytest.mark.asan
@pytest.mark.needs('swaks')
@pytest.mark.parametrize('name,port,more', [
    ('swaks-plain', 'submission', ['--tls', '--auth', 'PLAIN']),
    ('swaks-login', 'submission', ['--tls', '--auth', 'LOGIN']),
    ('swaks-465', 'submissions', ['--tlsc', '--auth', 'PLAIN']),
])
def test_swaks(scene, name, port, more):
    server, mx = scene
    got = swaks(server, '--header', f'Subject: {name}', '--body', 'sent by swaks', *more, port=port)
    assert got.returncode == 0, got.stdout + got.stderr
    data, mail = arrived(mx, name)
    assert b'sent by swaks' in data
    assert mail['From'] == 'alice@clinic.test'


@pytest.mark.needs('swaks')
def test_swaks_with_wrong_password(scene):
    server, mx = scene
    got = swaks(server, '--tls', '--auth', 'PLAIN', '--header', 'Subject: refused-one', password='wrong')
    assert got.returncode != 0
    assert ' 535 ' in got.stdout, got.stdout


@pytest.mark.needs('swaks')
@pytest.mark.needs('swaks')
def test_swaks_without_tls_is_not_offered_auth(scene):
    server, mx = scene
    got = swaks(server, '--auth', 'PLAIN', '--header', 'Subject: refused-two')
    assert got.returncode != 0
    assert '250-AUTH' not in got.stdout and '250 AUTH' not in got.stdout


@pytest.mark.needs('msmtp')
@pytest.mark.parametrize('name,port,starttls', [('msmtp-587', 'submission', 'on'), ('msmtp-465', 'submissions', 'off')])
def test_msmtp(scene, name, port, starttls, folder):
    server, mx = scene
    path = os.path.join(folder, 'msmtprc')
    with open(path, 'w', encoding='ascii') as file:
        file.write(f'account default\nhost {server.address}\ntls_host_override mail.clinic.test\n'
                   f'port {server.ports[port]}\nfrom alice@clinic.test\nauth on\nuser alice@clinic.test\npassword {PASSWORD}\n'
                   f'tls on\ntls_starttls {starttls}\ntls_trust_file {server.world.ca.roots}\n')
    os.chmod(path, 0o600)
    mail = make_mail(['patient@good.test'], subject=name, body='sent by msmtp\n')
    got = run('msmtp', '-C', path, 'patient@good.test', text=mail.as_string())
    assert got.returncode == 0, got.stdout + got.stderr
    data, _ = arrived(mx, name)
    assert b'sent by msmtp' in data


@pytest.mark.needs('curl')
@pytest.mark.parametrize('name,scheme,port', [('curl-587', 'smtp', 'submission'), ('curl-465', 'smtps', 'submissions')])
def test_curl(scene, name, scheme, port, folder):
    server, mx = scene
    path = os.path.join(folder, 'mail.eml')
    mail = make_mail(['patient@good.test'], subject=name, body='sent by curl\n')
    with open(path, 'wb') as file:
        file.write(mail.as_bytes().replace(b'\n', b'\r\n'))
    got = run('curl', '-sS', '--ssl-reqd', '--cacert', server.world.ca.roots, '--resolve',
              f'mail.clinic.test:{server.ports[port]}:{server.address}', '--user',
              f'alice@clinic.test:{PASSWORD}', '--mail-from', 'alice@clinic.test', '--mail-rcpt',
              'patient@good.test', '--upload-file', path,
              f'{scheme}://mail.clinic.test:{server.ports[port]}/pc.clinic.test')
    assert got.returncode == 0, got.stdout + got.stderr
    data, _ = arrived(mx, name)
    assert b'sent by curl' in data


def test_postfix_says_tls_1_3_and_the_story_says_verified(scene):
    server, mx = scene
    mail = make_mail(['patient@good.test'], subject='who says what', body='both sides\n')
    from world.mails import submit
    code, text = submit(server, mail, ['patient@good.test'])
    assert code == 250, text
    data, _ = arrived(mx, 'who says what')
    # Postfix: in its log and in the header that it adds.
    assert 'TLS connection established from' in mx.log_text()
    for line in mx.log_text().splitlines():
        if 'TLS connection established from' in line:
            assert ': TLSv1.3 with cipher TLS_' in line
    assert b'using TLSv1.3 with cipher' in data
    assert 'mail.clinic.test' in [line for line in data.decode().splitlines() if line.startswith('Received: from')][0]
    # Postern: in the story of the message.
    event = server.delivery_evidence(header_id(mail), 'patient@good.test')
    assert event['level'] == 'verified'
    assert event['tls'] == 'TLSv1.3'
    assert event['cipher'].startswith('TLS_')
    assert event['mx'] == 'mx.good.test'
    assert mx.address in event['address']
    assert event['certificate'] == certificate_digest(mx)
    assert int(event['code']) == 250


def certificate_digest(mx):
    """SHA-256 of the certificate that this host shows, told by openssl."""
    got = subprocess.run(['openssl', 's_client', '-starttls', 'smtp', '-connect', f'{mx.address}:{mx.port}'],
                         input=b'QUIT\r\n', capture_output=True, timeout=30 * PATIENCE, check=False)
    printed = subprocess.run(['openssl', 'x509', '-noout', '-fingerprint', '-sha256'], input=got.stdout,
                             capture_output=True, check=True).stdout.decode()
    return printed.strip().split('=', 1)[1].replace(':', '').lower()
