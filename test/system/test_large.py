# SPDX-License-Identifier: Apache-2.0
"""Large messages flow through every role in constant memory, and hold up nobody else."""
import base64
import hashlib
import re
import threading
import time
import urllib.parse

import pytest
from world import wait_until
from world.mails import client, send
from world.postern import ROLES, SANITIZED
from world.reader import Reader, link_in

CEILING_MIB = 64  # of any role, whatever the message is

PLAIN = bytes(range(256)) * 57 * 64  # whole lines of base64
LINES = b''.join(base64.b64encode(PLAIN[at:at + 57]) + b'\r\n' for at in range(0, len(PLAIN), 57))


class Large:
    """A message with one attachment, told in blocks; about `mib` MiB."""

    def __init__(self, mib, recipients):
        self.blocks = mib * (1 << 20) // len(LINES)
        self.header_id = f'large-{time.time_ns()}@client.clinic.test'
        self.head = (f'From: alice@clinic.test\r\nTo: {", ".join(recipients)}\r\nSubject: Pictures\r\n'
                     f'Message-ID: <{self.header_id}>\r\nDate: Thu, 1 Jan 2026 10:00:00 +0000\r\n'
                     'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=cut\r\n\r\n').encode()
        self.before = (b'--cut\r\nContent-Type: text/plain\r\n\r\nSee the pictures.\r\n--cut\r\n'
                       b'Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n'
                       b'Content-Disposition: attachment; filename="pictures.bin"\r\n\r\n')
        self.after = b'--cut--\r\n'
        self.file_bytes = self.blocks * len(PLAIN)
        body, file = hashlib.sha256(self.before), hashlib.sha256()
        for _ in range(self.blocks):
            body.update(LINES)
            file.update(PLAIN)
        body.update(self.after)
        self.body_sha256, self.file_sha256 = body.digest(), file.digest()
        self.body_bytes = len(self.before) + self.blocks * len(LINES) + len(self.after)

    def submit(self, server, recipients):
        with client(server) as smtp:
            assert smtp.mail('alice@clinic.test')[0] == 250
            for address in recipients:
                assert smtp.rcpt(address)[0] == 250
            assert smtp.docmd('DATA')[0] == 354
            smtp.sock.settimeout(120)
            smtp.sock.sendall(self.head + self.before)
            for _ in range(self.blocks):
                smtp.sock.sendall(LINES)
            smtp.sock.sendall(self.after + b'.\r\n')
            code, text = smtp.getreply()
            assert code == 250, text


def peak_mib(server):
    """The most that each role ever had in memory: anonymous pages, and with them files that it maps."""
    found = {}
    for role in ROLES:
        for pid in server.pids(role):
            with open(f'/proc/{pid}/status', encoding='ascii', errors='replace') as file:
                peak = int(re.search(r'VmHWM:\s+(\d+) kB', file.read()).group(1)) / 1024
            found[role] = max(found.get(role, 0), peak)
    return found


class Trickle(threading.Thread):
    """Small mails, one after the other; how long the slowest took to its 250, and from there to its host."""

    def __init__(self, server, host):
        super().__init__(daemon=True)
        self.server, self.host, self.count, self.problem = server, host, 0, None
        self.slowest_in = self.slowest_out = 0
        self.is_over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.is_over.wait(0.1):
                began = time.monotonic()
                mail = send(self.server, ['a@small.test'])
                self.slowest_in = max(self.slowest_in, time.monotonic() - began)
                began = time.monotonic()
                self.host.wait(1, 30, lambda got, mail=mail: mail['Message-ID'] in got.mail['Message-ID'])
                self.slowest_out = max(self.slowest_out, time.monotonic() - began)
                self.count += 1
        except (AssertionError, OSError) as problem:
            self.problem = problem

    def end(self):
        self.is_over.set()
        self.join(40)
        assert self.problem is None, self.problem


def flow(world, house, mib):
    good = world.host('mx.good.test', 'good.test', bulk=True)
    plain = world.host('mx.plain.test', 'plain.test', tls='none')
    small = world.host('mx.small.test', 'small.test')
    server = house(world, {'limits': {'message': '2G'}, 'delivery': {'command_timeout': '120s'}})
    recipients = ['a@good.test', 'b@plain.test']
    large = Large(mib, recipients)
    trickle = Trickle(server, small)
    times = [time.monotonic()]
    large.submit(server, recipients)
    times.append(time.monotonic())
    got = good.wait(1, 240)[0]
    times.append(time.monotonic())
    assert (got.body_bytes, got.body_sha256) == (large.body_bytes, large.body_sha256)
    assert got.tls == 'TLSv1.3'
    # Nothing of it is changed by relaxed canonicalisation.
    hashes = re.findall(rb'bh=([^;]+);', got.data)
    assert len(hashes) == 2 and set(hashes) == {base64.b64encode(large.body_sha256)}
    server.wait_state(large.header_id, 'b@plain.test', 'notified', 240)
    times.append(time.monotonic())
    trickle.end()
    page = Reader(server, plain)
    shown = page.open_by_code(link_in(plain.wait(1)[0]))
    assert 'See the pictures.' in shown.text
    digest, size = download(page, shown)
    times.append(time.monotonic())
    assert (size, digest) == (large.file_bytes, large.file_sha256)
    peaks = peak_mib(server)
    steps = [after - before for before, after in zip(times, times[1:])]
    print(f'{large.body_bytes >> 20} MiB: in {steps[0]:.1f} s, out {steps[1]:.1f} s, portal copy {steps[2]:.1f} s more, '
          f'download {steps[3]:.1f} s; slowest of {trickle.count} small mails: in {trickle.slowest_in:.2f} s, '
          f'out {trickle.slowest_out:.2f} s; peak MiB '
          + ', '.join(f'{role} {peak:.0f}' for role, peak in peaks.items()))
    if not SANITIZED:
        assert {role: peak for role, peak in peaks.items() if peak > CEILING_MIB} == {}
    assert trickle.count > 0 and trickle.slowest_in < 3 and trickle.slowest_out < 3


def download(reader, page):
    """SHA-256 and size of the one attachment, which is not kept."""
    link = [url for url in page.links if re.search(r'/part/\d+$', url)][0]
    digest, size = hashlib.sha256(), 0
    for block in reader.stream(urllib.parse.urljoin(page.url, link)):
        digest.update(block)
        size += len(block)
    return digest.digest(), size


def test_two_hundred_megabytes(world, house):
    flow(world, house, 200)


@pytest.mark.long
def test_one_gigabyte(world, house):
    flow(world, house, 1000)
