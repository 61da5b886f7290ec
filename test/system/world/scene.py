# SPDX-License-Identifier: Apache-2.0
"""The outside world of one test: an authority, hosts that receive, and the zone that names them."""
import os

from . import free_port
from .mails import CANARIES
from .sink import Sink


class World:
    """Hosts get loopback addresses 127.0.1.x in order; all listen on one port, `mx_port`."""

    def __init__(self, folder, ca, dkim=None):
        self.folder, self.ca = folder, ca
        self.dkim = dkim or {}          # selector -> key file
        self.mx_port = free_port()
        self.zone, self.hosts = [], {}
        self.canaries = list(CANARIES)  # words that no log line may hold
        self.next_address = 10
        self.clinic = self.host('in.clinic.test', None)  # the sender's own mailbox
        self.zone.append('mail.clinic.test. 60 IN A 127.0.0.2')
        self.zone.append('portal.clinic.test. 60 IN A 127.0.0.2')

    def new_address(self):
        self.next_address += 1
        return f'127.0.1.{self.next_address}'

    def host(self, name, domain, tls='good', **options):
        """
        A sink called `name` that is the MX of `domain` (None: only an address).
        tls: good, wrong (a certificate for another name), self (self-signed), none.
        """
        certificates = options.pop('certificates', None)
        if certificates is None:
            certificates = {
                'good': lambda: [self.ca.issue(name)],
                'wrong': lambda: [self.ca.issue('other.example.test')],
                'none': lambda: [],
            }[tls]()
        sink = Sink(self.new_address(), self.mx_port, name, certificates, **options)
        self.name(name, sink.address, domain)
        self.hosts[name] = sink
        return sink

    def name(self, name, address, domain=None, preference=10):
        self.zone.append(f'{name}. 60 IN A {address}')
        if domain:
            self.zone.append(f'{domain}. 60 IN MX {preference} {name}.')

    def records(self):
        """The zone as the resolver's settings want it."""
        return list(self.zone)

    def close(self):
        for sink in self.hosts.values():
            sink.stop()

    def path(self, *parts):
        return os.path.join(self.folder, *parts)
