# SPDX-License-Identifier: Apache-2.0
"""A throw-away certificate authority, made with the openssl program."""
import os
import subprocess


def openssl(*arguments, **options):
    return subprocess.run(['openssl', *arguments], check=True, capture_output=True, **options).stdout


class Authority:
    """An ECDSA P-256 authority in `folder`; `roots` is its certificate as a PEM file."""

    def __init__(self, folder, name='Test CA'):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)
        self.roots = os.path.join(folder, 'ca.pem')
        self.key = os.path.join(folder, 'ca.key')
        self.count = 0
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                '-keyout', self.key, '-out', self.roots, '-days', '30', '-subj', f'/CN={name}',
                '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    def issue(self, *names, days=30, rsa=False):
        """
        Certificate (with the key in a second file) for these DNS names: (certificate, key). With days=-1 it ended
        yesterday.
        """
        self.count += 1
        base = os.path.join(self.folder, f'{self.count}-{names[0].strip("*.")}')
        kind = ('rsa:2048',) if rsa else ('ec', '-pkeyopt', 'ec_paramgen_curve:P-256')
        openssl('req', '-newkey', *kind, '-nodes', '-keyout', base + '.key', '-out', base + '.csr', '-subj',
                f'/CN={names[0]}')
        with open(base + '.ext', 'w', encoding='ascii') as file:
            file.write('subjectAltName=' + ','.join(f'DNS:{name}' for name in names) + '\n'
                       'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n')
        openssl('x509', '-req', '-in', base + '.csr', '-CA', self.roots, '-CAkey', self.key,
                '-set_serial', str(1000 + self.count), '-days', str(days), '-extfile', base + '.ext',
                '-out', base + '.pem')
        return base + '.pem', base + '.key'

    def with_chain(self, pair):
        """The same certificate with the authority's own behind it in the file, for DANE-TA."""
        with open(pair[0], encoding='ascii') as leaf, open(self.roots, encoding='ascii') as own:
            text = leaf.read() + own.read()
        path = pair[0].replace('.pem', '-chain.pem')
        with open(path, 'w', encoding='ascii') as file:
            file.write(text)
        return path, pair[1]


def self_signed(folder, name):
    """A certificate that nobody vouches for."""
    base = os.path.join(folder, 'self-' + name)
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', base + '.key', '-out',
            base + '.pem', '-days', '3', '-subj', f'/CN={name}', '-addext', f'subjectAltName=DNS:{name}')
    return base + '.pem', base + '.key'


def dkim_key(path, kind):
    """Make a signing key (`rsa` or `ed25519`); return the text of its DNS record."""
    import base64
    if kind == 'rsa':
        openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', path)
        public = openssl('pkey', '-in', path, '-pubout', '-outform', 'DER')
    else:
        openssl('genpkey', '-algorithm', 'ED25519', '-out', path)
        public = openssl('pkey', '-in', path, '-pubout', '-outform', 'DER')[-32:]
    return f'v=DKIM1; k={kind}; p=' + base64.b64encode(public).decode()
