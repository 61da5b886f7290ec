# SPDX-License-Identifier: Apache-2.0
"""Who is who in the play: domains, hosts, people, ports and files. Data only."""
import os
import socket


class Trouble(Exception):
    """Something that the person at the terminal can put right; its text says what and how."""


OWN_DOMAIN = 'clinic.test'
MAIL_HOST = 'mail.clinic.test'
PORTAL_HOST = 'portal.clinic.test'

CLERK = 'clerk@clinic.test'
FRIEND = 'patient@good.test'     # their provider proves its TLS
STRANGER = 'patient@plain.test'  # theirs has none

SERVER_ADDRESS = '127.0.0.1'


class Host:
    """A mail server of the outside world. domain: whose MX it is; '' = reached by name only."""

    def __init__(self, name, address, domain, has_tls, words):
        self.name, self.address, self.domain = name, address, domain
        self.has_tls, self.words = has_tls, words


HOSTS = (
    Host('mx.clinic-mail.test', '127.0.0.10', '', True, 'the mailboxes of our own people'),
    Host('mx.good.test', '127.0.0.11', 'good.test', True, 'a provider whose TLS can be proved'),
    Host('mx.plain.test', '127.0.0.12', 'plain.test', False, 'a provider without TLS'),
    Host('mx.elsewhere.test', '127.0.0.13', '', True, 'everybody else, see names.py'),
)
NEXT_HOP, ELSEWHERE = HOSTS[0], HOSTS[3]


def zone():
    """DNS records of the outside world, as the resolver's settings want them."""
    records = [f'{MAIL_HOST}. A {SERVER_ADDRESS}', f'{PORTAL_HOST}. A {SERVER_ADDRESS}']
    for host in HOSTS:
        records.append(f'{host.name}. A {host.address}')
        if host.domain:
            records.append(f'{host.domain}. MX 10 {host.name}.')
    return records


class Ports:
    """Where everything listens. base: None for the usual numbers, else the first of seven in a row."""

    USUAL = {'submission': 2587, 'submissions': 2465, 'mx': 2525, 'delivery': 2526, 'portal': 8443,
             'browser': 8025, 'names': 8053}
    WORDS = {'submission': 'submission with STARTTLS', 'submissions': 'submission over TLS',
             'mx': 'mail from outside', 'delivery': 'the mail catcher', 'portal': 'the portal',
             'browser': 'the mailboxes in a browser', 'names': 'the DNS of everybody else'}

    def __init__(self, base=None):
        for offset, (name, usual) in enumerate(self.USUAL.items()):
            setattr(self, name, usual if base is None else base + offset)

    def check_free(self):
        """Raises Trouble that names the first port that somebody else has."""
        for name, words in self.WORDS.items():
            number = getattr(self, name)
            addresses = [host.address for host in HOSTS] if name == 'delivery' else [SERVER_ADDRESS]
            for address in addresses:
                if not _is_free(address, number, name == 'names'):
                    raise Trouble(
                        f'Port {number} on {address} ({words}) is in use.\n'
                        'Stop the program that has it (another `make run`?), or take seven other ports:\n'
                        '    tools/development/run --port-base 12000 build/postern')


def _is_free(address, number, is_udp):
    with socket.socket(type=socket.SOCK_DGRAM if is_udp else socket.SOCK_STREAM) as probe:
        if not is_udp:  # what has ended lately does not count
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, number))
        except OSError:
            return False
        return True


class Places:
    """Paths inside the throw-away folder."""

    def __init__(self, folder):
        inside = lambda *parts: os.path.join(folder, *parts)
        self.folder = folder
        self.settings = inside('postern.conf')
        self.master_key = inside('master.key')
        self.state = inside('state')
        self.log = inside('server.log')
        self.keys = inside('keys')
        self.mail = inside('mail')
        self.authority = inside('ca.pem')
        self.password = inside('password')
        self.msmtp = inside('msmtprc')
        for path in (self.keys, self.mail):
            os.mkdir(path, 0o700)
