# SPDX-License-Identifier: Apache-2.0
"""
Our own listening ports, looked at from outside: what weak clients get (weak_clients.md, row by row), and what testssl.sh
finds (nothing but what scan_exceptions.txt argues). `make scan` looks at everything that testssl.sh knows, `make test` at
protocols and vulnerabilities.
"""
import concurrent.futures
import json
import os
import re
import socket
import subprocess
import time

import pytest

from world.hello import say_hello, starttls
from world.machine import PATIENCE

HERE = os.path.dirname(os.path.abspath(__file__))
PORTS = {'submission': True, 'submissions': False, 'mx': True, 'portal': False}  # after STARTTLS?
NAMES = {kind: 'portal.clinic.test' if kind == 'portal' else 'mail.clinic.test' for kind in PORTS}
BAD = ('MEDIUM', 'HIGH', 'CRITICAL', 'WARN')  # WARN: a check that did not come to an end


def rows():
    """(what, how, answer, answer of the portal) of weak_clients.md."""
    with open(os.path.join(HERE, 'weak_clients.md'), encoding='utf-8') as file:
        for line in file:
            cells = [cell.strip() for cell in line.strip().strip('|').split('|')]
            if line.startswith('|') and len(cells) == 4 and cells[1] != 'how' and not cells[0].startswith('---'):
                yield cells[0], cells[1], cells[2], cells[3] or cells[2]


@pytest.fixture(scope='module')
def server(module_world, module_house, ca):
    """With RSA certificates that last longer than testssl.sh wants to warn of."""
    mail, portal = (ca.issue(name, days=90, rsa=True) for name in ('mail.clinic.test', 'portal.clinic.test'))
    return module_house(module_world, {'tls_certificate': mail[0], 'tls_key': mail[1],
                                       'portal': {'certificate': portal[0], 'key': portal[1],
                                                  'url': 'https://portal.clinic.test'}})


# ---- weak clients ----

def s_client_command(server, kind, *words):
    return ['openssl', 's_client', '-connect', f'{server.address}:{server.ports[kind]}', '-servername', NAMES[kind],
            '-CAfile', server.world.ca.roots, *(('-starttls', 'smtp') if PORTS[kind] else ()), *words]


def s_client(server, kind, *words, stdin=b'', seconds=30):
    """What `openssl s_client` prints; at the end of its input it closes."""
    got = subprocess.run(s_client_command(server, kind, *words), input=stdin, capture_output=True, timeout=seconds, check=False)
    return (got.stdout + got.stderr).decode('utf-8', 'replace')


def agreed(text):
    """'refused', or version and cipher. A client that did not even ask is no answer."""
    assert re.search(r'written [1-9][0-9]{2,} bytes', text), f'no ClientHello was sent:\n{text}'
    found = re.search(r'^New, ([^,]+), Cipher is (\S+)', text, re.M)
    assert found, text
    if found[1] == '(NONE)':
        assert re.search(r'alert|eof|reset|errno=104', text), f'it did not end by the server:\n{text}'
        return 'refused'
    version = re.search(r'^ +Protocol *: (\S+)', text, re.M)
    return f'{version[1] if version else found[1]} {found[2]}'


