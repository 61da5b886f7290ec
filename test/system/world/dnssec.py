# SPDX-License-Identifier: Apache-2.0
"""
A signed corner of the DNS: the zone "test." with a key of its own, an unsigned child, and some breakage.

    names = SignedNames(folder, address, port)
    names.records = ['good.test. 60 IN MX 10 mx.good.test.']  # into test., or into open.test. below it
    names.forge('_25._tcp.mx.bogus.test.', 'TLSA')      # altered after signing: bogus
    names.fail('_tcp.mx.broken.test')                   # a zone that cannot be served: SERVFAIL
    names.cut('_tcp.mx.robbed.test')                    # "there is nothing", without proof: bogus
    names.start()                                       # nsd; `names.anchor` is the trust anchor

The name server is real (nsd), and so are the signatures (ldns-signzone).
"""
import hashlib
import os
import ssl
import subprocess

from .ca import openssl
from .nsd import Nsd

HEAD = '$ORIGIN {zone}.\n$TTL 60\n@ SOA ns.test. host.test. 1 60 60 60 60\n@ NS ns.test.\n'


class SignedNames:
    def __init__(self, folder, address, port):
        self.folder, self.address, self.port = folder, address, port
        self.records, self.forged, self.failing, self.missing = [], [], [], []
        self.server = None
        os.makedirs(folder, exist_ok=True)
        self.key = self._run('ldns-keygen', '-a', 'ECDSAP256SHA256', '-k', 'test').strip()
        self.anchor = os.path.join(folder, self.key + '.key')

    def forge(self, name, kind):
        """The answer is another one than was signed. NSEC: the proof of what this name has not."""
        self.forged.append((name.rstrip('.').lower() + '.', kind))

    def fail(self, zone):
        """The zone is delegated, signed where its parent is, and its server cannot answer."""
        self.failing.append(zone)

    def cut(self, zone):
        """Whatever stands in the signed zone below this name: the answer is that there is nothing, without proof."""
        self.missing.append(zone)

    def start(self):
        records = self.records + [line for zone in self.failing for line in (
            f'{zone}. 60 IN NS ns.test.', f'{zone}. 60 IN DS 1 13 2 ' + '00' * 32)]
        zones = {'open.test': HEAD.format(zone='open.test') + self._lines(records, True)}
        zones['test'] = self._sign(HEAD.format(zone='test') + f'ns A {self.address}\nopen NS ns\n' +
                                   self._lines(records, False))
        for zone in self.missing:
            zones[zone] = HEAD.format(zone=zone)
        self.server = Nsd(os.path.join(self.folder, 'nsd'), self.address, self.port, zones, broken=self.failing)

    def stop(self):
        if self.server:
            self.server.stop()
            self.server = None

    # ---- inside ----

    def _run(self, *words):
        return subprocess.run(words, cwd=self.folder, check=True, capture_output=True, text=True).stdout

    @staticmethod
    def _lines(records, are_open):
        return ''.join(record + '\n' for record in records
                       if record.split()[0].lower().endswith('.open.test.') == are_open)

    def _sign(self, text):
        with open(os.path.join(self.folder, 'test.zone'), 'w', encoding='ascii') as file:
            file.write(text)
        self._run('ldns-signzone', '-f', 'test.signed', 'test.zone', self.key)
        with open(os.path.join(self.folder, 'test.signed'), encoding='ascii') as file:
            return ''.join(map(self._alter, file))

    def _alter(self, line):
        """Another TTL is no forgery, another content is."""
        words = line.split()
        if len(words) < 5 or (words[0].lower(), words[3]) not in self.forged:
            return line
        text = line.rstrip()
        if words[3] == 'MX':
            return text.replace('\tMX\t', '\tMX\t1', 1) + '\n'
        if words[3] == 'NSEC':
            return text + ' HINFO\n'
        return text[:-1] + ('0' if text[-1] != '0' else '1') + '\n'


def tlsa(certificate, usage, selector, matching):
    """The data of a TLSA record for a PEM certificate (the first one of the file)."""
    with open(certificate, encoding='ascii') as file:
        first = file.read().split('-----END CERTIFICATE-----')[0] + '-----END CERTIFICATE-----\n'
    whole = ssl.PEM_cert_to_DER_cert(first[first.index('-----BEGIN'):])
    if selector == 1:
        public = openssl('x509', '-pubkey', '-noout', input=first.encode())
        whole = openssl('pkey', '-pubin', '-outform', 'DER', input=public)
    data = {0: lambda: whole, 1: lambda: hashlib.sha256(whole).digest(), 2: lambda: hashlib.sha512(whole).digest()}[matching]()
    return f'{usage} {selector} {matching} {data.hex()}'
