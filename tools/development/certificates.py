# SPDX-License-Identifier: Apache-2.0
"""Throw-away keys, made with the openssl program: an authority, servers' certificates, signing keys."""
import ipaddress
import os
import subprocess

from world import Trouble

DAYS = '30'
CURVE = ('-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes')


def openssl(*arguments):
    try:
        subprocess.run(('openssl',) + arguments, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise Trouble('The openssl program is missing: apt-get install openssl') from None
    except subprocess.CalledProcessError as problem:
        raise Trouble(f'openssl {arguments[0]} failed:\n{problem.stderr.strip()}') from None


class Authority:
    """Signs certificates. roots: where its own goes; keys: folder for everything secret."""

    def __init__(self, roots, keys):
        self.roots, self.keys = roots, keys
        self.key = os.path.join(keys, 'ca.key')
        self.issued = 0
        openssl('req', '-x509', *CURVE, '-keyout', self.key, '-out', roots, '-days', DAYS,
                '-subj', '/CN=Throw-away CA of a Postern development instance',
                '-addext', 'basicConstraints=critical,CA:TRUE',
                '-addext', 'keyUsage=critical,keyCertSign,cRLSign')

    def issue(self, *names):
        """A server certificate for these names or addresses: (certificate file, key file)."""
        base = os.path.join(self.keys, names[0])
        self.issued += 1
        openssl('req', *CURVE, '-keyout', base + '.key', '-out', base + '.csr',
                '-subj', f'/CN={names[0]}')
        with open(base + '.ext', 'w', encoding='ascii') as file:
            file.write(f'subjectAltName={",".join(map(_alternative_name, names))}\n'
                       'basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\n'
                       'authorityKeyIdentifier=keyid\n')
        openssl('x509', '-req', '-in', base + '.csr', '-CA', self.roots, '-CAkey', self.key,
                '-set_serial', str(1000 + self.issued), '-days', DAYS, '-extfile', base + '.ext',
                '-out', base + '.pem')
        return base + '.pem', base + '.key'


def _alternative_name(name):
    try:
        return f'IP:{ipaddress.ip_address(name)}'
    except ValueError:
        return f'DNS:{name}'


def signing_keys(keys):
    """A DKIM key of each kind: selector -> file."""
    made = {'rsa': os.path.join(keys, 'dkim-rsa.pem'), 'ed': os.path.join(keys, 'dkim-ed25519.pem')}
    openssl('genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048', '-out', made['rsa'])
    openssl('genpkey', '-algorithm', 'ED25519', '-out', made['ed'])
    for path in made.values():
        os.chmod(path, 0o600)
    return made
