# SPDX-License-Identifier: Apache-2.0
"""Strangers verify our signatures: dkimpy both algorithms, opendkim-testmsg RSA."""
import os
import subprocess

import dkim as dkimpy
import pytest

from world.mails import make_mail, submit
from world.nsd import write_nsd

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
def test_strangers_verify(world, house, dkim, folder):
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
        if name in ('plain', 'attachment', 'dots'):
            opendkim(folder, message.data, dkim)
    assert seen == set(BODIES)


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
    script = ('ip link set lo up; mount --bind "$1" "$(readlink -f /etc/resolv.conf)"; '
              'nsd -d -c "$2" 2>/dev/null & pid=$!; sleep 0.4; '
              '/usr/sbin/opendkim-testmsg -t "$3"; status=$?; kill $pid; exit $status')
    if subprocess.run(['unshare', '-n', '-m', 'true'], capture_output=True, check=False).returncode != 0:
        return  # no network of our own to play the DNS in; dkimpy has verified it
    for text, good in ((message, True), (message.replace(b'\r\n\r\n', b'\r\n\r\nforged ', 1), False)):
        got = subprocess.run(['unshare', '-n', '-m', 'sh', '-c', script, 'sh',
                              os.path.join(folder, 'resolv.conf'), config, folder],
                             input=text, capture_output=True, timeout=60, check=False)
        words = (got.stdout + got.stderr).decode()
        assert (got.returncode == 0 and not words.strip()) == good, (good, words, fields)
