# SPDX-License-Identifier: Apache-2.0
"""Strangers verify our signatures: dkimpy both algorithms, opendkim-testmsg RSA."""
import os
import subprocess

import pytest

from world.machine import PATIENCE
from world.mails import make_mail, submit
from world.nsd import write_nsd

dkimpy = pytest.importorskip('dkim', reason='the package python3-dkim is not installed')

BODIES = {
    'plain': dict(body='Good day.\n'),
    'trailing blank lines': dict(body='Good day.\n\n\n\n'),
    'white space': dict(body='  two  spaces \t and a tab \n \n'),
    'no final line end': dict(body='Good day.'),
    'utf-8': dict(subject='Grüße aus Zürich', body='Schöne Grüße, 你好\n'),
    'attachment': dict(attachment=('a.bin', bytes(range(256)) * 64, 'application/octet-stream')),
    'html': dict(html='<p>Hello <b>you</b></p>'),
    'folded': dict(subject='a long subject ' * 12),
    'dots': dict(body='.\n..\n.hidden\n'),
}


@pytest.mark.asan
def test_dkimpy_verifies(world, house, dkim):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    records = {f'{selector}._domainkey.clinic.test.': text for selector, (_, text) in dkim.items()}
    lookup = lambda name, timeout=5: records.get(
        (name.decode() if isinstance(name, bytes) else name).lower(), '').encode()
    sent = {}
    for name, options in BODIES.items():
        mail = make_mail(['patient@good.test'], X_Case=name, **options)
        code, text = submit(server, mail, ['patient@good.test'])
        assert code == 250, text
        sent[name] = mail
    messages = good.wait(len(BODIES))
    seen = set()
    for message in messages:
        name = message.mail['X-Case']
        seen.add(name)
        signatures = [str(value) for value in message.mail.get_all('DKIM-Signature')]
        assert len(signatures) == 2, (name, signatures)
        algorithms = set()
        for index in range(2):
            verifier = dkimpy.DKIM(message.data)
            assert verifier.verify(idx=index, dnsfunc=lookup), (name, signatures[index])
            algorithms.add(verifier.signature_fields[b'a'].decode())
            assert verifier.domain == b'clinic.test'
            signed = verifier.signature_fields[b'h'].lower()
            for header in (b'from', b'to', b'subject', b'date', b'message-id'):
                assert header in signed, (name, signed)
            assert b'l' not in verifier.signature_fields
        assert algorithms == {'rsa-sha256', 'ed25519-sha256'}
        # From is signed once more than it occurs, so that nobody adds a second one.
        forged = message.data.replace(b'From: ', b'From: Mallory <mallory@evil.test>\r\nFrom: ', 1)
        assert not dkimpy.DKIM(forged).verify(idx=0, dnsfunc=lookup)
    assert seen == set(BODIES)


@pytest.mark.needs('root', 'namespaces', 'mounts', 'opendkim', 'nsd', 'ip')
def test_opendkim_verifies(world, house, dkim, folder):
    good = world.host('mx.good.test', 'good.test')
    server = house(world)
    for name in ('plain', 'attachment', 'dots'):
        mail = make_mail(['patient@good.test'], X_Case=name, **BODIES[name])
        assert submit(server, mail, ['patient@good.test'])[0] == 250
    for message in good.wait(3):
        opendkim(folder, message.data, dkim)


def opendkim(folder, data, keys):
    """
    opendkim-testmsg looks keys up in the DNS: it runs in a network of its own, where a real nsd is the
    resolver. No output and status 0 = good.
    """
    zone = '$ORIGIN clinic.test.\n$TTL 60\n@ SOA ns host 1 60 60 60 60\n@ NS ns\nns A 127.0.0.1\n'
    for selector, (_, text) in keys.items():
        pieces = ' '.join(f'"{text[at:at + 200]}"' for at in range(0, len(text), 200))
        zone += f'{selector}._domainkey TXT {pieces}\n'
    config = write_nsd(folder, '127.0.0.1', 53, {'clinic.test': zone})
    with open(os.path.join(folder, 'resolv.conf'), 'w', encoding='ascii') as file:
        file.write('nameserver 127.0.0.1\n')
    # It knows no Ed25519 (2.11): give it the message with the RSA signature only.
    head, _, body = data.partition(b'\r\n\r\n')
    fields = []
    for line in head.split(b'\r\n'):
        if line[:1] in (b' ', b'\t') and fields:
            fields[-1] += b'\r\n' + line
        else:
            fields.append(line)
    kept = [field for field in fields
            if not (field.lower().startswith(b'dkim-signature') and b'ed25519' in field)]
    assert len(kept) == len(fields) - 1
    message = b'\r\n'.join(kept) + b'\r\n\r\n' + body
    # A machine without a resolver may have no such file, or a link to nowhere; drill says when nsd answers.
    script = ('ip link set lo up; file=$(readlink -f /etc/resolv.conf); [ -e "$file" ] || exit 77; '
              'mount --bind "$1" "$file" || exit 78; '
              'nsd -d -c "$2" 2>/dev/null & pid=$!; '
              'for try in $(seq 200); do drill @127.0.0.1 clinic.test SOA </dev/null 2>/dev/null | grep -q NOERROR && break; sleep 0.1; done; '
              '/usr/sbin/opendkim-testmsg -t "$3"; status=$?; kill $pid; exit $status')
    for text, is_good in ((message, True), (message.replace(b'\r\n\r\n', b'\r\n\r\nforged ', 1), False)):
        got = subprocess.run(['unshare', '-n', '-m', 'sh', '-c', script, 'sh',
                              os.path.join(folder, 'resolv.conf'), config, folder],
                             input=text, capture_output=True, timeout=60 * PATIENCE, check=False)
        if got.returncode == 77:
            pytest.skip('this machine has no /etc/resolv.conf to lay ours over')
        words = (got.stdout + got.stderr).decode()
        assert (got.returncode == 0 and not words.strip()) == is_good, (is_good, words, fields)