def renegotiate(server, kind):
    """s_client begins it at the word R; when it comes about, the certificate is looked at once more."""
    for pause in (0.2, 1, 3):  # not in the midst of the server's greeting: then s_client forgets the word
        with subprocess.Popen(s_client_command(server, kind, '-tls1_2'), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as client:
            time.sleep(pause)
            client.stdin.write(b'R\n')
            client.stdin.flush()  # and stay: the end of the input would be the end
            try:
                client.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                client.kill()
            text = client.stdout.read().decode('utf-8', 'replace')
        before, _, behind = text.partition('RENEGOTIATING')
        assert 'verify return' in before and 'New, TLSv1.2' in before, text
        if 'verify return' in behind:
            return 'renegotiated'
        if 'no renegotiation' in behind or behind.strip() == 'closed':
            return 'refused'
    return f'no answer: {behind}'


def early(server, kind):
    """A ticket tells how much early data its server would take."""
    last = b'GET / HTTP/1.0\r\n\r\n' if kind == 'portal' else b'QUIT\r\n'
    text = s_client(server, kind, '-tls1_3', '-ign_eof', stdin=last)
    assert 'New, TLSv1.3' in text, text
    if kind != 'portal':
        assert 'Max Early Data' in text, text  # there are tickets: this is what they say
    return 'taken' if re.search('Max Early Data: [1-9]', text) else 'refused'


def prime(server, kind):
    text = s_client(server, kind, '-tls1_2', '-cipher', 'DHE:@SECLEVEL=0')
    found = re.search(r'Server Temp Key: DH, ([0-9]+) bits', text)
    return found[1] if found else agreed(text)


SPECIAL = {'renegotiate': renegotiate, 'early': early, 'dh': prime}


def try_row(server, kind, how):
    words = how.split()
    if words[0] == 's_client':
        return agreed(s_client(server, kind, *words[1:]))
    if words[0] == 'hello':
        return say_hello((server.address, server.ports[kind]), PORTS[kind], int(words[1], 16),
                         bytes.fromhex(words[2].replace(',', '')), bytes.fromhex(words[3]))
    return SPECIAL[words[0]](server, kind)


def test_weak_clients_get_what_the_table_says(server):
    wrong, count = [], 0
    for what, how, answer, answer_of_portal in rows():
        for kind in PORTS:
            wanted = answer_of_portal if kind == 'portal' else answer
            got = try_row(server, kind, how)
            count += 1
            if not (got == wanted or (wanted != 'refused' and got.startswith(wanted))):
                wrong.append(f'{kind}: {what}: {got}, not {wanted}')
    assert not wrong, '\n'.join(wrong)
    assert count >= 160


def test_commands_before_tls_are_not_taken_behind_it(server):
    """What somebody on the wire puts behind STARTTLS must not be heard as if it came over TLS [CVE-2011-0411]."""
    import ssl
    for kind in ('submission', 'mx'):
        with socket.create_connection((server.address, server.ports[kind]), 20) as sock:
            original = sock.sendall
            sock_sendall = lambda data: original(data + b'NOOP\r\nHELP\r\n' if data == b'STARTTLS\r\n' else data)
            try:
                starttls(type('Pushy', (), {'makefile': sock.makefile, 'sendall': staticmethod(sock_sendall)})())
                context = ssl.create_default_context(cafile=server.world.ca.roots)
                with context.wrap_socket(sock, server_hostname=NAMES[kind]) as tls:
                    tls.settimeout(2)
                    heard = tls.recv(1000)
            except (AssertionError, OSError):
                heard = b''
            assert heard == b'', f'{kind}: {heard!r}'


# ---- testssl.sh ----

def exceptions():
    """{(port, check): why} of scan_exceptions.txt."""
    with open(os.path.join(HERE, 'scan_exceptions.txt'), encoding='utf-8') as file:
        found = [line.split(None, 2) for line in file if line.strip() and line[0] not in '# ']  # indented: goes on
    assert all(len(words) == 3 and len(words[2]) > 20 for words in found), 'an exception without an argument'
    return {(words[0], words[1]): words[2] for words in found}


def scan(server, folder, kind, *words):
    """Everything that testssl.sh says of this port: [{'id', 'severity', 'finding'}]."""
    out = os.path.join(folder, f'{kind}.json')
    command = ['testssl', '--quiet', '--color', '0', '--warnings', 'off', '--nodns', 'none', '--ip', server.address,
               '--add-ca', server.world.ca.roots, '--jsonfile', out, *words,
               *(('--starttls', 'smtp') if PORTS[kind] else ()), f'{NAMES[kind]}:{server.ports[kind]}']
    if os.path.exists(out):
        os.remove(out)  # testssl.sh would not write over it
    with open(os.path.join(folder, f'{kind}.txt'), 'w', encoding='utf-8') as log:
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, check=False, timeout=900)
    with open(out, encoding='utf-8') as file:
        return json.load(file)


def judge(server, folder, at_least, *words):
    """Fails for what nothing argues; returns the arguments that were not needed."""
    excepted, used, bad = exceptions(), set(), []

    def look(kind, findings):
        with open(os.path.join(folder, f'{kind}.txt'), encoding='utf-8') as log:
            assert 'Done' in log.read(), f'{kind}: the scan did not come to its end'
        good = [finding for finding in findings if finding['severity'] == 'OK']
        print(f'{kind}: {len(findings)} findings, {len(good)} of them good')
        assert len(good) >= at_least, f'{kind}: only {len(good)} of {len(findings)} findings are good'
        doubtful = [finding for finding in findings if finding['severity'] in BAD]
        names = {(where, finding['id']) for finding in doubtful for where in (kind, '*')}
        used.update(names & set(excepted))
        return [finding for finding in doubtful
                if not {(kind, finding['id']), ('*', finding['id'])} & set(excepted)]

    with concurrent.futures.ThreadPoolExecutor() as pool:  # it waits more than it works
        first = dict(zip(PORTS, pool.map(lambda kind: scan(server, folder, kind, *words), PORTS)))
    for kind, findings in first.items():
        left = look(kind, findings)
        # A check that did not come to its end, on a busy machine: once more, alone.
        if left and all(finding['severity'] == 'WARN' for finding in left):
            left = look(kind, scan(server, folder, kind, *words))
        bad += [f"{kind}: {finding['severity']} {finding['id']}: {finding['finding']}" for finding in left]
    assert not bad, '\n'.join(bad)
    return {check for check, why in excepted.items() if check not in used and not why.startswith('Sometimes')}


@pytest.mark.needs('testssl')
@pytest.mark.limit(900)
def test_testssl_finds_no_vulnerability(server, folder):
    judge(server, folder, 12, '--protocols', '--vulnerable')


@pytest.mark.needs('testssl')
@pytest.mark.long
@pytest.mark.limit(3000)
def test_testssl_finds_nothing_at_all(server, folder):
    unused = judge(server, folder, 30)
    assert not unused, f'exceptions that are not needed: {unused}'
